//! What is done with the pool, and whether its answers may be.

use acomp_iaa::{Fault, FaultPlan};
use zswap::{
    Load, LoadError, Loaded, Owner, PAGE_BYTES, Page, Reclaimed, Revalidated, Slot, StoreError,
};

use crate::case::{FIRST_SLOTS, Kind, TASK_SLOTS};
use crate::model::page;
use crate::violation::{Invariant, Violation, ensure};
use crate::world::{TOTAL_BYTES, World, locked};

/// A slot of a task.
type At = (usize, u64);

/// What decides over a store, before or after it.
struct Limits {
    is_enabled: bool,
    is_at_limit: bool,
    has_writeback: bool,
    held_bytes: u64,
    accepted_bytes: u64,
}

impl World {
    pub(crate) fn store(
        &self,
        at: At,
        folio: &[Kind],
        owner: u16,
        is_flipped: bool,
    ) -> Result<(), Violation> {
        let first = slot(at);
        let pages: Vec<Page> = folio.iter().copied().map(page).collect();
        let before = self.limits(owner);
        // What is decompressed meanwhile would be wrong, and nobody could know.
        let is_flipped = is_flipped && !before.is_at_limit && !self.requests.has_decompressions();
        if is_flipped {
            let flipped = FaultPlan::new(self.case.seed).often(5000, Fault::FlippedBit);
            self.units.set_faults(|_| flipped.clone());
        }
        let stored = self.pool.store(Slot(first), &pages, Owner::new(owner));
        if is_flipped {
            self.units.set_faults(|unit| self.case.plan(unit));
        }
        let after = self.limits(owner);
        self.tell(format_args!("store {first:#x}, {} pages of {owner}: {stored:?}", pages.len()));
        let mut model = locked(&self.model);
        model.forget(first, pages.len());
        let is_admissible = match stored {
            Ok(()) => {
                model.insert(first, folio, &pages);
                before.is_enabled
            }
            Err(StoreError::Disabled) => !before.is_enabled,
            Err(StoreError::OwnerLimit { .. }) => before.is_at_limit,
            Err(StoreError::PoolLimit) => {
                let held = before.held_bytes.max(after.held_bytes);
                held >= before.accepted_bytes.min(after.accepted_bytes)
            }
            Err(StoreError::Incompressible { .. }) => !before.has_writeback || !after.has_writeback,
            Err(_) => false,
        };
        drop(model);
        ensure(is_admissible, Invariant::Answer, || {
            format!("a store of owner {owner} is answered {stored:?}")
        })
    }

    fn limits(&self, owner: u16) -> Limits {
        let held_bytes = self.pool.counters().pool_total_size;
        let usage = self.pool.owner(Owner::new(owner));
        let bytes = usage.map_or(0, |usage| usage.bytes);
        let model = locked(&self.model);
        let limit = model.limits.get(usize::from(owner)).copied().flatten();
        let has_writeback = model.has_writeback.get(usize::from(owner)).copied();
        Limits {
            is_enabled: model.is_enabled,
            is_at_limit: limit.is_some_and(|limit| bytes >= limit),
            has_writeback: has_writeback.unwrap_or(true),
            held_bytes,
            accepted_bytes: TOTAL_BYTES * model.max_percent / 100 * model.accept_percent / 100,
        }
    }

    pub(crate) fn load(&self, at: At, pages: usize, how: Load) -> Result<(), Violation> {
        let first = slot(at);
        let mut dst = vec![[0xBD; PAGE_BYTES]; pages];
        let reads = self.disk.reads();
        let loaded = match dst.as_mut_slice() {
            [one] => self.pool.load(Slot(first), one, how),
            all => self.pool.load_range(Slot(first), all, how),
        };
        let reads = reads && self.disk.reads();
        self.answered(first, &dst, how, loaded, (reads, false))
    }

    /// A page of the swap device must be refused then. Nobody else has a turn meanwhile.
    pub(crate) fn load_damaged(&self, at: At) -> Result<(), Violation> {
        let first = slot(at);
        let mut dst = [[0xBD; PAGE_BYTES]];
        self.ram.damage();
        let loaded = self.pool.load(Slot(first), &mut dst[0], Load::Shared);
        self.ram.damage();
        let is_found = loaded.map_or(0, |loaded| loaded.from_device) == 0;
        ensure(is_found, Invariant::WrongPage, || format!("slot {first}: damage is not found"))?;
        self.answered(first, &dst, Load::Shared, loaded, (self.disk.reads(), true))
    }

    fn answered(
        &self,
        first: u64,
        dst: &[Page],
        how: Load,
        loaded: Result<Loaded, LoadError>,
        known: (bool, bool),
    ) -> Result<(), Violation> {
        self.tell(format_args!("load {first:#x}, {} pages, {how:?}: {loaded:?}", dst.len()));
        let mut model = locked(&self.model);
        match loaded {
            Ok(loaded) => model.loaded(first, dst, how, loaded),
            Err(error) => model.not_loaded(error, known),
        }
    }

    pub(crate) fn revalidate(&self, at: At, is_same: bool) -> Result<(), Violation> {
        let at = slot(at);
        let page = locked(&self.model).page(at);
        let mut its_page = page.as_deref().copied().unwrap_or([0; PAGE_BYTES]);
        its_page[PAGE_BYTES - 1] ^= u8::from(!is_same);
        let reads = self.disk.reads();
        let answer = self.pool.revalidate(Slot(at), &its_page);
        let reads = reads && self.disk.reads();
        self.tell(format_args!("revalidate {at:#x}: {answer:?}"));
        let mut model = locked(&self.model);
        match (answer, &page) {
            (Err(error), _) => model.not_loaded(error, (reads, false)),
            (Ok(Revalidated::Gone), _) => model.not_found(Slot(at)),
            (Ok(Revalidated::Same), Some(_)) if is_same => {
                model.keep(at);
                Ok(())
            }
            (Ok(Revalidated::Changed), Some(_)) if !is_same => {
                model.forget(at, 1);
                Ok(())
            }
            (Ok(answer), Some(_)) => {
                Err(Invariant::WrongPage.broken(format!("slot {at} is {answer:?}")))
            }
            (Ok(answer), None) => {
                Err(Invariant::StalePage.broken(format!("slot {at} is {answer:?}")))
            }
        }
    }

    pub(crate) fn invalidate(&self, at: At) {
        let slot = slot(at);
        self.seam.invalidate(&self.pool, Slot(slot));
        locked(&self.model).forget(slot, 1);
    }

    pub(crate) fn set(&self, name: &str, value: &str) -> Result<(), Violation> {
        let set = self.pool.set(name, value);
        self.tell(format_args!("set {name} to {value}: {}", set.is_ok()));
        ensure(set.is_ok() == (value != "nope"), Invariant::Answer, || {
            format!("{name} is set to {value}: {set:?}")
        })?;
        let mut model = locked(&self.model);
        match name {
            "enabled" => model.is_enabled = value == "Y",
            "max_pool_percent" => model.max_percent = value.parse().unwrap_or_default(),
            "accept_threshold_percent" => model.accept_percent = value.parse().unwrap_or_default(),
            _ => {}
        }
        Ok(())
    }

    pub(crate) fn owner_limit(&self, owner: u16, bytes: Option<u64>) {
        // Said before it is done: who asks meanwhile errs on the safe side.
        locked(&self.model).limits[usize::from(owner)] = bytes;
        self.pool.set_owner_limit(Owner::new(owner), bytes);
    }

    pub(crate) fn owner_writeback(&self, owner: u16, on: bool) {
        self.pool.set_owner_writeback(Owner::new(owner), on);
        locked(&self.model).has_writeback[usize::from(owner)] = on;
    }

    pub(crate) fn shrink(&self, owner: u16, pages: usize) -> Result<(), Violation> {
        let before = self.pool.counters();
        let reclaimed = self.pool.shrink(Owner::new(owner), pages);
        self.reclaimed(&before, reclaimed, Some(pages))
    }

    pub(crate) fn maintain(&self) -> Result<(), Violation> {
        let before = self.pool.counters();
        match self.pool.maintain() {
            Ok(maintained) => self.reclaimed(&before, maintained.reclaimed, None),
            Err(error) => Err(Invariant::Answer.broken(format!("maintenance: {error}"))),
        }
    }

    fn reclaimed(
        &self,
        before: &zswap::Counters,
        reclaimed: Reclaimed,
        pages_max: Option<usize>,
    ) -> Result<(), Violation> {
        self.tell(format_args!("{reclaimed:?}"));
        let after = self.pool.counters();
        let counted = [
            after.zswpwb - before.zswpwb,
            after.dropped_duplicates - before.dropped_duplicates,
            after.reject_reclaim_fail - before.reject_reclaim_fail,
        ];
        let Reclaimed { written, dropped, rotated, failed, .. } = reclaimed;
        let told = [written as u64, dropped as u64, failed as u64];
        ensure(told == counted, Invariant::Counters, || {
            format!("the pool counts {counted:?} of {reclaimed:?}")
        })?;
        let looked = written + dropped + rotated + failed;
        ensure(pages_max.is_none_or(|max| looked <= max), Invariant::Counters, || {
            format!("{pages_max:?} pages were asked for, and {reclaimed:?}")
        })
    }

    /// Duplicates were dropped: finds out which, when nothing goes on.
    pub(crate) fn look_for_duplicates(&self) -> Result<(), Violation> {
        let counters = self.pool.counters();
        if !locked(&self.model).misses_duplicates(&counters) {
            return Ok(());
        }
        let duplicates = locked(&self.model).duplicates();
        for slot in duplicates {
            self.look(slot)?;
        }
        locked(&self.model).found_duplicates(&counters)
    }

    fn look(&self, slot: u64) -> Result<(), Violation> {
        let mut dst = [[0xBD; PAGE_BYTES]];
        let loaded = self.pool.load(Slot(slot), &mut dst[0], Load::Shared);
        self.answered(slot, &dst, Load::Shared, loaded, (self.disk.reads(), false))
    }

    /// Every page is there, and then none.
    pub(crate) fn empty(&self) -> Result<(), Violation> {
        let slots = locked(&self.model).slots();
        for slot in slots {
            self.look(slot)?;
        }
        self.look_for_duplicates()?;
        self.check()?;
        for task in 0..FIRST_SLOTS.len() {
            for at in 0..TASK_SLOTS + FOLIO_PAGES_MAX {
                self.invalidate((task, at));
            }
        }
        let counters = self.pool.counters();
        let held = [counters.object_bytes, counters.pool_total_size, counters.device_pages];
        ensure(held == [0; 3], Invariant::Memory, || {
            format!("bytes of objects, bytes held and blocks of an empty pool: {held:?}")
        })
    }
}

fn slot((task, at): At) -> u64 {
    FIRST_SLOTS[task % FIRST_SLOTS.len()].saturating_add(at)
}

/// More than any folio has.
const FOLIO_PAGES_MAX: u64 = 20;
