//! One `Acomp` used by many threads without sessions of their own.

mod toys;

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Barrier, Condvar, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use acomp_algs as _;
use acomp_core::{Acomp, Algorithm, Codec, Error, Op, Outcome};

use toys::{TOY, Toy, absent, acomp_of, copy, die};

#[test]
fn threads_share_a_transform_and_each_gets_its_own_page_back() {
    for name in ["lz4", "deflate", "zstd"] {
        let acomp = Acomp::alloc(name).unwrap();
        let before = acomp.alg().stats();
        let threads = 3 * cpus() + 2; // More than there are pooled sessions.
        on_threads(threads, |thread| {
            for round in 0..ROUNDS {
                let page = page(thread, round);
                let (mut stream, mut back) = ([0; 8192], [0; 4096]);
                let len = acomp.compress(&page, &mut stream).unwrap();
                let mut op = Op::decompress(&stream[..len], &mut back);
                assert_eq!(acomp.run(std::slice::from_mut(&mut op)).ok, 1);
                assert_eq!(op.output(), page, "{name}, thread {thread}, round {round}");
            }
        });
        let after = acomp.alg().stats();
        let done = (threads * ROUNDS) as u64;
        assert_eq!(after.compress.ok - before.compress.ok, done);
        assert_eq!(after.decompress.ok - before.decompress.ok, done);
    }
}

#[test]
fn as_many_calls_as_there_are_cpus_run_at_once() {
    // Threads start looking for a session in different places, by the order of their first calls.
    // Those of other threads in between make it the same place for all.
    for others in [0, cpus() - 1] {
        let meeting = Arc::new((Mutex::new(0), Condvar::new()));
        let met = Arc::clone(&meeting);
        let acomp = acomp_of(Toy::each(TOY, move |_, _| {
            let (inside, all_inside) = (&met.0, &met.1);
            let mut inside = inside.lock().unwrap();
            *inside += 1;
            all_inside.notify_all();
            let wait = all_inside.wait_timeout_while(inside, LONG, |inside| *inside < cpus());
            if wait.unwrap().1.timed_out() { Err(Error::TimedOut) } else { Ok(0) }
        }));
        let first_call = acomp_of(Toy::copying(TOY));
        let (ready, go) = mpsc::channel();
        let start = Barrier::new(cpus());
        thread::scope(|scope| {
            for _ in 0..cpus() {
                let (acomp, first_call, start, ready) =
                    (&acomp, &first_call, &start, ready.clone());
                scope.spawn(move || {
                    assert_eq!(first_call.compress(b"", &mut []), Ok(0));
                    ready.send(()).unwrap();
                    start.wait();
                    assert_eq!(acomp.compress(b"page", &mut [0; 8]), Ok(0));
                });
                go.recv().unwrap();
                on_threads(others, |_| assert_eq!(first_call.compress(b"", &mut []), Ok(0)));
            }
        });
    }
}

#[test]
fn clones_are_the_same_transform() {
    let acomp = acomp_of(Toy::copying(TOY));
    let clone = acomp.clone();
    assert_eq!(acomp.compress(b"page", &mut [0; 8]), Ok(4));
    drop(acomp);
    assert_eq!(clone.decompress(b"page", &mut [0; 8]), Ok(4));
    assert_eq!(clone.alg().stats().compress.ok, 1);
}

#[test]
fn session_that_died_is_replaced_at_its_next_use() {
    let opened = Arc::new(AtomicUsize::new(0));
    let acomp = acomp_of(Toy::new(TOY, {
        let opened = Arc::clone(&opened);
        move |params| {
            opened.fetch_add(1, Relaxed);
            deadly().open(params)
        }
    }));
    let mut dst = [0; 8];
    for deaths in 1..4 {
        assert_eq!(acomp.compress(b"page", &mut dst), Ok(4));
        let opened_before = opened.load(Relaxed);
        assert_eq!(acomp.compress(b"dead", &mut dst), Err(Error::Panicked));
        assert_eq!(acomp.compress(b"page", &mut dst), Ok(4), "after {deaths} deaths");
        assert_eq!(opened.load(Relaxed), opened_before + 1);
    }
}

#[test]
fn deaths_on_some_threads_are_not_felt_on_others() {
    let acomp = acomp_of(deadly());
    let start = Barrier::new(THREADS);
    on_threads(THREADS, |thread| {
        start.wait();
        let mut dst = [0; 8];
        for _ in 0..ROUNDS {
            if thread.is_multiple_of(2) {
                assert_eq!(acomp.compress(b"dead", &mut dst), Err(Error::Panicked));
            } else {
                assert_eq!(acomp.compress(b"page", &mut dst), Ok(4));
            }
        }
    });
}

#[test]
fn driver_that_opens_only_once_serves_every_thread() {
    for refusal in [absent as fn() -> _, || die()] {
        let opened = AtomicUsize::new(0);
        let acomp = acomp_of(Toy::new(TOY, move |params| {
            if opened.fetch_add(1, Relaxed) > 0 {
                return Err(refusal());
            }
            deadly().open(params)
        }));
        assert!(acomp.session().is_err());
        on_threads(THREADS, |_| {
            for _ in 0..ROUNDS {
                assert_eq!(acomp.compress(b"page", &mut [0; 8]), Ok(4));
            }
        });

        assert_eq!(acomp.compress(b"dead", &mut [0; 8]), Err(Error::Panicked));
        on_threads(THREADS, |_| {
            assert_eq!(acomp.compress(b"page", &mut [0; 8]), Err(Error::Panicked));
        });
    }
}

#[test]
fn panic_while_a_dead_session_is_dropped_is_contained() {
    struct Fragile;
    impl Codec for Fragile {
        fn compress(&mut self, src: &[u8], dst: &mut [u8]) -> Outcome {
            if src == b"dead" { die() } else { copy(src, dst) }
        }
        fn decompress(&mut self, src: &[u8], dst: &mut [u8]) -> Outcome {
            copy(src, dst)
        }
    }
    impl Drop for Fragile {
        fn drop(&mut self) {
            die();
        }
    }
    let acomp = acomp_of(Toy::new(TOY, |_| Ok(Box::new(Fragile))));
    assert_eq!(acomp.compress(b"dead", &mut [0; 8]), Err(Error::Panicked));
    assert_eq!(acomp.compress(b"page", &mut [0; 8]), Ok(4));
}

/// Copies, and panics when the source is `dead`.
fn deadly() -> Arc<Toy> {
    Toy::each(TOY, |src, dst| if src == b"dead" { die() } else { copy(src, dst) })
}

fn on_threads(threads: usize, run: impl Fn(usize) + Sync) {
    thread::scope(|scope| {
        for thread in 0..threads {
            let run = &run;
            scope.spawn(move || run(thread));
        }
    });
}

/// A page that no other thread and round has.
fn page(thread: usize, round: usize) -> [u8; 4096] {
    let mut rng = fastrand::Rng::with_seed((thread * ROUNDS + round) as u64);
    let mut page = [0; 4096];
    rng.fill(&mut page[..1024]);
    page
}

fn cpus() -> usize {
    thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

const THREADS: usize = 8;
const ROUNDS: usize = 200;
/// Waited only by a test that fails.
const LONG: Duration = Duration::from_secs(20);
