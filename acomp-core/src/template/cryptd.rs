//! `cryptd(X)`, `cryptd(X,workers=N)`: worker threads make any driver asynchronous.
//!
//! Each worker has a session of its own. Whoever waits for a request helps, on a pooled one:
//! polling executes a job that no worker has begun. Jobs with [`ReqFlags::POLL`] are left to
//! whoever polls.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::alg::{AlgInfo, Algorithm, Codec, Kind};
use crate::engine::{DrivenBy, Engine, Job, JobId, Progress, Refused};
use crate::error::{Error, OpenError, Outcome};
use crate::flags::ReqFlags;
use crate::handle::{Acomp, Session};
use crate::op::{ExecutedOn, Ops};
use crate::params::Params;
use crate::port::Port;
use crate::registry::AlgRef;
use crate::template::{TemplateArgs, TemplateRegistration, info_as};

inventory::submit!(TemplateRegistration::new("cryptd", wrap, module_path!()));

fn wrap(inner: AlgRef, args: &TemplateArgs) -> Result<Arc<dyn Algorithm>, OpenError> {
    args.allow(&["workers"])?;
    let workers = args.workers()?;
    Ok(Arc::new(Cryptd { info: args.info_over(&inner).with_kind(Kind::Offload), inner, workers }))
}

#[derive(Debug)]
struct Cryptd {
    info: AlgInfo,
    inner: AlgRef,
    workers: usize,
}

impl Algorithm for Cryptd {
    fn info(&self) -> &AlgInfo {
        &self.info
    }

    fn prepare(&self, params: &Params) -> Result<Option<Arc<dyn Algorithm>>, OpenError> {
        let inner = Acomp::open(self.inner.clone(), params.clone())?;
        let info = info_as(&self.info, &inner).with_kind(Kind::Offload);
        let port = Port::new(Arc::new(Pool::new(&inner, self.workers)?));
        Ok(Some(Arc::new(Prepared { info, inner, port })))
    }

    fn open(&self, params: &Params) -> Result<Box<dyn Codec>, OpenError> {
        let inner = Acomp::open(self.inner.clone(), params.clone())?;
        Ok(Box::new(Blocking(inner.session()?)))
    }
}

/// Over a transform and a pool, which its submitters share.
#[derive(Debug)]
struct Prepared {
    info: AlgInfo,
    inner: Acomp,
    port: Port,
}

impl Algorithm for Prepared {
    fn info(&self) -> &AlgInfo {
        &self.info
    }

    fn open(&self, _: &Params) -> Result<Box<dyn Codec>, OpenError> {
        Ok(Box::new(Blocking(self.inner.session()?)))
    }

    fn port(&self) -> Option<&Port> {
        Some(&self.port)
    }
}

/// Who blocks does the work.
struct Blocking(Session);

impl Codec for Blocking {
    fn compress(&mut self, src: &[u8], dst: &mut [u8]) -> Outcome {
        self.0.compress(src, dst)
    }

    fn decompress(&mut self, src: &[u8], dst: &mut [u8]) -> Outcome {
        self.0.decompress(src, dst)
    }

    fn run(&mut self, ops: &mut Ops<'_, '_>) {
        self.0.run(ops.as_mut_ops());
    }
}

/// Ends its threads when dropped, without waiting for them.
struct Pool {
    shared: Arc<Shared>,
}

struct Shared {
    inner: Acomp,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    queue: VecDeque<Job>,
    /// Of those who poll.
    polled: VecDeque<Job>,
    idle: usize,
    is_over: bool,
}

impl Pool {
    fn new(inner: &Acomp, workers: usize) -> Result<Self, OpenError> {
        let (queue, polled) =
            (VecDeque::with_capacity(QUEUE_OPS_MAX), VecDeque::with_capacity(QUEUE_OPS_MAX));
        let state = Mutex::new(State { queue, polled, idle: 0, is_over: false });
        let shared = Shared { inner: inner.clone(), state, changed: Condvar::new() };
        let pool = Self { shared: Arc::new(shared) };
        for _ in 0..workers {
            let (shared, session) = (Arc::clone(&pool.shared), inner.session()?);
            let thread = thread::Builder::new().name("cryptd".into());
            let spawned = thread.spawn(move || shared.work(session));
            spawned.map_err(|why| OpenError::Device(why.into()))?;
        }
        Ok(pool)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        state.is_over = true;
        let State { queue, polled, .. } = &mut *state;
        let jobs = (std::mem::take(queue), std::mem::take(polled));
        drop(state);
        self.shared.changed.notify_all();
        drop(jobs);
    }
}

impl Engine for Pool {
    fn submit(&self, job: Job) -> Result<(), Refused> {
        let mut state = self.shared.state();
        if state.queue.len() + state.polled.len() == QUEUE_OPS_MAX {
            return Err(Refused { error: Error::Busy, job });
        }
        if job.flags().contains(ReqFlags::POLL) {
            state.polled.push_back(job);
            return Ok(());
        }
        state.queue.push_back(job);
        let somebody_sleeps = state.idle > 0;
        drop(state);
        if somebody_sleeps {
            self.shared.changed.notify_one();
        }
        Ok(())
    }

    /// One job, however large the budget: who polls wants his own soon.
    fn poll(&self, budget: usize) -> Progress {
        let mut state = self.shared.state();
        let State { queue, polled, .. } = &mut *state;
        let job = if budget == 0 { None } else { polled.pop_front().or_else(|| queue.pop_front()) };
        drop(state);
        let completed = usize::from(job.is_some());
        if let Some(job) = job {
            job.execute(|ops| self.shared.inner.run(ops), None);
        }
        Progress { completed, driven_by: DrivenBy::Device }
    }

    fn cancel(&self, id: JobId) {
        let mut state = self.shared.state();
        let State { queue, polled, .. } = &mut *state;
        let job = [queue, polled].into_iter().find_map(|jobs| {
            let at = jobs.iter().position(|job| job.id() == id)?;
            jobs.remove(at)
        });
        drop(state);
        if let Some(job) = job {
            job.complete(Err(Error::Cancelled), ExecutedOn::Driver);
        }
    }
}

impl Shared {
    /// The thread of a worker.
    fn work(&self, mut session: Session) {
        while let Some(job) = self.next() {
            let session = self.inner.replaced_if_dead(&mut session);
            job.execute(|ops| session.run(ops), Some(ExecutedOn::Worker));
        }
    }

    /// Sleeps until there is a job; `None` when it is over.
    fn next(&self) -> Option<Job> {
        let mut state = self.state();
        while !state.is_over {
            if let Some(job) = state.queue.pop_front() {
                return Some(job);
            }
            state.idle += 1;
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
        None
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("inner", &self.shared.inner).finish_non_exhaustive()
    }
}

/// More than that is better told `Busy`.
const QUEUE_OPS_MAX: usize = 128;
