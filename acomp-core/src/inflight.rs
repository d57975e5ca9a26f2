//! Requests that are under way: awaited, waited for, polled, cancelled, or dropped.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use futures::Stream;
use futures::future::FusedFuture;

use crate::engine::{DrivenBy, Progress};
use crate::error::Error;
use crate::flags::ReqFlags;
use crate::op::ExecutedOn;
use crate::port::BUDGET_OPS;
use crate::request::{Completion, Request};
use crate::slot::Ticket;
use crate::submitter::Channel;
use crate::sync::{park, park_timeout, parker, spin_loop, yield_now};

/// A request that was accepted.
///
/// Await it, or [`wait`](Self::wait), or look with [`try_finish`](Self::try_finish): whichever is
/// first gets the [`Completion`], once. Dropping it abandons the result, never blocks, and leaves
/// the buffers to the device for as long as it uses them. Forgetting it loses one place of its
/// submitter, nothing else.
///
/// A request with [`ReqFlags::POLL`] has no interrupt: it proceeds only while somebody polls, which
/// awaiting and waiting do.
///
/// # Not possible
///
/// Two waiters for one completion:
///
/// ```compile_fail,E0599
/// # use acomp_core::Inflight;
/// fn two_waiters(inflight: Inflight) -> [Inflight; 2] {
///     [inflight.clone(), inflight]
/// }
/// ```
#[must_use = "dropping an in-flight request abandons its result"]
pub struct Inflight {
    ticket: Ticket,
    channel: Arc<Channel>,
    flags: ReqFlags,
}

impl Inflight {
    pub(crate) fn new(ticket: Ticket, channel: &Arc<Channel>, flags: ReqFlags) -> Self {
        Self { ticket, channel: Arc::clone(channel), flags }
    }

    /// The completion if it is there, without waiting, waking or driving anything.
    ///
    /// # Errors
    ///
    /// Gives the request back while it is under way.
    pub fn try_finish(mut self) -> Result<Completion, Self> {
        self.finish().ok_or(self)
    }

    /// Blocks until the request is complete: spins briefly, then sleeps; drives the engine where
    /// nobody else does.
    ///
    /// A request whose completion was already awaited gives an empty one, [`Error::Unanswered`].
    #[must_use]
    pub fn wait(mut self) -> Completion {
        self.wait_until(None).unwrap_or_else(nothing)
    }

    /// As [`wait`](Self::wait), but no longer than this.
    ///
    /// # Errors
    ///
    /// Gives the request back, which is still under way: a timeout is not a completion, and the
    /// device may still write to the buffers.
    pub fn wait_timeout(mut self, limit: Duration) -> Result<Completion, Self> {
        match self.wait_until(Instant::now().checked_add(limit)) {
            Some(completion) => Ok(completion),
            None if self.ticket.is_spent() => Ok(nothing()),
            None => Err(self),
        }
    }

    /// Asks the device to give up. The request is under way until it is complete, with its buffers,
    /// and may still succeed: cancelling is a request, completion decides.
    pub fn cancel(self) -> Self {
        if let Some(id) = self.channel.table.id(&self.ticket) {
            self.channel.port.cancel(id);
        }
        self
    }

    pub(crate) fn finish(&mut self) -> Option<Completion> {
        self.channel.table.take(&mut self.ticket)
    }

    fn is_done(&self) -> bool {
        self.channel.table.is_done(&self.ticket)
    }

    fn register(&self, waker: &Waker) {
        self.channel.table.register(&self.ticket, waker);
    }

    /// Helps the engine, and tells who else drives this request.
    fn drive(&self) -> Progress {
        let progress = self.channel.port.poll(BUDGET_OPS);
        let driven_by =
            if self.flags.contains(ReqFlags::POLL) { DrivenBy::Caller } else { progress.driven_by };
        Progress { driven_by, ..progress }
    }

    /// `None` when the deadline has passed, or the completion was given away before.
    fn wait_until(&mut self, deadline: Option<Instant>) -> Option<Completion> {
        let mut spins = 0u32;
        while !self.ticket.is_spent() {
            let progress = if self.is_done() { Progress::NONE } else { self.drive() };
            if let Some(completion) = self.finish() {
                return Some(completion);
            }
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return None;
            }
            // Who helps gets nearer to his own.
            spins = if progress.completed > 0 { 0 } else { spins.wrapping_add(1) };
            self.pause(spins, progress.driven_by == DrivenBy::Caller, left);
        }
        None
    }

    #[cold]
    fn pause(&self, spins: u32, is_alone: bool, left: Option<Duration>) {
        if is_alone {
            // Nobody will wake us. The CPU is for whoever else drives, now and then.
            if spins.is_multiple_of(WAIT_SPINS) { yield_now() } else { spin_loop() }
        } else if spins < WAIT_SPINS {
            spin_loop();
        } else {
            self.register(&parker());
            if !self.is_done() {
                left.map_or_else(park, park_timeout);
            }
        }
    }
}

impl Future for Inflight {
    type Output = Completion;

    /// Polling a request whose completion was given away is harmless: it stays pending.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Completion> {
        if let Some(completion) = self.finish() {
            return Poll::Ready(completion);
        }
        if self.ticket.is_spent() {
            return Poll::Pending;
        }
        let is_alone = self.drive().driven_by == DrivenBy::Caller;
        if !is_alone {
            self.register(cx.waker());
        }
        if let Some(completion) = self.finish() {
            return Poll::Ready(completion);
        }
        if is_alone {
            // Yields to the executor, and asks to come back.
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

impl FusedFuture for Inflight {
    fn is_terminated(&self) -> bool {
        self.ticket.is_spent()
    }
}

impl Drop for Inflight {
    fn drop(&mut self) {
        self.channel.table.abandon(&mut self.ticket);
    }
}

impl fmt::Debug for Inflight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inflight").field("is_done", &self.is_done()).finish_non_exhaustive()
    }
}

/// A set of requests under way, and the stream of their completions as they come. Its storage is
/// reused.
#[derive(Debug, Default)]
pub struct Inflights {
    set: Vec<Inflight>,
}

impl Inflights {
    /// An empty set with room for this many.
    #[must_use]
    pub fn with_capacity(requests: usize) -> Self {
        Self { set: Vec::with_capacity(requests) }
    }

    /// Adds a request, unless its completion was given away.
    pub fn push(&mut self, inflight: Inflight) {
        if !inflight.ticket.is_spent() {
            self.set.push(inflight);
        }
    }

    /// How many are under way.
    #[must_use]
    pub fn len(&self) -> usize {
        self.set.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.set.is_empty()
    }

    fn next_done(&mut self) -> Option<Completion> {
        let at = self.set.iter().position(Inflight::is_done)?;
        self.set.swap_remove(at).finish()
    }
}

impl Stream for Inflights {
    type Item = Completion;

    /// Looks at all, drives each engine once, and looks again.
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Completion>> {
        if let Some(completion) = self.next_done() {
            return Poll::Ready(Some(completion));
        }
        let mut driven = None;
        let mut is_alone = false;
        for inflight in &self.set {
            let channel = Arc::as_ptr(&inflight.channel);
            if driven.replace(channel) != Some(channel) {
                is_alone |= inflight.drive().driven_by == DrivenBy::Caller;
            }
            is_alone |= inflight.flags.contains(ReqFlags::POLL);
            inflight.register(cx.waker());
        }
        if let Some(completion) = self.next_done() {
            return Poll::Ready(Some(completion));
        }
        if is_alone {
            cx.waker().wake_by_ref();
        }
        if self.set.is_empty() { Poll::Ready(None) } else { Poll::Pending }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.set.len(), Some(self.set.len()))
    }
}

/// What a request that was already completed has to give.
fn nothing() -> Completion {
    let request = Request::compress(Vec::new(), Vec::new());
    Completion { outcome: Err(Error::Unanswered), executed_on: ExecutedOn::Driver, request }
}

/// Before a waiter sleeps: about 1 us, the time of a short operation.
const WAIT_SPINS: u32 = if cfg!(loom) { 1 } else { 100 };
