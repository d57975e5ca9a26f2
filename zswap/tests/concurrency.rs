//! Many threads on one pool.

mod pages;
mod toys;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Barrier, OnceLock};
use std::thread;

use acomp_algs as _;
use acomp_core::{Direction, Registry};
use acomp_iaa as _;
use zswap::{Load, LoadError, Owner, Page, Pool, Slot};

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
const VERSIONS: u64 = 8;
