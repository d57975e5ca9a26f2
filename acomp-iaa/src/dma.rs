//! Memory that devices see: leased regions behind addresses that can go stale.
//!
//! A region has a completion record and some bytes. Its address names the lease, so that whoever
//! writes after the lease has ended (a descriptor that everybody gave up, a completion that comes
//! twice) meets a fault instead of somebody else's page. Bytes are locked while a device or the
//! driver uses them; records are words that one side writes and the other polls.

use std::ops::{Deref, DerefMut, Range};
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{
    Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
};

use crate::completion::CompletionRecord;

/// The address space of a device and its driver.
#[derive(Debug)]
pub struct Dma {
    /// Made when they are needed, and kept: devices look regions up without a lock.
    chunks: Box<[OnceLock<Arc<[Region]>>]>,
    free: Mutex<Free>,
}

/// Regions that nobody leases.
#[derive(Debug, Default)]
struct Free {
    indices: Vec<usize>,
    /// How many regions there are.
    regions: usize,
}

/// What an address leads to. On cache lines of its own: a driver polls the record.
#[derive(Debug, Default)]
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
    chunk: Arc<[Region]>,
    index: usize,
}

/// A device asked for an address that leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault;

impl Dma {
    /// An empty address space.
    #[must_use]
    pub fn new() -> Arc<Self> {
        let chunks = (0..LEASES_MAX / CHUNK_REGIONS).map(|_| OnceLock::new()).collect();
        Arc::new(Self { chunks, free: Mutex::default() })
    }

    /// Leases a region of `len` bytes, zeroed. `None`: there are too many leases, or `len` is more
    /// than [`REGION_BYTES_MAX`].
    #[must_use]
    pub fn lease(self: &Arc<Self>, len: usize) -> Option<Lease> {
        if len > REGION_BYTES_MAX {
            return None;
        }
        let index = self.take_free()?;
        let chunk = self.chunks.get(index / CHUNK_REGIONS)?;
        let chunk = Arc::clone(
            chunk.get_or_init(|| (0..CHUNK_REGIONS).map(|_| Region::default()).collect()),
        );
        let lease = Lease { dma: Arc::clone(self), chunk, index };
        *lease.region().forget(1) = vec![0; len].into();
        Some(lease)
    }

    /// How many leases are held.
    #[must_use]
    pub fn leases(&self) -> usize {
        let free = locked(&self.free);
        free.regions - free.indices.len()
    }

    /// What an address leads to.
    pub(crate) fn find(&self, address: u64) -> Result<Target<'_>, Fault> {
        let index = (address >> OFFSET_BITS) as usize % LEASES_MAX;
        let chunk = self.chunks.get(index / CHUNK_REGIONS).and_then(OnceLock::get);
        let region = chunk.and_then(|chunk| chunk.get(index % CHUNK_REGIONS)).ok_or(Fault)?;
        let tag = address >> (OFFSET_BITS + INDEX_BITS);
        Ok(Target { region, tag, offset: address as usize % (1 << OFFSET_BITS) })
    }

    fn take_free(&self) -> Option<usize> {
        let mut free = locked(&self.free);
        if let Some(index) = free.indices.pop() {
            return Some(index);
        }
        let index = free.regions;
        free.regions = (index < LEASES_MAX).then_some(index + 1)?;
        Some(index)
    }
}

/// A place in a region, as the device found it.
#[derive(Debug)]
pub(crate) struct Target<'d> {
    region: &'d Region,
    tag: u64,
    offset: usize,
}

impl Target<'_> {
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
        ptr::eq(self.region, other.region)
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
    pub(crate) fn check(&self) -> Result<(), Fault> {
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
    fn forget(&self, generations: u64) -> RwLockWriteGuard<'_, Box<[u8]>> {
        let bytes = self.write();
        self.generation.fetch_add(generations, Ordering::AcqRel);
        self.record[0].store(0, Ordering::Relaxed);
        bytes
    }
}

impl Lease {
    fn region(&self) -> &Region {
        &self.chunk[self.index % CHUNK_REGIONS]
    }

    /// Where the completion record is.
    #[must_use]
    pub fn record_address(&self) -> u64 {
        self.region().tag() << (OFFSET_BITS + INDEX_BITS) | (self.index as u64) << OFFSET_BITS
    }

    /// Where the byte at `offset` is.
    #[must_use]
    pub fn address(&self, offset: usize) -> u64 {
        self.record_address() + (RECORD_BYTES + offset) as u64
    }

    /// The bytes, while no device writes them. A device that is to write them, and whoever drives
    /// it, waits until they are given back.
    ///
    /// ```
    /// let lease = acomp_iaa::Dma::new().lease(4).unwrap();
    /// lease.write().copy_from_slice(b"page");
    /// assert_eq!(lease.read()[1..], *b"age");
    /// ```
    #[must_use]
    pub fn read(&self) -> impl Deref<Target = [u8]> {
        Locked(self.region().read())
    }

    /// The bytes, to be written while no device uses them. A device that needs them, and whoever
    /// drives it, waits until they are given back.
    #[must_use]
    pub fn write(&self) -> impl DerefMut<Target = [u8]> {
        Locked(self.region().write())
    }

    /// Clears the record, and makes the addresses that were given out lead nowhere: what still
    /// comes for the last use of the lease finds nothing. The bytes stay.
    ///
    /// ```
    /// let lease = acomp_iaa::Dma::new().lease(4096).unwrap();
    /// let (before, record_before) = (lease.address(0), lease.record_address());
    /// lease.renew();
    /// assert_ne!((lease.address(0), lease.record_address()), (before, record_before));
    /// ```
    pub fn renew(&self) {
        self.renew_with(&[]);
    }

    /// The same, with these bytes at the beginning.
    pub(crate) fn renew_with(&self, src: &[u8]) {
        let mut bytes = self.region().forget(2);
        if let Some(to) = bytes.get_mut(..src.len()) {
            to.copy_from_slice(src);
        }
    }

    /// What a device has reported to the record since the lease began or was renewed, if it has.
    ///
    /// ```
    /// let lease = acomp_iaa::Dma::new().lease(4096).unwrap();
    /// assert_eq!(lease.completion(), None);
    /// ```
    #[must_use]
    #[inline]
    pub fn completion(&self) -> Option<CompletionRecord> {
        let region = self.region();
        let first = region.record.first()?.load(Ordering::Acquire);
        if first as u8 == 0 {
            return None;
        }
        let mut bytes = [0; RECORD_BYTES];
        let (words, _) = bytes.as_chunks_mut::<8>();
        for (to, word) in words.iter_mut().zip(&region.record) {
            *to = word.load(Ordering::Relaxed).to_le_bytes();
        }
        Some(CompletionRecord::parse(&bytes))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        drop(self.region().forget(1));
        locked(&self.dma.free).indices.push(self.index);
    }
}

/// Bytes of a region, as a slice.
struct Locked<G>(G);

impl<G: Deref<Target = Box<[u8]>>> Deref for Locked<G> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl<G: DerefMut<Target = Box<[u8]>>> DerefMut for Locked<G> {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) const RECORD_BYTES: usize = 64;
/// What a region holds beside its record.
pub const REGION_BYTES_MAX: usize = (1 << OFFSET_BITS) - RECORD_BYTES;
const LEASES_MAX: usize = 1 << INDEX_BITS;
const CHUNK_REGIONS: usize = 256;
/// An address: the offset in the region, the region, its generation.
const OFFSET_BITS: u32 = 22;
const INDEX_BITS: u32 = 16;
const GENERATION_BITS: u32 = 64 - OFFSET_BITS - INDEX_BITS;
