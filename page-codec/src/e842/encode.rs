//! The encoder: which references and data make up each block.

use core::fmt;

use super::bits::Writer;
use super::crc::crc;
use super::format::{
    BLOCK, BLOCK_BYTES, CRC_BITS, END, INDEX_2_BITS, INDEX_4_BITS, INDEX_8_BITS, KIND_WHOLE, KINDS,
    OPCODE_BITS, PAIR_BITS, REPEAT, REPEAT_BITS, SHORT_DATA, SHORT_DATA_BITS, ZEROS,
};
use super::rings::{Blocks, Fours, Pairs};
use crate::Page;

/// Compresses to 842 streams.
///
/// Its tables of 14 KiB are inside; whoever keeps an encoder may want to box it.
///
/// ```
/// use page_codec::e842::{self, EncodeError, Encoder};
///
/// let page = [b"pages, ".repeat(100), vec![0; 3396]].concat();
/// let mut encoder = Encoder::new();
/// assert_eq!(encoder.encode(&page, &mut [0; 16]), Err(EncodeError::DstTooSmall));
/// let mut stream = [0; 400];
/// let len = encoder.encode(&page, &mut stream)?;
///
/// let mut data = [0; 4096];
/// assert_eq!(e842::decode(&stream[..len], &mut data), Ok(page.len()));
/// assert_eq!(data[..page.len()], page);
/// # Ok::<(), EncodeError>(())
/// ```
#[derive(Debug)]
pub struct Encoder {
    pairs: Pairs,
    fours: Fours,
    blocks: Blocks,
}

impl Encoder {
    /// An encoder that has seen nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self { pairs: Pairs::new(), fours: Fours::new(), blocks: Blocks::new() }
    }

    /// Compresses `src` to one stream at the start of `dst` and tells its length, which is a
    /// multiple of 8.
    ///
    /// Whatever the length of `dst`, there is a stream if it fits.
    ///
    /// # Errors
    /// The stream does not fit `dst`.
    pub fn encode(&mut self, src: &[u8], dst: &mut [u8]) -> Result<usize, EncodeError> {
        self.fill(src, Writer::new(dst)).ok_or(EncodeError::DstTooSmall)
    }

    /// Compresses the pages one after the other and sets their results.
    ///
    /// ```
    /// use page_codec::{Page, e842};
    ///
    /// let (mut one, mut two) = ([0; 8], [0; 8]);
    /// let mut pages = [Page::new(&[0; 8], &mut one), Page::new(b"noise", &mut two)];
    /// e842::Encoder::new().encode_batch(&mut pages);
    /// assert_eq!(pages[0].result, Some(Ok(8)));
    /// assert_eq!(pages[1].result, Some(Err(e842::EncodeError::DstTooSmall)));
    /// ```
    pub fn encode_batch(&mut self, pages: &mut [Page<'_, Result<usize, EncodeError>>]) {
        for page in pages {
            page.result = Some(self.encode(page.src, page.dst));
        }
    }

    fn fill(&mut self, src: &[u8], mut stream: Writer<'_>) -> Option<usize> {
        let (blocks, rest) = src.as_chunks::<BLOCK_BYTES>();
        let mut at = 0;
        while let Some(block) = blocks.get(at) {
            if *block == [0; BLOCK_BYTES] {
                stream.put(u64::from(ZEROS), OPCODE_BITS)?;
                self.enter(*block, at);
            } else {
                self.block(src, *block, at, &mut stream)?;
            }
            at += 1;
            let repeated = blocks[at..].iter().take_while(|next| *next == block).count();
            if repeated > 0 {
                repeat(repeated, *block, &mut stream)?;
                at += repeated;
                // Of those that are the same, the last is in reach for longest.
                self.enter(*block, at - 1);
            }
        }
        if !rest.is_empty() {
            stream.put(u64::from(SHORT_DATA), OPCODE_BITS)?;
            stream.put(rest.len() as u64, SHORT_DATA_BITS)?;
            rest.iter().try_for_each(|byte| stream.put(u64::from(*byte), u8::BITS))?;
        }
        stream.put(u64::from(END), OPCODE_BITS)?;
        stream.put(u64::from(crc(src)), CRC_BITS)?;
        stream.end()
    }

    /// Writes a block in the shortest way that what is known allows.
    #[inline(always)]
    fn block(
        &mut self,
        src: &[u8],
        block: [u8; BLOCK_BYTES],
        at: usize,
        stream: &mut Writer<'_>,
    ) -> Option<()> {
        if let Some(slot) = self.blocks.slot(src, at, Blocks::unit(block)) {
            stream.put(u64::from(BLOCK) << INDEX_8_BITS | slot, OPCODE_BITS + INDEX_8_BITS)?;
        } else {
            let [a, b, c, d, e, f, g, h] = block;
            let first = self.half(src, [a, b, c, d], at);
            let second = self.half(src, [e, f, g, h], at);
            let opcode = u64::from(KINDS * first.kind + second.kind);
            stream.put(opcode << first.bits | first.fields, OPCODE_BITS + first.bits)?;
            stream.put(second.fields, second.bits)?;
        }
        self.enter(block, at);
        Some(())
    }

    #[inline(always)]
    fn half(&self, src: &[u8], half: [u8; 4], at: usize) -> Half {
        if let Some(slot) = self.fours.slot(src, 2 * at, Fours::unit(half)) {
            return Half { kind: KIND_WHOLE, fields: slot, bits: INDEX_4_BITS };
        }
        let [a, b, c, d] = half;
        let pair = |pair| match self.pairs.slot(src, 4 * at, Pairs::unit(pair)) {
            Some(slot) => (1, slot, INDEX_2_BITS),
            None => (0, u64::from(u16::from_be_bytes(pair)), PAIR_BITS),
        };
        let (first, second) = (pair([a, b]), pair([c, d]));
        Half {
            kind: first.0 << 1 | second.0,
            fields: first.1 << second.2 | second.1,
            bits: first.2 + second.2,
        }
    }

    /// Enters a block and its parts into the rings.
    #[inline(always)]
    fn enter(&mut self, block: [u8; BLOCK_BYTES], at: usize) {
        let [a, b, c, d, e, f, g, h] = block;
        self.blocks.enter(at, Blocks::unit(block));
        self.fours.enter(2 * at, Fours::unit([a, b, c, d]));
        self.fours.enter(2 * at + 1, Fours::unit([e, f, g, h]));
        for (i, pair) in [[a, b], [c, d], [e, f], [g, h]].into_iter().enumerate() {
            self.pairs.enter(4 * at + i, Pairs::unit(pair));
        }
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

struct Half {
    kind: u32,
    fields: u64,
    bits: u32,
}

/// Repeats the block before; of zeros, as long as that is shorter than to write them.
fn repeat(mut blocks: usize, block: [u8; BLOCK_BYTES], stream: &mut Writer<'_>) -> Option<()> {
    while blocks > 0 {
        let zeros_bits = blocks.saturating_mul(OPCODE_BITS as usize);
        if block == [0; BLOCK_BYTES] && zeros_bits < (OPCODE_BITS + REPEAT_BITS) as usize {
            stream.put(u64::from(ZEROS), OPCODE_BITS)?;
            blocks -= 1;
        } else {
            let some = blocks.min(1 << REPEAT_BITS);
            stream.put(u64::from(REPEAT), OPCODE_BITS)?;
            stream.put(some as u64 - 1, REPEAT_BITS)?;
            blocks -= some;
        }
    }
    Some(())
}
