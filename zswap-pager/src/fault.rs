//! Serving a fault: the page is claimed, filled, and published.
//!
//! Nothing here calls the global allocator, or an operation of the kernel that flushes TLBs: that
//! would have to reach every CPU that runs a thread of the process.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use rustix::io::Errno;
use zswap::{Load, LoadError, Page};

use crate::core::Core;
use crate::eviction::{Filled, WindowId};
use crate::raw::signal::die;
use crate::room::Room;
use crate::space::{Space, lock};
use crate::window::{Claim, Source, WINDOW_PAGES};

/// How a fault ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Served {
    /// The access may be tried again.
    Yes,
    /// There is no such page any more.
    Lost,
}

/// What became of a claim.
#[derive(Debug)]
enum Claimed {
    Fill(Fill),
    /// The limit admits no page.
    NoRoom,
    /// Somebody is at the page.
    Busy,
    Lost,
}

/// Pages that were claimed.
#[derive(Debug)]
struct Fill {
    window: usize,
    /// Within the window.
    pages: Range<usize>,
    from: Source,
}

impl Fill {
    /// Pages of memory that it takes.
    fn taken(&self) -> usize {
        match self.from {
            Source::Resident | Source::InPlace => 0,
            Source::Zeros | Source::Frame(_) | Source::Pool { .. } => self.pages.len(),
        }
    }
}

impl Core {
    /// Serves a fault on a page.
    pub(crate) fn serve(&self, space: &Arc<Space>, page: usize) -> Served {
        self.events.faults.fetch_add(1, Relaxed);
        let (mut room, mut wait) = (Room::none(self), Wait::default());
        loop {
            let mut claimed = Claimed::Busy;
            lock(&space.streams).fault(page, self.zeros.len(), |wanted| {
                claimed = self.claim(space, page, wanted, &mut room);
                if let Claimed::Fill(fill) = &claimed { fill.pages.len() } else { 0 }
            });
            match claimed {
                Claimed::Fill(fill) => return self.fill_and_relieve(space, &fill),
                Claimed::NoRoom => room.make(),
                Claimed::Busy => wait.pause(),
                Claimed::Lost => return Served::Lost,
            }
        }
    }

    /// Fills what is not there of a range. Whether all of it could be.
    pub(crate) fn populate(&self, space: &Arc<Space>, pages: Range<usize>) -> bool {
        let (mut at, mut room, mut wait) = (pages.start, Room::none(self), Wait::default());
        while at < pages.end {
            if self.is_resident(space, at) {
                at += 1;
                continue;
            }
            match self.claim(space, at, self.zeros.len().min(pages.end - at), &mut room) {
                // Of what was claimed all is there now, or the first page.
                Claimed::Fill(fill) => match self.fill_and_relieve(space, &fill) {
                    Served::Yes => at += 1,
                    Served::Lost => return false,
                },
                Claimed::NoRoom => room.make(),
                Claimed::Busy => wait.pause(),
                Claimed::Lost => return false,
            }
        }
        true
    }

    fn is_resident(&self, space: &Space, page: usize) -> bool {
        let window = space.window(page / WINDOW_PAGES);
        window.is_some_and(|window| window.is_resident(page % WINDOW_PAGES))
    }

    /// Claims pages for which there is room.
    fn claim(&self, space: &Space, page: usize, wanted: usize, room: &mut Room<'_>) -> Claimed {
        let window = page / WINDOW_PAGES;
        let end = space.pages_of(window).end.min(space.len());
        let wanted = wanted.min(end.saturating_sub(page)).max(1);
        let admitted = room.grow(wanted);
        if admitted == 0 {
            return Claimed::NoRoom;
        }
        let claim = space.window(window).map_or(Claim::Lost, |mut window| {
            window.claim(page % WINDOW_PAGES, admitted, self.keeps)
        });
        match claim {
            Claim::Wait => Claimed::Busy,
            Claim::Lost => Claimed::Lost,
            Claim::Fill { first, pages, from } => {
                let fill = Fill { window, pages: first..first + pages, from };
                room.take(fill.taken());
                Claimed::Fill(fill)
            }
        }
    }

    fn fill_and_relieve(&self, space: &Arc<Space>, fill: &Fill) -> Served {
        let Some(how) = self.fill(space, fill) else { return Served::Lost };
        if let Some(how) = how {
            let window = WindowId::new(space.id, fill.window);
            self.eviction(|order| order.filled(window, fill.pages.len(), how));
        }
        self.relieve(fill.taken());
        Served::Yes
    }

    /// Fills what was claimed, and publishes it. `None`: the first page is lost.
    fn fill(&self, space: &Space, fill: &Fill) -> Option<Option<Filled>> {
        let first = fill.window * WINDOW_PAGES + fill.pages.start;
        let pages = fill.pages.len();
        let (how, counter) = match fill.from {
            Source::Zeros => {
                self.copy(space, first, self.zeros.get(..pages).unwrap_or_default());
                (Some(Filled::New), Some(&self.events.pages_new))
            }
            Source::Resident => {
                // Somebody else was faster; or the page was discarded behind the pager's back, and
                // is zeros from then on.
                self.copy(space, first, self.zeros.get(..pages).unwrap_or_default());
                (None, None)
            }
            Source::Frame(frame) => {
                let frame = self.staging.read(frame)?;
                self.copy(space, first, frame.pages(fill.pages.clone()));
                (Some(Filled::Rescued), Some(&self.events.pages_rescued))
            }
            Source::InPlace => {
                if self.uffd.protect(&space.area, first..first + pages, false).is_err() {
                    die("a page cannot be made writable again");
                }
                (Some(Filled::Rescued), Some(&self.events.pages_rescued))
            }
            Source::Pool { keep } => {
                let how = if keep { Load::Duplicate } else { Load::Exclusive };
                if !self.load(space, first, pages, how) {
                    return self.fill_first(space, fill, how);
                }
                (Some(Filled::Loaded), Some(&self.events.pages_loaded))
            }
        };
        if let Some(counter) = counter {
            counter.fetch_add(pages as u64, Relaxed);
        }
        let is_last = space.window(fill.window)?.publish(fill.pages.clone(), fill.from);
        if let Source::Frame(frame) = fill.from
            && is_last
        {
            self.empty(frame);
        }
        Some(how)
    }

    /// One of the pages cannot be loaded: fills the first alone, if it is not that one.
    #[cold]
    fn fill_first(&self, space: &Space, fill: &Fill, how: Load) -> Option<Option<Filled>> {
        let first = fill.pages.start;
        let rest = first + 1..fill.pages.end;
        self.used.fetch_sub(rest.len(), Relaxed);
        let page = fill.window * WINDOW_PAGES + first;
        let is_loaded = self.load(space, page, 1, how);
        let mut window = space.window(fill.window)?;
        window.unclaim(rest, fill.from);
        if is_loaded {
            let _ = window.publish(first..first + 1, fill.from);
            self.events.pages_loaded.fetch_add(1, Relaxed);
            return Some(Some(Filled::Loaded));
        }
        window.lose(first);
        self.used.fetch_sub(1, Relaxed);
        self.events.pages_lost.fetch_add(1, Relaxed);
        None
    }

    /// Loads pages from the pool into the region.
    fn load(&self, space: &Space, first: usize, pages: usize, how: Load) -> bool {
        let slot = space.slot_of(first);
        let load = |buffer: &mut [Page]| {
            let buffer = buffer.get_mut(..pages).unwrap_or_default();
            let loaded = match &mut *buffer {
                [page] => self.pool.load(slot, page, how),
                pages => self.pool.load_range(slot, pages, how),
            };
            let is_loaded = loaded.is_ok();
            if is_loaded {
                self.copy(space, first, buffer);
            }
            if let Err(LoadError::NotFound { .. }) = loaded {
                die("a page that was stored is not in the pool");
            }
            is_loaded
        };
        let mut load = Some(load);
        let mut wait = Wait::default();
        loop {
            // Others' loads end without us.
            let loaded = self.buffers.with(|buffer| load.take().map(|load| load(buffer)));
            match loaded {
                Some(loaded) => return loaded.unwrap_or_default(),
                None => wait.pause(),
            }
        }
    }

    /// Fills missing pages of the region. One that is there stays what it is.
    pub(crate) fn copy(&self, space: &Space, first: usize, from: &[Page]) {
        let mut at = 0;
        let mut tries = 0;
        while let Some(rest) = from.get(at..).filter(|rest| !rest.is_empty()) {
            let done = self.uffd.copy(&space.area, first + at, rest);
            at += done.pages;
            match done.error {
                None => {}
                Some(Errno::EXIST) => {
                    // Whoever waits for a page that is there must be told.
                    let _ = self.uffd.wake(&space.area, first + at..first + at + 1);
                    at += 1;
                }
                // A mapping of the process is being changed, or the copy ended early.
                Some(Errno::AGAIN) if done.pages > 0 => tries = 0,
                Some(Errno::AGAIN) if tries < TRIES_MAX => {
                    tries += 1;
                    rustix::thread::sched_yield();
                }
                // The process ends.
                Some(Errno::SRCH) => return,
                Some(_) => die("the system has no memory for a page"),
            }
        }
    }
}

/// Waits for another thread, whose work is bounded: it holds a page for a batch at most.
#[derive(Debug, Default)]
pub(crate) struct Wait(u32);

impl Wait {
    pub(crate) fn pause(&mut self) {
        self.0 = self.0.saturating_add(1);
        if self.0 < SPINS {
            std::hint::spin_loop();
        } else {
            // Not parked: to be woken from another CPU would take longer than the wait.
            rustix::thread::sched_yield();
        }
    }
}

const SPINS: u32 = 100;
/// Changes of the process's mappings that one copy waits for.
const TRIES_MAX: u32 = 1 << 20;

#[cfg(test)]
mod tests {
    use acomp_algs as _;
    use acomp_core::Registry;
    use zswap::PAGE_BYTES;

    use super::*;
    use crate::Pager;

    /// Whoever waited for a page may have room for more than is left behind it.
    #[test]
    fn no_page_is_claimed_that_the_region_does_not_have() {
        let Ok(pager) = Pager::builder(Registry::global()).build() else {
            eprintln!("NOTHING IS TESTED HERE: no userfaultfd");
            return;
        };
        let region = pager.map(10 * PAGE_BYTES).unwrap();
        let core = region.core();
        let space = core.space(0).unwrap();
        let mut room = Room::none(core);
        assert_eq!(room.grow(64), 64);
        let Claimed::Fill(fill) = core.claim(&space, 8, 64, &mut room) else { panic!() };
        let used = core.used();
        // The region could not end if what is claimed were not filled.
        assert_eq!(core.fill_and_relieve(&space, &fill), Served::Yes);
        assert_eq!((fill.pages, used), (8..10, 2));
        assert_eq!(region.stats().resident, 2);
    }
}
