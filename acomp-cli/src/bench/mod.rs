//! `acomp bench`: what the layers around a codec cost, and what the codecs do. Always interleaved:
//! each round measures every candidate once, medians over the rounds are reported.

mod asynchronous;
mod batch;
mod codecs;
mod overhead;
mod rounds;
mod zswap;

use std::path::PathBuf;
use std::slice;

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
    /// Batches on the model of an accelerator, beside single pages and the bare codec.
    Batch(Pages),
    /// Software drivers over the same pages, one page and 8 pages a call.
    ///
    /// Of each file at most 1024 pages are measured, spread evenly over it; figures are geometric
    /// means over the files. MB are 10^6 bytes of pages. `ratio` is what is kept over what was
    /// compressed; a page whose stream is no shorter is kept as it is.
    Codecs(codecs::Args),
    /// zswap beside the bare session calls on the same pages, on two threads, and its memory.
    ///
    /// The last row is about zswap as a whole: `extra` is the larger one of all rows, and for
    /// `zstd_over_codec` what a store and a load cost together. Density is bytes of objects over
    /// memory held for them, when filled with 256 MiB of objects, when half of them were replaced
    /// and compacted, and when filled with 10 MiB.
    Zswap(zswap::Args),
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

    /// The pages of each file by themselves.
    fn read_each(&self) -> Result<Vec<Vec<Page>>> {
        match &*self.pages {
            [] => Ok(vec![self.read()?]),
            files => files.iter().map(|file| pages::read(slice::from_ref(file))).collect(),
        }
    }
}

pub(crate) fn run(command: &Command) -> Result<Rows> {
    match command {
        Command::Overhead => overhead::run(),
        Command::Async(pages) => asynchronous::run(pages.read()?),
        Command::Batch(pages) => batch::run(&pages.read()?),
        Command::Codecs(args) => codecs::run(args),
        Command::Zswap(args) => zswap::run(args),
    }
}
