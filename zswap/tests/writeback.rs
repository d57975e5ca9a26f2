//! Pages that go to a device and come back from it, and what happens when it fails.

#![expect(clippy::unwrap_used, reason = "test helpers unwrap like tests")]

mod devices;
mod pages;
mod toys;

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::thread;

use acomp_core::Direction;
use async_trait::async_trait;
use futures::executor::block_on;
use zswap::{
    FileDevice, Health, Load, LoadError, Loaded, Owner, PAGE_BYTES, Page, Pool, Revalidated, Slot,
    StoreError, SwapDevice, SwapDeviceControl, Unwritten, Worker,
};

use devices::{Ram, first_word, unwritten};
use pages::{filled, random, stamped};
use toys::Toy;

#[test]
fn every_page_gets_a_second_chance_and_then_the_oldest_goes_first() {
    let (pool, ram) = pool_with(Ram::new(100));
    store(&pool, 0..20);
    let first = pool.shrink(Owner::ROOT, 20);
    assert_eq!((first.rotated, first.written, first.failed), (20, 0, 0));
    let second = pool.shrink(Owner::ROOT, 5);
    assert_eq!((second.rotated, second.written, second.pages()), (0, 5, 5));
    assert_eq!(ram.take_log(), words(0..5));

    // Stored again, a page is the youngest, and has another chance.
    store(&pool, 5..6);
    let third = pool.shrink(Owner::ROOT, 100);
    assert_eq!((third.rotated, third.written), (1, 15));
    let order: Vec<_> = words(6..20).into_iter().chain(words(5..6)).collect();
    assert_eq!(ram.take_log(), order);
    let counters = pool.counters();
    assert_eq!((counters.stored_pages, counters.device_pages), (0, 20));
    assert_eq!((counters.zswpwb, counters.written_back_pages, counters.pswpout), (20, 20, 20));
    assert_eq!(counters.object_bytes, 0);
    assert_held(&pool, 0..20);
}

#[test]
fn pages_come_back_from_the_device_by_every_kind_of_load() {
    let (pool, ram) = pool_with(Ram::new(32));
    store(&pool, 0..20);
    write_back(&pool, 20);
    let mut back = [filled(0); 20];
    let loaded = pool.load_range(Slot(0), &mut back, Load::Shared).unwrap();
    assert_eq!((loaded.from_device, loaded.decompressed), (20, 0));
    assert!(back.iter().zip(0..).all(|(page, n)| *page == stamped(n)));
    pool.load(Slot(3), &mut back[0], Load::Duplicate).unwrap();
    assert!(back[0] == stamped(3));
    assert_eq!(pool.counters().duplicate_pages, 0, "it takes no memory");
    assert_eq!(pool.revalidate(Slot(3), &stamped(3)), Ok(Revalidated::Same));
    assert_eq!(pool.revalidate(Slot(4), &stamped(3)), Ok(Revalidated::Changed));
    pool.load(Slot(5), &mut back[0], Load::Exclusive).unwrap();
    assert!(back[0] == stamped(5));
    for slot in [4, 5] {
        assert_eq!(pool.load(Slot(slot), &mut back[0], Load::Shared), not_found(slot));
    }
    let counters = pool.counters();
    assert_eq!((counters.device_pages, counters.pswpin, counters.zswpin), (18, 22, 0));
    assert!(ram.reads() >= 22);
}

#[test]
fn pages_without_an_object_are_never_written() {
    let (pool, ram) = pool_with(Ram::new(32));
    pool.store(Slot(0), &[filled(0), filled(1), stamped(2)], Owner::ROOT).unwrap();
    write_back(&pool, 10);
    assert_eq!(ram.take_log(), words(2..3));
    assert_eq!((pool.counters().zero_pages, pool.counters().same_filled_pages), (1, 1));
}

#[test]
fn owner_without_writeback_keeps_its_pages_in_memory() {
    let (pool, ram) = pool_with(Ram::new(32));
    let (may, may_not) = (Owner::new(1), Owner::new(2));
    assert!(pool.set_owner_writeback(may_not, false));
    pool.store(Slot(0), &[stamped(0)], may_not).unwrap();
    pool.store(Slot(1), &[stamped(1)], may).unwrap();
    for owner in [may, may_not, Owner::new(63), Owner::new(64)] {
        pool.shrink(owner, 10);
        pool.shrink(owner, 10);
    }
    assert_eq!(ram.take_log(), words(1..2));
    let usage = pool.owner(may_not).unwrap();
    assert_eq!((usage.pages, usage.bytes, usage.has_writeback), (1, 64, false));
    let usage = pool.owner(may).unwrap();
    assert_eq!((usage.pages, usage.bytes, usage.has_writeback), (0, 0, true));
    assert!(pool.set_owner_writeback(may_not, true));
    pool.shrink(may_not, 10);
    assert_eq!(ram.take_log(), words(0..1));
    assert!(!pool.set_owner_writeback(Owner::new(64), true), "there is no such owner");
}

#[test]
fn without_a_device_nothing_is_written_and_nothing_lost() {
    let pool = Toy::new().pool();
    store(&pool, 0..10);
    for _ in 0..3 {
        assert_eq!(pool.shrink(Owner::ROOT, 100).pages(), 0);
    }
    assert_held(&pool, 0..10);
    assert_eq!(pool.counters().reject_reclaim_fail, 0);
}

#[test]
fn device_that_is_full_takes_what_fits_and_more_when_blocks_are_free() {
    let (pool, ram) = pool_with(Ram::new(5));
    store(&pool, 0..8);
    let written = write_back(&pool, 8);
    assert_eq!((written.0, written.1), (5, 3));
    assert_eq!(pool.counters().reject_reclaim_fail, 3);
    assert_eq!((pool.counters().device_pages, pool.counters().stored_pages), (5, 3));
    assert_held(&pool, 0..8);
    assert_eq!(ram.take_log(), words(0..5));
    pool.invalidate(Slot(0));
    pool.load(Slot(1), &mut filled(0), Load::Exclusive).unwrap();
    let after = pool.shrink(Owner::ROOT, 8);
    assert_eq!((after.written, after.failed), (2, 1));
    assert_eq!(ram.take_log(), words(5..7));
    assert_held(&pool, 2..8);
}

#[test]
fn blocks_are_used_again_for_as_long_as_there_are_pages() {
    let (pool, _) = pool_with(Ram::new(8));
    for round in 0..100 {
        let folio: Vec<_> = (0..8).map(|n| stamped(8 * round + n)).collect();
        pool.store(Slot(round % 3), &folio, Owner::ROOT).unwrap();
        assert_eq!(write_back(&pool, 8), (8, 0), "round {round}");
        let mut back = [filled(0); 8];
        match round % 2 {
            0 => pool.load_range(Slot(round % 3), &mut back, Load::Exclusive).map(drop).unwrap(),
            _ => (0..8).for_each(|n| pool.invalidate(Slot(round % 3 + n))),
        }
        assert!(round % 2 == 1 || back == *folio);
    }
    assert_eq!((pool.counters().device_pages, pool.counters().stored_pages), (0, 0));
}

#[test]
fn short_write_keeps_the_pages_that_were_not_written() {
    for written in [0, 1, 3, 7] {
        let fails = Arc::new(AtomicBool::new(true));
        let failing = Arc::clone(&fails);
        let ram = Ram::new(32).on_write(move |_| failing.load(Relaxed).then(|| unwritten(written)));
        let (pool, ram) = pool_with(ram);
        store(&pool, 0..8);
        assert_eq!(write_back(&pool, 8), (written, 8 - written));
        let counters = pool.counters();
        assert_eq!(counters.reject_reclaim_fail, 8 - written as u64);
        assert_eq!((counters.device_pages, counters.zswpwb), (written as u64, written as u64));
        let usage = pool.owner(Owner::ROOT).unwrap();
        assert_eq!((usage.pages, usage.bytes), (8 - written as u64, 64 * (8 - written as u64)));
        assert_held(&pool, 0..8);
        fails.store(false, Relaxed);
        assert_eq!(pool.shrink(Owner::ROOT, 8).written, 8 - written);
        assert_eq!(ram.take_log(), words(0..8));
        assert_held(&pool, 0..8);
    }
}

#[test]
fn device_that_claims_more_than_it_was_given_is_believed_no_further() {
    let claims = |pages: &[(u32, &Page)]| {
        let error = io::Error::other("EIO");
        Some(Unwritten { written: pages.len() + 100, error })
    };
    let (pool, _) = pool_with(Ram::new(32).on_write(claims));
    store(&pool, 0..3);
    assert_eq!(write_back(&pool, 3), (3, 0));
    assert_held(&pool, 0..3);
}

#[test]
fn page_that_fails_is_not_tried_again_before_the_others() {
    let calls = AtomicUsize::new(0);
    let first_fails =
        move |_: &[(u32, &Page)]| (calls.fetch_add(1, Relaxed) == 0).then(|| unwritten(0));
    let (pool, ram) = pool_with(Ram::new(32).on_write(first_fails));
    store(&pool, 0..12);
    pool.shrink(Owner::ROOT, 12);
    assert_eq!(pool.shrink(Owner::ROOT, 3).failed, 3);
    assert_eq!(pool.shrink(Owner::ROOT, 12).written, 12);
    let order: Vec<_> = words(3..12).into_iter().chain(words(0..3)).collect();
    assert_eq!(ram.take_log(), order);
}

#[test]
fn page_that_cannot_be_read_stays_and_the_error_is_told_and_counted() {
    let fails = Arc::new(AtomicBool::new(true));
    let failing = Arc::clone(&fails);
    let eio = move |_| failing.load(Relaxed).then(|| io::Error::from(io::ErrorKind::TimedOut));
    let (pool, _) = pool_with(Ram::new(32).on_read(eio));
    store(&pool, 0..2);
    write_back(&pool, 2);
    let mut back = [filled(0); 2];
    let lost = Err(LoadError::Device { slot: Slot(0), error: io::ErrorKind::TimedOut });
    for how in [Load::Shared, Load::Exclusive, Load::Duplicate] {
        assert_eq!(pool.load(Slot(0), &mut back[0], how), lost);
        assert_eq!(pool.load_range(Slot(0), &mut back, how), lost);
    }
    assert_eq!(pool.revalidate(Slot(0), &stamped(0)).map(drop), lost.map(drop));
    let counters = pool.counters();
    assert_eq!((counters.device_pages, counters.pswpin), (2, 0));
    assert_eq!(counters.device_read_fail, 7);
    fails.store(false, Relaxed);
    pool.load_range(Slot(0), &mut back, Load::Exclusive).unwrap();
    assert!(back == [stamped(0), stamped(1)]);
    assert_eq!(pool.counters().device_pages, 0);
}

#[test]
fn damaged_block_is_refused_and_stays() {
    let (pool, ram) = pool_with(Ram::new(32));
    store(&pool, 0..3);
    write_back(&pool, 2);
    ram.damage();
    let mut back = [filled(0); 3];
    for how in [Load::Shared, Load::Exclusive, Load::Duplicate] {
        let refused = Err(LoadError::Checksum { slot: Slot(1) });
        assert_eq!(pool.load(Slot(1), &mut back[0], how), refused);
    }
    let refused = Err(LoadError::Checksum { slot: Slot(0) });
    assert_eq!(pool.load_range(Slot(0), &mut back, Load::Exclusive), refused);
    let counters = pool.counters();
    assert_eq!((counters.checksum_fail, counters.device_pages, counters.stored_pages), (4, 2, 1));
    ram.damage();
    assert_held(&pool, 0..3);
}

/// What the caller does to pages while they are on their way to the device.
#[test]
fn page_that_is_used_while_it_is_written_is_never_stale() {
    type Use = fn(&Pool, Slot);
    let uses: [(&str, Use, Option<u64>); 6] = [
        ("load", |pool, slot| load_as(pool, slot, Load::Exclusive), None),
        ("invalidate", |pool, slot| pool.invalidate(slot), None),
        ("replace", |pool, slot| pool.store(slot, &[stamped(77)], Owner::ROOT).unwrap(), Some(77)),
        (
            "replace with the same",
            |pool, slot| pool.store(slot, &[stamped(slot.0)], Owner::ROOT).unwrap(),
            Some(3),
        ),
        ("duplicate", |pool, slot| load_as(pool, slot, Load::Duplicate), Some(3)),
        (
            "revalidate",
            |pool, slot| assert_eq!(pool.revalidate(slot, &filled(1)), Ok(Revalidated::Changed)),
            None,
        ),
    ];
    for (name, its_use, expected) in uses {
        let pool: Arc<OnceLock<Pool>> = Arc::default();
        let its_pool = Arc::clone(&pool);
        let is_first = AtomicBool::new(true);
        let ram = Ram::new(8).on_write(move |_| {
            if is_first.swap(false, Relaxed) {
                its_use(its_pool.get().unwrap(), Slot(3));
            }
            None
        });
        let pool = pool.get_or_init(|| pool_with(ram).0);
        store(pool, 0..8);
        assert_eq!(write_back(pool, 8), (7, 0), "{name}");
        let mut back = filled(0);
        let loaded = pool.load(Slot(3), &mut back, Load::Shared);
        match expected {
            Some(n) => assert!(loaded == Ok(in_memory()) && back == stamped(n), "{name}"),
            None => assert_eq!(loaded, not_found(3), "{name}"),
        }
        let counters = pool.counters();
        assert_eq!((counters.device_pages, counters.reject_reclaim_fail), (7, 0), "{name}");
        assert_eq!(counters.stored_pages, u64::from(expected.is_some()), "{name}");
        // Its block is free again.
        pool.store(Slot(100), &[stamped(100)], Owner::ROOT).unwrap();
        pool.invalidate(Slot(3));
        assert_eq!(write_back(pool, 8), (1, 0), "{name}");
        (0..101).for_each(|slot| pool.invalidate(Slot(slot)));
        assert_empty(pool);
    }
}

/// The list is read before the pages are: a page may change its kind between.
#[test]
fn page_that_becomes_a_duplicate_before_it_is_read_is_not_written() {
    let pool: Arc<OnceLock<Pool>> = Arc::default();
    let its_pool = Arc::clone(&pool);
    let is_armed = Arc::new(AtomicBool::new(false));
    let armed = Arc::clone(&is_armed);
    let toy = Toy::new().on_op(move |direction, _| {
        if direction == Direction::Decompress && armed.swap(false, Relaxed) {
            // A raw page: this takes no context, and the one of this CPU is locked.
            let loaded = its_pool.get()?.load(Slot(1), &mut filled(0), Load::Duplicate);
            assert!(loaded.is_ok());
        }
        None
    });
    let ram = Arc::new(Ram::new(8));
    let pool = pool.get_or_init(|| toy.pool_with(|builder| builder.device(Arc::clone(&ram) as _)));
    pool.store(Slot(0), &[stamped(0), random(1), stamped(2)], Owner::ROOT).unwrap();
    pool.shrink(Owner::ROOT, 3);
    is_armed.store(true, Relaxed);
    pool.shrink(Owner::ROOT, 3);
    assert_eq!(ram.take_log(), [stamped(0), stamped(2)].map(|page| first_word(&page)));
    assert_eq!(pool.counters().duplicate_pages, 1);
    assert_eq!(pool.revalidate(Slot(1), &random(1)), Ok(Revalidated::Same));
    (0..3).for_each(|slot| pool.invalidate(Slot(slot)));
    assert_empty(pool);
}

/// Blocks are given out again at once: who is about to read one may come too late.
#[test]
fn page_whose_block_is_given_to_another_while_it_is_read_is_no_damaged_page() {
    for is_replaced in [true, false] {
        let pool: Arc<OnceLock<Pool>> = Arc::default();
        let its_pool = Arc::clone(&pool);
        let is_first = AtomicBool::new(true);
        let ram = Ram::new(1).on_read(move |_| {
            if is_first.swap(false, Relaxed) {
                let pool = its_pool.get()?;
                match is_replaced {
                    true => pool.store(Slot(0), &[stamped(10)], Owner::ROOT).unwrap(),
                    false => pool.invalidate(Slot(0)),
                }
                pool.store(Slot(1), &[random(11)], Owner::new(1)).unwrap();
                pool.shrink(Owner::new(1), 1);
                assert_eq!(pool.shrink(Owner::new(1), 1).written, 1);
            }
            None
        });
        let pool = pool.get_or_init(|| pool_with(ram).0);
        store(pool, 0..1);
        assert_eq!(write_back(pool, 1), (1, 0));
        let mut back = filled(0);
        let loaded = pool.load(Slot(0), &mut back, Load::Shared);
        match is_replaced {
            true => assert!(loaded.is_ok() && back == stamped(10)),
            false => assert_eq!(loaded, not_found(0)),
        }
        assert_eq!(pool.counters().checksum_fail, 0);
        (0..2).for_each(|slot| pool.invalidate(Slot(slot)));
        assert_empty(pool);
    }
}

#[test]
fn duplicates_go_first_and_never_to_the_device() {
    let (pool, ram) = pool_with(Ram::new(32));
    store(&pool, 0..10);
    for slot in [7, 2, 4] {
        pool.load(Slot(slot), &mut filled(0), Load::Duplicate).unwrap();
    }
    assert_eq!(pool.counters().duplicate_pages, 3);
    let first = pool.shrink(Owner::ROOT, 2);
    assert_eq!((first.dropped, first.pages(), first.rotated), (2, 2, 0));
    let gone = |slot| pool.load(Slot(slot), &mut filled(0), Load::Shared) == not_found(slot);
    assert!(gone(7) && gone(2) && !gone(4), "the first duplicate first");
    assert_eq!(pool.revalidate(Slot(2), &stamped(2)), Ok(Revalidated::Gone));
    // One that is no duplicate any more is written back like any other.
    assert_eq!(pool.revalidate(Slot(4), &stamped(4)), Ok(Revalidated::Same));
    assert_eq!(write_back(&pool, 8), (8, 0));
    let rest: Vec<_> = [0, 1, 3, 5, 6, 8, 9, 4].map(|n| first_word(&stamped(n))).into();
    assert_eq!(ram.take_log(), rest);
    assert_eq!((pool.counters().dropped_duplicates, pool.counters().duplicate_pages), (2, 0));
}

#[test]
fn pool_that_was_full_accepts_pages_again_below_the_threshold() {
    for (threshold, accepts_at) in [(90, 90), (50, 50), (0, 0), (100, 99)] {
        let pool = Toy::new().pool_with(|builder| builder.total_bytes(TOTAL));
        pool.set("max_pool_percent", "50").unwrap();
        pool.set("accept_threshold_percent", &threshold.to_string()).unwrap();
        let max = TOTAL / 2;
        let filled_up = fill(&pool);
        assert_eq!(pool.counters().pool_limit_hit, 1);
        assert!(pool.counters().pool_total_size >= max);
        for slot in 0..filled_up {
            pool.invalidate(Slot(slot));
            let held = pool.counters().pool_total_size;
            let stored = pool.store(Slot(1 << 30), &[filled(1)], Owner::ROOT);
            if stored.is_ok() {
                assert!(held * 100 <= max * threshold && held < max, "{threshold}: at {held}");
                assert!(held + (256 << 10) >= max * accepts_at / 100, "{threshold}: late, {held}");
                break;
            }
            assert_eq!(stored, Err(StoreError::PoolLimit));
            assert!(held >= max || held * 100 > max * threshold, "{threshold}: {held} refused");
        }
        // Now that it has been below, it may be filled again.
        assert_eq!(pool.store(Slot(1 << 30), &[random(1)], Owner::ROOT), Ok(()));
    }
}

#[test]
fn maintenance_empties_a_pool_that_was_full_to_the_threshold() {
    let ram = Arc::new(Ram::new(10_000));
    let device = Arc::clone(&ram);
    let pool = Toy::new().pool_with(|builder| builder.total_bytes(TOTAL).device(device).owners(3));
    pool.set("max_pool_percent", "50").unwrap();
    assert!(!pool.is_wanting());
    let slots = fill(&pool);
    assert!(pool.is_wanting(), "the failed store asks for it");
    let done = pool.maintain().unwrap();
    assert!(done.reclaimed.written > 0 && done.reclaimed.failed == 0);
    assert!(pool.counters().pool_total_size <= TOTAL / 2 * 90 / 100);
    assert_eq!(ram.take_log().len() as u64, pool.counters().zswpwb);
    let before = pool.counters().zswpwb;
    pool.maintain().unwrap();
    assert_eq!(pool.counters().zswpwb, before, "no more than is needed");
    assert_eq!(pool.store(Slot(slots), &[random(slots)], Owner::ROOT), Ok(()));
    for slot in 0..=slots {
        let mut back = filled(0);
        pool.load(Slot(slot), &mut back, Load::Exclusive).unwrap();
        assert!(back == random(slot), "{slot}");
    }
    assert_empty(&pool);
}

#[test]
fn maintenance_of_a_full_pool_comes_to_every_owner() {
    let device = Arc::new(Ram::new(10_000));
    let pool = Toy::new().pool_with(|builder| builder.total_bytes(TOTAL).device(device).owners(3));
    pool.set("max_pool_percent", "50").unwrap();
    let last = Owner::new(2);
    (0..).find(|slot| pool.store(Slot(*slot), &[random(*slot)], last).is_err()).unwrap();
    assert!(pool.maintain().unwrap().reclaimed.written > 0);
    assert!(pool.counters().pool_total_size <= TOTAL / 2 * 90 / 100);
}

#[test]
fn maintenance_of_a_full_pool_ends_when_nothing_can_be_written() {
    let failing = Arc::new(Ram::new(10_000).on_write(|_| Some(unwritten(0))));
    let devices: [Option<Arc<Ram>>; 3] = [None, Some(Arc::new(Ram::new(0))), Some(failing)];
    for device in devices {
        let pool = Toy::new().pool_with(|builder| {
            let builder = builder.total_bytes(TOTAL);
            match &device {
                Some(device) => builder.device(Arc::clone(device) as _),
                None => builder,
            }
        });
        pool.set("max_pool_percent", "50").unwrap();
        fill(&pool);
        let done = pool.maintain().unwrap();
        assert_eq!(done.reclaimed.pages(), 0);
        assert_eq!(pool.counters().reject_reclaim_fail, done.reclaimed.failed as u64);
        assert_eq!(pool.store(Slot(0), &[filled(1)], Owner::ROOT), Err(StoreError::PoolLimit));
    }
}

#[test]
fn owner_at_its_limit_writes_its_own_pages_back_first() {
    let (pool, ram) = pool_with(Ram::new(64));
    let (limited, other) = (Owner::new(1), Owner::new(2));
    pool.store(Slot(100), &[stamped(100)], other).unwrap();
    pool.shrink(other, 1);
    assert!(pool.set_owner_limit(limited, Some(8 * 64)));
    assert_eq!(pool.owner(limited).unwrap().limit_bytes, Some(8 * 64));
    for n in 0..30 {
        pool.store(Slot(n), &[stamped(n)], limited).unwrap();
        assert!(pool.owner(limited).unwrap().bytes <= 8 * 64, "page {n}");
    }
    let log = ram.take_log();
    assert_eq!(log, words(0..log.len() as u64), "its own pages, the oldest first");
    assert_eq!(pool.owner(other).unwrap().pages, 1);
    assert_held(&pool, 0..30);

    // Duplicates go before anything is written.
    let held = pool.owner(limited).unwrap().pages;
    (30..30 + 8 - held).for_each(|n| pool.store(Slot(n), &[stamped(n)], limited).unwrap());
    pool.load(Slot(29), &mut filled(0), Load::Duplicate).unwrap();
    pool.store(Slot(50), &[stamped(50)], limited).unwrap();
    assert_eq!(pool.counters().dropped_duplicates, 1);
}

#[test]
fn owner_at_its_limit_is_refused_if_nothing_can_be_written() {
    let (pool, ram) = pool_with(Ram::new(64));
    let limited = Owner::new(1);
    pool.set_owner_limit(limited, Some(2 * 64));
    pool.set_owner_writeback(limited, false);
    pool.store(Slot(0), &[stamped(0), stamped(1)], limited).unwrap();
    let refused = Err(StoreError::OwnerLimit { owner: limited });
    assert_eq!(pool.store(Slot(2), &[stamped(2)], limited), refused);
    assert_eq!(pool.store(Slot(2), &[stamped(2)], Owner::ROOT), Ok(()));
    assert!(pool.set_owner_limit(limited, None));
    assert_eq!(pool.store(Slot(3), &[stamped(3)], limited), Ok(()));
    pool.set_owner_limit(limited, Some(0));
    assert_eq!(pool.store(Slot(4), &[filled(0)], limited), refused);
    assert_held(&pool, 0..4);
    assert!(ram.take_log().is_empty());
    assert!(!pool.set_owner_limit(Owner::new(64), None), "there is no such owner");
    assert_eq!(pool.owner(Owner::new(64)), None);
}

#[test]
fn shrinker_counts_what_it_is_worth_to_write_back() {
    let (pool, _) = pool_with(Ram::new(256));
    for n in 0..128 {
        pool.store(Slot(n), &[random(n)], Owner::ROOT).unwrap();
    }
    assert_eq!(pool.shrink_count(Owner::ROOT), 0, "the shrinker is off");
    pool.set("shrinker_enabled", "Y").unwrap();
    assert_eq!(pool.shrink_count(Owner::ROOT), 128, "raw pages are worth what they take");
    assert_eq!(pool.shrink_count(Owner::new(1)), 0);
    assert_eq!(pool.shrink_count(Owner::new(64)), 0);

    // Each page that came from the device protects one, until the shrinker has looked.
    assert_eq!(write_back(&pool, 28), (28, 0));
    assert_eq!(pool.shrink_count(Owner::ROOT), 100);
    for n in 0..10 {
        pool.load(Slot(n), &mut filled(0), Load::Shared).unwrap();
    }
    assert_eq!(pool.shrink_count(Owner::ROOT), 90);
    pool.shrink(Owner::ROOT, 4);
    assert_eq!(pool.shrink_count(Owner::ROOT), 96 - 6, "four were written, six are protected");
    pool.shrink(Owner::ROOT, 6);
    assert_eq!(pool.shrink_count(Owner::ROOT), 90);

    pool.set_owner_writeback(Owner::ROOT, false);
    assert_eq!(pool.shrink_count(Owner::ROOT), 0);
    pool.set_owner_writeback(Owner::ROOT, true);

    // The better pages compress, the less there is to gain: here a 64th.
    let owner = Owner::new(1);
    for n in 1000..1128 {
        pool.store(Slot(n), &[stamped(n)], owner).unwrap();
    }
    assert_eq!(pool.shrink_count(owner), 2);
    let alone = Toy::new().pool();
    alone.set("shrinker_enabled", "1").unwrap();
    alone.store(Slot(0), &[random(0)], Owner::ROOT).unwrap();
    assert_eq!(alone.shrink_count(Owner::ROOT), 0, "there is no device");
}

#[test]
fn file_keeps_pages_and_gives_them_back() {
    let dir = tempfile::tempdir().unwrap();
    let file = Arc::new(FileDevice::create(dir.path().join("swap"), 64 * 4096 + 17).unwrap());
    assert_eq!(file.blocks(), 64);
    let device = Arc::clone(&file);
    let pool = Toy::new().pool_with(|builder| builder.device(device));
    store(&pool, 0..64);
    assert_eq!(write_back(&pool, 64), (64, 0));
    block_on(file.flush()).unwrap();
    // Aligned for direct transfers, and not.
    let mut places = vec![0; 65 * PAGE_BYTES];
    for offset in [0, 8, 512, 4095] {
        let back: &mut Page = places[offset..].first_chunk_mut().unwrap();
        pool.load(Slot(offset as u64 % 64), back, Load::Shared).unwrap();
        assert!(*back == stamped(offset as u64 % 64));
    }
    let mut folio = vec![filled(0); 64];
    pool.load_range(Slot(0), &mut folio, Load::Shared).unwrap();
    assert!(folio.iter().zip(0..).all(|(page, n)| *page == stamped(n)));
    let health = block_on(file.health());
    assert_eq!((health.read_errors, health.write_errors), (0, 0));

    // A hole is no page.
    block_on(file.trim(3, 1)).unwrap();
    let refused = Err(LoadError::Checksum { slot: Slot(3) });
    assert_eq!(pool.load(Slot(3), &mut folio[0], Load::Shared), refused);
    pool.load(Slot(4), &mut folio[0], Load::Shared).unwrap();
}

#[test]
fn file_refuses_blocks_it_does_not_have_and_counts_that() {
    let dir = tempfile::tempdir().unwrap();
    let file = FileDevice::create(dir.path().join("swap"), 2 * 4096).unwrap();
    let page = stamped(1);
    assert!(file.read(2, &mut filled(0)).is_err());
    let failed = file.write(&[(0, &page), (2, &page), (1, &page)]).unwrap_err();
    assert_eq!(failed.written, 1);
    let health = block_on(file.health());
    assert_eq!((health.read_errors, health.write_errors), (1, 1));
    let mut back = filled(0);
    file.read(0, &mut back).unwrap();
    assert!(back == page);
    assert!(FileDevice::create(dir.path(), 4096).is_err(), "a directory");
    assert!(FileDevice::create(dir.path().join("huge"), u64::MAX).is_err());
}

#[test]
fn file_that_shrinks_under_the_pool_fails_loads_and_loses_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("swap");
    let device = Arc::new(FileDevice::create(&path, 64 * 4096).unwrap());
    let control = Arc::clone(&device);
    let pool = Toy::new().pool_with(|builder| builder.device(device));
    store(&pool, 0..3);
    write_back(&pool, 2);
    std::fs::File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
    let lost = Err(LoadError::Device { slot: Slot(0), error: io::ErrorKind::UnexpectedEof });
    assert_eq!(pool.load(Slot(0), &mut filled(0), Load::Exclusive), lost);
    assert_eq!(block_on(control.health()).read_errors, 1);
    assert_held(&pool, 2..3);
}

fn pool_with(ram: Ram) -> (Pool, Arc<Ram>) {
    let ram = Arc::new(ram);
    let device = Arc::clone(&ram);
    (Toy::new().pool_with(|builder| builder.device(device)), ram)
}

/// Stores each page under its number.
fn store(pool: &Pool, numbers: std::ops::Range<u64>) {
    numbers.for_each(|n| pool.store(Slot(n), &[stamped(n)], Owner::ROOT).unwrap());
}

fn load_as(pool: &Pool, slot: Slot, how: Load) {
    pool.load(slot, &mut filled(0), how).unwrap();
}

/// Takes the second chance of all, and writes some of them back. How many were written, and failed.
fn write_back(pool: &Pool, pages: usize) -> (usize, usize) {
    pool.shrink(Owner::ROOT, listed(pool));
    let reclaimed = pool.shrink(Owner::ROOT, pages);
    (reclaimed.written, reclaimed.failed)
}

/// How many pages can be written back.
fn listed(pool: &Pool) -> usize {
    let counters = pool.counters();
    (counters.stored_pages - counters.same_filled_pages - counters.duplicate_pages) as usize
}

/// Stores random pages until the pool is full; how many.
fn fill(pool: &Pool) -> u64 {
    (0..).find(|n| pool.store(Slot(*n), &[random(*n)], Owner::ROOT).is_err()).unwrap()
}

fn words(numbers: std::ops::Range<u64>) -> Vec<u64> {
    numbers.map(|n| first_word(&stamped(n))).collect()
}

#[track_caller]
fn assert_held(pool: &Pool, mut numbers: std::ops::Range<u64>) {
    let is_held = |n| {
        let mut back = filled(0);
        pool.load(Slot(n), &mut back, Load::Shared).is_ok() && back == stamped(n)
    };
    assert_eq!(numbers.find(|n| !is_held(*n)), None);
}

#[track_caller]
fn assert_empty(pool: &Pool) {
    let counters = pool.counters();
    let held = [
        counters.stored_pages,
        counters.zero_pages,
        counters.same_filled_pages,
        counters.stored_incompressible_pages,
        counters.device_pages,
        counters.duplicate_pages,
        counters.object_bytes,
    ];
    assert_eq!(held, [0; 7]);
    let usage = pool.owner(Owner::ROOT).unwrap();
    assert_eq!((usage.pages, usage.bytes), (0, 0));
}

fn not_found(slot: u64) -> Result<Loaded, LoadError> {
    Err(LoadError::NotFound { slot: Slot(slot) })
}

fn in_memory() -> Loaded {
    let mut loaded = Loaded::default();
    loaded.decompressed = 1;
    loaded
}

const TOTAL: u64 = 8 << 20;

#[test]
fn one_bad_block_costs_a_page_not_the_device() {
    let is_bad = |pages: &[(u32, &Page)]| pages.iter().position(|(block, _)| *block == 0);
    let ram = Ram::new(1000).on_write(move |pages| is_bad(pages).map(unwritten));
    let pool = Toy::new().pool_with(|builder| builder.device(Arc::new(ram)));
    let folio: Vec<_> = (0..200).map(stamped).collect();
    pool.store(Slot(0), &folio, Owner::ROOT).unwrap();
    let reclaimed: Vec<_> = (0..20).map(|_| pool.shrink(Owner::ROOT, 32)).collect();
    assert!(reclaimed.iter().map(|reclaimed| reclaimed.written).sum::<usize>() >= 190);
    let mut back = vec![filled(0); 200];
    pool.load_range(Slot(0), &mut back, Load::Exclusive).unwrap();
    assert!(back == folio);
}

#[test]
fn worker_gives_the_space_of_a_device_back_and_flushes_it() {
    let (trims, flushes) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let device = Arc::new(Operated { ram: Ram::new(100), trims, flushes });
    let swap: Arc<dyn SwapDevice> = device.clone();
    let pool = Arc::new(Toy::new().pool_with(|builder| builder.device(swap)));
    let folio: Vec<_> = (0..8).map(stamped).collect();
    pool.store(Slot(0), &folio, Owner::ROOT).unwrap();
    pool.shrink(Owner::ROOT, 8);
    assert_eq!(pool.shrink(Owner::ROOT, 8).written, 8);
    let worker = Worker::operate(&pool, device.clone()).unwrap();
    drop(worker);
    assert_eq!((device.trims.load(Relaxed), device.flushes.load(Relaxed)), (0, 1));
    let mut back = vec![filled(0); 8];
    pool.load_range(Slot(0), &mut back, Load::Exclusive).unwrap();
    assert!(back == folio);
    let worker = Worker::operate(&pool, device.clone()).unwrap();
    while device.trims.load(Relaxed) == 0 {
        thread::yield_now();
    }
    drop(worker);
    assert_eq!((device.trims.load(Relaxed), device.flushes.load(Relaxed)), (1, 2));
}

/// Counts how it is operated.
#[derive(Debug)]
struct Operated {
    ram: Ram,
    trims: AtomicUsize,
    flushes: AtomicUsize,
}

impl SwapDevice for Operated {
    fn blocks(&self) -> u32 {
        self.ram.blocks()
    }

    fn read(&self, block: u32, page: &mut Page) -> io::Result<()> {
        self.ram.read(block, page)
    }

    fn write(&self, pages: &[(u32, &Page)]) -> Result<(), Unwritten> {
        self.ram.write(pages)
    }
}

#[async_trait]
impl SwapDeviceControl for Operated {
    async fn flush(&self) -> io::Result<()> {
        self.flushes.fetch_add(1, Relaxed);
        Ok(())
    }

    async fn trim(&self, first: u32, blocks: u32) -> io::Result<()> {
        assert_eq!((first, blocks), (0, 100));
        self.trims.fetch_add(1, Relaxed);
        Ok(())
    }

    async fn health(&self) -> Health {
        Health::default()
    }
}
