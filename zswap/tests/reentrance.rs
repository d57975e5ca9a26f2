//! What a driver does to open a session, or to end one, may lead back to the pool: its allocation
//! may have to wait until a page is stored.

#![expect(clippy::unwrap_used, reason = "test helpers unwrap like tests")]

mod pages;
mod toys;

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, OnceLock, Weak};
use std::thread;
use std::time::Duration;

use acomp_core::Registry;
use rustix::thread::{CpuSet, sched_getcpu, sched_setaffinity};
use zswap::{Owner, Pool, Slot};

use pages::stamped;
use toys::{Toy, die};

#[test]
fn session_is_opened_and_its_dead_predecessor_dropped_with_nothing_locked() {
    in_time(|| {
        let pressure = Arc::new(Pressure::default());
        let is_deadly = AtomicBool::new(true);
        let toy = pressure
            .on(Toy::new())
            .on_op(move |_, _| if is_deadly.swap(false, Relaxed) { die() } else { None });
        let pool = Arc::new(toy.pool());
        pressure.pool.set(Arc::downgrade(&pool)).unwrap();
        // Each CPU has a session.
        let mut here = CpuSet::new();
        here.set(sched_getcpu());
        sched_setaffinity(None, &here).unwrap();
        pool.store(Slot(0), &[stamped(0)], Owner::ROOT).unwrap();
        pool.store(Slot(1), &[stamped(1)], Owner::ROOT).unwrap();
        assert_ne!(pressure.opened.load(Relaxed), 0);
        assert_ne!(pressure.dropped.load(Relaxed), 0);
    });
}

#[test]
fn compressor_is_taken_up_and_given_up_with_nothing_locked() {
    in_time(|| {
        let pressure = Arc::new(Pressure::default());
        let registry = Registry::from_entries([]);
        let toys = ["a", "b"].map(|name| pressure.on(Toy::new().named(name)));
        let _guards = toys.map(|toy| registry.add(Arc::new(toy)).unwrap());
        let pool = Arc::new(Pool::builder(&registry).compressor("a").build().unwrap());
        pressure.pool.set(Arc::downgrade(&pool)).unwrap();
        pool.set("compressor", "b").unwrap();
        assert_ne!(pressure.opened.load(Relaxed), 0);
        pool.maintain().unwrap();
        assert_ne!(pressure.dropped.load(Relaxed), 0);
    });
}

/// Memory is short whenever a session is opened or dropped.
#[derive(Default)]
struct Pressure {
    pool: OnceLock<Weak<Pool>>,
    /// How often that led to the pool and back.
    opened: AtomicUsize,
    dropped: AtomicUsize,
}

impl Pressure {
    fn on(self: &Arc<Self>, toy: Toy) -> Toy {
        let (this, that) = (Arc::clone(self), Arc::clone(self));
        toy.on_open(move || {
            this.press(&this.opened);
            Ok(())
        })
        .on_drop(move || that.press(&that.dropped))
    }

    /// Does what storing another page does, but not within itself.
    fn press(&self, counter: &AtomicUsize) {
        thread_local!(static IS_PRESSED: Cell<bool> = const { Cell::new(false) });
        let Some(pool) = self.pool.get().and_then(Weak::upgrade) else { return };
        if IS_PRESSED.replace(true) {
            return;
        }
        let stored = pool.store(Slot(1000), &[stamped(7)], Owner::ROOT);
        let is_named = pool.params().iter().any(|(name, _)| *name == "compressor");
        pool.invalidate(Slot(1000));
        IS_PRESSED.set(false);
        if stored.is_ok() && is_named {
            counter.fetch_add(1, Relaxed);
        }
    }
}

/// Fails where the test would hang.
fn in_time(test: impl FnOnce() + Send + 'static) {
    let (sender, receiver) = channel();
    let thread = thread::spawn(move || {
        test();
        let _ = sender.send(());
    });
    let ended = receiver.recv_timeout(Duration::from_secs(20));
    assert_ne!(ended, Err(RecvTimeoutError::Timeout), "it hangs");
    thread.join().unwrap();
}
