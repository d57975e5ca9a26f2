//! Speed of zsmalloc: `cargo run --release -p zswap --example zsmalloc_speed`.

use std::hint::black_box;
use std::time::Instant;

use zswap::zsmalloc::{Config, MapError, Zsmalloc};

fn main() -> Result<(), MapError> {
    let zsmalloc = Zsmalloc::new(Config::new(1 << 30).reserve_bytes(400 << 20))?;
    let object = [7u8; OBJECT_BYTES];
    for round in 0..3 {
        speed(&zsmalloc, &object, round);
    }
    Ok(())
}

fn speed(zsmalloc: &Zsmalloc, object: &[u8], round: u64) {
    let mut rng = fastrand::Rng::with_seed(round);
    let mut plain = vec![1u8; OBJECTS * OBJECT_BYTES];
    let places: Vec<&mut [u8]> = plain.chunks_exact_mut(OBJECT_BYTES).collect();
    per_object("copy to plain memory", places, |place| place.copy_from_slice(object));
    drop(plain);
    let mut handles = Vec::with_capacity(OBJECTS);
    per_object("alloc", 0..OBJECTS, |_| handles.extend(zsmalloc.alloc(object)));
    rng.shuffle(&mut handles);
    per_object("read, random", &handles, |handle| {
        black_box(zsmalloc.read(handle, <[u8]>::len));
    });
    per_object("read, in cache", 0..OBJECTS, |i| {
        black_box(zsmalloc.read(&handles[i % 1000], <[u8]>::len));
    });
    let mut page = [0; OBJECT_BYTES];
    per_object("read and copy, random", &handles, |handle| {
        zsmalloc.read(handle, |object| page.copy_from_slice(object));
        black_box(&mut page);
    });
    per_object("free, random", handles.drain(..), |handle| zsmalloc.free(handle));
    let mut recent = Vec::new();
    per_object("alloc, in cache", 0..OBJECTS, |i| {
        recent.extend(zsmalloc.alloc(object));
        if i % BATCH == BATCH - 1 {
            recent.drain(..).for_each(|handle| zsmalloc.free(handle));
        }
    });
    recent.extend((0..1000).filter_map(|_| zsmalloc.alloc(object).ok()));
    per_object("free and alloc, in cache", 0..OBJECTS, |i| {
        zsmalloc.free(recent.swap_remove(i * 31 % recent.len()));
        recent.extend(zsmalloc.alloc(object));
    });
    recent.into_iter().for_each(|handle| zsmalloc.free(handle));
}

/// The median of batches: other processes may share the CPU.
fn per_object<T>(what: &str, objects: impl IntoIterator<Item = T>, mut op: impl FnMut(T)) {
    let mut objects = objects.into_iter().peekable();
    let mut batches = Vec::new();
    while objects.peek().is_some() {
        let start = Instant::now();
        objects.by_ref().take(BATCH).for_each(&mut op);
        batches.push(start.elapsed());
    }
    batches.sort();
    println!("{what:28} {:5} ns", batches[batches.len() / 2].as_nanos() / BATCH as u128);
}

const OBJECTS: usize = 150_000;
const OBJECT_BYTES: usize = 1600;
const BATCH: usize = 100;
