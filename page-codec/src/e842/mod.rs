//! The 842 format: what the Linux kernel's `842` reads and writes.
//!
//! A stream is a row of operations that make eight bytes each, in fields that begin at any bit. A
//! field is data, or the number of a slot in a ring of what was written before: of the last 256
//! pairs of bytes, 512 groups of four, or 256 of eight. The end is marked and followed by a CRC of
//! the data.
//!
//! All is made of checked accesses. A module's name does not begin with a digit, hence the letter.

mod bits;
mod crc;
mod decode;
mod encode;
mod format;
mod rings;

pub use decode::{DecodeError, decode, decode_batch};
pub use encode::{EncodeError, Encoder};
