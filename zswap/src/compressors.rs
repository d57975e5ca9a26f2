//! The compressors of a pool: the one that stores, and older ones until their last page is gone.

use std::mem;
use std::sync::atomic::Ordering::{Acquire, Release};

use acomp_core::{Acomp, OpenError, Params, Registry};

use crate::sync::{AtomicUsize, Mutex, lock};

/// Compressors are named by small numbers, which entries keep.
#[derive(Debug)]
pub(crate) struct Compressors {
    registry: Registry,
    current: AtomicUsize,
    slots: Mutex<Slots>,
    /// Counts the switches.
    switches: AtomicUsize,
    /// Count what each number stood for.
    uses: [AtomicUsize; COMPRESSORS_MAX],
}

#[derive(Debug)]
struct Slots {
    /// The one that stores, which is one of them.
    current: Acomp,
    /// As it was asked for.
    name: String,
    all: [Option<Acomp>; COMPRESSORS_MAX],
}

/// Why the compressor was not changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SwitchError {
    /// It cannot be had: the old one goes on.
    #[error("the compressor cannot be had")]
    Open(#[from] OpenError),
    /// No session of it can be opened: the old one goes on.
    #[error("no session of the compressor can be opened")]
    NoSession,
    /// Pages of too many former compressors are still stored.
    #[error("pages of {COMPRESSORS_MAX} compressors are stored: load or invalidate the oldest")]
    TooMany,
}

impl Compressors {
    pub(crate) fn new(registry: Registry, name: &str, params: Params) -> Result<Self, OpenError> {
        let first = Acomp::alloc_in(&registry, name, params)?;
        let mut all = [const { None }; COMPRESSORS_MAX];
        all[0] = Some(first.clone());
        Ok(Self {
            registry,
            current: AtomicUsize::new(0),
            switches: AtomicUsize::new(0),
            slots: Mutex::new(Slots { current: first, name: name.to_owned(), all }),
            uses: Default::default(),
        })
    }

    /// The number of the one that stores. Asked with the lock of a context held, so that who has
    /// held all of them knows that everybody has seen a change.
    #[inline]
    pub(crate) fn current(&self) -> usize {
        self.current.load(Acquire)
    }

    pub(crate) fn current_acomp(&self) -> Acomp {
        lock(&self.slots).current.clone()
    }

    pub(crate) fn get(&self, number: usize) -> Option<Acomp> {
        lock(&self.slots).all.get(number)?.clone()
    }

    /// How often another one became the one that stores. Who finds this unchanged knows that the
    /// one he asked for has not been closed.
    pub(crate) fn switches(&self) -> usize {
        self.switches.load(Acquire)
    }

    /// Tells one compressor of a number from the next.
    pub(crate) fn uses(&self, number: usize) -> usize {
        self.uses.get(number).map_or(0, |uses| uses.load(Acquire))
    }

    /// A number for `name`; that of one that is still there under the same name. `None`: it is the
    /// one that stores.
    pub(crate) fn admit(&self, name: &str, params: Params) -> Result<Option<usize>, SwitchError> {
        if lock(&self.slots).name == name {
            return Ok(None);
        }
        // Outside the lock: it allocates, and may run a self-test.
        let new = Acomp::alloc_in(&self.registry, name, params)?;
        let mut slots = lock(&self.slots);
        let is_new = |old: &Option<Acomp>| {
            old.as_ref()
                .is_some_and(|old| old.driver() == new.driver() && old.params() == new.params())
        };
        let number = match slots.all.iter().position(is_new) {
            Some(number) => number,
            None => slots.all.iter().position(Option::is_none).ok_or(SwitchError::TooMany)?,
        };
        let gone = slots.all.get_mut(number).and_then(|place| place.replace(new));
        drop(slots);
        drop(gone); // Outside the lock: this may run the driver's code.
        Ok(Some(number))
    }

    /// Makes the one that was admitted the one that stores.
    pub(crate) fn make_current(&self, number: usize, name: &str) {
        let mut slots = lock(&self.slots);
        let Some(new) = slots.all.get(number).cloned().flatten() else { return };
        let former = mem::replace(&mut slots.current, new);
        name.clone_into(&mut slots.name);
        self.current.store(number, Release);
        self.switches.fetch_add(1, Release);
        drop(slots);
        drop(former); // Outside the lock: this may run the driver's code.
    }

    /// Former compressors.
    pub(crate) fn former(&self) -> impl Iterator<Item = usize> {
        let slots = lock(&self.slots);
        let used: [bool; COMPRESSORS_MAX] =
            std::array::from_fn(|number| slots.all[number].is_some());
        drop(slots);
        let current = self.current();
        (0..COMPRESSORS_MAX).filter(move |number| used[*number] && *number != current)
    }

    /// Forgets one, unless it has become the one that stores again, or `is_used`. Then `close` gets
    /// rid of what others have of it, before the number stands for another.
    pub(crate) fn forget<T>(
        &self,
        number: usize,
        is_used: impl FnOnce() -> bool,
        close: impl FnOnce() -> T,
    ) {
        let mut slots = lock(&self.slots);
        if self.current() == number || is_used() {
            return;
        }
        if let Some(uses) = self.uses.get(number) {
            uses.fetch_add(1, Release);
        }
        let closed = close();
        let gone = slots.all.get_mut(number).and_then(Option::take);
        drop(slots);
        drop((gone, closed)); // Outside the lock: this runs the driver's code.
    }
}

/// Compressors whose pages a pool can have at a time.
pub(crate) const COMPRESSORS_MAX: usize = 8;
