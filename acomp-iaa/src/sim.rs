//! Stores of folios in virtual time: what a machine would do that is not there.
//!
//! CPUs store folios one after another, in batches of pages. Nothing is compressed: times are
//! parameters, and what remains is who waits for whom. A store does, as the published batches do:
//!
//! 1. The CPU works for every page of the batch (entries, mappings, later the copy into the pool):
//!    [`SimParams::cpu_ns`] each, while the device has nothing of this batch.
//! 2. It submits all pages to the queues that its [`Map`] names, in turn. A queue without a free
//!    descriptor is tried again, [`SimParams::tries`] times; then the CPU compresses that page.
//! 3. An engine takes the page. Engines of a device share its throughput equally, none is faster
//!    than [`SimParams::engine_gb_s`].
//! 4. [`SimParams::fixed_ns`] after the engine is done, the CPU sees it. It polls once everything
//!    is submitted, and goes on with the next batch when it has seen everything.
//!
//! [`published`] compares that with published figures.

mod device;
pub mod published;
mod store;

use crate::topology::{Machine, Map, Policy, TopologyError};

/// Times, rates and sizes. Whoever knows better figures for a machine changes fields.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SimParams {
    /// CPUs that store, those with the logical numbers from 0 on.
    pub cpus: usize,
    /// Pages of a folio, 1 to 512.
    pub folio_pages: usize,
    /// Pages submitted together, 1 to 512. The published driver's 8.
    pub batch_pages: usize,
    /// What a CPU works for a page, in ns.
    pub cpu_ns: f64,
    /// The part of that work, from 0 to 1, that comes between submissions, where the device
    /// already has the pages before. 0: the figures published do not tell them apart.
    pub submit_share: f64,
    /// From submission to the sight of its completion, without the engine's time, in ns.
    pub fixed_ns: f64,
    /// What an engine reads at most, in 10^9 bytes of pages per second.
    pub engine_gb_s: f64,
    /// What the engines of a device read at most together, in the same unit.
    pub device_gb_s: f64,
    /// How often a CPU asks for a descriptor.
    pub tries: u32,
    /// How long one such try takes, in ns.
    pub try_ns: f64,
    /// What a CPU takes to compress a page in software, in ns.
    pub software_ns: f64,
    /// What a CPU does between folios, in ns per page of a folio; each time something between
    /// nothing and twice this.
    pub think_ns: f64,
    /// Virtual time to simulate, in ns, 10 s at most.
    pub duration_ns: f64,
    /// Where randomness starts: when each CPU begins, and how long it is between folios.
    pub seed: u64,
}

impl SimParams {
    /// One CPU, 64 KiB folios, batches of 8 pages; a second of virtual time; public rates of the
    /// device ([`published::Inputs`]) and no CPU work or fixed latency: those come from
    /// [`published::calibrate`].
    #[must_use]
    pub fn new() -> Self {
        let published::Inputs { engine_gb_s, device_gb_s, .. } = published::Inputs::default();
        Self {
            cpus: 1,
            folio_pages: 16,
            batch_pages: 8,
            cpu_ns: 0.0,
            submit_share: 0.0,
            fixed_ns: 0.0,
            engine_gb_s,
            device_gb_s,
            tries: TRIES,
            try_ns: TRY_NS,
            software_ns: SOFTWARE_NS,
            think_ns: 0.0,
            duration_ns: 1e9,
            seed: 1,
        }
    }

    /// What an engine takes for a page that the device does nothing else beside, in ns.
    #[must_use]
    pub fn engine_ns(&self) -> f64 {
        PAGE_BYTES / self.engine_gb_s.min(self.device_gb_s)
    }

    /// Engines of a device that work at full speed at the same time.
    fn parallelism(&self) -> f64 {
        (self.device_gb_s / self.engine_gb_s).max(1.0)
    }

    fn check(&self) -> Result<(), SimError> {
        let counts = [
            ("cpus", self.cpus, CPUS),
            ("folio_pages", self.folio_pages, FOLIO_PAGES_MAX),
            ("batch_pages", self.batch_pages, FOLIO_PAGES_MAX),
        ];
        for (param, value, to) in counts {
            if !(1..=to).contains(&value) {
                return Err(SimError::Param {
                    param,
                    value: value as f64,
                    from: 1.0,
                    to: to as f64,
                });
            }
        }
        let reals = [
            ("cpu_ns", self.cpu_ns, 0.0, DURATION_NS_MAX),
            ("submit_share", self.submit_share, 0.0, 1.0),
            ("fixed_ns", self.fixed_ns, 0.0, DURATION_NS_MAX),
            ("engine_gb_s", self.engine_gb_s, RATE_MIN_BYTES_PER_NS, RATE_MAX_BYTES_PER_NS),
            ("device_gb_s", self.device_gb_s, RATE_MIN_BYTES_PER_NS, RATE_MAX_BYTES_PER_NS),
            ("tries", self.tries.into(), 0.0, 1e9),
            ("try_ns", self.try_ns, 1.0, DURATION_NS_MAX),
            ("software_ns", self.software_ns, 1.0, DURATION_NS_MAX),
            ("think_ns", self.think_ns, 0.0, DURATION_NS_MAX),
            ("duration_ns", self.duration_ns, 1.0, DURATION_NS_MAX),
        ];
        for (param, value, from, to) in reals {
            // Not a number is in no range.
            if !(from..=to).contains(&value) {
                return Err(SimError::Param { param, value, from, to });
            }
        }
        Ok(())
    }
}

impl Default for SimParams {
    fn default() -> Self {
        Self::new()
    }
}

/// How a CPU stores a folio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "what has been published")]
pub enum Mode {
    /// One page after another on the CPU's own device.
    Sequential,
    /// Batches on the CPU's own device.
    Batched,
    /// Batches spread over the devices of the CPU's package.
    Distributed,
}

impl Mode {
    /// All of them, slowest first.
    pub const ALL: [Self; 3] = [Self::Sequential, Self::Batched, Self::Distributed];

    /// Simulates it on a machine; of the policy's kernel defaults only the distribution changes.
    ///
    /// # Errors
    ///
    /// [`SimError::Topology`] if the machine cannot be mapped; see also [`simulate`].
    pub fn simulate(self, machine: &Machine, params: &SimParams) -> Result<SimReport, SimError> {
        let distribute_comps = self == Self::Distributed;
        let map = Map::new(machine, &Policy { distribute_comps, ..Policy::default() })?;
        let batch_pages = if self == Self::Sequential { 1 } else { params.batch_pages };
        simulate(&map, &SimParams { batch_pages, ..params.clone() })
    }

    /// `sequential` and so on.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sequential => "sequential",
            Self::Batched => "batched",
            Self::Distributed => "distributed",
        }
    }
}

/// Simulates CPUs that store folios. Equal arguments give equal reports.
///
/// # Errors
///
/// [`SimError::Param`] if a parameter is out of its range, [`SimError::TooShort`] if no folio was
/// stored within the duration.
pub fn simulate(map: &Map, params: &SimParams) -> Result<SimReport, SimError> {
    params.check()?;
    store::Store::new(map, params).run()
}

/// What was simulated.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SimReport {
    /// What a folio took on average, per page, in ns.
    pub mean_ns: f64,
    /// Half of the folios took at most this per page, in ns.
    pub p50_ns: f64,
    /// 99 % of the folios took at most this per page, in ns.
    pub p99_ns: f64,
    /// Pages that were compressed, in software or by a device.
    pub pages: usize,
    /// Folios that were stored.
    pub folios: usize,
    /// 10^9 bytes of pages per second, of all CPUs together.
    pub gb_s: f64,
    /// Descriptors that were not free when they were first asked for.
    pub waits: usize,
    /// Pages that were compressed in software, since no descriptor became free in time.
    pub fallbacks: usize,
    /// In the order of [`Machine::devices`].
    pub devices: Vec<DeviceReport>,
}

/// What a device did.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct DeviceReport {
    /// Pages that it compressed.
    pub pages: usize,
    /// What it did over what it could have done, from 0 to 1.
    pub utilisation: f64,
    /// What a page took in the device, on average, beyond what it takes alone: waiting for an
    /// engine, and sharing the device with others. In ns.
    pub queueing_ns: f64,
}

/// Why nothing was simulated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SimError {
    /// A parameter is out of its range.
    #[error("{param}: {value} is not from {from} to {to}")]
    Param {
        /// The field of [`SimParams`].
        param: &'static str,
        /// What it is.
        value: f64,
        /// The least it may be.
        from: f64,
        /// The most it may be.
        to: f64,
    },
    /// No folio was stored in time.
    #[error("no folio is stored within {duration_ns} ns: simulate longer")]
    TooShort {
        /// The duration.
        duration_ns: f64,
    },
    /// No CPU work and fixed latency make the model as fast and as slow as two rows are.
    #[error("no CPU work of {from_ns} to {to_ns} ns per page gives {wanted_ns} ns on one device")]
    NoSolution {
        /// The least CPU work per page.
        from_ns: f64,
        /// The most: all that is not the engine's.
        to_ns: f64,
        /// The row.
        wanted_ns: f64,
    },
    /// The machine cannot be mapped.
    #[error(transparent)]
    Topology(#[from] TopologyError),
}

/// As many as the published driver asks for compression.
const TRIES: u32 = 1000;
/// The pause between tries: 140 cycles since Skylake (Intel's optimization manual), at the 2.5 GHz
/// that the published machine was fixed to.
const TRY_NS: f64 = 56.0;
/// The fixed code of `page-codec` over pages of processes (DESIGN.md, "What makes page-codec
/// fast?"). The published driver reports an error instead.
const SOFTWARE_NS: f64 = 5_800.0;
const PAGE_BYTES: f64 = 4096.0;
/// A huge page.
const FOLIO_PAGES_MAX: usize = 512;
/// Submitting CPUs, at most.
const CPUS: usize = 8192;
const DURATION_NS_MAX: f64 = 1e10;
const RATE_MIN_BYTES_PER_NS: f64 = 1e-3;
const RATE_MAX_BYTES_PER_NS: f64 = 1e3;
