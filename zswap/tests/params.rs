//! Parameters that are set while the pool works, and what becomes of former compressors.

#![expect(clippy::unwrap_used, reason = "test helpers unwrap like tests")]

mod devices;
mod pages;
mod toys;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use acomp_algs as _;
use acomp_core::{AddGuard, Direction, OpenError, Params, Registry};
use rustix::thread::{CpuSet, sched_getcpu, sched_setaffinity};
use zswap::{
    Housekeeping, Load, LoadError, Owner, PAGE_BYTES, PARAMS, ParamError, Pool, Slot, StoreError,
    SwitchError,
};

use devices::Ram;
use pages::{filled, random, stamped, text};
use toys::{Toy, die};

#[test]
fn parameters_have_the_kernels_names_and_defaults() {
    let pool = Pool::builder(Registry::global()).compressor("lz4-page").build().unwrap();
    let expected = [
        ("enabled", "Y"),
        ("compressor", "lz4"),
        ("max_pool_percent", "20"),
        ("accept_threshold_percent", "90"),
        ("shrinker_enabled", "N"),
    ];
    assert_eq!(pool.params().map(|(name, value)| (name, value)), expected.map(owned));
    for (info, (name, value)) in PARAMS.into_iter().zip(expected) {
        assert_eq!(info.name, name);
        assert!(!info.meaning.is_empty());
        assert!(name == "compressor" || info.default == value, "{name}");
    }
}

#[test]
fn every_parameter_is_set_and_read_by_its_name() {
    let pool = Pool::builder(Registry::global()).compressor("lz4").build().unwrap();
    let cases = [
        ("enabled", "N", "N"),
        ("enabled", "1", "Y"),
        ("enabled", "off", "N"),
        ("enabled", " y\n", "Y"),
        ("enabled", "0", "N"),
        ("enabled", "on", "Y"),
        ("enabled", "n", "N"),
        ("shrinker_enabled", "Y", "Y"),
        ("shrinker_enabled", "n\n", "N"),
        ("max_pool_percent", "0", "0"),
        ("max_pool_percent", "100\n", "100"),
        ("accept_threshold_percent", " 7 ", "7"),
        ("accept_threshold_percent", "100", "100"),
        ("compressor", "zstd\n", "zstd"),
        ("compressor", " lz4 ", "lz4"),
    ];
    for (name, value, shown) in cases {
        pool.set(name, value).unwrap();
        assert_eq!(value_of(&pool, name), shown, "{name}={value:?}");
    }
}

#[test]
fn parameter_keeps_its_value_when_the_new_one_is_none() {
    let pool = Pool::builder(Registry::global()).compressor("lz4").build().unwrap();
    let before = pool.params();
    let cases = [
        ("enabled", ""),
        ("enabled", "2"),
        ("enabled", "maybe"),
        ("shrinker_enabled", "-1"),
        ("max_pool_percent", "101"),
        ("max_pool_percent", "-1"),
        ("max_pool_percent", ""),
        ("max_pool_percent", "2.5"),
        ("accept_threshold_percent", "256"),
        ("accept_threshold_percent", "many"),
    ];
    for (name, value) in cases {
        let error = pool.set(name, value).unwrap_err();
        let text = error.to_string();
        let ParamError::Invalid { name: of, value: given, .. } = error else { panic!("{text}") };
        assert_eq!((of, &*given), (name, value));
        assert!(text.contains(name), "{text}");
    }
    for name in ["nope", ""] {
        let error = pool.set("compressor", name).unwrap_err();
        assert!(matches!(error, ParamError::Compressor(SwitchError::Open(_))), "{error}");
    }
    for name in ["", "zpool", "Enabled", "max_pool_percent "] {
        let error = pool.set(name, "1").unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, ParamError::Unknown { .. }), "{text}");
        assert!(text.contains("accept_threshold_percent"), "it names those there are: {text}");
    }
    assert_eq!(pool.params(), before);
}

#[test]
fn disabled_pool_stores_nothing_and_gives_back_what_it_has() {
    let pool = Toy::new().pool();
    pool.store(Slot(0), &[stamped(0), stamped(1), filled(0)], Owner::ROOT).unwrap();
    pool.set("enabled", "N").unwrap();
    assert_eq!(pool.store(Slot(1), &[stamped(9)], Owner::ROOT), Err(StoreError::Disabled));
    assert_eq!(load(&pool, 1), None, "it would be stale");
    assert_eq!(load(&pool, 0), Some(stamped(0)));
    assert_eq!(load(&pool, 2), Some(filled(0)));
    assert_eq!(pool.counters().zswpout, 2);
    pool.set("enabled", "Y").unwrap();
    pool.store(Slot(1), &[stamped(9)], Owner::ROOT).unwrap();
    assert_eq!(load(&pool, 1), Some(stamped(9)));
}

#[test]
fn limit_follows_its_percentage_at_once() {
    let pool = Toy::new().pool_with(|builder| builder.total_bytes(64 << 20));
    pool.store(Slot(0), &[random(0)], Owner::ROOT).unwrap();
    pool.set("max_pool_percent", "0").unwrap();
    assert_eq!(pool.store(Slot(1), &[filled(0)], Owner::ROOT), Err(StoreError::PoolLimit));
    assert_eq!(pool.counters().pool_limit_hit, 1);
    pool.set("max_pool_percent", "100").unwrap();
    assert_eq!(pool.store(Slot(1), &[random(1)], Owner::ROOT), Ok(()));
    assert_eq!(load(&pool, 0), Some(random(0)));
}

#[test]
fn switch_keeps_old_pages_as_they_are_and_closes_the_former_after_the_last() {
    let toys = Toys::new(["a", "b"]);
    let pool = toys.pool("a");
    pool.store(Slot(0), &[stamped(0), stamped(1), random(2)], Owner::ROOT).unwrap();
    assert_eq!(toys.counts("a"), (true, 2 + 1, 0));
    pool.set("compressor", "b").unwrap();
    assert_eq!(value_of(&pool, "compressor"), "b");
    assert_eq!(pool.acomp().driver(), "b-rs");
    pool.store(Slot(3), &[stamped(3)], Owner::ROOT).unwrap();
    pool.maintain().unwrap();
    assert_eq!(toys.counts("a"), (true, 3, 0), "open, nothing compressed or decompressed anew");
    assert_eq!(toys.counts("b"), (true, 1, 0));

    // One range with pages of both.
    let mut back = [filled(9); 4];
    let loaded = pool.load_range(Slot(0), &mut back, Load::Shared).unwrap();
    assert!(back == [stamped(0), stamped(1), random(2), stamped(3)]);
    assert_eq!((loaded.decompressed, loaded.incompressible), (3, 1));
    assert_eq!((toys.counts("a").2, toys.counts("b").2), (2, 1), "each by its own");

    pool.invalidate(Slot(0));
    pool.maintain().unwrap();
    assert!(toys.counts("a").0, "a page of it is left");
    pool.load(Slot(1), &mut back[0], Load::Exclusive).unwrap();
    assert!(back[0] == stamped(1));
    pool.maintain().unwrap();
    assert!(!toys.counts("a").0, "the raw page needs no compressor");
    assert_eq!(load(&pool, 2), Some(random(2)));
    assert_eq!(load(&pool, 3), Some(stamped(3)));
    drop(pool);
    assert!(!toys.counts("b").0);
}

#[test]
fn switch_to_what_compresses_already_changes_nothing() {
    let toys = Toys::new(["a", "b"]);
    let pool = toys.pool("a");
    pool.set("compressor", "a").unwrap();
    pool.set("compressor", "a-rs").unwrap();
    pool.store(Slot(0), &[stamped(0)], Owner::ROOT).unwrap();
    assert_eq!(toys.counts("a"), (true, 1, 0));
    // The same holds for the parameters that it was built with.
    let level = Params::new().with_level(9);
    let builder = Pool::builder(Registry::global()).compressor("zstd").params(level.clone());
    let pool = builder.build().unwrap();
    pool.set("compressor", "zstd").unwrap();
    assert_eq!(*pool.acomp().params(), level);
}

#[test]
fn switch_to_an_unknown_name_keeps_the_compressor_and_the_pages() {
    let toys = Toys::new(["a"]);
    let pool = toys.pool("a");
    pool.store(Slot(0), &[stamped(0)], Owner::ROOT).unwrap();
    assert!(pool.set("compressor", "b").is_err());
    pool.store(Slot(1), &[stamped(1)], Owner::ROOT).unwrap();
    assert_eq!(toys.counts("a"), (true, 2, 0));
    assert_eq!((load(&pool, 0), load(&pool, 1)), (Some(stamped(0)), Some(stamped(1))));
}

#[test]
fn switch_back_takes_the_former_compressor_up_again() {
    let toys = Toys::new(["a", "b"]);
    let pool = toys.pool("a");
    pool.store(Slot(0), &[stamped(0)], Owner::ROOT).unwrap();
    pool.set("compressor", "b").unwrap();
    pool.store(Slot(1), &[stamped(1)], Owner::ROOT).unwrap();
    pool.set("compressor", "a").unwrap();
    pool.store(Slot(2), &[stamped(2)], Owner::ROOT).unwrap();
    assert!(toys.counts("a").0 && toys.counts("b").0);
    pool.invalidate(Slot(1));
    pool.invalidate(Slot(0));
    pool.maintain().unwrap();
    assert!(toys.counts("a").0 && !toys.counts("b").0);
    assert_eq!(load(&pool, 2), Some(stamped(2)));
}

#[test]
fn pages_of_eight_compressors_are_enough() {
    let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i"];
    let toys = Toys::new(names);
    let pool = toys.pool("a");
    for (slot, name) in (0..8).zip(names) {
        pool.set("compressor", name).unwrap();
        pool.store(Slot(slot), &[stamped(slot)], Owner::ROOT).unwrap();
    }
    let error = pool.set("compressor", "i").unwrap_err();
    assert!(matches!(error, ParamError::Compressor(SwitchError::TooMany)), "{error}");
    assert_eq!(value_of(&pool, "compressor"), "h");
    pool.set("compressor", "c").unwrap();
    let mut back = [filled(0); 8];
    pool.load_range(Slot(0), &mut back, Load::Shared).unwrap();
    assert!(back.iter().zip(0..).all(|(page, n)| *page == stamped(n)), "eight in one range");

    // A place is free as soon as the last page of one is gone.
    pool.invalidate(Slot(4));
    pool.set("compressor", "i").unwrap();
    assert!(!toys.counts("e").0);
    pool.store(Slot(4), &[stamped(40)], Owner::ROOT).unwrap();
    assert_eq!(toys.counts("i").1, 1);
    assert_eq!(load(&pool, 4), Some(stamped(40)));
    assert_eq!(load(&pool, 7), Some(stamped(7)));
}

#[test]
fn any_number_of_switches_without_pages_is_no_matter() {
    let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
    let toys = Toys::new(names);
    let pool = toys.pool("a");
    for round in 0..5 {
        for name in names {
            pool.set("compressor", name).unwrap();
            assert_eq!(value_of(&pool, "compressor"), name, "round {round}");
        }
    }
}

#[test]
fn written_back_pages_need_no_compressor() {
    let toys = Toys::new(["a", "b"]);
    let ram = Arc::new(Ram::new(8));
    let pool = Pool::builder(&toys.registry).compressor("a").device(ram).build().unwrap();
    pool.store(Slot(0), &[stamped(0)], Owner::ROOT).unwrap();
    pool.set("compressor", "b").unwrap();
    pool.shrink(Owner::ROOT, 1);
    assert_eq!(pool.shrink(Owner::ROOT, 1).written, 1);
    pool.maintain().unwrap();
    assert!(!toys.counts("a").0);
    assert_eq!(load(&pool, 0), Some(stamped(0)));
}

#[test]
fn switch_among_real_compressors_under_load_loses_nothing() {
    let names = ["lz4", "zstd", "deflate", "null", "lz4hc"];
    let pool = Pool::builder(Registry::global()).compressor("lz4").build().unwrap();
    for round in 0..40 {
        pool.set("compressor", names[round as usize % 5]).unwrap();
        let folio: Vec<_> = (0..10).map(|n| text(100 * round + n)).collect();
        pool.store(Slot(7 * round), &folio, Owner::ROOT).unwrap();
        pool.maintain().unwrap();
    }
    for round in 0..40 {
        let pages = if round == 39 { 10 } else { 7 };
        for n in 0..pages {
            assert_eq!(load(&pool, 7 * round + n), Some(text(100 * round + n)), "round {round}");
        }
    }
}

/// Without memory to be had in stores, sessions are opened by maintenance.
#[test]
fn switch_of_a_pool_that_is_maintained_apart() {
    let toys = Toys::new(["a", "b"]);
    let builder = Pool::builder(&toys.registry).compressor("a");
    let pool = builder.housekeeping(Housekeeping::Apart).build().unwrap();
    pool.store(Slot(0), &[stamped(0)], Owner::ROOT).unwrap();
    pool.set("compressor", "b").unwrap();
    pool.store(Slot(1), &[stamped(1)], Owner::ROOT).unwrap();
    assert_eq!(toys.counts("b").1, 1, "it compresses at once");
    assert_eq!(pool.counters().reject_compress_fail, 0);
    pool.maintain().unwrap();
    assert_eq!((load(&pool, 0), load(&pool, 1)), (Some(stamped(0)), Some(stamped(1))));
}

#[test]
fn former_compressor_that_died_is_opened_again_by_maintenance() {
    let registry = Registry::from_entries([]);
    let is_deadly = Arc::new(AtomicBool::new(false));
    let deadly = Arc::clone(&is_deadly);
    let dies = move |direction, _: &[u8]| {
        if direction == Direction::Decompress && deadly.swap(false, Relaxed) { die() } else { None }
    };
    let _a = registry.add(Arc::new(Toy::new().named("a").on_op(dies))).unwrap();
    let _b = registry.add(Arc::new(Toy::new().named("b"))).unwrap();
    for housekeeping in [Housekeeping::Inline, Housekeeping::Apart] {
        let builder = Pool::builder(&registry).compressor("a").housekeeping(housekeeping);
        let pool = builder.build().unwrap();
        pool.store(Slot(0), &[stamped(0)], Owner::ROOT).unwrap();
        pool.set("compressor", "b").unwrap();
        is_deadly.store(true, Relaxed);
        let failed = pool.load(Slot(0), &mut filled(0), Load::Exclusive);
        assert!(matches!(failed, Err(LoadError::Decompress { .. })), "{failed:?}");
        pool.maintain().unwrap();
        assert_eq!(load(&pool, 0), Some(stamped(0)), "{housekeeping:?}");
    }
}

/// A store opens a session, and meanwhile the compressor is another one, and the former closed.
#[test]
fn store_follows_a_switch_that_overtakes_it() {
    let registry = Registry::from_entries([]);
    let pool: Arc<OnceLock<Pool>> = Arc::default();
    let its_pool = Arc::clone(&pool);
    let (is_deadly, is_armed) =
        (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (deadly, armed) = (Arc::clone(&is_deadly), Arc::clone(&is_armed));
    let a = Toy::new()
        .named("a")
        .on_op(move |_, _| if deadly.swap(false, Relaxed) { die() } else { None })
        .on_open(move || {
            if armed.swap(false, Relaxed) {
                let pool = its_pool.get().unwrap();
                pool.set("compressor", "b").unwrap();
                pool.maintain().unwrap();
            }
            Ok(())
        });
    let _a = registry.add(Arc::new(a)).unwrap();
    let _b = registry.add(Arc::new(Toy::new().named("b"))).unwrap();
    let pool = pool.get_or_init(|| Pool::builder(&registry).compressor("a").build().unwrap());
    pool.set_owner_writeback(Owner::new(1), false);
    is_deadly.store(true, Relaxed);
    pool.store(Slot(0), &[stamped(0)], Owner::ROOT).unwrap();
    assert_eq!(pool.counters().reject_compress_fail, 1);
    is_armed.store(true, Relaxed);
    assert_eq!(pool.store(Slot(1), &[stamped(1)], Owner::new(1)), Ok(()));
    assert!(!is_armed.load(Relaxed));
    assert_eq!(pool.counters().reject_compress_fail, 1, "`b` does it");
    assert_eq!((load(pool, 0), load(pool, 1)), (Some(stamped(0)), Some(stamped(1))));
}

/// A page goes while it is loaded, and its compressor with it: what takes the number of that must
/// not get the page.
#[test]
fn page_is_decompressed_by_no_compressor_but_its_own() {
    for is_replaced in [true, false] {
        let toys = Toys::new(["a", "b"]);
        let registry = toys.registry.clone();
        let liar = Toy::new().named("liar").on_op(|direction, _| match direction {
            Direction::Compress => None,
            Direction::Decompress => Some(Ok(PAGE_BYTES)),
        });
        let _guard = registry.add(Arc::new(liar)).unwrap();
        let pool: Arc<OnceLock<Pool>> = Arc::default();
        let its_pool = Arc::clone(&pool);
        let is_first = AtomicBool::new(true);
        let ram = Ram::new(8).on_read(move |_| {
            if is_first.swap(false, Relaxed) {
                let pool = its_pool.get()?;
                match is_replaced {
                    true => pool.store(Slot(1), &[stamped(11)], Owner::ROOT).unwrap(),
                    false => pool.invalidate(Slot(1)),
                }
                pool.maintain().unwrap();
                pool.set("compressor", "liar").unwrap();
                pool.store(Slot(2), &[stamped(2)], Owner::ROOT).unwrap();
            }
            None
        });
        let built = Pool::builder(&registry).compressor("a").device(Arc::new(ram)).build();
        let pool = pool.get_or_init(|| built.unwrap());
        pool.store(Slot(0), &[stamped(0)], Owner::ROOT).unwrap();
        pool.shrink(Owner::ROOT, 1);
        assert_eq!(pool.shrink(Owner::ROOT, 1).written, 1);
        pool.store(Slot(1), &[stamped(1)], Owner::ROOT).unwrap();
        pool.set("compressor", "b").unwrap();
        let mut back = [filled(5); 2];
        let loaded = pool.load_range(Slot(0), &mut back, Load::Shared);
        match is_replaced {
            true => assert!(loaded.is_ok() && back == [stamped(0), stamped(11)], "{loaded:?}"),
            false => assert_eq!(loaded, Err(LoadError::NotFound { slot: Slot(1) })),
        }
        assert_eq!(pool.counters().decompress_fail, 0);
    }
}

/// Toys that count what they do.
#[test]
fn compressor_of_which_no_session_opens_leaves_the_old_one() {
    for how in [Housekeeping::Inline, Housekeeping::Apart] {
        let is_broken = Arc::new(AtomicBool::new(false));
        let broken = Arc::clone(&is_broken);
        let open = move || match broken.load(Relaxed) {
            true => Err(OpenError::Device("no queue".into())),
            false => Ok(()),
        };
        let registry = Registry::from_entries([]);
        let _good = registry.add(Arc::new(Toy::new().named("good"))).unwrap();
        let _bad = registry.add(Arc::new(Toy::new().named("bad").on_open(open))).unwrap();
        let builder = Pool::builder(&registry).compressor("good").housekeeping(how);
        let pool = builder.build().unwrap();
        is_broken.store(true, Relaxed);
        assert!(pool.set("compressor", "bad").is_err());
        pool.store(Slot(0), &[stamped(1)], Owner::ROOT).unwrap();
        assert_eq!((pool.acomp().name(), pool.counters().reject_compress_fail), ("good", 0));
        is_broken.store(false, Relaxed);
        pool.set("compressor", "bad").unwrap();
        assert_eq!(pool.acomp().name(), "bad");
    }
}

#[test]
fn values_are_read_as_the_kernel_reads_them() {
    let pool = Toy::new().pool();
    for (value, on) in
        [("ON", "Y"), ("off", "N"), ("true", "Y"), ("No", "N"), ("1", "Y"), ("f", "N")]
    {
        pool.set("enabled", value).unwrap();
        assert_eq!(value_of(&pool, "enabled"), on, "{value}");
    }
    for (value, percent) in [("0x14", "20"), ("024", "20"), ("0", "0"), ("100", "100")] {
        pool.set("max_pool_percent", value).unwrap();
        assert_eq!(value_of(&pool, "max_pool_percent"), percent, "{value}");
    }
    for (name, value) in [("enabled", "ok"), ("enabled", ""), ("max_pool_percent", "0x65")] {
        assert!(pool.set(name, value).is_err(), "{value}");
    }
}

struct Toys {
    registry: Registry,
    toys: Vec<(String, Arc<Counts>, AddGuard)>,
}

#[derive(Default)]
struct Counts {
    open: AtomicUsize,
    compressed: AtomicUsize,
    decompressed: AtomicUsize,
}

impl Toys {
    /// This thread stays on its CPU from here on: another one would open sessions of its own.
    fn new<const N: usize>(names: [&str; N]) -> Self {
        let mut here = CpuSet::new();
        here.set(sched_getcpu());
        sched_setaffinity(None, &here).unwrap();
        let registry = Registry::from_entries([]);
        let toys = names.map(|name| {
            let counts = Arc::new(Counts::default());
            let [opens, ops, drops] = [(); 3].map(|()| Arc::clone(&counts));
            let toy = Toy::new()
                .named(name)
                .on_open(move || {
                    opens.open.fetch_add(1, Relaxed);
                    Ok(())
                })
                .on_op(move |direction, _| {
                    match direction {
                        Direction::Compress => ops.compressed.fetch_add(1, Relaxed),
                        Direction::Decompress => ops.decompressed.fetch_add(1, Relaxed),
                    };
                    None
                })
                .on_drop(move || {
                    drops.open.fetch_sub(1, Relaxed);
                });
            (name.to_owned(), counts, registry.add(Arc::new(toy)).unwrap())
        });
        Self { registry, toys: toys.into() }
    }

    fn pool(&self, name: &str) -> Pool {
        Pool::builder(&self.registry).compressor(name).build().unwrap()
    }

    /// Whether a toy is open, how many pages it has compressed, and decompressed.
    fn counts(&self, name: &str) -> (bool, usize, usize) {
        let (_, counts, _) = self.toys.iter().find(|toy| toy.0 == name).unwrap();
        let Counts { open, compressed, decompressed } = &**counts;
        (open.load(Relaxed) > 0, compressed.load(Relaxed), decompressed.load(Relaxed))
    }
}

fn owned<'n>((name, value): (&'n str, &str)) -> (&'n str, String) {
    (name, value.to_owned())
}

fn value_of(pool: &Pool, name: &str) -> String {
    pool.params().into_iter().find(|param| param.0 == name).unwrap().1
}

/// What is under a slot, if anything.
fn load(pool: &Pool, slot: u64) -> Option<zswap::Page> {
    let mut back = filled(0xBAD);
    match pool.load(Slot(slot), &mut back, Load::Shared) {
        Ok(_) => Some(back),
        Err(error) => {
            assert_eq!(error, LoadError::NotFound { slot: Slot(slot) });
            None
        }
    }
}
