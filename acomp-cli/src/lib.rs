//! The program `acomp`: pages through drivers, zswap and benchmarks, for people and (`--json`) for
//! machines.
//!
//! A library too, for programs that have other drivers in it: what is linked is in `acomp list`,
//! and in every command that takes a name. With a driver of yours, the whole program is
//!
//! ```no_run
//! # mod my_drivers {}
//! use my_drivers as _; // linked, which registers them
//!
//! fn main() -> std::process::ExitCode {
//!     acomp_cli::run()
//! }
//! ```

mod args;
mod bench;
mod capture;
mod cgroup;
mod demo;
mod doctor;
mod iaa;
mod list;
mod machine;
mod output;
mod pages;
mod parallel;
mod progress;
mod selftest;
mod sim;
mod swap;
mod usemem;
mod zswap;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::output::Rows;

/// Compression of memory pages through one API.
///
/// Without a command: demo.
#[derive(Parser)]
#[command(version, arg_required_else_help = false)]
struct Cli {
    /// Print one JSON array of rows instead of a table.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Generated pages through zswap with every compressor (the default).
    Demo(demo::Args),
    /// Every driver that is linked, and whether it passes its self-test.
    List,
    /// The whole conformance suite over drivers.
    Selftest(selftest::Args),
    /// Pages from files through zswap, every byte compared.
    Swap(swap::Args),
    /// The anonymous memory of a live process, as a page file for `swap`.
    Capture(capture::Args),
    /// Memory that is larger than its limit: the pager beside the kernel's zswap.
    ///
    /// Each process writes all of its memory and reads it, and every page is compared with what it
    /// must hold. MB are 10^6 bytes. Writing includes the first touch of the memory; an access is
    /// a page. A fault is an access of a read pass whose first touch took 1 us or more. The kernel
    /// is set up for each run and everything put back after it; if even that was killed, the next
    /// start does it. Its readahead (vm.page-cluster) stays as it is.
    Usemem(usemem::Args),
    /// One process of `usemem`.
    #[command(hide = true)]
    UsememWorker(usemem::worker::Args),
    /// What this machine has for the pager, `usemem` and accelerators, and how to mend the rest.
    Doctor(doctor::Args),
    /// The store of compressed pages.
    #[command(subcommand)]
    Zswap(zswap::Command),
    /// Benchmarks.
    #[command(subcommand)]
    Bench(bench::Command),
    /// Accelerators.
    #[command(subcommand)]
    Iaa(iaa::Command),
    /// Predictions in virtual time.
    #[command(subcommand)]
    Sim(sim::Command),
}

/// Runs the program with the arguments of this process. Call it first in `main`, and nothing beside
/// it: `usemem` starts the same executable again, for each of its processes.
#[must_use]
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    let rows = match cli.command.unwrap_or_else(|| Command::Demo(demo::Args::default())) {
        Command::Demo(args) => demo::run(&args),
        Command::List => list::run(),
        Command::Selftest(args) => selftest::run(&args),
        Command::Swap(args) => swap::run(&args),
        Command::Capture(args) => capture::run(&args),
        Command::Usemem(args) => usemem::run(&args),
        Command::UsememWorker(args) => usemem::worker::run(&args),
        Command::Doctor(args) => Ok(doctor::run(&args)),
        Command::Zswap(command) => Ok(zswap::run(&command)),
        Command::Bench(command) => bench::run(&command),
        Command::Iaa(command) => iaa::run(&command),
        Command::Sim(command) => sim::run(&command),
    };
    match rows.and_then(|rows| rows.print(cli.json).map(|()| rows)) {
        Ok(Rows { failure: None, .. }) => ExitCode::SUCCESS,
        Ok(Rows { failure: Some(failure), .. }) => fail(&failure),
        Err(error) => fail(&format!("{error:#}")),
    }
}

fn fail(message: &str) -> ExitCode {
    output::complain(message);
    ExitCode::FAILURE
}
