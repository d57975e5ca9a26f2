//! Threads that store staged pages where a CPU is idle.
//!
//! They are for sequential accesses alone, which reclaim much at a time. A helper that runs makes
//! every move out of a region reach its CPU too, some 50 us each: with random accesses that costs
//! more than it brings.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use crate::core::Core;
use crate::fault::Wait;
use crate::raw::thread::run_when_idle;
use crate::space::lock;

#[derive(Debug)]
pub(crate) struct Helpers {
    core: Arc<Core>,
    is_over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Helpers {
    pub(crate) fn start(core: &Arc<Core>, threads: usize) -> io::Result<Self> {
        let is_over = Arc::new(AtomicBool::new(false));
        let start = || {
            let (core, is_over) = (Arc::clone(core), Arc::clone(&is_over));
            thread::Builder::new().name("zswap-helper".into()).spawn(move || {
                // Otherwise it runs like any other.
                run_when_idle();
                while !is_over.load(Acquire) {
                    core.help();
                    core.helped.is_asleep.store(true, Release);
                    thread::park();
                }
            })
        };
        // If one cannot be started, those before it are stopped.
        let mut helpers =
            Self { core: Arc::clone(core), is_over: Arc::clone(&is_over), threads: Vec::new() };
        for _ in 0..threads {
            helpers.threads.push(start()?);
        }
        *lock(&core.helped.threads) =
            helpers.threads.iter().map(|other| other.thread().clone()).collect();
        Ok(helpers)
    }
}

impl Drop for Helpers {
    fn drop(&mut self) {
        self.is_over.store(true, Release);
        lock(&self.core.helped.threads).clear();
        for thread in self.threads.drain(..) {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

/// What those who fill pages know of helpers.
#[derive(Debug, Default)]
pub(crate) struct Helped {
    threads: Mutex<Vec<thread::Thread>>,
    is_asleep: AtomicBool,
}

impl Core {
    /// Whether helpers store pages instead of whoever filled these: if there are any, the accesses
    /// are sequential, and they keep up.
    pub(crate) fn is_helped(&self, filled: usize) -> bool {
        let is_behind = self.used() + self.headroom_pages / 2 > self.limit_pages;
        if filled < SEQUENTIAL_PAGES.min(self.zeros.len()) || is_behind {
            return false;
        }
        if self.helped.is_asleep.load(Relaxed) && self.helped.is_asleep.swap(false, Acquire) {
            lock(&self.helped.threads).iter().for_each(thread::Thread::unpark);
        }
        !lock(&self.helped.threads).is_empty()
    }

    /// Stores pages as long as memory is short, and a while longer: to be woken takes longer than
    /// most of what is waited for.
    fn help(&self) {
        let mut wait = Wait::default();
        let mut idle_rounds = 0;
        while idle_rounds < IDLE_ROUNDS_MAX {
            let is_short = self.used() > self.stored_from_pages();
            if is_short && (self.stage() | self.drain(None)) {
                (idle_rounds, wait) = (0, Wait::default());
            } else {
                idle_rounds += 1;
                wait.pause();
            }
        }
    }
}

/// Faults that bring so many pages are sequential.
const SEQUENTIAL_PAGES: usize = 16;
/// Rounds without work before a helper sleeps.
const IDLE_ROUNDS_MAX: usize = 2000;
