//! The gate before first use: a hook that tests a driver, and its verdict.

use std::fmt;

use crate::alg::Algorithm;

/// A self-test that is run on every driver before its first use, submitted with
/// `inventory::submit!`. It gets the algorithm, never a name, so that it cannot test another one.
#[non_exhaustive]
pub struct SelfTestHook {
    /// Tests one driver; the error names the failing case.
    pub run: fn(&dyn Algorithm) -> Result<(), Box<str>>,
    /// The module that registers it: `module_path!()`.
    pub origin: &'static str,
}

impl SelfTestHook {
    /// Describes a hook.
    ///
    /// ```
    /// use acomp_core::SelfTestHook;
    /// const HOOK: SelfTestHook = SelfTestHook::new(
    ///     |alg| alg.open(&Default::default()).map(drop).map_err(|e| e.to_string().into()),
    ///     module_path!(),
    /// );
    /// ```
    #[must_use]
    pub const fn new(
        run: fn(&dyn Algorithm) -> Result<(), Box<str>>,
        origin: &'static str,
    ) -> Self {
        Self { run, origin }
    }
}

impl fmt::Debug for SelfTestHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SelfTestHook").field("origin", &self.origin).finish_non_exhaustive()
    }
}

inventory::collect!(SelfTestHook);

/// What is known of a driver's self-test.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a driver is tested or not, and passed or not")]
pub enum Verdict {
    /// No hook is linked, or the driver was not used yet.
    Untested,
    /// Every hook passed.
    Passed,
    /// A hook failed, with this case. The driver is refused.
    Failed(Box<str>),
}
