//! Writing bits, least significant first, into a slice that may be too short.

use super::raw::Rest;

/// The output is full.
#[derive(Clone, Copy, Debug)]
pub(super) struct Full;

/// Bits on their way into `dst`.
#[derive(Debug)]
pub(super) struct BitWriter<'a> {
    rest: Rest<'a>,
    dst_bytes: usize,
    /// Not yet written; above `pending` all zero.
    bits: u64,
    /// At most 7 after a flush.
    pending: u32,
}

impl<'a> BitWriter<'a> {
    pub(super) fn new(dst: &'a mut [u8]) -> Self {
        let dst_bytes = dst.len();
        Self { rest: Rest::new(dst), dst_bytes, bits: 0, pending: 0 }
    }

    /// How many bits there are so far.
    pub(super) fn len_bits(&self) -> usize {
        8 * (self.dst_bytes - self.rest.len()) + self.pending as usize
    }

    /// How many bytes of the destination are left.
    pub(super) fn room(&self) -> usize {
        self.rest.len()
    }

    /// How many bits may still be appended.
    pub(super) fn room_bits(&self) -> usize {
        8 * self.rest.len() - self.pending as usize
    }

    /// Appends `count` bits; `value` has none above them. Between two flushes at most 57.
    #[inline(always)]
    pub(super) fn put(&mut self, value: u64, count: u32) {
        debug_assert!(self.pending + count <= 64 && (count == 64 || value >> count == 0));
        self.bits |= value << (self.pending & 63);
        self.pending += count;
    }

    /// Writes whole bytes; `false`, and nothing was written, if the end of the destination is
    /// close.
    #[inline(always)]
    pub(super) fn flush(&mut self) -> bool {
        if !self.rest.write_word(self.bits, (self.pending >> 3) as usize) {
            return false;
        }
        self.bits >>= self.pending & 56;
        self.pending &= 7;
        true
    }

    /// Writes whole bytes, one by one: the same up to the very end of the destination.
    #[inline(always)]
    pub(super) fn flush_at_end(&mut self) -> Result<(), Full> {
        while self.pending >= 8 {
            if !self.rest.write_byte(self.bits as u8) {
                return Err(Full);
            }
            self.bits >>= 8;
            self.pending -= 8;
        }
        Ok(())
    }

    #[inline(always)]
    pub(super) fn flush_all(&mut self) -> Result<(), Full> {
        if self.flush() { Ok(()) } else { self.flush_at_end() }
    }

    /// Appends whole bytes, from the next byte boundary on.
    pub(super) fn put_bytes(&mut self, bytes: &[u8]) -> Result<(), Full> {
        self.pad()?;
        if self.rest.write_slice(bytes) { Ok(()) } else { Err(Full) }
    }

    /// Goes on at the next byte boundary.
    pub(super) fn pad(&mut self) -> Result<(), Full> {
        self.pending = self.pending.next_multiple_of(8);
        self.flush_at_end()
    }
}
