//! Memory: none is asked for while pages are stored, loaded and forgotten, there is an answer when
//! there is none, little is needed beside the objects, and what is free goes back.

#![expect(clippy::unwrap_used, reason = "test helpers unwrap like tests")]

mod devices;
mod forbidden;
mod pages;
mod toys;

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Barrier, OnceLock};
use std::thread;

use acomp_algs as _;
use acomp_core::{AlgFlags, AlgRef, Registry};
use rustix::thread::{CpuSet, sched_setaffinity};
use zswap::{
    Builder, Housekeeping, Load, LoadError, Owner, Page, Pool, Revalidated, Slot, StoreError,
    Worker,
};

use devices::Ram;
use forbidden::without_allocating;
use pages::{filled, mixed, random, stamped};
use toys::Toy;

#[test]
fn pool_that_is_maintained_apart_allocates_nothing_on_any_cpu() {
    for name in names() {
        let pool = apart(&name, |builder| builder.device(Arc::new(Ram::new(4096))));
        // Threads that have never been there before, and CPUs.
        thread::scope(|scope| {
            for thread in 0..4 {
                let pool = &pool;
                scope.spawn(move || {
                    stay_on(thread);
                    let folio = mixed(thread, 200);
                    let mut back = vec![filled(0); 200];
                    without_allocating(|| {
                        let first = 1000 * thread;
                        pool.store(Slot(first), &folio, Owner::ROOT).unwrap();
                        pool.load_range(Slot(first), &mut back, Load::Shared).unwrap();
                        pool.load_range(Slot(first), &mut back[..9], Load::Duplicate).unwrap();
                        for (slot, page) in (first..).zip(&folio) {
                            let is_same = pool.revalidate(Slot(slot), page);
                            assert_eq!(is_same, Ok(Revalidated::Same));
                        }
                        assert!(pool.load(Slot(first), &mut back[0], Load::Exclusive).is_ok());
                        (first..first + 200).for_each(|slot| pool.invalidate(Slot(slot)));
                        assert!(pool.load(Slot(first), &mut back[0], Load::Shared).is_err());
                    });
                });
            }
        });
        let counters = pool.counters();
        assert_eq!((counters.reject_compress_fail, counters.object_bytes), (0, 0), "{name}");
    }
}

/// Maintenance has let other CPUs have their own sessions meanwhile.
#[test]
fn cpus_get_their_sessions_from_maintenance() {
    let opens = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counting = Arc::clone(&opens);
    let toy = Toy::new().on_open(move || {
        counting.fetch_add(1, Relaxed);
        Ok(())
    });
    let pool = toy.pool_with(|builder| builder.housekeeping(Housekeeping::Apart));
    let before = opens.load(Relaxed);
    let cpus = allowed_cpus();
    let use_it = |cpu: usize| {
        stay_on(cpu as u64);
        pool.store(Slot(cpu as u64), &[stamped(cpu as u64)], Owner::ROOT).unwrap();
        let mut back = filled(0);
        pool.load(Slot(cpu as u64), &mut back, Load::Shared).unwrap();
        assert!(back == stamped(cpu as u64));
    };
    thread::scope(|scope| {
        for cpu in 0..cpus {
            scope.spawn(move || use_it(cpu)).join().unwrap();
        }
    });
    assert_eq!(opens.load(Relaxed), before, "nobody opens one while it stores");
    pool.maintain().unwrap();
    assert_eq!(opens.load(Relaxed) - before, cpus - 1);
    pool.maintain().unwrap();
    thread::scope(|scope| {
        for cpu in 0..cpus {
            scope.spawn(move || use_it(cpu)).join().unwrap();
        }
    });
    pool.maintain().unwrap();
    assert_eq!(opens.load(Relaxed) - before, cpus - 1, "each has its own now");
}

/// Whatever threads store at the same time, and although the pool learns of pages meanwhile.
#[test]
fn limit_of_all_memory_is_held_exactly() {
    const TOTAL_BYTES: u64 = 8 << 20;
    let builder = Pool::builder(Registry::global()).compressor("lz4");
    let pool = builder.total_bytes(TOTAL_BYTES).limit_metadata().build().unwrap();
    pool.set("max_pool_percent", "100").unwrap();
    thread::scope(|scope| {
        for thread in 0..4 {
            let pool = &pool;
            scope.spawn(move || {
                let pages = (0..4096).map(|at| 10_000 * thread + at);
                let refused = |at| pool.store(Slot(at), &[random(at)], Owner::ROOT).is_err();
                assert!(pages.clone().any(refused), "16 MiB do not fit");
            });
        }
    });
    let held = pool.counters().pool_total_size;
    assert!(held + pool.metadata_bytes() as u64 <= TOTAL_BYTES, "{held}");
    assert!(held > TOTAL_BYTES / 2, "{held}");
}

#[test]
fn empty_reserve_is_an_error_that_is_counted_and_mended_by_maintenance() {
    let pool = apart("lz4", |builder| builder.reserve_bytes(1).total_bytes(1 << 30));
    let mut next = 0;
    for round in 0..5 {
        let before = pool.counters();
        without_allocating(|| {
            let stored = |n: u64| pool.store(Slot(n), &[page(n)], Owner::ROOT);
            let failed = (next..next + 100_000).find_map(|n| Some((n, stored(n).err()?)));
            let (n, error) = failed.unwrap();
            assert_eq!(error, StoreError::NoMemory, "round {round}");
            next = n;
        });
        let counters = pool.counters();
        let count = |c: &zswap::Counters| c.reject_alloc_fail + c.reject_kmemcache_fail;
        assert_eq!(count(&counters), count(&before) + 1);
        assert_eq!(counters.pool_limit_hit, 0);
        assert!(pool.is_wanting());
        pool.maintain().unwrap();
        assert!(!pool.is_wanting());
        assert_eq!(pool.store(Slot(next), &[page(next)], Owner::ROOT), Ok(()));
        next += 1;
    }
    for n in 0..next {
        let mut back = filled(0);
        pool.load(Slot(n), &mut back, Load::Exclusive).unwrap();
        assert!(back == page(n), "page {n}");
    }
}

#[test]
fn entries_run_out_and_come_back_too() {
    let pool = apart("lz4", |builder| builder);
    let mut failures = 0;
    // Pages that need nothing but an entry and a place.
    for n in 0..60_000 {
        while pool.store(Slot(n), &[filled(n + 1)], Owner::ROOT).is_err() {
            failures += 1;
            pool.maintain().unwrap();
        }
    }
    assert!((1..10).contains(&failures), "{failures} failures");
    assert_eq!(pool.counters().same_filled_pages, 60_000);
    let mut back = filled(0);
    for n in 0..60_000 {
        pool.load(Slot(n), &mut back, Load::Exclusive).unwrap();
        assert!(back == filled(n + 1));
    }
}

#[test]
fn inline_housekeeping_needs_no_maintenance() {
    let builder = Pool::builder(Registry::global()).compressor("lz4");
    let pool = builder.reserve_bytes(1).total_bytes(1 << 30).build().unwrap();
    pool.set("max_pool_percent", "100").unwrap();
    for n in 0..5000 {
        pool.store(Slot(999 * n), &[page(n)], Owner::ROOT).unwrap();
    }
    let mut back = filled(0);
    for n in 0..5000 {
        pool.load(Slot(999 * n), &mut back, Load::Shared).unwrap();
        assert!(back == page(n), "page {n}");
    }
}

#[test]
fn smallest_reserve_has_room_for_pages_that_share_nothing() {
    let pool = Toy::new().pool_with(|builder| builder.reserve_bytes(0).total_bytes(64 << 20));
    // Each page begins a zspage of its own: one that holds so many of its size.
    let of_size = |objects: usize| {
        let mut page = filled(0);
        page[..60_000 / objects].fill(7);
        page
    };
    for first in (16..56).step_by(8) {
        let folio: Vec<_> = (first..first + 8).map(of_size).collect();
        assert_eq!(pool.store(Slot(first as u64), &folio, Owner::ROOT), Ok(()), "{first}");
    }
}

#[test]
fn worker_keeps_a_pool_going_and_under_its_limit() {
    let ram = Arc::new(Ram::new(1 << 16));
    let builder = |builder: Builder| builder.total_bytes(32 << 20).device(ram);
    let pool = Arc::new(apart("lz4", builder));
    pool.set("max_pool_percent", "50").unwrap();
    let worker = Worker::start(&pool).unwrap();
    for n in 0..10_000 {
        let mut tries = 0_u64;
        while let Err(error) = pool.store(Slot(n), &[random(n)], Owner::ROOT) {
            assert!(matches!(error, StoreError::PoolLimit | StoreError::NoMemory), "{error}");
            tries += 1;
            assert!(tries < 10_000_000, "page {n}: {error}");
            thread::yield_now();
        }
    }
    let counters = pool.counters();
    assert!(counters.zswpwb > 0 && counters.pool_total_size <= 17 << 20);
    assert_eq!(counters.stored_pages + counters.device_pages, 10_000);
    drop(worker);
    let mut back = filled(0);
    for n in 0..10_000 {
        pool.load(Slot(n), &mut back, Load::Exclusive).unwrap();
        assert!(back == random(n), "page {n}");
    }
    let empty = pool.counters();
    assert_eq!((empty.stored_pages, empty.device_pages, empty.object_bytes), (0, 0, 0));
    assert_eq!(Arc::strong_count(&pool), 1, "the worker has let go");
}

#[test]
fn worker_ends_at_once_while_others_use_the_pool() {
    let pool = Arc::new(apart("lz4", |builder| builder));
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut n = 0;
            while !is_over.load(Relaxed) {
                let _ = pool.store(Slot(n % 1000), &[page(n)], Owner::ROOT);
                n += 1;
            }
        });
        for _ in 0..20 {
            drop(Worker::start(&pool).unwrap());
        }
        is_over.store(true, Relaxed);
    });
}

#[test]
fn dense_pages_need_little_beside_their_objects() {
    metadata(100_000);
}

#[test]
#[ignore = "takes long unoptimised"]
fn a_million_dense_pages_need_little_beside_their_objects() {
    metadata(1 << 20);
}

#[test]
fn who_maintains_when_it_is_wanted_is_never_refused() {
    let pool = apart("null", |builder| builder);
    let stored = |slot, folio: &[Page]| {
        assert_eq!(pool.store(Slot(slot), folio, Owner::ROOT), Ok(()), "{slot}");
        if pool.is_wanting() {
            pool.maintain().unwrap();
        }
    };
    (0..50_000).for_each(|slot| stored(slot, &[filled(slot)]));
    // Far apart: what the table of slots needs, too.
    (10..300).for_each(|n| stored(n << 14, &[filled(n); 9]));
    // And again, what is forgotten taken into account.
    (0..300 << 14).step_by(64).for_each(|slot| pool.invalidate(Slot(slot)));
    (0..50_000).for_each(|slot| pool.invalidate(Slot(slot)));
    (0..5000).for_each(|n| stored(n << 6, &[filled(n)]));
}

#[test]
fn metadata_is_that_of_devices_and_owners_too() {
    let bytes = |describe: fn(Builder) -> Builder| Toy::new().pool_with(describe).metadata_bytes();
    let least = bytes(|builder| builder.owners(1));
    // A bit for each block.
    let with_device = bytes(|builder| builder.owners(1).device(Arc::new(Ram::new(1 << 23))));
    assert_eq!(with_device, least + (1 << 20));
    // Two cache lines for each owner, at least.
    let with_owners = bytes(|builder| builder.owners(1025));
    assert!(with_owners >= least + 1024 * 128, "{least} {with_owners}");
}

fn metadata(pages: u64) {
    let builder = Pool::builder(Registry::global()).compressor("null");
    let builder = builder.total_bytes(8 << 30).housekeeping(Housekeeping::Apart);
    let same_filled = builder.build().unwrap();
    let (empty, resident) = (same_filled.metadata_bytes(), resident_bytes());
    let folio: Vec<_> = (1..=256).map(filled).collect();
    store_dense(&same_filled, pages, &folio);
    let all = same_filled.metadata_bytes();
    println!("empty: {empty} bytes; {pages} same-filled: {} a page", per(all, pages));
    // What is committed ahead is the same for any number of pages.
    assert!((all - empty) as f64 / pages as f64 <= 48.0 * 1.05, "{}", per(all - empty, pages));
    // Alone in this process, and enough to be seen in what the system says.
    if pages >= 1 << 20 {
        let grown = resident_bytes() - resident;
        println!("resident memory grew by {} a page", per(grown, pages));
        assert!(((all - empty) as f64 / grown as f64 - 1.0).abs() < 0.05, "{grown} bytes");
        assert!(all as f64 / pages as f64 <= 48.0, "{}", per(all, pages));
    }

    let toy = Toy::new();
    let stamps: Vec<_> = (1..=256).map(stamped).collect();
    let compressed =
        toy.pool_with(|builder| builder.total_bytes(8 << 30).housekeeping(Housekeeping::Apart));
    let empty = compressed.metadata_bytes();
    store_dense(&compressed, pages, &stamps);
    let all = compressed.metadata_bytes();
    println!("empty: {empty} bytes; {pages} compressed: {} a page", per(all, pages));
    assert!((all - empty) as f64 / pages as f64 <= 48.0 * 1.05, "{}", per(all - empty, pages));

    // The worst case: each page in a partition of its own.
    let builder = Pool::builder(Registry::global()).compressor("null");
    let sparse = builder.total_bytes(8 << 30).build().unwrap();
    let empty = sparse.metadata_bytes();
    let pages = pages / 100;
    for n in 0..pages {
        sparse.store(Slot(n << 14), &folio[..1], Owner::ROOT).unwrap();
    }
    let all = sparse.metadata_bytes();
    println!("empty: {empty} bytes; {pages} sparse: {} a page", per(all - empty, pages));
    assert!((all - empty) as u64 / pages < 4096, "still less than the page");
}

fn store_dense(pool: &Pool, pages: u64, folio: &[Page]) {
    pool.set("max_pool_percent", "100").unwrap();
    for first in (0..pages).step_by(folio.len()) {
        while let Err(error) = pool.store(Slot(first), folio, Owner::ROOT) {
            assert_eq!(error, StoreError::NoMemory);
            pool.maintain().unwrap();
        }
        if pool.is_wanting() {
            pool.maintain().unwrap();
        }
    }
}

fn per(bytes: usize, pages: u64) -> String {
    format!("{:.1}", bytes as f64 / pages as f64)
}

#[test]
fn slots_that_come_and_go_anywhere_need_no_more_and_more() {
    let pool = Pool::builder(Registry::global()).compressor("null").build().unwrap();
    let mut rng = fastrand::Rng::with_seed(1);
    let mut held = Vec::new();
    let mut after_warm_up = 0;
    for step in 0..50_000 {
        let slot = Slot(rng.u64(..));
        pool.store(slot, &[filled(slot.0 | 1)], Owner::ROOT).unwrap();
        held.push(slot);
        if held.len() > 500 {
            let slot = held.swap_remove(rng.usize(..held.len()));
            let mut back = filled(0);
            pool.load(slot, &mut back, Load::Exclusive).unwrap();
            assert!(back == filled(slot.0 | 1), "{slot:?}");
        }
        if step == 5000 {
            after_warm_up = pool.metadata_bytes();
        }
    }
    assert_eq!(pool.metadata_bytes(), after_warm_up);
}

#[test]
fn memory_of_pages_that_are_gone_goes_back_to_the_system() {
    for housekeeping in [Housekeeping::Inline, Housekeeping::Apart] {
        let builder = Pool::builder(Registry::global()).compressor("lz4");
        let builder = builder.total_bytes(1 << 30).housekeeping(housekeeping);
        let pool = builder.build().unwrap();
        for n in 0..20_000 {
            if pool.store(Slot(n), &[random(n)], Owner::ROOT).is_err() {
                pool.maintain().unwrap();
                pool.store(Slot(n), &[random(n)], Owner::ROOT).unwrap();
            }
        }
        let held = pool.counters().pool_total_size;
        assert!(held >= 20_000 * 4096);
        (0..20_000).for_each(|n| pool.invalidate(Slot(n)));
        assert_eq!(pool.counters().pool_total_size, 0);
        let done = pool.maintain().unwrap();
        assert!(done.bytes_returned as u64 >= held - (8 << 20), "{done:?} of {held}");
        assert_eq!(pool.maintain().unwrap().bytes_returned, 0, "nothing is left to return");
        // And it can be had again.
        let mut stored = pool.store(Slot(0), &[random(0)], Owner::ROOT);
        if stored.is_err() {
            pool.maintain().unwrap();
            stored = pool.store(Slot(0), &[random(0)], Owner::ROOT);
        }
        assert_eq!(stored, Ok(()));
    }
}

#[test]
fn holes_are_compacted_by_maintenance() {
    let pool = Pool::builder(Registry::global()).compressor("lz4").build().unwrap();
    for n in 0..8000 {
        pool.store(Slot(n), &[stamped(n)], Owner::ROOT).unwrap();
    }
    let full = pool.counters().pool_total_size;
    (0..8000).filter(|n| n % 8 != 0).for_each(|n| pool.invalidate(Slot(n)));
    let mut moved = 0;
    loop {
        let done = pool.maintain().unwrap();
        moved += done.objects_moved;
        if done.objects_moved == 0 {
            break;
        }
    }
    assert!(moved > 0);
    let compacted = pool.counters().pool_total_size;
    assert!(compacted <= full / 4, "{compacted} of {full} for an eighth of the pages");
    for n in 0..8000 {
        let mut back = filled(0);
        let loaded = pool.load(Slot(n), &mut back, Load::Shared);
        match n % 8 {
            0 => assert!(loaded.is_ok() && back == stamped(n), "page {n}"),
            _ => assert_eq!(loaded, Err(LoadError::NotFound { slot: Slot(n) })),
        }
    }
}

/// Threads that run out of memory at the same time get errors, not each other's pages.
#[test]
fn empty_reserve_under_contention() {
    let pool = apart("lz4", |builder| builder.reserve_bytes(1).total_bytes(1 << 30));
    let start = Barrier::new(4);
    thread::scope(|scope| {
        for thread in 0..4 {
            let (pool, start) = (&pool, &start);
            scope.spawn(move || {
                start.wait();
                let (mut held, mut failures) = (Vec::new(), 0);
                for n in 0..1500 {
                    let slot = 10_000 * thread + n;
                    match pool.store(Slot(slot), &[page(slot)], Owner::ROOT) {
                        Ok(()) => held.push(slot),
                        Err(error) => {
                            assert_eq!(error, StoreError::NoMemory);
                            failures += 1;
                            if failures % 50 == 0 {
                                pool.maintain().unwrap();
                            }
                        }
                    }
                }
                let mut back = filled(0);
                for slot in held {
                    pool.load(Slot(slot), &mut back, Load::Exclusive).unwrap();
                    assert!(back == page(slot), "slot {slot}");
                }
            });
        }
    });
    let counters = pool.counters();
    assert!(counters.reject_alloc_fail > 0);
    assert_eq!((counters.stored_pages, counters.object_bytes), (0, 0));
    assert_eq!(pool.owner(Owner::ROOT).unwrap().pages, 0);
}

fn page(n: u64) -> Page {
    if n.is_multiple_of(3) { stamped(n) } else { random(n) }
}

fn apart(name: &str, describe: impl FnOnce(Builder) -> Builder) -> Pool {
    let builder = Pool::builder(Registry::global()).compressor(name);
    let pool = describe(builder.housekeeping(Housekeeping::Apart)).build().unwrap();
    pool.set("max_pool_percent", "100").unwrap();
    pool
}

/// Drivers that allocate nothing after open.
fn names() -> impl Iterator<Item = Box<str>> {
    let promises = |alg: &AlgRef| alg.info().flags.contains(AlgFlags::NO_ALLOC_AFTER_OPEN);
    Registry::global().iter().filter(promises).map(|alg| (*alg.info().driver).into())
}

/// Stays on one of the CPUs, if this thread may.
fn stay_on(cpu: u64) {
    let mut one = CpuSet::new();
    one.set(cpu as usize % allowed_cpus());
    let _ = sched_setaffinity(None, &one);
}

/// How many of the first CPUs a thread may stay on.
fn allowed_cpus() -> usize {
    static ALLOWED: OnceLock<usize> = OnceLock::new();
    *ALLOWED.get_or_init(count_allowed_cpus)
}

fn count_allowed_cpus() -> usize {
    let is_allowed = |cpu: &usize| {
        let mut one = CpuSet::new();
        one.set(*cpu);
        let run = move || sched_setaffinity(None, &one).is_ok();
        thread::spawn(run).join().unwrap()
    };
    (0..64).take_while(is_allowed).count()
}

fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * rustix::param::page_size()
}

#[test]
fn large_folios_find_memory_if_somebody_maintains_when_asked() {
    let pool = apart("lz4", |builder| builder.total_bytes(1 << 30));
    pool.set("max_pool_percent", "100").unwrap();
    let folio: Vec<_> = (0..512).map(random).collect();
    for number in 0..20 {
        pool.store(Slot(number * 512), &folio, Owner::ROOT).unwrap();
        if pool.is_wanting() {
            pool.maintain().unwrap();
        }
    }
}

#[test]
fn a_worker_that_ends_leaves_the_others_to_be_told() {
    let pool = Arc::new(apart("lz4", |builder| builder.total_bytes(1 << 30)));
    let [first, second] = [(); 2].map(|()| Worker::start(&pool).unwrap());
    drop(first);
    let folio: Vec<_> = (0..512).map(random).collect();
    for number in 0..20 {
        pool.store(Slot(number * 512), &folio, Owner::ROOT).unwrap();
        // Somebody is there who does what is wanted.
        while pool.is_wanting() {
            thread::yield_now();
        }
        pool.maintain().unwrap();
    }
    drop(second);
}
