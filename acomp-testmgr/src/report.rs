//! What was tested, and what was found.

use std::fmt;

use crate::themes::Theme;

/// How much is tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Suite {
    /// Every property on a few inputs: milliseconds, for the gate before first use.
    Gate,
    /// Every property on the whole grid of contents and sizes: seconds, for a driver's own tests.
    Full,
}

/// The result of [`alg_test`](crate::alg_test). Its `Display` is one line, one more for each
/// failure, and what to do about those of each theme.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Report {
    /// Cases that were run.
    pub cases: usize,
    /// What failed, at most a few of each theme: a theme ends at its fourth failure.
    pub failures: Vec<Failure>,
}

impl Report {
    /// Whether nothing failed.
    #[must_use]
    pub fn is_passed(&self) -> bool {
        self.failures.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.failures.len() {
            0 => write!(f, "{} cases passed", self.cases)?,
            failed => write!(f, "{failed} of {} cases failed", self.cases)?,
        }
        for theme in self.failures.chunk_by(|a, b| a.theme == b.theme) {
            theme.iter().try_for_each(|failure| write!(f, "\n  {failure}"))?;
            theme.first().map_or(Ok(()), |first| write!(f, "\n  => {}", first.theme.advice()))?;
        }
        Ok(())
    }
}

/// One case that failed. Every case is deterministic: the one of the same name fails again.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failure {
    /// The property.
    pub theme: Theme,
    /// The case, with the contents, seed and sizes that [`Content::fill`](crate::Content::fill)
    /// needs to make its input again.
    pub case: String,
    /// What the driver did, and what it should have done.
    pub why: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.theme, self.case, self.why)
    }
}
