//! What stands around the symbols of a block.

/// x
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Framing {}
