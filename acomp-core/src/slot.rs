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

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, PoisonError};
use std::task::Waker;

use crate::request::Completion;
use crate::stats::{Meter, Totals};
use crate::sync::{AtomicU8, AtomicWaker, Mutex, MutexGuard, Ordering};

pub(crate) struct SlotTable {
    slots: Box<[Slot]>,
    free: Mutex<Vec<usize>>,
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
    pub(crate) fn new(depth: usize, totals: &Arc<Totals>) -> Self {
        let slot = |_| Slot {
            state: AtomicU8::new(FREE),
            generation: AtomicU64::new(0),
            waker: AtomicWaker::new(),
            payload: Mutex::new(None),
            meter: Meter::new(totals),
        };
        Self { slots: (0..depth).map(slot).collect(), free: Mutex::new((0..depth).collect()) }
    }

    /// Takes a slot and gives its index and generation.
    pub(crate) fn claim(&self) -> Option<(usize, u64)> {
        let index = self.free().pop()?;
        let slot = &self.slots[index];
        let generation = slot.generation.load(Ordering::Relaxed).wrapping_add(1);
        slot.generation.store(generation, Ordering::Relaxed);
        slot.state.store(INFLIGHT, Ordering::Relaxed); // Published with the job.
        Some((index, generation))
    }

    /// The device's side: hands the completion over, or drops it if nobody wants it any more.
    pub(crate) fn complete(&self, index: usize, completion: Completion) {
        let slot = &self.slots[index];
        let request = &completion.request;
        slot.meter.count(request.direction, request.src.len(), completion.outcome);
        *lock(&slot.payload) = Some(completion);
        match slot.exchange(DONE) {
            Ok(_) => slot.waker.wake(),
            Err(_abandoned) => drop(self.freed(index)),
        }
    }

    /// The job is dissolved before anybody saw it: nobody else has the index.
    pub(crate) fn retract(&self, index: usize) {
        drop(self.freed(index));
    }

    /// The handle's side: the completion, if it is there. The index is then no longer the handle's.
    pub(crate) fn take(&self, index: usize) -> Option<Completion> {
        if self.slots[index].state.load(Ordering::Acquire) != DONE {
            return None;
        }
        self.freed(index)
    }

    /// The handle's side: nobody will ask any more.
    pub(crate) fn abandon(&self, index: usize) {
        if self.slots[index].exchange(ABANDONED).is_err() {
            drop(self.freed(index));
        }
    }

    /// Whom to wake. Look again after this, before you sleep.
    pub(crate) fn register(&self, index: usize, waker: &Waker) {
        self.slots[index].waker.register(waker);
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

impl Slot {
    /// From INFLIGHT; fails with the state that the other side was faster to reach.
    fn exchange(&self, state: u8) -> Result<u8, u8> {
        self.state.compare_exchange(INFLIGHT, state, Ordering::AcqRel, Ordering::Acquire)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const FREE: u8 = 0;
const INFLIGHT: u8 = 1;
const DONE: u8 = 2;
const ABANDONED: u8 = 3;

/// Every interleaving of the two sides: `cargo xtask loom`. Without a bound on preemptions they
/// pass, too, in about a minute.
#[cfg(all(test, loom))]
mod loom_models {
    use std::future::poll_fn;
    use std::task::Poll;

    use loom::future::block_on;
    use loom::thread;

    use super::*;
    use crate::engine::Job;
    use crate::error::Error;
    use crate::op::ExecutedOn;
    use crate::request::Request;

    const DEPTH: usize = 1;

    fn table() -> Arc<SlotTable> {
        Arc::new(SlotTable::new(DEPTH, &Arc::default()))
    }

    /// A job, its slot, and a witness that its buffers are alive.
    fn job(table: &Arc<SlotTable>) -> (Job, usize) {
        let slot = table.claim().expect("a free slot");
        (Job::new(Request::compress(vec![1], vec![0]), slot, table), slot.0)
    }

    async fn awaited(table: &SlotTable, index: usize) -> Completion {
        poll_fn(|cx| {
            if let Some(completion) = table.take(index) {
                return Poll::Ready(completion);
            }
            table.register(index, cx.waker());
            table.take(index).map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    #[test]
    fn completion_reaches_who_awaits_it() {
        loom::model(|| {
            let table = table();
            let (job, index) = job(&table);
            let device = thread::spawn(move || job.complete(Ok(1), ExecutedOn::Driver));
            assert_eq!(block_on(awaited(&table, index)).outcome, Ok(1));
            device.join().unwrap();
            assert_eq!(table.free_slots(), DEPTH);
        });
    }

    #[test]
    fn job_that_is_dropped_reaches_who_awaits_it() {
        loom::model(|| {
            let table = table();
            let (job, index) = job(&table);
            let device = thread::spawn(move || drop(job));
            assert_eq!(block_on(awaited(&table, index)).outcome, Err(Error::DeviceLost));
            device.join().unwrap();
            assert_eq!(table.free_slots(), DEPTH);
        });
    }

    #[test]
    fn abandoned_slot_is_freed_once() {
        loom::model(|| {
            let table = table();
            let (job, index) = job(&table);
            let device = thread::spawn(move || job.complete(Ok(1), ExecutedOn::Driver));
            table.abandon(index);
            device.join().unwrap();
            assert_eq!(table.free_slots(), DEPTH);
            assert!(table.claim().is_some() && table.claim().is_none());
        });
    }

    /// Looks once, as after a timeout, then lets go.
    #[test]
    fn slot_that_is_looked_at_and_abandoned_is_freed_once() {
        loom::model(|| {
            let table = table();
            let (job, index) = job(&table);
            let device = thread::spawn(move || job.complete(Ok(1), ExecutedOn::Driver));
            if table.take(index).is_none() {
                table.abandon(index);
            }
            device.join().unwrap();
            assert_eq!(table.free_slots(), DEPTH);
        });
    }

    /// The wake of the first occupant may come after the second has registered.
    #[test]
    fn next_occupant_is_served_although_the_last_wake_is_late() {
        loom::model(|| {
            let table = table();
            let (first, index) = job(&table);
            let device = thread::spawn(move || first.complete(Ok(1), ExecutedOn::Driver));
            assert_eq!(block_on(awaited(&table, index)).outcome, Ok(1));
            let (second, index) = job(&table);
            let again = thread::spawn(move || second.complete(Ok(0), ExecutedOn::Driver));
            assert_eq!(block_on(awaited(&table, index)).outcome, Ok(0));
            device.join().unwrap();
            again.join().unwrap();
            assert_eq!(table.free_slots(), DEPTH);
        });
    }
}
