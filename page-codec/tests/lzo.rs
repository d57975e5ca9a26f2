//! LZO streams from this encoder: every decoder reads them, and nothing is written behind `dst`.

#![expect(clippy::unwrap_used, reason = "test helpers unwrap like tests")]

mod common;

use common::{LONG_BYTES, guarded, made_if_and_only_if_it_fits, sources};
use lzokay::decompress::decompress as foreign_decompress;
use page_codec::Page;
use page_codec::lzo::{DecodeError, EncodeError, Encoder, decode};

#[test]
fn every_length_and_content_is_read() {
    for mut encoder in encoders() {
        for (src, name) in sources((0..=300).chain(4095..=4097).chain([65535, LONG_BYTES])) {
            let stream = encoded(&mut encoder, &src);
            assert_eq!(decoded(&stream, src.len()).as_ref(), Ok(&src), "{name}");
        }
    }
}

#[test]
fn the_foreign_decoder_reads_plain_streams() {
    let mut encoder = Encoder::new();
    for (src, name) in sources((0..=300).chain(4095..=4097).chain([65535, LONG_BYTES])) {
        let (stream, mut data) = (encoded(&mut encoder, &src), vec![0; src.len()]);
        let len = foreign_decompress(&stream, &mut data);
        assert_eq!((len.ok(), data), (Some(src.len()), src), "{name}");
    }
}

#[test]
fn a_stream_is_made_if_and_only_if_it_fits() {
    for mut encoder in encoders() {
        for (src, name) in sources([0, 1, 3, 4, 12, 18, 19, 40, 238, 239, 270, 300]) {
            let stream = encoded(&mut encoder, &src);
            let most = stream.len() + 40;
            made_if_and_only_if_it_fits(
                &stream,
                most,
                || EncodeError::DstTooSmall,
                &name,
                |dst| encoder.encode(&src, dst),
            );
        }
    }
}

#[test]
fn pages_that_nearly_fit_are_refused() {
    for mut encoder in encoders() {
        for (src, name) in sources([4096, LONG_BYTES]) {
            let stream = encoded(&mut encoder, &src);
            for missing in (1..40).chain([stream.len() / 2, stream.len()]) {
                let len = stream.len().saturating_sub(missing);
                let (result, _) = guarded(len, |dst| encoder.encode(&src, dst));
                assert_eq!(result, Err(EncodeError::DstTooSmall), "{name} into {len}");
            }
        }
    }
}

#[test]
fn data_is_made_if_and_only_if_it_fits() {
    for mut encoder in encoders() {
        for (src, name) in sources([0, 1, 13, 31, 32, 33, 63, 64, 65, 300]) {
            let stream = encoded(&mut encoder, &src);
            let most = src.len() + 69;
            made_if_and_only_if_it_fits(
                &src,
                most,
                || DecodeError::DstTooSmall,
                &name,
                |dst| decode(&stream, dst),
            );
        }
    }
}

#[test]
fn few_bytes_are_literals_that_the_first_byte_counts() {
    assert_eq!(encoded(&mut Encoder::new(), b""), b"\x11\0\0");
    assert_eq!(encoded(&mut Encoder::new(), b"abc"), b"\x14abc\x11\0\0");
    assert_eq!(encoded(&mut Encoder::with_runs(), b"abc"), b"\x11\x01\x14abc\x11\0\0");
}

#[test]
fn a_page_of_one_byte_takes_few_bytes() {
    // A literal, and a match of 4095 bytes from 1 byte ago.
    let stream = encoded(&mut Encoder::new(), &[7; 4096]);
    assert_eq!(stream, [&[0x12, 7, 0x20][..], &[0; 15], &[237, 0, 0, 0x11, 0, 0]].concat());
}

#[test]
fn a_page_of_zeros_is_two_runs() {
    let stream = encoded(&mut Encoder::with_runs(), &[0; 4096]);
    assert_eq!(stream, b"\x11\x01\x12\0\x1f\xfc\xff\xff\x18\xfc\xff\xff\x11\0\0");
}

#[test]
fn zeros_of_every_length_are_runs() {
    let mut encoder = Encoder::with_runs();
    for zeros in (8..30).chain(2040..2070).chain(4095..4110) {
        let src = [&b"abcde"[..], &vec![0; zeros], b"xyz"].concat();
        let stream = encoded(&mut encoder, &src);
        assert_eq!(decoded(&stream, src.len()).as_ref(), Ok(&src), "{zeros}");
        assert!(stream.len() <= 20 + 4 * zeros.div_ceil(2048), "{zeros} in {}", stream.len());
    }
}

#[test]
fn an_encoder_forgets_the_last_source() {
    let mut used = Encoder::new();
    for (src, name) in sources([4096, 300, 4096]) {
        let stream = encoded(&mut used, &src);
        assert_eq!(stream, encoded(&mut Encoder::new(), &src), "{name}");
    }
}

#[test]
fn what_cannot_shrink_hardly_grows() {
    // Runs of zeros and far matches with literals between them that cost most.
    for mut encoder in encoders() {
        for zeros in 0..10 {
            for literals in 1..40 {
                let mut rng = fastrand::Rng::with_seed(zeros * 100 + literals);
                let mut src = Vec::new();
                while src.len() < 4096 {
                    src.extend((0..literals).map(|_| rng.u8(1..)));
                    src.resize(src.len() + zeros as usize, 0);
                }
                src.truncate(4096);
                let len = encoded(&mut encoder, &src).len();
                assert!(len <= 4096 + 4096 / 16 + 67, "{zeros} {literals}: {len}");
            }
        }
    }
}

#[test]
fn batches_are_as_one_by_one() {
    for count in [0, 1, 2, 3, 7, 8, 9] {
        let srcs: Vec<_> = sources([4096, 100]).take(count).map(|(src, _)| src).collect();
        // The third stream does not fit.
        let room = |i| if i == 2 { 3 } else { 5000 };
        let mut dsts: Vec<_> = (0..count).map(|i| vec![0; room(i)]).collect();
        let mut pages: Vec<_> =
            srcs.iter().zip(&mut dsts).map(|(src, dst)| Page::new(src, dst)).collect();
        Encoder::new().encode_batch(&mut pages);
        for (i, (page, src)) in pages.iter().zip(&srcs).enumerate() {
            assert_eq!(page.result, Some(Encoder::new().encode(src, &mut vec![0; room(i)])));
        }
    }
}

fn encoders() -> [Encoder; 2] {
    [Encoder::new(), Encoder::with_runs()]
}

fn encoded(encoder: &mut Encoder, src: &[u8]) -> Vec<u8> {
    let mut dst = vec![0; src.len() + src.len() / 8 + 67];
    let len = encoder.encode(src, &mut dst).unwrap();
    dst.truncate(len);
    dst
}

fn decoded(stream: &[u8], room: usize) -> Result<Vec<u8>, DecodeError> {
    let mut dst = vec![0; room];
    let len = decode(stream, &mut dst)?;
    dst.truncate(len);
    Ok(dst)
}
