//! Where pages are: the states of the pages of a window, and who may change them.
//!
//! A window is 1 MiB of a region: what one lock covers, and what is taken out at once. Its lock is
//! held to look and to change states, never over a system call, a codec, or an access to the
//! region.
//!
//! ```text
//! Untouched --fill--> Resident --move out--> Staged --drain--> Stored
//!                        ^                      |                |
//!                        +-------- fill --------+------ fill ----+
//! ```
//!
//! Whoever fills or drains pages makes them `Busy` first, and is then the only one who touches
//! them; others wait. While pages are being filled, no page of the window is moved out: the move
//! takes whatever is there.

use std::ops::Range;

/// Pages that are drained at once, at most: bits of a word.
pub(crate) const SLICE_PAGES_MAX: usize = 64;
/// Pages in a window.
pub(crate) const WINDOW_PAGES: usize = 256;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum State {
    /// Never filled, or discarded: zeros.
    Untouched,
    /// In the region.
    Resident,
    /// In a frame, or protected from writes where it is: about to be stored.
    Staged,
    /// In the pool alone.
    Stored,
    /// Somebody is at it.
    Busy,
    /// Cannot be had back.
    Lost,
}

/// What is known of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PageState {
    pub(crate) state: State,
    /// The pool has a copy of it too.
    pub(crate) is_kept: bool,
    /// How often it was modified of late when it was to be stored: copies of such pages are in
    /// vain.
    pub(crate) dirtied: u8,
}

/// A `PageState` in a byte: state, kept, dirtied, from the lowest bits on.
#[derive(Clone, Copy, Debug)]
struct Packed(u8);

impl Packed {
    const fn new(page: PageState) -> Self {
        Self(page.state as u8 | (page.is_kept as u8) << 3 | page.dirtied << 4)
    }

    fn get(self) -> PageState {
        let state = match self.0 & 7 {
            0 => State::Untouched,
            1 => State::Resident,
            2 => State::Staged,
            3 => State::Stored,
            4 => State::Busy,
            _ => State::Lost,
        };
        PageState { state, is_kept: self.0 & 8 != 0, dirtied: self.0 >> 4 }
    }
}

/// So often in vain, and no copy is kept the next time.
pub(crate) const DIRTIED_ROUNDS_MAX: u8 = 2;

/// What pages are filled from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Zeros,
    /// It is there, or was taken away behind the pager's back.
    Resident,
    Frame(u16),
    /// It is there, protected.
    InPlace,
    Pool {
        keep: bool,
    },
}

/// What becomes of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// The pages are the caller's to fill, who then calls [`Window::publish`].
    Fill {
        first: usize,
        pages: usize,
        from: Source,
    },
    /// Somebody else is at it.
    Wait,
    Lost,
}

/// How the pages of a window are taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Out {
    No,
    /// They are being moved or protected.
    Leaving,
    Frame(u16),
    InPlace,
}

#[derive(Debug)]
pub(crate) struct Window {
    pages: [Packed; WINDOW_PAGES],
    resident: u16,
    /// Fills that have not ended.
    filling: u16,
    /// Those of them that read the frame.
    rescuing: u16,
    /// All that was staged is drained: the frame goes when nobody reads it.
    is_drained: bool,
    pins: u32,
    out: Out,
}

impl Window {
    pub(crate) const fn new() -> Self {
        let page = PageState { state: State::Untouched, is_kept: false, dirtied: 0 };
        Self {
            pages: [Packed::new(page); WINDOW_PAGES],
            resident: 0,
            filling: 0,
            rescuing: 0,
            is_drained: false,
            pins: 0,
            out: Out::No,
        }
    }

    pub(crate) fn get(&self, at: usize) -> PageState {
        self.pages[at % WINDOW_PAGES].get()
    }

    fn set(&mut self, at: usize, page: PageState) {
        self.pages[at % WINDOW_PAGES] = Packed::new(page);
    }

    pub(crate) fn resident(&self) -> usize {
        self.resident.into()
    }

    /// Whether a page is in the region, and not about to leave.
    pub(crate) fn is_resident(&self, at: usize) -> bool {
        self.get(at).state == State::Resident && self.out != Out::Leaving
    }

    /// Claims a page for being filled, and those behind it that come from the same source, up to
    /// so many in all.
    pub(crate) fn claim(&mut self, at: usize, pages_max: usize, keeps: bool) -> Claim {
        let source = |page: PageState, out: Out| match (page.state, out) {
            (State::Untouched, _) => Some(Source::Zeros),
            (State::Resident, _) => Some(Source::Resident),
            (State::Staged, Out::Frame(frame)) => Some(Source::Frame(frame)),
            (State::Staged, _) => Some(Source::InPlace),
            (State::Stored, _) => {
                Some(Source::Pool { keep: keeps && page.dirtied < DIRTIED_ROUNDS_MAX })
            }
            (State::Busy | State::Lost, _) => None,
        };
        let page = self.get(at);
        if page.state == State::Lost {
            return Claim::Lost;
        }
        let Some(from) = source(page, self.out).filter(|_| self.out != Out::Leaving) else {
            return Claim::Wait;
        };
        let pages_max = if from == Source::Resident { 1 } else { pages_max.max(1) };
        let end = WINDOW_PAGES.min(at + pages_max);
        let run = (at..end).take_while(|at| source(self.get(*at), self.out) == Some(from)).count();
        for at in at..at + run {
            let page = self.get(at);
            self.resident -= u16::from(page.state == State::Resident);
            self.set(at, PageState { state: State::Busy, ..page });
        }
        self.filling += 1;
        self.rescuing += u16::from(matches!(from, Source::Frame(_)));
        Claim::Fill { first: at, pages: run, from }
    }

    /// Pages that were claimed are there. Whether the frame that they came from is now the caller's
    /// to empty.
    #[must_use]
    pub(crate) fn publish(&mut self, pages: Range<usize>, from: Source) -> bool {
        self.resident += pages.len() as u16;
        for at in pages {
            let page = self.get(at);
            let (is_kept, dirtied) = match from {
                Source::Pool { keep: true } => (true, page.dirtied),
                // The next time a copy may be worth it again.
                Source::Pool { keep: false } => (false, page.dirtied.saturating_sub(1)),
                Source::Zeros => (false, 0),
                _ => (page.is_kept, page.dirtied),
            };
            self.set(at, PageState { state: State::Resident, is_kept, dirtied });
        }
        self.filling -= 1;
        self.rescuing -= u16::from(matches!(from, Source::Frame(_)));
        self.is_drained && self.end_staging()
    }

    /// A page that was claimed cannot be filled.
    pub(crate) fn lose(&mut self, at: usize) {
        self.set(at, PageState { state: State::Lost, is_kept: false, dirtied: 0 });
        self.filling -= 1;
    }

    /// Pages that were claimed and not filled are what they were.
    pub(crate) fn unclaim(&mut self, pages: Range<usize>, from: Source) {
        let state = match from {
            Source::Zeros => State::Untouched,
            Source::Resident => State::Resident,
            Source::Frame(_) | Source::InPlace => State::Staged,
            Source::Pool { .. } => State::Stored,
        };
        for at in pages {
            let page = self.get(at);
            self.set(at, PageState { state, ..page });
        }
    }

    /// Admits that what is resident is taken out now, if it may be.
    pub(crate) fn begin_leaving(&mut self) -> bool {
        let may = self.out == Out::No && self.filling == 0 && self.pins == 0 && self.resident > 0;
        if may {
            self.out = Out::Leaving;
        }
        may
    }

    /// The resident pages of these ranges have been taken out. Returns how many they are.
    pub(crate) fn staged(&mut self, range: Range<usize>) -> usize {
        let mut staged = 0;
        for at in range {
            let page = self.get(at);
            if page.state == State::Resident {
                self.set(at, PageState { state: State::Staged, ..page });
                staged += 1;
            }
        }
        self.resident -= staged as u16;
        staged
    }

    /// The window has left for a frame (`None`: is protected where it is), or nothing of it has.
    pub(crate) fn end_leaving(&mut self, frame: Option<u16>, staged: usize) {
        self.out = match (staged, frame) {
            (0, _) => Out::No,
            (_, Some(frame)) => Out::Frame(frame),
            (_, None) => Out::InPlace,
        };
    }

    /// Makes the staged pages of a range the caller's, to store them. Bit `i` is page
    /// `range.start + i`: those that are, and those of them that the pool has a copy of.
    pub(crate) fn begin_draining(&mut self, range: Range<usize>) -> (u64, u64) {
        let (mut staged, mut kept) = (0, 0);
        for (bit, at) in range.enumerate().take(SLICE_PAGES_MAX) {
            let page = self.get(at);
            if page.state == State::Staged {
                staged |= 1 << bit;
                kept |= u64::from(page.is_kept) << bit;
                self.set(at, PageState { state: State::Busy, ..page });
            }
        }
        (staged, kept)
    }

    /// A page that was being drained is stored. `was_modified`: a copy of it was in vain.
    pub(crate) fn drained(&mut self, at: usize, was_modified: bool) {
        let page = self.get(at);
        let dirtied =
            if was_modified { (page.dirtied + 1).min(DIRTIED_ROUNDS_MAX) } else { page.dirtied };
        self.set(at, PageState { state: State::Stored, is_kept: false, dirtied });
    }

    /// A page that was being drained could not be stored, and is to be filled again by the caller,
    /// from the frame or where it is.
    pub(crate) fn refused(&mut self, at: usize) -> Source {
        let page = self.get(at);
        self.set(at, PageState { is_kept: false, ..page });
        self.filling += 1;
        if let Out::Frame(frame) = self.out {
            self.rescuing += 1;
            Source::Frame(frame)
        } else {
            Source::InPlace
        }
    }

    /// All that was staged is drained. Whether the frame is now the caller's to empty; else it is
    /// that of the last one who reads it.
    #[must_use]
    pub(crate) fn end_staging(&mut self) -> bool {
        self.is_drained = self.rescuing > 0;
        if !self.is_drained {
            self.out = Out::No;
        }
        !self.is_drained
    }

    /// Whether something of it is on its way out or in.
    pub(crate) fn is_in_transit(&self) -> bool {
        self.out != Out::No || self.filling > 0
    }

    /// Keeps what is resident where it is.
    pub(crate) fn pin(&mut self) {
        self.pins += 1;
    }

    pub(crate) fn unpin(&mut self) {
        self.pins -= 1;
    }

    pub(crate) fn is_pinned(&self) -> bool {
        self.pins > 0
    }

    /// Makes pages the caller's, to forget them. `None`: somebody is at one of them.
    pub(crate) fn begin_forgetting(&mut self, pages: Range<usize>) -> Option<Forgotten> {
        let is_busy = |at| self.get(at).state == State::Busy;
        if self.out == Out::Leaving || pages.clone().any(is_busy) {
            return None;
        }
        let mut forgotten = Forgotten::default();
        for at in pages {
            let page = self.get(at);
            let is_resident = page.state == State::Resident;
            let is_in_place = page.state == State::Staged && self.out == Out::InPlace;
            self.resident -= u16::from(is_resident);
            forgotten.present += usize::from(is_resident || is_in_place);
            forgotten.has_lost |= page.state == State::Lost;
            let is_stored = page.is_kept || matches!(page.state, State::Stored | State::Lost);
            forgotten.stored[at / 64 % 4] |= u64::from(is_stored) << (at % 64);
            self.set(at, PageState { state: State::Busy, ..page });
        }
        self.filling += 1;
        Some(forgotten)
    }

    /// The pages are as if they had never been touched.
    pub(crate) fn forgotten(&mut self, pages: Range<usize>) {
        for at in pages {
            self.set(at, PageState { state: State::Untouched, is_kept: false, dirtied: 0 });
        }
        self.filling -= 1;
    }
}

/// What there was of pages that are forgotten.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Forgotten {
    /// Pages in the region.
    pub(crate) present: usize,
    /// Some are lost, and perhaps errors in the region.
    pub(crate) has_lost: bool,
    /// A bit for each page of the window that the pool has.
    stored: [u64; WINDOW_PAGES / 64],
}

impl Forgotten {
    pub(crate) fn is_stored(&self, at: usize) -> bool {
        self.stored[at / 64 % 4] >> (at % 64) & 1 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each step of a reclaim, with whoever comes in between.
    #[test]
    fn pages_that_are_about_to_leave_are_waited_for() {
        let mut window = resident(0..3);
        assert!(window.begin_leaving());
        assert!(!window.begin_leaving(), "one at a time");
        assert_eq!(window.claim(0, 1, true), Claim::Wait);
        assert!(!window.is_resident(0), "a pin waits too");
        assert!(window.begin_forgetting(0..1).is_none());
        assert_eq!(window.staged(0..3), 3);
        window.end_leaving(Some(7), 3);
        let from = Source::Frame(7);
        assert_eq!(window.claim(0, 9, true), Claim::Fill { first: 0, pages: 3, from });
        assert_eq!(window.claim(1, 1, true), Claim::Wait, "it is somebody's");
    }

    #[test]
    fn nothing_leaves_while_pages_come_or_are_pinned() {
        let mut window = resident(0..1);
        assert!(matches!(window.claim(5, 1, true), Claim::Fill { .. }));
        assert!(!window.begin_leaving());
        assert!(!window.publish(5..6, Source::Zeros));
        window.pin();
        assert!(!window.begin_leaving());
        window.unpin();
        assert!(window.begin_leaving());
        window.end_leaving(Some(1), 0);
        assert!(!window.is_in_transit(), "nothing could be moved");
    }

    /// Drained, while two read the frame: the last of them empties it, and nobody else.
    #[test]
    fn the_last_reader_empties_the_frame() {
        let mut window = staged(0..4, 3);
        let from = Source::Frame(3);
        assert!(matches!(window.claim(0, 1, true), Claim::Fill { .. }));
        assert!(matches!(window.claim(2, 1, true), Claim::Fill { .. }));
        assert_eq!(window.begin_draining(0..8), (0b1010, 0), "what is not being rescued");
        window.drained(1, false);
        window.drained(3, true);
        assert!(!window.end_staging());
        assert!(!window.publish(0..1, from));
        assert!(window.is_in_transit());
        assert!(window.publish(2..3, from));
        assert!(!window.is_in_transit());
        assert_eq!(window.resident(), 2);
    }

    /// A page that the pool refused reads the frame like a rescue: the slice that it is of is not
    /// drained before.
    #[test]
    fn a_refused_page_is_back_before_the_frame_goes() {
        let mut window = staged(0..2, 3);
        assert_eq!(window.begin_draining(0..8), (0b11, 0));
        window.drained(0, false);
        let from = window.refused(1);
        assert_eq!(from, Source::Frame(3));
        assert!(!window.publish(1..2, from));
        assert!(window.end_staging());
        assert!(window.is_resident(1));
        assert_eq!(window.get(0).state, State::Stored);
    }

    /// A slice that somebody else drained meanwhile has nothing left.
    #[test]
    fn a_forgotten_page_is_not_drained() {
        let mut window = staged(0..2, 3);
        assert!(window.begin_forgetting(0..2).is_some_and(|forgotten| forgotten.present == 0));
        assert_eq!(window.begin_draining(0..8), (0, 0));
        assert!(window.end_staging(), "nobody reads the frame");
        window.forgotten(0..2);
        assert_eq!(window.get(1).state, State::Untouched);
        assert!(!window.is_in_transit());
    }

    fn resident(pages: Range<usize>) -> Window {
        let mut window = Window::new();
        let claim = window.claim(pages.start, pages.len(), true);
        let from = Source::Zeros;
        assert_eq!(claim, Claim::Fill { first: pages.start, pages: pages.len(), from });
        assert!(!window.publish(pages, from));
        window
    }

    fn staged(pages: Range<usize>, frame: u16) -> Window {
        let mut window = resident(pages.clone());
        assert!(window.begin_leaving());
        assert_eq!(window.staged(0..WINDOW_PAGES), pages.len());
        window.end_leaving(Some(frame), pages.len());
        window
    }
}
