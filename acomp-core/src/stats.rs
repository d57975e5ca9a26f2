//! Statistics: counters that one session writes and anybody reads.
//!
//! The hot path only adds to counters that no other thread writes and that share no cache line with
//! anything: relaxed loads and stores, no read-modify-write. Sums are made when somebody asks.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::error::{Error, Outcome};
use crate::op::{Direction, MAX_BATCH};

/// A copy of the statistics of a session or of a driver.
///
/// ```
/// use acomp_algs as _;
/// use acomp_core::{Acomp, Error};
///
/// let mut session = Acomp::alloc("lz4")?.session()?;
/// let mut small = [0u8; 1];
/// assert_eq!(session.compress(b"does not fit", &mut small), Err(Error::DstTooSmall));
/// let stats = session.stats();
/// assert_eq!((stats.compress.ok, stats.compress.failed(Error::DstTooSmall)), (0, 1));
/// # Ok::<(), acomp_core::OpenError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Compressions.
    pub compress: Flow,
    /// Decompressions.
    pub decompress: Flow,
    /// Chains by their length: how many had 1 op, 2, 3 to 4, 5 to 8, 9 to 16, 17 to 32, 33 to 64.
    /// Single calls are no chains.
    pub chains: [u64; CHAIN_LENGTHS],
    /// Ops of chains, and asynchronous requests, that the driver's software fallback executed.
    pub fallbacks: u64,
}

/// Buckets of [`Stats::chains`].
const CHAIN_LENGTHS: usize = MAX_BATCH.ilog2() as usize + 1;

impl Stats {
    fn add(&mut self, other: &Self) {
        self.compress.add(&other.compress);
        self.decompress.add(&other.decompress);
        add_each(&mut self.chains, other.chains);
        self.fallbacks += other.fallbacks;
    }
}

/// One direction of [`Stats`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Flow {
    /// Operations that succeeded.
    pub ok: u64,
    /// Source bytes of the operations that succeeded.
    pub bytes_in: u64,
    /// Bytes that they produced.
    pub bytes_out: u64,
    failed: [u64; Error::ALL.len()],
}

impl Flow {
    /// Operations that failed with this error.
    #[must_use]
    pub const fn failed(&self, error: Error) -> u64 {
        self.failed[error as usize]
    }

    fn add(&mut self, other: &Self) {
        self.ok += other.ok;
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
        add_each(&mut self.failed, other.failed);
    }
}

fn add_each<const N: usize>(sums: &mut [u64; N], others: [u64; N]) {
    for (sum, n) in sums.iter_mut().zip(others) {
        *sum += n;
    }
}

/// The counters of one session; its drop folds them into the driver's totals.
#[derive(Debug)]
pub(crate) struct Meter {
    counters: Arc<Counters>,
    totals: Arc<Totals>,
}

impl Meter {
    pub(crate) fn new(totals: &Arc<Totals>) -> Self {
        let counters = Arc::new(Counters::default());
        totals.lock().live.push(Arc::downgrade(&counters));
        Self { counters, totals: Arc::clone(totals) }
    }

    #[inline]
    pub(crate) fn count(&self, direction: Direction, src_bytes: usize, outcome: Outcome) {
        let flow = match direction {
            Direction::Compress => &self.counters.compress,
            Direction::Decompress => &self.counters.decompress,
        };
        match outcome {
            Ok(len) => {
                add(&flow.ok, 1);
                add(&flow.bytes_in, src_bytes as u64);
                add(&flow.bytes_out, len as u64);
            }
            Err(error) => add(&flow.failed[error as usize], 1),
        }
    }

    /// Counts a chain of 1 to `MAX_BATCH` ops.
    #[inline]
    pub(crate) fn count_chain(&self, ops: usize) {
        // The number of bits that ops - 1 takes is the bucket.
        let bucket = (usize::BITS - ops.wrapping_sub(1).leading_zeros()) as usize;
        if let Some(chains) = self.counters.chains.get(bucket) {
            add(chains, 1);
        }
    }

    #[inline]
    pub(crate) fn count_fallback(&self) {
        add(&self.counters.fallbacks, 1);
    }

    pub(crate) fn read(&self) -> Stats {
        self.counters.read()
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        let mut totals = self.totals.lock();
        totals.folded.add(&self.counters.read());
        totals.live.retain(|live| live.as_ptr() != Arc::as_ptr(&self.counters));
    }
}

/// The statistics of one driver: what its past sessions did, and its present ones.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    inner: Mutex<TotalsInner>,
}

#[derive(Debug, Default)]
struct TotalsInner {
    folded: Stats,
    live: Vec<Weak<Counters>>,
}

impl Totals {
    pub(crate) fn read(&self) -> Stats {
        let inner = self.lock();
        let mut sum = inner.folded;
        for counters in inner.live.iter().filter_map(Weak::upgrade) {
            sum.add(&counters.read());
        }
        sum
    }

    fn lock(&self) -> MutexGuard<'_, TotalsInner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// On cache lines of its own (two, for the adjacent-line prefetcher).
#[derive(Debug, Default)]
#[repr(align(128))]
struct Counters {
    compress: FlowCounters,
    decompress: FlowCounters,
    chains: [AtomicU64; CHAIN_LENGTHS],
    fallbacks: AtomicU64,
}

impl Counters {
    fn read(&self) -> Stats {
        Stats {
            compress: self.compress.read(),
            decompress: self.decompress.read(),
            chains: self.chains.each_ref().map(|n| n.load(Relaxed)),
            fallbacks: self.fallbacks.load(Relaxed),
        }
    }
}

#[derive(Debug, Default)]
struct FlowCounters {
    ok: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    failed: [AtomicU64; Error::ALL.len()],
}

impl FlowCounters {
    fn read(&self) -> Flow {
        Flow {
            ok: self.ok.load(Relaxed),
            bytes_in: self.bytes_in.load(Relaxed),
            bytes_out: self.bytes_out.load(Relaxed),
            failed: self.failed.each_ref().map(|n| n.load(Relaxed)),
        }
    }
}

/// Single writer: a load and a store cost a tenth of a read-modify-write.
#[inline]
fn add(counter: &AtomicU64, n: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(n), Relaxed);
}
