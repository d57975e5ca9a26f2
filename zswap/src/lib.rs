//! A compressed store of memory pages, after the kernel's zswap, over any driver of `acomp-core`.
//!
//! A [`Pool`] keeps pages under [`Slot`]s, compressed by the transform that its builder names. The
//! unit of a store is a folio of 1 to 512 pages, kept whole or not at all; the unit of a load is a
//! page or a range of pages.
//!
//! - A page of zeros is never compressed; a page that repeats one word is kept as that word.
//! - A page that does not compress is kept raw.
//! - Pages are compressed in sub-batches of 8, as chains of what the transform gains from, under
//!   the lock of a context that belongs to the CPU.
//! - What was stored first is written back to a [`SwapDevice`], if there is one and memory is
//!   short, and comes back from there without a difference.
//! - Each page is on the account of an [`Owner`], who may have a limit.
//! - Parameters are set while the pool works ([`Pool::set`]), the compressor among them.
//! - A failed store leaves nothing under its slots, not even what was there before: it would be
//!   stale.
//!
//! Operations on different slots run in parallel. As in the kernel, where the folio lock sees to
//! it, a caller does not store, load and invalidate *one* slot at the same time; if it does, each
//! load gets the page of one of the stores, never a mixture.
//!
//! ```
//! use acomp_algs as _; // links the drivers
//! use acomp_core::Registry;
//! use zswap::{Load, Owner, Pool, Slot};
//!
//! let pool = Pool::builder(Registry::global()).compressor("lz4").build()?;
//! let folio = [[1u8; 4096], [2u8; 4096]];
//! pool.store(Slot(10), &folio, Owner::ROOT).expect("a folio of 2");
//!
//! let mut page = [0u8; 4096];
//! pool.load(Slot(11), &mut page, Load::Exclusive).expect("stored above");
//! assert_eq!(page, folio[1]);
//! assert_eq!(pool.counters().stored_pages, 1);
//! # Ok::<(), acomp_core::OpenError>(())
//! ```

#![deny(unsafe_code)]

// The model's helpers are those of other tests, which see this crate from outside.
#[cfg(test)]
extern crate self as zswap;

mod blocks;
mod builder;
mod clock;
mod compressors;
mod context;
mod counters;
mod device;
mod duplicates;
mod entry;
mod error;
mod fault;
mod load;
#[cfg(all(test, loom))]
mod loom_models;
#[cfg(test)]
#[path = "../tests/model/mod.rs"]
mod model;
mod owners;
mod page;
mod params;
mod pool;
mod prepared;
mod reclaim;
mod slot;
mod state;
mod store;
mod sync;
mod tree;
mod worker;
pub mod zsmalloc;

pub use builder::{Builder, Housekeeping};
pub use clock::Clock;
pub use compressors::SwitchError;
pub use counters::{Counters, Histogram};
pub use device::{FileDevice, Health, SwapDevice, SwapDeviceControl, Unwritten};
pub use error::{LoadError, RangeError, StoreError};
pub use owners::OwnerUsage;
pub use page::{PAGE_BYTES, Page};
pub use params::{PARAMS, ParamError, ParamInfo};
pub use pool::{FOLIO_PAGES_MAX, Load, Loaded, Maintained, Pool, Revalidated};
pub use reclaim::Reclaimed;
pub use slot::{Owner, Slot};
pub use worker::Worker;
