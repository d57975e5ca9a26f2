//! `cargo xtask bench`: the benchmarks that are programs of their own.

use std::ffi::OsString;

use anyhow::Result;
use xshell::{Shell, cmd};

/// Measures page-codec beside the C libraries that are installed.
pub(crate) fn peers(args: &[OsString]) -> Result<()> {
    let sh = Shell::new()?;
    cmd!(sh, "cargo run --quiet --release -p peers -- {args...}").run()?;
    Ok(())
}
