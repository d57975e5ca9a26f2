//! What the pool should hold, and what it should have counted.

use std::collections::BTreeMap;
use std::sync::Arc;

use zswap::{Counters, Load, LoadError, Loaded, PAGE_BYTES, Page, Slot};

use crate::case::{Kind, OWNERS};
use crate::violation::{Invariant, Violation, ensure};

/// A page that was stored.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    kind: Kind,
    form: Form,
    page: Arc<Page>,
    /// It was loaded as a duplicate: it is gone when memory is short.
    may_go: bool,
}

/// What the pool makes of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Zero,
    SameFilled,
    Object,
}

/// What is known without asking the pool.
#[derive(Debug)]
pub(crate) struct Model {
    pages: BTreeMap<u64, Stored>,
    totals: Totals,
    pub(crate) is_enabled: bool,
    pub(crate) limits: [Option<u64>; OWNERS as usize],
    pub(crate) has_writeback: [bool; OWNERS as usize],
    pub(crate) max_percent: u64,
    pub(crate) accept_percent: u64,
    /// Duplicates that were dropped, as far as is known which.
    dropped: u64,
}

/// Totals so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Totals {
    zswpout: u64,
    swpout_zero: u64,
    zswpin: u64,
    swpin_zero: u64,
    pswpin: u64,
    device_read_fail: u64,
    checksum_fail: u64,
    decompress_fail: u64,
}

impl Model {
    pub(crate) fn new() -> Self {
        Self {
            pages: BTreeMap::new(),
            totals: Totals::default(),
            is_enabled: true,
            limits: [None; OWNERS as usize],
            has_writeback: [true; OWNERS as usize],
            max_percent: 20,
            accept_percent: 90,
            dropped: 0,
        }
    }

    pub(crate) fn insert(&mut self, first: u64, folio: &[Kind], pages: &[Page]) {
        let mut zeros = 0;
        for (slot, (kind, page)) in (first..=u64::MAX).zip(folio.iter().zip(pages)) {
            let form = Form::of(page);
            zeros += usize::from(form == Form::Zero);
            let (page, kind) = (Arc::new(*page), *kind);
            self.pages.insert(slot, Stored { kind, form, page, may_go: false });
        }
        self.totals.swpout_zero += zeros as u64;
        self.totals.zswpout += (folio.len() - zeros) as u64;
    }

    pub(crate) fn forget(&mut self, first: u64, pages: usize) {
        (first..=u64::MAX).take(pages).for_each(|slot| drop(self.pages.remove(&slot)));
    }

    pub(crate) fn page(&self, slot: u64) -> Option<Arc<Page>> {
        Some(Arc::clone(&self.pages.get(&slot)?.page))
    }

    pub(crate) fn slots(&self) -> Vec<u64> {
        self.pages.keys().copied().collect()
    }

    /// Those that may have been dropped.
    pub(crate) fn duplicates(&self) -> Vec<u64> {
        let duplicates = self.pages.iter().filter(|(_, stored)| stored.may_go);
        duplicates.map(|(slot, _)| *slot).collect()
    }

    /// Pages were loaded.
    pub(crate) fn loaded(
        &mut self,
        first: u64,
        pages: &[Page],
        how: Load,
        loaded: Loaded,
    ) -> Result<(), Violation> {
        for (slot, page) in (first..=u64::MAX).zip(pages) {
            let Some(stored) = self.pages.get_mut(&slot) else {
                return Err(Invariant::StalePage.broken(format!("slot {slot} has a page")));
            };
            ensure(*page == *stored.page, Invariant::WrongPage, || {
                format!("slot {slot} has another page than {:?}", stored.kind)
            })?;
            match how {
                Load::Shared => {}
                Load::Exclusive => drop(self.pages.remove(&slot)),
                // Of pages that all come from the device, none becomes one.
                Load::Duplicate => {
                    stored.may_go |=
                        stored.form == Form::Object && loaded.from_device < pages.len();
                }
            }
        }
        self.totals.swpin_zero += loaded.zero as u64;
        self.totals.pswpin += loaded.from_device as u64;
        self.totals.zswpin += (pages.len() - loaded.zero - loaded.from_device) as u64;
        Ok(())
    }

    /// Pages were not loaded. `reads`: the swap device did, all the time.
    pub(crate) fn not_loaded(
        &mut self,
        error: LoadError,
        (reads, is_damaged): (bool, bool),
    ) -> Result<(), Violation> {
        match error {
            LoadError::NotFound { slot } => self.not_found(slot),
            LoadError::Device { .. } if !reads => {
                self.totals.device_read_fail += 1;
                Ok(())
            }
            LoadError::Checksum { .. } if is_damaged => {
                self.totals.checksum_fail += 1;
                Ok(())
            }
            error => Err(Invariant::LostPage.broken(format!("a load is answered: {error}"))),
        }
    }

    pub(crate) fn not_found(&mut self, Slot(slot): Slot) -> Result<(), Violation> {
        let is_lost = self.pages.get(&slot).is_some_and(|stored| !stored.may_go);
        ensure(!is_lost, Invariant::LostPage, || format!("slot {slot} has no page"))?;
        if self.pages.remove(&slot).is_some() {
            self.dropped += 1;
        }
        Ok(())
    }

    /// A page was compared with its duplicate, which is none any more.
    pub(crate) fn keep(&mut self, slot: u64) {
        if let Some(stored) = self.pages.get_mut(&slot) {
            stored.may_go = false;
        }
    }

    /// Whether duplicates were dropped since all were looked for.
    pub(crate) fn misses_duplicates(&self, counters: &Counters) -> bool {
        counters.dropped_duplicates != self.dropped
    }

    /// All were looked for. Those that were dropped and stored again are known by their number.
    pub(crate) fn found_duplicates(&mut self, counters: &Counters) -> Result<(), Violation> {
        let (dropped, counted) = (self.dropped, counters.dropped_duplicates);
        ensure(dropped <= counted, Invariant::LostPage, || {
            format!("{dropped} duplicates are gone, and {counted} were dropped")
        })?;
        self.dropped = counted;
        Ok(())
    }

    /// Compares the pool's counters, when nothing goes on.
    pub(crate) fn check(&self, counters: &Counters) -> Result<(), Violation> {
        let count = |form| self.pages.values().filter(|stored| stored.form == form).count() as u64;
        let totals = Totals {
            zswpout: counters.zswpout,
            swpout_zero: counters.swpout_zero,
            zswpin: counters.zswpin,
            swpin_zero: counters.swpin_zero,
            pswpin: counters.pswpin,
            device_read_fail: counters.device_read_fail,
            checksum_fail: counters.checksum_fail,
            decompress_fail: counters.decompress_fail,
        };
        ensure(totals == self.totals, Invariant::Counters, || {
            format!("the pool counts {totals:?}, and it was {:?}", self.totals)
        })?;
        let counted = [
            counters.zero_pages,
            counters.same_filled_pages,
            counters.stored_pages + counters.device_pages,
        ];
        let same_filled = count(Form::SameFilled);
        let held = [count(Form::Zero), same_filled, same_filled + count(Form::Object)];
        ensure(counted == held, Invariant::Counters, || {
            format!("the pool counts {counted:?} zero, same-filled and other pages, of {held:?}")
        })
    }
}

impl Form {
    fn of(page: &Page) -> Self {
        let (words, _) = page.as_chunks::<8>();
        match words.first() {
            Some(first) if words.iter().any(|word| word != first) => Self::Object,
            Some(first) if u64::from_ne_bytes(*first) == 0 => Self::Zero,
            _ => Self::SameFilled,
        }
    }
}

/// The page of a kind.
pub(crate) fn page(kind: Kind) -> Page {
    let mut page = [0; PAGE_BYTES];
    kind.content.fill(kind.seed, &mut page);
    page
}
