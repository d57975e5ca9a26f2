//! The swap device: one in memory, which fails when it is to.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};

use crate::devices::{Ram, unwritten};
use crate::turns::{Place, Turns};

/// How the swap device is, and what it did.
#[derive(Debug)]
pub(crate) struct Disk {
    turns: Arc<Turns>,
    /// Pages that it writes of each batch.
    writes: AtomicUsize,
    reads: AtomicBool,
    /// How often it failed to read, and to write.
    pub(crate) read_failures: AtomicU64,
    pub(crate) write_failures: AtomicU64,
}

impl Disk {
    pub(crate) fn new(turns: &Arc<Turns>) -> Self {
        Self {
            turns: Arc::clone(turns),
            writes: AtomicUsize::new(usize::MAX),
            reads: AtomicBool::new(true),
            read_failures: AtomicU64::new(0),
            write_failures: AtomicU64::new(0),
        }
    }

    pub(crate) fn set(&self, writes: usize, reads: bool) {
        self.writes.store(writes, Relaxed);
        self.reads.store(reads, Relaxed);
    }

    pub(crate) fn reads(&self) -> bool {
        self.reads.load(Relaxed)
    }
}

pub(crate) fn ram(blocks: u32, disk: &Arc<Disk>) -> Ram {
    let (writing, reading) = (Arc::clone(disk), Arc::clone(disk));
    Ram::new(blocks)
        .on_write(move |pages| {
            writing.turns.turn(Place::Write);
            let written = writing.writes.load(Relaxed).min(pages.len());
            let fails = written < pages.len();
            writing.write_failures.fetch_add(u64::from(fails), Relaxed);
            fails.then(|| unwritten(written))
        })
        .on_read(move |_| {
            reading.turns.turn(Place::Read);
            let fails = !reading.reads();
            reading.read_failures.fetch_add(u64::from(fails), Relaxed);
            fails.then(|| io::Error::other("EIO"))
        })
}
