//! The LZ4 block format.

mod decode;
mod encode;
mod format;

pub use decode::{DecodeError, decode, decode_batch};
pub use encode::{EncodeError, Encoder};
