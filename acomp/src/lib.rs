//! Compression of memory pages through one API, in software and on accelerators.
//!
//! This crate is `acomp-core` with its drivers linked: whoever names it cannot forget to.
//!
//! ```
//! let acomp = acomp::Acomp::alloc("lz4")?;
//! let mut session = acomp.session()?;
//! let mut packed = [0u8; 4096];
//! let len = session.compress(&[7u8; 4096], &mut packed).expect("compressible");
//! let mut back = [0u8; 4096];
//! assert_eq!(session.decompress(&packed[..len], &mut back), Ok(4096));
//! # Ok::<(), acomp::OpenError>(())
//! ```

use acomp_algs as _;
#[cfg(feature = "iaa")]
use acomp_iaa as _;
#[cfg(feature = "selftest")]
use acomp_testmgr as _;

pub use acomp_core::*;
pub use zswap;
#[cfg(feature = "pager")]
pub use zswap_pager as pager;

/// The example of the README compiles and runs.
#[cfg(all(doctest, feature = "lz4", feature = "zstd"))]
#[doc = include_str!("../../README.md")]
struct Readme;
