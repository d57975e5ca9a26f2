//! `null`: copies. For measuring what everything around a codec costs.

use std::sync::Arc;

use acomp_core::{
    AlgFlags, AlgInfo, Algorithm, Codec, Error, OpenError, Outcome, Params, Registration,
};

static INFO: AlgInfo = AlgInfo::new("null", "null-copy")
    .with_priority(100)
    .with_flags(AlgFlags::NO_ALLOC_AFTER_OPEN.union(AlgFlags::NEVER_BLOCKS));

acomp_core::inventory::submit!(Registration::new(&INFO, || Ok(Arc::new(Null)), module_path!()));

#[derive(Debug)]
struct Null;

impl Algorithm for Null {
    fn info(&self) -> &AlgInfo {
        &INFO
    }

    fn open(&self, params: &Params) -> Result<Box<dyn Codec>, OpenError> {
        params.allow(&[])?;
        Ok(Box::new(Copy))
    }
}

struct Copy;

impl Codec for Copy {
    #[inline]
    fn compress(&mut self, src: &[u8], dst: &mut [u8]) -> Outcome {
        let dst = dst.get_mut(..src.len()).ok_or(Error::DstTooSmall)?;
        dst.copy_from_slice(src);
        Ok(src.len())
    }

    #[inline]
    fn decompress(&mut self, src: &[u8], dst: &mut [u8]) -> Outcome {
        self.compress(src, dst)
    }
}
