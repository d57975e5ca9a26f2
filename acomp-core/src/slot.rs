//! Slots: where a request is while a device has it, and its completion until it is taken.
//!
//! A slot is in one of four states, and this is the only file that changes them.
//!
//! ```text
//! FREE --submitted--> INFLIGHT --completed--> DONE --taken--> FREE
//!                        |                      '-- abandoned --> FREE
//!                        '-- abandoned --> ABANDONED --completed--> FREE
//! ```
//!
//! Submitting makes one [`Ticket`] for the handle and one [`Work`] for the device; neither can be
//! copied. Each side swaps in its last word, DONE or ABANDONED; who finds that of the other was
//! the last, and frees the slot. What is in a slot belongs
//!
//! - FREE: to whoever claims it, which is one exchange;
//! - INFLIGHT: to the work, whether there is a ticket or not (ABANDONED);
//! - DONE: to the ticket.
//!
//! Each step releases what the next one acquires. A ticket that is forgotten leaves its slot DONE
//! for ever: one slot is lost, nothing else.
//!
//! A wake that comes late may hit the next occupant of the slot: a spurious wake, harmless. A slot
//! that is freed drops its waker, or an idle slot would keep a finished task alive.

#![allow(unsafe_code, reason = "the request lies in the slot while two threads know of it")]

use std::mem::MaybeUninit;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::task::Waker;

use crate::engine::JobId;
use crate::error::{Error, Outcome};
use crate::flags::ReqFlags;
use crate::op::{ExecutedOn, bounded};
use crate::panics::caught;
use crate::port::Backlog;
use crate::request::{Completion, Request};
use crate::stats::{Meter, Totals};
use crate::sync::{AtomicU8, AtomicUsize, AtomicWaker, Ordering, UnsafeCell};

pub(crate) struct SlotTable {
    slots: Box<[Slot]>,
    /// Where a free slot is likely: the search for one starts there.
    hint: AtomicUsize,
    /// That of no other table, ever.
    number: u64,
    /// Where work waits that has a slot here.
    backlog: Arc<Backlog>,
}

/// On cache lines of its own.
#[repr(align(128))]
struct Slot {
    /// There unless the slot is FREE.
    contents: UnsafeCell<MaybeUninit<Completion>>,
    /// Counts the occupants, so that an old job's number means nobody. Of the claimer alone.
    generation: AtomicU64,
    waker: AtomicWaker,
    /// Of the work alone. `None` if it is counted elsewhere.
    meter: Option<Meter>,
    state: AtomicU8,
}

// SAFETY: `contents` is the only part that is not `Sync`. It is accessed by the one who claimed the
// slot, the work and the ticket in turn, never by two at a time: see the states above. They may be
// on different threads, and a reference to the work on several, which `is_send_and_sync` allows.
unsafe impl Sync for Slot {}

const _: () = {
    const fn is_send_and_sync<T: Send + Sync>() {}
    is_send_and_sync::<Completion>();
};

/// Where work is. Nobody else is there meanwhile.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    table: *const SlotTable,
    index: usize,
}

/// A slot that is claimed and still empty.
pub(crate) struct Claim {
    index: usize,
    table: Arc<SlotTable>,
}

/// The handle's side of a slot. Two words, as is [`Work`]: they travel in registers.
pub(crate) struct Ticket {
    index: usize,
    /// Of its table, or [`SPENT`].
    table: u64,
}

impl Ticket {
    /// Whether its completion was taken or given up.
    pub(crate) fn is_spent(&self) -> bool {
        self.table == SPENT
    }
}

/// The device's side of a slot, to whom the request in it belongs.
pub(crate) struct Work {
    index: usize,
    table: Arc<SlotTable>,
}

impl SlotTable {
    pub(crate) fn new(depth: usize, totals: Option<&Arc<Totals>>, backlog: &Arc<Backlog>) -> Self {
        static TABLES: AtomicU64 = AtomicU64::new(SPENT + 1);
        let slot = |_| Slot {
            contents: UnsafeCell::new(MaybeUninit::uninit()),
            generation: AtomicU64::new(0),
            waker: AtomicWaker::new(),
            meter: totals.map(Meter::new),
            state: AtomicU8::new(FREE),
        };
        backlog.add_places(depth);
        Self {
            slots: (0..depth).map(slot).collect(),
            hint: AtomicUsize::new(0),
            number: TABLES.fetch_add(1, Ordering::Relaxed),
            backlog: Arc::clone(backlog),
        }
    }

    pub(crate) fn backlog(&self) -> &Backlog {
        &self.backlog
    }

    /// Finds a free slot.
    pub(crate) fn claim(self: &Arc<Self>) -> Option<Claim> {
        let hint = self.hint.load(Ordering::Relaxed).min(self.slots.len());
        let mut order = (hint..self.slots.len()).chain(0..hint);
        let index = order.find(|index| self.slots[*index].claim())?;
        self.hint.store(index + 1, Ordering::Relaxed);
        Some(Claim { index, table: Arc::clone(self) })
    }

    /// The number of the ticket's job.
    pub(crate) fn id(&self, ticket: &Ticket) -> Option<JobId> {
        Some(self.slot(ticket)?.id(ticket.index, self.number))
    }

    /// The completion, if it is there; this spends the ticket.
    pub(crate) fn take(&self, ticket: &mut Ticket) -> Option<Completion> {
        self.slot(ticket).filter(|slot| slot.is_done())?;
        ticket.table = SPENT;
        // SAFETY: DONE, and this was its ticket.
        Some(unsafe { self.freed(ticket.index) })
    }

    /// Whether the ticket has nothing to wait for.
    pub(crate) fn is_done(&self, ticket: &Ticket) -> bool {
        self.slot(ticket).is_none_or(Slot::is_done)
    }

    /// Spends the ticket: nobody will ask any more.
    pub(crate) fn abandon(&self, ticket: &mut Ticket) {
        let Some((slot, id)) = self.slot(ticket).zip(self.id(ticket)) else { return };
        ticket.table = SPENT;
        // A waker is foreign code: dropped when the slot is in order.
        let waker = if slot.is_registered() { slot.waker.take() } else { None };
        if slot.state.swap(ABANDONED, Ordering::AcqRel) & !REGISTERED == DONE {
            // SAFETY: DONE, and this was its ticket.
            drop(unsafe { self.freed(ticket.index) });
        } else {
            // Nobody works on what waits, so nobody else would end it.
            drop(self.backlog.remove(id).map(Work::end));
        }
        caught(|| drop(waker));
    }

    /// Whom to wake. Look again after this, before you sleep.
    pub(crate) fn register(&self, ticket: &Ticket, waker: &Waker) {
        if let Some(slot) = self.slot(ticket) {
            slot.waker.register(waker);
            slot.state.fetch_or(REGISTERED, Ordering::AcqRel);
        }
    }

    pub(crate) fn free_slots(&self) -> usize {
        self.slots.iter().filter(|slot| slot.state.load(Ordering::Acquire) == FREE).count()
    }

    pub(crate) fn depth(&self) -> usize {
        self.slots.len()
    }

    /// The slot of a ticket of this table that is not spent. Tables differ in their number, so that
    /// there is never another ticket of that slot.
    fn slot(&self, ticket: &Ticket) -> Option<&Slot> {
        if ticket.table == self.number { self.slots.get(ticket.index) } else { None }
    }

    /// Frees a slot, and gives what was in it.
    ///
    /// # Safety
    ///
    /// The slot is not FREE, and its contents belong to the caller, who gives them up.
    unsafe fn freed(&self, index: usize) -> Completion {
        let slot = &self.slots[index];
        // SAFETY: they are there, ours, and read once: whoever comes next writes first.
        let contents = slot.contents.with(|place| unsafe { (*place).assume_init_read() });
        if slot.is_registered() {
            slot.vacate_registered();
        } else {
            slot.state.store(FREE, Ordering::Release);
        }
        self.hint.store(index, Ordering::Relaxed);
        contents
    }
}

impl Drop for SlotTable {
    fn drop(&mut self) {
        self.backlog.remove_places(self.slots.len());
    }
}

impl Slot {
    fn claim(&self) -> bool {
        let exchange =
            || self.state.compare_exchange(FREE, INFLIGHT, Ordering::Acquire, Ordering::Relaxed);
        self.state.load(Ordering::Relaxed) == FREE && exchange().is_ok()
    }

    fn is_done(&self) -> bool {
        self.state.load(Ordering::Acquire) & !REGISTERED == DONE
    }

    /// Asked by whoever may register a waker.
    fn is_registered(&self) -> bool {
        self.state.load(Ordering::Relaxed) & REGISTERED != 0
    }

    /// What it panics ends here.
    #[cold]
    fn wake(&self) {
        caught(|| self.waker.wake());
    }

    #[cold]
    fn vacate_registered(&self) {
        let waker = self.waker.take();
        self.state.store(FREE, Ordering::Release);
        caught(|| drop(waker));
    }

    fn id(&self, index: usize, table: u64) -> JobId {
        JobId { index, generation: self.generation.load(Ordering::Relaxed), table }
    }
}

impl Claim {
    /// Puts a request into the slot.
    pub(crate) fn submit(self, request: Request) -> (Ticket, Work) {
        let Self { index, table } = self;
        let slot = &table.slots[index];
        let generation = slot.generation.load(Ordering::Relaxed).wrapping_add(1);
        slot.generation.store(generation, Ordering::Relaxed);
        let (outcome, executed_on) = (Err(Error::Unanswered), ExecutedOn::Driver);
        let contents = Completion { outcome, executed_on, request };
        // SAFETY: the slot is claimed, and nobody is told yet.
        slot.contents.with_mut(|place| unsafe { (*place).write(contents) });
        (Ticket { index, table: table.number }, Work { index, table })
    }
}

impl Work {
    pub(crate) fn id(&self) -> JobId {
        self.slot().id(self.index, self.table.number)
    }

    pub(crate) fn place(&self) -> Place {
        Place { table: Arc::as_ptr(&self.table), index: self.index }
    }

    pub(crate) fn request(&self) -> &Request {
        // SAFETY: the contents belong to this work, which is borrowed.
        let contents = self.slot().contents.with(|place| unsafe { (*place).assume_init_ref() });
        &contents.request
    }

    pub(crate) fn flags(&self) -> ReqFlags {
        self.request().flags
    }

    pub(crate) fn io(&mut self) -> (&[u8], &mut [u8]) {
        let Request { src, dst, .. } = &mut self.contents_mut().request;
        (src, dst)
    }

    /// Whether the ticket is gone.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.slot().state.load(Ordering::Relaxed) == ABANDONED
    }

    /// Hands the completion over, or drops it if nobody wants it any more. A length beyond the
    /// destination is no answer to believe.
    pub(crate) fn complete(mut self, outcome: Outcome, on: ExecutedOn) -> Arc<SlotTable> {
        let contents = self.contents_mut();
        let Request { direction, src, dst, .. } = &contents.request;
        let (direction, src_bytes, outcome) = (*direction, src.len(), bounded(outcome, dst.len()));
        contents.outcome = outcome;
        contents.executed_on = on;
        if let Some(meter) = &self.slot().meter {
            meter.count(direction, src_bytes, outcome);
            if on == ExecutedOn::Fallback {
                meter.count_fallback();
            }
        }
        self.end()
    }

    /// The last word of the device, as if nothing had happened.
    pub(crate) fn end(self) -> Arc<SlotTable> {
        let slot = self.slot();
        let before = slot.state.swap(DONE, Ordering::AcqRel);
        if before == ABANDONED {
            // SAFETY: the ticket is gone, and this was its work, which ends here.
            drop(unsafe { self.table.freed(self.index) });
        } else if before & REGISTERED != 0 {
            slot.wake();
        }
        self.table
    }

    fn contents_mut(&mut self) -> &mut Completion {
        // SAFETY: the contents belong to this work, which is borrowed exclusively.
        self.slot().contents.with_mut(|place| unsafe { (*place).assume_init_mut() })
    }

    fn slot(&self) -> &Slot {
        &self.table.slots[self.index]
    }
}

/// The number of no table.
const SPENT: u64 = 0;

const FREE: u8 = 0;
const INFLIGHT: u8 = 1;
const DONE: u8 = 2;
const ABANDONED: u8 = 3;
/// With INFLIGHT or DONE: there may be a waker.
const REGISTERED: u8 = 4;
