//! Whatever the reason why a store fails: nothing stale is left under its slots, and nothing else
//! is touched.

#![expect(clippy::unwrap_used, reason = "test helpers unwrap like tests")]

mod devices;
mod pages;
mod toys;

use std::sync::Arc;

use zswap::{
    FOLIO_PAGES_MAX, Housekeeping, Load, LoadError, Owner, Page, Pool, RangeError, Slot, StoreError,
};

use devices::Ram;
use pages::{filled, random, stamped};
use toys::Toy;

#[test]
fn range() {
    let too_long = vec![stamped(7); FOLIO_PAGES_MAX + 1];
    let why = RangeError::FolioPages { pages: FOLIO_PAGES_MAX + 1 };
    check(Old::new(pool()), &too_long, OWNER, StoreError::Range(why));
}

#[test]
fn range_beyond_the_last_slot() {
    let pool = pool();
    let first = Slot(u64::MAX - 1);
    pool.store(Slot(first.0 - 1), &[stamped(0), stamped(1), filled(0)], OWNER).unwrap();
    pool.store(Slot(0), &[stamped(3)], OWNER).unwrap();
    let why = RangeError::Slots { first, pages: 5 };
    assert_eq!(pool.store(first, &[stamped(9); 5], OWNER), Err(why.into()));
    assert_eq!((load(&pool, first.0), load(&pool, u64::MAX)), (None, None));
    assert!(load(&pool, first.0 - 1) == Some(stamped(0)), "the one before");
    assert!(load(&pool, 0) == Some(stamped(3)), "and not around the end");
}

#[test]
fn disabled() {
    let old = Old::new(pool());
    old.pool.set("enabled", "N").unwrap();
    check(old, &folio(), OWNER, StoreError::Disabled);
}

#[test]
fn no_such_owner() {
    let owner = Owner::new(64);
    check(Old::new(pool()), &folio(), owner, StoreError::NoOwner { owner });
}

#[test]
fn owner_limit() {
    for limit in [0, 64] {
        let old = Old::new(pool());
        old.pool.set_owner_limit(OWNER, Some(limit));
        check(old, &folio(), OWNER, StoreError::OwnerLimit { owner: OWNER });
    }
}

/// Also what the store itself has written back first.
#[test]
fn owner_limit_with_pages_that_were_written_back() {
    let old = Old::new(toy().pool_with(|builder| builder.device(Arc::new(Ram::new(4)))));
    old.pool.shrink(OWNER, 100);
    old.pool.shrink(OWNER, 100);
    assert_eq!(old.pool.counters().device_pages, 4);
    old.pool.set_owner_limit(OWNER, Some(0));
    check(old, &folio(), OWNER, StoreError::OwnerLimit { owner: OWNER });
}

#[test]
fn pool_limit() {
    let old = Old::new(pool());
    old.pool.set("max_pool_percent", "0").unwrap();
    check(old, &folio(), OWNER, StoreError::PoolLimit);
}

/// The folio begins to be stored, and then the memory ends.
#[test]
fn pool_that_becomes_full_in_the_middle() {
    let pool = toy().pool_with(|builder| builder.total_bytes(2 << 20));
    pool.set("max_pool_percent", "100").unwrap();
    let old = Old::new(pool);
    let mut folio: Vec<_> = (0..FOLIO_PAGES_MAX as u64).map(random).collect();
    folio[0] = filled(1);
    // Until there is room for a part of it only.
    let filler = Slot(1 << 40);
    old.pool.store(filler, &folio[..300], Owner::ROOT).unwrap();
    check(old, &folio, OWNER, StoreError::PoolLimit);
}

#[test]
fn no_memory_for_objects() {
    let old = Old::new(apart());
    let stored = |n| old.pool.store(Slot((1 << 40) + n), &[random(n)], Owner::ROOT);
    let failed = (0..100_000).find_map(|n| stored(n).err());
    assert_eq!(failed, Some(StoreError::NoMemory));
    let folio: Vec<_> = (0..FOLIO).map(|n| random(200_000 + n)).collect();
    check(old, &folio, OWNER, StoreError::NoMemory);
}

/// A part of the folio has its places already.
#[test]
fn no_memory_for_places() {
    let pool = apart();
    let stored = |n| pool.store(Slot(n), &[filled(n + 1)], OWNER);
    let end = (0..1 << 20).find(|n| stored(*n).is_err()).unwrap();
    let folio: Vec<_> = (0..FOLIO).map(|n| filled(1 << 32 | n)).collect();
    assert_eq!(pool.store(Slot(end - 7), &folio, OWNER), Err(StoreError::NoMemory));
    for slot in 0..end + 2 * FOLIO {
        let expected = (slot < end - 7).then(|| filled(slot + 1));
        assert!(load(&pool, slot) == expected, "slot {slot} of {end}");
    }
    assert_eq!(pool.owner(OWNER).unwrap().pages, end - 7);
    let counters = pool.counters();
    assert_eq!((counters.same_filled_pages, counters.stored_pages), (end - 7, end - 7));
    assert!(pool.is_wanting());
    pool.maintain().unwrap();
    assert_eq!(pool.store(Slot(end - 7), &folio, OWNER), Ok(()));
}

#[test]
fn page_that_does_not_compress_wherever_it_stands() {
    for at in 0..FOLIO {
        let old = Old::new(pool());
        old.pool.set_owner_writeback(OWNER, false);
        let mut folio = folio();
        folio[at as usize] = random(at);
        let slot = Slot(FIRST + at);
        check(old, &folio, OWNER, StoreError::Incompressible { slot });
    }
}

#[test]
fn pages_on_the_device_and_duplicates_are_stale_as_well() {
    let old = Old::new(toy().pool_with(|builder| builder.device(Arc::new(Ram::new(100)))));
    for slot in FIRST..FIRST + FOLIO {
        old.pool.load(Slot(slot), &mut filled(0), Load::Duplicate).unwrap();
    }
    // All but the duplicates.
    old.pool.set("enabled", "N").unwrap();
    check(old, &folio(), OWNER, StoreError::Disabled);

    let old = Old::new(toy().pool_with(|builder| builder.device(Arc::new(Ram::new(100)))));
    old.pool.shrink(OWNER, 100);
    assert!(old.pool.counters().device_pages > 0);
    old.pool.set("enabled", "N").unwrap();
    check(old, &folio(), OWNER, StoreError::Disabled);
}

/// A pool with older pages under the slots of the folio to come, of every kind, and around them.
struct Old {
    pool: Pool,
}

impl Old {
    fn new(pool: Pool) -> Self {
        let first = FIRST - FOLIO;
        for (slot, n) in (first..first + 4 * FOLIO).zip(0..) {
            pool.store(Slot(slot), &[old_page(n)], OWNER).unwrap();
        }
        Self { pool }
    }
}

/// Slots that the folio goes beyond a partition with.
const FIRST: u64 = (1 << 14) - 7;
const FOLIO: u64 = 19;
const OWNER: Owner = Owner::new(5);

fn check(old: Old, folio: &[Page], owner: Owner, error: StoreError) {
    let pool = old.pool;
    let before = pool.counters();
    assert_eq!(pool.store(Slot(FIRST), folio, owner), Err(error));
    let counters = pool.counters();
    assert_eq!((counters.zswpout, counters.swpout_zero), (before.zswpout, before.swpout_zero));
    let first = FIRST - FOLIO;
    for (slot, n) in (first..first + 4 * FOLIO).zip(0..) {
        let is_in = (FIRST..FIRST + folio.len() as u64).contains(&slot);
        let expected = (!is_in).then(|| old_page(n));
        assert!(load(&pool, slot) == expected, "slot {slot}: {error}");
        pool.invalidate(Slot(slot));
    }
    let usage = pool.owner(OWNER).unwrap();
    assert_eq!((usage.pages, usage.bytes), (0, 0), "what was begun is off the account");
    assert_eq!((pool.counters().device_pages, pool.counters().duplicate_pages), (0, 0));
}

fn old_page(n: u64) -> Page {
    match n % 4 {
        0 => filled(0),
        1 => filled(n),
        2 => stamped(1000 + n),
        _ => random(1000 + n),
    }
}

fn folio() -> Vec<Page> {
    (0..FOLIO).map(stamped).collect()
}

fn toy() -> Toy {
    Toy::new().batch_size(4)
}

fn pool() -> Pool {
    toy().pool()
}

/// With the least reserve there is, which nobody fills.
fn apart() -> Pool {
    let builder = |builder: zswap::Builder| builder.reserve_bytes(1).total_bytes(1 << 30);
    toy().pool_with(|it| builder(it).housekeeping(Housekeeping::Apart))
}

fn load(pool: &Pool, slot: u64) -> Option<Page> {
    let mut back = filled(0xBAD);
    match pool.load(Slot(slot), &mut back, Load::Shared) {
        Ok(_) => Some(back),
        Err(error) => {
            assert_eq!(error, LoadError::NotFound { slot: Slot(slot) });
            None
        }
    }
}
