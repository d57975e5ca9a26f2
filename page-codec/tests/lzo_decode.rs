//! LZO streams from elsewhere, valid and not: the decoder does as a decoder without any speed does.

mod common;

use common::{LONG_BYTES, sources};
use fastrand::Rng;
use lzokay::compress::compress as foreign_compress;
use lzokay::decompress::decompress as foreign_decompress;
use page_codec::Page;
use page_codec::lzo::{DecodeError, decode, decode_batch};

#[test]
fn golden_streams() {
    let zeros = |count| vec![0; count];
    let cases: [(Vec<u8>, Vec<u8>); 14] = [
        (b"\x11\0\0".to_vec(), vec![]),
        (b"\x11\x01\x11\0\0".to_vec(), vec![]),
        (b"\x11\0\x11\0\0".to_vec(), vec![]),
        // The literals behind the end are none.
        (b"\x12a\x11\x03\0".to_vec(), b"a".to_vec()),
        (b"\x14abc\x11\0\0".to_vec(), b"abc".to_vec()),
        (b"\x15abcd\x11\0\0".to_vec(), b"abcd".to_vec()),
        (b"\x01abcd\x11\0\0".to_vec(), b"abcd".to_vec()),
        ([&b"\0\x01"[..], &[b'x'; 19], b"\x11\0\0"].concat(), vec![b'x'; 19]),
        ([&b"\0\0\x01"[..], &[b'x'; 274], b"\x11\0\0"].concat(), vec![b'x'; 274]),
        (
            b"\x16ABCDE\x91\0F\0\0\x01wxyz\x20\x01\0\0\x11\0\0".to_vec(),
            [&b"ABCDEABCDEFFFwxyz"[..], &[b'z'; 34]].concat(),
        ),
        (
            b"\x12A\x20\0\0\0\0\0\0\0\xf2\0\0\x01bcde\x0e\x01xy\x11\0\0".to_vec(),
            [&[b'A'; 2061][..], b"bcdeAAAxy"].concat(),
        ),
        (
            b"\x11\x01\x13AB\x1a\xfd\xff\x01C\x11\0\0".to_vec(),
            [b"AB", &zeros(14)[..], b"C"].concat(),
        ),
        // A page of zeros, as the kernel writes it.
        (
            [
                &b"\x11\x01\x02\0\0\0\0\0\x1f\xfc\xff\xff\x18\xfc\xff\xfc\0\x02"[..],
                &zeros(20),
                b"\x11\0\0",
            ]
            .concat(),
            zeros(4096),
        ),
        (
            [&b"\x02\0\0\0\0\0\x20"[..], &zeros(15), b"\xda\x10\0\x0c", &zeros(15), b"\x11\0\0"]
                .concat(),
            zeros(4096),
        ),
    ];
    for (stream, data) in cases {
        check(&stream, data.len(), "golden");
        assert_eq!(run(&stream, data.len() + 9).as_ref(), Ok(&data), "{stream:x?}");
    }
}

#[test]
fn errors_name_themselves() {
    let cases: [(&[u8], DecodeError); 18] = [
        (b"", DecodeError::Truncated),
        (b"\x11\0", DecodeError::Truncated),
        (b"\x12\0\0", DecodeError::Truncated),
        (b"\x11\x01\x11", DecodeError::DistanceTooFar),
        (b"\x14abc\x11\0", DecodeError::Truncated),
        (b"\0\0\0\0\0", DecodeError::Truncated),
        // A match whose literals, none, leave no room for the end.
        (b"\x12a\x40\0\x11\0", DecodeError::Truncated),
        (b"\x12a\x20\0\0\0", DecodeError::Truncated),
        (b"\x12a\x20\0\x01\0", DecodeError::Truncated),
        (b"\x11\x01\x12a\x18\xfc\xff", DecodeError::Truncated),
        (b"\x12a\x44\0\x11\0\0", DecodeError::DistanceTooFar),
        (b"\x15abcd\0\0\x11\0\0", DecodeError::DistanceTooFar),
        // Only the version with runs has them.
        (b"\x12a\x1a\xfc\xff\x01\x11\0\0", DecodeError::DistanceTooFar),
        (b"\x10\x01\0\0", DecodeError::EndWithLength),
        (b"\x12a\x12\0\0", DecodeError::EndWithLength),
        (b"\x11\0\0\0", DecodeError::BytesBehindEnd),
        (b"\x11\x02\x11\0\0", DecodeError::Version),
        (b"\x12a\x20\0\0\0\x01\0\0\x11\0\0", DecodeError::DstTooSmall),
    ];
    for (stream, error) in cases {
        assert_eq!(run(stream, 100), Err(error), "{stream:x?}");
        assert_eq!(slow(stream, 100), Err(error), "{stream:x?}");
    }
}

#[test]
fn foreign_streams_are_read() {
    // Of nothing, the other one makes no stream that a decoder reads.
    for (src, name) in sources((1..=300).chain(4095..=4097).chain([LONG_BYTES])) {
        let stream = foreign_compress(&src).unwrap();
        assert_eq!(run(&stream, src.len()).as_ref(), Ok(&src), "{name}");
        assert_eq!(run(&stream, src.len() + 100).as_ref(), Ok(&src), "{name}");
        assert_eq!(run(&stream, src.len() - 1), Err(DecodeError::DstTooSmall), "{name}");
    }
}

#[test]
fn a_long_run_of_lengths_is_no_overflow() {
    for opcode in [b"\0".as_slice(), b"\x12a\x20", b"\x12a\x10"] {
        let stream = [opcode, &[0; 1 << 20], b"\x01\0\0\x11\0\0"].concat();
        check(&stream, 4096, "a long run");
        check(&stream[..1 << 20], 4096, "a long run without an end");
    }
}

#[test]
fn every_length_of_literals() {
    for length in 1..600 {
        let data: Vec<u8> = (0..length).map(|byte| byte as u8).collect();
        for first in [false, true] {
            let mut stream = Stream::new(false, first);
            stream.literals(&data);
            stream.finish();
            stream.check(&format!("{length}, in the first byte: {first}"));
        }
    }
}

#[test]
fn every_distance_and_length_near_and_far_from_the_end() {
    for distance in 1..=40 {
        for length in 2..=80 {
            for behind in [0, 1, 3, 4, 40, 80] {
                let mut stream = Stream::new(false, true);
                stream.literals(&(1..=50).collect::<Vec<u8>>());
                stream.repeat(1, 5);
                stream.literals(&[7]);
                stream.repeat(distance, length);
                stream.literals(&vec![0; behind]);
                stream.finish();
                stream.check(&format!("{distance} {length} {behind}"));
            }
        }
    }
}

#[test]
fn every_length_of_zeros() {
    for length in 4..=2051 {
        for behind in [0, 1, 4, 40] {
            let mut stream = Stream::new(true, true);
            stream.literals(b"a");
            stream.zeros(length);
            stream.literals(&vec![7; behind]);
            stream.finish();
            stream.check(&format!("{length} {behind}"));
        }
    }
}

#[test]
fn the_greatest_distance_is_of_a_run_only_in_its_version() {
    for has_runs in [false, true] {
        let mut stream = Stream::new(has_runs, true);
        stream.literals(&(0..50_000).map(|at| (at % 251) as u8).collect::<Vec<_>>());
        if !has_runs {
            stream.repeat(49151, 10);
        }
        stream.repeat(49150, 10);
        // A length that goes on is not taken for a run if the operand differs.
        stream.repeat(40_000, 262);
        stream.finish();
        stream.check(&format!("{has_runs}"));
    }
}

#[test]
fn random_instructions() {
    for seed in 0..4000 {
        let mut rng = Rng::with_seed(seed);
        let stream = random_stream(&mut rng);
        let (len, name) = (stream.data.len(), format!("seed {seed}"));
        stream.check(&name);
        for room in [len + 400, len, len.saturating_sub(small(&mut rng)), 4096] {
            check(&stream.bytes, room, &name);
        }
    }
}

#[test]
fn every_truncation_and_many_flips() {
    for seed in 0..100 {
        let mut rng = Rng::with_seed(seed);
        let Stream { bytes, data, .. } = random_stream(&mut rng);
        for len in 0..bytes.len() {
            // A header, and literals that the first byte does not count, begin like an end.
            let is_end = bytes.starts_with(&[17, 1, 0]) && len == 3;
            let read = run(&bytes[..len], data.len());
            assert_eq!(read.is_ok(), is_end, "seed {seed} up to {len}");
            check(&bytes[..len], data.len(), &format!("seed {seed} up to {len}"));
        }
        for flip in 0..1000 {
            let mut stream = bytes.clone();
            for _ in 0..rng.usize(1..4) {
                let at = rng.usize(..stream.len());
                stream[at] ^= 1 << rng.u8(..8);
            }
            check(&stream, data.len(), &format!("seed {seed}, flip {flip}"));
        }
    }
}

#[test]
fn noise() {
    for seed in 0..20000 {
        let mut rng = Rng::with_seed(seed);
        let mask = *rng.choice(&[0xff, 0x13, 0x5f]).unwrap();
        let mut stream: Vec<u8> = (0..rng.usize(..400)).map(|_| rng.u8(..) & mask).collect();
        if rng.bool() {
            stream.splice(..0, *b"\x11\x01\x1babcdefghij");
        }
        check(&stream, rng.usize(..5000), &format!("seed {seed}"));
    }
}

#[test]
fn batches_are_as_one_by_one() {
    let streams: [&[u8]; 3] = [b"\x14abc\x11\0\0", b"\x14abc", b"\x15abcd\x11\0\0"];
    let mut dsts = [[0; 4]; 3];
    let mut pages: Vec<_> =
        streams.iter().zip(&mut dsts).map(|(src, dst)| Page::new(src, dst)).collect();
    decode_batch(&mut pages);
    for (page, stream) in pages.iter().zip(streams) {
        assert_eq!(page.result, Some(decode(stream, &mut [0; 4])));
    }
    assert_eq!(&dsts[2], b"abcd");
}

/// Decodes as the slow decoder does.
fn check(stream: &[u8], room: usize, name: &str) {
    assert_eq!(run(stream, room), slow(stream, room), "{name}");
}

fn run(stream: &[u8], room: usize) -> Result<Vec<u8>, DecodeError> {
    // Of the exact length, lest a read behind it is one of the vector's spare bytes.
    let stream = stream.to_vec().into_boxed_slice();
    let mut buffer = vec![0xa5; room + 64];
    let result = decode(&stream, &mut buffer[..room]);
    assert!(buffer[room..].iter().all(|byte| *byte == 0xa5), "written behind {room}");
    result.map(|len| buffer[..len].to_vec())
}

/// The format, byte by byte.
fn slow(stream: &[u8], room: usize) -> Result<Vec<u8>, DecodeError> {
    let mut slow = Slow { stream, room, read: 0, data: Vec::new() };
    let mut has_runs = false;
    if stream.len() >= 5 && stream[0] == 17 {
        if stream[1] > 1 {
            return Err(DecodeError::Version);
        }
        (has_runs, slow.read) = (stream[1] == 1, 2);
    }
    let mut before = 0;
    match stream.get(slow.read) {
        Some(first @ 18..) => {
            slow.read += 1;
            before = slow.literals(usize::from(*first) - 17)?;
        }
        _ => slow.room_for_end()?,
    }
    loop {
        let opcode = slow.byte()?;
        let (length, distance, literals) = match (opcode, before) {
            (..16, 0) => {
                before = slow.count(opcode, 15, 3).and_then(|count| slow.literals(count))?;
                continue;
            }
            (..16, 1..4) => (2, (slow.byte()? << 2) + (opcode >> 2) + 1, opcode & 3),
            (..16, _) => (3, (slow.byte()? << 2) + (opcode >> 2) + 2049, opcode & 3),
            (16..32, _) if has_runs && slow.is_run(opcode) => {
                let (low, high) = (slow.byte()?, slow.byte().and_then(|_| slow.byte())?);
                slow.room_for((high << 3) + (opcode & 7) + 4)?;
                slow.data.resize(slow.data.len() + (high << 3) + (opcode & 7) + 4, 0);
                before = slow.literals(low & 3)?;
                continue;
            }
            (16..32, _) => {
                let length = slow.count(opcode & 7, 7, 2)?;
                let word = slow.byte()? + (slow.byte()? << 8);
                let distance = 16384 + ((opcode & 8) << 11) + (word >> 2);
                if distance == 16384 {
                    return slow.end(length);
                }
                (length, distance, word & 3)
            }
            (32..64, _) => {
                let length = slow.count(opcode & 31, 31, 2)?;
                let word = slow.byte()? + (slow.byte()? << 8);
                (length, (word >> 2) + 1, word & 3)
            }
            _ => {
                let distance = (slow.byte()? << 3) + (opcode >> 2 & 7) + 1;
                ((opcode >> 5) + 1, distance, opcode & 3)
            }
        };
        slow.repeat(distance, length)?;
        before = slow.literals(literals)?;
    }
}

struct Slow<'a> {
    stream: &'a [u8],
    room: usize,
    read: usize,
    data: Vec<u8>,
}

impl Slow<'_> {
    fn byte(&mut self) -> Result<usize, DecodeError> {
        self.read += 1;
        self.stream.get(self.read - 1).map(|byte| usize::from(*byte)).ok_or(DecodeError::Truncated)
    }

    fn count(&mut self, field: usize, most: usize, base: usize) -> Result<usize, DecodeError> {
        let mut count = field + base;
        if field == 0 {
            count += most;
            loop {
                match self.byte()? {
                    0 => count += 255,
                    last => break count += last,
                }
            }
        }
        Ok(count)
    }

    fn is_run(&self, opcode: usize) -> bool {
        opcode >= 24 && self.stream[self.read] >= 0xfc && self.stream[self.read + 1] == 0xff
    }

    fn literals(&mut self, count: usize) -> Result<usize, DecodeError> {
        if count + 3 > self.stream.len() - self.read {
            return Err(DecodeError::Truncated);
        }
        self.room_for(count)?;
        self.data.extend_from_slice(&self.stream[self.read..self.read + count]);
        self.read += count;
        Ok(count.min(4))
    }

    fn room_for_end(&mut self) -> Result<(), DecodeError> {
        self.literals(0).map(|_| ())
    }

    fn room_for(&self, count: usize) -> Result<(), DecodeError> {
        let fits = count <= self.room - self.data.len();
        fits.then_some(()).ok_or(DecodeError::DstTooSmall)
    }

    fn repeat(&mut self, distance: usize, length: usize) -> Result<(), DecodeError> {
        if distance > self.data.len() {
            return Err(DecodeError::DistanceTooFar);
        }
        self.room_for(length)?;
        for _ in 0..length {
            self.data.push(self.data[self.data.len() - distance]);
        }
        Ok(())
    }

    fn end(self, length: usize) -> Result<Vec<u8>, DecodeError> {
        match length {
            3 if self.read == self.stream.len() => Ok(self.data),
            3 => Err(DecodeError::BytesBehindEnd),
            _ => Err(DecodeError::EndWithLength),
        }
    }
}

/// A stream that is made instruction by instruction, and its data.
struct Stream {
    bytes: Vec<u8>,
    data: Vec<u8>,
    has_runs: bool,
    /// Whether up to 238 literals at the start are counted by the first byte.
    counts_first: bool,
    /// How many literals came last, and where the last match has room for their number.
    before: usize,
    room_at: Option<usize>,
}

impl Stream {
    fn new(has_runs: bool, counts_first: bool) -> Self {
        let bytes = if has_runs { vec![17, 1] } else { vec![] };
        Self { bytes, data: vec![], has_runs, counts_first, before: 0, room_at: None }
    }

    /// Literals where they belong: behind a match, in the first byte, or in a run.
    fn literals(&mut self, literals: &[u8]) {
        let count = literals.len();
        match (self.room_at, count) {
            (_, 0) => return,
            (Some(at), 1..4) => self.bytes[at] |= count as u8,
            (None, 1..=238) if self.counts_first || count < 4 => self.bytes.push(17 + count as u8),
            _ => self.opcode(0, count - 3, 15),
        }
        self.bytes.extend_from_slice(literals);
        self.data.extend_from_slice(literals);
        (self.before, self.room_at) = (count.min(4), None);
    }

    /// A match, in the shortest way there is.
    fn repeat(&mut self, distance: usize, length: usize) {
        let near = distance - 1;
        match (length, self.before) {
            (2, _) => self.bytes.extend([(near << 2 & 12) as u8, (near >> 2) as u8]),
            (3, 4) if (2049..=3072).contains(&distance) => {
                self.bytes.extend([(near << 2 & 12) as u8, ((near - 2048) >> 2) as u8]);
            }
            (3..=8, _) if distance <= 2048 => {
                let opcode = (length - 1) << 5 | near << 2 & 28;
                self.bytes.extend([opcode as u8, (near >> 3) as u8]);
            }
            _ if distance <= 16384 => {
                self.opcode(32, length - 2, 31);
                self.bytes.extend(((near << 2) as u16).to_le_bytes());
            }
            _ => {
                let beyond = distance - 16384;
                self.opcode(16 | beyond >> 11 & 8, length - 2, 7);
                self.bytes.extend(((beyond << 2) as u16).to_le_bytes());
            }
        }
        (self.before, self.room_at) = (0, Some(self.bytes.len() - 2));
        for _ in 0..length {
            self.data.push(self.data[self.data.len() - distance]);
        }
    }

    fn zeros(&mut self, length: usize) {
        let more = length - 4;
        self.bytes.extend([0x18 | (more & 7) as u8, 0xfc, 0xff, (more >> 3) as u8]);
        self.data.resize(self.data.len() + length, 0);
        (self.before, self.room_at) = (0, Some(self.bytes.len() - 3));
    }

    /// An opcode and the length that goes on behind it if it is too great.
    fn opcode(&mut self, opcode: usize, length: usize, length_max: usize) {
        if length <= length_max {
            self.bytes.push((opcode | length) as u8);
        } else {
            let more = length - length_max - 1;
            self.bytes.push(opcode as u8);
            self.bytes.extend(std::iter::repeat_n(0, more / 255));
            self.bytes.push((more % 255 + 1) as u8);
        }
    }

    fn finish(&mut self) {
        self.bytes.extend([17, 0, 0]);
    }

    /// Here and, as far as its format goes, elsewhere it is read as its data.
    fn check(&self, name: &str) {
        assert!(run(&self.bytes, self.data.len()).as_ref() == Ok(&self.data), "{name}");
        assert!(run(&self.bytes, self.data.len() + 99).as_ref() == Ok(&self.data), "{name}");
        if !self.has_runs {
            let mut data = vec![0; self.data.len()];
            assert_eq!(foreign_decompress(&self.bytes, &mut data).ok(), Some(data.len()), "{name}");
            assert!(data == self.data, "{name}: the foreign decoder");
        }
    }
}

fn random_stream(rng: &mut Rng) -> Stream {
    let mut stream = Stream::new(rng.bool(), rng.bool());
    for _ in 0..rng.usize(..60) {
        let data: Vec<u8> = (0..small(rng)).map(|_| rng.u8(..)).collect();
        // Few literals have a place behind a match only, and at the start.
        let has_room = stream.room_at.is_some() || stream.data.is_empty();
        if stream.before == 0 && (data.len() >= 4 || has_room) {
            stream.literals(&data);
        }
        let made = stream.data.len();
        if made == 0 {
            continue;
        }
        let farthest = if rng.bool() { made.min(30) } else { made };
        let distance = rng.usize(1..=farthest);
        match rng.u8(..8) {
            0 if stream.has_runs => stream.zeros(4 + small(rng) * rng.usize(1..=5)),
            1 if (1..4).contains(&stream.before) => stream.repeat(rng.usize(1..=made.min(1024)), 2),
            _ => stream.repeat(distance, 3 + small(rng)),
        }
    }
    stream.finish();
    stream
}

/// A length: mostly a few, seldom hundreds.
fn small(rng: &mut Rng) -> usize {
    let most = [5, 20, 40, 400][usize::from(rng.u8(..) / 86) + usize::from(rng.u8(..) > 240)];
    rng.usize(..most)
}
