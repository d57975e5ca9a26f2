//! A driver that promises `NO_ALLOC_AFTER_OPEN` keeps it, and so does everything around it.
//!
//! Counted is what this thread asks of Rust's allocator: what C code allocates is not seen.

#![expect(clippy::unwrap_used, reason = "test helpers unwrap like tests")]

mod engines;

use std::pin::pin;
use std::time::Duration;

use acomp_algs as _;
use acomp_core::{Acomp, AlgFlags, AlgRef, Chain, Error, Op, Params, Registry, ReqFlags, Request};
use allocation_counter::measure;
use futures::FutureExt;

use engines::{Held, submitter};

#[test]
fn opening_allocates_and_is_counted() {
    for acomp in promising() {
        assert_ne!(measure(|| drop(acomp.session())).count_total, 0, "{acomp:?}");
    }
}

#[test]
fn sessions_allocate_nothing_per_op() {
    for acomp in promising() {
        let mut session = acomp.session().unwrap();
        let (mut stream, mut back) = ([0; ROOMY], [0; PAGE_BYTES]);
        let pages = pages();
        let counted = measure(|| {
            for page in pages.iter().cycle().take(OPS) {
                let len = session.compress(page, &mut stream).unwrap_or_default();
                assert_eq!(session.decompress(&stream[..len], &mut back), Ok(PAGE_BYTES));
            }
        });
        assert_eq!(counted.count_total, 0, "{acomp:?}");
    }
}

#[test]
fn failing_ops_allocate_nothing() {
    for acomp in promising() {
        let mut session = acomp.session().unwrap();
        let (mut small, mut back) = ([0; 16], [0; PAGE_BYTES]);
        let page = &pages()[RANDOM];
        let counted = measure(|| {
            for _ in 0..OPS {
                assert_eq!(session.compress(page, &mut small), Err(Error::DstTooSmall));
                let _ = session.decompress(page, &mut back);
            }
        });
        assert_eq!(counted.count_total, 0, "{acomp:?}");
    }
}

#[test]
fn chains_allocate_nothing_while_they_are_built_and_run() {
    for acomp in promising() {
        let mut session = acomp.session().unwrap();
        let pages = pages();
        let mut streams = vec![[0; ROOMY]; CHAIN];
        let mut backs = vec![[0; PAGE_BYTES]; CHAIN];
        let counted = measure(|| {
            for _ in 0..OPS / CHAIN {
                let mut chain = Chain::<CHAIN>::new();
                for (page, stream) in pages.iter().cycle().zip(&mut streams) {
                    let _ = chain.push(Op::compress(page, stream));
                }
                assert_eq!(session.run(chain.as_mut_ops()).ok, CHAIN);

                let mut again = Chain::<CHAIN>::new();
                for (op, back) in chain.ops().iter().zip(&mut backs) {
                    let _ = again.push(Op::decompress(op.output(), back));
                }
                assert_eq!(session.run(again.as_mut_ops()).ok, CHAIN);
            }
        });
        assert_eq!(counted.count_total, 0, "{acomp:?}");
    }
}

#[test]
fn requests_allocate_nothing_however_they_end() {
    let engine = Held::new(1);
    let submitter = submitter(engine.clone(), 4);
    let request = |flags| {
        let (src, dst) = submitter.lease(64).zip(submitter.lease(64)).unwrap();
        Request::compress(src, dst).with_flags(flags)
    };
    let submit = |flags| submitter.submit(request(flags)).unwrap();
    let mut back = [0; 64];
    let mut every_end = || {
        let first = submit(ReqFlags::empty());
        let rejected = submitter.submit(request(ReqFlags::empty()));
        assert!(rejected.is_err_and(|rejected| rejected.error == Error::Busy));
        let [second, third] = [(); 2].map(|()| submit(ReqFlags::MAY_BACKLOG));
        drop(third);
        engine.execute();
        assert_eq!(first.wait().outcome, Ok(64));
        let mut second = second.wait_timeout(Duration::ZERO).unwrap_err();
        assert!((&mut second).now_or_never().is_none());
        engine.execute();
        assert_eq!(second.now_or_never().map(|completion| completion.outcome), Some(Ok(64)));
        assert!(submit(ReqFlags::empty()).cancel().now_or_never().is_some());
        let mut borrowed = pin!(submitter.compress(&[7; 64], &mut back));
        assert!(borrowed.as_mut().now_or_never().is_none());
        engine.execute();
        assert_eq!(borrowed.now_or_never(), Some(Ok(64)));
    };
    every_end(); // The toy's own queue grows once.
    let counted = measure(|| (0..OPS / 10).for_each(|_| every_end()));
    assert_eq!(counted.count_total, 0);
    assert_eq!(submitter.free_slots(), 4);
}

#[test]
fn first_requests_that_wait_allocate_nothing_either() {
    let submitter = submitter(Held::new(0), 4);
    let request = || {
        let (src, dst) = submitter.lease(64).zip(submitter.lease(64)).unwrap();
        Request::compress(src, dst).with_flags(ReqFlags::MAY_BACKLOG)
    };
    let mut requests = [(); 4].map(|()| Some(request()));
    let mut waiting = [const { None }; 4];
    let counted = measure(|| {
        for (request, place) in requests.iter_mut().zip(&mut waiting) {
            *place = request.take().map(|request| submitter.submit(request));
        }
    });
    assert!(waiting.iter().flatten().all(Result::is_ok));
    assert_eq!(counted.count_total, 0);
}

#[test]
fn shared_calls_allocate_nothing_once_this_thread_has_its_session() {
    for acomp in promising() {
        let (mut stream, mut back) = ([0; ROOMY], [0; PAGE_BYTES]);
        let pages = pages();
        acomp.compress(&pages[0], &mut stream).unwrap();
        let counted = measure(|| {
            for page in pages.iter().cycle().take(OPS) {
                let len = acomp.compress(page, &mut stream).unwrap_or_default();
                let mut op = Op::decompress(&stream[..len], &mut back);
                assert_eq!(acomp.run(std::slice::from_mut(&mut op)).ok, 1);
            }
        });
        assert_eq!(counted.count_total, 0, "{acomp:?}");
    }
}

/// A transform of each driver that promises.
fn promising() -> Vec<Acomp> {
    let promises = |alg: &AlgRef| alg.info().flags.contains(AlgFlags::NO_ALLOC_AFTER_OPEN);
    let algs = Registry::global().iter().filter(promises);
    let acomps: Vec<_> = algs.map(|alg| Acomp::open(alg, Params::new()).unwrap()).collect();
    assert!(!acomps.is_empty());
    acomps
}

/// Zeros, text, a few odd bytes, random bytes.
fn pages() -> [[u8; PAGE_BYTES]; 4] {
    let mut rng = fastrand::Rng::with_seed(1);
    let mut pages = [[0; PAGE_BYTES]; 4];
    pages[1].fill_with(|| b"aaaaaabbc "[rng.usize(..10)]);
    (0..50).for_each(|_| pages[2][rng.usize(..PAGE_BYTES)] = rng.u8(..));
    rng.fill(&mut pages[RANDOM]);
    pages
}

const RANDOM: usize = 3;
const PAGE_BYTES: usize = 4096;
const ROOMY: usize = 2 * PAGE_BYTES;
const CHAIN: usize = 8;
const OPS: usize = 10_000;
