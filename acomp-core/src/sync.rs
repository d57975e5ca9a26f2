//! What slots, requests, backlogs and registries synchronise with: std's types, or loom's where
//! loom explores every interleaving (`--cfg loom`).

use std::sync::{Arc, PoisonError};
use std::task::{Wake, Waker};
use std::time::Duration;

#[cfg(not(loom))]
pub(crate) use {
    futures::task::AtomicWaker,
    std::hint::spin_loop,
    std::sync::atomic::{AtomicU8, AtomicUsize, Ordering, fence},
    std::sync::{Condvar, Mutex, MutexGuard, RwLock, RwLockWriteGuard},
    std::thread::{Thread, current, park, park_timeout, yield_now},
};

#[cfg(loom)]
pub(crate) use loom::{
    cell::UnsafeCell,
    hint::spin_loop,
    sync::atomic::{AtomicU8, AtomicUsize, Ordering, fence},
    sync::{Condvar, Mutex, MutexGuard, RwLock, RwLockWriteGuard},
    thread::{Thread, current, park, yield_now},
};

/// std's, with the interface of loom's.
#[cfg(not(loom))]
pub(crate) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

#[cfg(not(loom))]
impl<T> UnsafeCell<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(std::cell::UnsafeCell::new(value))
    }

    pub(crate) fn with<R>(&self, access: impl FnOnce(*const T) -> R) -> R {
        access(self.0.get())
    }

    pub(crate) fn with_mut<R>(&self, access: impl FnOnce(*mut T) -> R) -> R {
        access(self.0.get())
    }
}

/// What panicked under a lock of ours left nothing half done.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn wait_timeout<'m, T>(
    condvar: &Condvar,
    guard: MutexGuard<'m, T>,
    limit: Duration,
) -> MutexGuard<'m, T> {
    condvar.wait_timeout(guard, limit).unwrap_or_else(PoisonError::into_inner).0
}

/// Wakes this thread.
pub(crate) fn parker() -> Waker {
    struct Parker(Thread);
    impl Wake for Parker {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let make = || Waker::from(Arc::new(Parker(current())));
    #[cfg(loom)] // Threads of one execution are not those of the next.
    return make();
    // Made once per thread.
    thread_local!(static PARKER: std::cell::OnceCell<Waker> = const { std::cell::OnceCell::new() });
    #[cfg(not(loom))]
    PARKER.try_with(|parker| parker.get_or_init(make).clone()).unwrap_or_else(|_| make())
}

/// The time is always up: loom knows none.
#[cfg(loom)]
pub(crate) fn park_timeout(_: Duration) {
    yield_now();
}

/// loom's, with the interface of futures'.
#[cfg(loom)]
pub(crate) struct AtomicWaker(loom::future::AtomicWaker);

#[cfg(loom)]
impl AtomicWaker {
    pub(crate) fn new() -> Self {
        Self(loom::future::AtomicWaker::new())
    }

    pub(crate) fn register(&self, waker: &Waker) {
        self.0.register_by_ref(waker);
    }

    pub(crate) fn wake(&self) {
        self.0.wake();
    }

    pub(crate) fn take(&self) -> Option<Waker> {
        self.0.take_waker()
    }
}
