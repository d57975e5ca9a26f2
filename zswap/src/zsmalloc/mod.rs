//! Memory for compressed pages, after the kernel's zsmalloc.
//!
//! Objects of like lengths share *zspages*, which are cut into slots of one size. A [`Handle`]
//! names an object wherever it lies, so that [compaction](Zsmalloc::compact) can move objects
//! together and give zspages back.
//!
//! - All memory is mapped by the allocator itself: no operation calls the global allocator after
//!   [`Zsmalloc::new`].
//! - Allocations take memory from a reserve, which is committed ahead, and never wait for the
//!   system. [`Zsmalloc::refill`] restores the reserve, [`Zsmalloc::trim`] returns what is too
//!   much.
//! - Threads contend only for the size class that they allocate in or free to. Reading takes no
//!   lock, and waits for nothing but the copy of the object itself by compaction.
//!
//! ```
//! use zswap::zsmalloc::{Config, Zsmalloc};
//!
//! let zsmalloc = Zsmalloc::new(Config::new(64 << 20))?;
//! let handle = zsmalloc.alloc(b"an object").expect("1 to 4096 bytes, and a full reserve");
//! assert_eq!(zsmalloc.read(&handle, <[u8]>::to_vec).unwrap(), b"an object");
//! zsmalloc.free(handle);
//! assert_eq!(zsmalloc.held_bytes(), 0);
//! # Ok::<(), zswap::zsmalloc::MapError>(())
//! ```

mod class;
mod classes;
mod compact;
mod list;
mod mem;
mod numbers;
mod reserve;
mod stats;
mod word;

use std::io;
use std::num::NonZeroU32;
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use class::{Class, State};
use classes::{SHAPES, class_of};
use mem::{
    CHUNK_BYTES, CHUNK_FRAMES, CellRef, MEMORY_BYTES_MAX, Memory, OWNERS_MAX_LOG, Pinned, Slot,
};
use numbers::Numbers;
use reserve::Reserve;

pub(crate) use list::{Links, List};
pub(crate) use mem::Table;

pub use compact::Compacted;
pub use mem::OBJECT_BYTES_MAX;
pub use stats::{ClassStats, Stats};

/// An allocator of objects of 1 to 4096 bytes. Shared by threads; see the
/// [module documentation](self).
#[derive(Debug)]
pub struct Zsmalloc {
    memory: Memory,
    /// Of zspages, which are frames that are cut. Guarded by the lock of the zspage's class.
    links: Table<Links>,
    reserve: Reserve,
    numbers: Numbers,
    classes: Box<[Class]>,
    /// Where the next compaction goes on.
    next_class: AtomicUsize,
    reserve_empty: AtomicU64,
}

impl Zsmalloc {
    /// Reserves addresses for as much memory as the allocator may ever hold, and fills the reserve.
    ///
    /// # Errors
    ///
    /// [`MapError::TooLarge`] when that is more than 1 TiB; [`MapError::System`] when the system
    /// refuses.
    pub fn new(config: Config) -> Result<Self, MapError> {
        let Config { max_bytes, reserve_bytes, has_large_pages } = config;
        if max_bytes > MEMORY_BYTES_MAX {
            return Err(MapError::TooLarge { max_bytes });
        }
        let chunks_max = max_bytes.div_ceil(CHUNK_BYTES).max(1);
        let cells_max = (chunks_max * CHUNK_BYTES / CELL_BYTES_MIN).min(1 << OWNERS_MAX_LOG);
        let memory = Memory::new(chunks_max, cells_max)?;
        if has_large_pages {
            memory.prefer_large_pages();
        }
        let zsmalloc = Self {
            memory,
            links: Table::new(chunks_max * CHUNK_FRAMES)?,
            reserve: Reserve::new(chunks_max, reserve_bytes)?,
            numbers: Numbers::new(reserve_bytes / CELL_BYTES_AHEAD),
            classes: SHAPES.iter().map(Class::new).collect(),
            next_class: AtomicUsize::new(0),
            reserve_empty: AtomicU64::new(0),
        };
        zsmalloc.refill()?;
        Ok(zsmalloc)
    }

    /// Keeps a copy of an object.
    ///
    /// # Errors
    ///
    /// [`AllocError::Length`] when it is empty or longer than a page;
    /// [`AllocError::ReserveEmpty`] until the next [`refill`](Self::refill);
    /// [`AllocError::Full`] until something is freed.
    #[inline]
    pub fn alloc(&self, object: &[u8]) -> Result<Handle, AllocError> {
        let len = object.len();
        let class = class_of(len).and_then(|class| self.classes.get(class));
        let class = class.ok_or(AllocError::Length { len })?;
        let (number, mut slot) = self.place(class, len)?;
        // The number was free, so that its cell is empty.
        let cell = self.memory.cell(number as usize).and_then(CellRef::reserve);
        slot.bytes_mut().copy_from_slice(object);
        let _ = cell.map(|cell| cell.fill(slot));
        Ok(Handle(NonZeroU32::MIN.saturating_add(number)))
    }

    /// Shows an object to `f`. It does not move meanwhile.
    ///
    /// `None` if this allocator has no object under the handle, which can only be if another one
    /// gave the handle out, or if 8191 other reads of the object are in progress.
    #[inline]
    pub fn read<R>(&self, handle: &Handle, f: impl FnOnce(&[u8]) -> R) -> Option<R> {
        Some(f(&self.pin(handle.0)?))
    }

    /// An object, for as long as it is read. Freed meanwhile, it goes when the last reader does.
    #[inline]
    pub(crate) fn pin(&self, number: NonZeroU32) -> Option<Object<'_>> {
        let pinned = self.memory.cell(number.get() as usize - 1)?.pin()?;
        Some(Object { zsmalloc: self, number: number.get() - 1, pinned: Some(pinned) })
    }

    /// Forgets an object.
    ///
    /// The handle of another allocator may name an object of this one: that is then freed.
    #[inline]
    #[expect(clippy::needless_pass_by_value, reason = "nothing is to be freed twice")]
    pub fn free(&self, handle: Handle) {
        self.release(handle.0);
    }

    /// Forgets the object of a handle that was kept in a word. Its length; 0 if there is none.
    #[inline]
    pub(crate) fn release(&self, number: NonZeroU32) -> usize {
        let cell = self.memory.cell(number.get() as usize - 1);
        let Some((len, slot)) = cell.and_then(CellRef::take) else { return 0 };
        if let Some(slot) = slot {
            self.give_back(number.get() - 1, slot);
        }
        len
    }

    /// Restores the reserve. It asks the system for memory, which takes long: not for a fault path.
    ///
    /// # Errors
    ///
    /// [`MapError::System`] when the system refuses.
    pub fn refill(&self) -> Result<(), MapError> {
        self.numbers.fill(&self.memory)?;
        Ok(self.reserve.fill(&self.memory, |frames| self.links.grow(frames))?)
    }

    /// Returns memory to the system that the reserve has no need of, in pieces of 2 MiB that are
    /// wholly free. Returns how many bytes. Not for a fault path.
    ///
    /// # Errors
    ///
    /// [`MapError::System`] when the system refuses.
    pub fn trim(&self) -> Result<usize, MapError> {
        Ok(self.reserve.trim(&self.memory)?)
    }

    /// From now on, zspages take so many bytes at most, but for those that there are already.
    pub(crate) fn set_limit(&self, bytes: usize) {
        self.reserve.set_limit(bytes);
    }

    /// Whether no zspage can be begun within the limit. Cheap.
    pub(crate) fn is_at_limit(&self) -> bool {
        self.reserve.is_at_limit()
    }

    /// Whether the reserve is to be restored soon, if there is more to be had.
    pub(crate) fn is_low(&self) -> bool {
        self.is_short() || self.numbers.is_low(&self.memory)
    }

    /// The same, of memory for objects. Cheap.
    #[inline]
    pub(crate) fn is_short(&self) -> bool {
        self.reserve.is_low()
    }

    /// Takes a number and a slot of a class.
    #[inline]
    fn place(&self, class: &Class, len: usize) -> Result<(u32, Slot<'_>), AllocError> {
        let mut state = class.lock();
        let number = state.spare.take(&self.numbers, &self.memory);
        let number = number.ok_or_else(|| self.reserve_empty())?;
        let Some(slot) = self.take_slot(class, &mut state, len, number) else {
            state.spare.put(&self.numbers, &self.memory, number);
            let is_full = self.reserve.is_final();
            return Err(if is_full { AllocError::Full } else { self.reserve_empty() });
        };
        Ok((number, slot))
    }

    #[inline]
    fn take_slot(
        &self,
        class: &Class,
        state: &mut State,
        len: usize,
        owner: u32,
    ) -> Option<Slot<'_>> {
        let zspage = match state.fullest() {
            Some(zspage) => zspage,
            None => self.new_zspage(class, state)?,
        };
        let mut frame = self.memory.frame(zspage)?;
        let used = frame.used();
        let slot = frame.take(len, owner)?;
        state.regroup(class, &self.links, zspage, (used, used + 1));
        state.objects += 1;
        state.object_bytes += len;
        Some(slot)
    }

    #[cold]
    fn new_zspage(&self, class: &Class, state: &mut State) -> Option<usize> {
        let zspage = self.reserve.take()?;
        self.memory.frame(zspage)?.cut(class.shape.slot_units);
        state.add(class, &self.links, zspage);
        Some(zspage)
    }

    #[inline]
    fn give_back(&self, number: u32, slot: Slot<'_>) {
        let (zspage, len) = (slot.frame(), slot.len());
        let Some(class) = class_of(len).and_then(|class| self.classes.get(class)) else { return };
        let mut state = class.lock();
        let Some(mut frame) = self.memory.frame(zspage) else { return };
        let used = frame.used();
        let _ = frame.put(slot); // It came from there.
        state.regroup(class, &self.links, zspage, (used, used - 1));
        state.objects -= 1;
        state.object_bytes -= len;
        state.spare.put(&self.numbers, &self.memory, number);
        if frame.uncut() {
            drop(frame);
            state.remove(class, &self.links, zspage);
            self.reserve.put(zspage);
        }
    }

    #[cold]
    fn reserve_empty(&self) -> AllocError {
        self.reserve_empty.fetch_add(1, Relaxed);
        AllocError::ReserveEmpty
    }
}

/// How much memory an allocator may have.
///
/// ```
/// use zswap::zsmalloc::{Config, Zsmalloc};
/// let zsmalloc = Zsmalloc::new(Config::new(1 << 30).reserve_bytes(16 << 20))?;
/// assert!(zsmalloc.stats().reserve_bytes >= 16 << 20);
/// # Ok::<(), zswap::zsmalloc::MapError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    max_bytes: usize,
    reserve_bytes: usize,
    has_large_pages: bool,
}

impl Config {
    /// So much memory for objects, the reserve included, in pieces of 2 MiB.
    #[must_use]
    pub const fn new(max_bytes: usize) -> Self {
        Self { max_bytes, reserve_bytes: RESERVE_BYTES, has_large_pages: true }
    }

    /// So much of it committed ahead; else 4 MiB.
    #[must_use]
    pub const fn reserve_bytes(self, reserve_bytes: usize) -> Self {
        Self { reserve_bytes, ..self }
    }

    /// No large pages. They make each access a little faster, but take 2 MiB at once from the
    /// system, which may have to clear them, or to get them from a hypervisor: milliseconds, which
    /// a page fault should not wait for.
    #[must_use]
    pub const fn small_pages(self) -> Self {
        Self { has_large_pages: false, ..self }
    }
}

/// Names one object of the allocator that gave it out, and owns it: dropping the handle without
/// [freeing](Zsmalloc::free) it keeps the object until the allocator is dropped.
///
/// It can neither be copied nor made, so that no object is freed twice, or read thereafter:
///
/// ```compile_fail,E0382
/// # use zswap::zsmalloc::{Config, Zsmalloc};
/// # let zsmalloc = Zsmalloc::new(Config::new(4 << 20)).unwrap();
/// let handle = zsmalloc.alloc(b"an object").unwrap();
/// zsmalloc.free(handle);
/// zsmalloc.read(&handle, |_| ());
/// ```
#[derive(Debug, PartialEq, Eq)]
#[must_use = "an object without its handle is never freed"]
pub struct Handle(NonZeroU32);

/// An object that is read.
#[derive(Debug)]
pub(crate) struct Object<'z> {
    zsmalloc: &'z Zsmalloc,
    number: u32,
    /// `None`: dropped.
    pinned: Option<Pinned<'z>>,
}

impl Deref for Object<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.pinned.as_deref().unwrap_or_default()
    }
}

impl Drop for Object<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(slot) = self.pinned.take().and_then(Pinned::unpin) {
            self.zsmalloc.give_back(self.number, slot);
        }
    }
}

impl Handle {
    /// For keeping it in a word.
    #[inline]
    pub(crate) fn into_number(self) -> NonZeroU32 {
        self.0
    }
}

/// Why an object was not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AllocError {
    /// The object is empty or too long.
    #[error("an object has 1 to {OBJECT_BYTES_MAX} bytes, not {len}")]
    Length {
        /// Its length.
        len: usize,
    },
    /// More memory may be had, but is not committed yet.
    #[error("the reserve is empty")]
    ReserveEmpty,
    /// All memory that the allocator may have is in use.
    #[error("the allocator is full")]
    Full,
}

/// Why memory could not be had, or returned.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MapError {
    /// Handles cannot name that much.
    #[error("{max_bytes} bytes are more than an allocator can have")]
    TooLarge {
        /// What was asked for.
        max_bytes: usize,
    },
    /// The system refused.
    #[error("the system refused")]
    System(#[from] io::Error),
}

const RESERVE_BYTES: usize = 4 << 20;
/// There are cells for as many objects as fit in if they have this size.
const CELL_BYTES_MIN: usize = 32;
/// Cells are committed ahead for objects of this size.
const CELL_BYTES_AHEAD: usize = 512;
