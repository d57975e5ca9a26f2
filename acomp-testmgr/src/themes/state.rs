//! A codec keeps nothing of what it did before, and two codecs nothing of each other.

use std::sync::Barrier;
use std::thread;

use acomp_core::Direction;

use crate::content::Content;
use crate::matrix::Call;
use crate::report::Suite;
use crate::subject::{Answer, Driver, Subject, describe};
use crate::trial::{Input, Trial, caught};

pub(crate) fn run(trial: &mut Trial<'_>) {
    let inputs: Vec<_> = match trial.suite {
        Suite::Gate => trial.inputs(&[Content::Structured], &[4096]).collect(),
        Suite::Full => trial.inputs(Content::ALL, &[1, 100, 4096, 65536]).collect(),
    };
    let driver = trial.driver;
    for input in &inputs {
        let stream = trial.case(format_args!("{input}"), |it| it.stream_of(&input.bytes));
        let Some(stream) = stream else { continue };
        for (what, call) in failing(&input.bytes, &stream) {
            trial.case(format_args!("{input}, after {what}"), |used| {
                as_if_fresh(driver, used, call, &input.bytes)
            });
        }
    }
    let (refusals, refused): (_, &'static [usize]) = match trial.suite {
        Suite::Gate => (32, &[512]),
        Suite::Full => (1000, &[4096]),
    };
    for input in trial.inputs(&[Content::Random], refused) {
        trial.case(format_args!("{input}, after {refusals} refusals"), |used| {
            tireless(driver, used, refusals, &input.bytes)
        });
    }
    let rounds = if trial.suite == Suite::Gate { 8 } else { 16 };
    for input in &inputs {
        let other = Input::new(Content::Text, 1, input.bytes.len());
        trial.case(format_args!("{input} and {other}, interleaved"), |one| {
            interleaved(driver, one, &input.bytes, &other.bytes)
        });
        trial.case(format_args!("{input} and {other}, in parallel"), |one| {
            parallel(rounds, one, &input.bytes, &mut driver.open()?, &other.bytes)
        });
    }
}

/// Calls that most drivers cannot but refuse.
fn failing<'s>(data: &'s [u8], stream: &'s [u8]) -> [(&'static str, Call<'s>); 4] {
    use Direction::{Compress, Decompress};
    let half = stream.len() / 2;
    let call = |direction, src, dst_bytes| Call { direction, src, dst_bytes };
    [
        ("a compression into half the bytes it needs", call(Compress, data, half)),
        ("a decompression into half the bytes it needs", call(Decompress, stream, data.len() / 2)),
        ("a stream that is cut off", call(Decompress, &stream[..half], data.len())),
        ("no stream at all", call(Decompress, &stream[half..], data.len())),
    ]
}

fn as_if_fresh(
    driver: &Driver<'_>,
    used: &mut Subject,
    call: Call<'_>,
    data: &[u8],
) -> Result<(), String> {
    let used_answer = used.single(call)?;
    let mut fresh = driver.open()?;
    let (used_stream, fresh_stream) = (used.stream_of(data)?, fresh.stream_of(data)?);
    let of_used = |why| format!("the stream of the used codec: {why}");
    fresh.expect_data(&used_stream, data.len(), data).map_err(of_used)?;
    used.expect_data(&fresh_stream, data.len(), data).map_err(|why| format!("then {why}"))?;

    let fresh_answer = driver.open()?.single(call)?;
    if is_same(call.direction, &used_answer, &fresh_answer) {
        return Ok(());
    }
    Err(format!(
        "it was {} on a used codec, {} on a fresh one",
        describe(&used_answer),
        describe(&fresh_answer),
    ))
}

/// What does not compress is refused page after page, for as long as a page store lives.
fn tireless(
    driver: &Driver<'_>,
    used: &mut Subject,
    refusals: usize,
    data: &[u8],
) -> Result<(), String> {
    let (stream, too_few) = (used.stream_of(data)?, data.len() - 1);
    for _ in 0..refusals {
        let _ = used.compress(data, too_few)?;
        let _ = used.decompress(&stream, too_few)?;
    }
    let call = Call { direction: Direction::Compress, src: data, dst_bytes: too_few };
    as_if_fresh(driver, used, call, data)
}

/// Two streams of the same data need not be equal bytes.
fn is_same(direction: Direction, one: &Answer, two: &Answer) -> bool {
    one == two || (direction == Direction::Compress && one.is_ok() && two.is_ok())
}

/// Every step of one codec stands between two steps of the other, and a third reads both.
fn interleaved(
    driver: &Driver<'_>,
    one: &mut Subject,
    data: &[u8],
    other_data: &[u8],
) -> Result<(), String> {
    let mut other = driver.open()?;
    let stream = one.stream_of(data)?;
    let other_stream = other.stream_of(other_data)?;
    for (_, call) in failing(data, &stream) {
        let _ = other.single(call)?;
        one.expect_data(&stream, data.len(), data)?;
        other.expect_data(&other_stream, other_data.len(), other_data)?;
        one.expect_data(&other_stream, other_data.len(), other_data)?;
        other.expect_data(&stream, data.len(), data)?;
    }
    drop(other);
    one.expect_data(&other_stream, other_data.len(), other_data)?;
    driver.open()?.expect_data(&stream, data.len(), data)
}

/// Two threads do what one does, each round at the same moment.
fn parallel(
    rounds: usize,
    one: &mut Subject,
    data: &[u8],
    other: &mut Subject,
    other_data: &[u8],
) -> Result<(), String> {
    let barrier = Barrier::new(2);
    let work = |subject: &mut Subject, data: &[u8]| {
        let mut all = Ok(());
        for _ in 0..rounds {
            barrier.wait(); // Also after a failure: the other thread waits here.
            if all.is_ok() {
                all = caught(|| {
                    let stream = subject.stream_of(data)?;
                    subject.expect_data(&stream, data.len(), data)
                });
            }
        }
        all
    };
    thread::scope(|scope| {
        let others = scope.spawn(|| work(other, other_data));
        let all = work(one, data);
        all.and(others.join().unwrap_or_else(|_| Err("the other thread panicked".into())))
    })
}
