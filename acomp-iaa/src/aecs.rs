//! The AECS of COMPRESS (analytics engine configuration and state): codes, and output that stands
//! before the first symbol.

use page_codec::deflate::{CodeError, CodeTables};

use crate::bits::aecs as at;
use crate::bits::{put, take};

/// The table as driver and device share it. In memory it lies at a multiple of 32 bytes.
///
/// ```
/// use acomp_iaa::aecs::Aecs;
/// use page_codec::deflate::CodeTables;
/// let fixed = Aecs::fixed();
/// assert_eq!(fixed.litlen[0], 0x40030);
/// assert_eq!(fixed.code_tables(), Ok(CodeTables::fixed()));
/// assert_eq!(Aecs::parse(&fixed.encode()), Ok(fixed));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the fields of the kernel's IAA documentation")]
pub struct Aecs {
    /// CRC-32 so far.
    pub crc: u32,
    /// XOR checksum so far.
    pub xor_checksum: u32,
    /// How many bits of the accumulator are valid: at most 2048.
    pub accumulator_bits: u32,
    /// Output that stands before the first symbol, lowest bit of the first byte first.
    pub accumulator: [u8; at::ACCUMULATOR_BYTES],
    /// Code words of literals, the end of the block, and lengths: the word, not reversed, below
    /// its length in bits 18:15. Zero where there is none.
    pub litlen: [u32; at::LITLEN_SYMBOLS],
    /// Code words of distances, likewise.
    pub dist: [u32; at::DIST_SYMBOLS],
}

impl Aecs {
    /// That of the fixed mode: the code of fixed blocks, behind the header of one (final, type 01).
    #[must_use]
    pub const fn fixed() -> Self {
        let mut accumulator = [0; at::ACCUMULATOR_BYTES];
        accumulator[0] = 0b011;
        Self {
            crc: 0,
            xor_checksum: 0,
            accumulator_bits: 3,
            accumulator,
            litlen: fixed_litlen(),
            dist: fixed_dist(),
        }
    }

    /// With these codes, and the first `bits` bits of `accumulator` before the first symbol: zeros
    /// where it ends.
    ///
    /// # Errors
    /// [`AecsError::AccumulatorBits`] if there are more bits than the device can hold.
    pub fn with_codes(
        tables: &CodeTables,
        accumulator: &[u8],
        bits: usize,
    ) -> Result<Self, AecsError> {
        if bits > at::ACCUMULATOR_BYTES * 8 {
            return Err(AecsError::AccumulatorBits);
        }
        let mut aecs = Self { accumulator_bits: bits as u32, ..Self::fixed() };
        aecs.accumulator = [0; at::ACCUMULATOR_BYTES];
        for (index, (to, from)) in aecs.accumulator.iter_mut().zip(accumulator).enumerate() {
            // Symbols are written behind the bits that are valid, which the rest must not disturb.
            let valid = bits.saturating_sub(index * 8).min(8);
            *to = from & ((1_u32 << valid) - 1) as u8;
        }
        if *tables != CodeTables::fixed() {
            aecs.litlen = canonical(tables.litlen_bits());
            aecs.dist = canonical(tables.dist_bits());
        }
        Ok(aecs)
    }

    /// The codes, for page-codec, which can do canonical codes only: those whose words follow from
    /// their lengths as RFC 1951, section 3.2.2 tells. A real device takes any code.
    ///
    /// The code of fixed blocks is one of them only with the two symbols that no block may use, and
    /// that an AECS does not have: it is recognised as a whole, literals, lengths and distances.
    ///
    /// # Errors
    /// [`AecsError`], where the lengths make no code or the words are not those of the lengths: a
    /// model then completes with
    /// [`AnalyticsError::AECS`](crate::completion::AnalyticsError::AECS).
    pub fn code_tables(&self) -> Result<CodeTables, AecsError> {
        if self.litlen == fixed_litlen() && self.dist == fixed_dist() {
            return Ok(CodeTables::fixed());
        }
        let (litlen, dist) = (lengths(&self.litlen), lengths(&self.dist));
        let tables = CodeTables::from_lengths(&litlen, &dist).map_err(AecsError::Code)?;
        let is_canonical = self.litlen == canonical(&litlen) && self.dist == canonical(&dist);
        if !is_canonical {
            return Err(AecsError::NotCanonical);
        }
        Ok(tables)
    }

    /// The bytes, with zeros in reserved places.
    #[must_use]
    pub fn encode(&self) -> [u8; at::BYTES] {
        let mut bytes = [0; at::BYTES];
        put::<{ at::CRC_AT }, _, _>(&mut bytes, self.crc.to_le_bytes());
        put::<{ at::XOR_CHECKSUM_AT }, _, _>(&mut bytes, self.xor_checksum.to_le_bytes());
        put::<{ at::ACCUMULATOR_BITS_AT }, _, _>(&mut bytes, self.accumulator_bits.to_le_bytes());
        put::<{ at::ACCUMULATOR_AT }, _, _>(&mut bytes, self.accumulator);
        put::<{ at::LITLEN_AT }, LITLEN_BYTES, _>(&mut bytes, to_bytes(&self.litlen));
        put::<{ at::DIST_AT }, DIST_BYTES, _>(&mut bytes, to_bytes(&self.dist));
        bytes
    }

    /// Reads the bytes as a device does, which refuses what cannot be. Whether the words make a
    /// code is left to [`Self::code_tables`].
    ///
    /// # Errors
    /// [`AecsError`], with which a device completes as
    /// [`AnalyticsError::AECS`](crate::completion::AnalyticsError::AECS).
    pub fn parse(bytes: &[u8; at::BYTES]) -> Result<Self, AecsError> {
        let reserved = [
            &take::<{ at::RESERVED1_AT }, 20, _>(bytes)[..],
            &take::<{ at::RESERVED2_AT }, 8, _>(bytes),
            &take::<{ at::PAD_AT }, 8, _>(bytes),
        ];
        let aecs = Self {
            crc: u32::from_le_bytes(take::<{ at::CRC_AT }, _, _>(bytes)),
            xor_checksum: u32::from_le_bytes(take::<{ at::XOR_CHECKSUM_AT }, _, _>(bytes)),
            accumulator_bits: u32::from_le_bytes(take::<{ at::ACCUMULATOR_BITS_AT }, _, _>(bytes)),
            accumulator: take::<{ at::ACCUMULATOR_AT }, _, _>(bytes),
            litlen: from_bytes(&take::<{ at::LITLEN_AT }, LITLEN_BYTES, _>(bytes)),
            dist: from_bytes(&take::<{ at::DIST_AT }, DIST_BYTES, _>(bytes)),
        };
        if reserved.iter().any(|place| place.iter().any(|byte| *byte != 0)) {
            return Err(AecsError::Reserved);
        }
        if aecs.accumulator_bits as usize > at::ACCUMULATOR_BYTES * 8 {
            return Err(AecsError::AccumulatorBits);
        }
        // A word that is longer than its length claims, or has bits above the length.
        let fits = |symbol: &u32| {
            let bits = symbol >> at::CODE_LENGTH_SHIFT;
            bits <= at::CODE_BITS_MAX && word(*symbol) >> bits == 0
        };
        if !aecs.litlen.iter().chain(&aecs.dist).all(fits) {
            return Err(AecsError::Symbol);
        }
        Ok(aecs)
    }
}

/// Why a table is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AecsError {
    /// A reserved place is not zero.
    #[error("reserved field is not zero")]
    Reserved,
    /// More valid bits than the accumulator has.
    #[error("more than 2048 bits in the accumulator")]
    AccumulatorBits,
    /// A symbol's code word does not fit the length that it claims.
    #[error("code word and its length do not fit")]
    Symbol,
    /// The lengths make no code.
    #[error("lengths make no code: {0}")]
    Code(CodeError),
    /// The lengths make a code, but not this one: page-codec has no other.
    #[error("code words are not the canonical ones of their lengths")]
    NotCanonical,
}

const fn symbol(bits: u32, word: u32) -> u32 {
    bits << at::CODE_LENGTH_SHIFT | word
}

const fn word(symbol: u32) -> u32 {
    symbol & ((1 << at::CODE_LENGTH_SHIFT) - 1)
}

/// RFC 1951, section 3.2.6.
const fn fixed_litlen() -> [u32; at::LITLEN_SYMBOLS] {
    let mut symbols = [0; at::LITLEN_SYMBOLS];
    let mut index = 0;
    while index < at::LITLEN_SYMBOLS {
        let of = index as u32;
        symbols[index] = match of {
            0..144 => symbol(8, 0x30 + of),
            144..256 => symbol(9, 0x190 + of - 144),
            256..280 => symbol(7, of - 256),
            _ => symbol(8, 0xc0 + of - 280),
        };
        index += 1;
    }
    symbols
}

const fn fixed_dist() -> [u32; at::DIST_SYMBOLS] {
    let mut symbols = [0; at::DIST_SYMBOLS];
    let mut index = 0;
    while index < at::DIST_SYMBOLS {
        symbols[index] = symbol(5, index as u32);
        index += 1;
    }
    symbols
}

fn lengths<const N: usize>(symbols: &[u32; N]) -> [u8; N] {
    // Lengths that a byte cannot hold are refused like those of more than 15 bits.
    symbols.map(|symbol| u8::try_from(symbol >> at::CODE_LENGTH_SHIFT).unwrap_or(u8::MAX))
}

/// The words that follow from these lengths: in each length, ascending with the symbols.
fn canonical<const N: usize>(lengths: &[u8; N]) -> [u32; N] {
    let mut next = [0_u32; at::CODE_BITS_MAX as usize + 1];
    for bits in lengths {
        next[usize::from(bits & 15)] += 1;
    }
    // How many words each length has becomes the first of them.
    next[0] = 0;
    let mut first = 0;
    for count in &mut next {
        (*count, first) = (first, (first + *count) << 1);
    }
    lengths.map(|bits| {
        let next = &mut next[usize::from(bits & 15)];
        let word = *next;
        *next += 1;
        if bits == 0 { 0 } else { symbol(u32::from(bits), word) }
    })
}

fn to_bytes<const N: usize, const BYTES: usize>(symbols: &[u32; N]) -> [u8; BYTES] {
    const { assert!(4 * N == BYTES) };
    let mut bytes = [0; BYTES];
    for (to, symbol) in bytes.as_chunks_mut().0.iter_mut().zip(symbols) {
        *to = symbol.to_le_bytes();
    }
    bytes
}

fn from_bytes<const N: usize, const BYTES: usize>(bytes: &[u8; BYTES]) -> [u32; N] {
    const { assert!(4 * N == BYTES) };
    let mut symbols = [0; N];
    for (to, word) in symbols.iter_mut().zip(bytes.as_chunks().0) {
        *to = u32::from_le_bytes(*word);
    }
    symbols
}

const LITLEN_BYTES: usize = 4 * at::LITLEN_SYMBOLS;
const DIST_BYTES: usize = 4 * at::DIST_SYMBOLS;
