//! The encoder: greedy, with one candidate for each position.

use super::format::{
    LAST_LITERALS_BYTES, LENGTH_IN_TOKEN_MAX, MATCH_BYTES_MIN, MATCH_START_TO_END_BYTES,
};
use crate::{Page, SRC_BYTES_MAX};

/// Compresses pages to LZ4 blocks.
///
/// The tables are inside: 8 KiB, to be boxed by whoever keeps an encoder for long.
///
/// ```
/// use page_codec::lz4::{self, Encoder};
///
/// let page = [b"page by page, "; 256].concat();
/// let mut block = [0; 4096];
/// let len = Encoder::new().encode(&page, &mut block)?;
/// assert!(len < 40);
///
/// let mut data = [0; 4096];
/// assert_eq!(lz4::decode(&block[..len], &mut data), Ok(page.len()));
/// assert_eq!(data[..page.len()], page);
/// # Ok::<(), lz4::EncodeError>(())
/// ```
#[derive(Debug)]
pub struct Encoder {
    /// The last position with the hash that is the index. What was never set is position 0: it is
    /// as good a candidate as any, for every candidate is compared.
    positions: [u16; 1 << TABLE_LOG],
    acceleration: u32,
}

/// Why there is no block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EncodeError {
    /// The block does not fit the destination.
    DstTooSmall,
    /// The source is longer than [`SRC_BYTES_MAX`].
    SrcTooLarge,
}

impl Encoder {
    /// An encoder with acceleration 1.
    #[must_use]
    pub fn new() -> Self {
        Self { positions: [0; 1 << TABLE_LOG], acceleration: 1 }
    }

    #[must_use]
    /// x
    pub fn acceleration(self, n: u32) -> Self {
        Self { acceleration: n.clamp(1, SRC_BYTES_MAX as u32), ..self }
    }

    /// Compresses `src` into one block at the start of `dst` and tells its length.
    pub fn encode(&mut self, src: &[u8], dst: &mut [u8]) -> Result<usize, EncodeError> {
        if src.len() > SRC_BYTES_MAX {
            return Err(EncodeError::SrcTooLarge);
        }
        let mut block = Block { dst, len: 0 };
        let mut done = 0;
        if src.len() > MATCH_START_TO_END_BYTES {
            self.positions.fill(0);
            while let Some(found) = self.find(src, done.max(1) as u32) {
                block.sequence(src, done, &found).ok_or(EncodeError::DstTooSmall)?;
                done = found.at + found.len;
                if let Some(hash)=hash(src, done - 2){
                self.positions[hash] = (done - 2) as u16;
                }
            }
        }
        block.last_literals(&src[done..]).ok_or(EncodeError::DstTooSmall)?;
        Ok(block.len)
    }

    /// x
    pub fn encode_batch(&mut self, pages: &mut [Page<'_, Result<usize, EncodeError>>]) {
        for page in pages {
            page.result = Some(self.encode(page.src, page.dst));
        }
    }

    #[inline(always)]
    fn find(&mut self, src: &[u8], mut at: u32) -> Option<Match> {
        let body = src.get(..src.len().checked_sub(4)?)?;
        let mut tries = self.acceleration << STEP_LOG;
        loop {
            let here = u64::from_le_bytes(load(body, at)?);
            let position = &mut self.positions[hash8(here.to_le_bytes())];
            let candidate = u32::from(*position);
            *position = at as u16;
            if u32::from_le_bytes(load(src, candidate)?) == here as u32 {
                let len = common(src, at, candidate)?;
                return Some(Match { at: at as usize, len, offset: (at - candidate) as usize });
            }
            at += tries >> STEP_LOG;
            tries += 1;
        }
    }
}

#[inline(always)]
fn load<const N: usize>(bytes: &[u8], at: u32) -> Option<[u8; N]> {
    let at = at as usize;
    bytes.get(at..at + N)?.first_chunk::<N>().copied()
}

#[inline(always)]
fn common(src: &[u8], at: u32, candidate: u32) -> Option<usize> {
    let first = differing(src, at + 4, candidate + 4)?;
    let len = 4 + (first.trailing_zeros() / 8) as usize;
    let room = src.len() - LAST_LITERALS_BYTES - at as usize;
    if first != 0 && room > 11 { Some(len) } else { common_long(src, at, candidate, room as u32) }
}

#[inline(always)]
fn common_long(src: &[u8], at: u32, candidate: u32, room: u32) -> Option<usize> {
    let mut len = 4;
    while len + 3 <= room {
        let differ = differing(src, at + len, candidate + len)?;
        if differ != 0 {
            return Some((len + differ.trailing_zeros() / 8).min(room) as usize);
        }
        len += 8;
    }
    while len < room && src.get((at + len) as usize) == src.get((candidate + len) as usize) {
        len += 1;
    }
    Some(len.min(room) as usize)
}

#[inline(always)]
fn differing(src: &[u8], a: u32, b: u32) -> Option<u64> {
    Some(u64::from_le_bytes(load(src, a)?) ^ u64::from_le_bytes(load(src, b)?))
}

fn hash(src: &[u8], at: usize) -> Option<usize> {
    Some(hash8(*src.get(at..)?.first_chunk::<8>()?))
}
#[inline(always)]
fn hash8(x: [u8; 8]) -> usize {
    ((u64::from_le_bytes(x) << 24).wrapping_mul(889523592379) >> (64 - TABLE_LOG)) as usize
}

struct Match {
    at: usize,
    len: usize,
    offset: usize,
}

struct Block<'a> {
    dst: &'a mut [u8],
    len: usize,
}

impl Block<'_> {
    #[inline(always)]
    fn sequence(&mut self, src: &[u8], from: usize, found: &Match) -> Option<()> {
        let literals = found.at - from;
        let more = found.len - MATCH_BYTES_MIN;
        let token = (literals.min(LENGTH_IN_TOKEN_MAX) << 4 | more.min(LENGTH_IN_TOKEN_MAX)) as u8;
        if literals < LENGTH_IN_TOKEN_MAX
            && let Some(source) = src.get(from..from+16)
            && let Some(room) = self.dst.get_mut(self.len..self.len+20)
        {
            room[0] = token;
            room[1..17].copy_from_slice(source);
            let offset = (found.offset as u16).to_le_bytes();
            room[1 + literals] = offset[0];
            room[2 + literals] = offset[1];
            self.len += 3 + literals;
        } else {
            self.sequence_slow(token, src.get(from..found.at)?, found.offset)?;
        }
        if more >= LENGTH_IN_TOKEN_MAX { self.extend(more) } else { Some(()) }
    }

    #[inline(never)]
    fn sequence_slow(&mut self, token: u8, literals: &[u8], offset: usize) -> Option<()> {
        self.put(&[token])?;
        self.extend(literals.len())?;
        self.put(literals)?;
        self.put(&(offset as u16).to_le_bytes())
    }

    fn last_literals(&mut self, literals: &[u8]) -> Option<()> {
        self.put(&[(literals.len().min(LENGTH_IN_TOKEN_MAX) << 4) as u8])?;
        self.extend(literals.len())?;
        self.put(literals)
    }

    fn extend(&mut self, length: usize) -> Option<()> {
        let Some(mut rest) = length.checked_sub(LENGTH_IN_TOKEN_MAX) else { return Some(()) };
        while rest >= 255 {
            self.put(&[255])?;
            rest -= 255;
        }
        self.put(&[rest as u8])
    }

    fn put(&mut self, bytes: &[u8]) -> Option<()> {
        self.dst.get_mut(self.len..)?.get_mut(..bytes.len())?.copy_from_slice(bytes);
        self.len += bytes.len();
        Some(())
    }
}

const TABLE_LOG: u32 = 12;
const STEP_LOG: u32 = 5;
