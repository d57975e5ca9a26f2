//! Futures around a request's future: give up waiting, fall back to software.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project::pin_project;

use crate::error::Error;
use crate::handle::Session;
use crate::op::{Direction, ExecutedOn};
use crate::request::Completion;

/// Waits for a request until a timer is up. Nothing is abandoned: the request then comes back,
/// still under way. The timer is any future; this crate has none.
///
/// ```
/// use acomp_algs as _;
/// use acomp_core::{Acomp, Request, Timeout};
/// use futures::executor::block_on;
///
/// let submitter = Acomp::alloc("lz4")?.submitter(1)?;
/// let inflight = submitter.submit(Request::compress(vec![7; 4096], vec![0; 4096])).unwrap();
/// let timer = std::future::pending::<()>(); // an executor's sleep, say
/// let completion = block_on(Timeout::new(inflight, timer)).expect("in time");
/// assert!(completion.outcome.is_ok());
/// # Ok::<(), acomp_core::OpenError>(())
/// ```
#[pin_project]
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Timeout<F, T> {
    request: Option<F>,
    #[pin]
    timer: T,
}

impl<F, T> Timeout<F, T> {
    /// Races `request` against `timer`.
    pub const fn new(request: F, timer: T) -> Self {
        Self { request: Some(request), timer }
    }
}

impl<F: Future + Unpin, T: Future> Future for Timeout<F, T> {
    type Output = Result<F::Output, F>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Some(request) = this.request else { return Poll::Pending };
        if let Poll::Ready(output) = Pin::new(request).poll(cx) {
            *this.request = None;
            return Poll::Ready(Ok(output));
        }
        match (this.timer.poll(cx), this.request.take()) {
            (Poll::Ready(_), Some(request)) => Poll::Ready(Err(request)),
            (_, request) => {
                *this.request = request;
                Poll::Pending
            }
        }
    }
}

/// Runs a request in software when its device was [`Busy`](Error::Busy), lost it, or timed out. The
/// completion then says [`ExecutedOn::Fallback`]. Other outcomes are the device's to give.
///
/// ```
/// use acomp_algs as _;
/// use acomp_core::{Acomp, OrSoftware, Request};
/// use futures::executor::block_on;
///
/// let lz4 = Acomp::alloc("lz4")?;
/// let (submitter, mut software) = (lz4.submitter(1)?, lz4.session()?);
/// let inflight = submitter.submit(Request::compress(vec![7; 4096], vec![0; 4096])).unwrap();
/// assert!(block_on(OrSoftware::new(inflight, &mut software)).outcome.is_ok());
/// # Ok::<(), acomp_core::OpenError>(())
/// ```
#[pin_project]
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct OrSoftware<'s, F> {
    #[pin]
    request: F,
    software: &'s mut Session,
}

impl<'s, F> OrSoftware<'s, F> {
    /// Awaits `request`, with `software` at hand.
    pub const fn new(request: F, software: &'s mut Session) -> Self {
        Self { request, software }
    }
}

impl<F: Future<Output = Completion>> Future for OrSoftware<'_, F> {
    type Output = Completion;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Completion> {
        let this = self.project();
        let Poll::Ready(mut completion) = this.request.poll(cx) else { return Poll::Pending };
        if let Err(Error::Busy | Error::DeviceLost | Error::TimedOut) = completion.outcome {
            let request = &mut completion.request;
            completion.outcome = match request.direction {
                Direction::Compress => this.software.compress(&request.src, &mut request.dst),
                Direction::Decompress => this.software.decompress(&request.src, &mut request.dst),
            };
            completion.executed_on = ExecutedOn::Fallback;
        }
        Poll::Ready(completion)
    }
}
