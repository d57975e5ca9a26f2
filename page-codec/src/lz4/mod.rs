//! The LZ4 block format: fast in both directions, and read everywhere.
//!
//! A block is a row of sequences: literals, then a match, which repeats what was up to 65535 bytes
//! before. It has no header, no length and no checksum; whoever keeps it keeps its length.
//!
//! The encoder is made of checked accesses only; so is the decoder near the ends of a block, where
//! errors are found, too. Far from the ends it has one unsafe leaf, `raw`.

mod block;
mod decode;
mod encode;
mod format;
mod matches;
mod raw;

pub use decode::{DecodeError, decode, decode_batch};
pub use encode::{EncodeError, Encoder};
