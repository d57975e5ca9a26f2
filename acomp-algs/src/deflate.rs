//! `deflate`: raw deflate (RFC 1951), by `flate2` on `zlib-rs`.

use std::num::NonZeroUsize;
use std::sync::Arc;

use acomp_core::{
    AlgFlags, AlgInfo, Algorithm, Codec, Error, OpenError, Outcome, Params, Registration,
};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

static INFO: AlgInfo = AlgInfo::new("deflate", "deflate-flate2")
    .with_priority(100)
    .with_src_bytes_max(SRC_BYTES_MAX)
    .with_flags(AlgFlags::NO_ALLOC_AFTER_OPEN.union(AlgFlags::NEVER_BLOCKS));

acomp_core::inventory::submit!(Registration::new(&INFO, || Ok(Arc::new(Deflate)), module_path!()));

#[derive(Debug)]
struct Deflate;

impl Algorithm for Deflate {
    fn info(&self) -> &AlgInfo {
        &INFO
    }

    fn open(&self, params: &Params) -> Result<Box<dyn Codec>, OpenError> {
        params.allow(&["level", "window_bytes", "dictionary"])?;
        Ok(Box::new(Raw {
            deflate: Compress::new_with_window_bits(level(params)?, false, window_bits(params)?),
            // Whatever window a stream was made with, this reads it.
            inflate: Decompress::new_with_window_bits(false, WINDOW_BITS_MAX),
            dictionary: params.dictionary().cloned(),
        }))
    }
}

fn level(params: &Params) -> Result<Compression, OpenError> {
    match params.level().map(u32::try_from) {
        None => Ok(Compression::default()),
        Some(Ok(level @ 0..=9)) => Ok(Compression::new(level)),
        Some(_) => Err(OpenError::unsupported("level", "flate2 has levels 0 to 9")),
    }
}

fn window_bits(params: &Params) -> Result<u8, OpenError> {
    let Some(bytes) = params.window_bytes() else { return Ok(WINDOW_BITS_MAX) };
    let bits = bytes.ilog2() as u8;
    if bytes.is_power_of_two() && (WINDOW_BITS_MIN..=WINDOW_BITS_MAX).contains(&bits) {
        Ok(bits)
    } else {
        Err(OpenError::unsupported("window_bytes", "a power of two from 512 to 32768"))
    }
}

struct Raw {
    deflate: Compress,
    inflate: Decompress,
    dictionary: Option<Arc<[u8]>>,
}

impl Codec for Raw {
    fn compress(&mut self, src: &[u8], dst: &mut [u8]) -> Outcome {
        self.deflate.reset();
        if let Some(dictionary) = &self.dictionary {
            self.deflate.set_dictionary(dictionary).map_err(|_| Error::Unsupported)?;
        }
        match self.deflate.compress(src, dst, FlushCompress::Finish) {
            Ok(Status::StreamEnd) => Ok(self.deflate.total_out() as usize),
            _ => {
                self.drain(src);
                Err(Error::DstTooSmall)
            }
        }
    }

    fn decompress(&mut self, src: &[u8], dst: &mut [u8]) -> Outcome {
        self.inflate.reset(false);
        if let Some(dictionary) = &self.dictionary {
            self.inflate.set_dictionary(dictionary).map_err(|_| Error::Unsupported)?;
        }
        let status = self.inflate.decompress(src, dst, FlushDecompress::Finish);
        let (read, written) = (self.inflate.total_in() as usize, self.inflate.total_out() as usize);
        match status {
            Ok(Status::StreamEnd) if read == src.len() => Ok(written),
            Ok(Status::Ok | Status::BufError) if written == dst.len() => {
                self.is_there_more(&src[read..])
            }
            _ => Err(Error::Corrupt),
        }
    }
}

impl Raw {
    /// Lets a stream that did not fit end. What it left behind would survive a reset, fill a buffer
    /// of zlib-rs (0.6.8) and make it panic after a dozen pages.
    fn drain(&mut self, src: &[u8]) {
        let mut waste = [0; WASTE_BYTES];
        loop {
            let before = self.deflate.total_out();
            let rest = &src[self.deflate.total_in() as usize..];
            let status = self.deflate.compress(rest, &mut waste, FlushCompress::Finish);
            let is_ongoing = matches!(status, Ok(Status::Ok | Status::BufError));
            if !is_ongoing || self.deflate.total_out() == before {
                return;
            }
        }
    }

    /// `dst` is full and the stream did not end: only one more byte of output tells a destination
    /// that is too small from a stream that is cut off.
    fn is_there_more(&mut self, rest: &[u8]) -> Outcome {
        let before = self.inflate.total_out();
        match self.inflate.decompress(rest, &mut [0], FlushDecompress::Finish) {
            Ok(_) if self.inflate.total_out() > before => Err(Error::DstTooSmall),
            _ => Err(Error::Corrupt),
        }
    }
}

/// zlib counts what it is given in 32 bits.
const SRC_BYTES_MAX: NonZeroUsize = NonZeroUsize::new(u32::MAX as usize).unwrap();
const WASTE_BYTES: usize = 1024;
const WINDOW_BITS_MIN: u8 = 9;
const WINDOW_BITS_MAX: u8 = 15;
