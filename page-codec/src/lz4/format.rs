//! What the encoder and the decoder know about blocks: the LZ4 block format description.

/// A match copies at least so much; the token counts from here.
pub(super) const MATCH_BYTES_MIN: usize = 4;
/// A length in the token with this value goes on in bytes behind it.
pub(super) const LENGTH_IN_TOKEN_MAX: usize = 15;
/// So many bytes at the end of the data are literals.
pub(super) const LAST_LITERALS_BYTES: usize = 5;
/// The last match starts at least so far from the end of the data.
pub(super) const MATCH_START_TO_END_BYTES: usize = 12;
