//! What must hold of page-codec whatever the input: each property panics if it does not.
//!
//! An input that fuzzing finds is to become a test of its property, below it.

mod deflate;
mod e842;
mod lz4;
mod lzo;

pub use deflate::{deflate_decode, deflate_framed, deflate_roundtrip};
pub use e842::{e842_decode, e842_roundtrip};
pub use lz4::{lz4_decode, lz4_roundtrip};
pub use lzo::{lzo_decode, lzo_roundtrip};

/// A source, of which the first byte tells whether it is what follows, or a page or more of it.
fn source(input: &[u8]) -> Vec<u8> {
    let Some((shape, rest)) = input.split_first() else { return Vec::new() };
    let len = match shape % 4 {
        0 => rest.len(),
        1 => 4097,
        2 => 10000,
        _ => 4096,
    };
    rest.iter().copied().chain([*shape]).cycle().take(len).collect()
}

/// The length of a destination, of up to two pages, and what follows.
fn room(input: &[u8]) -> (usize, &[u8]) {
    match input {
        [low, high, rest @ ..] => (usize::from(u16::from_le_bytes([*low, *high])) % 8193, rest),
        rest => (4096, rest),
    }
}

/// Runs `codec` on a destination of `len` bytes, which it must not be written behind; the data.
fn guarded<E>(len: usize, codec: impl FnOnce(&mut [u8]) -> Result<usize, E>) -> Result<Vec<u8>, E> {
    let mut buffer = vec![0xa5; len + 64];
    let result = codec(&mut buffer[..len]);
    assert!(buffer.split_off(len).iter().all(|byte| *byte == 0xa5), "written behind {len}");
    let produced = result?;
    assert!(produced <= len, "{produced} bytes in a destination of {len}");
    buffer.truncate(produced);
    Ok(buffer)
}
