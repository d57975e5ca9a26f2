//! `lzo` and `lzo-rle`: one LZO1X stream as the kernel's, by `page-codec`.
//!
//! Each reads the streams of both, as the kernel's do.

use std::sync::Arc;

use acomp_core::{
    AlgFlags, AlgInfo, Algorithm, Codec, Error, OpenError, Outcome, Params, Registration,
};
use page_codec::lzo::{DecodeError, Encoder, decode};

static LZO: AlgInfo = info("lzo", "lzo-page");
static LZO_RLE: AlgInfo = info("lzo-rle", "lzo-rle-page");

acomp_core::inventory::submit!(Registration::new(
    &LZO,
    || Ok(Arc::new(LzoPage { info: &LZO, encoder: Encoder::new })),
    module_path!()
));

acomp_core::inventory::submit!(Registration::new(
    &LZO_RLE,
    || Ok(Arc::new(LzoPage { info: &LZO_RLE, encoder: Encoder::with_runs })),
    module_path!()
));

const fn info(name: &'static str, driver: &'static str) -> AlgInfo {
    AlgInfo::new(name, driver)
        .with_priority(120)
        .with_flags(AlgFlags::NO_ALLOC_AFTER_OPEN.union(AlgFlags::NEVER_BLOCKS))
}

#[derive(Debug)]
struct LzoPage {
    info: &'static AlgInfo,
    encoder: fn() -> Encoder,
}

impl Algorithm for LzoPage {
    fn info(&self) -> &AlgInfo {
        self.info
    }

    fn open(&self, params: &Params) -> Result<Box<dyn Codec>, OpenError> {
        params.allow(&[])?;
        Ok(Box::new(Stream { encoder: (self.encoder)() }))
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
