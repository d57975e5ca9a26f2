//! Pages that need no compressor, pages that no compressor helps, and how they are counted.

mod pages;
mod toys;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use acomp_algs as _;
use acomp_core::{Error, Registry};
use acomp_iaa as _;
use zswap::{Counters, Load, Loaded, Owner, PAGE_BYTES, Page, Pool, Slot};

use pages::{STAMP_BYTES, filled, mixed, random, stamped};
use toys::Toy;

#[test]
fn compressor_is_called_for_no_page_that_repeats_one_word() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&calls);
    let pool = Toy::new()
        .on_op(move |_, _| {
            counting.fetch_add(1, Relaxed);
            None
        })
        .pool();
    let folio = [filled(0), filled(1), filled(u64::MAX), [0x55; PAGE_BYTES], filled(0)];
    pool.store(Slot(0), &folio, Owner::ROOT).unwrap();
    let mut back = [filled(9); 5];
    let loaded = pool.load_range(Slot(0), &mut back, Load::Shared).unwrap();
    assert!(back == folio);
    assert_eq!((loaded.zero, loaded.same_filled), (2, 3));
    assert_eq!(calls.load(Relaxed), 0);

    pool.store(Slot(0), &[almost_filled()], Owner::ROOT).unwrap();
    assert_eq!(calls.load(Relaxed), 1, "one odd byte makes it a page like any other");
}

#[test]
fn zero_pages_are_held_and_counted_apart() {
    let pool = Toy::new().pool();
    pool.store(Slot(0), &[filled(0); 3], Owner::ROOT).unwrap();
    pool.store(Slot(9), &[filled(7)], Owner::ROOT).unwrap();
    assert_eq!(
        non_zero(&pool.counters()),
        [
            ("stored_pages", 1),
            ("same_filled_pages", 1),
            ("zero_pages", 3),
            ("zswpout", 1),
            ("swpout_zero", 3),
        ]
    );
    let mut page = filled(1);
    pool.load(Slot(1), &mut page, Load::Exclusive).unwrap();
    assert!(page == filled(0));
    pool.load(Slot(9), &mut page, Load::Exclusive).unwrap();
    assert!(page == filled(7));
    let after =
        [("zero_pages", 2), ("zswpout", 1), ("zswpin", 1), ("swpout_zero", 3), ("swpin_zero", 1)];
    assert_eq!(non_zero(&pool.counters()), after);
}

#[test]
fn page_that_does_not_compress_is_kept_raw_and_is_no_failure() {
    for name in ["null", "842", "deflate", "deflate-iaa", "lz4", "lz4hc", "lzo", "lzo-rle", "zstd"]
    {
        let pool = Pool::builder(Registry::global()).compressor(name).build().unwrap();
        pool.store(Slot(0), &[random(1), random(2)], Owner::ROOT).unwrap();
        let mut page = filled(0);
        let loaded = pool.load(Slot(1), &mut page, Load::Shared).unwrap();
        assert!(page == random(2) && loaded.incompressible == 1);
        let counters = [
            ("stored_pages", 2),
            ("object_bytes", 2 * PAGE_BYTES as u64),
            ("stored_incompressible_pages", 2),
            ("zswpout", 2),
            ("zswpin", 1),
        ];
        assert_eq!(non_zero(&pool.counters()), counters, "{name}");
    }
}

#[test]
fn stream_must_be_shorter_than_the_page_and_not_empty() {
    let of_length = |len: usize| {
        let mut page = filled(0);
        page[len - 1] = 1;
        page
    };
    let pool = Toy::new().pool();
    pool.store(Slot(0), &[of_length(PAGE_BYTES - 1)], Owner::ROOT).unwrap();
    assert_eq!(pool.counters().object_bytes, PAGE_BYTES as u64 - 1);
    assert_eq!(pool.counters().stored_incompressible_pages, 0);
    pool.store(Slot(0), &[of_length(PAGE_BYTES)], Owner::ROOT).unwrap();
    assert_eq!(pool.counters().stored_incompressible_pages, 1);

    let nothing = Toy::new().on_op(|_, _| Some(Ok(0))).pool();
    nothing.store(Slot(0), &[stamped(1)], Owner::ROOT).unwrap();
    let mut page = filled(0);
    nothing.load(Slot(0), &mut page, Load::Shared).unwrap();
    assert!(page == stamped(1));
    assert_eq!(nothing.counters().stored_incompressible_pages, 1);
}

#[test]
fn counters_have_the_kernels_names_and_the_values_of_the_fields() {
    let mut counters = Counters::default();
    (counters.stored_pages, counters.pool_total_size, counters.zswpwb) = (1, 2, 3);
    let table: Vec<_> = counters.table().collect();
    for row in [("stored_pages", 1), ("pool_total_size", 2), ("zswpwb", 3), ("zswpin", 0)] {
        assert!(table.contains(&row), "{row:?}");
    }
    // Spec A.11.
    for name in [
        "pool_limit_hit",
        "reject_reclaim_fail",
        "reject_alloc_fail",
        "reject_kmemcache_fail",
        "reject_compress_fail",
        "reject_compress_poor",
        "decompress_fail",
        "written_back_pages",
        "pool_total_size",
        "stored_pages",
        "stored_incompressible_pages",
        "zswpin",
        "zswpout",
        "swpin_zero",
        "swpout_zero",
        "pswpin",
        "pswpout",
    ] {
        assert!(table.iter().any(|(has, _)| *has == name), "{name}");
    }
}

#[test]
fn counters_agree_with_each_other_and_with_what_is_loaded() {
    const PAGES: usize = 50;
    let fails = |page: &[u8]| page[..STAMP_BYTES] == stamped(1)[..STAMP_BYTES];
    let pool = Toy::new().on_op(move |_, src| fails(src).then_some(Err(Error::Busy))).pool();
    let folio = mixed(0, PAGES); // Text does not compress with the toy; one stamped page fails.
    pool.store(Slot(0), &folio, Owner::ROOT).unwrap();
    let counters = pool.counters();
    let stamps = PAGES as u64 / 5 - 1;
    assert_eq!(
        non_zero(&counters),
        [
            ("stored_pages", 40),
            ("object_bytes", 21 * PAGE_BYTES as u64 + stamps * STAMP_BYTES as u64),
            ("stored_incompressible_pages", 21),
            ("same_filled_pages", 10),
            ("zero_pages", 10),
            ("zswpout", 40),
            ("swpout_zero", 10),
            ("reject_compress_fail", 1),
        ]
    );

    let mut back = vec![filled(0); PAGES];
    let loaded = pool.load_range(Slot(0), &mut back, Load::Exclusive).unwrap();
    assert!(back == folio);
    let Loaded { zero, same_filled, incompressible, decompressed, .. } = loaded;
    assert_eq!((zero, same_filled, incompressible, decompressed), (10, 10, 21, 9));
    let after = [
        ("zswpout", 40),
        ("zswpin", 40),
        ("swpout_zero", 10),
        ("swpin_zero", 10),
        ("reject_compress_fail", 1),
    ];
    assert_eq!(non_zero(&pool.counters()), after);
}

#[test]
fn pages_that_are_replaced_or_invalidated_are_no_longer_held() {
    let pool = Toy::new().pool();
    for page in [filled(0), filled(1), stamped(1), random(1), stamped(2), filled(0)] {
        pool.store(Slot(0), &[page], Owner::ROOT).unwrap();
        let counters = pool.counters();
        assert_eq!(counters.stored_pages + counters.zero_pages, 1);
    }
    assert_eq!((pool.counters().zero_pages, pool.counters().pool_total_size), (1, 0));
    pool.invalidate(Slot(0));
    assert_eq!(non_zero(&pool.counters()), [("zswpout", 4), ("swpout_zero", 2)]);
}

fn almost_filled() -> Page {
    let mut page = filled(0);
    page[PAGE_BYTES / 2] = 1;
    page
}

/// Without the memory of the pool, which comes in large pieces.
fn non_zero(counters: &Counters) -> Vec<(&'static str, u64)> {
    let is_shown = |(name, value): &(_, u64)| *value != 0 && *name != "pool_total_size";
    counters.table().filter(is_shown).collect()
}
