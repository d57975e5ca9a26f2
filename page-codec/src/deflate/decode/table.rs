//! Decoding tables: what the next bits of a stream mean.

use crate::deflate::format::{
    CODE_BITS_MAX, DIST_BASE, DIST_EXTRA_BITS, DIST_SYMBOLS, END_OF_BLOCK, FIRST_LENGTH,
    FIXED_DIST_BITS, FIXED_LITLEN_SYMBOLS, LENGTH_BASE, LENGTH_EXTRA_BITS, LITLEN_SYMBOLS,
    fixed_litlen_bits,
};

/// What a code word means, from the top: flags (no literal and no match; a literal; what the lanes
/// leave alone), 15 bits of value (the literal, the base of a length or distance, or a symbol), how
/// long the word is, and in the lowest byte, how long it is with its extra bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry(pub(super) u32);

impl Entry {
    pub(super) const fn new(value: usize, extra_bits: u8) -> Self {
        Self((value as u32) << VALUE_SHIFT | extra_bits as u32)
    }

    const fn of_match(base: usize, extra_bits: u8, is_slow: bool) -> Self {
        Self(Self::new(base, extra_bits).0 | if is_slow { SLOW } else { 0 })
    }

    const fn literal(byte: usize) -> Self {
        Self(LITERAL | Self::new(byte, 0).0)
    }

    const fn exception(value: usize) -> Self {
        Self(EXCEPTION | Self::new(value, 0).0)
    }

    /// The entry of a code word of this length.
    #[inline(always)]
    const fn with_word_bits(self, bits: u32) -> Self {
        Self(self.0 + (bits << WORD_BITS_SHIFT | bits))
    }

    #[inline(always)]
    pub(super) fn is_exception(self) -> bool {
        self.0 & EXCEPTION != 0
    }

    /// Is it neither a literal, nor a short match that does not overlap itself?
    #[inline(always)]
    pub(super) fn is_slow(self) -> bool {
        self.0 & (EXCEPTION | SLOW) != 0
    }

    #[inline(always)]
    pub(super) fn is_literal(self) -> bool {
        self.0 & LITERAL != 0
    }

    /// The flags of both.
    #[inline(always)]
    pub(super) fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// No bits and no value instead.
    #[inline(always)]
    pub(super) fn or_nothing(self, nothing: bool) -> Self {
        Self(core::hint::select_unpredictable(nothing, 0, self.0))
    }

    #[inline(always)]
    pub(super) fn byte(self) -> u8 {
        (self.0 >> VALUE_SHIFT) as u8
    }

    /// How many bits the word and its extra bits have.
    #[inline(always)]
    pub(super) fn bits(self) -> u32 {
        self.0 & 63
    }

    #[inline(always)]
    pub(super) fn word_bits(self) -> u32 {
        self.0 >> WORD_BITS_SHIFT & 15
    }

    /// The length or distance, of which `bits` starts with the word and its extra bits.
    #[inline(always)]
    pub(super) fn number(self, bits: u64) -> usize {
        let extra = (bits & ((1 << self.bits()) - 1)) >> self.word_bits();
        self.value() + extra as usize
    }

    #[inline(always)]
    pub(super) fn value(self) -> usize {
        (self.0 >> VALUE_SHIFT & VALUE_MASK) as usize
    }
}

/// Values of exceptions.
pub(super) const END: usize = 0;
/// No symbol of the code, or one that must not occur.
pub(super) const INVALID: usize = 1;
/// The start of a code word longer than the table's index.
pub(super) const LONG: usize = 2;

/// A code, ready to be looked up by the next `BITS` bits; `SIZE` is 2 to the power of `BITS`.
#[derive(Clone, Debug)]
pub(super) struct Table<const BITS: u32, const SIZE: usize> {
    entries: [Entry; SIZE],
    /// For words longer than `BITS`: the first word of each length, how many there are, and where
    /// their entries lie in `sorted`.
    first: [u16; 16],
    counts: [u16; 16],
    offsets: [u16; 16],
    /// The meaning of each word, in the order of the words.
    sorted: [Entry; FIXED_LITLEN_SYMBOLS],
}

pub(super) type LitlenTable = Table<LITLEN_BITS, { 1 << LITLEN_BITS }>;
pub(super) type DistTable = Table<DIST_BITS, { 1 << DIST_BITS }>;

impl<const BITS: u32, const SIZE: usize> Table<BITS, SIZE> {
    pub(super) const fn new() -> Self {
        Self {
            entries: [Entry::exception(INVALID); SIZE],
            first: [0; 16],
            counts: [0; 16],
            offsets: [0; 16],
            sorted: [Entry::exception(INVALID); FIXED_LITLEN_SYMBOLS],
        }
    }

    /// What the next bits start with. [`INVALID`] where they start with no code word.
    #[inline(always)]
    pub(super) fn look_up(&self, bits: u64) -> Entry {
        self.entries[bits as usize % SIZE]
    }

    /// The same for words that are longer than the table's index.
    #[cold]
    pub(super) fn look_up_long(&self, bits: u64) -> Entry {
        let mut word = (bits as u32).reverse_bits() >> (32 - BITS);
        for length in BITS + 1..=CODE_BITS_MAX {
            word = word << 1 | (bits >> (length - 1)) as u32 & 1;
            let index = word.wrapping_sub(u32::from(self.first[length as usize]));
            if index < u32::from(self.counts[length as usize]) {
                let place = usize::from(self.offsets[length as usize]) + index as usize;
                return self.sorted[place].with_word_bits(length);
            }
        }
        Entry::exception(INVALID)
    }

    /// Makes the table of a canonical code; `meanings` has the entry of each symbol, without the
    /// length of its word. `false`: these lengths make no code, or leave words without a meaning,
    /// which only a code of one word of one bit, or none, may do.
    pub(super) fn build(&mut self, lengths: &[u8], meanings: &[Entry]) -> bool {
        let mut counts = [0_u16; 16];
        for length in lengths {
            counts[usize::from(*length & 15)] += 1;
        }
        let (mut word, mut used) = (0_u32, 0);
        let mut places = [0_u16; 16];
        for length in 1..=CODE_BITS_MAX as usize {
            word = (word + if length == 1 { 0 } else { u32::from(counts[length - 1]) }) << 1;
            self.first[length] = word as u16;
            places[length] = used;
            used += counts[length];
            if word + u32::from(counts[length]) > 1 << length {
                return false;
            }
        }
        let is_complete = word + u32::from(counts[15]) == 1 << CODE_BITS_MAX;
        if !is_complete && used > 1 || used == 1 && counts[1] != 1 {
            return false;
        }
        (self.counts, self.offsets) = (counts, places);
        // Unused symbols go behind the others, and are overwritten or never looked at.
        places[0] = used;
        for (length, meaning) in lengths.iter().zip(meanings) {
            let place = &mut places[usize::from(*length & 15)];
            self.sorted[usize::from(*place) % FIXED_LITLEN_SYMBOLS] = *meaning;
            *place += 1;
        }
        self.fill(is_complete);
        true
    }

    /// The words of each length stand at the start of the table; whenever the length grows, what
    /// there is is doubled.
    fn fill(&mut self, is_complete: bool) {
        if !is_complete {
            self.entries.fill(Entry::exception(INVALID).with_word_bits(1));
            if self.counts[1] == 1 {
                for entry in self.entries.iter_mut().step_by(2) {
                    *entry = self.sorted[0].with_word_bits(1);
                }
            }
            return;
        }
        let mut word = 0;
        let mut size = 1;
        for length in 1..=BITS {
            self.entries.copy_within(..size, size);
            size *= 2;
            let start = usize::from(self.offsets[length as usize]);
            let count = usize::from(self.counts[length as usize]);
            for meaning in &self.sorted[start..start + count] {
                self.entries[word % SIZE] = meaning.with_word_bits(length);
                word = next_reversed(word, size);
            }
        }
        let is_long = self.counts[BITS as usize + 1..].iter().any(|count| *count > 0);
        while is_long && word < size {
            self.entries[word % SIZE] = Entry::exception(LONG);
            word = next_reversed(word, size);
        }
    }
}

impl LitlenTable {
    /// Gives lengths with extra bits an entry for each length, where the index has all the bits.
    pub(super) fn expand_lengths(&mut self, lengths: &[u8]) {
        let mut at = self.offsets;
        for (symbol, length) in lengths.iter().enumerate() {
            let place = &mut at[usize::from(*length & 15)];
            let (rank, bits) = (*place, u32::from(*length));
            *place += 1;
            if symbol < FIRST_LENGTH + 8 || symbol >= LITLEN_SYMBOLS - 1 || bits == 0 {
                continue;
            }
            let extra_bits = u32::from(LENGTH_EXTRA_BITS[symbol - FIRST_LENGTH]);
            let total = bits + extra_bits;
            if total > LITLEN_BITS {
                continue;
            }
            let word = self.first[bits as usize] + (rank - self.offsets[bits as usize]);
            let word = usize::from(word.reverse_bits() >> (16 - bits));
            for extra in 0..1 << extra_bits {
                let value = usize::from(LENGTH_BASE[symbol - FIRST_LENGTH]) + extra;
                let entry = Entry::of_match(value, 0, value > 16).with_word_bits(total);
                let start = word | extra << bits;
                for index in (start..1 << LITLEN_BITS).step_by(1 << total) {
                    self.entries[index % (1 << LITLEN_BITS)] = entry;
                }
            }
        }
    }
}

/// The word behind `word`, both with their first bit lowest, among those of as many bits as `size`
/// has; `size` behind the last.
#[inline(always)]
fn next_reversed(word: usize, size: usize) -> usize {
    // Adding one turns the ones at the end, here the top, to zeros, and the zero before them to one.
    let zeros = !word & (size - 1);
    if zeros == 0 {
        return size;
    }
    let bit = 1 << zeros.ilog2();
    word & (bit - 1) | bit
}

/// What literal/length symbols mean.
pub(super) const LITLEN_MEANINGS: &[Entry; FIXED_LITLEN_SYMBOLS] = &{
    let mut entries = [Entry::exception(INVALID); FIXED_LITLEN_SYMBOLS];
    let mut symbol = 0;
    while symbol < LITLEN_SYMBOLS {
        entries[symbol] = match symbol {
            0..END_OF_BLOCK => Entry::literal(symbol),
            END_OF_BLOCK => Entry::exception(END),
            _ => {
                let length = symbol - FIRST_LENGTH;
                Entry::of_match(LENGTH_BASE[length] as usize, LENGTH_EXTRA_BITS[length], LENGTH_EXTRA_BITS[length] > 0 || LENGTH_BASE[length] > 16)
            }
        };
        symbol += 1;
    }
    entries
};

/// What distance symbols mean; two of the fixed code have no meaning.
pub(super) const DIST_MEANINGS: &[Entry; 32] = &{
    let mut entries = [Entry::exception(INVALID); 32];
    let mut symbol = 0;
    while symbol < DIST_SYMBOLS {
        entries[symbol] = Entry::of_match(DIST_BASE[symbol] as usize, DIST_EXTRA_BITS[symbol], DIST_BASE[symbol] < 8);
        symbol += 1;
    }
    entries
};

/// The lengths of the fixed literal/length code.
pub(super) const FIXED_LITLEN_LENGTHS: &[u8; FIXED_LITLEN_SYMBOLS] = &{
    let mut lengths = [0; FIXED_LITLEN_SYMBOLS];
    let mut symbol = 0;
    while symbol < lengths.len() {
        lengths[symbol] = fixed_litlen_bits(symbol);
        symbol += 1;
    }
    lengths
};
/// The lengths of the fixed distance code.
pub(super) const FIXED_DIST_LENGTHS: &[u8; 32] = &[FIXED_DIST_BITS; 32];

const LITLEN_BITS: u32 = 11;
const DIST_BITS: u32 = 8;
const EXCEPTION: u32 = 1 << 31;
const LITERAL: u32 = 1 << 30;
/// A match that lanes do not copy in one go.
const SLOW: u32 = 1 << 29;
const VALUE_SHIFT: u32 = 12;
const VALUE_MASK: u32 = 0x7fff;
const WORD_BITS_SHIFT: u32 = 8;
