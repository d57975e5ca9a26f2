//! Time, passed in.

use std::fmt::Debug;
use std::time::Instant;

/// Tells the time.
pub trait Clock: Debug + Send + Sync {
    /// Nanoseconds since some moment.
    fn now_ns(&self) -> u64;
}

/// The machine's time.
#[derive(Debug)]
pub(crate) struct RealClock(pub(crate) Instant);

impl Clock for RealClock {
    fn now_ns(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}
