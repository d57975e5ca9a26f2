//! A toy compressor whose streams go bad when a test says so.

#![expect(clippy::unwrap_used, reason = "test helpers unwrap like tests")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use acomp_core::{
    AlgFlags, AlgInfo, Algorithm, Codec, Error, OpenError, Outcome, Params, Registry,
};
use zswap_pager::{Builder, Pager};

/// A stream is the page without the zeros at its end. Those that begin with [`BAD`] are damaged
/// when `is_bad` is set.
#[derive(Debug)]
pub(crate) struct Toy {
    info: AlgInfo,
    is_bad: Arc<AtomicBool>,
}

impl Toy {
    /// A driver with these promises, and the switch.
    pub(crate) fn new(flags: AlgFlags) -> (Self, Arc<AtomicBool>) {
        let is_bad = Arc::new(AtomicBool::new(false));
        let mut info = AlgInfo::new("toy", "toy-rs");
        info.flags = flags;
        (Self { info, is_bad: Arc::clone(&is_bad) }, is_bad)
    }

    /// Describes a pager that compresses with it.
    pub(crate) fn builder(self) -> Builder {
        let registry = Registry::from_entries([]);
        // The builder has the registry, and with it the toy.
        let guard = registry.add(Arc::new(self)).unwrap();
        std::mem::forget(guard);
        Pager::builder(&registry).compressor("toy")
    }
}

impl Algorithm for Toy {
    fn info(&self) -> &AlgInfo {
        &self.info
    }

    fn open(&self, params: &Params) -> Result<Box<dyn Codec>, OpenError> {
        params.allow(&[])?;
        Ok(Box::new(Trim { is_bad: Arc::clone(&self.is_bad) }))
    }
}

struct Trim {
    is_bad: Arc<AtomicBool>,
}

impl Codec for Trim {
    fn compress(&mut self, src: &[u8], dst: &mut [u8]) -> Outcome {
        let len = src.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        dst.get_mut(..len).ok_or(Error::DstTooSmall)?.copy_from_slice(&src[..len]);
        Ok(len)
    }

    fn decompress(&mut self, src: &[u8], dst: &mut [u8]) -> Outcome {
        if self.is_bad.load(Relaxed) && src.starts_with(BAD) {
            return Err(Error::Corrupt);
        }
        let bytes = dst.len();
        let (data, zeros) = dst.split_at_mut_checked(src.len()).ok_or(Error::DstTooSmall)?;
        data.copy_from_slice(src);
        zeros.fill(0);
        Ok(bytes)
    }
}

pub(crate) const BAD: &[u8] = b"this page is going to be lost";
