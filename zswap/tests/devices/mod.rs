//! A device in memory that a test can watch and disturb.

#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(clippy::unwrap_used, reason = "test helpers unwrap like tests")]

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use zswap::{Page, SwapDevice, Unwritten};

type OnWrite = dyn Fn(&[(u32, &Page)]) -> Option<Unwritten> + Send + Sync;
type OnRead = dyn Fn(u32) -> Option<io::Error> + Send + Sync;

pub(crate) struct Ram {
    blocks: u32,
    pages: Mutex<HashMap<u32, Box<Page>>>,
    /// The first word of every page in the order in which it was written.
    log: Mutex<Vec<u64>>,
    reads: AtomicUsize,
    on_write: Box<OnWrite>,
    on_read: Box<OnRead>,
}

impl Ram {
    pub(crate) fn new(blocks: u32) -> Self {
        Self {
            blocks,
            pages: Mutex::default(),
            log: Mutex::default(),
            reads: AtomicUsize::new(0),
            on_write: Box::new(|_| None),
            on_read: Box::new(|_| None),
        }
    }

    /// Called before pages are written; those that it says are not written are not.
    pub(crate) fn on_write(
        mut self,
        on_write: impl Fn(&[(u32, &Page)]) -> Option<Unwritten> + Send + Sync + 'static,
    ) -> Self {
        self.on_write = Box::new(on_write);
        self
    }

    /// Called before a block is read, which it may refuse.
    pub(crate) fn on_read(
        mut self,
        on_read: impl Fn(u32) -> Option<io::Error> + Send + Sync + 'static,
    ) -> Self {
        self.on_read = Box::new(on_read);
        self
    }

    /// The first words of the pages that were written since this was asked last, in order.
    pub(crate) fn take_log(&self) -> Vec<u64> {
        std::mem::take(&mut self.log.lock().unwrap())
    }

    pub(crate) fn reads(&self) -> usize {
        self.reads.load(Relaxed)
    }

    /// Flips a bit of every page.
    pub(crate) fn damage(&self) {
        for page in self.pages.lock().unwrap().values_mut() {
            page[1234] ^= 1;
        }
    }
}

impl SwapDevice for Ram {
    fn blocks(&self) -> u32 {
        self.blocks
    }

    fn read(&self, block: u32, page: &mut Page) -> io::Result<()> {
        self.reads.fetch_add(1, Relaxed);
        if let Some(error) = (self.on_read)(block) {
            return Err(error);
        }
        let pages = self.pages.lock().unwrap();
        *page = **pages.get(&block).ok_or(io::ErrorKind::NotFound)?;
        Ok(())
    }

    fn write(&self, pages: &[(u32, &Page)]) -> Result<(), Unwritten> {
        assert!(!pages.is_empty(), "a device is not called for nothing");
        let unwritten = (self.on_write)(pages);
        let count = unwritten.as_ref().map_or(pages.len(), |unwritten| unwritten.written);
        for (block, page) in pages.iter().take(count) {
            assert!(*block < self.blocks, "no block {block}");
            self.pages.lock().unwrap().insert(*block, Box::new(**page));
            self.log.lock().unwrap().push(first_word(page));
        }
        unwritten.map_or(Ok(()), Err)
    }
}

impl fmt::Debug for Ram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ram").field("blocks", &self.blocks).finish_non_exhaustive()
    }
}

pub(crate) fn first_word(page: &Page) -> u64 {
    u64::from_ne_bytes(*page.first_chunk().unwrap())
}

/// EIO after so many pages.
pub(crate) fn unwritten(written: usize) -> Unwritten {
    Unwritten { written, error: io::Error::other("EIO") }
}
