//! Where a driver's panic ends.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs driver code; `None` if it panicked.
///
/// Unwind safety is the caller's: a codec that panicked is never called again, and what `make`,
/// `prepare` and `open` return does not exist if they panicked.
#[inline]
pub(crate) fn caught<T>(driver_code: impl FnOnce() -> T) -> Option<T> {
    match catch_unwind(AssertUnwindSafe(driver_code)) {
        Ok(value) => Some(value),
        Err(payload) => {
            // Dropping the payload runs the driver's code once more, which may panic again.
            std::mem::forget(payload);
            None
        }
    }
}
