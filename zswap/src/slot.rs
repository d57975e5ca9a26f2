//! What pages are stored under, and on whose account.

/// Page number in a swap space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_structs, reason = "a number with a meaning")]
pub struct Slot(pub u64);

impl Slot {
    #[inline]
    pub(crate) fn after(self, pages: usize) -> Self {
        Self(self.0.wrapping_add(pages as u64))
    }
}

/// On whose account a page is stored: the analogue of a memory cgroup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Owner(u16);

impl Owner {
    /// The owner of what nobody else owns.
    pub const ROOT: Self = Self(0);

    /// The owner with this number.
    #[must_use]
    pub const fn new(id: u16) -> Self {
        Self(id)
    }

    /// Its number.
    #[must_use]
    pub const fn id(self) -> u16 {
        self.0
    }
}
