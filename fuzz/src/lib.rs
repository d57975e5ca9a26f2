//! What must hold whatever the input: each property panics if it does not.
//!
//! An input that fuzzing finds is to become a test of its property, below it.

mod command_line;
mod deflate;
mod drivers;
mod e842;
mod iaa;
mod input;
mod lz4;
mod lzo;
mod memory;

pub use command_line::{byte_size, page_file};
pub use deflate::{deflate_decode, deflate_framed, deflate_roundtrip};
pub use drivers::{driver_chain, driver_decode, names};
pub use e842::{e842_decode, e842_roundtrip};
pub use iaa::{iaa_device, iaa_wire, machine};
pub use lz4::{lz4_decode, lz4_roundtrip};
pub use lzo::{lzo_decode, lzo_roundtrip};
pub use memory::{params, zsmalloc, zswap};

/// A property, by the name of its target.
#[derive(Clone, Copy, Debug)]
pub struct Property {
    /// The target.
    pub name: &'static str,
    /// Tries an input.
    pub check: fn(&[u8]),
    /// Inputs to start from, the same ones each time.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// Every property.
pub const PROPERTIES: &[Property] = &[
    of("byte_size", byte_size, command_line::byte_size_seeds),
    of("deflate_decode", deflate_decode, deflate::decode_seeds),
    of("deflate_framed", deflate_framed, deflate::framed_seeds),
    of("deflate_roundtrip", deflate_roundtrip, sources),
    of("driver_chain", driver_chain, drivers::chain_seeds),
    of("driver_decode", driver_decode, drivers::decode_seeds),
    of("e842_decode", e842_decode, e842::decode_seeds),
    of("e842_roundtrip", e842_roundtrip, sources),
    of("iaa_device", iaa_device, iaa::device_seeds),
    of("iaa_wire", iaa_wire, iaa::wire_seeds),
    of("lz4_decode", lz4_decode, lz4::decode_seeds),
    of("lz4_roundtrip", lz4_roundtrip, sources),
    of("lzo_decode", lzo_decode, lzo::decode_seeds),
    of("lzo_roundtrip", lzo_roundtrip, sources),
    of("machine", machine, iaa::machine_seeds),
    of("names", names, drivers::name_seeds),
    of("page_file", page_file, command_line::page_file_seeds),
    of("params", params, memory::param_seeds),
    of("zsmalloc", zsmalloc, memory::zsmalloc_seeds),
    of("zswap", zswap, memory::zswap_seeds),
];

const fn of(name: &'static str, check: fn(&[u8]), seeds: fn() -> Vec<Vec<u8>>) -> Property {
    Property { name, check, seeds }
}

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

/// Sources of every shape.
fn sources() -> Vec<Vec<u8>> {
    let texts = ["", "a", "abc", "a page of a page of a page", "a\0\0\0\0\0\0\0\0b"];
    let shaped = |shape: u8| texts.map(|text| [&[shape], text.as_bytes()].concat());
    (0..4).flat_map(shaped).collect()
}

/// Streams, each with several lengths of destinations.
fn with_rooms(streams: &[&[u8]], rooms: &[u16]) -> Vec<Vec<u8>> {
    let with = |stream: &&[u8], room: &u16| [&room.to_le_bytes(), *stream].concat();
    streams.iter().flat_map(|stream| rooms.iter().map(move |room| with(stream, room))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_have_every_property() {
        for Property { name, check, seeds } in PROPERTIES {
            let seeds = seeds();
            println!("{name}: {} seeds", seeds.len());
            assert!(!seeds.is_empty(), "{name}");
            seeds.iter().for_each(|seed| check(seed));
        }
    }
}
