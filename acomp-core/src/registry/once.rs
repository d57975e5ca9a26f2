//! Cells that driver code fills once, where one driver's code may ask for another driver.
//!
//! Two threads may each fill a cell and ask for that of the other: a deadlock, if both waited. So
//! who is about to wait looks first whether, in the end, he would wait for himself.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

use once_cell::sync::OnceCell;

pub(super) struct Once<T> {
    cell: OnceCell<T>,
}

impl<T> Once<T> {
    pub(super) const fn new() -> Self {
        Self { cell: OnceCell::new() }
    }

    pub(super) fn get(&self) -> Option<&T> {
        self.cell.get()
    }

    /// What is in the cell, put there now if need be.
    ///
    /// # Errors
    ///
    /// That of `fill`, or that of `endless` where waiting for whoever fills it would never end.
    pub(super) fn get_or_try_fill<E>(
        &self,
        fill: impl FnOnce() -> Result<T, E>,
        endless: impl FnOnce() -> E,
    ) -> Result<&T, E> {
        if let Some(value) = self.get() {
            return Ok(value);
        }
        let place = std::ptr::from_ref(self).addr();
        let waiting = Waiting::start(place).ok_or_else(endless)?;
        self.cell.get_or_try_init(|| {
            let _filling = waiting.fill(place);
            fill()
        })
    }
}

/// Who waits for whom, of all cells of the program: there is never a circle. Every step is taken
/// under one lock.
struct Graph {
    /// A thread fills several cells at a time, one from within the other, and waits for one.
    filling: Vec<(usize, ThreadId)>,
    waiting: Vec<(ThreadId, usize)>,
}

impl Graph {
    fn filler(&self, place: usize) -> Option<ThreadId> {
        self.filling.iter().find(|(cell, _)| *cell == place).map(|(_, thread)| *thread)
    }

    fn stop_waiting(&mut self, thread: ThreadId) {
        self.waiting.retain(|(waiter, _)| *waiter != thread);
    }

    fn wanted_by(&self, thread: ThreadId) -> Option<usize> {
        self.waiting.iter().find(|(waiter, _)| *waiter == thread).map(|(_, place)| *place)
    }
}

/// This thread waits for a cell, until it fills it or somebody else has.
struct Waiting(ThreadId);

impl Waiting {
    /// `None` if whoever fills the cell waits, in the end, for this thread.
    fn start(place: usize) -> Option<Self> {
        let this = thread::current().id();
        let mut graph = graph();
        let mut next = graph.filler(place);
        while let Some(thread) = next {
            if thread == this {
                return None;
            }
            next = graph.wanted_by(thread).and_then(|place| graph.filler(place));
        }
        graph.waiting.push((this, place));
        Some(Self(this))
    }

    /// One step: who waited for a cell that he fills would wait for himself.
    fn fill(&self, place: usize) -> Filling {
        let mut graph = graph();
        graph.stop_waiting(self.0);
        graph.filling.push((place, self.0));
        Filling(place)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        graph().stop_waiting(self.0);
    }
}

struct Filling(usize);

impl Drop for Filling {
    fn drop(&mut self) {
        graph().filling.retain(|(place, _)| *place != self.0);
    }
}

fn graph() -> MutexGuard<'static, Graph> {
    static GRAPH: Mutex<Graph> = Mutex::new(Graph { filling: Vec::new(), waiting: Vec::new() });
    GRAPH.lock().unwrap_or_else(PoisonError::into_inner)
}
