//! Slots: where the completion of a request waits for whoever asked.
//!
//! A slot is in one of four states, and this is the only file that changes them.
//!
//! ```text
//! FREE --claim--> INFLIGHT --device done--> DONE --taken--> FREE
//!                    |                        '---- handle dropped: payload dropped --> FREE
//!                    '-- handle dropped --> ABANDONED --device done: payload dropped--> FREE
//! ```
//!
//! - FREE: the index is in the free list. Nobody else has it.
//! - INFLIGHT: a handle has the index, and a job has it. There is no payload.
//! - DONE: only the handle has the index. The payload was written before the state (Release) and is
//!   read after it (Acquire).
//! - ABANDONED: only the job has the index.
//!
//! From INFLIGHT, the job tries DONE and the handle tries ABANDONED. Exactly one of them wins the
//! exchange; the loser finds the other's state, is the last to have the index, and frees the slot.
//! A handle that is forgotten leaves its slot DONE for ever: one slot is lost, nothing else.
//!
//! A wake that comes late may hit the next occupant of the slot: a spurious wake, harmless. A slot
//! that is freed drops its waker, or an idle slot would keep a finished task alive.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::task::Waker;

use crate::engine::JobId;
use crate::error::{Error, Outcome};
use crate::op::{ExecutedOn, bounded};
use crate::port::Backlog;
use crate::request::{Completion, Request};
use crate::stats::{Meter, Totals};
use crate::sync::{AtomicU8, AtomicWaker, Mutex, MutexGuard, Ordering, lock};

pub(crate) struct SlotTable {
    slots: Box<[Slot]>,
    free: Mutex<Vec<usize>>,
    /// Tells its jobs from those of other tables on the same engine.
    number: u64,
    /// Where work waits that has a slot here.
    backlog: Arc<Backlog>,
}

struct Slot {
    state: AtomicU8,
    /// Counts the claims, so that an old job's number means nobody. Of the claimer alone.
    generation: AtomicU64,
    waker: AtomicWaker,
    payload: Mutex<Option<Completion>>,
    /// Written by whoever completes, who has the slot to himself.
    meter: Meter,
}

impl SlotTable {
    pub(crate) fn new(depth: usize, totals: &Arc<Totals>, backlog: &Arc<Backlog>) -> Self {
        static TABLES: AtomicU64 = AtomicU64::new(0);
        let slot = |_| Slot {
            state: AtomicU8::new(FREE),
            generation: AtomicU64::new(0),
            waker: AtomicWaker::new(),
            payload: Mutex::new(None),
            meter: Meter::new(totals),
        };
        backlog.add_places(depth);
        Self {
            slots: (0..depth).map(slot).collect(),
            free: Mutex::new((0..depth).collect()),
            number: TABLES.fetch_add(1, Ordering::Relaxed),
            backlog: Arc::clone(backlog),
        }
    }

    pub(crate) fn backlog(&self) -> &Backlog {
        &self.backlog
    }

    pub(crate) fn claim(&self) -> Option<JobId> {
        let index = self.free().pop()?;
        let slot = &self.slots[index];
        let generation = slot.generation.load(Ordering::Relaxed).wrapping_add(1);
        slot.generation.store(generation, Ordering::Relaxed);
        slot.state.store(INFLIGHT, Ordering::Relaxed); // Published with the job.
        Some(JobId { index, generation, table: self.number })
    }

    /// The device's side: hands the completion over, or drops it if nobody wants it any more.
    pub(crate) fn complete(&self, id: JobId, request: Request, outcome: Outcome, on: ExecutedOn) {
        let slot = &self.slots[id.index];
        let outcome = bounded(outcome, request.dst.len());
        slot.meter.count(request.direction, request.src.len(), outcome);
        *lock(&slot.payload) = Some(Completion { outcome, executed_on: on, request });
        match slot.exchange(DONE) {
            Ok(_) => slot.waker.wake(),
            Err(_abandoned) => drop(self.freed(id.index)),
        }
    }

    /// Nobody else was told of the slot.
    pub(crate) fn retract(&self, id: JobId) {
        drop(self.freed(id.index));
    }

    /// The handle's side: the completion, if it is there. The slot is then no longer the handle's.
    pub(crate) fn take(&self, id: JobId) -> Option<Completion> {
        if self.slots[id.index].state.load(Ordering::Acquire) != DONE {
            return None;
        }
        self.freed(id.index)
    }

    /// The handle's side: nobody will ask any more.
    pub(crate) fn abandon(&self, id: JobId) {
        if self.slots[id.index].exchange(ABANDONED).is_err() {
            drop(self.freed(id.index));
        } else if let Some(work) = self.backlog.remove(id) {
            // Nobody works on it, so nobody else would free the slot.
            drop(work.rejected(Error::Cancelled));
        }
    }

    /// The device's side: whether the handle is gone.
    pub(crate) fn is_abandoned(&self, id: JobId) -> bool {
        self.slots[id.index].state.load(Ordering::Relaxed) == ABANDONED
    }

    /// Whom to wake. Look again after this, before you sleep.
    pub(crate) fn register(&self, id: JobId, waker: &Waker) {
        self.slots[id.index].waker.register(waker);
    }

    pub(crate) fn free_slots(&self) -> usize {
        self.free().len()
    }

    pub(crate) fn depth(&self) -> usize {
        self.slots.len()
    }

    /// Frees a slot that nobody else has, and gives what was in it.
    fn freed(&self, index: usize) -> Option<Completion> {
        let slot = &self.slots[index];
        let payload = lock(&slot.payload).take();
        drop(slot.waker.take());
        slot.state.store(FREE, Ordering::Relaxed); // Published with the free list's lock.
        self.free().push(index);
        payload
    }

    fn free(&self) -> MutexGuard<'_, Vec<usize>> {
        lock(&self.free)
    }
}

impl Drop for SlotTable {
    fn drop(&mut self) {
        self.backlog.remove_places(self.slots.len());
    }
}

impl Slot {
    /// From INFLIGHT; fails with the state that the other side was faster to reach.
    fn exchange(&self, state: u8) -> Result<u8, u8> {
        self.state.compare_exchange(INFLIGHT, state, Ordering::AcqRel, Ordering::Acquire)
    }
}

const FREE: u8 = 0;
const INFLIGHT: u8 = 1;
const DONE: u8 = 2;
const ABANDONED: u8 = 3;
