//! `acomp bench`: what the layers around a codec cost. Always interleaved: each round measures
//! every candidate once, medians over the rounds are reported.

mod asynchronous;
mod overhead;
mod rounds;
mod zswap;

use anyhow::Result;

use crate::output::Rows;

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// A session, a chain and a shared handle beside a direct call.
    Overhead,
    /// Requests that complete later, beside blocking calls; chains on worker threads.
    Async(asynchronous::Args),
    /// zswap beside the bare session calls on the same pages.
    Zswap(zswap::Args),
}

pub(crate) fn run(command: &Command) -> Result<Rows> {
    match command {
        Command::Overhead => overhead::run(),
        Command::Async(args) => asynchronous::run(args),
        Command::Zswap(args) => zswap::run(args),
    }
}
