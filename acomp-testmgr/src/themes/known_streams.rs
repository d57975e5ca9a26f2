//! Streams of other implementations are read, and broken ones refused.

use acomp_core::Error;

use crate::subject::{Subject, describe, roomy};
use crate::trial::Trial;
use crate::vectors::{Expected, Vector, vectors_of};

pub(crate) fn run(trial: &mut Trial<'_>) {
    for (origin, vector) in vectors_of(&trial.driver.info().name) {
        trial.case(format_args!("{} ({origin})", vector.name), |subject| check(subject, vector));
    }
}

fn check(subject: &mut Subject, vector: &Vector) -> Result<(), String> {
    match vector.expected {
        Expected::Data(data) => {
            subject.expect_data(vector.stream, data.len(), data)?;
            subject.expect_data(vector.stream, roomy(data.len()), data)?;
            match data.len().checked_sub(1) {
                Some(less) => expect_error(subject, vector.stream, less, Error::DstTooSmall),
                None => Ok(()),
            }
        }
        Expected::Corrupt => {
            expect_error(subject, vector.stream, REFUSED_DST_BYTES, Error::Corrupt)
        }
    }
}

fn expect_error(
    subject: &mut Subject,
    stream: &[u8],
    dst_bytes: usize,
    error: Error,
) -> Result<(), String> {
    match subject.decompress(stream, dst_bytes)? {
        Err(found) if found == error => Ok(()),
        answer => Err(format!("into {dst_bytes} bytes: {}, not Err({error:?})", describe(&answer))),
    }
}

/// More than any refused vector could claim to hold.
const REFUSED_DST_BYTES: usize = 64 << 10;
