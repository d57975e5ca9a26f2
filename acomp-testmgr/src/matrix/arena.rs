//! Memory for destinations, and what must stay as it is around them.

use std::mem;
use std::ops::Range;

use super::Buffers;

/// Destinations in one buffer, between fences that nobody may change.
pub(crate) struct Arena {
    bytes: Vec<u8>,
    places: Vec<Range<usize>>,
}

impl Arena {
    pub(crate) fn new(
        buffers: Buffers,
        lens: impl ExactSizeIterator<Item = usize> + Clone,
    ) -> Self {
        let room = lens.clone().sum::<usize>() + (lens.len() + 1) * 2 * FENCE_BYTES + PAGE_BYTES;
        let bytes = vec![FENCE; room];
        let page = FENCE_BYTES + bytes[FENCE_BYTES..].as_ptr().align_offset(PAGE_BYTES);
        let mut at = page;
        let places = lens.map(|len| {
            if buffers == Buffers::Unaligned {
                at += FENCE_BYTES + usize::from((at - page).is_multiple_of(2));
            }
            let place = at..at + len;
            at = place.end;
            place
        });
        let places = places.collect();
        Self { bytes, places }
    }

    /// One slice for each destination.
    pub(crate) fn dsts(&mut self) -> Vec<&mut [u8]> {
        let (mut rest, mut at) = (&mut *self.bytes, 0);
        let dsts = self.places.iter().map(|place| {
            let (_, from) = mem::take(&mut rest).split_at_mut(place.start - at);
            let (dst, after) = from.split_at_mut(place.len());
            (rest, at) = (after, place.end);
            dst
        });
        dsts.collect()
    }

    /// The first bytes of a destination, if it has so many.
    pub(crate) fn output(&self, place: usize, len: usize) -> Option<&[u8]> {
        self.bytes[self.places[place].clone()].get(..len)
    }

    /// Fails unless all is as it was next to the destinations.
    pub(crate) fn check(&self) -> Result<(), String> {
        let starts = self.places.iter().map(|place| place.start).chain([self.bytes.len()]);
        let ends = [0].into_iter().chain(self.places.iter().map(|place| place.end));
        let mut gaps = ends.zip(starts).map(|(from, to)| &self.bytes[from..to]);
        let is_intact = gaps.all(|gap| {
            let fence = &FENCES[..gap.len().min(FENCE_BYTES)];
            gap.starts_with(fence) && gap.ends_with(fence)
        });
        if is_intact { Ok(()) } else { Err("wrote outside of its destination".into()) }
    }
}

/// Bytes at an odd address.
pub(crate) struct Odd {
    bytes: Vec<u8>,
    start: usize,
}

impl Odd {
    pub(crate) fn new(src: &[u8]) -> Self {
        let mut bytes = vec![0; src.len() + 1];
        let start = usize::from(bytes.as_ptr().addr().is_multiple_of(2));
        bytes[start..start + src.len()].copy_from_slice(src);
        Self { bytes, start }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..][..self.bytes.len() - 1]
    }
}

/// So many bytes at an address that begins no cache line.
pub(crate) fn off_line(len: usize) -> Box<[u8]> {
    let mut refused = Vec::new();
    loop {
        let bytes = vec![0; len].into_boxed_slice();
        if !bytes.as_ptr().addr().is_multiple_of(LINE_BYTES) || refused.len() == TRIES_MAX {
            return bytes;
        }
        refused.push(bytes); // Kept: the next one is elsewhere.
    }
}

const FENCE: u8 = 0xA5;
const FENCES: [u8; FENCE_BYTES] = [FENCE; FENCE_BYTES];
/// The longest that wild copies write at once.
const FENCE_BYTES: usize = 64;
const PAGE_BYTES: usize = 4096;
const LINE_BYTES: usize = 64;
/// An allocator that only knows whole lines is none of the driver's business.
const TRIES_MAX: usize = 8;

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn destinations_are_where_they_should_be() {
        for (buffers, lens) in [(Buffers::Linear, [10, 0, 7]), (Buffers::Unaligned, [10, 1, 7])] {
            let mut arena = Arena::new(buffers, lens.into_iter());
            let dsts = arena.dsts();
            assert_eq!(dsts.iter().map(|dst| dst.len()).collect::<Vec<_>>(), lens);
            let addrs: Vec<_> = dsts.iter().map(|dst| dst.as_ptr().addr()).collect();
            match buffers {
                Buffers::Unaligned => assert!(addrs.iter().all(|addr| addr % 2 == 1), "{addrs:?}"),
                _ => assert_eq!((addrs[0] % PAGE_BYTES, addrs[2] - addrs[0]), (0, 10)),
            }
            dsts.into_iter().for_each(|dst| dst.fill(0));
            assert_eq!(arena.check(), Ok(()));
            let end = arena.places[2].end;
            arena.bytes[end] = 0;
            assert!(arena.check().is_err());
        }
    }

    #[test]
    fn odd_bytes_are_odd() {
        for len in 0..40 {
            let src = vec![7; len];
            let odd = Odd::new(&src);
            assert!(odd.bytes() == src && odd.bytes().as_ptr().addr() % 2 == 1);
        }
    }
}
