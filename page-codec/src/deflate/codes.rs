//! Code tables and symbol histograms, as a caller holds them.

use core::fmt;

use super::bits::{BitWriter, Full};
use super::format::{
    CODE_BITS_MAX, DIST_EXTRA_BITS, DIST_SYMBOLS, END_OF_BLOCK, FIRST_LENGTH, FIXED_DIST_BITS,
    FIXED_LITLEN_SYMBOLS, LENGTH_EXTRA_BITS, LITLEN_SYMBOLS, fixed_litlen_bits,
};
use super::huffman;

/// How often each symbol of a block occurs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the symbols of RFC 1951 are what they are")]
pub struct Histogram {
    /// Literals 0-255, the end of the block, lengths from 257.
    pub litlen: [u32; LITLEN_SYMBOLS],
    /// Distances.
    pub dist: [u32; DIST_SYMBOLS],
}

impl Histogram {
    pub(super) const EMPTY: Self = Self { litlen: [0; LITLEN_SYMBOLS], dist: [0; DIST_SYMBOLS] };

    pub(super) fn add(&mut self, other: &Self) {
        let sums = self.litlen.iter_mut().chain(&mut self.dist);
        for (sum, count) in sums.zip(other.litlen.iter().chain(&other.dist)) {
            *sum = sum.saturating_add(*count);
        }
    }

    /// How many extra bits there are, whatever the code.
    pub(super) fn extra_bits(&self) -> u32 {
        let lengths = self.litlen[FIRST_LENGTH..].iter().zip(&LENGTH_EXTRA_BITS);
        let dists = self.dist.iter().zip(&DIST_EXTRA_BITS);
        lengths.chain(dists).map(|(count, bits)| count * u32::from(*bits)).sum()
    }
}

/// One code word for each symbol of a block.
///
/// ```
/// use page_codec::deflate::{CodeTables, Encoder};
///
/// let page = [7; 4096];
/// let tables = CodeTables::of_histogram(&Encoder::fixed().histogram(&page));
/// // The end of the block has a code word, and so has what occurs.
/// assert!(tables.litlen_bits()[256] > 0 && tables.litlen_bits()[7] > 0);
/// assert_eq!(tables.litlen_bits()[8], 0);
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct CodeTables {
    pub(super) litlen: Code<LITLEN_SYMBOLS>,
    pub(super) dist: Code<DIST_SYMBOLS>,
}

/// The lengths of a prefix code, and its words, reversed.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Code<const N: usize> {
    pub(super) lengths: [u8; N],
    pub(super) words: [u16; N],
}

impl<const N: usize> Code<N> {
    pub(super) const fn new(lengths: [u8; N]) -> Self {
        let words = huffman::code_words(&lengths);
        Self { lengths, words }
    }

    fn of_frequencies(frequencies: &[u32; N]) -> Self {
        let mut lengths = [0; N];
        let sum: u64 = frequencies.iter().map(|frequency| u64::from(*frequency)).sum();
        if sum <= 1 << huffman::WEIGHT_LOG_MAX {
            huffman::lengths(frequencies, CODE_BITS_MAX, &mut lengths);
        } else {
            // Half of it, since what would round down to nothing counts as one.
            let shift = sum.ilog2() + 2 - huffman::WEIGHT_LOG_MAX;
            let smaller = |frequency: u32| (frequency >> shift).max(u32::from(frequency > 0));
            huffman::lengths(&frequencies.map(smaller), CODE_BITS_MAX, &mut lengths);
        }
        Self::new(lengths)
    }
}

impl CodeTables {
    /// The code of fixed blocks.
    #[must_use]
    pub const fn fixed() -> Self {
        // Two symbols more than may occur take part in the code.
        let mut lengths = [0; FIXED_LITLEN_SYMBOLS];
        let mut symbol = 0;
        while symbol < FIXED_LITLEN_SYMBOLS {
            lengths[symbol] = fixed_litlen_bits(symbol);
            symbol += 1;
        }
        let all = Code::new(lengths);
        let mut litlen = Code { lengths: [0; LITLEN_SYMBOLS], words: [0; LITLEN_SYMBOLS] };
        litlen.lengths.copy_from_slice(all.lengths.split_at(LITLEN_SYMBOLS).0);
        litlen.words.copy_from_slice(all.words.split_at(LITLEN_SYMBOLS).0);
        Self { litlen, dist: Code::new([FIXED_DIST_BITS; DIST_SYMBOLS]) }
    }

    /// The best code for these frequencies; for sums beyond a million, nearly the best. Symbols
    /// that do not occur get no code word, but for the end of the block, and another one where a
    /// code would have but one word or none: every code is complete.
    #[must_use]
    pub fn of_histogram(histogram: &Histogram) -> Self {
        let mut litlen = histogram.litlen;
        litlen[END_OF_BLOCK] = litlen[END_OF_BLOCK].max(1);
        Self { litlen: Code::of_frequencies(&litlen), dist: Code::of_frequencies(&histogram.dist) }
    }

    /// The canonical code of these lengths, in bits: up to 286 literal/length symbols and up to 30
    /// distances. Missing symbols, like those of length 0, have no code word. A code may leave
    /// words unused, if no header has to tell it.
    ///
    /// # Errors
    /// [`CodeError`] where a length is above 15, there are more symbols than deflate has, or the
    /// lengths ask for more code words than there are.
    pub fn from_lengths(litlen: &[u8], dist: &[u8]) -> Result<Self, CodeError> {
        Ok(Self { litlen: canonical(litlen)?, dist: canonical(dist)? })
    }

    /// How long the symbols of a block are, without their extra bits.
    pub(super) fn bits(&self, histogram: &Histogram) -> u32 {
        dot(&histogram.litlen, &self.litlen.lengths) + dot(&histogram.dist, &self.dist.lengths)
    }

    /// A symbol that occurs without having a code word; the end of the block counts if it `ends`.
    /// Distances stand behind the literals and lengths.
    pub(super) fn missing(&self, histogram: &Histogram, ends: bool) -> Option<usize> {
        let counts = histogram.litlen.iter().chain(&histogram.dist);
        let lengths = self.litlen.lengths.iter().chain(&self.dist.lengths);
        let mut symbols = counts.zip(lengths).enumerate();
        symbols.find_map(|(symbol, (count, bits))| {
            let occurs = *count > 0 && (ends || symbol != END_OF_BLOCK);
            (occurs && *bits == 0).then_some(symbol)
        })
    }

    /// Can a header tell it? Decoders insist on complete codes, or on one word of one bit, and on
    /// an end of the block.
    pub(super) fn has_header(&self) -> bool {
        let is_told = |lengths: &[u8]| {
            let bits: u32 = lengths.iter().map(|length| u32::from(*length)).sum();
            bits <= 1 || huffman::code_space(lengths) == 1 << CODE_BITS_MAX
        };
        let (litlen, dist) = (&self.litlen.lengths, &self.dist.lengths);
        litlen[END_OF_BLOCK] > 0 && is_told(litlen) && is_told(dist)
    }

    /// Writes the end of a block.
    #[inline(always)]
    pub(super) fn put_end(&self, bits: &mut BitWriter<'_>) -> Result<(), Full> {
        let word = self.litlen.words[END_OF_BLOCK];
        bits.put(u64::from(word), u32::from(self.litlen.lengths[END_OF_BLOCK]));
        bits.flush_at_end()
    }

    /// Lengths, in bits, of the literal/length code words; 0 where there is none.
    #[must_use]
    pub fn litlen_bits(&self) -> &[u8; LITLEN_SYMBOLS] {
        &self.litlen.lengths
    }

    /// Lengths, in bits, of the distance code words; 0 where there is none.
    #[must_use]
    pub fn dist_bits(&self) -> &[u8; DIST_SYMBOLS] {
        &self.dist.lengths
    }
}

/// In 16 bits each, which a block's counts fit, and which every vector unit can multiply.
fn dot<const N: usize>(counts: &[u32; N], lengths: &[u8; N]) -> u32 {
    let products = counts.iter().zip(lengths);
    products.map(|(count, bits)| i32::from(*count as i16) * i32::from(*bits)).sum::<i32>() as u32
}

fn canonical<const N: usize>(given: &[u8]) -> Result<Code<N>, CodeError> {
    let mut lengths = [0; N];
    lengths.get_mut(..given.len()).ok_or(CodeError::TooManySymbols)?.copy_from_slice(given);
    if lengths.iter().any(|length| u32::from(*length) > CODE_BITS_MAX) {
        return Err(CodeError::TooLong);
    }
    if huffman::code_space(&lengths) > 1 << CODE_BITS_MAX {
        return Err(CodeError::OverSubscribed);
    }
    Ok(Code::new(lengths))
}

impl fmt::Debug for CodeTables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { litlen, dist } = self;
        f.debug_struct("CodeTables")
            .field("litlen_bits", &litlen.lengths)
            .field("dist_bits", &dist.lengths)
            .finish()
    }
}

/// Why lengths make no code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CodeError {
    /// More than 286 literal/length symbols or 30 distances.
    TooManySymbols,
    /// A code word of more than 15 bits.
    TooLong,
    /// More code words than there are of these lengths.
    OverSubscribed,
}

impl fmt::Display for CodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooManySymbols => "more than 286 literal/length symbols or 30 distances",
            Self::TooLong => "a code word of more than 15 bits",
            Self::OverSubscribed => "more code words than there are of these lengths",
        })
    }
}

impl core::error::Error for CodeError {}
