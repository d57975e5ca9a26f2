//! The driver under test and its codecs, each call held to what must hold for every call.

use std::sync::Arc;

use acomp_core::{
    AlgInfo, Algorithm, Codec, Direction, Error, Op, OpenError, Ops, Outcome, Params, Port,
};

use crate::matrix::{Arena, Buffers, Call};

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
        self.algorithm().info()
    }

    pub(crate) fn port(&self) -> Option<&Port> {
        self.algorithm().port()
    }

    pub(crate) fn open(&self) -> Result<Subject, String> {
        self.open_with(&Params::new()).map_err(|why| why.to_string())
    }

    pub(crate) fn open_with(&self, params: &Params) -> Result<Subject, OpenError> {
        Ok(Subject { codec: self.algorithm().open(params)? })
    }

    fn algorithm(&self) -> &dyn Algorithm {
        self.prepared.as_deref().unwrap_or(self.alg)
    }
}

/// An open codec. Whatever it is asked, it writes nothing outside of the destination, claims no
/// more than the destination holds, and fails only in the ways that the direction has.
pub(crate) struct Subject {
    pub(crate) codec: Box<dyn Codec>,
}

impl Subject {
    pub(crate) fn compress(&mut self, src: &[u8], dst_bytes: usize) -> Result<Answer, String> {
        self.single(Call { direction: Direction::Compress, src, dst_bytes })
    }

    pub(crate) fn decompress(&mut self, src: &[u8], dst_bytes: usize) -> Result<Answer, String> {
        self.single(Call { direction: Direction::Decompress, src, dst_bytes })
    }

    pub(crate) fn single(&mut self, call: Call<'_>) -> Result<Answer, String> {
        let mut arena = Arena::new(Buffers::Linear, [call.dst_bytes].into_iter());
        let outcome = arena.dsts().pop().map(|dst| match call.direction {
            Direction::Compress => self.codec.compress(call.src, dst),
            Direction::Decompress => self.codec.decompress(call.src, dst),
        });
        arena.check()?;
        answer(&call, &arena, 0, outcome)
    }

    /// The calls as one chain: an answer for each.
    pub(crate) fn run(&mut self, calls: &[Call<'_>]) -> Result<Vec<Answer>, String> {
        // With fences between neighbours, too.
        let mut arena = Arena::new(Buffers::Unaligned, calls.iter().map(|call| call.dst_bytes));
        let ops = calls.iter().zip(arena.dsts()).map(|(call, dst)| match call.direction {
            Direction::Compress => Op::compress(call.src, dst),
            Direction::Decompress => Op::decompress(call.src, dst),
        });
        let mut ops: Vec<_> = ops.collect();
        self.codec.run(&mut Ops::new(&mut ops));
        let outcomes: Vec<_> = ops.iter().map(Op::outcome).collect();
        arena.check()?;
        let answers = calls.iter().zip(outcomes).enumerate().map(|(i, (call, outcome))| {
            answer(call, &arena, i, outcome)
                .map_err(|why| format!("op {i} of {}: {why}", calls.len()))
        });
        answers.collect()
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

/// A call, and what a codec answers when it is made alone.
pub(crate) struct Known {
    pub(crate) direction: Direction,
    pub(crate) src: Vec<u8>,
    pub(crate) dst_bytes: usize,
    pub(crate) answer: Answer,
}

impl Known {
    pub(crate) fn ask(codec: &mut Subject, call: Call<'_>) -> Result<Self, String> {
        let Call { direction, src, dst_bytes } = call;
        Ok(Self { direction, src: src.to_vec(), dst_bytes, answer: codec.single(call)? })
    }

    pub(crate) fn call(&self) -> Call<'_> {
        Call { direction: self.direction, src: &self.src, dst_bytes: self.dst_bytes }
    }

    /// Fails unless the answer is as good. Two streams of the same data need not be equal bytes,
    /// except to a decompressor; `reader` reads the other one.
    pub(crate) fn agree(&self, reader: &mut Subject, answer: &Answer) -> Result<(), String> {
        match (self.direction, answer, &self.answer) {
            _ if *answer == self.answer => Ok(()),
            (Direction::Compress, Ok(stream), Ok(_)) => {
                reader.expect_data(stream, self.src.len(), &self.src)
            }
            _ => Err(format!("{}, alone {}", describe(answer), describe(&self.answer))),
        }
    }
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

fn answer(
    call: &Call<'_>,
    arena: &Arena,
    place: usize,
    outcome: Option<Outcome>,
) -> Result<Answer, String> {
    let Call { direction, dst_bytes, .. } = call;
    match (direction, outcome) {
        (_, None) => Err(format!("{direction:?} was not answered")),
        (_, Some(Ok(len))) => {
            arena.output(place, len).map(|output| Ok(output.to_vec())).ok_or_else(|| {
                format!("{direction:?} claims {len} bytes in a destination of {dst_bytes}")
            })
        }
        (_, Some(Err(error @ Error::DstTooSmall)))
        | (Direction::Decompress, Some(Err(error @ Error::Corrupt))) => Ok(Err(error)),
        (_, Some(Err(error))) => {
            Err(format!("{direction:?} into {dst_bytes} bytes: Err({error:?})"))
        }
    }
}
