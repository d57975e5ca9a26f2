//! Every way to ask for work, times everything that may become of it.
//!
//! The product is made, not written down: [`Cell::all`]. What the API cannot express is left out by
//! a [`Rule`], not by forgetting it. [`Theme::Matrix`](crate::Theme::Matrix) runs the cells that
//! end by what is in the buffers. Those that end by what a device does need a device that can be
//! told to fail; whoever has one runs them on a [`Stand`]:
//!
//! ```
//! use acomp_core::{Acomp, Direction};
//! use acomp_testmgr::matrix::{Call, Cell, Ending, Stand};
//!
//! # use acomp_algs as _;
//! let mut stand = Stand::new(Acomp::alloc("lz4")?)?;
//! let page = [7; 4096];
//! let call = Call { direction: Direction::Compress, src: &page, dst_bytes: 4096 };
//! for cell in Cell::all().filter(|cell| cell.ending == Ending::Done) {
//!     if cell.left_out_by().is_none() {
//!         let delivered = stand.ask(cell, &[call]).unwrap();
//!         assert!(delivered[0].answer.is_ok(), "{cell}");
//!     }
//! }
//! # Ok::<(), acomp_core::OpenError>(())
//! ```

mod arena;
mod stand;

use std::fmt;

use acomp_core::Direction;

pub(crate) use arena::Arena;
pub use stand::{Delivered, Stand};

/// What one call asks for.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "whoever asks makes it")]
pub struct Call<'s> {
    /// Which way it goes.
    pub direction: Direction,
    /// What it reads.
    pub src: &'s [u8],
    /// How much it may write, in bytes.
    pub dst_bytes: usize,
}

/// One way to ask, and one thing that becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_structs, reason = "whoever runs a cell looks at all of it")]
pub struct Cell {
    /// Who does the work, and when.
    pub way: Way,
    /// What the memory is like.
    pub buffers: Buffers,
    /// How many at a time.
    pub shape: Shape,
    /// What becomes of it.
    pub ending: Ending,
}

impl Cell {
    /// The product, in the order of its parts.
    pub fn all() -> impl Iterator<Item = Self> {
        let forms = Way::ALL.iter().flat_map(|&way| {
            let of_way = Buffers::ALL.iter().map(move |&buffers| (way, buffers));
            of_way.flat_map(|form| Shape::ALL.iter().map(move |&shape| (form, shape)))
        });
        forms.flat_map(|((way, buffers), shape)| {
            Ending::ALL.iter().map(move |&ending| Self { way, buffers, shape, ending })
        })
    }

    /// Why there is no such call, whatever the driver.
    #[must_use]
    pub fn left_out_by(self) -> Option<Rule> {
        let is_one_call = (self.way, self.shape) == (Way::Sync, Shape::Single);
        if self.buffers == Buffers::Vectored && !is_one_call {
            Some(Rule::OneSliceEach)
        } else if self.way == Way::Sync && self.ending == Ending::Cancelled {
            Some(Rule::NoHandle)
        } else {
            None
        }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { way, buffers, shape, ending } = self;
        write!(f, "{way:?} {buffers:?} {shape:?} {ending:?}")
    }
}

/// Who does the work, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Way {
    /// A session, before its call returns.
    Sync,
    /// A submitter; somebody blocks until it is done.
    Wait,
    /// A submitter; a future is ready when it is done.
    Await,
    /// A submitter, without interrupts; somebody polls, and looks.
    Poll,
}

impl Way {
    /// Every way.
    pub const ALL: &[Self] = &[Self::Sync, Self::Wait, Self::Await, Self::Poll];
}

/// What the memory of a call is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Buffers {
    /// One slice on either side. The first destination begins a page, and those of a chain are
    /// neighbours in one buffer; requests lease theirs.
    Linear,
    /// Three slices on either side, one of them empty.
    Vectored,
    /// One slice on either side, at an odd address; of requests, which own theirs, at one that
    /// begins no cache line.
    Unaligned,
}

impl Buffers {
    /// Every kind.
    pub const ALL: &[Self] = &[Self::Linear, Self::Vectored, Self::Unaligned];
}

/// How many at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "one or several")]
pub enum Shape {
    /// One call after the other.
    Single,
    /// All at once.
    Chain,
}

impl Shape {
    /// Both.
    pub const ALL: &[Self] = &[Self::Single, Self::Chain];
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Ending {
    /// It succeeds.
    Done,
    /// The output does not fit.
    Overflow,
    /// The stream is damaged.
    Corrupt,
    /// The stream is cut off.
    Truncated,
    /// The device has no room.
    Busy,
    /// The device fails.
    Fault,
    /// The device takes too long.
    TimedOut,
    /// Somebody no longer wants it.
    Cancelled,
}

impl Ending {
    /// Every ending.
    pub const ALL: &[Self] = &[
        Self::Done,
        Self::Overflow,
        Self::Corrupt,
        Self::Truncated,
        Self::Busy,
        Self::Fault,
        Self::TimedOut,
        Self::Cancelled,
    ];

    /// Whether it is what a device does, and not what is in the buffers, that ends a call so.
    #[must_use]
    pub const fn is_by_device(self) -> bool {
        matches!(self, Self::Busy | Self::Fault | Self::TimedOut | Self::Cancelled)
    }
}

/// Why a cell is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Rule {
    /// An op of a chain and a request have one slice on either side.
    OneSliceEach,
    /// Who blocks has no handle to cancel by.
    NoHandle,
}
