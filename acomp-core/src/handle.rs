//! What a consumer holds: [`Acomp`], a transform that threads share, and [`Session`], its exclusive
//! and hot side.

use std::cell::Cell;
use std::collections::TryReserveError;
use std::fmt;
use std::io::{IoSlice, IoSliceMut};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};

use once_cell::sync::OnceCell;

use crate::alg::{AlgInfo, Algorithm, Codec};
use crate::error::{Error, Misuse, OpenError, Outcome};
use crate::flags::AlgFlags;
use crate::op::{Chain, Direction, ExecutedOn, MAX_BATCH, Op, Ops, RunSummary, bounded};
use crate::panics::caught;
use crate::params::Params;
use crate::port::Port;
use crate::registry::{AlgRef, Registry};
use crate::selftest::Verdict;
use crate::stats::{Meter, Stats};
use crate::submitter::Submitter;

/// A transform: one driver with fixed parameters. Cheap to clone, shared by threads.
///
/// Its own [`compress`](Self::compress) and [`decompress`](Self::decompress) borrow a pooled
/// session; a loop opens its own with [`session`](Self::session).
///
/// ```
/// use acomp_algs as _;
/// use acomp_core::{Acomp, Params, Registry};
///
/// let acomp = Acomp::alloc_in(Registry::global(), "deflate", Params::new().with_level(6))?;
/// let (mut packed, mut back) = ([0u8; 64], [0u8; 64]);
/// let len = acomp.compress(b"a page, a page, a page", &mut packed).unwrap();
/// assert_eq!(acomp.decompress(&packed[..len], &mut back), Ok(22));
/// # Ok::<(), acomp_core::OpenError>(())
/// ```
#[derive(Clone)]
pub struct Acomp {
    inner: Arc<Inner>,
}

struct Inner {
    alg: AlgRef,
    prepared: Arc<dyn Algorithm>,
    /// As the prepared driver said once: fixed for the transform's life.
    info: AlgInfo,
    params: Params,
    port: Option<Port>,
    /// The pool of the shared calls: one session that is always there, and one more for each
    /// further CPU, opened on demand.
    first: Mutex<Session>,
    more: Box<[OnceCell<Mutex<Session>>]>,
}

impl Acomp {
    /// Allocates the best usable driver of a generic name, or the driver of exactly this name, from
    /// the global registry and without parameters.
    ///
    /// # Errors
    ///
    /// As [`alloc_in`](Self::alloc_in).
    pub fn alloc(name: &str) -> Result<Self, OpenError> {
        Self::alloc_in(Registry::global(), name, Params::new())
    }

    /// Allocates the best usable driver of a generic name, or the driver of exactly this name, with
    /// the parameters and within the templates that the name gives: `zstd(level=3)`,
    /// `verify(lz4)`.
    ///
    /// Candidates are asked best first. One whose device is absent, whose self-test fails or that
    /// does not support a parameter is passed over; an exact driver name never falls through.
    ///
    /// # Errors
    ///
    /// [`OpenError::NotFound`] with the known names, [`OpenError::InvalidName`],
    /// [`OpenError::InvalidParam`] for a parameter that no candidate takes, or that the name and
    /// `params` give differently, the driver's own error when there is one candidate,
    /// [`OpenError::NoneUsable`] with every reason when there are several.
    pub fn alloc_in(registry: &Registry, name: &str, params: Params) -> Result<Self, OpenError> {
        let resolved = registry.resolve(name, params)?;
        let mut refused = Vec::new();
        for alg in &resolved.candidates {
            let opened = registry.instance(alg, &resolved);
            match opened.and_then(|alg| Self::open(alg, resolved.params.clone())) {
                Ok(acomp) => return Ok(acomp),
                Err(why @ OpenError::InvalidParam { .. }) => return Err(resolved.located(why)),
                Err(why) => refused.push((alg.info().driver.as_ref().into(), why)),
            }
        }
        Err(resolved.located(OpenError::all_refused(name, refused)))
    }

    /// Allocates this driver, tested if this is its first use.
    ///
    /// # Errors
    ///
    /// [`OpenError::SelfTest`] when its self-test failed, [`OpenError::Panicked`], or the driver's
    /// own error.
    pub fn open(alg: AlgRef, params: Params) -> Result<Self, OpenError> {
        if let Verdict::Failed(case) = alg.self_test()? {
            return Err(OpenError::SelfTest { driver: alg.info().driver.as_ref().into(), case });
        }
        let made = alg.algorithm()?;
        let inside = alg.enter()?;
        let prepared = caught(|| made.prepare(&params)).unwrap_or_else(|| Err(alg.panicked()))?;
        let prepared = prepared.unwrap_or_else(|| Arc::clone(made));
        let info = alg.info_of(&*prepared)?;
        let port = caught(|| prepared.port().cloned()).ok_or_else(|| alg.panicked())?;
        drop(inside);

        let first = Mutex::new(open_session(&alg, &*prepared, &info, &params)?);
        let cpus = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let more = (1..cpus).map(|_| OnceCell::new()).collect();
        Ok(Self { inner: Arc::new(Inner { alg, prepared, info, params, port, first, more }) })
    }

    /// The generic name. Stored data is tagged with it and with [`params`](Self::params).
    #[must_use]
    pub fn name(&self) -> &str {
        &self.inner.alg.info().name
    }

    /// The driver's name.
    #[must_use]
    pub fn driver(&self) -> &str {
        &self.inner.alg.info().driver
    }

    /// The facts of the driver as prepared for these parameters.
    #[must_use]
    pub fn info(&self) -> &AlgInfo {
        &self.inner.info
    }

    /// The driver in its registry, with its verdict and statistics.
    #[must_use]
    pub fn alg(&self) -> &AlgRef {
        &self.inner.alg
    }

    /// The parameters.
    #[must_use]
    pub fn params(&self) -> &Params {
        &self.inner.params
    }

    /// Whether an operation may wait for another thread, a lock or a device. A caller that must not
    /// sleep asks this, not whether the driver is a device.
    #[must_use]
    pub fn may_block(&self) -> bool {
        !self.info().flags.contains(AlgFlags::NEVER_BLOCKS)
    }

    /// Whether an operation on an open session may allocate memory, for sources of up to a page.
    #[must_use]
    pub fn may_allocate(&self) -> bool {
        !self.info().flags.contains(AlgFlags::NO_ALLOC_AFTER_OPEN)
    }

    /// Longest source of a compression in bytes; `None` = no limit.
    #[must_use]
    pub fn src_bytes_max(&self) -> Option<NonZeroUsize> {
        self.info().src_bytes_max
    }

    /// NUMA node of the device, if it has one.
    #[must_use]
    pub fn numa_node(&self) -> Option<u32> {
        self.info().numa_node
    }

    /// Upper bound of the ops that are useful in one chain; fixed for the transform's life.
    #[must_use]
    pub fn batch_size(&self) -> NonZeroUsize {
        self.info().batch_size
    }

    /// Opens a session. All allocation happens here.
    ///
    /// # Errors
    ///
    /// The driver's own error, or [`OpenError::Panicked`].
    pub fn session(&self) -> Result<Session, OpenError> {
        let Inner { alg, prepared, info, params, .. } = &*self.inner;
        open_session(alg, &**prepared, info, params)
    }

    /// Opens the asynchronous side, for at most `depth` requests at a time. All allocation happens
    /// here: 128 KiB of buffers for each. Without an engine, requests run on pooled sessions, as
    /// [`compress`](Self::compress) does.
    ///
    /// # Errors
    ///
    /// As [`session`](Self::session); [`OpenError::InvalidParam`] when `depth` is above 4096.
    pub fn submitter(&self, depth: usize) -> Result<Submitter, OpenError> {
        Submitter::new(self.clone(), depth)
    }

    /// Whether requests of a [`submitter`](Self::submitter) complete later, by a device or threads,
    /// and not inside the call that submits them.
    #[must_use]
    pub fn is_async(&self) -> bool {
        self.port().is_some()
    }

    pub(crate) fn port(&self) -> Option<&Port> {
        self.inner.port.as_ref()
    }

    /// Compresses on a pooled session: [`Session::compress`] for callers without one. At most as
    /// many calls run at a time as there are CPUs.
    ///
    /// # Errors
    ///
    /// As [`Session::compress`].
    pub fn compress(&self, src: &[u8], dst: &mut [u8]) -> Outcome {
        self.with_pooled(|session| session.compress(src, dst))
    }

    /// Decompresses on a pooled session: [`Session::decompress`] for callers without one.
    ///
    /// # Errors
    ///
    /// As [`Session::decompress`].
    pub fn decompress(&self, src: &[u8], dst: &mut [u8]) -> Outcome {
        self.with_pooled(|session| session.decompress(src, dst))
    }

    /// Runs a chain on a pooled session: [`Session::run`] for callers without one.
    pub fn run(&self, ops: &mut [Op<'_>]) -> RunSummary {
        self.with_pooled(|session| session.run(ops))
    }

    /// One lock per call while no more threads than CPUs share the transform: each starts looking
    /// at a place of its own, and waits only when every place is taken.
    #[inline]
    fn with_pooled<T>(&self, run: impl FnOnce(&mut Session) -> T) -> T {
        let places = self.inner.more.len() + 1;
        let home = thread_number();
        for i in home..home + places {
            let free = self.place(i % places).and_then(|place| match place.try_lock() {
                Ok(guard) => Some(guard),
                Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) => None,
            });
            if let Some(mut session) = free {
                return run(self.replaced_if_dead(&mut session));
            }
        }
        let home = self.place(home % places).unwrap_or(&self.inner.first);
        let mut session = home.lock().unwrap_or_else(PoisonError::into_inner);
        run(self.replaced_if_dead(&mut session))
    }

    /// `None` if the session of this place cannot be opened now.
    #[inline]
    fn place(&self, i: usize) -> Option<&Mutex<Session>> {
        match i.checked_sub(1) {
            None => Some(&self.inner.first),
            Some(i) => self.inner.more[i].get_or_try_init(|| self.session().map(Mutex::new)).ok(),
        }
    }

    /// A dead session that cannot be replaced stays and answers for itself.
    #[inline]
    pub(crate) fn replaced_if_dead<'s>(&self, session: &'s mut Session) -> &'s mut Session {
        if session.is_dead()
            && let Ok(fresh) = self.session()
        {
            *session = fresh;
        }
        session
    }
}

impl fmt::Debug for Acomp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acomp")
            .field("info", self.info())
            .field("params", self.params())
            .finish_non_exhaustive()
    }
}

/// The exclusive side of a transform: one codec, used by one caller at a time.
///
/// Sessions move between threads freely and allocate nothing per operation.
///
/// # Not possible
///
/// Two users at a time:
///
/// ```compile_fail,E0499
/// # use acomp_core::Session;
/// fn two_users(session: &mut Session, one: &mut [u8], other: &mut [u8]) {
///     std::thread::scope(|scope| {
///         scope.spawn(|| session.compress(b"page", one));
///         scope.spawn(|| session.compress(b"page", other));
///     });
/// }
/// ```
pub struct Session {
    codec: Box<dyn Codec>,
    meter: Meter,
    src_bytes_max: usize,
    bounce_bytes_max: usize,
    is_dead: bool,
    bounce: Bounce,
}

impl Session {
    /// Compresses all of `src` into `dst` and returns the length of the stream in bytes.
    ///
    /// There is no length of `dst` that suffices for every driver. Offer what a stream is worth to
    /// you, and keep the source itself when it does not fit.
    ///
    /// # Errors
    ///
    /// [`Error::DstTooSmall`] when it does not fit, [`Error::Unsupported`] when `src` is longer
    /// than the driver takes, or another kind of [`Error`]. `dst` is then unspecified.
    #[inline]
    pub fn compress(&mut self, src: &[u8], dst: &mut [u8]) -> Outcome {
        self.single(Direction::Compress, src, dst)
    }

    /// Decompresses the stream that `src` consists of and returns the length of the data in bytes.
    ///
    /// # Errors
    ///
    /// [`Error::Corrupt`] when `src` is not one valid stream, [`Error::DstTooSmall`] when the data
    /// does not fit, or another kind of [`Error`]. `dst` is then unspecified.
    #[inline]
    pub fn decompress(&mut self, src: &[u8], dst: &mut [u8]) -> Outcome {
        self.single(Direction::Decompress, src, dst)
    }

    /// Runs a chain: every op is answered exactly once when this returns. The order of execution
    /// is the driver's; a failing op does not stop the others.
    ///
    /// See the [crate documentation](crate) for an example.
    #[inline]
    pub fn run(&mut self, ops: &mut [Op<'_>]) -> RunSummary {
        if ops.len() <= MAX_BATCH {
            return self.run_part(ops);
        }
        let mut summary = RunSummary::default();
        for part in ops.chunks_mut(MAX_BATCH) {
            summary.add(self.run_part(part));
        }
        summary
    }

    /// Compresses `src` in units of `unit` bytes, each to a stream of its own: unit `i` into
    /// `dsts[i]`, its outcome in `outcomes[i]`. The last unit may be short.
    ///
    /// # Errors
    ///
    /// [`Misuse`] when there are fewer destinations or outcome cells than units; nothing is run.
    ///
    /// ```
    /// use acomp_algs as _;
    /// use acomp_core::Acomp;
    ///
    /// let mut session = Acomp::alloc("lz4")?.session()?;
    /// let folio = vec![1u8; 2 * 4096];
    /// let (mut a, mut b) = ([0u8; 4096], [0u8; 4096]);
    /// let mut outcomes = [Ok(0); 2];
    /// let unit = 4096.try_into().unwrap();
    /// let summary = session.run_units(&folio, unit, &mut [&mut a, &mut b], &mut outcomes);
    /// assert_eq!(summary.unwrap().ok, 2);
    /// assert!(outcomes[0].unwrap() < 100);
    /// # Ok::<(), acomp_core::OpenError>(())
    /// ```
    pub fn run_units(
        &mut self,
        src: &[u8],
        unit: NonZeroUsize,
        dsts: &mut [&mut [u8]],
        outcomes: &mut [Outcome],
    ) -> Result<RunSummary, Misuse> {
        let units = src.len().div_ceil(unit.get());
        if dsts.len() < units {
            return Err(Misuse::TooFewDsts { units, dsts: dsts.len() });
        }
        if outcomes.len() < units {
            return Err(Misuse::TooFewOutcomes { units, outcomes: outcomes.len() });
        }
        let mut srcs = src.chunks(unit.get());
        let mut summary = RunSummary::default();
        for (dsts, outcomes) in dsts.chunks_mut(MAX_BATCH).zip(outcomes.chunks_mut(MAX_BATCH)) {
            let mut chain = Chain::<MAX_BATCH>::new();
            for (dst, src) in dsts.iter_mut().zip(srcs.by_ref().take(MAX_BATCH)) {
                let _ = chain.push(Op::compress(src, dst)); // Room for MAX_BATCH.
            }
            summary.add(self.run_part(chain.as_mut_ops()));
            for (cell, op) in outcomes.iter_mut().zip(chain.ops()) {
                *cell = op.outcome().unwrap_or(Err(Error::Unanswered));
            }
        }
        Ok(summary)
    }

    /// Compresses the concatenation of `src` into `dst`, filled in order.
    ///
    /// Several slices pass through a buffer of the session, which grows to what its calls need;
    /// nothing is then written to `dst` on failure. One slice on either side is passed on as
    /// it is: this is then [`compress`](Self::compress).
    ///
    /// # Errors
    ///
    /// As [`compress`](Self::compress); [`Error::Unsupported`] when there are several slices and
    /// one of the sides is longer than [`Params::bounce_bytes_max`].
    ///
    /// ```
    /// use acomp_algs as _;
    /// use acomp_core::Acomp;
    /// use std::io::{IoSlice, IoSliceMut};
    ///
    /// let mut session = Acomp::alloc("lz4")?.session()?;
    /// let src = [IoSlice::new(b"in two "), IoSlice::new(b"pieces")];
    /// let mut packed = [0u8; 32];
    /// let len = session.compress_vectored(&src, &mut [IoSliceMut::new(&mut packed)]).unwrap();
    ///
    /// let (mut head, mut tail) = ([0u8; 3], [0u8; 20]);
    /// let mut dst = [IoSliceMut::new(&mut head), IoSliceMut::new(&mut tail)];
    /// assert_eq!(session.decompress_vectored(&[IoSlice::new(&packed[..len])], &mut dst), Ok(13));
    /// assert_eq!((&head, &tail[..10]), (b"in ", &b"two pieces"[..]));
    /// # Ok::<(), acomp_core::OpenError>(())
    /// ```
    pub fn compress_vectored(
        &mut self,
        src: &[IoSlice<'_>],
        dst: &mut [IoSliceMut<'_>],
    ) -> Outcome {
        self.vectored(Direction::Compress, src, dst)
    }

    /// Decompresses the concatenation of `src` into `dst`, filled in order.
    ///
    /// # Errors
    ///
    /// As [`decompress`](Self::decompress) and [`compress_vectored`](Self::compress_vectored).
    pub fn decompress_vectored(
        &mut self,
        src: &[IoSlice<'_>],
        dst: &mut [IoSliceMut<'_>],
    ) -> Outcome {
        self.vectored(Direction::Decompress, src, dst)
    }

    /// What this session did so far: a copy.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.meter.read()
    }

    /// Whether its driver panicked, so that it must be replaced: every operation is answered
    /// [`Error::Panicked`].
    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.is_dead
    }

    #[inline]
    fn single(&mut self, direction: Direction, src: &[u8], dst: &mut [u8]) -> Outcome {
        let outcome = if self.is_dead {
            Err(Error::Panicked)
        } else if direction == Direction::Compress && src.len() > self.src_bytes_max {
            Err(Error::Unsupported)
        } else {
            let dst_bytes = dst.len();
            let codec = &mut self.codec;
            let run = || match direction {
                Direction::Compress => codec.compress(src, dst),
                Direction::Decompress => codec.decompress(src, dst),
            };
            match caught(run) {
                // What it wraps died.
                Some(Err(Error::Panicked)) | None => self.died(),
                Some(outcome) => bounded(outcome, dst_bytes),
            }
        };
        self.meter.count(direction, src.len(), outcome);
        outcome
    }

    /// At most `MAX_BATCH` ops.
    #[inline]
    fn run_part(&mut self, ops: &mut [Op<'_>]) -> RunSummary {
        for op in ops.iter_mut().filter(|op| op.outcome().is_some()) {
            op.clear();
        }
        if self.src_bytes_max == usize::MAX {
            self.call(ops);
        } else {
            self.call_without_longer(ops);
        }
        self.meter.count_chain(ops.len());
        let mut summary = RunSummary::default();
        for op in &mut *ops {
            let outcome = match op.outcome() {
                Some(outcome) => outcome,
                None => self.answer_for_driver(op),
            };
            self.meter.count(op.direction(), op.src().len(), outcome);
            if op.executed_on() == Some(ExecutedOn::Fallback) {
                self.meter.count_fallback();
            }
            summary.count(outcome);
        }
        if summary.failed > 0 {
            self.look_for_panics(ops);
        }
        summary
    }

    /// What the driver wraps may have died.
    #[cold]
    fn look_for_panics(&mut self, ops: &[Op<'_>]) {
        self.is_dead |= ops.iter().any(|op| op.outcome() == Some(Err(Error::Panicked)));
    }

    /// Out of line: few drivers have a limit.
    #[inline(never)]
    fn call_without_longer(&mut self, ops: &mut [Op<'_>]) {
        let src_bytes_max = self.src_bytes_max;
        ops.split_mut(|op| op.is_longer(src_bytes_max)).for_each(|part| self.call(part));
    }

    #[cold]
    fn answer_for_driver(&self, op: &mut Op<'_>) -> Outcome {
        let why = match (self.is_dead, op.is_longer(self.src_bytes_max)) {
            (true, _) => Error::Panicked,
            (false, true) => Error::Unsupported,
            (false, false) => Error::Unanswered,
        };
        op.answer(Err(why), ExecutedOn::Driver);
        Err(why)
    }

    #[inline]
    fn call(&mut self, ops: &mut [Op<'_>]) {
        if self.is_dead || ops.is_empty() {
            return;
        }
        let codec = &mut self.codec;
        if caught(|| codec.run(&mut Ops::new(ops))).is_none() {
            self.is_dead = true;
        }
    }

    #[cold]
    fn died(&mut self) -> Outcome {
        self.is_dead = true;
        Err(Error::Panicked)
    }

    fn vectored(
        &mut self,
        direction: Direction,
        src: &[IoSlice<'_>],
        dst: &mut [IoSliceMut<'_>],
    ) -> Outcome {
        if let ([src], [dst]) = (src, &mut *dst) {
            return self.single(direction, src, dst);
        }
        let src_bytes = src.iter().fold(0usize, |sum, s| sum.saturating_add(s.len()));
        let dst_bytes = dst.iter().fold(0usize, |sum, d| sum.saturating_add(d.len()));
        let is_too_long = src_bytes.max(dst_bytes) > self.bounce_bytes_max;
        if self.is_dead || is_too_long || self.bounce.reserve(src_bytes, dst_bytes).is_err() {
            let why = if self.is_dead { Error::Panicked } else { Error::Unsupported };
            self.meter.count(direction, src_bytes, Err(why));
            return Err(why);
        }
        // Taken out, so that the session can be borrowed; put back below.
        let mut bounce = std::mem::take(&mut self.bounce);
        bounce.gather(src);
        let outcome =
            self.single(direction, &bounce.src[..src_bytes], &mut bounce.dst[..dst_bytes]);
        if let Ok(len) = outcome {
            scatter(&bounce.dst[..len], dst);
        }
        self.bounce = bounce;
        outcome
    }
}

impl Drop for Session {
    /// A codec that panics while it is dropped, too, harms nobody else.
    fn drop(&mut self) {
        let codec = std::mem::replace(&mut self.codec, Box::new(NoCodec));
        caught(|| drop(codec));
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("is_dead", &self.is_dead)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

/// The linear buffers behind the vectored calls: as large as the largest call so far.
#[derive(Default)]
struct Bounce {
    src: Vec<u8>,
    dst: Vec<u8>,
}

impl Bounce {
    fn reserve(&mut self, src_bytes: usize, dst_bytes: usize) -> Result<(), TryReserveError> {
        for (buffer, bytes) in [(&mut self.src, src_bytes), (&mut self.dst, dst_bytes)] {
            buffer.try_reserve_exact(bytes.saturating_sub(buffer.len()))?;
            buffer.resize(bytes.max(buffer.len()), 0);
        }
        Ok(())
    }

    fn gather(&mut self, src: &[IoSlice<'_>]) {
        let mut at = 0;
        for part in src {
            self.src[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
    }
}

fn scatter(mut from: &[u8], dst: &mut [IoSliceMut<'_>]) {
    for part in dst {
        let (now, later) = from.split_at(part.len().min(from.len()));
        part[..now.len()].copy_from_slice(now);
        from = later;
    }
}

/// What a session has while it is dropped. Takes no memory.
struct NoCodec;

impl Codec for NoCodec {
    fn compress(&mut self, _: &[u8], _: &mut [u8]) -> Outcome {
        Err(Error::Panicked)
    }

    fn decompress(&mut self, _: &[u8], _: &mut [u8]) -> Outcome {
        Err(Error::Panicked)
    }
}

fn open_session(
    alg: &AlgRef,
    prepared: &dyn Algorithm,
    info: &AlgInfo,
    params: &Params,
) -> Result<Session, OpenError> {
    let inside = alg.enter()?;
    let codec = caught(|| prepared.open(params)).unwrap_or_else(|| Err(alg.panicked()))?;
    drop(inside);
    Ok(Session {
        codec,
        meter: Meter::new(alg.totals()),
        src_bytes_max: info.src_bytes_max.map_or(usize::MAX, NonZeroUsize::get),
        bounce_bytes_max: params.bounce_bytes_max().get(),
        is_dead: false,
        bounce: Bounce::default(),
    })
}

/// A small number for each thread, so that threads start looking for a session in different places.
#[inline]
fn thread_number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local!(static NUMBER: Cell<Option<usize>> = const { Cell::new(None) });
    NUMBER.get().unwrap_or_else(|| {
        let number = NEXT.fetch_add(1, Relaxed);
        NUMBER.set(Some(number));
        number
    })
}
