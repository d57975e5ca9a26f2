//! Speed and density of zsmalloc: `cargo run --release -p zswap --example zsmalloc_speed`.

use std::hint::black_box;
use std::time::Instant;

use zswap::zsmalloc::{AllocError, Config, Handle, Zsmalloc};

fn main() {
    let zsmalloc = Zsmalloc::new(Config::new(1 << 30).reserve_bytes(400 << 20)).expect("memory");
    let object = [7u8; OBJECT_BYTES];
    for round in 0..3 {
        speed(&zsmalloc, &object, round);
    }
    for bytes in [10 << 20, 256 << 20] {
        density(bytes).expect("the reserve is refilled");
    }
}

fn speed(zsmalloc: &Zsmalloc, object: &[u8], round: u64) {
    let mut rng = fastrand::Rng::with_seed(round);
    let mut plain = vec![1u8; OBJECTS * OBJECT_BYTES];
    per_object("copy to plain memory", || {
        for place in plain.chunks_exact_mut(OBJECT_BYTES) {
            black_box(place).copy_from_slice(object);
        }
    });
    drop(plain);
    let mut handles = Vec::with_capacity(OBJECTS);
    per_object("alloc", || {
        handles.extend((0..OBJECTS).filter_map(|_| zsmalloc.alloc(object).ok()));
    });
    rng.shuffle(&mut handles);
    per_object("read, random", || {
        for handle in &handles {
            black_box(zsmalloc.read(handle, <[u8]>::len));
        }
    });
    per_object("read, one in cache", || {
        for _ in 0..OBJECTS {
            black_box(zsmalloc.read(&handles[0], <[u8]>::len));
        }
    });
    let mut page = [0; OBJECT_BYTES];
    per_object("read and copy, random", || {
        for handle in &handles {
            zsmalloc.read(handle, |object| page.copy_from_slice(object));
            black_box(&mut page);
        }
    });
    per_object("free, random", || handles.drain(..).for_each(|handle| zsmalloc.free(handle)));
    let mut working_set: Vec<Handle> =
        (0..1000).filter_map(|_| zsmalloc.alloc(object).ok()).collect();
    per_object("free and alloc, 1000 objects", || {
        for i in 0..OBJECTS {
            let handle = working_set.swap_remove(i * 31 % working_set.len());
            zsmalloc.free(handle);
            working_set.extend(zsmalloc.alloc(object));
        }
    });
    working_set.into_iter().for_each(|handle| zsmalloc.free(handle));
}

fn per_object(what: &str, run: impl FnOnce()) {
    let start = cpu_ns();
    run();
    println!("{what:28} {:5} ns", (cpu_ns() - start) / OBJECTS as u64);
}

/// Time that this thread ran: other processes may share its CPU.
fn cpu_ns() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    stat.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or_default()
}

fn density(bytes: usize) -> Result<(), AllocError> {
    let zsmalloc = Zsmalloc::new(Config::new(2 << 30)).expect("memory");
    let mut rng = fastrand::Rng::with_seed(1);
    let mut handles = Vec::new();
    let fill = |handles: &mut Vec<Handle>, rng: &mut fastrand::Rng| {
        while zsmalloc.stats().object_bytes < bytes {
            let len = realistic(rng);
            match zsmalloc.alloc(&[1; 4096][..len]) {
                Ok(handle) => handles.push(handle),
                Err(AllocError::ReserveEmpty) => zsmalloc.refill().expect("memory"),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    };
    fill(&mut handles, &mut rng)?;
    report("filled", &zsmalloc);
    rng.shuffle(&mut handles);
    handles.drain(..handles.len() / 2).for_each(|handle| zsmalloc.free(handle));
    report("half freed", &zsmalloc);
    fill(&mut handles, &mut rng)?;
    report("filled again", &zsmalloc);
    let start = Instant::now();
    let compacted = zsmalloc.compact(usize::MAX);
    println!("{compacted:?} in {:?}", start.elapsed());
    report("compacted", &zsmalloc);
    handles.drain(..handles.len() / 2).for_each(|handle| zsmalloc.free(handle));
    report("half freed", &zsmalloc);
    let start = Instant::now();
    let compacted = zsmalloc.compact(usize::MAX);
    println!("{compacted:?} in {:?}", start.elapsed());
    report("compacted", &zsmalloc);
    println!("trimmed {} MiB", zsmalloc.trim().expect("memory") >> 20);
    report("trimmed", &zsmalloc);
    Ok(())
}

fn report(what: &str, zsmalloc: &Zsmalloc) {
    let stats = zsmalloc.stats();
    let density = stats.object_bytes as f64 / stats.held_bytes as f64;
    let metadata = stats.metadata_bytes as f64 / stats.objects as f64;
    println!(
        "{what:12} {density:.4} of {:4} MiB, {metadata:.1} B metadata per object, {} MiB free",
        stats.held_bytes >> 20,
        stats.reserve_bytes >> 20,
    );
}

/// 40 % of 200 to 1200 bytes, 50 % up to 2600, 10 % up to a page.
fn realistic(rng: &mut fastrand::Rng) -> usize {
    match rng.u8(..10) {
        0..4 => rng.usize(200..1200),
        4..9 => rng.usize(1200..2600),
        _ => rng.usize(2600..=4096),
    }
}

const OBJECTS: usize = 150_000;
const OBJECT_BYTES: usize = 1600;
