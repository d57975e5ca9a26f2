//! The fast way for pages: blocks of up to 4096 bytes, between buffers with room behind them.
//!
//! Whatever is unusual ends the attempt: the other decoder then does the page over, and says what is
//! wrong with it.

use super::Tables;
use super::reader::BitReader;
use super::table::{END, LONG};
use crate::deflate::codes::CodeTables;
use crate::deflate::format::*;

/// Room for a page and its stream.
#[derive(Clone, Debug)]
pub(super) struct Buffers {
    input: [u8; INPUT_BYTES],
    output: [u8; OUTPUT_BYTES],
}

struct Cursor {
    bits: u64,
    count: u32,
    next: usize,
    at: usize,
}

impl Buffers {
    pub(super) const fn new() -> Self {
        Self { input: [0; INPUT_BYTES], output: [0; OUTPUT_BYTES] }
    }

    pub(super) fn decode(&mut self, src: &[u8], reader: &BitReader<'_>, dst: &mut [u8], tables: &Tables, window: usize, is_fixed: bool) -> Option<(usize, usize)> {
        if dst.len() > PAGE_BYTES || window < PAGE_BYTES { return None; }
        let input = self.input.get_mut(..src.len() + PADDING_BYTES)?;
        input[..src.len()].copy_from_slice(src);
        input[src.len()..].fill(0);
        let position = reader.position_bits();
        let (next, used) = (position / 8, (position % 8) as u32);
        let cursor = Cursor { bits: u64::from(self.input[next]) >> used, count: 8 - used, next: next + 1, at: 0 };
        let end = if is_fixed { self.fixed(cursor, tables, window)? } else { self.dynamic(cursor, tables, window)? };
        let consumed = (8 * end.next - end.count as usize).div_ceil(8);
        if consumed > src.len() { return None; }
        dst.get_mut(..end.at)?.copy_from_slice(&self.output[..end.at]);
        Some((consumed, end.at))
    }

    #[inline(never)]
    fn fixed(&mut self, cursor: Cursor, tables: &Tables, window: usize) -> Option<Cursor> {
        let Cursor { mut bits, mut count, mut next, mut at } = cursor;
        let (input, out) = (&self.input, &mut self.output);
        while at <= PAGE_BYTES && next <= INPUT_BYTES - 8 {
            bits |= load(input, next) << (count & 63);
            next += ((63 - count) >> 3) as usize;
            count |= 56;
            let mut symbol = SYMBOLS[bits as usize % 512];
            if symbol < 256 {
                out[at] = symbol as u8;
                at += 1;
                let n = (bits & bits >> 1 & 1) as u32;
                bits = bits >> 8 >> n; count -= 8 + n;
                symbol = SYMBOLS[bits as usize % 512];
                if symbol < 256 {
                    out[at] = symbol as u8;
                    at += 1;
                    let n = (bits & bits >> 1 & 1) as u32;
                    bits = bits >> 8 >> n; count -= 8 + n;
                    symbol = SYMBOLS[bits as usize % 512];
                    if symbol < 256 {
                        out[at] = symbol as u8;
                        at += 1;
                        let n = (bits & bits >> 1 & 1) as u32;
                        bits = bits >> 8 >> n; count -= 8 + n;
                        symbol = SYMBOLS[bits as usize % 512];
                        if symbol < 256 {
                            out[at] = symbol as u8;
                            at += 1;
                            let n = (bits & bits >> 1 & 1) as u32;
                            bits = bits >> 8 >> n; count -= 8 + n;
                            continue;
                        }
                    }
                }
            }
            let (bytes, used) = if symbol < 512 {
                (usize::from(symbol) - 256, 7)
            } else {
                let entry = tables.litlen.look_up(bits);
                if entry.is_exception() {
                    return (entry.value() == END).then(|| Cursor { bits, count: count - entry.bits(), next, at });
                }
                (entry.number(bits), entry.bits())
            };
            // 2 x 9 + 31 bits
            let after = bits >> used;
            let entry = DISTS[after as usize % 32];
            let dist_bits = DIST_BITS[after as usize % 32];
            let distance = (entry & 0xffff) as usize + (after as u32 >> 5 & entry >> 16) as usize;
            if distance > at {
                return None;
            }
            bits = after >> (dist_bits & 63);
            count -= used + u32::from(dist_bits);
            copy(out, at, distance, bytes);
            at += bytes;
        }
        None
    }

    #[inline(never)]
    fn dynamic(&mut self, cursor: Cursor, tables: &Tables, window: usize) -> Option<Cursor> {
        let Cursor { mut bits, mut count, mut next, mut at } = cursor;
        let (input, out) = (&self.input, &mut self.output);
        while at <= PAGE_BYTES && next <= INPUT_BYTES - 8 {
            count &= 63;
            bits |= load(input, next) << count;
            next += ((63 - count) >> 3) as usize;
            count |= 56;
            let mut entry = tables.litlen.look_up(bits);
            if entry.is_literal() {
                out[at] = entry.byte();
                at += 1;
                bits = entry.drop_from(bits);
                count = entry.drop_count(count);
                entry = tables.litlen.look_up(bits);
                if entry.is_literal() {
                    out[at] = entry.byte();
                    at += 1;
                    bits = entry.drop_from(bits);
                    count = entry.drop_count(count);
                    entry = tables.litlen.look_up(bits);
                    if entry.is_literal() {
                        out[at] = entry.byte();
                        at += 1;
                        bits = entry.drop_from(bits);
                        count = entry.drop_count(count);
                        entry = tables.litlen.look_up(bits);
                        if entry.is_literal() {
                            out[at] = entry.byte();
                            at += 1;
                            bits = entry.drop_from(bits);
                            count = entry.drop_count(count);
                            continue;
                        }
                    }
                }
                if next > INPUT_BYTES - 8 { return None; }
                count &= 63;
                bits |= load(input, next) << count;
                next += ((63 - count) >> 3) as usize;
                count |= 56;
            }
            if entry.is_exception() {
                if entry.value() == LONG {
                    entry = tables.litlen.look_up_long(bits);
                }
                if entry.is_literal() {
                    out[at] = entry.byte();
                    at += 1;
                    bits = entry.drop_from(bits);
                    count = entry.drop_count(count);
                    continue;
                }
                if entry.is_exception() {
                    return (entry.value() == END).then(|| Cursor { bits, count: entry.drop_count(count) & 63, next, at });
                }
            }
            let bytes = entry.number(bits) % 512;
            bits = entry.drop_from(bits);
            count = entry.drop_count(count);
            let mut entry = tables.dist.look_up(bits);
            if entry.is_exception() {
                if entry.value() == LONG {
                    entry = tables.dist.look_up_long(bits);
                }
                if entry.is_exception() {
                    return None;
                }
            }
            let distance = entry.number(bits);
            bits = entry.drop_from(bits);
            count = entry.drop_count(count);
            if distance > at {
                return None;
            }
            copy(out, at, distance, bytes);
            at += bytes;
        }
        None
    }
}

#[inline(always)]
fn load(input: &[u8; INPUT_BYTES], at: usize) -> u64 {
    input[at..at + 8].first_chunk().map_or(0, |word| u64::from_le_bytes(*word))
}

#[inline(always)]
fn copy_word(out: &mut [u8; OUTPUT_BYTES], from: usize, to: usize) {
    let word: [u8; 8] = *out[from..from + 8].first_chunk().unwrap_or(&[0; 8]);
    out[to..to + 8].copy_from_slice(&word);
}

#[inline(always)]
fn copy(out: &mut [u8; OUTPUT_BYTES], at: usize, distance: usize, bytes: usize) {
    let from = at - distance;
    if distance >= 8 {
        copy_word(out, from, at);
        copy_word(out, from + 8, at + 8);
        copy_word(out, from + 16, at + 16);
        copy_word(out, from + 24, at + 24);
        if bytes > 32 {
            let mut i = 32;
            while i < bytes {
                copy_word(out, from + i, at + i);
                copy_word(out, from + i + 8, at + i + 8);
                i += 16;
            }
        }
        return;
    }
    let bits = 8 * distance as u32 & 63;
    let word: [u8; 8] = *out[from..from + 8].first_chunk().unwrap_or(&[0; 8]);
    let mut word = u64::from_le_bytes(word) & ((1 << bits) - 1);
    word |= word << bits;
    word |= word.wrapping_shl(2 * bits) * u64::from(bits < 32);
    word |= word.wrapping_shl(4 * bits) * u64::from(bits < 16);
    let stride = usize::from(STRIDES[distance & 7]);
    let mut i = 0;
    while i < bytes {
        out[at + i..at + i + 8].copy_from_slice(&word.to_le_bytes());
        i += stride;
    }
}
const STRIDES: &[u8; 8] = &[1, 8, 8, 6, 8, 5, 6, 7];

const PAGE_BYTES: usize = 4096;
const INPUT_BYTES: usize = PAGE_BYTES * 9 / 8 + 64;
const PADDING_BYTES: usize = 24;
const OUTPUT_BYTES: usize = PAGE_BYTES + 3 + 512 + 32;

/// Literals; from 256 the length of matches without extra bits, from 512 everything else.
const SYMBOLS: &[u16; 512] = &{
    let codes = CodeTables::fixed();
    let mut table = [512; 512];
    let mut symbol = 0;
    while symbol < FIRST_LENGTH + 8 {
        let bits = codes.litlen.lengths[symbol];
        let mut index = codes.litlen.words[symbol] as usize;
        while index < 512 {
            table[index] = if symbol < 256 { symbol as u16 } else if symbol == 256 { 512 } else { 256 + 3 + (symbol - 257) as u16 };
            index += 1 << bits;
        }
        symbol += 1;
    }
    table
};
const DISTS: &[u32; 32] = &{
    let codes = CodeTables::fixed();
    let mut table = [0xffff; 32];
    let mut symbol = 0;
    while symbol < 30 {
        table[codes.dist.words[symbol] as usize] = DIST_BASE[symbol] as u32 | ((1 << DIST_EXTRA_BITS[symbol]) - 1) << 16;
        symbol += 1;
    }
    table
};
const DIST_BITS: &[u8; 32] = &{
    let codes = CodeTables::fixed();
    let mut table = [5; 32];
    let mut symbol = 0;
    while symbol < 30 {
        table[codes.dist.words[symbol] as usize] = 5 + DIST_EXTRA_BITS[symbol];
        symbol += 1;
    }
    table
};
