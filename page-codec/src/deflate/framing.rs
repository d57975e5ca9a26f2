//! What stands around the symbols of a block.

/// How a block is embedded, for devices and formats that keep a block's code elsewhere, put bits of
/// their own before it, or stop at a length instead of an end.
///
/// The default is an ordinary stream: a header, the symbols, the end of the block.
///
/// ```
/// use page_codec::deflate::{Decoder, Encoder, Framing};
///
/// // The header of a fixed block, as a device is given it: final, type 01.
/// let framing = Framing::new().leading(&[0b011], 3).without_header();
/// let (page, mut stream, mut back) = ([7; 4096], [0; 4096], [0; 4096]);
/// let encoded = Encoder::fixed().encode_framed(&page, &mut stream, &framing)?;
/// // With the leading bits it is a stream that everybody reads.
/// let decoded = Decoder::new().decode(&stream[..encoded.bytes], &mut back);
/// assert_eq!(decoded.map(|decoded| decoded.produced), Ok(4096));
/// # Ok::<_, page_codec::deflate::EncodeError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Framing<'a> {
    pub(super) leading: &'a [u8],
    pub(super) leading_bits: usize,
    pub(super) header: bool,
    pub(super) end_of_block: bool,
}

impl<'a> Framing<'a> {
    /// An ordinary stream.
    #[must_use]
    pub const fn new() -> Self {
        Self { leading: &[], leading_bits: 0, header: true, end_of_block: true }
    }

    /// `bits` bits stand first: an encoder writes them from `bytes`, lowest bit of the first byte
    /// first, with zeros where `bytes` ends; a decoder skips as many.
    #[must_use]
    pub const fn leading(mut self, bytes: &'a [u8], bits: usize) -> Self {
        (self.leading, self.leading_bits) = (bytes, bits);
        self
    }

    /// The symbols start at once: no final flag, no block type, no code lengths.
    #[must_use]
    pub const fn without_header(mut self) -> Self {
        self.header = false;
        self
    }

    /// The symbols end with the data: a decoder stops when its destination is full.
    #[must_use]
    pub const fn without_end_of_block(mut self) -> Self {
        self.end_of_block = false;
        self
    }
}

impl Default for Framing<'_> {
    fn default() -> Self {
        Self::new()
    }
}
