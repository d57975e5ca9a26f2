//! Per-CPU contexts: what a CPU needs to compress and decompress. They only spread contention:
//! there is a lock inside, and any thread may use any of them, also after it has moved to another
//! CPU. A context lives exactly as long as its pool.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use acomp_core::{Acomp, OpenError, Params, Registry, Session};
use once_cell::sync::OnceCell;

use crate::compressors::{COMPRESSORS_MAX, Compressors, SwitchError};
use crate::counters::Events;
use crate::page::{PAGE_BYTES, Page};
use crate::sync::{Mutex, MutexGuard, lock};

/// Pages compressed or decompressed under one hold of a context's lock, so that a page fault never
/// waits for more.
pub(crate) const SUB_BATCH: usize = 8;

#[derive(Debug)]
pub(crate) struct Contexts {
    pub(crate) compressors: Compressors,
    cpus: Box<[Cpu]>,
    /// The CPU whose context was created with the pool.
    first: usize,
    /// Whether whoever needs a session may open it.
    opens: bool,
    /// Held while compressors come and go.
    switching: Mutex<()>,
}

/// On cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Cpu {
    pub(crate) events: Events,
    /// It could not open a session itself.
    is_wanting: AtomicBool,
    context: OnceCell<Box<Mutex<Context>>>,
}

/// What is locked together.
#[derive(Debug)]
#[repr(align(128))]
struct Context {
    sessions: [Option<Session>; COMPRESSORS_MAX],
    /// How many compressions each gains from at once.
    batches: [usize; COMPRESSORS_MAX],
    /// Their destinations: as many as the one has that gains from most.
    buffers: Box<[Page]>,
}

/// The live session of a compressor, and what goes with it.
#[derive(Debug)]
pub(crate) struct Locked<'c> {
    context: MutexGuard<'c, Context>,
    pub(crate) compressor: usize,
    /// The session that was replaced: dropped after the lock is released, as its driver's code
    /// may lead back here.
    _dead: Option<Session>,
}

impl Context {
    /// Takes a session out, and gives buffers back that the others do not need.
    fn close(&mut self, compressor: usize) -> Option<Session> {
        *self.batches.get_mut(compressor)? = 0;
        let needed = self.batches.iter().copied().max().unwrap_or_default();
        if needed < self.buffers.len() {
            self.buffers = self.buffers.get(..needed).unwrap_or_default().into();
        }
        self.sessions.get_mut(compressor)?.take()
    }

    #[inline]
    fn has_live(&self, compressor: usize) -> bool {
        let session = self.sessions.get(compressor).and_then(Option::as_ref);
        session.is_some_and(|session| !session.is_dead())
    }
}

impl Locked<'_> {
    /// The session, and a buffer for each compression that it gains from at once. `None`: there was
    /// a session when this was locked.
    #[inline]
    pub(crate) fn parts(&mut self) -> Option<(&mut Session, &mut [Page])> {
        let Context { sessions, batches, buffers } = &mut *self.context;
        let buffers = buffers.get_mut(..*batches.get(self.compressor)?)?;
        Some((sessions.get_mut(self.compressor)?.as_mut()?, buffers))
    }
}

impl Contexts {
    pub(crate) fn new(
        registry: Registry,
        name: &str,
        params: Params,
        opens: bool,
    ) -> Result<Self, OpenError> {
        let compressors = Compressors::new(registry, name, params)?;
        let acomp = compressors.get(0).map(|acomp| Ok((buffers_of(&acomp), acomp.session()?)));
        let cpus: Box<[Cpu]> = (0..possible_cpus()).map(|_| Cpu::default()).collect();
        let contexts = Self {
            compressors,
            first: current_cpu() % cpus.len(),
            cpus,
            opens,
            switching: Mutex::default(),
        };
        if let Some((buffers, session)) = acomp.transpose()? {
            let mut context = lock(contexts.context(contexts.first));
            context.batches[0] = buffers.len();
            (context.buffers, context.sessions[0]) = (buffers, Some(session));
        }
        Ok(contexts)
    }

    pub(crate) fn cpus(&self) -> &[Cpu] {
        &self.cpus
    }

    /// The place of the CPU this runs on.
    #[inline]
    pub(crate) fn cpu(&self) -> &Cpu {
        &self.cpus[self.current()]
    }

    /// Locks the context of this CPU with the session of the compressor that stores.
    #[inline]
    pub(crate) fn lock_to_store(&self) -> Option<Locked<'_>> {
        self.lock(None)
    }

    /// Locks the context of this CPU with the session of this compressor.
    #[inline]
    pub(crate) fn lock_to_load(&self, compressor: usize) -> Option<Locked<'_>> {
        self.lock(Some(compressor))
    }

    /// A session that is not there yet is opened if that may be done now; its memory is then local
    /// to the CPU. Else that of the CPU that made the pool serves, if it has one.
    #[inline]
    fn lock(&self, wanted: Option<usize>) -> Option<Locked<'_>> {
        let context = self.cpus[self.current()].context.get();
        if let Some(guard) = context.map(|context| lock(context)) {
            let compressor = wanted.unwrap_or_else(|| self.compressors.current());
            if guard.has_live(compressor) {
                return Some(Locked { context: guard, compressor, _dead: None });
            }
        }
        self.lock_another(wanted)
    }

    #[cold]
    fn lock_another(&self, wanted: Option<usize>) -> Option<Locked<'_>> {
        let cpu = self.current();
        if !self.opens {
            self.cpus[cpu].is_wanting.store(true, Relaxed);
            let guard = lock(self.cpus[self.first].context.get()?);
            let compressor = wanted.unwrap_or_else(|| self.compressors.current());
            let is_live = guard.has_live(compressor);
            return is_live.then_some(Locked { context: guard, compressor, _dead: None });
        }
        for _ in 0..SWITCH_TRIES_MAX {
            let switches = self.compressors.switches();
            let compressor = wanted.unwrap_or_else(|| self.compressors.current());
            let locked = self.open(cpu, compressor).or_else(|| self.open(self.first, compressor));
            let is_it = match &locked {
                // Who stores must still be right about the compressor now that a context is
                // locked: else its pages may be counted when nobody looks any more.
                Some(_) => self.compressors.current() == compressor,
                // It may have been closed meanwhile.
                None => self.compressors.switches() == switches,
            };
            if is_it || wanted.is_some() {
                return locked;
            }
        }
        None
    }

    /// The new session is opened outside the lock: opening allocates, and memory pressure may lead
    /// an allocation back here.
    fn open(&self, cpu: usize, compressor: usize) -> Option<Locked<'_>> {
        let uses = self.compressors.uses(compressor);
        let acomp = self.compressors.get(compressor);
        let new = acomp.and_then(|acomp| Some((buffers_of(&acomp), acomp.session().ok()?)));
        let mut guard = lock(self.context(cpu));
        if guard.has_live(compressor) {
            // Another thread was faster. The lock stays held: a session that is live now may be
            // dead after the next holder.
            let spare = new.map(|(_, session)| session);
            return Some(Locked { context: guard, compressor, _dead: spare });
        }
        // The number may stand for another compressor by now.
        let (buffers, session) = new.filter(|_| self.compressors.uses(compressor) == uses)?;
        *guard.batches.get_mut(compressor)? = buffers.len();
        if guard.buffers.len() < buffers.len() {
            guard.buffers = buffers;
        }
        let dead = guard.sessions.get_mut(compressor)?.replace(session);
        Some(Locked { context: guard, compressor, _dead: dead })
    }

    /// Opens what CPUs have asked for, since they could not do it themselves. Not for the data
    /// path.
    pub(crate) fn refill(&self) {
        let compressor = self.compressors.current();
        for (number, cpu) in self.cpus.iter().enumerate() {
            if cpu.is_wanting.swap(false, Relaxed) {
                drop(self.open(number, compressor));
            }
        }
        if !self.opens {
            // The one that serves everybody else has all of them, also after their driver died.
            self.compressors.former().chain([compressor]).for_each(|compressor| {
                if !lock(self.context(self.first)).has_live(compressor) {
                    drop(self.open(self.first, compressor));
                }
            });
        }
    }

    /// Makes `name` the compressor that stores, when there is a session of it to serve everybody.
    pub(crate) fn switch(&self, name: &str) -> Result<(), SwitchError> {
        let _switching = lock(&self.switching);
        let Some(number) = self.compressors.admit(name, Params::new())? else { return Ok(()) };
        drop(self.open(self.first, number).ok_or(SwitchError::NoSession)?);
        self.compressors.make_current(number, name);
        Ok(())
    }

    /// Closes former compressors whose pages are gone. `pages` counts those of one.
    pub(crate) fn drain(&self, pages: impl Fn(usize) -> u64) {
        let _switching = lock(&self.switching);
        for number in self.compressors.former() {
            let is_used = || {
                // Who stores asks for the compressor, and counts its pages, with a context locked.
                // So whoever had this one has counted when we have held all the locks.
                self.contexts().for_each(|context| drop(lock(context)));
                pages(number) > 0
            };
            let close = || -> Vec<_> {
                self.contexts().filter_map(|context| lock(context).close(number)).collect()
            };
            self.compressors.forget(number, is_used, close);
        }
    }

    fn contexts(&self) -> impl Iterator<Item = &Mutex<Context>> {
        self.cpus.iter().filter_map(|cpu| cpu.context.get().map(Box::as_ref))
    }

    #[inline]
    fn context(&self, cpu: usize) -> &Mutex<Context> {
        self.cpus[cpu].context.get_or_init(|| {
            let sessions = [const { None }; COMPRESSORS_MAX];
            let batches = [0; COMPRESSORS_MAX];
            Box::new(Mutex::new(Context { sessions, batches, buffers: Box::default() }))
        })
    }

    #[inline]
    fn current(&self) -> usize {
        current_cpu() % self.cpus.len()
    }
}

/// Changes of the compressor that one store follows.
const SWITCH_TRIES_MAX: usize = 8;

fn buffers_of(acomp: &Acomp) -> Box<[Page]> {
    vec![[0; PAGE_BYTES]; acomp.batch_size().get().min(SUB_BATCH)].into()
}

/// CPU numbers that there can be, those of absent CPUs included.
fn possible_cpus() -> usize {
    if cfg!(loom) {
        return 1; // What is explored is to be the same wherever it runs.
    }
    let ranges = std::fs::read_to_string("/sys/devices/system/cpu/possible").unwrap_or_default();
    let last = ranges.trim().rsplit(['-', ',']).next().and_then(|cpu| cpu.parse::<usize>().ok());
    let fallback = || std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    last.map_or_else(fallback, |last| last + 1)
}

#[inline]
fn current_cpu() -> usize {
    rustix::thread::sched_getcpu()
}
