//! Properties of LZO1X streams.

use lzokay::decompress::decompress as foreign;
use page_codec::lzo::{EncodeError, Encoder, decode};

/// The decoder takes what `lzokay` takes, and makes the same of it, whatever was in the
/// destination.
///
/// `lzokay` knows no headers. What follows one is a stream that both know; with runs of zeros, to
/// the other they are matches at distances of 48 KiB, which no destination here is as long as.
pub fn lzo_decode(input: &[u8]) {
    let (room, stream) = crate::room(input);
    let data = decoded(stream, room);
    let mut dst = vec![0; room];
    let again = decode(stream, &mut dst).ok().map(|len| dst[..len].to_vec());
    assert_eq!(data, again, "what was in the destination is in the data");
    match stream {
        [17, 0, rest @ ..] if rest.len() >= 3 => assert_eq!(data, there(rest, room)),
        [17, 1, rest @ ..] if rest.len() >= 3 => {
            let plain = there(rest, room);
            assert!(plain.is_none() || plain == data);
        }
        [17, _, rest @ ..] if rest.len() >= 3 => assert_eq!(data, None),
        _ => assert_eq!(data, there(stream, room)),
    }
}

/// What the encoders make is read by everybody, runs of zeros only here, and made wherever it fits.
pub fn lzo_roundtrip(input: &[u8]) {
    let src = crate::source(input);
    for (mut encoder, is_plain) in [(Encoder::new(), true), (Encoder::with_runs(), false)] {
        let roomy = src.len() + src.len() / 16 + 67;
        let stream = encoded(&mut encoder, &src, roomy).expect("enough room");
        assert_eq!(decoded(&stream, src.len()).as_ref(), Some(&src));
        if is_plain {
            assert_eq!(there(&stream, src.len()).as_ref(), Some(&src));
        }
        let too_small = encoded(&mut encoder, &src, stream.len() - 1);
        assert_eq!(too_small, Err(EncodeError::DstTooSmall));
        assert_eq!(encoded(&mut encoder, &src, stream.len()), Ok(stream));
    }
}

fn encoded(encoder: &mut Encoder, src: &[u8], room: usize) -> Result<Vec<u8>, EncodeError> {
    crate::guarded(room, |dst| encoder.encode(src, dst))
}

fn decoded(stream: &[u8], room: usize) -> Option<Vec<u8>> {
    crate::guarded(room, |dst| decode(stream, dst)).ok()
}

fn there(stream: &[u8], room: usize) -> Option<Vec<u8>> {
    let mut data = vec![0; room];
    let len = foreign(stream, &mut data).ok()?;
    data.truncate(len);
    Some(data)
}

/// Streams that are valid and not.
pub(crate) fn decode_seeds() -> Vec<Vec<u8>> {
    let streams: [&[u8]; 8] = [
        b"",
        b"\x11\0\0",
        b"\x11\0\x14abc\x11\0\0",
        b"\x14abc\x11\0\0",
        b"\x14abc\x80\x01\x11\0\0",
        b"\x12a\x12\0\0",
        b"\x11\x01\x13ab\x1a\xfd\xff\x01c\x11\0\0",
        b"\x11\x02\x13ab\x11\0\0",
    ];
    crate::with_rooms(&streams, &[0, 1, 3, 17, 200])
}
