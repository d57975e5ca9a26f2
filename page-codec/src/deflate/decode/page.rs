//! The fast way for pages: one final block of up to 4096 bytes, between buffers of constant size.
//!
//! The constants let the compiler see that nothing is out of bounds, and the room behind the data
//! lets matches be copied in words. Whatever is unusual or wrong ends the attempt:
//! [`super::symbol`] then does the page over, and says what is wrong with it.
//!
//! Time goes into branches that nobody can predict and into the chain from each symbol to the next,
//! which is shortest where lengths of words are known without a look at a table: see
//! [`Buffers::fixed_block`].

use super::Decoded;
use super::cpu;
use super::reader::BitReader;
use super::table::{END, LONG, Tables};
use crate::PAGE_BYTES;
use crate::deflate::codes::CodeTables;
use crate::deflate::format::{
    DIST_BASE, DIST_EXTRA_BITS, END_OF_BLOCK, FIRST_LENGTH, LENGTH_BASE, LENGTH_EXTRA_BITS,
};
use crate::pattern::Pattern;

/// Room for a page and its stream.
#[derive(Clone, Debug)]
pub(super) struct Buffers {
    input: [u8; INPUT_BYTES],
    output: [u8; OUTPUT_BYTES],
}

/// A place between two symbols.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor {
    /// What of the input was read and not used: all 64 bits after a refill, of which `count` are
    /// counted.
    bits: u64,
    count: u32,
    next: usize,
    at: usize,
}

impl Buffers {
    pub(super) const fn new() -> Self {
        Self { input: [0; INPUT_BYTES], output: [0; OUTPUT_BYTES] }
    }

    /// Decodes a block of the fixed code, whose symbols start at `reader`. `None`: it is unusual.
    pub(super) fn fixed_block(
        &mut self,
        src: &[u8],
        reader: &BitReader<'_>,
        dst: &mut [u8],
        tables: &Tables,
    ) -> Option<Decoded> {
        let start = self.load(src, reader, dst)?;
        let end = self.fixed_symbols(start, tables)?;
        self.unload(&end, src, dst)
    }

    /// The same for any code.
    pub(super) fn block(
        &mut self,
        src: &[u8],
        reader: &BitReader<'_>,
        dst: &mut [u8],
        tables: &Tables,
    ) -> Option<Decoded> {
        let start = self.load(src, reader, dst)?;
        let end = cpu::symbols(self, start, tables)?;
        self.unload(&end, src, dst)
    }

    fn load(&mut self, src: &[u8], reader: &BitReader<'_>, dst: &[u8]) -> Option<Cursor> {
        if dst.len() > PAGE_BYTES {
            return None;
        }
        let input = self.input.get_mut(..src.len() + PADDING_BYTES)?;
        input[..src.len()].copy_from_slice(src);
        input[src.len()..].fill(0);
        let position_bits = reader.position_bits();
        let (byte, used) = (position_bits / 8, (position_bits % 8) as u32);
        let bits = u64::from(*self.input.get(byte)?) >> used;
        Some(Cursor { bits, count: 8 - used, next: byte + 1, at: 0 })
    }

    fn unload(&self, end: &Cursor, src: &[u8], dst: &mut [u8]) -> Option<Decoded> {
        let consumed = (8 * end.next - end.count as usize).div_ceil(8);
        let data = self.output.get(..end.at)?;
        // The zeros behind the input may have been read.
        let dst = dst.get_mut(..data.len()).filter(|_| consumed <= src.len())?;
        dst.copy_from_slice(data);
        Some(Decoded { consumed, produced: data.len() })
    }

    /// Decodes up to the end of the block.
    ///
    /// A word of the fixed code tells its length by its first bits: a literal has 9 bits if it
    /// starts with two ones, 8 otherwise; lengths without extra bits have 7, distances 5. So the
    /// tables decide what is done, and branches predict that; but which bits come next hangs on
    /// few instructions, and the next symbol starts before the table has answered.
    #[inline(never)]
    fn fixed_symbols(&mut self, start: Cursor, tables: &Tables) -> Option<Cursor> {
        let Cursor { mut bits, mut count, mut next, mut at } = start;
        let (input, output) = (&self.input, &mut self.output);
        'symbols: while at <= PAGE_BYTES && next <= LAST_LOAD {
            bits |= load(input, next) << (count & 63);
            next += ((63 - count) >> 3) as usize;
            count |= 56;
            // Three literals and a match whose distance stays within a page have 55 bits at most.
            let mut symbol = SYMBOLS[bits as usize % SYMBOLS.len()];
            let start = at;
            for i in 0..4 {
                if symbol < LITERAL {
                    break;
                }
                output[start + i] = symbol as u8;
                at += 1;
                let has_nine_bits = ((bits as u32 & 3) + 1) >> 2;
                bits = bits >> 8 >> has_nine_bits;
                count = count - 8 - has_nine_bits;
                if i == 3 {
                    continue 'symbols;
                }
                symbol = SYMBOLS[bits as usize % SYMBOLS.len()];
            }
            let (bytes, length_bits) = if symbol != OTHER {
                (usize::from(symbol), 7)
            } else {
                let entry = tables.litlen.look_up(bits);
                if entry.is_exception() {
                    let end = Cursor { bits, count: count - entry.bits(), next, at };
                    return (entry.value() == END).then_some(end);
                }
                (entry.number(bits), entry.bits())
            };
            bits >>= length_bits;
            count -= length_bits;
            let dist = &DISTS[bits as usize % DISTS.len()];
            let distance = usize::from(dist.base) + usize::from((bits >> 5) as u16 & dist.mask);
            if distance > at {
                return None;
            }
            bits >>= dist.bits & 63;
            count -= dist.bits;
            copy(output, at, distance, bytes);
            at += bytes;
        }
        None
    }

    /// Decodes up to the end of the block.
    ///
    /// Always inlined, so that [`cpu`] can have instances of it.
    #[inline(always)]
    pub(super) fn symbols(&mut self, start: Cursor, tables: &Tables) -> Option<Cursor> {
        let Cursor { mut bits, mut count, mut next, mut at } = start;
        let (input, output) = (&self.input, &mut self.output);
        'symbols: while at <= PAGE_BYTES && next <= LAST_LOAD {
            bits |= load(input, next).wrapping_shl(count);
            next += 7 - (count >> 3 & 7) as usize;
            count |= 56;
            let mut entry = tables.litlen.look_up(bits);
            if entry.is_literal() {
                // Four that the table knows have 44 bits at most.
                for i in 0..4 {
                    output[at + i] = entry.byte();
                    bits = entry.drop_from(bits);
                    count = entry.drop_count(count);
                    if i == 3 {
                        at += 4;
                        continue 'symbols;
                    }
                    entry = tables.litlen.look_up(bits);
                    if !entry.is_literal() {
                        at += i + 1;
                        break;
                    }
                }
                bits |= load(input, next).wrapping_shl(count);
                next += 7 - (count >> 3 & 7) as usize;
                count |= 56;
            }
            if entry.is_exception() {
                if entry.value() == LONG {
                    entry = tables.litlen.look_up_long(bits);
                }
                if entry.is_literal() {
                    output[at] = entry.byte();
                    at += 1;
                    bits = entry.drop_from(bits);
                    count = entry.drop_count(count);
                    continue;
                }
                if entry.is_exception() {
                    let end = Cursor { bits, count: entry.drop_count(count) & 63, next, at };
                    return (entry.value() == END).then_some(end);
                }
            }
            let bytes = entry.number(bits);
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
            if distance > at {
                return None;
            }
            bits = entry.drop_from(bits);
            count = entry.drop_count(count);
            copy(output, at, distance, bytes);
            at += bytes;
        }
        None
    }
}

#[inline(always)]
fn load(input: &[u8; INPUT_BYTES], at: usize) -> u64 {
    input[at..at + 8].first_chunk().map_or(0, |word| u64::from_le_bytes(*word))
}

/// Copies a match, and up to [`SLACK_BYTES`] behind it. Nearly all have at most 32 bytes.
#[inline(always)]
fn copy(output: &mut [u8; OUTPUT_BYTES], at: usize, distance: usize, bytes: usize) {
    let from = at - distance;
    if distance < 8 {
        let start = *output[from..from + 8].first_chunk().unwrap_or(&[0; 8]);
        let mut pattern = Pattern::new(start, distance);
        for i in [0, 8, 16, 24] {
            output[at + i..at + i + 8].copy_from_slice(&pattern.bytes());
            pattern = pattern.next();
        }
    } else {
        for i in [0, 8, 16, 24] {
            copy_word(output, from + i, at + i);
        }
    }
    if bytes > 32 {
        copy_rest(output, at, distance, bytes);
    }
}

/// What is behind the first 32 bytes. Kept out of the loops over symbols, whose variables it would
/// push out of registers.
#[cold]
#[inline(never)]
fn copy_rest(output: &mut [u8; OUTPUT_BYTES], at: usize, distance: usize, bytes: usize) {
    // Whole patterns back, so far that no word overlaps itself.
    let distance = 8_usize.next_multiple_of(distance.max(1));
    let mut i = 32;
    while i < bytes {
        copy_word(output, at + i - distance, at + i);
        copy_word(output, at + i + 8 - distance, at + i + 8);
        i += 16;
    }
}

#[inline(always)]
fn copy_word(output: &mut [u8; OUTPUT_BYTES], from: usize, to: usize) {
    let word: [u8; 8] = *output[from..from + 8].first_chunk().unwrap_or(&[0; 8]);
    output[to..to + 8].copy_from_slice(&word);
}

/// What nine bits start with: a [`LITERAL`] with its byte, a length of up to ten bytes, whose word
/// has seven bits and no extra ones, or [`OTHER`].
const SYMBOLS: &[u16; 512] = &{
    let code = CodeTables::fixed().litlen;
    let mut table = [OTHER; 512];
    let mut symbol = 0;
    while symbol < FIRST_LENGTH + LENGTH_EXTRA_BITS.len() {
        let means = if symbol < END_OF_BLOCK {
            LITERAL | symbol as u16
        } else if symbol > END_OF_BLOCK && LENGTH_BASE[symbol - FIRST_LENGTH] <= 10 {
            LENGTH_BASE[symbol - FIRST_LENGTH]
        } else {
            OTHER
        };
        let mut index = code.words[symbol] as usize;
        while index < table.len() {
            table[index] = means;
            index += 1 << code.lengths[symbol];
        }
        symbol += 1;
    }
    table
};
const LITERAL: u16 = 256;
const OTHER: u16 = 0;

/// What the distance words mean. Two mean nothing, and have a base that is too far.
const DISTS: &[Dist; 32] = &{
    let code = CodeTables::fixed().dist;
    let mut table = [Dist { base: u16::MAX, mask: 0, bits: 0 }; 32];
    let mut symbol = 0;
    while symbol < DIST_BASE.len() {
        table[code.words[symbol] as usize] = Dist {
            base: DIST_BASE[symbol],
            mask: (1 << DIST_EXTRA_BITS[symbol]) - 1,
            bits: (code.lengths[symbol] + DIST_EXTRA_BITS[symbol]) as u32,
        };
        symbol += 1;
    }
    table
};

#[derive(Clone, Copy)]
struct Dist {
    base: u16,
    /// For the extra bits.
    mask: u16,
    /// How long the word is with its extra bits.
    bits: u32,
}

/// Distances up to here are never refused.
pub(super) const DISTANCE_BYTES_MAX: usize = PAGE_BYTES;
/// A page of nine-bit literals, and what may be read behind it.
const INPUT_BYTES: usize = PAGE_BYTES * 9 / 8 + PADDING_BYTES;
const PADDING_BYTES: usize = 32;
const LAST_LOAD: usize = INPUT_BYTES - 16;
/// A page, and a match that starts at its end or up to four literals behind.
const OUTPUT_BYTES: usize = PAGE_BYTES + 512 + SLACK_BYTES;
const SLACK_BYTES: usize = 48;
