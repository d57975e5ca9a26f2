//! What a registry finds, in which order, and what it says when it does not.

mod toys;

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Barrier};
use std::thread;

use acomp_algs as _;
use acomp_core::{
    Acomp, AddError, AlgInfo, AlgRef, Algorithm, Codec, Kind, OpenError, Params, Registration,
    Registry,
};

use toys::{TOY, Toy, absent, die};

/// A registration as a driver's crate would submit it; it copies unless `make` is given.
macro_rules! linked {
    ($info:expr, $origin:literal) => {
        linked!($info, $origin, |info| Ok(Toy::copying(info)))
    };
    ($info:expr, $origin:literal, |$i:ident| $make:expr) => {{
        static INFO: AlgInfo = $info;
        static ENTRY: Registration = Registration::new(
            &INFO,
            || {
                let $i = INFO.clone();
                $make
            },
            $origin,
        );
        &ENTRY
    }};
}

#[test]
fn exact_driver_name_wins_whatever_its_priority() {
    let registry = Registry::from_entries([
        linked!(AlgInfo::new("x", "x-slow").with_priority(1), "slow"),
        linked!(AlgInfo::new("x", "x-fast").with_priority(100), "fast"),
    ]);
    assert_eq!(drivers(registry.candidates("x-slow").unwrap()), ["x-slow"]);
    assert_eq!(registry.find("x-slow").unwrap().info().driver, "x-slow");
    assert_eq!(registry.find("x").unwrap().info().driver, "x-fast");
}

#[test]
fn best_priority_comes_first_and_ties_by_driver_name_in_any_entry_order() {
    let mut entries = [
        linked!(AlgInfo::new("x", "x-c").with_priority(7), "c"),
        linked!(AlgInfo::new("x", "x-a").with_priority(7), "a"),
        linked!(AlgInfo::new("x", "x-best").with_priority(8), "best"),
        linked!(AlgInfo::new("a", "z-other").with_priority(1), "other"),
        linked!(AlgInfo::new("x", "x-b").with_priority(7), "b"),
    ];
    let mut rng = fastrand::Rng::with_seed(1);
    for _ in 0..ROUNDS {
        rng.shuffle(&mut entries);
        let registry = Registry::from_entries(entries);
        let found = registry.candidates("x").unwrap();
        assert_eq!(drivers(found), ["x-best", "x-a", "x-b", "x-c"], "{entries:?}");
        let all = drivers(registry.iter());
        assert_eq!(all, ["z-other", "x-best", "x-a", "x-b", "x-c"], "{entries:?}");
    }
}

#[test]
fn two_linked_drivers_of_one_name_are_reported_at_lookup_with_both_origins() {
    let registry = Registry::from_entries([
        linked!(AlgInfo::new("x", "x-twin").with_priority(1), "crate_one"),
        linked!(AlgInfo::new("x", "x-twin").with_priority(2), "crate_two"),
        linked!(AlgInfo::new("y", "y-sound"), "crate_three"),
    ]);
    for name in ["x", "x-twin"] {
        let error = registry.find(name).unwrap_err();
        let text = error.to_string();
        let OpenError::Duplicate { driver, mut origins } = error else { panic!("{error}") };
        origins.sort();
        assert_eq!((&*driver, &*origins[0], &*origins[1]), ("x-twin", "crate_one", "crate_two"));
        assert!(text.contains("crate_one") && text.contains("crate_two"), "{text}");
        assert!(matches!(registry.candidates(name), Err(OpenError::Duplicate { .. })));
        let alloc = Acomp::alloc_in(&registry, name, Params::new());
        assert!(matches!(alloc, Err(OpenError::Duplicate { .. })));
    }
    assert_eq!(registry.find("y").unwrap().info().driver, "y-sound");
}

#[test]
fn driver_name_that_is_another_drivers_generic_name_is_a_duplicate() {
    let registry = Registry::from_entries([
        linked!(AlgInfo::new("x", "y"), "claims_y"),
        linked!(AlgInfo::new("y", "y-rs"), "is_y"),
        linked!(AlgInfo::new("z", "z-rs"), "sound"),
    ]);
    for name in ["x", "y", "y-rs"] {
        let error = registry.find(name).unwrap_err();
        let OpenError::Duplicate { driver, mut origins } = error else { panic!("{error}") };
        origins.sort();
        assert_eq!((&*driver, &*origins[0], &*origins[1]), ("y", "claims_y", "is_y"));
    }
    assert_eq!(registry.find("z").unwrap().info().driver, "z-rs");
}

#[test]
fn unknown_name_is_answered_with_the_known_ones() {
    let registry = Registry::from_entries([
        linked!(AlgInfo::new("x", "x-b"), "b"),
        linked!(AlgInfo::new("x", "x-a"), "a"),
    ]);
    let error = registry.find("nope").unwrap_err();
    let text = error.to_string();
    let OpenError::NotFound { name, known } = error else { panic!("{error}") };
    assert_eq!((&*name, &*known), ("nope", &["x".into(), "x-a".into(), "x-b".into()][..]));
    assert!(text.contains("`nope`") && text.contains("x, x-a, x-b"), "{text}");
}

#[test]
fn empty_registry_asks_whether_the_crate_is_linked() {
    let error = Registry::from_entries([]).find("lz4").unwrap_err();
    assert!(matches!(&error, OpenError::NotFound { known, .. } if known.is_empty()));
    assert!(error.to_string().contains("is its crate linked?"), "{error}");
}

#[test]
fn driver_is_made_once_at_its_first_lookup_by_many_threads() {
    static MADE: AtomicUsize = AtomicUsize::new(0);
    let registry = Registry::from_entries([linked!(AlgInfo::new("x", "x-rs"), "x", |info| {
        MADE.fetch_add(1, Relaxed);
        Ok(Toy::copying(info))
    })]);
    assert_eq!(registry.iter().count(), 1);
    assert!(registry.find("nope").is_err());
    assert_eq!(MADE.load(Relaxed), 0, "nobody looked it up yet");

    let start = Barrier::new(THREADS);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                start.wait();
                assert_eq!(registry.find("x").unwrap().info().driver, "x-rs");
            });
        }
    });
    assert_eq!(MADE.load(Relaxed), 1);
}

#[test]
fn driver_that_could_not_be_made_is_tried_again() {
    static TRIES: AtomicUsize = AtomicUsize::new(0);
    let registry = Registry::from_entries([linked!(AlgInfo::new("x", "x-rs"), "x", |info| {
        if TRIES.fetch_add(1, Relaxed) == 0 { Err(absent()) } else { Ok(Toy::copying(info)) }
    })]);
    let error = registry.find("x").unwrap_err();
    assert!(matches!(error, OpenError::Device(_)), "the only candidate's own error: {error}");
    assert!(registry.find("x").is_ok());
}

#[test]
fn driver_that_cannot_be_made_is_no_candidate() {
    let registry = Registry::from_entries([
        linked!(AlgInfo::new("x", "x-gone").with_priority(9), "gone", |_i| Err(absent())),
        linked!(AlgInfo::new("x", "x-rs"), "rs"),
    ]);
    assert_eq!(drivers(registry.candidates("x").unwrap()), ["x-rs"]);
    assert_eq!(drivers(registry.iter()), ["x-gone", "x-rs"]);
}

#[test]
fn panic_while_a_driver_is_made_is_an_error_that_names_it() {
    let registry = Registry::from_entries([linked!(AlgInfo::new("x", "x-rs"), "x", |_i| die())]);
    let alg = registry.iter().next().unwrap();
    let names_it = |error| matches!(error, OpenError::Panicked { driver } if &*driver == "x-rs");
    assert!(names_it(alg.algorithm().unwrap_err()));
    assert!(names_it(Acomp::alloc_in(&registry, "x", Params::new()).unwrap_err()));
}

#[test]
fn added_driver_is_found_until_its_guard_drops() {
    let registry = Registry::from_entries([]);
    let clone = registry.clone();
    let guard = registry.add(Toy::copying(TOY)).unwrap();
    assert_eq!(guard.alg().info(), &TOY);
    for registry in [&registry, &clone] {
        assert_eq!(drivers(registry.candidates("toy").unwrap()), ["toy-rs"]);
        assert_eq!(registry.find("toy-rs").unwrap().origin(), "run time");
    }
    drop(guard);
    assert!(matches!(registry.find("toy"), Err(OpenError::NotFound { .. })));
    assert_eq!(clone.iter().count(), 0);
    assert!(registry.add(Toy::copying(TOY)).is_ok(), "the name is free again");
}

#[test]
fn added_driver_shadows_a_linked_one_of_its_name_with_a_priority_of_its_own() {
    let registry = Registry::from_entries([
        linked!(AlgInfo::new("x", "x-dev").with_priority(100), "linked"),
        linked!(AlgInfo::new("x", "x-rs").with_priority(50), "other"),
    ]);
    let guard = registry.add(Toy::copying(AlgInfo::new("x", "x-dev").with_priority(10))).unwrap();
    assert_eq!(drivers(registry.candidates("x").unwrap()), ["x-rs", "x-dev"]);
    assert_eq!(registry.find("x-dev").unwrap().origin(), "run time");
    assert_eq!(registry.iter().count(), 2);
    drop(guard);
    assert_eq!(drivers(registry.candidates("x").unwrap()), ["x-dev", "x-rs"]);
    assert_eq!(registry.find("x-dev").unwrap().origin(), "linked");
}

#[test]
fn names_that_another_driver_claims_cannot_be_added() {
    let registry = Registry::from_entries([linked!(AlgInfo::new("x", "x-rs"), "linked")]);
    let added = registry.add(Toy::copying(AlgInfo::new("y", "y-dev"))).unwrap();
    let cases = [
        (AlgInfo::new("y", "y-dev"), "y-dev", "run time"), // A second one of this driver name.
        (AlgInfo::new("z", "y"), "y", "run time"),         // Driver name = generic name.
        (AlgInfo::new("z", "x"), "x", "linked"),
        (AlgInfo::new("y-dev", "z-dev"), "y-dev", "run time"), // Generic name = driver name.
        (AlgInfo::new("x-rs", "z-dev"), "x-rs", "linked"),
    ];
    for (info, claimed, by) in cases {
        let error = registry.add(Toy::copying(info.clone())).unwrap_err();
        let AddError::Duplicate { name, origin } = error else { panic!("{info:?}: {error}") };
        assert_eq!((&*name, &*origin), (claimed, by), "{info:?}");
    }
    assert_eq!(drivers(registry.iter()), ["x-rs", "y-dev"], "a refused driver leaves no trace");
    drop(added);
}

#[test]
fn names_with_other_characters_cannot_be_added() {
    let registry = Registry::from_entries([]);
    for bad in ["", "Upper", "two words", "x(y)", "x,y", "x=y", "ü", "x\n", "x/y"] {
        let infos =
            [TOY.with_names(bad.into(), "toy-rs".into()), TOY.with_names("toy".into(), bad.into())];
        for info in infos {
            let error = registry.add(Toy::copying(info)).unwrap_err();
            assert!(matches!(&error, AddError::InvalidName { name } if &**name == bad), "{error}");
        }
    }
    assert!(registry.add(Toy::copying(AlgInfo::new("az-09_.", "toy.rs_2-x"))).is_ok());
}

#[test]
fn transform_outlives_the_removal_of_its_driver() {
    let registry = Registry::from_entries([]);
    let guard = registry.add(Toy::copying(TOY)).unwrap();
    let acomp = Acomp::alloc_in(&registry, "toy", Params::new()).unwrap();
    let mut session = acomp.session().unwrap();
    drop(guard);
    drop(registry);

    let mut dst = [0; 4];
    assert_eq!(session.compress(b"page", &mut dst), Ok(4));
    assert_eq!(acomp.compress(b"page", &mut dst), Ok(4));
    assert!(acomp.session().is_ok());
    assert_eq!((acomp.driver(), acomp.alg().stats().compress.ok), ("toy-rs", 2));
}

#[test]
fn lookups_go_on_while_drivers_come_and_go() {
    let registry = Registry::from_entries([linked!(AlgInfo::new("x", "x-rs"), "linked")]);
    thread::scope(|scope| {
        for driver in ["x-dev0", "x-dev1"] {
            let registry = &registry;
            scope.spawn(move || {
                for _ in 0..ROUNDS {
                    let info = AlgInfo::new("x", driver).with_priority(300);
                    let guard = registry.add(Toy::copying(info)).unwrap();
                    assert!(registry.find(driver).is_ok());
                    drop(guard);
                    assert!(registry.find(driver).is_err());
                }
            });
            scope.spawn(move || {
                for _ in 0..ROUNDS {
                    let acomp = Acomp::alloc_in(registry, "x", Params::new()).unwrap();
                    assert_eq!(acomp.compress(b"page", &mut [0; 4]), Ok(4));
                }
            });
        }
    });
    assert_eq!(drivers(registry.iter()), ["x-rs"]);
}

#[test]
fn filters_are_adapters_on_the_facts() {
    let batch_size = 8.try_into().unwrap();
    let registry = Registry::from_entries([]);
    let _guards = [
        AlgInfo::new("x", "x-dev").with_kind(Kind::Offload).with_batch_size(batch_size),
        AlgInfo::new("x", "x-simd").with_batch_size(batch_size),
        AlgInfo::new("x", "x-rs"),
    ]
    .map(|info| registry.add(Toy::copying(info)).unwrap());
    let software = registry.iter().filter(|alg| alg.info().is_software());
    assert_eq!(drivers(software), ["x-rs", "x-simd"]);
    let batching = registry.iter().filter(|alg| alg.info().is_batching());
    assert_eq!(drivers(batching), ["x-dev", "x-simd"]);
}

#[test]
fn global_registry_holds_exactly_the_linked_drivers() {
    let names: Vec<_> = Registry::global()
        .iter()
        .map(|alg| format!("{} {}", alg.info().name, alg.info().driver))
        .collect();
    assert_eq!(
        names,
        [
            "842 842-page",
            "deflate deflate-page",
            "deflate deflate-page-fixed",
            "deflate deflate-flate2",
            "lz4 lz4-page",
            "lz4 lz4-flex",
            "lz4hc lz4hc-liblz4",
            "lzo lzo-page",
            "lzo-rle lzo-rle-page",
            "null null-copy",
            "zstd zstd-libzstd",
        ]
    );
}

fn drivers(algs: impl IntoIterator<Item = AlgRef>) -> Vec<String> {
    algs.into_iter().map(|alg| alg.info().driver.clone().into_owned()).collect()
}

const THREADS: usize = 8;
const ROUNDS: usize = 200;

#[test]
fn panic_while_a_driver_tells_its_facts_is_an_error() {
    #[derive(Debug)]
    struct Shy;
    impl Algorithm for Shy {
        fn info(&self) -> &AlgInfo {
            die()
        }
        fn open(&self, _: &Params) -> Result<Box<dyn Codec>, OpenError> {
            Err(absent())
        }
    }
    let added = Registry::from_entries([]).add(Arc::new(Shy));
    assert!(matches!(added, Err(AddError::Panicked)));
}
