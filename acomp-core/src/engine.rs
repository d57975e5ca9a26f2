//! What the author of an asynchronous driver implements, [`Engine`], and what he is given, [`Job`].
//! There is nothing unsafe to write. Both may still change until the first device uses them.

use std::fmt;
use std::sync::Arc;

use crate::error::{Error, Outcome};
use crate::flags::ReqFlags;
use crate::op::{Direction, ExecutedOn, bounded};
use crate::panics::caught;
use crate::request::{Completion, Request};
use crate::slot::SlotTable;

/// What executes jobs: a device, or threads.
///
/// Completing a job wakes whoever waits for it, which runs code of the waiter: hold no lock that
/// [`submit`](Self::submit) or [`poll`](Self::poll) takes while you complete a job.
pub trait Engine: Send + Sync {
    /// Takes the job, or gives it back untouched, with [`Error::Busy`] if it has no room. Never
    /// blocks.
    ///
    /// # Errors
    ///
    /// [`Refused`] with the job.
    fn submit(&self, job: Job) -> Result<(), Refused>;

    /// Completes up to `budget` jobs that are ready, and tells who makes them ready.
    fn poll(&self, budget: usize) -> Progress;

    /// Asks that a job be given up, which then completes as [`Error::Cancelled`], or not: it may be
    /// too late.
    fn cancel(&self, id: JobId) {
        let _ = id;
    }
}

/// Polls; an engine that panics has done nothing, and is expected to wake.
pub(crate) fn poll(engine: &dyn Engine, budget: usize) -> Progress {
    let nothing = Progress { completed: 0, driven_by: DrivenBy::Device };
    caught(|| engine.poll(budget)).unwrap_or(nothing)
}

/// A unit of work and the duty to answer it. Dropping it answers [`Error::DeviceLost`], so that a
/// driver that loses a job strands nobody.
///
/// It owns the buffers: they stay where they are for as long as the device may write to them, even
/// if whoever asked is gone.
pub struct Job {
    request: Option<Request>,
    id: JobId,
    table: Arc<SlotTable>,
}

impl Job {
    /// Its number, for [`Engine::cancel`].
    #[must_use]
    pub fn id(&self) -> JobId {
        self.id
    }

    /// Which way it goes.
    #[must_use]
    pub fn direction(&self) -> Direction {
        self.request.as_ref().map_or(Direction::Compress, |request| request.direction)
    }

    /// How it may be carried out.
    #[must_use]
    pub fn flags(&self) -> ReqFlags {
        self.request.as_ref().map_or(ReqFlags::empty(), |request| request.flags)
    }

    /// Source and destination.
    pub fn io(&mut self) -> (&[u8], &mut [u8]) {
        match &mut self.request {
            Some(request) => (&request.src, &mut request.dst),
            None => (&[], &mut []),
        }
    }

    /// Answers it. A length beyond the destination becomes [`Error::Overclaimed`].
    pub fn complete(mut self, outcome: Outcome, on: ExecutedOn) {
        self.answer(outcome, on);
    }

    pub(crate) fn new(request: Request, slot: (usize, u64), table: &Arc<SlotTable>) -> Self {
        let (index, generation) = slot;
        let id = JobId { index, generation };
        Self { request: Some(request), id, table: Arc::clone(table) }
    }

    /// Takes back a job that was refused; nobody was told of it.
    pub(crate) fn into_request(mut self) -> Option<Request> {
        let request = self.request.take();
        self.table.retract(self.id.index);
        request
    }

    fn answer(&mut self, outcome: Outcome, on: ExecutedOn) {
        if let Some(request) = self.request.take() {
            let outcome = bounded(outcome, request.dst.len());
            let completion = Completion { outcome, executed_on: on, request };
            self.table.complete(self.id.index, completion);
        }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        self.answer(Err(Error::DeviceLost), ExecutedOn::Driver);
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job")
            .field("id", &self.id)
            .field("request", &self.request)
            .finish_non_exhaustive()
    }
}

/// The number of a job: never that of another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct JobId {
    index: usize,
    generation: u64,
}

/// A job that an engine did not take.
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "authors make it")]
pub struct Refused {
    /// Why.
    pub error: Error,
    /// The job, untouched.
    pub job: Job,
}

/// What one [`Engine::poll`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "authors make it")]
pub struct Progress {
    /// Jobs that it completed.
    pub completed: usize,
    /// Who makes jobs ready.
    pub driven_by: DrivenBy,
}

/// Who makes jobs ready, and so who must not sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "somebody else, or you")]
pub enum DrivenBy {
    /// The device: a completion wakes.
    Device,
    /// Whoever polls: nothing happens otherwise.
    Caller,
}
