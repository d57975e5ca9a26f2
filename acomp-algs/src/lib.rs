//! Software drivers, one file each, registered when this crate is linked.
//!
//! A crate that is only listed in `Cargo.toml` is not linked: write `use acomp_algs as _;`, or
//! depend on the facade `acomp`, which does.
//!
//! | name | driver | stream | parameters |
//! |---|---|---|---|
//! | `null` | `null-copy` | the data itself | |
//! | `842` | `842-page` | one 842 stream, as the kernel's | |
//! | `deflate` | `deflate-page` | raw deflate (RFC 1951) | |
//! | `deflate` | `deflate-page-fixed` | raw deflate, with the fixed codes | |
//! | `deflate` | `deflate-flate2` | raw deflate (RFC 1951) | level 0-9, window, dictionary |
//! | `lz4` | `lz4-page` | one LZ4 block | |
//! | `lz4` | `lz4-flex` | one LZ4 block | |
//! | `lz4hc` | `lz4hc-liblz4` | one LZ4 block | level 1-12, dictionary |
//! | `lzo` | `lzo-page` | one LZO1X stream | |
//! | `lzo-rle` | `lzo-rle-page` | the same with the kernel's runs of zeros | |
//! | `zstd` | `zstd-libzstd` | one Zstandard frame (RFC 8878) | level, window or dictionary |
//!
//! Of a name, the first driver is preferred; a parameter that it refuses is passed on to the next.
//! Drivers for pages take sources of any length, and make long ones larger than others do.
//!
//! Every stream is the standard one, so foreign tools read it. Every driver refuses bytes behind
//! the end of a stream, and tells a destination that is too small from a stream that is corrupt.
//! The empty source compresses to a stream like any other; an empty *stream* is corrupt, except to
//! `null`.

#[cfg(feature = "deflate")]
mod deflate;
#[cfg(feature = "deflate")]
mod deflate_page;
#[cfg(feature = "842")]
mod e842_page;
#[cfg(feature = "lz4")]
mod lz4;
#[cfg(any(feature = "lz4", feature = "lz4hc"))]
mod lz4_block;
#[cfg(feature = "lz4")]
mod lz4_page;
#[cfg(feature = "lz4hc")]
mod lz4hc;
#[cfg(feature = "lzo")]
mod lzo_page;
#[cfg(feature = "null")]
mod null;
#[cfg(any(feature = "842", feature = "lz4", feature = "lzo"))]
mod page;
#[cfg(feature = "zstd")]
mod zstd;
