//! The drivers of a registry: those that are linked, which stay, and those that are added at run
//! time, which come and go and shadow linked ones of their driver name.
//!
//! Names are compared and the driver is entered under one lock, so that of two drivers that claim a
//! name one is refused. No driver code runs under that lock: what is refused or removed is held,
//! and dropped, by whoever calls.

use std::sync::PoisonError;

use crate::alg::AlgInfo;
use crate::error::AddError;
use crate::sync::{RwLock, RwLockWriteGuard};

use super::AlgRef;

pub(super) struct Drivers {
    linked: Box<[AlgRef]>,
    added: RwLock<Vec<AlgRef>>,
}

impl Drivers {
    /// Linked ones may claim one name: whoever looks it up is told.
    pub(super) fn new(linked: impl Iterator<Item = AlgRef>) -> Self {
        Self { linked: linked.collect(), added: RwLock::default() }
    }

    /// Adds a driver, unless another one that it does not shadow claims one of its names.
    pub(super) fn add(&self, new: &AlgRef) -> Result<(), AddError> {
        let is_not_shadowed = |old: &&AlgRef| old.info().driver != new.info().driver;
        let mut added = self.write();
        for other in self.linked.iter().filter(is_not_shadowed).chain(&*added) {
            if let Some(name) = clash(other.info(), new.info()) {
                let origin = other.origin().into();
                return Err(AddError::Duplicate { name: name.into(), origin });
            }
        }
        added.push(new.clone());
        Ok(())
    }

    /// Removes this driver, not another one of its name.
    pub(super) fn remove(&self, old: &AlgRef) {
        self.write().retain(|added| !added.is(old));
    }

    /// Those of now, sorted by generic name, then best first.
    pub(super) fn snapshot(&self) -> Vec<AlgRef> {
        let added = self.added.read().unwrap_or_else(PoisonError::into_inner);
        let is_shadowed =
            |alg: &&AlgRef| added.iter().any(|new| new.info().driver == alg.info().driver);
        let linked = self.linked.iter().filter(|alg| !is_shadowed(alg));
        let mut all: Vec<AlgRef> = linked.chain(&*added).cloned().collect();
        drop(added);
        all.sort_by(|a, b| {
            let (a, b) = (a.info(), b.info());
            let by_name = a.name.cmp(&b.name).then(b.priority.cmp(&a.priority));
            by_name.then_with(|| a.driver.cmp(&b.driver))
        });
        all
    }

    fn write(&self) -> RwLockWriteGuard<'_, Vec<AlgRef>> {
        self.added.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The kernel's rule: a driver name is nobody else's driver name or generic name. Two drivers of
/// one generic name are the point of a registry.
pub(super) fn clash<'a>(a: &'a AlgInfo, b: &AlgInfo) -> Option<&'a str> {
    if a.driver == b.driver || a.driver == b.name {
        Some(&a.driver)
    } else if a.name == b.driver {
        Some(&a.name)
    } else {
        None
    }
}

/// Every interleaving of two or three threads that add, remove or look up drivers, one call each,
/// beside one linked driver (`cargo xtask loom`; no bound on preemptions is needed).
#[cfg(all(test, loom))]
mod loom_models {
    use std::sync::Arc;

    use loom::thread::{self, JoinHandle};

    use super::{AlgRef, Drivers};
    use crate::alg::{AlgInfo, Algorithm, Codec};
    use crate::error::{AddError, OpenError};
    use crate::params::Params;
    use crate::registry::ADDED;
    use crate::sync::{AtomicUsize, Ordering};

    /// Nothing but its facts.
    #[derive(Debug)]
    struct Facts(AlgInfo);

    impl Algorithm for Facts {
        fn info(&self) -> &AlgInfo {
            &self.0
        }

        fn open(&self, _: &Params) -> Result<Box<dyn Codec>, OpenError> {
            Err(OpenError::Device("a model has none".into()))
        }
    }

    struct Model {
        drivers: Drivers,
        /// A call returned.
        returned: AtomicUsize,
    }

    impl Model {
        fn new() -> Arc<Self> {
            let drivers = Drivers::new([driver(LINKED)].into_iter());
            Arc::new(Self { drivers, returned: AtomicUsize::new(0) })
        }

        fn adding(self: &Arc<Self>, driver: &AlgRef) -> JoinHandle<Result<(), AddError>> {
            let (model, driver) = (Arc::clone(self), driver.clone());
            thread::spawn(move || {
                let added = model.drivers.add(&driver);
                model.returned.store(1, Ordering::Release);
                added
            })
        }

        fn removing(self: &Arc<Self>, driver: &AlgRef) -> JoinHandle<()> {
            let (model, driver) = (Arc::clone(self), driver.clone());
            thread::spawn(move || {
                model.drivers.remove(&driver);
                model.returned.store(1, Ordering::Release);
            })
        }

        fn is_over(&self) -> bool {
            self.returned.load(Ordering::Acquire) == 1
        }

        /// What the generic name stands for.
        fn best(&self) -> AlgRef {
            self.drivers.snapshot().swap_remove(0)
        }

        /// How many there are of a driver name.
        fn count(&self, driver: &str) -> usize {
            self.drivers.snapshot().iter().filter(|alg| alg.info().driver == driver).count()
        }
    }

    #[test]
    fn added_driver_is_found_once_it_is_added() {
        loom::model(|| {
            let (model, device) = (Model::new(), driver(DEVICE));
            let adding = model.adding(&device);
            let is_over = model.is_over();
            let found = model.best();
            assert!(found.is(&device) || !is_over && found.info() == &LINKED);
            adding.join().unwrap().unwrap();
            assert!(model.best().is(&device));
        });
    }

    #[test]
    fn removed_driver_is_no_longer_found_and_works_for_who_found_it() {
        loom::model(|| {
            let (model, device) = (Model::new(), driver(DEVICE));
            model.drivers.add(&device).unwrap();
            let removing = model.removing(&device);
            let is_over = model.is_over();
            let found = model.best();
            assert!(found.info() == &LINKED || !is_over && found.is(&device));
            removing.join().unwrap();
            assert_eq!(model.best().info(), &LINKED);
            drop((model, device));
            assert_eq!(found.algorithm().unwrap().info(), found.info());
        });
    }

    #[test]
    fn one_of_two_of_a_name_is_added() {
        loom::model(|| {
            let (model, mine, other) = (Model::new(), driver(DEVICE), driver(DEVICE));
            let adding = model.adding(&other);
            let is_mine = model.drivers.add(&mine).is_ok();
            let is_other = adding.join().unwrap().is_ok();
            assert!(is_mine != is_other);
            assert_eq!(model.count("x-dev"), 1);
            assert!(model.best().is(if is_mine { &mine } else { &other }));
        });
    }

    #[test]
    fn successor_comes_after_the_removal_or_is_refused() {
        loom::model(|| {
            let (model, device, successor) = (Model::new(), driver(DEVICE), driver(DEVICE));
            model.drivers.add(&device).unwrap();
            let removing = model.removing(&device);
            let adding = model.adding(&successor);
            assert!(model.count("x-dev") <= 1);
            removing.join().unwrap();
            let is_added = adding.join().unwrap().is_ok();
            assert_eq!(model.count("x-dev"), usize::from(is_added));
            assert_eq!(model.best().is(&successor), is_added);
        });
    }

    #[test]
    fn driver_of_another_name_comes_and_goes_unhindered() {
        loom::model(|| {
            let (model, device, other) = (Model::new(), driver(DEVICE), driver(OTHER));
            model.drivers.add(&device).unwrap();
            let adding = model.adding(&other);
            model.drivers.remove(&device);
            adding.join().unwrap().unwrap();
            assert_eq!((model.count("x-dev"), model.count("x-dev1")), (0, 1));
        });
    }

    #[test]
    fn linked_driver_or_its_shadow_is_there_at_any_time() {
        loom::model(|| {
            let (model, shadow) = (Model::new(), driver(LINKED));
            model.drivers.add(&shadow).unwrap();
            let removing = model.removing(&shadow);
            assert_eq!(model.count("x-rs"), 1);
            removing.join().unwrap();
            assert_eq!(model.count("x-rs"), 1);
            assert!(!model.best().is(&shadow));
        });
    }

    fn driver(info: AlgInfo) -> AlgRef {
        let facts: Arc<dyn Algorithm> = Arc::new(Facts(info.clone()));
        AlgRef::new(info, ADDED, move || Ok(Arc::clone(&facts)), &Arc::default())
    }

    const LINKED: AlgInfo = AlgInfo::new("x", "x-rs");
    const DEVICE: AlgInfo = AlgInfo::new("x", "x-dev").with_priority(9);
    const OTHER: AlgInfo = AlgInfo::new("x", "x-dev1").with_priority(9);
}
