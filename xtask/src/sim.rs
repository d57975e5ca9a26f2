//! `cargo xtask sim`: the whole stack under simulated faults, a seed each time.

use std::ffi::OsStr;

use anyhow::Result;
use xshell::{Shell, cmd};

/// Runs the simulator with these arguments.
pub(crate) fn run(args: impl IntoIterator<Item: AsRef<OsStr>>) -> Result<()> {
    run_built("release", args)
}

/// Runs so many seeds as a gate.
pub(crate) fn gate(full: bool) -> Result<()> {
    // A release build takes longer than it saves for few seeds.
    let (profile, seeds) = if full { ("release", "20000") } else { ("dev", "1000") };
    run_built(profile, ["--seeds", seeds])
}

fn run_built(profile: &str, args: impl IntoIterator<Item: AsRef<OsStr>>) -> Result<()> {
    let sh = Shell::new()?;
    cmd!(sh, "cargo run --quiet --profile {profile} -p acomp-sim -- {args...}").run()?;
    Ok(())
}
