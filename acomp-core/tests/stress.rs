//! A million requests from four threads, ended in every way there is: each completes once with its
//! own bytes, and afterwards every place and every buffer is back.

#![expect(clippy::unwrap_used, reason = "test helpers unwrap like tests")]

mod engines;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use acomp_core::{
    Completion, DrivenBy, Engine, Error, ExecutedOn, Inflight, Job, JobId, Progress, Refused,
    ReqFlags, Request, Submitter,
};
use fastrand::Rng;
use futures::executor::block_on;

use engines::{execute, submitter};

#[test]
fn a_million_requests_leave_nothing_behind() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let engine = Arc::new(Chaos::default());
    let submitter = submitter(engine.clone(), DEPTH);
    let tally = Tally::default();
    thread::scope(|scope| {
        for thread in 0..2 {
            let engine = &engine;
            scope.spawn(move || engine.run(Rng::with_seed(seed ^ thread)));
        }
        let users: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (submitter, tally) = (&submitter, &tally);
                scope.spawn(move || {
                    let mut rng = Rng::with_seed(seed.wrapping_add(thread));
                    for n in 0..REQUESTS / THREADS {
                        one(submitter, tally, &mut rng, thread << 32 | n);
                    }
                })
            })
            .collect();
        let ended: Vec<_> = users.into_iter().map(thread::ScopedJoinHandle::join).collect();
        let forgotten = tally.forgotten.load(Relaxed);
        let is_quiet = quiet(&submitter, DEPTH - forgotten);
        engine.stop();
        assert!(ended.iter().all(Result::is_ok), "seed {seed}");
        assert!(is_quiet, "{} of {DEPTH} places, seed {seed}", submitter.free_slots());
        let buffers = std::iter::from_fn(|| submitter.lease(1)).collect::<Vec<_>>().len();
        assert_eq!(buffers, 2 * (DEPTH - forgotten), "seed {seed}");
    });
    // Every kind of end was among them.
    let Tally { completed, cancelled, lost, dropped, forgotten } = tally;
    for count in [completed, cancelled, lost, dropped, forgotten] {
        assert_ne!(count.into_inner(), 0, "seed {seed}");
    }
}

/// Submits a request until it is accepted, and ends it somehow.
fn one(submitter: &Submitter, tally: &Tally, rng: &mut Rng, token: u64) {
    let mut inflight = submit(submitter, rng, token);
    if rng.u8(..8) == 0 {
        inflight = inflight.cancel();
    }
    let completion = match rng.u16(..1000) {
        0 if tally.forgotten.fetch_add(1, Relaxed) < FORGOTTEN_OPS_MAX => {
            std::mem::forget(inflight);
            return;
        }
        0 => {
            tally.forgotten.fetch_sub(1, Relaxed);
            inflight.wait()
        }
        1..250 => {
            tally.dropped.fetch_add(1, Relaxed);
            return;
        }
        250..500 => inflight.wait(),
        500..700 => block_on(inflight),
        _ => match inflight.wait_timeout(Duration::from_nanos(rng.u64(..4000))) {
            Ok(completion) => completion,
            Err(pending) if rng.bool() => match pending.try_finish() {
                Ok(completion) => completion,
                Err(_dropped) => {
                    tally.dropped.fetch_add(1, Relaxed);
                    return;
                }
            },
            Err(pending) => pending.wait(),
        },
    };
    tally.count(&completion, token);
}

fn submit(submitter: &Submitter, rng: &mut Rng, token: u64) -> Inflight {
    let waits = [ReqFlags::empty(), ReqFlags::MAY_BACKLOG, ReqFlags::MAY_SLEEP][rng.usize(..3)];
    let polls = if rng.bool() { ReqFlags::POLL } else { ReqFlags::empty() };
    loop {
        let leases = submitter.lease(8).zip(submitter.lease(8));
        if let Some((mut src, dst)) = leases {
            src.copy_from_slice(&token.to_ne_bytes());
            let request = Request::compress(src, dst).with_token(token).with_flags(waits | polls);
            match submitter.submit(request) {
                Ok(inflight) => return inflight,
                Err(rejected) => assert_eq!(rejected.error, Error::Busy),
            }
        }
        thread::yield_now();
    }
}

/// Whether so many places become free, in a minute at most.
fn quiet(submitter: &Submitter, places: usize) -> bool {
    let started = Instant::now();
    while submitter.free_slots() != places && started.elapsed() < Duration::from_secs(60) {
        submitter.poll(16);
        thread::yield_now();
    }
    submitter.free_slots() == places
}

#[derive(Default)]
struct Tally {
    completed: AtomicUsize,
    cancelled: AtomicUsize,
    lost: AtomicUsize,
    dropped: AtomicUsize,
    forgotten: AtomicUsize,
}

impl Tally {
    fn count(&self, completion: &Completion, token: u64) {
        let bytes = token.to_ne_bytes();
        assert_eq!((completion.request.token, &completion.request.src[..]), (token, &bytes[..]));
        let count = match completion.outcome {
            Ok(len) => {
                assert_eq!((len, completion.output()), (8, &bytes[..]));
                &self.completed
            }
            Err(Error::Cancelled) => &self.cancelled,
            Err(error) => {
                assert_eq!(error, Error::DeviceLost);
                &self.lost
            }
        };
        count.fetch_add(1, Relaxed);
    }
}

/// A device with little room that takes jobs in any order and loses some.
#[derive(Default)]
struct Chaos {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    polls: u32,
    is_over: bool,
}

impl Chaos {
    /// The device's thread.
    fn run(&self, mut rng: Rng) {
        loop {
            let mut state = self.state.lock().unwrap();
            while state.jobs.is_empty() && !state.is_over {
                state = self.changed.wait(state).unwrap();
            }
            if state.is_over {
                return;
            }
            let at = rng.usize(..state.jobs.len());
            let job = state.jobs.swap_remove_back(at);
            drop(state);
            match job {
                Some(lost) if rng.u8(..100) == 0 => drop(lost),
                Some(job) => execute(job),
                None => (),
            }
        }
    }

    fn stop(&self) {
        self.state.lock().unwrap().is_over = true;
        self.changed.notify_all();
    }
}

impl Engine for Chaos {
    fn submit(&self, job: Job) -> Result<(), Refused> {
        let mut state = self.state.lock().unwrap();
        if state.jobs.len() == ROOM_OPS {
            return Err(Refused { error: Error::Busy, job });
        }
        state.jobs.push_back(job);
        drop(state);
        self.changed.notify_one();
        Ok(())
    }

    /// Helps now and then, so that waiters also sleep.
    fn poll(&self, _: usize) -> Progress {
        let mut state = self.state.lock().unwrap();
        state.polls = state.polls.wrapping_add(1);
        let helps = state.polls.is_multiple_of(POLLS_PER_HELP);
        let job = if helps { state.jobs.pop_front() } else { None };
        drop(state);
        let completed = usize::from(job.is_some());
        job.into_iter().for_each(execute);
        Progress { completed, driven_by: DrivenBy::Device }
    }

    fn cancel(&self, id: JobId) {
        let mut state = self.state.lock().unwrap();
        let at = state.jobs.iter().position(|job| job.id() == id);
        let job = at.and_then(|at| state.jobs.remove(at));
        drop(state);
        if let Some(job) = job {
            job.complete(Err(Error::Cancelled), ExecutedOn::Driver);
        }
    }
}

const REQUESTS: u64 = 1_000_000;
const THREADS: u64 = 4;
const DEPTH: usize = 32;
const ROOM_OPS: usize = 4;
const POLLS_PER_HELP: u32 = 16;
const FORGOTTEN_OPS_MAX: usize = 8;
