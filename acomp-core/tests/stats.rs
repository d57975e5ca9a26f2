//! What is counted: by session, by kind of error, and by driver over all its sessions.

mod toys;

use std::io::{IoSlice, IoSliceMut};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use acomp_core::{Acomp, Chain, Error, ExecutedOn, Flow, Op, Params, Registry, Stats};

use toys::{TOY, Toy, acomp_of, copy, die};

#[test]
fn session_counts_ops_and_bytes_of_each_direction() {
    let mut session = acomp_of(Toy::each(TOY, halved)).session().unwrap();
    assert_eq!(session.stats(), Stats::default());
    let mut dst = [0; 8];
    assert_eq!(session.compress(b"12345678", &mut dst), Ok(4));
    assert_eq!(session.compress(b"1234", &mut dst), Ok(2));
    assert_eq!(session.decompress(b"12", &mut dst), Ok(1));
    let stats = session.stats();
    assert_eq!(totals(&stats.compress), (2, 12, 6, 0));
    assert_eq!(totals(&stats.decompress), (1, 2, 1, 0));
}

#[test]
fn chains_count_like_single_ops() {
    let acomp = acomp_of(Toy::each(TOY, halved));
    let mut dsts = [[0; 4]; 3];
    let mut chain = Chain::<3>::new();
    for (dst, src) in dsts.iter_mut().zip([&b"1234"[..], b"123456", b"far too long to fit"]) {
        chain.push(Op::compress(src, dst)).unwrap();
    }
    let mut session = acomp.session().unwrap();
    session.run(chain.as_mut_ops());
    let stats = session.stats();
    assert_eq!(totals(&stats.compress), (2, 10, 5, 1));
    assert_eq!(stats.compress.failed(Error::DstTooSmall), 1);
    session.run(chain.as_mut_ops());
    assert_eq!(totals(&session.stats().compress), (4, 20, 10, 2), "a re-run counts again");
}

#[test]
fn each_kind_of_error_is_counted_apart_and_without_bytes() {
    let acomp = acomp_of(Toy::each(TOY, |src, _| Err(Error::ALL[usize::from(src[0])])));
    for i in 0..Error::ALL.len() as u8 {
        let mut session = acomp.session().unwrap(); // One that panicked answers nothing else.
        for _ in 0..=i {
            assert!(session.decompress(&[i], &mut []).is_err());
        }
    }
    let stats = acomp.alg().stats();
    for (i, error) in Error::ALL.iter().enumerate() {
        assert_eq!(stats.decompress.failed(*error), i as u64 + 1, "{error:?}");
    }
    assert_eq!(totals(&stats.decompress).0, 0);
    assert_eq!((stats.decompress.bytes_in, stats.decompress.bytes_out), (0, 0));
    assert_eq!(stats.compress, Flow::default());
}

#[test]
fn what_the_session_itself_answers_is_counted_too() {
    let registry = Registry::from_entries([]);
    let limited = TOY.with_src_bytes_max(NonZeroUsize::new(4).unwrap());
    let _guard = registry.add(Toy::each(limited, |_, dst| Ok(dst.len() + 1))).unwrap();
    let params = Params::new().with_bounce_bytes_max(NonZeroUsize::new(4).unwrap());
    let mut session = Acomp::alloc_in(&registry, "toy", params).unwrap().session().unwrap();

    assert_eq!(session.compress(b"too long", &mut [0; 8]), Err(Error::Unsupported));
    assert_eq!(session.compress(b"page", &mut [0; 8]), Err(Error::Overclaimed));
    let pieces = [IoSlice::new(b"too"), IoSlice::new(b"long")];
    let mut dst = [0; 2];
    let vectored = session.decompress_vectored(&pieces, &mut [IoSliceMut::new(&mut dst)]);
    assert_eq!(vectored, Err(Error::Unsupported));

    let stats = session.stats();
    assert_eq!(stats.compress.failed(Error::Unsupported), 1);
    assert_eq!(stats.compress.failed(Error::Overclaimed), 1);
    assert_eq!(stats.decompress.failed(Error::Unsupported), 1);
}

#[test]
fn every_answer_of_a_dead_session_is_counted() {
    let mut session = acomp_of(Toy::each(TOY, |_, _| die())).session().unwrap();
    let mut dst = [0; 8];
    for _ in 0..3 {
        assert_eq!(session.compress(b"page", &mut dst), Err(Error::Panicked));
    }
    assert_eq!(session.stats().compress.failed(Error::Panicked), 3);
}

#[test]
fn driver_totals_hold_live_and_dropped_sessions_of_all_its_transforms() {
    let registry = Registry::from_entries([]);
    let guard = registry.add(Toy::each(TOY, halved)).unwrap();
    let acomps = [(); 2].map(|()| Acomp::alloc_in(&registry, "toy", Params::new()).unwrap());
    let mut dst = [0; 8];
    let mut live = Vec::new();
    for acomp in &acomps {
        for is_dropped in [false, true] {
            let mut session = acomp.session().unwrap();
            assert_eq!(session.compress(b"1234", &mut dst), Ok(2));
            if !is_dropped {
                live.push(session);
            }
        }
        assert_eq!(acomp.decompress(b"1234", &mut dst), Ok(2)); // The pooled session.
    }
    assert_eq!(totals(&guard.alg().stats().compress), (4, 16, 8, 0));
    assert_eq!(totals(&guard.alg().stats().decompress), (2, 8, 4, 0));
    drop((live, acomps));
    assert_eq!(totals(&guard.alg().stats().compress), (4, 16, 8, 0));
    assert_eq!(totals(&guard.alg().stats().decompress), (2, 8, 4, 0));
}

/// In any order: none takes another one out of the totals.
#[test]
fn sessions_are_counted_until_they_end_themselves() {
    for first_to_end in 0..3 {
        let acomp = acomp_of(Toy::each(TOY, halved));
        let mut sessions = Vec::from([(); 3].map(|()| acomp.session().unwrap()));
        let mut ops = 0;
        for at in [first_to_end, 0, 0] {
            for session in &mut sessions {
                assert_eq!(session.compress(b"1234", &mut [0; 8]), Ok(2));
                ops += 1;
                assert_eq!(totals(&acomp.alg().stats().compress), (ops, 4 * ops, 2 * ops, 0));
            }
            drop(sessions.remove(at));
            assert_eq!(totals(&acomp.alg().stats().compress), (ops, 4 * ops, 2 * ops, 0));
        }
    }
}

#[test]
fn totals_never_go_back_while_sessions_come_and_go() {
    let acomp = acomp_of(Toy::each(TOY, halved));
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut last = 0;
            while !is_over.load(Relaxed) {
                let now = acomp.alg().stats().compress.ok;
                assert!(now >= last, "{now} after {last}");
                last = now;
            }
        });
        let writers: Vec<_> = (0..THREADS)
            .map(|_| {
                scope.spawn(|| {
                    for _ in 0..ROUNDS {
                        let mut session = acomp.session().unwrap();
                        for _ in 0..10 {
                            assert_eq!(session.compress(b"1234", &mut [0; 8]), Ok(2));
                        }
                    }
                })
            })
            .collect();
        let ended: Vec<_> = writers.into_iter().map(thread::ScopedJoinHandle::join).collect();
        is_over.store(true, Relaxed);
        assert!(ended.iter().all(Result::is_ok));
        assert!(reader.join().is_ok());
    });
    let ops = (THREADS * ROUNDS * 10) as u64;
    assert_eq!(totals(&acomp.alg().stats().compress), (ops, 4 * ops, 2 * ops, 0));
}

/// Writes the first half of the source.
fn halved(src: &[u8], dst: &mut [u8]) -> acomp_core::Outcome {
    copy(&src[..src.len() / 2], dst)
}

/// Successes, their bytes in and out, and failures.
fn totals(flow: &Flow) -> (u64, u64, u64, u64) {
    let failed = Error::ALL.iter().map(|&error| flow.failed(error)).sum();
    (flow.ok, flow.bytes_in, flow.bytes_out, failed)
}

const THREADS: usize = 8;
const ROUNDS: usize = 100;

#[test]
fn chains_are_counted_by_length() {
    let mut session = acomp_of(Toy::each(TOY, copy)).session().unwrap();
    for len in [0, 1, 2, 3, 4, 5, 8, 9, 16, 17, 32, 33, 64, 65, 130] {
        let mut dsts = vec![[0; 1]; len];
        let mut ops: Vec<_> = dsts.iter_mut().map(|dst| Op::compress(b"x", dst)).collect();
        session.run(&mut ops);
    }
    assert_eq!(session.compress(b"x", &mut [0]), Ok(1));
    // Longer ones are cut: 65 = 64 + 1, 130 = 64 + 64 + 2. Empty and single calls are none.
    assert_eq!(session.stats().chains, [2, 2, 2, 2, 2, 2, 5]);
}

#[test]
fn fallbacks_are_counted() {
    let acomp = acomp_of(Toy::whole(TOY, |ops| {
        for (i, op) in ops.iter_mut().enumerate() {
            op.complete(Ok(0), if i % 3 == 0 { ExecutedOn::Fallback } else { ExecutedOn::Driver });
        }
    }));
    let mut session = acomp.session().unwrap();
    let mut dsts = [[0; 1]; 7];
    let mut ops = dsts.each_mut().map(|dst| Op::compress(b"x", dst));
    session.run(&mut ops);
    assert_eq!(session.stats().fallbacks, 3);
    drop(session);
    assert_eq!(acomp.alg().stats().fallbacks, 3);
}
