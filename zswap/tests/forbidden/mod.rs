//! Sections in which a thread must not call Rust's allocator, neither to allocate nor to free. If
//! it does, the process says `memory allocation of .. bytes failed` and is aborted: nothing that
//! handles errors can hide it.

use assert_no_alloc::{AllocDisabler, assert_no_alloc};

#[global_allocator]
static ALLOCATOR: AllocDisabler = AllocDisabler;

/// Runs `f`, which must not call the allocator.
pub(crate) fn without_allocating<T>(f: impl FnOnce() -> T) -> T {
    assert_no_alloc(f)
}
