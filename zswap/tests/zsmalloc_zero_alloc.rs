//! After it was made, an allocator asks nothing of Rust's.

mod forbidden;
mod objects;

use zswap::zsmalloc::{Config, Handle, Zsmalloc};

use forbidden::without_allocating;
use objects::any;

#[test]
fn nothing_but_making_it_calls_the_global_allocator() {
    let zsmalloc = Zsmalloc::new(Config::new(64 << 20)).unwrap();
    let mut rng = fastrand::Rng::with_seed(1);
    let mut handles: Vec<Handle> = Vec::with_capacity(20_000);
    without_allocating(|| {
        for _ in 0..10 {
            for _ in 0..10_000 {
                match zsmalloc.alloc(&[7; 4096][..any(&mut rng)]) {
                    Ok(handle) => handles.push(handle),
                    Err(_) => zsmalloc.refill().unwrap(),
                }
            }
            for _ in 0..handles.len() * 9 / 10 {
                let handle = handles.swap_remove(rng.usize(..handles.len()));
                assert_eq!(zsmalloc.read(&handle, |object| object[0]), Some(7));
                zsmalloc.free(handle);
            }
            zsmalloc.compact(usize::MAX);
            zsmalloc.trim().unwrap();
            assert_eq!(zsmalloc.stats().objects, handles.len());
            assert_eq!(zsmalloc.class_stats().map(|c| c.objects).sum::<usize>(), handles.len());
        }
    });
}
