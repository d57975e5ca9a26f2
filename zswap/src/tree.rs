//! The index from slots to entries, in shards that are locked one at a time and briefly.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::entry::Entry;
use crate::pool::Slot;

#[derive(Debug)]
pub(crate) struct Tree {
    shards: Box<[Mutex<Shard>]>,
}

impl Tree {
    pub(crate) fn new() -> Self {
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect() }
    }

    /// Commits an entry; an older one under the slot is stale and freed.
    #[inline]
    pub(crate) fn insert(&self, slot: Slot, entry: Entry) {
        let mut shard = self.shard(slot);
        shard.held.add(&entry);
        let stale = shard.entries.insert(slot, entry);
        if let Some(stale) = &stale {
            shard.held.remove(stale);
        }
        drop(shard); // Before `stale` is freed.
    }

    #[inline]
    pub(crate) fn get(&self, slot: Slot) -> Option<Entry> {
        self.shard(slot).entries.get(&slot).cloned()
    }

    pub(crate) fn remove(&self, slot: Slot) {
        self.remove_if(slot, |_| true);
    }

    /// Removes what is under the slot unless it was replaced since `entry` was read.
    #[inline]
    pub(crate) fn remove_same(&self, slot: Slot, entry: &Entry) {
        self.remove_if(slot, |now| now.is_same(entry));
    }

    /// What is held now, summed over the shards one after the other.
    pub(crate) fn held(&self) -> Held {
        let mut sum = Held::default();
        for shard in &self.shards {
            let held = lock(shard).held;
            sum.zero_pages += held.zero_pages;
            sum.same_filled_pages += held.same_filled_pages;
            sum.raw_pages += held.raw_pages;
            sum.compressed_pages += held.compressed_pages;
            sum.content_bytes += held.content_bytes;
        }
        sum
    }

    #[inline]
    fn remove_if(&self, slot: Slot, is_it: impl FnOnce(&Entry) -> bool) {
        let mut shard = self.shard(slot);
        if shard.entries.get(&slot).is_some_and(is_it) {
            let removed = shard.entries.remove(&slot);
            if let Some(removed) = &removed {
                shard.held.remove(removed);
            }
            drop(shard); // Before `removed` is freed.
        }
    }

    /// Neighbours share a shard, so that a folio stays in one; far slots spread.
    #[inline]
    fn shard(&self, slot: Slot) -> MutexGuard<'_, Shard> {
        lock(&self.shards[(slot.0 / SLOTS_PER_RUN) as usize % SHARDS])
    }
}

#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard {
    entries: HashMap<Slot, Entry>,
    held: Held,
}

/// Sums over the entries of a tree.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Held {
    pub(crate) zero_pages: u64,
    pub(crate) same_filled_pages: u64,
    pub(crate) raw_pages: u64,
    pub(crate) compressed_pages: u64,
    pub(crate) content_bytes: u64,
}

impl Held {
    #[inline]
    fn add(&mut self, entry: &Entry) {
        *self.pages_of(entry) += 1;
        self.content_bytes += entry.len_bytes() as u64;
    }

    #[inline]
    fn remove(&mut self, entry: &Entry) {
        *self.pages_of(entry) -= 1;
        self.content_bytes -= entry.len_bytes() as u64;
    }

    #[inline]
    fn pages_of(&mut self, entry: &Entry) -> &mut u64 {
        match entry {
            Entry::SameFilled(0) => &mut self.zero_pages,
            Entry::SameFilled(_) => &mut self.same_filled_pages,
            Entry::Raw(_) => &mut self.raw_pages,
            Entry::Compressed(_) => &mut self.compressed_pages,
        }
    }
}

#[inline]
fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

const SHARDS: usize = 64;
const SLOTS_PER_RUN: u64 = 512;
