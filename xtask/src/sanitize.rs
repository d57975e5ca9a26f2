//! `cargo xtask sanitize`: the tests of the crates that hold unsafe code, under AddressSanitizer.
//!
//! It finds accesses outside of objects of the heap, the stack and statics, and to what is freed.
//!
//! The standard library is the ordinary one: to instrument it, too, takes its source, which no
//! stable toolchain ships. What it does to memory that it was given is seen where its functions are
//! generic or inlined, and where it calls C's. Memory that is mapped has no objects for the
//! sanitizer.
//!
//! No test is left out but doctests, which have no unsafe code of their own, and those that only
//! `ci --full` runs, which take minutes.

use std::collections::BTreeSet;

use anyhow::Result;
use cargo_metadata::Metadata;
use xshell::{Shell, cmd};

use crate::tidy::UNSAFE_LEAVES;

/// Runs the tests, package by package.
pub(crate) fn run(workspace: &Metadata) -> Result<()> {
    let sh = &Shell::new()?;
    sh.change_dir(&workspace.workspace_root);
    // The sanitizer is an unstable option of a compiler that is not.
    let _bootstrap = sh.push_env("RUSTC_BOOTSTRAP", "1");
    let _flags = sh.push_env("RUSTFLAGS", "-Zsanitizer=address");
    let _options = sh.push_env("ASAN_OPTIONS", ASAN_OPTIONS.join(":"));
    let dir = workspace.target_directory.join("asan");
    for package in packages() {
        let tests = cmd!(sh, "cargo test -p {package} --lib --tests --target {TARGET}");
        // One at a time: some have bounds on what a thread in the background leaves behind, which
        // gets behind where several tests run slowly.
        tests.args(["--target-dir", dir.as_str(), "--", "--test-threads=1"]).run()?;
    }
    Ok(())
}

/// Those with unsafe leaves.
fn packages() -> BTreeSet<&'static str> {
    UNSAFE_LEAVES.iter().filter_map(|leaf| leaf.split('/').next()).collect()
}

const ASAN_OPTIONS: &[&str] = &[
    // A test asks for more memory than there is, which is to be refused.
    "allocator_may_return_null=1",
    // The handlers are the pager's, and those of tests.
    "handle_segv=0",
    "handle_sigbus=0",
    // What leaks is meant to: the payload of a driver's panic, which is not dropped, for that runs
    // the driver's code once more; and in tests requests that are forgotten, and pools whose device
    // or driver has them.
    "detect_leaks=0",
];

/// The host's, named so that build scripts and macros are not instrumented.
const TARGET: &str = "x86_64-unknown-linux-gnu";
