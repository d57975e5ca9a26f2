//! LZ4 blocks from this encoder: every decoder reads them, and nothing is written behind `dst`.

#![expect(clippy::unwrap_used, reason = "test helpers unwrap like tests")]

mod common;

use common::{LONG_BYTES, guarded, made_if_and_only_if_it_fits, sources};
use fastrand::Rng;
use lz4_flex::block as foreign;
use page_codec::Page;
use page_codec::lz4::{DecodeError, EncodeError, Encoder, decode, decode_batch};

#[test]
fn both_decoders_read_every_length_and_content() {
    let mut encoder = Encoder::new();
    for (src, name) in sources((0..=300).chain(4095..=4097).chain([65535, LONG_BYTES])) {
        let block = encoded(&mut encoder, &src);
        assert_eq!(decoded(&block, src.len()).as_ref(), Ok(&src), "{name}");
        let data = foreign::decompress(&block, src.len());
        assert_eq!(data.as_ref().ok(), Some(&src), "{name}");
    }
}

#[test]
fn foreign_blocks_are_read() {
    for (src, name) in sources((0..=300).chain(4095..=4097).chain([LONG_BYTES])) {
        let block = foreign::compress(&src);
        assert_eq!(decoded(&block, src.len()).as_ref(), Ok(&src), "{name}");
        assert_eq!(decoded(&block, src.len() + 100).as_ref(), Ok(&src), "{name}");
    }
}

#[test]
fn blocks_end_as_the_format_demands() {
    for (src, name) in sources((0..=300).chain([4096])) {
        let (mut read, mut written, block) = (0, 0, encoded(&mut Encoder::new(), &src));
        loop {
            let token = block[read];
            read += 1;
            let literals = length(&block, &mut read, token >> 4);
            (read, written) = (read + literals, written + literals);
            if read == block.len() {
                assert_eq!(token & 15, 0, "{name}: a match in the last token");
                assert!(literals >= 5 || literals == src.len(), "{name}: {literals} literals");
                break;
            }
            assert!(src.len() - written >= 12, "{name}: a match at {written}");
            read += 2;
            written += length(&block, &mut read, token & 15) + 4;
        }
    }
}

#[test]
fn a_block_is_made_if_and_only_if_it_fits() {
    let mut encoder = Encoder::new();
    for (src, name) in sources([0, 1, 12, 13, 14, 15, 16, 40, 269, 270, 271, 300]) {
        let block = encoded(&mut encoder, &src);
        let most = block.len() + 40;
        made_if_and_only_if_it_fits(
            &block,
            most,
            || EncodeError::DstTooSmall,
            &name,
            |dst| encoder.encode(&src, dst),
        );
    }
}

#[test]
fn pages_that_nearly_fit_are_refused() {
    let mut encoder = Encoder::new();
    for (src, name) in sources([4096, LONG_BYTES]) {
        let block = encoded(&mut encoder, &src);
        for missing in (1..40).chain([block.len() / 2, block.len()]) {
            let len = block.len().saturating_sub(missing);
            let (result, _) = guarded(len, |dst| encoder.encode(&src, dst));
            assert_eq!(result, Err(EncodeError::DstTooSmall), "{name} into {len}");
        }
    }
}

#[test]
fn data_is_made_if_and_only_if_it_fits() {
    for (src, name) in sources([0, 1, 13, 31, 32, 33, 63, 64, 65, 300]) {
        let block = encoded(&mut Encoder::new(), &src);
        let most = src.len() + 69;
        made_if_and_only_if_it_fits(
            &src,
            most,
            || DecodeError::DstTooSmall,
            &name,
            |dst| decode(&block, dst),
        );
    }
}

#[test]
#[ignore = "takes seconds in a release build: cargo xtask ci --full runs it"]
fn many_flips_are_judged_as_lz4_flex_judges_them() {
    for (src, name) in sources([4096]) {
        let block = encoded(&mut Encoder::new(), &src);
        let mut rng = Rng::with_seed(1);
        for flip in 0..100_000 {
            let mut block = block.clone();
            let at = rng.usize(..block.len());
            block[at] ^= 1 << rng.u8(..8);
            let (here, dst) = guarded(src.len(), |dst| decode(&block, dst));
            let there = foreign::decompress(&block, src.len());
            let here = here.ok().map(|len| &dst[..len]);
            assert!(here == there.ok().as_deref(), "{name}, flip {flip}");
        }
    }
}

#[test]
fn nothing_is_the_block_of_one_zero() {
    assert_eq!(encoded(&mut Encoder::new(), b""), [0]);
}

#[test]
fn a_page_of_one_byte_takes_few_bytes() {
    // A literal, a match of 4090 bytes from 1 byte ago, and five literals.
    let block = encoded(&mut Encoder::new(), &[7; 4096]);
    assert_eq!(block, [&[0x1f, 7, 1, 0], &[255; 15][..], &[246, 0x50, 7, 7, 7, 7, 7]].concat());
}

#[test]
fn an_encoder_forgets_the_last_source() {
    let mut used = Encoder::new();
    for (src, name) in sources([4096, 300, 4096]) {
        let block = encoded(&mut used, &src);
        assert_eq!(block, encoded(&mut Encoder::new(), &src), "{name}");
    }
}

#[test]
fn acceleration_trades_size() {
    for (src, name) in sources([0, 1, 13, 300, 4096, LONG_BYTES]) {
        let sizes = [0, 1, 8, 1000, u32::MAX].map(|n| {
            let block = encoded(&mut Encoder::new().acceleration(n), &src);
            assert_eq!(decoded(&block, src.len()).as_ref(), Ok(&src), "{name}, {n}");
            block.len()
        });
        assert_eq!(sizes[0], sizes[1], "{name}");
        if name.starts_with("text") {
            assert!(sizes[1] <= sizes[2], "{name}: {sizes:?}");
        }
    }
}

#[test]
fn pages_get_as_small_as_elsewhere() {
    // Matches of four bytes are not looked for: some of these pages have many, records few others.
    for (src, name) in sources([4096]).filter(|(_, name)| !name.starts_with("structured")) {
        let (here, there) = (encoded(&mut Encoder::new(), &src), foreign::compress(&src));
        assert!(here.len() <= there.len() + there.len() / 25, "{name}: {}", here.len());
    }
}

#[test]
fn batches_are_as_one_by_one() {
    for count in [0, 1, 2, 3, 7, 8, 9] {
        let srcs: Vec<_> = sources([4096, 100]).take(count).map(|(src, _)| src).collect();
        // The third block does not fit.
        let room = |i| if i == 2 { 3 } else { 5000 };
        let mut dsts: Vec<_> = (0..count).map(|i| vec![0; room(i)]).collect();
        let mut pages: Vec<_> =
            srcs.iter().zip(&mut dsts).map(|(src, dst)| Page::new(src, dst)).collect();
        Encoder::new().encode_batch(&mut pages);
        let lens: Vec<_> = pages.iter().map(|page| page.result.unwrap().unwrap_or(0)).collect();
        for ((src, dst), len) in srcs.iter().zip(&dsts).zip(&lens) {
            assert_eq!(Encoder::new().encode(src, &mut vec![0; dst.len()]).unwrap_or(0), *len);
        }

        let mut outs = vec![[0; 4096]; count];
        let blocks = dsts.iter().zip(&lens).map(|(dst, len)| &dst[..*len]);
        let mut pages: Vec<_> =
            blocks.clone().zip(&mut outs).map(|(src, dst)| Page::new(src, dst)).collect();
        decode_batch(&mut pages);
        for (page, (block, src)) in pages.iter().zip(blocks.zip(&srcs)) {
            assert_eq!(page.result, Some(decode(block, &mut [0; 4096])));
            assert!(page.result == Some(Err(DecodeError::Truncated)) || page.dst.starts_with(src));
        }
    }
}

fn encoded(encoder: &mut Encoder, src: &[u8]) -> Vec<u8> {
    let mut dst = vec![0; foreign::get_maximum_output_size(src.len())];
    let len = encoder.encode(src, &mut dst).unwrap();
    dst.truncate(len);
    dst
}

fn decoded(block: &[u8], room: usize) -> Result<Vec<u8>, DecodeError> {
    let mut dst = vec![0; room];
    let len = decode(block, &mut dst)?;
    dst.truncate(len);
    Ok(dst)
}

fn length(block: &[u8], read: &mut usize, in_token: u8) -> usize {
    let mut length = usize::from(in_token);
    if in_token == 15 {
        loop {
            let byte = block[*read];
            *read += 1;
            length += usize::from(byte);
            if byte != 255 {
                break;
            }
        }
    }
    length
}
