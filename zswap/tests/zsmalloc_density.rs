//! How much of the memory is objects.

#![expect(clippy::unwrap_used, reason = "test helpers unwrap like tests")]

mod objects;

use zswap::zsmalloc::{Config, Zsmalloc};

use objects::{Object, realistic};

#[test]
fn memory_is_objects_for_the_most_part() {
    let (filled, churned) = density(256 << 20);
    assert!(filled >= 0.96, "{filled} when filled");
    assert!(churned >= 0.92, "{churned} after half of the objects changed");
}

#[test]
fn little_memory_is_objects_to_a_good_part() {
    let (filled, churned) = density(10 << 20);
    assert!(filled >= 0.7 && churned >= 0.7, "{filled}, {churned}");
}

/// Object bytes over held bytes, filled and after a random half was replaced.
fn density(object_bytes: usize) -> (f64, f64) {
    let zsmalloc = Zsmalloc::new(Config::new(2 * object_bytes)).unwrap();
    let mut rng = fastrand::Rng::with_seed(1);
    let mut objects = Vec::new();
    let fill = |objects: &mut Vec<Object>, rng: &mut fastrand::Rng| {
        let mut left = object_bytes - zsmalloc.stats().object_bytes;
        while left >= 4096 {
            objects.push(Object::new(&zsmalloc, rng.u64(..), realistic(rng)).unwrap());
            left -= objects.last().map_or(0, |object| object.len);
        }
    };
    let density = |what: &str| {
        let stats = zsmalloc.stats();
        let density = stats.object_bytes as f64 / stats.held_bytes as f64;
        let metadata = stats.metadata_bytes as f64 / stats.objects as f64;
        println!("{what}: {density:.4}, {metadata:.1} bytes of metadata per object");
        density
    };
    fill(&mut objects, &mut rng);
    let filled = density("filled");
    rng.shuffle(&mut objects);
    objects.drain(..objects.len() / 2).for_each(|object| zsmalloc.free(object.handle));
    density("half freed");
    fill(&mut objects, &mut rng);
    density("filled again");
    zsmalloc.compact(usize::MAX);
    let churned = density("compacted");
    assert!(objects.iter().all(|object| object.is_intact(&zsmalloc)));
    objects.drain(..objects.len() / 2).for_each(|object| zsmalloc.free(object.handle));
    zsmalloc.compact(usize::MAX);
    density("half freed and compacted");
    assert!(objects.iter().all(|object| object.is_intact(&zsmalloc)));
    (filled, churned)
}
