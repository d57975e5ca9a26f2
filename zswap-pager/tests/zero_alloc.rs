//! No fault allocates, in whatever thread it is served: what the whole process asks of Rust's
//! allocator is counted. One test, as others' threads would count too; and on one CPU, as the
//! pool's thread, which serves no faults, makes contexts of others when they are first used.

#![expect(clippy::unwrap_used, reason = "test helpers unwrap like tests")]

mod support;

use std::alloc::System;
use std::{fs, thread};

use rustix::thread::{CpuSet, sched_getcpu, sched_setaffinity};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use zswap_pager::Kept;

use support::{KINDS, Kind, MIB, PAGE_BYTES};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

#[test]
fn faults_allocate_nothing() {
    let mut here = CpuSet::new();
    here.set(sched_getcpu());
    sched_setaffinity(None, &here).unwrap();
    for kind in KINDS {
        for (kept, is_fifo) in [(Kept::Off, false), (Kept::Exact, true), (Kept::Hash, false)] {
            faults_of(Kind { kept, is_fifo, ..kind });
        }
    }
}

fn faults_of(kind: Kind) {
    let Some(pager) = kind.pager() else { return };
    let mut region = pager.map(8 * MIB).unwrap();
    await_threads();
    let before = ALLOCATOR.stats();
    // The pool grows from nothing: what it grows by is counted too.
    for round in 0..2_u64 {
        for (page, first) in region.chunks_mut(PAGE_BYTES).zip((round * 5000)..) {
            page.copy_from_slice(&support::content(first));
        }
        for (page, first) in region.chunks(PAGE_BYTES).zip((round * 5000)..) {
            assert!(page == support::content(first), "{kind:?}: page {first}");
        }
    }
    let after = ALLOCATOR.stats();
    assert!(pager.stats().pages_loaded > 2048, "{kind:?}");
    let allocated = after.allocations - before.allocations;
    let reallocated = after.reallocations - before.reallocations;
    assert_eq!((allocated, reallocated), (0, 0), "{kind:?}");
}

/// A thread that starts allocates, until it has its name and waits.
fn await_threads() {
    let waits = |name: &str| {
        let mut tasks = fs::read_dir("/proc/self/task").unwrap();
        tasks.any(|task| {
            let status = fs::read_to_string(task.unwrap().path().join("status"));
            status.is_ok_and(|status| status.contains(name) && status.contains("State:\tS"))
        })
    };
    while !["zswap-pager", "zswap-shrink"].into_iter().all(waits) {
        thread::yield_now();
    }
}
