//! Toy engines, and drivers around them. All copy.

#![allow(dead_code, reason = "each test file uses its own part")]
#![expect(clippy::unwrap_used, reason = "test helpers unwrap like tests")]

use std::collections::VecDeque;
use std::fmt;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;

use acomp_core::{
    Acomp, AlgInfo, Algorithm, Codec, DrivenBy, Engine, Error, ExecutedOn, Job, JobId, Kind,
    OpenError, Outcome, Params, Port, Progress, Refused, Registry, Submitter,
};

/// A submitter with this many places over this engine.
pub(crate) fn submitter(engine: Arc<dyn Engine>, depth: usize) -> Submitter {
    with_port(engine, depth).0
}

/// A submitter with this many places over this engine, and the port between them.
pub(crate) fn with_port(engine: Arc<dyn Engine>, depth: usize) -> (Submitter, Port) {
    let port = Port::new(engine);
    (acomp(port.clone()).submitter(depth).unwrap(), port)
}

/// Two submitters over one engine, each with this many places.
pub(crate) fn submitters(engine: Arc<dyn Engine>, depth: usize) -> [Submitter; 2] {
    let acomp = acomp(Port::new(engine));
    [(); 2].map(|()| acomp.submitter(depth).unwrap())
}

fn acomp(port: Port) -> Acomp {
    let registry = Registry::from_entries([]);
    let guard = registry.add(Arc::new(Device { port })).unwrap();
    let acomp = Acomp::open(guard.alg().clone(), Params::new()).unwrap();
    assert!(acomp.is_async());
    acomp
}

/// Holds jobs until the test completes them.
#[derive(Default)]
pub(crate) struct Held {
    jobs: Mutex<VecDeque<Job>>,
    pub(crate) room: usize,
}

impl Held {
    pub(crate) fn new(room: usize) -> Arc<Self> {
        Arc::new(Self { room, ..Self::default() })
    }

    /// Takes the oldest job out.
    pub(crate) fn next(&self) -> Option<Job> {
        self.jobs.lock().unwrap().pop_front()
    }

    /// Executes the oldest job.
    pub(crate) fn execute(&self) {
        execute(self.next().unwrap());
    }
}

impl Engine for Held {
    fn submit(&self, job: Job) -> Result<(), Refused> {
        let mut jobs = self.jobs.lock().unwrap();
        if jobs.len() == self.room {
            return Err(Refused { error: Error::Busy, job });
        }
        jobs.push_back(job);
        Ok(())
    }

    fn poll(&self, _: usize) -> Progress {
        Progress { completed: 0, driven_by: DrivenBy::Device }
    }

    fn cancel(&self, id: JobId) {
        let mut jobs = self.jobs.lock().unwrap();
        let found = jobs.iter().position(|job| job.id() == id);
        let job = found.and_then(|at| jobs.remove(at));
        drop(jobs);
        if let Some(job) = job {
            job.complete(Err(Error::Cancelled), ExecutedOn::Driver);
        }
    }
}

/// Executes jobs inside `poll`.
#[derive(Default)]
pub(crate) struct Inline {
    pub(crate) held: Held,
}

impl Inline {
    pub(crate) fn new(room: usize) -> Arc<Self> {
        Arc::new(Self { held: Held { room, ..Held::default() } })
    }
}

impl Engine for Inline {
    fn submit(&self, job: Job) -> Result<(), Refused> {
        self.held.submit(job)
    }

    fn poll(&self, budget: usize) -> Progress {
        let ready = std::iter::from_fn(|| self.held.next()).take(budget);
        Progress { completed: ready.map(execute).count(), driven_by: DrivenBy::Caller }
    }
}

/// Executes jobs on a thread, which ends with it.
pub(crate) struct Threaded {
    jobs: Mutex<Sender<Job>>,
}

impl Threaded {
    pub(crate) fn new() -> Arc<Self> {
        let (jobs, todo): (_, Receiver<Job>) = channel();
        thread::spawn(move || todo.into_iter().for_each(execute));
        Arc::new(Self { jobs: Mutex::new(jobs) })
    }
}

impl Engine for Threaded {
    fn submit(&self, job: Job) -> Result<(), Refused> {
        let sent = self.jobs.lock().unwrap().send(job);
        sent.map_err(|lost| Refused { error: Error::DeviceLost, job: lost.0 })
    }

    fn poll(&self, _: usize) -> Progress {
        Progress { completed: 0, driven_by: DrivenBy::Device }
    }
}

pub(crate) fn execute(mut job: Job) {
    let (src, dst) = job.io();
    let outcome = copy(src, dst);
    job.complete(outcome, ExecutedOn::Driver);
}

struct Device {
    port: Port,
}

static INFO: AlgInfo = AlgInfo::new("toy", "toy-dev").with_kind(Kind::Offload);

impl Algorithm for Device {
    fn info(&self) -> &AlgInfo {
        &INFO
    }

    fn open(&self, params: &Params) -> Result<Box<dyn Codec>, OpenError> {
        params.allow(&[])?;
        Ok(Box::new(Copy))
    }

    fn port(&self) -> Option<&Port> {
        Some(&self.port)
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Device").finish_non_exhaustive()
    }
}

struct Copy;

impl Codec for Copy {
    fn compress(&mut self, src: &[u8], dst: &mut [u8]) -> Outcome {
        copy(src, dst)
    }

    fn decompress(&mut self, src: &[u8], dst: &mut [u8]) -> Outcome {
        copy(src, dst)
    }
}

fn copy(src: &[u8], dst: &mut [u8]) -> Outcome {
    dst.get_mut(..src.len()).ok_or(Error::DstTooSmall)?.copy_from_slice(src);
    Ok(src.len())
}
