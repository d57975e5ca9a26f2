//! A pool asks Rust's allocator for nothing once it is built.
//!
//! Counted is what this thread asks of Rust's allocator. It stays on one CPU: the first use of
//! another CPU's context would allocate that.

#![expect(clippy::unwrap_used, reason = "test helpers unwrap like tests")]

mod pages;

use acomp_algs as _;
use acomp_core::{AlgFlags, AlgRef, Registry};
use allocation_counter::measure;
use rustix::thread::{CpuSet, sched_getcpu, sched_setaffinity};
use zswap::{Load, Owner, Pool, Slot};

use pages::{filled, mixed};

#[test]
fn loads_and_invalidations_allocate_nothing() {
    stay_on_this_cpu();
    for pool in pools() {
        pool.store(Slot(0), &mixed(1, PAGES), Owner::ROOT).unwrap();
        let mut dst = vec![filled(0); PAGES];
        let counted = measure(|| {
            for i in 0..OPS {
                let slot = i % PAGES;
                assert!(pool.load(Slot(slot as u64), &mut dst[slot], Load::Shared).is_ok());
            }
            for len in [1, 7, 8, 9, PAGES] {
                assert!(pool.load_range(Slot(0), &mut dst[..len], Load::Shared).is_ok());
            }
            assert!(pool.load_range(Slot(0), &mut dst[..100], Load::Exclusive).is_ok());
            assert!(pool.load(Slot(100), &mut dst[0], Load::Exclusive).is_ok());
            assert!(pool.load(Slot(100), &mut dst[0], Load::Exclusive).is_err());
            (0..PAGES as u64).for_each(|slot| pool.invalidate(Slot(slot)));
        });
        assert_eq!(counted.count_total, 0, "{}", pool.acomp().driver());
        assert_eq!(pool.counters().pool_total_size, 0, "all pages were freed");
    }
}

#[test]
fn stores_allocate_nothing() {
    stay_on_this_cpu();
    for pool in pools() {
        let folios: Vec<_> = (0..OPS / PAGES).map(|seed| mixed(seed as u64, PAGES)).collect();
        let counted = measure(|| {
            // Under ever new slots, so that the index grows as well, and over old ones.
            for base in [0, 1 << 20, 0] {
                for (i, folio) in folios.iter().enumerate() {
                    let stored = pool.store(Slot(base + (i * PAGES) as u64), folio, Owner::ROOT);
                    assert_eq!(stored, Ok(()));
                }
            }
        });
        assert_eq!(counted.count_total, 0, "{}", pool.acomp().driver());
        assert_eq!(pool.counters().zswpout + pool.counters().swpout_zero, 3 * OPS as u64);
    }
}

/// Pools of the drivers that allocate nothing after open.
fn pools() -> impl Iterator<Item = Pool> {
    let promises = |alg: &AlgRef| alg.info().flags.contains(AlgFlags::NO_ALLOC_AFTER_OPEN);
    Registry::global().iter().filter(promises).map(|alg| {
        let builder = Pool::builder(Registry::global());
        builder.compressor(&alg.info().driver).build().unwrap()
    })
}

fn stay_on_this_cpu() {
    let mut here = CpuSet::new();
    here.set(sched_getcpu());
    sched_setaffinity(None, &here).unwrap();
}

const PAGES: usize = 512;
const OPS: usize = 20 * PAGES;
