//! One run of one case: its processes, and what they measured together.

use anyhow::{Context, Result};
use hdrhistogram::Histogram;

use super::case::Backend;
use super::group::{Group, Interrupt};
use super::kernel::{Kernel, Setup};
use super::memory::Stats;
use super::restore::Changes;
use super::worker::{Outcome, Spec, fault_histogram};
use crate::machine::Machine;
use crate::parallel::Span;

/// What a run works with.
#[derive(Debug)]
pub(super) struct Run<'a> {
    pub(super) machine: &'a Machine,
    /// Where the kernel may be set up.
    pub(super) changes: Option<&'a Changes<'a>>,
    pub(super) interrupt: &'a Interrupt,
}

impl Run<'_> {
    pub(super) fn measure(&self, specs: &[Spec]) -> Result<Measured> {
        let kernel = self.kernel(specs)?;
        let procs = kernel.as_ref().map(Kernel::procs);
        let in_cgroup = |spec: &Spec| Spec { cgroup_procs: procs.clone(), ..spec.clone() };
        let specs: Vec<_> = specs.iter().map(in_cgroup).collect();
        // Gone before the kernel is set back.
        let mut group = Group::spawn(&specs, self.interrupt)?;
        let follow = || kernel.as_ref().map_or(Ok(()), Kernel::follow_pool);
        for _made_then_written in 0..2 {
            group.wait(follow)?;
            group.open()?;
        }
        group.wait(follow)?;
        // That the pages are compared is no part of the work.
        let kernel_stats = kernel.as_ref().map(Kernel::stats);
        kernel.as_ref().map_or(Ok(()), Kernel::lift)?;
        group.open()?;
        let outcomes = group.outcomes()?;
        let bytes = specs.iter().map(|spec| spec.wanted.bytes as u64).sum();
        Measured::of(bytes, &outcomes, kernel_stats)
    }

    fn kernel(&self, specs: &[Spec]) -> Result<Option<Kernel<'_>>> {
        let of_kernel = |spec: &&Spec| spec.wanted.case.backend == Backend::Kernel;
        let Some(spec) = specs.first().filter(of_kernel) else { return Ok(None) };
        let wanted = &spec.wanted;
        let changes = self.changes.context("the kernel may not be changed")?;
        let processes = specs.len() as u64;
        let setup = Setup {
            compressor: wanted.case.compressor.as_deref().context("no compressor")?,
            bytes: wanted.bytes as u64 * processes,
            limit_bytes: wanted.limit_bytes * processes,
            pool_limit_bytes: wanted.pool_limit_bytes.map(|bytes| bytes * processes),
            folio_bytes: wanted.folio_bytes,
        };
        Kernel::set_up(self.machine, changes, &setup).map(Some)
    }
}

/// Of all processes together.
#[derive(Debug)]
pub(super) struct Measured {
    /// Of the one that took longest.
    pub(super) init_s: f64,
    pub(super) write_bytes: u64,
    pub(super) write_s: f64,
    pub(super) read_bytes: u64,
    pub(super) read_s: Option<f64>,
    /// In nanoseconds.
    pub(super) faults: Histogram<u64>,
    pub(super) cpu_s: f64,
    pub(super) stats: Stats,
    pub(super) mismatches: u64,
}

impl Measured {
    fn of(write_bytes: u64, outcomes: &[Outcome], kernel: Option<Stats>) -> Result<Self> {
        let mut faults = fault_histogram()?;
        for (ns, count) in outcomes.iter().flat_map(|outcome| &outcome.faults) {
            faults.saturating_record_n(*ns, *count);
        }
        let of_processes = outcomes.iter().map(|outcome| outcome.stats).reduce(Stats::plus);
        let of_processes = of_processes.context("no process")?;
        let stats = match kernel {
            None => of_processes,
            Some(stats) => Stats { resident_bytes: of_processes.resident_bytes, ..stats },
        };
        let write = Span::over(outcomes.iter().map(|outcome| outcome.write));
        let read = Span::over(outcomes.iter().filter_map(|outcome| outcome.read));
        Ok(Self {
            init_s: outcomes.iter().map(|outcome| outcome.init_s).fold(0.0, f64::max),
            write_bytes,
            write_s: write.context("no process")?.seconds(),
            read_bytes: outcomes.iter().map(|outcome| outcome.read_bytes).sum(),
            read_s: read.map(|span| span.seconds()),
            faults,
            cpu_s: outcomes.iter().map(|outcome| outcome.cpu_s).sum(),
            stats,
            mismatches: outcomes.iter().map(|outcome| outcome.mismatches).sum(),
        })
    }

    /// Of the faults, if there were any.
    pub(super) fn fault_us(&self, quantile: f64) -> Option<f64> {
        let ns = self.faults.value_at_quantile(quantile);
        (!self.faults.is_empty()).then_some(ns as f64 / 1000.0)
    }
}
