//! 842 streams, valid and not: the decoder does as one does that reads bit by bit.

mod common;

use common::{guarded, sources};
use fastrand::Rng;
use page_codec::Page;
use page_codec::e842::{DecodeError, Encoder, decode, decode_batch};

#[test]
fn errors_name_themselves() {
    let zeros = |blocks| (0..blocks).fold(Stream::default(), |stream, _| stream.put(0x1c, 5));
    let raw = |stream: Stream| stream.put(0, 5).put(0x6162_6364, 32).put(0x6566_6768, 32);
    let cases = [
        (Stream::default(), DecodeError::Truncated),
        (Stream::default().put(0x1a, 5).end(0), DecodeError::Opcode),
        (Stream::default().put(0x1f, 5).end(0), DecodeError::Opcode),
        // Units of every size that were not written, or are of the same block.
        (Stream::default().put(0x19, 5).put(0, 8).end(0), DecodeError::Reference),
        (Stream::default().put(0x14, 5).put(0, 41).end(0), DecodeError::Reference),
        (Stream::default().put(4, 5).put(0x6162_6364, 32).put(0, 9).end(0), DecodeError::Reference),
        (raw(Stream::default()).put(0x12, 5).put(4, 32).end(0), DecodeError::Reference),
        (raw(Stream::default()).put(0x18, 5).put(2, 18).end(0), DecodeError::Reference),
        (Stream::default().put(0x1b, 5).put(0, 6).end(0), DecodeError::Reference),
        (Stream::default().put(0x1d, 5).put(0, 3).end(0), DecodeError::ShortData),
        (Stream::default().put(0x1d, 5).put(1, 3).put(0, 8).put(0x1c, 5), DecodeError::ShortData),
        (Stream::default().put(0x1c, 5).end(1), DecodeError::Checksum),
        (raw(Stream::default()), DecodeError::Truncated),
        // The last word has no room for a checksum.
        (zeros(10).put(0x1e, 5), DecodeError::Truncated),
        (Stream::default().end(0).put(1, 1), DecodeError::Padding),
        (Stream::default().end(0).put(1, 27), DecodeError::Padding),
        (Stream::default().end(0).put(0, 27).put(0, 8), DecodeError::BytesBehindEnd),
        (Stream::default().put(0x1c, 5).put(0x1b, 5).put(63, 6).end(0), DecodeError::DstTooSmall),
        (raw(Stream::default()).put(0x19, 5).put(0, 8).end(0), DecodeError::Checksum),
    ];
    for (stream, error) in cases {
        let bytes = stream.bytes();
        assert_eq!(run(&bytes, 100), Err(error), "{bytes:x?}");
        assert_eq!(slow(&bytes, 100), Err(error), "{bytes:x?}");
    }
    let short = raw(Stream::default()).put(0x19, 5).put(0, 8).end(0).bytes();
    assert_eq!(run(&short, 15), Err(DecodeError::DstTooSmall));
    assert_eq!(run(b"\xf0\0\0\0\0\0\0", 15), Err(DecodeError::Truncated));
}

#[test]
fn random_operations() {
    for seed in 0..4000 {
        let (stream, data) = random_stream(&mut Rng::with_seed(seed));
        assert_eq!(run(&stream, data.len()).as_ref(), Ok(&data), "seed {seed}");
        assert_eq!(run(&stream, data.len() + 100).as_ref(), Ok(&data), "seed {seed}");
        if !data.is_empty() {
            assert_eq!(run(&stream, data.len() - 1), Err(DecodeError::DstTooSmall), "seed {seed}");
        }
    }
}

#[test]
fn every_truncation_and_flip_is_refused() {
    for seed in 0..10 {
        let (mut stream, data) = random_stream(&mut Rng::with_seed(seed));
        for len in 0..stream.len() {
            let name = format!("seed {seed} up to {len}");
            assert!(run(&stream[..len], data.len()).is_err(), "{name}");
            check(&stream[..len], data.len(), &name);
        }
        for bit in 0..8 * stream.len() {
            stream[bit / 8] ^= 1 << (bit % 8);
            let (read, name) = (run(&stream, data.len()), format!("seed {seed}, bit {bit}"));
            // The same unit may be in the other slot, too.
            assert!(read.is_err() || read.as_ref() == Ok(&data), "{name}");
            check(&stream, data.len(), &name);
            stream[bit / 8] ^= 1 << (bit % 8);
        }
    }
}

#[test]
fn noise_behind_a_stream() {
    let mut encoder = Encoder::new();
    for (src, name) in sources([8, 64, 600]) {
        let mut stream = vec![0; 1000];
        let len = encoder.encode(&src, &mut stream).unwrap();
        for seed in 0..200 {
            let mut rng = Rng::with_seed(seed);
            let kept = rng.usize(..len);
            stream.truncate(kept);
            stream.resize_with(kept + rng.usize(..200), || rng.u8(..));
            check(&stream, rng.usize(..2000), &format!("{name}, seed {seed}"));
            stream.resize(1000, 0);
            assert_eq!(encoder.encode(&src, &mut stream), Ok(len));
        }
    }
}

#[test]
fn batches_are_as_one_by_one() {
    let zeros = Stream::default().put(0x1c, 5).end(0).bytes();
    let streams: [&[u8]; 3] = [&zeros, &zeros[..3], b"\xf0\0\0\0\0\0\0\0"];
    let mut dsts = [[1; 8]; 3];
    let mut pages: Vec<_> =
        streams.iter().zip(&mut dsts).map(|(src, dst)| Page::new(src, dst)).collect();
    decode_batch(&mut pages);
    for (page, stream) in pages.iter().zip(streams) {
        assert_eq!(page.result, Some(decode(stream, &mut [0; 8])));
    }
    assert_eq!(dsts[0], [0; 8]);
}

/// Takes what the slow decoder takes, and makes the same of it.
fn check(stream: &[u8], room: usize, name: &str) {
    assert_eq!(run(stream, room).ok(), slow(stream, room).ok(), "{name}");
}

fn run(stream: &[u8], room: usize) -> Result<Vec<u8>, DecodeError> {
    let (result, mut data) = guarded(room, |dst| decode(stream, dst));
    data.truncate(result?);
    Ok(data)
}

/// The format, bit by bit.
fn slow(stream: &[u8], room: usize) -> Result<Vec<u8>, DecodeError> {
    let (mut bits, mut data) = (Bits { stream, at: 0 }, Vec::new());
    loop {
        let opcode = bits.take(5)?;
        match opcode {
            ..0x19 => {
                let mut block = bits.half(opcode / 5, &data)?;
                block.extend(bits.half(opcode % 5, &data)?);
                data.extend(block);
            }
            0x19 => {
                let slot = bits.take(8)?;
                data.extend(unit(&data, slot, 8)?);
            }
            0x1b => {
                let blocks = bits.take(6)? + 1;
                let start = data.len().checked_sub(8).ok_or(DecodeError::Reference)?;
                data.extend(data[start..].repeat(blocks));
            }
            0x1c => data.extend([0; 8]),
            0x1d => {
                let len = bits.take(3)?;
                if len == 0 {
                    return Err(DecodeError::ShortData);
                }
                for _ in 0..len {
                    data.push(bits.take(8)? as u8);
                }
                if data.len() <= room && bits.take(5)? != 0x1e {
                    return Err(DecodeError::ShortData);
                }
            }
            0x1e => {}
            _ => return Err(DecodeError::Opcode),
        }
        if data.len() > room {
            return Err(DecodeError::DstTooSmall);
        }
        if opcode == 0x1d || opcode == 0x1e {
            return bits.end(data);
        }
    }
}

struct Bits<'a> {
    stream: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn take(&mut self, bits: usize) -> Result<usize, DecodeError> {
        let mut field = 0;
        for _ in 0..bits {
            let byte = self.stream.get(self.at / 8).ok_or(DecodeError::Truncated)?;
            field = field << 1 | usize::from(byte >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        Ok(field)
    }

    fn half(&mut self, kind: usize, data: &[u8]) -> Result<Vec<u8>, DecodeError> {
        if kind == 4 {
            return unit(data, self.take(9)?, 4);
        }
        let mut half = Vec::new();
        for is_reference in [kind & 2 > 0, kind & 1 > 0] {
            if is_reference {
                half.extend(unit(data, self.take(8)?, 2)?);
            } else {
                half.extend((self.take(16)? as u16).to_be_bytes());
            }
        }
        Ok(half)
    }

    fn end(mut self, data: Vec<u8>) -> Result<Vec<u8>, DecodeError> {
        let expected = self.take(32)?;
        let padding = self.take(self.at.next_multiple_of(64) - self.at)?;
        match self.at / 8 == self.stream.len() {
            false => Err(DecodeError::BytesBehindEnd),
            true if padding != 0 => Err(DecodeError::Padding),
            true if crc(&data) as usize != expected => Err(DecodeError::Checksum),
            true => Ok(data),
        }
    }
}

/// What was written last where a slot is, before the block that `data` ends with.
fn unit(data: &[u8], slot: usize, size: usize) -> Result<Vec<u8>, DecodeError> {
    let window = if size == 2 { 512 } else { 2048 };
    let at = (slot * size..data.len()).step_by(window).next_back();
    let at = at.ok_or(DecodeError::Reference)?;
    Ok(data[at..at + size].to_vec())
}

fn crc(data: &[u8]) -> u32 {
    data.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte) << 24, |crc: u32, _| {
            crc << 1 ^ if crc >> 31 > 0 { 0x04c1_1db7 } else { 0 }
        })
    })
}

/// A stream that is made field by field.
#[derive(Default)]
struct Stream {
    bits: Vec<bool>,
}

impl Stream {
    fn put(mut self, value: u64, bits: u32) -> Self {
        self.bits.extend((0..bits).rev().map(|bit| value >> bit & 1 > 0));
        self
    }

    fn end(self, crc: u32) -> Self {
        self.put(0x1e, 5).put(u64::from(crc), 32)
    }

    /// Whole words.
    fn bytes(mut self) -> Vec<u8> {
        self.bits.resize(self.bits.len().next_multiple_of(64), false);
        let byte = |bits: &[bool]| bits.iter().fold(0, |byte, bit| byte << 1 | u8::from(*bit));
        self.bits.chunks(8).map(byte).collect()
    }
}

/// Operations of every kind, those that refer to what is there mostly, and their data.
fn random_stream(rng: &mut Rng) -> (Vec<u8>, Vec<u8>) {
    let (mut stream, mut data) = (Stream::default(), Vec::new());
    for _ in 0..rng.usize(..200) {
        let opcode = match rng.u8(..20) {
            0 => 0x19,
            1 => 0x1b,
            2 => 0x1c,
            _ => rng.usize(..25),
        };
        if data.is_empty() && opcode != 0x1c {
            stream = stream.put(0, 5);
            stream = literal(stream, &mut data, rng, 8);
            continue;
        }
        stream = stream.put(opcode as u64, 5);
        match opcode {
            0x19 => stream = reference(stream, &data.clone(), &mut data, rng, 8),
            0x1b => {
                let blocks = rng.usize(1..=64);
                data.extend(data[data.len() - 8..].repeat(blocks));
                stream = stream.put(blocks as u64 - 1, 6);
            }
            0x1c => data.extend([0; 8]),
            _ => {
                let before = data.clone();
                for kind in [opcode / 5, opcode % 5] {
                    stream = half(stream, &before, &mut data, rng, kind);
                }
            }
        }
    }
    let rest = rng.usize(..8);
    if rest > 0 {
        stream = literal(stream.put(0x1d, 5).put(rest as u64, 3), &mut data, rng, rest);
    }
    let crc = crc(&data);
    (stream.end(crc).bytes(), data)
}

fn half(
    mut stream: Stream,
    before: &[u8],
    data: &mut Vec<u8>,
    rng: &mut Rng,
    kind: usize,
) -> Stream {
    if kind == 4 {
        return reference(stream, before, data, rng, 4);
    }
    for is_reference in [kind & 2 > 0, kind & 1 > 0] {
        stream = match is_reference {
            true => reference(stream, before, data, rng, 2),
            false => literal(stream, data, rng, 2),
        };
    }
    stream
}

fn literal(mut stream: Stream, data: &mut Vec<u8>, rng: &mut Rng, len: usize) -> Stream {
    for _ in 0..len {
        let byte = rng.u8(..);
        stream = stream.put(u64::from(byte), 8);
        data.push(byte);
    }
    stream
}

/// A reference to anything that is in reach.
fn reference(
    stream: Stream,
    before: &[u8],
    data: &mut Vec<u8>,
    rng: &mut Rng,
    size: usize,
) -> Stream {
    let (window, bits) = match size {
        2 => (512, 8),
        4 => (2048, 9),
        _ => (2048, 8),
    };
    let units = before.len().min(window) / size;
    let at = before.len() - size * (1 + rng.usize(..units));
    data.extend(&before[at..at + size]);
    stream.put((at % window / size) as u64, bits)
}
