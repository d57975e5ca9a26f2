//! The encoder: which matches become sequences.

use core::fmt;

use super::block::Block;
use super::format::LAST_MATCH_BYTES;
use super::matches::Matches;
use crate::Page;

/// Compresses to LZ4 blocks.
///
/// Its table of 8 KiB is inside; whoever keeps an encoder may want to box it.
///
/// ```
/// use page_codec::lz4::{self, EncodeError, Encoder};
///
/// let page = b"page by page, ".repeat(256);
/// let mut encoder = Encoder::new();
/// let mut block = [0; 64];
/// let len = encoder.encode(&page, &mut block)?;
/// assert_eq!(encoder.encode(&page, &mut block[..len - 1]), Err(EncodeError::DstTooSmall));
///
/// let mut data = [0; 4096];
/// assert_eq!(lz4::decode(&block[..len], &mut data), Ok(page.len()));
/// assert_eq!(data[..page.len()], page);
/// # Ok::<(), EncodeError>(())
/// ```
#[derive(Debug)]
pub struct Encoder {
    matches: Matches,
    acceleration: u32,
}

impl Encoder {
    /// An encoder with acceleration 1.
    #[must_use]
    pub fn new() -> Self {
        Self { matches: Matches::new(), acceleration: 1 }
    }

    /// Looks for matches at one of `n` positions only, for blocks that are made faster and are
    /// bigger; 0 counts as 1.
    ///
    /// ```
    /// let mut encoder = page_codec::lz4::Encoder::new().acceleration(8);
    /// assert_eq!(encoder.encode(b"", &mut [0; 1]), Ok(1));
    /// ```
    #[must_use]
    pub fn acceleration(self, n: u32) -> Self {
        Self { acceleration: n.clamp(1, SEGMENT_BYTES as u32), ..self }
    }

    /// Compresses `src` to one block at the start of `dst` and tells its length.
    ///
    /// Whatever the length of `dst`, there is a block if it fits. Behind it, `dst` may be
    /// overwritten.
    ///
    /// # Errors
    /// The block does not fit `dst`.
    pub fn encode(&mut self, src: &[u8], dst: &mut [u8]) -> Result<usize, EncodeError> {
        self.fill(src, Block::new(dst)).ok_or(EncodeError::DstTooSmall)
    }

    /// Compresses the pages one after the other and sets their results.
    ///
    /// ```
    /// use page_codec::{Page, lz4};
    ///
    /// let (mut one, mut two) = ([0; 8], [0; 8]);
    /// let mut pages = [Page::new(b"one", &mut one), Page::new(b"twentytwo", &mut two)];
    /// lz4::Encoder::new().encode_batch(&mut pages);
    /// assert_eq!(pages[0].result, Some(Ok(4)));
    /// assert_eq!(pages[1].result, Some(Err(lz4::EncodeError::DstTooSmall)));
    /// ```
    pub fn encode_batch(&mut self, pages: &mut [Page<'_, Result<usize, EncodeError>>]) {
        for page in pages {
            page.result = Some(self.encode(page.src, page.dst));
        }
    }

    fn fill(&mut self, src: &[u8], mut block: Block<'_>) -> Option<usize> {
        let done = if src.len() <= SEGMENT_BYTES {
            self.fill_segment(src, 0, 0, &mut block)?
        } else {
            self.fill_segments(src, &mut block)?
        };
        block.last_sequence(&src[done..])
    }

    /// Apart, so that a page need not tell the whole source from a segment.
    #[inline(never)]
    fn fill_segments(&mut self, src: &[u8], block: &mut Block<'_>) -> Option<usize> {
        let mut done = 0;
        for start in (0..src.len()).step_by(SEGMENT_BYTES) {
            let end = src.len().min(start + SEGMENT_BYTES);
            done = self.fill_segment(&src[..end], start, done, block)?;
        }
        Some(done)
    }

    /// Writes the sequences of `src[start..]`, where all before `done` is written; returns what is
    /// written then.
    #[inline(always)]
    fn fill_segment(
        &mut self,
        src: &[u8],
        start: usize,
        mut done: usize,
        block: &mut Block<'_>,
    ) -> Option<usize> {
        let segment = &src[start..];
        if segment.len() > LAST_MATCH_BYTES {
            self.matches.forget();
            // No match starts at position 0.
            let mut from = 1;
            while let Some(found) = self.matches.find(segment, from, self.acceleration) {
                block.sequence(src, done, start + found.at, &found)?;
                from = found.at + found.length;
                done = start + from;
                // One more position in a match makes up for those that are not looked at.
                self.matches.insert(segment, from - 2);
            }
        }
        Some(done)
    }
}

impl Default for Encoder {
    fn default() -> Self {
        Self::new()
    }
}

/// Why there is no block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EncodeError {
    /// The block does not fit the destination.
    DstTooSmall,
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DstTooSmall => "the block does not fit the destination",
        })
    }
}

impl core::error::Error for EncodeError {}

/// What positions of 16 bits reach; matches stay within.
const SEGMENT_BYTES: usize = 65536;
