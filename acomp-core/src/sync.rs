//! What the state machine of slots is made of: std's types, or loom's where loom explores every
//! interleaving (`--cfg loom`).

#[cfg(not(loom))]
pub(crate) use {
    futures::task::AtomicWaker,
    std::sync::atomic::{AtomicU8, Ordering},
    std::sync::{Mutex, MutexGuard},
};

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicU8, Ordering};
#[cfg(loom)]
pub(crate) use loom::sync::{Mutex, MutexGuard};

/// loom's, with the interface of futures'.
#[cfg(loom)]
pub(crate) struct AtomicWaker(loom::future::AtomicWaker);

#[cfg(loom)]
impl AtomicWaker {
    pub(crate) fn new() -> Self {
        Self(loom::future::AtomicWaker::new())
    }

    pub(crate) fn register(&self, waker: &std::task::Waker) {
        self.0.register_by_ref(waker);
    }

    pub(crate) fn wake(&self) {
        self.0.wake();
    }

    pub(crate) fn take(&self) -> Option<std::task::Waker> {
        self.0.take_waker()
    }
}
