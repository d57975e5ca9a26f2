//! A block between parsing and writing: its literals and matches, and how often each occurs.

use core::convert::Infallible;

use super::bits::{BitWriter, Full};
use super::codes::{CodeTables, Histogram};
use super::format::{
    DIST_BASE, DIST_EXTRA_BITS, DIST_SYMBOLS, END_OF_BLOCK, FIRST_LENGTH, LENGTH_BASE,
    LENGTH_EXTRA_BITS, MATCH_BYTES_MAX, MATCH_BYTES_MIN,
};
use super::parse::Sink;

/// What a block of at most [`BLOCK_BYTES_MAX`] source bytes consists of.
#[derive(Clone, Debug)]
pub(super) struct Tokens {
    /// Below the extra bits, an item: a literal, from [`FIRST_MATCH`] on the length of a match, or
    /// from [`FIRST_DIST`] on the symbol of a distance, which follows each length.
    tokens: [u32; BLOCK_BYTES_MAX],
    count: usize,
    /// How often each item occurs.
    counts: [u32; ITEMS],
    may_give_up: bool,
}

impl Tokens {
    pub(super) const fn new() -> Self {
        Self { tokens: [0; BLOCK_BYTES_MAX], count: 0, counts: [0; ITEMS], may_give_up: false }
    }

    pub(super) fn clear(&mut self, may_give_up: bool) {
        (self.count, self.counts, self.may_give_up) = (0, [0; ITEMS], may_give_up);
    }

    /// The symbols of the block, its end included.
    pub(super) fn histogram(&self) -> Histogram {
        let mut histogram = Histogram::EMPTY;
        let (literals, lengths) = self.counts[..FIRST_DIST].split_at(FIRST_MATCH);
        histogram.litlen[..FIRST_MATCH].copy_from_slice(literals);
        histogram.litlen[END_OF_BLOCK] = 1;
        let mut start = 0;
        for (count, extra_bits) in
            histogram.litlen[FIRST_LENGTH..].iter_mut().zip(LENGTH_EXTRA_BITS)
        {
            let end = lengths.len().min(start + (1 << extra_bits));
            *count = lengths[start..end].iter().sum();
            start = end;
        }
        // The longest has a symbol of its own, although the one before it could express it.
        let longest = lengths[MATCH_BYTES_MAX - MATCH_BYTES_MIN];
        histogram.litlen[FIRST_LENGTH + 27] -= longest;
        histogram.litlen[FIRST_LENGTH + 28] = longest;
        histogram.dist.copy_from_slice(&self.counts[FIRST_DIST..][..DIST_SYMBOLS]);
        histogram
    }

    /// Writes the tokens, and not the end of the block.
    #[inline(always)]
    pub(super) fn write(&self, codes: &CodeTables, bits: &mut BitWriter<'_>) -> Result<(), Full> {
        let entries = entries(codes);
        let (pairs, last) = self.tokens[..self.count].as_chunks::<2>();
        for pair in pairs {
            put(pair[0], &entries, bits);
            put(pair[1], &entries, bits);
            bits.flush_all()?;
        }
        if let [token] = last {
            put(*token, &entries, bits);
            bits.flush_all()?;
        }
        Ok(())
    }

    #[inline(always)]
    fn push(&mut self, token: u32) {
        self.counts[token as usize % ITEMS] += 1;
        self.tokens[self.count % BLOCK_BYTES_MAX] = token;
        self.count += 1;
    }
}

impl Sink for &mut Tokens {
    type Stop = Infallible;

    #[inline(always)]
    fn literal(&mut self, byte: u8) {
        self.push(u32::from(byte));
    }

    #[inline(always)]
    fn copy(&mut self, bytes: usize, distance: usize) {
        self.push((FIRST_MATCH - MATCH_BYTES_MIN + bytes) as u32);
        self.push(DIST_TOKENS[distance % DIST_TOKENS.len()]);
    }

    #[inline(always)]
    fn flush(&mut self) -> bool {
        true
    }

    /// Nearly all literals, and those spread over all bytes: the sum of the squares of their counts
    /// is hardly larger than chance would have it.
    fn is_hopeless(&self, bytes: usize) -> bool {
        if !self.may_give_up || self.count < bytes - bytes / 16 {
            return false;
        }
        let literals = self.counts[..FIRST_MATCH].iter();
        let squares: u32 = literals.map(|count| count * count).sum();
        let by_chance = bytes + bytes * bytes / 256;
        squares as usize <= by_chance + by_chance / 4
    }

    fn flush_at_end(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}

/// Appends a token: at most 15 bits for a literal, 20 for a length, 28 for a distance, so that two
/// of them fit between flushes.
#[inline(always)]
fn put(token: u32, entries: &[Entry; ITEMS], bits: &mut BitWriter<'_>) {
    let Entry(entry) = entries[token as usize % ITEMS];
    let extra = token >> EXTRA_SHIFT << (entry & 15);
    bits.put(u64::from(entry >> 9 | extra), entry >> 4 & 31);
}

/// From the top: a code word, how many bits it has with its extra bits, and where those start.
#[derive(Clone, Copy, Default)]
struct Entry(u32);

impl Entry {
    #[inline(always)]
    fn new(word: u32, bits: u8, extra_shift: u8) -> Self {
        Self(word << 9 | u32::from(bits) << 4 | u32::from(extra_shift))
    }
}

/// The entries of all items; those of lengths have their extra bits in the word.
fn entries(codes: &CodeTables) -> [Entry; ITEMS] {
    let mut entries = [Entry(0); ITEMS];
    let code = &codes.litlen;
    for (entry, (word, bits)) in entries.iter_mut().zip(code.words.iter().zip(&code.lengths)) {
        *entry = Entry::new(u32::from(*word), *bits, 0);
    }
    let code = code.words.iter().zip(&code.lengths).skip(FIRST_LENGTH);
    for ((word, bits), (base, extra_bits)) in code.zip(LENGTH_BASE.iter().zip(LENGTH_EXTRA_BITS)) {
        let start = FIRST_MATCH - MATCH_BYTES_MIN + usize::from(*base);
        for (extra, entry) in entries[start..].iter_mut().take(1 << extra_bits).enumerate() {
            let word = u32::from(*word) | (extra as u32) << bits;
            *entry = Entry::new(word, *bits + extra_bits, 0);
        }
    }
    let code = codes.dist.words.iter().zip(&codes.dist.lengths);
    let dists = entries[FIRST_DIST..].iter_mut();
    for (entry, ((word, bits), extra_bits)) in dists.zip(code.zip(DIST_EXTRA_BITS)) {
        *entry = Entry::new(u32::from(*word), bits + extra_bits, *bits);
    }
    entries
}

/// Symbol and extra bits of a distance; 4096 is at 0.
const DIST_TOKENS: &[u32; 4096] = &{
    let mut tokens = [0; 4096];
    let mut symbol = 0;
    let mut distance = 1;
    while distance <= 4096 {
        while DIST_BASE[symbol + 1] as usize <= distance {
            symbol += 1;
        }
        let extra = distance - DIST_BASE[symbol] as usize;
        tokens[distance % 4096] = (FIRST_DIST + symbol) as u32 | (extra as u32) << EXTRA_SHIFT;
        distance += 1;
    }
    tokens
};

/// Source bytes of a block, and thus its tokens at most.
pub(super) const BLOCK_BYTES_MAX: usize = 4096;
const FIRST_MATCH: usize = 256;
const FIRST_DIST: usize = 512;
const ITEMS: usize = 1 << EXTRA_SHIFT;
const EXTRA_SHIFT: u32 = 10;
