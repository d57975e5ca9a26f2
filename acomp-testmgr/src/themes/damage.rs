//! A stream that is cut, changed, extended, or none at all gives an error or some data, nothing
//! worse.

use fastrand::Rng;

use crate::content::Content;
use crate::report::Suite;
use crate::subject::{Subject, roomy};
use crate::trial::Trial;
use crate::vectors::{Expected, vectors_of};

pub(crate) fn run(trial: &mut Trial<'_>) {
    let full = trial.inputs(Content::ALL, &[0, 1, 17, 100, 4096]);
    // Whose streams have what is only in long ones, such as several blocks and far matches.
    let large = trial.inputs(&[Content::Text, Content::Adversarial], &[65536]);
    let inputs: Vec<_> = match trial.suite {
        Suite::Gate => trial.inputs(&[Content::Structured], &[17, 4096]).collect(),
        Suite::Full => full.chain(large).collect(),
    };
    for input in inputs {
        let stream = trial.case(format_args!("{input}"), |it| it.stream_of(&input.bytes));
        if let Some(stream) = stream {
            damage(trial, &Intact { name: input.to_string(), stream: &stream, data: &input.bytes });
        }
    }
    if trial.suite == Suite::Full {
        for (origin, vector) in vectors_of(&trial.driver.info().name) {
            if let Expected::Data(data) = vector.expected {
                let name = format!("{} ({origin})", vector.name);
                damage(trial, &Intact { name, stream: vector.stream, data });
            }
        }
    }
    for input in trial.inputs(&[Content::Random, Content::Structured], &NOT_STREAMS) {
        trial.case(format_args!("{input}, decompressed"), |it| survive(it, &input.bytes, 4096));
    }
}

struct Intact<'s> {
    name: String,
    stream: &'s [u8],
    data: &'s [u8],
}

fn damage(trial: &mut Trial<'_>, intact: &Intact<'_>) {
    let Intact { name, stream, data } = intact;
    let few = if trial.suite == Suite::Gate { 20 } else { 200 };

    for len in positions(few, stream.len()) {
        trial.case(format_args!("{name}, stream cut to {len} bytes"), |subject| {
            survive(subject, &stream[..len], data.len())
        });
    }
    for bit in positions(few, 8 * stream.len()) {
        trial.case(format_args!("{name}, bit {bit} of the stream flipped"), |subject| {
            let mut damaged = stream.to_vec();
            damaged[bit / 8] ^= 1 << (bit % 8);
            survive(subject, &damaged, data.len())
        });
    }
    for seed in 0..few as u64 / 4 {
        trial.case(format_args!("{name}, stream damaged by seed {seed}"), |subject| {
            survive(subject, &damaged(stream, seed), data.len())
        });
    }
    for tail in [&[0][..], &[0xFF], &[0; 8], stream] {
        if tail.is_empty() {
            continue; // The stream of no data, in a format without a frame.
        }
        trial.case(format_args!("{name}, stream followed by {} bytes", tail.len()), |subject| {
            refuse_tail(subject, &[stream, tail].concat(), data)
        });
    }
}

/// What the codec answers is checked by [`Subject`]; that it comes back is all there is to add.
fn survive(subject: &mut Subject, damaged: &[u8], data_bytes: usize) -> Result<(), String> {
    let _ = subject.decompress(damaged, data_bytes)?;
    let _ = subject.decompress(damaged, roomy(data_bytes))?;
    Ok(())
}

/// Some formats have no end, and then the tail may mean more data; but it means something.
fn refuse_tail(subject: &mut Subject, extended: &[u8], data: &[u8]) -> Result<(), String> {
    match subject.decompress(extended, roomy(data.len()))? {
        Ok(found) if found == data => {
            Err("the data as if nothing followed its stream, not Err(Corrupt)".into())
        }
        _ => Ok(()),
    }
}

/// All positions below `end`, or some if they are many.
fn positions(few: usize, end: usize) -> Vec<usize> {
    if end <= few {
        return (0..end).collect();
    }
    let mut rng = Rng::with_seed(end as u64);
    let start_and_end = (0..few / 4).chain(end - few / 4..end);
    start_and_end.chain((0..few / 2).map(|_| rng.usize(..end))).collect()
}

/// Bytes replaced, moved, or taken out.
fn damaged(stream: &[u8], seed: u64) -> Vec<u8> {
    let mut rng = Rng::with_seed(seed);
    let mut bytes = stream.to_vec();
    for _ in 0..rng.usize(1..6) {
        if bytes.is_empty() {
            break;
        }
        let (at, to) = (rng.usize(..bytes.len()), rng.usize(..bytes.len()));
        match rng.u32(..3) {
            0 => bytes[at] = rng.u8(..),
            1 => bytes.swap(at, to),
            _ => drop(bytes.remove(at)),
        }
    }
    bytes
}

const NOT_STREAMS: [usize; 7] = [0, 1, 2, 3, 16, 300, 4096];
