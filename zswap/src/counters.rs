//! Counters, under the kernel's names where the kernel has them.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::context::Cpu;
use crate::tree::Held;

/// What a pool holds and did: a copy.
///
/// ```
/// use acomp_algs as _;
/// # use acomp_core::{OpenError, Registry};
/// use zswap::{Owner, Pool, Slot};
/// let pool = Pool::builder(Registry::global()).compressor("lz4").build()?;
/// pool.store(Slot(0), &[[0; 4096]], Owner::ROOT).unwrap();
/// assert_eq!(pool.counters().zero_pages, 1);
/// assert!(pool.counters().table().any(|row| row == ("swpout_zero", 1)));
/// # Ok::<(), OpenError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Pages held now, but for zero pages.
    pub stored_pages: u64,
    /// Pages held raw because they did not compress.
    pub stored_incompressible_pages: u64,
    /// Pages held as one repeated word that is not zero.
    pub same_filled_pages: u64,
    /// Pages of zeros held now.
    pub zero_pages: u64,
    /// Bytes held for the content of all pages.
    pub pool_total_size: u64,
    /// Pages stored so far, zero pages apart.
    pub zswpout: u64,
    /// Pages loaded so far, zero pages apart.
    pub zswpin: u64,
    /// Zero pages stored so far.
    pub swpout_zero: u64,
    /// Zero pages loaded so far.
    pub swpin_zero: u64,
    /// Compressions that failed for another reason than size. The page was kept raw.
    pub reject_compress_fail: u64,
    /// Decompressions that did not give a page back.
    pub decompress_fail: u64,
}

impl Counters {
    /// Names and values, in the order of the fields.
    pub fn table(&self) -> impl Iterator<Item = (&'static str, u64)> + use<> {
        let Self {
            stored_pages,
            stored_incompressible_pages,
            same_filled_pages,
            zero_pages,
            pool_total_size,
            zswpout,
            zswpin,
            swpout_zero,
            swpin_zero,
            reject_compress_fail,
            decompress_fail,
        } = *self;
        [
            ("stored_pages", stored_pages),
            ("stored_incompressible_pages", stored_incompressible_pages),
            ("same_filled_pages", same_filled_pages),
            ("zero_pages", zero_pages),
            ("pool_total_size", pool_total_size),
            ("zswpout", zswpout),
            ("zswpin", zswpin),
            ("swpout_zero", swpout_zero),
            ("swpin_zero", swpin_zero),
            ("reject_compress_fail", reject_compress_fail),
            ("decompress_fail", decompress_fail),
        ]
        .into_iter()
    }

    pub(crate) fn new(held: Held, cpus: &[Cpu]) -> Self {
        let sum = |event: fn(&Events) -> &AtomicU64| {
            cpus.iter().map(|cpu| event(&cpu.events).load(Relaxed)).sum()
        };
        Self {
            stored_pages: held.same_filled_pages + held.raw_pages + held.compressed_pages,
            stored_incompressible_pages: held.raw_pages,
            same_filled_pages: held.same_filled_pages,
            zero_pages: held.zero_pages,
            pool_total_size: held.content_bytes,
            zswpout: sum(|e| &e.zswpout),
            zswpin: sum(|e| &e.zswpin),
            swpout_zero: sum(|e| &e.swpout_zero),
            swpin_zero: sum(|e| &e.swpin_zero),
            reject_compress_fail: sum(|e| &e.reject_compress_fail),
            decompress_fail: sum(|e| &e.decompress_fail),
        }
    }
}

/// What happened on one CPU.
#[derive(Debug, Default)]
pub(crate) struct Events {
    pub(crate) zswpout: AtomicU64,
    pub(crate) zswpin: AtomicU64,
    pub(crate) swpout_zero: AtomicU64,
    pub(crate) swpin_zero: AtomicU64,
    pub(crate) reject_compress_fail: AtomicU64,
    pub(crate) decompress_fail: AtomicU64,
}

/// Threads of one CPU may count at the same time, but rarely do.
#[inline]
pub(crate) fn count(event: &AtomicU64, n: usize) {
    if n > 0 {
        event.fetch_add(n as u64, Relaxed);
    }
}
