//! Work queues, and the portals that descriptors are written to.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use crate::bits::opcode;
use crate::config::{WqConfig, WqMode};
use crate::dma::locked;
use crate::stats::{JOB_KINDS, JobKind, Jobs};

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
    /// Jobs of each kind that an engine has taken and that are not done.
    running: [AtomicU64; JOB_KINDS],
    /// Jobs that are done.
    done: [AtomicU64; JOB_KINDS],
    entries: Mutex<Entries>,
}

#[derive(Debug)]
struct Entries {
    jobs: VecDeque<[u8; 64]>,
    /// Jobs of each kind that came, and that a switch lost.
    submitted: [u64; JOB_KINDS],
    lost: [u64; JOB_KINDS],
}

impl WorkQueue {
    pub(crate) fn new(config: WqConfig) -> Self {
        let jobs = VecDeque::with_capacity(config.size);
        let (submitted, lost) = ([0; JOB_KINDS], [0; JOB_KINDS]);
        Self {
            config,
            is_on: AtomicBool::new(true),
            len: AtomicUsize::new(0),
            running: Default::default(),
            done: Default::default(),
            entries: Mutex::new(Entries { jobs, submitted, lost }),
        }
    }

    pub(crate) fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Acquire)
    }

    /// Takes a descriptor from a portal.
    pub(crate) fn write(&self, descriptor: &[u8; 64]) -> Written {
        let mut entries = locked(&self.entries);
        if !self.is_on() || entries.jobs.len() >= self.config.room() {
            return match self.config.mode {
                WqMode::Dedicated => Written::Lost,
                WqMode::Shared => Written::Retry,
            };
        }
        entries.jobs.push_back(*descriptor);
        entries.submitted[kind(descriptor) as usize] += 1;
        self.len.store(entries.jobs.len(), Ordering::Release);
        Written::Accepted
    }

    /// The next descriptor for an engine, and the device's `resets` when it was taken. A drain
    /// waits until all others are done.
    pub(crate) fn take(&self, resets: &AtomicU64) -> Option<([u8; 64], u64)> {
        let mut entries = locked(&self.entries);
        let is_drain = entries.jobs.front().is_some_and(|front| front[OPCODE_AT] == opcode::DRAIN);
        if is_drain && self.is_running() {
            return None;
        }
        let descriptor = entries.jobs.pop_front()?;
        self.len.store(entries.jobs.len(), Ordering::Release);
        self.running[kind(&descriptor) as usize].fetch_add(1, Ordering::AcqRel);
        // With the entries locked: a reset empties the queue before it counts itself, so that this
        // is the number under which the descriptor was written.
        Some((descriptor, resets.load(Ordering::Acquire)))
    }

    /// A job that was taken is done.
    pub(crate) fn left(&self, kind: JobKind) {
        let left = |running: u64| running.checked_sub(1);
        let running = &self.running[kind as usize];
        // One that a switch has lost leaves no more.
        if running.fetch_update(Ordering::AcqRel, Ordering::Acquire, left).is_ok() {
            self.done[kind as usize].fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len.load(Ordering::Acquire) == 0
    }

    /// Nothing is in it, and nothing that was taken from it is still to be done or reported.
    pub(crate) fn is_idle(&self) -> bool {
        let entries = locked(&self.entries);
        entries.jobs.is_empty() && !self.is_running()
    }

    /// What became of the jobs of each kind.
    pub(crate) fn jobs(&self) -> [Jobs; JOB_KINDS] {
        let entries = locked(&self.entries);
        let mut jobs: [Jobs; JOB_KINDS] = std::array::from_fn(|kind| Jobs {
            submitted: entries.submitted[kind],
            done: self.done[kind].load(Ordering::Relaxed),
            lost: entries.lost[kind],
            in_flight: self.running[kind].load(Ordering::Acquire),
        });
        entries.jobs.iter().for_each(|job| jobs[kind(job) as usize].in_flight += 1);
        jobs
    }

    fn is_running(&self) -> bool {
        self.running.iter().any(|running| running.load(Ordering::Acquire) > 0)
    }

    /// Switches the queue on or off; what is in it when it goes off is lost.
    pub(crate) fn switch(&self, is_on: bool) {
        let mut entries = locked(&self.entries);
        self.is_on.store(is_on, Ordering::Release);
        let Entries { jobs, lost, .. } = &mut *entries;
        jobs.drain(..).for_each(|job| lost[kind(&job) as usize] += 1);
        for (lost, running) in lost.iter_mut().zip(&self.running) {
            *lost += running.swap(0, Ordering::AcqRel);
        }
        self.len.store(0, Ordering::Release);
    }
}

pub(crate) fn kind(descriptor: &[u8; 64]) -> JobKind {
    match descriptor[OPCODE_AT] {
        opcode::COMPRESS => JobKind::Compress,
        opcode::DECOMPRESS => JobKind::Decompress,
        _ => JobKind::Other,
    }
}

/// The byte of a descriptor that has the opcode: the last of the flags' word.
const OPCODE_AT: usize = 7;
