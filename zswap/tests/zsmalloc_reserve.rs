//! Where memory comes from and goes to.

mod objects;

use zswap::zsmalloc::{AllocError, Config, Zsmalloc};

use objects::Object;

#[test]
fn empty_reserve_is_counted_and_mended_by_a_refill() {
    let zsmalloc = Zsmalloc::new(Config::new(64 << 20).reserve_bytes(RESERVE_BYTES)).unwrap();
    let mut handles = Vec::new();
    for times in 1..=5 {
        assert!(zsmalloc.stats().reserve_bytes >= RESERVE_BYTES);
        handles.extend(std::iter::from_fn(|| zsmalloc.alloc(&[1; 4096]).ok()));
        assert_eq!(zsmalloc.alloc(&[1; 4096]), Err(AllocError::ReserveEmpty));
        assert_eq!(zsmalloc.stats().reserve_empty, 2 * times);
        zsmalloc.refill().unwrap();
    }
    assert!(handles.len() >= 5 * RESERVE_BYTES / 4112);
    // What is freed is there for others, without a refill.
    handles.into_iter().for_each(|handle| zsmalloc.free(handle));
    assert!((0..1000).all(|_| zsmalloc.alloc(&[1; 2000]).is_ok()));
}

#[test]
fn empty_reserve_of_handles_is_mended_too() {
    let zsmalloc = Zsmalloc::new(Config::new(4 << 20).reserve_bytes(4 << 20)).unwrap();
    let mut handles = Vec::new();
    loop {
        match zsmalloc.alloc(&[1; 10]) {
            Ok(handle) => handles.push(handle),
            Err(AllocError::ReserveEmpty) => zsmalloc.refill().unwrap(),
            Err(error) => break assert_eq!(error, AllocError::Full),
        }
    }
    assert!(zsmalloc.stats().reserve_empty > 0);
    assert!(handles.len() > (4 << 20) / 40, "{} objects", handles.len());
}

#[test]
fn allocator_is_full_at_its_limit() {
    let zsmalloc = Zsmalloc::new(Config::new(6 << 20)).unwrap();
    let metadata_bytes = zsmalloc.stats().metadata_bytes;
    // More than once: what is freed, objects and their numbers, is all there again.
    for _ in 0..20 {
        let object = |seed| Object::new(&zsmalloc, seed, 4096).ok();
        let objects: Vec<_> = (0..).map_while(object).collect();
        assert_eq!(objects.len(), 3 * 34 * 15, "97 % of the limit");
        assert_eq!(zsmalloc.alloc(&[1]), Err(AllocError::Full));
        assert!(objects.iter().all(|object| object.is_intact(&zsmalloc)));
        objects.into_iter().for_each(|object| zsmalloc.free(object.handle));
    }
    assert_eq!(zsmalloc.stats().metadata_bytes, metadata_bytes);
}

const RESERVE_BYTES: usize = 3 << 20;
