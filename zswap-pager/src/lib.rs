//! Memory whose cold pages live in a compressed pool.
//!
//! A [`Pager`] keeps the [`Region`]s that a program maps within a limit. What is in use is memory
//! as any other. What is not is compressed by a driver of `acomp-core`, in a `zswap` pool of this
//! process, and comes back when it is touched: the kernel reports the page fault to the pager
//! (userfaultfd), without root.
//!
//! ```
//! use acomp_algs as _; // links the drivers
//! use acomp_core::Registry;
//! use zswap_pager::{Pager, PagerError};
//!
//! # fn main() -> Result<(), PagerError> {
//! let pager = match Pager::builder(Registry::global()).compressor("lz4").limit(64 << 20).build() {
//!     Err(PagerError::NotPermitted | PagerError::Unsupported { .. }) => return Ok(()),
//!     built => built?,
//! };
//! let mut region = pager.map(128 << 20)?;
//! for (index, page) in region.chunks_mut(4096).enumerate() {
//!     page.fill(index as u8);
//! }
//! assert!(region.chunks(4096).enumerate().all(|(index, page)| page[99] == index as u8));
//! assert!(pager.stats().used_bytes_max <= 64 << 20);
//! # Ok(())
//! # }
//! ```

#![deny(unsafe_code)]

mod arena;
mod builder;
mod core;
mod error;
mod eviction;
mod fault;
mod handler;
mod helpers;
mod pager;
mod raw;
mod reclaim;
mod region;
mod regions;
mod room;
mod space;
mod staging;
mod streams;
mod support;
mod window;

pub use arena::Arena;
pub use builder::{Builder, FaultMode, Kept, KernelFaults, LIMIT_BYTES_MIN, Without};
pub use error::PagerError;
pub use eviction::{Eviction, Fifo, Filled, Hand, WindowId};
pub use pager::{Pager, Stats};
pub use region::{Advice, MapOptions, Pinned, Region, RegionStats};
pub use support::Support;
