//! Whatever the length of the destination, the answer is the right data or `DstTooSmall`.

use acomp_core::Error;
use fastrand::Rng;

use crate::content::Content;
use crate::report::Suite;
use crate::subject::{Subject, describe};
use crate::trial::{Input, Trial};

pub(crate) fn run(trial: &mut Trial<'_>) {
    let full = trial.inputs(Content::ALL, &[0, 1, 2, 15, 16, 17, 255, 4095, 4096, 4097]);
    let large = trial.inputs(&[Content::Text, Content::Adversarial], &[65536]);
    let gate = trial.inputs(&[Content::Structured, Content::Zero], &[16, 4096]);
    match trial.suite {
        Suite::Gate => gate.for_each(|input| one_input(trial, &input)),
        Suite::Full => full.chain(large).for_each(|input| one_input(trial, &input)),
    }
}

fn one_input(trial: &mut Trial<'_>, input: &Input) {
    let data = &input.bytes;
    let stream = trial.case(format_args!("{input}"), |subject| subject.stream_of(data));
    let Some(stream) = stream else { return };

    // A page store's destination is as long as the source.
    for len in lengths(trial.suite, stream.len()).chain([data.len()]) {
        trial.case(format_args!("{input}, compress into {len} bytes"), |subject| {
            compress(subject, data, len, &stream)
        });
    }
    for len in lengths(trial.suite, data.len()) {
        trial.case(format_args!("{input}, decompress into {len} bytes"), |subject| {
            decompress(subject, &stream, len, data)
        });
    }
}

fn compress(
    subject: &mut Subject,
    data: &[u8],
    dst_bytes: usize,
    stream: &[u8],
) -> Result<(), String> {
    match subject.compress(data, dst_bytes)? {
        Ok(shorter) if shorter == stream => Ok(()),
        Ok(shorter) => subject.expect_data(&shorter, data.len(), data),
        Err(_) if dst_bytes >= data.len() && 2 * stream.len() <= data.len() => Err(format!(
            "Err(DstTooSmall), but the stream had {} bytes when there was more room",
            stream.len(),
        )),
        Err(_) => Ok(()),
    }
}

fn decompress(
    subject: &mut Subject,
    stream: &[u8],
    dst_bytes: usize,
    data: &[u8],
) -> Result<(), String> {
    if dst_bytes >= data.len() {
        return subject.expect_data(stream, dst_bytes, data);
    }
    match subject.decompress(stream, dst_bytes)? {
        Err(Error::DstTooSmall) => Ok(()),
        answer => Err(format!("{}, not Err(DstTooSmall)", describe(&answer))),
    }
}

/// Lengths from 0 to one more than `needed`: all if they are few, else random ones and those around
/// `needed`.
fn lengths(suite: Suite, needed: usize) -> impl Iterator<Item = usize> {
    let (few, random, around) = match suite {
        Suite::Gate => (20, 8, 3),
        Suite::Full => (256, 200, 16),
    };
    let (start, random) = if needed <= few { (0, 0) } else { (needed + 2 - around, random) };
    let mut rng = Rng::with_seed(needed as u64);
    (start..needed + 2).chain((0..random).map(move |_| rng.usize(..needed)))
}
