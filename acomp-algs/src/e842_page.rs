//! `842`: one 842 stream as the kernel's, by `page-codec`.

use std::sync::Arc;

use acomp_core::{
    AlgFlags, AlgInfo, Algorithm, Codec, Error, OpenError, Outcome, Params, Registration,
};
use page_codec::e842::{DecodeError, Encoder, decode};

static INFO: AlgInfo = AlgInfo::new("842", "842-page")
    .with_priority(120)
    .with_flags(AlgFlags::NO_ALLOC_AFTER_OPEN.union(AlgFlags::NEVER_BLOCKS));

acomp_core::inventory::submit!(Registration::new(&INFO, || Ok(Arc::new(E842Page)), module_path!()));

#[derive(Debug)]
struct E842Page;

impl Algorithm for E842Page {
    fn info(&self) -> &AlgInfo {
        &INFO
    }

    fn open(&self, params: &Params) -> Result<Box<dyn Codec>, OpenError> {
        params.allow(&[])?;
        Ok(Box::new(Stream { encoder: Encoder::new() }))
    }
}

struct Stream {
    encoder: Encoder,
}

impl Codec for Stream {
    fn compress(&mut self, src: &[u8], dst: &mut [u8]) -> Outcome {
        self.encoder.encode(src, dst).map_err(|_| Error::DstTooSmall)
    }

    fn decompress(&mut self, src: &[u8], dst: &mut [u8]) -> Outcome {
        decode(src, dst).map_err(|error| match error {
            DecodeError::DstTooSmall => Error::DstTooSmall,
            _ => Error::Corrupt,
        })
    }
}
