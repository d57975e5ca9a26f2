//! The worker threads of one transform, and how a caller and a worker exchange ops.
//!
//! A worker has a few places. A place is
//!
//! ```text
//! EMPTY --handed out--> POSTED --begun--> TAKEN --done--> DONE --collected--> EMPTY
//!                         '-- taken back --> EMPTY
//! ```
//!
//! The one session that has engaged the worker hands out, takes back and collects; the worker
//! begins and finishes. What is in a place belongs to the worker while it is TAKEN, to the session
//! otherwise. A session that gave up an op leaves its place TAKEN; whoever engages the worker when
//! it is DONE clears it.

use std::fmt;
use std::ops::Range;
use std::sync::atomic::{
    AtomicBool, AtomicU8,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use crate::error::{Error, OpenError, Outcome};
use crate::handle::{Acomp, Session};
use crate::op::{Direction, ExecutedOn, Ops};

/// Ends its threads when dropped, without waiting for them.
pub(super) struct Crew {
    members: Box<[Member]>,
}

#[derive(Clone)]
struct Member {
    worker: Arc<Worker>,
    thread: Thread,
}

impl Crew {
    pub(super) fn new(inner: &Acomp, threads: usize) -> Result<Self, OpenError> {
        let members = (0..threads).map(|_| Member::new(inner.clone()));
        Ok(Self { members: members.collect::<Result<_, _>>()? })
    }

    pub(super) fn helpers(&self) -> Box<[Helper]> {
        let helper = |member: &Member| Helper {
            member: member.clone(),
            is_engaged: false,
            ops: [None; PLACES],
            is_woken: false,
            is_useful: false,
            pause_chains: 0,
            left_chains: 0,
        };
        self.members.iter().map(helper).collect()
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        for Member { worker, thread } in &self.members {
            worker.is_over.store(true, Relaxed);
            thread.unpark();
        }
    }
}

impl fmt::Debug for Crew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Crew").field("threads", &self.members.len()).finish_non_exhaustive()
    }
}

impl Member {
    fn new(inner: Acomp) -> Result<Self, OpenError> {
        let session = inner.session()?;
        let worker = Arc::<Worker>::default();
        let at_work = Arc::clone(&worker);
        let thread = thread::Builder::new().name("pcomp".into());
        let thread = thread.spawn(move || at_work.run(&inner, session));
        let thread = thread.map_err(|why| OpenError::Device(why.into()))?.thread().clone();
        Ok(Self { worker, thread })
    }
}

/// What a worker shares with the sessions.
#[derive(Default)]
struct Worker {
    is_engaged: AtomicBool,
    is_asleep: AtomicBool,
    is_over: AtomicBool,
    places: [Place; PLACES],
}

#[derive(Default)]
struct Place {
    state: AtomicU8,
    /// Never contended: the state says whose it is.
    parcel: Mutex<Parcel>,
}

/// A copy of an op.
struct Parcel {
    direction: Direction,
    src: Box<[u8]>,
    src_len: usize,
    dst: Box<[u8]>,
    dst_len: usize,
    outcome: Outcome,
}

impl Default for Parcel {
    fn default() -> Self {
        let buffer = || vec![0; PARCEL_BYTES_MAX].into_boxed_slice();
        Self {
            direction: Direction::Compress,
            src: buffer(),
            src_len: 0,
            dst: buffer(),
            dst_len: 0,
            outcome: Err(Error::Unanswered),
        }
    }
}

impl Worker {
    /// The thread of a worker.
    fn run(&self, inner: &Acomp, mut session: Session) {
        let mut idle_since = Instant::now();
        let mut looked_at = idle_since;
        while !self.is_over.load(Relaxed) {
            if self.places.iter().any(|place| place.serve(&mut session)) {
                inner.replaced_if_dead(&mut session);
                idle_since = Instant::now();
                looked_at = idle_since;
                continue;
            }
            // Not `spin_loop`: whoever else wants this CPU, the caller perhaps, may have it.
            thread::yield_now();
            let now = Instant::now();
            let has_cpu = now.duration_since(looked_at) < CPU_LOST;
            looked_at = now;
            if !has_cpu || now.duration_since(idle_since) > SPIN_MAX {
                self.sleep();
                idle_since = Instant::now();
                looked_at = idle_since;
            }
        }
    }

    /// A wake that is missed costs help, nothing else: callers take back what is not begun.
    fn sleep(&self) {
        self.is_asleep.store(true, Relaxed);
        while self.is_asleep.load(Relaxed) && !self.is_over.load(Relaxed) {
            thread::park();
        }
    }
}

impl Place {
    fn serve(&self, session: &mut Session) -> bool {
        if !self.step(POSTED, TAKEN) {
            return false;
        }
        let mut parcel = self.parcel();
        let Parcel { direction, src, src_len, dst, dst_len, outcome } = &mut *parcel;
        let (src, dst) = (&src[..*src_len], &mut dst[..*dst_len]);
        *outcome = match direction {
            Direction::Compress => session.compress(src, dst),
            Direction::Decompress => session.decompress(src, dst),
        };
        drop(parcel);
        self.state.store(DONE, Release);
        true
    }

    fn is(&self, state: u8) -> bool {
        self.state.load(Acquire) == state
    }

    fn step(&self, from: u8, to: u8) -> bool {
        self.is(from) && self.state.compare_exchange(from, to, AcqRel, Relaxed).is_ok()
    }

    fn parcel(&self) -> MutexGuard<'_, Parcel> {
        self.parcel.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A worker as a session sees it.
pub(super) struct Helper {
    member: Member,
    is_engaged: bool,
    /// Which op of the chain is in which place.
    ops: [Option<usize>; PLACES],
    /// In this chain: whether it was woken, and whether it did anything.
    is_woken: bool,
    is_useful: bool,
    /// Chains that do without it after it was woken for nothing, and how many of them are left.
    pause_chains: u32,
    left_chains: u32,
}

impl Helper {
    /// Engages the worker, unless another session has.
    pub(super) fn engage(&mut self) {
        let worker = &self.member.worker;
        self.is_engaged = worker.is_engaged.compare_exchange(false, true, Acquire, Relaxed).is_ok();
        if self.is_engaged {
            for place in &worker.places {
                place.step(DONE, EMPTY);
            }
        }
    }

    pub(super) fn release(&mut self) {
        if !std::mem::take(&mut self.is_engaged) {
            return;
        }
        self.member.worker.is_engaged.store(false, Release);
        let (is_woken, is_useful) =
            (std::mem::take(&mut self.is_woken), std::mem::take(&mut self.is_useful));
        if is_useful {
            self.pause_chains = 0;
        } else if is_woken {
            self.pause_chains = (2 * self.pause_chains + 1).min(PAUSE_CHAINS_MAX);
            self.left_chains = self.pause_chains;
        }
    }

    /// Wakes the worker, unless it was woken for nothing lately: it gets no CPU.
    pub(super) fn wake(&mut self) {
        let Member { worker, thread } = &self.member;
        if !self.is_engaged || !worker.is_asleep.load(Relaxed) {
            return;
        }
        if self.left_chains > 0 {
            self.left_chains -= 1;
            return;
        }
        worker.is_asleep.store(false, Relaxed);
        thread.unpark();
        self.is_woken = true;
    }

    /// Fills the worker's places from the front of what is not begun, but for the last op.
    pub(super) fn hand_out(&mut self, ops: &mut Ops<'_, '_>, rest: &mut Range<usize>) {
        let worker = &self.member.worker;
        if !self.is_engaged || worker.is_asleep.load(Relaxed) {
            return;
        }
        for (place, held) in worker.places.iter().zip(&mut self.ops) {
            let Some(mut op) = ops.get_mut(rest.start).filter(|_| rest.len() > 1) else { return };
            let direction = op.direction();
            let (src, dst) = op.io();
            if src.len().max(dst.len()) > PARCEL_BYTES_MAX || !place.is(EMPTY) {
                continue;
            }
            let mut parcel = place.parcel();
            parcel.direction = direction;
            parcel.src[..src.len()].copy_from_slice(src);
            (parcel.src_len, parcel.dst_len) = (src.len(), dst.len());
            drop(parcel);
            *held = rest.next();
            place.state.store(POSTED, Release);
        }
    }

    /// Answers the ops that are done.
    pub(super) fn collect(&mut self, ops: &mut Ops<'_, '_>) {
        for (place, held) in self.member.worker.places.iter().zip(&mut self.ops) {
            let Some(index) = held.take_if(|_| place.is(DONE)) else { continue };
            if let Some(mut op) = ops.get_mut(index) {
                let parcel = place.parcel();
                if let Ok(len) = parcel.outcome {
                    op.io().1[..len].copy_from_slice(&parcel.dst[..len]);
                }
                op.complete(parcel.outcome, ExecutedOn::Worker);
            }
            place.state.store(EMPTY, Release);
            self.is_useful = true;
        }
    }

    /// An op that the worker has not begun.
    pub(super) fn take_back(&mut self) -> Option<usize> {
        let places = self.member.worker.places.iter().zip(&mut self.ops);
        places.rev().find_map(|(place, held)| held.take_if(|_| place.step(POSTED, EMPTY)))
    }

    /// An op that the worker has begun. Its place stays his.
    pub(super) fn give_up(&mut self) -> Option<usize> {
        self.ops.iter_mut().find_map(Option::take)
    }

    pub(super) fn is_at_work(&self) -> bool {
        self.ops.iter().any(Option::is_some)
    }
}

const EMPTY: u8 = 0;
const POSTED: u8 = 1;
const TAKEN: u8 = 2;
const DONE: u8 = 3;

/// One op to work on and one to go on with.
const PLACES: usize = 3;
/// Longer sides are left to the caller.
const PARCEL_BYTES_MAX: usize = 64 << 10;
/// Between two looks of a worker that has a CPU to itself.
const CPU_LOST: Duration = Duration::from_micros(50);
const PAUSE_CHAINS_MAX: u32 = 63;
/// For how long one waits for the other without sleeping.
pub(super) const SPIN_MAX: Duration = Duration::from_micros(100);
