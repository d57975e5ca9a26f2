//! Properties of LZ4 blocks.

use lz4_flex::block as foreign;
use page_codec::lz4::{EncodeError, Encoder, decode};

/// The decoder takes what `lz4_flex` takes, and makes the same of it.
pub fn lz4_decode(input: &[u8]) {
    let (room, block) = crate::room(input);
    assert_eq!(decoded(block, room), there(block, room));
}

/// What the encoder makes is read by everybody, and made wherever it fits.
pub fn lz4_roundtrip(input: &[u8]) {
    let src = crate::source(input);
    let mut encoder = Encoder::new();
    let block = encoded(&mut encoder, &src, src.len() + src.len() / 8 + 64).expect("enough room");
    assert_eq!(decoded(&block, src.len()).as_ref(), Some(&src));
    assert_eq!(there(&block, src.len()).as_ref(), Some(&src));
    let too_small = encoded(&mut encoder, &src, block.len() - 1);
    assert_eq!(too_small, Err(EncodeError::DstTooSmall));
    assert_eq!(encoded(&mut encoder, &src, block.len()), Ok(block));
}

fn encoded(encoder: &mut Encoder, src: &[u8], room: usize) -> Result<Vec<u8>, EncodeError> {
    crate::guarded(room, |dst| encoder.encode(src, dst))
}

fn decoded(block: &[u8], room: usize) -> Option<Vec<u8>> {
    crate::guarded(room, |dst| decode(block, dst)).ok()
}

fn there(block: &[u8], room: usize) -> Option<Vec<u8>> {
    let mut data = vec![0; room];
    let len = foreign::decompress_into(block, &mut data).ok()?;
    data.truncate(len);
    Some(data)
}

/// Blocks that are valid and not.
pub(crate) fn decode_seeds() -> Vec<Vec<u8>> {
    let blocks: [&[u8]; 6] =
        [b"", b"\0", b"\x10a", b"\x10a\x01\0\x50bcdef", b"\x10a\0\0\x50bcdef", b"\xf0\xff"];
    crate::with_rooms(&blocks, &[0, 1, 10, 11, 200])
}
