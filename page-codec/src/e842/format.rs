//! What both sides know about 842 streams.

/// The bytes that a template, a zero block, or a whole reference makes.
pub(super) const BLOCK_BYTES: usize = 8;
pub(super) const OPCODE_BITS: u32 = 5;

/// Opcodes below are templates: `KINDS` times the kind of the first half, and that of the second.
pub(super) const BLOCK: u32 = 0x19;
pub(super) const REPEAT: u32 = 0x1b;
pub(super) const ZEROS: u32 = 0x1c;
pub(super) const SHORT_DATA: u32 = 0x1d;
pub(super) const END: u32 = 0x1e;

/// Kinds of halves. Those before are pairs: 2 if the first is a reference, 1 if the second is.
pub(super) const KIND_WHOLE: u32 = 4;
pub(super) const KINDS: u32 = 5;

pub(super) const PAIR_BITS: u32 = 16;
/// References to two, four, and eight bytes.
pub(super) const INDEX_2_BITS: u32 = 8;
pub(super) const INDEX_4_BITS: u32 = 9;
pub(super) const INDEX_8_BITS: u32 = 8;

/// Counts blocks, less one.
pub(super) const REPEAT_BITS: u32 = 6;
/// Counts bytes.
pub(super) const SHORT_DATA_BITS: u32 = 3;
pub(super) const CRC_BITS: u32 = 32;
/// A stream is as many words of so many bytes as it takes.
pub(super) const WORD_BYTES: usize = 8;

/// Where a reference points to, in units, from a block that starts at `here`, in units too.
///
/// A slot belongs to the last unit before the block whose position has its bits. `None` if nothing
/// was written there yet.
#[inline(always)]
pub(super) fn position<const INDEX_BITS: u32>(slot: usize, here: usize) -> Option<usize> {
    let mask = (1 << INDEX_BITS) - 1;
    here.checked_sub(1 + (here.wrapping_sub(1 + slot) & mask))
}
