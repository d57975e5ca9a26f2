//! The project's own commands, run as `cargo xtask VERB`; one file per verb.

mod author;
mod bench;
mod ci;
mod fuzz;
mod loom;
mod mutants;
mod sanitize;
mod sim;
mod tidy;
mod tools;

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;
use cargo_metadata::MetadataCommand;
use clap::{Parser, Subcommand};

/// The project's own commands.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Verb {
    /// Runs every gate of a push; installs the tools it needs below the target directory.
    Ci {
        /// Adds the slow gates: minimal versions, fat LTO, AddressSanitizer, fuzzing, many
        /// simulations, the benchmarks' bars.
        #[arg(long)]
        full: bool,
        /// Leaves out `cargo test --workspace`, for a caller that has just run it.
        #[arg(long)]
        no_test: bool,
    },
    /// Checks the house rules that no compiler lint covers.
    Tidy,
    /// Explores every interleaving of the concurrent cores.
    Loom {
        /// Times that a thread may be interrupted where it does not block.
        #[arg(long, default_value_t = 3)]
        preemptions: u8,
    },
    /// Tries the properties of the folder `fuzz` on inputs that libFuzzer makes up, from generated
    /// seeds; takes a C++ compiler.
    Fuzz {
        /// The target; every one if there is none.
        target: Option<String>,
        /// How long to fuzz each target.
        #[arg(long, value_name = "SECONDS", default_value_t = fuzz::SECONDS)]
        time: u32,
    },
    /// Simulates the whole stack under faults: zswap over the IAA driver over devices that fail.
    Sim {
        /// What the program gets, as in `--seeds N`, or `--seed K` to replay one; `-- --help`
        /// tells.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Runs the tests of the crates that hold unsafe code under AddressSanitizer.
    Sanitize,
    /// Plants defects, one at a time, and tells which of them no test notices.
    Mutants(mutants::Options),
    /// Runs a benchmark that is a program of its own.
    #[command(subcommand)]
    Bench(Bench),
}

#[derive(Subcommand)]
enum Bench {
    /// Measures page-codec beside the C libraries that are installed.
    Peers {
        /// What the program gets, as in `--pages FILE...`; `-- --help` tells.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
}

fn main() -> ExitCode {
    match run(&Verb::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(verb: &Verb) -> Result<()> {
    // The workspace's own packages suffice, and are known without a registry.
    let workspace = MetadataCommand::new().no_deps().exec()?;
    match verb {
        Verb::Ci { full, no_test } => ci::run(&workspace, *full, !no_test),
        Verb::Tidy => tidy::run(&workspace),
        Verb::Loom { preemptions } => loom::run(&workspace, *preemptions),
        Verb::Fuzz { target, time } => fuzz::run(&workspace, *time, target.as_deref()),
        Verb::Sim { args } => sim::run(args),
        Verb::Sanitize => sanitize::run(&workspace),
        Verb::Mutants(options) => mutants::run(&workspace, options),
        Verb::Bench(Bench::Peers { args }) => bench::peers(args),
    }
}
