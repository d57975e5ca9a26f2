//! 842 streams from this encoder: they are read again, and nothing is written behind `dst`.

#![expect(clippy::unwrap_used, reason = "test helpers unwrap like tests")]

mod common;

use common::{LONG_BYTES, guarded, made_if_and_only_if_it_fits, sources};
use page_codec::Page;
use page_codec::e842::{DecodeError, EncodeError, Encoder, decode};

#[test]
fn every_length_and_content_is_read() {
    let mut encoder = Encoder::new();
    for (src, name) in sources((0..=300).chain(4095..=4097).chain([65535, LONG_BYTES])) {
        let stream = encoded(&mut encoder, &src);
        let (result, data) = guarded(src.len(), |dst| decode(&stream, dst));
        assert_eq!((result, data), (Ok(src.len()), src), "{name}");
    }
}

/// Those that the kernel makes of these sources, of which there are no shorter ones.
#[test]
fn streams_are_those_of_the_kernel() {
    let cases: [(&[u8], &[u8]); 5] = [
        (b"", b"\xf0\0\0\0\0\0\0\0"),
        (b"hello", b"\xed\x68\x65\x6c\x6c\x6f\xf5\x0e\xf1\x0a\xf0\0\0\0\0\0"),
        (
            b"abcdefghabcdefghabcd1234",
            b"\x03\x0b\x13\x1b\x23\x2b\x33\x3b\x46\xc0\xa0\x08\xc4\xc8\xcc\xd3\xd9\x71\xf1\xb8\x60\
              \0\0\0",
        ),
        (
            b"\0\x01\x02\x03\x04\x05\x06\x07\0\x01\0\x01\x06\x07\xaa\xbb",
            b"\0\0\x08\x10\x18\x20\x28\x30\x3c\x40\0\0\xea\xae\xfc\xcd\x68\xf6\x42\0\0\0\0\0",
        ),
        // Zeros, 7 repetitions of 64 and one of 63.
        (&[0; 4096], b"\xe6\xff\xdf\xfb\xff\x7f\xef\xfd\xff\xbf\xf7\xf7\x80\0\0\0\0\0\0\0\0\0\0\0"),
    ];
    for (src, stream) in cases {
        assert_eq!(encoded(&mut Encoder::new(), src), stream, "{src:x?}");
    }
}

#[test]
fn few_zeros_are_no_repetition() {
    let first_65 = "11100 11011111111";
    let cases = [
        (1, "11100".to_owned()),
        (3, "11100 11100 11100".to_owned()),
        (4, "11100 11011000010".to_owned()),
        (65, first_65.to_owned()),
        (67, format!("{first_65} 11100 11100")),
        (68, format!("{first_65} 11011000010")),
    ];
    for (blocks, operations) in cases {
        let stream = encoded(&mut Encoder::new(), &vec![0; 8 * blocks]);
        let bits: String = stream.iter().map(|byte| format!("{byte:08b}")).collect();
        let expected = operations.replace(' ', "") + "11110";
        assert_eq!(bits.trim_end_matches('0'), expected.trim_end_matches('0'), "{blocks}");
    }
}

/// A reference is found nearly always, as long as it reaches.
#[test]
fn references_reach_the_whole_window_and_not_beyond() {
    // Behind raw blocks: a whole block that was there, a half and its four bytes, or a pair.
    for (unit, window, opcode, slot_bits) in
        [(8, 2048, 0x19, 8), (4, 2048, 0x14, 9), (2, 512, 0x0a, 8)]
    {
        for (distance, found_min, found_max) in
            [(16, 190, 200), (window - 8, 150, 200), (window, 150, 200), (window + 8, 0, 0)]
        {
            let mut found = 0;
            for seed in 0..200 {
                let blocks = distance / 8 + seed % 300;
                let mut src = different_pairs(seed, blocks * 8);
                let from = blocks * 8 - distance;
                src.extend_from_within(from..from + unit);
                src.extend(&different_pairs(seed, 20_000)[10_000..][..8 - unit]);
                let stream = encoded(&mut Encoder::new(), &src);
                let at = RAW_BLOCK_BITS * blocks;
                if field(&stream, at, 5) == opcode {
                    found += 1;
                    assert_eq!(field(&stream, at + 5, slot_bits), from % window / unit);
                }
            }
            assert!((found_min..=found_max).contains(&found), "{unit} {distance}: {found}");
        }
    }
}

#[test]
fn a_stream_is_made_if_and_only_if_it_fits() {
    let mut encoder = Encoder::new();
    for (src, name) in sources([0, 1, 7, 8, 9, 16, 40, 300]) {
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

#[test]
fn data_is_made_if_and_only_if_it_fits() {
    let mut encoder = Encoder::new();
    for (src, name) in sources([0, 1, 7, 8, 9, 63, 64, 65, 300]) {
        let stream = encoded(&mut encoder, &src);
        let most = src.len() + 19;
        made_if_and_only_if_it_fits(
            &src,
            most,
            || DecodeError::DstTooSmall,
            &name,
            |dst| decode(&stream, dst),
        );
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
fn noise_grows_by_five_bits_in_sixty_four() {
    for (src, name) in sources([4096]) {
        assert!(encoded(&mut Encoder::new(), &src).len() <= 4424, "{name}");
    }
    let len = encoded(&mut Encoder::new(), &different_pairs(0, 4096)).len();
    assert_eq!(len, (512 * RAW_BLOCK_BITS + 37).div_ceil(64) * 8);
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

/// Up to 128 KiB, in which no two bytes at an even position come twice.
fn different_pairs(seed: usize, len: usize) -> Vec<u8> {
    (1..).flat_map(|i: u16| (i.wrapping_mul(40503) ^ seed as u16).to_le_bytes()).take(len).collect()
}

fn field(stream: &[u8], at: usize, bits: usize) -> usize {
    let bit = |at: usize| usize::from(stream[at / 8] >> (7 - at % 8) & 1);
    (at..at + bits).fold(0, |field, at| field << 1 | bit(at))
}

fn encoded(encoder: &mut Encoder, src: &[u8]) -> Vec<u8> {
    let mut dst = vec![0; src.len() + src.len() / 8 + 16];
    let len = encoder.encode(src, &mut dst).unwrap();
    dst.truncate(len);
    dst
}

const RAW_BLOCK_BITS: usize = 69;
