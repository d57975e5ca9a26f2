//! Interrupts: who waits for one, and who is told.

use std::fmt;
use std::sync::{Condvar, Mutex, PoisonError, Weak};
use std::time::Duration;

use crate::dma::locked;

/// Rung by the interrupts of all devices of a driver.
#[derive(Default)]
pub(crate) struct Bell {
    rings: Mutex<u64>,
    rung: Condvar,
    listeners: Mutex<Vec<Weak<dyn Listener>>>,
}

/// Is told of interrupts.
pub(crate) trait Listener: Send + Sync {
    fn interrupted(&self);
}

impl Bell {
    pub(crate) fn ring(&self) {
        *locked(&self.rings) += 1;
        self.rung.notify_all();
        // Told when nothing is locked, since that may lead to another ring.
        let listeners = locked(&self.listeners).clone();
        listeners.iter().filter_map(Weak::upgrade).for_each(|listener| listener.interrupted());
    }

    /// How often it rang.
    pub(crate) fn rings(&self) -> u64 {
        *locked(&self.rings)
    }

    /// Waits until it has rung more often than that, but not for long: not all that is waited for
    /// ends with an interrupt.
    pub(crate) fn wait(&self, before: u64) {
        let rings = locked(&self.rings);
        let wait = self.rung.wait_timeout_while(rings, WAIT_MAX, |rings| *rings == before);
        drop(wait.unwrap_or_else(PoisonError::into_inner));
    }

    pub(crate) fn tell(&self, listener: Weak<dyn Listener>) {
        let mut listeners = locked(&self.listeners);
        listeners.retain(|listener| listener.strong_count() > 0);
        listeners.push(listener);
    }
}

impl fmt::Debug for Bell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bell").finish_non_exhaustive()
    }
}

/// After that, waiters look for themselves.
const WAIT_MAX: Duration = Duration::from_micros(100);
