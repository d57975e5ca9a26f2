//! Where pages come from: files of raw pages, and generated ones.

use std::fs;
use std::path::PathBuf;

use acomp::Session;
use acomp::zswap::{PAGE_BYTES, Page};
use acomp_testmgr::Content;
use anyhow::{Context, Result, ensure};

use crate::output::complain;
use crate::progress::Progress;

/// Reads raw pages; a file whose length is no multiple of a page is padded with zeros, and said so.
pub(crate) fn read(files: &[PathBuf]) -> Result<Vec<Page>> {
    let progress = Progress::new("read", files.len());
    let mut pages = Vec::new();
    for file in files {
        let bytes = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
        let (whole, tail) = bytes.as_chunks::<PAGE_BYTES>();
        pages.extend_from_slice(whole);
        if !tail.is_empty() {
            let mut page = [0; PAGE_BYTES];
            page[..tail.len()].copy_from_slice(tail);
            pages.push(page);
            let padding_bytes = PAGE_BYTES - tail.len();
            let file = file.display();
            complain(&format!("{file}: last page padded with {padding_bytes} zeros"));
        }
        progress.step(1);
    }
    ensure!(!pages.is_empty(), "no pages: every file is empty");
    Ok(pages)
}

/// As many pages of every generated class.
pub(crate) fn generated(of_each: usize) -> Vec<Page> {
    let mut pages = vec![[0; PAGE_BYTES]; of_each * Content::ALL.len()];
    for (i, page) in pages.iter_mut().enumerate() {
        Content::ALL[i / of_each].fill(i as u64, page);
    }
    pages
}

/// Those that zswap would compress and keep as a stream, so that a benchmark of it does the same
/// work as one of the bare codec.
pub(crate) fn compressible(mut pages: Vec<Page>, session: &mut Session) -> Result<Vec<Page>> {
    let mut dst = [0; PAGE_BYTES - 1];
    pages.retain(|page| !is_same_filled(page) && session.compress(page, &mut dst).is_ok());
    ensure!(!pages.is_empty(), "no page can be compressed");
    Ok(pages)
}

/// Whether the page repeats one word: zswap makes no object of it.
pub(crate) fn is_same_filled(page: &Page) -> bool {
    page.windows(WORD_BYTES + 1).all(|w| w[0] == w[WORD_BYTES])
}

const WORD_BYTES: usize = 8;
