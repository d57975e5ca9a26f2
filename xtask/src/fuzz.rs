//! `cargo xtask fuzz`: page-codec beside other implementations, on inputs that libFuzzer makes up.
//!
//! The folder `fuzz` is a workspace of its own, lest the other crates' builds wait for libFuzzer,
//! which takes a C++ compiler. Its properties build without.

use anyhow::{Result, ensure};
use cargo_metadata::{Metadata, MetadataCommand};
use xshell::{Shell, cmd};

use crate::tools::CARGO_FUZZ;

/// Fuzzes one target, or each in turn, for so long.
pub(crate) fn run(workspace: &Metadata, seconds: u32, only: Option<&str>) -> Result<()> {
    let sh = &Shell::new()?;
    sh.change_dir(&workspace.workspace_root);
    let target_dir = &*workspace.target_directory;
    CARGO_FUZZ.install(sh, target_dir)?;
    let (fuzz, dir) = (CARGO_FUZZ.program(target_dir), target_dir.join("fuzz"));
    let mut targets = targets(workspace)?;
    targets.retain(|target| only.is_none_or(|only| only == target));
    ensure!(!targets.is_empty(), "no such target");
    for target in targets {
        println!("{target}");
        let seconds = format!("-max_total_time={seconds}");
        let quiet = ["-print_final_stats=1", "-verbosity=0"];
        let fuzz = cmd!(sh, "{fuzz} fuzz run --target-dir {dir} {target} -- {seconds} {quiet...}");
        // Sanitizers are unstable options of a compiler that is not.
        fuzz.env("RUSTC_BOOTSTRAP", "1").run()?;
    }
    Ok(())
}

/// Lints the properties, and tests them with a few inputs each.
pub(crate) fn test(workspace: &Metadata) -> Result<()> {
    let sh = &Shell::new()?;
    sh.change_dir(workspace.workspace_root.join("fuzz"));
    let dir = workspace.target_directory.join("fuzz");
    let without = ["--no-default-features", "--target-dir", dir.as_str()];
    cmd!(sh, "cargo fmt --check").run()?;
    cmd!(sh, "cargo clippy {without...} --all-targets -- -D warnings").run()?;
    cmd!(sh, "cargo test {without...}").run()?;
    Ok(())
}

fn targets(workspace: &Metadata) -> Result<Vec<String>> {
    let manifest = workspace.workspace_root.join("fuzz/Cargo.toml");
    let fuzz = MetadataCommand::new().manifest_path(manifest).no_deps().exec()?;
    let targets = fuzz.packages.iter().flat_map(|package| &package.targets);
    Ok(targets.filter(|target| target.is_bin()).map(|target| target.name.clone()).collect())
}

/// For each target, unless told otherwise.
pub(crate) const SECONDS: u32 = 10;
