//! The CRC of 842: of 32 bits, by the polynomial of Ethernet, begun with 0, the first bit of a byte
//! its highest, nothing inverted.
//!
//! As each step needs the one before, a CPU has the time for several CRCs in that for one. So that
//! of a page is made of those of four parts.

use crate::PAGE_BYTES;

/// The CRC of `data`.
pub(super) fn crc(data: &[u8]) -> u32 {
    let (pages, rest) = data.as_chunks::<PAGE_BYTES>();
    let crc = pages.iter().fold(0, with_page);
    let (words, rest) = rest.as_chunks();
    let crc = words.iter().fold(crc, with_word);
    rest.iter().fold(crc, |crc, byte| crc << 8 ^ TABLES[0][usize::from((crc >> 24) as u8 ^ byte)])
}

/// The CRC of what there was before, and of a page more.
fn with_page(crc: u32, page: &[u8; PAGE_BYTES]) -> u32 {
    let (words, _) = page.as_chunks();
    let (first, second) = words.split_at(words.len() / 2);
    let ((a, b), (c, d)) = (first.split_at(PART_WORDS), second.split_at(PART_WORDS));
    let mut crcs = [crc, 0, 0, 0];
    for (((a, b), c), d) in a.iter().zip(b).zip(c).zip(d) {
        let [of_a, of_b, of_c, of_d] = crcs;
        crcs = [with_word(of_a, a), with_word(of_b, b), with_word(of_c, c), with_word(of_d, d)];
    }
    crcs.into_iter().fold(0, |crc, of_part| multiply(crc, PART_FACTOR) ^ of_part)
}

/// The CRC of what there was before, and of a word more: each byte has a table of what it does to
/// the CRC of as many bytes as follow it.
#[inline(always)]
fn with_word(crc: u32, word: &[u8; WORD_BYTES]) -> u32 {
    let [a, b, c, d, e, f, g, h] = *word;
    let [w, x, y, z] = (crc ^ u32::from_be_bytes([a, b, c, d])).to_be_bytes();
    let at = |behind: usize, byte: u8| TABLES[behind][usize::from(byte)];
    (at(7, w) ^ at(6, x) ^ at(5, y) ^ at(4, z)) ^ (at(3, e) ^ at(2, f) ^ at(1, g) ^ at(0, h))
}

static TABLES: [[u32; 256]; WORD_BYTES] = tables();

const fn tables() -> [[u32; 256]; WORD_BYTES] {
    let mut tables = [[0; 256]; WORD_BYTES];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = (byte as u32) << 24;
        let mut behind = 0;
        while behind < WORD_BYTES {
            let mut bit = 0;
            while bit < 8 {
                crc = times_x(crc);
                bit += 1;
            }
            tables[behind][byte] = crc;
            behind += 1;
        }
        byte += 1;
    }
    tables
}

/// The product of two polynomials, less multiples of that of the CRC.
const fn multiply(one: u32, other: u32) -> u32 {
    let mut product = 0;
    let mut bit = u32::BITS;
    while bit > 0 {
        bit -= 1;
        product = times_x(product) ^ (one * (other >> bit & 1));
    }
    product
}

const fn times_x(polynomial: u32) -> u32 {
    (polynomial << 1) ^ (POLYNOMIAL * (polynomial >> 31))
}

/// What a CRC is multiplied by for each part that follows.
const PART_FACTOR: u32 = {
    let mut factor = 1;
    let mut bit = 0;
    while bit < PART_WORDS * WORD_BYTES * 8 {
        factor = times_x(factor);
        bit += 1;
    }
    factor
};
const PART_WORDS: usize = PAGE_BYTES / WORD_BYTES / 4;
const WORD_BYTES: usize = 8;
const POLYNOMIAL: u32 = 0x04c1_1db7;

#[cfg(test)]
mod tests {
    use core::array;

    use super::*;

    #[test]
    fn check_value() {
        assert_eq!(crc(b"123456789"), 0x89a1_897f);
        assert_eq!(crc(&[0; 10_000]), 0);
    }

    #[test]
    fn lengths_around_pages() {
        let data: [u8; 10_000] = array::from_fn(|at| (at * at / 8) as u8);
        for len in [0, 1, 7, 8, 9, 4095, 4096, 4097, 8191, 8192, 8200, 9999] {
            let bits = data[..len].iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit));
            let slow = bits.fold(0, |crc, bit| times_x(crc ^ u32::from(bit & 1) << 31));
            assert_eq!(crc(&data[..len]), slow, "{len}");
        }
    }
}
