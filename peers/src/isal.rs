//! ISA-L's igzip, version 2: stateless deflate and inflate.

#![allow(unsafe_code)]

use std::ffi::c_int;

use anyhow::{Result, ensure};

use crate::Peer;
use crate::library::{load, symbol};

/// Which of igzip's compressors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IsaLevel {
    /// Level 0 with the static table: one block of the fixed Huffman code.
    Fixed,
    /// Level 1: dynamic Huffman codes.
    One,
    /// Level 2.
    Two,
    /// Level 3, the last.
    Three,
}

/// igzip with reused state.
#[derive(Debug)]
pub struct Isal {
    deflate: Vec<u64>,
    inflate: Vec<u64>,
    /// Referred to by `deflate`.
    _level: Vec<u64>,
    run_deflate: unsafe extern "C" fn(*mut u64) -> c_int,
    reset_inflate: unsafe extern "C" fn(*mut u64),
    run_inflate: unsafe extern "C" fn(*mut u64) -> c_int,
}

impl Isal {
    /// Loads the library.
    ///
    /// # Errors
    /// It is not installed, or is not version 2.
    pub fn open(level: IsaLevel) -> Result<Self> {
        let library = Box::leak(Box::new(load("libisal.so.2", "libisal2")?));
        // SAFETY: the types are those of igzip_lib.h, structures passed by address.
        let (init, tables, run_deflate, init_inflate, reset_inflate, run_inflate) = unsafe {
            (
                symbol::<unsafe extern "C" fn(*mut u64)>(library, "isal_deflate_stateless_init")?,
                symbol::<unsafe extern "C" fn(*mut u64, *mut u8, c_int) -> c_int>(
                    library,
                    "isal_deflate_set_hufftables",
                )?,
                symbol(library, "isal_deflate_stateless")?,
                symbol::<unsafe extern "C" fn(*mut u64)>(library, "isal_inflate_init")?,
                symbol(library, "isal_inflate_reset")?,
                symbol(library, "isal_inflate_stateless")?,
            )
        };
        let mut deflate = vec![0; STREAM_BYTES / 8];
        let mut inflate = vec![0; STREAM_BYTES / 8];
        let mut buffer = vec![0; LEVEL_BYTES / 8];
        // SAFETY: both structures are smaller than the memory given here, and aligned.
        unsafe {
            init(deflate.as_mut_ptr());
            init_inflate(inflate.as_mut_ptr());
        }
        match level {
            IsaLevel::Fixed => {
                // SAFETY: the stream is initialised; type 2 takes no table.
                let status = unsafe { tables(deflate.as_mut_ptr(), std::ptr::null_mut(), 2) };
                ensure!(status == 0, "isal_deflate_set_hufftables: {status}");
            }
            IsaLevel::One | IsaLevel::Two | IsaLevel::Three => {
                deflate[LEVEL] = level as u64 | (LEVEL_BYTES as u64) << 32;
                deflate[LEVEL_BUFFER] = buffer.as_mut_ptr() as u64;
            }
        }
        Ok(Self { deflate, inflate, _level: buffer, run_deflate, reset_inflate, run_inflate })
    }
}

impl Peer for Isal {
    fn compress(&mut self, src: &[u8], dst: &mut [u8]) -> Option<usize> {
        let stream = &mut self.deflate;
        stream[0] = src.as_ptr() as u64;
        stream[1] = src.len() as u64;
        stream[2] = dst.as_mut_ptr() as u64;
        stream[3] = dst.len() as u64;
        // end_of_stream = 1, flush = NO_FLUSH, gzip_flag = IGZIP_DEFLATE, hist_bits = default.
        stream[7] = 1;
        // SAFETY: the stream was initialised at `open`; its input and output are `src` and `dst`.
        let status = unsafe { (self.run_deflate)(stream.as_mut_ptr()) };
        (status == 0).then_some((stream[3] >> 32) as usize)
    }

    fn decompress(&mut self, src: &[u8], dst: &mut [u8]) -> Option<usize> {
        let state = &mut self.inflate;
        // SAFETY: the state was initialised at `open`; its input and output are `src` and `dst`.
        let status = unsafe {
            (self.reset_inflate)(state.as_mut_ptr());
            state[0] = dst.as_mut_ptr() as u64;
            state[1] = dst.len() as u64;
            state[2] = src.as_ptr() as u64;
            state[4] = src.len() as u64;
            (self.run_inflate)(state.as_mut_ptr())
        };
        (status == 0).then_some((state[1] >> 32) as usize)
    }
}

/// More than `struct isal_zstream` (82 384) and `struct inflate_state` (87 368) of version 2.30.
const STREAM_BYTES: usize = 96 << 10;
/// More than any level's `ISAL_DEF_LVLn_DEFAULT`.
const LEVEL_BYTES: usize = 1 << 20;
/// The word of `level` and `level_buf_size`, and the word of `level_buf`.
const LEVEL: usize = 5;
const LEVEL_BUFFER: usize = 6;
