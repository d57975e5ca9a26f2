//! Time, and the places where others get their turn: wherever a device is driven, and where the
//! swap device is about to read or write.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{OnceLock, Weak};

use crate::world::World;

/// Where a turn is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A device is driven.
    Device,
    /// The swap device is about to write.
    Write,
    /// The swap device is about to read.
    Read,
}

/// Time of a simulation, which passes with each turn.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    now_ns: AtomicU64,
    world: OnceLock<Weak<World>>,
}

impl Turns {
    /// From now on, turns are taken in this world.
    pub(crate) fn begin(&self, world: Weak<World>) {
        let _ = self.world.set(world); // There is but one.
    }

    pub(crate) fn now_ns(&self) -> u64 {
        self.now_ns.load(Relaxed)
    }

    /// A microsecond passes.
    pub(crate) fn pass(&self) {
        self.now_ns.fetch_add(TURN_NS, Relaxed);
    }

    pub(crate) fn turn(&self, place: Place) {
        self.pass();
        if let Some(world) = self.world.get().and_then(Weak::upgrade) {
            world.turn(place);
        }
    }
}

impl acomp_iaa::Clock for Turns {
    fn now_ns(&self) -> u64 {
        self.now_ns()
    }

    fn tick(&self) {
        self.turn(Place::Device);
    }
}

impl zswap::Clock for Turns {
    fn now_ns(&self) -> u64 {
        self.now_ns()
    }
}

const TURN_NS: u64 = 1000;
