//! `cargo xtask sim`: the whole stack under simulated faults, a seed each time.

use std::ffi::OsStr;

use anyhow::Result;
use xshell::{Shell, cmd};

/// Runs the simulator with these arguments.
pub(crate) fn run(args: impl IntoIterator<Item: AsRef<OsStr>>) -> Result<()> {
    let sh = Shell::new()?;
    cmd!(sh, "cargo run --quiet --release -p acomp-sim -- {args...}").run()?;
    Ok(())
}

/// For a push, and for all gates.
pub(crate) const SEEDS: [&str; 2] = ["1000", "20000"];
