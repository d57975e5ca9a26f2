//! The pager: what regions have in common, and figures.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use acomp_core::Registry;
use zswap::{PAGE_BYTES, Pool, Worker};

use crate::builder::{Builder, FaultMode};
use crate::core::Core;
use crate::error::PagerError;
use crate::handler::Handler;
use crate::helpers::Helpers;
use crate::region::{MapOptions, Region};
use crate::space::lock;

/// Keeps regions of memory within a limit: what is not in use is compressed, and comes back when it
/// is touched. See the [crate documentation](crate).
///
/// Clones are the same pager. It ends with the last region and the last clone.
#[derive(Clone, Debug)]
pub struct Pager {
    shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    /// Ends first: the others serve it.
    #[expect(dead_code, reason = "dropped, in its turn")]
    pub(crate) handler: Handler,
    #[expect(dead_code, reason = "dropped, in its turn")]
    pub(crate) helpers: Helpers,
    #[expect(dead_code, reason = "dropped, in its turn")]
    pub(crate) worker: Worker,
    pub(crate) core: Arc<Core>,
    pub(crate) mode: FaultMode,
    pub(crate) has_kernel_faults: bool,
    pub(crate) next_slot: AtomicU64,
    /// Held while a region gets its number.
    pub(crate) mapping: Mutex<()>,
}

impl Pager {
    /// Starts to describe a pager whose compressor comes from this registry.
    pub fn builder(registry: &Registry) -> Builder {
        Builder::new(registry)
    }

    pub(crate) fn new(shared: Shared) -> Self {
        Self { shared: Arc::new(shared) }
    }

    /// Maps a region of zeros of at least so many bytes, rounded up to pages.
    ///
    /// # Errors
    ///
    /// [`PagerError::System`].
    pub fn map(&self, bytes: usize) -> Result<Region, PagerError> {
        self.map_with(bytes, MapOptions::default())
    }

    /// The same, with an owner, or with addresses to grow into.
    ///
    /// # Errors
    ///
    /// [`PagerError::System`]; [`PagerError::Capacity`] when there is less of it than bytes;
    /// [`PagerError::Owner`] when the pager has no such one.
    pub fn map_with(&self, bytes: usize, options: MapOptions) -> Result<Region, PagerError> {
        Region::map(&self.shared, bytes, options)
    }

    /// The compressed pages: their counters, parameters, owners.
    #[must_use]
    pub fn pool(&self) -> &Pool {
        &self.shared.core.pool
    }

    /// What the pager holds and did.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.core.stats()
    }
}

/// What a pager holds and did: a copy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Bytes of pages in regions.
    pub resident_bytes: u64,
    /// Bytes of pages on their way out.
    pub staging_bytes: u64,
    /// The most that the two were together: what the limit is for.
    pub used_bytes_max: u64,
    /// Bytes of memory for compressed pages, kept copies included.
    pub pool_bytes: u64,
    /// Of these, copies of pages that are in regions too; as if they were as long as the average.
    pub kept_bytes: u64,
    /// Bytes of memory for what is known of pages.
    pub metadata_bytes: u64,
    /// Faults that were served.
    pub faults: u64,
    /// Pages that were touched for the first time.
    pub pages_new: u64,
    /// Pages that came back from the pool.
    pub pages_loaded: u64,
    /// Pages that came back from staging.
    pub pages_rescued: u64,
    /// Pages that were compressed.
    pub pages_stored: u64,
    /// Pages that had not been modified, and whose kept copy served.
    pub pages_unmodified: u64,
    /// Pages that the pool did not take, and that stayed in memory.
    pub pages_refused: u64,
    /// Pages whose compressed copy was damaged.
    pub pages_lost: u64,
    /// Windows that left.
    pub windows_out: u64,
}

impl Core {
    fn stats(&self) -> Stats {
        let bytes = |pages: usize| (pages * PAGE_BYTES) as u64;
        let events = &self.events;
        let of = |counter: &AtomicU64| counter.load(Relaxed);
        let of_pages = |counter: &AtomicUsize| bytes(counter.load(Relaxed));
        let spaces: Vec<_> = lock(&self.spaces).iter().flatten().cloned().collect();
        let windows = spaces.iter().flat_map(|space| space.windows());
        let resident: usize = windows.map(|window| lock(window).resident()).sum();
        let tables: usize = spaces.iter().map(|space| space.metadata_bytes()).sum();
        let pool = self.pool.counters();
        let average = pool.object_bytes / pool.stored_pages.max(1);
        Stats {
            resident_bytes: bytes(resident),
            staging_bytes: bytes(self.used().saturating_sub(resident)),
            used_bytes_max: of_pages(&events.used_max),
            pool_bytes: pool.pool_total_size,
            kept_bytes: pool.duplicate_pages * average,
            metadata_bytes: (tables + self.pool.metadata_bytes()) as u64,
            faults: of(&events.faults),
            pages_new: of(&events.pages_new),
            pages_loaded: of(&events.pages_loaded),
            pages_rescued: of(&events.pages_rescued),
            pages_stored: of(&events.pages_stored),
            pages_unmodified: of(&events.pages_unmodified),
            pages_refused: of(&events.pages_refused),
            pages_lost: of(&events.pages_lost),
            windows_out: of(&events.windows_out),
        }
    }
}
