//! Properties of deflate.

use flate2::{Decompress, FlushDecompress, Status};
use page_codec::deflate::{
    CodeTables, DecodeError, Decoder, Effort, EncodeError, Encoder, Framing,
};

/// The decoder takes what zlib takes, reads as much of it, and makes the same of it.
pub fn deflate_decode(input: &[u8]) {
    let (room, stream) = crate::room(input);
    assert_eq!(decoded(stream, room), zlib(stream, room));
}

/// A stream that starts somewhere in a byte, without a header or an end, or read with a small
/// window: the decoder stays within its destination, and reads what an encoder makes of it.
pub fn deflate_framed(input: &[u8]) {
    let [bits, flags, window, input @ ..] = input else { return };
    let bits = usize::from(*bits);
    let mut framing = Framing::new().leading(&[0xa5; 20], bits);
    if flags & 1 != 0 {
        framing = framing.without_header();
    }
    if flags & 2 != 0 {
        framing = framing.without_end_of_block();
    }
    let window = 16 * usize::from(*window);
    let mut histogram = Encoder::fixed().histogram(input);
    if flags & 4 != 0 {
        // What rarely occurs does not at all, in this code.
        histogram.litlen.iter_mut().chain(&mut histogram.dist).for_each(|count| *count /= 2);
    }
    let codes = match flags >> 3 & 3 {
        0 => CodeTables::fixed(),
        1 => CodeTables::from_lengths(&[9; 286], &[5; 30]).expect("enough words"),
        _ => CodeTables::of_histogram(&histogram),
    };
    let mut decoder = Decoder::new().with_codes(codes.clone());
    let (room, stream) = crate::room(input);
    let read = |decoder: &mut Decoder, stream: &[u8], room| {
        crate::guarded(room, |dst| Ok(decoder.decode_framed(stream, dst, &framing)?.produced))
    };
    let _: Result<_, DecodeError> = read(&mut decoder.clone().window(window), stream, room);

    let mut encoder = Encoder::with_codes(codes);
    let roomy = 4 * input.len() + 1000;
    let encode =
        |dst: &mut [u8]| encoder.encode_framed(input, dst, &framing).map(|encoded| encoded.bytes);
    match crate::guarded(roomy, encode) {
        Ok(stream) => assert_eq!(read(&mut decoder, &stream, input.len()), Ok(input.to_vec())),
        Err(error) => assert_ne!(error, EncodeError::DstTooSmall),
    }
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
    match encoded(encoder, src, stream.len()) {
        // What looks like noise may be given up.
        Err(EncodeError::Incompressible) => assert!(stream.len() <= src.len()),
        result => assert_eq!(result, Ok(stream)),
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

/// Streams of every block type.
pub(crate) fn decode_seeds() -> Vec<Vec<u8>> {
    let stored = b"\x01\x03\0\xfc\xffabc";
    let streams: [&[u8]; 6] =
        [b"", stored, b"\x03\0", b"\x4b\x04\0", b"\x07", b"\x05\0\0\0\0\0\0\0"];
    crate::with_rooms(&streams, &[0, 1, 3, 300])
}

/// Frames of every kind.
pub(crate) fn framed_seeds() -> Vec<Vec<u8>> {
    let texts = ["", "a", "abc", "a page of a page of a page"];
    let kinds =
        [0, 3, 8, 200].into_iter().flat_map(|bits| (0..32).map(move |flags| [bits, flags, 9]));
    kinds.flat_map(|kind| texts.map(|text| [&kind, text.as_bytes()].concat())).collect()
}
