//! What a pool allocates: nothing on a load, on a store the object and its place in the index.
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
fn store_allocates_one_object_per_page_that_is_compressed_or_raw() {
    stay_on_this_cpu();
    for pool in pools() {
        let folio = mixed(1, PAGES);
        pool.store(Slot(0), &folio, Owner::ROOT).unwrap(); // The index has room from now on.
        let folios = (OPS / PAGES) as u64;
        let counted = measure(|| {
            for _ in 0..folios {
                assert!(pool.store(Slot(0), &folio, Owner::ROOT).is_ok());
            }
        });
        let counters = pool.counters();
        let objects = counters.stored_pages - counters.same_filled_pages;
        assert_eq!(counted.count_total, folios * objects, "{}", pool.acomp().driver());
        let bytes_max = folios * (counters.pool_total_size + objects * OBJECT_HEAD_BYTES_MAX);
        assert!(counted.bytes_total <= bytes_max, "{} bytes", counted.bytes_total);
    }
}

#[test]
fn index_grows_by_doubling() {
    stay_on_this_cpu();
    for pool in pools() {
        let folio = mixed(1, PAGES);
        let counted = measure(|| {
            assert!(pool.store(Slot(0), &folio, Owner::ROOT).is_ok());
        });
        let counters = pool.counters();
        let objects = counters.stored_pages - counters.same_filled_pages;
        let index = counted.count_total - objects;
        assert!((1..=u64::from(PAGES.ilog2()) + 1).contains(&index), "{index} for the index");
    }
}

#[test]
fn pages_that_repeat_one_word_allocate_nothing() {
    stay_on_this_cpu();
    for pool in pools() {
        let folio: Vec<_> = (0..PAGES as u64).map(filled).collect();
        pool.store(Slot(0), &folio, Owner::ROOT).unwrap(); // The index has room from now on.
        let counted = measure(|| {
            assert!(pool.store(Slot(0), &folio, Owner::ROOT).is_ok());
        });
        assert_eq!(counted.count_total, 0);
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
/// Two reference counts and the rounding up to their alignment.
const OBJECT_HEAD_BYTES_MAX: u64 = 24;
