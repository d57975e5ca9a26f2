//! The driver under test and its codecs, each call held to what must hold for every call.

use std::sync::Arc;

use acomp_core::{
    AlgInfo, Algorithm, Codec, Direction, Error, Op, OpenError, Ops, Outcome, Params,
};

/// A driver, prepared as a transform without parameters prepares it.
pub(crate) struct Driver<'a> {
    pub(crate) alg: &'a dyn Algorithm,
    prepared: Option<Arc<dyn Algorithm>>,
}

impl<'a> Driver<'a> {
    pub(crate) fn prepare(alg: &'a dyn Algorithm, params: &Params) -> Result<Self, OpenError> {
        Ok(Self { alg, prepared: alg.prepare(params)? })
    }

    pub(crate) fn info(&self) -> &AlgInfo {
        self.prepared.as_deref().unwrap_or(self.alg).info()
    }

    pub(crate) fn open(&self) -> Result<Subject, String> {
        self.open_with(&Params::new()).map_err(|why| why.to_string())
    }

    pub(crate) fn open_with(&self, params: &Params) -> Result<Subject, OpenError> {
        let codec = self.prepared.as_deref().unwrap_or(self.alg).open(params)?;
        Ok(Subject { codec })
    }
}

/// An open codec. Whatever it is asked, it writes nothing outside of the destination, claims no
/// more than the destination holds, and fails only in the ways that the direction has.
pub(crate) struct Subject {
    codec: Box<dyn Codec>,
}

impl Subject {
    pub(crate) fn compress(&mut self, src: &[u8], dst_bytes: usize) -> Result<Answer, String> {
        self.single(Call { direction: Direction::Compress, src, dst_bytes })
    }

    pub(crate) fn decompress(&mut self, src: &[u8], dst_bytes: usize) -> Result<Answer, String> {
        self.single(Call { direction: Direction::Decompress, src, dst_bytes })
    }

    pub(crate) fn single(&mut self, call: Call<'_>) -> Result<Answer, String> {
        let mut dst = Fenced::new(call.dst_bytes);
        let outcome = match call.direction {
            Direction::Compress => self.codec.compress(call.src, dst.inside()),
            Direction::Decompress => self.codec.decompress(call.src, dst.inside()),
        };
        answer(call.direction, &dst, Some(outcome))
    }

    /// The calls as one chain: an answer for each.
    pub(crate) fn run(&mut self, calls: &[Call<'_>]) -> Result<Vec<Answer>, String> {
        let mut dsts: Vec<_> = calls.iter().map(|call| Fenced::new(call.dst_bytes)).collect();
        let ops = calls.iter().zip(&mut dsts).map(|(call, dst)| match call.direction {
            Direction::Compress => Op::compress(call.src, dst.inside()),
            Direction::Decompress => Op::decompress(call.src, dst.inside()),
        });
        let mut ops: Vec<_> = ops.collect();
        self.codec.run(&mut Ops::new(&mut ops));
        let outcomes: Vec<_> = ops.iter().map(Op::outcome).collect();
        let answers = calls.iter().zip(&dsts).zip(outcomes).enumerate();
        answers
            .map(|(i, ((call, dst), outcome))| {
                answer(call.direction, dst, outcome)
                    .map_err(|why| format!("op {i} of {}: {why}", calls.len()))
            })
            .collect()
    }

    /// The stream of `data`, for which there is ample room.
    pub(crate) fn stream_of(&mut self, data: &[u8]) -> Result<Vec<u8>, String> {
        let room = roomy(data.len());
        self.compress(data, room)?
            .map_err(|error| format!("compress into {room} bytes: Err({error:?})"))
    }

    /// Fails unless `stream` decompresses to `data`.
    pub(crate) fn expect_data(
        &mut self,
        stream: &[u8],
        dst_bytes: usize,
        data: &[u8],
    ) -> Result<(), String> {
        let answer = self.decompress(stream, dst_bytes)?;
        if answer.as_deref() == Ok(data) {
            return Ok(());
        }
        Err(format!(
            "decompress {} bytes into {dst_bytes} bytes: {}, not the data of {} bytes",
            stream.len(),
            describe(&answer),
            data.len(),
        ))
    }
}

/// What one call asks for.
#[derive(Clone, Copy)]
pub(crate) struct Call<'s> {
    pub(crate) direction: Direction,
    pub(crate) src: &'s [u8],
    pub(crate) dst_bytes: usize,
}

/// What a call produced.
pub(crate) type Answer = Result<Vec<u8>, Error>;

pub(crate) fn describe(answer: &Answer) -> String {
    match answer {
        Ok(bytes) => format!("Ok({})", bytes.len()),
        Err(error) => format!("Err({error:?})"),
    }
}

/// Room for the stream of any format that is worth its name.
pub(crate) fn roomy(data_bytes: usize) -> usize {
    2 * data_bytes + 1024
}

fn answer(direction: Direction, dst: &Fenced, outcome: Option<Outcome>) -> Result<Answer, String> {
    let (inside, is_intact) = dst.after();
    if !is_intact {
        return Err(format!("{direction:?} wrote outside of its {} bytes", inside.len()));
    }
    match (direction, outcome) {
        (_, None) => Err(format!("{direction:?} was not answered")),
        (_, Some(Ok(len))) => inside.get(..len).map(|bytes| Ok(bytes.to_vec())).ok_or_else(|| {
            format!("{direction:?} claims {len} bytes in a destination of {}", inside.len())
        }),
        (_, Some(Err(error @ Error::DstTooSmall)))
        | (Direction::Decompress, Some(Err(error @ Error::Corrupt))) => Ok(Err(error)),
        (_, Some(Err(error))) => {
            Err(format!("{direction:?} into {} bytes: Err({error:?})", inside.len()))
        }
    }
}

/// A destination between two fences, which nobody may change.
struct Fenced {
    bytes: Vec<u8>,
}

impl Fenced {
    fn new(dst_bytes: usize) -> Self {
        Self { bytes: vec![FENCE; FENCE_BYTES + dst_bytes + FENCE_BYTES] }
    }

    fn inside(&mut self) -> &mut [u8] {
        let end = self.bytes.len() - FENCE_BYTES;
        &mut self.bytes[FENCE_BYTES..end]
    }

    /// What is inside, and whether the fences still stand.
    fn after(&self) -> (&[u8], bool) {
        let (front, rest) = self.bytes.split_at(FENCE_BYTES);
        let (inside, back) = rest.split_at(rest.len() - FENCE_BYTES);
        (inside, front.iter().chain(back).all(|&byte| byte == FENCE))
    }
}

const FENCE: u8 = 0xA5;
/// The longest that wild copies write at once.
const FENCE_BYTES: usize = 64;

#[cfg(test)]
mod test {
    use super::*;

    /// Only a driver with foreign code could get there, so no test driver can.
    #[test]
    fn a_byte_outside_of_the_destination_is_reported() {
        for at in [FENCE_BYTES - 1, FENCE_BYTES + 10] {
            let mut dst = Fenced::new(10);
            dst.inside().fill(0);
            assert!(answer(Direction::Compress, &dst, Some(Ok(10))).is_ok());
            dst.bytes[at] = 0;
            assert!(answer(Direction::Compress, &dst, Some(Ok(10))).is_err());
        }
    }
}
