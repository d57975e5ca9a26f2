//! liblz4, version 1: blocks.

#![allow(unsafe_code)]

use std::ffi::c_int;

use anyhow::Result;

use crate::Peer;
use crate::library::{load, symbol};

/// liblz4's block functions with reused state.
#[derive(Debug)]
pub struct Liblz4 {
    acceleration: c_int,
    state: Vec<u64>,
    compress: unsafe extern "C" fn(*mut u64, *const u8, *mut u8, c_int, c_int, c_int) -> c_int,
    decompress: unsafe extern "C" fn(*const u8, *mut u8, c_int, c_int) -> c_int,
}

impl Liblz4 {
    /// Loads the library.
    ///
    /// # Errors
    /// It is not installed.
    pub fn open(acceleration: c_int) -> Result<Self> {
        let library = Box::leak(Box::new(load("liblz4.so.1", "liblz4-1")?));
        // SAFETY: the types are those of lz4.h.
        let (state_bytes, compress, decompress) = unsafe {
            (
                symbol::<unsafe extern "C" fn() -> c_int>(library, "LZ4_sizeofState")?(),
                symbol(library, "LZ4_compress_fast_extState")?,
                symbol(library, "LZ4_decompress_safe")?,
            )
        };
        let state = vec![0; (state_bytes as usize).div_ceil(8)];
        Ok(Self { acceleration, state, compress, decompress })
    }
}

impl Peer for Liblz4 {
    fn compress(&mut self, src: &[u8], dst: &mut [u8]) -> Option<usize> {
        // SAFETY: the state has the size asked for; each address comes with its length.
        let len = unsafe {
            (self.compress)(
                self.state.as_mut_ptr(),
                src.as_ptr(),
                dst.as_mut_ptr(),
                src.len() as c_int,
                dst.len() as c_int,
                self.acceleration,
            )
        };
        (len > 0).then_some(len as usize)
    }

    fn decompress(&mut self, src: &[u8], dst: &mut [u8]) -> Option<usize> {
        // SAFETY: each address comes with its length.
        let len = unsafe {
            (self.decompress)(
                src.as_ptr(),
                dst.as_mut_ptr(),
                src.len() as c_int,
                dst.len() as c_int,
            )
        };
        usize::try_from(len).ok()
    }
}
