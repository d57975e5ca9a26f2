//! Many threads on one pool.

#![expect(clippy::unwrap_used, clippy::panic, reason = "test helpers are like tests")]

mod devices;
mod pages;
mod toys;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Barrier, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use acomp_algs as _;
use acomp_core::{Direction, Registry};
use acomp_iaa as _;
use rustix::thread::{CpuSet, sched_setaffinity};
use zswap::{Counters, Housekeeping, Load, LoadError, Loaded, Owner, Page, Pool, Slot, StoreError};

use devices::Ram;
use pages::{filled, mixed, random, stamped, text};
use toys::{Toy, die};

#[test]
fn threads_on_slots_of_their_own_do_not_feel_each_other() {
    for compressor in ["lz4", "deflate", "deflate-iaa"] {
        let pool = Pool::builder(Registry::global()).compressor(compressor).build().unwrap();
        on_threads(|thread| {
            // Ranges of several threads in one run of 512 slots, and one range across two runs.
            let first = Slot(500 + 100 * thread);
            for round in 0..ROUNDS {
                let folio = mixed(100_000 * thread + round, 20);
                pool.store(first, &folio, Owner::ROOT).unwrap();
                let mut back = [filled(1); 20];
                let how = if round % 2 == 0 { Load::Shared } else { Load::Exclusive };
                pool.load_range(first, &mut back, how).unwrap();
                assert!(back == *folio, "thread {thread}, round {round} of {compressor}");
                pool.invalidate(Slot(first.0 + 19));
            }
            // The last round took all pages out.
            assert!(pool.load(first, &mut filled(0), Load::Shared).is_err());
        });
        let counters = pool.counters();
        let (rounds, zero_pages) = (THREADS * ROUNDS, 4);
        assert_eq!((counters.zswpout, counters.zswpin), (16 * rounds, 16 * rounds));
        assert_eq!(counters.swpout_zero, zero_pages * rounds);
        assert_eq!(counters.swpin_zero, zero_pages * rounds);
        assert_eq!((counters.stored_pages, counters.zero_pages), (0, 0));
        assert_eq!((counters.pool_total_size, counters.stored_incompressible_pages), (0, 0));
        assert_eq!((counters.reject_compress_fail, counters.decompress_fail), (0, 0));
    }
}

#[test]
fn load_of_a_contended_slot_gives_one_of_the_stored_pages_whole() {
    let pool = Pool::builder(Registry::global()).compressor("lz4").build().unwrap();
    let loads = AtomicU64::new(0);
    let stores = AtomicU64::new(0);
    on_threads(|thread| {
        let mut rng = fastrand::Rng::with_seed(thread);
        let mut back = filled(0);
        for _ in 0..20 * ROUNDS {
            let slot = Slot(rng.u64(..SLOTS));
            let how = match rng.u8(..10) {
                0..4 => {
                    let pages: Vec<_> = (slot.0..SLOTS)
                        .take(rng.usize(1..4))
                        .map(|slot| version(slot, rng.u64(1..=VERSIONS)))
                        .collect();
                    pool.store(slot, &pages, Owner::ROOT).unwrap();
                    stores.fetch_add(pages.len() as u64, Relaxed);
                    continue;
                }
                4 => {
                    pool.invalidate(slot);
                    continue;
                }
                5..8 => Load::Shared,
                _ => Load::Exclusive,
            };
            match pool.load(slot, &mut back, how) {
                Ok(_) => {
                    loads.fetch_add(1, Relaxed);
                    let is_whole = (1..=VERSIONS).any(|n| back == version(slot.0, n));
                    assert!(is_whole, "thread {thread}: a mixture under {slot:?}");
                }
                Err(error) => assert_eq!(error, LoadError::NotFound { slot }),
            }
        }
    });
    let counters = pool.counters();
    assert_eq!(counters.zswpout, stores.into_inner());
    assert_eq!(counters.zswpin, loads.into_inner());
    let held =
        (0..SLOTS).filter(|slot| pool.load(Slot(*slot), &mut filled(0), Load::Exclusive).is_ok());
    assert_eq!(counters.stored_pages, held.count() as u64);
    let empty = pool.counters();
    assert_eq!((empty.stored_pages, empty.pool_total_size, empty.same_filled_pages), (0, 0, 0));
}

#[test]
fn page_that_is_stored_during_an_exclusive_load_stays() {
    static POOL: OnceLock<Pool> = OnceLock::new();
    let pool = POOL.get_or_init(|| {
        let store_newer = |direction, _: &[u8]| {
            if direction == Direction::Decompress {
                POOL.get()?.store(Slot(1), &[filled(7)], Owner::ROOT).ok()?;
            }
            None
        };
        Toy::new().on_op(store_newer).pool()
    });
    pool.store(Slot(0), &[stamped(0), stamped(1), stamped(2)], Owner::ROOT).unwrap();
    let mut back = [filled(0); 3];
    pool.load_range(Slot(0), &mut back, Load::Exclusive).unwrap();
    assert!(back == [stamped(0), stamped(1), stamped(2)]);
    assert_eq!((pool.counters().stored_pages, pool.counters().same_filled_pages), (1, 1));
    pool.load(Slot(1), &mut back[0], Load::Shared).unwrap();
    assert!(back[0] == filled(7));
}

#[test]
fn driver_that_panics_now_and_then_loses_no_page() {
    let ops = AtomicU64::new(0);
    let pool = Toy::new()
        .batch_size(4)
        .on_op(move |direction, _| {
            let dies =
                direction == Direction::Compress && ops.fetch_add(1, Relaxed).is_multiple_of(13);
            if dies { die() } else { None }
        })
        .pool();
    on_threads(|thread| {
        for round in 0..ROUNDS {
            let (first, folio) =
                (Slot(16 * thread), [(); 11].map(|()| stamped(1000 * thread + round)));
            pool.store(first, &folio, Owner::ROOT).unwrap();
            let mut back = [filled(0); 11];
            pool.load_range(first, &mut back, Load::Exclusive).unwrap();
            assert!(back == folio, "thread {thread}, round {round}");
        }
    });
    let counters = pool.counters();
    assert_eq!((counters.zswpout, counters.zswpin), (11 * THREADS * ROUNDS, counters.zswpout));
    assert!(counters.reject_compress_fail > 0 && counters.decompress_fail == 0);
}

#[test]
fn everything_at_once_on_the_same_slots() {
    everything_at_once(Duration::from_secs(5));
}

#[test]
#[ignore = "takes a minute"]
fn everything_at_once_on_the_same_slots_for_long() {
    everything_at_once(Duration::from_secs(60));
}

/// Every load gives a page that was stored under its slot, or none.
fn everything_at_once(time: Duration) {
    let ram = Arc::new(Ram::new(24));
    let builder = Pool::builder(Registry::global()).compressor("lz4").owners(OWNERS);
    let pool = builder.device(ram).build().unwrap();
    let versions: Vec<Vec<Page>> = (0..SLOTS * 4)
        .map(|slot| (0..=VERSIONS).map(move |n| if n == 0 { filled(0) } else { version(slot, n) }))
        .map(Iterator::collect)
        .collect();
    let end = Instant::now() + time;
    let ops = AtomicU64::new(0);
    on_threads(|thread| {
        println!("thread {thread} has seed {thread}");
        let mut rng = fastrand::Rng::with_seed(thread);
        let mut one = Everything { pool: &pool, versions: &versions, thread, ops: 0 };
        while Instant::now() < end {
            (0..16).for_each(|_| one.step(&mut rng));
        }
        ops.fetch_add(one.ops, Relaxed);
    });
    println!("{} operations", ops.into_inner());
    let counters = pool.counters();
    println!("{counters:?}");
    let failures =
        [counters.decompress_fail, counters.checksum_fail, counters.reject_compress_fail];
    assert_eq!(failures, [0; 3]);
    assert!(counters.zswpwb > 0 && counters.dropped_duplicates > 0);
    let mut held = 0;
    let mut back = filled(0);
    for slot in 0..SLOTS * 4 {
        if pool.load(Slot(slot), &mut back, Load::Exclusive).is_ok() {
            assert!(versions[slot as usize].contains(&back), "slot {slot}");
            held += 1;
        }
    }
    let Counters { stored_pages, zero_pages, device_pages, .. } = counters;
    assert_eq!(stored_pages + zero_pages + device_pages, held);
    let empty = pool.counters();
    assert_eq!((empty.stored_pages, empty.zero_pages, empty.device_pages), (0, 0, 0));
    assert_eq!((empty.duplicate_pages, empty.same_filled_pages), (0, 0));
    assert_eq!((empty.object_bytes, empty.pool_total_size), (0, 0));
    for owner in 0..OWNERS {
        let usage = pool.owner(Owner::new(owner)).unwrap();
        assert_eq!((usage.pages, usage.bytes), (0, 0), "owner {owner}");
    }
    // Blocks have come back: all of the device can be used.
    let folio: Vec<_> = (0..24).map(stamped).collect();
    pool.set_owner_writeback(Owner::ROOT, true);
    pool.set_owner_limit(Owner::ROOT, None);
    pool.store(Slot(0), &folio, Owner::ROOT).unwrap();
    pool.shrink(Owner::ROOT, 24);
    pool.shrink(Owner::ROOT, 24);
    assert_eq!(pool.counters().device_pages, 24);
}

/// One thread that does everything.
struct Everything<'e> {
    pool: &'e Pool,
    versions: &'e [Vec<Page>],
    thread: u64,
    ops: u64,
}

impl Everything<'_> {
    fn step(&mut self, rng: &mut fastrand::Rng) {
        self.ops += 1;
        let slots = SLOTS * 4;
        let first = rng.u64(..slots);
        let pages = rng.u64(1..=(slots - first).min(12)) as usize;
        let how = *rng.choice(&[Load::Exclusive, Load::Shared, Load::Duplicate]).unwrap();
        let owner = Owner::new(rng.u16(..OWNERS));
        let mut back = vec![filled(0xBAD); pages];
        match rng.u8(..64) {
            0..20 => self.store(rng, first, pages, owner),
            20..34 => {
                let loaded = self.pool.load(Slot(first), &mut back[0], how);
                self.check(first, &back[..1], loaded);
            }
            34..46 => {
                let loaded = self.pool.load_range(Slot(first), &mut back, how);
                self.check(first, &back, loaded);
            }
            46..52 => {
                let page = rng.choice(&self.versions[first as usize]).unwrap();
                assert!(self.pool.revalidate(Slot(first), page).is_ok());
            }
            52..56 => self.pool.invalidate(Slot(first)),
            56..60 => drop(std::hint::black_box(self.pool.shrink(owner, rng.usize(..20)))),
            60 => {
                let name = *rng.choice(&["lz4", "zstd", "deflate", "null"]).unwrap();
                self.pool.set("compressor", name).unwrap();
            }
            61 => {
                self.pool.maintain().unwrap();
            }
            62 => {
                self.pool.set_owner_writeback(owner, rng.bool());
            }
            _ => {
                let limit = rng.bool().then(|| rng.u64(..30_000));
                self.pool.set_owner_limit(owner, limit);
            }
        }
    }

    fn store(&self, rng: &mut fastrand::Rng, first: u64, pages: usize, owner: Owner) {
        let versions = &self.versions[first as usize..];
        let folio: Vec<_> =
            versions[..pages].iter().map(|pages| *rng.choice(pages).unwrap()).collect();
        match self.pool.store(Slot(first), &folio, owner) {
            Ok(()) | Err(StoreError::OwnerLimit { .. } | StoreError::Incompressible { .. }) => {}
            Err(error) => panic!("thread {}: {error}", self.thread),
        }
    }

    fn check(&self, first: u64, back: &[Page], loaded: Result<Loaded, LoadError>) {
        match loaded {
            Ok(_) => {
                for (page, versions) in back.iter().zip(&self.versions[first as usize..]) {
                    assert!(versions.contains(page), "thread {}: a mixture", self.thread);
                }
            }
            Err(LoadError::NotFound { .. }) => {}
            Err(error) => panic!("thread {}: {error}", self.thread),
        }
    }
}

/// CPUs leave and return: where a thread runs changes all the time, also within calls.
#[test]
fn threads_that_move_between_cpus_find_their_pages() {
    for housekeeping in [Housekeeping::Inline, Housekeeping::Apart] {
        let builder = Pool::builder(Registry::global()).compressor("zstd");
        let pool = builder.housekeeping(housekeeping).build().unwrap();
        on_threads(|thread| {
            let mut rng = fastrand::Rng::with_seed(thread);
            for round in 0..ROUNDS {
                // Those that this thread may not run on are refused.
                let mut cpus = CpuSet::new();
                cpus.set(rng.usize(..8));
                let _ = sched_setaffinity(None, &cpus);
                let (first, folio) = (Slot(1000 * thread), mixed(round, 20));
                pool.store(first, &folio, Owner::ROOT).unwrap();
                cpus.set(rng.usize(..8));
                let _ = sched_setaffinity(None, &cpus);
                let mut back = [filled(1); 20];
                pool.load_range(first, &mut back, Load::Exclusive).unwrap();
                assert!(back == *folio, "thread {thread}, round {round}");
                if thread == 0 {
                    pool.maintain().unwrap();
                }
            }
        });
        let counters = pool.counters();
        assert_eq!((counters.stored_pages, counters.object_bytes), (0, 0));
        assert_eq!((counters.decompress_fail, counters.reject_compress_fail), (0, 0));
    }
}

/// Starts all threads at once.
fn on_threads(run: impl Fn(u64) + Sync) {
    let start = Barrier::new(THREADS as usize);
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (start, run) = (&start, &run);
            scope.spawn(move || {
                start.wait();
                run(thread);
            });
        }
    });
}

/// The pages that are ever stored under a slot: of each kind but zero pages, which are counted
/// apart.
fn version(slot: u64, n: u64) -> Page {
    let seed = 100 * slot + n;
    match n % 4 {
        0 => filled(seed),
        1 => stamped(seed),
        2 => text(seed),
        _ => random(seed),
    }
}

const THREADS: u64 = 8;
const ROUNDS: u64 = 100;
const SLOTS: u64 = 8;
const OWNERS: u16 = 3;
const VERSIONS: u64 = 8;
