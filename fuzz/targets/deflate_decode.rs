//! Tries the property of this name.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| acomp_fuzz::deflate_decode(input));
