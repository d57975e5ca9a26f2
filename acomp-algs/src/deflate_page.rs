//! `deflate` for pages: raw deflate (RFC 1951), by `page-codec`.
//!
//! Two drivers, because a table of codes in each stream makes streams smaller and takes longer.

use std::sync::Arc;

use acomp_core::{
    AlgFlags, AlgInfo, Algorithm, Codec, Error, OpenError, Outcome, Params, Registration,
};
use page_codec::deflate::{DecodeErrorKind, Decoded, Decoder, Effort, Encoder};

static DYNAMIC: AlgInfo = info("deflate-page").with_priority(120);
static FIXED: AlgInfo = info("deflate-page-fixed").with_priority(110);

acomp_core::inventory::submit!(Registration::new(
    &DYNAMIC,
    || Ok(Arc::new(DeflatePage {
        info: &DYNAMIC,
        encoder: || Encoder::dynamic().effort(Effort::Dense)
    })),
    module_path!()
));

acomp_core::inventory::submit!(Registration::new(
    &FIXED,
    || Ok(Arc::new(DeflatePage {
        info: &FIXED,
        encoder: || Encoder::fixed().effort(Effort::Fast)
    })),
    module_path!()
));

const fn info(driver: &'static str) -> AlgInfo {
    AlgInfo::new("deflate", driver)
        .with_flags(AlgFlags::NO_ALLOC_AFTER_OPEN.union(AlgFlags::NEVER_BLOCKS))
}

#[derive(Debug)]
struct DeflatePage {
    info: &'static AlgInfo,
    encoder: fn() -> Encoder,
}

impl Algorithm for DeflatePage {
    fn info(&self) -> &AlgInfo {
        self.info
    }

    fn open(&self, params: &Params) -> Result<Box<dyn Codec>, OpenError> {
        params.allow(&[])?;
        Ok(Box::new(Raw { encoder: (self.encoder)(), decoder: Decoder::new() }))
    }
}

struct Raw {
    encoder: Encoder,
    decoder: Decoder,
}

impl Codec for Raw {
    fn compress(&mut self, src: &[u8], dst: &mut [u8]) -> Outcome {
        self.encoder.encode(src, dst).map_err(|_| Error::DstTooSmall)
    }

    fn decompress(&mut self, src: &[u8], dst: &mut [u8]) -> Outcome {
        match self.decoder.decode(src, dst) {
            Ok(Decoded { consumed, produced }) if consumed == src.len() => Ok(produced),
            Err(error) if error.kind == DecodeErrorKind::DstTooSmall => Err(Error::DstTooSmall),
            _ => Err(Error::Corrupt),
        }
    }
}
