//! Flags of requests and of algorithms.

bitflags::bitflags! {
    /// How one operation may be carried out. The default is no flag at all.
    ///
    /// ```
    /// use acomp_core::ReqFlags;
    /// let flags = ReqFlags::POLL | ReqFlags::MAY_SLEEP;
    /// assert!(flags.contains(ReqFlags::POLL));
    /// ```
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct ReqFlags: u32 {
        /// Submitting may put the calling thread to sleep: until a full engine has room, at most
        /// for a second. Without it, submitting never sleeps. Engines do not see it.
        const MAY_SLEEP = 1;
        /// A request that finds the engine full waits for room, in order, instead of being refused
        /// as [`Busy`](crate::Error::Busy). See [`Port`](crate::Port).
        const MAY_BACKLOG = 1 << 1;
        /// The operation has no interrupt: only whoever polls completes it. In a blocking
        /// [`Session::run`](crate::Session::run) it means: spin, never park.
        const POLL = 1 << 2;
    }
}

bitflags::bitflags! {
    /// Promises of a driver, on which a caller in a fault handler relies.
    ///
    /// ```
    /// use acomp_core::{AlgFlags, AlgInfo};
    /// const INFO: AlgInfo = AlgInfo::new("toy", "toy-rs").with_flags(AlgFlags::NEVER_BLOCKS);
    /// assert!(INFO.flags.contains(AlgFlags::NEVER_BLOCKS));
    /// ```
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct AlgFlags: u32 {
        /// An open codec allocates no memory for sources of up to 4096 bytes (one page).
        const NO_ALLOC_AFTER_OPEN = 1;
        /// An open codec never waits for another thread, a lock or a device.
        const NEVER_BLOCKS = 1 << 1;
    }
}
