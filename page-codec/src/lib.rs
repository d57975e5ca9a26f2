//! Deflate, LZ4, LZO and 842 for single memory pages.
//!
//! General libraries compress streams: they keep windows, grow buffers, and make tables that pay
//! off after many pages. A cache of memory pages, a swap or a device model has 4096 bytes at a time
//! and wants them gone in microseconds. That shape allows small tables, 16-bit positions, a history
//! that is the page itself, and buffers of constant size.
//!
//! The codecs allocate nothing, never write beyond `dst`, and never panic, whatever they are given.
//! What they write is standard: raw deflate (RFC 1951) with distances of at most 4096 bytes, LZ4
//! blocks, and LZO1X and 842 streams as the Linux kernel reads them. They need no `std`; with it (a
//! default feature), they find out what the CPU can do.

#![no_std]

#[cfg(feature = "std")]
extern crate std;

pub mod deflate;
pub mod e842;
pub mod lz4;
pub mod lzo;
mod pattern;

/// One page of a batch: what to read, where to write, and what came of it.
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "made by callers, field by field")]
pub struct Page<'a, R> {
    /// What to encode or decode.
    pub src: &'a [u8],
    /// Where the result goes. On an error its contents are unspecified.
    pub dst: &'a mut [u8],
    /// What came of it; `None` before the batch ran.
    pub result: Option<R>,
}

impl<'a, R> Page<'a, R> {
    /// A page that has not been run yet.
    pub fn new(src: &'a [u8], dst: &'a mut [u8]) -> Self {
        Self { src, dst, result: None }
    }
}

const PAGE_BYTES: usize = 4096;
