//! Memory that this crate maps itself: the unsafe leaf.
//!
//! A [`Table`] is an array that grows in place. A [`Memory`] is cut into frames, and these into
//! slots of one size, each for one object.
//!
//! # Who may touch which byte
//!
//! Every part has exactly one owner at any time, as a value that is neither copied nor made up:
//!
//! - An element of a `Table` is written once, before the length says that it is there. From then
//!   on there are only shared references to it.
//! - The slots of a frame lie at its start. Each belongs to the one [`Slot`] that
//!   [`LockedFrame::take`] made. The frame counts the slots that are out and is cut anew only when
//!   all are back, so that no two `Slot`s ever overlap.
//! - The *tags* of the slots lie at the end of the frame, which they belong to, and are touched
//!   only under its lock. They are apart from the slots so that freeing an object does not touch
//!   its cache lines.
//! - A [`Cell`] keeps a `Slot` as bits, which hold it as a box would: [`CellRef::put`] takes it (or
//!   [`Reserved::fill`], where nobody else can),
//!   [`CellRef::take`] and [`CellRef::lock`] give it back, and only while nobody reads; what is to
//!   be taken while it is read, the last reader gets ([`Pinned::unpin`]). `word.rs` sees to that. A
//!   [`Pinned`] is a reader, counted in the bits until it is unpinned.
//! - `Slot`s and `Pinned`s borrow their `Memory`. A frame and a cell take no `Slot` of another.
//!
//! Whatever safe code does with these, it may lose an object or read the wrong one; it cannot have
//! a byte written while that is read.

#![allow(unsafe_code, reason = "objects are moved and read in place, in memory mapped here")]

use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::ops::{Deref, Range};
use std::ptr::{self, NonNull};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::{mem, slice};

use rustix::mm::{
    Advice, MapFlags, MprotectFlags, ProtFlags, madvise, mmap_anonymous, mprotect, munlock, munmap,
};
use rustix::param::page_size;

use super::word::{KEPT_SHIFT, Taken, Word};
use crate::fault::{Fault, is_refused};
use crate::sync::{AtomicUsize, Mutex, MutexGuard, lock};

/// What slots are made of: they begin at multiples of this.
pub(crate) const UNIT_BYTES: usize = 16;
/// Units in the largest slot.
pub(crate) const PAGE_UNITS: usize = OBJECT_BYTES_MAX / UNIT_BYTES;
/// Most bytes in one object.
pub const OBJECT_BYTES_MAX: usize = 4096;
/// What is taken from the system and returned to it at once: a large page where there are any.
pub(crate) const CHUNK_BYTES: usize = 2 << 20;
/// Frames then have 15 slots of the largest size: DESIGN.md has why 15.
pub(crate) const CHUNK_FRAMES: usize = 34;
/// Size of a frame.
pub(crate) const FRAME_BYTES: usize = FRAME_UNITS * UNIT_BYTES;
/// What the place of a slot in a cell has bits for.
pub(crate) const MEMORY_BYTES_MAX: usize = UNIT_BYTES << UNIT_BITS;
/// Owners of slots are numbers below 2 to the power of this.
pub(crate) const OWNERS_MAX_LOG: u32 = 31;

/// How many slots of a size a frame is cut into.
pub(crate) const fn slots(slot_units: usize) -> usize {
    FRAME_BYTES / (slot_units * UNIT_BYTES + TAG_BYTES)
}

/// An array that grows in place, up to a length for which addresses are reserved.
///
/// It never touches the global allocator; growing takes memory from the system.
pub(crate) struct Table<T> {
    region: Region,
    /// Elements below this are initialised, and never touched again but through `&T`.
    len: AtomicUsize,
    capacity: usize,
    growing: Mutex<()>,
    elements: PhantomData<T>,
}

impl<T: Default + Send + Sync> Table<T> {
    pub(crate) fn new(capacity: usize) -> io::Result<Self> {
        const { assert!(size_of::<T>() > 0 && align_of::<T>() <= 4096) };
        const { assert!(!mem::needs_drop::<T>(), "elements are forgotten with the table") };
        let bytes = capacity.checked_mul(size_of::<T>()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self {
            region: Region::reserve(bytes)?,
            len: AtomicUsize::new(0),
            capacity,
            growing: Mutex::default(),
            elements: PhantomData,
        })
    }

    /// Grows to this length or the capacity, if it was shorter; new elements are defaults.
    pub(crate) fn grow(&self, len: usize) -> io::Result<()> {
        let _alone = lock(&self.growing);
        let (old, new) = (self.len.load(Relaxed), len.min(self.capacity));
        if new <= old {
            return Ok(());
        }
        self.region.populate(old * size_of::<T>()..new * size_of::<T>())?;
        for index in old..new {
            // SAFETY: the element lies within the region, which was reserved for `capacity` of
            // them, is writable, and aligned to pages: `new` asserts that pages suffice. No other
            // thread writes: `growing` is locked. None reads: the length does not admit it yet.
            unsafe { self.element(index).write(T::default()) };
        }
        self.len.store(new, Release);
        Ok(())
    }

    #[inline]
    pub(crate) fn get(&self, index: usize) -> Option<&T> {
        // SAFETY: elements below the length were initialised by `grow`, whose store of the length
        // this load synchronises with, and are never written again or dropped. The region lives as
        // long as the borrow of `self`. `T: Sync` may be shared.
        (index < self.len.load(Acquire)).then(|| unsafe { &*self.element(index) })
    }

    pub(crate) fn len(&self) -> usize {
        self.len.load(Acquire)
    }

    /// How long it can get.
    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Memory taken from the system.
    pub(crate) fn committed_bytes(&self) -> usize {
        (self.len() * size_of::<T>()).next_multiple_of(page_size())
    }

    /// Aligned, as sizes are multiples of alignments.
    #[inline]
    fn element(&self, index: usize) -> *mut T {
        self.region.at(index * size_of::<T>()).cast()
    }
}

impl<T> fmt::Debug for Table<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("len", &self.len).finish_non_exhaustive()
    }
}

/// Chunks of frames, and the cells that keep their slots.
#[derive(Debug)]
pub(crate) struct Memory {
    region: Region,
    frames: Table<Mutex<Frame>>,
    cells: Table<Cell>,
}

impl Memory {
    /// Reserves addresses for so many chunks and cells.
    pub(crate) fn new(chunks_max: usize, cells_max: usize) -> io::Result<Self> {
        let bytes = chunks_max.checked_mul(CHUNK_BYTES).filter(|bytes| *bytes <= MEMORY_BYTES_MAX);
        let region = Region::reserve(bytes.ok_or(io::ErrorKind::OutOfMemory)?)?;
        Ok(Self {
            region,
            frames: Table::new(chunks_max * CHUNK_FRAMES)?,
            cells: Table::new(cells_max)?,
        })
    }

    /// Asks for large pages behind chunks to come, as the system has them: objects that are stored
    /// in a row lie far apart, and each would miss the TLB.
    pub(crate) fn prefer_large_pages(&self) {
        self.region.prefer_large_pages();
    }

    /// Takes the memory of a chunk from the system, and admits its frames.
    pub(crate) fn commit(&self, chunk: usize) -> io::Result<()> {
        self.region.populate(chunk * CHUNK_BYTES..(chunk + 1) * CHUNK_BYTES)?;
        self.frames.grow((chunk + 1) * CHUNK_FRAMES)
    }

    /// Returns the memory of a chunk to the system, unless one of its frames is cut.
    pub(crate) fn discard(&self, chunk: usize) -> io::Result<()> {
        let frames = chunk * CHUNK_FRAMES..(chunk + 1) * CHUNK_FRAMES;
        let held =
            frames.clone().take_while(|number| self.swap(*number, &Frame::Free, Frame::Held));
        let held = held.count();
        let discarded = if held == CHUNK_FRAMES {
            // SAFETY: all frames of the chunk were free, so that no slot of them is out, and are
            // held now, so that none is cut meanwhile. Nothing but frames lies in the region.
            unsafe { self.region.discard(chunk * CHUNK_BYTES..(chunk + 1) * CHUNK_BYTES) }
        } else {
            Err(io::ErrorKind::ResourceBusy.into())
        };
        for number in frames.take(held) {
            self.swap(number, &Frame::Held, Frame::Free);
        }
        discarded
    }

    /// Locks a frame, if it was ever committed.
    #[inline]
    pub(crate) fn frame(&self, number: usize) -> Option<LockedFrame<'_>> {
        let frame = lock(self.frames.get(number)?);
        let (chunk, place) = (number / CHUNK_FRAMES, number % CHUNK_FRAMES);
        let first_unit = chunk * CHUNK_UNITS + place * FRAME_UNITS;
        Some(LockedFrame { memory: self, first_unit, frame })
    }

    #[inline]
    pub(crate) fn cell(&self, index: usize) -> Option<CellRef<'_>> {
        Some(CellRef { memory: self, cell: self.cells.get(index)? })
    }

    pub(crate) fn cells(&self) -> &Table<Cell> {
        &self.cells
    }

    pub(crate) fn frames_bytes(&self) -> usize {
        self.frames.committed_bytes()
    }

    fn swap(&self, number: usize, from: &Frame, to: Frame) -> bool {
        let Some(mut locked) = self.frame(number) else { return false };
        let is_from = *locked.frame == *from;
        if is_from {
            *locked.frame = to;
        }
        is_from
    }
}

/// What a frame is used for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Frame {
    #[default]
    Free,
    /// Its chunk is being returned.
    Held,
    Cut(Cut),
}

/// A frame cut into slots, which are counted from its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cut {
    slot_units: u16,
    slots: u16,
    /// Slots that are out.
    used: u16,
    /// Slots from this one on were never out.
    fresh: u16,
    /// The first of the slots that came back; each one's tag leads to the next.
    free: u16,
}

/// A frame, locked.
#[derive(Debug)]
pub(crate) struct LockedFrame<'m> {
    memory: &'m Memory,
    first_unit: usize,
    frame: MutexGuard<'m, Frame>,
}

impl<'m> LockedFrame<'m> {
    /// Cuts the frame into slots of a size, if it is free.
    pub(crate) fn cut(&mut self, slot_units: u16) -> bool {
        let is_size = (1..=PAGE_UNITS).contains(&usize::from(slot_units));
        let is_cut = is_size && *self.frame == Frame::Free;
        if is_cut {
            let slots = slots(slot_units.into()) as u16;
            *self.frame = Frame::Cut(Cut { slot_units, slots, used: 0, fresh: 0, free: NO_SLOT });
        }
        is_cut
    }

    /// Frees the frame, if all its slots are back.
    pub(crate) fn uncut(&mut self) -> bool {
        let is_unused = matches!(*self.frame, Frame::Cut(Cut { used: 0, .. }));
        if is_unused {
            *self.frame = Frame::Free;
        }
        is_unused
    }

    /// Takes a slot for an object of a length, under the number of its owner.
    #[inline]
    pub(crate) fn take(&mut self, len: usize, owner: u32) -> Option<Slot<'m>> {
        let Frame::Cut(mut cut) = *self.frame else { return None };
        if len == 0 || len > usize::from(cut.slot_units) * UNIT_BYTES {
            return None;
        }
        let index = if cut.free != NO_SLOT {
            // The low half of its tag is the next slot or none.
            let tag = self.tag(cut.free);
            mem::replace(&mut cut.free, tag as u16)
        } else if cut.fresh < cut.slots {
            cut.fresh += 1;
            cut.fresh - 1
        } else {
            return None;
        };
        cut.used += 1;
        self.set_tag(index, owner & !FREE);
        *self.frame = Frame::Cut(cut);
        let place = usize::from(index) * usize::from(cut.slot_units);
        Some(Slot { memory: self.memory, unit: self.first_unit + place, len })
    }

    /// Takes a slot back, unless it is none of this frame.
    #[inline]
    pub(crate) fn put(&mut self, slot: Slot<'m>) -> Result<(), Slot<'m>> {
        let place = slot.unit.checked_sub(self.first_unit).filter(|place| *place < FRAME_UNITS);
        match (*self.frame, place) {
            // A slot that is out of this frame is one that it is cut into now: the frame would
            // have been cut anew only with all of them back.
            (Frame::Cut(mut cut), Some(place)) if ptr::eq(slot.memory, self.memory) => {
                let index = place as u16 / cut.slot_units;
                self.set_tag(index, FREE | u32::from(cut.free));
                cut.free = index;
                cut.used -= 1;
                *self.frame = Frame::Cut(cut);
                Ok(())
            }
            _ => Err(slot),
        }
    }

    /// Slots that are out.
    #[inline]
    pub(crate) fn used(&self) -> u16 {
        if let Frame::Cut(cut) = *self.frame { cut.used } else { 0 }
    }

    /// The first slot that is out, from one on, and its owner.
    pub(crate) fn next_used(&self, from: u16) -> Option<(u16, u32)> {
        let Frame::Cut(cut) = *self.frame else { return None };
        let mut tags = (from..cut.fresh).map(|index| (index, self.tag(index)));
        tags.find(|(_, tag)| tag & FREE == 0)
    }

    #[inline]
    fn tag(&self, index: u16) -> u32 {
        // SAFETY: as for `set_tag`. What is read was written: the slot was out once.
        unsafe { self.tag_at(index).read() }
    }

    #[inline]
    fn set_tag(&mut self, index: u16, tag: u32) {
        // SAFETY: the callers give a slot that the frame is cut into. `slots` leaves room for the
        // tags of all behind the last one, so that this one lies within the frame, thus within the
        // region, and in no `Slot`. Only the holder of the frame's lock, who is borrowed
        // exclusively, touches it.
        unsafe { self.tag_at(index).write(tag) }
    }

    /// Aligned, as the ends of frames are.
    #[inline]
    fn tag_at(&self, index: u16) -> *mut u32 {
        let end = (self.first_unit + FRAME_UNITS) * UNIT_BYTES;
        self.memory.region.at(end - (usize::from(index) + 1) * TAG_BYTES).cast()
    }
}

/// The bytes of one object, owned. Dropping it loses them until the memory itself is dropped.
#[derive(Debug)]
#[must_use = "a slot that is dropped is lost"]
pub(crate) struct Slot<'m> {
    memory: &'m Memory,
    unit: usize,
    len: usize,
}

impl Slot<'_> {
    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: the bytes lie within the region, which lives as long as the borrow of the
        // memory. They are this slot's, which is borrowed. The system filled them with zeros.
        unsafe { slice::from_raw_parts(self.memory.region.at(self.unit * UNIT_BYTES), self.len) }
    }

    #[inline]
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        let start = self.memory.region.at(self.unit * UNIT_BYTES);
        // SAFETY: as for `bytes`; the slot is borrowed exclusively.
        unsafe { slice::from_raw_parts_mut(start, self.len) }
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// As a full cell keeps it.
    #[inline]
    fn bits(&self) -> u64 {
        (self.unit as u64) << UNIT_SHIFT | ((self.len - 1) as u64) << LEN_SHIFT
    }

    /// The frame that it is cut from.
    #[inline]
    pub(crate) fn frame(&self) -> usize {
        let (chunk, unit) = (self.unit / CHUNK_UNITS, self.unit % CHUNK_UNITS);
        chunk * CHUNK_FRAMES + unit / FRAME_UNITS
    }
}

/// Where one slot is kept: from the lowest bit of what the word keeps on, the object's length less
/// one, and the slot's first unit.
#[derive(Debug, Default)]
pub(crate) struct Cell(Word);

/// A cell, and the memory that its slots are of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CellRef<'m> {
    memory: &'m Memory,
    cell: &'m Cell,
}

impl<'m> CellRef<'m> {
    /// Puts a slot into an empty or locked cell, for everyone to read.
    #[inline]
    pub(crate) fn put(self, slot: Slot<'m>) -> Result<(), Slot<'m>> {
        let is_put = ptr::eq(slot.memory, self.memory) && self.cell.0.put(slot.bits());
        if is_put { Ok(()) } else { Err(slot) }
    }

    /// Makes an empty cell nobody else's, to be filled. `None` if it is not empty.
    #[inline]
    pub(crate) fn reserve(self) -> Option<Reserved<'m>> {
        self.cell.0.reserve().then_some(Reserved(self))
    }

    /// Takes the slot out, and tells the length of the object. `None` if there is none. If somebody
    /// reads it, the last one who does gets the slot, and nobody else comes to read it.
    #[inline]
    pub(crate) fn take(self) -> Option<(usize, Option<Slot<'m>>)> {
        let Taken { kept, is_ours } = self.cell.0.take()?;
        Some((object_bytes(kept), is_ours.then(|| self.slot(kept))))
    }

    /// Takes the slot out for a moment: who reads meanwhile waits for the next [`put`](Self::put),
    /// as long as copying one object takes.
    #[inline]
    pub(crate) fn lock(self) -> Option<Slot<'m>> {
        Some(self.slot(self.cell.0.lock()?))
    }

    /// Reads the object. `None` if there is none, or too many read it already.
    #[inline]
    pub(crate) fn pin(self) -> Option<Pinned<'m>> {
        Some(Pinned { slot: self.slot(self.cell.0.pin()?), cell: self })
    }

    /// What an empty cell keeps; 0 at first, and after a slot.
    pub(crate) fn note(self) -> u32 {
        self.cell.0.note()
    }

    /// Notes something in an empty cell.
    pub(crate) fn set_note(self, note: u32) {
        self.cell.0.set_note(note);
    }

    /// The slot that these bits are. The caller has it of the word: it is owned once, or only read.
    #[inline]
    fn slot(self, kept: u64) -> Slot<'m> {
        let unit = (kept >> UNIT_SHIFT) as usize;
        Slot { memory: self.memory, unit, len: object_bytes(kept) }
    }
}

/// The length of the object that these bits are.
#[inline]
fn object_bytes(kept: u64) -> usize {
    ((kept & LEN) >> LEN_SHIFT) as usize + 1
}

/// A cell that only the holder of this can fill: nobody pins, puts or takes anything there.
/// Dropped, it leaves the cell so.
#[derive(Debug)]
#[must_use = "to be filled"]
pub(crate) struct Reserved<'m>(CellRef<'m>);

impl<'m> Reserved<'m> {
    /// Fills the cell, for everyone to read. A plain store: whoever copied the object just before
    /// is not held up until the copy has left for memory.
    #[inline]
    pub(crate) fn fill(self, slot: Slot<'m>) -> Result<(), Slot<'m>> {
        let Self(CellRef { memory, cell }) = self;
        let is_ours = ptr::eq(slot.memory, memory);
        cell.0.fill(is_ours.then(|| slot.bits()));
        if is_ours { Ok(()) } else { Err(slot) }
    }
}

/// An object that is read: it stays where it is for so long. One that is not unpinned stays for
/// ever.
#[derive(Debug)]
#[must_use = "to be unpinned"]
pub(crate) struct Pinned<'m> {
    /// Never handed out but by shared reference: it is the cell's, or all its readers'.
    slot: Slot<'m>,
    cell: CellRef<'m>,
}

impl<'m> Pinned<'m> {
    /// Ends reading. The slot, if it was to be taken meanwhile and this was the last reader.
    #[inline]
    pub(crate) fn unpin(self) -> Option<Slot<'m>> {
        let kept = self.cell.cell.0.unpin()?;
        Some(self.cell.slot(kept))
    }
}

impl Deref for Pinned<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.slot.bytes()
    }
}

/// Addresses, with memory behind them from the first touch on.
#[derive(Debug)]
struct Region {
    /// A multiple of `CHUNK_BYTES`, as large pages need it.
    start: NonNull<u8>,
    bytes: usize,
    /// Where the mapping starts. It is longer than the region by `CHUNK_BYTES`, so that such a
    /// multiple is in it.
    mapping: NonNull<u8>,
}

// SAFETY: a region is a range of addresses that belongs to the process. What may be done with the
// bytes there, and by which thread, is for `Table` and `Memory` to see to.
unsafe impl Send for Region {}
// SAFETY: as above; the methods that take `&self` call the system, which is safe to share.
unsafe impl Sync for Region {}

impl Region {
    fn reserve(bytes: usize) -> io::Result<Self> {
        let bytes = bytes.max(1).checked_next_multiple_of(page_size());
        let bytes = bytes.ok_or(io::ErrorKind::OutOfMemory)?;
        let mapped = bytes.checked_add(CHUNK_BYTES).ok_or(io::ErrorKind::OutOfMemory)?;
        refuse(Fault::Map)?;
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
        // SAFETY: the system chooses addresses that nothing else uses.
        let mapping =
            unsafe { mmap_anonymous(ptr::null_mut(), mapped, ProtFlags::empty(), flags)? };
        // To a program that locks all its memory (MCL_FUTURE) the system gives pages right away,
        // for all addresses that are only reserved here: not as long as none can be accessed.
        // SAFETY: the range is the one that was mapped.
        unsafe {
            munlock(mapping, mapped)?;
            mprotect(mapping, mapped, MprotectFlags::READ | MprotectFlags::WRITE)?;
        }
        let mapping = NonNull::new(mapping.cast::<u8>()).ok_or(io::ErrorKind::OutOfMemory)?;
        let skipped = mapping.as_ptr().align_offset(CHUNK_BYTES);
        let start = NonNull::new(mapping.as_ptr().wrapping_add(skipped));
        Ok(Self { start: start.ok_or(io::ErrorKind::OutOfMemory)?, bytes, mapping })
    }

    /// Asks for large pages, of which the system may have none.
    fn prefer_large_pages(&self) {
        // SAFETY: the pages are this region's, and what is in them stays.
        let _ = unsafe { madvise(self.start.as_ptr().cast(), self.bytes, Advice::LinuxHugepage) };
    }

    /// Takes memory for these bytes now, so that touching them later is no page fault.
    fn populate(&self, range: Range<usize>) -> io::Result<()> {
        let (start, bytes) = self.pages(range)?;
        refuse(Fault::Populate)?;
        // SAFETY: the pages are this region's, and populating changes nothing in them.
        unsafe { Ok(madvise(self.at(start).cast(), bytes, Advice::LinuxPopulateWrite)?) }
    }

    /// Returns the memory of the pages that hold these bytes to the system; they read as zeros.
    ///
    /// # Safety
    ///
    /// Until it returns, there is no reference to a byte of these pages, and none is made.
    unsafe fn discard(&self, range: Range<usize>) -> io::Result<()> {
        let (start, bytes) = self.pages(range)?;
        refuse(Fault::Discard)?;
        // SAFETY: the pages are this region's; the caller sees to their content.
        unsafe { Ok(madvise(self.at(start).cast(), bytes, Advice::LinuxDontNeed)?) }
    }

    /// The start and size of the pages that hold these bytes, if all are this region's.
    fn pages(&self, range: Range<usize>) -> io::Result<(usize, usize)> {
        let start = range.start - range.start % page_size();
        let end = range.end.checked_next_multiple_of(page_size());
        match end {
            Some(end) if start <= end && end <= self.bytes => Ok((start, end - start)),
            _ => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    /// A byte of the region, if it is that large.
    #[inline]
    fn at(&self, offset: usize) -> *mut u8 {
        self.start.as_ptr().wrapping_add(offset)
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: the region was mapped whole by `reserve`, and whoever refers to its bytes borrows
        // its owner. Failing would leave it mapped, which harms nobody.
        let _ = unsafe { munmap(self.mapping.as_ptr().cast(), self.bytes + CHUNK_BYTES) };
    }
}

#[inline]
fn refuse(fault: Fault) -> io::Result<()> {
    if is_refused(fault) { Err(io::ErrorKind::OutOfMemory.into()) } else { Ok(()) }
}

const CHUNK_UNITS: usize = CHUNK_BYTES / UNIT_BYTES;
/// Two units of a chunk are left over.
const FRAME_UNITS: usize = CHUNK_UNITS / CHUNK_FRAMES;
/// In tags of slots that are not out.
const FREE: u32 = 1 << OWNERS_MAX_LOG;
/// What a slot has beside its object: 31 bits of its owner.
const TAG_BYTES: usize = 4;
/// No slot of a frame.
const NO_SLOT: u16 = u16::MAX;

const LEN_SHIFT: u32 = KEPT_SHIFT;
const LEN: u64 = 0xFFF << LEN_SHIFT;
const UNIT_SHIFT: u32 = 28;
const UNIT_BITS: u32 = u64::BITS - UNIT_SHIFT;

const _: () = assert!(size_of::<usize>() == 8, "addresses are reserved, not used, up to 1 TiB");
const _: () = assert!(FRAME_UNITS < NO_SLOT as usize && OBJECT_BYTES_MAX == 1 << 12);
const _: () = assert!(CHUNK_FRAMES * FRAME_UNITS <= CHUNK_UNITS);

#[cfg(test)]
mod test {
    use std::sync::atomic::AtomicU64;

    use super::*;

    #[test]
    fn table_grows_in_place_up_to_its_capacity() {
        let table = Table::<AtomicU64>::new(3000).unwrap();
        assert!(table.get(0).is_none());
        table.grow(1).unwrap();
        let first = table.get(0).unwrap();
        first.store(7, Relaxed);
        table.grow(5000).unwrap();
        assert_eq!((table.len(), first.load(Relaxed)), (3000, 7));
        assert!(ptr::eq(first, table.get(0).unwrap()));
        assert_eq!(table.get(2999).unwrap().load(Relaxed), 0);
        assert!(table.get(3000).is_none());
    }

    #[test]
    fn slots_of_every_size_fill_the_frame_and_do_not_overlap() {
        let memory = memory();
        for units in (1..=PAGE_UNITS).step_by(5) {
            let mut frame = memory.frame(1).unwrap();
            assert!(frame.cut(units as u16) && !frame.cut(units as u16));
            let mut out = Vec::new();
            while let Some(mut slot) = frame.take(units * UNIT_BYTES, out.len() as u32) {
                slot.bytes_mut().fill(out.len() as u8);
                out.push(slot);
            }
            assert_eq!((out.len(), usize::from(frame.used())), (slots(units), slots(units)));
            for (i, slot) in out.iter().enumerate() {
                assert!(slot.bytes().iter().all(|byte| *byte == i as u8));
                assert_eq!(
                    (frame.next_used(i as u16), slot.frame()),
                    (Some((i as u16, i as u32)), 1)
                );
            }
            assert!(!frame.uncut(), "slots are out");
            out.into_iter().for_each(|slot| frame.put(slot).unwrap());
            assert_eq!((frame.next_used(0), frame.uncut()), (None, true));
        }
    }

    #[test]
    fn slots_come_back_and_go_out_again() {
        let memory = memory();
        let mut frame = memory.frame(0).unwrap();
        assert!(frame.take(1, 0).is_none(), "not cut");
        assert!(!frame.cut(0) && !frame.cut(257) && frame.cut(256));
        assert!(frame.take(0, 0).is_none() && frame.take(4097, 0).is_none());
        let mut out: Vec<_> = (0..15).map(|owner| frame.take(4096, owner).unwrap()).collect();
        assert!(frame.take(1, 15).is_none(), "all are out");
        for index in [3, 10, 0] {
            frame.put(out.remove(index)).unwrap();
        }
        let again: Vec<_> = (20..23).map(|owner| frame.take(100, owner).unwrap().unit).collect();
        assert_eq!(again, [0, 11 * 256, 3 * 256], "the last one back is the first one out");
        assert!(frame.take(1, 23).is_none());
    }

    #[test]
    fn slots_stay_in_their_memory_and_frame() {
        let (ours, foreign) = (memory(), memory());
        let [mut our_frame, mut foreign_frame] = [&ours, &foreign].map(|m| m.frame(0).unwrap());
        assert!(our_frame.cut(8) && foreign_frame.cut(8));
        let slot = our_frame.take(100, 0).unwrap();
        let slot = foreign_frame.put(slot).unwrap_err();
        let slot = foreign.cell(0).unwrap().put(slot).unwrap_err();
        let mut other_frame = ours.frame(1).unwrap();
        assert!(other_frame.cut(8));
        let slot = other_frame.put(slot).unwrap_err();
        our_frame.put(slot).unwrap();
    }

    #[test]
    fn cell_gives_its_slot_to_one_and_only_while_nobody_reads() {
        let memory = memory();
        let mut frame = memory.frame(40).unwrap();
        assert!(frame.cut(8));
        let cell = memory.cell(0).unwrap();
        cell.set_note(u32::MAX);
        assert!(cell.note() == u32::MAX && cell.pin().is_none() && cell.take().is_none());
        cell.put(frame.take(100, 0).unwrap()).unwrap();
        let second = cell.put(frame.take(101, 0).unwrap()).unwrap_err();
        cell.set_note(1);
        assert_eq!(cell.note(), 0, "a full cell has no note");
        let (reader, other) = (cell.pin().unwrap(), cell.pin().unwrap());
        assert!(other.unpin().is_none());
        assert!(reader.len() == 100 && cell.lock().is_none());
        assert!(reader.unpin().is_none());
        let first = cell.lock().unwrap();
        cell.put(second).unwrap();
        frame.put(first).unwrap();
        let (reader, other) = (cell.pin().unwrap(), cell.pin().unwrap());
        let (len, slot) = cell.take().unwrap();
        assert!(len == 101 && slot.is_none());
        assert!(cell.take().is_none() && cell.pin().is_none() && cell.lock().is_none());
        let third = frame.take(102, 0).unwrap();
        let third = cell.put(third).unwrap_err();
        assert!(reader.unpin().is_none() && other.len() == 101);
        let slot = other.unpin().unwrap();
        assert!(slot.len() == 101 && slot.frame() == 40 && cell.take().is_none());
        let reserved = cell.reserve().unwrap();
        assert!(cell.reserve().is_none() && cell.take().is_none() && cell.pin().is_none());
        let third = cell.put(third).unwrap_err();
        reserved.fill(third).unwrap();
        assert!(cell.reserve().is_none());
        assert_eq!(cell.take().unwrap().1.unwrap().len(), 102);
    }

    #[test]
    fn chunk_with_a_frame_in_use_is_not_discarded() {
        let memory = memory();
        let last = 2 * CHUNK_FRAMES - 1;
        assert!(memory.frame(last).unwrap().cut(1));
        assert_eq!(memory.discard(1).unwrap_err().kind(), io::ErrorKind::ResourceBusy);
        assert!(memory.discard(2).is_err() && memory.commit(2).is_err(), "there are two");
        memory.discard(0).unwrap();
        assert!(memory.frame(last).unwrap().uncut());
        memory.discard(1).unwrap();
        memory.commit(1).unwrap();
        assert!(memory.frame(last).unwrap().cut(1));
    }

    #[test]
    fn chunks_lie_where_large_pages_can() {
        assert!(memory().region.start.addr().get().is_multiple_of(CHUNK_BYTES));
    }

    fn memory() -> Memory {
        let memory = Memory::new(2, 100).unwrap();
        (0..2).for_each(|chunk| memory.commit(chunk).unwrap());
        memory.cells.grow(100).unwrap();
        memory
    }
}
