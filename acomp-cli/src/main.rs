//! The program `acomp`.

use std::process::ExitCode;

fn main() -> ExitCode {
    acomp_cli::run()
}
