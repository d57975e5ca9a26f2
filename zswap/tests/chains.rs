//! How long the chains are that a driver sees.

#![expect(clippy::unwrap_used, reason = "test helpers unwrap like tests")]

mod pages;
mod toys;

use std::sync::{Arc, Mutex};

use acomp_core::{Direction, Registry};
use zswap::{Load, Owner, Pool, Slot};

use pages::{filled, random, stamped};
use toys::Toy;

#[test]
fn store_gives_the_driver_what_it_gains_from_within_sub_batches_of_8() {
    let cases: [(usize, &[usize]); 4] =
        [(1, &[1; 20]), (3, &[3, 3, 2, 3, 3, 2, 3, 1]), (8, &[8, 8, 4]), (64, &[8, 8, 4])];
    for (batch_size, expected) in cases {
        let (pool, chains) = watched(batch_size);
        pool.store(Slot(3), &(0..20).map(stamped).collect::<Vec<_>>(), Owner::ROOT).unwrap();
        assert_eq!(chains.of(Direction::Compress), expected, "batch size {batch_size}");
    }
}

#[test]
fn pages_that_need_no_compressor_leave_no_gap_in_a_chain() {
    let (pool, chains) = watched(3);
    let mut folio: Vec<_> = (0..24).map(stamped).collect();
    for same_filled in [0, 2, 4, 5] {
        folio[same_filled] = filled(same_filled as u64);
    }
    folio[8..16].fill(filled(0));
    pool.store(Slot(0), &folio, Owner::ROOT).unwrap();
    assert_eq!(chains.of(Direction::Compress), [3, 1, 3, 3, 2]);
}

#[test]
fn folio_of_one_page_is_a_chain_of_one() {
    for batch_size in [1, 8, 64] {
        let (pool, chains) = watched(batch_size);
        pool.store(Slot(0), &[stamped(1)], Owner::ROOT).unwrap();
        pool.load(Slot(0), &mut filled(0), Load::Shared).unwrap();
        assert_eq!(chains.of(Direction::Compress), [1]);
        assert_eq!(chains.of(Direction::Decompress), [1]);
    }
}

#[test]
fn loads_come_as_chains_of_at_most_8_whatever_the_batch_size() {
    for batch_size in [1, 3, 8, 64] {
        let (pool, chains) = watched(batch_size);
        let mut folio: Vec<_> = (0..28).map(stamped).collect();
        folio[3] = filled(0); // Not decompressed.
        folio[4] = random(1);
        folio[8..16].fill(filled(1));
        pool.store(Slot(0), &folio, Owner::ROOT).unwrap();
        let mut back = vec![filled(0); 28];
        pool.load_range(Slot(0), &mut back, Load::Exclusive).unwrap();
        assert!(back == folio);
        assert_eq!(chains.of(Direction::Decompress), [6, 8, 4], "batch size {batch_size}");
    }
}

/// Directions and lengths of the chains that a driver was given.
#[derive(Clone, Default)]
struct Chains(Arc<Mutex<Vec<(Direction, usize)>>>);

impl Chains {
    fn of(&self, direction: Direction) -> Vec<usize> {
        let chains = self.0.lock().unwrap();
        chains.iter().filter(|chain| chain.0 == direction).map(|chain| chain.1).collect()
    }
}

fn watched(batch_size: usize) -> (Pool, Chains) {
    let chains = Chains::default();
    let seen = chains.clone();
    let toy = Toy::new()
        .batch_size(batch_size)
        .on_chain(move |direction, len| seen.0.lock().unwrap().push((direction, len)));
    (toy.pool(), chains)
}

#[test]
fn serial_compressor_stays_serial_after_one_that_takes_batches() {
    let chains = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&chains);
    let registry = Registry::from_entries([]);
    let batched = Toy::new().named("batched").batch_size(8);
    let serial = Toy::new().named("serial").on_chain(move |direction, ops| {
        if direction == Direction::Compress {
            seen.lock().unwrap().push(ops);
        }
    });
    let _batched = registry.add(Arc::new(batched)).unwrap();
    let _serial = registry.add(Arc::new(serial)).unwrap();
    let pool = Pool::builder(&registry).compressor("batched").build().unwrap();
    pool.set("compressor", "serial").unwrap();
    chains.lock().unwrap().clear();
    let folio: Vec<_> = (0..8).map(stamped).collect();
    pool.store(Slot(0), &folio, Owner::ROOT).unwrap();
    assert_eq!(*chains.lock().unwrap(), [1; 8]);
}
