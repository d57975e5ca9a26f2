//! The decoder: the whole format, with every access checked.
//!
//! [`raw::decode_far`] decodes most of a block. It stops where it cannot go on, near an end or at
//! an error; what is here goes on from there to the end, or finds the error.
//!
//! A batch is a loop, for two blocks in one loop were no faster than one after the other (0.99 to
//! 1.04 times liblz4, where one has 1.02 to 1.05): what costs are mispredicted branches and loads
//! that wait for stores, and two lanes share the predictor and the store queue.

use core::fmt;

use super::format::{LENGTH_IN_TOKEN_BYTES_MAX, MATCH_BYTES_MIN};
use super::raw;
use crate::Page;

/// Decompresses one block to the start of `dst` and tells the length of the data.
///
/// Every block that follows the format is accepted, and so are blocks that end closer to a match
/// than an encoder may. Behind the data, `dst` may be overwritten.
///
/// ```
/// use page_codec::lz4::{DecodeError, decode};
///
/// let block = b"\x14a\x01\x00\x50bcdef"; // `a`, 8 bytes from 1 byte ago, and 5 literals.
/// let mut data = [0; 16];
/// assert_eq!(decode(block, &mut data), Ok(14));
/// assert_eq!(&data[..14], b"aaaaaaaaabcdef");
/// assert_eq!(decode(block, &mut data[..13]), Err(DecodeError::DstTooSmall));
/// assert_eq!(decode(&block[..9], &mut data), Err(DecodeError::Truncated));
/// ```
///
/// # Errors
/// The data is longer than `dst`, or `src` is no block. Of several errors the first one in the
/// block is told: what comes behind the point where `dst` is full was not looked at.
pub fn decode(src: &[u8], dst: &mut [u8]) -> Result<usize, DecodeError> {
    let (read, written) = raw::decode_far(src, dst);
    Decoder { src, dst, read, written }.run()
}

/// Decompresses the pages one after the other and sets their results.
///
/// ```
/// use page_codec::{Page, lz4};
///
/// let (mut one, mut two) = ([0; 8], [0; 8]);
/// let mut pages = [Page::new(b"\x30one", &mut one), Page::new(b"\x30tw", &mut two)];
/// lz4::decode_batch(&mut pages);
/// assert_eq!(pages[0].result, Some(Ok(3)));
/// assert_eq!(pages[1].result, Some(Err(lz4::DecodeError::Truncated)));
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
    /// The block ends within a sequence, or with a match, or is empty.
    Truncated,
    /// A match has the offset 0.
    OffsetZero,
    /// A match starts before the data.
    OffsetTooFar,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DstTooSmall => "the data is longer than the destination",
            Self::Truncated => "the block is truncated",
            Self::OffsetZero => "a match has the offset 0",
            Self::OffsetTooFar => "a match starts before the data",
        })
    }
}

impl core::error::Error for DecodeError {}

struct Decoder<'a> {
    src: &'a [u8],
    dst: &'a mut [u8],
    read: usize,
    written: usize,
}

impl Decoder<'_> {
    fn run(mut self) -> Result<usize, DecodeError> {
        loop {
            let [token] = self.take()?;
            self.copy_literals(usize::from(token >> 4))?;
            // The last sequence has no match, whatever its token says.
            if self.read == self.src.len() {
                return Ok(self.written);
            }
            self.copy_match(usize::from(token & 15))?;
        }
    }

    fn copy_literals(&mut self, length: usize) -> Result<(), DecodeError> {
        let length = self.whole_length(length)?;
        let src = self.src[self.read..].get(..length).ok_or(DecodeError::Truncated)?;
        let dst = self.dst[self.written..].get_mut(..length).ok_or(DecodeError::DstTooSmall)?;
        dst.copy_from_slice(src);
        self.read += length;
        self.written += length;
        Ok(())
    }

    fn copy_match(&mut self, length: usize) -> Result<(), DecodeError> {
        let offset = usize::from(u16::from_le_bytes(self.take()?));
        let length = self.whole_length(length)?.saturating_add(MATCH_BYTES_MIN);
        if offset == 0 {
            return Err(DecodeError::OffsetZero);
        }
        let start = self.written.checked_sub(offset).ok_or(DecodeError::OffsetTooFar)?;
        if length > self.dst.len() - self.written {
            return Err(DecodeError::DstTooSmall);
        }
        let end = self.written + length;
        // What follows `start` repeats itself, so twice as much can be copied each time.
        while self.written < end {
            let length = (self.written - start).min(end - self.written);
            self.dst.copy_within(start..start + length, self.written);
            self.written += length;
        }
        Ok(())
    }

    fn whole_length(&mut self, in_token: usize) -> Result<usize, DecodeError> {
        let mut length = in_token;
        if in_token == LENGTH_IN_TOKEN_BYTES_MAX {
            loop {
                let [byte] = self.take()?;
                length = length.saturating_add(usize::from(byte));
                if byte != 255 {
                    break;
                }
            }
        }
        Ok(length)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let bytes = self.src[self.read..].first_chunk().ok_or(DecodeError::Truncated)?;
        self.read += N;
        Ok(*bytes)
    }
}
