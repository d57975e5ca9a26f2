//! How LZ4 blocks are read, whoever wrote them.

use acomp_core::{Error, Outcome};
use lz4_flex::block::{DecompressError, decompress_into, decompress_into_with_dict};

pub(crate) fn decompress(src: &[u8], dst: &mut [u8], dictionary: &[u8]) -> Outcome {
    let result = if dictionary.is_empty() {
        decompress_into(src, dst)
    } else {
        decompress_into_with_dict(src, dst, dictionary)
    };
    result.map_err(|error| match error {
        DecompressError::OutputTooSmall { .. } => Error::DstTooSmall,
        _ => Error::Corrupt,
    })
}
