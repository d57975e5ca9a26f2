//! Full engines: who waits, in which order, who is refused, and who may be put to sleep.

#![expect(clippy::unwrap_used, reason = "test helpers unwrap like tests")]

mod engines;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread;

use acomp_core::{
    DrivenBy, Engine, Error, Inflight, Inflights, Job, Progress, Refused, ReqFlags, Request,
};
use futures::executor::block_on;
use futures::{FutureExt, StreamExt};

use engines::{Held, Inline, execute, submitter, submitters, with_port};

#[test]
fn requests_wait_in_order_and_enter_when_a_job_completes() {
    let engine = Held::new(2);
    let submitter = submitter(engine.clone(), 8);
    let inflights: Vec<_> = (0..6).map(|mark| submitter.submit(waiting(mark)).unwrap()).collect();
    for mark in 0..6 {
        let mut job = engine.next().unwrap();
        assert_eq!(job.io().0, [mark]);
        execute(job);
    }
    assert!(engine.next().is_none());
    for (inflight, mark) in inflights.into_iter().zip(0..) {
        assert_eq!(inflight.try_finish().unwrap().output(), [mark]);
    }
    assert_eq!(submitter.free_slots(), 8);
}

#[test]
fn nothing_overtakes_what_waits() {
    let engine = Arc::new(Gate::default());
    let submitter = submitter(engine.clone(), 8);
    let first = submitter.submit(waiting(1)).unwrap();
    assert_eq!(submitter.submit(request(2)).unwrap_err().error, Error::Busy);
    engine.is_open.store(true, Relaxed);
    let second = submitter.submit(request(2)).unwrap();
    assert_eq!(engine.taken(), [1, 2]);
    drop((first, second));
}

#[test]
fn places_bound_the_backlog() {
    let engine = Held::new(1);
    let submitter = submitter(engine.clone(), 3);
    let inflights: Vec<_> = (0..3).map(|mark| submitter.submit(waiting(mark)).unwrap()).collect();
    let rejected = submitter.submit(waiting(3)).unwrap_err();
    assert_eq!((rejected.error, &rejected.request.src[..]), (Error::Busy, &[3][..]));
    drop(inflights);
}

#[test]
fn submitters_of_one_device_share_its_backlog() {
    let engine = Held::new(1);
    let [one, other] = submitters(engine.clone(), 8);
    let first = one.submit(waiting(1)).unwrap();
    let second = other.submit(waiting(2)).unwrap();
    let third = one.submit(waiting(3)).unwrap();
    assert_eq!(other.submit(request(4)).unwrap_err().error, Error::Busy);
    engine.execute(); // Of `one`: what enters is of `other`.
    engine.execute();
    engine.execute();
    for (inflight, mark) in [(first, 1), (second, 2), (third, 3)] {
        assert_eq!(inflight.try_finish().unwrap().output(), [mark]);
    }
}

#[test]
fn request_that_is_dropped_while_it_waits_is_gone_at_once() {
    let engine = Held::new(1);
    let submitter = submitter(engine.clone(), 4);
    let first = submitter.submit(request(1)).unwrap();
    let buffers: Vec<_> = std::iter::from_fn(|| submitter.lease(1)).collect();
    let mut buffers = buffers.into_iter();
    let (src, dst) = (buffers.next().unwrap(), buffers.next().unwrap());
    let second = Request::compress(src, dst).with_flags(ReqFlags::MAY_BACKLOG);
    let second = submitter.submit(second).unwrap();
    let third = submitter.submit(waiting(3)).unwrap();
    assert_eq!(submitter.free_slots(), 1);
    drop(second);
    assert_eq!(submitter.free_slots(), 2);
    assert!(submitter.lease(1).is_some(), "its buffers are back");
    engine.execute();
    assert_eq!(engine.next().unwrap().io().0, [3], "the device never saw it");
    drop((first, third));
}

#[test]
fn request_that_is_cancelled_while_it_waits_is_cancelled_at_once() {
    let engine = Held::new(1);
    let submitter = submitter(engine.clone(), 4);
    let first = submitter.submit(request(1)).unwrap();
    let completion = submitter.submit(waiting(2)).unwrap().cancel().now_or_never().unwrap();
    assert_eq!(completion.outcome, Err(Error::Cancelled));
    assert_eq!(&completion.request.src[..], [2], "with its buffers");
    engine.execute();
    assert!(engine.next().is_none());
    drop(first);
}

/// The engine asks for it to be cancelled while it has it in its hands, and gives it back.
#[test]
fn request_that_is_cancelled_on_its_way_to_the_engine_is_cancelled() {
    let engine = Arc::new(Gate::default());
    let submitter = submitter(engine.clone(), 4);
    let second = submitter.submit(waiting(2)).unwrap();
    *engine.on_offer.lock().unwrap() = Some(second);
    submitter.poll(1);
    let cancelled = engine.on_offer.lock().unwrap().take().unwrap();
    assert_eq!(cancelled.try_finish().unwrap().outcome, Err(Error::Cancelled));
    assert_eq!(submitter.free_slots(), 4);
}

#[test]
fn engine_that_has_room_by_itself_says_so() {
    let engine = Arc::new(Gate::default());
    let (submitter, port) = with_port(engine.clone(), 4);
    let inflight = submitter.submit(waiting(1)).unwrap();
    engine.is_open.store(true, Relaxed);
    port.made_room();
    assert_eq!(engine.taken(), [1]);
    drop(inflight);
}

/// Whoever finds room does not bring everybody's requests to the engine.
#[test]
fn one_call_hands_over_a_part_of_a_long_backlog() {
    let engine = Arc::new(Gate::default());
    let (submitter, port) = with_port(engine.clone(), 40);
    let inflights: Vec<_> = (0..40).map(|mark| submitter.submit(waiting(mark)).unwrap()).collect();
    engine.is_open.store(true, Relaxed);
    port.made_room();
    assert!((2..40).contains(&engine.taken().len()), "{:?}", engine.taken());
    (0..40).for_each(|_| port.made_room());
    assert_eq!(engine.taken(), Vec::from_iter(0..40));
    drop(inflights);
}

#[test]
fn chain_waits_whole() {
    let engine = Held::new(1);
    let submitter = submitter(engine.clone(), 8);
    let mut queue: VecDeque<_> = (0..5).map(waiting).collect();
    let mut accepted = Inflights::default();
    assert_eq!(submitter.submit_chain(&mut queue, &mut accepted), Ok(5));
    (0..5).for_each(|_| engine.execute());
    let mut marks: Vec<_> =
        block_on(accepted.map(|completion| completion.output().to_vec()).collect());
    marks.sort();
    assert_eq!(marks, [[0], [1], [2], [3], [4]]);
}

#[test]
fn request_that_the_engine_refuses_later_is_answered_why() {
    let engine = Arc::new(Gate::default());
    let submitter = submitter(engine.clone(), 4);
    let inflight = submitter.submit(waiting(1)).unwrap();
    engine.is_gone.store(true, Relaxed);
    submitter.poll(1);
    assert_eq!(inflight.wait().outcome, Err(Error::DeviceLost));
    assert_eq!(submitter.free_slots(), 4);
}

#[test]
fn waiters_bring_their_requests_to_a_device_that_tells_nobody_of_room() {
    let engine = Arc::new(Gate::default());
    let submitter = submitter(engine.clone(), 4);
    let inflight = submitter.submit(waiting(1)).unwrap();
    engine.is_open.store(true, Relaxed);
    assert_eq!(inflight.wait().output(), [1]);
}

#[test]
fn submission_that_may_sleep_returns_when_the_engine_took_it() {
    let engine = Held::new(1);
    let submitter = submitter(engine.clone(), 4);
    let first = submitter.submit(request(1)).unwrap();
    assert_eq!(submitter.submit(request(2)).unwrap_err().error, Error::Busy, "without leave");
    thread::scope(|scope| {
        let asleep = scope.spawn(|| submitter.submit(may_sleep(2)).unwrap());
        while submitter.free_slots() > 2 {
            thread::yield_now();
        }
        engine.execute();
        let second = asleep.join().unwrap();
        let mut job = engine.next().unwrap();
        assert_eq!(job.io().0, [2]);
        execute(job);
        assert_eq!(second.wait().outcome, Ok(1));
    });
    drop(first);
}

#[test]
fn sleep_is_bounded() {
    let engine = Held::new(1);
    let submitter = submitter(engine.clone(), 4);
    let first = submitter.submit(request(1)).unwrap();
    let rejected = submitter.submit(may_sleep(2)).unwrap_err();
    assert_eq!((rejected.error, &rejected.request.src[..]), (Error::Busy, &[2][..]));
    assert_eq!(rejected.request.flags, ReqFlags::MAY_SLEEP, "unchanged");
    assert_eq!(submitter.free_slots(), 3);
    engine.execute();
    assert!(engine.next().is_none());
    drop(first);
}

#[test]
fn sleeper_drives_a_device_that_nobody_else_drives() {
    let engine = Arc::new(Slow { inline: Inline::new(1), polls: AtomicUsize::new(0) });
    let submitter = submitter(engine, 4);
    let first = submitter.submit(request(1)).unwrap();
    let second = submitter.submit(may_sleep(2)).unwrap();
    assert_eq!((first.wait().output(), second.wait().output()), (&[1][..], &[2][..]));
}

/// Without room until it is opened, of which it tells nobody. Executes in `poll`.
#[derive(Default)]
struct Gate {
    is_open: AtomicBool,
    is_gone: AtomicBool,
    jobs: Mutex<Vec<Job>>,
    taken: Mutex<Vec<u8>>,
    /// Is cancelled when a job is offered.
    on_offer: Mutex<Option<Inflight>>,
}

impl Gate {
    fn taken(&self) -> Vec<u8> {
        self.taken.lock().unwrap().clone()
    }
}

impl Engine for Gate {
    fn submit(&self, mut job: Job) -> Result<(), Refused> {
        let on_offer = self.on_offer.lock().unwrap().take();
        if let Some(inflight) = on_offer {
            *self.on_offer.lock().unwrap() = Some(inflight.cancel());
        }
        if self.is_gone.load(Relaxed) {
            return Err(Refused { error: Error::DeviceLost, job });
        }
        if !self.is_open.load(Relaxed) {
            return Err(Refused { error: Error::Busy, job });
        }
        self.taken.lock().unwrap().extend(job.io().0);
        self.jobs.lock().unwrap().push(job);
        Ok(())
    }

    fn poll(&self, _: usize) -> Progress {
        let jobs = std::mem::take(&mut *self.jobs.lock().unwrap());
        let completed = jobs.len();
        jobs.into_iter().for_each(execute);
        Progress { completed, driven_by: DrivenBy::Caller }
    }
}

/// Does something in every tenth poll only.
struct Slow {
    inline: Arc<Inline>,
    polls: AtomicUsize,
}

impl Engine for Slow {
    fn submit(&self, job: Job) -> Result<(), Refused> {
        self.inline.submit(job)
    }

    fn poll(&self, budget: usize) -> Progress {
        let is_time = self.polls.fetch_add(1, Relaxed) % 10 == 9;
        self.inline.poll(if is_time { budget } else { 0 })
    }
}

fn request(mark: u8) -> Request {
    Request::compress(vec![mark], vec![0; 8])
}

fn waiting(mark: u8) -> Request {
    request(mark).with_flags(ReqFlags::MAY_BACKLOG)
}

fn may_sleep(mark: u8) -> Request {
    request(mark).with_flags(ReqFlags::MAY_SLEEP)
}
