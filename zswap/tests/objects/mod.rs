//! Objects whose content tells which one they are.

#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(clippy::expect_used, reason = "test helpers unwrap like tests")]

use zswap::zsmalloc::{AllocError, Handle, Zsmalloc};

/// An object with a content of its own.
#[derive(Debug, PartialEq)]
pub(crate) struct Object {
    pub(crate) handle: Handle,
    pub(crate) seed: u64,
    pub(crate) len: usize,
}

impl Object {
    /// Refills the reserve where it must.
    pub(crate) fn new(zsmalloc: &Zsmalloc, seed: u64, len: usize) -> Result<Self, AllocError> {
        let mut content = [0; 4096];
        let content = &mut content[..len];
        fill(content, seed);
        loop {
            match zsmalloc.alloc(content) {
                Ok(handle) => return Ok(Self { handle, seed, len }),
                Err(AllocError::ReserveEmpty) => zsmalloc.refill().expect("memory"),
                Err(error) => return Err(error),
            }
        }
    }

    pub(crate) fn is_intact(&self, zsmalloc: &Zsmalloc) -> bool {
        zsmalloc.read(&self.handle, |object| self.is(object)) == Some(true)
    }

    /// Whether this is the content.
    pub(crate) fn is(&self, object: &[u8]) -> bool {
        let mut expected = [0; 4096];
        fill(&mut expected[..self.len], self.seed);
        object == &expected[..self.len]
    }
}

/// 40 % of 200 to 1200 bytes, 50 % up to 2600, 10 % up to a page.
pub(crate) fn realistic(rng: &mut fastrand::Rng) -> usize {
    match rng.u8(..10) {
        0..4 => rng.usize(200..1200),
        4..9 => rng.usize(1200..2600),
        _ => rng.usize(2600..=4096),
    }
}

/// Any length, short and long ones more often.
pub(crate) fn any(rng: &mut fastrand::Rng) -> usize {
    match rng.u8(..4) {
        0 => rng.usize(1..=64),
        1 => rng.usize(4000..=4096),
        _ => rng.usize(1..=4096),
    }
}

fn fill(content: &mut [u8], seed: u64) {
    let (words, rest) = content.as_chunks_mut::<8>();
    for (i, word) in words.iter_mut().enumerate() {
        *word = seed.wrapping_add(i as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15).to_ne_bytes();
    }
    rest.fill(!seed as u8);
}
