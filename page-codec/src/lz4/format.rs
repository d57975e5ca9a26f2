//! What both sides know about blocks, after the description of the LZ4 block format.

/// The shortest match; the token counts from here.
pub(super) const MATCH_BYTES_MIN: usize = 4;
/// A length in the token goes on behind it if it has this value.
pub(super) const LENGTH_IN_TOKEN_BYTES_MAX: usize = 15;
/// So many bytes at the end of the data are literals.
pub(super) const LAST_LITERALS_BYTES: usize = 5;
/// The last match starts so far from the end of the data, or farther.
pub(super) const LAST_MATCH_BYTES: usize = 12;
