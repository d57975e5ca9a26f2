//! Why a store or a load failed.

use acomp_core::Error;

use crate::pool::FOLIO_PAGES_MAX;
use crate::slot::{Owner, Slot};

/// Why a range of pages is none that can be stored or loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RangeError {
    /// The folio is empty or too long.
    #[error("a folio has 1 to {FOLIO_PAGES_MAX} pages, not {pages}")]
    FolioPages {
        /// Pages that were passed.
        pages: usize,
    },
    /// The slots go beyond the last slot there can be.
    #[error("{pages} pages from slot {} on go beyond the last slot", first.0)]
    Slots {
        /// The first slot.
        first: Slot,
        /// Pages that were passed.
        pages: usize,
    },
}

/// Why a folio was not stored. Nothing is left under its slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The folio or its slots cannot be.
    #[error(transparent)]
    Range(#[from] RangeError),
    /// The parameter `enabled` is off.
    #[error("the pool is disabled: set `enabled`")]
    Disabled,
    /// The pool has no such owner.
    #[error("there is no owner {}: build the pool for more owners", owner.id())]
    NoOwner {
        /// Who was named.
        owner: Owner,
    },
    /// The owner has as much as it may have, and nothing of it could be written back.
    #[error("owner {} has reached its limit", owner.id())]
    OwnerLimit {
        /// Who.
        owner: Owner,
    },
    /// The pool has as much memory as it may have, or as many pages as it has entries for (one for
    /// 64 bytes), or slots in use in too many 64 MiB of a swap space (2^18); counted as
    /// `pool_limit_hit`, or as what there was no memory for.
    #[error("the pool is full: raise `max_pool_percent`, load, invalidate or write back")]
    PoolLimit,
    /// The reserve is empty; counted as `reject_alloc_fail` or `reject_kmemcache_fail`.
    #[error("the reserve of memory is empty: call `maintain` more often")]
    NoMemory,
    /// A page did not compress, or could not be compressed, and its owner has no writeback.
    #[error("the page for slot {} does not compress, and may not be written back", slot.0)]
    Incompressible {
        /// Where it was to be stored.
        slot: Slot,
    },
}

/// Why pages were not loaded. The destination is unspecified; every entry is where it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The destination or its slots cannot be.
    #[error(transparent)]
    Range(#[from] RangeError),
    /// Nothing is stored under this slot.
    #[error("no page is stored under slot {}", slot.0)]
    NotFound {
        /// The first slot without a page.
        slot: Slot,
    },
    /// The stored page could not be decompressed; counted as `decompress_fail`.
    #[error("the page under slot {} cannot be decompressed", slot.0)]
    Decompress {
        /// The first slot that failed.
        slot: Slot,
        /// What the driver answered.
        #[source]
        error: Error,
    },
    /// What is stored is not what was stored: its checksum differs; counted as `checksum_fail`.
    #[error("the page under slot {} is damaged", slot.0)]
    Checksum {
        /// The first slot that failed.
        slot: Slot,
    },
    /// The device did not give the page back; counted as `device_read_fail`.
    #[error("the page under slot {} cannot be read from the device: {error}", slot.0)]
    Device {
        /// The first slot that failed.
        slot: Slot,
        /// What the device answered.
        error: std::io::ErrorKind,
    },
}
