//! A pool asks Rust's allocator for nothing once it is built.
//!
//! The tests stay on one CPU: the first use of another CPU's context would allocate that.

#![expect(clippy::unwrap_used, reason = "test helpers unwrap like tests")]

mod forbidden;
mod pages;

use std::hint::black_box;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use acomp_algs as _;
use acomp_core::{AlgFlags, AlgRef, Registry};
use rustix::thread::{CpuSet, sched_getcpu, sched_setaffinity};
use zswap::{Load, Owner, Pool, Slot};

use forbidden::without_allocating;
use pages::{filled, mixed};

/// Allocates and frees where it must not, in processes of their own.
#[test]
fn call_of_the_allocator_ends_the_process() {
    if let Ok(what) = std::env::var(CHILD) {
        let held = vec![1; 100];
        match &*what {
            "allocate" => drop(without_allocating(|| black_box(vec![2; 100]))),
            _ => without_allocating(|| drop(held)),
        }
        return;
    }
    for what in ["allocate", "free"] {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "call_of_the_allocator_ends_the_process", "--nocapture"]);
        let output = child.env(CHILD, what).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.signal(), Some(SIGABRT), "{what}: {said}");
        assert!(said.contains("memory allocation of 400 bytes failed"), "{what}: {said}");
    }
}

#[test]
fn loads_and_invalidations_allocate_nothing() {
    stay_on_this_cpu();
    for pool in pools() {
        println!("{}", pool.acomp().driver());
        pool.store(Slot(0), &mixed(1, PAGES), Owner::ROOT).unwrap();
        let mut dst = vec![filled(0); PAGES];
        without_allocating(|| {
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
        assert_eq!(pool.counters().pool_total_size, 0, "all pages were freed");
    }
}

#[test]
fn stores_allocate_nothing() {
    stay_on_this_cpu();
    for pool in pools() {
        println!("{}", pool.acomp().driver());
        let folios: Vec<_> = (0..OPS / PAGES).map(|seed| mixed(seed as u64, PAGES)).collect();
        without_allocating(|| {
            // Under ever new slots, so that the index grows as well, and over old ones.
            for base in [0, 1 << 20, 0] {
                for (i, folio) in folios.iter().enumerate() {
                    let stored = pool.store(Slot(base + (i * PAGES) as u64), folio, Owner::ROOT);
                    assert_eq!(stored, Ok(()));
                }
            }
        });
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

/// The number of this signal on Linux.
const SIGABRT: i32 = 6;
const CHILD: &str = "ZSWAP_ZERO_ALLOC_CHILD";
const PAGES: usize = 512;
const OPS: usize = 20 * PAGES;
