//! Where the pairs, fours and whole blocks of the source were last, as far as references reach.
//!
//! Of two that have the same hash, the later one is known only.

use super::format::{INDEX_2_BITS, INDEX_4_BITS, INDEX_8_BITS, position};

/// The slots of a ring by the hashes of their contents.
///
/// It is not cleared for another source: what it finds is compared with what the source has there,
/// and whatever the source had, it was told of.
#[derive(Debug)]
pub(super) struct Ring<const INDEX_BITS: u32, const UNIT_BYTES: usize, const TABLE: usize> {
    slots: [u16; TABLE],
}

pub(super) type Pairs = Ring<INDEX_2_BITS, 2, 2048>;
pub(super) type Fours = Ring<INDEX_4_BITS, 4, 4096>;
pub(super) type Blocks = Ring<INDEX_8_BITS, 8, 1024>;

/// What is looked for, and its place in the table.
#[derive(Clone, Copy)]
pub(super) struct Unit<const UNIT_BYTES: usize> {
    bytes: [u8; UNIT_BYTES],
    place: usize,
}

impl<const INDEX_BITS: u32, const UNIT_BYTES: usize, const TABLE: usize>
    Ring<INDEX_BITS, UNIT_BYTES, TABLE>
{
    pub(super) fn new() -> Self {
        Self { slots: [0; TABLE] }
    }

    #[inline(always)]
    pub(super) fn unit(bytes: [u8; UNIT_BYTES]) -> Unit<UNIT_BYTES> {
        let mut word = [0; 8];
        word[..UNIT_BYTES].copy_from_slice(&bytes);
        let hashed = u64::from_le_bytes(word).wrapping_mul(HASH_FACTOR);
        Unit { bytes, place: (hashed >> (u64::BITS - TABLE.ilog2())) as usize }
    }

    /// The slot that has the unit, for a block that starts at `here`, in units.
    #[inline(always)]
    pub(super) fn slot(&self, src: &[u8], here: usize, unit: Unit<UNIT_BYTES>) -> Option<u64> {
        let slot = self.slots[unit.place];
        let at = position::<INDEX_BITS>(usize::from(slot), here)? * UNIT_BYTES;
        let there = src.get(at..)?.first_chunk::<UNIT_BYTES>()?;
        (*there == unit.bytes).then_some(u64::from(slot))
    }

    /// Enters the unit at `here`.
    #[inline(always)]
    pub(super) fn enter(&mut self, here: usize, unit: Unit<UNIT_BYTES>) {
        self.slots[unit.place] = (here & ((1 << INDEX_BITS) - 1)) as u16;
    }
}

/// That of the golden ratio: the highest bits of the product depend on all bytes.
const HASH_FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
