//! Properties of deflate.

use flate2::{Decompress, FlushDecompress, Status};
use page_codec::deflate::{Decoder, Effort, EncodeError, Encoder};

/// The decoder takes what zlib takes, reads as much of it, and makes the same of it.
pub fn deflate_decode(input: &[u8]) {
    let (room, stream) = crate::room(input);
    assert_eq!(decoded(stream, room), zlib(stream, room));
}

/// What an encoder makes is read by everybody, and made wherever it fits.
pub fn deflate_roundtrip(input: &[u8]) {
    let src = crate::source(input);
    for dynamic in [false, true] {
        for effort in [Effort::Fast, Effort::Dense] {
            let encoder = if dynamic { Encoder::dynamic() } else { Encoder::fixed() };
            roundtrip(&mut encoder.effort(effort), &src);
        }
    }
}

fn roundtrip(encoder: &mut Encoder, src: &[u8]) {
    let roomy = src.len() + src.len() / 8 + 64;
    let stream = encoded(encoder, src, roomy).expect("enough room");
    let expected = Some((stream.len(), src.to_vec()));
    assert_eq!(decoded(&stream, src.len()), expected);
    assert_eq!(zlib(&stream, src.len()), expected);
    assert!(encoded(encoder, src, stream.len() - 1).is_err(), "more than fits");
    // What does not shrink may be given up.
    if stream.len() < src.len() {
        assert_eq!(encoded(encoder, src, stream.len()), Ok(stream));
    }
}

fn encoded(encoder: &mut Encoder, src: &[u8], room: usize) -> Result<Vec<u8>, EncodeError> {
    crate::guarded(room, |dst| encoder.encode(src, dst))
}

/// How much of the stream was read, and the data.
fn decoded(stream: &[u8], room: usize) -> Option<(usize, Vec<u8>)> {
    let mut consumed = 0;
    let data = crate::guarded(room, |dst| {
        let decoded = Decoder::new().decode(stream, dst)?;
        consumed = decoded.consumed;
        Ok::<_, page_codec::deflate::DecodeError>(decoded.produced)
    });
    Some((consumed, data.ok()?))
}

/// The same by zlib-rs, which gets a byte more of room to find the end of the stream in.
fn zlib(stream: &[u8], room: usize) -> Option<(usize, Vec<u8>)> {
    let (mut decoder, mut data) = (Decompress::new(false), vec![0; room + 1]);
    let status = decoder.decompress(stream, &mut data, FlushDecompress::Finish);
    data.truncate(decoder.total_out() as usize);
    let is_taken = matches!(status, Ok(Status::StreamEnd)) && data.len() <= room;
    is_taken.then(|| (decoder.total_in() as usize, data))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_of_every_block_type() {
        let stored: &[u8] = b"\x01\x03\0\xfc\xffabc";
        for stream in [b"", stored, b"\x03\0", b"\x4b\x04\0", b"\x07", b"\x05\0\0\0\0\0\0\0"] {
            for room in [0, 1, 3, 300] {
                deflate_decode(&[&[room as u8, (room >> 8) as u8], stream].concat());
            }
        }
    }

    #[test]
    fn sources_of_every_shape() {
        for shape in 0..4 {
            for text in ["", "a", "abc", "a page of a page of a page"] {
                deflate_roundtrip(&[&[shape], text.as_bytes()].concat());
            }
        }
        deflate_roundtrip(b"");
    }
}
