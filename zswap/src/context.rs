//! Per-CPU contexts: what a CPU needs to compress and decompress. They only spread contention:
//! there is a lock inside, and any thread may use any of them, also after it has moved to another
//! CPU. A context lives exactly as long as its pool.

use std::num::NonZeroUsize;
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, PoisonError};

use acomp_core::{Acomp, OpenError, Session};
use once_cell::sync::OnceCell;

use crate::counters::Events;
use crate::page::{PAGE_BYTES, Page};

/// Pages compressed or decompressed under one hold of a context's lock, so that a page fault never
/// waits for more.
pub(crate) const SUB_BATCH: usize = 8;

#[derive(Debug)]
pub(crate) struct Contexts {
    acomp: Acomp,
    cpus: Box<[Cpu]>,
    /// The CPU whose context was created with the pool.
    first: usize,
}

/// On cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Cpu {
    pub(crate) events: Events,
    context: OnceCell<Box<Mutex<Context>>>,
}

#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Context {
    pub(crate) session: Session,
    /// Destinations of as many compressions as the transform gains from at once.
    pub(crate) buffers: Box<[Page]>,
}

/// A context with a live session.
#[derive(Debug)]
pub(crate) struct Locked<'c> {
    context: MutexGuard<'c, Context>,
    /// The session that was replaced: dropped after the lock is released, as its driver's code
    /// may lead back here.
    _dead: Option<Box<Session>>,
}

impl Deref for Locked<'_> {
    type Target = Context;

    fn deref(&self) -> &Context {
        &self.context
    }
}

impl DerefMut for Locked<'_> {
    fn deref_mut(&mut self) -> &mut Context {
        &mut self.context
    }
}

impl Contexts {
    pub(crate) fn new(acomp: Acomp) -> Result<Self, OpenError> {
        let cpus: Box<[Cpu]> = (0..possible_cpus()).map(|_| Cpu::default()).collect();
        let contexts = Self { acomp, first: current_cpu() % cpus.len(), cpus };
        contexts.context(contexts.first)?;
        Ok(contexts)
    }

    pub(crate) fn acomp(&self) -> &Acomp {
        &self.acomp
    }

    pub(crate) fn cpus(&self) -> &[Cpu] {
        &self.cpus
    }

    /// The place of the CPU this runs on.
    #[inline]
    pub(crate) fn cpu(&self) -> &Cpu {
        &self.cpus[self.current()]
    }

    /// Locks the context of this CPU, created now if this is its first use: its memory is then
    /// local to the CPU. `None` if there is none with a live session to be had.
    #[inline]
    pub(crate) fn lock(&self) -> Option<Locked<'_>> {
        let context = self.context(self.current()).or_else(|_| self.context(self.first)).ok()?;
        let guard = lock(context);
        if guard.session.is_dead() {
            drop(guard);
            return self.revived(context);
        }
        Some(Locked { context: guard, _dead: None })
    }

    /// The new session is opened outside the lock: opening allocates, and memory pressure may lead
    /// an allocation back here.
    #[cold]
    fn revived<'c>(&self, context: &'c Mutex<Context>) -> Option<Locked<'c>> {
        let mut spare = Box::new(self.acomp.session().ok()?);
        let mut guard = lock(context);
        // Another thread may have been faster. The lock stays held: a session that is live now may
        // be dead after the next holder.
        if guard.session.is_dead() {
            std::mem::swap(&mut guard.session, &mut spare);
        }
        Some(Locked { context: guard, _dead: Some(spare) })
    }

    #[inline]
    fn context(&self, cpu: usize) -> Result<&Mutex<Context>, OpenError> {
        let cell = &self.cpus[cpu].context;
        if let Some(context) = cell.get() {
            return Ok(context);
        }
        // Two threads may both open one: better than one waiting for the other's driver.
        let buffers = self.acomp.batch_size().get().min(SUB_BATCH);
        let context = Context {
            session: self.acomp.session()?,
            buffers: vec![[0; PAGE_BYTES]; buffers].into(),
        };
        Ok(cell.get_or_init(|| Box::new(Mutex::new(context))))
    }

    #[inline]
    fn current(&self) -> usize {
        current_cpu() % self.cpus.len()
    }
}

/// CPU numbers that there can be, those of absent CPUs included.
fn possible_cpus() -> usize {
    let ranges = std::fs::read_to_string("/sys/devices/system/cpu/possible").unwrap_or_default();
    let last = ranges.trim().rsplit(['-', ',']).next().and_then(|cpu| cpu.parse::<usize>().ok());
    let fallback = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    last.map_or_else(fallback, |last| last + 1)
}

#[inline]
fn current_cpu() -> usize {
    rustix::thread::sched_getcpu()
}

#[inline]
fn lock(context: &Mutex<Context>) -> MutexGuard<'_, Context> {
    context.lock().unwrap_or_else(PoisonError::into_inner)
}
