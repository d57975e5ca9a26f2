//! Folios into a pool that may be full, and back.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use acomp::zswap::{Load, LoadError, Owner, Page, Pool, Slot, StoreError};
use anyhow::{Context, Result, bail};

/// All pages, and the pool that they go through.
pub(super) struct Folios<'a> {
    pub(super) pool: &'a Pool,
    pub(super) pages: &'a [Page],
    pub(super) folio_pages: usize,
    /// Whether folios may be rejected.
    pub(super) has_limit: bool,
    /// The compressor of the second half.
    pub(super) switch_to: Option<&'a str>,
}

/// What became of the folios, once.
pub(super) struct Fate {
    stored: AtomicUsize,
    rejected_pages: AtomicUsize,
    is_rejected: Vec<AtomicBool>,
}

impl Fate {
    pub(super) fn rejected_pages(&self) -> usize {
        self.rejected_pages.load(Relaxed)
    }
}

impl Folios<'_> {
    /// Nothing happened yet.
    pub(super) fn fate(&self) -> Fate {
        let folios = self.pages.len().div_ceil(self.folio_pages);
        Fate {
            stored: AtomicUsize::new(0),
            rejected_pages: AtomicUsize::new(0),
            is_rejected: (0..folios).map(|_| AtomicBool::new(false)).collect(),
        }
    }

    /// Stores pages from the `first` on, in folios.
    pub(super) fn store(&self, first: usize, pages: &[Page], fate: &Fate) -> Result<()> {
        let half = fate.is_rejected.len().div_ceil(2);
        for (i, folio) in pages.chunks(self.folio_pages).enumerate() {
            let at = first + i * self.folio_pages;
            if !self.is_stored(Slot(at as u64), folio)? {
                fate.is_rejected[at / self.folio_pages].store(true, Relaxed);
                fate.rejected_pages.fetch_add(folio.len(), Relaxed);
            }
            let is_half = fate.stored.fetch_add(1, Relaxed) + 1 == half;
            if let Some(compressor) = self.switch_to.filter(|_| is_half) {
                self.pool.set("compressor", compressor)?;
            }
        }
        Ok(())
    }

    /// Whether the pool took a folio. When it is full it is maintained first, as its worker would
    /// do: here, so that nothing depends on how fast that one is.
    fn is_stored(&self, slot: Slot, folio: &[Page]) -> Result<bool> {
        let mut stored = self.pool.store(slot, folio, Owner::ROOT);
        // Pages that were just stored get a second chance first, some at a time.
        let mut tries = TRIES + self.pages.len() / PAGES_OF_A_TRY;
        while stored.is_err() && self.pool.is_wanting() && tries > 0 {
            let reclaimed = self.pool.maintain()?.reclaimed;
            stored = self.pool.store(slot, folio, Owner::ROOT);
            let has_helped = reclaimed.pages() + reclaimed.rotated > 0;
            tries = if has_helped { tries - 1 } else { 0 };
        }
        match stored {
            Ok(()) => Ok(true),
            Err(StoreError::PoolLimit | StoreError::NoMemory) if self.has_limit => Ok(false),
            Err(error) => Err(error).context("store"),
        }
    }

    /// Loads pages from the `first` on, in folios. Those that were rejected must not be there, and
    /// come from the program.
    pub(super) fn load(&self, first: usize, pages: &mut [Page], fate: &Fate) -> Result<()> {
        for (i, folio) in pages.chunks_mut(self.folio_pages).enumerate() {
            let at = first + i * self.folio_pages;
            let loaded = self.pool.load_range(Slot(at as u64), folio, Load::Exclusive);
            let is_rejected = fate.is_rejected[at / self.folio_pages].load(Relaxed);
            match loaded {
                Err(LoadError::NotFound { .. }) if is_rejected => {
                    folio.copy_from_slice(&self.pages[at..at + folio.len()]);
                }
                Ok(_) if is_rejected => bail!("a folio that was rejected is stored"),
                loaded => drop(loaded.context("load")?),
            }
        }
        Ok(())
    }
}

/// In a small pool, a folio may need more than one maintenance makes room for.
const TRIES: usize = 4;
/// At least so many are looked at.
const PAGES_OF_A_TRY: usize = 32;
