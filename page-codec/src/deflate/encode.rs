//! The encoder: which blocks a source becomes.

use core::fmt;

use super::bits::{BitWriter, Full};
use super::codes::{CodeTables, Histogram};
use super::fixed::{self, Fixed};
use super::format::{END_OF_BLOCK, FIXED, STORED};
use super::framing::Framing;
use super::header::Header;
use super::parse::{self, Table};
use super::tokens::{BLOCK_BYTES_MAX, Tokens};
use crate::{PAGE_BYTES, Page};

/// Compresses sources, each by itself.
///
/// Made for memory pages, of 4096 bytes; longer sources work, and matches reach 4096 bytes back.
/// The state is some 40 KiB, to be put into a `Box` and used again: nothing of one source is left
/// when the next one comes, so that the same source always makes the same stream.
///
/// ```
/// use page_codec::deflate::{Decoder, Encoder};
///
/// let page: Vec<u8> = (0..4096_u32).map(|i| (i / 64) as u8).collect();
/// let (mut stream, mut back) = ([0; 4096], [0; 4096]);
/// let len = Encoder::dynamic().encode(&page, &mut stream)?;
/// assert!(len < 400);
/// let decoded = Decoder::new().decode(&stream[..len], &mut back);
/// assert!(decoded.is_ok() && back == *page);
/// # Ok::<_, page_codec::deflate::EncodeError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Encoder {
    blocks: Blocks,
    effort: Effort,
    table: Table,
    tokens: Tokens,
}

#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "nothing is allocated here")]
enum Blocks {
    Fixed,
    Dynamic,
    Given(CodeTables),
}

/// How hard to look for matches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Effort {
    /// Takes the first match that it sees.
    #[default]
    Fast,
    /// Looks whether the next byte starts a longer one: 1 to 2 % smaller, 5 to 10 % slower.
    Dense,
}

impl Encoder {
    /// One block of the fixed Huffman code: what devices write, and the fastest.
    #[must_use]
    pub fn fixed() -> Self {
        Self::new(Blocks::Fixed)
    }

    /// For each block the shortest of a dynamic, a fixed and a stored one.
    #[must_use]
    pub fn dynamic() -> Self {
        Self::new(Blocks::Dynamic)
    }

    /// One block of this code, which need not be the best for it.
    #[must_use]
    pub fn with_codes(codes: CodeTables) -> Self {
        Self::new(if codes == fixed::CODES { Blocks::Fixed } else { Blocks::Given(codes) })
    }

    /// The same with another effort.
    #[must_use]
    pub fn effort(mut self, effort: Effort) -> Self {
        self.effort = effort;
        self
    }

    /// Compresses `src` into `dst`, of which it writes no more than the returned length, and 7
    /// bytes behind it if there are as many.
    ///
    /// # Errors
    /// [`EncodeError`]: most often that the stream does not fit. `src.len()` and an eighth of it
    /// more, and two bytes, are room enough for everything but given codes.
    pub fn encode(&mut self, src: &[u8], dst: &mut [u8]) -> Result<usize, EncodeError> {
        match self.blocks {
            Blocks::Fixed => self.fixed_block(src, dst).map(|bits| bits.div_ceil(8)),
            Blocks::Dynamic => {
                self.dynamic_blocks(src, BitWriter::new(dst)).map(|bits| bits.div_ceil(8))
            }
            Blocks::Given(_) => {
                self.encode_framed(src, dst, &Framing::new()).map(|encoded| encoded.bytes)
            }
        }
    }

    /// Compresses each page by itself, one after the other: two at once would only spoil each
    /// other's branch predictions.
    pub fn encode_batch(&mut self, pages: &mut [Page<'_, Result<usize, EncodeError>>]) {
        for page in pages {
            page.result = Some(self.encode(page.src, page.dst));
        }
    }

    /// Compresses `src` into `dst` with something else around the symbols.
    ///
    /// # Errors
    /// As [`encode`](Self::encode), and [`EncodeError::NoCodes`] for dynamic blocks without their
    /// headers.
    pub fn encode_framed(
        &mut self,
        src: &[u8],
        dst: &mut [u8],
        framing: &Framing<'_>,
    ) -> Result<Encoded, EncodeError> {
        // The same bits, and faster. Longer sources are parsed in parts where they are framed.
        let is_ordinary = *framing == Framing::new() && src.len() <= PAGE_BYTES;
        if is_ordinary && matches!(self.blocks, Blocks::Fixed) {
            let bits = self.fixed_block(src, dst)?;
            return Ok(Encoded { bytes: bits.div_ceil(8), bits });
        }
        let mut bits = BitWriter::new(dst);
        for bit in 0..framing.leading_bits {
            let byte = framing.leading.get(bit / 8).copied().unwrap_or(0);
            bits.put(u64::from(byte >> (bit % 8) & 1), 1);
            bits.flush_at_end()?;
        }
        let bits = match self.blocks.clone() {
            Blocks::Fixed => self.given_block(src, &fixed::CODES, framing, bits)?,
            Blocks::Given(codes) => self.given_block(src, &codes, framing, bits)?,
            Blocks::Dynamic if framing.header && framing.end_of_block => {
                self.dynamic_blocks(src, bits)?
            }
            Blocks::Dynamic => return Err(EncodeError::NoCodes),
        };
        Ok(Encoded { bytes: bits.div_ceil(8), bits })
    }

    /// How often each symbol occurs in what this encoder makes of `src`, the end of the block
    /// included: what [`CodeTables::of_histogram`] makes a code from.
    #[must_use]
    pub fn histogram(&mut self, src: &[u8]) -> Histogram {
        let mut sum = Histogram::EMPTY;
        self.table.clear();
        for start in block_starts(src) {
            self.parse(src, start, false);
            sum.add(&self.tokens.histogram());
        }
        sum.litlen[END_OF_BLOCK] = 1;
        sum
    }

    fn new(blocks: Blocks) -> Self {
        Self { blocks, effort: Effort::Fast, table: Table::new(), tokens: Tokens::new() }
    }

    /// The length of the stream in bits.
    fn fixed_block(&mut self, src: &[u8], dst: &mut [u8]) -> Result<usize, EncodeError> {
        let table = &mut self.table;
        match (src.len() == PAGE_BYTES, self.effort) {
            (true, Effort::Fast) => fixed_block::<true, GREEDY>(table, src, dst),
            (true, Effort::Dense) => fixed_block::<true, FIXED_LAZY_BYTES>(table, src, dst),
            (false, Effort::Fast) => fixed_block::<false, GREEDY>(table, src, dst),
            (false, Effort::Dense) => fixed_block::<false, FIXED_LAZY_BYTES>(table, src, dst),
        }
    }

    /// The length of the stream, padded, in bits.
    fn dynamic_blocks(
        &mut self,
        src: &[u8],
        mut bits: BitWriter<'_>,
    ) -> Result<usize, EncodeError> {
        // What is skipped is missed by the blocks behind it; and no source is given up for which
        // there may be room.
        let may_give_up = src.len() <= BLOCK_BYTES_MAX && bits.room() <= src.len();
        self.table.clear();
        for start in block_starts(src) {
            let end = src.len().min(start + BLOCK_BYTES_MAX);
            if !self.parse(src, start, may_give_up) {
                return Err(EncodeError::Incompressible);
            }
            self.best_block(&src[start..end], end == src.len(), &mut bits)?;
        }
        let len_bits = bits.len_bits();
        bits.pad()?;
        Ok(len_bits)
    }

    /// Fills the tokens from a block; `false`, if they may, when it does not look worth it.
    fn parse(&mut self, src: &[u8], start: usize, may_give_up: bool) -> bool {
        self.tokens.clear(may_give_up);
        let (table, tokens) = (&mut self.table, &mut self.tokens);
        let is_page = src.len() == PAGE_BYTES;
        let src = &src[..src.len().min(start + BLOCK_BYTES_MAX)];
        let is_fixed = matches!(self.blocks, Blocks::Fixed);
        let parse = match (self.effort, is_fixed, is_page) {
            (Effort::Fast, _, true) => parse_tokens::<true, GREEDY>,
            (Effort::Fast, _, false) => parse_tokens::<false, GREEDY>,
            (Effort::Dense, true, true) => parse_tokens::<true, FIXED_LAZY_BYTES>,
            (Effort::Dense, true, false) => parse_tokens::<false, FIXED_LAZY_BYTES>,
            (Effort::Dense, false, true) => parse_tokens::<true, LAZY_BYTES>,
            (Effort::Dense, false, false) => parse_tokens::<false, LAZY_BYTES>,
        };
        parse(table, src, start, tokens)
    }

    /// Writes the tokens in whatever way is the shortest.
    #[inline(always)]
    fn best_block(&self, src: &[u8], is_final: bool, bits: &mut BitWriter<'_>) -> Result<(), Full> {
        let histogram = self.tokens.histogram();
        let codes = CodeTables::of_histogram(&histogram);
        let header = Header::new(&codes);
        let dynamic_bits = header.bits + codes.bits(&histogram);
        let fixed_bits = 3 + fixed::CODES.bits(&histogram);
        let coded_bits = dynamic_bits.min(fixed_bits) + histogram.extra_bits();
        let start_bits = bits.len_bits();
        let stored_bits = (start_bits + 3).next_multiple_of(8) - start_bits + 32 + 8 * src.len();
        if stored_bits <= coded_bits as usize {
            return stored_block(src, is_final, bits);
        }
        if coded_bits as usize > bits.room_bits() {
            return Err(Full);
        }
        let codes = if dynamic_bits < fixed_bits {
            header.write(is_final, bits)?;
            &codes
        } else {
            bits.put(u64::from(u32::from(is_final) | FIXED << 1), 3);
            bits.flush_all()?;
            &fixed::CODES
        };
        self.tokens.write(codes, bits)?;
        codes.put_end(bits)
    }

    /// One block of a code that is given; the length of the output in bits.
    fn given_block(
        &mut self,
        src: &[u8],
        codes: &CodeTables,
        framing: &Framing<'_>,
        mut bits: BitWriter<'_>,
    ) -> Result<usize, EncodeError> {
        if framing.header && matches!(self.blocks, Blocks::Fixed) {
            bits.put(u64::from(1 | FIXED << 1), 3);
            bits.flush_at_end()?;
        } else if framing.header {
            if !codes.has_header() {
                return Err(EncodeError::IncompleteCode);
            }
            Header::new(codes).write(true, &mut bits)?;
        }
        self.table.clear();
        for start in block_starts(src) {
            self.parse(src, start, false);
            if let Some(symbol) = codes.missing(&self.tokens.histogram(), framing.end_of_block) {
                return Err(EncodeError::SymbolWithoutCode { symbol });
            }
            self.tokens.write(codes, &mut bits)?;
        }
        if framing.end_of_block {
            codes.put_end(&mut bits)?;
        }
        let len_bits = bits.len_bits();
        bits.pad()?;
        Ok(len_bits)
    }
}

/// The block is written while it is parsed.
#[inline(never)]
fn fixed_block<const PAGE: bool, const LAZY: usize>(
    table: &mut Table,
    src: &[u8],
    dst: &mut [u8],
) -> Result<usize, EncodeError> {
    let may_give_up = dst.len() <= src.len() && src.len() <= PAGE_BYTES;
    let mut bits = BitWriter::new(dst);
    bits.put(u64::from(1 | FIXED << 1), 3);
    table.clear();
    let sink = Fixed { bits, may_give_up };
    let mut bits = match parse::parse::<PAGE, LAZY, _>(table, src, 0, sink)? {
        Some(sink) => sink.bits,
        None => return Err(EncodeError::Incompressible),
    };
    fixed::CODES.put_end(&mut bits)?;
    let len_bits = bits.len_bits();
    bits.pad()?;
    Ok(len_bits)
}

#[inline(never)]
fn parse_tokens<const PAGE: bool, const LAZY: usize>(
    table: &mut Table,
    src: &[u8],
    start: usize,
    tokens: &mut Tokens,
) -> bool {
    let Ok(parsed) = parse::parse::<PAGE, LAZY, _>(table, src, start, tokens);
    parsed.is_some()
}

fn stored_block(src: &[u8], is_final: bool, bits: &mut BitWriter<'_>) -> Result<(), Full> {
    bits.put(u64::from(u32::from(is_final) | STORED << 1), 3);
    bits.pad()?;
    let len = src.len() as u32;
    bits.put(u64::from(len | (!len & 0xffff) << 16), 32);
    bits.flush_at_end()?;
    bits.put_bytes(src)
}

/// Where the blocks of a source start; an empty source has one, too.
fn block_starts(src: &[u8]) -> impl Iterator<Item = usize> + use<> {
    (0..src.len().max(1)).step_by(BLOCK_BYTES_MAX)
}

/// What encoding came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the length in two units is all there is")]
pub struct Encoded {
    /// Bytes of `dst` that the output takes, the last one padded with zero bits.
    pub bytes: usize,
    /// The same without the padding.
    pub bits: usize,
}

/// Why a source was not compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EncodeError {
    /// The stream does not fit the destination.
    DstTooSmall,
    /// The first 512 bytes of a page did not shrink, a sample of the others looks no better, and
    /// the destination is no longer than the page: given up.
    Incompressible,
    /// The code given to [`Encoder::with_codes`] has no word for a symbol that occurs.
    SymbolWithoutCode {
        /// Below 286 a literal or length, from there on a distance.
        symbol: usize,
    },
    /// Dynamic blocks were asked for without their headers or ends, which alone tell their codes.
    NoCodes,
    /// A header was asked for that no decoder takes: the code given to [`Encoder::with_codes`]
    /// leaves words unused, or has none for the end of the block.
    IncompleteCode,
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DstTooSmall => f.write_str("the stream does not fit the destination"),
            Self::Incompressible => f.write_str("the source does not look compressible"),
            Self::SymbolWithoutCode { symbol } => write!(f, "the code has no word for {symbol}"),
            Self::NoCodes => {
                f.write_str("dynamic blocks need their headers and ends: give the codes instead")
            }
            Self::IncompleteCode => {
                f.write_str("the code is incomplete, which only a block without a header may be")
            }
        }
    }
}

impl core::error::Error for EncodeError {}

impl From<Full> for EncodeError {
    fn from(Full: Full) -> Self {
        Self::DstTooSmall
    }
}

const GREEDY: usize = 0;
/// Matches shorter than this make the dense effort look one byte further. In a fixed block, little
/// is gained beyond.
const FIXED_LAZY_BYTES: usize = 8;
const LAZY_BYTES: usize = 32;
