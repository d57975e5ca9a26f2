//! Matches that repeat fewer than 8 bytes, which copies of 8 bytes cannot do.

/// Eight bytes of an endless repetition.
#[derive(Clone, Copy)]
pub(crate) struct Pattern {
    bytes: u64,
    offset: usize,
}

impl Pattern {
    /// Repeats the first `offset` bytes of `start`, for an `offset` of 1 to 7.
    #[inline(always)]
    pub(crate) fn new(start: [u8; 8], offset: usize) -> Self {
        Self { bytes: 0, offset: offset & 7 }.repeat(u64::from_le_bytes(start))
    }

    #[inline(always)]
    pub(crate) fn bytes(self) -> [u8; 8] {
        self.bytes.to_le_bytes()
    }

    /// The eight bytes behind these.
    #[inline(always)]
    pub(crate) fn next(self) -> Self {
        self.repeat(self.bytes >> TURN_BITS[self.offset])
    }

    #[inline(always)]
    fn repeat(self, bytes: u64) -> Self {
        // All but the first `offset` bytes go, then their copies are added.
        let other_bits = (64 - 8 * self.offset as u32) & 63;
        let once = bytes << other_bits >> other_bits;
        Self { bytes: once.wrapping_mul(COPIES[self.offset]), ..self }
    }
}

/// For each offset: a one at every multiple of it.
static COPIES: [u64; 8] = [
    0,
    0x0101_0101_0101_0101,
    0x0001_0001_0001_0001,
    0x0001_0000_0100_0001,
    0x0000_0001_0000_0001,
    0x0000_0100_0000_0001,
    0x0001_0000_0000_0001,
    0x0100_0000_0000_0001,
];

/// For each offset: where in the repetition eight bytes end.
static TURN_BITS: [u32; 8] = [0, 0, 0, 16, 0, 24, 16, 8];
