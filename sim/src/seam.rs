//! Where a test puts a defect into the stack, to see that a simulation finds it.

use std::fmt::Debug;
use std::sync::Arc;

use acomp_core::Algorithm;
use acomp_iaa::Accel;
use zswap::{Pool, Slot, SwapDevice};

/// What stands between the parts of the stack. Each method leaves the part as it is.
pub trait Seam: Debug + Send + Sync {
    /// One of the driver's algorithms.
    fn algorithm(&self, sound: Arc<dyn Algorithm>, _driver: &Arc<Accel>) -> Arc<dyn Algorithm> {
        sound
    }

    /// The swap device.
    fn disk(&self, sound: Arc<dyn SwapDevice>) -> Arc<dyn SwapDevice> {
        sound
    }

    /// A page is forgotten.
    fn invalidate(&self, pool: &Pool, slot: Slot) {
        pool.invalidate(slot);
    }
}

/// Without a defect.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "there is nothing in it")]
pub struct Sound;

impl Seam for Sound {}
