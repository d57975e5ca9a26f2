//! Room within the limit: it is there before pages are.

use std::mem;
use std::sync::atomic::Ordering::Relaxed;

use crate::core::Core;

/// Pages that are counted as used before they are, and no longer when this is dropped.
///
/// Room comes before a claim of pages, which keeps their window from leaving: if those who have one
/// waited for room, there might be no window that can leave.
#[derive(Debug)]
pub(crate) struct Room<'c> {
    core: &'c Core,
    pages: usize,
}

impl<'c> Room<'c> {
    pub(crate) const fn none(core: &'c Core) -> Self {
        Self { core, pages: 0 }
    }

    /// Makes it room for so many pages, as far as the limit admits them. Returns for how many of
    /// them it is: it may have more, of before.
    pub(crate) fn grow(&mut self, pages: usize) -> usize {
        let wanted = pages.saturating_sub(self.pages);
        let admitted = |used| wanted.min(self.core.limit_pages.saturating_sub(used));
        let count = &self.core.used;
        let before = count.fetch_update(Relaxed, Relaxed, |used| Some(used + admitted(used)));
        let used = before.unwrap_or_else(|used| used);
        self.core.events.used_max.fetch_max(used + admitted(used), Relaxed);
        self.pages += admitted(used);
        self.pages.min(pages)
    }

    /// Makes it room for one page, once the limit admits it; or at last if nothing that can be
    /// reclaimed is left.
    pub(crate) fn make(&mut self) {
        let core = self.core;
        let mut vain = 0;
        while self.grow(1) == 0 {
            if vain > VAIN_ROUNDS_MAX {
                core.exceed();
                self.pages = 1;
                return;
            }
            let refused = core.events.pages_refused.load(Relaxed);
            if core.stage() | core.drain(None) {
                // What is stored makes room, be it for others who came first. What the pool refuses
                // comes back, and would go again.
                let is_refused = core.events.pages_refused.load(Relaxed) != refused;
                vain += if is_refused { REFUSED_ROUNDS } else { 0 };
            } else {
                // Others drain the last slices, or read a frame: perhaps for this very caller. With
                // no frame in use windows are pinned, or being filled.
                vain += if core.staging.is_empty() { EMPTY_ROUNDS } else { 1 };
                rustix::thread::sched_yield();
            }
        }
    }

    /// So many pages are used from now on; there is no room for more.
    pub(crate) fn take(&mut self, pages: usize) {
        self.core.used.fetch_sub(mem::take(&mut self.pages) - pages, Relaxed);
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        self.take(0);
    }
}

impl Core {
    /// A page is used that there may be no room for.
    pub(crate) fn exceed(&self) {
        let used = self.used.fetch_add(1, Relaxed) + 1;
        self.events.used_max.fetch_max(used, Relaxed);
    }
}

/// Rounds in which only others store pages.
const VAIN_ROUNDS_MAX: usize = 1 << 12;
/// A round in which nobody stores pages is as vain as so many of those.
const EMPTY_ROUNDS: usize = 1 << 6;
/// One in which pages were compressed and the pool refused them.
const REFUSED_ROUNDS: usize = 1 << 10;
