//! Raw deflate (RFC 1951).
//!
//! An [`Encoder`] goes from a source to literals and matches (`parse`), and from those to bits:
//! at once where the code is known before (`fixed`), else over `tokens`, whose histogram makes the
//! code (`huffman`) that stands in the block's `header`. A [`Decoder`] goes the other way, over
//! tables of what the next bits mean. `format` has the numbers of the RFC that both need.

mod bits;
mod codes;
mod decode;
mod encode;
mod fixed;
mod format;
mod framing;
mod header;
mod huffman;
mod parse;
mod raw;
mod tokens;

pub use codes::{CodeError, CodeTables, Histogram};
pub use decode::{DecodeError, DecodeErrorKind, Decoded, Decoder};
pub use encode::{Effort, EncodeError, Encoded, Encoder};
pub use framing::Framing;
