//! One CPU for one simulation.

use std::io;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Keeps this thread on one of the CPUs that it may use, by its place among them: the pool and the
/// driver have working state of each CPU, so that what goes on depends on whether that changes.
///
/// # Errors
///
/// The system refuses.
pub fn stay_on(nth: usize) -> io::Result<()> {
    let allowed = sched_getaffinity(None)?;
    let count = (allowed.count() as usize).max(1);
    let mut cpus = (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu));
    let cpu = cpus.nth(nth % count).ok_or(io::ErrorKind::NotFound)?;
    let mut cpus = CpuSet::new();
    cpus.set(cpu);
    Ok(sched_setaffinity(None, &cpus)?)
}
