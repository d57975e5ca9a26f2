//! What came of simulations.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::case::Case;
use crate::seam::Seam;
use crate::violation::{Invariant, Violation};
use crate::world::{World, locked};

/// What happened, in one simulation or in many.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tally {
    /// Operations by their name.
    pub ops: BTreeMap<&'static str, u64>,
    /// How many of them were done in the middle of another one.
    pub in_the_middle: u64,
    /// Faults by their name.
    pub faults: BTreeMap<&'static str, u64>,
    /// Events that pool and driver counted.
    pub events: BTreeMap<&'static str, u64>,
    /// Microseconds that the longest step took.
    pub turns_most: u32,
}

/// What came of a simulation.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Outcome {
    /// Of everything that happened, and when.
    pub trace: u64,
    /// What happened.
    pub tally: Tally,
    /// What must not be.
    pub violation: Option<Violation>,
}

impl Tally {
    /// Adds another one.
    pub fn add(&mut self, other: &Self) {
        self.in_the_middle += other.in_the_middle;
        self.turns_most = self.turns_most.max(other.turns_most);
        for (sums, counts) in [
            (&mut self.ops, &other.ops),
            (&mut self.faults, &other.faults),
            (&mut self.events, &other.events),
        ] {
            counts.iter().for_each(|(name, count)| *sums.entry(name).or_default() += count);
        }
    }
}

/// Simulates a case; `is_told`: what happens is printed.
#[must_use]
pub fn simulate(case: &Case, seam: &Arc<dyn Seam>, is_told: bool) -> Outcome {
    let mut outcome = Outcome { trace: 0, tally: Tally::default(), violation: None };
    let ended = catch_unwind(AssertUnwindSafe(|| run(case, seam, is_told, &mut outcome)));
    let panicked = || Err(Invariant::Panic.broken("something panicked".to_owned()));
    let ended = ended.unwrap_or_else(|_| panicked());
    outcome.violation = outcome.violation.take().or(ended.err());
    outcome
}

fn run(
    case: &Case,
    seam: &Arc<dyn Seam>,
    is_told: bool,
    outcome: &mut Outcome,
) -> Result<(), Violation> {
    let world = World::new(case, seam, is_told)?;
    let ran = catch_unwind(AssertUnwindSafe(|| {
        case.steps.iter().try_for_each(|step| world.step(step))?;
        world.settle()
    }));
    world.count();
    outcome.trace = world.trace();
    outcome.tally = locked(&world.tally).clone();
    // What was seen first is the cause.
    world.no_violation()?;
    match ran {
        Ok(ran) => ran?,
        Err(_) => return Err(Invariant::Panic.broken("something panicked".to_owned())),
    }
    let world = Arc::into_inner(world);
    let world = world.ok_or_else(|| Invariant::Memory.broken("the stack is held".to_owned()));
    world?.close()
}

impl World {
    /// What happened goes into the tally, and into the trace.
    fn count(&self) {
        let pool = self.pool.counters();
        let driver = self.accel.stats();
        let mut tally = locked(&self.tally);
        tally.events.extend(pool.table());
        tally.events.extend(driver.rows());
        for device in self.units.devices() {
            for (name, count) in device.faults_met() {
                *tally.faults.entry(name).or_default() += count;
            }
        }
        tally.faults.insert("swap device did not read", self.disk.read_failures.load(Relaxed));
        tally.faults.insert("swap device did not write", self.disk.write_failures.load(Relaxed));
        tally.faults.insert("swap device read damage", pool.checksum_fail);
        let told = tally.clone();
        drop(tally);
        self.tell(format_args!("{told:?}"));
    }
}
