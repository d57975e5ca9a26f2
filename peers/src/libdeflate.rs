//! libdeflate, version 1.

#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};

use anyhow::{Result, ensure};

use crate::Peer;
use crate::library::{load, symbol};

/// libdeflate with a compressor and a decompressor of its own.
#[derive(Debug)]
pub struct Libdeflate {
    compressor: *mut c_void,
    decompressor: *mut c_void,
    compress: unsafe extern "C" fn(*mut c_void, *const u8, usize, *mut u8, usize) -> usize,
    decompress: Decompress,
}

type Decompress =
    unsafe extern "C" fn(*mut c_void, *const u8, usize, *mut u8, usize, *mut usize) -> c_int;

impl Libdeflate {
    /// Loads the library; `level` is 0 to 12.
    ///
    /// # Errors
    /// It is not installed, or has no such level.
    pub fn open(level: c_int) -> Result<Self> {
        let library = Box::leak(Box::new(load("libdeflate.so.0", "libdeflate0")?));
        // SAFETY: the types are those of libdeflate.h.
        let (new_compressor, new_decompressor, compress, decompress) = unsafe {
            (
                symbol::<unsafe extern "C" fn(c_int) -> *mut c_void>(
                    library,
                    "libdeflate_alloc_compressor",
                )?,
                symbol::<unsafe extern "C" fn() -> *mut c_void>(
                    library,
                    "libdeflate_alloc_decompressor",
                )?,
                symbol(library, "libdeflate_deflate_compress")?,
                symbol(library, "libdeflate_deflate_decompress")?,
            )
        };
        // SAFETY: neither has preconditions. Both are kept as long as the process lives.
        let (compressor, decompressor) = unsafe { (new_compressor(level), new_decompressor()) };
        ensure!(
            !compressor.is_null() && !decompressor.is_null(),
            "libdeflate has no level {level}"
        );
        Ok(Self { compressor, decompressor, compress, decompress })
    }
}

impl Peer for Libdeflate {
    fn compress(&mut self, src: &[u8], dst: &mut [u8]) -> Option<usize> {
        // SAFETY: the compressor is valid, and each address comes with its length.
        let len = unsafe {
            (self.compress)(self.compressor, src.as_ptr(), src.len(), dst.as_mut_ptr(), dst.len())
        };
        (len > 0).then_some(len)
    }

    fn decompress(&mut self, src: &[u8], dst: &mut [u8]) -> Option<usize> {
        let mut len = 0;
        // SAFETY: the decompressor is valid, and each address comes with its length.
        let status = unsafe {
            (self.decompress)(
                self.decompressor,
                src.as_ptr(),
                src.len(),
                dst.as_mut_ptr(),
                dst.len(),
                &raw mut len,
            )
        };
        (status == 0).then_some(len)
    }
}
