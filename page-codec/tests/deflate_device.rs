//! What devices need: codes that both sides know, blocks without headers or ends, bits before them,
//! small windows, histograms, and the place of an error.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{LONG_BYTES, guarded, sources};
use page_codec::deflate::{
    CodeError, CodeTables, DecodeErrorKind, Decoder, Effort, EncodeError, Encoder, Framing,
};

const LENGTHS: [usize; 6] = [0, 1, 100, 4095, 4096, LONG_BYTES];

#[test]
fn the_best_code_of_a_page_fits_the_page() {
    for (src, name) in sources(LENGTHS) {
        for effort in [Effort::Fast, Effort::Dense] {
            let histogram = Encoder::dynamic().effort(effort).histogram(&src);
            let codes = CodeTables::of_histogram(&histogram);
            let mut encoder = Encoder::with_codes(codes.clone()).effort(effort);
            let stream = encoded(&mut encoder, &src, &Framing::new());
            // With its header, every decoder reads it.
            assert!(decoded(&mut Decoder::new(), &stream, src.len()) == src, "{name}");
            // Without, one that has the code.
            let framing = Framing::new().without_header();
            let bare = encoded(&mut encoder, &src, &framing);
            assert!(bare.len() < stream.len(), "{name}: {}, {}", bare.len(), stream.len());
            let mut dst = vec![0; src.len()];
            let mut decoder = Decoder::new().with_codes(codes);
            let end = decoder.decode_framed(&bare, &mut dst, &framing).unwrap();
            assert_eq!((end.consumed, end.produced), (bare.len(), src.len()), "{name}");
            assert!(dst == src, "{name}");
        }
    }
}

#[test]
fn a_given_header_makes_an_ordinary_stream() {
    // As a device is given it: three bits, final and fixed, in its output accumulator.
    let framing = Framing::new().leading(&[0b011], 3).without_header();
    for (src, name) in sources(LENGTHS) {
        for effort in [Effort::Fast, Effort::Dense] {
            let name = format!("{name}, {effort:?}");
            let mut encoder = Encoder::with_codes(CodeTables::fixed()).effort(effort);
            let stream = encoded(&mut encoder, &src, &framing);
            assert!(decoded(&mut Decoder::new(), &stream, src.len()) == src, "{name}");
            // It is what the encoder for such blocks makes, and its header.
            let mut fixed = Encoder::fixed().effort(effort);
            assert!(stream == encoded(&mut fixed, &src, &Framing::new()), "{name}");
            assert!(stream == encoded(&mut encoder, &src, &Framing::new()), "{name}");
            if src.len() <= 4096 {
                let mut direct = vec![0; stream.len().max(src.len() + 1)];
                assert_eq!(fixed.encode(&src, &mut direct), Ok(stream.len()), "{name}");
                assert!(direct.starts_with(&stream), "{name}");
            }
        }
    }
}

#[test]
fn the_fixed_code_needs_no_header_either() {
    let framing = Framing::new().without_header();
    let mut decoder = Decoder::new().with_codes(CodeTables::fixed());
    for (src, name) in sources(LENGTHS) {
        let bare = encoded(&mut Encoder::fixed(), &src, &framing);
        let mut dst = vec![0; src.len()];
        let end = decoder.decode_framed(&bare, &mut dst, &framing).unwrap();
        assert_eq!((end.consumed, end.produced), (bare.len(), src.len()), "{name}");
        assert!(dst == src, "{name}");
    }
}

#[test]
fn incomplete_codes_serve_where_no_header_tells_them() {
    let mut litlen = [0; 257];
    (litlen[65], litlen[256]) = (2, 2);
    let codes = CodeTables::from_lengths(&litlen, &[]).unwrap();
    let mut encoder = Encoder::with_codes(codes.clone());
    let mut dst = [0; 64];
    assert_eq!(encoder.encode(b"AA", &mut dst), Err(EncodeError::IncompleteCode));

    let framing = Framing::new().without_header();
    let bare = encoded(&mut encoder, b"AA", &framing);
    assert_eq!(bare, [0b10_00_00]);
    let mut decoder = Decoder::new().with_codes(codes);
    let end = decoder.decode_framed(&bare, &mut dst, &framing).unwrap();
    assert_eq!(&dst[..end.produced], b"AA");
    // Half of its words are nobody's.
    let error = decoder.decode_framed(&[0b11_00, 0, 0], &mut dst, &framing).unwrap_err();
    assert_eq!((error.kind, error.position_bits), (DecodeErrorKind::Symbol, 2));
}

#[test]
fn codes_without_an_end_have_no_header() {
    let mut litlen = [0; 256];
    (litlen[65], litlen[66]) = (1, 1);
    let codes = CodeTables::from_lengths(&litlen, &[]).unwrap();
    let framing = Framing::new().without_end_of_block();
    let result = Encoder::with_codes(codes).encode_framed(b"AB", &mut [0; 64], &framing);
    assert_eq!(result, Err(EncodeError::IncompleteCode));
}

#[test]
fn codes_of_many_sources_have_all_their_symbols() {
    for frequency in [1, 1 << 12, 1 << 21, 1 << 22, 1 << 31, u32::MAX] {
        let mut histogram = Encoder::fixed().histogram(b"");
        histogram.litlen = [frequency; 286];
        (histogram.litlen[7], histogram.litlen[8]) = (0, 1);
        histogram.dist = [u32::MAX; 30];
        let codes = CodeTables::of_histogram(&histogram);
        for (symbol, bits) in codes.litlen_bits().iter().enumerate() {
            assert_eq!(*bits > 0, symbol != 7, "{frequency}: symbol {symbol}");
        }
        assert!(codes.dist_bits().iter().all(|bits| [4, 5].contains(bits)), "{frequency}");
        // A header tells it, and decoders take it.
        let stream = encoded(&mut Encoder::with_codes(codes), b"page", &Framing::new());
        assert_eq!(decoded(&mut Decoder::new(), &stream, 4), b"page");
    }
}

#[test]
fn leading_bits_that_are_not_there_are_missing() {
    for bits in [1, 3, 8, 11, usize::MAX] {
        for framing in [Framing::new(), Framing::new().without_header()] {
            let framing = framing.leading(&[], bits);
            let mut decoder = Decoder::new().with_codes(CodeTables::fixed());
            let src = &[3, 0][..bits.min(16).div_ceil(8) - 1];
            let error = decoder.decode_framed(src, &mut [0; 9], &framing).unwrap_err();
            assert_eq!(error.kind, DecodeErrorKind::Truncated, "{bits}");
        }
    }
}

#[test]
fn leading_bits_are_written_and_skipped() {
    let (src, name) = sources([4096]).next().unwrap();
    for bits in [1, 7, 8, 9, 64, 100] {
        let framing = Framing::new().leading(&[0xa5; 12], bits);
        for mut encoder in [Encoder::fixed(), Encoder::dynamic()] {
            let stream = encoded(&mut encoder, &src, &framing);
            for bit in 0..bits {
                let expected = if bit < 96 { 0xa5_u8 >> (bit % 8) & 1 } else { 0 };
                assert_eq!(stream[bit / 8] >> (bit % 8) & 1, expected, "{name}: bit {bit}");
            }
            let mut dst = vec![0; src.len()];
            let end = Decoder::new().decode_framed(&stream, &mut dst, &framing).unwrap();
            assert_eq!(end.consumed, stream.len(), "{name}");
            assert!(dst == src, "{name}");
        }
    }
}

#[test]
fn blocks_without_end_stop_where_the_data_does() {
    let framing = Framing::new().without_end_of_block();
    for (src, name) in sources(LENGTHS) {
        let mut encoder = Encoder::fixed();
        let stream = encoded(&mut encoder, &src, &framing);
        let whole = encoded(&mut encoder, &src, &Framing::new());
        assert!(stream.len() <= whole.len(), "{name}");
        let mut dst = vec![0; src.len()];
        let end = Decoder::new().decode_framed(&stream, &mut dst, &framing).unwrap();
        assert_eq!((end.consumed, end.produced), (stream.len(), src.len()), "{name}");
        assert!(dst == src, "{name}");
    }
}

#[test]
fn lengths_in_bits_are_exact() {
    let mut dst = [0; 64];
    // A header of 3 bits, literals of 8 and 9, and an end of 7.
    let encoded = Encoder::fixed().encode_framed(&[1, 255], &mut dst, &Framing::new()).unwrap();
    assert_eq!((encoded.bits, encoded.bytes), (27, 4));
    let framing = Framing::new().without_header().without_end_of_block();
    let encoded = Encoder::fixed().encode_framed(&[1, 255], &mut dst, &framing).unwrap();
    assert_eq!((encoded.bits, encoded.bytes), (17, 3));
    // The smallest block is a fixed one; of stored ones there are only whole bytes.
    for (src, bits) in [(&b""[..], 10_usize), (&[1, 255], 27), (&[255; 1], 19)] {
        let encoded = Encoder::dynamic().encode_framed(src, &mut dst, &Framing::new()).unwrap();
        assert_eq!((encoded.bits, encoded.bytes), (bits, bits.div_ceil(8)), "{src:?}");
    }
}

#[test]
fn histograms_count_what_is_written() {
    for (src, name) in sources(LENGTHS) {
        let histogram = Encoder::fixed().histogram(&src);
        assert_eq!(histogram.litlen[256], 1, "{name}");
        let literals: u32 = histogram.litlen[..256].iter().sum();
        let matches: u32 = histogram.litlen[257..].iter().sum();
        assert_eq!(matches, histogram.dist.iter().sum(), "{name}");
        assert!(literals as usize + 3 * matches as usize <= src.len(), "{name}");
        assert!(literals as usize + 258 * matches as usize >= src.len(), "{name}");
    }
}

#[test]
fn codes_that_lack_a_symbol_are_refused() {
    let mut dst = [0; 64];
    let mut litlen = [0; 257];
    (litlen[65], litlen[256]) = (1, 1);
    let codes = CodeTables::from_lengths(&litlen, &[1, 1]).unwrap();
    let mut encoder = Encoder::with_codes(codes);
    assert!(encoder.encode(b"AAA", &mut dst).is_ok());
    let error = EncodeError::SymbolWithoutCode { symbol: 66 };
    assert_eq!(encoder.encode(b"AB", &mut dst), Err(error));

    litlen[256] = 0;
    let mut encoder = Encoder::with_codes(CodeTables::from_lengths(&litlen, &[]).unwrap());
    let framing = Framing::new().without_header();
    let error = EncodeError::SymbolWithoutCode { symbol: 256 };
    assert_eq!(encoder.encode_framed(b"A", &mut dst, &framing), Err(error));
    let framing = framing.without_end_of_block();
    assert!(encoder.encode_framed(b"A", &mut dst, &framing).is_ok());
}

#[test]
fn lengths_that_make_no_code_are_refused() {
    assert_eq!(CodeTables::from_lengths(&[1; 3], &[]), Err(CodeError::OverSubscribed));
    assert_eq!(CodeTables::from_lengths(&[16], &[]), Err(CodeError::TooLong));
    assert_eq!(CodeTables::from_lengths(&[9; 287], &[]), Err(CodeError::TooManySymbols));
    assert_eq!(CodeTables::from_lengths(&[9; 286], &[5; 31]), Err(CodeError::TooManySymbols));
}

#[test]
fn dynamic_blocks_need_their_headers() {
    let framing = Framing::new().without_header();
    let result = Encoder::dynamic().encode_framed(b"page", &mut [0; 64], &framing);
    assert_eq!(result, Err(EncodeError::NoCodes));
    let result = Decoder::new().decode_framed(&[0; 8], &mut [0; 64], &framing);
    assert_eq!(result.unwrap_err().kind, DecodeErrorKind::NoCodes);
}

#[test]
fn distances_beyond_the_window_are_refused() {
    let mut src = vec![0; 4096];
    for (i, byte) in src[..100].iter_mut().enumerate() {
        *byte = i as u8 + 1;
    }
    src.copy_within(..100, 3000);
    let stream = encoded(&mut Encoder::dynamic(), &src, &Framing::new());
    for (window_bytes, is_enough) in [(4096, true), (3000, true), (2999, false), (1, false)] {
        let mut dst = vec![0; 4096];
        let result = Decoder::new().window(window_bytes).decode(&stream, &mut dst);
        match result {
            Ok(_) => assert!(is_enough && dst == src, "{window_bytes}"),
            Err(error) => {
                assert!(!is_enough, "{window_bytes}: {error}");
                assert_eq!(error.kind, DecodeErrorKind::DistanceBeyondWindow);
            }
        }
    }
}

#[test]
fn errors_tell_their_place() {
    // Three bits of header, a literal of 8, and a match of 7 + 5 bits that leads before the start.
    let framing = Framing::new();
    let mut stream = [0; 16];
    let len = Encoder::fixed().encode_framed(b"aXaaaaaaaa", &mut stream, &framing).unwrap();
    let mut dst = [0; 4];
    let error = Decoder::new().decode(&stream[..len.bytes], &mut dst).unwrap_err();
    // The match behind three literals is too long for what is left.
    assert_eq!((error.kind, error.position_bits), (DecodeErrorKind::DstTooSmall, 3 + 3 * 8));
    let error = Decoder::new().decode(&[0b111], &mut dst).unwrap_err();
    assert_eq!((error.kind, error.position_bits), (DecodeErrorKind::BlockType, 0));
    let error = Decoder::new().decode(&stream[..2], &mut dst).unwrap_err();
    assert_eq!((error.kind, error.position_bits), (DecodeErrorKind::Truncated, 11));
    // The word of the length symbol 286, whole; and its first seven bits.
    let error = Decoder::new().decode(&[0b0001_1011, 0b011], &mut dst).unwrap_err();
    assert_eq!((error.kind, error.position_bits), (DecodeErrorKind::Symbol, 3));
    // The data of a stored block.
    let error = Decoder::new().decode(b"\x01\x03\0\xfc\xffabc", &mut []).unwrap_err();
    assert_eq!((error.kind, error.position_bits), (DecodeErrorKind::DstTooSmall, 40));
}

#[test]
fn errors_in_code_lengths_tell_their_place() {
    let (src, _) = sources([4096]).nth(1).unwrap();
    let stream = encoded(&mut Encoder::dynamic(), &src, &Framing::new());
    assert_eq!(stream[0] & 7, 0b101, "a dynamic block");
    let place = |len: usize| {
        let error = Decoder::new().decode(&stream[..len], &mut [0; 4096]).unwrap_err();
        assert_eq!(error.kind, DecodeErrorKind::Truncated, "{len}");
        error.position_bits
    };
    // No code length has more bits than 7 and 7 extra ones.
    for len in 12..40 {
        assert!((8 * len - 14..=8 * len).contains(&place(len)), "{len}: {}", place(len));
    }
}

fn encoded(encoder: &mut Encoder, src: &[u8], framing: &Framing<'_>) -> Vec<u8> {
    let (encoded, mut dst) =
        guarded(2 * src.len() + 512, |dst| encoder.encode_framed(src, dst, framing));
    let encoded = encoded.unwrap();
    assert_eq!(encoded.bits.div_ceil(8), encoded.bytes);
    dst.truncate(encoded.bytes);
    dst
}

fn decoded(decoder: &mut Decoder, stream: &[u8], len: usize) -> Vec<u8> {
    let mut dst = vec![0; len];
    let decoded = decoder.decode(stream, &mut dst).unwrap();
    assert_eq!((decoded.consumed, decoded.produced), (stream.len(), len));
    dst
}
