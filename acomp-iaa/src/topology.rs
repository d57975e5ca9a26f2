//! Which queues a CPU submits to: packages, devices and queues as data, and the map made of them.
//!
//! A [`Machine`] comes from a description ([`Machine::from_json`]), from sysfs
//! ([`Machine::from_sysfs`]) or is built in. [`Map::new`] makes a snapshot of it that never
//! changes: whoever distributes jobs holds it in an `Arc`, and another one takes its place as a
//! whole.
//!
//! Devices are mapped by package, never by NUMA node: with sub-NUMA clustering there are more nodes
//! than packages, and some devices would serve everybody and others nobody.

mod cpus;
mod json;
mod map;
mod sysfs;

use std::io;
use std::path::PathBuf;
use std::thread;

pub use cpus::cpu_list;
pub use map::{CpuQueues, Map, Policy, QueueId, QueueKind, Round, Served};

use crate::config::{DeviceConfig, ENGINES, ENTRIES, GROUPS, QUEUES};

/// Packages with their CPUs and devices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "whoever describes a machine names every field")]
pub struct Machine {
    /// In the order of their numbers.
    pub packages: Vec<Package>,
}

/// A package (socket).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "whoever describes a machine names every field")]
pub struct Package {
    /// Logical numbers, ascending. The first thread of each core comes before the second ones, as
    /// servers number them: two CPUs share a core if they are `cpus.len() / threads_per_core`
    /// places apart.
    pub cpus: Vec<usize>,
    /// Logical CPUs per core.
    pub threads_per_core: usize,
    /// In the order of their numbers.
    pub devices: Vec<DeviceConfig>,
}

impl Machine {
    /// One package with as many CPUs as this process may use, one device as
    /// [`DeviceConfig::new`] makes it: what a driver without a configuration works on.
    #[must_use]
    pub fn default_model() -> Self {
        let cpus = thread::available_parallelism().map_or(1, usize::from);
        let package = Package {
            cpus: (0..cpus).collect(),
            threads_per_core: 1,
            devices: vec![DeviceConfig::new(1)],
        };
        Self { packages: vec![package] }
    }

    /// The machine of the published benchmarks: two packages with 56 cores of two threads and with
    /// four devices each, one queue with all entries per device.
    #[must_use]
    pub fn spr() -> Self {
        let package = |package: u32| {
            let first = 56 * package as usize;
            // Accelerators have the odd numbers: the even ones are of another kind of device.
            let number = |device: u32| 8 * package + 2 * device + 1;
            Package {
                cpus: (first..first + 56).chain(first + 112..first + 168).collect(),
                threads_per_core: 2,
                devices: (0..4).map(|device| DeviceConfig::new(number(device))).collect(),
            }
        };
        Self { packages: (0..2).map(package).collect() }
    }

    /// Every device, in the order that [`QueueId::device`] counts in.
    pub fn devices(&self) -> impl Iterator<Item = &DeviceConfig> {
        self.packages.iter().flat_map(|package| &package.devices)
    }

    /// Is it a machine that can be?
    ///
    /// # Errors
    ///
    /// [`TopologyError::Invalid`] names the field.
    pub fn check(&self) -> Result<(), TopologyError> {
        let mut cpus = Vec::new();
        for (p, package) in self.packages.iter().enumerate() {
            package.check(&format!("packages[{p}]"))?;
            cpus.extend(package.cpus.iter().map(|cpu| (cpu, p)));
        }
        cpus.sort_unstable();
        if let Some([(cpu, _), (_, p)]) = cpus.array_windows().find(|[a, b]| a.0 == b.0) {
            return Err(invalid(format!("packages[{p}].cpus"), format!("has CPU {cpu} again")));
        }
        if self.devices().count() > DEVICES {
            return Err(invalid("packages", format!("have more than {DEVICES} devices")));
        }
        let mut names: Vec<_> = self.devices().map(|device| &device.name).collect();
        names.sort_unstable();
        match names.array_windows().find(|[a, b]| a == b) {
            Some([name, _]) => Err(invalid("packages", format!("have two devices `{name}`"))),
            None => Ok(()),
        }
    }
}

impl Package {
    /// Cores, those with an offline thread included.
    fn cores(&self) -> usize {
        self.cpus.len().div_ceil(self.threads_per_core.max(1))
    }

    fn check(&self, at: &str) -> Result<(), TopologyError> {
        if let Some(cpu) = self.cpus.iter().find(|cpu| **cpu >= CPU_NUMBERS) {
            let why = format!("{cpu} is not below {CPU_NUMBERS}");
            return Err(invalid(format!("{at}.cpus"), why));
        }
        if !self.cpus.is_sorted_by(|a, b| a < b) {
            return Err(invalid(format!("{at}.cpus"), "are not in ascending order"));
        }
        in_range(format!("{at}.threads_per_core"), self.threads_per_core, 1, CORE_THREADS)?;
        for (d, device) in self.devices.iter().enumerate() {
            check_device(device, &format!("{at}.devices[{d}]"))?;
        }
        Ok(())
    }
}

fn check_device(device: &DeviceConfig, at: &str) -> Result<(), TopologyError> {
    in_range(format!("{at}.engines"), device.engine_groups.len(), 0, ENGINES)?;
    for (e, group) in device.engine_groups.iter().enumerate() {
        in_range(format!("{at}.engines[{e}]"), *group, 0, GROUPS - 1)?;
    }
    in_range(format!("{at}.queues"), device.queues.len(), 0, QUEUES)?;
    for (q, queue) in device.queues.iter().enumerate() {
        let at = format!("{at}.queues[{q}]");
        in_range(format!("{at}.size"), queue.size, 1, ENTRIES)?;
        in_range(format!("{at}.threshold"), queue.threshold, 0, queue.size)?;
        in_range(format!("{at}.priority"), queue.priority.into(), 1, PRIORITIES)?;
        if !device.engine_groups.contains(&queue.group) {
            let why = format!("no engine of `{}` is in group {}", device.name, queue.group);
            return Err(invalid(format!("{at}.group"), why));
        }
        if device.queues.iter().take(q).any(|other| other.name == queue.name) {
            let why = format!("`{}` has another queue `{}`", device.name, queue.name);
            return Err(invalid(format!("{at}.name"), why));
        }
    }
    let entries = device.queues.iter().map(|queue| queue.size).sum::<usize>();
    if entries > ENTRIES {
        let why = format!("have {entries} entries together, a device has {ENTRIES}");
        return Err(invalid(format!("{at}.queues"), why));
    }
    Ok(())
}

/// Why there is no machine, or no map of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TopologyError {
    /// The description is no JSON.
    #[error("the description of the machine is no JSON: {0}")]
    Syntax(#[source] serde_json::Error),
    /// A field is missing, unknown, or says what cannot be.
    #[error("{field}: {why}")]
    Invalid {
        /// As in `packages[0].devices[1].queues[0].size`.
        field: Box<str>,
        /// What is wrong and what would be right.
        why: Box<str>,
    },
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A CPU would have nowhere to submit to.
    #[error("CPU {cpu} has no queue to {direction}: enable a queue of some device")]
    NoQueue {
        /// Its logical number.
        cpu: usize,
        /// `compress` or `decompress`.
        direction: &'static str,
    },
    /// There is nobody to map.
    #[error("the machine has no CPU: name some in `packages[0].cpus`")]
    NoCpu,
}

fn invalid(field: impl Into<Box<str>>, why: impl Into<Box<str>>) -> TopologyError {
    TopologyError::Invalid { field: field.into(), why: why.into() }
}

fn in_range(field: String, value: usize, from: usize, to: usize) -> Result<(), TopologyError> {
    if (from..=to).contains(&value) {
        return Ok(());
    }
    Err(invalid(field, format!("{value} is not from {from} to {to}")))
}

/// Four bits of a queue's configuration; 0 is none.
const PRIORITIES: usize = 15;
/// Logical numbers are below this: as many CPUs as a kernel for x86-64 can be built for.
const CPU_NUMBERS: usize = 8192;
/// Threads of a core, at most; other architectures have 8.
const CORE_THREADS: usize = 8;
/// Devices of a machine, at most: eight packages' worth.
const DEVICES: usize = 64;
