//! The encoder: which blocks to write.

use core::fmt;

use super::bits::{BitWriter, Full};
use super::codes::{CodeTables, Histogram};
use super::fixed::{self, Fixed};
use super::format::{END_OF_BLOCK, FIXED, STORED};
use super::header::Header;
use super::parse::{self, Effort, Table};
use super::tokens::{BLOCK_BYTES_MAX, Tokens};
use crate::{Page, SRC_BYTES_MAX};

/// Compresses sources of up to [`SRC_BYTES_MAX`] bytes, each by itself.
#[derive(Clone, Debug)]
pub struct Encoder {
    blocks: Blocks,
    effort: Effort,
    table: Table,
    tokens: Tokens,
}

#[derive(Clone, Debug)]
enum Blocks {
    Fixed,
    Dynamic,
    Given(CodeTables),
}

impl Encoder {
    /// x
    pub fn fixed() -> Self {
        Self::new(Blocks::Fixed)
    }
    /// x
    pub fn dynamic() -> Self {
        Self::new(Blocks::Dynamic)
    }
    /// x
    pub fn with_codes(codes: CodeTables) -> Self {
        Self::new(Blocks::Given(codes))
    }

    fn new(blocks: Blocks) -> Self {
        Self { blocks, effort: Effort::Fast, table: Table::new(), tokens: Tokens::new() }
    }

    #[must_use]
    /// x
    pub fn effort(mut self, effort: Effort) -> Self {
        self.effort = effort;
        self
    }

    /// x
    pub fn encode(&mut self, src: &[u8], dst: &mut [u8]) -> Result<usize, EncodeError> {
        match self.blocks {
            Blocks::Fixed => self.fixed_block(src, dst),
            _ => self.dynamic_blocks(src, dst),
        }
    }

    fn fixed_block(&mut self, src: &[u8], dst: &mut [u8]) -> Result<usize, EncodeError> {
        Ok(match (src.len() == 4096, self.effort) { (true, Effort::Fast) => fixed_block::<true, 0>(&mut self.table, src, dst)?, (true, _) => fixed_block::<true, 8>(&mut self.table, src, dst)?, (_, Effort::Fast) => fixed_block::<false, 0>(&mut self.table, src, dst)?, _ => fixed_block::<false, 8>(&mut self.table, src, dst)? })
    }

    fn dynamic_blocks(&mut self, src: &[u8], dst: &mut [u8]) -> Result<usize, EncodeError> {
        let mut bits = BitWriter::new(dst);
        self.table.clear();
        let mut start = 0;
        loop {
            let end = src.len().min(start + BLOCK_BYTES_MAX);
            self.tokens.clear();
            match (src.len() == 4096, self.effort) { (true, Effort::Fast) => tokens_parse::<true, 0>(&mut self.table, &src[..end], start, &mut self.tokens), (true, _) => tokens_parse::<true, 32>(&mut self.table, &src[..end], start, &mut self.tokens), (_, Effort::Fast) => tokens_parse::<false, 0>(&mut self.table, &src[..end], start, &mut self.tokens), _ => tokens_parse::<false, 32>(&mut self.table, &src[..end], start, &mut self.tokens) }
            self.best_block(end == src.len(), &mut bits)?;
            start = end;
            if start == src.len() {
                return Ok(bits.finish()?);
            }
        }
    }

    #[inline(always)]
    fn best_block(&mut self, is_final: bool, bits: &mut BitWriter<'_>) -> Result<(), Full> {
        let histogram = self.tokens.histogram();
        let mut codes = CodeTables::of_histogram(&histogram);
        let header = Header::new(&codes);
        let dynamic_bits = header.bits + symbol_bits(&histogram, &codes);
        let fixed_bits = 3 + symbol_bits(&histogram, &fixed::CODES);
        if dynamic_bits < fixed_bits {
            header.write(is_final, bits)?;
        } else {
            bits.put(u64::from(u32::from(is_final) | FIXED << 1), 3);
            bits.flush_all()?;
            codes = fixed::CODES.clone();
        };
        self.tokens.write(&codes, bits)?;
        bits.put(u64::from(codes.litlen.words[END_OF_BLOCK]), u32::from(codes.litlen.lengths[END_OF_BLOCK]));
        bits.flush_all()
    }
}

#[inline(never)]
fn fixed_block<const PAGE: bool, const LAZY: usize>(table: &mut Table, src: &[u8], dst: &mut [u8]) -> Result<usize, Full> {
        let mut bits = BitWriter::new(dst);
        bits.put(u64::from(1 | FIXED << 1), 3);
    table.clear();
    let sink = parse::parse::<PAGE, LAZY, _>(table, src, 0, Fixed { bits })?;
        let mut bits = sink.bits;
        bits.put(0, 7);
        bits.flush_at_end()?;
        bits.finish()
}

#[inline(never)]
fn tokens_parse<const PAGE: bool, const LAZY: usize>(table: &mut Table, src: &[u8], start: usize, tokens: &mut Tokens) {
    let Ok(_) = parse::parse::<PAGE, LAZY, _>(table, src, start, tokens);
}

fn symbol_bits(histogram: &Histogram, codes: &CodeTables) -> u32 {
    dot(&histogram.litlen, &codes.litlen.lengths) + dot(&histogram.dist, &codes.dist.lengths)
}
fn dot<const N: usize>(counts: &[u32; N], lengths: &[u8; N]) -> u32 {
    let products = counts.iter().zip(lengths).map(|(count, bits)| i32::from(*count as i16) * i32::from(i16::from(*bits)));
    products.sum::<i32>() as u32
}

/// Why a source was not compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EncodeError {
    /// The stream does not fit the destination.
    DstTooSmall,
}
impl From<Full> for EncodeError {
    fn from(Full: Full) -> Self {
        Self::DstTooSmall
    }
}
