//! What goes back to the system. Alone in its process, whose memory it measures.

#![expect(clippy::unwrap_used, reason = "test helpers unwrap like tests")]

mod objects;

use zswap::zsmalloc::{Config, Zsmalloc};

use objects::Object;

#[test]
fn trim_returns_what_the_reserve_has_no_need_of() {
    let zsmalloc = Zsmalloc::new(Config::new(64 << 20).reserve_bytes(RESERVE_BYTES)).unwrap();
    for round in 0..3 {
        let objects: Vec<_> =
            (0..10_000).map(|seed| Object::new(&zsmalloc, seed + round, 3000).unwrap()).collect();
        let before = resident_bytes();
        assert_eq!(zsmalloc.trim().unwrap(), 0, "nothing is free");
        objects.into_iter().for_each(|object| {
            zsmalloc.free(object.handle);
        });
        let trimmed = zsmalloc.trim().unwrap();
        assert!(trimmed > 24 << 20, "{trimmed} bytes");
        assert!(resident_bytes() + (20 << 20) < before, "the system has them back");
        let left = zsmalloc.stats().reserve_bytes;
        assert!((RESERVE_BYTES..RESERVE_BYTES + (4 << 20)).contains(&left), "{left} bytes");
        assert_eq!((zsmalloc.trim().unwrap(), zsmalloc.held_bytes()), (0, 0));
    }
}

/// Memory of this process.
fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

const RESERVE_BYTES: usize = 3 << 20;
