//! Compressors that fail, die or lie, and calls that cannot be served.

mod pages;
mod toys;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;

use acomp_algs as _;
use acomp_core::{Direction, Error, OpenError, Registry};
use rustix::thread::{CpuSet, sched_getcpu, sched_setaffinity};
use zswap::{
    FOLIO_PAGES_MAX, Load, LoadError, Owner, PAGE_BYTES, Page, Pool, RangeError, Slot, StoreError,
};

use pages::{STAMP_BYTES, filled, stamped};
use toys::{Toy, die};

#[test]
fn page_whose_compression_fails_is_kept_raw_wherever_it_stands() {
    for at in 0..FOLIO {
        for batch_size in [1, 8] {
            let pool = Toy::new()
                .batch_size(batch_size)
                .on_op(move |_, src| is_stamp(src, at).then_some(Err(Error::DeviceLost)))
                .pool();
            pool.store(Slot(0), &folio(), Owner::ROOT).unwrap();
            let counters = pool.counters();
            assert_eq!((counters.reject_compress_fail, counters.zswpout), (1, FOLIO), "{at}");
            assert_eq!((counters.stored_pages, counters.stored_incompressible_pages), (FOLIO, 1));
            assert_eq!(take_folio(&pool), Ok(()));
        }
    }
}

#[test]
fn store_survives_a_driver_that_panics_and_later_pages_are_compressed() {
    for at in 0..FOLIO {
        let pool =
            Toy::new().on_op(move |_, src| if is_stamp(src, at) { die() } else { None }).pool();
        pool.store(Slot(0), &folio(), Owner::ROOT).unwrap();
        let counters = pool.counters();
        assert_eq!(counters.stored_pages, FOLIO);
        assert_eq!(counters.stored_incompressible_pages, counters.reject_compress_fail);
        assert!((1..=8).contains(&counters.reject_compress_fail), "at most a sub-batch is raw");
        assert_eq!(take_folio(&pool), Ok(()));

        pool.store(Slot(100), &[stamped(99)], Owner::ROOT).unwrap();
        let after = pool.counters();
        assert_eq!(after.reject_compress_fail, counters.reject_compress_fail);
        assert_eq!(after.object_bytes, STAMP_BYTES as u64);
    }
}

#[test]
fn driver_that_dies_and_cannot_be_opened_again_costs_compression_only() {
    let (is_deadly, is_gone) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (deadly, gone) = (Arc::clone(&is_deadly), Arc::clone(&is_gone));
    let pool =
        Toy::new()
            .on_open(move || {
                if gone.load(Relaxed) { Err(OpenError::Device("gone".into())) } else { Ok(()) }
            })
            .on_op(move |_, _| if deadly.load(Relaxed) { die() } else { None })
            .pool();
    pool.store(Slot(0), &[stamped(0)], Owner::ROOT).unwrap();
    is_deadly.store(true, Relaxed);
    is_gone.store(true, Relaxed);
    let mut back = filled(0);
    for slot in 1..5 {
        pool.store(Slot(slot), &[stamped(slot)], Owner::ROOT).unwrap();
        pool.load(Slot(slot), &mut back, Load::Exclusive).unwrap();
        assert!(back == stamped(slot));
    }
    assert_eq!(pool.counters().reject_compress_fail, 4);
    let error = Error::Panicked;
    let lost = Err(LoadError::Decompress { slot: Slot(0), error });
    assert_eq!(pool.load(Slot(0), &mut back, Load::Exclusive), lost);

    is_deadly.store(false, Relaxed);
    is_gone.store(false, Relaxed);
    pool.load(Slot(0), &mut back, Load::Exclusive).unwrap();
    assert!(back == stamped(0), "nothing was lost");
}

#[test]
fn driver_that_opens_only_for_the_builder_serves_every_thread() {
    let built = Arc::new(AtomicBool::new(false));
    let is_built = Arc::clone(&built);
    let pool = Toy::new()
        .on_open(move || {
            if is_built.load(Relaxed) { Err(OpenError::Device("gone".into())) } else { Ok(()) }
        })
        .pool();
    built.store(true, Relaxed);
    thread::scope(|scope| {
        for thread in 0..8 {
            let pool = &pool;
            scope.spawn(move || {
                for round in 0..200 {
                    let (slot, page) = (Slot(thread), stamped(8 * round + thread));
                    pool.store(slot, &[page], Owner::ROOT).unwrap();
                    let mut back = filled(0);
                    pool.load(slot, &mut back, Load::Shared).unwrap();
                    assert!(back == page);
                }
            });
        }
    });
    assert_eq!((pool.counters().reject_compress_fail, pool.counters().zswpout), (0, 1600));
}

#[test]
fn page_that_cannot_be_decompressed_is_named_and_stays() {
    let cases = [
        (Err(Error::Corrupt), Error::Corrupt),
        (Err(Error::DeviceLost), Error::DeviceLost),
        (Ok(PAGE_BYTES - 1), Error::Corrupt),
        (Ok(0), Error::Corrupt),
        (Ok(PAGE_BYTES + 1), Error::Overclaimed),
    ];
    for (answer, error) in cases {
        let fault = Arc::new(Mutex::new(None));
        let injected = Arc::clone(&fault);
        let pool = Toy::new()
            .on_op(move |direction, _| match direction {
                Direction::Compress => None,
                Direction::Decompress => *injected.lock().unwrap(),
            })
            .pool();
        pool.store(Slot(5), &[stamped(5)], Owner::ROOT).unwrap();
        let mut back = filled(0);
        for (i, how) in [Load::Exclusive, Load::Shared].into_iter().enumerate() {
            *fault.lock().unwrap() = Some(answer);
            let expected = LoadError::Decompress { slot: Slot(5), error };
            assert_eq!(pool.load(Slot(5), &mut back, how), Err(expected), "{answer:?}");
            assert_eq!(pool.counters().decompress_fail, i as u64 + 1);
        }
        assert_eq!((pool.counters().stored_pages, pool.counters().zswpin), (1, 0));
        *fault.lock().unwrap() = None;
        pool.load(Slot(5), &mut back, Load::Exclusive).unwrap();
        assert!(back == stamped(5));
    }
}

#[test]
fn range_with_a_page_that_cannot_be_decompressed_stays_whole() {
    for at in 0..FOLIO {
        let is_faulty = Arc::new(AtomicBool::new(true));
        let fault = Arc::clone(&is_faulty);
        let pool = Toy::new()
            .on_op(move |direction, src| {
                let fails = direction == Direction::Decompress && is_stamp(src, at);
                (fails && fault.load(Relaxed)).then_some(Err(Error::Corrupt))
            })
            .pool();
        pool.store(Slot(0), &folio(), Owner::ROOT).unwrap();
        let error = Error::Corrupt;
        assert_eq!(take_folio(&pool), Err(LoadError::Decompress { slot: Slot(at), error }));
        let counters = pool.counters();
        assert_eq!((counters.stored_pages, counters.decompress_fail), (FOLIO, 1));
        is_faulty.store(false, Relaxed);
        assert_eq!(take_folio(&pool), Ok(()));
    }
}

#[test]
fn page_that_fails_is_named_among_pages_that_need_no_decompression() {
    let pool = Toy::new()
        .on_op(|direction, src| {
            let fails = direction == Direction::Decompress && is_stamp(src, 5);
            fails.then_some(Err(Error::Corrupt))
        })
        .pool();
    let mut folio = [(); 8].map(|()| filled(3));
    folio[2] = stamped(2);
    folio[5] = stamped(5);
    pool.store(Slot(40), &folio, Owner::ROOT).unwrap();
    let loaded = pool.load_range(Slot(40), &mut folio, Load::Exclusive);
    let error = Error::Corrupt;
    assert_eq!(loaded, Err(LoadError::Decompress { slot: Slot(45), error }));
}

#[test]
fn panic_while_a_page_is_decompressed_fails_that_load_only() {
    let deaths = AtomicUsize::new(0);
    let pool = Toy::new()
        .on_op(move |direction, _| {
            let dies = direction == Direction::Decompress && deaths.fetch_add(1, Relaxed) == 0;
            if dies { die() } else { None }
        })
        .pool();
    pool.store(Slot(0), &folio(), Owner::ROOT).unwrap();
    let error = Error::Panicked;
    assert_eq!(take_folio(&pool), Err(LoadError::Decompress { slot: Slot(0), error }));
    assert_eq!(take_folio(&pool), Ok(()));
}

#[test]
fn first_missing_page_of_a_range_is_named_and_none_is_removed() {
    for gone in 0..FOLIO {
        let pool = Toy::new().pool();
        pool.store(Slot(0), &folio(), Owner::ROOT).unwrap();
        pool.invalidate(Slot(gone));
        pool.invalidate(Slot(FOLIO - 1));
        let missing = LoadError::NotFound { slot: Slot(gone) };
        assert_eq!(take_folio(&pool), Err(missing));
        let left = if gone == FOLIO - 1 { FOLIO - 1 } else { FOLIO - 2 };
        assert_eq!((pool.counters().stored_pages, pool.counters().zswpin), (left, 0));
        assert_eq!(missing.to_string(), format!("no page is stored under slot {gone}"));
    }
}

#[test]
fn range_must_have_1_to_512_pages() {
    let pool = Toy::new().pool();
    pool.store(Slot(0), &folio(), Owner::ROOT).unwrap();
    for pages in [0, FOLIO_PAGES_MAX + 1, 2 * FOLIO_PAGES_MAX] {
        let why = RangeError::FolioPages { pages };
        let mut dst = vec![filled(0); pages];
        let loaded = pool.load_range(Slot(0), &mut dst, Load::Exclusive);
        assert_eq!(loaded, Err(LoadError::Range(why)));
        assert_eq!(why.to_string(), format!("a folio has 1 to 512 pages, not {pages}"));
    }
    assert_eq!(pool.counters().stored_pages, FOLIO, "nothing was removed");
    assert_eq!(
        pool.store(Slot(0), &[], Owner::ROOT),
        Err(StoreError::Range(RangeError::FolioPages { pages: 0 }))
    );
    assert_eq!(pool.counters().stored_pages, FOLIO, "no page, so none is stale");
}

#[test]
fn folio_that_is_refused_takes_the_stale_pages_under_its_slots_along() {
    let pool = Toy::new().pool();
    pool.store(Slot(0), &folio(), Owner::ROOT).unwrap();
    pool.store(Slot(513), &[stamped(1)], Owner::ROOT).unwrap();
    let too_long = vec![stamped(7); FOLIO_PAGES_MAX + 1];
    let why = RangeError::FolioPages { pages: FOLIO_PAGES_MAX + 1 };
    assert_eq!(pool.store(Slot(2), &too_long, Owner::ROOT), Err(StoreError::Range(why)));
    assert_eq!(pool.counters().stored_pages, 2, "those before its first slot");
    assert!(pool.load(Slot(1), &mut filled(0), Load::Shared).is_ok());
    assert_missing(&pool, [2, FOLIO - 1, 513]);
}

#[test]
fn range_beyond_the_last_slot_never_wraps_to_the_first() {
    let pool = Toy::new().pool();
    let first = Slot(u64::MAX - 1);
    pool.store(first, &[stamped(1), stamped(2)], Owner::ROOT).unwrap();
    pool.store(Slot(0), &[stamped(3)], Owner::ROOT).unwrap();
    let why = RangeError::Slots { first, pages: 3 };
    let mut dst = [filled(0); 3];
    let loaded = pool.load_range(first, &mut dst, Load::Exclusive);
    assert_eq!(loaded, Err(LoadError::Range(why)));
    assert_eq!(pool.counters().stored_pages, 3);

    let stored = pool.store(first, &[stamped(4); 3], Owner::ROOT);
    assert_eq!(stored, Err(StoreError::Range(why)));
    assert_missing(&pool, [u64::MAX - 1, u64::MAX]);
    pool.load(Slot(0), &mut dst[0], Load::Shared).unwrap();
    assert!(dst[0] == stamped(3));
}

#[test]
fn unknown_compressor_is_answered_with_the_known_names() {
    for name in ["nope", ""] {
        let built = Pool::builder(Registry::global()).compressor(name).build();
        let error = built.map(drop).unwrap_err();
        let text = error.to_string();
        let OpenError::NotFound { name: asked, known } = error else { panic!("{error}") };
        assert_eq!(&*asked, name);
        assert!(known.contains(&"lz4".into()) && known.contains(&"lz4-page".into()));
        assert!(text.contains("deflate, deflate-flate2, deflate-page"), "{text}");
    }
}

#[test]
fn store_survives_a_driver_that_panics_again_while_it_is_dropped() {
    let pool = Toy::new()
        .on_op(|_, src| if is_stamp(src, 3) { die() } else { None })
        .on_drop(|| die())
        .pool();
    pool.store(Slot(0), &folio(), Owner::ROOT).unwrap();
    assert_eq!(pool.counters().stored_pages, FOLIO);
    assert_eq!(take_folio(&pool), Ok(()));
    std::mem::forget(pool);
}

/// Here a store kills the session of this CPU while the driver drops the one that a load replaced.
#[test]
fn load_keeps_the_live_session_it_got_until_it_is_served() {
    static POOL: OnceLock<Pool> = OnceLock::new();
    let mut here = CpuSet::new();
    here.set(sched_getcpu());
    sched_setaffinity(None, &here).unwrap();
    let is_armed = Arc::new(AtomicBool::new(false));
    let armed = Arc::clone(&is_armed);
    let pool = POOL.get_or_init(|| {
        Toy::new()
            .on_op(|_, src| if is_stamp(src, 3) { die() } else { None })
            .on_drop(move || {
                if let Some(pool) = POOL.get()
                    && armed.swap(false, Relaxed)
                {
                    pool.store(Slot(9), &[stamped(3)], Owner::ROOT).unwrap();
                }
            })
            .pool()
    });
    pool.store(Slot(0), &[stamped(0)], Owner::ROOT).unwrap();
    pool.store(Slot(3), &[stamped(3)], Owner::ROOT).unwrap();
    is_armed.store(true, Relaxed);
    let mut back = filled(0);
    pool.load(Slot(0), &mut back, Load::Shared).unwrap();
    assert!(back == stamped(0));
    assert!(!is_armed.load(Relaxed), "the driver's drop ran");
    pool.load(Slot(9), &mut back, Load::Shared).unwrap();
    assert!(back == stamped(3));
}

/// Two whole sub-batches and a short one.
fn folio() -> Vec<Page> {
    (0..FOLIO).map(stamped).collect()
}

/// Whether this page or stream is that of `stamped(seed)`.
fn is_stamp(bytes: &[u8], seed: u64) -> bool {
    bytes.starts_with(&stamped(seed)[..STAMP_BYTES])
}

/// Takes [`folio`] out of the pool again.
fn take_folio(pool: &Pool) -> Result<(), LoadError> {
    let mut back = vec![filled(0); FOLIO as usize];
    pool.load_range(Slot(0), &mut back, Load::Exclusive)?;
    assert!(back == folio());
    Ok(())
}

fn assert_missing<const N: usize>(pool: &Pool, slots: [u64; N]) {
    for slot in slots.map(Slot) {
        let found = pool.load(slot, &mut filled(0), Load::Shared);
        assert_eq!(found, Err(LoadError::NotFound { slot }));
    }
}

const FOLIO: u64 = 19;
