//! A region: memory as the program sees it.

use std::fmt;
use std::ops::{Deref, DerefMut, Range};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};

use zswap::{Owner, PAGE_BYTES};

use crate::builder::FaultMode;
use crate::core::Core;
use crate::error::PagerError;
use crate::eviction::WindowId;
use crate::fault::Wait;
use crate::pager::{Pager, Shared};
use crate::raw::memory::Mapping;
use crate::raw::signal::die;
use crate::raw::uffd::Faults;
use crate::regions;
use crate::space::{Space, lock};
use crate::window::{State, WINDOW_PAGES};

/// How a region is mapped.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct MapOptions {
    /// On whose account its compressed pages are; else [`Owner::ROOT`].
    pub owner: Option<Owner>,
    /// Bytes that it can grow to; else none beyond what it has.
    pub capacity: usize,
}

impl MapOptions {
    /// On whose account compressed pages are.
    #[must_use]
    pub fn owner(mut self, owner: Owner) -> Self {
        self.owner = Some(owner);
        self
    }

    /// Bytes that the region can grow to.
    #[must_use]
    pub fn capacity(mut self, bytes: usize) -> Self {
        self.capacity = bytes;
        self
    }
}

/// What the program knows of pages that the pager cannot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Advice {
    /// They are used soon: all of them are there when the call returns, unless there are more of
    /// them than the limit admits.
    WillNeed,
    /// They are not used soon: their windows leave first when memory is short.
    Cold,
    /// They are not used soon: their windows leave now.
    PageOut,
}

/// Memory that is used as any other, and of which only a part is resident. A forked child does not
/// have it.
///
/// ```
/// use acomp_algs as _; // links the drivers
/// use acomp_core::Registry;
/// use zswap_pager::{Advice, Pager, PagerError};
///
/// # fn main() -> Result<(), PagerError> {
/// # let pager = match Pager::builder(Registry::global()).limit(16 << 20).build() {
/// #     Err(PagerError::NotPermitted | PagerError::Unsupported { .. }) => return Ok(()),
/// #     built => built?,
/// # };
/// let mut region = pager.map(32 << 20)?;
/// let numbers = || (0..=255).cycle();
/// region.iter_mut().step_by(4096).zip(numbers()).for_each(|(byte, n)| *byte = n);
/// assert!(pager.stats().resident_bytes <= 16 << 20);
/// assert!(region.iter().step_by(4096).zip(numbers()).all(|(byte, n)| *byte == n));
///
/// region.advise(0..8 << 20, Advice::PageOut)?;
/// region.discard(0..8 << 20)?;
/// assert_eq!(region[5 * 4096], 0);
/// # Ok(())
/// # }
/// ```
pub struct Region {
    shared: Arc<Shared>,
    space: Arc<Space>,
    mapping: Mapping,
    /// Bytes that are the program's, of what is mapped.
    len: usize,
}

impl Region {
    pub(crate) fn map(
        shared: &Arc<Shared>,
        bytes: usize,
        options: MapOptions,
    ) -> Result<Self, PagerError> {
        let len = bytes.checked_next_multiple_of(PAGE_BYTES);
        let len = len
            .filter(|len| *len > 0)
            .ok_or(std::io::Error::from(std::io::ErrorKind::InvalidInput))?;
        if (1..bytes).contains(&options.capacity) {
            return Err(PagerError::Capacity { capacity: options.capacity });
        }
        let core = &shared.core;
        let owner = options.owner.unwrap_or(Owner::ROOT);
        if core.pool.owner(owner).is_none() {
            return Err(PagerError::Owner { id: owner.id() });
        }
        let pages = len.max(options.capacity).div_ceil(PAGE_BYTES);
        let mapping = Mapping::new(pages)?;
        let faults = if core.moves { Faults::Missing } else { Faults::Both };
        core.uffd.register(mapping.area(), faults)?;
        // Whole partitions of the pool's index, so that regions do not share any.
        let slots = pages.next_multiple_of(SLOTS_ALIGN) as u64;
        let slot = zswap::Slot(shared.next_slot.fetch_add(slots, Relaxed));
        // Until it is in its place a number looks free.
        let _mapping = lock(&shared.mapping);
        let id = Pager::number(core);
        let space =
            Arc::new(Space::new(Arc::clone(mapping.area()), slot, owner, id, len / PAGE_BYTES));
        if let Some(place) = lock(&core.spaces).get_mut(id as usize) {
            *place = Some(Arc::clone(&space));
        }
        core.eviction(|order| order.map(id, space.windows().len()));
        regions::add(&space, core);
        Ok(Self { shared: Arc::clone(shared), space, mapping, len })
    }

    /// Says what the program knows of pages. The range is widened to whole pages.
    ///
    /// # Errors
    ///
    /// [`PagerError::Range`], and [`PagerError::Lost`] for [`Advice::WillNeed`].
    pub fn advise(&self, bytes: Range<usize>, advice: Advice) -> Result<(), PagerError> {
        let pages = self.pages_around(&bytes)?;
        let core = self.core();
        match advice {
            Advice::WillNeed => {
                core.populate(&self.space, pages).then_some(()).ok_or(PagerError::Lost)
            }
            Advice::Cold => {
                windows_of(&pages).for_each(|window| {
                    core.eviction(|order| order.cold(WindowId::new(self.space.id, window)));
                });
                Ok(())
            }
            Advice::PageOut => {
                windows_of(&pages).for_each(|window| self.page_out(window));
                windows_of(&pages).for_each(|window| self.settle(window));
                Ok(())
            }
        }
    }

    /// Brings pages back and keeps them, until the guard is dropped: their windows do not leave.
    /// For memory that is passed to system calls in `sigbus` mode, or that must not fault. The
    /// guard does not borrow the region, which the call may write to; what is discarded meanwhile
    /// is gone.
    ///
    /// # Errors
    ///
    /// [`PagerError::Range`], [`PagerError::Lost`], and [`PagerError::PinLimit`] when half of the
    /// limit would be pinned.
    pub fn pin(&self, bytes: Range<usize>) -> Result<Pinned, PagerError> {
        let pages = self.pages_around(&bytes)?;
        let core = self.core();
        let windows = windows_of(&pages);
        let wanted = windows.len() * WINDOW_PAGES;
        let pinned = core.pinned.fetch_add(wanted, Relaxed) + wanted;
        let guard = Pinned {
            core: Arc::clone(core),
            space: Arc::downgrade(&self.space),
            windows: windows.clone(),
        };
        for window in windows {
            self.space.window(window).into_iter().for_each(|mut window| window.pin());
        }
        if pinned > core.limit_pages / 2 {
            return Err(PagerError::PinLimit { pages: wanted });
        }
        // What is about to leave has left before this returns.
        let is_there = core.populate(&self.space, pages);
        is_there.then_some(guard).ok_or(PagerError::Lost)
    }

    /// Forgets what pages contain: they are zeros from now on, and take no memory.
    ///
    /// # Errors
    ///
    /// [`PagerError::Range`] when the range is not of whole pages.
    pub fn discard(&mut self, bytes: Range<usize>) -> Result<(), PagerError> {
        let pages = self.pages_around(&bytes)?;
        if [bytes.start, bytes.end].iter().any(|at| !at.is_multiple_of(PAGE_BYTES)) {
            return Err(self.no_range(&bytes));
        }
        self.forget(pages);
        Ok(())
    }

    /// Makes the region longer, by zeros, or shorter; rounded up to pages.
    ///
    /// # Errors
    ///
    /// [`PagerError::Capacity`].
    pub fn resize(&mut self, bytes: usize) -> Result<(), PagerError> {
        let capacity = self.space.area.pages() * PAGE_BYTES;
        let len = bytes.checked_next_multiple_of(PAGE_BYTES).filter(|len| *len <= capacity);
        let len = len.ok_or(PagerError::Capacity { capacity })?;
        if len < self.len {
            self.forget(len / PAGE_BYTES..self.len / PAGE_BYTES);
        }
        self.len = len;
        self.space.set_len(len / PAGE_BYTES);
        Ok(())
    }

    /// Where the pages are.
    #[must_use]
    pub fn stats(&self) -> RegionStats {
        let mut stats = RegionStats::default();
        for window in 0..self.space.windows().len() {
            let Some(locked) = self.space.window(window) else { continue };
            for at in 0..self.space.pages_of(window).len() {
                match locked.get(at).state {
                    State::Untouched => stats.untouched += 1,
                    State::Resident => stats.resident += 1,
                    State::Staged | State::Busy => stats.in_transit += 1,
                    State::Stored => stats.stored += 1,
                    State::Lost => stats.lost += 1,
                }
                stats.pinned += usize::from(locked.is_pinned());
            }
        }
        stats
    }

    /// Who serves the region's faults.
    #[must_use]
    pub fn mode(&self) -> FaultMode {
        self.shared.mode
    }

    /// Whether system calls may be passed memory of the region that is not there.
    #[must_use]
    pub fn has_kernel_faults(&self) -> bool {
        self.shared.has_kernel_faults
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.shared.core
    }

    /// Lets a window leave, if it can, when there is a frame for it.
    fn page_out(&self, window: usize) {
        let core = self.core();
        // What came back while the rest of it was on its way out leaves too.
        self.settle(window);
        let mut wait = Wait::default();
        loop {
            if let Some(frame) = core.staging.take() {
                if !core.stage_window(&self.space, window, frame) {
                    core.staging.put(frame);
                }
                return;
            }
            if !core.drain(None) {
                wait.pause();
            }
        }
    }

    /// Sees to it that nothing of a window is on its way out or in any more. A thread that a fault
    /// was served for may be here before whoever served it is done.
    fn settle(&self, window: usize) {
        let mut wait = Wait::default();
        while self.space.window(window).is_some_and(|window| window.is_in_transit()) {
            if !self.core().drain(Some(&self.space)) {
                wait.pause();
            }
        }
    }

    /// Forgets pages, wherever they are.
    fn forget(&self, pages: Range<usize>) {
        for window in windows_of(&pages) {
            let all = self.space.pages_of(window);
            let from = pages.start.max(all.start) - all.start;
            let to = pages.end.min(all.end) - all.start;
            self.forget_in(window, from..to);
        }
    }

    fn forget_in(&self, window: usize, pages: Range<usize>) {
        let core = self.core();
        let mut wait = Wait::default();
        let forgotten = loop {
            let locked = self.space.window(window);
            match locked.and_then(|mut locked| locked.begin_forgetting(pages.clone())) {
                Some(forgotten) => break forgotten,
                None => wait.pause(),
            }
        };
        let first = self.space.pages_of(window).start;
        if forgotten.present > 0 || forgotten.has_lost {
            let present = first + pages.start..first + pages.end;
            if self.space.area.discard(present).is_err() {
                die("pages cannot be taken away");
            }
            core.used.fetch_sub(forgotten.present, Relaxed);
        }
        for at in pages.clone().filter(|at| forgotten.is_stored(*at)) {
            core.pool.invalidate(self.space.slot_of(first + at));
        }
        self.space
            .window(window)
            .into_iter()
            .for_each(|mut window| window.forgotten(pages.clone()));
    }

    fn pages_around(&self, bytes: &Range<usize>) -> Result<Range<usize>, PagerError> {
        if bytes.start > bytes.end || bytes.end > self.len {
            return Err(self.no_range(bytes));
        }
        let first = bytes.start / PAGE_BYTES;
        Ok(if bytes.is_empty() { first..first } else { first..bytes.end.div_ceil(PAGE_BYTES) })
    }

    fn no_range(&self, bytes: &Range<usize>) -> PagerError {
        PagerError::Range { start: bytes.start, end: bytes.end, len: self.len }
    }
}

fn windows_of(pages: &Range<usize>) -> Range<usize> {
    pages.start / WINDOW_PAGES..pages.end.div_ceil(WINDOW_PAGES)
}

impl Deref for Region {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.mapping.bytes().get(..self.len).unwrap_or_default()
    }
}

impl DerefMut for Region {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.mapping.bytes_mut().get_mut(..self.len).unwrap_or_default()
    }
}

impl fmt::Debug for Region {
    /// Not what it contains.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Region").field("len", &self.len).finish_non_exhaustive()
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // First, as faults of it may still come: those that were over before they were read.
        regions::remove(&self.space);
        let core = self.core();
        core.eviction(|order| order.unmap(self.space.id));
        if let Some(place) = lock(&core.spaces).get_mut(self.space.id as usize) {
            *place = None;
        }
        let pages = self.space.area.pages();
        self.forget(0..pages);
        // Frames with pages of it, which nobody needs, are emptied; and whoever was at one of them
        // is waited for: the last one to know the region is to be this.
        let mut wait = Wait::default();
        while Arc::strong_count(&self.space) > 1 {
            if !core.drain(Some(&self.space)) {
                wait.pause();
            }
        }
        // What such a late fault has brought.
        self.forget(0..pages);
        if core.uffd.unregister(&self.space.area).is_err() {
            die("a region cannot be given up");
        }
    }
}

/// Where the pages of a region are: numbers of pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RegionStats {
    /// Never touched, or discarded.
    pub untouched: usize,
    /// In the region.
    pub resident: usize,
    /// On their way out or in.
    pub in_transit: usize,
    /// Compressed.
    pub stored: usize,
    /// In windows that are pinned.
    pub pinned: usize,
    /// Damaged: to touch one is an error that ends the process.
    pub lost: usize,
}

/// Pages that are there and stay: see [`Region::pin`].
#[derive(Debug)]
#[must_use = "the pages may leave when it is dropped"]
pub struct Pinned {
    core: Arc<Core>,
    /// The region may end before.
    space: Weak<Space>,
    windows: Range<usize>,
}

impl Drop for Pinned {
    fn drop(&mut self) {
        if let Some(space) = self.space.upgrade() {
            for window in self.windows.clone() {
                space.window(window).into_iter().for_each(|mut window| window.unpin());
            }
        }
        self.core.pinned.fetch_sub(self.windows.len() * WINDOW_PAGES, Relaxed);
    }
}

/// Slots in a partition of the pool's index.
const SLOTS_ALIGN: usize = 1 << 14;

#[cfg(test)]
mod tests {
    use acomp_algs as _;
    use acomp_core::Registry;

    use super::*;
    use crate::Without;

    /// `madvise(MADV_DONTNEED)` by the program: zeros, as for other memory, and no page is
    /// taken for another.
    #[test]
    fn pages_that_are_discarded_behind_its_back_are_zeros() {
        for without in [Without::Nothing, Without::Move] {
            let builder = Pager::builder(Registry::global()).limit(4 << 20).without(without);
            let Ok(pager) = builder.build() else {
                eprintln!("NOTHING IS TESTED HERE: no userfaultfd");
                return;
            };
            let mut region = pager.map(2 << 20).unwrap();
            region.fill(7);
            region.space.area.discard(3..5).unwrap();
            assert_eq!(region[3 * PAGE_BYTES], 0, "touched before its window leaves");
            region.advise(0..region.len(), Advice::PageOut).unwrap();
            for (at, page) in region.chunks(PAGE_BYTES).enumerate() {
                let wanted = if (3..5).contains(&at) { 0 } else { 7 };
                assert!(page.iter().all(|byte| *byte == wanted), "{without:?}: page {at}");
            }
        }
    }
}
