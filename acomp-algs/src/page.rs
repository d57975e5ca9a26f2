//! Drivers of streams that `page-codec` makes of whole pages, and that take no parameters.

use acomp_core::{AlgFlags, AlgInfo, Algorithm, Codec, OpenError, Params};

/// Before the others of the name.
pub(crate) const fn info(name: &'static str, driver: &'static str) -> AlgInfo {
    AlgInfo::new(name, driver)
        .with_priority(120)
        .with_flags(AlgFlags::NO_ALLOC_AFTER_OPEN.union(AlgFlags::NEVER_BLOCKS))
}

#[derive(Debug)]
pub(crate) struct PageDriver {
    pub(crate) info: &'static AlgInfo,
    pub(crate) open: fn() -> Box<dyn Codec>,
}

impl Algorithm for PageDriver {
    fn info(&self) -> &AlgInfo {
        self.info
    }

    fn open(&self, params: &Params) -> Result<Box<dyn Codec>, OpenError> {
        params.allow(&[])?;
        Ok((self.open)())
    }
}

/// `Stream`, a codec over the encoder and the decoder of a module of `page-codec`: each has errors
/// of its own.
macro_rules! stream_of {
    ($format:ident) => {
        struct Stream(page_codec::$format::Encoder);

        impl acomp_core::Codec for Stream {
            fn compress(&mut self, src: &[u8], dst: &mut [u8]) -> acomp_core::Outcome {
                self.0.encode(src, dst).map_err(|_| acomp_core::Error::DstTooSmall)
            }

            fn decompress(&mut self, src: &[u8], dst: &mut [u8]) -> acomp_core::Outcome {
                use page_codec::$format::DecodeError;
                page_codec::$format::decode(src, dst).map_err(|error| match error {
                    DecodeError::DstTooSmall => acomp_core::Error::DstTooSmall,
                    _ => acomp_core::Error::Corrupt,
                })
            }
        }
    };
}

pub(crate) use stream_of;
