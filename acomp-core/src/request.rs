//! Requests that own their buffers, and what comes back.

use crate::buf::Buf;
use crate::error::{Error, Outcome};
use crate::flags::ReqFlags;
use crate::op::{Direction, ExecutedOn};

/// One operation that owns its buffers. It is moved into a
/// [`Submitter`](crate::Submitter) and comes back in a [`Completion`], or in a [`Rejected`].
///
/// # Not possible
///
/// Submitting it again while it is under way:
///
/// ```compile_fail,E0382
/// # use acomp_core::{Request, Submitter};
/// fn submit_twice(submitter: &Submitter, request: Request) {
///     let _first = submitter.submit(request);
///     let _second = submitter.submit(request);
/// }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct Request {
    /// Which way it goes.
    pub direction: Direction,
    /// How it may be carried out.
    pub flags: ReqFlags,
    /// What it reads.
    pub src: Buf,
    /// What it writes.
    pub dst: Buf,
    /// The caller's own mark, untouched.
    pub token: u64,
}

impl Request {
    /// A request that compresses all of `src` into `dst`.
    #[must_use]
    pub fn compress(src: impl Into<Buf>, dst: impl Into<Buf>) -> Self {
        Self::new(Direction::Compress, src.into(), dst.into())
    }

    /// A request that decompresses the stream `src` into `dst`.
    #[must_use]
    pub fn decompress(src: impl Into<Buf>, dst: impl Into<Buf>) -> Self {
        Self::new(Direction::Decompress, src.into(), dst.into())
    }

    /// The same request with these flags instead of none.
    #[must_use]
    pub fn with_flags(mut self, flags: ReqFlags) -> Self {
        self.flags = flags;
        self
    }

    /// The same request with this mark instead of 0.
    #[must_use]
    pub fn with_token(mut self, token: u64) -> Self {
        self.token = token;
        self
    }

    fn new(direction: Direction, src: Buf, dst: Buf) -> Self {
        Self { direction, flags: ReqFlags::empty(), src, dst, token: 0 }
    }
}

/// What became of a request. The buffers always come back.
#[derive(Debug)]
#[non_exhaustive]
pub struct Completion {
    /// Bytes written to the request's `dst`, or why there are none.
    pub outcome: Outcome,
    /// Who executed it.
    pub executed_on: ExecutedOn,
    /// The request, with its buffers.
    pub request: Request,
}

impl Completion {
    /// The bytes that it produced; empty unless it succeeded.
    #[must_use]
    pub fn output(&self) -> &[u8] {
        match self.outcome {
            Ok(len) => self.request.dst.get(..len).unwrap_or_default(),
            Err(_) => &[],
        }
    }
}

/// A request that was not accepted, unchanged.
#[derive(Debug, thiserror::Error)]
#[error("request was not accepted")]
#[non_exhaustive]
pub struct Rejected {
    /// Why.
    #[source]
    pub error: Error,
    /// The request, with its buffers.
    pub request: Request,
}
