//! What a page file is: pages, one after the other, and nothing else.

use acomp::zswap::{PAGE_BYTES, Page};

/// The pages of a file, and how many zeros the last one was filled up with.
pub(crate) fn pages(file: &[u8]) -> (Vec<Page>, usize) {
    let (whole, tail) = file.as_chunks::<PAGE_BYTES>();
    let mut pages = whole.to_vec();
    if tail.is_empty() {
        return (pages, 0);
    }
    let mut page = [0; PAGE_BYTES];
    page[..tail.len()].copy_from_slice(tail);
    pages.push(page);
    (pages, PAGE_BYTES - tail.len())
}
