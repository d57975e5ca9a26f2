//! How a stream is written.

use super::format::{
    END, FIRST_BASE, FIRST_BYTES_MAX, HEADER, LITERALS_BYTES_MIN, LITERALS_IN_OPCODE_BYTES_MAX,
    M2_BYTES_MAX, M2_DISTANCE_BYTES_MAX, M3, M3_IN_OPCODE_BYTES_MAX, M4, MATCH_BYTES_BASE,
    RUN_BYTES_MAX, RUN_BYTES_MIN, VERSION_RUNS,
};

/// A stream that is written front to back. `None` from a method: it does not fit.
pub(super) struct Stream<'a> {
    dst: &'a mut [u8],
    len: usize,
    /// The byte of the last match that counts the literals behind it; none before the first.
    count_at: Option<usize>,
}

impl<'a> Stream<'a> {
    pub(super) fn new(dst: &'a mut [u8]) -> Self {
        Self { dst, len: 0, count_at: None }
    }

    pub(super) fn header_of_runs(&mut self) -> Option<()> {
        self.put(&[HEADER, VERSION_RUNS])
    }

    /// The literals `src[start..end]`: all between two matches, before the first, or behind the
    /// last.
    #[inline(always)]
    pub(super) fn literals(&mut self, src: &[u8], start: usize, end: usize) -> Option<()> {
        let count = end - start;
        if let Some(at) = self.count_at
            && count <= LITERALS_CHUNK_BYTES
            && let Some(from) = src.get(start..)?.first_chunk::<LITERALS_CHUNK_BYTES>()
            && let Some(to) = self.dst.get_mut(self.len..)?.get_mut(..1 + LITERALS_CHUNK_BYTES)
        {
            // Whether there is an opcode is seldom foreseen, so there is no branch.
            let is_run = count >= LITERALS_BYTES_MIN;
            to[0] = count.wrapping_sub(LITERALS_BYTES_MIN - 1) as u8;
            to[usize::from(is_run)..][..LITERALS_CHUNK_BYTES].copy_from_slice(from);
            self.dst[at] |= if is_run { 0 } else { count as u8 };
            self.len += usize::from(is_run) + count;
            return Some(());
        }
        self.many_literals(&src[start..end])
    }

    #[inline(never)]
    fn many_literals(&mut self, literals: &[u8]) -> Option<()> {
        match (literals.len(), self.count_at) {
            (0, _) => return Some(()),
            (count @ ..LITERALS_BYTES_MIN, Some(at)) => self.dst[at] |= count as u8,
            (count @ ..=FIRST_BYTES_MAX, None) => self.put(&[(FIRST_BASE + count) as u8])?,
            (count, _) => {
                self.opcode(0, count - (LITERALS_BYTES_MIN - 1), LITERALS_IN_OPCODE_BYTES_MAX)?;
            }
        }
        self.put(literals)
    }

    /// A match at a distance of M2 or M3.
    #[inline(always)]
    pub(super) fn repeat(&mut self, distance: usize, length: usize) -> Option<()> {
        let near = distance - 1;
        if length <= M2_BYTES_MAX && distance <= M2_DISTANCE_BYTES_MAX {
            self.put(&[((length - 1) << 5 | near << 2 & 28) as u8, (near >> 3) as u8])?;
        } else {
            let [low, high] = ((near << 2) as u16).to_le_bytes();
            let length = length - MATCH_BYTES_BASE;
            if length <= M3_IN_OPCODE_BYTES_MAX {
                self.put(&[(M3 | length) as u8, low, high])?;
            } else {
                self.opcode(M3, length, M3_IN_OPCODE_BYTES_MAX)?;
                self.put(&[low, high])?;
            }
        }
        self.count_at = Some(self.len - 2);
        Some(())
    }

    /// Zeros, in the version with runs, in as many runs as are needed.
    #[inline(always)]
    pub(super) fn zeros(&mut self, mut length: usize) -> Option<()> {
        while length > 0 {
            // What is left is never shorter than a run.
            let run = match length {
                ..=RUN_BYTES_MAX => length,
                _ => RUN_BYTES_MAX.min(length - RUN_BYTES_MIN),
            };
            let more = run - RUN_BYTES_MIN;
            self.put(&[(M4 | 8 | more & 7) as u8, 0xfc, 0xff, (more >> 3) as u8])?;
            self.count_at = Some(self.len - 3);
            length -= run;
        }
        Some(())
    }

    /// The length of the whole stream.
    pub(super) fn end(mut self) -> Option<usize> {
        self.put(&END)?;
        Some(self.len)
    }

    /// An opcode, and what of a length does not fit it.
    #[inline(never)]
    fn opcode(&mut self, opcode: usize, length: usize, length_max: usize) -> Option<()> {
        if length <= length_max {
            return self.put(&[(opcode | length) as u8]);
        }
        self.put(&[opcode as u8])?;
        let mut rest = length - length_max;
        while rest > 255 {
            self.put(&[0])?;
            rest -= 255;
        }
        self.put(&[rest as u8])
    }

    #[inline(always)]
    fn put(&mut self, bytes: &[u8]) -> Option<()> {
        self.dst.get_mut(self.len..)?.get_mut(..bytes.len())?.copy_from_slice(bytes);
        self.len += bytes.len();
        Some(())
    }
}

/// So many literals are copied at once.
const LITERALS_CHUNK_BYTES: usize = 16;
