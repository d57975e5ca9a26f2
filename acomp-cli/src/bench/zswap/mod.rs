//! `acomp bench zswap`: what a page costs beside its codec, what a second thread is worth, and how
//! much memory pages take.

mod codec;
mod memory;
mod threads;

use std::thread::available_parallelism;

use acomp::Registry;
use acomp::zswap::{Page, Slot};
use anyhow::Result;

use self::codec::{Beside, beside_codec, beside_stub};
use super::Pages;
use crate::output::{Row, Rows, rounded, row};

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    pages: Pages,
    /// Little memory instead of much: the figures are of no worth.
    #[arg(long, hide = true)]
    quick: bool,
}

pub(crate) fn run(args: &Args) -> Result<Rows> {
    let pages = args.pages.read()?;
    let [lz4, zstd] = ["lz4", "zstd"].map(|name| beside_codec(name, &pages));
    let (lz4, zstd, stub) = (lz4?, zstd?, beside_stub(&pages)?);
    let mut whole = times(&lz4, &zstd, &stub);
    whole.extend(threads::row(&pages)?);
    whole.extend(memory::row(&pages, args.quick)?);
    whole.extend(contexts()?);
    let codecs = vec![lz4.row(), stub.row()];
    let drawing = drawing(&codecs, &whole);
    let rows = codecs.into_iter().chain([whole]).collect();
    Ok(Rows { drawing: Some(drawing), ..Rows::new(rows) })
}

fn times(lz4: &Beside, zstd: &Beside, stub: &Beside) -> Row {
    row! {
        driver: "zswap",
        cpus: available_parallelism().map_or(1, usize::from),
        store_extra_us: lz4.store_extra_us.max(stub.store_extra_us),
        load_extra_us: lz4.load_extra_us.max(stub.load_extra_us),
        lz4_store_us: lz4.store_us,
        lz4_load_us: lz4.load_us,
        lz4_codec_store_us: lz4.codec_store_us,
        lz4_codec_load_us: lz4.codec_load_us,
        zstd_over_codec: rounded(zstd.store_extra_us + zstd.load_extra_us),
        zstd_store_extra_us: zstd.store_extra_us,
        zstd_load_extra_us: zstd.load_extra_us,
    }
}

/// Page buffers of a context, by what zswap takes for the transform's batch size. The second is
/// null where no driver takes as many pages at a time.
fn contexts() -> Result<Row> {
    let registry = Registry::global();
    let of = |batch: usize| batch.min(SUB_BATCH) * size_of::<Page>();
    let batches = registry.iter().map(|alg| alg.info().batch_size.get());
    let largest = batches.filter(|batch| *batch >= SUB_BATCH).max();
    Ok(row! {
        context_bytes_batch1: of(registry.find("lz4")?.info().batch_size.get()),
        context_bytes_batch8: largest.map(of),
    })
}

/// The codecs as a table, the whole as a list: it has too many columns.
fn drawing(codecs: &[Row], whole: &Row) -> String {
    let mut text = Rows::new(codecs.to_vec()).table();
    for (key, value) in whole.iter().filter(|(key, _)| *key != "driver") {
        text += &format!("\n {key:KEY_WIDTH$} {value}");
    }
    text
}

fn folio_slot(folio: usize) -> Slot {
    Slot((folio * FOLIO_PAGES) as u64)
}

/// 64 KiB.
const FOLIO_PAGES: usize = 16;
/// What zswap compresses under one hold of a lock.
const SUB_BATCH: usize = 8;
const KEY_WIDTH: usize = 32;
