//! Writing bits, least significant first, into a slice that may be too short.

use super::raw::Tail;
/// The output is full.
#[derive(Clone, Copy, Debug)]
pub(super) struct Full;

/// Bits on their way into `dst`.
#[derive(Debug)]
pub(super) struct BitWriter<'a> {
    rest: Tail<'a>,
    dst_bytes: usize,
    /// Not yet written; above `pending` all zero.
    bits: u64,
    /// At most 7 after [`flush`](Self::flush).
    pending: u32,
}

impl<'a> BitWriter<'a> {
    pub(super) fn new(dst: &'a mut [u8]) -> Self {
        let dst_bytes = dst.len();
        Self { rest: Tail::new(dst), dst_bytes, bits: 0, pending: 0 }
    }

    /// Appends `count` bits; `value` has none above them. Between two flushes at most
    /// [`BITS_BETWEEN_FLUSHES`].
    #[inline(always)]
    pub(super) fn put(&mut self, value: u64, count: u32) {
        debug_assert!(self.pending + count <= 64);
        self.bits |= value << (self.pending & 63);
        self.pending += count;
    }

    /// Writes whole bytes; `false` if there may be too little room, and nothing was written.
    #[inline(always)]
    pub(super) fn flush(&mut self) -> bool {
        if !self.rest.write(self.bits, (self.pending >> 3) as usize) { return false; }
        self.bits >>= self.pending & 56;
        self.pending &= 7;
        true
    }
    /// Writes whole bytes up to the very end of the destination.
    #[inline(always)]
    pub(super) fn flush_all(&mut self) -> Result<(), Full> {
        if self.flush() { Ok(()) } else { self.flush_at_end() }
    }

    /// The same, byte by byte.
    #[inline(always)]
    pub(super) fn flush_at_end(&mut self) -> Result<(), Full> {
        while self.pending >= 8 {
            self.rest.write1(self.bits as u8)?;
            self.bits >>= 8;
            self.pending -= 8;
        }
        Ok(())
    }

    /// Writes what is left, padded with zero bits; the length of all that was written.
    pub(super) fn finish(mut self) -> Result<usize, Full> {
        self.pending += 7;
        self.flush_at_end()?;
        Ok(self.dst_bytes - self.rest.len())
    }
}

/// What fits beside the 7 bits that a flush may leave.
pub(super) const BITS_BETWEEN_FLUSHES: u32 = 56;
