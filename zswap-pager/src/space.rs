//! What is known of a region, by whoever serves its faults and reclaims its pages.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use zswap::{Owner, PAGE_BYTES, Slot};

use crate::raw::memory::{self, Area};
use crate::streams::Streams;
use crate::window::{WINDOW_PAGES, Window};

#[derive(Debug)]
pub(crate) struct Space {
    pub(crate) area: Arc<Area>,
    /// Its pages are stored from this slot on.
    slot: Slot,
    pub(crate) owner: Owner,
    /// Its number among the regions of its pager.
    pub(crate) id: u32,
    windows: Box<[Mutex<Window>]>,
    /// Pages that are the program's: no others are filled around a fault.
    len: AtomicUsize,
    pub(crate) streams: Mutex<Streams>,
}

impl Space {
    pub(crate) fn new(area: Arc<Area>, slot: Slot, owner: Owner, id: u32, len: usize) -> Self {
        let windows = area.pages().div_ceil(WINDOW_PAGES);
        let windows: Box<[_]> = (0..windows).map(|_| Mutex::new(Window::new())).collect();
        memory::lock(&windows);
        Self {
            area,
            slot,
            owner,
            id,
            windows,
            len: AtomicUsize::new(len),
            streams: Mutex::new(Streams::new()),
        }
    }

    pub(crate) fn windows(&self) -> &[Mutex<Window>] {
        &self.windows
    }

    /// Locks a window.
    pub(crate) fn window(&self, number: usize) -> Option<MutexGuard<'_, Window>> {
        self.windows.get(number).map(lock)
    }

    /// How many pages are the program's.
    pub(crate) fn len(&self) -> usize {
        self.len.load(Relaxed)
    }

    pub(crate) fn set_len(&self, pages: usize) {
        self.len.store(pages, Relaxed);
    }

    /// The page of an address.
    pub(crate) fn page_of(&self, address: usize) -> Option<usize> {
        let page = address.checked_sub(self.area.page(0))? / PAGE_BYTES;
        (page < self.area.pages()).then_some(page)
    }

    /// What a page is stored under.
    pub(crate) fn slot_of(&self, page: usize) -> Slot {
        Slot(self.slot.0 + page as u64)
    }

    /// The pages of a window.
    pub(crate) fn pages_of(&self, window: usize) -> Range<usize> {
        let first = window * WINDOW_PAGES;
        first..(first + WINDOW_PAGES).min(self.area.pages())
    }

    /// Bytes of memory for what is known of the pages.
    pub(crate) fn metadata_bytes(&self) -> usize {
        size_of_val(&*self.windows)
    }
}

/// Locks, also after a panic: the data of this crate's locks is valid between any two statements.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
