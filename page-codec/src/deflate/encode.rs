//! The encoder.
/// x
#[derive(Debug)]
pub struct Encoder {}
/// x
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EncodeError {
    /// The stream does not fit the destination.
    DstTooSmall,
}
/// x
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Effort {
    /// x
    Fast,
    /// x
    Dense,
}
impl Encoder {
    /// x
    #[must_use]
    pub fn fixed() -> Self {
        Self {}
    }
    /// x
    #[must_use]
    pub fn dynamic() -> Self {
        Self {}
    }
    /// x
    #[must_use]
    pub fn effort(self, _: Effort) -> Self {
        self
    }
    /// x
    pub fn encode(&mut self, _src: &[u8], _dst: &mut [u8]) -> Result<usize, EncodeError> {
        Err(EncodeError::DstTooSmall)
    }
}
