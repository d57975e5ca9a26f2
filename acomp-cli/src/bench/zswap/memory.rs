//! How much memory pages take: for their objects, and for what is known of them.

use acomp::Registry;
use acomp::zswap::{Load, Owner, PAGE_BYTES, Page, Pool, Slot};
use anyhow::{Context, Result, ensure};
use procfs::process::Process;

use super::FOLIO_PAGES;
use crate::output::{Row, rounded, row};
use crate::pages::is_same_filled;

pub(super) fn row(pages: &[Page], is_quick: bool) -> Result<Row> {
    let scale = if is_quick { QUICK } else { 1 };
    // What is the same everywhere makes no object, and would with a number in it make a tiny one.
    let sources: Vec<Page> = pages.iter().filter(|page| !is_same_filled(page)).copied().collect();
    ensure!(!sources.is_empty(), "no page makes an object");
    let little = Filled::new(&sources, LITTLE_BYTES / scale)?.density();
    let mut much = Filled::new(&sources, MUCH_BYTES / scale)?;
    let filled = much.density();
    much.replace_half()?;
    let churned = much.density();
    much.verify()?;
    drop(much);
    let mut row = row! {
        density_filled: filled,
        density_after_churn: churned,
        density_10mib: little,
    };
    let dense = (0..DENSE_PAGES / scale).step_by(FOLIO_PAGES);
    let (metadata, resident) = known_of(FOLIO_PAGES, dense.map(|slot| Slot(slot as u64)))?;
    let sparse = (0..SPARSE_PAGES / scale).map(|i| Slot((i * PARTITION_SLOTS) as u64));
    let (sparse_metadata, _) = known_of(1, sparse)?;
    row.extend(row! {
        metadata_bytes_per_page: metadata,
        metadata_resident_bytes_per_page: resident,
        metadata_bytes_per_page_sparse: sparse_metadata,
    });
    Ok(row)
}

/// A pool with much in it.
struct Filled<'s> {
    pool: Pool,
    sources: &'s [Page],
    pages: usize,
}

impl<'s> Filled<'s> {
    /// Stores pages until their objects have so many bytes.
    fn new(sources: &'s [Page], object_bytes: usize) -> Result<Self> {
        let mut filled = Self { pool: roomy_pool()?, sources, pages: 0 };
        let mut folio = [[0; PAGE_BYTES]; FOLIO_PAGES];
        while filled.pool.counters().object_bytes < object_bytes as u64 {
            for _ in 0..FOLIOS_AT_A_TIME {
                let first = filled.pages;
                for (i, page) in folio.iter_mut().enumerate() {
                    *page = filled.unique((first + i) % sources.len(), first + i);
                }
                filled.store(first, &folio)?;
                filled.pages += FOLIO_PAGES;
            }
        }
        Ok(filled)
    }

    fn store(&self, first: usize, folio: &[Page]) -> Result<()> {
        self.pool.store(Slot(first as u64), folio, Owner::ROOT).context("store")
    }

    /// No two pages with different numbers are the same.
    fn unique(&self, source: usize, number: usize) -> Page {
        let mut page = self.sources[source];
        page[..NUMBER_BYTES].copy_from_slice(&(number as u64).to_le_bytes());
        page
    }

    /// The page that replaces the one in a slot, if it is one of the half that is replaced.
    fn replacement(&self, slot: usize) -> Option<Page> {
        let random = mixed(slot as u64);
        let source = (random >> 1) as usize % self.sources.len();
        (random & 1 == 1).then(|| self.unique(source, self.pages + slot))
    }

    fn replace_half(&mut self) -> Result<()> {
        for slot in 0..self.pages {
            if let Some(page) = self.replacement(slot) {
                self.store(slot, &[page])?;
            }
        }
        while self.pool.maintain()?.objects_moved > 0 {}
        Ok(())
    }

    /// Every page is the one that it should be.
    fn verify(&self) -> Result<()> {
        let mut page = [0; PAGE_BYTES];
        for slot in 0..self.pages {
            self.pool.load(Slot(slot as u64), &mut page, Load::Shared).context("load")?;
            let first = || self.unique(slot % self.sources.len(), slot);
            let expected = self.replacement(slot).unwrap_or_else(first);
            ensure!(page == expected, "the page under slot {slot} came back wrong");
        }
        Ok(())
    }

    /// Bytes of objects over bytes of memory that is held for them.
    fn density(&self) -> f64 {
        let counters = self.pool.counters();
        rounded(counters.object_bytes as f64 / counters.pool_total_size as f64)
    }
}

/// What is known of pages that have no objects, in bytes of a page: what the pool says, and by how
/// much the resident memory of the process grew. A folio from each slot on.
fn known_of(folio_pages: usize, slots: impl Iterator<Item = Slot>) -> Result<(f64, f64)> {
    let mut folio = vec![[0; PAGE_BYTES]; folio_pages];
    let pool = roomy_pool()?;
    // From here on, so that the reserve for objects does not count.
    let before = resident_bytes()?.saturating_sub(pool.metadata_bytes() as u64);
    let mut pages = 0_u64;
    for slot in slots {
        for page in &mut folio {
            pages += 1; // No page is of zeros: that would need no entry.
            page.as_chunks_mut().0.fill(pages.to_le_bytes());
        }
        pool.store(slot, &folio, Owner::ROOT).context("store")?;
    }
    let grown = resident_bytes()?.saturating_sub(before);
    let of_page = |bytes: u64| rounded(bytes as f64 / pages as f64);
    Ok((of_page(pool.metadata_bytes() as u64), of_page(grown)))
}

fn roomy_pool() -> Result<Pool> {
    let builder = Pool::builder(Registry::global()).compressor("lz4");
    let pool = builder.total_bytes(ROOM_BYTES).build()?;
    pool.set("max_pool_percent", "100")?;
    Ok(pool)
}

fn resident_bytes() -> Result<u64> {
    Ok(Process::myself()?.statm()?.resident * procfs::page_size())
}

/// A number that looks random: the end of splitmix64.
fn mixed(n: u64) -> u64 {
    let n = n.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    n ^ (n >> 31)
}

const NUMBER_BYTES: usize = 8;
/// Counting takes locks.
const FOLIOS_AT_A_TIME: usize = 16;
const MUCH_BYTES: usize = 256 << 20;
const LITTLE_BYTES: usize = 10 << 20;
const ROOM_BYTES: u64 = 4 << 30;
const DENSE_PAGES: usize = 1 << 20;
const SPARSE_PAGES: usize = 1 << 16;
/// No two pages are in one partition of the pool's tree.
const PARTITION_SLOTS: usize = 1 << 14;
/// So much less for tests.
const QUICK: usize = 64;
