//! The numbers of RFC 1951, section 3.2.

/// Literal/length symbols that a stream may use; the fixed code has two more.
pub(super) const LITLEN_SYMBOLS: usize = 286;
/// Distance symbols that a stream may use; the fixed code has two more.
pub(super) const DIST_SYMBOLS: usize = 30;
pub(super) const END_OF_BLOCK: usize = 256;
/// The symbol of a match of three bytes.
pub(super) const FIRST_LENGTH: usize = 257;
pub(super) const CODE_BITS_MAX: u32 = 15;
pub(super) const MATCH_BYTES_MIN: usize = 3;
pub(super) const MATCH_BYTES_MAX: usize = 258;

/// The values of the two bits behind the final flag of a block.
pub(super) const STORED: u32 = 0;
pub(super) const FIXED: u32 = 1;
pub(super) const DYNAMIC: u32 = 2;

/// The shortest match of each length symbol.
pub(super) const LENGTH_BASE: [u16; 29] = [
    3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131,
    163, 195, 227, 258,
];
pub(super) const LENGTH_EXTRA_BITS: [u8; 29] =
    [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0];
/// The smallest distance of each distance symbol.
pub(super) const DIST_BASE: [u16; DIST_SYMBOLS] = [
    1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537,
    2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577,
];
pub(super) const DIST_EXTRA_BITS: [u8; DIST_SYMBOLS] = [
    0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13,
    13,
];

/// Symbols of the code in which a dynamic header writes its code lengths.
pub(super) const PRECODE_SYMBOLS: usize = 19;
/// The order in which a dynamic header gives the lengths of that code.
pub(super) const PRECODE_ORDER: [u8; PRECODE_SYMBOLS] =
    [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
pub(super) const PRECODE_BITS_MAX: u32 = 7;

/// All that the fixed code has words for.
pub(super) const FIXED_LITLEN_SYMBOLS: usize = 288;
/// The code lengths of the fixed code.
pub(super) const fn fixed_litlen_bits(symbol: usize) -> u8 {
    match symbol {
        0..144 => 8,
        144..256 => 9,
        256..280 => 7,
        _ => 8,
    }
}
pub(super) const FIXED_DIST_BITS: u8 = 5;
