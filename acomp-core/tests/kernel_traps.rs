//! The museum of traps: one test for each defect that kernels had in this layer, named after it.
//! Each shows that the shape of the defect is excluded or answered. What the types exclude is shown
//! by the examples that must not compile: of `Request`, `Buf`, `Inflight`, `Job`, `Chain`,
//! `Session`.

#![expect(clippy::unwrap_used, reason = "test helpers unwrap like tests")]

mod engines;
mod toys;

use std::collections::{HashSet, VecDeque};
use std::future::ready;
use std::io::{IoSlice, IoSliceMut};
use std::num::NonZeroUsize;
use std::pin::{Pin, pin};
use std::slice;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Barrier, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use acomp_algs as _;
use acomp_core::{
    Acomp, AlgFlags, AlgInfo, Algorithm, Chain, Codec, Completion, Direction, Error, ExecutedOn,
    Inflight, Inflights, Kind, MAX_BATCH, Op, OpenError, OrSoftware, Outcome, Params, Registry,
    ReqFlags, Request, Session, Timeout, Verdict,
};
use futures::executor::block_on;
use futures::future::{FutureExt, join};

use engines::{Held, Inline, execute, submitter, submitters};
use toys::{TOY, Toy, absent, acomp_of, copy, die, registry_of};

// Pointers and owners

/// An adapter stored one pointer as callback data and the completion cast it to another type. A
/// completion carries the request itself; there is no cookie that a layer in between could
/// exchange.
#[test]
fn cve_2026_46081_callback_data_is_not_the_request() {
    let engine = Held::new(8);
    let submitter = submitter(engine.clone(), 8);
    let flight: Vec<_> = (0..8)
        .map(|mark| {
            let request = request(mark);
            let buffers = (request.src.as_ptr(), request.dst.as_ptr());
            (mark, buffers, submitter.submit(request).unwrap())
        })
        .collect();
    let mut jobs: Vec<_> = std::iter::from_fn(|| engine.next()).collect();
    fastrand::Rng::with_seed(1).shuffle(&mut jobs);
    jobs.into_iter().for_each(execute);
    for (mark, buffers, inflight) in flight {
        let completion = inflight.try_finish().unwrap();
        assert_eq!((completion.request.token, completion.output()), (mark.into(), &[mark; 4][..]));
        let Request { src, dst, .. } = completion.request;
        assert_eq!((src.as_ptr(), dst.as_ptr()), buffers);
    }

    // The adapter itself: borrowed addresses, over a driver that completes later.
    let (mut one, mut two) = ([0; 3], [0; 3]);
    {
        let calls =
            join(submitter.compress(b"one", &mut one), submitter.compress(b"two", &mut two));
        let mut calls = pin!(calls);
        assert!(calls.as_mut().now_or_never().is_none());
        let first = engine.next().unwrap();
        engine.execute();
        execute(first);
        assert_eq!(calls.now_or_never(), Some((Ok(3), Ok(3))));
    }
    assert_eq!((&one, &two), (b"one", b"two"));
}

/// A missing `return` ran the driver and then the generic path with the same, live request. A
/// request is moved into its submission, and every way leads to the driver once.
#[test]
fn request_is_not_submitted_twice() {
    let calls = Arc::new(AtomicUsize::new(0));
    let acomp = acomp_of(Toy::each(TOY, {
        let calls = Arc::clone(&calls);
        move |src, dst| {
            calls.fetch_add(1, Relaxed);
            copy(src, dst)
        }
    }));
    for (i, (way, compress)) in WAYS.iter().enumerate() {
        assert_eq!(compress(&acomp, b"page", &mut [0; 4]), Ok(4), "{way}");
        assert_eq!(calls.load(Relaxed), i + 1, "{way}");
    }

    let engine = Held::new(1);
    let submitter = submitter(engine.clone(), 2);
    let first = submitter.submit(request(1)).unwrap();
    let refused = submitter.submit(request(2)).unwrap_err().request;
    engine.execute();
    assert!(engine.next().is_none(), "what was refused is not there");
    let second = submitter.submit(refused).unwrap();
    engine.execute();
    assert!(engine.next().is_none());
    drop((first, second));
}

/// An adapter wrote the destination into the source's field. Source and destination are of two
/// types, and every way keeps them apart.
#[test]
fn destination_is_not_the_source() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let acomp = acomp_of(Toy::each(TOY, {
        let seen = Arc::clone(&seen);
        move |src, dst| {
            seen.lock().unwrap().push((src.to_vec(), dst.len()));
            copy(b"stream", dst)
        }
    }));
    for (way, compress) in WAYS {
        let mut dst = [0; 9];
        assert_eq!(compress(&acomp, b"page", &mut dst), Ok(6), "{way}");
        assert_eq!(&dst[..6], b"stream", "{way}");
        assert_eq!(seen.lock().unwrap().drain(..).collect::<Vec<_>>(), [(b"page".to_vec(), 9)]);
    }

    let engine = Held::new(2);
    let submitter = submitter(engine.clone(), 2);
    let makes: [fn(Vec<u8>, Vec<u8>) -> Request; 2] = [Request::compress, Request::decompress];
    for make in makes {
        let inflight = submitter.submit(make(b"page".to_vec(), vec![0; 9])).unwrap();
        let mut job = engine.next().unwrap();
        let (src, dst) = job.io();
        assert_eq!((src, dst.len()), (&b"page"[..], 9));
        execute(job);
        assert_eq!(inflight.wait().output(), b"page");
    }
}

/// A chain's driver kept its descriptor in the callback data of the tails, so that their callbacks
/// never ran. Each request wakes whoever waits for it.
#[test]
fn callback_of_a_tail_is_not_dead() {
    let engine = Held::new(3);
    let submitter = submitter(engine.clone(), 3);
    let mut flight = [0, 1, 2].map(|mark| submitter.submit(request(mark)).unwrap());
    let wakes = [(); 3].map(|()| Wakes::new());
    for (inflight, wakes) in flight.iter_mut().zip(&wakes) {
        assert!(wakes.poll(inflight).is_pending());
    }
    let woken = || wakes.each_ref().map(|wakes| wakes.count());
    let jobs: Vec<_> = std::iter::from_fn(|| engine.next()).collect();
    for (job, expected) in jobs.into_iter().rev().zip([[0, 0, 1], [0, 1, 1], [1, 1, 1]]) {
        execute(job);
        assert_eq!(woken(), expected);
    }
}

/// When the submission of a chain's head failed, the list stayed linked to a head that was gone. A
/// chain whose head is refused stays in the caller's queue, whole and in order.
#[test]
fn chain_does_not_dangle_when_its_head_is_refused() {
    let engine = Held::new(3);
    let submitter = submitter(engine.clone(), 8);
    let before = [7, 8, 9].map(|mark| submitter.submit(request(mark)).unwrap());
    let mut chain: VecDeque<_> = (0..3).map(request).collect();
    let mut accepted = Inflights::default();
    assert_eq!(submitter.submit_chain(&mut chain, &mut accepted), Err(Error::Busy));
    assert!(accepted.is_empty());
    assert_eq!(chain.iter().map(|request| request.token).collect::<Vec<_>>(), [0, 1, 2]);

    before.iter().for_each(|_| engine.execute());
    assert_eq!(submitter.submit_chain(&mut chain, &mut accepted), Ok(3));
    for mark in 0..3 {
        let mut job = engine.next().unwrap();
        assert_eq!(job.io().0, [mark; 4]);
        execute(job);
    }
}

/// Setting the callback after the unit size reset the unit, silently. A description is complete
/// when it is submitted, and the order in which it was written changes nothing.
#[test]
fn order_of_setters_does_not_lose_the_unit() {
    let engine = Held::new(2);
    let submitter = submitter(engine.clone(), 2);
    let flags = ReqFlags::POLL;
    let requests =
        [request(0).with_flags(flags).with_token(7), request(0).with_token(7).with_flags(flags)];
    for request in requests {
        let inflight = submitter.submit(request).unwrap();
        assert_eq!(engine.next().unwrap().flags(), flags);
        let request = inflight.try_finish().unwrap().request;
        assert_eq!((request.token, request.flags), (7, flags));
    }
    assert_eq!(
        Params::new().with_level(1).with_dictionary(&b"words"[..]),
        Params::new().with_dictionary(&b"words"[..]).with_level(1)
    );

    let mut session = acomp_of(Toy::copying(TOY)).session().unwrap();
    for unit in [5, 3, 5] {
        let (outcomes, _) = units(&mut session, &[1; 10], unit);
        assert_eq!(outcomes.len(), 10_usize.div_ceil(unit));
        assert_eq!(session.compress(&[1; 10], &mut [0; 10]), Ok(10), "a single call has no unit");
    }
}

/// A pointer was smuggled through four bytes of request context. A driver keeps what it needs under
/// the job's number, which is that of no other job, of whichever submitter and time.
#[test]
fn private_state_of_two_jobs_is_not_one() {
    let engine = Held::new(4);
    let [one, other] = submitters(engine.clone(), 2);
    let mut numbers = HashSet::new();
    for _ in 0..50 {
        let flight = [&one, &other, &one, &other].map(|it| it.submit(request(0)).unwrap());
        while let Some(job) = engine.next() {
            assert!(numbers.insert(job.id()), "{:?} again", job.id());
            execute(job);
        }
        drop(flight);
    }
    assert_eq!(numbers.len(), 200);
}

// Reporting

/// One engine of chains returned the code of the last member, the other that of the head. The
/// summary counts all, and its error is the first in the chain's order, in whichever order they
/// ran.
#[test]
fn code_of_a_chain_is_neither_the_heads_nor_the_lasts() {
    let run = |src: &[u8]| Error::ALL.get(usize::from(src[0])).map_or(Ok(1), |why| Err(*why));
    let drivers = [
        Toy::each(TOY, move |src, _| run(src)),
        Toy::whole(TOY, move |ops| {
            for i in (0..ops.len()).rev() {
                let mut op = ops.get_mut(i).unwrap();
                let outcome = run(op.io().0);
                op.complete(outcome, ExecutedOn::Worker);
            }
        }),
    ];
    for driver in drivers {
        let mut session = acomp_of(driver).session().unwrap();
        for failing in 0..16u8 {
            let fails = |i: u8| failing >> i & 1 == 1;
            let srcs = [0, 1, 2, 3].map(|i| [if fails(i) { i } else { 0xFF }]);
            let mut dsts = [[0; 1]; 4];
            let summary = session.run(chain_of(&srcs, &mut dsts).as_mut_ops());
            let first = (0..4).find(|i| fails(*i)).map(|i| Error::ALL[usize::from(i)]);
            let failed = failing.count_ones() as usize;
            assert_eq!((summary.ok, summary.failed), (4 - failed, failed));
            assert_eq!(summary.first_error, first, "{failing:04b}");
        }
    }
}

/// Negative error numbers were stored in unsigned lengths, and tested for being below zero. A
/// length and an error are two arms of one type, and an error number in a length is not believed.
#[test]
fn error_in_an_unsigned_length_is_not_a_length() {
    for &error in Error::ALL {
        let negative = acomp_of(Toy::each(TOY, move |_, _| Ok(-error.errno() as usize)));
        let honest = acomp_of(Toy::each(TOY, move |_, _| Err(error)));
        for (way, compress) in WAYS {
            assert_eq!(compress(&negative, b"page", &mut [0; 8]), Err(Error::Overclaimed), "{way}");
            assert_eq!(compress(&honest, b"page", &mut [0; 8]), Err(error), "{way}");
        }
        let stats = honest.alg().stats().compress;
        assert_eq!((stats.failed(error), stats.bytes_out), (WAYS.len() as u64, 0), "{error:?}");
    }
}

/// A final code was returned and the callback ran as well, so that the next wait returned at once
/// with the old result. A completion is taken, once; the request that it gives back is a new one.
#[test]
fn completion_is_not_reported_twice() {
    let engine = Held::new(1);
    let submitter = submitter(engine.clone(), 1);
    let wakes = Wakes::new();
    let mut request = request(1);
    for round in 1..4 {
        let mut inflight = submitter.submit(request).unwrap();
        assert!(wakes.poll(&mut inflight).is_pending(), "the last result is not this one");
        engine.execute();
        assert_eq!(wakes.count(), round);
        let Poll::Ready(completion) = wakes.poll(&mut inflight) else { panic!("woken too early") };
        assert_eq!(completion.outcome, Ok(4));
        assert!(wakes.poll(&mut inflight).is_pending());
        drop(inflight);
        assert_eq!(wakes.count(), round);
        request = completion.request;
    }

    // Completed inside `submit`: said there, and nowhere else.
    let software = acomp_of(Toy::copying(TOY)).submitter(1).unwrap();
    let mut inflight = software.submit(request).unwrap();
    assert!(wakes.poll(&mut inflight).is_ready());
    assert_eq!(wakes.count(), 3);
}

/// `EBUSY` meant accepted, chain under way or device full, and `ENOSPC` queue full or output too
/// long. A request that was accepted is an `Inflight`; what was not comes back, as busy.
#[test]
fn busy_and_no_space_have_one_meaning_each() {
    let engine = Held::new(1);
    let submitter = submitter(engine.clone(), 4);
    let too_long = Request::compress(vec![1; 4], vec![0; 3]);
    let first = submitter.submit(too_long).unwrap();
    let refused = submitter.submit(request(2)).unwrap_err();
    assert_eq!((refused.error, &refused.request.src[..]), (Error::Busy, &[2; 4][..]));
    let waiting = submitter.submit(request(3).with_flags(ReqFlags::MAY_BACKLOG)).unwrap();
    engine.execute();
    assert_eq!(first.wait().outcome, Err(Error::DstTooSmall));
    assert_eq!(engine.next().unwrap().io().0, [3; 4], "what was accepted will run");
    assert!(engine.next().is_none(), "what was refused will not");
    assert_eq!(waiting.try_finish().unwrap().outcome, Err(Error::DeviceLost));
}

/// Pages that do not compress were reported with the code of other failures, and a statistic of
/// zswap lost its meaning. Too small, and broken, are told apart by every driver, and counted
/// apart.
#[test]
fn incompressible_page_is_not_counted_as_a_failure() {
    let mut random = [0; 4096];
    fastrand::Rng::with_seed(1).fill(&mut random);
    for name in ["842", "deflate", "lz4", "lz4hc", "lzo", "lzo-rle", "zstd"] {
        let mut session = Acomp::alloc(name).unwrap().session().unwrap();
        let (mut stream, mut back) = ([0; 4095], [0; 4096]);
        assert_eq!(session.compress(&random, &mut stream), Err(Error::DstTooSmall), "{name}");
        let len = session.compress(&[7; 4096], &mut stream).unwrap();
        let stream = &stream[..len];
        assert_eq!(session.decompress(stream, &mut back[1..]), Err(Error::DstTooSmall), "{name}");
        assert_eq!(
            session.decompress(&stream[..len - 1], &mut back),
            Err(Error::Corrupt),
            "{name}"
        );
        let stats = session.stats();
        let [packed, unpacked] = [stats.compress, stats.decompress]
            .map(|flow| (flow.failed(Error::DstTooSmall), flow.failed(Error::Corrupt)));
        assert_eq!((packed, unpacked), ((1, 0), (1, 1)), "{name}");
    }
}

/// Layouts that a driver could not take were found out when they came, as `ENOSYS`. Drivers see
/// slices only, so that each takes a destination in pieces.
#[test]
fn fragmented_destination_is_not_enosys() {
    for name in ["deflate", "lz4", "null", "zstd"] {
        let mut session = Acomp::alloc(name).unwrap().session().unwrap();
        let (mut whole, mut pieces) = ([0; 64], [[0; 16]; 4]);
        let len = session.compress(&[7; 64], &mut whole).unwrap();
        let mut dst = pieces.each_mut().map(|piece| IoSliceMut::new(piece));
        let src = [IoSlice::new(&[7; 64])];
        assert_eq!(session.compress_vectored(&src, &mut dst), Ok(len), "{name}");
        assert_eq!(pieces.as_flattened()[..len], whole[..len], "{name}");
    }
}

// Overruns

/// LZO ignored the length of the destination for 18 years. A driver gets a slice: writing beyond it
/// ends its session, not its neighbour's memory.
#[test]
fn cve_2025_38068_lzo_does_not_write_beyond_the_destination() {
    let acomp = acomp_of(Toy::each(TOY, |src, dst| {
        for (i, byte) in src.iter().enumerate() {
            dst[i] = *byte;
        }
        Ok(src.len())
    }));
    for (way, compress) in WAYS {
        let mut room = [7; 24];
        let (dst, neighbours) = room.split_at_mut(8);
        assert_eq!(compress(&acomp, b"too long", &mut dst[..4]), Err(Error::Panicked), "{way}");
        assert_eq!((&dst[4..], &*neighbours), (&[7; 4][..], &[7; 16][..]), "{way}");
        assert_eq!(compress(&acomp, b"page", dst), Ok(4), "{way}");
    }
}

/// The library got all of a scratch of 128 KiB, and what it wrote was copied to a shorter
/// destination. A bounce buffer is shown to the driver as long as the destination, never longer.
#[test]
fn scomp_scratch_does_not_overflow_the_destination() {
    let acomp = acomp_of(Toy::each(TOY, |_, dst| {
        dst.fill(0xEE);
        Ok(dst.len())
    }));
    let mut session = acomp.session().unwrap();
    let submitter = acomp.submitter(1).unwrap();
    for dst_bytes in [4096, 6] {
        let mut room = vec![7; dst_bytes + 8];
        let (dst, beyond) = room.split_at_mut(dst_bytes);
        let (head, tail) = dst.split_at_mut(dst_bytes / 2);
        let mut pieces = [IoSliceMut::new(head), IoSliceMut::new(tail)];
        let outcome = session.compress_vectored(&[IoSlice::new(b"page")], &mut pieces);
        assert_eq!((outcome, &*beyond), (Ok(dst_bytes), &[7; 8][..]), "in pieces");
        assert_eq!(block_on(submitter.compress(b"page", dst)), Ok(dst_bytes), "leased");
        assert_eq!(beyond, [7; 8], "leased");
    }
}

/// Hardware may not look at the size of the destination, so consumers made it two pages. A device
/// writes to a buffer that it owns, and its claim is held against the length that was asked for.
#[test]
fn device_that_ignores_the_destinations_size_reaches_nobodys_memory() {
    let engine = Held::new(1);
    let submitter = submitter(engine.clone(), 1);
    let mut dst = [7; 8];
    {
        let mut call = pin!(submitter.compress(b"does not compress", &mut dst));
        assert!(call.as_mut().now_or_never().is_none());
        let mut job = engine.next().unwrap();
        assert_eq!(job.io().1.len(), 8);
        job.io().1.fill(0xEE);
        job.complete(Ok(17), ExecutedOn::Driver);
        assert_eq!(call.now_or_never(), Some(Err(Error::Overclaimed)));
    }
    assert_eq!(dst, [7; 8]);
}

/// A source in pieces was gathered into a scratch of one page, whatever its length. The bounce
/// buffer is made as long as the call needs, or the call is refused.
#[test]
fn fragmented_source_does_not_overrun_a_scratch_of_one_page() {
    let registry = Registry::from_entries([]);
    let _guard = registry.add(Toy::copying(TOY)).unwrap();
    let three_pages = NonZeroUsize::new(3 * PAGE_BYTES).unwrap();
    let params = Params::new().with_bounce_bytes_max(three_pages);
    let mut session = Acomp::alloc_in(&registry, "toy", params).unwrap().session().unwrap();
    for pages in [1, 3, 2] {
        assert_round_trip(&mut session, pages * PAGE_BYTES, 1000);
    }
    let src = vec![1; 3 * PAGE_BYTES + 1];
    let (head, tail) = src.split_at(PAGE_BYTES);
    let src = [IoSlice::new(head), IoSlice::new(tail)];
    let outcome = session.compress_vectored(&src, &mut [IoSliceMut::new(&mut [0; 8])]);
    assert_eq!(outcome, Err(Error::Unsupported));
}

/// Wrappers were off by one at the last page of a buffer, twice. Lengths around every page
/// boundary.
#[test]
fn last_page_is_not_off_by_one() {
    let mut session = acomp_of(Toy::copying(TOY)).session().unwrap();
    for pages in 1..4 {
        for bytes in [pages * PAGE_BYTES - 1, pages * PAGE_BYTES, pages * PAGE_BYTES + 1] {
            assert_round_trip(&mut session, bytes, PAGE_BYTES);
        }
    }
}

// Workspaces

/// One scratch per CPU served all algorithms and users, and one that interrupted another waited for
/// itself. A session's buffers are its own: another may run in the middle of an operation.
#[test]
fn scratch_is_not_shared_by_all_users() {
    in_time(|| {
        let inner = acomp_of(Toy::copying(TOY));
        let outer = acomp_of(scratch_toy(move |_| {
            let mut session = inner.session().unwrap();
            assert_eq!(
                vectored(&mut session, b"interrupts", 10, 3),
                (Ok(10), b"interrupts".into())
            );
            assert_eq!(inner.compress(b"interrupts", &mut [0; 10]), Ok(10));
        }));
        let mut session = outer.session().unwrap();
        assert_eq!(vectored(&mut session, b"page", 4, 3), (Ok(4), b"page".into()));
        assert_eq!(outer.compress(b"page", &mut [0; 4]), Ok(4));
    });
}

/// A failed allocation was not accounted for, and the scratch was freed under those who still used
/// it, or freed wildly. What a session allocates lives and dies with it, also when others fail.
#[test]
fn scratch_is_not_freed_under_its_users() {
    let live = Arc::new(());
    let opened = AtomicUsize::new(0);
    let acomp = acomp_of(Toy::new(TOY, {
        let live = Arc::clone(&live);
        move |_| {
            if opened.fetch_add(1, Relaxed) % 3 == 2 {
                return Err(absent());
            }
            let mine = Arc::clone(&live);
            Ok(scratch(Arc::new(move |_: &[u8]| assert!(Arc::strong_count(&mine) > 2))))
        }
    }));
    let others = Arc::strong_count(&live);
    let mut sessions: Vec<_> = (0..30).filter_map(|_| acomp.session().ok()).collect();
    assert_eq!(sessions.len(), 20);
    fastrand::Rng::with_seed(1).shuffle(&mut sessions);
    while let Some(session) = sessions.pop() {
        drop(session);
        assert_eq!(Arc::strong_count(&live), others + sessions.len());
        for session in &mut sessions {
            assert_eq!(session.compress(b"page", &mut [0; 4]), Ok(4));
        }
    }
    drop(acomp);
    assert_eq!(Arc::strong_count(&live), 1, "and all is freed");
}

/// The stream of CPU 0 stood in for all that were not there yet, so everybody waited for it. A
/// place that is taken is passed over, and the next one is opened.
#[test]
fn stream_of_cpu0_is_not_everybodys_fallback() {
    if cpus() == 1 {
        return; // Nobody could be elsewhere.
    }
    let (driver, gate) = gated();
    let acomp = acomp_of(driver);
    thread::scope(|scope| {
        let slow = scope.spawn(|| acomp.compress(b"slow", &mut [0; 4]));
        gate.inside.recv_timeout(LONG).unwrap();
        assert_eq!(acomp.compress(b"fast", &mut [0; 4]), Ok(4));
        gate.go.send(()).unwrap();
        assert_eq!(slow.join().unwrap(), Ok(4), "fast did not wait for slow");
    });
}

/// Workspaces cost memory times requests, or times CPUs and algorithms without ever shrinking.
/// Calls share at most one session per CPU, which go with their transform.
#[test]
fn workspaces_are_not_one_for_each_request() {
    let (opened, live) = (Arc::new(AtomicUsize::new(0)), Arc::new(()));
    let acomp = acomp_of(Toy::new(TOY, {
        let (opened, live) = (Arc::clone(&opened), Arc::clone(&live));
        move |_| {
            opened.fetch_add(1, Relaxed);
            let mine = Arc::clone(&live);
            Ok(scratch(Arc::new(move |_: &[u8]| assert!(Arc::strong_count(&mine) > 1))))
        }
    }));
    let submitter = acomp.submitter(64).unwrap();
    let start = Barrier::new(8);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                start.wait();
                for _ in 0..cpus() {
                    assert_eq!(acomp.compress(b"page", &mut [0; 4]), Ok(4));
                    assert_eq!(submitter.submit(request(1)).unwrap().wait().outcome, Ok(4));
                }
            });
        }
    });
    assert!(opened.load(Relaxed) <= cpus(), "{} sessions", opened.load(Relaxed));
    drop((acomp, submitter));
    assert_eq!(Arc::strong_count(&live), 1);
}

// Devices, and whoever outlives whom

/// One software transform served the fallbacks of all CPUs without a lock, which corrupted pages;
/// then a lock made them wait for each other. A fallback borrows a session of its caller's.
#[test]
fn software_fallback_is_not_shared() {
    let (driver, gate) = gated();
    let software = acomp_of(driver);
    let engine = Held::new(2);
    let submitter = submitter(engine.clone(), 2);
    let lost = |src: &[u8]| {
        let inflight = submitter.submit(Request::compress(src.to_vec(), vec![0; 4])).unwrap();
        drop(engine.next());
        inflight
    };
    let [slow, fast] = [lost(b"slow"), lost(b"fast")];
    let in_software = |inflight| {
        let mut session = software.session().unwrap();
        let completion = OrSoftware::new(inflight, &mut session).now_or_never().unwrap();
        assert_eq!(completion.executed_on, ExecutedOn::Fallback);
        completion
    };
    thread::scope(|scope| {
        let slow = scope.spawn(|| in_software(slow));
        gate.inside.recv_timeout(LONG).unwrap();
        assert_eq!(in_software(fast).output(), b"fast");
        gate.go.send(()).unwrap();
        assert_eq!(slow.join().unwrap().output(), b"slow");
    });
}

/// Thirty cores waited for the descriptors of one device, for ever. A full device says so at once;
/// whoever is refused has its request back, for software, and is counted there.
#[test]
fn full_device_does_not_hang_its_submitters() {
    let engine = Held::new(1);
    let submitter = Arc::new(submitter(engine.clone(), 64));
    let software = acomp_of(Toy::copying(TOY));
    let accepted = in_time({
        let software = software.clone();
        move || {
            let one = |mark| match submitter.submit(request(mark)) {
                Ok(inflight) => Some(inflight),
                Err(refused) => {
                    let Request { src, mut dst, .. } = refused.request;
                    assert_eq!(software.compress(&src, &mut dst), Ok(4));
                    assert_eq!(dst[..4], [mark; 4]);
                    None
                }
            };
            thread::scope(|scope| {
                let all: Vec<_> = (0..30).map(|mark| scope.spawn(move || one(mark))).collect();
                all.into_iter().filter_map(|one| one.join().unwrap()).collect::<Vec<_>>()
            })
        }
    });
    assert_eq!((accepted.len(), software.alg().stats().compress.ok), (1, 29));
}

/// Algorithms were unregistered under live transforms, and could not be registered again. A
/// transform keeps its driver; the name is free at once, and whoever looks it up gets the new one.
#[test]
fn algorithm_is_unregistered_under_live_transforms_and_registered_again() {
    let registry = Registry::from_entries([]);
    let mut transforms = Vec::new();
    for generation in 0..3 {
        let guard = registry.add(Toy::each(TOY, move |_, _| Ok(generation))).unwrap();
        let acomp = Acomp::alloc_in(&registry, "toy", Params::new()).unwrap();
        let submitter = acomp.submitter(1).unwrap();
        transforms.push((acomp, submitter));
        drop(guard);
        assert!(matches!(registry.find("toy"), Err(OpenError::NotFound { .. })));
    }
    for (generation, (acomp, submitter)) in transforms.iter().enumerate() {
        assert_eq!(acomp.compress(b"page", &mut [0; 4]), Ok(generation));
        assert_eq!(acomp.session().unwrap().compress(b"page", &mut [0; 4]), Ok(generation));
        assert_eq!(submitter.submit(request(1)).unwrap().wait().outcome, Ok(generation));
        assert_eq!(acomp.alg().stats().compress.ok, 3, "each has its own statistics");
    }
}

/// After unbinding and binding, an algorithm stayed registered that had no device. A driver without
/// its device is passed over, and is asked again the next time.
#[test]
fn algorithm_is_not_left_registered_without_a_device() {
    const DEVICE: AlgInfo = AlgInfo::new("toy", "toy-dev").with_priority(9);
    let is_bound = Arc::new(AtomicBool::new(true));
    let device = Toy::new(DEVICE, {
        let is_bound = Arc::clone(&is_bound);
        move |params| {
            if is_bound.load(Relaxed) { Toy::copying(DEVICE).open(params) } else { Err(absent()) }
        }
    });
    let (registry, _guards) = registry_of([device, Toy::copying(TOY)]);
    for (bound, driver) in [(true, "toy-dev"), (false, "toy-rs"), (true, "toy-dev")] {
        is_bound.store(bound, Relaxed);
        let acomp = Acomp::alloc_in(&registry, "toy", Params::new()).unwrap();
        assert_eq!(acomp.driver(), driver);
        assert_eq!(acomp.compress(b"page", &mut [0; 4]), Ok(4));
    }
}

/// A device's compression mode was used after it had been freed. What a driver prepares is made
/// once for a transform, and freed once, after the last who uses it.
#[test]
fn cve_2024_47732_shared_mode_is_not_freed_under_its_users() {
    let counts = Arc::new(Counts::default());
    let registry = Registry::from_entries([]);
    let _guard = registry.add(Arc::new(Moded { counts: Arc::clone(&counts), mode: None })).unwrap();
    let refused = Acomp::alloc_in(&registry, "moded", Params::new().with("mode", "odd"));
    assert!(refused.is_err());
    assert_eq!(counts.made_and_freed(), (1, 1), "freed where opening fails behind it");

    let acomp = Acomp::alloc_in(&registry, "moded", Params::new()).unwrap();
    let mut sessions = [acomp.session().unwrap(), acomp.clone().session().unwrap()];
    assert_eq!(counts.made_and_freed(), (2, 1));
    drop(acomp);
    for session in &mut sessions {
        assert_eq!(session.compress(b"page", &mut [0; 4]), Ok(4));
    }
    assert_eq!(counts.made_and_freed(), (2, 1), "its sessions use it");
    drop(sessions);
    assert_eq!(counts.made_and_freed(), (2, 2));
}

/// The context of a CPU that was unplugged was freed under a task that had slept in an operation
/// and moved. A context belongs to its transform, and a call holds that, wherever it runs.
#[test]
fn cve_2025_21693_context_is_not_freed_under_its_user() {
    let (driver, gate) = gated();
    let registry = Registry::from_entries([]);
    let guard = registry.add(driver).unwrap();
    let acomp = Acomp::alloc_in(&registry, "toy", Params::new()).unwrap();
    let user = thread::spawn({
        let acomp = acomp.clone();
        move || {
            let mut dst = [0; 4];
            (acomp.compress(b"slow", &mut dst), dst)
        }
    });
    gate.inside.recv_timeout(LONG).unwrap();
    drop((acomp, guard, registry));
    gate.go.send(()).unwrap();
    assert_eq!(user.join().unwrap(), (Ok(4), *b"slow"));

    // Opened by a thread that is gone, used by another one in the middle of its work.
    let acomp = acomp_of(Toy::copying(TOY));
    let mut session =
        thread::scope(|scope| scope.spawn(|| acomp.session().unwrap()).join()).unwrap();
    drop(acomp);
    assert_eq!(session.compress(b"page", &mut [0; 4]), Ok(4));
    let moved = thread::spawn(move || session.compress(b"page", &mut [0; 4]));
    assert_eq!(moved.join().unwrap(), Ok(4));
}

/// Callers that must not sleep asked whether an algorithm is asynchronous, which says something
/// else. They ask whether it may block.
#[test]
fn asynchronous_does_not_mean_that_it_sleeps() {
    for kind in [Kind::Software, Kind::Offload] {
        let info = TOY.with_kind(kind);
        let never = acomp_of(Toy::copying(info.clone().with_flags(AlgFlags::NEVER_BLOCKS)));
        let acomp = acomp_of(Toy::copying(info));
        assert_eq!((acomp.may_block(), never.may_block()), (true, false), "{kind:?}");
        assert_eq!((acomp.is_async(), never.is_async()), (false, false), "{kind:?}");
    }
    assert!(submitter(Held::new(1), 1).acomp().may_block());
}

/// The flag that says asynchronous was forgotten, and users that had asked for a synchronous
/// algorithm got it. There is no flag: who offers an engine is asynchronous, nobody else.
#[test]
fn asynchronous_is_not_a_flag_to_forget() {
    let engine = Held::new(1);
    let device = submitter(engine.clone(), 1);
    let offload = acomp_of(Toy::copying(TOY.with_kind(Kind::Offload))).submitter(1).unwrap();
    assert_eq!((device.acomp().is_async(), offload.acomp().is_async()), (true, false));
    assert!(device.submit(request(1)).unwrap().try_finish().is_err());
    assert!(offload.submit(request(1)).unwrap().try_finish().is_ok());
}

/// Waiters hung without an end, a timeout or a way to cancel. A device that does nothing at all
/// hangs nobody; what it has is given back when it is reset, as lost.
#[test]
fn hung_device_hangs_nobody() {
    in_time(|| {
        let engine = Held::new(1);
        let submitter = submitter(engine.clone(), 2);
        let inflight = submitter.submit(request(1)).unwrap();
        let hung = engine.next().unwrap(); // It does not even hear of cancelling.
        let inflight = inflight.wait_timeout(Duration::ZERO).unwrap_err();
        let inflight = block_on(Timeout::new(inflight, ready(()))).unwrap_err();
        let mut cancel = inflight.cancel();
        assert!((&mut cancel).now_or_never().is_none());
        let submitter = submitter.close(Duration::ZERO).unwrap_err();

        drop(hung);
        let completion = cancel.now_or_never().unwrap();
        assert_eq!(completion.outcome, Err(Error::DeviceLost));
        assert_eq!(&completion.request.src[..], [1; 4]);
        assert!(submitter.close(Duration::ZERO).is_ok());
    });
}

/// One timeout disabled the device for everybody, silently. It is the outcome of one request, and a
/// number in the statistics; the next one runs on the device.
#[test]
fn timeout_of_one_request_disables_nothing() {
    let engine = Held::new(1);
    let submitter = submitter(engine.clone(), 1);
    let inflight = submitter.submit(request(1)).unwrap();
    engine.next().unwrap().complete(Err(Error::TimedOut), ExecutedOn::Driver);
    assert_eq!(inflight.wait().outcome, Err(Error::TimedOut));

    let alg = submitter.acomp().alg().clone();
    for submitter in [submitter.acomp().submitter(1).unwrap(), submitter] {
        let inflight = submitter.submit(request(2)).unwrap();
        engine.execute();
        let completion = inflight.wait();
        assert_eq!((completion.outcome, completion.executed_on), (Ok(4), ExecutedOn::Driver));
    }
    let stats = alg.stats().compress;
    assert_eq!((stats.failed(Error::TimedOut), stats.ok), (1, 2));
    assert_eq!(alg.verdict(), Verdict::Untested);
}

/// The lock of the registration was held where memory was allocated, which came back for a lock
/// that waited for it. No lock is held while a driver's code runs, its last included.
#[test]
fn registry_lock_is_not_held_while_a_driver_runs() {
    let calls = in_time(|| {
        let registry = Registry::from_entries([]);
        let _other = registry.add(Toy::copying(AlgInfo::new("other", "other-rs"))).unwrap();
        let calls = Arc::new(AtomicUsize::new(0));
        let call = {
            let (registry, calls) = (registry.clone(), Arc::clone(&calls));
            move || {
                let acomp = Acomp::alloc_in(&registry, "other", Params::new()).unwrap();
                assert_eq!(acomp.compress(b"page", &mut [0; 4]), Ok(4));
                drop(registry.add(Toy::copying(AlgInfo::new("third", "third-rs"))).unwrap());
                calls.fetch_add(1, Relaxed);
            }
        };
        let last_words = OnDrop(call.clone());
        let driver = Toy::new(TOY, move |_| {
            let _ = &last_words;
            call();
            let (last_words, call) = (OnDrop(call.clone()), call.clone());
            Ok(scratch(Arc::new(move |_: &[u8]| {
                let _ = &last_words;
                call();
            })))
        });
        let guard = registry.add(driver).unwrap();
        let acomp = Acomp::alloc_in(&registry, "toy", Params::new()).unwrap(); // Opens one.
        assert_eq!(acomp.session().unwrap().compress(b"page", &mut [0; 4]), Ok(4));
        drop(acomp);
        drop(guard);
        calls.load(Relaxed)
    });
    assert_eq!(calls, 6, "two opened, one used, two dropped, and the driver dropped");
}

/// Descriptors leaked when the mode changed while they were in flight, and were used after they had
/// been freed on paths of errors. A place is freed once, on every path.
#[test]
fn cve_2024_35926_descriptor_is_freed_once_on_every_path() {
    type End = fn(Inflight, &Held);
    let ends: [(&str, End); 6] = [
        ("taken", |inflight, engine| {
            engine.execute();
            assert!(inflight.try_finish().is_ok());
        }),
        ("complete, then dropped", |_inflight, engine| engine.execute()),
        ("dropped, then complete", |inflight, engine| {
            drop(inflight);
            engine.execute();
        }),
        ("lost", |inflight, engine| {
            drop(engine.next());
            assert!(inflight.try_finish().is_ok());
        }),
        ("dropped, then lost", |inflight, engine| {
            drop(inflight);
            drop(engine.next());
        }),
        ("cancelled", |inflight, _| assert!(inflight.cancel().now_or_never().is_some())),
    ];
    let engine = Held::new(1);
    let submitter = submitter(engine.clone(), 2);
    let leased = || Request::compress(submitter.lease(4).unwrap(), submitter.lease(4).unwrap());
    for (path, end) in ends {
        let inflight = submitter.submit(leased()).unwrap();
        drop(submitter.submit(leased()).unwrap_err()); // Refused: a path, too.
        end(inflight, &engine);
        let leases: Vec<_> = std::iter::from_fn(|| submitter.lease(4)).collect();
        assert_eq!((submitter.free_slots(), leases.len()), (2, 4), "{path}");
    }
}

/// A queue was removed under its jobs, and references to it raced. Jobs that are dropped are lost,
/// those that waited for room included, and whoever asked has the buffers back.
#[test]
fn queue_that_is_removed_with_jobs_in_flight_strands_nobody() {
    let engine = Held::new(2);
    let submitter = submitter(engine.clone(), 8);
    let wait = |mark| submitter.submit(request(mark).with_flags(ReqFlags::MAY_BACKLOG)).unwrap();
    let flight = [0, 1, 2, 3].map(wait);
    drop(wait(4));
    while let Some(job) = engine.next() {
        drop(job);
    }
    for (mark, inflight) in (0..).zip(flight) {
        let completion = inflight.try_finish().unwrap();
        assert_eq!(completion.outcome, Err(Error::DeviceLost));
        assert_eq!(&completion.request.src[..], [mark; 4]);
    }
    assert_eq!(submitter.free_slots(), 8);
}

/// Requests were in progress with nobody to poll for them, and their users hung. Whoever waits
/// drives what nobody else does.
#[test]
fn request_is_not_in_progress_with_nobody_responsible() {
    type Ask = fn(Inflight) -> Completion;
    let asks: [Ask; 3] =
        [Inflight::wait, |inflight| block_on(inflight), |inflight| inflight.cancel().wait()];
    for ask in asks {
        for flags in [ReqFlags::empty(), ReqFlags::POLL] {
            let submitter = submitter(Inline::new(1), 1);
            let inflight = submitter.submit(request(1).with_flags(flags)).unwrap();
            assert_eq!(in_time(move || ask(inflight)).outcome, Ok(4), "{flags:?}");
        }
    }
}

/// A request that nobody polled for any more kept its descriptor. Submitting reaps it.
#[test]
fn descriptor_that_nobody_polls_for_is_not_leaked() {
    let submitter = submitter(Inline::new(1), 1);
    for _ in 0..10 {
        drop(submitter.submit(request(1).with_flags(ReqFlags::POLL)).unwrap());
    }
    assert_eq!((submitter.poll(1), submitter.free_slots()), (1, 1));
}

/// Polling once more after success used a descriptor that was freed, or somebody else's by then. A
/// handle whose completion was taken has nothing to do with its place.
#[test]
fn poll_after_success_is_not_about_the_next_request() {
    let engine = Held::new(1);
    let submitter = submitter(engine.clone(), 1);
    let mut first = submitter.submit(request(1)).unwrap();
    engine.execute();
    assert_eq!(block_on(&mut first).request.token, 1);

    let second = submitter.submit(request(2)).unwrap();
    assert!((&mut first).now_or_never().is_none());
    drop(first.cancel());
    engine.execute();
    let second = second.try_finish().unwrap();
    assert_eq!((second.outcome, second.request.token), (Ok(4), 2));
}

/// A request that had completed inside its submission was polled for, with the user's data taken
/// for a descriptor. It is complete, whatever flags it has.
#[test]
fn synchronous_completion_is_not_polled_for() {
    let submitter = acomp_of(Toy::copying(TOY)).submitter(1).unwrap();
    for flags in [ReqFlags::POLL, ReqFlags::all()] {
        let inflight = submitter.submit(request(1).with_flags(flags)).unwrap();
        let completion = inflight.try_finish().unwrap();
        assert_eq!((completion.outcome, completion.request.token), (Ok(4), 1));
    }
}

/// The poll routine finished every request as a compression. A job knows its direction.
#[test]
fn decompression_is_not_finished_as_a_compression() {
    let engine = Held::new(3);
    let submitter = submitter(engine.clone(), 3);
    let stream = Request::decompress(vec![1; 4], vec![0; 4]);
    let flight = [request(0), stream, request(2)].map(|request| submitter.submit(request).unwrap());
    let mut jobs: Vec<_> = std::iter::from_fn(|| engine.next()).collect();
    jobs.rotate_left(1);
    let directions = [Direction::Decompress, Direction::Compress, Direction::Compress];
    for (job, direction) in jobs.into_iter().zip(directions) {
        assert_eq!(job.direction(), direction);
        execute(job);
    }
    let [_, stream, _] = flight.map(|inflight| inflight.wait().request.direction);
    assert_eq!(stream, Direction::Decompress);
    let stats = submitter.acomp().alg().stats();
    assert_eq!((stats.compress.ok, stats.decompress.ok), (2, 1));
}

/// Descriptor 0 was taken for a failure. The only place of a submitter of depth 1 is as good as
/// any.
#[test]
fn descriptor_zero_is_not_a_failure() {
    let engine = Held::new(1);
    let submitter = submitter(engine.clone(), 1);
    for _ in 0..3 {
        let cancelled = submitter.submit(request(1)).unwrap().cancel().now_or_never();
        assert_eq!(cancelled.unwrap().outcome, Err(Error::Cancelled));
        let inflight = submitter.submit(request(1)).unwrap();
        engine.execute();
        assert_eq!(inflight.wait().outcome, Ok(4));
    }
}

/// A page that could not be decompressed stopped the machine. Every outcome is an answer: a broken
/// stream is one, a driver's own `BUG_ON` another, and neither ends anything else.
#[test]
fn bug_on_does_not_stop_the_machine() {
    for name in ["842", "deflate", "lz4", "lz4hc", "lzo", "lzo-rle", "zstd"] {
        let mut session = Acomp::alloc(name).unwrap().session().unwrap();
        let page: Vec<_> = (0..64u8).flat_map(|i| [i / 8; 4]).collect();
        let (mut stream, mut back) = ([0; 512], [0; 256]);
        let len = session.compress(&page, &mut stream).unwrap();
        for bit in 0..8 * len {
            stream[bit / 8] ^= 1 << (bit % 8);
            let _ = session.decompress(&stream[..len], &mut back);
            stream[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(session.decompress(&stream[..len], &mut back), Ok(256), "{name}, bit {bit}");
        }
    }

    let acomp =
        acomp_of(Toy::each(TOY, |src, dst| if src == b"odd" { die() } else { copy(src, dst) }));
    let submitter = acomp.submitter(1).unwrap();
    let request = Request::decompress(b"odd".to_vec(), vec![0; 4]);
    let completion = submitter.submit(request).unwrap().wait();
    assert_eq!(completion.outcome, Err(Error::Panicked));
    assert_eq!(&completion.request.src[..], b"odd", "with its buffers");
    assert_eq!(submitter.submit(self::request(1)).unwrap().wait().outcome, Ok(4));
}

// Batches

/// Drivers that did not look for a chain compressed its head and left the rest in progress. The
/// default of a driver runs every op.
#[test]
fn chain_on_driver_without_batches_runs_every_op_not_the_head() {
    let acomp = acomp_of(Toy::copying(TOY));
    assert_eq!(acomp.batch_size().get(), 1);
    let mut session = acomp.session().unwrap();
    let srcs = [*b"head", *b"one ", *b"two ", *b"tail"];
    type Run<'a> = &'a mut dyn FnMut(&mut [Op<'_>]) -> acomp_core::RunSummary;
    let runs: [Run<'_>; 2] = [&mut |ops| session.run(ops), &mut |ops| acomp.run(ops)];
    for run in runs {
        let mut dsts = [[0; 4]; 4];
        let mut chain = chain_of(&srcs, &mut dsts);
        let summary = run(chain.as_mut_ops());
        assert_eq!((summary.ok, summary.failed, summary.first_error), (4, 0, None));
        for (op, src) in chain.ops().iter().zip(&srcs) {
            assert_eq!((op.outcome(), op.output()), (Some(Ok(4)), &src[..]));
        }
    }
}

/// An error of the head was written to all tails, which were never tried. Each op has an outcome of
/// its own, and each is tried.
#[test]
fn error_of_the_head_is_not_that_of_the_tails() {
    let mut session = Acomp::alloc("lz4").unwrap().session().unwrap();
    let (mut small, mut one, mut two) = ([0; 1], [0; 8], [0; 8]);
    let mut ops = [
        Op::compress(b"does not fit", &mut small),
        Op::compress(b"fits", &mut one),
        Op::decompress(&[0x10], &mut two),
    ];
    let summary = session.run(&mut ops);
    let outcomes = ops.each_ref().map(|op| op.outcome().unwrap());
    assert!(outcomes[1].is_ok(), "{outcomes:?}");
    assert_eq!((outcomes[0], outcomes[2]), (Err(Error::DstTooSmall), Err(Error::Corrupt)));
    assert_eq!((summary.ok, summary.failed), (1, 2));
}

/// Batches that were configured out returned 0, success, and did nothing. What a driver leaves out
/// is unanswered, also where the op has an outcome of an earlier run.
#[test]
fn batch_that_does_nothing_is_not_a_success() {
    let mut session = acomp_of(Toy::copying(TOY)).session().unwrap();
    let mut idle = acomp_of(Toy::whole(TOY, |_| ())).session().unwrap();
    let mut dsts = [[0; 4]; 3];
    let mut chain = chain_of(&[b"page"; 3], &mut dsts);
    assert_eq!(session.run(chain.as_mut_ops()).ok, 3);
    let summary = idle.run(chain.as_mut_ops());
    assert_eq!((summary.ok, summary.failed), (0, 3));
    for op in chain.ops() {
        assert_eq!((op.outcome(), op.output()), (Some(Err(Error::Unanswered)), &[][..]));
    }
}

/// Where software stood in for the device, the lengths were not filled in. A length is part of the
/// answer, whoever gives it, and who gave it is told and counted.
#[test]
fn length_is_filled_in_by_the_fallback_too() {
    let acomp = acomp_of(Toy::whole(TOY, |ops| {
        for mut op in ops.iter_mut() {
            let (src, dst) = op.io();
            let outcome = copy(src, dst);
            op.complete(outcome, ExecutedOn::Fallback);
        }
    }));
    let mut session = acomp.session().unwrap();
    let mut dsts = [[0; 8]; 2];
    let [one, two] = &mut dsts;
    let mut ops = [Op::decompress(b"one", one), Op::decompress(b"three", two)];
    session.run(&mut ops);
    let told = ops.each_ref().map(|op| (op.output(), op.executed_on()));
    let fallback = Some(ExecutedOn::Fallback);
    assert_eq!(told, [(&b"one"[..], fallback), (b"three", fallback)]);
    let stats = session.stats();
    assert_eq!((stats.fallbacks, stats.decompress.bytes_out), (2, 8));
}

/// Members of a chain had to be cleared before they could be used alone. An op of a chain is an op:
/// run alone, it is a single one, and the others keep what they have.
#[test]
fn tails_carry_no_state_after_the_batch() {
    let mut session = acomp_of(Toy::copying(TOY)).session().unwrap();
    let mut busy = acomp_of(Toy::each(TOY, |_, _| Err(Error::Busy))).session().unwrap();
    let mut dsts = [[0; 4]; 4];
    let mut chain = chain_of(&[b"page"; 4], &mut dsts);
    session.run(chain.as_mut_ops());
    for i in 0..4 {
        assert_eq!(busy.run(&mut chain.as_mut_ops()[i..=i]).failed, 1);
        let mut expected = [Some(Ok(4)); 4];
        expected[i] = Some(Err(Error::Busy));
        assert_eq!(chain.ops().iter().map(Op::outcome).collect::<Vec<_>>(), expected);
        assert_eq!(session.run(slice::from_mut(&mut chain.as_mut_ops()[i])).ok, 1);
    }
}

/// The bytes behind the last whole unit were dropped. The last unit may be short.
#[test]
fn remainder_of_the_source_is_not_dropped() {
    let mut session = acomp_of(Toy::copying(TOY)).session().unwrap();
    let src: Vec<_> = (0..10_000).map(|i| (i / 7) as u8).collect();
    let (outcomes, output) = units(&mut session, &src, PAGE_BYTES);
    assert_eq!(outcomes, [Ok(PAGE_BYTES), Ok(PAGE_BYTES), Ok(10_000 - 2 * PAGE_BYTES)]);
    assert_eq!(output, src);
}

/// More requests than a driver's maximum stopped the machine. Longer slices are cut, and a full
/// chain gives the op back.
#[test]
fn chain_beyond_the_maximum_is_not_a_bug_on() {
    let acomp = acomp_of(Toy::whole(TOY.with_batch_size(NonZeroUsize::MIN), |ops| {
        assert!(ops.len() <= MAX_BATCH);
        ops.iter_mut().for_each(|op| op.complete(Ok(1), ExecutedOn::Driver));
    }));
    let mut dsts = vec![[0; 1]; 10 * MAX_BATCH + 1];
    let mut ops: Vec<_> = dsts.iter_mut().map(|dst| Op::compress(b"x", dst)).collect();
    assert_eq!(acomp.run(&mut ops).ok, 10 * MAX_BATCH + 1);

    let mut chain = Chain::<1>::new();
    let [mut one, mut two] = [[0; 1]; 2];
    assert!(chain.push(Op::compress(b"one", &mut one)).is_ok());
    assert_eq!(chain.push(Op::compress(b"two", &mut two)).unwrap_err().src(), b"two");
}

type Way = fn(&Acomp, &[u8], &mut [u8]) -> Outcome;

/// Every way to compress, through whichever buffers it leads.
const WAYS: [(&str, Way); 8] = [
    ("Session::compress", |acomp, src, dst| acomp.session().unwrap().compress(src, dst)),
    ("Session::run", |acomp, src, dst| {
        let mut op = Op::compress(src, dst);
        acomp.session().unwrap().run(slice::from_mut(&mut op));
        op.outcome().unwrap()
    }),
    ("Session::run_units", |acomp, src, dst| {
        let (unit, mut outcomes) = (NonZeroUsize::MAX, [Ok(0)]);
        acomp.session().unwrap().run_units(src, unit, &mut [dst], &mut outcomes).unwrap();
        outcomes[0]
    }),
    ("Session::compress_vectored", |acomp, src, dst| {
        let ((a, b), (c, d)) = (src.split_at(1), dst.split_at_mut(1));
        let mut dst = [IoSliceMut::new(c), IoSliceMut::new(d)];
        let src = [IoSlice::new(a), IoSlice::new(b)];
        acomp.session().unwrap().compress_vectored(&src, &mut dst)
    }),
    ("Acomp::compress", |acomp, src, dst| acomp.compress(src, dst)),
    ("Acomp::run", |acomp, src, dst| {
        let mut op = Op::compress(src, dst);
        acomp.run(slice::from_mut(&mut op));
        op.outcome().unwrap()
    }),
    ("Submitter::submit", |acomp, src, dst| {
        let request = Request::compress(src.to_vec(), vec![0; dst.len()]);
        let completion = acomp.submitter(1).unwrap().submit(request).unwrap().wait();
        dst[..completion.output().len()].copy_from_slice(completion.output());
        completion.outcome
    }),
    ("Submitter::compress", |acomp, src, dst| {
        block_on(acomp.submitter(1).unwrap().compress(src, dst))
    }),
];

/// Compresses in units, each into a destination of one unit: the outcomes, and what was written.
fn units(session: &mut Session, src: &[u8], unit: usize) -> (Vec<Outcome>, Vec<u8>) {
    let count = src.len().div_ceil(unit);
    let (mut dsts, mut outcomes) = (vec![vec![0; unit]; count], vec![Ok(0); count]);
    let mut slices: Vec<_> = dsts.iter_mut().map(|dst| &mut dst[..]).collect();
    session.run_units(src, unit.try_into().unwrap(), &mut slices, &mut outcomes).unwrap();
    let written = dsts.iter().zip(&outcomes).flat_map(|(dst, len)| &dst[..len.unwrap_or(0)]);
    let written = written.copied().collect();
    (outcomes, written)
}

/// Compresses with both sides in pieces: the outcome, and the whole destination.
fn vectored(
    session: &mut Session,
    src: &[u8],
    dst_bytes: usize,
    piece_bytes: usize,
) -> (Outcome, Vec<u8>) {
    let mut dst = vec![0; dst_bytes];
    let src: Vec<_> = src.chunks(piece_bytes).map(IoSlice::new).collect();
    let mut pieces: Vec<_> = dst.chunks_mut(piece_bytes).map(IoSliceMut::new).collect();
    let outcome = session.compress_vectored(&src, &mut pieces);
    (outcome, dst)
}

/// With a driver that copies.
fn assert_round_trip(session: &mut Session, bytes: usize, piece_bytes: usize) {
    let src: Vec<_> = (0..bytes).map(|i| (i / 5) as u8).collect();
    assert_eq!(vectored(session, &src, bytes, piece_bytes), (Ok(bytes), src), "{bytes} bytes");
}

fn chain_of<'b, const N: usize, const D: usize>(
    srcs: &'b [impl AsRef<[u8]>; N],
    dsts: &'b mut [[u8; D]; N],
) -> Chain<'b, N> {
    let mut chain = Chain::new();
    for (src, dst) in srcs.iter().zip(dsts) {
        chain.push(Op::compress(src.as_ref(), dst)).unwrap();
    }
    chain
}

/// Four bytes of this mark, which is its token, too.
fn request(mark: u8) -> Request {
    Request::compress(vec![mark; 4], vec![0; 4]).with_token(mark.into())
}

/// Counts how often it is woken.
struct Wakes(AtomicUsize);

impl Wakes {
    fn new() -> Arc<Self> {
        Arc::new(Self(AtomicUsize::new(0)))
    }

    fn poll(self: &Arc<Self>, inflight: &mut Inflight) -> Poll<Completion> {
        let waker = Waker::from(Arc::clone(self));
        Pin::new(inflight).poll(&mut Context::from_waker(&waker))
    }

    fn count(&self) -> usize {
        self.0.load(Relaxed)
    }
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

/// Copies by way of a scratch of its own; something happens in between.
struct Scratch<F> {
    bytes: Vec<u8>,
    between: Arc<F>,
}

impl<F: Fn(&[u8]) + Send + Sync> Codec for Scratch<F> {
    fn compress(&mut self, src: &[u8], dst: &mut [u8]) -> Outcome {
        self.bytes.clear();
        self.bytes.extend_from_slice(src);
        (self.between)(src);
        if self.bytes == src { copy(&self.bytes, dst) } else { Err(Error::Corrupt) }
    }

    fn decompress(&mut self, src: &[u8], dst: &mut [u8]) -> Outcome {
        self.compress(src, dst)
    }
}

fn scratch<F: Fn(&[u8]) + Send + Sync + 'static>(between: Arc<F>) -> Box<dyn Codec> {
    Box::new(Scratch { bytes: Vec::new(), between })
}

fn scratch_toy(between: impl Fn(&[u8]) + Send + Sync + 'static) -> Arc<Toy> {
    let between = Arc::new(between);
    Toy::new(TOY, move |_| Ok(scratch(Arc::clone(&between))))
}

/// The other end of a driver that was made by [`gated`].
struct Gate {
    /// Somebody is inside.
    inside: Receiver<()>,
    go: Sender<()>,
}

/// A driver that stays inside an operation on `slow` until it is let go.
fn gated() -> (Arc<Toy>, Gate) {
    let (is_inside, inside) = channel();
    let (go, may_go) = channel();
    let may_go = Mutex::new(may_go);
    let driver = scratch_toy(move |src| {
        if src == b"slow" {
            is_inside.send(()).unwrap();
            may_go.lock().unwrap().recv_timeout(LONG).unwrap();
        }
    });
    (driver, Gate { inside, go })
}

/// A driver whose sessions share a mode, which is made when it is prepared.
#[derive(Debug)]
struct Moded {
    counts: Arc<Counts>,
    mode: Option<Arc<Mode>>,
}

#[derive(Debug, Default)]
struct Counts {
    made: AtomicUsize,
    freed: AtomicUsize,
}

impl Counts {
    fn made_and_freed(&self) -> (usize, usize) {
        (self.made.load(Relaxed), self.freed.load(Relaxed))
    }
}

#[derive(Debug)]
struct Mode(Arc<Counts>);

impl Drop for Mode {
    fn drop(&mut self) {
        self.0.freed.fetch_add(1, Relaxed);
    }
}

impl Algorithm for Moded {
    fn info(&self) -> &AlgInfo {
        static INFO: AlgInfo = AlgInfo::new("moded", "moded-rs");
        &INFO
    }

    fn prepare(&self, _: &Params) -> Result<Option<Arc<dyn Algorithm>>, OpenError> {
        self.counts.made.fetch_add(1, Relaxed);
        let (counts, mode) = (Arc::clone(&self.counts), Mode(Arc::clone(&self.counts)));
        Ok(Some(Arc::new(Self { counts, mode: Some(Arc::new(mode)) })))
    }

    fn open(&self, params: &Params) -> Result<Box<dyn Codec>, OpenError> {
        params.allow(&[])?;
        let mode = self.mode.clone().ok_or_else(absent)?;
        Ok(scratch(Arc::new(move |_: &[u8]| assert_eq!(mode.0.freed.load(Relaxed), 1))))
    }
}

/// Calls its function when it is dropped.
struct OnDrop<F: Fn()>(F);

impl<F: Fn()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Fails, where something would hang.
fn in_time<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, result) = channel();
    thread::spawn(move || done.send(run()));
    result.recv_timeout(LONG).unwrap()
}

fn cpus() -> usize {
    thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

const PAGE_BYTES: usize = 4096;
/// Waited only by a test that fails.
const LONG: Duration = Duration::from_secs(20);
