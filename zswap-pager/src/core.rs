//! What all regions of a pager share.

use std::mem;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use zswap::{PAGE_BYTES, Page, Pool};

use crate::eviction::Eviction;
use crate::helpers::Helped;
use crate::raw::memory;
use crate::raw::signal::die;
use crate::raw::uffd::Uffd;
use crate::space::{Space, lock};
use crate::staging::Staging;

#[derive(Debug)]
pub(crate) struct Core {
    /// Goes first: to unmap what it watches over waits for whoever reads its events.
    pub(crate) uffd: Uffd,
    pub(crate) pool: Arc<Pool>,
    pub(crate) staging: Staging,
    pub(crate) eviction: Mutex<Box<dyn Eviction>>,
    pub(crate) spaces: Mutex<Vec<Option<Arc<Space>>>>,
    pub(crate) buffers: Buffers,
    /// What untouched pages are filled from.
    pub(crate) zeros: Box<[Page]>,
    pub(crate) keeps: bool,
    /// Without MOVE, pages are protected and stored where they are.
    pub(crate) moves: bool,
    pub(crate) limit_pages: usize,
    /// So far below the limit, as many pages are stored as are filled.
    pub(crate) headroom_pages: usize,
    /// Pages that are stored at once, at most.
    pub(crate) slice_pages: usize,
    /// Pages in regions and frames.
    pub(crate) used: AtomicUsize,
    /// Pages of pinned windows.
    pub(crate) pinned: AtomicUsize,
    /// Pages that were filled, for which none has been drained yet.
    pub(crate) debt: AtomicUsize,
    pub(crate) helped: Helped,
    pub(crate) events: Events,
}

/// What happened.
#[derive(Debug, Default)]
pub(crate) struct Events {
    pub(crate) faults: AtomicU64,
    pub(crate) pages_new: AtomicU64,
    pub(crate) pages_loaded: AtomicU64,
    pub(crate) pages_rescued: AtomicU64,
    pub(crate) pages_stored: AtomicU64,
    pub(crate) pages_unmodified: AtomicU64,
    pub(crate) pages_refused: AtomicU64,
    pub(crate) pages_lost: AtomicU64,
    pub(crate) windows_out: AtomicU64,
    pub(crate) used_max: AtomicUsize,
}

impl Core {
    pub(crate) fn used(&self) -> usize {
        self.used.load(Relaxed)
    }

    /// Asks the order of eviction, or tells it something. It may be a program's own: a panic there
    /// would leave pages that nobody is at any more, and that others wait for.
    pub(crate) fn eviction<R>(&self, ask: impl FnOnce(&mut dyn Eviction) -> R) -> R {
        or_die("a panic in an order of eviction", || ask(&mut **lock(&self.eviction)))
    }

    /// The region with this number.
    pub(crate) fn space(&self, id: u32) -> Option<Arc<Space>> {
        lock(&self.spaces).get(id as usize).cloned().flatten()
    }
}

/// Ends the process with a message if `run` panics.
pub(crate) fn or_die<R>(why: &'static str, run: impl FnOnce() -> R) -> R {
    struct Die(&'static str);
    impl Drop for Die {
        fn drop(&mut self) {
            die(self.0);
        }
    }
    let guard = Die(why);
    let result = run();
    mem::forget(guard);
    result
}

/// Buffers for the pages of a fill or of a slice, made ahead.
#[derive(Debug)]
pub(crate) struct Buffers(Mutex<Vec<Box<[Page]>>>);

impl Buffers {
    pub(crate) fn new(count: usize, pages: usize) -> Self {
        let buffers: Vec<Box<[Page]>> =
            (0..count).map(|_| vec![[0; PAGE_BYTES]; pages].into()).collect();
        buffers.iter().for_each(|buffer| {
            // Where that is not permitted, it is as with the program's own memory.
            memory::lock(buffer);
        });
        Self(Mutex::new(buffers))
    }

    /// Calls `with` with the buffer that was used last. `None`: all are in use.
    pub(crate) fn with<R>(&self, with: impl FnOnce(&mut [Page]) -> R) -> Option<R> {
        let mut buffer = lock(&self.0).pop()?;
        let result = with(&mut buffer);
        // There is room: it was taken from there.
        lock(&self.0).push(buffer);
        Some(result)
    }
}
