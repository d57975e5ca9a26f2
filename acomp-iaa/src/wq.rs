//! Work queues, and the portals that descriptors are written to.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use crate::bits::opcode::DRAIN;
use crate::config::{WqConfig, WqMode};
use crate::dma::locked;

/// What became of a descriptor that was written to a portal.
///
/// Only a shared queue can answer (`ENQCMD` does, `MOVDIR64B` does not): whoever has a dedicated
/// one is told here that a descriptor is [lost](Self::Lost), but must count as if he were not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
#[expect(clippy::exhaustive_enums, reason = "a portal has no other answers")]
pub enum Written {
    /// It is in the queue.
    Accepted,
    /// The queue is full, or off: try again.
    Retry,
    /// The queue was full, or off, and has no way to say so.
    Lost,
}

/// A queue of a device.
#[derive(Debug)]
pub(crate) struct WorkQueue {
    pub(crate) config: WqConfig,
    is_on: AtomicBool,
    len: AtomicUsize,
    /// Jobs that an engine has taken and that are not done.
    running: AtomicUsize,
    entries: Mutex<VecDeque<[u8; 64]>>,
}

impl WorkQueue {
    pub(crate) fn new(config: WqConfig) -> Self {
        let entries = Mutex::new(VecDeque::with_capacity(config.size));
        let (len, running) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self { config, is_on: AtomicBool::new(true), len, running, entries }
    }

    pub(crate) fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Acquire)
    }

    /// Takes a descriptor from a portal.
    pub(crate) fn write(&self, descriptor: &[u8; 64]) -> Written {
        let mut entries = locked(&self.entries);
        if !self.is_on() || entries.len() >= self.config.room() {
            return match self.config.mode {
                WqMode::Dedicated => Written::Lost,
                WqMode::Shared => Written::Retry,
            };
        }
        entries.push_back(*descriptor);
        self.len.store(entries.len(), Ordering::Release);
        Written::Accepted
    }

    /// The next descriptor for an engine, and the device's `resets` when it was taken. A drain
    /// waits until all others are done.
    pub(crate) fn take(&self, resets: &AtomicU64) -> Option<([u8; 64], u64)> {
        let mut entries = locked(&self.entries);
        let is_drain = entries.front().is_some_and(|front| front[OPCODE_AT] == DRAIN);
        if is_drain && self.running.load(Ordering::Acquire) > 0 {
            return None;
        }
        let descriptor = entries.pop_front()?;
        self.len.store(entries.len(), Ordering::Release);
        self.running.fetch_add(1, Ordering::AcqRel);
        // With the entries locked: a reset empties the queue before it counts itself, so that this
        // is the number under which the descriptor was written.
        Some((descriptor, resets.load(Ordering::Acquire)))
    }

    /// A job that was taken is done.
    pub(crate) fn left(&self) {
        let _ = self
            .running
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |running| running.checked_sub(1));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len.load(Ordering::Acquire) == 0
    }

    /// Nothing is in it, and nothing that was taken from it is still to be done or reported.
    pub(crate) fn is_idle(&self) -> bool {
        let entries = locked(&self.entries);
        entries.is_empty() && self.running.load(Ordering::Acquire) == 0
    }

    /// Switches the queue on or off; what is in it when it goes off is lost.
    pub(crate) fn switch(&self, is_on: bool) {
        let mut entries = locked(&self.entries);
        self.is_on.store(is_on, Ordering::Release);
        entries.clear();
        self.len.store(0, Ordering::Release);
        self.running.store(0, Ordering::Release);
    }
}

/// The byte of a descriptor that has the opcode: the last of the flags' word.
const OPCODE_AT: usize = 7;
