//! Decoding tables: what the next bits of a stream mean.

use crate::deflate::format::{
    CODE_BITS_MAX, DIST_BASE, DIST_EXTRA_BITS, DIST_SYMBOLS, END_OF_BLOCK, FIRST_LENGTH,
    FIXED_DIST_BITS, FIXED_LITLEN_SYMBOLS, LENGTH_BASE, LENGTH_EXTRA_BITS, LITLEN_SYMBOLS,
    PRECODE_BITS_MAX, fixed_litlen_bits,
};

/// What a code word means, from the top: two flags (neither a literal nor a number; a literal), a
/// zero, 15 bits of value (the literal, the base of a length or distance, or a symbol), in six bits
/// how long the word is, and in the lowest byte, how long it is with its extra bits. Shifts by 64
/// and more wrap around, so that neither length needs a mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry(pub(super) u32);

impl Entry {
    pub(super) const fn new(value: usize, extra_bits: u8) -> Self {
        Self((value as u32) << VALUE_SHIFT | extra_bits as u32)
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

    #[inline(always)]
    pub(super) fn is_literal(self) -> bool {
        self.0 & LITERAL != 0
    }

    #[inline(always)]
    pub(super) fn byte(self) -> u8 {
        (self.0 >> VALUE_SHIFT) as u8
    }

    /// `bits` without the word and its extra bits.
    #[inline(always)]
    pub(super) fn drop_from(self, bits: u64) -> u64 {
        bits >> (self.0 & 63)
    }

    /// What remains of `count` bits, modulo 64. The whole entry is subtracted, since masking it
    /// would make the chain from one symbol to the next an instruction longer; shifts need no mask.
    #[inline(always)]
    pub(super) fn drop_count(self, count: u32) -> u32 {
        count.wrapping_sub(self.0)
    }

    /// How many bits the word and its extra bits have.
    #[inline(always)]
    pub(super) fn bits(self) -> u32 {
        self.0 & 63
    }

    #[inline(always)]
    pub(super) fn word_bits(self) -> u32 {
        self.0 >> WORD_BITS_SHIFT & 63
    }

    /// The length or distance, of which `bits` starts with the word and its extra bits; for entries
    /// without flags.
    #[inline(always)]
    pub(super) fn number(self, bits: u64) -> usize {
        let extra = (bits & ((1 << self.bits()) - 1)) >> self.word_bits();
        (self.0 >> VALUE_SHIFT) as usize + extra as usize
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

/// The two codes of a block.
#[derive(Clone, Debug)]
pub(super) struct Tables {
    pub(super) litlen: LitlenTable,
    pub(super) dist: DistTable,
    /// That of the header that told them.
    pub(super) precode: PrecodeTable,
}

impl Tables {
    pub(super) const EMPTY: Self =
        Self { litlen: LitlenTable::new(), dist: DistTable::new(), precode: PrecodeTable::new() };

    pub(super) fn fixed() -> Self {
        let mut tables = Self::EMPTY;
        tables.build(FIXED_LITLEN_LENGTHS, FIXED_DIST_LENGTHS);
        tables
    }

    /// The two codes of these lengths: the one that leaves more unused.
    pub(super) fn build(&mut self, litlen: &[u8], dist: &[u8]) -> Completeness {
        let litlen = self.litlen.build(litlen, LITLEN_MEANINGS);
        litlen.max(self.dist.build(dist, DIST_MEANINGS))
    }
}

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
    sorted: [Entry; SORTED],
}

type LitlenTable = Table<LITLEN_BITS, { 1 << LITLEN_BITS }>;
type DistTable = Table<DIST_BITS, { 1 << DIST_BITS }>;
pub(super) type PrecodeTable = Table<PRECODE_BITS_MAX, { 1 << PRECODE_BITS_MAX }>;

impl<const BITS: u32, const SIZE: usize> Table<BITS, SIZE> {
    pub(super) const fn new() -> Self {
        Self {
            entries: [Entry::exception(INVALID); SIZE],
            first: [0; 16],
            counts: [0; 16],
            offsets: [0; 16],
            sorted: [Entry::exception(INVALID); SORTED],
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
    /// length of its word.
    pub(super) fn build(&mut self, lengths: &[u8], meanings: &[Entry]) -> Completeness {
        let mut counts = [0_u16; 32];
        for (symbol, length) in lengths.iter().enumerate() {
            counts[place_of(symbol, *length)] += 1;
        }
        let counts = *counts.first_chunk::<16>().unwrap_or(&[0; 16]);
        let (mut word, mut used) = (0_u32, 0);
        let mut places = [0_u16; 32];
        for length in 1..=CODE_BITS_MAX as usize {
            word = (word + if length == 1 { 0 } else { u32::from(counts[length - 1]) }) << 1;
            self.first[length] = word as u16;
            places[length] = used;
            used += counts[length];
            if word + u32::from(counts[length]) > 1 << length {
                return Completeness::OverSubscribed;
            }
        }
        let completeness = if word + u32::from(counts[15]) == 1 << CODE_BITS_MAX {
            Completeness::Complete
        } else if used == counts[1] {
            Completeness::OneBit
        } else {
            Completeness::Incomplete
        };
        (self.counts, self.offsets) = (counts, *places.first_chunk().unwrap_or(&[0; 16]));
        // Unused symbols go behind the others, and are overwritten or never looked at.
        places[16..].fill(used);
        for (symbol, (length, meaning)) in lengths.iter().zip(meanings).enumerate() {
            let place = &mut places[place_of(symbol, *length)];
            self.sorted[usize::from(*place) % SORTED] = *meaning;
            *place += 1;
        }
        self.fill();
        completeness
    }

    /// The words of each length stand at the start of the table; whenever the length grows, what
    /// there is is doubled.
    fn fill(&mut self) {
        let shortest = self.counts[1..].iter().position(|count| *count > 0).unwrap_or(0) as u32 + 1;
        let mut size = 1 << (shortest.min(BITS) - 1);
        for length in shortest..=BITS {
            // Not `copy_within`, whose calls cost more than most of these copies.
            let (known, rest) = self.entries.split_at_mut(size);
            rest.iter_mut().zip(known).for_each(|(to, from)| *to = *from);
            size *= 2;
            let start = usize::from(self.offsets[length as usize]);
            let count = usize::from(self.counts[length as usize]);
            let words = self.first[length as usize]..;
            for (word, meaning) in words.zip(&self.sorted[start..start + count]) {
                let index = usize::from(word.reverse_bits() >> (16 - length));
                self.entries[index % SIZE] = meaning.with_word_bits(length);
            }
        }
        let next = self.first[BITS as usize] + self.counts[BITS as usize];
        for word in next..1 << BITS {
            let index = usize::from(word.reverse_bits() >> (16 - BITS));
            self.entries[index % SIZE] = Entry::exception(LONG);
        }
    }
}

/// How much of a code has a meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Completeness {
    /// Whatever the bits are.
    Complete,
    /// There is one word, of one bit, or none: the only ones that a header may tell beside those.
    OneBit,
    Incomplete,
    /// There are more words of these lengths than bits can tell apart.
    OverSubscribed,
}

/// Where a symbol is counted. Those without a word take turns behind the lengths, since each count
/// waits for the last one of its place.
#[inline(always)]
fn place_of(symbol: usize, length: u8) -> usize {
    if length == 0 { 16 + symbol % 16 } else { usize::from(length & 15) }
}

/// What literal/length symbols mean.
const LITLEN_MEANINGS: &[Entry; FIXED_LITLEN_SYMBOLS] = &{
    let mut entries = [Entry::exception(INVALID); FIXED_LITLEN_SYMBOLS];
    let mut symbol = 0;
    while symbol < LITLEN_SYMBOLS {
        entries[symbol] = match symbol {
            0..END_OF_BLOCK => Entry::literal(symbol),
            END_OF_BLOCK => Entry::exception(END),
            _ => {
                let length = symbol - FIRST_LENGTH;
                Entry::new(LENGTH_BASE[length] as usize, LENGTH_EXTRA_BITS[length])
            }
        };
        symbol += 1;
    }
    entries
};

/// What distance symbols mean; two of the fixed code have no meaning.
const DIST_MEANINGS: &[Entry; 32] = &{
    let mut entries = [Entry::exception(INVALID); 32];
    let mut symbol = 0;
    while symbol < DIST_SYMBOLS {
        entries[symbol] = Entry::new(DIST_BASE[symbol] as usize, DIST_EXTRA_BITS[symbol]);
        symbol += 1;
    }
    entries
};

/// The lengths of the fixed literal/length code.
const FIXED_LITLEN_LENGTHS: &[u8; FIXED_LITLEN_SYMBOLS] = &{
    let mut lengths = [0; FIXED_LITLEN_SYMBOLS];
    let mut symbol = 0;
    while symbol < lengths.len() {
        lengths[symbol] = fixed_litlen_bits(symbol);
        symbol += 1;
    }
    lengths
};
/// The lengths of the fixed distance code.
const FIXED_DIST_LENGTHS: &[u8; 32] = &[FIXED_DIST_BITS; 32];

/// A power of two above the symbols of any code.
const SORTED: usize = 512;
const LITLEN_BITS: u32 = 11;
const DIST_BITS: u32 = 8;
const EXCEPTION: u32 = 1 << 31;
const LITERAL: u32 = 1 << 30;
const VALUE_SHIFT: u32 = 14;
const VALUE_MASK: u32 = 0x7fff;
const WORD_BITS_SHIFT: u32 = 8;
