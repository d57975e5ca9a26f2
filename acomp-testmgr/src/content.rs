//! Generated page contents: what a codec meets in memory, and what troubles codecs.

use std::fmt;

use fastrand::Rng;

/// A class of contents. The same class, seed and length give the same bytes on every machine.
///
/// ```
/// use acomp_testmgr::Content;
/// let (mut page, mut again) = ([0; 4096], [1; 4096]);
/// Content::Structured.fill(7, &mut page);
/// Content::Structured.fill(7, &mut again);
/// assert_eq!(page, again);
/// assert_eq!(Content::Structured.to_string(), "structured");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Content {
    /// Zeros.
    Zero,
    /// One word of 8 bytes over and over.
    SameFilled,
    /// Phrases of common words, and numbers: lz4 halves a page of it.
    Text,
    /// A heap: records of pointers, small integers, short strings and holes. lz4 brings a page of
    /// it to about 2/5.
    Structured,
    /// A random pattern of 1 to 600 bytes over and over.
    Repeating,
    /// Noise: no codec makes it smaller.
    Random,
    /// Noise mixed with what compresses, in one of four ways: rare repeats from far back, a noisy
    /// head, a noisy tail, or runs of lengths around the limits of formats.
    Adversarial,
}

impl Content {
    /// Every class.
    pub const ALL: &[Self] = &[
        Self::Zero,
        Self::SameFilled,
        Self::Text,
        Self::Structured,
        Self::Repeating,
        Self::Random,
        Self::Adversarial,
    ];

    /// The name, as in `same-filled`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Zero => "zero",
            Self::SameFilled => "same-filled",
            Self::Text => "text",
            Self::Structured => "structured",
            Self::Repeating => "repeating",
            Self::Random => "random",
            Self::Adversarial => "adversarial",
        }
    }

    /// Overwrites `dst`, of any length, with contents of this class.
    pub fn fill(self, seed: u64, dst: &mut [u8]) {
        let rng = &mut Rng::with_seed(seed);
        match self {
            Self::Zero => dst.fill(0),
            Self::SameFilled => repeat(&rng.u64(..).to_le_bytes(), dst),
            Self::Text => text(rng, dst),
            Self::Structured => structured(rng, dst),
            Self::Repeating => repeating(rng, dst),
            Self::Random => rng.fill(dst),
            Self::Adversarial => adversarial(rng, dst),
        }
    }
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Sentences of phrases that come again, as they do in a log or a document.
fn text(rng: &mut Rng, dst: &mut [u8]) {
    let phrases: Vec<String> = (0..PHRASES).map(|_| phrase(rng)).collect();
    let mut out = Out { rest: dst };
    while !out.is_full() {
        match rng.u32(..8) {
            0 => out.put(format!("{} ", rng.u32(..2000)).as_bytes()),
            1 | 2 => out.put(phrase(rng).as_bytes()),
            _ => out.put(pick(rng, &phrases).as_bytes()),
        }
        match rng.u32(..24) {
            0 => out.put(b"\n"),
            1..4 => out.put(b", "),
            _ => {}
        }
    }
}

fn phrase(rng: &mut Rng) -> String {
    (0..rng.u32(1..6)).flat_map(|_| [*pick(rng, &WORDS), " "]).collect()
}

/// Slabs of equal objects, as an allocator leaves them.
fn structured(rng: &mut Rng, dst: &mut [u8]) {
    let heap = 0x7F00_0000_0000 + (rng.u64(..1 << 28) << 12);
    let mut out = Out { rest: dst };
    while !out.is_full() {
        let shape: Vec<Field> = (0..rng.u32(3..8)).map(|_| *pick(rng, &FIELDS)).collect();
        let vtable = 0x5500_0000_0000 + rng.u64(..1 << 32) * 8;
        for number in 0..rng.u64(8..40) {
            out.put(&vtable.to_le_bytes());
            for field in &shape {
                put_field(*field, rng, heap, number, &mut out);
            }
        }
    }
}

/// Every field is 8 bytes, or 16 for a string.
fn put_field(field: Field, rng: &mut Rng, heap: u64, number: u64, out: &mut Out<'_>) {
    let word = match field {
        Field::Hole => 0,
        Field::Number => number,
        Field::Small => rng.u64(..100),
        Field::Flags => 1 << rng.u64(..4) | u64::from(rng.u32(..8)) << 32,
        Field::Pointer if rng.u32(..4) == 0 => 0,
        Field::Pointer => heap + rng.u64(..1 << 12) * 16,
        Field::Float => (f64::from(rng.u32(..10_000)) / 100.0).to_bits(),
        Field::String => {
            let mut string = [0; 16];
            let word = pick(rng, &WORDS).as_bytes();
            string[..word.len()].copy_from_slice(word);
            return out.put(&string);
        }
    };
    out.put(&word.to_le_bytes());
}

fn repeating(rng: &mut Rng, dst: &mut [u8]) {
    let mut pattern = [0; 600];
    let pattern = &mut pattern[..rng.u32(1..=600) as usize];
    rng.fill(pattern);
    repeat(pattern, dst);
}

fn adversarial(rng: &mut Rng, dst: &mut [u8]) {
    let mid = dst.len() / 3;
    match rng.u32(..4) {
        0 => far_repeats(rng, dst),
        1 => {
            text(rng, dst);
            rng.fill(&mut dst[..mid]);
        }
        2 => {
            structured(rng, dst);
            rng.fill(&mut dst[mid..]);
        }
        _ => runs(rng, dst),
    }
}

/// Noise, where now and then a few bytes from as far back as possible come again.
fn far_repeats(rng: &mut Rng, dst: &mut [u8]) {
    rng.fill(dst);
    let mut at = dst.len() / 2;
    while at < dst.len() {
        let len = (rng.u32(3..12) as usize).min(dst.len() - at);
        let from = (rng.u32(..64) as usize).min(at - at.min(len));
        dst.copy_within(from..from + len, at);
        at += len + rng.u32(8..300) as usize;
    }
}

/// Runs whose lengths are around what fits a token, a length byte or a longest match of a format.
fn runs(rng: &mut Rng, dst: &mut [u8]) {
    let mut out = Out { rest: dst };
    while !out.is_full() {
        let len = pick(rng, &RUN_BYTES) + rng.u32(..3) as usize;
        let mut run = [rng.u8(..); RUN_BYTES_MAX];
        if rng.bool() {
            rng.fill(&mut run);
        }
        out.put(&run[..len]);
    }
}

fn repeat(pattern: &[u8], dst: &mut [u8]) {
    for part in dst.chunks_mut(pattern.len()) {
        part.copy_from_slice(&pattern[..part.len()]);
    }
}

fn pick<'a, T>(rng: &mut Rng, all: &'a [T]) -> &'a T {
    &all[rng.u32(..all.len() as u32) as usize]
}

/// What is left to be written of a destination; what does not fit is dropped.
struct Out<'a> {
    rest: &'a mut [u8],
}

impl Out<'_> {
    fn is_full(&self) -> bool {
        self.rest.is_empty()
    }

    fn put(&mut self, bytes: &[u8]) {
        let len = bytes.len().min(self.rest.len());
        let (head, rest) = std::mem::take(&mut self.rest).split_at_mut(len);
        head.copy_from_slice(&bytes[..len]);
        self.rest = rest;
    }
}

#[derive(Clone, Copy)]
enum Field {
    Hole,
    Number,
    Small,
    Flags,
    Pointer,
    Float,
    String,
}

/// As often as they occur.
const FIELDS: [Field; 12] = [
    Field::Hole,
    Field::Hole,
    Field::Hole,
    Field::Number,
    Field::Small,
    Field::Small,
    Field::Flags,
    Field::Pointer,
    Field::Pointer,
    Field::Pointer,
    Field::Float,
    Field::String,
];

const PHRASES: usize = 40;

/// lz4: 15 in a token, 255 in a length byte; deflate: a match of 258.
const RUN_BYTES: [usize; 8] = [2, 6, 14, 18, 62, 253, 269, 510];
const RUN_BYTES_MAX: usize = 512;

const WORDS: [&str; 128] = [
    "the", "of", "and", "to", "a", "in", "is", "that", "it", "was", "for", "on", "are", "as",
    "with", "his", "they", "at", "be", "this", "from", "have", "or", "by", "one", "had", "not",
    "but", "what", "all", "were", "when", "we", "there", "can", "an", "your", "which", "their",
    "said", "if", "do", "will", "each", "about", "how", "up", "out", "them", "then", "she", "many",
    "some", "so", "these", "would", "other", "into", "has", "more", "her", "two", "like", "him",
    "see", "time", "could", "no", "make", "than", "first", "been", "its", "who", "now", "people",
    "my", "made", "over", "did", "down", "only", "way", "find", "use", "may", "water", "long",
    "little", "very", "after", "words", "called", "just", "where", "most", "know", "get",
    "through", "back", "much", "before", "go", "good", "new", "write", "our", "used", "me", "man",
    "too", "any", "day", "same", "right", "look", "think", "also", "around", "another", "came",
    "come", "work", "three", "word", "must", "because", "does",
];
