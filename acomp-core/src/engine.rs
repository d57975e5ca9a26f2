//! What the author of an asynchronous driver implements, [`Engine`], and what he is given, [`Job`].
//! There is nothing unsafe to write. Both may still change until the first device uses them.

use std::fmt;
use std::slice;

use crate::error::{Error, Outcome};
use crate::flags::ReqFlags;
use crate::op::{Direction, ExecutedOn, Op, RunSummary};
use crate::request::Request;
use crate::slot::{Place, Work};

/// What executes jobs: a device, or threads. A driver offers it through a [`Port`](crate::Port).
///
/// Completing a job wakes whoever waits for it, which runs code of the waiter, and may submit what
/// waited for room: hold no lock that [`submit`](Self::submit) or [`poll`](Self::poll) takes while
/// you complete a job or drop one. Make the room that a job took before you complete it.
///
/// The last owner of an engine may be a thread that completes a job: its `Drop` must not wait for
/// that thread.
pub trait Engine: Send + Sync {
    /// Takes the job, or gives it back untouched, with [`Error::Busy`] if it has no room until a
    /// job completes (or until [`Port::made_room`](crate::Port::made_room)). Never blocks.
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

/// A unit of work and the duty to answer it. Dropping it answers [`Error::DeviceLost`], so that a
/// driver that loses a job strands nobody.
///
/// It owns the buffers: they stay where they are for as long as the device may write to them, even
/// if whoever asked is gone. A job that is forgotten (`mem::forget`) is answered by nobody: whoever
/// waits for it waits for ever.
///
/// # Not possible
///
/// Two answers:
///
/// ```compile_fail,E0382
/// # use acomp_core::{ExecutedOn, Job};
/// fn answer_twice(job: Job) {
///     job.complete(Ok(0), ExecutedOn::Driver);
///     job.complete(Ok(0), ExecutedOn::Driver);
/// }
/// ```
pub struct Job {
    /// There as long as the job is.
    work: Option<Work>,
}

impl Job {
    /// Its number, for [`Engine::cancel`].
    #[must_use]
    pub fn id(&self) -> JobId {
        self.work.as_ref().map_or(JobId::NOBODY, Work::id)
    }

    /// Which way it goes.
    #[must_use]
    pub fn direction(&self) -> Direction {
        self.request().map_or(Direction::Compress, |request| request.direction)
    }

    /// How it may be carried out. [`ReqFlags::MAY_SLEEP`] is not among it: sleeping is over when an
    /// engine gets a job.
    #[must_use]
    pub fn flags(&self) -> ReqFlags {
        let flags = self.request().map_or(ReqFlags::empty(), |request| request.flags);
        flags.difference(ReqFlags::MAY_SLEEP)
    }

    /// Source and destination.
    pub fn io(&mut self) -> (&[u8], &mut [u8]) {
        self.work.as_mut().map_or((&[], &mut []), Work::io)
    }

    /// Answers it. A length beyond the destination becomes [`Error::Overclaimed`].
    pub fn complete(mut self, outcome: Outcome, on: ExecutedOn) {
        self.answer(outcome, on);
    }

    /// Executes it as a chain of one, on this thread. `on` overrides who executed it.
    pub(crate) fn execute(
        mut self,
        run: impl FnOnce(&mut [Op<'_>]) -> RunSummary,
        on: Option<ExecutedOn>,
    ) {
        let (direction, flags) = (self.direction(), self.flags());
        let (src, dst) = self.io();
        let op = match direction {
            Direction::Compress => Op::compress(src, dst),
            Direction::Decompress => Op::decompress(src, dst),
        };
        let mut op = op.with_flags(flags);
        run(slice::from_mut(&mut op));
        let outcome = op.outcome().unwrap_or(Err(Error::Unanswered));
        let on = on.or(op.executed_on()).unwrap_or(ExecutedOn::Driver);
        self.complete(outcome, on);
    }

    pub(crate) fn new(work: Work) -> Self {
        Self { work: Some(work) }
    }

    /// Takes back a job that was refused, if it is that of this place.
    pub(crate) fn into_work_at(mut self, place: Place) -> Option<Work> {
        self.work.take_if(|work| work.place() == place)
    }

    fn request(&self) -> Option<&Request> {
        self.work.as_ref().map(Work::request)
    }

    fn answer(&mut self, outcome: Outcome, on: ExecutedOn) {
        if let Some(work) = self.work.take() {
            work.complete(outcome, on).backlog().advance();
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
        f.debug_struct("Job").field("id", &self.id()).field("request", &self.request()).finish()
    }
}

/// The number of a job: never that of another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct JobId {
    pub(crate) index: usize,
    /// Of the claim of that slot.
    pub(crate) generation: u64,
    /// The number of its table.
    pub(crate) table: u64,
}

impl JobId {
    /// Of no job: claims count from 1.
    const NOBODY: Self = Self { index: 0, generation: 0, table: 0 };
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

impl Progress {
    /// Nothing done, and nobody needed.
    pub(crate) const NONE: Self = Self { completed: 0, driven_by: DrivenBy::Device };
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
