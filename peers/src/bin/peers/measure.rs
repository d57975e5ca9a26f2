//! Times the candidates of a contest.

use std::fmt;
use std::time::Instant;

use serde_json::{Value, json};

use crate::PAGE_BYTES;
use crate::candidates::Candidate;
use crate::contests::Contest;

/// What one candidate of a contest came to.
pub(crate) struct Row {
    contest: &'static str,
    candidate: String,
    us_page: f64,
    /// Times the speed of the contest's first candidate.
    versus: f64,
    ratio: f64,
}

impl Row {
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "contest": self.contest,
            "candidate": self.candidate,
            "us_page": rounded(self.us_page),
            "mb_s": rounded(self.mb_s()),
            "speed_vs_peer": rounded(self.versus),
            "ratio": (self.ratio * 1e5).round() / 1e5,
        })
    }

    fn mb_s(&self) -> f64 {
        PAGE_BYTES as f64 / self.us_page
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { contest, candidate, us_page, versus, ratio } = self;
        write!(f, "{contest:20} {candidate:28} {us_page:7.2} us {:8.1} MB/s ", self.mb_s())?;
        write!(f, "{versus:6.3}x  ratio {ratio:.5}")
    }
}

/// Times every candidate on every corpus once a round, after a warm-up round.
pub(crate) fn run(name: &'static str, contest: &mut Contest, rounds: usize) -> Vec<Row> {
    let (corpora, candidates) = (&contest.corpora, &mut contest.candidates);
    let mut times = vec![vec![Vec::new(); corpora.len()]; candidates.len()];
    let mut ratios = vec![vec![0.0; corpora.len()]; candidates.len()];
    for round in 0..=rounds {
        for (c, corpus) in corpora.iter().enumerate() {
            for (k, candidate) in candidates.iter_mut().enumerate() {
                let start = Instant::now();
                let lens = (candidate.codec)(corpus);
                let time = start.elapsed().as_secs_f64();
                if round > 0 {
                    times[k][c].push(time / corpus.len() as f64);
                }
                let bytes: usize = lens.iter().map(|len| (*len).min(PAGE_BYTES)).sum();
                ratios[k][c] = bytes as f64 / (corpus.len() * PAGE_BYTES) as f64;
            }
        }
    }
    let row = |(k, candidate): (usize, &Candidate)| {
        let versus = |round: usize| {
            geomean(times[0].iter().zip(&times[k]).map(|(peer, us)| peer[round] / us[round]))
        };
        Row {
            contest: name,
            candidate: candidate.name.clone(),
            us_page: geomean(times[k].iter().map(|times| median(times.clone()) * 1e6)),
            versus: median((0..rounds).map(versus).collect()),
            ratio: geomean(ratios[k].iter().copied()),
        }
    };
    contest.candidates.iter().enumerate().map(row).collect()
}

fn geomean(values: impl Iterator<Item = f64>) -> f64 {
    let (mut sum, mut count) = (0.0, 0.0);
    for value in values {
        sum += value.ln();
        count += 1.0;
    }
    f64::exp(sum / count)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}
