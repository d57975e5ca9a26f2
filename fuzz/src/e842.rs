//! Properties of 842 streams.
//!
//! There is no other implementation to ask but a slow one below, after the description of the
//! format.

use page_codec::e842::{EncodeError, Encoder, decode};

/// The decoder takes what the slow one takes, and makes the same of it, whatever was in the
/// destination.
///
/// As no checksum is right by chance, it is given what the slow one read, too, with an end that is.
pub fn e842_decode(input: &[u8]) {
    let (room, stream) = crate::room(input);
    let mut slow = Slow { stream, at: 0, data: Vec::new() };
    let is_ended = slow.operations(room);
    let (read, data) = (slow.at, slow.data.clone());
    let is_stream = is_ended && slow.end();
    assert_eq!(decoded(stream, room), is_stream.then(|| data.clone()));

    let mended = mended(stream, read, &data);
    assert_eq!(decoded(&mended, room).as_ref(), Some(&data));
    if !data.is_empty() {
        assert_eq!(decoded(&mended, data.len() - 1), None);
    }
}

/// What the encoder makes is read, no longer than the format allows, and made wherever it fits.
pub fn e842_roundtrip(input: &[u8]) {
    let src = crate::source(input);
    let mut encoder = Encoder::new();
    let (blocks, rest) = (src.len() / 8, src.len() % 8);
    let bits = 69 * blocks + if rest > 0 { 8 + 8 * rest } else { 0 } + 37;
    let stream = encoded(&mut encoder, &src, bits.div_ceil(64) * 8).expect("enough room");
    assert_eq!(decoded(&stream, src.len()).as_ref(), Some(&src));
    let mut slow = Slow { stream: &stream, at: 0, data: Vec::new() };
    assert!(slow.operations(src.len()) && slow.end());
    assert_eq!(slow.data, src);
    let too_small = encoded(&mut encoder, &src, stream.len() - 1);
    assert_eq!(too_small, Err(EncodeError::DstTooSmall));
    assert_eq!(encoded(&mut encoder, &src, stream.len()), Ok(stream));
}

fn encoded(encoder: &mut Encoder, src: &[u8], room: usize) -> Result<Vec<u8>, EncodeError> {
    crate::guarded(room, |dst| encoder.encode(src, dst))
}

fn decoded(stream: &[u8], room: usize) -> Option<Vec<u8>> {
    let data = crate::guarded(room, |dst| decode(stream, dst)).ok();
    let mut dst = vec![0; room];
    let again = decode(stream, &mut dst).ok().map(|len| dst[..len].to_vec());
    assert_eq!(data, again, "what was in the destination is in the data");
    data
}

/// The first `bits` of a stream, and the end of one of this data.
fn mended(stream: &[u8], bits: usize, data: &[u8]) -> Vec<u8> {
    let end = [(0x1e, 5), (u64::from(crc(data)), 32)];
    let end = end.iter().flat_map(|(field, bits)| (0..*bits).rev().map(move |bit| field >> bit));
    let end = end.map(|bit| bit as u8 & 1);
    let mut bits: Vec<u8> = (0..bits).map(|at| bit(stream, at)).chain(end).collect();
    bits.resize(bits.len().next_multiple_of(64), 0);
    bits.chunks(8).map(|bits| bits.iter().fold(0, |byte, bit| byte << 1 | bit)).collect()
}

/// The format, bit by bit.
struct Slow<'a> {
    stream: &'a [u8],
    /// How many bits are read, of whole operations only, and the data that they made.
    at: usize,
    data: Vec<u8>,
}

impl Slow<'_> {
    /// Reads operations as long as their data fits; whether they are followed by an end.
    fn operations(&mut self, room: usize) -> bool {
        loop {
            let (at, len) = (self.at, self.data.len());
            let is_done = match self.operation() {
                Some(is_done) if self.data.len() <= room => is_done,
                _ => {
                    self.data.truncate(len);
                    self.at = at;
                    return false;
                }
            };
            if is_done {
                return true;
            }
        }
    }

    /// Whether only the end may follow, which is not read.
    fn operation(&mut self) -> Option<bool> {
        let start = self.at;
        match self.take(5)? {
            opcode @ ..0x19 => {
                let mut block = self.half(opcode / 5)?;
                block.extend(self.half(opcode % 5)?);
                self.data.extend(block);
            }
            0x19 => {
                let block = self.unit(8, 8)?;
                self.data.extend(block);
            }
            0x1b => {
                let blocks = self.take(6)? + 1;
                let block = self.data.last_chunk::<8>()?.repeat(blocks);
                self.data.extend(block);
            }
            0x1c => self.data.extend([0; 8]),
            0x1d => {
                let len = self.take(3)?;
                for _ in 0..len {
                    let byte = self.take(8)? as u8;
                    self.data.push(byte);
                }
                return (len > 0).then_some(true);
            }
            0x1e => {
                self.at = start;
                return Some(true);
            }
            _ => return None,
        }
        Some(false)
    }

    /// Whether here is the end, and nothing behind.
    fn end(&mut self) -> bool {
        let expected = crc(&self.data) as usize;
        let is_end = self.take(5) == Some(0x1e) && self.take(32) == Some(expected);
        let padding = self.at.next_multiple_of(64) - self.at;
        is_end && self.take(padding) == Some(0) && self.at == 8 * self.stream.len()
    }

    fn half(&mut self, kind: usize) -> Option<Vec<u8>> {
        if kind == 4 {
            return self.unit(9, 4);
        }
        let mut half = Vec::new();
        for is_reference in [kind & 2 > 0, kind & 1 > 0] {
            half.extend(if is_reference {
                self.unit(8, 2)?
            } else {
                (self.take(16)? as u16).to_be_bytes().to_vec()
            });
        }
        Some(half)
    }

    /// What was written last where a slot is.
    fn unit(&mut self, bits: usize, size: usize) -> Option<Vec<u8>> {
        let slot = self.take(bits)?;
        let at = (slot * size..self.data.len()).step_by(size << bits).next_back()?;
        Some(self.data[at..at + size].to_vec())
    }

    fn take(&mut self, bits: usize) -> Option<usize> {
        let end = self.at + bits;
        if end > 8 * self.stream.len() {
            return None;
        }
        let field = (self.at..end).fold(0, |field, at| field << 1 | bit(self.stream, at) as usize);
        self.at = end;
        Some(field)
    }
}

fn bit(stream: &[u8], at: usize) -> u8 {
    stream[at / 8] >> (7 - at % 8) & 1
}

fn crc(data: &[u8]) -> u32 {
    let bits = data.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1));
    bits.fold(0, |crc: u32, bit| {
        let carry = crc >> 31 ^ u32::from(bit);
        (crc << 1) ^ (carry * 0x04c1_1db7)
    })
}

/// Streams that are valid and not.
pub(crate) fn decode_seeds() -> Vec<Vec<u8>> {
    let streams: [&[u8]; 7] = [
        b"",
        b"\xf0\0\0\0\0\0\0\0",
        b"\xe6\xc1\xf0\0\0\0\0\0",
        b"\xed\x68\x65\x6c\x6c\x6f\xf5\x0e\xf1\x0a\xf0\0\0\0\0\0",
        b"\xed\x68\x65\x6c\x6c\x6f\xf5\x0e\xf1\x0a\xf0\0\0\0\0\x01",
        b"\xd0\0\0\0\0\0\0\0",
        b"\xe7\x27\x39\xce\x73\x9c\xe7\x39\xce\xff",
    ];
    crate::with_rooms(&streams, &[0, 1, 5, 8, 24, 200])
}
