//! The decoder.

mod header;
mod page;
mod reader;
mod table;

use core::fmt;

use self::reader::{BitReader, Ended};
use self::table::{
    DIST_MEANINGS, DistTable, END, Entry, FIXED_DIST_LENGTHS, FIXED_LITLEN_LENGTHS,
    LITLEN_MEANINGS, LONG, LitlenTable,
};
use super::codes::CodeTables;
use super::format::{DYNAMIC, FIXED, STORED};
use super::framing::Framing;
use crate::Page;

/// x
#[derive(Clone, Debug)]
pub struct Decoder {
    window: usize,
    fixed: Tables,
    /// Those of the last dynamic block.
    dynamic: Tables,
    given: Option<CodeTables>,
    page: page::Buffers,
}

/// The two codes of a block.
#[derive(Clone, Debug)]
struct Tables {
    litlen: LitlenTable,
    dist: DistTable,
}

impl Tables {
    const EMPTY: Self = Self { litlen: LitlenTable::new(), dist: DistTable::new() };

    /// `false`: these lengths make no code.
    fn build(&mut self, litlen: &[u8], dist: &[u8]) -> bool {
        self.litlen.build(litlen, LITLEN_MEANINGS) && self.dist.build(dist, DIST_MEANINGS)
    }
}

impl Decoder {
    /// x
    #[must_use]
    pub fn new() -> Self {
        let mut fixed = Tables::EMPTY;
        fixed.build(FIXED_LITLEN_LENGTHS, FIXED_DIST_LENGTHS);
        Self { window: WINDOW_BYTES_MAX, fixed, dynamic: Tables::EMPTY, given: None, page: page::Buffers::new() }
    }

    /// x
    pub fn decode(&mut self, src: &[u8], dst: &mut [u8]) -> Result<Decoded, DecodeError> {
        if let Some(decoded) = self.page_block(src, dst) { return Ok(decoded); }
        let mut reader = BitReader::new(src, 0);
        let mut produced = 0;
        let result = self.blocks(&mut reader, dst, &mut produced);
        let position_bits = reader.position_bits();
        result.map_err(|kind| DecodeError { kind, position_bits })?;
        Ok(Decoded { consumed: reader.consumed(), produced })
    }

    fn page_block(&mut self, src: &[u8], dst: &mut [u8]) -> Option<Decoded> {
        let mut reader = BitReader::new(src, 0);
        if reader.take(1).ok()? == 0 { return None; }
        let (tables, is_fixed) = match reader.take(2).ok()? {
            FIXED => (&self.fixed, true),
            DYNAMIC => { header::read(&mut reader, &mut self.dynamic).ok()?; (&self.dynamic, false) }
            _ => return None,
        };
        let (consumed, produced) = self.page.decode(src, &reader, dst, tables, self.window, is_fixed)?;
        Some(Decoded { consumed, produced })
    }

    /// x
    pub fn decode_batch(&mut self, pages: &mut [Page<'_, Result<Decoded, DecodeError>>]) {
        for page in pages { page.result = Some(self.decode(page.src, page.dst)); }
    }

    fn blocks(
        &mut self,
        reader: &mut BitReader<'_>,
        dst: &mut [u8],
        produced: &mut usize,
    ) -> Result<(), DecodeErrorKind> {
        loop {
            let is_final = reader.take(1)? == 1;
            match reader.take(2)? {
                STORED => stored(reader, dst, produced)?,
                FIXED => block(reader, dst, produced, &self.fixed, self.window, true)?,
                DYNAMIC => {
                    header::read(reader, &mut self.dynamic)?;
                    block(reader, dst, produced, &self.dynamic, self.window, true)?;
                }
                _ => return Err(DecodeErrorKind::BlockType),
            }
            if is_final {
                return Ok(());
            }
        }
    }
}

fn stored(
    reader: &mut BitReader<'_>,
    dst: &mut [u8],
    produced: &mut usize,
) -> Result<(), DecodeErrorKind> {
    reader.skip_to_byte();
    let (len, complement) = (reader.take(16)?, reader.take(16)?);
    if len != !complement & 0xffff {
        return Err(DecodeErrorKind::StoredLength);
    }
    let bytes = reader.take_bytes(len as usize)?;
    let room = dst.get_mut(*produced..).and_then(|rest| rest.get_mut(..bytes.len()));
    room.ok_or(DecodeErrorKind::DstTooSmall)?.copy_from_slice(bytes);
    *produced += bytes.len();
    Ok(())
}

/// Decodes up to the end of a block, or, where it has none, until `dst` is full.
fn block(
    reader: &mut BitReader<'_>,
    dst: &mut [u8],
    at: &mut usize,
    tables: &Tables,
    window: usize,
    has_end: bool,
) -> Result<(), DecodeErrorKind> {
    loop {
        *at = fast(reader, dst, *at, tables, window);
        if !has_end && *at == dst.len() {
            return Ok(());
        }
        if careful(reader, dst, at, tables, window)? {
            return Ok(());
        }
    }
}

/// Decodes literals and matches until something is unusual, or an end is close.
#[inline(never)]
fn fast(
    reader: &mut BitReader<'_>,
    dst: &mut [u8],
    mut at: usize,
    tables: &Tables,
    window: usize,
) -> usize {
    let src = reader.src;
    let (mut next, mut bits, mut count) = (reader.next, reader.bits, reader.count);
    while let Some(out) = dst.get_mut(at..at + FAST_BYTES) && let Some(word) = src.get(next..next + 8) {
        let word = u64::from_le_bytes(*word.first_chunk().unwrap_or(&[0; 8]));
        bits |= word << (count & 63);
        next += (63 - count as usize) >> 3;
        count |= 56;
        let mut entry = tables.litlen.look_up(bits);
        if entry.is_literal() {
            bits >>= entry.bits();
            count -= entry.bits();
            out[0] = entry.byte();
            at += 1;
            entry = tables.litlen.look_up(bits);
            if entry.is_literal() {
                bits >>= entry.bits();
                count -= entry.bits();
                out[1] = entry.byte();
                at += 1;
                entry = tables.litlen.look_up(bits);
                if entry.is_literal() {
                    bits >>= entry.bits();
                    count -= entry.bits();
                    out[2] = entry.byte();
                    at += 1;
                    continue;
                }
            }
        }
        if entry.is_exception() {
            break;
        }
        let bytes = entry.number(bits);
        let litlen_bits = entry.bits();
        let after = bits >> litlen_bits;
        let entry = tables.dist.look_up(after);
        let distance = entry.number(after);
        let used = litlen_bits + entry.bits();
        if entry.is_exception() || distance > at.min(window) || used > count {
            break;
        }
        let from = at - distance;
        let Some(out) = dst.get_mut(from..at + bytes + SLACK_BYTES) else { break };
        bits = after >> entry.bits();
        count -= used;
        copy_fast(out, distance, bytes);
        at += bytes;
    }
    (reader.next, reader.bits, reader.count) = (next, bits, count);
    at
}

/// Decodes a literal, a match, or the end of the block, which is `true`.
fn careful(
    bits: &mut BitReader<'_>,
    dst: &mut [u8],
    at: &mut usize,
    tables: &Tables,
    window: usize,
) -> Result<bool, DecodeErrorKind> {
    bits.refill();
    let mut entry = tables.litlen.look_up(bits.peek());
    if entry.is_exception() && entry.value() == LONG {
        entry = tables.litlen.look_up_long(bits.peek());
    }
    if entry.bits() > bits.count() {
        return Err(DecodeErrorKind::Truncated);
    }
    if entry.is_literal() {
        *dst.get_mut(*at).ok_or(DecodeErrorKind::DstTooSmall)? = entry.byte();
        bits.consume(entry.bits());
        *at += 1;
        return Ok(false);
    }
    if entry.is_exception() {
        if entry.value() == END {
            bits.consume(entry.bits());
            return Ok(true);
        }
        return Err(if bits.count() < 15 { DecodeErrorKind::Truncated } else { DecodeErrorKind::Symbol });
    }
    let mut rest = bits.clone();
    let bytes = entry.number(rest.peek());
    rest.consume(entry.bits());
    rest.refill();
    let mut entry = tables.dist.look_up(rest.peek());
    if entry.is_exception() && entry.value() == LONG {
        entry = tables.dist.look_up_long(rest.peek());
    }
    if entry.is_exception() {
        return Err(if rest.count() < 15 { DecodeErrorKind::Truncated } else { DecodeErrorKind::Symbol });
    }
    if entry.bits() > rest.count() {
        return Err(DecodeErrorKind::Truncated);
    }
    let distance = entry.number(rest.peek());
    if distance > *at {
        return Err(DecodeErrorKind::DistanceTooFar);
    }
    if distance > window {
        return Err(DecodeErrorKind::DistanceBeyondWindow);
    }
    if bytes > dst.len() - *at {
        return Err(DecodeErrorKind::DstTooSmall);
    }
    rest.consume(entry.bits());
    *bits = rest;
    for i in *at..*at + bytes {
        dst[i] = dst[i - distance];
    }
    *at += bytes;
    Ok(false)
}

/// Copies a match that starts where `out` does to `distance` behind it, in words; `out` ends
/// [`SLACK_BYTES`] behind the match, and those are overwritten.
#[inline(always)]
fn copy_fast(out: &mut [u8], distance: usize, bytes: usize) {
    if distance >= 8 {
        let mut at = 0;
        loop {
            for _ in 0..2 {
                let Some(word) = out.get(at..at + 8).and_then(|rest| rest.first_chunk::<8>().copied()) else { return };
                let Some(to) = out.get_mut(at + distance..at + distance + 8) else { return };
                to.copy_from_slice(&word);
                at += 8;
            }
            if at >= bytes {
                return;
            }
        }
    }
    copy_pattern(out, distance, bytes);
}

/// The same for a distance shorter than a word.
#[inline(always)]
fn copy_pattern(out: &mut [u8], distance: usize, bytes: usize) {
    let Some(first) = out.first_chunk::<8>() else { return };
    let bits = 8 * distance as u32 & 63;
    let mut word = u64::from_le_bytes(*first) & ((1 << bits) - 1);
    word |= word << bits;
    word |= word.wrapping_shl(2 * bits) * u64::from(bits < 32);
    word |= word.wrapping_shl(4 * bits) * u64::from(bits < 16);
    // As many whole patterns as a word holds.
    let stride = [1_usize, 8, 8, 6, 8, 5, 6, 7][distance & 7];
    let mut at = distance;
    while at < distance + bytes {
        let Some(to) = out.get_mut(at..at + 8) else { return };
        to.copy_from_slice(&word.to_le_bytes());
        at += stride;
    }
}

/// What decoding a stream came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the two lengths are all there is")]
pub struct Decoded {
    /// x
    pub consumed: usize,
    /// x
    pub produced: usize,
}

/// x
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DecodeError {
    /// x
    pub kind: DecodeErrorKind,
    /// x
    pub position_bits: usize,
}

/// x
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// x
    DstTooSmall,
    /// x
    Truncated,
    /// x
    BlockType,
    /// x
    StoredLength,
    /// x
    Header,
    /// x
    Symbol,
    /// x
    DistanceTooFar,
    /// x
    DistanceBeyondWindow,
}

impl From<Ended> for DecodeErrorKind {
    fn from(Ended: Ended) -> Self {
        Self::Truncated
    }
}

const WINDOW_BYTES_MAX: usize = 32768;
/// What a step of the fast loop may write before it looks: three literals.
const FAST_BYTES: usize = 3;
/// What a copy may overwrite behind a match.
const SLACK_BYTES: usize = 16;
