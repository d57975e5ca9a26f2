//! Where an operation takes what it may not get: memory of a reserve, and memory of the system.
//!
//! Each of these places asks here first. Unit tests choose which of them fail (`tests/model`); in
//! every other build the answer is a constant, and nothing is left of the question.

/// What may be refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Fault {
    /// An entry, with its place in a list.
    Entry,
    /// A partition of the tree.
    Partition,
    /// A node of the tree.
    Node,
    /// The number of an object.
    Number,
    /// A frame for a zspage.
    Frame,
    /// A block of the device.
    Block,
    /// Addresses.
    Map,
    /// Memory behind them.
    Populate,
    /// Giving it back.
    Discard,
    #[cfg(test)]
    Compress,
    #[cfg(test)]
    Decompress,
    #[cfg(test)]
    Write,
    #[cfg(test)]
    Read,
}

/// Whether what is asked for here is refused.
#[cfg(not(test))]
#[inline(always)]
pub(crate) const fn is_refused(_: Fault) -> bool {
    false
}

#[cfg(test)]
pub(crate) use plan::{during, is_refused};

#[cfg(test)]
mod plan {
    use std::cell::{Cell, RefCell};
    use std::ops::Range;

    use super::Fault;

    thread_local! {
        /// Which of the questions to come are answered with yes.
        static PLAN: Cell<Range<usize>> = const { Cell::new(0..0) };
        static REFUSED: RefCell<Vec<Fault>> = const { RefCell::new(Vec::new()) };
    }

    /// Refuses what `plan` says, counted from the first thing that `f` asks for, and tells what
    /// that was. Of this thread only.
    pub(crate) fn during<T>(plan: Range<usize>, f: impl FnOnce() -> T) -> (T, Vec<Fault>) {
        PLAN.set(plan);
        let result = f();
        PLAN.take();
        (result, REFUSED.take())
    }

    pub(crate) fn is_refused(fault: Fault) -> bool {
        let Range { start, end } = PLAN.take();
        PLAN.set(start.saturating_sub(1)..end.saturating_sub(1));
        let is_refused = start == 0 && end > 0;
        if is_refused {
            REFUSED.with_borrow_mut(|refused| refused.push(fault));
        }
        is_refused
    }
}
