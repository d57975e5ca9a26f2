//! The header of a dynamic block: RFC 1951, section 3.2.7.

use super::bits::{BitWriter, Full};
use super::codes::CodeTables;
use super::format::{
    DIST_SYMBOLS, DYNAMIC, LITLEN_SYMBOLS, PRECODE_BITS_MAX, PRECODE_ORDER, PRECODE_SYMBOLS,
};
use super::huffman;

/// A header ready to be written.
#[derive(Debug)]
pub(super) struct Header {
    litlen_count: usize,
    dist_count: usize,
    precode_count: usize,
    precode_lengths: [u8; PRECODE_SYMBOLS],
    /// Symbols of the precode, below their extra bits.
    items: [u16; LITLEN_SYMBOLS + DIST_SYMBOLS],
    items_count: usize,
    /// How long it is.
    pub(super) bits: u32,
}

impl Header {
    pub(super) fn new(codes: &CodeTables) -> Self {
        let litlen_count = used(&codes.litlen.lengths, LITLEN_SYMBOLS_MIN);
        let dist_count = used(&codes.dist.lengths, 1);
        let mut lengths = [0; LITLEN_SYMBOLS + DIST_SYMBOLS];
        lengths[..litlen_count].copy_from_slice(&codes.litlen.lengths[..litlen_count]);
        let count = litlen_count + dist_count;
        lengths[litlen_count..count].copy_from_slice(&codes.dist.lengths[..dist_count]);

        let mut items = [0; LITLEN_SYMBOLS + DIST_SYMBOLS];
        let mut frequencies = [0; PRECODE_SYMBOLS];
        let mut items_count = 0;
        run_lengths(&lengths[..count], |symbol, extra| {
            items[items_count] = u16::from(symbol) | u16::from(extra) << ITEM_EXTRA_SHIFT;
            items_count += 1;
            frequencies[usize::from(symbol)] += 1;
        });
        let mut precode_lengths = [0; PRECODE_SYMBOLS];
        huffman::lengths(&frequencies, PRECODE_BITS_MAX, &mut precode_lengths);
        let is_used = |symbol: &u8| precode_lengths[usize::from(*symbol)] > 0;
        let last = PRECODE_ORDER.iter().rposition(is_used).unwrap_or(0);
        let precode_count = (last + 1).max(PRECODE_SYMBOLS_MIN);
        let symbols = frequencies.iter().zip(&precode_lengths).zip(&PRECODE_EXTRA_BITS);
        let items_bits: u32 =
            symbols.map(|((f, bits), extra)| f * (u32::from(*bits) + u32::from(*extra))).sum();
        let bits = 3 + 5 + 5 + 4 + 3 * precode_count as u32 + items_bits;
        Self { litlen_count, dist_count, precode_count, precode_lengths, items, items_count, bits }
    }

    #[inline(always)]
    pub(super) fn write(&self, is_final: bool, bits: &mut BitWriter<'_>) -> Result<(), Full> {
        let counts = (self.litlen_count - LITLEN_SYMBOLS_MIN) as u64
            | (self.dist_count as u64 - 1) << 5
            | ((self.precode_count - PRECODE_SYMBOLS_MIN) as u64) << 10;
        bits.put(u64::from(is_final) | u64::from(DYNAMIC) << 1 | counts << 3, 17);
        bits.flush_all()?;
        for symbol in &PRECODE_ORDER[..self.precode_count] {
            bits.put(u64::from(self.precode_lengths[usize::from(*symbol)]), 3);
            bits.flush_all()?;
        }
        let words = huffman::code_words(&self.precode_lengths);
        for item in &self.items[..self.items_count] {
            let symbol = usize::from(item & ITEM_SYMBOL_MASK);
            let length = u32::from(self.precode_lengths[symbol]);
            let word = u64::from(words[symbol]) | u64::from(item >> ITEM_EXTRA_SHIFT) << length;
            bits.put(word, length + u32::from(PRECODE_EXTRA_BITS[symbol]));
            bits.flush_all()?;
        }
        Ok(())
    }
}

/// How many lengths there are up to the last that is not zero, at least `min`.
fn used(lengths: &[u8], min: usize) -> usize {
    let last = lengths.iter().rposition(|length| *length > 0);
    last.map_or(min, |last| (last + 1).max(min))
}

/// Calls `item` with the symbols that stand for these lengths, and their extra bits.
fn run_lengths(lengths: &[u8], mut item: impl FnMut(u8, u8)) {
    let mut rest = lengths;
    while let [length, ..] = *rest {
        let mut run = rest.iter().take_while(|next| **next == length).count();
        rest = &rest[run..];
        if length == 0 {
            while run >= 11 {
                let zeros = run.min(138);
                item(18, (zeros - 11) as u8);
                run -= zeros;
            }
            if run >= 3 {
                item(17, (run - 3) as u8);
                run = 0;
            }
        } else if run >= 4 {
            item(length, 0);
            run -= 1;
            while run >= 3 {
                let repeats = run.min(6);
                item(16, (repeats - 3) as u8);
                run -= repeats;
            }
        }
        for _ in 0..run {
            item(length, 0);
        }
    }
}

const LITLEN_SYMBOLS_MIN: usize = 257;
const PRECODE_SYMBOLS_MIN: usize = 4;
const PRECODE_EXTRA_BITS: [u8; PRECODE_SYMBOLS] =
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 3, 7];
const ITEM_EXTRA_SHIFT: u32 = 5;
const ITEM_SYMBOL_MASK: u16 = (1 << ITEM_EXTRA_SHIFT) - 1;
