//! Reclaim: windows leave the region for staging, and are stored from there in slices, so that no
//! single fault pays for a window.

use std::ops::Range;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, MutexGuard};

use rustix::io::Errno;
use zswap::{Page, Revalidated, StoreError};

use crate::core::Core;
use crate::eviction::{Filled, WindowId};
use crate::raw::signal::die;
use crate::space::Space;
use crate::staging::Slice;
use crate::window::{Source, WINDOW_PAGES, Window};

impl Core {
    /// After so many pages were filled: stores as many, if memory is about to be short.
    pub(crate) fn relieve(&self, pages: usize) {
        let used = self.used();
        if used <= self.mark_pages() {
            return;
        }
        self.stage();
        if used <= self.stored_from_pages() || self.is_helped(pages) {
            return;
        }
        if self.debt.fetch_add(pages, Relaxed) + pages < self.slice_pages {
            return;
        }
        let debt = self.debt.swap(0, Relaxed);
        for _ in 0..debt.div_ceil(self.slice_pages) {
            if !self.drain(None) && !self.stage() {
                return;
            }
        }
    }

    /// Above it, windows leave.
    fn mark_pages(&self) -> usize {
        self.limit_pages.saturating_sub(self.headroom_pages + self.ramp_pages())
    }

    /// Above it, pages are stored.
    pub(crate) fn stored_from_pages(&self) -> usize {
        self.mark_pages() + self.ramp_pages()
    }

    fn ramp_pages(&self) -> usize {
        RAMP_PAGES.min(self.limit_pages / 16)
    }

    /// Lets a window leave, if there is a frame for it. Whether one did.
    pub(crate) fn stage(&self) -> bool {
        let Some(frame) = self.staging.take() else { return false };
        for _ in 0..VICTIM_TRIES_MAX {
            let Some(victim) = self.eviction(|order| order.next()) else { break };
            let Some(space) = self.space(victim.region) else { continue };
            if self.stage_window(&space, victim.window, frame) {
                return true;
            }
            // It stays where it is, for now.
            let resident = space.window(victim.window).map_or(0, |window| window.resident());
            if resident > 0 {
                self.eviction(|order| order.filled(victim, resident, Filled::New));
            }
        }
        self.staging.put(frame);
        false
    }

    /// Lets this window leave for a frame that was taken.
    pub(crate) fn stage_window(&self, space: &Arc<Space>, window: usize, frame: u16) -> bool {
        if !space.window(window).is_some_and(|mut window| window.begin_leaving()) {
            return false;
        }
        let staged = if self.moves {
            self.move_out(space, window, frame)
        } else {
            self.protect(space, window)
        };
        let left = space.window(window).map_or(0, |mut window| {
            window.end_leaving(self.moves.then_some(frame), staged);
            window.resident()
        });
        if staged > 0 {
            self.events.windows_out.fetch_add(1, Relaxed);
            self.staging.filled(frame, Arc::clone(space), window, staged);
            if left > 0 {
                // What could not leave is asked again.
                let window = WindowId::new(space.id, window);
                self.eviction(|order| order.filled(window, left, Filled::New));
            }
        }
        staged > 0
    }

    /// Moves what is resident into the frame. Pages that cannot be moved stay: those that a child
    /// shares since a fork, or that the system reads or writes.
    fn move_out(&self, space: &Space, window: usize, frame: u16) -> usize {
        let pages = space.pages_of(window);
        let Some(mut frame) = self.staging.write(frame) else { return 0 };
        let (mut at, mut staged, mut tries) = (0, 0, 0);
        while at < pages.len() {
            let rest = pages.start + at..pages.end;
            let done = self.uffd.move_out(&space.area, rest, &mut frame, at);
            if done.pages > 0
                && let Some(mut window) = space.window(window)
            {
                staged += window.staged(at..at + done.pages);
            }
            at += done.pages;
            match done.error {
                None => {}
                Some(Errno::AGAIN) if tries < MOVE_TRIES_MAX => tries += 1,
                Some(Errno::SRCH) => return staged,
                // That page stays.
                Some(_) => (at, tries) = (at + 1, 0),
            }
        }
        staged
    }

    /// Without MOVE: whoever writes to the window from now on waits.
    fn protect(&self, space: &Space, window: usize) -> usize {
        let pages = space.pages_of(window);
        let len = pages.len();
        if self.uffd.protect(&space.area, pages, true).is_err() {
            return 0;
        }
        space.window(window).map_or(0, |mut window| window.staged(0..len))
    }

    /// Stores the next staged pages. Whether there were any.
    pub(crate) fn drain(&self, of: Option<&Arc<Space>>) -> bool {
        let Some(slice) = self.staging.next(self.slice_pages, of) else { return false };
        let claimed =
            space_window(&slice).map(|mut window| window.begin_draining(slice.pages.clone()));
        let (staged, kept) = claimed.unwrap_or_default();
        if staged != 0 {
            if self.moves {
                if let Some(frame) = self.staging.read(slice.frame) {
                    self.store_slice(&slice, frame.pages(slice.pages.clone()), staged, kept);
                }
            } else {
                self.store_in_place(&slice, staged, kept);
            }
        }
        if self.staging.drained(&slice)
            && space_window(&slice).is_some_and(|mut window| window.end_staging())
        {
            self.empty(slice.frame);
        }
        true
    }

    /// Empties a frame whose pages are drained, and that nobody reads.
    pub(crate) fn empty(&self, frame: u16) {
        match self.staging.empty(frame) {
            Ok(pages) if self.moves => {
                self.used.fetch_sub(pages, Relaxed);
            }
            // What is stored where it is has been taken away page by page.
            Ok(_) => {}
            Err(_) => die("staging cannot be emptied"),
        }
    }

    /// Without MOVE: stores pages from where they are, which nobody can write to, and takes them
    /// away.
    fn store_in_place(&self, slice: &Slice, staged: u64, kept: u64) {
        let first = slice.window * WINDOW_PAGES + slice.pages.start;
        let stored = self.buffers.with(|buffer| {
            let pages = buffer.get_mut(..slice.pages.len()).unwrap_or_default();
            for (bit, page) in
                pages.iter_mut().enumerate().filter(|(bit, _)| staged >> bit & 1 != 0)
            {
                let area = &slice.space.area;
                // To read one that was taken away behind the pager's back would be a fault here.
                if let Some(zeros) = self.zeros.first()
                    && self.uffd.copy_protected(area, first + bit, zeros).is_err()
                {
                    die("a page cannot be read");
                }
                area.copy(first + bit, page);
            }
            self.store_slice(slice, pages, staged, kept);
        });
        if stored.is_none() {
            // All buffers are in use: it is not its turn.
            for at in slice.pages.clone() {
                if staged >> (at - slice.pages.start) & 1 != 0 {
                    self.give_back(slice, at, None);
                }
            }
        }
    }

    /// Stores those of the pages that bits are set for.
    fn store_slice(&self, slice: &Slice, pages: &[Page], mut staged: u64, kept: u64) {
        let mut is_modified = 0_u64;
        let compared = staged & kept;
        for (bit, page) in pages.iter().enumerate().filter(|(bit, _)| compared >> bit & 1 != 0) {
            let slot = slice.space.slot_of(slice.window * WINDOW_PAGES + slice.pages.start + bit);
            match self.pool.revalidate(slot, page) {
                Ok(Revalidated::Same) => {
                    staged &= !(1 << bit);
                    self.events.pages_unmodified.fetch_add(1, Relaxed);
                    self.stored(slice, slice.pages.start + bit..slice.pages.start + bit + 1, 0);
                }
                Ok(Revalidated::Changed) => is_modified |= 1 << bit,
                Ok(Revalidated::Gone) | Err(_) => {}
            }
        }
        for run in runs(staged) {
            let at = slice.pages.start + run.start;
            let pages = pages.get(run.clone()).unwrap_or_default();
            self.store_run(slice, at, pages, is_modified >> run.start);
        }
    }

    /// Stores pages that follow each other.
    fn store_run(&self, slice: &Slice, at: usize, pages: &[Page], is_modified: u64) {
        let first = slice.space.slot_of(slice.window * WINDOW_PAGES + at);
        if self.store(first, pages, slice.space.owner).is_ok() {
            self.events.pages_stored.fetch_add(pages.len() as u64, Relaxed);
            return self.stored(slice, at..at + pages.len(), is_modified);
        }
        for (index, page) in pages.iter().enumerate() {
            let slot = slice.space.slot_of(slice.window * WINDOW_PAGES + at + index);
            let one = std::slice::from_ref(page);
            if pages.len() > 1 && self.store(slot, one, slice.space.owner).is_ok() {
                self.events.pages_stored.fetch_add(1, Relaxed);
                self.stored(slice, at + index..at + index + 1, is_modified >> index);
            } else {
                self.give_back(slice, at + index, Some(page));
            }
        }
    }

    /// Stores pages, in place of duplicates and of what can be written back if there is no room.
    fn store(
        &self,
        first: zswap::Slot,
        pages: &[Page],
        owner: zswap::Owner,
    ) -> Result<(), StoreError> {
        let mut stored = self.pool.store(first, pages, owner);
        for _ in 0..SHRINK_TRIES_MAX {
            match stored {
                Err(StoreError::PoolLimit | StoreError::OwnerLimit { .. }) => {
                    let shrunk = self.pool.shrink(owner, SHRUNK_PAGES);
                    // Those with a second chance have none the next time.
                    if shrunk.pages() + shrunk.rotated == 0 {
                        break;
                    }
                    self.pool.compact();
                }
                _ => break,
            }
            stored = self.pool.store(first, pages, owner);
        }
        stored
    }

    fn stored(&self, slice: &Slice, pages: Range<usize>, is_modified: u64) {
        if !self.moves {
            let first = slice.window * WINDOW_PAGES;
            let discarded = slice.space.area.discard(first + pages.start..first + pages.end);
            if discarded.is_err() {
                die("a page cannot be taken away");
            }
            self.used.fetch_sub(pages.len(), Relaxed);
        }
        if let Some(mut window) = space_window(slice) {
            for (bit, at) in pages.enumerate() {
                window.drained(at, is_modified >> bit & 1 != 0);
            }
        }
    }

    /// A page that the pool does not take goes back to where it came from, over the limit if need
    /// be.
    #[cold]
    fn give_back(&self, slice: &Slice, at: usize, page: Option<&Page>) {
        self.events.pages_refused.fetch_add(1, Relaxed);
        let space = &slice.space;
        let number = slice.window * WINDOW_PAGES + at;
        let Some(from) = space_window(slice).map(|mut window| window.refused(at)) else { return };
        if from == Source::InPlace {
            if self.uffd.protect(&space.area, number..number + 1, false).is_err() {
                die("a page cannot be made writable again");
            }
        } else {
            self.exceed();
            self.copy(space, number, page.map(std::slice::from_ref).unwrap_or_default());
        }
        // This slice is not drained yet, so that it is not the last one to read the frame.
        let _ = space_window(slice).map(|mut window| window.publish(at..at + 1, from));
        let window = WindowId::new(space.id, slice.window);
        self.eviction(|order| order.filled(window, 1, Filled::New));
    }
}

fn space_window(slice: &Slice) -> Option<MutexGuard<'_, Window>> {
    slice.space.window(slice.window)
}

/// Ranges of bits that are set.
fn runs(mut bits: u64) -> impl Iterator<Item = Range<usize>> {
    std::iter::from_fn(move || {
        let start = bits.trailing_zeros();
        if bits == 0 {
            return None;
        }
        let len = (bits >> start).trailing_ones();
        bits &= u64::MAX.checked_shl(start + len).unwrap_or_default();
        Some(start as usize..(start + len) as usize)
    })
}

/// Windows that are asked whether they can leave.
const VICTIM_TRIES_MAX: usize = 16;
/// Tries of a move that found a mapping of the process changing.
const MOVE_TRIES_MAX: usize = 1 << 10;
/// Before pages are stored, so much is staged.
const RAMP_PAGES: usize = 1024;
/// Pages of the pool that make room for a store, and how often.
const SHRUNK_PAGES: usize = 32;
const SHRINK_TRIES_MAX: usize = 64;
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_bits() {
        assert_eq!(runs(0).count(), 0);
        assert_eq!(runs(0b1110_0101).collect::<Vec<_>>(), [0..1, 2..3, 5..8]);
        assert_eq!(runs(u64::MAX).next(), Some(0..64));
    }
}
