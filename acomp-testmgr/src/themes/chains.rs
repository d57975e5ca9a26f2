//! A chain of n ops does what n single calls do, in any split, whichever of them fail.

use acomp_core::{Direction, MAX_BATCH};
use fastrand::Rng;

use crate::content::Content;
use crate::matrix::Call;
use crate::report::Suite;
use crate::subject::{Driver, Known, Subject, roomy};
use crate::trial::{Input, Trial};

pub(crate) fn run(trial: &mut Trial<'_>) {
    let driver = trial.driver;
    let sizes = if trial.suite == Suite::Gate { &GATE_SIZES } else { &SIZES };
    let inputs: Vec<_> = trial.inputs(&CONTENTS, sizes).collect();
    let calls = trial.case(format_args!("single calls"), |_| Calls::make(driver, &inputs));
    let Some(calls) = calls else { return };

    for len in lengths(trial) {
        trial.case(format_args!("{len} ops"), |it| chain(it, &calls.mixed(len as u64, len)));
    }
    let splits = if trial.suite == Suite::Gate { 1 } else { 32 };
    for seed in 0..splits {
        trial.case(format_args!("{MAX_BATCH} ops, split by seed {seed}"), |it| {
            split(it, seed, &calls.mixed(seed, MAX_BATCH))
        });
    }
    if trial.suite == Suite::Full {
        for cuts in 0..1 << (ALL_SPLITS_OPS - 1) {
            trial.case(format_args!("{ALL_SPLITS_OPS} ops, cut by {cuts:#b}"), |it| {
                cut(it, cuts, &calls.mixed(cuts as u64, ALL_SPLITS_OPS))
            });
        }
    }
    let len_max = if trial.suite == Suite::Gate { 3 } else { 9 };
    for failing in &calls.failing {
        for (len, at) in (1..=len_max).flat_map(|len| (0..len).map(move |at| (len, at))) {
            trial.case(format_args!("op {at} of {len} fails: {}", failing.0), |it| {
                let mut ops = calls.succeeding(len);
                ops[at] = failing;
                chain(it, &ops)
            });
        }
    }
}

fn lengths(trial: &Trial<'_>) -> Vec<usize> {
    let batch = trial.driver.info().batch_size.get().min(MAX_BATCH - 1);
    match trial.suite {
        Suite::Gate => vec![0, 1, 2, 5, batch, batch + 1],
        Suite::Full => (0..=MAX_BATCH).collect(),
    }
}

type Named = (String, Known);

struct Calls {
    succeeding: Vec<Named>,
    failing: Vec<Named>,
}

impl Calls {
    fn make(driver: &Driver<'_>, inputs: &[Input]) -> Result<Self, String> {
        use Direction::{Compress, Decompress};
        let mut single = driver.open()?;
        let mut calls = Self { succeeding: Vec::new(), failing: Vec::new() };
        for input in inputs {
            let (data, stream) = (&*input.bytes, driver.open()?.stream_of(&input.bytes)?);
            let half = &stream[..stream.len() / 2];
            let mut known = |what, direction, src: &[u8], dst_bytes| {
                let known = Known::ask(&mut single, Call { direction, src, dst_bytes })?;
                Ok::<Named, String>((format!("{what} {input}"), known))
            };
            calls.succeeding.extend([
                known("compress", Compress, data, roomy(data.len()))?,
                known("decompress", Decompress, &stream, data.len())?,
            ]);
            calls.failing.extend([
                known("compress into nothing", Compress, data, 0)?,
                known("decompress into half of", Decompress, &stream, data.len() / 2)?,
                known("decompress half the stream of", Decompress, half, data.len())?,
            ]);
        }
        Ok(calls)
    }

    fn succeeding(&self, len: usize) -> Vec<&Named> {
        self.succeeding.iter().cycle().take(len).collect()
    }

    fn mixed(&self, seed: u64, len: usize) -> Vec<&Named> {
        let mut rng = Rng::with_seed(seed);
        let all: Vec<_> = self.succeeding.iter().chain(&self.failing).collect();
        (0..len).filter_map(|_| rng.choice(&all).copied()).collect()
    }
}

fn chain(subject: &mut Subject, ops: &[&Named]) -> Result<(), String> {
    let calls: Vec<_> = ops.iter().map(|(_, op)| op.call()).collect();
    for (i, (answer, (name, op))) in subject.run(&calls)?.iter().zip(ops).enumerate() {
        op.agree(subject, answer)
            .map_err(|why| format!("op {i} of {}, {name}: {why}", ops.len()))?;
    }
    Ok(())
}

fn split(subject: &mut Subject, seed: u64, ops: &[&Named]) -> Result<(), String> {
    let mut rng = Rng::with_seed(seed);
    let mut rest = ops;
    while !rest.is_empty() {
        let (part, after) = rest.split_at(rng.usize(1..=rest.len()));
        chain(subject, part)?;
        rest = after;
    }
    Ok(())
}

/// After each op whose bit is set, and the last.
fn cut(subject: &mut Subject, cuts: usize, ops: &[&Named]) -> Result<(), String> {
    let mut start = 0;
    for end in 1..=ops.len() {
        if cuts >> (end - 1) & 1 == 1 || end == ops.len() {
            chain(subject, &ops[start..end])?;
            start = end;
        }
    }
    Ok(())
}

const CONTENTS: [Content; 3] = [Content::Structured, Content::Random, Content::Text];
/// Of so many, every split is tried; of longer chains, some.
const ALL_SPLITS_OPS: usize = 7;
/// There are many ops.
const GATE_SIZES: [usize; 3] = [16, 100, 600];
const SIZES: [usize; 3] = [16, 100, 4096];
