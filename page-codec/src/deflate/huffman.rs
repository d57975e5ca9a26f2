//! Prefix codes: lengths from frequencies, code words from lengths.

use super::format::CODE_BITS_MAX;

/// Code lengths of at most `bits_max` for symbols of these frequencies; 0 for symbols that do not
/// occur. At least two symbols get a code, so that every code is complete, which some decoders
/// insist on.
pub(super) fn lengths(frequencies: &[u32], bits_max: u32, lengths: &mut [u8]) {
    lengths.fill(0);
    let mut sorted = [NONE << SYMBOL_BITS; SYMBOLS_MAX];
    let used = sort(frequencies, &mut sorted);
    if used < 2 {
        // The symbol that occurs, if any, and another one.
        let only = if used == 1 { symbol(sorted[0]) } else { 0 };
        lengths[only] = 1;
        lengths[usize::from(only == 0)] = 1;
        return;
    }
    let mut symbols = [0; SYMBOLS_MAX];
    for (to, entry) in symbols.iter_mut().zip(&sorted[..used]) {
        *to = *entry as u16 & SYMBOL_MASK as u16;
    }
    let mut counts = depths(&sorted, used);
    limit(&mut counts, bits_max);
    let mut symbols = symbols[..used].iter();
    for bits in (1..=bits_max).rev() {
        for symbol in symbols.by_ref().take(counts[bits as usize] as usize) {
            lengths[usize::from(*symbol)] = bits as u8;
        }
    }
}

/// Puts the symbols that occur, below their frequencies, into ascending order; how many they are.
///
/// By counting, since comparing costs a misprediction each; only the few high frequencies of a page
/// are left to be sorted among themselves.
#[inline(never)]
fn sort(frequencies: &[u32], sorted: &mut [u32; SYMBOLS_MAX]) -> usize {
    let mut unsorted = [0; SYMBOLS_MAX];
    let mut used = 0;
    for (symbol, &frequency) in frequencies.iter().enumerate() {
        unsorted[used] = frequency << SYMBOL_BITS | symbol as u32;
        used += usize::from(frequency > 0);
    }
    let unsorted = &unsorted[..used];
    let bucket = |entry: u32| ((entry >> SYMBOL_BITS) as usize).min(BUCKETS - 1);
    let mut starts = [0_u16; BUCKETS];
    for entry in unsorted {
        starts[bucket(*entry)] += 1;
    }
    let mut start = 0;
    for count in &mut starts {
        (*count, start) = (start, start + *count);
    }
    let high = usize::from(starts[BUCKETS - 1]);
    for entry in unsorted {
        let place = &mut starts[bucket(*entry)];
        sorted[usize::from(*place) % SYMBOLS_MAX] = *entry;
        *place += 1;
    }
    sorted[high..used].sort_unstable();
    used
}

/// How many leaves of the Huffman tree lie at each depth, where `sorted` has their weights in
/// ascending order, above the symbols, and two entries of [`NONE`] behind them.
fn depths(sorted: &[u32; SYMBOLS_MAX], leaves: usize) -> [u32; DEPTH_BITS_MAX + 1] {
    let nodes = (leaves - 1) % SYMBOLS_MAX;
    let mut weights = [NONE; SYMBOLS_MAX];
    let mut parents = [0_u16; SYMBOLS_MAX];
    let (mut leaf, mut inner) = (0, 0);
    for node in 0..nodes {
        // The two lightest of two ascending queues, without a branch: nobody can guess which.
        let (l, i) = (leaf % SYMBOLS_MAX, inner % SYMBOLS_MAX);
        let leaves = [sorted[l] >> SYMBOL_BITS, sorted[(l + 1) % SYMBOLS_MAX] >> SYMBOL_BITS];
        let inners = [weights[i], weights[(i + 1) % SYMBOLS_MAX]];
        let taken = usize::from(inners[0] < leaves[1]) + usize::from(inners[1] < leaves[0]);
        weights[node] =
            (leaves[0] + leaves[1].min(inners[0])).min(inners[0] + inners[1].min(leaves[0]));
        parents[i] = node as u16;
        parents[(i + 1) % SYMBOLS_MAX] = node as u16;
        inner += taken;
        leaf += 2 - taken;
    }
    // The parents ascend, so that the inner nodes of each depth lie side by side, the root last.
    let mut counts = [0; DEPTH_BITS_MAX + 1];
    let (mut start, mut inners) = (nodes - 1, 1);
    for count in &mut counts[1..] {
        let mut end = start;
        while end > 0 && usize::from(parents[(end - 1) % SYMBOLS_MAX]) >= start {
            end -= 1;
        }
        let deeper = (start - end) as u32;
        *count = 2 * inners - deeper;
        (start, inners) = (end, deeper);
    }
    counts
}

/// Moves leaves up until none lies deeper than `bits_max`, and the code is complete again.
fn limit(counts: &mut [u32; DEPTH_BITS_MAX + 1], bits_max: u32) {
    let max = bits_max as usize;
    let deep: u32 = counts[max + 1..].iter().sum();
    if deep == 0 {
        return;
    }
    counts[max + 1..].fill(0);
    counts[max] += deep;
    // In units of the deepest level's code space.
    let mut used: u32 = (1..=max).map(|bits| counts[bits] << (max - bits)).sum();
    while used > 1 << max {
        // A leaf of the deepest level goes, and comes back beside a shorter one, split.
        let Some(bits) = (1..max).rev().find(|bits| counts[*bits] > 0) else { return };
        counts[bits] -= 1;
        counts[bits + 1] += 2;
        counts[max] -= 1;
        used -= 1;
    }
}

/// The canonical code words of these lengths, reversed: deflate sends them from their first bit on.
pub(super) const fn code_words<const N: usize>(lengths: &[u8; N]) -> [u16; N] {
    let mut counts = [0_u16; CODE_BITS_MAX as usize + 1];
    let mut symbol = 0;
    while symbol < N {
        counts[(lengths[symbol] & 15) as usize] += 1;
        symbol += 1;
    }
    counts[0] = 0;
    let mut next = [0_u16; 2 * (CODE_BITS_MAX as usize + 1)];
    let mut bits = 1;
    while bits < counts.len() {
        next[bits] = (next[bits - 1] + counts[bits - 1]) << 1;
        bits += 1;
    }
    let mut words = [0; N];
    let mut symbol = 0;
    while symbol < N {
        let bits = (lengths[symbol] & 15) as usize;
        // Symbols without a word take turns, since each step waits for the last one of its place.
        let place = if bits == 0 { next.len() / 2 + symbol % 16 } else { bits };
        words[symbol] = next[place];
        next[place] += 1;
        symbol += 1;
    }
    let mut symbol = 0;
    while symbol < N {
        let bits = lengths[symbol] & 15;
        words[symbol] = (words[symbol].reverse_bits() >> 1) >> (15 - bits);
        symbol += 1;
    }
    words
}

/// How much of the code space of 2^15 words these lengths take.
pub(super) fn code_space(lengths: &[u8]) -> u32 {
    let space = |length: &u8| 1 << (CODE_BITS_MAX - u32::from(*length).min(CODE_BITS_MAX));
    lengths.iter().filter(|length| **length > 0).map(space).sum()
}

fn symbol(entry: u32) -> usize {
    (entry & SYMBOL_MASK) as usize
}

/// A power of two above all counts of symbols, so that a mask keeps indices in range.
const SYMBOLS_MAX: usize = 512;
const SYMBOL_BITS: u32 = 9;
const SYMBOL_MASK: u32 = (1 << SYMBOL_BITS) - 1;
const BUCKETS: usize = 64;
/// The most that the frequencies of a code may sum up to.
pub(super) const WEIGHT_LOG_MAX: u32 = 21;
/// More than any weight.
const NONE: u32 = 1 << (WEIGHT_LOG_MAX + 1);
/// The weights of a tree this deep grow like the Fibonacci numbers and sum up to more than
/// [`WEIGHT_LOG_MAX`] allows.
const DEPTH_BITS_MAX: usize = 31;
