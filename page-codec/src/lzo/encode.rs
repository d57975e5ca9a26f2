//! The encoder: which matches and runs of zeros become instructions.

use core::fmt;

use super::format::M3_DISTANCE_BYTES_MAX;
use super::matches::{Found, Matches};
use super::stream::Stream;
use crate::Page;

/// Compresses to LZO1X streams, plain ones or the kernel's with runs of zeros.
///
/// Its table of 8 KiB is inside; whoever keeps an encoder may want to box it.
///
/// ```
/// use page_codec::lzo::{self, EncodeError, Encoder};
///
/// let page = [b"page by page, ".repeat(100), vec![0; 2696]].concat();
/// for mut encoder in [Encoder::new(), Encoder::with_runs()] {
///     assert_eq!(encoder.encode(&page, &mut [0; 16]), Err(EncodeError::DstTooSmall));
///     let mut stream = [0; 64];
///     let len = encoder.encode(&page, &mut stream)?;
///
///     let mut data = [0; 4096];
///     assert_eq!(lzo::decode(&stream[..len], &mut data), Ok(page.len()));
///     assert_eq!(data[..page.len()], page);
/// }
/// # Ok::<(), EncodeError>(())
/// ```
#[derive(Debug)]
pub struct Encoder {
    matches: Matches,
    has_runs: bool,
}

impl Encoder {
    /// An encoder of plain LZO1X streams, the kernel's `lzo`.
    #[must_use]
    pub fn new() -> Self {
        Self { matches: Matches::new(), has_runs: false }
    }

    /// An encoder of streams with runs of zeros, the kernel's `lzo-rle`.
    ///
    /// ```
    /// let mut stream = [0; 5];
    /// assert_eq!(page_codec::lzo::Encoder::with_runs().encode(b"", &mut stream), Ok(5));
    /// assert_eq!(&stream, b"\x11\x01\x11\0\0");
    /// ```
    #[must_use]
    pub fn with_runs() -> Self {
        Self { matches: Matches::new(), has_runs: true }
    }

    /// Compresses `src` to one stream at the start of `dst` and tells its length.
    ///
    /// Whatever the length of `dst`, there is a stream if it fits. Behind it, `dst` may be
    /// overwritten.
    ///
    /// # Errors
    /// The stream does not fit `dst`.
    pub fn encode(&mut self, src: &[u8], dst: &mut [u8]) -> Result<usize, EncodeError> {
        let stream = Stream::new(dst);
        let len = if self.has_runs {
            self.fill::<true>(src, stream)
        } else {
            self.fill::<false>(src, stream)
        };
        len.ok_or(EncodeError::DstTooSmall)
    }

    /// Compresses the pages one after the other and sets their results.
    ///
    /// ```
    /// use page_codec::{Page, lzo};
    ///
    /// let (mut one, mut two) = ([0; 8], [0; 8]);
    /// let mut pages = [Page::new(b"one", &mut one), Page::new(b"twentytwo", &mut two)];
    /// lzo::Encoder::new().encode_batch(&mut pages);
    /// assert_eq!(pages[0].result, Some(Ok(7)));
    /// assert_eq!(pages[1].result, Some(Err(lzo::EncodeError::DstTooSmall)));
    /// ```
    pub fn encode_batch(&mut self, pages: &mut [Page<'_, Result<usize, EncodeError>>]) {
        for page in pages {
            page.result = Some(self.encode(page.src, page.dst));
        }
    }

    fn fill<const RUNS: bool>(&mut self, src: &[u8], mut stream: Stream<'_>) -> Option<usize> {
        if RUNS {
            stream.header_of_runs()?;
        }
        let mut done = 0;
        for start in (0..src.len()).step_by(SEGMENT_BYTES) {
            let end = src.len().min(start + SEGMENT_BYTES);
            done = self.fill_segment::<RUNS>(&src[..end], start, done, &mut stream)?;
        }
        stream.literals(src, done, src.len())?;
        stream.end()
    }

    /// Writes the instructions of `src[start..]`, where all before `done` is written; returns what
    /// is written then.
    #[inline(always)]
    fn fill_segment<const RUNS: bool>(
        &mut self,
        src: &[u8],
        start: usize,
        mut done: usize,
        stream: &mut Stream<'_>,
    ) -> Option<usize> {
        let segment = &src[start..];
        self.matches.forget();
        // No match starts at position 0.
        let mut from = 1;
        while let Some(Found { at, length, distance }) = self.matches.find::<RUNS>(segment, from) {
            stream.literals(src, done, start + at)?;
            match distance {
                Some(distance) => stream.repeat(distance, length)?,
                None => stream.zeros(length)?,
            }
            from = at + length;
            // One more position in a match makes up for those that are not looked at.
            self.matches.insert(segment, from - 2);
            done = start + from;
        }
        Some(done)
    }
}

impl Default for Encoder {
    fn default() -> Self {
        Self::new()
    }
}

/// Why there is no stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EncodeError {
    /// The stream does not fit the destination.
    DstTooSmall,
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DstTooSmall => "the stream does not fit the destination",
        })
    }
}

impl core::error::Error for EncodeError {}

/// M3 reaches everything in a segment. So there is no M4, which for some distances and lengths is
/// taken for an end or for zeros.
const SEGMENT_BYTES: usize = M3_DISTANCE_BYTES_MAX;
