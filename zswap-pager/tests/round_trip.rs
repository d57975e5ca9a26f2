//! Every byte comes back, while memory is short all the time.

#![expect(clippy::unwrap_used, reason = "test helpers unwrap like tests")]

mod support;

use std::thread;

use zswap_pager::{FaultMode, Kept, Without};

use support::{Kind, LIMIT_BYTES, MIB, PAGE_BYTES, assert_empty, assert_settled, fill, verify};

#[test]
fn a_thread_serves() {
    threads_write_and_read(FaultMode::Thread, Without::Nothing);
}

#[test]
fn a_thread_serves_without_move() {
    threads_write_and_read(FaultMode::Thread, Without::Move);
}

#[test]
fn threads_serve_themselves() {
    threads_write_and_read(FaultMode::Sigbus, Without::Nothing);
}

#[test]
fn threads_serve_themselves_without_move() {
    threads_write_and_read(FaultMode::Sigbus, Without::Move);
}

/// Helpers take the work of storing away from whoever faults, at the same frames.
#[test]
fn helpers_take_part() {
    for kind in support::KINDS {
        let Some(pager) = support::build(kind.builder().helpers(2)) else { return };
        let mut region = pager.map(REGION_BYTES).unwrap();
        for round in 0..3 {
            fill(&mut region, round);
            verify(&region, round);
        }
        assert_settled(&pager, &[&region]);
    }
}

/// One page at a time, and as many as a window has: slices of frames are neither.
#[test]
fn folios_of_any_size() {
    for kind in support::KINDS {
        for folio_pages in [1, 3, 256] {
            let Some(pager) = support::build(kind.builder().folio_pages(folio_pages)) else {
                return;
            };
            let mut region = pager.map(REGION_BYTES / 2).unwrap();
            fill(&mut region, 1);
            verify(&region, 1);
            assert_settled(&pager, &[&region]);
            verify(&region, 1);
        }
    }
}

fn threads_write_and_read(mode: FaultMode, without: Without) {
    for kept in [Kept::Off, Kept::Exact, Kept::Hash] {
        for is_fifo in [false, true] {
            let kind = Kind { kept, is_fifo, ..Kind::new(mode, without) };
            let Some(pager) = kind.pager() else { return };
            let mut region = pager.map(REGION_BYTES).unwrap();
            for round in [1, 1 << 20] {
                share(&mut region, |part, first| fill(part, first + round));
                share(&mut region, |part, first| {
                    verify(part, first + round);
                    // Some pages are modified, some are as their kept copies.
                    part.chunks_mut(PAGE_BYTES).step_by(3).for_each(|page| page.fill(7));
                });
                share(&mut region, |part, first| {
                    for (at, page) in part.chunks(PAGE_BYTES).enumerate() {
                        if at.is_multiple_of(3) {
                            assert!(page.iter().all(|byte| *byte == 7), "{kind:?}");
                        } else {
                            verify(page, first + at as u64 + round);
                        }
                    }
                });
            }
            let stats = pager.stats();
            let most = LIMIT_BYTES + LIMIT_BYTES / 20;
            assert!(stats.used_bytes_max <= most as u64, "{kind:?} {stats:?}");
            assert_eq!((stats.pages_refused, stats.pages_lost), (0, 0), "{kind:?} {stats:?}");
            assert_eq!(stats.pages_unmodified > 0, kept != Kept::Off, "{kind:?} {stats:?}");
            assert_settled(&pager, &[&region]);
            drop(region);
            assert_empty(&pager);
        }
    }
}

/// Gives each of several threads a part of the memory, and the number of its first page.
fn share(memory: &mut [u8], work: impl Fn(&mut [u8], u64) + Sync) {
    // Not along the borders of windows: neighbours are in one.
    let part_bytes = memory.len() / THREADS / PAGE_BYTES * PAGE_BYTES + PAGE_BYTES;
    let work = &work;
    thread::scope(|scope| {
        for (at, part) in memory.chunks_mut(part_bytes).enumerate() {
            scope.spawn(move || work(part, (at * part_bytes / PAGE_BYTES) as u64));
        }
    });
}

const THREADS: usize = 3;
const REGION_BYTES: usize = 12 * MIB;
