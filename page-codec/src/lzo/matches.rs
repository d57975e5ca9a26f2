//! Where bytes were before, or are zeros: greedy, with one candidate for each position.
//!
//! The hash takes five bytes although four make a match: with four, pages took 1.1 times as long
//! and were 1.3 % smaller.

use super::format::MATCH_BYTES_MIN;

/// `length` bytes at `at` that were there `distance` bytes before; without a distance, zeros.
pub(super) struct Found {
    pub(super) at: usize,
    pub(super) length: usize,
    pub(super) distance: Option<usize>,
}

/// The last position of each hash.
///
/// Position 0 stands for none, too: as every candidate is compared, it need not be told apart.
#[derive(Debug)]
pub(super) struct Matches {
    positions: [u16; 1 << TABLE_LOG],
}

impl Matches {
    pub(super) fn new() -> Self {
        Self { positions: [0; 1 << TABLE_LOG] }
    }

    /// Begins with another source.
    pub(super) fn forget(&mut self) {
        self.positions.fill(0);
    }

    pub(super) fn insert(&mut self, src: &[u8], at: usize) {
        if let Some(here) = load(src, at as u32) {
            self.positions[hash(here)] = at as u16;
        }
    }

    /// The first match, or with `RUNS` the first zeros, at `from` or behind, where fewer positions
    /// are looked at the longer there is none.
    ///
    /// `from` is not 0.
    #[inline(always)]
    pub(super) fn find<const RUNS: bool>(&mut self, src: &[u8], from: usize) -> Option<Found> {
        let mut at = from as u32;
        let mut tries = 1 << TRIES_LOG;
        loop {
            let here: [u8; HASH_LOAD_BYTES] = load(src, at)?;
            if RUNS && starts_zeros(here) {
                let length = zeros_length(src, at) as usize;
                return Some(Found { at: at as usize, length, distance: None });
            }
            let position = &mut self.positions[hash(here)];
            let candidate = u32::from(*position);
            *position = at as u16;
            let [a, b, c, d, ..] = here;
            if load(src, candidate)? == [a, b, c, d] {
                let length = common_length(src, at, candidate)? as usize;
                let distance = Some((at - candidate) as usize);
                return Some(Found { at: at as usize, length, distance });
            }
            at += tries >> TRIES_LOG;
            tries += 1;
        }
    }
}

/// The length of the match at `at`, whose first four bytes are known to be those at `candidate`.
#[inline(always)]
fn common_length(src: &[u8], at: u32, candidate: u32) -> Option<u32> {
    let length_max = src.len() as u32 - at;
    let mut length = MATCH_BYTES_MIN as u32;
    while length + 8 <= length_max {
        let one = u64::from_le_bytes(load(src, at + length)?);
        let other = u64::from_le_bytes(load(src, candidate + length)?);
        if one != other {
            return Some(length + (one ^ other).trailing_zeros() / 8);
        }
        length += 8;
    }
    let byte = |at| src.get(at as usize);
    while length < length_max && byte(at + length) == byte(candidate + length) {
        length += 1;
    }
    Some(length)
}

#[inline(always)]
fn starts_zeros(bytes: [u8; HASH_LOAD_BYTES]) -> bool {
    u64::from_le_bytes(bytes) << (64 - 8 * ZEROS_BYTES_MIN) == 0
}

/// The number of zeros at `at`, where [`starts_zeros`].
#[inline(always)]
fn zeros_length(src: &[u8], at: u32) -> u32 {
    let length_max = src.len() as u32 - at;
    let mut length = 0;
    while let Some(bytes) = load(src, at + length) {
        match u64::from_le_bytes(bytes) {
            0 => length += 8,
            more => return length + more.trailing_zeros() / 8,
        }
    }
    while length < length_max && src[(at + length) as usize] == 0 {
        length += 1;
    }
    length
}

#[inline(always)]
fn hash(bytes: [u8; HASH_LOAD_BYTES]) -> usize {
    let hashed = u64::from_le_bytes(bytes) << (64 - 8 * HASH_BYTES);
    (hashed.wrapping_mul(HASH_FACTOR) >> (64 - TABLE_LOG)) as usize
}

/// With positions of 32 bits the end cannot overflow, so that there is one comparison.
#[inline(always)]
fn load<const N: usize>(bytes: &[u8], at: u32) -> Option<[u8; N]> {
    let at = at as usize;
    bytes.get(at..at + N)?.first_chunk().copied()
}

const TABLE_LOG: u32 = 12;
const HASH_BYTES: u32 = 5;
const HASH_LOAD_BYTES: usize = 8;
/// A prime; the upper bits of the product depend on all bytes.
const HASH_FACTOR: u64 = 889_523_592_379;
/// For fewer zeros, a run may take more than it saves: itself 4 bytes, and the length of literals
/// behind it 2.
const ZEROS_BYTES_MIN: u32 = 6;
/// After so many positions without a match, steps grow by one.
const TRIES_LOG: u32 = 5;
