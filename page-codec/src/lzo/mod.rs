//! The LZO1X stream format, and its version of the Linux kernel with runs of zeros, `lzo-rle`.
//!
//! A stream is a row of instructions: literals, or a match and up to three literals. Its end is
//! marked; it has no length and no checksum. The version with runs has a header, which no other
//! stream can start with, so one decoder reads both.
//!
//! All is made of checked accesses.

mod decode;
mod encode;
mod far;
mod format;
mod matches;
mod stream;

pub use decode::{DecodeError, decode, decode_batch};
pub use encode::{EncodeError, Encoder};
