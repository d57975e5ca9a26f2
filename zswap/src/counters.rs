//! Counters, under the kernel's names where the kernel has them.

use std::array;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::compressors::COMPRESSORS_MAX;
use crate::context::Cpu;

/// Declares counters of events and of what is held once, for each CPU and as a sum.
macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// What a pool holds and did: a copy.
        ///
        /// ```
        /// use acomp_algs as _;
        /// # use acomp_core::Registry;
        /// use zswap::{Owner, Pool, Slot};
        /// let pool = Pool::builder(Registry::global()).compressor("lz4").build()?;
        /// pool.store(Slot(0), &[[0; 4096]], Owner::ROOT).unwrap();
        /// assert_eq!(pool.counters().zero_pages, 1);
        /// assert!(pool.counters().table().any(|row| row == ("swpout_zero", 1)));
        /// # Ok::<(), acomp_core::OpenError>(())
        /// ```
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Counters {
            /// Pages held in memory now, but for zero pages.
            pub stored_pages: u64,
            /// Bytes of memory held for objects, whatever is in them: what the limit is for.
            pub pool_total_size: u64,
            /// Bytes of the objects themselves.
            pub object_bytes: u64,
            /// Pages written back to the device so far.
            pub written_back_pages: u64,
            /// The same, as `vmstat` calls it.
            pub pswpout: u64,
            $($(#[doc = $doc])+ pub $name: u64,)+
        }

        impl Counters {
            /// Names and values, in the order of the fields.
            pub fn table(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
                [
                    ("stored_pages", self.stored_pages),
                    ("pool_total_size", self.pool_total_size),
                    ("object_bytes", self.object_bytes),
                    ("written_back_pages", self.written_back_pages),
                    ("pswpout", self.pswpout),
                    $((stringify!($name), self.$name),)+
                ]
                .into_iter()
            }

            fn sum(cpus: &[Cpu]) -> Self {
                let mut sum = Self::default();
                for cpu in cpus {
                    $(sum.$name = sum.$name.wrapping_add(cpu.events.$name.load(Relaxed));)+
                }
                sum
            }
        }

        /// What happened on one CPU. What is held is added on one and may be subtracted on another,
        /// so that only the sums mean something.
        #[derive(Debug, Default)]
        pub(crate) struct Events {
            $(pub(crate) $name: AtomicU64,)+
            /// Pages held by each compressor.
            pub(crate) compressed: [AtomicU64; COMPRESSORS_MAX],
            /// Stores and loads, of which every so many-th is timed.
            pub(crate) calls: [AtomicU64; 2],
            pub(crate) latencies: [Latencies; 2],
        }
    };
}

counters! {
    /// Pages held raw because they did not compress.
    stored_incompressible_pages,
    /// Pages held as one repeated word that is not zero.
    same_filled_pages,
    /// Pages of zeros held now.
    zero_pages,
    /// Pages held as duplicates of pages that the caller has.
    duplicate_pages,
    /// Pages on the device now.
    device_pages,
    /// Pages stored so far, zero pages apart.
    zswpout,
    /// Pages loaded from memory so far, zero pages apart.
    zswpin,
    /// Zero pages stored so far.
    swpout_zero,
    /// Zero pages loaded so far.
    swpin_zero,
    /// Pages loaded from the device so far.
    pswpin,
    /// Pages written back to the device so far.
    zswpwb,
    /// Duplicates dropped for want of memory so far.
    dropped_duplicates,
    /// Stores that found the pool full.
    pool_limit_hit,
    /// Pages that were to be written back and were not.
    reject_reclaim_fail,
    /// Pages without memory for their object or their place in the index: also those for which
    /// there was some when the reserve had been refilled.
    reject_alloc_fail,
    /// Pages without memory for their entry, in the same way.
    reject_kmemcache_fail,
    /// Compressions that failed for another reason than size. The page was kept raw, or refused.
    reject_compress_fail,
    /// Pages that did not compress, and were refused since their owner has no writeback.
    reject_compress_poor,
    /// Decompressions that did not give a page back.
    decompress_fail,
    /// Objects, or pages of the device, whose checksum was wrong.
    checksum_fail,
    /// Pages that the device did not give back.
    device_read_fail,
}

impl Counters {
    pub(crate) fn new(cpus: &[Cpu], pool_total_size: usize, object_bytes: usize) -> Self {
        let compressed = (0..COMPRESSORS_MAX).map(|number| pages_of(cpus, number));
        let compressed = compressed.fold(0, u64::wrapping_add);
        let sum = Self::sum(cpus);
        let kept = sum.same_filled_pages.wrapping_add(sum.stored_incompressible_pages);
        Self {
            stored_pages: kept.wrapping_add(compressed),
            pool_total_size: pool_total_size as u64,
            object_bytes: object_bytes as u64,
            written_back_pages: sum.zswpwb,
            pswpout: sum.zswpwb,
            ..sum
        }
    }
}

/// Pages held by one compressor.
pub(crate) fn pages_of(cpus: &[Cpu], compressor: usize) -> u64 {
    let of =
        |cpu: &Cpu| cpu.events.compressed.get(compressor).map_or(0, |pages| pages.load(Relaxed));
    cpus.iter().map(of).fold(0, u64::wrapping_add)
}

/// Threads of one CPU may count at the same time, but rarely do.
#[inline]
pub(crate) fn count(event: &AtomicU64, n: usize) {
    if n > 0 {
        event.fetch_add(n as u64, Relaxed);
    }
}

/// Takes away from what is held.
#[inline]
pub(crate) fn uncount(held: &AtomicU64, n: usize) {
    if n > 0 {
        held.fetch_sub(n as u64, Relaxed);
    }
}

/// How long calls took, by powers of two of nanoseconds.
#[derive(Debug)]
pub(crate) struct Latencies([AtomicU64; LATENCY_LEVELS]);

impl Default for Latencies {
    fn default() -> Self {
        Self([const { AtomicU64::new(0) }; LATENCY_LEVELS])
    }
}

impl Latencies {
    pub(crate) fn count(&self, ns: u64) {
        let level = (u64::BITS - ns.leading_zeros()) as usize;
        if let Some(level) = self.0.get(level.min(LATENCY_LEVELS - 1)) {
            level.fetch_add(1, Relaxed);
        }
    }

    pub(crate) fn sum<'l>(all: impl Iterator<Item = &'l Self>) -> Histogram {
        let mut sum = [0; LATENCY_LEVELS];
        for Self(levels) in all {
            for (sum, level) in sum.iter_mut().zip(levels) {
                *sum += level.load(Relaxed);
            }
        }
        let bounds = array::from_fn::<_, LATENCY_LEVELS, _>(|level| 1_u64 << level);
        Histogram(bounds.into_iter().zip(sum).collect())
    }
}

/// How many were below each bound, and not below the one before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram(Vec<(u64, u64)>);

impl Histogram {
    pub(crate) fn new(levels: Vec<(u64, u64)>) -> Self {
        Self(levels)
    }

    /// Bounds, ascending, and counts.
    #[must_use]
    pub fn levels(&self) -> &[(u64, u64)] {
        &self.0
    }

    /// The bound below which at least so many of a thousand are. 0 if nothing was counted.
    #[must_use]
    pub fn quantile(&self, per_mille: u64) -> u64 {
        let total: u64 = self.0.iter().map(|(_, count)| count).sum();
        let wanted = (total * per_mille.min(1000)).div_ceil(1000);
        let mut sum = 0;
        let mut found = self.0.iter().filter(|(_, count)| {
            sum += count;
            total > 0 && sum >= wanted
        });
        found.next().map_or(0, |(bound, _)| *bound)
    }
}

/// Up to 2^39 ns: nine minutes.
const LATENCY_LEVELS: usize = 40;
