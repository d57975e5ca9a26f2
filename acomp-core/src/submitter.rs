//! The asynchronous side of a transform.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use std::time::{Duration, Instant};

use crate::buf::{Buf, BufPool};
use crate::engine::{Engine, Job, Progress, Refused};
use crate::error::{Error, OpenError, Outcome};
use crate::handle::Acomp;
use crate::inflight::{Inflight, Inflights};
use crate::op::Direction;
use crate::port::{BUDGET_OPS, Port};
use crate::request::{Completion, Rejected, Request};
use crate::slot::SlotTable;
use crate::sync::yield_now;

/// Submits requests that complete later. Shared by threads.
///
/// Over a driver without an engine a request completes inside [`submit`](Self::submit), so that
/// consumers write one code path.
///
/// ```
/// use acomp_algs as _;
/// use acomp_core::{Acomp, Request};
///
/// let submitter = Acomp::alloc("lz4")?.submitter(4)?;
/// let inflight = submitter.submit(Request::compress(vec![7; 4096], vec![0; 4096])).unwrap();
/// let completion = inflight.wait(); // or `.await`
/// assert_eq!(completion.outcome, Ok(completion.output().len()));
/// assert_eq!(completion.request.src.len(), 4096); // the buffers come back
/// # Ok::<(), acomp_core::OpenError>(())
/// ```
pub struct Submitter {
    channel: Arc<Channel>,
    src_bytes_max: usize,
    pool: BufPool,
    acomp: Acomp,
}

/// What a submitter shares with its requests.
pub(crate) struct Channel {
    pub(crate) port: Port,
    pub(crate) table: Arc<SlotTable>,
}

impl Channel {
    pub(crate) fn submit(self: &Arc<Self>, request: Request) -> Result<Inflight, Rejected> {
        let flags = request.flags;
        let reaped = || {
            self.port.poll(BUDGET_OPS);
            self.table.claim()
        };
        let Some(claim) = self.table.claim().or_else(reaped) else {
            return Err(Rejected { error: Error::Busy, request });
        };
        let (ticket, work) = claim.submit(request);
        let refused = self.port.submit(work);
        let mut inflight = Inflight::new(ticket, self, flags);
        if let Err((error, work)) = refused {
            drop(work.end());
            if let Some(Completion { request, .. }) = inflight.finish() {
                return Err(Rejected { error, request });
            }
        }
        Ok(inflight)
    }
}

/// The engine of drivers that have none: executes a job where it is submitted.
struct InSubmit(Acomp);

impl Engine for InSubmit {
    fn submit(&self, job: Job) -> Result<(), Refused> {
        job.execute(|ops| self.0.run(ops), None);
        Ok(())
    }

    fn poll(&self, _: usize) -> Progress {
        Progress::NONE
    }
}

impl Submitter {
    pub(crate) fn new(acomp: Acomp, depth: usize) -> Result<Self, OpenError> {
        if depth > DEPTH_OPS_MAX {
            let why = format!("at most {DEPTH_OPS_MAX} requests at a time, not {depth}");
            return Err(OpenError::invalid_param("depth", why));
        }
        let (port, totals) = match acomp.port() {
            Some(port) => (port.clone(), Some(acomp.alg().totals())),
            // Its sessions count what they do.
            None => (Port::new(Arc::new(InSubmit(acomp.clone()))), None),
        };
        let table = Arc::new(SlotTable::new(depth, totals, port.backlog()));
        // A source and a destination for each.
        let pool = BufPool::new(depth.saturating_mul(2), LEASE_BYTES_MAX);
        let channel = Arc::new(Channel { port, table });
        let src_bytes_max = acomp.src_bytes_max().map_or(usize::MAX, Into::into);
        Ok(Self { channel, src_bytes_max, pool, acomp })
    }

    /// The transform.
    #[must_use]
    pub fn acomp(&self) -> &Acomp {
        &self.acomp
    }

    /// Submits a request. Never waits for a device, unless the request [may
    /// sleep](crate::ReqFlags::MAY_SLEEP); a driver without an engine does the work here.
    ///
    /// # Errors
    ///
    /// [`Rejected`] with the request: [`Error::Busy`] when every place of this submitter is taken,
    /// which no flag helps, or when the engine is full and the request may neither
    /// [wait](crate::ReqFlags::MAY_BACKLOG) nor sleep; [`Error::Unsupported`] when the source is
    /// longer than the driver takes; or what the engine answers.
    pub fn submit(&self, request: Request) -> Result<Inflight, Rejected> {
        if request.direction == Direction::Compress && request.src.len() > self.src_bytes_max {
            return Err(Rejected { error: Error::Unsupported, request });
        }
        self.channel.submit(request)
    }

    /// Submits requests from the front of the queue until one is refused. What was accepted is in
    /// `accepted`; what was not stays in the queue, in order: nothing is lost.
    ///
    /// Returns how many were accepted.
    ///
    /// # Errors
    ///
    /// Why the first was refused, if none was accepted.
    ///
    /// ```
    /// use acomp_algs as _;
    /// use acomp_core::{Acomp, Inflights, Request};
    ///
    /// let submitter = Acomp::alloc("lz4")?.submitter(8)?;
    /// let page = || Request::compress(vec![7; 4096], vec![0; 4096]);
    /// let (mut queue, mut accepted) = ([page(), page()].into(), Inflights::default());
    /// assert_eq!(submitter.submit_chain(&mut queue, &mut accepted), Ok(2));
    /// assert!(queue.is_empty() && accepted.len() == 2);
    /// # Ok::<(), acomp_core::OpenError>(())
    /// ```
    pub fn submit_chain(
        &self,
        queue: &mut VecDeque<Request>,
        accepted: &mut Inflights,
    ) -> Result<usize, Error> {
        let before = accepted.len();
        while let Some(request) = queue.pop_front() {
            match self.submit(request) {
                Ok(inflight) => accepted.push(inflight),
                Err(Rejected { error, request }) => {
                    queue.push_front(request);
                    if accepted.len() == before {
                        return Err(error);
                    }
                    break;
                }
            }
        }
        Ok(accepted.len() - before)
    }

    /// Compresses borrowed bytes through leased buffers: two copies, and nothing to own.
    ///
    /// Dropping the future abandons the result; `dst` is then untouched.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`] when no place or buffer is free, [`Error::Unsupported`] when a side is
    /// longer than 64 KiB, or what the driver answers. `dst` is then untouched.
    pub async fn compress(&self, src: &[u8], dst: &mut [u8]) -> Outcome {
        self.borrowed(Direction::Compress, src, dst).await
    }

    /// Decompresses borrowed bytes, as [`compress`](Self::compress).
    ///
    /// # Errors
    ///
    /// As [`compress`](Self::compress).
    pub async fn decompress(&self, src: &[u8], dst: &mut [u8]) -> Outcome {
        self.borrowed(Direction::Decompress, src, dst).await
    }

    /// A pooled buffer of `len` bytes, aligned to a page; it returns to the pool when dropped. It
    /// holds whatever it held before.
    /// `None` when all are leased, or when it is longer than 64 KiB.
    #[must_use]
    pub fn lease(&self, len: usize) -> Option<Buf> {
        self.pool.lease(len)
    }

    /// Completes up to `budget` requests that are ready, of whomever, and tells how many.
    #[expect(clippy::must_use_candidate, reason = "it works")]
    pub fn poll(&self, budget: usize) -> usize {
        self.channel.port.poll(budget).completed
    }

    /// Requests that could be submitted now, as far as this submitter is concerned.
    #[must_use]
    pub fn free_slots(&self) -> usize {
        self.channel.table.free_slots()
    }

    /// Polls until every request is complete and its completion taken or abandoned.
    ///
    /// # Errors
    ///
    /// Gives the submitter back when that takes longer than `limit`. Dropping it is still fine:
    /// what remains belongs to its jobs.
    pub fn close(self, limit: Duration) -> Result<(), Self> {
        let table = &self.channel.table;
        let started = Instant::now();
        loop {
            let completed = self.poll(BUDGET_OPS);
            if table.free_slots() == table.depth() {
                return Ok(());
            }
            if started.elapsed() >= limit {
                return Err(self);
            }
            if completed == 0 {
                yield_now();
            }
        }
    }

    async fn borrowed(&self, direction: Direction, src: &[u8], dst: &mut [u8]) -> Outcome {
        if src.len().max(dst.len()) > LEASE_BYTES_MAX {
            return Err(Error::Unsupported);
        }
        let (Some(mut src_buf), Some(dst_buf)) = (self.lease(src.len()), self.lease(dst.len()))
        else {
            return Err(Error::Busy);
        };
        src_buf.copy_from_slice(src);
        let request = match direction {
            Direction::Compress => Request::compress(src_buf, dst_buf),
            Direction::Decompress => Request::decompress(src_buf, dst_buf),
        };
        let completion = self.submit(request).map_err(|rejected| rejected.error)?.await;
        let len = completion.outcome?;
        let output = completion.output();
        dst.get_mut(..len).ok_or(Error::Overclaimed)?.copy_from_slice(output);
        Ok(len)
    }
}

impl Drop for Submitter {
    /// Reaps once what nobody else may ever reap. What remains belongs to its jobs.
    fn drop(&mut self) {
        self.poll(BUDGET_OPS);
    }
}

impl fmt::Debug for Submitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Submitter")
            .field("acomp", &self.acomp)
            .field("free_slots", &self.free_slots())
            .finish_non_exhaustive()
    }
}

/// More than any queue of a device holds.
const DEPTH_OPS_MAX: usize = 4096;
/// Longest buffer that is leased.
const LEASE_BYTES_MAX: usize = 64 << 10;
