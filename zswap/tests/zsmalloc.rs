//! What objects and handles do, one thread at a time.

#![expect(clippy::unwrap_used, reason = "test helpers unwrap like tests")]

mod objects;

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use zswap::zsmalloc::{AllocError, Config, Handle, MapError, Zsmalloc};

use objects::{Object, any};

#[test]
fn behaves_like_a_map_whatever_happens() {
    for seed in 0..ROUNDS {
        let mut rng = fastrand::Rng::with_seed(seed);
        let zsmalloc = Zsmalloc::new(Config::new(16 << 20).reserve_bytes(0)).unwrap();
        let mut model = HashMap::new();
        let mut object_bytes = 0;
        for step in 1..=STEPS {
            let any_key = |rng: &mut fastrand::Rng| rng.u64(..step);
            match rng.u8(..100) {
                // More or less objects, by turns.
                n if n < if step / 1000 % 2 == 0 { 60 } else { 25 } => {
                    let len = any(&mut rng);
                    match Object::new(&zsmalloc, seed ^ step << 8, len) {
                        Ok(object) => {
                            object_bytes += len;
                            model.insert(step, object);
                        }
                        Err(error) => assert_eq!(error, AllocError::Full),
                    }
                }
                ..90 => {
                    if let Some(object) = model.remove(&any_key(&mut rng)) {
                        assert!(object.is_intact(&zsmalloc), "seed {seed}, step {step}");
                        object_bytes -= object.len;
                        zsmalloc.free(object.handle);
                    }
                }
                90..98 => {
                    let found = model.get(&any_key(&mut rng));
                    assert!(
                        found.is_none_or(|object: &Object| object.is_intact(&zsmalloc)),
                        "seed {seed}, step {step}"
                    );
                }
                98 => _ = zsmalloc.compact(rng.usize(..200)),
                _ => _ = zsmalloc.trim().unwrap(),
            }
        }
        let stats = zsmalloc.stats();
        assert_eq!((stats.objects, stats.object_bytes), (model.len(), object_bytes));
        assert!(stats.held_bytes >= object_bytes, "seed {seed}");
        zsmalloc.compact(usize::MAX);
        assert!(zsmalloc.class_stats().all(|class| class.freeable == 0), "seed {seed}");
        for object in model.into_values() {
            assert!(object.is_intact(&zsmalloc), "seed {seed}");
            zsmalloc.free(object.handle);
        }
        assert_eq!((zsmalloc.held_bytes(), zsmalloc.stats().objects), (0, 0), "seed {seed}");
        assert!(zsmalloc.class_stats().all(|class| class.zspages == 0), "seed {seed}");
    }
}

#[test]
fn every_length_is_kept_and_no_other() {
    let zsmalloc = Zsmalloc::new(Config::new(64 << 20).reserve_bytes(16 << 20)).unwrap();
    let objects: Vec<_> =
        (1..=4096).map(|len| Object::new(&zsmalloc, len as u64, len).unwrap()).collect();
    assert!(objects.iter().all(|object| object.is_intact(&zsmalloc)));
    assert_eq!(zsmalloc.alloc(&[]), Err(AllocError::Length { len: 0 }));
    assert_eq!(zsmalloc.alloc(&[1; 4097]), Err(AllocError::Length { len: 4097 }));
    assert_eq!(zsmalloc.stats().reserve_empty, 0);
}

#[test]
fn class_stats_add_up() {
    let zsmalloc = Zsmalloc::new(Config::new(64 << 20)).unwrap();
    let mut rng = fastrand::Rng::with_seed(1);
    let objects: Vec<_> =
        (0..2000).map(|seed| Object::new(&zsmalloc, seed, any(&mut rng)).unwrap()).collect();
    let stats = zsmalloc.stats();
    let sum = |of: fn(&zswap::zsmalloc::ClassStats) -> usize| {
        zsmalloc.class_stats().map(|class| of(&class)).sum::<usize>()
    };
    assert_eq!((sum(|c| c.objects), sum(|c| c.object_bytes)), (2000, stats.object_bytes));
    assert_eq!(sum(|c| c.zspages) * 61_680, stats.held_bytes);
    for class in zsmalloc.class_stats() {
        let partial: usize = class.zspages_by_fullness.iter().sum();
        assert!(partial <= 1 && class.zspages - partial <= class.objects);
        let longest = objects.iter().map(|o| o.len).filter(|len| *len <= class.object_bytes_max);
        assert!(class.objects == 0 || longest.max().is_some());
    }
}

#[test]
fn object_that_is_read_stays_where_it_is() {
    let zsmalloc = Zsmalloc::new(Config::new(16 << 20)).unwrap();
    let mut objects: Vec<_> =
        (0..150).map(|seed| Object::new(&zsmalloc, seed, 4000).unwrap()).collect();
    // 1 of 15 is left in each zspage.
    let kept: Vec<_> = (0..10).map(|i| objects.remove(14 * i)).collect();
    objects.into_iter().for_each(|object| zsmalloc.free(object.handle));
    let first = &kept[0].handle;
    zsmalloc.read(first, |object| {
        let start = object.as_ptr();
        let compacted = zsmalloc.compact(usize::MAX);
        assert!((7..=9).contains(&compacted.objects), "{compacted:?}");
        assert!(kept.iter().all(|object| object.is_intact(&zsmalloc)));
        assert_eq!(zsmalloc.read(first, <[u8]>::as_ptr), Some(start));
        // Whoever has its handle's twin from another allocator frees it when it is read no more.
        zsmalloc.free(twin(first));
        assert!(kept[0].is(object));
    });
    assert!(zsmalloc.read(first, <[u8]>::len).is_none());
    zsmalloc.compact(usize::MAX);
    assert_eq!((zsmalloc.held_bytes(), zsmalloc.stats().objects), (61_680, 9));
    assert!(kept[1..].iter().all(|object| object.is_intact(&zsmalloc)));
}

#[test]
fn compaction_is_bounded_and_goes_on_where_it_ended() {
    let zsmalloc = Zsmalloc::new(Config::new(16 << 20)).unwrap();
    let mut objects: Vec<_> =
        (0..1500).map(|seed| Object::new(&zsmalloc, seed, 1000).unwrap()).collect();
    fastrand::Rng::with_seed(1).shuffle(&mut objects);
    objects.drain(..1000).for_each(|object| {
        zsmalloc.free(object.handle);
    });
    let freeable: usize = zsmalloc.class_stats().map(|class| class.freeable).sum();
    let (mut objects_moved, mut zspages) = (0, 0);
    loop {
        let compacted = zsmalloc.compact(10);
        assert!(compacted.objects <= 10);
        objects_moved += compacted.objects;
        zspages += compacted.zspages;
        if compacted.objects == 0 {
            break;
        }
    }
    assert_eq!(zspages, freeable);
    assert!(objects_moved <= 500, "{objects_moved} moves");
    assert!(objects.iter().all(|object| object.is_intact(&zsmalloc)));
}

#[test]
fn handle_of_another_allocator_harms_nobody() {
    let [ours, other] = [(); 2].map(|()| Zsmalloc::new(Config::new(4 << 20)).unwrap());
    let object = Object::new(&ours, 1, 1000).unwrap();
    assert_eq!(other.read(&object.handle, <[u8]>::len), None);
    other.free(twin(&object.handle));
    let theirs = Object::new(&other, 2, 500).unwrap();
    assert!(object.is_intact(&ours) && theirs.is_intact(&other));
    // It may name an object of this allocator. That is gone then, which is all.
    other.free(twin(&theirs.handle));
    assert_eq!(other.read(&theirs.handle, <[u8]>::len), None);
    other.free(theirs.handle);
    assert_eq!((other.held_bytes(), other.stats().objects), (0, 0));
}

#[test]
fn reader_that_panics_has_read() {
    let zsmalloc = Zsmalloc::new(Config::new(4 << 20)).unwrap();
    let object = Object::new(&zsmalloc, 1, 1000).unwrap();
    let read = || zsmalloc.read(&object.handle, |_| panic!("a reader's own"));
    assert!(catch_unwind(AssertUnwindSafe(read)).is_err());
    zsmalloc.free(object.handle);
    assert_eq!(zsmalloc.held_bytes(), 0);
}

#[test]
fn too_many_readers_are_refused() {
    fn nested(zsmalloc: &Zsmalloc, object: &Object) -> usize {
        let inner = |bytes: &[u8]| {
            assert_eq!(bytes.len(), object.len);
            nested(zsmalloc, object)
        };
        zsmalloc.read(&object.handle, inner).map_or(0, |readers| readers + 1)
    }
    let read = || {
        let zsmalloc = Zsmalloc::new(Config::new(4 << 20)).unwrap();
        let object = Object::new(&zsmalloc, 1, 1000).unwrap();
        assert_eq!(nested(&zsmalloc, &object), 8191);
        assert!(object.is_intact(&zsmalloc));
        zsmalloc.free(object.handle);
        assert_eq!(zsmalloc.held_bytes(), 0);
    };
    thread::Builder::new().stack_size(256 << 20).spawn(read).unwrap().join().unwrap();
}

#[test]
fn more_than_can_be_named_is_refused() {
    let refused = Zsmalloc::new(Config::new((1 << 40) + 1));
    assert!(matches!(refused, Err(MapError::TooLarge { max_bytes }) if max_bytes > 1 << 40));
    assert_eq!(size_of::<Option<Handle>>(), 4);
}

/// A handle equal to this one, from an allocator that gives out the same numbers.
fn twin(handle: &Handle) -> Handle {
    let other = Zsmalloc::new(Config::new(64 << 20)).unwrap();
    let mut handles = std::iter::from_fn(|| other.alloc(&[0; 4000]).ok());
    handles.find(|twin| twin == handle).unwrap() // All numbers come, if not in order.
}

const ROUNDS: u64 = 10;
const STEPS: u64 = 10_000;
