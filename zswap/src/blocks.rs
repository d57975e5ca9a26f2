//! Which blocks of the device are in use.

use std::sync::atomic::Ordering::Relaxed;
use std::{io, mem};

use crate::fault::{Fault, is_refused};
use crate::sync::{AtomicU64, Mutex, lock};
use crate::zsmalloc::Table;

#[derive(Debug)]
pub(crate) struct Blocks {
    /// A bit for each block in use; touched with `state` locked.
    used: Table<AtomicU64>,
    blocks: u32,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Where the search goes on.
    next: u32,
    used: u32,
    /// Since somebody asked.
    were_used: bool,
}

impl Blocks {
    pub(crate) fn new(blocks: u32) -> io::Result<Self> {
        let words = blocks.div_ceil(u64::BITS) as usize;
        let used = Table::new(words)?;
        used.grow(words)?;
        let this = Self { used, blocks, state: Mutex::default() };
        // What lies beyond the last block is never free.
        let rest = blocks % u64::BITS;
        if let Some(last) = words.checked_sub(1).and_then(|last| this.used.get(last))
            && rest > 0
        {
            last.store(u64::MAX << rest, Relaxed);
        }
        Ok(this)
    }

    /// The next free one: pages that are written together come to lie together, and one that could
    /// not be written is not tried again soon.
    pub(crate) fn take(&self) -> Option<u32> {
        let mut state = lock(&self.state);
        if state.used == self.blocks || is_refused(Fault::Block) {
            return None;
        }
        let (first, from) = ((state.next / u64::BITS) as usize, state.next % u64::BITS);
        // The first word twice: from the bit on, and at last the bits before it.
        for i in 0..=self.used.len() {
            let at = (first + i) % self.used.len();
            let word = self.used.get(at)?;
            let bits = word.load(Relaxed);
            let before = if i == 0 { (1 << from) - 1 } else { 0 };
            if bits | before != u64::MAX {
                let bit = (bits | before).trailing_ones();
                word.store(bits | 1 << bit, Relaxed);
                state.used += 1;
                state.were_used = true;
                let block = at as u32 * u64::BITS + bit;
                state.next = (block + 1) % self.blocks;
                return Some(block);
            }
        }
        None
    }

    pub(crate) fn put(&self, block: u32) {
        let mut state = lock(&self.state);
        if let Some(word) = self.used.get((block / u64::BITS) as usize) {
            word.store(word.load(Relaxed) & !(1 << (block % u64::BITS)), Relaxed);
            state.used -= 1;
        }
    }

    /// Whether blocks were in use since this was asked last, and none is now.
    pub(crate) fn have_become_free(&self) -> bool {
        let mut state = lock(&self.state);
        state.used == 0 && mem::take(&mut state.were_used)
    }

    pub(crate) fn metadata_bytes(&self) -> usize {
        self.used.committed_bytes()
    }
}

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn every_block_is_given_out_once_and_again_when_it_is_back() {
        for count in [0, 1, 63, 64, 65, 192, 200] {
            let blocks = Blocks::new(count).unwrap();
            let out: Vec<_> = (0..count).map(|_| blocks.take().unwrap()).collect();
            assert!(blocks.take().is_none());
            assert_eq!(out, (0..count).collect::<Vec<_>>());
            if let Some(last) = out.last() {
                blocks.put(*last);
                assert_eq!((blocks.take(), blocks.take()), (Some(*last), None));
            }
        }
    }
}
