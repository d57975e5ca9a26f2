//! Pages of each kind, made from a number.

#![allow(dead_code, reason = "each test file uses its own part")]

use zswap::{PAGE_BYTES, Page};

/// One word from end to end.
pub(crate) fn filled(word: u64) -> Page {
    let mut page = [0; PAGE_BYTES];
    page.as_chunks_mut().0.fill(word.to_ne_bytes());
    page
}

/// Compresses well: a few random bytes, then zeros.
pub(crate) fn stamped(seed: u64) -> Page {
    let mut page = [0; PAGE_BYTES];
    fastrand::Rng::with_seed(seed).fill(&mut page[..STAMP_BYTES]);
    page
}

/// Compresses to about a third.
pub(crate) fn text(seed: u64) -> Page {
    let mut rng = fastrand::Rng::with_seed(seed);
    [(); PAGE_BYTES].map(|()| b"aaaaaabbc "[rng.usize(..10)])
}

/// Does not compress.
pub(crate) fn random(seed: u64) -> Page {
    let mut page = [0; PAGE_BYTES];
    fastrand::Rng::with_seed(seed).fill(&mut page);
    page
}

/// Pages of every kind in turn, a zero page first.
pub(crate) fn mixed(seed: u64, pages: usize) -> Vec<Page> {
    let page = |n: u64| match n % 5 {
        0 => filled(0),
        1 => stamped(seed + n),
        2 => filled(seed + n),
        3 => random(seed + n),
        _ => text(seed + n),
    };
    (0..pages as u64).map(page).collect()
}

pub(crate) const STAMP_BYTES: usize = 64;
