//! Fields that begin at any bit, the highest bit first.

use super::format::WORD_BYTES;

/// A stream that is written front to back. `None` from a method: it does not fit.
pub(super) struct Writer<'a> {
    dst: &'a mut [u8],
    len: usize,
    /// What is not yet a whole word, from the highest bit.
    word: u64,
    bits: u32,
}

impl<'a> Writer<'a> {
    pub(super) fn new(dst: &'a mut [u8]) -> Self {
        Self { dst, len: 0, word: 0, bits: 0 }
    }

    /// Writes the lowest `bits` of a value, which has no others; more than none, fewer than 64.
    #[inline(always)]
    pub(super) fn put(&mut self, value: u64, bits: u32) -> Option<()> {
        let end = self.bits + bits;
        if end < u64::BITS {
            self.word |= value << (u64::BITS - end);
            self.bits = end;
            return Some(());
        }
        let behind = end - u64::BITS;
        self.put_word(self.word | value >> behind)?;
        self.word = if behind > 0 { value << (u64::BITS - behind) } else { 0 };
        self.bits = behind;
        Some(())
    }

    /// Fills the last word with zeros; the length of the stream.
    pub(super) fn end(mut self) -> Option<usize> {
        if self.bits > 0 {
            self.put_word(self.word)?;
        }
        Some(self.len)
    }

    #[inline(always)]
    fn put_word(&mut self, word: u64) -> Option<()> {
        *self.dst.get_mut(self.len..)?.first_chunk_mut()? = word.to_be_bytes();
        self.len += WORD_BYTES;
        Some(())
    }
}

/// A stream that is read front to back.
pub(super) struct Reader<'a> {
    src: &'a [u8],
    /// In bits; the end is the last of them at most.
    at: u64,
}

impl<'a> Reader<'a> {
    pub(super) fn new(src: &'a [u8]) -> Self {
        Self { src, at: 0 }
    }

    /// The next bits, from the highest on: 57 at least, and zeros behind the end.
    #[inline(always)]
    pub(super) fn next(&self) -> u64 {
        let byte = (self.at / 8) as usize;
        let word = match self.src.get(byte..).and_then(<[u8]>::first_chunk) {
            Some(word) => *word,
            None => self.last_bytes(byte),
        };
        u64::from_be_bytes(word) << (self.at % 8)
    }

    /// Goes beyond so many bits; `None` if there are not so many.
    #[inline(always)]
    pub(super) fn skip(&mut self, bits: u32) -> Option<()> {
        self.at += u64::from(bits);
        (self.at <= self.src.len() as u64 * 8).then_some(())
    }

    /// The next field: of more bits than none, and of no more than [`next`](Self::next) has.
    #[inline(always)]
    pub(super) fn take(&mut self, bits: u32) -> Option<u64> {
        let field = self.next() >> (u64::BITS - bits);
        self.skip(bits)?;
        Some(field)
    }

    /// The length of the stream if its last word is the next one, or the one that is being read.
    pub(super) fn len_bytes(&self) -> u64 {
        self.at.div_ceil(u64::from(u64::BITS)) * WORD_BYTES as u64
    }

    #[cold]
    fn last_bytes(&self, byte: usize) -> [u8; WORD_BYTES] {
        let rest = &self.src[byte..];
        let mut word = [0; WORD_BYTES];
        word[..rest.len()].copy_from_slice(rest);
        word
    }
}
