//! Raw deflate (RFC 1951).

mod decode;
mod encode;

pub use decode::{DecodeError, Decoded, Decoder};
pub use encode::{Effort, EncodeError, Encoder};
