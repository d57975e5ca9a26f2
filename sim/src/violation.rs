//! What must always hold, and what is said when it does not.

use std::fmt;

/// What must always hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Invariant {
    /// A page that is loaded is the one that was stored.
    WrongPage,
    /// What was invalidated, or not stored, is not there.
    StalePage,
    /// What was stored is there.
    LostPage,
    /// Requests, and everything else, get their answer, and no error without a reason.
    Answer,
    /// They get it within a bound of simulated time.
    Stuck,
    /// What is held is bounded, and comes back.
    Memory,
    /// Counters add up.
    Counters,
    /// Nothing panics.
    Panic,
}

/// An invariant that did not hold.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Violation {
    /// Which.
    pub invariant: Invariant,
    /// How that was seen.
    pub seen: String,
}

impl Invariant {
    pub(crate) fn broken(self, seen: String) -> Violation {
        Violation { invariant: self, seen }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.invariant, self.seen)
    }
}

pub(crate) fn ensure(
    holds: bool,
    invariant: Invariant,
    seen: impl FnOnce() -> String,
) -> Result<(), Violation> {
    if holds { Ok(()) } else { Err(invariant.broken(seen())) }
}
