//! Where pages come from: files of raw pages, and generated ones.

mod file;

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
    for path in files {
        let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let (its_pages, padding_bytes) = file::pages(&bytes);
        pages.extend(its_pages);
        if padding_bytes > 0 {
            let path = path.display();
            complain(&format!("{path}: last page padded with {padding_bytes} zeros"));
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
