//! Every interleaving of whoever waits for a request with the engine that completes it, up to two
//! preemptions (`cargo xtask loom`; `--preemptions` takes more). One or two requests, an engine
//! with room for one, one thread on each side; a waiter spins once before it sleeps.

use std::sync::Arc;
use std::time::Duration;

use loom::future::block_on;
use loom::thread::{self, JoinHandle};

use crate::engine::{DrivenBy, Engine, Job, JobId, Progress, Refused};
use crate::error::Error;
use crate::flags::ReqFlags;
use crate::inflight::Inflight;
use crate::op::ExecutedOn;
use crate::port::Port;
use crate::request::Request;
use crate::slot::SlotTable;
use crate::submitter::Channel;
use crate::sync::{AtomicUsize, Mutex, Ordering, lock};

/// Has room for one job, which a thread of the model executes.
struct Device {
    job: Mutex<Option<Job>>,
    /// Relaxed: the core may not rely on more.
    room: AtomicUsize,
}

impl Device {
    fn next(&self) -> Option<Job> {
        let job = lock(&self.job).take();
        if job.is_some() {
            self.room.store(1, Ordering::Relaxed);
        }
        job
    }

    fn execute(&self) -> bool {
        self.next().map(|job| job.complete(Ok(1), ExecutedOn::Driver)).is_some()
    }
}

impl Engine for Device {
    fn submit(&self, job: Job) -> Result<(), Refused> {
        if self.room.load(Ordering::Relaxed) == 0 {
            return Err(Refused { error: Error::Busy, job });
        }
        self.room.store(0, Ordering::Relaxed);
        *lock(&self.job) = Some(job);
        Ok(())
    }

    fn poll(&self, _: usize) -> Progress {
        Progress { completed: 0, driven_by: DrivenBy::Device }
    }

    fn cancel(&self, id: JobId) {
        let job = lock(&self.job).take_if(|job| job.id() == id);
        if let Some(job) = job {
            self.room.store(1, Ordering::Relaxed);
            job.complete(Err(Error::Cancelled), ExecutedOn::Driver);
        }
    }
}

struct Model {
    device: Arc<Device>,
    channel: Arc<Channel>,
}

impl Model {
    fn new() -> Self {
        let device = Arc::new(Device { job: Mutex::new(None), room: AtomicUsize::new(1) });
        let port = Port::new(device.clone());
        let table = Arc::new(SlotTable::new(DEPTH, None, port.backlog()));
        Self { device, channel: Arc::new(Channel { port, table }) }
    }

    fn submit(&self, flags: ReqFlags) -> Inflight {
        let request = Request::compress(vec![1], vec![0]).with_flags(flags);
        self.channel.submit(request).unwrap()
    }

    /// A thread that executes one job, which is there already.
    fn executed(&self) -> JoinHandle<()> {
        let device = Arc::clone(&self.device);
        thread::spawn(move || assert!(device.execute()))
    }

    /// Nothing is left, once what is under way is executed.
    fn is_quiet(&self) -> bool {
        while self.device.execute() {}
        self.channel.table.free_slots() == DEPTH
    }
}

#[test]
fn completion_reaches_who_waits() {
    loom::model(|| {
        let model = Model::new();
        let inflight = model.submit(ReqFlags::empty());
        let device = model.executed();
        assert_eq!(inflight.wait().outcome, Ok(1));
        device.join().unwrap();
        assert!(model.is_quiet());
    });
}

#[test]
fn completion_reaches_who_awaits() {
    loom::model(|| {
        let model = Model::new();
        let inflight = model.submit(ReqFlags::empty());
        let device = model.executed();
        assert_eq!(block_on(inflight).outcome, Ok(1));
        device.join().unwrap();
        assert!(model.is_quiet());
    });
}

#[test]
fn job_that_is_dropped_reaches_who_awaits() {
    loom::model(|| {
        let model = Model::new();
        let inflight = model.submit(ReqFlags::empty());
        let device = Arc::clone(&model.device);
        let device = thread::spawn(move || drop(device.next()));
        assert_eq!(block_on(inflight).outcome, Err(Error::DeviceLost));
        device.join().unwrap();
        assert!(model.is_quiet());
    });
}

#[test]
fn request_that_is_dropped_frees_its_slot_once() {
    loom::model(|| {
        let model = Model::new();
        let inflight = model.submit(ReqFlags::empty());
        let device = model.executed();
        drop(inflight);
        device.join().unwrap();
        assert!(model.is_quiet());
    });
}

#[test]
fn cancelling_comes_in_time_or_too_late() {
    loom::model(|| {
        let model = Model::new();
        let inflight = model.submit(ReqFlags::empty());
        let device = Arc::clone(&model.device);
        let device = thread::spawn(move || device.execute());
        let outcome = inflight.cancel().wait().outcome;
        let executed = if device.join().unwrap() { Ok(1) } else { Err(Error::Cancelled) };
        assert_eq!(outcome, executed);
        assert!(model.is_quiet());
    });
}

#[test]
fn request_that_timed_out_is_still_under_way() {
    loom::model(|| {
        let model = Model::new();
        let inflight = model.submit(ReqFlags::empty());
        let device = model.executed();
        match inflight.wait_timeout(Duration::ZERO) {
            Ok(completion) => assert_eq!(completion.outcome, Ok(1)),
            Err(inflight) => match inflight.wait_timeout(Duration::from_secs(1)) {
                Ok(completion) => assert_eq!(completion.outcome, Ok(1)),
                Err(inflight) => drop(inflight),
            },
        }
        device.join().unwrap();
        assert!(model.is_quiet());
    });
}

/// The wake of the first occupant may come after the second has registered.
#[test]
fn next_occupant_is_served_although_the_last_wake_is_late() {
    loom::model(|| {
        let model = Model::new();
        let first = model.submit(ReqFlags::empty());
        let device = model.executed();
        assert_eq!(block_on(first).outcome, Ok(1));
        let second = model.submit(ReqFlags::empty());
        let again = model.executed();
        assert_eq!(block_on(second).outcome, Ok(1));
        device.join().unwrap();
        again.join().unwrap();
        assert!(model.is_quiet());
    });
}

/// The engine is full when it is asked, and empty before the request is in the backlog.
#[test]
fn room_that_is_made_meanwhile_is_not_overlooked() {
    loom::model(|| {
        let model = Model::new();
        let first = model.submit(ReqFlags::empty());
        let device = model.executed();
        let second = model.submit(ReqFlags::MAY_BACKLOG);
        device.join().unwrap();
        assert_eq!(first.try_finish().unwrap().outcome, Ok(1));
        assert!(model.device.execute(), "the second is stuck in the backlog");
        assert_eq!(second.try_finish().unwrap().outcome, Ok(1));
        assert!(model.is_quiet());
    });
}

#[test]
fn request_that_is_dropped_in_the_backlog_frees_its_slot_once() {
    loom::model(|| {
        let model = Model::new();
        let first = model.submit(ReqFlags::empty());
        let second = model.submit(ReqFlags::MAY_BACKLOG);
        let device = model.executed();
        drop(second);
        device.join().unwrap();
        drop(first);
        assert!(model.is_quiet());
    });
}

#[test]
fn request_that_is_cancelled_in_the_backlog_is_complete() {
    loom::model(|| {
        let model = Model::new();
        let first = model.submit(ReqFlags::empty());
        let second = model.submit(ReqFlags::MAY_BACKLOG);
        let device = model.executed();
        let cancel = second.cancel();
        device.join().unwrap();
        model.device.execute();
        let outcome = cancel.wait().outcome;
        assert!(outcome == Ok(1) || outcome == Err(Error::Cancelled));
        drop(first);
        assert!(model.is_quiet());
    });
}

#[test]
fn submission_that_sleeps_is_woken_when_there_is_room() {
    loom::model(|| {
        let model = Model::new();
        let first = model.submit(ReqFlags::empty());
        let device = model.executed();
        let second = model.submit(ReqFlags::MAY_SLEEP);
        assert!(model.device.execute(), "it slept until there was room");
        assert_eq!(second.try_finish().unwrap().outcome, Ok(1));
        device.join().unwrap();
        drop(first);
        assert!(model.is_quiet());
    });
}

const DEPTH: usize = 2;
