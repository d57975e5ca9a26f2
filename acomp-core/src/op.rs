//! Operations and chains of them: what a consumer builds ([`Op`], [`Chain`]) and what a driver sees
//! of it ([`Ops`], [`OpMut`]).

use std::fmt;

use crate::error::{Error, Outcome};
use crate::flags::ReqFlags;

/// Most ops that a driver sees in one call; longer slices are cut.
pub const MAX_BATCH: usize = 64;

/// One borrowed operation. Lives on the caller's stack; may be run again, which clears its outcome.
///
/// ```
/// use acomp_algs as _;
/// use acomp_core::{Acomp, ExecutedOn, Op};
///
/// let mut session = Acomp::alloc("lz4")?.session()?;
/// let mut dst = [0u8; 64];
/// let mut op = Op::compress(b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", &mut dst);
/// session.run(std::slice::from_mut(&mut op));
/// assert_eq!(op.outcome(), Some(Ok(op.output().len())));
/// assert_eq!(op.executed_on(), Some(ExecutedOn::Driver));
/// # Ok::<(), acomp_core::OpenError>(())
/// ```
pub struct Op<'b> {
    src: &'b [u8],
    dst: &'b mut [u8],
    outcome: Option<Outcome>,
    flags: ReqFlags,
    direction: Direction,
    executed_on: ExecutedOn,
}

impl<'b> Op<'b> {
    /// An operation that compresses all of `src` into `dst`.
    #[inline]
    #[must_use]
    pub const fn compress(src: &'b [u8], dst: &'b mut [u8]) -> Self {
        Self::new(Direction::Compress, src, dst)
    }

    /// An operation that decompresses the stream `src` into `dst`.
    #[inline]
    #[must_use]
    pub const fn decompress(src: &'b [u8], dst: &'b mut [u8]) -> Self {
        Self::new(Direction::Decompress, src, dst)
    }

    /// The same operation with these flags instead of none.
    #[must_use]
    pub const fn with_flags(mut self, flags: ReqFlags) -> Self {
        self.flags = flags;
        self
    }

    /// Which way it goes.
    #[must_use]
    pub const fn direction(&self) -> Direction {
        self.direction
    }

    /// What it reads.
    #[inline]
    #[must_use]
    pub const fn src(&self) -> &'b [u8] {
        self.src
    }

    /// What became of it; `None` before its first run.
    #[inline]
    #[must_use]
    pub const fn outcome(&self) -> Option<Outcome> {
        self.outcome
    }

    /// Who executed it; `None` before its first run.
    #[must_use]
    pub const fn executed_on(&self) -> Option<ExecutedOn> {
        if self.outcome.is_some() { Some(self.executed_on) } else { None }
    }

    /// The bytes it produced; empty unless it succeeded.
    #[inline]
    #[must_use]
    pub fn output(&self) -> &[u8] {
        match self.outcome {
            Some(Ok(len)) => self.dst.get(..len).unwrap_or_default(),
            _ => &[],
        }
    }

    #[inline]
    const fn new(direction: Direction, src: &'b [u8], dst: &'b mut [u8]) -> Self {
        Self {
            src,
            dst,
            outcome: None,
            flags: ReqFlags::empty(),
            direction,
            executed_on: ExecutedOn::Driver,
        }
    }

    const fn noop() -> Self {
        Self::new(Direction::Compress, &[], &mut [])
    }

    /// Whether it compresses more than a driver takes.
    #[inline]
    pub(crate) fn is_longer(&self, src_bytes_max: usize) -> bool {
        self.direction == Direction::Compress && self.src.len() > src_bytes_max
    }

    #[inline]
    pub(crate) fn clear(&mut self) {
        self.outcome = None;
    }

    /// The first answer counts, and a length beyond `dst` is no answer to believe.
    #[inline]
    pub(crate) fn answer(&mut self, outcome: Outcome, on: ExecutedOn) {
        if self.outcome.is_none() {
            self.outcome = Some(bounded(outcome, self.dst.len()));
            self.executed_on = on;
        }
    }
}

impl fmt::Debug for Op<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Op")
            .field("direction", &self.direction)
            .field("flags", &self.flags)
            .field("src_bytes", &self.src.len())
            .field("dst_bytes", &self.dst.len())
            .field("outcome", &self.outcome)
            .finish_non_exhaustive()
    }
}

/// Refuses a length that a driver cannot have written.
#[inline]
pub(crate) fn bounded(outcome: Outcome, dst_bytes: usize) -> Outcome {
    match outcome {
        Ok(len) if len > dst_bytes => Err(Error::Overclaimed),
        outcome => outcome,
    }
}

/// Which way an operation goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "there is no third direction")]
pub enum Direction {
    /// From data to stream.
    Compress,
    /// From stream to data.
    Decompress,
}

/// Who executed an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ExecutedOn {
    /// The driver itself.
    Driver,
    /// The driver's own software fallback.
    Fallback,
    /// A worker thread of a template.
    Worker,
}

/// An inline array of ops: no allocation, no list, its bound in the type.
///
/// ```
/// use acomp_core::{Chain, Op};
/// let mut dst = [0u8; 16];
/// let mut chain = Chain::<1>::new();
/// assert!(chain.push(Op::compress(b"page", &mut dst)).is_ok());
/// let mut more = [0u8; 16];
/// assert!(chain.push(Op::compress(b"page", &mut more)).is_err()); // full: the op comes back
/// assert_eq!(chain.ops().len(), 1);
/// ```
///
/// # Not possible
///
/// Using a destination before the chain is done with it:
///
/// ```compile_fail,E0506
/// # use acomp_core::{Chain, Op, Session};
/// fn write_too_early(session: &mut Session, dst: &mut [u8]) {
///     let mut chain = Chain::<1>::new();
///     let _ = chain.push(Op::compress(b"page", dst));
///     dst[0] = 7;
///     session.run(chain.as_mut_ops());
/// }
/// ```
pub struct Chain<'b, const N: usize = MAX_BATCH> {
    ops: [Op<'b>; N],
    len: usize,
}

impl<'b, const N: usize> Chain<'b, N> {
    /// An empty chain.
    #[inline]
    #[must_use]
    pub const fn new() -> Self {
        Self { ops: [const { Op::noop() }; N], len: 0 }
    }

    /// Appends an op.
    ///
    /// # Errors
    ///
    /// Gives the op back when the chain is full.
    #[inline]
    pub fn push(&mut self, op: Op<'b>) -> Result<(), Op<'b>> {
        match self.ops.get_mut(self.len) {
            Some(place) => {
                *place = op;
                self.len += 1;
                Ok(())
            }
            None => Err(op),
        }
    }

    /// Number of ops.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no op.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The ops in order, to be run.
    #[inline]
    pub fn as_mut_ops(&mut self) -> &mut [Op<'b>] {
        &mut self.ops[..self.len]
    }

    /// The ops in order.
    #[inline]
    #[must_use]
    pub fn ops(&self) -> &[Op<'b>] {
        &self.ops[..self.len]
    }
}

impl<const N: usize> Default for Chain<'_, N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> fmt::Debug for Chain<'_, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.ops()).finish()
    }
}

/// What became of a chain as a whole. Each op also has its own outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunSummary {
    /// Ops that succeeded.
    pub ok: usize,
    /// Ops that failed.
    pub failed: usize,
    /// The first failed op in the order of the chain.
    pub first_error: Option<Error>,
}

impl RunSummary {
    #[inline]
    pub(crate) fn count(&mut self, outcome: Outcome) {
        match outcome {
            Ok(_) => self.ok += 1,
            Err(error) => {
                self.failed += 1;
                self.first_error.get_or_insert(error);
            }
        }
    }

    pub(crate) fn add(&mut self, later: Self) {
        self.ok += later.ok;
        self.failed += later.failed;
        self.first_error = self.first_error.or(later.first_error);
    }
}

/// What a driver sees of a batch: ops that can be visited, indexed and split, never permuted (a
/// driver that could reorder the caller's slice could swap pages between their owners).
pub struct Ops<'a, 'b> {
    ops: &'a mut [Op<'b>],
}

impl<'a, 'b> Ops<'a, 'b> {
    /// A view over `ops`. A [`Session`](crate::Session) makes it; so does whoever drives a
    /// [`Codec`](crate::Codec) by hand.
    #[inline]
    #[must_use]
    pub const fn new(ops: &'a mut [Op<'b>]) -> Self {
        Self { ops }
    }

    /// For what wraps another driver: the ops, to be run by a session.
    pub(crate) const fn as_mut_ops(&mut self) -> &mut [Op<'b>] {
        self.ops
    }

    /// Number of ops.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.ops.len()
    }

    /// Whether there is no op.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    /// The op at `index`.
    #[must_use]
    pub fn get_mut(&mut self, index: usize) -> Option<OpMut<'_, 'b>> {
        self.ops.get_mut(index).map(|op| OpMut { op })
    }

    /// The ops in order. Several may be held at once.
    #[inline]
    pub fn iter_mut(&mut self) -> impl ExactSizeIterator<Item = OpMut<'_, 'b>> {
        self.ops.iter_mut().map(|op| OpMut { op })
    }

    /// The first `mid` ops (all, if there are fewer) and the rest.
    #[must_use]
    pub fn split_at_mut(&mut self, mid: usize) -> (Ops<'_, 'b>, Ops<'_, 'b>) {
        let (head, tail) = self.ops.split_at_mut(mid.min(self.ops.len()));
        (Ops { ops: head }, Ops { ops: tail })
    }
}

impl fmt::Debug for Ops<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&*self.ops).finish()
    }
}

/// A driver's hold of one op: its buffers and the duty to answer.
#[derive(Debug)]
pub struct OpMut<'a, 'b> {
    op: &'a mut Op<'b>,
}

impl OpMut<'_, '_> {
    /// Which way it goes.
    #[inline]
    #[must_use]
    pub const fn direction(&self) -> Direction {
        self.op.direction
    }

    /// How it may be carried out.
    #[must_use]
    pub const fn flags(&self) -> ReqFlags {
        self.op.flags
    }

    /// Source and destination.
    #[inline]
    pub const fn io(&mut self) -> (&[u8], &mut [u8]) {
        (self.op.src, self.op.dst)
    }

    /// Answers the op. The first answer counts; a length beyond the destination becomes
    /// [`Overclaimed`](Error::Overclaimed).
    #[inline]
    pub fn complete(self, outcome: Outcome, on: ExecutedOn) {
        self.op.answer(outcome, on);
    }
}
