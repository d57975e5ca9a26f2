//! Finding matches: cuts a source into literals and matches, which a [`Sink`] takes.
//!
//! The table has an entry for each of 4096 hashes of four bytes. The hash is a bijection on 32 bits
//! (a multiplication by an odd constant): its top 12 bits choose the entry and the entry keeps the
//! other 20 beside the position, so that equal tags mean equal bytes and the choice between match
//! and literal never waits for the candidate's bytes.

use super::format::MATCH_BYTES_MAX;
use crate::PAGE_BYTES;

/// Takes literals and matches.
pub(super) trait Sink {
    /// Why it takes no more.
    type Stop;

    fn literal(&mut self, byte: u8);
    fn copy(&mut self, bytes: usize, distance: usize);
    /// Comes after at most [`LITERALS_BETWEEN_FLUSHES`] literals and a match behind them, or one
    /// literal more. `false`: there may be too little room for the next ones, and from now on
    /// [`flush_at_end`](Self::flush_at_end) has to come after each.
    fn flush(&mut self) -> bool;
    fn flush_at_end(&mut self) -> Result<(), Self::Stop>;
    /// Asked once, after the first `bytes` of a block: is the rest not worth it, if it is the same?
    fn is_hopeless(&self, bytes: usize) -> bool;
}

/// In the fixed code they have, with a match behind them, at most 55 bits.
const LITERALS_BETWEEN_FLUSHES: usize = 3;

#[derive(Clone, Debug)]
pub(super) struct Table {
    entries: [u32; 1 << HASH_BITS],
}

impl Table {
    pub(super) const fn new() -> Self {
        Self { entries: [EMPTY; 1 << HASH_BITS] }
    }

    pub(super) fn clear(&mut self) {
        self.entries.fill(EMPTY);
    }

    /// Puts `position` where its four bytes belong; the position that was there, if its bytes are
    /// the same. For an empty entry the answer may be 4095.
    #[inline(always)]
    fn exchange(&mut self, bytes: u32, position: usize) -> usize {
        let hash = bytes.wrapping_mul(MULTIPLIER);
        let tag = hash << POSITION_BITS;
        let entry = &mut self.entries[(hash >> (32 - HASH_BITS)) as usize];
        let old = (*entry ^ tag) as usize;
        *entry = tag | truncated(position);
        old
    }

    #[inline(always)]
    fn insert(&mut self, bytes: u32, position: usize) {
        let hash = bytes.wrapping_mul(MULTIPLIER);
        self.entries[(hash >> (32 - HASH_BITS)) as usize] =
            (hash << POSITION_BITS) | truncated(position);
    }
}

/// Cuts `src[start..]` into literals and matches; the table knows what lies before. `PAGE` says
/// that `src` is a page and `start` 0. Matches shorter than `LAZY` are taken only if the next byte
/// does not start a longer one. `None`: the sink has given up.
#[inline(always)]
pub(super) fn parse<const PAGE: bool, const LAZY: usize, S: Sink>(
    table: &mut Table,
    src: &[u8],
    start: usize,
    mut sink: S,
) -> Result<Option<S>, S::Stop> {
    let reached = if PAGE && let Some(page) = src.as_array::<PAGE_BYTES>() {
        // The length is a constant here, which saves a register and its comparisons.
        search::<true, LAZY, false, S>(table, page, start, &mut sink)?
    } else if PAGE {
        Reached::End(start)
    } else {
        search::<false, LAZY, false, S>(table, src, start, &mut sink)?
    };
    match reached {
        Reached::End(position) => tail(table, src, position, sink).map(Some),
        Reached::Full(position) => careful::<LAZY, S>(table, src, position, sink),
        Reached::GaveUp => Ok(None),
    }
}

/// Goes on where the end of the sink is close, and makes the same choices as before, so that what
/// comes out does not depend on how much room there was.
#[cold]
fn careful<const LAZY: usize, S: Sink>(
    table: &mut Table,
    src: &[u8],
    position: usize,
    mut sink: S,
) -> Result<Option<S>, S::Stop> {
    sink.flush_at_end()?;
    match search::<false, LAZY, true, S>(table, src, position, &mut sink)? {
        Reached::End(position) | Reached::Full(position) => {
            tail(table, src, position, sink).map(Some)
        }
        Reached::GaveUp => Ok(None),
    }
}

/// Where a search stopped.
enum Reached {
    /// Here, too close to the end of the source for its chunks.
    End(usize),
    /// Here, since the sink wants [`Sink::flush_at_end`] from now on.
    Full(usize),
    /// Nowhere: the sink has given up.
    GaveUp,
}

/// Goes as far as its chunks fit the source.
#[inline(always)]
fn search<const PAGE: bool, const LAZY: usize, const CAREFUL: bool, S: Sink>(
    table: &mut Table,
    src: &[u8],
    start: usize,
    sink: &mut S,
) -> Result<Reached, S::Stop> {
    let mut position = start;
    let mut checkpoint = if CAREFUL { usize::MAX } else { start + CHECKPOINT_BYTES };
    loop {
        while position < checkpoint
            && let Some(window) = chunk::<WINDOW_BYTES>(src, position)
        {
            // Four probes of one window, since the flush of a literal costs as much as the literal.
            // Written out, so that each has branches of its own to be predicted.
            if !probe::<0, PAGE, LAZY, S>(table, src, window, &mut position, sink)?
                && !probe::<1, PAGE, LAZY, S>(table, src, window, &mut position, sink)?
                && !probe::<2, PAGE, LAZY, S>(table, src, window, &mut position, sink)?
            {
                probe::<3, PAGE, LAZY, S>(table, src, window, &mut position, sink)?;
            }
            if CAREFUL {
                sink.flush_at_end()?;
            } else if !sink.flush() {
                return Ok(Reached::Full(position));
            }
        }
        if position < checkpoint {
            return Ok(Reached::End(position));
        }
        if sink.is_hopeless(position - start) && looks_random(&src[position..]) {
            return Ok(Reached::GaveUp);
        }
        checkpoint = usize::MAX;
    }
}

/// Does a sample of 256 bytes, a few from everywhere, have as many values as chance would have it?
/// A page may start with noise and be empty behind it.
#[inline(never)]
fn looks_random(rest: &[u8]) -> bool {
    let mut occurs = [false; 256];
    for stretch in rest.chunks((rest.len() / 16).max(16)) {
        stretch.iter().take(16).for_each(|byte| occurs[usize::from(*byte)] = true);
    }
    let values = occurs.iter().filter(|occurs| **occurs).count();
    values >= RANDOM_SYMBOLS
}

/// Takes a match at `position`, or the literal. Was it a match?
#[inline(always)]
fn probe<const AT: usize, const PAGE: bool, const LAZY: usize, S: Sink>(
    table: &mut Table,
    src: &[u8],
    window: &[u8; WINDOW_BYTES],
    position: &mut usize,
    sink: &mut S,
) -> Result<bool, S::Stop> {
    let now: &[u8; 16] = sub(window, AT);
    let word = u64::from_le_bytes(*sub(now, 0));
    let found = table.exchange(word as u32, *position);
    let Some((mut candidate, old)) = candidate::<PAGE>(src, found, *position, word as u32) else {
        sink.literal(word as u8);
        *position += 1;
        return Ok(false);
    };
    let mut bytes = common(src, *position, candidate, now, old);
    while bytes < LAZY
        && let Some(now) = chunk::<16>(src, *position + 1)
    {
        let word = u32::from_le_bytes(*sub(now, 0));
        let found = table.exchange(word, *position + 1);
        let next = self::candidate::<PAGE>(src, found, *position + 1, word);
        let Some((next, old)) = next else { break };
        let next_bytes = common(src, *position + 1, next, now, old);
        if next_bytes <= bytes {
            break;
        }
        sink.literal(src[*position]);
        if !sink.flush() {
            sink.flush_at_end()?;
        }
        *position += 1;
        (candidate, bytes) = (next, next_bytes);
    }
    sink.copy(bytes, *position - candidate);
    *position += bytes;
    if let Some(last) = chunk::<4>(src, *position - 1) {
        table.insert(u32::from_le_bytes(*last), *position - 1);
    }
    Ok(true)
}

/// Where a match for `position` starts, and its first bytes.
#[inline(always)]
fn candidate<const PAGE: bool>(
    src: &[u8],
    found: usize,
    position: usize,
    word: u32,
) -> Option<(usize, &[u8; 16])> {
    if PAGE {
        // Positions are what the table has, and an empty entry's lies too close to the end.
        return Some((found, chunk(src, found)?));
    }
    let candidate = earlier(found, position)?;
    let old = chunk::<16>(src, candidate)?;
    (*sub::<16, 4>(old, 0) == word.to_le_bytes()).then_some((candidate, old))
}

/// The last position before `position`, at most 4096 back, that the table may mean.
#[inline(always)]
fn earlier(found: usize, position: usize) -> Option<usize> {
    let distance = position.wrapping_sub(found).wrapping_sub(1) % HISTORY_BYTES + 1;
    if found < HISTORY_BYTES { position.checked_sub(distance) } else { None }
}

/// Byte by byte, where the chunks do not fit the source any more.
#[inline(never)]
fn tail<S: Sink>(
    table: &mut Table,
    src: &[u8],
    mut position: usize,
    mut sink: S,
) -> Result<S, S::Stop> {
    sink.flush_at_end()?;
    while let Some(&byte) = src.get(position) {
        let found = chunk::<4>(src, position).and_then(|word| {
            let found = table.exchange(u32::from_le_bytes(*word), position);
            let candidate = earlier(found, position)?;
            Some((candidate, common_slow(src, position, candidate, MATCH_BYTES_MAX)))
        });
        position += match found {
            Some((candidate, bytes)) if bytes >= 4 => {
                sink.copy(bytes, position - candidate);
                bytes
            }
            _ => {
                sink.literal(byte);
                1
            }
        };
        sink.flush_at_end()?;
    }
    Ok(sink)
}

/// The length of a match whose first 16 bytes are `now` and `old`.
#[inline(always)]
fn common(src: &[u8], position: usize, candidate: usize, now: &[u8; 16], old: &[u8; 16]) -> usize {
    let word = |bytes, at| u64::from_le_bytes(*sub::<16, 8>(bytes, at));
    let difference = word(now, 0) ^ word(old, 0);
    if difference != 0 {
        return (difference.trailing_zeros() >> 3) as usize;
    }
    let difference = word(now, 8) ^ word(old, 8);
    if difference != 0 {
        return 8 + (difference.trailing_zeros() >> 3) as usize;
    }
    16 + common_slow(src, position + 16, candidate + 16, MATCH_BYTES_MAX - 16)
}

#[cold]
#[inline(never)]
/// How many bytes, at most `max`, are the same from two positions on.
fn common_slow(src: &[u8], position: usize, candidate: usize, max: usize) -> usize {
    let now = src.get(position..).unwrap_or_default();
    let now = now.get(..max).unwrap_or(now);
    let old = &src[candidate..][..now.len()];
    let (now_words, now_tail) = now.as_chunks::<8>();
    let (old_words, old_tail) = old.as_chunks::<8>();
    for (i, (now, old)) in now_words.iter().zip(old_words).enumerate() {
        let difference = u64::from_le_bytes(*now) ^ u64::from_le_bytes(*old);
        if difference != 0 {
            return 8 * i + (difference.trailing_zeros() >> 3) as usize;
        }
    }
    let same = now_tail.iter().zip(old_tail).take_while(|(now, old)| now == old).count();
    8 * now_words.len() + same
}

/// What the table keeps of a position.
#[inline(always)]
fn truncated(position: usize) -> u32 {
    (position % HISTORY_BYTES) as u32
}

#[inline(always)]
fn chunk<const N: usize>(src: &[u8], position: usize) -> Option<&[u8; N]> {
    if src.len() < N || position > src.len() - N {
        return None;
    }
    src[position..position + N].first_chunk()
}

#[inline(always)]
fn sub<const M: usize, const N: usize>(bytes: &[u8; M], at: usize) -> &[u8; N] {
    match bytes[at..].first_chunk() {
        Some(chunk) => chunk,
        None => &[0; N],
    }
}

const HASH_BITS: u32 = 12;
const POSITION_BITS: u32 = 12;
const HISTORY_BYTES: usize = 1 << POSITION_BITS;
/// Where a sink may give up.
const CHECKPOINT_BYTES: usize = 512;
/// 256 random bytes have 162 values, with a deviation of 5.5; if a quarter of them is zero, 136.
const RANDOM_SYMBOLS: usize = 145;
const WINDOW_BYTES: usize = 16 + LITERALS_BETWEEN_FLUSHES;
/// Its position lies behind every candidate.
const EMPTY: u32 = u32::MAX;
const MULTIPLIER: u32 = 0x9E37_79B1;
