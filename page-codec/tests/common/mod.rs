//! What the tests of every codec share: sources, and a guard around destinations.

#![allow(dead_code, reason = "few test files need all of it")]

use std::fmt::Debug;

use fastrand::Rng;

/// Sources of each length and kind, with a name that tells how to make them again.
pub(crate) fn sources(
    lens: impl IntoIterator<Item = usize>,
) -> impl Iterator<Item = (Vec<u8>, String)> {
    lens.into_iter().flat_map(|len| {
        KINDS.map(|kind| {
            let seed = len as u64 + 1;
            (source(kind, len, seed), format!("{kind} of {len} with seed {seed}"))
        })
    })
}

/// Runs `codec` on a destination of `len` bytes and sees that nothing is written around it.
pub(crate) fn guarded<R>(len: usize, codec: impl FnOnce(&mut [u8]) -> R) -> (R, Vec<u8>) {
    const GUARD_BYTES: usize = 64;
    let mut buffer = vec![0xa5; GUARD_BYTES + len + GUARD_BYTES];
    let result = codec(&mut buffer[GUARD_BYTES..GUARD_BYTES + len]);
    let dst = buffer[GUARD_BYTES..GUARD_BYTES + len].to_vec();
    buffer.drain(GUARD_BYTES..GUARD_BYTES + len);
    assert!(buffer.iter().all(|byte| *byte == 0xa5), "written around a destination of {len}");
    (result, dst)
}

/// Sees that `codec` makes `wanted` in every destination that it fits, up to one of `len_max`, and
/// is refused by all others.
pub(crate) fn made_if_and_only_if_it_fits<E: Debug + PartialEq>(
    wanted: &[u8],
    len_max: usize,
    refused: impl Fn() -> E,
    name: &str,
    mut codec: impl FnMut(&mut [u8]) -> Result<usize, E>,
) {
    for len in 0..=len_max {
        let (result, dst) = guarded(len, &mut codec);
        if len < wanted.len() {
            assert_eq!(result, Err(refused()), "{name} into {len}");
        } else {
            assert_eq!(result, Ok(wanted.len()), "{name} into {len}");
            assert_eq!(dst[..wanted.len()], *wanted, "{name} into {len}");
        }
    }
}

fn source(kind: &str, len: usize, seed: u64) -> Vec<u8> {
    let mut rng = Rng::with_seed(seed);
    let mut src = Vec::with_capacity(len + 20);
    let period = rng.usize(1..20);
    let words: Vec<_> = TEXT.split_inclusive(' ').collect();
    while src.len() < len {
        match kind {
            "zero" => src.push(0),
            "text" => src.extend(words[rng.usize(..words.len())].bytes()),
            "random" => src.push(rng.u8(..)),
            "repeating" if src.len() < period || rng.u8(..) == 0 => src.push(rng.u8(..)),
            "repeating" => src.push(src[src.len() - period]),
            "skewed" => src.push(rng.u8(..) & rng.u8(..) & rng.u8(..)),
            _ => record(&mut src, &mut rng),
        }
    }
    src.truncate(len);
    src
}

/// As an array of structures looks in memory: an index, a pointer, a small number, padding.
fn record(src: &mut Vec<u8>, rng: &mut Rng) {
    src.extend((src.len() as u32 / 20).to_le_bytes());
    src.extend((0x7f3a_5c00_0000 + 16 * rng.u64(..4096)).to_le_bytes());
    src.extend([rng.u8(..10), 0, 0, 0, 0xff, 0xff, 0xff, 0xff]);
}

/// More than positions of 16 bits reach, twice.
pub(crate) const LONG_BYTES: usize = 150_000;

const KINDS: [&str; 6] = ["zero", "text", "random", "repeating", "skewed", "structured"];
const TEXT: &str = "page of memory the compressed and swapped out, a block. literals match\n";
