//! A pool under random operations against a plain map.

mod pages;

use std::collections::HashMap;

use acomp_algs as _;
use acomp_core::Registry;
use acomp_iaa as _;
use zswap::{Load, LoadError, Loaded, Owner, Page, Pool, RangeError, Slot, StoreError};

use pages::{filled, mixed};

#[test]
fn pool_does_what_a_map_does() {
    for (seed, compressor) in [(1, "lz4"), (2, "deflate"), (3, "null"), (4, "deflate-iaa")] {
        let pool = Pool::builder(Registry::global()).compressor(compressor).build().unwrap();
        let mut pair = Pair { pool, map: HashMap::new(), case: String::new() };
        let mut rng = fastrand::Rng::with_seed(seed);
        for step in 0..STEPS {
            pair.case = format!("seed {seed}, step {step}, {compressor}");
            pair.step(&mut rng);
        }
        pair.check_what_is_held();
    }
}

/// A pool and what it should hold.
struct Pair {
    pool: Pool,
    map: HashMap<Slot, Page>,
    /// What to say when they differ.
    case: String,
}

impl Pair {
    fn step(&mut self, rng: &mut fastrand::Rng) {
        let slot = Slot(*rng.choice(&BASES).unwrap_or(&0) + rng.u64(..SLOTS));
        let how = if rng.bool() { Load::Shared } else { Load::Exclusive };
        // A few short folios more than long ones, and now and then none or one too long.
        let pages = match rng.u8(..40) {
            0 => 0,
            1 => 513,
            2..30 => rng.usize(1..10),
            _ => rng.usize(1..40),
        };
        match rng.u8(..10) {
            0..4 => self.store(slot, &mixed(rng.u64(..1000), pages)),
            4..6 => self.load(slot, how),
            6..9 => self.load_range(slot, pages, how),
            _ => {
                self.pool.invalidate(slot);
                self.map.remove(&slot);
            }
        }
        if rng.u8(..50) == 0 {
            self.check_what_is_held();
        }
    }

    fn store(&mut self, first: Slot, folio: &[Page]) {
        let stored = self.pool.store(first, folio, Owner::ROOT);
        let expected = is_range(first, folio.len());
        assert_eq!(stored, expected.map_err(StoreError::Range), "{}", self.case);
        for (slot, page) in slots(first).zip(folio) {
            match expected {
                Ok(()) => self.map.insert(slot, *page),
                Err(_) => self.map.remove(&slot),
            };
        }
    }

    fn load(&mut self, slot: Slot, how: Load) {
        let mut dst = filled(1);
        let loaded = self.pool.load(slot, &mut dst, how);
        self.check_load(slot, std::slice::from_ref(&dst), how, loaded);
    }

    fn load_range(&mut self, first: Slot, pages: usize, how: Load) {
        let mut dst = vec![filled(1); pages];
        let loaded = self.pool.load_range(first, &mut dst, how);
        match is_range(first, pages) {
            Ok(()) => self.check_load(first, &dst, how, loaded),
            Err(why) => assert_eq!(loaded, Err(LoadError::Range(why)), "{}", self.case),
        }
    }

    fn check_load(
        &mut self,
        first: Slot,
        dst: &[Page],
        how: Load,
        loaded: Result<Loaded, LoadError>,
    ) {
        let range = || slots(first).take(dst.len());
        if let Some(slot) = range().find(|slot| !self.map.contains_key(slot)) {
            return assert_eq!(loaded, Err(LoadError::NotFound { slot }), "{}", self.case);
        }
        for (slot, page) in range().zip(dst) {
            assert!(self.map.get(&slot) == Some(page), "{slot:?}, {}", self.case);
            if how == Load::Exclusive {
                self.map.remove(&slot);
            }
        }
        let zero = dst.iter().filter(|page| **page == filled(0)).count();
        assert_eq!(loaded.map(|loaded| loaded.zero), Ok(zero), "{}", self.case);
    }

    fn check_what_is_held(&self) {
        let counters = self.pool.counters();
        let zero_pages = self.map.values().filter(|page| **page == filled(0)).count() as u64;
        assert_eq!(counters.zero_pages, zero_pages, "{}", self.case);
        assert_eq!(counters.stored_pages + zero_pages, self.map.len() as u64, "{}", self.case);
        for (slot, page) in &self.map {
            let mut dst = filled(1);
            let loaded = self.pool.load(*slot, &mut dst, Load::Shared);
            assert!(loaded.is_ok() && dst == *page, "{slot:?}, {}", self.case);
        }
    }
}

fn is_range(first: Slot, pages: usize) -> Result<(), RangeError> {
    if pages == 0 || pages > 512 {
        Err(RangeError::FolioPages { pages })
    } else if u64::MAX - first.0 < pages as u64 - 1 {
        Err(RangeError::Slots { first, pages })
    } else {
        Ok(())
    }
}

fn slots(first: Slot) -> impl Iterator<Item = Slot> {
    (first.0..=u64::MAX).map(Slot)
}

const STEPS: usize = 5000;
/// Slots that are used lie behind these: at the first one, across two runs of 512, at the last one.
const BASES: [u64; 3] = [0, 490, u64::MAX - SLOTS + 1];
const SLOTS: u64 = 48;
