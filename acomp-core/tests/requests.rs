//! Requests that complete later: submitted, awaited, waited for, looked at, refused.

mod engines;

use std::collections::VecDeque;
use std::future::{Future, pending, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Wake};
use std::time::Duration;

use acomp_algs as _;
use acomp_core::{
    Acomp, DrivenBy, Engine, Error, ExecutedOn, Inflight, Inflights, Job, OpenError, OrSoftware,
    Progress, Refused, ReqFlags, Request, Timeout,
};
use futures::executor::block_on;
use futures::future::FusedFuture;
use futures::{FutureExt, StreamExt};

use engines::{Held, Inline, Threaded, submitter};

#[test]
fn request_comes_back_whole_however_it_is_asked_for() {
    type Ask = fn(Inflight) -> acomp_core::Completion;
    let asks: [(&str, Ask); 4] = [
        ("wait", Inflight::wait),
        ("await", |inflight| block_on(inflight)),
        ("cancel, too late or not", |inflight| inflight.cancel().wait()),
        ("wait_timeout", |inflight| inflight.wait_timeout(Duration::MAX).unwrap()),
    ];
    for (how, ask) in asks {
        for submitter in [submitter(Inline::new(4), 4), submitter(Threaded::new(), 4)] {
            for flags in [ReqFlags::empty(), ReqFlags::POLL] {
                let request = Request::compress(b"page".to_vec(), vec![0; 8]);
                let request = request.with_token(77).with_flags(flags);
                let completion = ask(submitter.submit(request).unwrap());
                assert_eq!(
                    (completion.outcome, completion.output()),
                    (Ok(4), &b"page"[..]),
                    "{how}"
                );
                let request = completion.request;
                assert_eq!(
                    (&request.src[..], request.dst.len(), request.token),
                    (&b"page"[..], 8, 77)
                );
            }
            assert_eq!(submitter.free_slots(), 4, "{how}");
        }
    }
}

#[test]
fn software_drivers_complete_inside_submit() {
    let acomp = Acomp::alloc("lz4").unwrap();
    assert!(!acomp.is_async());
    let submitter = acomp.submitter(2).unwrap();
    let inflight = submitter.submit(Request::compress(vec![7; 4096], vec![0; 4096])).unwrap();
    let completion = inflight.try_finish().unwrap();
    let stream = completion.output().to_vec();
    let inflight = submitter.submit(Request::decompress(stream, vec![0; 4096])).unwrap();
    assert_eq!(block_on(inflight).output(), [7; 4096]);
    assert_eq!(acomp.alg().stats().decompress.ok, 1);
}

#[test]
fn full_engine_gives_the_request_back() {
    let engine = Held::new(1);
    let submitter = submitter(engine.clone(), 8);
    let first = submitter.submit(request(1)).unwrap();
    let rejected = submitter.submit(request(2)).unwrap_err();
    assert_eq!((rejected.error, rejected.request.token), (Error::Busy, 2));
    assert_eq!(&rejected.request.src[..], b"page");
    assert_eq!(submitter.free_slots(), 7, "a rejected request takes no place");
    engine.execute();
    assert_eq!(first.wait().request.token, 1);
}

#[test]
fn full_submitter_gives_the_request_back() {
    let engine = Held::new(8);
    let submitter = submitter(engine.clone(), 1);
    let first = submitter.submit(request(1)).unwrap();
    assert_eq!(submitter.submit(request(2)).unwrap_err().error, Error::Busy);
    engine.execute();
    // Complete, but its place is taken until its completion is.
    assert_eq!(submitter.submit(request(2)).unwrap_err().error, Error::Busy);
    assert!(first.try_finish().is_ok());
    assert!(submitter.submit(request(2)).is_ok());
}

#[test]
fn depth_is_bounded_and_may_be_nothing() {
    let acomp = Acomp::alloc("null").unwrap();
    let error = acomp.submitter(usize::MAX).unwrap_err();
    assert!(matches!(error, OpenError::InvalidParam { .. }), "{error}");
    let none = acomp.submitter(0).unwrap();
    assert_eq!(none.submit(request(1)).unwrap_err().error, Error::Busy);
}

#[test]
fn timeout_gives_the_request_back_which_is_still_under_way() {
    let engine = Held::new(8);
    let submitter = submitter(engine.clone(), 8);
    let inflight = submitter.submit(request(1)).unwrap();
    let inflight = inflight.wait_timeout(MOMENT).unwrap_err();
    let inflight = inflight.try_finish().unwrap_err();
    engine.execute();
    assert_eq!(inflight.wait_timeout(Duration::ZERO).unwrap().outcome, Ok(4));
}

#[test]
fn finished_request_may_be_polled_again() {
    let submitter = submitter(Inline::new(1), 1);
    let mut inflight = submitter.submit(request(1)).unwrap();
    assert_eq!(block_on(&mut inflight).outcome, Ok(4));
    assert!(inflight.is_terminated());
    assert!((&mut inflight).now_or_never().is_none());
    assert_eq!(inflight.wait().outcome, Err(Error::Unanswered));
}

#[test]
fn completions_stream_in_the_order_in_which_they_come() {
    let engine = Held::new(8);
    let submitter = submitter(engine.clone(), 8);
    let mut set = Inflights::with_capacity(3);
    for token in 0..3 {
        set.push(submitter.submit(request(token)).unwrap());
    }
    assert!(set.next().now_or_never().is_none());
    let jobs: Vec<_> = std::iter::from_fn(|| engine.next()).collect();
    for (job, left) in jobs.into_iter().rev().zip([2, 1, 0]) {
        engines::execute(job);
        let completion = set.next().now_or_never().flatten().unwrap();
        assert_eq!(completion.request.token, left);
    }
    assert!(set.is_empty() && block_on(set.next()).is_none());
}

#[test]
fn request_whose_completion_was_given_away_is_not_waited_for_again() {
    let submitter = submitter(Inline::new(1), 1);
    let mut spent = submitter.submit(request(1)).unwrap();
    assert_eq!(block_on(&mut spent).outcome, Ok(4));
    let mut set = Inflights::default();
    set.push(spent);
    assert!(set.is_empty() && block_on(set.next()).is_none());
}

#[test]
fn fallbacks_of_requests_are_counted() {
    let engine = Held::new(1);
    let submitter = submitter(engine.clone(), 1);
    let inflight = submitter.submit(request(1)).unwrap();
    engine.next().unwrap().complete(Ok(4), ExecutedOn::Fallback);
    assert_eq!(inflight.wait().executed_on, ExecutedOn::Fallback);
    assert_eq!(submitter.acomp().alg().stats().fallbacks, 1);
}

#[test]
fn borrowed_bytes_travel_in_leased_buffers() {
    let submitter = submitter(Threaded::new(), 2);
    let mut dst = [0; 8];
    block_on(async {
        assert_eq!(submitter.compress(b"page", &mut dst).await, Ok(4));
        assert_eq!(&dst[..4], b"page");
        assert_eq!(
            submitter.decompress(b"longer than dst", &mut dst).await,
            Err(Error::DstTooSmall)
        );
        assert_eq!(&dst[..4], b"page", "untouched");
        assert_eq!(submitter.compress(&[0; 65537], &mut dst).await, Err(Error::Unsupported));
    });
    let leases: Vec<_> = std::iter::from_fn(|| submitter.lease(4096)).collect();
    assert_eq!(leases.len(), 4, "every buffer came back");
}

#[test]
fn poll_requests_of_others_are_reaped_by_whoever_polls() {
    let submitter = submitter(Inline::new(4), 4);
    let one = submitter.submit(request(1).with_flags(ReqFlags::POLL)).unwrap();
    let two = submitter.submit(request(2).with_flags(ReqFlags::POLL)).unwrap();
    let one = one.try_finish().unwrap_err();
    assert_eq!(submitter.poll(1), 1);
    assert!(one.try_finish().is_ok(), "the first was ready");
    drop(two);
    assert_eq!((submitter.poll(8), submitter.free_slots()), (1, 4), "an abandoned one is reaped");
}

#[test]
fn statistics_count_what_engines_do() {
    let submitter = submitter(Inline::new(4), 4);
    for dst_bytes in [8, 1] {
        drop(
            submitter
                .submit(Request::compress(b"page".to_vec(), vec![0; dst_bytes]))
                .unwrap()
                .wait(),
        );
    }
    let stats = submitter.acomp().alg().stats().compress;
    assert_eq!((stats.ok, stats.bytes_in, stats.failed(Error::DstTooSmall)), (1, 4, 1));
}

#[test]
fn chain_is_accepted_as_far_as_there_is_room_and_the_rest_stays() {
    let engine = Held::new(2);
    let submitter = submitter(engine.clone(), 8);
    let mut queue: VecDeque<_> = (0..5).map(request).collect();
    let mut accepted = Inflights::default();
    assert_eq!(submitter.submit_chain(&mut queue, &mut accepted), Ok(2));
    let left: Vec<_> = queue.iter().map(|request| request.token).collect();
    assert_eq!((accepted.len(), left), (2, vec![2, 3, 4]));
    assert_eq!(submitter.submit_chain(&mut queue, &mut accepted), Err(Error::Busy));
    engine.execute();
    assert_eq!(submitter.submit_chain(&mut queue, &mut accepted), Ok(1));
    assert_eq!(submitter.submit_chain(&mut VecDeque::new(), &mut accepted), Ok(0));
    for token in 0..3 {
        if token > 0 {
            engine.execute();
        }
        let completion = accepted.next().now_or_never().flatten().unwrap();
        assert_eq!(completion.request.token, token);
    }
    assert_eq!((queue.len(), submitter.free_slots()), (2, 8));
}

#[test]
fn timer_that_is_up_gives_the_request_back() {
    let engine = Held::new(1);
    let submitter = submitter(engine.clone(), 1);
    let inflight = submitter.submit(request(1)).unwrap();
    let inflight = block_on(Timeout::new(inflight, ready(()))).unwrap_err();
    let mut waiting = Timeout::new(inflight, pending::<()>());
    assert!((&mut waiting).now_or_never().is_none());
    engine.execute();
    assert_eq!(block_on(&mut waiting).unwrap().outcome, Ok(4));
    assert!((&mut waiting).now_or_never().is_none(), "polling once more is harmless");
}

#[test]
fn software_takes_over_what_the_device_lost_and_nothing_else() {
    let mut software = Acomp::alloc("null").unwrap().session().unwrap();
    let engine = Held::new(1);
    let submitter = submitter(engine.clone(), 1);
    for (outcome, taken_over) in [
        (Err(Error::Busy), true),
        (Err(Error::DeviceLost), true),
        (Err(Error::TimedOut), true),
        (Err(Error::DstTooSmall), false),
        (Ok(3), false),
    ] {
        let inflight = submitter.submit(request(1)).unwrap();
        engine.next().unwrap().complete(outcome, ExecutedOn::Driver);
        let completion = block_on(OrSoftware::new(inflight, &mut software));
        let (expected, on) =
            if taken_over { (Ok(4), ExecutedOn::Fallback) } else { (outcome, ExecutedOn::Driver) };
        assert_eq!((completion.outcome, completion.executed_on), (expected, on));
    }
}

#[test]
fn request_to_be_polled_is_polled_though_the_device_says_that_it_wakes() {
    let engine = Arc::new(Forgetful { held: Held::new(2), polls: AtomicUsize::new(0) });
    let submitter = submitter(engine, 2);
    let poll = || submitter.submit(request(1).with_flags(ReqFlags::POLL)).unwrap();
    let task = Arc::new(Task::default());
    let waker = Arc::clone(&task).into();
    let mut awaited = poll();
    assert!(Pin::new(&mut awaited).poll(&mut Context::from_waker(&waker)).is_pending());
    assert_eq!(task.wakes.load(Relaxed), 1, "it asks to be polled again");
    let waited_for = poll().wait_timeout(Duration::from_secs(20));
    assert_eq!(waited_for.map(|completion| completion.outcome).ok(), Some(Ok(4)));
}

#[test]
fn request_that_is_dropped_lets_go_of_its_task_before_the_device_does() {
    let engine = Held::new(1);
    let submitter = submitter(engine.clone(), 1);
    let task = Arc::new(Task::default());
    let waker = Arc::clone(&task).into();
    let mut inflight = submitter.submit(request(1)).unwrap();
    assert!(Pin::new(&mut inflight).poll(&mut Context::from_waker(&waker)).is_pending());
    drop((inflight, waker));
    assert_eq!(Arc::strong_count(&task), 1);
    engine.execute();
}

/// Says that it wakes whoever waits, but completes nothing unless it is polled for long.
struct Forgetful {
    held: Arc<Held>,
    polls: AtomicUsize,
}

impl Engine for Forgetful {
    fn submit(&self, job: Job) -> Result<(), Refused> {
        self.held.submit(job)
    }

    fn poll(&self, _: usize) -> Progress {
        let is_time = self.polls.fetch_add(1, Relaxed) == 10_000;
        let jobs = std::iter::from_fn(|| self.held.next()).take(if is_time { 2 } else { 0 });
        Progress { completed: jobs.map(engines::execute).count(), driven_by: DrivenBy::Device }
    }
}

#[derive(Default)]
struct Task {
    wakes: AtomicUsize,
}

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.wakes.fetch_add(1, Relaxed);
    }
}

fn request(token: u64) -> Request {
    Request::compress(b"page".to_vec(), vec![0; 8]).with_token(token)
}

const MOMENT: Duration = Duration::from_millis(1);
