//! Regions and pagers come and go, with pages in every state, while others are at work.

#![expect(clippy::unwrap_used, reason = "test helpers unwrap like tests")]

mod support;

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use zswap_pager::{Advice, Pager, Region};

use support::{KINDS, MIB, PAGE_BYTES, assert_empty, assert_settled, content, fill, verify};

#[test]
fn a_region_ends_with_pages_in_every_state() {
    for kind in KINDS {
        let Some(pager) = kind.pager() else { return };
        for round in 0..20 {
            let mut region = pager.map(8 * MIB).unwrap();
            fill(&mut region[..(round % 8 + 1) * MIB], 1);
            verify(&region[..MIB], 1);
            if round % 3 == 0 {
                region.advise(0..MIB, Advice::PageOut).unwrap();
                region.advise(0..MIB / 2, Advice::WillNeed).unwrap();
            }
        }
        assert_empty(&pager);
    }
}

#[test]
fn a_region_outlives_its_pager() {
    for kind in KINDS {
        let Some(pager) = kind.pager() else { return };
        let clone = pager.clone();
        let mut region = pager.map(8 * MIB).unwrap();
        let mut other = clone.map(MIB).unwrap();
        drop((clone, pager));
        fill(&mut region, 1);
        fill(&mut other, 9);
        verify(&region, 1);
        drop(region);
        verify(&other, 9);
    }
}

#[test]
fn pagers_side_by_side() {
    let Some(pagers): Option<Vec<_>> = KINDS.iter().map(|kind| kind.pager()).collect() else {
        return;
    };
    thread::scope(|scope| {
        for (pager, first) in pagers.iter().zip(1..) {
            scope.spawn(move || {
                let mut regions: Vec<_> = (0..3).map(|_| pager.map(4 * MIB).unwrap()).collect();
                for (region, at) in regions.iter_mut().zip(0..) {
                    fill(region, 10_000 * first + 2000 * at);
                }
                for (region, at) in regions.iter().zip(0..) {
                    verify(region, 10_000 * first + 2000 * at);
                }
                assert_settled(pager, &regions.iter().collect::<Vec<_>>());
            });
        }
    });
    pagers.iter().for_each(assert_empty);
}

/// Threads map, use and drop regions, whose numbers and addresses are others' right after.
#[test]
fn regions_come_and_go_at_once() {
    for kind in KINDS {
        let Some(pager) = kind.pager() else { return };
        thread::scope(|scope| {
            for thread in 0..4 {
                let pager = &pager;
                scope.spawn(move || {
                    for round in 0..30 {
                        let mut region = pager.map(MIB + thread * 100 * PAGE_BYTES).unwrap();
                        fill(&mut region, (thread * 1_000_000 + round * 1000) as u64);
                        verify(&region, (thread * 1_000_000 + round * 1000) as u64);
                    }
                });
            }
        });
        assert_empty(&pager);
    }
}

/// Threads that fault side by side, and a region that is dropped as soon as they have what they
/// wanted: some of their faults are read only then.
#[test]
fn faults_that_are_over_before_they_are_read() {
    for kind in KINDS {
        let Some(pager) = kind.pager() else { return };
        for round in 0..300 {
            let region = pager.map(MIB).unwrap();
            thread::scope(|scope| {
                for thread in 0..4 {
                    let region = &region;
                    scope.spawn(move || {
                        for at in (thread % 2..32).map(|at| at * PAGE_BYTES) {
                            assert_eq!(region[at], 0, "{round}");
                        }
                    });
                }
            });
        }
        assert_empty(&pager);
    }
}

/// Memory is short in one region while others are mapped, used, and dropped by others.
#[test]
fn reclaim_meets_regions_that_end() {
    for kind in KINDS {
        let Some(pager) = kind.pager() else { return };
        let mut long = pager.map(8 * MIB).unwrap();
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            let (pager, is_over) = (&pager, &is_over);
            scope.spawn(move || {
                while !is_over.load(Relaxed) {
                    short_life(pager);
                }
            });
            for round in 0..6 {
                fill(&mut long, round * 5000 + 1);
                verify(&long, round * 5000 + 1);
            }
            is_over.store(true, Relaxed);
        });
        assert_settled(&pager, &[&long]);
        drop(long);
        assert_empty(&pager);
    }
}

/// What is known of regions does not add up as they come and go.
#[test]
fn a_thousand_regions_leave_nothing() {
    let Some(pager) = KINDS[0].pager() else { return };
    let life = |pager: &Pager| {
        let mut region: Region = pager.map(PAGE_BYTES).unwrap();
        region[..PAGE_BYTES].copy_from_slice(&content(1));
        region.advise(0..PAGE_BYTES, Advice::PageOut).unwrap();
        assert_eq!(region[..], content(1));
    };
    // Maintenance comes when it comes. The first one that finds a page in the pool commits memory
    // for many more ahead; from then on, it only makes up for what does not come back.
    let mut region = pager.map(PAGE_BYTES).unwrap();
    region[..PAGE_BYTES].copy_from_slice(&content(1));
    region.advise(0..PAGE_BYTES, Advice::PageOut).unwrap();
    pager.pool().maintain().unwrap();
    drop(region);
    let before = pager.stats().metadata_bytes;
    (0..1000).for_each(|_| life(&pager));
    pager.pool().maintain().unwrap();
    assert_eq!(pager.stats().metadata_bytes, before);
    assert_empty(&pager);
}

fn short_life(pager: &Pager) {
    let mut region = pager.map(2 * MIB).unwrap();
    fill(&mut region, 77);
    region.discard(MIB..MIB + 8 * PAGE_BYTES).unwrap();
    verify(&region[..MIB], 77);
}
