//! `cargo xtask fuzz`: properties of the workspace's crates on inputs that libFuzzer makes up.
//!
//! The folder `fuzz` is a workspace of its own, lest the other crates' builds wait for libFuzzer,
//! which takes a C++ compiler. Its properties build without.

use anyhow::{Context, Result, ensure};
use cargo_metadata::camino::Utf8Path;
use cargo_metadata::{Metadata, MetadataCommand};
use xshell::{Shell, cmd};

use crate::tools::CARGO_FUZZ;

/// Fuzzes one target, or each in turn, for so long, and tells how many inputs each has tried.
pub(crate) fn run(workspace: &Metadata, seconds: u32, only: Option<&str>) -> Result<()> {
    let sh = &Shell::new()?;
    let folder = workspace.workspace_root.join("fuzz");
    let mut targets = targets(&folder)?;
    let names = targets.join(", ");
    targets.retain(|target| only.is_none_or(|only| only == target));
    ensure!(!targets.is_empty(), "no such target; there are {names}");

    // Sanitizers are unstable options of a compiler that is not.
    let _bootstrap = sh.push_env("RUSTC_BOOTSTRAP", "1");
    // GCC makes constants of functions static and still marks them as out of scope when these end:
    // the next call of one is taken for an error, as in libzstd at high levels.
    let _c = sh.push_env("CFLAGS", "-fno-sanitize-address-use-after-scope");
    let target_dir = &*workspace.target_directory;
    CARGO_FUZZ.install(sh, target_dir)?;
    sh.change_dir(&folder);
    let (fuzz, dir) = (CARGO_FUZZ.program(target_dir), target_dir.join("fuzz"));
    let seeds = dir.join("seeds");
    write_seeds(sh, &dir, &seeds)?;
    cmd!(sh, "{fuzz} fuzz build --target-dir {dir} {only...}").run()?;

    let mut total = 0;
    for target in targets {
        let (corpus, seeds) = (folder.join("corpus").join(&target), seeds.join(&target));
        sh.create_dir(&corpus)?;
        let options = [&format!("-max_total_time={seconds}"), "-print_final_stats=1"];
        let quiet = ["-verbosity=0", "-timeout=60"];
        let run = cmd!(sh, "{fuzz} fuzz run --target-dir {dir} {target} {corpus} {seeds}");
        let run = run.args(["--"]).args(options).args(quiet).quiet().ignore_status().output()?;
        let said = String::from_utf8_lossy(&run.stderr);
        ensure!(run.status.success(), "{target} has an input that breaks its property:\n{said}");
        let executions = executions(&said).with_context(|| format!("{target} told nothing"))?;
        total += executions;
        println!("{executions:>12} {target}");
    }
    println!("{total:>12} executions");
    Ok(())
}

/// Lints the properties, and tests them with a few inputs each: the seeds.
pub(crate) fn test(workspace: &Metadata) -> Result<()> {
    let sh = &Shell::new()?;
    sh.change_dir(workspace.workspace_root.join("fuzz"));
    // What the workspace depends on too is compiled once.
    let dir = &workspace.target_directory;
    let without = ["--no-default-features", "--target-dir", dir.as_str()];
    cmd!(sh, "cargo fmt --check").run()?;
    cmd!(sh, "cargo clippy {without...} --all-targets -- -D warnings").run()?;
    cmd!(sh, "cargo test {without...}").run()?;
    Ok(())
}

fn write_seeds(sh: &Shell, dir: &Utf8Path, seeds: &Utf8Path) -> Result<()> {
    sh.remove_path(seeds)?;
    let without = ["--no-default-features", "--target-dir", dir.as_str()];
    cmd!(sh, "cargo run --quiet {without...} --example seeds -- {seeds}").run()?;
    Ok(())
}

fn targets(folder: &Utf8Path) -> Result<Vec<String>> {
    let fuzz = MetadataCommand::new().manifest_path(folder.join("Cargo.toml")).no_deps().exec()?;
    let targets = fuzz.packages.iter().flat_map(|package| &package.targets);
    Ok(targets.filter(|target| target.is_bin()).map(|target| target.name.clone()).collect())
}

/// From what libFuzzer says at the end.
fn executions(said: &str) -> Option<u64> {
    let figure = said.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
    figure?.trim().parse().ok()
}

/// For each target, unless told otherwise.
pub(crate) const SECONDS: u32 = 10;
