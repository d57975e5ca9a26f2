//! A chain of n ops does what n single calls do, in any split, whichever of them fail.

use acomp_core::{Direction, MAX_BATCH};
use fastrand::Rng;

use crate::content::Content;
use crate::matrix::Call;
use crate::report::Suite;
use crate::subject::{Answer, Driver, Subject, describe, roomy};
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
            trial.case(format_args!("op {at} of {len} fails: {}", failing.name), |it| {
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

/// A call, and what it answers when it is made alone.
struct Known {
    name: String,
    direction: Direction,
    src: Vec<u8>,
    dst_bytes: usize,
    answer: Answer,
}

struct Calls {
    succeeding: Vec<Known>,
    failing: Vec<Known>,
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
                let answer = single.single(Call { direction, src, dst_bytes })?;
                let (name, src) = (format!("{what} {input}"), src.to_vec());
                Ok::<_, String>(Known { name, direction, src, dst_bytes, answer })
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

    fn succeeding(&self, len: usize) -> Vec<&Known> {
        self.succeeding.iter().cycle().take(len).collect()
    }

    fn mixed(&self, seed: u64, len: usize) -> Vec<&Known> {
        let mut rng = Rng::with_seed(seed);
        let all: Vec<_> = self.succeeding.iter().chain(&self.failing).collect();
        (0..len).filter_map(|_| rng.choice(&all).copied()).collect()
    }
}

fn chain(subject: &mut Subject, ops: &[&Known]) -> Result<(), String> {
    let calls: Vec<_> = ops
        .iter()
        .map(|op| Call { direction: op.direction, src: &op.src, dst_bytes: op.dst_bytes })
        .collect();
    for (i, (answer, op)) in subject.run(&calls)?.iter().zip(ops).enumerate() {
        agree(subject, op, answer)
            .map_err(|why| format!("op {i} of {}, {}: {why}", ops.len(), op.name))?;
    }
    Ok(())
}

/// Two streams of the same data need not be equal bytes, except to a decompressor.
fn agree(subject: &mut Subject, op: &Known, answer: &Answer) -> Result<(), String> {
    match (op.direction, answer, &op.answer) {
        _ if *answer == op.answer => Ok(()),
        (Direction::Compress, Ok(stream), Ok(_)) => {
            subject.expect_data(stream, op.src.len(), &op.src)
        }
        _ => Err(format!("{}, alone {}", describe(answer), describe(&op.answer))),
    }
}

fn split(subject: &mut Subject, seed: u64, ops: &[&Known]) -> Result<(), String> {
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
fn cut(subject: &mut Subject, cuts: usize, ops: &[&Known]) -> Result<(), String> {
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
