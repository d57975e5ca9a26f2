//! zlib, version 1: raw deflate, and inflate, the strict judge of its streams.

#![allow(unsafe_code)]

use std::ffi::{c_char, c_int, c_uint, c_ulong, c_void};
use std::ptr::null_mut;

use anyhow::Result;

use crate::Peer;
use crate::library::{load, symbol};

/// zlib at one level.
#[derive(Debug)]
pub struct Zlib {
    level: c_int,
    version: *const c_char,
    deflate_init: DeflateInit2,
    deflate: Step,
    deflate_end: End,
    inflate_init: InflateInit2,
    inflate: Step,
    inflate_end: End,
}

type DeflateInit2 = unsafe extern "C" fn(
    *mut Stream,
    c_int,
    c_int,
    c_int,
    c_int,
    c_int,
    *const c_char,
    c_int,
) -> c_int;
type InflateInit2 = unsafe extern "C" fn(*mut Stream, c_int, *const c_char, c_int) -> c_int;
type Step = unsafe extern "C" fn(*mut Stream, c_int) -> c_int;
type End = unsafe extern "C" fn(*mut Stream) -> c_int;

/// `z_stream` of zlib.h.
#[repr(C)]
struct Stream {
    next_in: *const u8,
    avail_in: c_uint,
    total_in: c_ulong,
    next_out: *mut u8,
    avail_out: c_uint,
    total_out: c_ulong,
    msg: *const c_char,
    state: *mut c_void,
    allocators: [*mut c_void; 3],
    data_type: c_int,
    adler: c_ulong,
    reserved: c_ulong,
}

impl Zlib {
    /// Loads the library, to compress at `level`, 0 to 9.
    ///
    /// # Errors
    /// It is not installed.
    pub fn open(level: u8) -> Result<Self> {
        let library = Box::leak(Box::new(load("libz.so.1", "zlib1g")?));
        // SAFETY: the types are those of zlib.h.
        unsafe {
            let version = symbol::<unsafe extern "C" fn() -> *const c_char>(library, "zlibVersion");
            Ok(Self {
                level: c_int::from(level),
                version: version?(),
                deflate_init: symbol(library, "deflateInit2_")?,
                deflate: symbol(library, "deflate")?,
                deflate_end: symbol(library, "deflateEnd")?,
                inflate_init: symbol(library, "inflateInit2_")?,
                inflate: symbol(library, "inflate")?,
                inflate_end: symbol(library, "inflateEnd")?,
            })
        }
    }
}

impl Stream {
    fn new(src: &[u8], dst: &mut [u8]) -> Self {
        Self {
            next_in: src.as_ptr(),
            avail_in: src.len() as c_uint,
            total_in: 0,
            next_out: dst.as_mut_ptr(),
            avail_out: dst.len() as c_uint,
            total_out: 0,
            msg: null_mut(),
            state: null_mut(),
            allocators: [null_mut(); 3],
            data_type: 0,
            adler: 0,
            reserved: 0,
        }
    }
}

impl Peer for Zlib {
    fn compress(&mut self, src: &[u8], dst: &mut [u8]) -> Option<usize> {
        let mut stream = Stream::new(src, dst);
        // SAFETY: the stream has the layout of zlib.h, null allocators choose the default ones, and
        // each address comes with its length.
        let status = unsafe {
            let size = size_of::<Stream>() as c_int;
            let init = (self.deflate_init)(
                &raw mut stream,
                self.level,
                DEFLATED,
                RAW_WINDOW_BITS,
                MEM_LEVEL,
                DEFAULT_STRATEGY,
                self.version,
                size,
            );
            if init != 0 {
                return None;
            }
            let status = (self.deflate)(&raw mut stream, FINISH);
            (self.deflate_end)(&raw mut stream);
            status
        };
        (status == STREAM_END).then_some(stream.total_out as usize)
    }

    /// The stream must end where the slice ends.
    fn decompress(&mut self, src: &[u8], dst: &mut [u8]) -> Option<usize> {
        let mut stream = Stream::new(src, dst);
        // SAFETY: the stream has the layout of zlib.h, null allocators choose the default ones, and
        // each address comes with its length.
        let status = unsafe {
            let size = size_of::<Stream>() as c_int;
            if (self.inflate_init)(&raw mut stream, RAW_WINDOW_BITS, self.version, size) != 0 {
                return None;
            }
            let status = (self.inflate)(&raw mut stream, FINISH);
            (self.inflate_end)(&raw mut stream);
            status
        };
        (status == STREAM_END && stream.avail_in == 0).then_some(stream.total_out as usize)
    }
}

/// The largest window, and no header around the stream.
const RAW_WINDOW_BITS: c_int = -15;
const DEFLATED: c_int = 8;
/// The default.
const MEM_LEVEL: c_int = 8;
const DEFAULT_STRATEGY: c_int = 0;
const FINISH: c_int = 4;
const STREAM_END: c_int = 1;
