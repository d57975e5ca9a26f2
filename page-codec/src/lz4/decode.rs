//! The decoder.
/// x
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// The data is longer than the destination.
    DstTooSmall,
    /// x
    Corrupt,
}
/// x
pub fn decode(_src: &[u8], _dst: &mut [u8]) -> Result<usize, DecodeError> {
    Err(DecodeError::Corrupt)
}
/// x
pub fn decode_batch(_pages: &mut [crate::Page<'_, Result<usize, DecodeError>>]) {}
