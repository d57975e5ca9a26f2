//! The decoder.
/// x
#[derive(Debug)]
pub struct Decoder {}
/// x
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "x")]
pub struct Decoded {
    /// x
    pub consumed: usize,
    /// x
    pub produced: usize,
}
/// x
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// x
    DstTooSmall,
}
impl Decoder {
    /// x
    #[must_use]
    pub fn new() -> Self {
        Self {}
    }
    /// x
    pub fn decode(&mut self, _src: &[u8], _dst: &mut [u8]) -> Result<Decoded, DecodeError> {
        Err(DecodeError::DstTooSmall)
    }
    /// x
    pub fn decode_batch(&mut self, _pages: &mut [crate::Page<'_, Result<Decoded, DecodeError>>]) {}
}
