//! How a block is written.

use super::format::{LENGTH_IN_TOKEN_BYTES_MAX, MATCH_BYTES_MIN};
use super::matches::Match;

/// A block that is written front to back. `None` from a method: it does not fit.
pub(super) struct Block<'a> {
    dst: &'a mut [u8],
    len: usize,
}

impl<'a> Block<'a> {
    pub(super) fn new(dst: &'a mut [u8]) -> Self {
        Self { dst, len: 0 }
    }

    /// The literals of `src` from `start` to `at`, where a match begins, and the match.
    #[inline(always)]
    pub(super) fn sequence(
        &mut self,
        src: &[u8],
        start: usize,
        at: usize,
        found: &Match,
    ) -> Option<()> {
        let literals = at - start;
        let more = found.length - MATCH_BYTES_MIN;
        let token = in_token(literals) << 4 | in_token(more);
        let offset = (found.offset as u16).to_le_bytes();
        if literals < LENGTH_IN_TOKEN_BYTES_MAX
            && let Some(from) = src.get(start..)?.first_chunk::<16>()
            && let Some(to) = self.dst.get_mut(self.len..)?.first_chunk_mut::<20>()
        {
            to[0] = token;
            to[1..17].copy_from_slice(from);
            to[1 + literals] = offset[0];
            to[2 + literals] = offset[1];
            self.len += 3 + literals;
        } else {
            self.literals(token, &src[start..at])?;
            self.put(&offset)?;
        }
        self.rest_of_length(more)
    }

    /// The literals behind the last match; the length of the whole block.
    pub(super) fn last_sequence(mut self, literals: &[u8]) -> Option<usize> {
        self.literals(in_token(literals.len()) << 4, literals)?;
        Some(self.len)
    }

    #[inline(never)]
    fn literals(&mut self, token: u8, literals: &[u8]) -> Option<()> {
        self.put(&[token])?;
        self.rest_of_length(literals.len())?;
        self.put(literals)
    }

    /// What the token does not hold of a length.
    #[inline(always)]
    fn rest_of_length(&mut self, length: usize) -> Option<()> {
        match length.checked_sub(LENGTH_IN_TOKEN_BYTES_MAX) {
            None => Some(()),
            Some(rest) => self.length_bytes(rest),
        }
    }

    // Inlined, it would take registers from the search for matches.
    #[inline(never)]
    fn length_bytes(&mut self, mut rest: usize) -> Option<()> {
        while rest >= 255 {
            self.put(&[255])?;
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

fn in_token(length: usize) -> u8 {
    length.min(LENGTH_IN_TOKEN_BYTES_MAX) as u8
}
