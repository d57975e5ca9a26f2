//! The program `acomp`, with the driver in it.

use acomp_zeros as _;

fn main() -> std::process::ExitCode {
    acomp_cli::run()
}
