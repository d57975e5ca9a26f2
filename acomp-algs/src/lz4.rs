//! `lz4`: one LZ4 block, by `lz4_flex`.

use std::sync::Arc;

use acomp_core::{
    AlgFlags, AlgInfo, Algorithm, Codec, Error, OpenError, Outcome, Params, Registration,
};
use lz4_flex::block::{CompressTable, compress_into_with_table, get_maximum_output_size};

use crate::lz4_block;

static INFO: AlgInfo = AlgInfo::new("lz4", "lz4-flex")
    .with_priority(100)
    .with_flags(AlgFlags::NO_ALLOC_AFTER_OPEN.union(AlgFlags::NEVER_BLOCKS));

acomp_core::inventory::submit!(Registration::new(&INFO, || Ok(Arc::new(Lz4)), module_path!()));

#[derive(Debug)]
struct Lz4;

impl Algorithm for Lz4 {
    fn info(&self) -> &AlgInfo {
        &INFO
    }

    fn open(&self, params: &Params) -> Result<Box<dyn Codec>, OpenError> {
        params.allow(&[])?;
        Ok(Box::new(Block {
            table: CompressTable::small(),
            roomy: vec![0; get_maximum_output_size(PAGE_BYTES)],
        }))
    }
}

struct Block {
    /// Grows, once, when a source of 64 KiB or more comes.
    table: CompressTable,
    /// `lz4_flex` refuses a destination below its worst case, even if the stream would fit: it then
    /// writes here, and what fits is copied.
    roomy: Vec<u8>,
}

impl Codec for Block {
    fn compress(&mut self, src: &[u8], dst: &mut [u8]) -> Outcome {
        let worst_bytes = get_maximum_output_size(src.len());
        if dst.len() >= worst_bytes {
            return compress_into_with_table(src, dst, &mut self.table)
                .map_err(|_| Error::DstTooSmall);
        }
        if self.roomy.len() < worst_bytes {
            self.roomy.resize(worst_bytes, 0);
        }
        let len = compress_into_with_table(src, &mut self.roomy, &mut self.table)
            .map_err(|_| Error::DstTooSmall)?;
        let dst = dst.get_mut(..len).ok_or(Error::DstTooSmall)?;
        dst.copy_from_slice(&self.roomy[..len]);
        Ok(len)
    }

    fn decompress(&mut self, src: &[u8], dst: &mut [u8]) -> Outcome {
        lz4_block::decompress(src, dst, &[])
    }
}

const PAGE_BYTES: usize = 4096;
