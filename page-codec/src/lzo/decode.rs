//! The decoder: the whole format, byte by byte.
//!
//! [`decode_far`] decodes most of a stream. It stops where it cannot go on, near an end or at an
//! error; what is here goes on from there to the end, or finds the error.
//!
//! It accepts what the kernel's accepts, but for versions that do not exist yet.

use core::fmt;

use super::far::{Position, decode_far};
use super::format::{
    END, FIRST_BASE, HEADER, LITERALS_BYTES_MIN, LITERALS_IN_OPCODE_BYTES_MAX, M2,
    M2_DISTANCE_BYTES_MAX, M3, M3_IN_OPCODE_BYTES_MAX, M4, M4_DISTANCE_BYTES_MIN,
    M4_IN_OPCODE_BYTES_MAX, MATCH_BYTES_BASE, RUN_BYTES_MIN, VERSION_RUNS,
};
use crate::Page;

/// Decompresses one stream, of either version, to the start of `dst` and tells the length of the
/// data.
///
/// ```
/// use page_codec::lzo::{DecodeError, decode};
///
/// // `ab`, 14 zeros and `c`.
/// let stream = b"\x11\x01\x13ab\x1a\xfd\xff\x01c\x11\0\0";
/// let mut data = [0; 17];
/// assert_eq!(decode(stream, &mut data), Ok(17));
/// assert_eq!(&data, b"ab\0\0\0\0\0\0\0\0\0\0\0\0\0\0c");
/// assert_eq!(decode(stream, &mut data[..16]), Err(DecodeError::DstTooSmall));
/// assert_eq!(decode(&stream[..12], &mut data), Err(DecodeError::Truncated));
/// ```
///
/// # Errors
/// The data is longer than `dst`, or `src` is no stream. Of several errors the first one in the
/// stream is told: what comes behind the point where `dst` is full was not looked at.
pub fn decode(src: &[u8], dst: &mut [u8]) -> Result<usize, DecodeError> {
    let start = Position { read: 0, written: 0, before: 0 };
    let mut decoder = Decoder { src, dst, at: start, has_runs: false };
    decoder.start()?;
    decoder.at = decode_far(src, decoder.dst, decoder.at, decoder.has_runs);
    decoder.run()
}

/// Decompresses the pages one after the other and sets their results.
///
/// ```
/// use page_codec::{Page, lzo};
///
/// let (mut one, mut two) = ([0; 8], [0; 8]);
/// let mut pages = [Page::new(b"\x14one\x11\0\0", &mut one), Page::new(b"\x14two", &mut two)];
/// lzo::decode_batch(&mut pages);
/// assert_eq!(pages[0].result, Some(Ok(3)));
/// assert_eq!(pages[1].result, Some(Err(lzo::DecodeError::Truncated)));
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
    /// The stream ends without the mark of its end.
    Truncated,
    /// A match starts before the data.
    DistanceTooFar,
    /// The mark of the end has the length of a match.
    EndWithLength,
    /// Bytes follow the end.
    BytesBehindEnd,
    /// The header has a version that is not known.
    Version,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DstTooSmall => "the data is longer than the destination",
            Self::Truncated => "the stream is truncated",
            Self::DistanceTooFar => "a match starts before the data",
            Self::EndWithLength => "the mark of the end has the length of a match",
            Self::BytesBehindEnd => "bytes follow the end of the stream",
            Self::Version => "the version of the stream is not known",
        })
    }
}

impl core::error::Error for DecodeError {}

struct Decoder<'a> {
    src: &'a [u8],
    dst: &'a mut [u8],
    at: Position,
    has_runs: bool,
}

impl Decoder<'_> {
    /// What is at the start of a stream only: the header, and literals that its first byte counts.
    fn start(&mut self) -> Result<(), DecodeError> {
        if self.src.len() >= 2 + END.len() && self.src[0] == HEADER {
            let [_, version] = self.take()?;
            if version > VERSION_RUNS {
                return Err(DecodeError::Version);
            }
            self.has_runs = version == VERSION_RUNS;
        }
        let literals = match self.src.get(self.at.read) {
            Some(first) => usize::from(*first).saturating_sub(FIRST_BASE),
            None => 0,
        };
        if literals > 0 {
            self.at.read += 1;
        }
        self.copy_literals(literals)
    }

    fn run(mut self) -> Result<usize, DecodeError> {
        loop {
            let [opcode] = self.take()?;
            let opcode = usize::from(opcode);
            if opcode < M4 && self.at.before == 0 {
                let length = self.whole_length(opcode, LITERALS_IN_OPCODE_BYTES_MAX)?;
                self.copy_literals(length.saturating_add(LITERALS_BYTES_MIN - 1))?;
            } else if self.starts_run(opcode) {
                let [low, _, high] = self.take()?;
                self.write_zeros((usize::from(high) << 3 | opcode & 7) + RUN_BYTES_MIN)?;
                self.copy_literals(usize::from(low & 3))?;
            } else {
                let found = self.take_match(opcode)?;
                if found.distance == M4_DISTANCE_BYTES_MIN && opcode < M3 {
                    return self.end(found.length);
                }
                self.copy_match(&found)?;
                self.copy_literals(found.literals)?;
            }
        }
    }

    /// Whether this is no M4 but zeros: one with the greatest distance.
    fn starts_run(&self, opcode: usize) -> bool {
        let operand = self.src[self.at.read..].first_chunk();
        self.has_runs
            && opcode & !7 == M4 | 8
            && operand.is_some_and(|[low, high]| low | 3 == 255 && *high == 255)
    }

    fn take_match(&mut self, opcode: usize) -> Result<Match, DecodeError> {
        if (M4..M2).contains(&opcode) {
            return self.take_far_match(opcode);
        }
        let [high] = self.take()?;
        let (length, distance) = match opcode {
            M2.. => ((opcode >> 5) + 1, usize::from(high) << 3 | opcode >> 2 & 7),
            _ if self.at.before < LITERALS_BYTES_MIN => (2, usize::from(high) << 2 | opcode >> 2),
            _ => (3, (usize::from(high) << 2 | opcode >> 2) + M2_DISTANCE_BYTES_MAX),
        };
        Ok(Match { length, distance: distance + 1, literals: opcode & 3 })
    }

    fn take_far_match(&mut self, opcode: usize) -> Result<Match, DecodeError> {
        let (base, in_opcode, in_opcode_max) = if opcode >= M3 {
            (1, opcode & M3_IN_OPCODE_BYTES_MAX, M3_IN_OPCODE_BYTES_MAX)
        } else {
            let base = M4_DISTANCE_BYTES_MIN + ((opcode & 8) << 11);
            (base, opcode & M4_IN_OPCODE_BYTES_MAX, M4_IN_OPCODE_BYTES_MAX)
        };
        let length = self.whole_length(in_opcode, in_opcode_max)?;
        let operand = usize::from(u16::from_le_bytes(self.take()?));
        Ok(Match {
            length: length.saturating_add(MATCH_BYTES_BASE),
            distance: base + (operand >> 2),
            literals: operand & 3,
        })
    }

    fn whole_length(
        &mut self,
        in_opcode: usize,
        in_opcode_max: usize,
    ) -> Result<usize, DecodeError> {
        if in_opcode > 0 {
            return Ok(in_opcode);
        }
        let mut length = in_opcode_max;
        loop {
            let [byte] = self.take()?;
            if byte > 0 {
                return Ok(length.saturating_add(usize::from(byte)));
            }
            length = length.saturating_add(255);
        }
    }

    /// Copies literals of any number, none too: behind them there must be room for the end, so that
    /// whoever reads an instruction need not fear that it is shorter.
    fn copy_literals(&mut self, length: usize) -> Result<(), DecodeError> {
        let src = self.src[self.at.read..].get(..length).ok_or(DecodeError::Truncated)?;
        if self.src.len() - self.at.read - length < END.len() {
            return Err(DecodeError::Truncated);
        }
        self.room(length)?.copy_from_slice(src);
        self.at.read += length;
        self.at.written += length;
        self.at.before = length.min(LITERALS_BYTES_MIN);
        Ok(())
    }

    fn copy_match(&mut self, found: &Match) -> Result<(), DecodeError> {
        let start =
            self.at.written.checked_sub(found.distance).ok_or(DecodeError::DistanceTooFar)?;
        let end = self.at.written + self.room(found.length)?.len();
        // What follows `start` repeats itself, so twice as much can be copied each time.
        while self.at.written < end {
            let length = (self.at.written - start).min(end - self.at.written);
            self.dst.copy_within(start..start + length, self.at.written);
            self.at.written += length;
        }
        Ok(())
    }

    fn write_zeros(&mut self, length: usize) -> Result<(), DecodeError> {
        self.room(length)?.fill(0);
        self.at.written += length;
        Ok(())
    }

    fn room(&mut self, length: usize) -> Result<&mut [u8], DecodeError> {
        self.dst[self.at.written..].get_mut(..length).ok_or(DecodeError::DstTooSmall)
    }

    fn end(&self, length: usize) -> Result<usize, DecodeError> {
        if length != END_LENGTH_BYTES {
            Err(DecodeError::EndWithLength)
        } else if self.at.read < self.src.len() {
            Err(DecodeError::BytesBehindEnd)
        } else {
            Ok(self.at.written)
        }
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let bytes = self.src[self.at.read..].first_chunk().ok_or(DecodeError::Truncated)?;
        self.at.read += N;
        Ok(*bytes)
    }
}

/// `length` bytes that were there `distance` bytes before, and so many literals behind them.
struct Match {
    length: usize,
    distance: usize,
    literals: usize,
}

/// The length that the mark of the end has if it is taken for a match.
const END_LENGTH_BYTES: usize = 3;
