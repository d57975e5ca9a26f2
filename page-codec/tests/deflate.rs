//! Deflate streams from this encoder: every decoder reads them, and they stay within `dst`.

#![expect(clippy::unwrap_used, reason = "test helpers unwrap like tests")]

mod common;
mod foreign;

use common::{LONG_BYTES, guarded, sources};
use fastrand::Rng;
use flate2::{Decompress, FlushDecompress, Status};
use page_codec::Page;
use page_codec::deflate::{Decoder, Effort, EncodeError, Encoder};

#[test]
fn every_decoder_reads_every_length_and_content() {
    let lens = (0..=300).chain(4095..=4097).chain([10000, 65535, LONG_BYTES]);
    let (mut encoders, mut decoder) = (encoders(), Decoder::new());
    for (src, name) in sources(lens) {
        for (encoder, kind) in &mut encoders {
            let stream = encoded(encoder, &src);
            let expected = Some((stream.len(), src.clone()));
            let (result, data) = guarded(src.len(), |dst| decoder.decode(&stream, dst));
            let here = result.ok().map(|decoded| (decoded.consumed, data));
            assert!(here == expected, "{kind}: {name}: {result:?}");
            assert!(foreign::zlib(&stream, src.len()) == expected, "{kind}: {name}: zlib");
            assert!(foreign::miniz(&stream, src.len()) == expected, "{kind}: {name}: miniz");
        }
    }
}

#[test]
fn a_stream_is_made_if_and_only_if_it_fits() {
    for (src, name) in sources([0, 1, 2, 3, 4, 12, 40, 257, 258, 259, 300]) {
        for (mut encoder, kind) in encoders() {
            let stream = encoded(&mut encoder, &src);
            for room in 0..=stream.len() + 40 {
                check_room(&mut encoder, &src, &stream, room, &format!("{kind}: {name}"));
            }
        }
    }
}

#[test]
fn pages_that_nearly_fit_are_refused() {
    for (src, name) in sources([4096, 10000, LONG_BYTES]) {
        for (mut encoder, kind) in encoders() {
            let stream = encoded(&mut encoder, &src);
            let around = stream.len().saturating_sub(30)..=stream.len() + 2;
            for room in around.chain([0, 1, stream.len() / 2]) {
                check_room(&mut encoder, &src, &stream, room, &format!("{kind}: {name}"));
            }
        }
    }
}

#[test]
fn an_encoder_forgets_the_last_source() {
    let lens = [4096, 300, 4096, LONG_BYTES, 0, 4096, 1, 10000, 4096];
    for (mut used, kind) in encoders() {
        for (src, name) in sources(lens) {
            let mut fresh = new_encoder(kind);
            assert!(encoded(&mut used, &src) == encoded(&mut fresh, &src), "{kind}: {name}");
            // Nor does what was left unfinished matter.
            assert!(used.encode(&src, &mut [0; 1]).is_err(), "{kind}: {name}");
        }
    }
}

#[test]
fn batches_are_as_one_by_one() {
    for (mut encoder, kind) in encoders() {
        for count in [0, 1, 2, 7, 8, 9] {
            let srcs: Vec<_> = sources([4096, 100]).take(count).collect();
            // The third stream does not fit.
            let room = |i| if i == 2 { 3 } else { 5000 };
            let mut dsts: Vec<_> = (0..count).map(|i| vec![0; room(i)]).collect();
            let mut pages: Vec<_> =
                srcs.iter().zip(&mut dsts).map(|((src, _), dst)| Page::new(src, dst)).collect();
            encoder.encode_batch(&mut pages);
            for (page, (_, name)) in pages.iter().zip(&srcs) {
                let mut dst = vec![0; page.dst.len()];
                let alone = encoder.encode(page.src, &mut dst);
                assert_eq!(page.result, Some(alone), "{kind}: {name}, of {count}");
                let len = alone.unwrap_or(0);
                assert!(page.dst[..len] == dst[..len], "{kind}: {name}, of {count}");
            }
        }
    }
}

#[test]
fn matches_reach_back_4096_bytes_at_most() {
    for period in [4000, 4095, 4096, 4097, 5000, 20000] {
        let mut rng = Rng::with_seed(period as u64);
        let part: Vec<u8> = (0..period).map(|_| rng.u8(..)).collect();
        let src = part.repeat(2);
        for (mut encoder, kind) in encoders() {
            let stream = encoded(&mut encoder, &src);
            assert!(decoded_by_bytes(&stream) == src, "{kind}: period {period}");
            let shrinks = stream.len() < src.len() * 3 / 4;
            assert_eq!(shrinks, period <= 4096, "{kind}: period {period}");
        }
    }
}

#[test]
fn more_effort_makes_smaller_text() {
    for (src, name) in sources([4096, LONG_BYTES]).filter(|(_, name)| name.starts_with("text")) {
        for (fast, dense) in [("fixed fast", "fixed dense"), ("dynamic fast", "dynamic dense")] {
            let [fast, dense] = [fast, dense].map(|kind| encoded(&mut new_encoder(kind), &src));
            assert!(dense.len() <= fast.len(), "{name}: {} {}", fast.len(), dense.len());
        }
    }
}

#[test]
fn only_pages_that_are_noise_throughout_are_given_up() {
    let mut page = [0; 4096];
    Rng::with_seed(1).fill(&mut page);
    for (mut encoder, kind) in encoders() {
        let result = encoder.encode(&page, &mut [0; 4096]);
        assert_eq!(result, Err(EncodeError::Incompressible), "{kind}");
        for noise in [600, 1500, 2500] {
            let mut page = page;
            page[noise..].fill(0);
            let result = encoder.encode(&page, &mut [0; 4096]);
            assert!(result.is_ok_and(|len| len < noise + noise / 8), "{kind}: {noise}: {result:?}");
        }
    }
}

#[test]
fn more_room_makes_no_other_stream() {
    // What looks incompressible and is not: noise, then zeros with noise where samples are taken.
    let (mut page, mut rng) = ([0; 4096], Rng::with_seed(1));
    rng.fill(&mut page[..600]);
    for at in (512..4000).step_by(224) {
        rng.fill(&mut page[at - 12..at + 28]);
    }
    for (mut encoder, kind) in encoders() {
        let stream = encoded(&mut encoder, &page);
        assert!(stream.len() < 2000, "{kind}: {}", stream.len());
        for room in (0..100).chain(4060..4110).chain([5000, 9000]) {
            check_room(&mut encoder, &page, &stream, room, kind);
        }
    }
}

#[test]
fn stored_blocks_are_taken_where_they_are_shorter() {
    let src: Vec<u8> = (200..231).collect();
    assert_eq!(encoded(&mut Encoder::dynamic(), &src).len(), 5 + 31);
    assert_eq!(encoded(&mut Encoder::fixed(), &src).len(), (3 + 31 * 9_usize + 7).div_ceil(8));
}

#[test]
fn dynamic_encoders_write_the_smaller_block() {
    for (src, name) in sources((0..=300).chain([4096])) {
        let [fixed, dynamic] =
            ["fixed fast", "dynamic fast"].map(|kind| encoded(&mut new_encoder(kind), &src).len());
        // They do not take the same matches in every case.
        assert!(dynamic <= fixed + fixed / 50 + 5, "{name}: {dynamic}, fixed {fixed}");
        if src.len() == 4096 && (name.starts_with("text") || name.starts_with("skewed")) {
            assert!(dynamic < fixed - fixed / 20, "{name}: {dynamic}, fixed {fixed}");
        }
    }
}

/// Encodes into a destination of `room` bytes: there is `stream` if it fits, and an error else.
fn check_room(encoder: &mut Encoder, src: &[u8], stream: &[u8], room: usize, name: &str) {
    let (result, dst) = guarded(room, |dst| encoder.encode(src, dst));
    // A page that looks like noise may be given up, if there is no more room than for a page.
    let may_give_up = src.len() > 512 && room <= src.len();
    match result {
        Err(EncodeError::Incompressible) if may_give_up => {}
        Err(EncodeError::DstTooSmall) if room < stream.len() => {}
        result => {
            assert_eq!(result, Ok(stream.len()), "{name} into {room}");
            assert!(dst.starts_with(stream), "{name} into {room}: another stream");
        }
    }
}

/// Decodes with a window of 4096 bytes, a byte at a time lest the destination be more history.
fn decoded_by_bytes(mut stream: &[u8]) -> Vec<u8> {
    let (mut decoder, mut data) = (Decompress::new_with_window_bits(false, 12), Vec::new());
    loop {
        let (mut byte, before) = ([0], (decoder.total_in(), decoder.total_out()));
        let status = decoder.decompress(stream, &mut byte, FlushDecompress::None).unwrap();
        stream = &stream[(decoder.total_in() - before.0) as usize..];
        data.extend(&byte[..(decoder.total_out() - before.1) as usize]);
        if status == Status::StreamEnd {
            return data;
        }
    }
}

fn encoded(encoder: &mut Encoder, src: &[u8]) -> Vec<u8> {
    let mut dst = vec![0; src.len() + src.len() / 8 + 64];
    let len = encoder.encode(src, &mut dst).unwrap();
    dst.truncate(len);
    dst
}

fn encoders() -> [(Encoder, &'static str); 4] {
    ["fixed fast", "fixed dense", "dynamic fast", "dynamic dense"]
        .map(|kind| (new_encoder(kind), kind))
}

fn new_encoder(kind: &str) -> Encoder {
    let encoder = if kind.contains("fixed") { Encoder::fixed() } else { Encoder::dynamic() };
    encoder.effort(if kind.contains("fast") { Effort::Fast } else { Effort::Dense })
}
