//! What the kernel offers, behind interfaces that safe code cannot misuse: the unsafe leaves.

pub(crate) mod memory;
pub(crate) mod signal;
pub(crate) mod thread;
pub(crate) mod uffd;
