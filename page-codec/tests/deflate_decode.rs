//! Deflate streams from elsewhere, valid and not: the decoder takes what zlib takes, and nothing
//! else.

#![expect(clippy::unwrap_used, reason = "test helpers unwrap like tests")]

mod common;
mod foreign;

use common::{LONG_BYTES, guarded, sources};
use fastrand::Rng;
use flate2::{Compress, Compression, FlushCompress};
use page_codec::Page;
use page_codec::deflate::{DecodeError, DecodeErrorKind, Decoded, Decoder, Effort, Encoder};

#[test]
fn foreign_streams_are_read() {
    let mut decoder = Decoder::new();
    let lens = (0..20).chain([258, 259, 300]).chain(4095..=4097);
    for (src, name) in sources(lens.chain([10000, 65535, LONG_BYTES])) {
        for level in 0..=10 {
            let miniz = miniz_oxide::deflate::compress_to_vec(&src, level);
            let streams = [("zlib", zlib_stream(&src, level.min(9))), ("miniz", miniz)];
            for (library, stream) in streams {
                for room in [src.len(), src.len() + 300] {
                    let here = run(&mut decoder, &stream, room).unwrap();
                    let expected = (stream.len(), src.clone());
                    assert!(here == expected, "{name} by {library}, level {level} into {room}");
                }
            }
        }
    }
}

#[test]
fn blocks_of_all_types_are_read() {
    let mut decoder = Decoder::new();
    for seed in 0..300 {
        let mut rng = Rng::with_seed(seed);
        let (stream, data) = many_blocks(&mut rng);
        let here = run(&mut decoder, &stream, data.len());
        assert!(here == Ok((stream.len(), data)), "seed {seed}: {here:?}");
    }
}

#[test]
fn data_is_made_if_and_only_if_it_fits() {
    let mut decoder = Decoder::new();
    for (src, name) in sources([0, 1, 2, 3, 31, 32, 33, 257, 258, 259, 300]) {
        for (stream, kind) in streams(&src) {
            for room in 0..=src.len() + 40 {
                check_room(&mut decoder, &stream, &src, room, &format!("{name} {kind}"));
            }
        }
    }
    for (src, name) in sources([4096, 10000]) {
        for (stream, kind) in streams(&src) {
            let around = src.len() - 300..=src.len() + 2;
            for room in around.chain([0, 1, 2000, 4095, 4096, 4097, src.len() + 300]) {
                check_room(&mut decoder, &stream, &src, room, &format!("{name} {kind}"));
            }
        }
    }
}

#[test]
fn bytes_behind_the_end_are_not_consumed() {
    let mut decoder = Decoder::new();
    for (src, name) in sources([0, 1, 5, 300, 4095, 4096, 4097]) {
        for (stream, kind) in streams(&src) {
            for behind in [1, 2, 3, 7, 8, 9, 64, 5000] {
                for byte in [0, 0x55, 0xff] {
                    let longer = [&stream[..], &vec![byte; behind]].concat();
                    let here = run(&mut decoder, &longer, src.len());
                    let expected = Ok((stream.len(), src.clone()));
                    assert!(here == expected, "{name} {kind}, and {behind} of {byte}: {here:?}");
                }
            }
        }
    }
}

#[test]
fn every_truncation_is_an_error() {
    let mut decoder = Decoder::new();
    for (src, name) in sources([0, 1, 3, 300, 4096]) {
        for (stream, kind) in streams(&src) {
            for len in 0..stream.len() {
                let error = run(&mut decoder, &stream[..len], src.len() + 300).unwrap_err();
                assert_eq!(error.kind, DecodeErrorKind::Truncated, "{name} {kind} up to {len}");
                assert!(error.position_bits <= 8 * len, "{name} {kind} up to {len}: {error:?}");
            }
        }
    }
}

#[test]
fn flips_are_judged_as_zlib_judges_them() {
    judge_flips(FLIPS);
}

#[test]
#[ignore = "takes 10 s in a release build: cargo xtask ci --full runs it"]
fn many_flips_are_judged_as_zlib_judges_them() {
    judge_flips(50 * FLIPS);
}

fn judge_flips(flips: usize) {
    let mut decoder = Decoder::new();
    for (src, name) in sources([300, 4096]) {
        let streams = Vec::from_iter(streams(&src));
        let mut rng = Rng::with_seed(src.len() as u64);
        for flip in 0..flips {
            let (stream, kind) = &streams[rng.usize(..streams.len())];
            let mut stream = stream.clone();
            // Half of them close to the start, where the headers are.
            let most = if rng.bool() { stream.len() } else { stream.len().min(80) };
            for _ in 0..rng.usize(1..4) {
                stream[rng.usize(..most)] ^= 1 << rng.u8(..8);
            }
            let room = if rng.bool() { src.len() } else { src.len() + 4096 };
            check(&mut decoder, &stream, room, &format!("{name} {kind}, flip {flip}"));
        }
    }
}

#[test]
fn noise_is_judged_as_zlib_judges_it() {
    let mut decoder = Decoder::new();
    for seed in 0..FLIPS as u64 {
        let mut rng = Rng::with_seed(seed);
        let mask = if rng.bool() { 0xff } else { 0x13 };
        let mut stream: Vec<u8> = (0..rng.usize(1..300)).map(|_| rng.u8(..) & mask).collect();
        // A last block, of one of the types that has a code.
        stream[0] = stream[0] & !7 | if rng.bool() { 3 } else { 5 };
        check(&mut decoder, &stream, rng.usize(..5000), &format!("seed {seed}"));
    }
}

#[test]
fn stored_blocks() {
    let errors: [(&[u8], DecodeErrorKind); 6] = [
        (b"", DecodeErrorKind::Truncated),
        (b"\x01", DecodeErrorKind::Truncated),
        (b"\x01\x03\0\xfc\xffab", DecodeErrorKind::Truncated),
        (b"\x01\x03\0\xfc\xfeabc", DecodeErrorKind::StoredLength),
        (b"\x01\0\0\0\0", DecodeErrorKind::StoredLength),
        // One that is not the last, and then nothing.
        (b"\0\0\0\xff\xff", DecodeErrorKind::Truncated),
    ];
    for (stream, kind) in errors {
        refused(stream, kind, &format!("{stream:x?}"));
    }
    let valid: [(&[u8], &[u8]); 4] = [
        (b"\x01\0\0\xff\xff", b""),
        // What pads the byte of the header means nothing.
        (b"\xf9\x03\0\xfc\xffabc", b"abc"),
        (b"\0\x01\0\xfe\xffa\x01\x01\0\xfe\xffb", b"ab"),
        (b"\0\0\0\xff\xff\x01\x01\0\xfe\xffb", b"b"),
    ];
    for (stream, data) in valid {
        accepted(stream, data, &format!("{stream:x?}"));
    }
}

#[test]
fn fixed_blocks() {
    let with = |fill: &dyn Fn(&mut Bits)| {
        let mut bits = Bits::block(FIXED);
        fill(&mut bits);
        bits.bytes
    };
    accepted(&with(&|bits| bits.fixed(256)), b"", "nothing");
    let stream = with(&|bits| bits.fixed_symbols(&[0, 143, 144, 255, 256]));
    accepted(&stream, &[0, 143, 144, 255], "literals");
    for (symbol, extra, length) in [(257, (0, 0), 3), (284, (30, 5), 257), (285, (0, 0), 258)] {
        let stream = with(&|bits| {
            bits.fixed(7);
            bits.fixed(symbol);
            bits.put(extra.0, extra.1);
            bits.code(0, 5);
            bits.fixed(256);
        });
        accepted(&stream, &vec![7; 1 + length], "a run");
    }
    // The length 258 spelled in the way that zlib accepts, too.
    let stream = with(&|bits| {
        bits.fixed_symbols(&[7, 284]);
        bits.put(31, 5);
        bits.code(0, 5);
        bits.fixed(256);
    });
    accepted(&stream, &[7; 259], "258 by the symbol 284");

    refused(&with(&|bits| bits.fixed_symbols(&[7, 286, 256])), DecodeErrorKind::Symbol, "286");
    refused(&with(&|bits| bits.fixed_symbols(&[7, 287, 256])), DecodeErrorKind::Symbol, "287");
    for (dist, kind) in [
        (30, DecodeErrorKind::Symbol),
        (31, DecodeErrorKind::Symbol),
        (1, DecodeErrorKind::DistanceTooFar),
    ] {
        let stream = with(&|bits| {
            bits.fixed_symbols(&[7, 257]);
            bits.code(dist, 5);
            bits.fixed_symbols(&[256, 0, 0, 0]);
        });
        refused(&stream, kind, &format!("the distance symbol {dist}"));
    }
    let stream = with(&|bits| {
        bits.fixed(257);
        bits.code(0, 5);
        bits.fixed(256);
    });
    refused(&stream, DecodeErrorKind::DistanceTooFar, "a match first");
}

#[test]
fn the_fourth_block_type_is_none() {
    refused(&[7], DecodeErrorKind::BlockType, "at the start");
    refused(&[6, 0, 0, 0, 0, 0, 0, 0, 0], DecodeErrorKind::BlockType, "at the start, not the last");
    refused(b"\0\0\0\xff\xff\x07", DecodeErrorKind::BlockType, "behind a block");
}

#[test]
fn distances_up_to_the_window_of_deflate() {
    let mut rng = Rng::with_seed(1);
    let data: Vec<u8> = (0..40000).map(|_| rng.u8(..)).collect();
    for (distance, history) in [(32768, 32768), (32768, 32767), (24577, 40000), (4097, 4097)] {
        let mut stream = Bits::default();
        stream.bytes.push(0);
        stream.bytes.extend((history as u16).to_le_bytes());
        stream.bytes.extend((!history as u16).to_le_bytes());
        stream.bytes.extend(&data[..history]);
        stream.put(1 | FIXED << 1, 3);
        stream.fixed(257);
        let symbol = if distance == 4097 { 24 } else { 29 };
        stream.code(symbol, 5);
        match distance {
            32768 => stream.put(8191, 13),
            24577 => stream.put(0, 13),
            _ => stream.put(0, 11),
        }
        stream.fixed(256);
        let name = format!("{distance} of {history}");
        if distance > history {
            refused(&stream.bytes, DecodeErrorKind::DistanceTooFar, &name);
        } else {
            let from = history - distance;
            let data = [&data[..history], &data[from..from + 3]].concat();
            accepted(&stream.bytes, &data, &name);
        }
    }
}

#[test]
fn dynamic_codes() {
    // The literal 65, the end, and lengths of 3 and 4; one distance, of one bit.
    let litlen = lengths(286, &[(65, 2), (256, 2), (257, 2), (258, 2)]);
    let with = |litlen: &[u8], dist: &[u8], fill: &dyn Fn(&mut Bits)| {
        let mut bits = Bits::dynamic(litlen, dist);
        fill(&mut bits);
        bits.bytes
    };
    let run_of_3 = |bits: &mut Bits| bits.codes(&[(0, 2), (2, 2), (0, 1), (1, 2)]);
    accepted(&with(&litlen, &[1], &run_of_3), b"AAAA", "one distance");
    accepted(&with(&litlen, &[1, 1], &run_of_3), b"AAAA", "two distances");
    let literals = |bits: &mut Bits| bits.codes(&[(0, 2), (0, 2), (1, 2)]);
    accepted(&with(&litlen, &[0], &literals), b"AA", "no distance");
    accepted(&with(&litlen[..260], &[0, 0], &literals), b"AA", "fewer lengths");
    let end_only = lengths(257, &[(256, 1)]);
    accepted(&with(&end_only, &[0], &|bits| bits.put(0, 1)), b"", "nothing but an end");
    let long = lengths(286, &[(0, 1), (256, 15), (257, 15)]);
    let long: Vec<u8> = (2..15).fold(long, |mut long, length| {
        long[usize::from(length)] = length;
        long
    });
    let longest = |bits: &mut Bits| bits.codes(&[(0, 1), (0x3ffe, 14), (0x7ffe, 15)]);
    accepted(&with(&long, &[1], &longest), b"\0\x0e", "words of 15 bits");

    let refused_header = |litlen: &[u8], dist: &[u8], name| {
        let stream = with(litlen, dist, &|bits| bits.put(0, 64));
        refused(&stream, DecodeErrorKind::CodeLengths, name);
    };
    let one_more = lengths(286, &[(65, 2), (66, 2), (256, 2), (257, 2), (258, 2)]);
    refused_header(&one_more, &[1], "over-subscribed lengths");
    refused_header(&litlen, &[1, 1, 1], "over-subscribed distances");
    refused_header(&lengths(286, &[(65, 2), (256, 2), (257, 2)]), &[1], "incomplete lengths");
    refused_header(&lengths(286, &[(256, 2)]), &[1], "one length of two bits");
    refused_header(&litlen, &[2, 2], "incomplete distances");
    refused_header(&litlen, &[2], "one distance of two bits");
    refused_header(&lengths(286, &[(65, 1), (66, 1)]), &[1], "no end");
    refused_header(&[0; 286], &[0], "no lengths");

    let no_symbol = |bits: &mut Bits| bits.codes(&[(0, 2), (2, 2), (1, 1), (1, 2), (0, 60)]);
    refused(&with(&litlen, &[1], &no_symbol), DecodeErrorKind::Symbol, "the other distance");
    refused(&with(&litlen, &[0], &no_symbol), DecodeErrorKind::Symbol, "a distance where none is");
    let not_the_end = |bits: &mut Bits| bits.put(u64::MAX, 64);
    refused(&with(&end_only, &[0], &not_the_end), DecodeErrorKind::Symbol, "the other symbol");
}

#[test]
fn dynamic_headers() {
    for (litlen, dist, name) in [(30, 0, "287 lengths"), (31, 0, "288"), (0, 30, "31 distances")] {
        let mut bits = Bits::block(DYNAMIC);
        bits.codes_of_lengths(257 + litlen, 1 + dist, &[(0, 1), (1, 1)]);
        bits.put(0, 64);
        refused(&bits.bytes, DecodeErrorKind::CodeLengths, name);
    }
    // Each ends the header with a code for the code lengths, and what that code spells.
    let header = |precode: &[(usize, u8)], fill: &dyn Fn(&mut Bits)| {
        let mut bits = Bits::block(DYNAMIC);
        bits.codes_of_lengths(257, 1, precode);
        fill(&mut bits);
        bits.bytes.extend([0; 64]);
        bits.bytes
    };
    let zeros = |bits: &mut Bits| bits.put(0, 64);
    let kind = DecodeErrorKind::CodeLengths;
    refused(&header(&[], &zeros), kind, "no code of lengths");
    refused(&header(&[(0, 1), (1, 1), (2, 1)], &zeros), kind, "an over-subscribed one");
    refused(&header(&[(0, 2), (1, 2), (2, 2)], &zeros), kind, "an incomplete one");
    refused(&header(&[(0, 1)], &zeros), kind, "one of one word");

    // 1 is 0, 16 is 10, 18 is 11.
    let precode = [(1, 1), (16, 2), (18, 2)];
    let repeat_first = |bits: &mut Bits| bits.codes(&[(2, 2)]);
    refused(&header(&precode, &repeat_first), kind, "a repetition first");
    // 138 and 118 zeros, a one for the end, and a one that is repeated three times.
    let zeros = |bits: &mut Bits, last: u64| {
        bits.code(3, 2);
        bits.put(127, 7);
        bits.code(3, 2);
        bits.put(last - 11, 7);
    };
    let overrun = |bits: &mut Bits| {
        zeros(bits, 118);
        bits.codes(&[(0, 1), (2, 2), (0, 2)]);
    };
    refused(&header(&precode, &overrun), kind, "a repetition that runs over");
    let overrun = |bits: &mut Bits| zeros(bits, 138);
    refused(&header(&precode, &overrun), kind, "zeros that run over");
    let exact = |bits: &mut Bits| {
        zeros(bits, 118);
        bits.codes(&[(0, 1), (0, 1)]);
    };
    accepted(&header(&precode, &exact)[..], b"", "lengths that end where they shall");
}

#[test]
fn batches_are_as_one_by_one() {
    for seed in 0..200 {
        let mut rng = Rng::with_seed(seed);
        let count = rng.usize(..20);
        let streams: Vec<_> = (0..count).map(|_| any_stream(&mut rng)).collect();
        let room = |rng: &mut Rng| if rng.u8(..4) == 0 { rng.usize(..4200) } else { 4096 };
        let mut dsts: Vec<_> = (0..count).map(|_| vec![0xa5; room(&mut rng)]).collect();
        let mut pages: Vec<_> =
            streams.iter().zip(&mut dsts).map(|(src, dst)| Page::new(src, dst)).collect();
        let mut decoder = Decoder::new();
        decoder.decode_batch(&mut pages);
        for (i, page) in pages.iter().enumerate() {
            let mut dst = vec![0; page.dst.len()];
            let alone = Decoder::new().decode(page.src, &mut dst);
            assert_eq!(page.result, Some(alone), "seed {seed}, page {i}");
            let len = alone.map_or(0, |decoded| decoded.produced);
            assert!(page.dst[..len] == dst[..len], "seed {seed}, page {i}: other bytes");
        }
    }
}

#[test]
fn a_decoder_forgets_the_last_stream() {
    let mut used = Decoder::new();
    for seed in 0..1000 {
        let stream = any_stream(&mut Rng::with_seed(seed));
        let fresh = run(&mut Decoder::new(), &stream, 4096);
        assert!(run(&mut used, &stream, 4096) == fresh, "seed {seed}: {fresh:?}");
    }
}

/// Decodes as zlib does.
fn check(decoder: &mut Decoder, stream: &[u8], room: usize, name: &str) {
    let (here, zlib) = (run(decoder, stream, room), foreign::zlib(stream, room));
    let miniz = foreign::miniz(stream, room);
    assert!(here.as_ref().ok() == zlib.as_ref(), "{name}: {:?}", here.map(|(read, _)| read));
    // The second opinion: it takes some codes that zlib refuses.
    assert!(zlib.is_none() || zlib == miniz, "{name}: miniz");
}

/// Decodes into `room` bytes: there is `data` if it fits, and an error that says so else.
fn check_room(decoder: &mut Decoder, stream: &[u8], data: &[u8], room: usize, name: &str) {
    let result = run(decoder, stream, room);
    if room < data.len() {
        let kind = result.map(|(read, _)| read).map_err(|error| error.kind);
        assert_eq!(kind, Err(DecodeErrorKind::DstTooSmall), "{name} into {room}");
    } else {
        assert!(result == Ok((stream.len(), data.to_vec())), "{name} into {room}: {result:?}");
    }
}

/// Is accepted by all decoders, into its own length, and whatever is behind it.
fn accepted(stream: &[u8], data: &[u8], name: &str) {
    for behind in [0, 1, 400] {
        for room in [data.len(), data.len() + 1, data.len() + 5000] {
            let stream = [stream, &vec![0xff; behind]].concat();
            let zlib = foreign::zlib(&stream, room);
            assert!(zlib.as_ref().is_some_and(|(_, made)| made == data), "{name}: zlib: {zlib:?}");
            let here = run(&mut Decoder::new(), &stream, room);
            assert_eq!(here.ok(), zlib, "{name}: {behind} behind, into {room}");
        }
    }
}

/// Is refused by zlib, and here for this reason, whatever the room.
fn refused(stream: &[u8], kind: DecodeErrorKind, name: &str) {
    for room in [300, 4096, 50000] {
        assert_eq!(foreign::zlib(stream, room), None, "{name}: zlib, into {room}");
        let error = run(&mut Decoder::new(), stream, room).map_err(|error| error.kind);
        // Long streams have no room in a short destination, and that may be said first.
        if error != Err(DecodeErrorKind::DstTooSmall) || stream.len() < room {
            assert_eq!(error, Err(kind), "{name}: into {room}");
        }
    }
}

/// What `stream` decodes to: how much of it was read, and the data.
fn run(decoder: &mut Decoder, stream: &[u8], room: usize) -> Result<(usize, Vec<u8>), DecodeError> {
    // Of the exact length, lest a read behind it is one of the vector's spare bytes.
    let stream = stream.to_vec().into_boxed_slice();
    let (result, mut data) = guarded(room, |dst| decoder.decode(&stream, dst));
    let Decoded { consumed, produced } = result?;
    data.truncate(produced);
    Ok((consumed, data))
}

/// A stream of up to a page: whole, cut, or with a bit that is wrong.
fn any_stream(rng: &mut Rng) -> Vec<u8> {
    let mut lens = [0, 1, 300, 4095, 4096, 4097];
    rng.shuffle(&mut lens);
    let srcs: Vec<_> = sources(lens.into_iter().take(1)).collect();
    let (src, _) = &srcs[rng.usize(..srcs.len())];
    let mut streams: Vec<_> = streams(src).map(|(stream, _)| stream).collect();
    let mut stream = streams.swap_remove(rng.usize(..streams.len()));
    match rng.u8(..5) {
        0 => stream.truncate(rng.usize(..stream.len())),
        1 => {
            let at = rng.usize(..stream.len());
            stream[at] ^= 1 << rng.u8(..8);
        }
        _ => {}
    }
    stream
}

/// Streams of `src` with blocks of each type, and what made them.
fn streams(src: &[u8]) -> impl Iterator<Item = (Vec<u8>, &'static str)> {
    let ours = |mut encoder: Encoder| {
        let mut dst = vec![0; src.len() + src.len() / 8 + 64];
        let len = encoder.encode(src, &mut dst).unwrap();
        dst.truncate(len);
        dst
    };
    [
        (zlib_stream(src, 0), "stored"),
        (ours(Encoder::fixed()), "fixed"),
        (ours(Encoder::dynamic().effort(Effort::Dense)), "dynamic"),
        (zlib_stream(src, 6), "by zlib"),
    ]
    .into_iter()
}

fn zlib_stream(src: &[u8], level: u8) -> Vec<u8> {
    let (mut compress, mut stream) = (Compress::new(Compression::new(level.into()), false), vec![]);
    add(&mut compress, src, FlushCompress::Finish, &mut stream);
    stream
}

/// A stream of short and long blocks by zlib at several levels, with its data.
fn many_blocks(rng: &mut Rng) -> (Vec<u8>, Vec<u8>) {
    let (mut stream, mut data) = (Vec::new(), Vec::new());
    for _ in 0..rng.usize(..4) {
        let level = [0, 1, 6, 9][rng.usize(..4)];
        let mut compress = Compress::new(Compression::new(level), false);
        for _ in 0..rng.usize(..4) {
            let flush = [FlushCompress::Partial, FlushCompress::Sync, FlushCompress::Full];
            let flush = flush[rng.usize(..flush.len())];
            let src = any_source(rng);
            add(&mut compress, &src, flush, &mut stream);
            data.extend(src);
        }
        // Up to the next byte, where another stream's blocks can follow.
        add(&mut compress, &[], FlushCompress::Sync, &mut stream);
    }
    let src = any_source(rng);
    stream.extend(zlib_stream(&src, 6));
    data.extend(src);
    (stream, data)
}

fn any_source(rng: &mut Rng) -> Vec<u8> {
    let mut srcs: Vec<_> = sources([rng.usize(..30), rng.usize(..3000)]).collect();
    srcs.swap_remove(rng.usize(..srcs.len())).0
}

/// Compresses `src` to the end of `stream`.
fn add(compress: &mut Compress, src: &[u8], flush: FlushCompress, stream: &mut Vec<u8>) {
    let mut room = vec![0; src.len() + src.len() / 8 + 64];
    let before = compress.total_out();
    compress.compress(src, &mut room, flush).unwrap();
    stream.extend(&room[..(compress.total_out() - before) as usize]);
}

/// Code lengths of `count` symbols: those named, and 0.
fn lengths(count: usize, named: &[(usize, u8)]) -> Vec<u8> {
    let mut lengths = vec![0; count];
    for (symbol, length) in named {
        lengths[*symbol] = *length;
    }
    lengths
}

/// A stream that is made bit by bit.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    /// Of the last byte, how many bits are free.
    free: u32,
}

impl Bits {
    /// The start of a last block.
    fn block(kind: u64) -> Self {
        let mut bits = Self::default();
        bits.put(1 | kind << 1, 3);
        bits
    }

    /// A dynamic block with a header that spells each length in four bits.
    fn dynamic(litlen: &[u8], dist: &[u8]) -> Self {
        let mut bits = Self::block(DYNAMIC);
        let precode: Vec<_> = (0..16).map(|symbol| (symbol, 4)).collect();
        bits.codes_of_lengths(litlen.len(), dist.len(), &precode);
        for length in litlen.iter().chain(dist) {
            bits.code((*length).into(), 4);
        }
        bits
    }

    /// The first half of a dynamic header.
    fn codes_of_lengths(&mut self, litlen: usize, dist: usize, precode: &[(usize, u8)]) {
        self.put(litlen as u64 - 257, 5);
        self.put(dist as u64 - 1, 5);
        self.put(19 - 4, 4);
        let precode = lengths(19, precode);
        for symbol in [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15] {
            self.put(precode[symbol].into(), 3);
        }
    }

    /// A number, its least significant bit first.
    fn put(&mut self, value: u64, count: u32) {
        for bit in 0..count {
            if self.free == 0 {
                self.bytes.push(0);
                self.free = 8;
            }
            *self.bytes.last_mut().unwrap() |= ((value >> bit & 1) as u8) << (8 - self.free);
            self.free -= 1;
        }
    }

    /// A code word, its most significant bit first.
    fn code(&mut self, word: u64, count: u32) {
        self.put(word.reverse_bits() >> (64 - count), count);
    }

    fn codes(&mut self, words: &[(u64, u32)]) {
        for (word, count) in words {
            self.code(*word, *count);
        }
    }

    fn fixed_symbols(&mut self, symbols: &[u64]) {
        for symbol in symbols {
            self.fixed(*symbol);
        }
    }

    /// A literal/length symbol in the fixed code.
    fn fixed(&mut self, symbol: u64) {
        match symbol {
            0..144 => self.code(0x30 + symbol, 8),
            144..256 => self.code(0x190 + symbol - 144, 9),
            256..280 => self.code(symbol - 256, 7),
            _ => self.code(0xc0 + symbol - 280, 8),
        }
    }
}

const FIXED: u64 = 1;
const DYNAMIC: u64 = 2;
/// Broken streams that each kind of contents is tested with.
const FLIPS: usize = 2000;
