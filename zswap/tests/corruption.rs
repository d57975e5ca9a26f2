//! What was damaged is refused or at least no harm: drivers that decompress wrongly, and devices
//! that give something else back.

mod devices;
mod pages;
mod toys;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use acomp_algs as _;
use acomp_core::{Direction, Error, Registry};
use zswap::{
    Builder, Load, LoadError, Loaded, Owner, PAGE_BYTES, Pool, Revalidated, Slot, StoreError,
};

use devices::Ram;
use pages::{filled, mixed, random, stamped};
use toys::{Toy, die};

#[test]
fn driver_that_decompresses_wrongly_is_found_out_by_length_or_error() {
    let cases = [
        (Ok(0), Error::Corrupt),
        (Ok(1), Error::Corrupt),
        (Ok(PAGE_BYTES - 1), Error::Corrupt),
        (Ok(PAGE_BYTES + 1), Error::Overclaimed),
        (Err(Error::Corrupt), Error::Corrupt),
        (Err(Error::DstTooSmall), Error::DstTooSmall),
    ];
    for has_checksums in [false, true] {
        for (answer, error) in cases {
            let lies = move |direction, _: &[u8]| match direction {
                Direction::Compress => None,
                Direction::Decompress => Some(answer),
            };
            let toy = Toy::new().on_op(lies);
            let pool = if has_checksums { toy.pool_with(Builder::checksums) } else { toy.pool() };
            pool.store(Slot(7), &[random(0), stamped(1), filled(2)], Owner::ROOT).unwrap();
            let refused = Err(LoadError::Decompress { slot: Slot(8), error });
            for how in [Load::Exclusive, Load::Shared, Load::Duplicate] {
                assert_eq!(pool.load(Slot(8), &mut filled(0), how), refused);
                assert_eq!(pool.load_range(Slot(7), &mut [filled(0); 3], how), refused);
            }
            assert_eq!(pool.revalidate(Slot(8), &stamped(1)).map(drop), refused.map(drop));
            let counters = pool.counters();
            assert_eq!((counters.decompress_fail, counters.stored_pages), (7, 3));
            assert_eq!((counters.zswpin, counters.duplicate_pages), (0, 0));
            // The others are as good as ever, and the slot can be used again.
            assert_eq!(pool.revalidate(Slot(7), &random(0)), Ok(Revalidated::Same));
            pool.store(Slot(8), &[filled(9)], Owner::ROOT).unwrap();
            assert_eq!(pool.revalidate(Slot(8), &filled(9)), Ok(Revalidated::Same));
        }
    }
}

/// What cannot be decompressed cannot be written back either: it stays, and the others go.
#[test]
fn page_that_cannot_be_decompressed_does_not_keep_others_from_the_device() {
    let breaks = |direction, src: &[u8]| {
        let fails = direction == Direction::Decompress && stamped(3).starts_with(src);
        fails.then_some(Err(Error::Corrupt))
    };
    let ram = Arc::new(Ram::new(100));
    let pool = Toy::new().on_op(breaks).pool_with(|builder| builder.device(ram));
    for n in 0..20 {
        pool.store(Slot(n), &[stamped(n)], Owner::ROOT).unwrap();
    }
    for _ in 0..10 {
        pool.shrink(Owner::ROOT, 20);
    }
    let counters = pool.counters();
    assert_eq!((counters.device_pages, counters.stored_pages), (19, 1));
    assert!(counters.reject_reclaim_fail > 0);
    for n in (0..20).filter(|n| *n != 3) {
        assert_eq!(pool.revalidate(Slot(n), &stamped(n)), Ok(Revalidated::Same));
    }
    pool.invalidate(Slot(3));
    assert_eq!(pool.counters().stored_pages, 0);
}

#[test]
fn block_that_comes_back_as_another_one_is_refused() {
    // The second read gives the block that the first should have.
    let reads = AtomicUsize::new(0);
    let ram = Arc::new(Ram::new(100));
    #[derive(Debug)]
    struct Swapped(Arc<Ram>, AtomicUsize);
    impl zswap::SwapDevice for Swapped {
        fn blocks(&self) -> u32 {
            self.0.blocks()
        }
        fn read(&self, block: u32, page: &mut zswap::Page) -> std::io::Result<()> {
            let block = if self.1.fetch_add(1, Relaxed) < 2 { block ^ 1 } else { block };
            self.0.read(block, page)
        }
        fn write(&self, pages: &[(u32, &zswap::Page)]) -> Result<(), zswap::Unwritten> {
            self.0.write(pages)
        }
    }
    let device = Arc::new(Swapped(ram, reads));
    let pool = Toy::new().pool_with(|builder| builder.device(device));
    pool.store(Slot(0), &[stamped(0), stamped(1)], Owner::ROOT).unwrap();
    pool.shrink(Owner::ROOT, 2);
    assert_eq!(pool.shrink(Owner::ROOT, 2).written, 2);
    for slot in [Slot(0), Slot(1)] {
        let loaded = pool.load(slot, &mut filled(0), Load::Exclusive);
        assert_eq!(loaded, Err(LoadError::Checksum { slot }));
    }
    let mut back = [filled(0); 2];
    pool.load_range(Slot(0), &mut back, Load::Exclusive).unwrap();
    assert!(back == [stamped(0), stamped(1)]);
}

#[test]
fn checksums_cost_no_page_of_any_compressor() {
    for name in ["lz4", "zstd", "deflate", "null"] {
        let ram = Arc::new(Ram::new(1000));
        let builder = Pool::builder(Registry::global()).compressor(name).checksums();
        let pool = builder.device(ram).build().unwrap();
        let folio = mixed(5, 100);
        pool.store(Slot(0), &folio, Owner::ROOT).unwrap();
        let mut back = vec![filled(0); 100];
        pool.load_range(Slot(0), &mut back, Load::Duplicate).unwrap();
        assert!(back == folio);
        for (slot, page) in (0..).zip(&folio) {
            assert_eq!(pool.revalidate(Slot(slot), page), Ok(Revalidated::Same), "{name}");
        }
        pool.shrink(Owner::ROOT, 30);
        pool.shrink(Owner::ROOT, 60);
        assert!(pool.counters().device_pages > 0);
        let mut loaded = Loaded::default();
        back.fill(filled(1));
        for (slot, page) in (0..).zip(&mut back) {
            let one = pool.load(Slot(slot), page, Load::Exclusive).unwrap();
            loaded.from_device += one.from_device;
        }
        assert!(back == folio && loaded.from_device > 0, "{name}");
        assert_eq!(pool.counters().checksum_fail, 0);
    }
}

/// A driver may die at any operation: no page is lost that was told to be stored.
#[test]
fn driver_that_dies_or_fails_at_random_loses_nothing_that_was_stored() {
    for seed in 0..20 {
        println!("seed {seed}");
        let rng = std::sync::Mutex::new(fastrand::Rng::with_seed(seed));
        let toy = Toy::new().batch_size(3).on_op(move |_, _| match rng.lock().unwrap().u8(..12) {
            0 => die(),
            1 => Some(Err(Error::Busy)),
            2 => Some(Err(Error::Corrupt)),
            _ => None,
        });
        let pool = toy.pool_with(|builder| builder.device(Arc::new(Ram::new(64))));
        pool.set_owner_writeback(Owner::new(1), false);
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut model = std::collections::HashMap::new();
        for step in 0..300 {
            let first = rng.u64(..60);
            let folio = mixed(step, rng.usize(1..12));
            let owner = Owner::new(rng.u16(..2));
            let stored = pool.store(Slot(first), &folio, owner);
            let is_expected = matches!(stored, Ok(()) | Err(StoreError::Incompressible { .. }));
            assert!(is_expected, "seed {seed}, step {step}: {stored:?}");
            for (slot, page) in (first..).zip(folio) {
                match stored {
                    Ok(()) => drop(model.insert(slot, Box::new(page))),
                    Err(_) => drop(model.remove(&slot)),
                }
            }
            pool.shrink(Owner::ROOT, rng.usize(..20));
        }
        for slot in 0..80 {
            let mut back = filled(0);
            let mut loaded = Err(LoadError::NotFound { slot: Slot(slot) });
            for _ in 0..100 {
                loaded = pool.load(Slot(slot), &mut back, Load::Exclusive);
                if !matches!(loaded, Err(LoadError::Decompress { .. })) {
                    break;
                }
            }
            let back = loaded.ok().map(|_| Box::new(back));
            assert!(back == model.remove(&slot), "seed {seed}, slot {slot}: {loaded:?}");
        }
        let counters = pool.counters();
        assert_eq!((counters.stored_pages, counters.object_bytes), (0, 0));
        assert_eq!((counters.device_pages, counters.zero_pages), (0, 0));
    }
}
