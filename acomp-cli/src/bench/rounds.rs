//! Interleaved measurement.

use std::time::Instant;

use anyhow::Result;

use crate::progress::Progress;

/// Times every candidate once per round, after a warm-up round that does not count, and returns the
/// nanoseconds of each: rounds of candidates.
pub(crate) fn interleaved<const N: usize>(
    what: &'static str,
    mut candidates: [&mut dyn FnMut() -> Result<()>; N],
) -> Result<Vec<[f64; N]>> {
    let progress = Progress::new(what, ROUNDS);
    let mut rounds = Vec::new();
    for round in 0..=ROUNDS {
        let mut times_ns = [0.0; N];
        for (time_ns, candidate) in times_ns.iter_mut().zip(&mut candidates) {
            let started = Instant::now();
            candidate()?;
            *time_ns = started.elapsed().as_nanos() as f64;
        }
        if round > 0 {
            rounds.push(times_ns);
        }
        progress.step(1);
    }
    Ok(rounds)
}

/// The median over the rounds of what `of` makes of each.
pub(crate) fn median<const N: usize>(rounds: &[[f64; N]], of: impl Fn(&[f64; N]) -> f64) -> f64 {
    crate::output::median(rounds.iter().map(of).collect())
}

const ROUNDS: usize = 21;
