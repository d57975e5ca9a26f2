//! Interrupts: who waits for one, and who is told.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::dma::locked;

/// Rung by the interrupts of all devices of a driver.
#[derive(Default)]
pub(crate) struct Bell {
    rings: Mutex<u64>,
    rung: Condvar,
    listeners: Mutex<Vec<Listener>>,
}

/// `false`: there is nobody to be told any more.
type Listener = Arc<dyn Fn() -> bool + Send + Sync>;

impl Bell {
    pub(crate) fn ring(&self) {
        *locked(&self.rings) += 1;
        self.rung.notify_all();
        // Told when nothing is locked, since that may lead to another ring.
        let listeners = locked(&self.listeners).clone();
        let is_gone = listeners.iter().filter(|listener| !listener()).count() > 0;
        if is_gone {
            locked(&self.listeners).retain(|listener| listener());
        }
    }

    /// Waits for a ring, but not for long: one may have come just before.
    pub(crate) fn wait(&self) {
        let rings = locked(&self.rings);
        let before = *rings;
        let wait = self.rung.wait_timeout_while(rings, WAIT_MAX, |rings| *rings == before);
        drop(wait.unwrap_or_else(PoisonError::into_inner));
    }

    pub(crate) fn tell(&self, listener: impl Fn() -> bool + Send + Sync + 'static) {
        locked(&self.listeners).push(Arc::new(listener));
    }
}

impl fmt::Debug for Bell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bell").finish_non_exhaustive()
    }
}

/// After that, waiters look for themselves.
const WAIT_MAX: Duration = Duration::from_micros(100);
