//! What was stored is what is loaded, with every driver.

#![expect(clippy::unwrap_used, reason = "test helpers unwrap like tests")]

mod pages;

use acomp_algs as _;
use acomp_core::Registry;
use acomp_iaa as _;
use zswap::{Load, LoadError, Loaded, Owner, PAGE_BYTES, Page, Pool, Slot};

use pages::{mixed, text};

#[test]
fn folios_come_back_page_by_page() {
    for pool in pools() {
        for (i, pages) in FOLIOS.into_iter().enumerate() {
            let (first, folio) = (Slot(1000 * i as u64), mixed(i as u64, pages));
            pool.store(first, &folio, Owner::ROOT).unwrap();
            for (slot, page) in slots(first).zip(&folio) {
                for how in [Load::Shared, Load::Exclusive] {
                    let mut back = poisoned(1);
                    pool.load(slot, &mut back[0], how).unwrap();
                    assert_same(&pool, slot, &back, std::slice::from_ref(page));
                }
                assert_missing(&pool, slot);
            }
        }
        assert_eq!(pool.counters().pool_total_size, 0);
    }
}

#[test]
fn folios_come_back_as_ranges() {
    for pool in pools() {
        for (i, pages) in FOLIOS.into_iter().enumerate() {
            let (first, folio) = (Slot(1000 * i as u64), mixed(i as u64, pages));
            pool.store(first, &folio, Owner::new(7)).unwrap();
            for how in [Load::Shared, Load::Exclusive] {
                let mut back = poisoned(pages);
                let loaded = pool.load_range(first, &mut back, how).unwrap();
                assert_same(&pool, first, &back, &folio);
                assert_eq!(pages_of(loaded), pages);
            }
            slots(first).take(pages).for_each(|slot| assert_missing(&pool, slot));
        }
    }
}

#[test]
fn range_crosses_the_borders_of_folios() {
    for pool in pools() {
        let all = mixed(1, 40);
        // From before a multiple of 512 pages to behind it.
        let first = Slot(500);
        let mut at = 0;
        for pages in [9, 16, 1, 14] {
            let folio = &all[at..at + pages];
            pool.store(Slot(first.0 + at as u64), folio, Owner::ROOT).unwrap();
            at += pages;
        }
        for (from, to) in [(0, 40), (8, 10), (5, 29), (24, 27), (39, 40)] {
            let mut back = poisoned(to - from);
            let first = Slot(first.0 + from as u64);
            pool.load_range(first, &mut back, Load::Shared).unwrap();
            assert_same(&pool, first, &back, &all[from..to]);
        }
    }
}

#[test]
fn last_slots_there_are_hold_pages() {
    for pool in pools() {
        let first = Slot(u64::MAX - 8);
        let folio = mixed(3, 9);
        pool.store(first, &folio, Owner::ROOT).unwrap();
        let mut back = poisoned(9);
        pool.load_range(first, &mut back, Load::Exclusive).unwrap();
        assert_same(&pool, first, &back, &folio);
        assert_missing(&pool, Slot(u64::MAX));
    }
}

#[test]
fn newer_store_replaces_what_was_there() {
    for pool in pools() {
        let (mut expected, newer) = (mixed(1, 16), mixed(4, 5));
        pool.store(Slot(0), &expected, Owner::ROOT).unwrap();
        pool.store(Slot(6), &newer, Owner::ROOT).unwrap();
        expected[6..11].copy_from_slice(&newer);
        let mut back = poisoned(16);
        pool.load_range(Slot(0), &mut back, Load::Exclusive).unwrap();
        assert_same(&pool, Slot(0), &back, &expected);
        assert_eq!(pool.counters().pool_total_size, 0, "no stale page is held");
    }
}

#[test]
fn invalidated_page_is_gone_and_its_neighbours_are_not() {
    for pool in pools() {
        let folio = mixed(1, 10);
        pool.store(Slot(0), &folio, Owner::ROOT).unwrap();
        for gone in 0..10 {
            pool.invalidate(Slot(gone));
            pool.invalidate(Slot(gone)); // Nothing there: nothing happens.
            assert_missing(&pool, Slot(gone));
            let mut back = poisoned(9 - gone as usize);
            if !back.is_empty() {
                pool.load_range(Slot(gone + 1), &mut back, Load::Shared).unwrap();
                assert_same(&pool, Slot(gone + 1), &back, &folio[gone as usize + 1..]);
            }
        }
        assert_eq!(pool.counters().pool_total_size, 0);
    }
}

#[test]
fn pools_do_not_see_each_others_pages() {
    let [one, other] = [(); 2].map(|()| build("lz4"));
    one.store(Slot(0), &[text(1)], Owner::ROOT).unwrap();
    assert_missing(&other, Slot(0));
    other.store(Slot(0), &[text(2)], Owner::ROOT).unwrap();
    let mut back = poisoned(1);
    one.load(Slot(0), &mut back[0], Load::Exclusive).unwrap();
    assert_same(&one, Slot(0), &back, &[text(1)]);
}

/// A pool for each driver there is.
fn pools() -> impl Iterator<Item = Pool> {
    let drivers: Vec<_> = Registry::global().iter().collect();
    assert!(!drivers.is_empty());
    drivers.into_iter().map(|alg| build(&alg.info().driver))
}

fn build(compressor: &str) -> Pool {
    Pool::builder(Registry::global()).compressor(compressor).build().unwrap()
}

/// Destinations that nobody has written to yet.
fn poisoned(pages: usize) -> Vec<Page> {
    vec![[0xA5; PAGE_BYTES]; pages]
}

fn slots(first: Slot) -> impl Iterator<Item = Slot> {
    (first.0..=u64::MAX).map(Slot)
}

fn assert_same(pool: &Pool, first: Slot, found: &[Page], expected: &[Page]) {
    assert_eq!(found.len(), expected.len());
    for (slot, (found, expected)) in slots(first).zip(found.iter().zip(expected)) {
        assert!(found == expected, "{slot:?} of {}", pool.acomp().driver());
    }
}

fn assert_missing(pool: &Pool, slot: Slot) {
    let found = pool.load(slot, &mut [0; PAGE_BYTES], Load::Shared);
    assert_eq!(found, Err(LoadError::NotFound { slot }), "{}", pool.acomp().driver());
}

fn pages_of(loaded: Loaded) -> usize {
    loaded.zero + loaded.same_filled + loaded.incompressible + loaded.decompressed
}

const FOLIOS: [usize; 7] = [1, 2, 7, 8, 9, 16, 512];
