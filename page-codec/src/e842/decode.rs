//! The decoder, with every check.

use core::fmt;

use super::bits::Reader;
use super::crc::crc;
use super::format::{
    BLOCK, BLOCK_BYTES, CRC_BITS, END, INDEX_2_BITS, INDEX_4_BITS, INDEX_8_BITS, KINDS,
    OPCODE_BITS, PAIR_BITS, REPEAT, REPEAT_BITS, SHORT_DATA, SHORT_DATA_BITS, ZEROS, position,
};
use crate::Page;

/// Decompresses one stream to the start of `dst` and tells the length of the data.
///
/// ```
/// use page_codec::e842::{DecodeError, decode};
///
/// // A block of zeros, two more, the end and its CRC.
/// let stream = b"\xe6\xc1\xf0\0\0\0\0\0";
/// let mut data = [1; 24];
/// assert_eq!(decode(stream, &mut data), Ok(24));
/// assert_eq!(data, [0; 24]);
/// assert_eq!(decode(stream, &mut data[..23]), Err(DecodeError::DstTooSmall));
/// assert_eq!(decode(&stream[..7], &mut data), Err(DecodeError::Truncated));
/// ```
///
/// # Errors
/// The data is longer than `dst`, or `src` is no stream, or not only one. Of several errors the
/// first one in the stream is told: what comes behind the point where `dst` is full was not looked
/// at.
pub fn decode(src: &[u8], dst: &mut [u8]) -> Result<usize, DecodeError> {
    let mut decoder = Decoder { bits: Reader::new(src), dst, written: 0 };
    decoder.run()?;
    decoder.end(src.len())
}

/// Decompresses the pages one after the other and sets their results.
///
/// ```
/// use page_codec::{Page, e842};
///
/// let (mut one, mut two) = ([0; 8], [0; 8]);
/// let stream = b"\xe7\x80\0\0\0\0\0\0";
/// let mut pages = [Page::new(stream, &mut one), Page::new(&stream[..4], &mut two)];
/// e842::decode_batch(&mut pages);
/// assert_eq!(pages[0].result, Some(Ok(8)));
/// assert_eq!(pages[1].result, Some(Err(e842::DecodeError::Truncated)));
/// ```
pub fn decode_batch(pages: &mut [Page<'_, Result<usize, DecodeError>>]) {
    for page in pages {
        page.result = Some(decode(page.src, page.dst));
    }
}

/// Why there is no data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// The data is longer than the destination.
    DstTooSmall,
    /// The stream ends too early.
    Truncated,
    /// There is no such operation.
    Opcode,
    /// A reference to what was not written yet, or a repetition of nothing.
    Reference,
    /// Single bytes, which come last, are none, or something follows them.
    ShortData,
    /// The CRC is not that of the data.
    Checksum,
    /// The last word has more than the end in it.
    Padding,
    /// Bytes follow the last word.
    BytesBehindEnd,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DstTooSmall => "the data is longer than the destination",
            Self::Truncated => "the stream is truncated",
            Self::Opcode => "an operation does not exist",
            Self::Reference => "a reference goes to what was not written yet",
            Self::ShortData => "single bytes are none, or not the last ones",
            Self::Checksum => "the checksum is not that of the data",
            Self::Padding => "the last word has more than the end in it",
            Self::BytesBehindEnd => "bytes follow the end of the stream",
        })
    }
}

impl core::error::Error for DecodeError {}

struct Decoder<'a> {
    bits: Reader<'a>,
    dst: &'a mut [u8],
    written: usize,
}

impl Decoder<'_> {
    /// Decodes everything before the CRC.
    fn run(&mut self) -> Result<(), DecodeError> {
        loop {
            let next = self.bits.next();
            let opcode = (next >> (u64::BITS - OPCODE_BITS)) as u32;
            if opcode < BLOCK {
                self.template(opcode, (next << OPCODE_BITS >> 32) as u32)?;
                continue;
            }
            self.skip(OPCODE_BITS)?;
            match opcode {
                BLOCK => {
                    let slot = self.take(INDEX_8_BITS)?;
                    let block = self.referred::<INDEX_8_BITS, _>(slot)?;
                    self.put(block)?;
                }
                REPEAT => self.repeat()?,
                ZEROS => self.put([0; BLOCK_BYTES])?,
                SHORT_DATA => return self.short_data(),
                END => return Ok(()),
                _ => return Err(DecodeError::Opcode),
            }
        }
    }

    /// A block of two halves, of which the first begins with the bits given.
    #[inline(always)]
    fn template(&mut self, opcode: u32, first: u32) -> Result<(), DecodeError> {
        let (first, bits) = self.half(opcode / KINDS, first)?;
        self.skip(OPCODE_BITS + bits)?;
        let second = (self.bits.next() >> 32) as u32;
        let (second, bits) = self.half(opcode % KINDS, second)?;
        self.skip(bits)?;
        let ([a, b, c, d], [e, f, g, h]) = (first.to_be_bytes(), second.to_be_bytes());
        self.put([a, b, c, d, e, f, g, h])
    }

    /// What half a block is whose fields start with the bits given, and how many they are.
    #[inline(always)]
    fn half(&self, kind: u32, bits: u32) -> Result<(u32, u32), DecodeError> {
        let pair = |shift: u32| {
            let slot = bits >> (u32::BITS - INDEX_2_BITS - shift) & ((1 << INDEX_2_BITS) - 1);
            self.referred::<INDEX_2_BITS, 2>(slot).map(|pair| u32::from(u16::from_be_bytes(pair)))
        };
        Ok(match kind {
            0 => (bits, 2 * PAIR_BITS),
            1 => (bits & !0xffff | pair(PAIR_BITS)?, PAIR_BITS + INDEX_2_BITS),
            2 => (pair(0)? << 16 | bits << INDEX_2_BITS >> 16, INDEX_2_BITS + PAIR_BITS),
            3 => (pair(0)? << 16 | pair(INDEX_2_BITS)?, 2 * INDEX_2_BITS),
            _ => {
                let whole = self.referred::<INDEX_4_BITS, 4>(bits >> (u32::BITS - INDEX_4_BITS))?;
                (u32::from_be_bytes(whole), INDEX_4_BITS)
            }
        })
    }

    /// The unit in a slot.
    #[inline(always)]
    fn referred<const INDEX_BITS: u32, const UNIT_BYTES: usize>(
        &self,
        slot: u32,
    ) -> Result<[u8; UNIT_BYTES], DecodeError> {
        let unit = position::<INDEX_BITS>(slot as usize, self.written / UNIT_BYTES);
        let at = unit.ok_or(DecodeError::Reference)? * UNIT_BYTES;
        self.dst.get(at..).and_then(<[u8]>::first_chunk).copied().ok_or(DecodeError::Reference)
    }

    #[inline(always)]
    fn put(&mut self, block: [u8; BLOCK_BYTES]) -> Result<(), DecodeError> {
        let room = self.dst.get_mut(self.written..).and_then(<[u8]>::first_chunk_mut);
        *room.ok_or(DecodeError::DstTooSmall)? = block;
        self.written += BLOCK_BYTES;
        Ok(())
    }

    fn repeat(&mut self) -> Result<(), DecodeError> {
        let blocks = self.take(REPEAT_BITS)? as usize + 1;
        let from = self.written.checked_sub(BLOCK_BYTES).ok_or(DecodeError::Reference)?;
        let end = self.written + blocks * BLOCK_BYTES;
        let repeated = self.dst.get_mut(from..end).ok_or(DecodeError::DstTooSmall)?;
        let (block, repeated) = repeated.split_at_mut(BLOCK_BYTES);
        for to in repeated.chunks_exact_mut(BLOCK_BYTES) {
            to.copy_from_slice(block);
        }
        self.written = end;
        Ok(())
    }

    /// The single bytes, and the end.
    fn short_data(&mut self) -> Result<(), DecodeError> {
        let len = self.take(SHORT_DATA_BITS)?;
        if len == 0 {
            return Err(DecodeError::ShortData);
        }
        for _ in 0..len {
            let byte = self.take(u8::BITS)? as u8;
            *self.dst.get_mut(self.written).ok_or(DecodeError::DstTooSmall)? = byte;
            self.written += 1;
        }
        if self.take(OPCODE_BITS)? != END {
            return Err(DecodeError::ShortData);
        }
        Ok(())
    }

    /// Looks whether what follows is the CRC of the data, and fills the stream's last word.
    fn end(mut self, src_len: usize) -> Result<usize, DecodeError> {
        let expected = self.take(CRC_BITS)?;
        let len = self.bits.len_bytes();
        if (src_len as u64) < len {
            Err(DecodeError::Truncated)
        } else if src_len as u64 > len {
            Err(DecodeError::BytesBehindEnd)
        } else if self.bits.next() != 0 {
            Err(DecodeError::Padding)
        } else if crc(&self.dst[..self.written]) != expected {
            Err(DecodeError::Checksum)
        } else {
            Ok(self.written)
        }
    }

    #[inline(always)]
    fn take(&mut self, bits: u32) -> Result<u32, DecodeError> {
        Ok(self.bits.take(bits).ok_or(DecodeError::Truncated)? as u32)
    }

    #[inline(always)]
    fn skip(&mut self, bits: u32) -> Result<(), DecodeError> {
        self.bits.skip(bits).ok_or(DecodeError::Truncated)
    }
}
