//! A process of a run: it says when it is at a gate, and waits there for its parent's word.
//!
//! Its last words are its row. Whatever a backend leaves behind ends with it.

use std::fs;
use std::io::{Write, stdin, stdout};
use std::path::PathBuf;
use std::str::FromStr;
use std::thread::sleep;
use std::time::{Duration, Instant};

use acomp::zswap::{PAGE_BYTES, Page};
use anyhow::{Context, Result, ensure};
use hdrhistogram::Histogram;
use rustix::process::{Signal, set_parent_process_death_signal};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use super::accesses::accesses;
use super::case::Pattern;
use super::content::Content;
use super::memory::{self, Stats, Wanted};
use super::workload::Part;
use crate::output::Rows;
use crate::parallel::{Span, timed};

#[derive(clap::Args)]
pub(crate) struct Args {
    spec: Spec,
}

/// What the process has to do, as JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Spec {
    pub(super) wanted: Wanted,
    /// Of the process, from 0.
    pub(super) process: usize,
    pub(super) threads: usize,
    pub(super) bind: Option<usize>,
    pub(super) data: Option<PathBuf>,
    pub(super) pattern: Pattern,
    pub(super) passes: usize,
    pub(super) modify_percent: u8,
    pub(super) hold_s: u64,
    /// To write 0 to before the memory is made.
    pub(super) cgroup_procs: Option<PathBuf>,
}

/// The row of a process.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Outcome {
    pub(super) init_s: f64,
    pub(super) write: Span,
    pub(super) read: Option<Span>,
    pub(super) read_bytes: u64,
    pub(super) cpu_s: f64,
    pub(super) stats: Stats,
    /// Nanoseconds, and how many faults took them.
    pub(super) faults: Vec<(u64, u64)>,
    pub(super) mismatches: u64,
}

pub(crate) fn run(args: &Args) -> Result<Rows> {
    // Nobody else would end it if its parent is killed.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let outcome = args.spec.run()?;
    match serde_json::to_value(outcome)? {
        serde_json::Value::Object(row) => Ok(Rows::new(vec![row])),
        _ => Ok(Rows::default()),
    }
}

impl Spec {
    fn run(&self) -> Result<Outcome> {
        // All that is not the memory is made, and charged, before there is a limit.
        let content = Content::of(self.data.as_deref())?;
        let pages = self.wanted.bytes / PAGE_BYTES;
        let part_pages = pages.div_ceil(self.threads);
        ensure!(part_pages < PAGES_MAX, "a thread can have 8 TiB of memory: take more threads");
        let firsts = (0..pages).step_by(part_pages);
        let parts = firsts.map(|first| self.part(first, part_pages.min(pages - first)));
        let mut parts: Vec<Part> = parts.collect::<Result<_>>()?;
        if let Some(procs) = &self.cgroup_procs {
            fs::write(procs, "0")
                .with_context(|| format!("cannot join the cgroup of {}", procs.display()))?;
        }
        let started = Instant::now();
        let mut memory = memory::open(&self.wanted)?;
        let init_s = started.elapsed().as_secs_f64();

        gate()?;
        let cpu_s = cpu_s();
        let write = self.on_threads(memory.bytes(), part_pages, &mut parts, |part, pages| {
            part.write(&content, pages);
        })?;
        gate()?;
        let read = |part: &mut Part, pages: &mut [Page]| part.read(&content, self.pattern, pages);
        let read = match self.passes {
            0 => None,
            _ => Some(self.on_threads(memory.bytes(), part_pages, &mut parts, read)?),
        };
        let cpu_s = self::cpu_s() - cpu_s;
        let stats = memory.stats()?;
        sleep(Duration::from_secs(self.hold_s));
        gate()?;
        self.on_threads(memory.bytes(), part_pages, &mut parts, |part, pages| {
            part.check(&content, pages);
        })?;
        let faults = parts.iter().flat_map(|part| part.faults.iter_recorded());
        Ok(Outcome {
            init_s,
            write,
            read,
            read_bytes: (self.passes * self.wanted.bytes) as u64,
            cpu_s,
            stats,
            faults: faults.map(|at| (at.value_iterated_to(), at.count_at_value())).collect(),
            mismatches: parts.iter().map(|part| part.mismatches).sum(),
        })
    }

    fn part(&self, first: usize, pages: usize) -> Result<Part> {
        let number = (self.process * (self.wanted.bytes / PAGE_BYTES) + first) as u64;
        let (pattern, passes) = (self.pattern, self.passes);
        let accesses = accesses(pattern, pages, passes, self.modify_percent, number)?;
        let mut faults = fault_histogram()?;
        faults.clear(); // Touches it.
        Ok(Part::new(number, pages, accesses, faults))
    }

    /// Each part on a thread of its own, on the CPU that is its.
    fn on_threads(
        &self,
        memory: &mut [u8],
        part_pages: usize,
        parts: &mut [Part],
        work: impl Fn(&mut Part, &mut [Page]) + Sync,
    ) -> Result<Span> {
        let (pages, _) = memory.as_chunks_mut();
        timed(pages.chunks_mut(part_pages).zip(parts), |i, (pages, part)| {
            if let Some(interval) = self.bind {
                bind((self.process * self.threads + i) * interval)?;
            }
            work(part, pages);
            Ok(())
        })
    }
}

impl FromStr for Spec {
    type Err = serde_json::Error;

    fn from_str(json: &str) -> Result<Self, Self::Err> {
        serde_json::from_str(json)
    }
}

pub(super) fn fault_histogram() -> Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, FAULT_NS_MAX, FAULT_DIGITS)?)
}

/// Waits until all processes are here, too.
fn gate() -> Result<()> {
    let mut out = stdout().lock();
    writeln!(out, "{AT_GATE}").and_then(|()| out.flush()).context("usemem is gone")?;
    let read = stdin().read_line(&mut String::new())?;
    ensure!(read > 0, "usemem is gone");
    Ok(())
}

/// Pins this thread to one of the CPUs that it may use, counting round.
fn bind(number: usize) -> Result<()> {
    let allowed = sched_getaffinity(None)?;
    let cpus: Vec<_> = (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu)).collect();
    let mut only = CpuSet::new();
    only.set(cpus[number % cpus.len()]);
    sched_setaffinity(None, &only).context("cannot pin a thread to its CPU")
}

/// Of this process.
fn cpu_s() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

pub(super) const AT_GATE: &str = "at gate";
/// An access has 31 bits for its page.
const PAGES_MAX: usize = 1 << 31;
const FAULT_NS_MAX: u64 = 60_000_000_000;
/// To one percent.
const FAULT_DIGITS: u8 = 2;
