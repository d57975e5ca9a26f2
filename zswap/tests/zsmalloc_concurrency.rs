//! Many threads on one allocator, while objects move.

#![expect(clippy::unwrap_used, reason = "test helpers unwrap like tests")]

mod objects;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use zswap::zsmalloc::{Config, Zsmalloc};

use objects::{Object, any};

#[test]
fn objects_move_under_readers_writers_and_each_other() {
    let zsmalloc = Zsmalloc::new(Config::new(64 << 20).reserve_bytes(1 << 20)).unwrap();
    let shared: Vec<_> = (0..200).map(|i| Object::new(&zsmalloc, i, lens(i)).unwrap()).collect();
    let (ends, moved) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (zsmalloc, shared, ends) = (&zsmalloc, &shared, &ends);
            scope.spawn(move || work(zsmalloc, shared, thread, ends));
        }
        for _ in 0..2 {
            scope.spawn(|| {
                while !ends.load(Relaxed) {
                    moved.fetch_add(zsmalloc.compact(100).objects, Relaxed);
                    zsmalloc.refill().unwrap();
                    zsmalloc.trim().unwrap();
                }
            });
        }
        let start = Instant::now();
        while start.elapsed() < DURATION {
            thread::sleep(DURATION / 100);
        }
        ends.store(true, Relaxed);
    });
    assert!(moved.into_inner() > 1000, "objects did move");
    assert!(shared.iter().all(|object| object.is_intact(&zsmalloc)));
    shared.into_iter().for_each(|object| zsmalloc.free(object.handle));
    assert_eq!((zsmalloc.held_bytes(), zsmalloc.stats().objects), (0, 0));
}

/// Keeps a varying number of objects, and looks at them and at those of everybody.
fn work(zsmalloc: &Zsmalloc, shared: &[Object], thread: u64, ends: &AtomicBool) {
    let mut rng = fastrand::Rng::with_seed(thread);
    let mut own = Vec::new();
    while !ends.load(Relaxed) {
        for _ in 0..rng.usize(..OWN_OBJECTS) {
            let len = if rng.bool() { lens(rng.u64(..)) } else { any(&mut rng) };
            own.push(Object::new(zsmalloc, rng.u64(..), len).unwrap());
            assert!(shared[rng.usize(..shared.len())].is_intact(zsmalloc), "thread {thread}");
        }
        let slow = &shared[rng.usize(..shared.len())];
        zsmalloc.read(&slow.handle, |object| {
            thread::yield_now();
            assert!(slow.is(object), "thread {thread}");
        });
        while own.len() > OWN_OBJECTS / 2 {
            let object = own.swap_remove(rng.usize(..own.len()));
            assert!(object.is_intact(zsmalloc), "thread {thread}");
            zsmalloc.free(object.handle);
        }
    }
    for object in own {
        assert!(object.is_intact(zsmalloc), "thread {thread}");
        zsmalloc.free(object.handle);
    }
}

/// A few lengths, so that threads meet in classes.
fn lens(n: u64) -> usize {
    [200, 1000, 1600, 4096][(n % 4) as usize]
}

const THREADS: u64 = 6;
const OWN_OBJECTS: usize = 500;
const DURATION: Duration = Duration::from_millis(1500);
