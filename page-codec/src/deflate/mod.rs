//! Raw deflate (RFC 1951).

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
