//! What a pool keeps, and how entries come into the tree and out of it.
//!
//! Locks, in their order: a partition of the tree, the lists of an owner, what allocators have
//! inside. A context is locked with none of them held.

use std::io;
use std::num::NonZeroU32;
use std::sync::Arc;

use crate::blocks::Blocks;
use crate::context::Contexts;
use crate::counters::{Events, count, uncount};
use crate::device::SwapDevice;
use crate::entry::{Content, Entries, Identity, Record, Stored};
use crate::owners::{Account, Accounts, Lists};
use crate::slot::Slot;
use crate::sync::lock;
use crate::tree::{Locked, Tree};
use crate::zsmalloc::{Object, Zsmalloc};

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) contexts: Contexts,
    pub(crate) tree: Tree,
    pub(crate) entries: Entries,
    pub(crate) objects: Zsmalloc,
    pub(crate) accounts: Accounts,
    pub(crate) device: Option<Device>,
    /// Whether objects have checksums.
    pub(crate) has_checksums: bool,
    /// Whether duplicates have hashes.
    pub(crate) hash_key: Option<u64>,
}

#[derive(Debug)]
pub(crate) struct Device {
    pub(crate) device: Arc<dyn SwapDevice>,
    pub(crate) blocks: Blocks,
}

/// What stands under a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Nothing,
    Zero,
    Entry(Identity, Record),
}

/// An entry that the tree had, to be disposed of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Removed(pub(crate) u32);

impl State {
    #[inline]
    pub(crate) fn events(&self) -> &Events {
        &self.contexts.cpu().events
    }

    /// What stands under a slot of a partition.
    #[inline]
    pub(crate) fn look(&self, partition: &Locked<'_>, slot: Slot) -> Found {
        match partition.get(slot) {
            0 => Found::Nothing,
            ZERO => Found::Zero,
            value => match self.entries.get(value - 1) {
                Some(entry) => Found::Entry(self.entries.identity(value - 1), entry.read()),
                None => Found::Nothing,
            },
        }
    }

    /// The object of an entry that was just looked at, with the partition still locked.
    #[inline]
    pub(crate) fn pin(&self, stored: Stored) -> Option<Object<'_>> {
        self.objects.pin(NonZeroU32::new(stored.at)?)
    }

    /// Takes what is under a slot out of the tree.
    #[inline]
    pub(crate) fn remove(&self, partition: &mut Locked<'_>, slot: Slot) -> Option<Removed> {
        self.removed(partition.take(slot))
    }

    /// The same, unless it was replaced since `found`.
    #[inline]
    pub(crate) fn remove_same(
        &self,
        partition: &mut Locked<'_>,
        slot: Slot,
        found: &Found,
    ) -> Option<Removed> {
        let is_same = match (found, partition.get(slot)) {
            (Found::Zero, ZERO) => true,
            (Found::Entry(identity, _), value) => {
                value == identity.number + 1 && self.entries.identity(identity.number) == *identity
            }
            _ => false,
        };
        if is_same { self.remove(partition, slot) } else { None }
    }

    /// What a value of the tree was, now that it is there no more.
    #[inline]
    pub(crate) fn removed(&self, value: u32) -> Option<Removed> {
        match value {
            0 => None,
            ZERO => {
                uncount(&self.events().zero_pages, 1);
                None
            }
            value => Some(Removed(value - 1)),
        }
    }

    /// Frees entries that the tree had, and all that they keep. No lock is held.
    pub(crate) fn dispose(&self, removed: &[Option<Removed>]) {
        for Removed(number) in removed.iter().flatten() {
            let Some(entry) = self.entries.get(*number) else { continue };
            let record = entry.read();
            let account = self.accounts.get(record.owner);
            if let Some(account) = account {
                self.unlist(account, *number, &record);
            }
            self.uncount(&record);
            let bytes = self.free_content(record.content);
            if let (Some(account), Some(bytes)) = (account, bytes) {
                account.uncharge(1, bytes);
            }
            self.entries.put(&[*number]);
        }
    }

    /// Frees the object or the block. How many bytes it had in memory; `None`: it was not there.
    pub(crate) fn free_content(&self, content: Content) -> Option<usize> {
        match content {
            Content::SameFilled(_) => Some(0),
            Content::Raw(stored) | Content::Compressed(stored, _) => {
                Some(NonZeroU32::new(stored.at).map_or(0, |number| self.objects.release(number)))
            }
            Content::Device(stored) => {
                if let Some(device) = &self.device {
                    device.blocks.put(stored.at);
                }
                None
            }
        }
    }

    /// Puts an entry at the front of its list, if it belongs in one. With its partition locked.
    #[inline]
    pub(crate) fn list(&self, lists: &mut Lists, number: u32, record: &Record) {
        let list = match record.content {
            _ if record.is_duplicate => &mut lists.duplicates,
            Content::Raw(_) | Content::Compressed(..) => &mut lists.lru,
            Content::SameFilled(_) | Content::Device(_) => return,
        };
        list.push(self.entries.links(), number as usize);
    }

    /// Takes an entry out of its list. With its partition locked, or after it was taken out of the
    /// tree.
    pub(crate) fn unlist(&self, account: &Account, number: u32, record: &Record) {
        let mut lists = lock(&account.lists);
        let list = match record.content {
            _ if record.is_duplicate => &mut lists.duplicates,
            Content::Raw(_) | Content::Compressed(..) => &mut lists.lru,
            Content::SameFilled(_) | Content::Device(_) => return,
        };
        list.remove(self.entries.links(), number as usize);
    }

    /// Counts what is held of a page; compressed ones are counted when they are compressed.
    pub(crate) fn count(&self, record: &Record) {
        let events = self.events();
        match record.content {
            Content::SameFilled(_) => count(&events.same_filled_pages, 1),
            Content::Raw(_) => count(&events.stored_incompressible_pages, 1),
            Content::Compressed(..) => {}
            Content::Device(_) => count(&events.device_pages, 1),
        }
    }

    pub(crate) fn uncount(&self, record: &Record) {
        let events = self.events();
        match record.content {
            Content::SameFilled(_) => uncount(&events.same_filled_pages, 1),
            Content::Raw(_) => uncount(&events.stored_incompressible_pages, 1),
            Content::Compressed(_, compressor) => {
                if let Some(pages) = events.compressed.get(usize::from(compressor)) {
                    uncount(pages, 1);
                }
            }
            Content::Device(_) => uncount(&events.device_pages, 1),
        }
        if record.is_duplicate {
            uncount(&events.duplicate_pages, 1);
        }
    }

    /// Takes memory from the system for what comes next. Not for the data path.
    pub(crate) fn refill(&self) -> io::Result<()> {
        self.refill_memory()?;
        self.contexts.refill();
        Ok(())
    }

    /// Without a call of the global allocator.
    pub(crate) fn refill_memory(&self) -> io::Result<()> {
        self.tree.refill()?;
        self.entries.refill()?;
        self.objects.refill().map_err(io::Error::other)
    }

    pub(crate) fn metadata_bytes(&self) -> usize {
        self.tree.metadata_bytes()
            + self.entries.metadata_bytes()
            + self.accounts.metadata_bytes()
            + self.objects.metadata_bytes()
            + self.device.as_ref().map_or(0, |device| device.blocks.metadata_bytes())
    }
}

/// What the tree has of a zero page.
pub(crate) const ZERO: u32 = u32::MAX;
