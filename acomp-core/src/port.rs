//! Where requests enter an engine: [`Port`], with the backlog of those that found it full.
//!
//! What waits in the backlog is no job yet. It leaves when the engine has room (whoever completes a
//! job, polls or submits hands it over), or when its handle is dropped or cancelled: so whatever
//! waits has a handle, which keeps the engine alive.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crate::engine::{DrivenBy, Engine, Job, JobId, Progress, Refused};
use crate::error::Error;
use crate::flags::ReqFlags;
use crate::op::ExecutedOn;
use crate::panics::caught;
use crate::slot::Work;
use crate::sync::{
    AtomicUsize, Condvar, Mutex, MutexGuard, Ordering, fence, lock, wait_timeout, yield_now,
};

/// An engine, and the backlog in front of it. Cheap to clone; a driver makes one for its engine, so
/// that all its users share the backlog.
///
/// A request with [`ReqFlags::MAY_BACKLOG`] that finds the engine full waits here, in order, and
/// nothing overtakes it: other requests are refused as `Busy` meanwhile. The places of the
/// submitters bound it.
#[derive(Clone)]
pub struct Port {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Arc<dyn Engine>,
    backlog: Arc<Backlog>,
}

impl Port {
    /// A port to this engine.
    pub fn new(engine: Arc<dyn Engine>) -> Self {
        let backlog = Backlog {
            engine: Arc::downgrade(&engine),
            waiting: AtomicUsize::new(0),
            state: Mutex::new(State::default()),
            left: Condvar::new(),
        };
        Self { inner: Arc::new(Inner { engine, backlog: Arc::new(backlog) }) }
    }

    pub(crate) fn backlog(&self) -> &Arc<Backlog> {
        &self.inner.backlog
    }

    /// Brings work to the engine or, if it may wait, into the backlog.
    pub(crate) fn submit(&self, work: Work) -> Result<(), (Error, Work)> {
        match self.offer(work) {
            Ok(()) => Ok(()),
            Err((Error::Busy, work)) => self.submit_to_full(work),
            Err(refused) => Err(refused),
        }
    }

    #[cold]
    fn submit_to_full(&self, work: Work) -> Result<(), (Error, Work)> {
        let (id, flags) = (work.id(), work.flags());
        self.poll(BUDGET_OPS);
        match self.offer(work) {
            Err((Error::Busy, work)) if flags.contains(ReqFlags::MAY_BACKLOG) => {
                self.inner.backlog.push(work);
                Ok(())
            }
            Err((Error::Busy, work)) if flags.contains(ReqFlags::MAY_SLEEP) => {
                self.inner.backlog.push(work);
                self.sleep_until_taken(id)
            }
            offered => offered,
        }
    }

    /// For drivers whose engine has room again although no [`Job`] completed: what waits is handed
    /// over.
    pub fn made_room(&self) {
        self.inner.backlog.advance();
    }

    /// Completes what is ready. An engine that panics is no more expected to wake anybody.
    pub(crate) fn poll(&self, budget: usize) -> Progress {
        let nothing = Progress { completed: 0, driven_by: DrivenBy::Caller };
        let progress = caught(|| self.inner.engine.poll(budget)).unwrap_or(nothing);
        if !self.inner.backlog.is_empty() {
            self.inner.backlog.hand_over(false);
        }
        progress
    }

    /// Work that still waits is cancelled; what the engine has, it is asked to give up.
    pub(crate) fn cancel(&self, id: JobId) {
        match self.inner.backlog.cancel(id) {
            Some(work) => drop(work.complete(Err(Error::Cancelled), ExecutedOn::Driver)),
            None => {
                caught(|| self.inner.engine.cancel(id));
            }
        }
    }

    /// Nobody overtakes the backlog.
    fn offer(&self, work: Work) -> Result<(), (Error, Work)> {
        if self.inner.backlog.is_empty() {
            offer(&*self.inner.engine, work)
        } else {
            Err((Error::Busy, work))
        }
    }

    fn sleep_until_taken(&self, id: JobId) -> Result<(), (Error, Work)> {
        let backlog = &self.inner.backlog;
        let started = Instant::now();
        loop {
            let driven_by = self.poll(BUDGET_OPS).driven_by;
            let left = SLEEP_MAX.saturating_sub(started.elapsed());
            if left.is_zero()
                && let Some(work) = backlog.remove(id)
            {
                return Err((Error::Busy, work));
            }
            // Whoever has it in his hands soon puts it back, if he does not get rid of it.
            match driven_by {
                DrivenBy::Device if !left.is_zero() => backlog.sleep_while_it_has(id, left),
                _ => yield_now(),
            }
            if !backlog.state().has(id) {
                return Ok(());
            }
        }
    }
}

impl fmt::Debug for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = self.inner.backlog.state().queue.len();
        f.debug_struct("Port").field("waiting", &waiting).finish_non_exhaustive()
    }
}

/// Hands work to an engine, which may give it back.
fn offer(engine: &dyn Engine, work: Work) -> Result<(), (Error, Work)> {
    let place = work.place();
    match caught(|| engine.submit(Job::new(work))) {
        Some(Err(Refused { error, job })) => match job.into_work_at(place) {
            Some(work) => Err((error, work)),
            // Another job than it was given, answered now; ours will be.
            None => Ok(()),
        },
        // An engine that panicked dropped the job, which is an answer.
        Some(Ok(())) | None => Ok(()),
    }
}

/// Work that found its engine full.
pub(crate) struct Backlog {
    engine: Weak<dyn Engine>,
    /// 0 only if nothing is in the queue or on its way.
    waiting: AtomicUsize,
    state: Mutex<State>,
    /// Something left.
    left: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Work>,
    /// What a thread is taking from the front to the engine: one at a time, which keeps the order.
    on_its_way: Option<JobId>,
    /// Somebody made room meanwhile.
    is_called: bool,
    /// Somebody cancelled it meanwhile.
    is_cancelled: bool,
    sleepers: usize,
    /// Of all submitters: as many may wait, without allocating.
    places: usize,
}

impl State {
    fn has(&self, id: JobId) -> bool {
        self.on_its_way == Some(id) || self.queue.iter().any(|work| work.id() == id)
    }
}

impl Backlog {
    pub(crate) fn add_places(&self, places: usize) {
        let mut state = self.state();
        state.places += places;
        let more = state.places.saturating_sub(state.queue.len());
        state.queue.reserve(more);
    }

    pub(crate) fn remove_places(&self, places: usize) {
        let mut state = self.state();
        state.places = state.places.saturating_sub(places);
    }

    /// Takes back work that nobody is taking to the engine yet.
    pub(crate) fn remove(&self, id: JobId) -> Option<Work> {
        if self.is_empty() {
            return None;
        }
        self.removed(self.state(), id)
    }

    fn removed(&self, mut state: MutexGuard<'_, State>, id: JobId) -> Option<Work> {
        let at = state.queue.iter().position(|work| work.id() == id)?;
        let work = state.queue.remove(at);
        self.count(&state);
        work
    }

    /// As [`remove`](Self::remove); what somebody is taking to the engine is cancelled if it comes
    /// back.
    fn cancel(&self, id: JobId) -> Option<Work> {
        if self.is_empty() {
            return None;
        }
        let mut state = self.state();
        state.is_cancelled |= state.on_its_way == Some(id);
        self.removed(state, id)
    }

    /// There may be room: takes to the engine what it has room for now.
    pub(crate) fn advance(&self) {
        // Who waits is counted before the engine is asked for him; we look for him after there was
        // room. So he gets the room, or we see him.
        fence(Ordering::SeqCst);
        if !self.is_empty() {
            self.hand_over(true);
        }
    }

    fn is_empty(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) == 0
    }

    fn push(&self, work: Work) {
        let mut state = self.state();
        state.queue.push_back(work);
        self.count(&state);
        drop(state);
        fence(Ordering::SeqCst);
        self.hand_over(false);
    }

    /// In order, so one thread at a time; another one only leaves word if it made room.
    #[cold]
    fn hand_over(&self, is_room_made: bool) {
        // Who waits keeps the engine alive: without one, nobody does.
        let Some(engine) = self.engine.upgrade() else { return };
        let mut state = self.state();
        if state.on_its_way.is_some() {
            state.is_called |= is_room_made;
            return;
        }
        for handed_over in 1.. {
            let Some(work) = state.queue.pop_front() else { break };
            state.on_its_way = Some(work.id());
            (state.is_called, state.is_cancelled) = (false, false);
            drop(state);
            let refused = offer(&*engine, work).err();
            state = self.state();
            let is_cancelled = state.is_cancelled;
            match refused {
                // What was taken will complete, and that thread goes on.
                None if handed_over >= BUDGET_OPS && !state.is_called => break,
                None => (),
                Some((Error::Busy, work)) if !is_cancelled && !work.is_abandoned() => {
                    state.queue.push_front(work);
                    if !state.is_called {
                        break;
                    }
                }
                Some((error, work)) => {
                    drop(state);
                    let error = if is_cancelled { Error::Cancelled } else { error };
                    drop(work.complete(Err(error), ExecutedOn::Driver));
                    state = self.state();
                }
            }
        }
        state.on_its_way = None;
        self.count(&state);
        if state.sleepers > 0 {
            self.left.notify_all();
        }
    }

    /// Sleeps until something left, no longer than this.
    fn sleep_while_it_has(&self, id: JobId, limit: Duration) {
        let mut state = self.state();
        if state.has(id) {
            state.sleepers += 1;
            state = wait_timeout(&self.left, state, limit);
            state.sleepers -= 1;
        }
    }

    fn count(&self, state: &State) {
        let waiting = state.queue.len() + usize::from(state.on_its_way.is_some());
        self.waiting.store(waiting, Ordering::Relaxed);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

/// Completions that are reaped at once, one's own and others'.
pub(crate) const BUDGET_OPS: usize = 16;
/// Longest sleep of a submission with [`ReqFlags::MAY_SLEEP`].
const SLEEP_MAX: Duration = Duration::from_secs(1);
