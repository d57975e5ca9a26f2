//! `cargo xtask ci`: the gates, in order, each under a heading with its wall time. The first
//! failure ends the run.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use cargo_metadata::Metadata;
use cargo_metadata::camino::Utf8Path;
use xshell::{Cmd, Shell, cmd};

use crate::author;
use crate::fuzz;
use crate::loom;
use crate::mutants;
use crate::sanitize;
use crate::sim;
use crate::tidy;
use crate::tools::{CARGO_DENY, CARGO_HACK, TYPOS};

/// Runs the push tier, with `test` its workspace tests too, with `full` also the slow gates.
pub(crate) fn run(workspace: &Metadata, full: bool, test: bool) -> Result<()> {
    let sh = &Shell::new()?;
    sh.change_dir(&workspace.workspace_root);
    let target_dir = &*workspace.target_directory;
    let (deny, hack) = (CARGO_DENY.program(target_dir), CARGO_HACK.program(target_dir));
    let typos = TYPOS.program(target_dir);

    let mut steps = Steps::default();
    steps.run("tools", || {
        [CARGO_DENY, CARGO_HACK, TYPOS].iter().try_for_each(|tool| tool.install(sh, target_dir))
    })?;
    steps.run("fmt", || Ok(cmd!(sh, "cargo fmt --all --check").run()?))?;
    steps.run("clippy", || clippy(sh, workspace))?;
    steps.run("tidy", || tidy::run(workspace))?;
    steps.run("historic defects still apply", || mutants::check(workspace))?;
    steps.run("typos", || Ok(cmd!(sh, "{typos}").run()?))?;
    steps.run("deny (no advisories)", || licenses_and_sources(sh, &deny))?;
    steps.run("features", || features(sh, &hack, workspace))?;
    steps.run("doc", || {
        let doc = cmd!(sh, "cargo doc --workspace --no-deps");
        Ok(doc.env("RUSTDOCFLAGS", "-Dwarnings").run()?)
    })?;
    steps.run("pure Rust", || pure_rust(sh))?;
    steps.run("fuzz properties", || fuzz::test(workspace))?;
    steps.run("a driver by somebody else", || author::test(workspace))?;
    steps.run("loom", || loom::run(workspace, if full { 3 } else { 2 }))?;
    steps.run("simulation", || sim::gate(full))?;
    if test {
        steps.run("test", || Ok(cmd!(sh, "cargo test --workspace").run()?))?;
    }
    if full {
        steps.run("minimal versions", || minimal_versions(sh, target_dir))?;
        steps.run("fat LTO", || fat_lto(sh, target_dir))?;
        steps.run("many flips and faults, long load, the kernel's zswap", || {
            let tested = [
                "-p",
                "page-codec",
                "-p",
                "acomp-iaa",
                "-p",
                "zswap",
                "-p",
                "zswap-pager",
                "-p",
                "acomp-cli",
            ];
            Ok(cmd!(sh, "cargo test --release {tested...} -- --ignored").run()?)
        })?;
        steps.run("AddressSanitizer", || sanitize::run(workspace))?;
        steps.run("fuzz", || fuzz::run(workspace, fuzz::SECONDS, None))?;
        steps.run("historic defects", || mutants::historic(workspace, mutants::Shard::WHOLE))?;
        steps.run("bench overhead", || bench(sh, "overhead", OVERHEAD_BARS))?;
        steps.run("bench async", || bench(sh, "async", ASYNC_BARS))?;
        steps.run("bench zswap", || bench(sh, "zswap", ZSWAP_BARS))?;
    }
    steps.summary();
    Ok(())
}

/// Each package by itself, so that no feature that another one turns on hides a breakage.
fn clippy(sh: &Shell, workspace: &Metadata) -> Result<()> {
    for package in workspace.workspace_packages() {
        let name = package.name.as_str();
        cmd!(sh, "cargo clippy -p {name} --all-targets -- -D warnings").run()?;
    }
    Ok(())
}

/// Every pair of features compiles without a warning, in the packages that have any.
///
/// Without `--no-dev-deps`, which rewrites the manifests while it runs: the resolver keeps features
/// of dev-dependencies out of these builds anyway.
fn features(sh: &Shell, hack: &Utf8Path, workspace: &Metadata) -> Result<()> {
    let powerset = ["--feature-powerset", "--depth", "2", "--exclude-features", "default"];
    let packages = workspace.workspace_packages().into_iter();
    for package in packages.filter(|package| !package.features.is_empty()) {
        let name = package.name.as_str();
        cmd!(sh, "{hack} hack clippy -p {name} {powerset...} -- -D warnings").run()?;
    }
    Ok(())
}

/// Of what each workspace builds upon. Advisories need a database from the network and change
/// without a commit: they are no gate.
fn licenses_and_sources(sh: &Shell, deny: &Utf8Path) -> Result<()> {
    for manifest in ["Cargo.toml", "fuzz/Cargo.toml", "examples/author/Cargo.toml"] {
        let deny = cmd!(sh, "{deny} --manifest-path {manifest}");
        deny.args(["check", "bans", "licenses", "sources"]).run()?;
    }
    Ok(())
}

/// The codecs said to be pure Rust work alone, and building them takes no C compiler. Those for
/// pages work without asking what the CPU can do.
fn pure_rust(sh: &Shell) -> Result<()> {
    let pure = ["--no-default-features", "--features", "842,deflate,lz4,lzo"];
    let tree =
        cmd!(sh, "cargo tree -p acomp {pure...} --edges normal,build --prefix none").read()?;
    let c_compilers = tree.lines().find(|line| line.starts_with("cc "));
    ensure!(c_compilers.is_none(), "`cargo tree -p acomp {}` names the crate cc", pure.join(" "));
    cmd!(sh, "cargo test -p acomp {pure...}").run()?;
    cmd!(sh, "cargo test -p acomp-algs {pure...}").run()?;
    cmd!(sh, "cargo test -p page-codec --no-default-features").run()?;
    Ok(())
}

/// The lowest versions that the manifests admit still compile: no manifest understates its needs.
///
/// Works on a copy, since cargo would rewrite the lock file. Only the resolution needs an unstable
/// option; the build is an ordinary one.
fn minimal_versions(sh: &Shell, target_dir: &Utf8Path) -> Result<()> {
    let copy = target_dir.join("minimal-versions");
    sh.remove_path(&copy)?;
    cmd!(sh, "git checkout-index --all --force --prefix={copy}/").run()?;
    let _inside = sh.push_dir(copy);
    let resolve = cmd!(sh, "cargo update -Z direct-minimal-versions");
    resolve.env("RUSTC_BOOTSTRAP", "1").run()?;
    cmd!(sh, "cargo check --workspace --all-targets --target-dir {target_dir}").run()?;
    Ok(())
}

/// No registration is lost to link-time optimisation: the strictest build lists the drivers that
/// the ordinary one lists.
fn fat_lto(sh: &Shell, target_dir: &Utf8Path) -> Result<()> {
    let lto = "profile.release.lto=\"fat\"";
    let dir = target_dir.join("fat-lto");
    cmd!(sh, "cargo build --release -p acomp-cli --config {lto} --target-dir {dir}").run()?;
    let program = dir.join("release/acomp");
    let optimised = drivers(&cmd!(sh, "{program} list --json"))?;
    let ordinary = drivers(&cmd!(sh, "cargo run -p acomp-cli -- list --json"))?;
    ensure!(!ordinary.is_empty(), "the ordinary build lists no driver");
    ensure!(optimised == ordinary, "fat LTO lists {optimised:?}, the ordinary build {ordinary:?}");
    println!("{}", Vec::from_iter(ordinary).join(" "));
    Ok(())
}

/// The benchmark's rows stay within the bars, all of them in one of a few runs: a machine that is
/// shared is half as fast from one second to the next.
fn bench(sh: &Shell, name: &str, bars: &[(&str, f64)]) -> Result<()> {
    let mut is_within = bench_once(sh, name, bars);
    for _ in 1..BENCH_TRIES_MAX {
        if is_within.is_ok() {
            break;
        }
        is_within = bench_once(sh, name, bars);
    }
    is_within
}

fn bench_once(sh: &Shell, name: &str, bars: &[(&str, f64)]) -> Result<()> {
    let rows = cmd!(sh, "cargo run --release -p acomp-cli -- bench {name} --json").read()?;
    println!("{rows}");
    let rows: Vec<serde_json::Value> = serde_json::from_str(&rows)?;
    for (row, (key, bar)) in rows.iter().flat_map(|row| bars.iter().map(move |bar| (row, bar))) {
        let value = row.get(key).and_then(serde_json::Value::as_f64);
        let value = value.with_context(|| format!("a row without {key}"))?;
        ensure!(value <= *bar, "{key} is {value}, more than {bar}");
    }
    Ok(())
}

fn drivers(list: &Cmd<'_>) -> Result<BTreeSet<String>> {
    let rows: Vec<serde_json::Value> = serde_json::from_str(&list.read()?)?;
    let driver = |row: &serde_json::Value| Some(row.get("driver")?.as_str()?.to_owned());
    rows.iter().map(|row| driver(row).context("a row without driver")).collect()
}

/// Names and wall times of the steps that passed.
#[derive(Default)]
struct Steps {
    passed: Vec<(&'static str, Duration)>,
}

impl Steps {
    fn run(&mut self, name: &'static str, step: impl FnOnce() -> Result<()>) -> Result<()> {
        println!("\n==> {name}");
        let start = Instant::now();
        step().with_context(|| format!("ci step {name}"))?;
        let took = start.elapsed();
        println!("<== {name}: {:.1} s", took.as_secs_f64());
        self.passed.push((name, took));
        Ok(())
    }

    fn summary(&self) {
        println!();
        for (name, took) in &self.passed {
            println!("{:>8.1} s  {name}", took.as_secs_f64());
        }
        let total: Duration = self.passed.iter().map(|(_, took)| *took).sum();
        println!("{:>8.1} s  total", total.as_secs_f64());
    }
}

const BENCH_TRIES_MAX: usize = 5;

/// What is promised of the layers around a codec.
const OVERHEAD_BARS: &[(&str, f64)] = &[
    ("session_extra_ns", 5.0),
    ("chain1_extra_ns", 8.0),
    ("shared_handle_extra_ns", 45.0),
    ("lz4_session_extra_ns", 100.0),
    ("lz4_chain8_extra_ns", 100.0),
];
/// What worker threads gain is not among them: it takes a machine that does nothing else.
const ASYNC_BARS: &[(&str, f64)] =
    &[("engine_inline_extra_ns", 75.0), ("await_extra_ns", 100.0), ("allocs_per_request", 0.0)];
const ZSWAP_BARS: &[(&str, f64)] = &[("store_extra_us", 0.8), ("load_extra_us", 0.5)];
