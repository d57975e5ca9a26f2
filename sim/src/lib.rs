//! The whole stack under simulated faults: zswap, over the IAA driver, over devices that fail.
//!
//! A [`Case`] is made from a seed: how the stack is built, what goes wrong on its devices, and what
//! several tasks, operators and other users of the devices do, in which order and in the middle of
//! what. [`simulate`] does it in one thread, with a clock that passes as devices are driven, so
//! that the same case always goes the same way; and it checks after each step that every
//! [`Invariant`] holds. [`shrink`] makes a case smaller that fails.
//!
//! ```
//! use acomp_sim::{Case, Sound, simulate};
//! use std::sync::Arc;
//!
//! let case = Case::of_seed(7, 10);
//! let seam = Arc::new(Sound) as _;
//! let outcome = simulate(&case, &seam, false);
//! assert!(outcome.violation.is_none());
//! assert_eq!(outcome.trace, simulate(&case, &seam, false).trace);
//! ```

#![forbid(unsafe_code)]

use acomp_algs as _;

mod case;
mod check;
#[path = "../../zswap/tests/devices/mod.rs"]
mod devices;
mod disk;
mod model;
mod outcome;
mod pin;
mod pool_ops;
mod requests;
mod seam;
mod shrink;
mod turns;
mod units;
mod violation;
mod world;

pub use case::Case;
pub use outcome::{Outcome, Tally, simulate};
pub use pin::stay_on;
pub use seam::{Seam, Sound};
pub use shrink::shrink;
pub use violation::{Invariant, Violation};
