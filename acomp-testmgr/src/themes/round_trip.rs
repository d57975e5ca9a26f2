//! Data comes back.

use crate::content::Content;
use crate::report::Suite;
use crate::subject::{Subject, roomy};
use crate::trial::{Input, Trial};

pub(crate) fn run(trial: &mut Trial<'_>) {
    let large: &[Content] = match trial.suite {
        Suite::Gate => &[Content::Text],
        Suite::Full => Content::ALL,
    };
    for input in trial.inputs(Content::ALL, &SIZES).chain(trial.inputs(large, &[65536])) {
        round_trip(trial, &input);
    }
    let longest = trial.driver.info().src_bytes_max.map_or(usize::MAX, Into::into);
    if longest <= LONGEST_TRIED {
        round_trip(trial, &Input::new(Content::Text, 0, longest));
    }
    if trial.suite == Suite::Full {
        for seed in 0..SEEDED {
            let len = fastrand::Rng::with_seed(seed).usize(1..=longest.min(LONGEST_SEEDED));
            let content = Content::ALL[seed as usize % Content::ALL.len()];
            round_trip(trial, &Input::new(content, seed, len));
        }
    }
}

fn round_trip(trial: &mut Trial<'_>, input: &Input) {
    trial.case(format_args!("{input}"), |subject| there_and_back(subject, &input.bytes));
}

fn there_and_back(subject: &mut Subject, data: &[u8]) -> Result<(), String> {
    let stream = subject.stream_of(data)?;
    subject.expect_data(&stream, data.len(), data)?;
    subject.expect_data(&stream, roomy(data.len()), data)
}

const SIZES: [usize; 9] = [0, 1, 2, 15, 16, 17, 4095, 4096, 4097];
/// A driver's own limit is tried out up to here.
const LONGEST_TRIED: usize = 1 << 20;
const LONGEST_SEEDED: usize = 10_000;
const SEEDED: u64 = 300;
