//! The loop over the symbols of any code, compiled for what the CPU at hand can do.
//!
//! BMI2 shifts by a variable in one instruction where others need two. Measured on memory pages
//! (Zen 4, beside libdeflate in the same run): dynamic blocks 0.98 times its speed with, 0.925
//! without. The loop over fixed codes got slower (0.99, 1.03), and encoders do not care, so that
//! this is the only choice of its kind.

#![allow(unsafe_code)]

use super::page::{Buffers, Cursor};
use super::table::Tables;

/// Decodes up to the end of the block: [`Buffers::symbols`].
pub(super) fn symbols(buffers: &mut Buffers, start: Cursor, tables: &Tables) -> Option<Cursor> {
    #[cfg(all(feature = "std", target_arch = "x86_64"))]
    if std::is_x86_feature_detected!("bmi1") && std::is_x86_feature_detected!("bmi2") {
        // SAFETY: the CPU has both features, which is all that the function asks for.
        return unsafe { symbols_with_bmi2(buffers, start, tables) };
    }
    symbols_anywhere(buffers, start, tables)
}

#[inline(never)]
fn symbols_anywhere(buffers: &mut Buffers, start: Cursor, tables: &Tables) -> Option<Cursor> {
    buffers.symbols(start, tables)
}

#[cfg(all(feature = "std", target_arch = "x86_64"))]
#[target_feature(enable = "bmi1,bmi2")]
fn symbols_with_bmi2(buffers: &mut Buffers, start: Cursor, tables: &Tables) -> Option<Cursor> {
    buffers.symbols(start, tables)
}
