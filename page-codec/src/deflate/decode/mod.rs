//! The decoder.
//!
//! Pages go the fast way of [`page`]; whatever is longer, or unusual, or wrong goes symbol by
//! symbol and is checked at each.

mod cpu;
mod header;
mod page;
mod reader;
mod symbol;
mod table;

use core::fmt;

use self::page::Buffers;
use self::reader::{BitReader, Ended};
use self::table::Tables;
use super::codes::CodeTables;
use super::fixed;
use super::format::{DYNAMIC, FIXED, STORED};
use super::framing::Framing;
use crate::Page;

/// Decompresses raw deflate streams of any blocks, whoever wrote them.
///
/// The state is some 40 KiB, to be put into a `Box` and used again; nothing of one stream is left
/// when the next one comes. What counts as valid is what zlib takes for it.
///
/// ```
/// use page_codec::deflate::{DecodeErrorKind, Decoder};
///
/// // A stored block of two bytes.
/// let stream = [1, 2, 0, 0xfd, 0xff, b'h', b'i'];
/// let mut dst = [0; 4096];
/// let decoded = Decoder::new().decode(&stream, &mut dst)?;
/// assert_eq!(&dst[..decoded.produced], b"hi");
///
/// let error = Decoder::new().decode(&stream[..6], &mut dst).unwrap_err();
/// assert_eq!(error.kind, DecodeErrorKind::Truncated);
/// # Ok::<_, page_codec::deflate::DecodeError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Decoder {
    window_bytes: usize,
    given: Option<CodeTables>,
    fixed: Tables,
    /// Those of the block at hand.
    own: Tables,
    buffers: Buffers,
}

impl Decoder {
    /// A decoder that follows distances of up to 32768 bytes.
    #[must_use]
    pub fn new() -> Self {
        Self {
            window_bytes: WINDOW_BYTES_MAX,
            given: None,
            fixed: Tables::fixed(),
            own: Tables::EMPTY,
            buffers: Buffers::new(),
        }
    }

    /// Refuses distances beyond `bytes`, as a device with a small history does.
    #[must_use]
    pub fn window(mut self, bytes: usize) -> Self {
        self.window_bytes = bytes.min(WINDOW_BYTES_MAX);
        self
    }

    /// Knows the code of blocks without a header; see [`Framing::without_header`]. It need not have
    /// words for all symbols.
    #[must_use]
    pub fn with_codes(mut self, codes: CodeTables) -> Self {
        self.given = Some(codes);
        self
    }

    /// Decompresses the stream at the start of `src` into `dst`. Bytes of `dst` behind the data may
    /// have been overwritten, those of `src` behind the stream are not looked at.
    ///
    /// # Errors
    /// [`DecodeError`]: what is wrong, and where.
    pub fn decode(&mut self, src: &[u8], dst: &mut [u8]) -> Result<Decoded, DecodeError> {
        match self.page(src, dst) {
            Some(decoded) => Ok(decoded),
            None => self.decode_framed(src, dst, &Framing::new()),
        }
    }

    /// Decompresses each page by itself, one after the other: the time goes into branches that
    /// nobody can predict, and two streams at once were not faster.
    pub fn decode_batch(&mut self, pages: &mut [Page<'_, Result<Decoded, DecodeError>>]) {
        for page in pages {
            page.result = Some(self.decode(page.src, page.dst));
        }
    }

    /// Decompresses a stream with something else around its symbols.
    ///
    /// # Errors
    /// As [`decode`](Self::decode), and [`DecodeErrorKind::NoCodes`] if there is no header and no
    /// code was given.
    pub fn decode_framed(
        &mut self,
        src: &[u8],
        dst: &mut [u8],
        framing: &Framing<'_>,
    ) -> Result<Decoded, DecodeError> {
        if framing.leading_bits.div_ceil(8) > src.len() {
            let position_bits = src.len().saturating_mul(8);
            return Err(DecodeError { kind: DecodeErrorKind::Truncated, position_bits });
        }
        let mut reader = BitReader::new(src, framing.leading_bits);
        let mut output = Output { dst, produced: 0, window_bytes: self.window_bytes };
        let result = if framing.header {
            self.blocks(&mut reader, &mut output, framing.end_of_block)
        } else {
            self.given_block(&mut reader, &mut output, framing.end_of_block)
        };
        let position_bits = reader.position_bits();
        result.map_err(|kind| DecodeError { kind, position_bits })?;
        Ok(Decoded { consumed: reader.consumed(), produced: output.produced })
    }

    /// The fast way, where there is nothing unusual.
    #[inline(always)]
    fn page(&mut self, src: &[u8], dst: &mut [u8]) -> Option<Decoded> {
        if self.window_bytes < page::DISTANCE_BYTES_MAX {
            return None;
        }
        let mut reader = BitReader::new(src, 0);
        match reader.take(3).ok()? {
            FINAL_FIXED => self.buffers.fixed_block(src, &reader, dst, &self.fixed),
            FINAL_DYNAMIC => {
                header::read(&mut reader, &mut self.own).ok()?;
                self.buffers.block(src, &reader, dst, &self.own)
            }
            _ => None,
        }
    }

    fn blocks(
        &mut self,
        reader: &mut BitReader<'_>,
        output: &mut Output<'_>,
        has_end: bool,
    ) -> Result<(), DecodeErrorKind> {
        loop {
            let start = reader.clone();
            let is_final = reader.take(1)? == 1;
            match reader.take(2)? {
                STORED => stored(reader, output)?,
                FIXED => symbol::block(reader, output, &self.fixed, has_end)?,
                DYNAMIC => {
                    header::read(reader, &mut self.own)?;
                    symbol::block(reader, output, &self.own, has_end)?;
                }
                _ => {
                    *reader = start;
                    return Err(DecodeErrorKind::BlockType);
                }
            }
            if is_final || !has_end {
                return Ok(());
            }
        }
    }

    fn given_block(
        &mut self,
        reader: &mut BitReader<'_>,
        output: &mut Output<'_>,
        has_end: bool,
    ) -> Result<(), DecodeErrorKind> {
        let codes = self.given.as_ref().ok_or(DecodeErrorKind::NoCodes)?;
        if *codes == fixed::CODES {
            // It has words that mean nothing, which its lengths do not tell.
            return symbol::block(reader, output, &self.fixed, has_end);
        }
        // It may be incomplete: words that it does not have are errors where they occur.
        self.own.build(codes.litlen_bits(), codes.dist_bits());
        symbol::block(reader, output, &self.own, has_end)
    }
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

/// Where the data goes.
#[derive(Debug)]
struct Output<'a> {
    dst: &'a mut [u8],
    produced: usize,
    window_bytes: usize,
}

fn stored(reader: &mut BitReader<'_>, output: &mut Output<'_>) -> Result<(), DecodeErrorKind> {
    reader.skip_to_byte();
    let start = reader.clone();
    let (len, complement) = (reader.take(16)?, reader.take(16)?);
    if len != !complement & 0xffff {
        *reader = start;
        return Err(DecodeErrorKind::StoredLength);
    }
    let data = reader.clone();
    let room = output.dst.get_mut(output.produced..).unwrap_or_default();
    let bytes = reader.take_bytes(len as usize)?;
    let Some(room) = room.get_mut(..bytes.len()) else {
        *reader = data;
        return Err(DecodeErrorKind::DstTooSmall);
    };
    room.copy_from_slice(bytes);
    output.produced += bytes.len();
    Ok(())
}

/// What decoding a stream came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the two lengths are all there is")]
pub struct Decoded {
    /// Bytes of `src` that the stream takes, the last one perhaps not to its end.
    pub consumed: usize,
    /// Bytes of `dst` that the data takes.
    pub produced: usize,
}

/// Why a stream was not decompressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DecodeError {
    /// What is wrong.
    pub kind: DecodeErrorKind,
    /// How many bits of `src` lie before the place: the start of the symbol or code length, of a
    /// block of a wrong type, of a stored block's length or data, or wherever else in a header the
    /// fault shows.
    pub position_bits: usize,
}

/// What is wrong with a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// The data is longer than the destination; the rest of the stream was not looked at.
    DstTooSmall,
    /// The source ends before the stream does.
    Truncated,
    /// A block of the reserved type 3.
    BlockType,
    /// The length of a stored block and its complement disagree.
    StoredLength,
    /// The code lengths of a dynamic block make no code, or none with an end of the block.
    CodeLengths,
    /// Bits that are no code word, or the word of a symbol that must not occur.
    Symbol,
    /// A distance that leads before the start of the data.
    DistanceTooFar,
    /// A distance beyond [`Decoder::window`].
    DistanceBeyondWindow,
    /// A block without a header, and no code for it: see [`Decoder::with_codes`].
    NoCodes,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at bit {}", self.kind, self.position_bits)
    }
}

impl fmt::Display for DecodeErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DstTooSmall => "the data is longer than the destination",
            Self::Truncated => "the stream is cut off",
            Self::BlockType => "a block of the reserved type",
            Self::StoredLength => "a stored block whose length and complement disagree",
            Self::CodeLengths => "code lengths that make no code",
            Self::Symbol => "bits that are no symbol",
            Self::DistanceTooFar => "a distance that leads before the start",
            Self::DistanceBeyondWindow => "a distance beyond the window",
            Self::NoCodes => "a block without a header, and no code was given",
        })
    }
}

impl core::error::Error for DecodeError {}

impl From<Ended> for DecodeErrorKind {
    fn from(Ended: Ended) -> Self {
        Self::Truncated
    }
}

/// A final flag, and the type of the block above it.
const FINAL_FIXED: u32 = 1 | FIXED << 1;
const FINAL_DYNAMIC: u32 = 1 | DYNAMIC << 1;
const WINDOW_BYTES_MAX: usize = 32768;
