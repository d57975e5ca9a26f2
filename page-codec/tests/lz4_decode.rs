//! LZ4 blocks from elsewhere, valid and not: the decoder does as a decoder without any speed does.

mod common;

use common::sources;
use fastrand::Rng;
use lz4_flex::block as foreign;
use page_codec::lz4::{DecodeError, Encoder, decode};

#[test]
fn golden_blocks() {
    let cases: [(Vec<u8>, Vec<u8>); 11] = [
        (vec![0], vec![]),
        (vec![0x10, b'a'], b"a".to_vec()),
        // The last token may say what it likes about a match.
        (vec![0x1f, b'a'], b"a".to_vec()),
        // Offset 1, and the least length.
        (b"\x10a\x01\0\x50bcdef".to_vec(), b"aaaaabcdef".to_vec()),
        // A match that overlaps itself.
        (b"\x34abc\x03\0\x50vwxyz".to_vec(), b"abcabcabcabvwxyz".to_vec()),
        // No last literals, which an encoder must not do.
        (b"\x40abcd\x04\0\x00".to_vec(), b"abcdabcd".to_vec()),
        // Lengths that go on with nothing, with 255 and with several bytes.
        ([&b"\xf0\0"[..], &[b'x'; 15]].concat(), vec![b'x'; 15]),
        ([&b"\xf0\xff\0"[..], &[b'x'; 270]].concat(), vec![b'x'; 270]),
        ([&b"\x1fa\x01\0"[..], &[255; 15], b"\xf6\0"].concat(), vec![b'a'; 4091]),
        (b"\x1fa\x01\0\0\x50aaaaa".to_vec(), vec![b'a'; 25]),
        (b"\x2fab\x02\0\xff\x0a\0".to_vec(), b"ab".repeat(143)),
    ];
    for (block, data) in cases {
        check(&block, data.len(), "golden");
        assert_eq!(run(&block, data.len()).as_ref(), Ok(&data), "{block:x?}");
    }
}

#[test]
fn errors_name_themselves() {
    let cases: [(&[u8], DecodeError); 12] = [
        (b"", DecodeError::Truncated),
        (b"\x10", DecodeError::Truncated),
        (b"\xf0", DecodeError::Truncated),
        (b"\xf0\xff", DecodeError::Truncated),
        (b"\x10a\x01", DecodeError::Truncated),
        (b"\x1fa\x01\0", DecodeError::Truncated),
        (b"\x1fa\x01\0\xff", DecodeError::Truncated),
        // A match at the end.
        (b"\x10a\x01\0", DecodeError::Truncated),
        (b"\x10a\0\0\x50bcdef", DecodeError::OffsetZero),
        (b"\x10a\x02\0\x50bcdef", DecodeError::OffsetTooFar),
        (b"\x00\x01\0\x50bcdef", DecodeError::OffsetTooFar),
        (b"\x1fa\x01\0\xff\xff\xff\xff\0", DecodeError::DstTooSmall),
    ];
    for (block, error) in cases {
        assert_eq!(run(block, 100), Err(error), "{block:x?}");
    }
}

#[test]
fn a_long_run_of_lengths_is_no_overflow() {
    for token in [b"\xf0".as_slice(), b"\x1fa\x01\0"] {
        let block = [token, &[255; 1 << 20], &[0]].concat();
        check(&block, 4096, "a long run");
        check(&block[..block.len() - 1], 4096, "a long run without an end");
    }
}

#[test]
fn every_offset_and_length_near_and_far_from_the_end() {
    for offset in 1..=40 {
        for length in 4..=80 {
            for behind in [0, 5, 12, 40, 80] {
                let mut block = Vec::new();
                sequence(&mut block, &(1..=50).collect::<Vec<u8>>(), offset, length);
                literals(&mut block, &vec![0; behind]);
                check(&block, 50 + length + behind, &format!("{offset} {length} {behind}"));
            }
        }
    }
}

#[test]
fn every_length_of_literals() {
    for length in 0..600 {
        let data: Vec<u8> = (0..length).map(|byte| byte as u8).collect();
        for before in [0, 1, 50] {
            let mut block = Vec::new();
            sequence(&mut block, &vec![0; before + 1], 1, 20);
            sequence(&mut block, &data, 3, 5);
            literals(&mut block, &vec![1; before]);
            check(&block, before + 21 + data.len() + 5 + before, &format!("{length} {before}"));
        }
    }
}

#[test]
fn random_sequences() {
    for seed in 0..4000 {
        let mut rng = Rng::with_seed(seed);
        let (mut block, mut len) = (Vec::new(), 0);
        for _ in 0..rng.usize(..60) {
            let count = small(&mut rng) + usize::from(len == 0);
            let literals: Vec<u8> = (0..count).map(|_| rng.u8(..)).collect();
            let length = 4 + small(&mut rng);
            len += count;
            // Now and then an offset that is none.
            let beyond = usize::from(rng.u8(..) == 0);
            let offset_max = if rng.bool() { len.min(30) } else { len } + beyond;
            sequence(&mut block, &literals, rng.usize(1 - beyond..=offset_max), length);
            len += length;
        }
        literals(&mut block, &vec![9; small(&mut rng)]);
        let name = format!("seed {seed}");
        for room in [len + 400, len, len.saturating_sub(small(&mut rng)), 4096] {
            check(&block, room, &name);
        }
    }
}

#[test]
fn every_truncation_of_every_content() {
    for (src, name) in sources([300, 4096]) {
        let mut block = vec![0; 5000];
        let len = Encoder::new().encode(&src, &mut block).unwrap();
        for len in 0..len {
            check(&block[..len], src.len(), &format!("{name} up to {len}"));
        }
    }
}

#[test]
fn every_truncation_and_many_flips() {
    for seed in 0..40 {
        let mut rng = Rng::with_seed(seed);
        let src: Vec<u8> =
            (0..rng.usize(1..1000)).map(|_| rng.u8(..) & rng.u8(..) & 0x51).collect();
        let mut block = vec![0; 2000];
        let len = Encoder::new().encode(&src, &mut block).unwrap();
        block.truncate(len);
        for len in 0..block.len() {
            check(&block[..len], src.len(), &format!("seed {seed} up to {len}"));
        }
        for flip in 0..2000 {
            let mut block = block.clone();
            for _ in 0..rng.usize(1..4) {
                let at = rng.usize(..block.len());
                block[at] ^= 1 << rng.u8(..8);
            }
            check(&block, src.len(), &format!("seed {seed}, flip {flip}"));
        }
    }
}

#[test]
fn noise() {
    for seed in 0..20000 {
        let mut rng = Rng::with_seed(seed);
        let mask = if rng.bool() { 0xff } else { 0x13 };
        let block: Vec<u8> = (0..rng.usize(..400)).map(|_| rng.u8(..) & mask).collect();
        check(&block, rng.usize(..5000), &format!("seed {seed}"));
    }
}

/// Decodes as the slow decoder does, and as the foreign one does.
fn check(block: &[u8], room: usize, name: &str) {
    let here = run(block, room);
    assert_eq!(here, slow(block, room), "{name}");
    let mut data = vec![0; room];
    let there = foreign::decompress_into(block, &mut data).map(|len| data[..len].to_vec());
    assert_eq!(here.ok(), there.ok(), "{name}: the foreign decoder");
}

fn run(block: &[u8], room: usize) -> Result<Vec<u8>, DecodeError> {
    // Of the exact length, lest a read behind it is one of the vector's spare bytes.
    let block = block.to_vec().into_boxed_slice();
    let mut buffer = vec![0xa5; room + 64];
    let result = decode(&block, &mut buffer[..room]);
    assert!(buffer[room..].iter().all(|byte| *byte == 0xa5), "written behind {room}");
    result.map(|len| buffer[..len].to_vec())
}

/// The format, byte by byte.
fn slow(block: &[u8], room: usize) -> Result<Vec<u8>, DecodeError> {
    let (mut read, mut data) = (0, Vec::new());
    loop {
        let token = byte(block, &mut read)?;
        let literals = length(block, &mut read, token >> 4)?;
        if literals > block.len() - read {
            return Err(DecodeError::Truncated);
        }
        if literals > room - data.len() {
            return Err(DecodeError::DstTooSmall);
        }
        data.extend_from_slice(&block[read..read + literals]);
        read += literals;
        if read == block.len() {
            return Ok(data);
        }
        let offset = [byte(block, &mut read)?, byte(block, &mut read)?];
        let offset = usize::from(u16::from_le_bytes(offset));
        let length = length(block, &mut read, token & 15)? + 4;
        if offset == 0 {
            return Err(DecodeError::OffsetZero);
        }
        if offset > data.len() {
            return Err(DecodeError::OffsetTooFar);
        }
        if length > room - data.len() {
            return Err(DecodeError::DstTooSmall);
        }
        for _ in 0..length {
            data.push(data[data.len() - offset]);
        }
    }
}

fn length(block: &[u8], read: &mut usize, in_token: u8) -> Result<usize, DecodeError> {
    let mut length = usize::from(in_token);
    let mut more = in_token == 15;
    while more {
        let byte = byte(block, read)?;
        length += usize::from(byte);
        more = byte == 255;
    }
    Ok(length)
}

fn byte(block: &[u8], read: &mut usize) -> Result<u8, DecodeError> {
    *read += 1;
    block.get(*read - 1).copied().ok_or(DecodeError::Truncated)
}

/// Adds a sequence to `block`.
fn sequence(block: &mut Vec<u8>, literals: &[u8], offset: usize, length: usize) {
    let token = block.len();
    self::literals(block, literals);
    block.extend_from_slice(&(offset as u16).to_le_bytes());
    block[token] |= (length - 4).min(15) as u8;
    rest_of_length(block, length - 4);
}

/// Adds the last sequence to `block`.
fn literals(block: &mut Vec<u8>, literals: &[u8]) {
    block.push((literals.len().min(15) << 4) as u8);
    rest_of_length(block, literals.len());
    block.extend_from_slice(literals);
}

fn rest_of_length(block: &mut Vec<u8>, length: usize) {
    if length >= 15 {
        block.extend(std::iter::repeat_n(255, (length - 15) / 255));
        block.push(((length - 15) % 255) as u8);
    }
}

/// A length: mostly a few, seldom hundreds.
fn small(rng: &mut Rng) -> usize {
    let most = [5, 20, 40, 400][usize::from(rng.u8(..) / 86) + usize::from(rng.u8(..) > 240)];
    rng.usize(..most)
}
