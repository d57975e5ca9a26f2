//! Requests that complete later: the engine behind a transform's port.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError, Weak};

use acomp_core::{
    DrivenBy, Engine, Error, ExecutedOn, Job as Request, OpenError, Outcome, Progress, Refused,
};

use super::accel::Accel;
use super::bell::Listener;
use super::job::{Job, Mode};
use super::lanes::{Ended, Lanes, Submission};

/// Submits requests to the queues, and completes them when it is polled or interrupted.
pub(crate) struct IaaEngine {
    accel: Arc<Accel>,
    state: Mutex<Running>,
    /// An interrupt came while somebody had the state: he is to look again.
    is_rung: AtomicBool,
}

struct Running {
    lanes: Lanes,
    /// Each has a job.
    requests: Vec<(Request, Option<Job>)>,
    /// Nothing was done when it was polled last.
    is_idle: bool,
}

/// Requests that have ended, to be completed when nothing is locked: that runs wakers, and may
/// submit what waited for room.
type Finished = [Option<(Request, Outcome, ExecutedOn)>; FINISHED_OPS_MAX];

impl IaaEngine {
    pub(crate) fn open(accel: &Arc<Accel>, mode: Mode) -> Result<Arc<Self>, OpenError> {
        let lanes = Lanes::open(accel, mode, REQUEST_OPS_MAX)?;
        let requests = Vec::with_capacity(REQUEST_OPS_MAX);
        let engine = Arc::new(Self {
            accel: Arc::clone(accel),
            state: Mutex::new(Running { lanes, requests, is_idle: false }),
            is_rung: AtomicBool::new(false),
        });
        let listener: Weak<dyn Listener> = Arc::downgrade(&engine) as Weak<Self>;
        accel.bell().tell(listener);
        Ok(engine)
    }

    /// Completes what has ended, up to `budget`.
    fn finish(&self, mut state: MutexGuard<'_, Running>, budget: usize) -> usize {
        let mut finished: Finished = [const { None }; FINISHED_OPS_MAX];
        let count = state.collect(&mut finished[..budget.min(FINISHED_OPS_MAX)]);
        drop(state);
        for (request, outcome, on) in finished.into_iter().flatten() {
            request.complete(outcome, on);
        }
        count
    }

    fn drive(&self, budget: usize) -> usize {
        let bound = self.accel.bound();
        bound.devices.iter().map(|bound| bound.device.drive(budget)).sum()
    }

    fn try_state(&self) -> Option<MutexGuard<'_, Running>> {
        match self.state.try_lock() {
            Ok(state) => Some(state),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// What was rung for while the state was held.
    fn look_again(&self) {
        fence(Ordering::SeqCst);
        if self.is_rung.load(Ordering::Relaxed) {
            self.answer();
        }
    }

    fn answer(&self) {
        // Whoever has the state sees the flag after he leaves it.
        while self.is_rung.load(Ordering::Acquire) {
            let Some(state) = self.try_state() else { return };
            self.is_rung.store(false, Ordering::Release);
            if self.finish(state, FINISHED_OPS_MAX) == FINISHED_OPS_MAX {
                self.is_rung.store(true, Ordering::Release);
            }
            fence(Ordering::SeqCst);
        }
    }
}

impl Listener for IaaEngine {
    /// A device says that something has completed.
    fn interrupted(&self) {
        self.is_rung.store(true, Ordering::Release);
        fence(Ordering::SeqCst);
        self.answer();
    }
}

impl Running {
    fn collect(&mut self, finished: &mut [Option<(Request, Outcome, ExecutedOn)>]) -> usize {
        let mut places = finished.iter_mut();
        let mut count = 0;
        let mut at = 0;
        while places.len() > 0
            && let Some((request, job)) = self.requests.get_mut(at)
        {
            let direction = request.direction();
            let (src, dst) = request.io();
            let (outcome, on) = match self.lanes.look(job, dst, self.is_idle) {
                Some(Ended::Answer(outcome)) => (outcome, ExecutedOn::Driver),
                Some(Ended::Again) => {
                    (self.lanes.in_software(direction, src, dst), ExecutedOn::Fallback)
                }
                None => {
                    at += 1;
                    continue;
                }
            };
            let (request, _) = self.requests.swap_remove(at);
            count += 1;
            if let Some(place) = places.next() {
                *place = Some((request, outcome, on));
            }
        }
        count
    }
}

impl Engine for IaaEngine {
    fn submit(&self, mut request: Request) -> Result<(), Refused> {
        let mut state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        state.lanes.refresh();
        if state.requests.len() == REQUEST_OPS_MAX {
            return Err(Refused { error: Error::Busy, job: request });
        }
        let direction = request.direction();
        let (src, dst) = request.io();
        let has_jobs = !state.requests.is_empty();
        let mut submission = state.lanes.submit(direction, src, dst.len(), true, !has_jobs);
        let mut finished: Finished = [const { None }; FINISHED_OPS_MAX];
        if matches!(submission, Submission::Full) {
            // Room is made by our own requests, when they are looked after.
            self.drive(FINISHED_OPS_MAX);
            state.collect(&mut finished);
            submission = state.lanes.submit(direction, src, dst.len(), true, true);
        }
        let in_software = match submission {
            Submission::Submitted(job) => {
                state.requests.push((request, Some(job)));
                None
            }
            Submission::Full | Submission::Software => {
                let outcome = state.lanes.in_software(direction, src, dst);
                Some((request, outcome, ExecutedOn::Fallback))
            }
        };
        drop(state);
        for (request, outcome, on) in finished.into_iter().flatten().chain(in_software) {
            request.complete(outcome, on);
        }
        self.look_again();
        Ok(())
    }

    fn poll(&self, budget: usize) -> Progress {
        let driven = self.drive(budget);
        // Also with interrupts: one may be lost, and nobody else would notice that time is up.
        let driven_by = DrivenBy::Caller;
        let Some(mut state) = self.try_state() else {
            // Somebody else is at it.
            return Progress { completed: 0, driven_by };
        };
        state.is_idle = driven == 0;
        let completed = self.finish(state, budget);
        self.look_again();
        Progress { completed, driven_by }
    }
}

impl fmt::Debug for IaaEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IaaEngine").finish_non_exhaustive()
    }
}

/// Requests that are with devices at a time.
const REQUEST_OPS_MAX: usize = 64;
/// Requests that are completed at a time.
const FINISHED_OPS_MAX: usize = 16;
