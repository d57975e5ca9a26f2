//! Pages that are stored and in the caller's memory as well: compared when he forgets them, dropped
//! first when memory is short.

mod pages;
mod toys;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use acomp_core::Direction;
use zswap::{Load, Owner, Page, Pool, Revalidated, Slot};

use pages::{filled, random, stamped, text};
use toys::Toy;

#[test]
fn an_unmodified_page_need_not_be_stored_again() {
    for pool in both(Toy::new) {
        for page in [stamped(1), text(2), random(3), filled(0), filled(7)] {
            pool.store(Slot(0), &[page], Owner::ROOT).unwrap();
            let mut back = filled(9);
            pool.load(Slot(0), &mut back, Load::Duplicate).unwrap();
            assert!(back == page);
            assert_eq!(pool.revalidate(Slot(0), &back), Ok(Revalidated::Same));
            assert_eq!(pool.counters().duplicate_pages, 0);
            pool.load(Slot(0), &mut back, Load::Exclusive).unwrap();
            assert!(back == page);
            assert_eq!(pool.revalidate(Slot(0), &back), Ok(Revalidated::Gone));
        }
    }
}

#[test]
fn a_modified_page_is_told_and_its_stale_copy_removed() {
    for pool in both(Toy::new) {
        for page in [stamped(1), text(2), filled(0), filled(7)] {
            for at in [0, 2048, 4095] {
                pool.store(Slot(0), &[page], Owner::ROOT).unwrap();
                let mut back = filled(9);
                pool.load(Slot(0), &mut back, Load::Duplicate).unwrap();
                back[at] ^= 0x10;
                assert_eq!(pool.revalidate(Slot(0), &back), Ok(Revalidated::Changed), "{at}");
                assert!(pool.load(Slot(0), &mut back, Load::Shared).is_err());
                let counters = pool.counters();
                assert_eq!((counters.stored_pages, counters.duplicate_pages), (0, 0));
                assert_eq!(counters.object_bytes, 0);
            }
        }
    }
}

#[test]
fn a_hash_spares_the_decompression() {
    let calls = Arc::new(AtomicUsize::new(0));
    let toy = || {
        let calls = Arc::clone(&calls);
        Toy::new().on_op(move |direction, _| {
            calls.fetch_add(usize::from(direction == Direction::Decompress), Relaxed);
            None
        })
    };
    let [exact, hashed] = both(toy);
    for (pool, decompressions) in [(exact, 2), (hashed, 1)] {
        calls.store(0, Relaxed);
        pool.store(Slot(0), &[stamped(1)], Owner::ROOT).unwrap();
        let mut back = filled(0);
        pool.load(Slot(0), &mut back, Load::Duplicate).unwrap();
        assert_eq!(pool.revalidate(Slot(0), &back), Ok(Revalidated::Same));
        assert_eq!(calls.load(Relaxed), decompressions);
    }
}

#[test]
fn duplicates_are_dropped_the_first_one_first_and_without_a_device() {
    for pool in both(Toy::new) {
        let folio: Vec<Page> = (0..4).map(stamped).collect();
        pool.store(Slot(0), &folio, Owner::ROOT).unwrap();
        let mut back = [filled(0); 3];
        pool.load_range(Slot(0), &mut back, Load::Duplicate).unwrap();
        assert_eq!(pool.counters().duplicate_pages, 3);
        let reclaimed = pool.shrink(Owner::ROOT, 2);
        assert_eq!((reclaimed.dropped, reclaimed.written), (2, 0));
        let is_there = |slot| pool.load(Slot(slot), &mut filled(0), Load::Shared).is_ok();
        assert_eq!([0, 1, 2, 3].map(is_there), [false, false, true, true]);
        assert_eq!(pool.shrink(Owner::ROOT, 10).dropped, 1);
        assert_eq!(pool.shrink(Owner::ROOT, 10).dropped, 0, "the last one is no duplicate");
        let counters = pool.counters();
        assert_eq!((counters.stored_pages, counters.dropped_duplicates), (1, 3));
        assert_eq!(pool.owner(Owner::ROOT).unwrap().pages, 1);
    }
}

/// Pools that compare pages, and their hashes.
fn both(toy: impl Fn() -> Toy) -> [Pool; 2] {
    [toy().pool(), toy().pool_with(|builder| builder.hash_duplicates(0x5EED))]
}
