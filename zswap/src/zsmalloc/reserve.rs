//! Free frames, committed ahead: allocations take from here and nowhere else.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use super::list::{Links, List};
use super::mem::{CHUNK_BYTES, CHUNK_FRAMES, FRAME_BYTES, Memory, Table};
use crate::fault::{Fault, is_refused};
use crate::sync::{AtomicU64, Mutex, MutexGuard, lock};

/// Which frames are free, chunk by chunk. Frames are taken from chunks in use as long as there are
/// any, so that others become, and stay, wholly free.
#[derive(Debug)]
pub(crate) struct Reserve {
    state: Mutex<State>,
    /// Frames that are taken; written under the lock of the state.
    taken: AtomicUsize,
    /// No more are taken.
    taken_max: AtomicUsize,
    /// Written under the lock of the state.
    is_low: AtomicBool,
    /// A bit for each free frame of a chunk; touched under the lock of the state.
    free_in: Table<AtomicU64>,
    links: Table<Links>,
    chunks_max: usize,
    frames_ahead: usize,
    /// Held while chunks come and go, which takes long.
    resizing: Mutex<()>,
}

/// A chunk without a free frame is in no list.
#[derive(Debug, Default)]
struct State {
    partly_free: List,
    wholly_free: List,
    /// Returned to the system.
    absent: List,
    /// Chunks from this one on were never committed.
    fresh: usize,
    /// Free frames in chunks that are committed.
    free: usize,
}

impl Reserve {
    pub(crate) fn new(chunks_max: usize, reserve_bytes: usize) -> io::Result<Self> {
        Ok(Self {
            state: Mutex::default(),
            taken: AtomicUsize::new(0),
            taken_max: AtomicUsize::new(usize::MAX),
            is_low: AtomicBool::new(false),
            free_in: Table::new(chunks_max)?,
            links: Table::new(chunks_max)?,
            chunks_max,
            frames_ahead: reserve_bytes.div_ceil(FRAME_BYTES).max(1),
            resizing: Mutex::default(),
        })
    }

    /// Takes a free frame.
    pub(crate) fn take(&self) -> Option<usize> {
        if is_refused(Fault::Frame) {
            return None;
        }
        let mut state = self.state();
        if self.is_at_limit() {
            return None;
        }
        let from_whole = state.partly_free.first().is_none();
        let chunk = state.partly_free.first().or_else(|| state.wholly_free.first())?;
        let bits = self.free_in.get(chunk)?;
        let free = bits.load(Relaxed);
        let left = free & free.wrapping_sub(1);
        bits.store(left, Relaxed);
        if from_whole {
            state.wholly_free.remove(&self.links, chunk);
            state.partly_free.push(&self.links, chunk);
        }
        if left == 0 {
            state.partly_free.remove(&self.links, chunk);
        }
        state.free -= 1;
        self.note_low(&state);
        self.taken.store(self.taken.load(Relaxed) + 1, Relaxed);
        Some(chunk * CHUNK_FRAMES + free.trailing_zeros() as usize)
    }

    /// Takes back a frame that was taken.
    pub(crate) fn put(&self, frame: usize) {
        let chunk = frame / CHUNK_FRAMES;
        let Some(bits) = self.free_in.get(chunk) else { return };
        let mut state = self.state();
        let before = bits.load(Relaxed);
        let after = before | 1 << (frame % CHUNK_FRAMES);
        bits.store(after, Relaxed);
        if before == 0 {
            state.partly_free.push(&self.links, chunk);
        }
        if after == WHOLLY_FREE {
            state.partly_free.remove(&self.links, chunk);
            state.wholly_free.push(&self.links, chunk);
        }
        state.free += 1;
        self.note_low(&state);
        self.taken.store(self.taken.load(Relaxed) - 1, Relaxed);
    }

    /// Commits chunks until as many frames are free as the reserve shall have, or there are no
    /// more chunks. `admit` is told how many frames there are, before one of them is free.
    pub(crate) fn fill(
        &self,
        memory: &Memory,
        admit: impl Fn(usize) -> io::Result<()>,
    ) -> io::Result<()> {
        let _alone = lock(&self.resizing);
        loop {
            let state = self.state();
            if state.free >= self.frames_ahead {
                return Ok(());
            }
            let chunk = match state.absent.first() {
                Some(chunk) => chunk,
                None if state.fresh < self.chunks_max => state.fresh,
                None => return Ok(()),
            };
            drop(state);
            memory.commit(chunk)?;
            admit((chunk + 1) * CHUNK_FRAMES)?;
            self.free_in.grow(chunk + 1)?;
            self.links.grow(chunk + 1)?;
            self.add(chunk);
        }
    }

    /// Whether less than three quarters are left, and there is more to be had: a large folio may
    /// take half of it at once.
    #[inline]
    pub(crate) fn is_low(&self) -> bool {
        self.is_low.load(Relaxed)
    }

    fn note_low(&self, state: &State) {
        let is_last = state.fresh == self.chunks_max && state.absent.len() == 0;
        let low = self.frames_ahead - self.frames_ahead / 4;
        self.is_low.store(state.free < low && !is_last, Relaxed);
    }

    /// Returns chunks to the system that are wholly free and that the reserve has no need of.
    /// Returns how many bytes that were.
    pub(crate) fn trim(&self, memory: &Memory) -> io::Result<usize> {
        let _alone = lock(&self.resizing);
        let mut bytes = 0;
        loop {
            let mut state = self.state();
            let is_spared = state.free < self.frames_ahead + CHUNK_FRAMES;
            let Some(chunk) = state.wholly_free.first().filter(|_| !is_spared) else {
                return Ok(bytes);
            };
            // From here on, nobody takes a frame of it.
            state.wholly_free.remove(&self.links, chunk);
            state.free -= CHUNK_FRAMES;
            drop(state);
            let discarded = memory.discard(chunk);
            let mut state = self.state();
            if let Err(error) = discarded {
                state.wholly_free.push(&self.links, chunk);
                state.free += CHUNK_FRAMES;
                return Err(error);
            }
            state.absent.push(&self.links, chunk);
            self.note_low(&state);
            bytes += CHUNK_BYTES;
        }
    }

    /// From now on, frames of so many bytes may be taken.
    pub(crate) fn set_limit(&self, bytes: usize) {
        let frames = bytes / FRAME_BYTES;
        // It hardly ever changes, and is read by all.
        if self.taken_max.load(Relaxed) != frames {
            self.taken_max.store(frames, Relaxed);
        }
    }

    /// Whether no frame may be taken, however many are free.
    #[inline]
    pub(crate) fn is_at_limit(&self) -> bool {
        self.taken.load(Relaxed) >= self.taken_max.load(Relaxed)
    }

    /// Whether only what is put back can be taken: the system has no more chunks to give, or the
    /// limit admits no more.
    pub(crate) fn is_final(&self) -> bool {
        if self.is_at_limit() {
            return true;
        }
        let state = self.state();
        state.fresh == self.chunks_max && state.absent.len() == 0
    }

    /// Bytes of the frames that are taken.
    #[inline]
    pub(crate) fn taken_bytes(&self) -> usize {
        self.taken.load(Relaxed) * FRAME_BYTES
    }

    /// Bytes committed that are in no frame that is taken.
    pub(crate) fn free_bytes(&self) -> usize {
        let state = self.state();
        (state.fresh - state.absent.len()) * CHUNK_BYTES - self.taken_bytes()
    }

    pub(crate) fn metadata_bytes(&self) -> usize {
        self.free_in.committed_bytes() + self.links.committed_bytes()
    }

    /// Adds a chunk that was just committed: the first one absent, or the fresh one.
    fn add(&self, chunk: usize) {
        let mut state = self.state();
        if chunk == state.fresh {
            state.fresh += 1;
        } else {
            state.absent.remove(&self.links, chunk);
        }
        if let Some(bits) = self.free_in.get(chunk) {
            bits.store(WHOLLY_FREE, Relaxed);
        }
        state.wholly_free.push(&self.links, chunk);
        state.free += CHUNK_FRAMES;
        self.note_low(&state);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

const WHOLLY_FREE: u64 = (1 << CHUNK_FRAMES) - 1;
