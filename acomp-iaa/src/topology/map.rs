//! The map from CPUs to queues.

use std::fmt;
use std::ops::Range;

use acomp_core::Direction;

use super::{Machine, Package, TopologyError, cpu_list, invalid};
use crate::config::DeviceConfig;

/// How queues are shared out. The fields have the names and defaults of the kernel's attributes
/// (`/sys/bus/dsa/drivers/crypto/`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Policy {
    /// Queues of a device that only compress, if it has more than these; its others then only
    /// decompress. All queues of a device do both if it has no more, or if this is 0. Default 1.
    pub g_comp_wqs_per_iaa: usize,
    /// Descriptors in a row that go to one queue of the package, before the next one's turn.
    /// Default 1.
    pub g_consec_descs_per_gwq: usize,
    /// Compress on all devices of the package, not on the CPU's own alone. Default on.
    pub distribute_comps: bool,
    /// The same for decompression. Default off.
    pub distribute_decomps: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            g_comp_wqs_per_iaa: 1,
            g_consec_descs_per_gwq: 1,
            distribute_comps: true,
            distribute_decomps: false,
        }
    }
}

/// A queue of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_structs, reason = "two indices are all there is")]
pub struct QueueId {
    /// Its device, counted over all packages ([`Machine::devices`]).
    pub device: usize,
    /// Its place in [`DeviceConfig::queues`].
    pub queue: usize,
}

/// What a queue takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "there are two directions")]
pub enum QueueKind {
    /// Compressions only.
    Compress,
    /// Decompressions only.
    Decompress,
    /// Both.
    Generic,
}

/// Where each CPU of a machine submits to: a snapshot.
///
/// Queues stand once, in the order of the devices: a package and a device are ranges of that table,
/// and a CPU is the number of its device.
#[derive(Clone, Debug)]
pub struct Map {
    machine: Machine,
    kinds: Vec<Vec<QueueKind>>,
    compress: Vec<QueueId>,
    decompress: Vec<QueueId>,
    homes: Vec<Home>,
    /// The device of each CPU that is named, ascending.
    devices: Vec<(usize, usize)>,
    /// The same for all numbers up to the largest, those between included.
    device_of: Vec<usize>,
}

/// What the CPUs of a device use.
#[derive(Clone, Debug, Default)]
struct Home {
    package: usize,
    compress: Turn,
    decompress: Turn,
}

/// A range of a table and how to go around in it.
#[derive(Clone, Debug, Default)]
struct Turn {
    range: Range<usize>,
    start: usize,
    run: usize,
}

/// The queues of a CPU.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct CpuQueues<'m> {
    /// The CPU's own device, counted over all packages.
    pub device: usize,
    /// Where compressions go.
    pub compress: Round<'m>,
    /// Where decompressions go.
    pub decompress: Round<'m>,
}

/// Queues in turn.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Round<'m> {
    /// Not empty.
    pub queues: &'m [QueueId],
    /// The place in `queues` of the first descriptor, so that CPUs start at their own devices.
    pub start: usize,
    /// Descriptors in a row for one queue, at least 1.
    pub run: usize,
}

/// A device, and whom it serves as their own.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Served<'m> {
    /// The place of its package in [`Machine::packages`].
    pub package: usize,
    /// The device.
    pub device: &'m DeviceConfig,
    /// What each of its queues takes.
    pub kinds: &'m [QueueKind],
    /// The CPUs whose own device it is, ascending.
    pub cpus: Vec<usize>,
}

impl Map {
    /// Maps a machine.
    ///
    /// A package's devices get its cores in equal parts, in order: CPU 0 to 13 and their second
    /// threads use the first of four devices for 56 cores. Where cores do not divide evenly, parts
    /// differ by one core. A device without queues serves nobody; CPUs of a package without any
    /// other use the devices of all packages.
    ///
    /// # Errors
    ///
    /// [`TopologyError::NoQueue`] if there is a CPU with nothing to submit to, and
    /// [`TopologyError::Invalid`] if the machine or the policy makes no sense.
    pub fn new(machine: &Machine, policy: &Policy) -> Result<Self, TopologyError> {
        machine.check()?;
        if policy.g_consec_descs_per_gwq == 0 {
            return Err(invalid("g_consec_descs_per_gwq", "0 is not at least 1"));
        }
        let kinds = machine.devices().map(|device| kinds(device.queues.len(), policy)).collect();
        let mut map = Self {
            machine: machine.clone(),
            kinds,
            compress: Vec::new(),
            decompress: Vec::new(),
            homes: Vec::new(),
            devices: Vec::new(),
            device_of: Vec::new(),
        };
        map.list_queues(policy);
        map.assign_cpus();
        map.check()?;
        Ok(map)
    }

    /// The queues of a CPU. One that the machine does not name is served like one that it does.
    #[must_use]
    pub fn cpu(&self, cpu: usize) -> CpuQueues<'_> {
        let device = self.device_of[cpu % self.device_of.len()];
        let Home { compress, decompress, .. } = &self.homes[device];
        CpuQueues {
            device,
            compress: compress.round(&self.compress),
            decompress: decompress.round(&self.decompress),
        }
    }

    /// What was mapped.
    #[must_use]
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// The devices in their order.
    pub fn served(&self) -> impl Iterator<Item = Served<'_>> {
        let devices = self.machine.devices().zip(&self.kinds).zip(&self.homes).enumerate();
        devices.map(|(index, ((device, kinds), home))| {
            let own = self.devices.iter().filter(move |(_, device)| *device == index);
            Served {
                package: home.package,
                device,
                kinds,
                cpus: own.map(|(cpu, _)| *cpu).collect(),
            }
        })
    }

    /// Fills both tables, and lets each device know its part or its package's part of them.
    fn list_queues(&mut self, policy: &Policy) {
        let run = policy.g_consec_descs_per_gwq;
        for (p, package) in self.machine.packages.iter().enumerate() {
            let (compress_from, decompress_from) = (self.compress.len(), self.decompress.len());
            let first = self.homes.len();
            for _ in &package.devices {
                let device = self.homes.len();
                let compress = add(&mut self.compress, device, &self.kinds, QueueKind::Compress);
                let decompress =
                    add(&mut self.decompress, device, &self.kinds, QueueKind::Decompress);
                self.homes.push(Home {
                    package: p,
                    compress: Turn { range: compress, start: 0, run: 1 },
                    decompress: Turn { range: decompress, start: 0, run: 1 },
                });
            }
            for home in &mut self.homes[first..] {
                if policy.distribute_comps {
                    home.compress.widen(compress_from..self.compress.len(), run);
                }
                if policy.distribute_decomps {
                    home.decompress.widen(decompress_from..self.decompress.len(), run);
                }
            }
        }
    }

    fn assign_cpus(&mut self) {
        let has_queues = |device: &usize| !self.kinds[*device].is_empty();
        let all: Vec<usize> = (0..self.homes.len()).filter(has_queues).collect();
        for (p, package) in self.machine.packages.iter().enumerate() {
            let own: Vec<usize> =
                all.iter().copied().filter(|device| self.homes[*device].package == p).collect();
            let devices = if own.is_empty() { &all } else { &own };
            let cpus = package.cpus.iter().enumerate();
            self.devices.extend(
                cpus.filter_map(|(place, cpu)| Some((*cpu, part(package, place, devices)?))),
            );
        }
        self.devices.sort_unstable();
        let named = &self.devices;
        let numbers = named.last().map_or(0, |(last, _)| last + 1);
        self.device_of = (0..numbers)
            .map(|cpu| match named.binary_search_by_key(&cpu, |(named, _)| *named) {
                Ok(place) => named[place].1,
                Err(_) => named[cpu % named.len()].1,
            })
            .collect();
    }

    /// Looks at every CPU: one without a queue would be found out by its first page otherwise.
    fn check(&self) -> Result<(), TopologyError> {
        let mut cpus = self.machine.packages.iter().flat_map(|package| &package.cpus).peekable();
        if cpus.peek().is_none() {
            return Err(TopologyError::NoCpu);
        }
        for cpu in cpus {
            let place = self.devices.binary_search_by_key(cpu, |(named, _)| *named);
            let home = place.ok().map(|place| &self.homes[self.devices[place].1]);
            let lacks = |turn: Option<&Turn>| turn.is_none_or(|turn| turn.range.is_empty());
            for (direction, turn) in [
                ("compress", home.map(|home| &home.compress)),
                ("decompress", home.map(|home| &home.decompress)),
            ] {
                if lacks(turn) {
                    return Err(TopologyError::NoQueue { cpu: *cpu, direction });
                }
            }
        }
        Ok(())
    }
}

/// Draws which CPUs each device serves, its queues and their kinds.
impl fmt::Display for Map {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let served: Vec<_> = self.served().collect();
        for (p, package) in self.machine.packages.iter().enumerate() {
            writeln!(f, "package {p}: CPUs {}", cpu_list(&package.cpus))?;
            for Served { device, kinds, cpus, .. } in served.iter().filter(|s| s.package == p) {
                let engines = device.engine_groups.len();
                let cpus = if cpus.is_empty() { "none".into() } else { cpu_list(cpus) };
                writeln!(f, "  {}: {engines} engines, CPUs {cpus}", device.name)?;
                for (queue, kind) in device.queues.iter().zip(*kinds) {
                    let (name, size, priority) = (&queue.name, queue.size, queue.priority);
                    let mode = queue.mode;
                    writeln!(f, "    {name}: {size} {mode}, priority {priority}, {kind}")?;
                }
            }
        }
        Ok(())
    }
}

impl<'m> CpuQueues<'m> {
    /// Where the CPU's jobs of this direction go.
    #[inline]
    #[must_use]
    pub fn round(&self, direction: Direction) -> Round<'m> {
        match direction {
            Direction::Compress => self.compress,
            Direction::Decompress => self.decompress,
        }
    }
}

impl Round<'_> {
    /// Where the CPU's job number `count` goes.
    #[inline]
    #[must_use]
    pub fn queue(&self, count: usize) -> QueueId {
        let place = self.start.wrapping_add(count / self.run);
        self.queues[place % self.queues.len()]
    }
}

impl fmt::Display for QueueKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Compress => "compress",
            Self::Decompress => "decompress",
            Self::Generic => "generic",
        })
    }
}

impl Turn {
    fn round<'m>(&self, table: &'m [QueueId]) -> Round<'m> {
        Round { queues: &table[self.range.clone()], start: self.start, run: self.run }
    }

    /// Takes a whole package, from the device's own part on.
    fn widen(&mut self, package: Range<usize>, run: usize) {
        *self = Self { start: self.range.start - package.start, range: package, run };
    }
}

/// The kinds of a device's queues: the last ones compress.
fn kinds(queues: usize, policy: &Policy) -> Vec<QueueKind> {
    let compressing = policy.g_comp_wqs_per_iaa;
    let is_split = (1..queues).contains(&compressing);
    let kind = |queue| match (is_split, queue + compressing >= queues) {
        (false, _) => QueueKind::Generic,
        (true, true) => QueueKind::Compress,
        (true, false) => QueueKind::Decompress,
    };
    (0..queues).map(kind).collect()
}

/// Adds the queues of a device that take `wanted`.
fn add(
    table: &mut Vec<QueueId>,
    device: usize,
    kinds: &[Vec<QueueKind>],
    wanted: QueueKind,
) -> Range<usize> {
    let from = table.len();
    let takes = |kind: QueueKind| kind == wanted || kind == QueueKind::Generic;
    let kinds = kinds[device].iter().enumerate();
    table.extend(
        kinds.filter(|(_, kind)| takes(**kind)).map(|(queue, _)| QueueId { device, queue }),
    );
    from..table.len()
}

/// Which of `devices` the CPU at `place` in its package gets.
///
/// The published driver divides by the cores per device, rounded down, and gives the cores that are
/// left to the last device. This is the same where cores divide evenly, and fair where not.
fn part(package: &Package, place: usize, devices: &[usize]) -> Option<usize> {
    let cores = package.cores();
    devices.get(place % cores * devices.len() / cores).copied()
}
