//! The encoder.
/// x
#[derive(Debug)]
pub struct Encoder {}
/// x
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EncodeError {
    /// The block does not fit the destination.
    DstTooSmall,
    /// The source is longer than [`SRC_BYTES_MAX`](crate::SRC_BYTES_MAX).
    SrcTooLarge,
}
impl Encoder {
    /// x
    #[must_use]
    pub fn new() -> Self {
        Self {}
    }
    /// x
    pub fn encode(&mut self, _src: &[u8], _dst: &mut [u8]) -> Result<usize, EncodeError> {
        Err(EncodeError::DstTooSmall)
    }
    /// x
    pub fn encode_batch(&mut self, _pages: &mut [crate::Page<'_, Result<usize, EncodeError>>]) {}
}
