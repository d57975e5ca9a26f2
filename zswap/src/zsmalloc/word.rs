//! Who has what a cell keeps: a box, and a lock for its readers and for one who moves it, in one
//! word.
//!
//! From the lowest bit on: the state (3 bits), how many read (13), and what is kept. The states:
//!
//! - `EMPTY`: nothing is kept; the upper half may hold a note.
//! - `RESERVED`: nothing yet, and only who reserved the word fills it.
//! - `FULL`: anybody may read what is kept, lock it if nobody reads, or take it.
//! - `LOCKED`: who locked it has what was kept, and puts the same or something else soon. Who wants
//!   to read or take waits.
//! - `DOOMED`: it was taken while somebody read. Nobody comes to read any more; the last one who
//!   does has what is kept, and leaves the word empty.
//!
//! So what is kept is at every moment with the word, or with exactly one who took, locked or last
//! read it. `mem.rs` relies on that; the models below explore it.

use std::sync::atomic::Ordering::{self, AcqRel, Acquire, Relaxed, Release};

use crate::sync::{AtomicU64, spin_loop, yield_now};

#[derive(Debug, Default)]
pub(crate) struct Word(AtomicU64);

/// What was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) kept: u64,
    /// Else it is with who reads it last.
    pub(crate) is_ours: bool,
}

impl Word {
    /// Keeps something in an empty or locked word, for everyone to read. Whether it was one.
    #[inline]
    pub(crate) fn put(&self, kept: u64) -> bool {
        let is_free = |bits: u64| matches!(bits & STATE, EMPTY | LOCKED);
        self.update(is_free, |_| kept & KEPT | FULL, Release).is_some()
    }

    /// Makes an empty word nobody else's to fill. Whether it was one.
    #[inline]
    pub(crate) fn reserve(&self) -> bool {
        self.update(|bits| bits & STATE == EMPTY, |_| RESERVED, Acquire).is_some()
    }

    /// Fills a word that the caller has reserved; `None`: empties it.
    #[inline]
    pub(crate) fn fill(&self, kept: Option<u64>) {
        self.0.store(kept.map_or(EMPTY, |kept| kept & KEPT | FULL), Release);
    }

    #[inline]
    pub(crate) fn take(&self) -> Option<Taken> {
        let is_read = |bits| bits & READERS != 0;
        let to = |bits| if is_read(bits) { bits & !STATE | DOOMED } else { EMPTY };
        let bits = self.change(|_| true, to)?;
        Some(Taken { kept: bits & KEPT, is_ours: !is_read(bits) })
    }

    /// Takes what nobody reads for a moment, until it is [put](Self::put) back.
    #[inline]
    pub(crate) fn lock(&self) -> Option<u64> {
        Some(self.change(|bits| bits & READERS == 0, |_| LOCKED)? & KEPT)
    }

    /// Begins to read. `None` if there is nothing, or if too many read it already.
    #[inline]
    pub(crate) fn pin(&self) -> Option<u64> {
        Some(self.change(|bits| bits & READERS != READERS, |bits| bits + READER)? & KEPT)
    }

    /// Ends to read. What is kept, if it was taken meanwhile and this was the last reader.
    #[inline]
    pub(crate) fn unpin(&self) -> Option<u64> {
        // Acquire: what the other readers did before they left.
        let bits = self.0.fetch_sub(READER, AcqRel);
        let is_last = bits & (STATE | READERS) == DOOMED | READER;
        is_last.then(|| {
            self.0.store(EMPTY, Release);
            bits & KEPT
        })
    }

    /// What an empty word notes; 0 at first, and after something was kept.
    pub(crate) fn note(&self) -> u32 {
        let bits = self.0.load(Acquire);
        if bits & STATE == EMPTY { (bits >> NOTE_SHIFT) as u32 } else { 0 }
    }

    /// Notes something in an empty word; others have no place for it.
    pub(crate) fn set_note(&self, note: u32) {
        let bits = u64::from(note) << NOTE_SHIFT | EMPTY;
        self.update(|bits| bits & STATE == EMPTY, |_| bits, Release);
    }

    /// Changes a full word, and returns what it was. Waits while it is locked.
    #[inline]
    fn change(&self, admits: impl Fn(u64) -> bool, to: impl Fn(u64) -> u64) -> Option<u64> {
        let mut bits = self.0.load(Relaxed);
        let mut spins = 0;
        loop {
            bits = match bits & STATE {
                // Acquire: what was done before it was put, and what readers did before they left.
                FULL if admits(bits) => {
                    match self.0.compare_exchange_weak(bits, to(bits), Acquire, Relaxed) {
                        Ok(bits) => return Some(bits),
                        Err(now) => now,
                    }
                }
                LOCKED => {
                    relax(&mut spins);
                    self.0.load(Relaxed)
                }
                _ => return None,
            }
        }
    }

    #[inline]
    fn update(
        &self,
        admits: impl Fn(u64) -> bool,
        to: impl Fn(u64) -> u64,
        order: Ordering,
    ) -> Option<u64> {
        let mut bits = self.0.load(Relaxed);
        while admits(bits) {
            match self.0.compare_exchange_weak(bits, to(bits), order, Relaxed) {
                Ok(bits) => return Some(bits),
                Err(now) => bits = now,
            }
        }
        None
    }
}

/// Lets who has it locked get on.
fn relax(spins: &mut u32) {
    *spins += 1;
    if *spins < SPINS_MAX { spin_loop() } else { yield_now() }
}

/// The bits of what is kept.
pub(crate) const KEPT: u64 = u64::MAX << KEPT_SHIFT;
pub(crate) const KEPT_SHIFT: u32 = 16;
const STATE: u64 = 0b111;
const EMPTY: u64 = 0;
const FULL: u64 = 1;
const LOCKED: u64 = 2;
const DOOMED: u64 = 3;
const RESERVED: u64 = 4;
const READER: u64 = 1 << 3;
const READERS: u64 = 0x1FFF << 3;
const NOTE_SHIFT: u32 = 32;
const SPINS_MAX: u32 = 64;

const _: () = assert!(STATE & READERS == 0 && (STATE | READERS) & KEPT == 0);

#[cfg(all(test, loom))]
mod loom_models {
    use loom::sync::Arc;
    use loom::thread;

    use super::*;

    /// A word, and two places for the object that it names.
    struct Model {
        word: Word,
        places: [AtomicU64; 2],
    }

    const OBJECT: u64 = 77;

    impl Model {
        fn full() -> Arc<Self> {
            let places = [AtomicU64::new(OBJECT), AtomicU64::new(0)];
            let model = Self { word: Word(AtomicU64::new(EMPTY)), places };
            assert!(model.word.put(0 << KEPT_SHIFT));
            Arc::new(model)
        }

        fn place(&self, kept: u64) -> &AtomicU64 {
            &self.places[(kept >> KEPT_SHIFT) as usize]
        }

        /// What a load does. Whether it was the last one, who frees.
        fn read(&self) -> bool {
            let Some(kept) = self.word.pin() else { return false };
            assert_eq!(self.place(kept).load(Relaxed), OBJECT, "neither freed nor half copied");
            self.word.unpin().is_some_and(|kept| self.free(kept))
        }

        /// What invalidate, a replacing store and writeback do.
        fn take(&self) -> bool {
            self.word.take().is_some_and(|taken| taken.is_ours && self.free(taken.kept))
        }

        fn free(&self, kept: u64) -> bool {
            self.place(kept).store(0, Relaxed);
            true
        }

        /// What compaction does.
        fn move_over(&self) {
            let Some(from) = self.word.lock() else { return };
            let to = 1 << KEPT_SHIFT;
            self.place(to).store(self.place(from).load(Relaxed), Relaxed);
            assert!(self.word.put(to));
            self.place(from).store(0, Relaxed);
        }
    }

    fn run<T: 'static>(model: &Arc<Model>, what: fn(&Model) -> T) -> thread::JoinHandle<T> {
        let model = Arc::clone(model);
        thread::spawn(move || what(&model))
    }

    #[test]
    fn what_is_taken_while_it_is_read_is_freed_once_and_not_before() {
        loom::model(|| {
            let model = Model::full();
            let reader = run(&model, Model::read);
            let taker = run(&model, Model::take);
            let other_taker = model.take();
            let freed = [reader.join().unwrap(), taker.join().unwrap(), other_taker];
            assert_eq!(freed.iter().filter(|freed| **freed).count(), 1);
            assert!(model.word.pin().is_none());
            assert!(model.word.reserve(), "it is empty");
        });
    }

    #[test]
    fn what_is_moved_is_taken_once() {
        loom::model(|| {
            let model = Model::full();
            let mover = run(&model, Model::move_over);
            assert!(model.take());
            mover.join().unwrap();
            assert!(model.word.reserve(), "it is empty");
        });
    }

    #[test]
    fn what_is_moved_is_read_whole() {
        loom::model(|| {
            let model = Model::full();
            let mover = run(&model, Model::move_over);
            assert!(!model.read());
            mover.join().unwrap();
            assert!(model.take());
        });
    }

    #[test]
    fn what_is_reserved_is_published_whole() {
        loom::model(|| {
            let places = [AtomicU64::new(0), AtomicU64::new(0)];
            let model = Arc::new(Model { word: Word(AtomicU64::new(EMPTY)), places });
            let storer = run(&model, |model| {
                assert!(model.word.reserve());
                model.places[0].store(OBJECT, Relaxed);
                model.word.fill(Some(0));
            });
            let reader = run(&model, Model::read);
            let freed = [model.take(), reader.join().unwrap()];
            storer.join().unwrap();
            assert!(freed != [true, true]);
            assert!(freed != [false, false] || model.word.pin().is_some(), "it is still there");
        });
    }
}
