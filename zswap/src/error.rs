//! Why a store or a load failed.

use acomp_core::Error;

use crate::pool::{FOLIO_PAGES_MAX, Slot};

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
}
