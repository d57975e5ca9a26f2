//! Blocks of the fixed code (RFC 1951, section 3.2.6), written as they are parsed.

use super::bits::{BitWriter, Full};
use super::codes::CodeTables;
use super::format::{DIST_BASE, DIST_EXTRA_BITS, FIRST_LENGTH, LENGTH_BASE, LENGTH_EXTRA_BITS};
use super::parse::Sink;

/// Writes code words as literals and matches come.
#[derive(Debug)]
pub(super) struct Fixed<'a> {
    pub(super) bits: BitWriter<'a>,
    pub(super) may_give_up: bool,
}

impl Sink for Fixed<'_> {
    type Stop = Full;

    #[inline(always)]
    fn literal(&mut self, byte: u8) {
        let entry = LITERALS[usize::from(byte)];
        self.bits.put(u64::from(entry >> 4), u32::from(entry & 15));
    }

    #[inline(always)]
    fn copy(&mut self, bytes: usize, distance: usize) {
        let entry = LENGTHS[bytes % LENGTHS.len()];
        self.bits.put(u64::from(entry >> 8), entry & 31);
        let word = DISTANCES[distance % DISTANCES.len()];
        let bits = DISTANCE_BITS[usize::from(word) % DISTANCE_BITS.len()];
        self.bits.put(u64::from(word), u32::from(bits));
    }

    #[inline(always)]
    fn flush(&mut self) -> bool {
        self.bits.flush()
    }

    #[inline(always)]
    fn is_hopeless(&self, bytes: usize) -> bool {
        self.may_give_up && self.bits.len_bits() > 8 * (bytes + bytes / 32)
    }

    fn flush_at_end(&mut self) -> Result<(), Full> {
        self.bits.flush_at_end()
    }
}

pub(super) static CODES: CodeTables = CodeTables::fixed();

/// The word of each literal, above its length.
const LITERALS: &[u16; 256] = &{
    let code = CodeTables::fixed().litlen;
    let mut entries = [0; 256];
    let mut byte = 0;
    while byte < entries.len() {
        entries[byte] = code.words[byte] << 4 | code.lengths[byte] as u16;
        byte += 1;
    }
    entries
};

/// Word and extra bits of each match length, above how many bits that is.
const LENGTHS: &[u32; 512] = &{
    let code = CodeTables::fixed().litlen;
    let mut entries = [0; 512];
    let mut symbol = 0;
    while symbol < LENGTH_BASE.len() {
        let (word, bits) = (code.words[FIRST_LENGTH + symbol], code.lengths[FIRST_LENGTH + symbol]);
        let mut extra = 0;
        while extra < 1 << LENGTH_EXTRA_BITS[symbol] {
            entries[LENGTH_BASE[symbol] as usize + extra] = (word as u32 | (extra as u32) << bits)
                << 8
                | (bits + LENGTH_EXTRA_BITS[symbol]) as u32;
            extra += 1;
        }
        symbol += 1;
    }
    entries
};

/// Word and extra bits of each distance; 4096 is at 0.
const DISTANCES: &[u16; 4096] = &{
    let code = CodeTables::fixed().dist;
    let mut entries = [0; 4096];
    let mut symbol = 0;
    while DIST_BASE[symbol] as usize <= entries.len() {
        let mut extra = 0;
        while extra < 1 << DIST_EXTRA_BITS[symbol] {
            let distance = DIST_BASE[symbol] as usize + extra;
            if distance <= entries.len() {
                entries[distance % 4096] =
                    code.words[symbol] | (extra as u16) << code.lengths[symbol];
            }
            extra += 1;
        }
        symbol += 1;
    }
    entries
};

/// How many bits that is, by the word alone.
const DISTANCE_BITS: &[u8; 32] = &{
    let code = CodeTables::fixed().dist;
    let mut bits = [0; 32];
    let mut symbol = 0;
    while symbol < DIST_BASE.len() {
        bits[code.words[symbol] as usize] = code.lengths[symbol] + DIST_EXTRA_BITS[symbol];
        symbol += 1;
    }
    bits
};
