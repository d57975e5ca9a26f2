//! Which pages the read passes touch, made before any clock runs.

use anyhow::Result;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, Zipf};

use super::case::Pattern;

/// A page of a thread's, and whether it is modified.
#[derive(Clone, Copy, Debug)]
pub(super) struct Access(u32);

impl Access {
    pub(super) fn page(self) -> usize {
        (self.0 & !MODIFIES) as usize
    }

    pub(super) fn modifies(self) -> bool {
        self.0 & MODIFIES != 0
    }
}

/// As many for each pass as there are pages.
pub(super) fn accesses(
    pattern: Pattern,
    pages: usize,
    passes: usize,
    modify_percent: u8,
    seed: u64,
) -> Result<Vec<Access>> {
    let mut rng = SmallRng::seed_from_u64(seed);
    let ranks = Zipf::new(pages as f64, ZIPF_EXPONENT)?;
    let share = f64::from(modify_percent) / 100.0;
    let mut access = |i: usize| {
        let page = match pattern {
            Pattern::Seq => i % pages,
            Pattern::Random => rng.random_range(0..pages),
            // Ranks begin at 1. Pages that are liked lie apart: the step has no factor in common
            // with any number of pages below it.
            Pattern::Zipf => (ranks.sample(&mut rng) as u64 * STEP % pages as u64) as usize,
        };
        Access(page as u32 | if rng.random_bool(share) { MODIFIES } else { 0 })
    };
    Ok((0..pages * passes).map(&mut access).collect())
}

/// A page number has the other bits: 8 TiB of pages.
const MODIFIES: u32 = 1 << 31;
/// That of YCSB.
const ZIPF_EXPONENT: f64 = 0.99;
/// A prime, near the golden section of 2^32.
const STEP: u64 = 2_654_435_761;
