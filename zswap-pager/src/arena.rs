//! Slices of values in a region.

use bytemuck::Pod;

/// Cuts bytes, such as those of a [`Region`](crate::Region), into slices of plain values, from the
/// start on.
///
/// ```
/// use zswap_pager::Arena;
/// let mut memory = vec![0u8; 4096];
/// let mut arena = Arena::new(&mut memory);
/// let numbers: &mut [u64] = arena.slice(10).expect("room for 80 bytes");
/// numbers[9] = 7;
/// let more: &mut [u32] = arena.slice(3).expect("room for 12 bytes");
/// assert_eq!(more, [0; 3]);
/// assert!(arena.slice::<u64>(1000).is_none());
/// ```
#[derive(Debug)]
pub struct Arena<'m> {
    rest: &'m mut [u8],
}

impl<'m> Arena<'m> {
    /// An arena that has all of the memory.
    pub fn new(memory: &'m mut [u8]) -> Self {
        Self { rest: memory }
    }

    /// The next `len` values: what the memory contains, zeros where it was not written to. `None`:
    /// there is no room for them.
    pub fn slice<T: Pod>(&mut self, len: usize) -> Option<&'m mut [T]> {
        let bytes = len.checked_mul(size_of::<T>())?;
        let padding = self.rest.as_ptr().align_offset(align_of::<T>());
        if padding.checked_add(bytes)? > self.rest.len() {
            return None;
        }
        let (_, rest) = std::mem::take(&mut self.rest).split_at_mut(padding);
        let (slice, rest) = rest.split_at_mut(bytes);
        self.rest = rest;
        bytemuck::try_cast_slice_mut(slice).ok()
    }
}
