//! Numbers of handles, which are those of the cells that keep their objects' slots.
//!
//! A class keeps some free numbers of its own, so that allocations of different classes do not
//! meet here; the others are linked through their empty cells.

use std::io;

use super::mem::Memory;
use crate::fault::{Fault, is_refused};
use crate::sync::{Mutex, lock};

/// Free numbers of all classes.
#[derive(Debug)]
pub(crate) struct Numbers {
    free: Mutex<Free>,
    /// As many are committed ahead.
    ahead: usize,
}

#[derive(Debug, Default)]
struct Free {
    /// The first number that came back, plus one; its cell notes the next in the same way.
    head: u32,
    came_back: usize,
    /// Numbers from this one on were never taken.
    fresh: u32,
}

impl Numbers {
    pub(crate) fn new(ahead: usize) -> Self {
        Self { free: Mutex::default(), ahead: ahead.max(AHEAD_MIN_OPS) }
    }

    /// Commits more cells if less numbers are free than shall be.
    pub(crate) fn fill(&self, memory: &Memory) -> io::Result<()> {
        let cells = memory.cells();
        if self.left(memory) < self.ahead { cells.grow(cells.len() + self.ahead) } else { Ok(()) }
    }

    pub(crate) fn is_low(&self, memory: &Memory) -> bool {
        let cells = memory.cells();
        self.left(memory) < self.ahead / 2 && cells.len() < cells.capacity()
    }

    fn left(&self, memory: &Memory) -> usize {
        let free = lock(&self.free);
        free.came_back + memory.cells().len().saturating_sub(free.fresh as usize)
    }
}

impl Free {
    fn take(&mut self, memory: &Memory) -> Option<u32> {
        let Some(number) = self.head.checked_sub(1) else {
            memory.cell(self.fresh as usize)?;
            self.fresh += 1;
            return Some(self.fresh - 1);
        };
        self.head = memory.cell(number as usize)?.note();
        self.came_back -= 1;
        Some(number)
    }

    fn put(&mut self, memory: &Memory, number: u32) {
        if let Some(cell) = memory.cell(number as usize) {
            cell.set_note(self.head);
            self.head = number + 1;
            self.came_back += 1;
        }
    }
}

/// Free numbers of one class.
#[derive(Debug)]
pub(crate) struct Spare {
    numbers: [u32; SPARE_MAX_OPS],
    len: usize,
}

impl Spare {
    #[inline]
    pub(crate) fn take(&mut self, all: &Numbers, memory: &Memory) -> Option<u32> {
        if is_refused(Fault::Number) {
            return None;
        }
        if self.len == 0 {
            self.refill(all, memory);
        }
        let last = self.len.checked_sub(1)?;
        self.len = last;
        self.numbers.get(last).copied()
    }

    #[inline]
    pub(crate) fn put(&mut self, all: &Numbers, memory: &Memory, number: u32) {
        if self.len == SPARE_MAX_OPS {
            self.drain(all, memory);
        }
        if let Some(place) = self.numbers.get_mut(self.len) {
            *place = number;
            self.len += 1;
        }
    }

    #[cold]
    fn refill(&mut self, all: &Numbers, memory: &Memory) {
        let mut free = lock(&all.free);
        for place in self.numbers.iter_mut().take(SPARE_MAX_OPS / 2) {
            let Some(number) = free.take(memory) else { return };
            *place = number;
            self.len += 1;
        }
    }

    #[cold]
    fn drain(&mut self, all: &Numbers, memory: &Memory) {
        let mut free = lock(&all.free);
        for number in self.numbers.iter().skip(SPARE_MAX_OPS / 2) {
            free.put(memory, *number);
        }
        self.len = SPARE_MAX_OPS / 2;
    }
}

impl Default for Spare {
    fn default() -> Self {
        Self { numbers: [0; SPARE_MAX_OPS], len: 0 }
    }
}

/// Numbers that one class keeps: half as many come and go at once.
const SPARE_MAX_OPS: usize = if cfg!(loom) { 4 } else { 64 };
/// Enough for each class to keep some.
const AHEAD_MIN_OPS: usize = if cfg!(loom) { 8 } else { 8192 };
