//! `lz4hc`: one LZ4 block with a thorough search, by liblz4.
//!
//! The stream is that of `lz4` and is read by the same decoder: liblz4's takes blocks that the
//! format forbids (a match at offset 0) and gives no reason when it refuses one.

use std::num::NonZeroUsize;
use std::sync::Arc;

use acomp_core::{AlgInfo, Algorithm, Codec, Error, OpenError, Outcome, Params, Registration};
use lzzzz::lz4_hc;

use crate::lz4_block;

// No promises: above level 9, liblz4 allocates for each block.
static INFO: AlgInfo =
    AlgInfo::new("lz4hc", "lz4hc-liblz4").with_priority(100).with_src_bytes_max(SRC_BYTES_MAX);

acomp_core::inventory::submit!(Registration::new(&INFO, || Ok(Arc::new(Lz4Hc)), module_path!()));

#[derive(Debug)]
struct Lz4Hc;

impl Algorithm for Lz4Hc {
    fn info(&self) -> &AlgInfo {
        &INFO
    }

    fn open(&self, params: &Params) -> Result<Box<dyn Codec>, OpenError> {
        params.allow(&["level", "dictionary"])?;
        let level = params.level().unwrap_or(lz4_hc::CLEVEL_DEFAULT);
        if !(1..=lz4_hc::CLEVEL_MAX).contains(&level) {
            let why = format!("{level} is not a level of lz4hc: use 1 to {}", lz4_hc::CLEVEL_MAX);
            return Err(OpenError::unsupported("level", why));
        }
        let dictionary = params.dictionary().map_or_else(|| Arc::from([]), Arc::clone);
        let mut codec = Block {
            level,
            working: lz4_hc::Compressor::new().map_err(device)?,
            digested: match &*dictionary {
                [] => None,
                bytes => {
                    Some(lz4_hc::Compressor::with_dict(bytes.to_vec(), level).map_err(device)?)
                }
            },
            dictionary,
        };
        // The binding allocates a buffer at the first compression.
        let _ = codec.compress(&[0], &mut [0; 16]);
        Ok(Box::new(codec))
    }
}

fn device(error: lzzzz::Error) -> OpenError {
    OpenError::Device(error.into())
}

struct Block {
    level: i32,
    working: lz4_hc::Compressor<'static>,
    /// The dictionary's hash tables, attached to `working` for each block. Of this codec alone: the
    /// binding cannot share it between threads.
    digested: Option<lz4_hc::Compressor<'static>>,
    dictionary: Arc<[u8]>,
}

impl Codec for Block {
    fn compress(&mut self, src: &[u8], dst: &mut [u8]) -> Outcome {
        if src.is_empty() {
            // The binding writes nothing, which is no block; this one is an empty last literal run.
            *dst.first_mut().ok_or(Error::DstTooSmall)? = 0;
            return Ok(1);
        }
        self.working.attach_dict(None, self.level); // Resets.
        if let Some(digested) = &self.digested {
            self.working.attach_dict(Some(digested), self.level);
        }
        self.working.next(src, c_int_sized(dst)).map_err(|_| Error::DstTooSmall)
    }

    fn decompress(&mut self, src: &[u8], dst: &mut [u8]) -> Outcome {
        lz4_block::decompress(src, dst, &self.dictionary)
    }
}

/// liblz4 counts in `int`.
fn c_int_sized(dst: &mut [u8]) -> &mut [u8] {
    let len = dst.len().min(C_INT_MAX);
    &mut dst[..len]
}

const C_INT_MAX: usize = i32::MAX as usize;
/// `LZ4_MAX_INPUT_SIZE`.
const SRC_BYTES_MAX: NonZeroUsize = NonZeroUsize::new(0x7E00_0000).unwrap();
