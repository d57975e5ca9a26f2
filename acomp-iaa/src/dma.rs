//! Memory that devices see: leased regions behind addresses that can go stale.
//!
//! A region has a completion record and some bytes. Its address names the lease, so that whoever
//! writes after the lease has ended (a descriptor that everybody gave up, a completion that comes
//! twice) meets a fault instead of somebody else's page. Bytes are locked while a device or the
//! driver uses them; records are words that one side writes and the other polls.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::completion::CompletionRecord;

/// The address space of a device and its driver.
#[derive(Debug, Default)]
pub struct Dma {
    table: RwLock<Vec<Arc<Region>>>,
    /// Indices of regions that nobody leases.
    free: Mutex<Vec<u32>>,
}

/// What an address leads to. On cache lines of its own: a driver polls the record.
#[derive(Debug)]
#[repr(align(128))]
struct Region {
    record: [AtomicU64; RECORD_BYTES / 8],
    /// Odd while leased.
    generation: AtomicU64,
    bytes: RwLock<Box<[u8]>>,
}

/// A region for as long as it is held.
#[derive(Debug)]
pub struct Lease {
    dma: Arc<Dma>,
    region: Arc<Region>,
    index: u32,
}

/// A device asked for an address that leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault;

impl Dma {
    /// An empty address space.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// Leases a region of `len` bytes, zeroed. `None`: there are too many leases.
    #[must_use]
    pub fn lease(self: &Arc<Self>, len: usize) -> Option<Lease> {
        if len > REGION_BYTES_MAX {
            return None;
        }
        let index = locked(&self.free).pop();
        let (index, region) = match index {
            Some(index) => {
                let region = Arc::clone(self.table().get(index as usize)?);
                *region.write() = vec![0; len].into();
                region.forget(1);
                (index, region)
            }
            None => {
                let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
                if table.len() == LEASES_MAX {
                    return None;
                }
                let region = Arc::new(Region {
                    record: Default::default(),
                    generation: AtomicU64::new(1),
                    bytes: RwLock::new(vec![0; len].into()),
                });
                table.push(Arc::clone(&region));
                (table.len() as u32 - 1, region)
            }
        };
        Some(Lease { dma: Arc::clone(self), region, index })
    }

    /// How many leases are held.
    #[must_use]
    pub fn leases(&self) -> usize {
        let free = locked(&self.free).len();
        self.table().len() - free
    }

    /// What an address leads to.
    pub(crate) fn find(&self, address: u64) -> Result<Target, Fault> {
        let index = (address >> OFFSET_BITS) as usize % LEASES_MAX;
        let region = self.table().get(index).cloned().ok_or(Fault)?;
        let tag = address >> (OFFSET_BITS + INDEX_BITS);
        Ok(Target { region, tag, offset: address as usize % (1 << OFFSET_BITS) })
    }

    fn table(&self) -> RwLockReadGuard<'_, Vec<Arc<Region>>> {
        self.table.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in a region, as the device found it.
#[derive(Debug)]
pub(crate) struct Target {
    region: Arc<Region>,
    tag: u64,
    offset: usize,
}

impl Target {
    /// The bytes, while nobody writes to them.
    pub(crate) fn read(&self) -> Result<RwLockReadGuard<'_, Box<[u8]>>, Fault> {
        let bytes = self.region.read();
        self.check().map(|()| bytes)
    }

    /// The bytes, to be written while nobody else uses them.
    pub(crate) fn write(&self) -> Result<RwLockWriteGuard<'_, Box<[u8]>>, Fault> {
        let bytes = self.region.write();
        self.check().map(|()| bytes)
    }

    /// Which of the bytes: `len` from here on.
    pub(crate) fn range(&self, len: usize) -> Result<Range<usize>, Fault> {
        let start = self.offset.checked_sub(RECORD_BYTES).ok_or(Fault)?;
        Ok(start..start + len)
    }

    pub(crate) fn is_in_region_of(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.region, &other.region)
    }

    /// Writes a completion record, its status last.
    pub(crate) fn complete(&self, record: &[u8; RECORD_BYTES]) -> Result<(), Fault> {
        if self.offset != 0 {
            return Err(Fault);
        }
        // Locked, lest the lease is renewed meanwhile and the record is taken for the next one's.
        let _bytes = self.read()?;
        let (words, _) = record.as_chunks::<8>();
        for (word, bytes) in self.region.record.iter().zip(words).skip(1) {
            word.store(u64::from_le_bytes(*bytes), Ordering::Relaxed);
        }
        let first = u64::from_le_bytes(words.first().copied().unwrap_or_default());
        self.region.record[0].store(first, Ordering::Release);
        Ok(())
    }

    /// To be asked with the bytes locked, since a lease is renewed and ends under that lock.
    fn check(&self) -> Result<(), Fault> {
        let is_live = self.tag % 2 == 1 && self.region.tag() == self.tag;
        if is_live { Ok(()) } else { Err(Fault) }
    }
}

impl Region {
    /// What of the generation fits an address.
    fn tag(&self) -> u64 {
        self.generation.load(Ordering::Acquire) % (1 << GENERATION_BITS)
    }

    fn read(&self) -> RwLockReadGuard<'_, Box<[u8]>> {
        self.bytes.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Box<[u8]>> {
        self.bytes.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Goes on to another generation; what was reported to the last one is gone.
    fn forget(&self, generations: u64) {
        let _bytes = self.write();
        self.generation.fetch_add(generations, Ordering::AcqRel);
        self.record.iter().for_each(|word| word.store(0, Ordering::Relaxed));
    }
}

impl Lease {
    /// Where the completion record is.
    #[must_use]
    pub fn record_address(&self) -> u64 {
        self.region.tag() << (OFFSET_BITS + INDEX_BITS) | u64::from(self.index) << OFFSET_BITS
    }

    /// Where the byte at `offset` is.
    #[must_use]
    pub fn address(&self, offset: usize) -> u64 {
        self.record_address() + (RECORD_BYTES + offset) as u64
    }

    /// The bytes, while no device uses them.
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Box<[u8]>> {
        self.region.read()
    }

    /// The bytes, to be written while no device uses them.
    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, Box<[u8]>> {
        self.region.write()
    }

    /// Clears the record, and makes the addresses that were given out lead nowhere: what still
    /// comes for the last use of the lease finds nothing.
    pub(crate) fn renew(&self) {
        self.region.forget(2);
    }

    /// What the device has reported, if it has.
    #[inline]
    pub(crate) fn completion(&self) -> Option<CompletionRecord> {
        let first = self.region.record.first()?.load(Ordering::Acquire);
        if first as u8 == 0 {
            return None;
        }
        let mut bytes = [0; RECORD_BYTES];
        let (words, _) = bytes.as_chunks_mut::<8>();
        for (to, word) in words.iter_mut().zip(&self.region.record) {
            *to = word.load(Ordering::Relaxed).to_le_bytes();
        }
        Some(CompletionRecord::parse(&bytes))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.region.forget(1);
        locked(&self.dma.free).push(self.index);
    }
}

pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) const RECORD_BYTES: usize = 64;
/// What a region holds beside its record.
pub const REGION_BYTES_MAX: usize = (1 << OFFSET_BITS) - RECORD_BYTES;
const LEASES_MAX: usize = 1 << INDEX_BITS;
/// An address: the offset in the region, the region, its generation.
const OFFSET_BITS: u32 = 22;
const INDEX_BITS: u32 = 16;
const GENERATION_BITS: u32 = 64 - OFFSET_BITS - INDEX_BITS;
