//! `acomp bench`: what the layers around a codec cost. Always interleaved: each round measures
//! every candidate once, medians over the rounds are reported.

mod asynchronous;
mod overhead;
mod rounds;
mod zswap;

use std::path::PathBuf;

use acomp::zswap::Page;
use anyhow::Result;

use crate::output::Rows;
use crate::pages;

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// A session, a chain and a shared handle beside a direct call.
    Overhead,
    /// Requests that complete later, beside blocking calls; chains on worker threads.
    Async(Pages),
    /// zswap beside the bare session calls on the same pages.
    Zswap(Pages),
}

#[derive(clap::Args)]
pub(crate) struct Pages {
    /// Files of raw 4096-byte pages; generated ones if there are none.
    #[arg(long, num_args = 1.., value_name = "FILE")]
    pages: Vec<PathBuf>,
}

impl Pages {
    fn read(&self) -> Result<Vec<Page>> {
        match &*self.pages {
            [] => Ok(pages::generated(512)),
            files => pages::read(files),
        }
    }
}

pub(crate) fn run(command: &Command) -> Result<Rows> {
    match command {
        Command::Overhead => overhead::run(),
        Command::Async(pages) => asynchronous::run(pages.read()?),
        Command::Zswap(pages) => zswap::run(&pages.read()?),
    }
}
