//! Drivers that ask for each other while they are made or tested, on two threads at a time.

#![expect(clippy::unwrap_used, reason = "test helpers unwrap like tests")]

mod toys;

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier, LazyLock, mpsc};
use std::thread;
use std::time::Duration;

use acomp_core::{
    Acomp, AlgInfo, Codec, OpenError, Params, Registration, Registry, SelfTestHook, Session,
};

use toys::Toy;

/// Each asks for the best driver of its name while it is made: they would wait for each other.
#[test]
fn drivers_that_are_made_of_each_other_do_not_wait_for_ever() {
    static X: AlgInfo = AlgInfo::new("gzip", "x").with_priority(300);
    static Y: AlgInfo = AlgInfo::new("gzip", "y").with_priority(301);
    static Z: AlgInfo = AlgInfo::new("gzip", "z").with_priority(100);
    static ENTRIES: [Registration; 3] = [
        Registration::new(&X, || made(&X), "x"),
        Registration::new(&Y, || made(&Y), "y"),
        Registration::new(&Z, || Ok(Toy::copying(Z.clone())), "z"),
    ];
    static REGISTRY: LazyLock<Registry> = LazyLock::new(|| Registry::from_entries(&ENTRIES));
    fn made(info: &AlgInfo) -> Result<Arc<dyn acomp_core::Algorithm>, OpenError> {
        static BOTH: LazyLock<Barrier> = LazyLock::new(|| Barrier::new(2));
        BOTH.wait();
        REGISTRY.find("gzip")?;
        Ok(Toy::copying(info.clone()))
    }
    assert_eq!(at_once(["x", "y"], |name| alloc(&REGISTRY, name).is_ok()), [true, true]);
}

/// Each opens a fallback of its own name while it is tested.
#[test]
fn drivers_that_fall_back_on_each_other_do_not_wait_for_ever() {
    static P: AlgInfo = AlgInfo::new("gzip", "p").with_priority(300);
    static Q: AlgInfo = AlgInfo::new("gzip", "q").with_priority(301);
    static R: AlgInfo = AlgInfo::new("gzip", "r").with_priority(100);
    static ENTRIES: [Registration; 3] = [
        Registration::new(&P, || Ok(falling_back(&P)), "p"),
        Registration::new(&Q, || Ok(falling_back(&Q)), "q"),
        Registration::new(&R, || Ok(Toy::copying(R.clone())), "r"),
    ];
    static HOOK: SelfTestHook = SelfTestHook::new(|_| Ok(()), "hook");
    static REGISTRY: LazyLock<Registry> =
        LazyLock::new(|| Registry::builder().entries(&ENTRIES).self_tests([&HOOK]).build());
    fn falling_back(info: &AlgInfo) -> Arc<Toy> {
        static BOTH: LazyLock<Barrier> = LazyLock::new(|| Barrier::new(2));
        let opened = AtomicUsize::new(0);
        Toy::new(info.clone(), move |_| {
            if opened.fetch_add(1, SeqCst) == 0 {
                BOTH.wait();
            }
            Ok(Box::new(Fallback(alloc(&REGISTRY, "gzip")?.session()?)))
        })
    }
    assert_eq!(at_once(["p", "q"], |name| alloc(&REGISTRY, name).is_ok()), [true, true]);
}

struct Fallback(Session);

impl Codec for Fallback {
    fn compress(&mut self, src: &[u8], dst: &mut [u8]) -> acomp_core::Outcome {
        self.0.compress(src, dst)
    }

    fn decompress(&mut self, src: &[u8], dst: &mut [u8]) -> acomp_core::Outcome {
        self.0.decompress(src, dst)
    }
}

fn alloc(registry: &Registry, name: &str) -> Result<Acomp, OpenError> {
    Acomp::alloc_in(registry, name, Params::new())
}

/// What each of two threads gives; a failure instead of a hang.
fn at_once<T: Send + 'static>(names: [&'static str; 2], run: fn(&str) -> T) -> [T; 2] {
    let results = names.map(|name| {
        let (done, result) = mpsc::channel();
        thread::spawn(move || done.send(run(name)));
        result
    });
    results.map(|result| result.recv_timeout(Duration::from_secs(30)).unwrap())
}
