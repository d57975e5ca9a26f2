//! `acomp zswap`: what there is to know of the store itself.

use acomp::zswap::PARAMS;

use crate::output::{Rows, row};

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// The parameters that can be set while a pool works, under the kernel's names.
    Params,
}

pub(crate) fn run(command: &Command) -> Rows {
    match command {
        Command::Params => params(),
    }
}

fn params() -> Rows {
    let rows = PARAMS.iter().map(|param| {
        row! { name: param.name, default: param.default, meaning: param.meaning }
    });
    Rows::new(rows.collect())
}
