//! Time, passed in: whatever waits or delays asks a [`Clock`].

use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Tells the time.
pub trait Clock: Debug + Send + Sync {
    /// Nanoseconds since some moment.
    fn now_ns(&self) -> u64;

    /// Told whenever a device was driven once; where that is what makes time pass, it does.
    fn tick(&self) {}
}

/// The machine's time.
#[derive(Debug)]
pub struct RealClock {
    start: Instant,
}

impl RealClock {
    /// A clock that starts now.
    #[must_use]
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Default for RealClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for RealClock {
    fn now_ns(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// Time that passes with each step of a simulation, one microsecond.
#[derive(Debug, Default)]
pub struct SteppedClock {
    now_ns: AtomicU64,
}

impl SteppedClock {
    /// A clock at zero.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Clock for SteppedClock {
    fn now_ns(&self) -> u64 {
        self.now_ns.load(Ordering::Relaxed)
    }

    fn tick(&self) {
        self.now_ns.fetch_add(1000, Ordering::Relaxed);
    }
}
