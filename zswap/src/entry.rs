//! What is kept of one page: 24 bytes, and 8 for its place in a list.
//!
//! An entry is named by a number. From [`Entries::take`] until the number stands in the tree,
//! whoever took it owns it; then the tree does, and who takes the number out of the tree owns it
//! again. What stands in an entry of the tree is written under the lock of its partition, but for
//! the mark of a second chance, which belongs to the list's lock.

use std::io;
use std::sync::atomic::Ordering::Relaxed;

use crate::fault::{Fault, is_refused};
use crate::slot::Owner;
use crate::sync::{AtomicU32, AtomicU64, Mutex, lock};
use crate::zsmalloc::{Links, Table};

#[derive(Debug, Default)]
pub(crate) struct Entry {
    /// By kind: the word; the number of the object and, above it, a checksum; the block on the
    /// device and, above it, a checksum. Of a free entry, the next one.
    value: AtomicU64,
    /// From the lowest bit on: kind, marks, compressor, owner.
    meta: AtomicU32,
    /// The slot's, in the tree.
    place: AtomicU32,
    /// Counts the uses of the entry: tells one from the next.
    uses: AtomicU32,
}

/// What is kept of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// Every word of the page is this one.
    SameFilled(u64),
    /// The page itself, which did not compress.
    Raw(Stored),
    /// The page as a stream of this compressor.
    Compressed(Stored, u8),
    /// The page itself, on the device.
    Device(Stored),
}

/// An object of the allocator, or a block of the device, and the checksum of what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) at: u32,
    pub(crate) checksum: u32,
}

/// What stands in an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) content: Content,
    pub(crate) owner: Owner,
    /// The page is in the caller's memory as well.
    pub(crate) is_duplicate: bool,
}

/// One use of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) number: u32,
    uses: u32,
}

impl Entry {
    #[inline]
    pub(crate) fn read(&self) -> Record {
        let (meta, value) = (self.meta.load(Relaxed), self.value.load(Relaxed));
        let stored = Stored { at: value as u32, checksum: (value >> 32) as u32 };
        let content = match meta & KIND {
            SAME_FILLED => Content::SameFilled(value),
            RAW => Content::Raw(stored),
            COMPRESSED => Content::Compressed(stored, (meta >> COMPRESSOR_SHIFT) as u8),
            _ => Content::Device(stored),
        };
        let owner = Owner::new((meta >> OWNER_SHIFT) as u16);
        Record { content, owner, is_duplicate: meta & DUPLICATE != 0 }
    }

    /// With a second chance.
    #[inline]
    pub(crate) fn write_new(&self, record: Record) {
        self.write_marked(record, REFERENCED);
    }

    /// Without a second chance.
    #[inline]
    pub(crate) fn write(&self, record: Record) {
        self.write_marked(record, 0);
    }

    #[inline]
    fn write_marked(&self, record: Record, mark: u32) {
        let bits = |stored: Stored| u64::from(stored.checksum) << 32 | u64::from(stored.at);
        let (kind, value) = match record.content {
            Content::SameFilled(word) => (SAME_FILLED, word),
            Content::Raw(stored) => (RAW, bits(stored)),
            Content::Compressed(stored, compressor) => {
                (COMPRESSED | u32::from(compressor) << COMPRESSOR_SHIFT, bits(stored))
            }
            Content::Device(stored) => (DEVICE, bits(stored)),
        };
        let duplicate = if record.is_duplicate { DUPLICATE } else { 0 };
        let owner = u32::from(record.owner.id()) << OWNER_SHIFT;
        self.value.store(value, Relaxed);
        self.meta.store(kind | duplicate | owner | mark, Relaxed);
    }

    #[inline]
    pub(crate) fn place(&self) -> u32 {
        self.place.load(Relaxed)
    }

    #[inline]
    pub(crate) fn set_place(&self, place: u32) {
        self.place.store(place, Relaxed);
    }

    /// Takes its second chance away; whether it had one.
    #[inline]
    pub(crate) fn take_reference(&self) -> bool {
        self.meta.fetch_and(!REFERENCED, Relaxed) & REFERENCED != 0
    }
}

/// 128 bits that stand for the content of a page.
#[derive(Debug, Default)]
pub(crate) struct Hash([AtomicU64; 2]);

impl Hash {
    pub(crate) fn read(&self) -> u128 {
        let [low, high] = &self.0;
        u128::from(high.load(Relaxed)) << u64::BITS | u128::from(low.load(Relaxed))
    }

    pub(crate) fn write(&self, hash: u128) {
        let [low, high] = &self.0;
        low.store(hash as u64, Relaxed);
        high.store((hash >> u64::BITS) as u64, Relaxed);
    }
}

#[derive(Debug)]
pub(crate) struct Entries {
    table: Table<Entry>,
    links: Table<Links>,
    /// Of duplicates, if they are compared by their hashes.
    hashes: Option<Table<Hash>>,
    free: Mutex<Free>,
    ahead: usize,
}

#[derive(Debug, Default)]
struct Free {
    /// The first free entry, plus one.
    head: u32,
    count: usize,
    /// Entries from this one on were never used.
    fresh: u32,
}

impl Entries {
    pub(crate) fn new(entries_max: usize, has_hashes: bool) -> io::Result<Self> {
        let entries = Self {
            table: Table::new(entries_max)?,
            links: Table::new(entries_max)?,
            hashes: has_hashes.then(|| Table::new(entries_max)).transpose()?,
            free: Mutex::default(),
            ahead: ENTRIES_AHEAD.min(entries_max),
        };
        entries.refill()?;
        Ok(entries)
    }

    /// Commits memory ahead. Not for the data path.
    pub(crate) fn refill(&self) -> io::Result<()> {
        if self.left() < self.ahead {
            let len = self.table.len() + self.ahead;
            self.links.grow(len)?;
            self.hashes.iter().try_for_each(|hashes| hashes.grow(len))?;
            self.table.grow(len)?;
        }
        Ok(())
    }

    /// Whether less than half of the reserve is left, and there is more to be had.
    pub(crate) fn is_low(&self) -> bool {
        self.left() < self.ahead / 2 && self.table.len() < self.table.capacity()
    }

    /// Whether it has all the memory that it may have.
    pub(crate) fn is_final(&self) -> bool {
        self.table.len() == self.table.capacity()
    }

    pub(crate) fn metadata_bytes(&self) -> usize {
        let hashes = self.hashes.as_ref().map_or(0, Table::committed_bytes);
        self.table.committed_bytes() + self.links.committed_bytes() + hashes
    }

    #[inline]
    pub(crate) fn get(&self, number: u32) -> Option<&Entry> {
        self.table.get(number as usize)
    }

    pub(crate) fn hash(&self, number: u32) -> Option<&Hash> {
        self.hashes.as_ref()?.get(number as usize)
    }

    pub(crate) fn links(&self) -> &Table<Links> {
        &self.links
    }

    #[inline]
    pub(crate) fn identity(&self, number: u32) -> Identity {
        let uses = self.get(number).map_or(0, |entry| entry.uses.load(Relaxed));
        Identity { number, uses }
    }

    /// Takes free entries until `numbers` is full; how many there were.
    #[inline]
    pub(crate) fn take(&self, numbers: &mut [u32]) -> usize {
        let mut free = lock(&self.free);
        for (taken, place) in numbers.iter_mut().enumerate() {
            if is_refused(Fault::Entry) {
                return taken;
            }
            let number = match free.head.checked_sub(1) {
                Some(number) => number,
                None if (free.fresh as usize) < self.table.len() => free.fresh,
                None => return taken,
            };
            let Some(entry) = self.get(number) else { return taken };
            if number == free.fresh {
                free.fresh += 1;
            } else {
                free.head = entry.value.load(Relaxed) as u32;
                free.count -= 1;
            }
            entry.uses.store(entry.uses.load(Relaxed).wrapping_add(1), Relaxed);
            *place = number;
        }
        numbers.len()
    }

    #[inline]
    pub(crate) fn put(&self, numbers: &[u32]) {
        let mut free = lock(&self.free);
        for number in numbers {
            if let Some(entry) = self.get(*number) {
                entry.value.store(free.head.into(), Relaxed);
                entry.uses.store(entry.uses.load(Relaxed).wrapping_add(1), Relaxed);
                free.head = number + 1;
                free.count += 1;
            }
        }
    }

    fn left(&self) -> usize {
        let free = lock(&self.free);
        free.count + self.table.len() - free.fresh as usize
    }
}

const KIND: u32 = 0b11;
const SAME_FILLED: u32 = 0;
const RAW: u32 = 1;
const COMPRESSED: u32 = 2;
const DEVICE: u32 = 3;
const REFERENCED: u32 = 1 << 2;
const DUPLICATE: u32 = 1 << 3;
const COMPRESSOR_SHIFT: u32 = 8;
const OWNER_SHIFT: u32 = 16;
/// Committed ahead: 512 KiB with links, for 64 MiB of pages.
const ENTRIES_AHEAD: usize = if cfg!(loom) { 4 } else { 16_384 };
