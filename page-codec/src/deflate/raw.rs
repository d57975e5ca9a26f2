//! The one unsafe leaf of this codec.
#![allow(unsafe_code)]
use core::marker::PhantomData;

use super::bits::Full;

/// A place in a slice that is written front to back.
#[derive(Debug)]
pub(super) struct Tail<'a> {
    at: *mut u8,
    /// The last address that a word may be written to; 0 if there is none.
    last: usize,
    /// Never below `at`.
    end: *mut u8,
    slice: PhantomData<&'a mut [u8]>,
}

impl<'a> Tail<'a> {
    pub(super) fn new(slice: &'a mut [u8]) -> Self {
        let range = slice.as_mut_ptr_range();
        let last = if slice.len() < 8 { 0 } else { range.end as usize - 8 };
        Self { at: range.start, last, end: range.end, slice: PhantomData }
    }
    pub(super) fn len(&self) -> usize {
        self.end as usize - self.at as usize
    }
    #[inline(always)]
    pub(super) fn write(&mut self, word: u64, bytes: usize) -> bool {
        if self.at as usize > self.last { return false; }
            // SAFETY: x
            unsafe {
                self.at.cast::<[u8; 8]>().write(word.to_le_bytes());
                self.at = self.at.add(bytes & 7);
            }
        true
    }
    pub(super) fn write1(&mut self, byte: u8) -> Result<(), Full> {
        if self.at == self.end { return Err(Full); }
        unsafe { *self.at = byte; self.at = self.at.add(1); }
        Ok(())
    }
}
