//! Reading bits, least significant first.

/// The input ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ended;

#[derive(Clone, Debug)]
pub(super) struct BitReader<'a> {
    src: &'a [u8],
    next: usize,
    /// Read, but not used. Above `count` there may be more of the input's bits, or zeros.
    bits: u64,
    count: u32,
}

impl<'a> BitReader<'a> {
    /// Starts behind `skip_bits`, no more than `src` has.
    pub(super) fn new(src: &'a [u8], skip_bits: usize) -> Self {
        let mut reader = Self { src, next: (skip_bits / 8).min(src.len()), bits: 0, count: 0 };
        reader.refill();
        reader.consume((skip_bits % 8) as u32);
        reader
    }

    /// Where the unused bits start.
    pub(super) fn position_bits(&self) -> usize {
        8 * self.next - self.count as usize
    }

    /// Bytes begun.
    pub(super) fn consumed(&self) -> usize {
        self.position_bits().div_ceil(8)
    }

    /// At least 56 bits, or all that there are.
    #[inline(always)]
    pub(super) fn refill(&mut self) {
        if !self.refill_fast() {
            self.refill_at_end();
        }
    }

    /// At least 56 bits; `false`, and nothing happened, close to the end.
    #[inline(always)]
    pub(super) fn refill_fast(&mut self) -> bool {
        let Some(word) = self.src.get(self.next..).and_then(<[u8]>::first_chunk::<8>) else {
            return false;
        };
        self.bits |= u64::from_le_bytes(*word) << self.count;
        self.next += (63 - self.count as usize) / 8;
        self.count |= 56;
        true
    }

    /// By value, so that a caller's copy stays in registers.
    #[cold]
    pub(super) fn refilled_at_end(mut self) -> Self {
        self.refill_at_end();
        self
    }

    #[cold]
    fn refill_at_end(&mut self) {
        while self.count < 56
            && let Some(byte) = self.src.get(self.next)
        {
            self.bits &= (1 << self.count) - 1;
            self.bits |= u64::from(*byte) << self.count;
            self.next += 1;
            self.count += 8;
        }
        self.bits &= (1 << self.count) - 1;
    }

    /// The next bits, as many as the last refill got; no more than [`count`](Self::count) of them
    /// are the input's.
    #[inline(always)]
    pub(super) fn peek(&self) -> u64 {
        self.bits
    }

    #[inline(always)]
    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// Uses bits that are there.
    #[inline(always)]
    pub(super) fn consume(&mut self, count: u32) {
        self.bits >>= count & 63;
        self.count = self.count.wrapping_sub(count);
    }

    /// Takes up to 32 bits.
    #[inline(always)]
    pub(super) fn take(&mut self, count: u32) -> Result<u32, Ended> {
        if self.count < count {
            self.refill();
            if self.count < count {
                return Err(Ended);
            }
        }
        let bits = self.bits & ((1 << count) - 1);
        self.consume(count);
        Ok(bits as u32)
    }

    /// Takes `count` bytes from the next byte boundary on.
    pub(super) fn take_bytes(&mut self, count: usize) -> Result<&'a [u8], Ended> {
        let start = self.consumed();
        let bytes = self.src.get(start..).and_then(|rest| rest.get(..count)).ok_or(Ended)?;
        (self.next, self.bits, self.count) = (start + count, 0, 0);
        Ok(bytes)
    }

    pub(super) fn skip_to_byte(&mut self) {
        self.consume(self.count % 8);
    }
}
