//! Interleaved measurement.

use std::time::Instant;

use anyhow::Result;

use crate::progress::Progress;

/// Times every candidate once per round, after a warm-up round that does not count, and returns the
/// nanoseconds of each: rounds of candidates.
pub(crate) fn interleaved(
    what: &'static str,
    candidates: &mut [&mut dyn FnMut() -> Result<()>],
) -> Result<Vec<Vec<f64>>> {
    let progress = Progress::new(what, ROUNDS);
    let mut rounds = Vec::new();
    for round in 0..=ROUNDS {
        let mut times_ns = Vec::with_capacity(candidates.len());
        for candidate in &mut *candidates {
            let started = Instant::now();
            candidate()?;
            times_ns.push(started.elapsed().as_nanos() as f64);
        }
        if round > 0 {
            rounds.push(times_ns);
        }
        progress.step(1);
    }
    Ok(rounds)
}

/// The median over the rounds of what `of` makes of each.
pub(crate) fn median(rounds: &[Vec<f64>], of: impl Fn(&[f64]) -> f64) -> f64 {
    crate::output::median(rounds.iter().map(|round| of(round)).collect())
}

const ROUNDS: usize = 21;
