//! What is simulated, as data: made from a seed, and made smaller when it fails.

use std::fmt;

use acomp_core::Direction;
use acomp_iaa::{DeviceConfig, Fault, FaultPlan, SyncMode, WqConfig};
use acomp_testmgr::Content;
use fastrand::Rng;
use zswap::Load;

/// A whole simulation. The same case always goes the same way.
#[derive(Clone, Debug)]
pub struct Case {
    /// What it was made from, and what is random on its devices.
    pub(crate) seed: u64,
    /// How the stack is built.
    pub(crate) setup: Setup,
    /// What goes wrong on the devices.
    pub(crate) faults: Vec<PlannedFault>,
    /// What is done, in order.
    pub(crate) steps: Vec<Step>,
}

/// How the stack is built.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) sync_mode: SyncMode,
    pub(crate) has_verification: bool,
    pub(crate) quarantine_ns: u64,
    /// Queues of a device that a CPU submits to, and descriptors for one before the next.
    pub(crate) queues_used: usize,
    pub(crate) descriptors_in_a_row: usize,
    /// Compressions and decompressions go to the devices of all packages.
    pub(crate) is_distributed: [bool; 2],
    pub(crate) units: Vec<Unit>,
    pub(crate) compressor: &'static str,
    pub(crate) has_checksums: bool,
    pub(crate) hashes_duplicates: bool,
    pub(crate) blocks: u32,
}

/// A device, and the package that it is in.
#[derive(Clone, Debug)]
pub(crate) struct Unit {
    pub(crate) config: DeviceConfig,
    pub(crate) package: usize,
}

/// Of 10 000 jobs of a device, so many meet a fault.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PlannedFault {
    pub(crate) unit: usize,
    pub(crate) of_10000: u32,
    pub(crate) fault: Fault,
}

/// An operation, and what others do meanwhile: from a turn on, as soon as what is locked there
/// lets them.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// What is done.
    pub(crate) op: Op,
    /// What is done in the middle of it, and from which turn on.
    pub(crate) meanwhile: Vec<(u32, Op)>,
}

/// The content of a page: no two of a case are the same, zeros and the like apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    pub(crate) content: Content,
    pub(crate) seed: u64,
}

/// One operation of one of the tasks, of an operator, or of somebody else on the same devices.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    /// A folio is stored. `is_flipped`: each stream that a device makes of it has a flipped bit.
    Store { task: usize, at: u64, folio: Vec<Kind>, owner: u16, is_flipped: bool },
    /// Pages are loaded.
    Load { task: usize, at: u64, pages: usize, how: Load },
    /// A page is loaded while all blocks of the swap device have a flipped bit.
    LoadDamaged { task: usize, at: u64 },
    /// A page is compared with its duplicate.
    Revalidate { task: usize, at: u64, is_same: bool },
    /// A page is forgotten.
    Invalidate { task: usize, at: u64 },
    /// A parameter is set.
    Set { name: &'static str, value: &'static str },
    /// An owner's limit is set.
    OwnerLimit { owner: u16, bytes: Option<u64> },
    /// An owner's pages may go to the swap device, or not.
    OwnerWriteback { owner: u16, on: bool },
    /// Pages of an owner are written back.
    Shrink { owner: u16, pages: usize },
    /// The pool is maintained.
    Maintain,
    /// The swap device writes so many pages of each batch from now on, and reads or not.
    Disk { writes: usize, reads: bool },
    /// Another session compresses and decompresses in one chain.
    Chain { pages: Vec<Kind>, is_dynamic: bool },
    /// A request is submitted.
    Submit {
        page: Kind,
        direction: Direction,
        is_dynamic: bool,
        is_tight: bool,
        may_backlog: bool,
        is_polled: bool,
    },
    /// A request, of those that are under way, is polled.
    Poll { at: usize },
    /// A request is awaited until a timer is up, which is at once.
    GiveUp { at: usize },
    /// A request is cancelled.
    Cancel { at: usize },
    /// A request is dropped.
    Abandon { at: usize },
    /// Something is begun with a device.
    Control { unit: usize, control: Control },
    /// What was begun with a device, if anything, is polled.
    Continue { at: usize },
    /// A device is driven by somebody else.
    Drive { unit: usize, turns: usize },
}

/// What is done with a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Control {
    /// It is tried, and used again.
    Probe,
    /// It forgets what it has.
    Reset,
    /// It is used no more, when it has done what it has.
    Drain,
    /// It is taken out while it is busy.
    Remove,
    /// If it is gone, another one takes its place.
    Plug,
}

impl Case {
    /// The case of a seed, with so many steps.
    #[must_use]
    pub fn of_seed(seed: u64, steps: usize) -> Self {
        let mut rng = Rng::with_seed(seed);
        let setup = Setup::random(&mut rng);
        let mut faults = Vec::new();
        for unit in 0..setup.units.len() {
            faults.extend(faults_of(unit, setup.has_verification, &mut rng));
        }
        let mut makes = Maker { rng, pages: 0, units: setup.units.len() };
        let steps = (0..steps).map(|_| makes.step(setup.has_verification)).collect();
        Self { seed, setup, faults, steps }
    }

    /// Whether anything goes wrong on its devices.
    #[must_use]
    pub fn has_faults(&self) -> bool {
        !self.faults.is_empty()
    }

    pub(crate) fn plan(&self, unit: usize) -> FaultPlan {
        let plan = FaultPlan::new(self.seed.wrapping_add(unit as u64));
        let faults = self.faults.iter().filter(|fault| fault.unit == unit);
        faults.fold(plan, |plan, planned| plan.often(planned.of_10000, planned.fault))
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, setup, faults, steps } = self;
        writeln!(f, "seed {seed}\n{setup:#?}")?;
        faults.iter().try_for_each(|fault| writeln!(f, "{fault:?}"))?;
        steps.iter().try_for_each(|step| writeln!(f, "{step:?}"))
    }
}

impl Setup {
    fn random(rng: &mut Rng) -> Self {
        let units = (0..rng.u32(1..4)).map(|number| unit(number, rng)).collect();
        // Interrupts are waited for in real time, which is slow where none comes.
        let sync_mode = match rng.u8(..16) {
            0 => SyncMode::AsyncIrq,
            1..6 => SyncMode::Sync,
            _ => SyncMode::Async,
        };
        Self {
            sync_mode,
            has_verification: rng.bool(),
            quarantine_ns: rng.u64(1..1_000_000),
            queues_used: rng.usize(..3),
            descriptors_in_a_row: rng.usize(1..9),
            is_distributed: [rng.bool(), rng.bool()],
            units,
            compressor: COMPRESSORS[rng.usize(..2)],
            has_checksums: rng.bool(),
            hashes_duplicates: rng.bool(),
            blocks: rng.u32(4..64),
        }
    }
}

fn unit(number: u32, rng: &mut Rng) -> Unit {
    let queues = (0..rng.usize(1..4)).map(|_| {
        let size = rng.usize(1..16);
        let config = WqConfig::new(size).with_priority(rng.u8(1..16));
        if rng.bool() { config.shared(rng.usize(..=size)) } else { config }
    });
    let config = DeviceConfig::new(number).with_queues(queues.collect());
    let config = config.with_engines(&[rng.usize(1..5)]);
    let has_header_generation = rng.u8(..4) > 0;
    let config = if has_header_generation { config } else { config.without_header_generation() };
    Unit { config, package: rng.usize(..2) }
}

/// A quarter of the devices is sound.
fn faults_of(unit: usize, has_verification: bool, rng: &mut Rng) -> Vec<PlannedFault> {
    if rng.u8(..4) == 0 {
        return Vec::new();
    }
    let mut plan = FaultPlan::of_seed(rng.u64(..));
    if has_verification && rng.bool() {
        plan = plan.often([10, 100, 1000][rng.usize(..3)], Fault::BadCrc);
    }
    let rates = plan.rates().iter();
    rates
        .map(|(of_10000, fault)| PlannedFault { unit, of_10000: *of_10000, fault: *fault })
        .collect()
}

/// Makes operations up.
struct Maker {
    rng: Rng,
    /// Pages so far, which tells them apart.
    pages: u64,
    units: usize,
}

impl Maker {
    fn step(&mut self, has_verification: bool) -> Step {
        let task = self.rng.usize(..TASKS);
        if has_verification && self.rng.u8(..20) == 0 {
            let op = Op::Store {
                task,
                at: self.rng.u64(..TASK_SLOTS),
                folio: self.folio(),
                owner: self.rng.u16(..OWNERS),
                is_flipped: true,
            };
            return Step { op, meanwhile: Vec::new() };
        }
        if self.rng.u8(..30) == 0 {
            let op = Op::LoadDamaged { task, at: self.rng.u64(..TASK_SLOTS) };
            return Step { op, meanwhile: Vec::new() };
        }
        let op = self.op(task);
        // Each task does one thing at a time.
        let others = self.rng.usize(..TASKS);
        let mut turn = 0;
        let meanwhile = (1..=others).map(|other| {
            turn += self.rng.u32(1..6);
            (turn, self.op_between((task + other) % TASKS))
        });
        Step { op, meanwhile: meanwhile.collect() }
    }

    /// More of what nothing that is locked hinders.
    fn op_between(&mut self, task: usize) -> Op {
        match self.rng.u8(..10) {
            0..2 => Op::Invalidate { task, at: self.rng.u64(..TASK_SLOTS) },
            2 => Op::Chain { pages: self.folio(), is_dynamic: self.rng.bool() },
            3 => self.control(),
            4 => self.param(),
            _ => self.op(task),
        }
    }

    fn op(&mut self, task: usize) -> Op {
        let at = self.rng.u64(..TASK_SLOTS);
        let owner = self.rng.u16(..OWNERS);
        match self.rng.u8(..100) {
            0..25 => Op::Store { task, at, folio: self.folio(), owner, is_flipped: false },
            25..43 => {
                let pages = [1, 1, self.rng.usize(1..10)][self.rng.usize(..3)];
                Op::Load { task, at, pages, how: self.how() }
            }
            43..47 => Op::Revalidate { task, at, is_same: self.rng.bool() },
            47..52 => Op::Invalidate { task, at },
            52..56 => self.param(),
            56 => {
                let bytes = self.rng.bool().then(|| self.rng.u64(..60_000));
                Op::OwnerLimit { owner, bytes }
            }
            57 => Op::OwnerWriteback { owner, on: self.rng.u8(..3) > 0 },
            58..65 => Op::Shrink { owner, pages: self.rng.usize(1..30) },
            65 => Op::Maintain,
            66..68 => {
                let writes = [self.rng.usize(..9), usize::MAX][self.rng.usize(..2)];
                Op::Disk { writes, reads: self.rng.u8(..5) > 0 }
            }
            68..72 => Op::Chain { pages: self.folio(), is_dynamic: self.rng.bool() },
            72..79 => self.submit(),
            79..84 => Op::Poll { at: self.rng.usize(..8) },
            84 => Op::GiveUp { at: self.rng.usize(..8) },
            85 => Op::Cancel { at: self.rng.usize(..8) },
            86 => Op::Abandon { at: self.rng.usize(..8) },
            87..94 => self.control(),
            94..98 => Op::Continue { at: self.rng.usize(..4) },
            _ => Op::Drive { unit: self.rng.usize(..self.units), turns: self.rng.usize(1..300) },
        }
    }

    fn folio(&mut self) -> Vec<Kind> {
        let pages = [1, self.rng.usize(1..9), self.rng.usize(1..20)][self.rng.usize(..3)];
        (0..pages).map(|_| self.kind()).collect()
    }

    fn kind(&mut self) -> Kind {
        self.pages += 1;
        Kind { content: Content::ALL[self.rng.usize(..Content::ALL.len())], seed: self.pages }
    }

    fn how(&mut self) -> Load {
        [Load::Exclusive, Load::Shared, Load::Duplicate][self.rng.usize(..3)]
    }

    fn submit(&mut self) -> Op {
        Op::Submit {
            page: self.kind(),
            direction: [Direction::Compress, Direction::Decompress][self.rng.usize(..2)],
            is_dynamic: self.rng.bool(),
            is_tight: self.rng.u8(..4) == 0,
            may_backlog: self.rng.bool(),
            is_polled: self.rng.bool(),
        }
    }

    fn control(&mut self) -> Op {
        let control = match self.rng.u8(..12) {
            0..3 => Control::Probe,
            3..6 => Control::Reset,
            6..8 => Control::Drain,
            8 => Control::Remove,
            _ => Control::Plug,
        };
        Op::Control { unit: self.rng.usize(..self.units), control }
    }

    fn param(&mut self) -> Op {
        let mut one_of = |name, values: &[&'static str]| Op::Set {
            name,
            value: values[self.rng.usize(..values.len())],
        };
        match one_of("", &["compressor", "max", "accept", "enabled"]) {
            Op::Set { value: "max", .. } => one_of("max_pool_percent", &["0", "10", "20", "100"]),
            Op::Set { value: "accept", .. } => {
                one_of("accept_threshold_percent", &["0", "50", "90", "100"])
            }
            Op::Set { value: "enabled", .. } => one_of("enabled", &["Y", "Y", "Y", "N"]),
            _ => one_of("compressor", COMPRESSORS),
        }
    }
}

impl Op {
    /// What is counted of it.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Store { is_flipped: false, .. } => "store",
            Self::Store { .. } => "store over flipped bits",
            Self::Load { .. } => "load",
            Self::LoadDamaged { .. } => "load of damaged blocks",
            Self::Revalidate { .. } => "revalidate",
            Self::Invalidate { .. } => "invalidate",
            Self::Set { .. } => "set",
            Self::OwnerLimit { .. } => "owner's limit",
            Self::OwnerWriteback { .. } => "owner's writeback",
            Self::Shrink { .. } => "shrink",
            Self::Maintain => "maintain",
            Self::Disk { .. } => "swap device",
            Self::Chain { .. } => "chain",
            Self::Submit { .. } => "submit",
            Self::Poll { .. } => "poll",
            Self::GiveUp { .. } => "give up",
            Self::Cancel { .. } => "cancel",
            Self::Abandon { .. } => "abandon",
            Self::Control { .. } => "control",
            Self::Continue { .. } => "continue",
            Self::Drive { .. } => "drive",
        }
    }
}

/// Who stores and loads, each under slots of his own.
pub(crate) const TASKS: usize = 4;
pub(crate) const TASK_SLOTS: u64 = 24;
/// Also across two partitions of the index, and at its end.
pub(crate) const FIRST_SLOTS: [u64; TASKS] = [0, (1 << 14) - 12, 1 << 40, u64::MAX - 41];
pub(crate) const OWNERS: u16 = 3;
const COMPRESSORS: &[&str] = &["deflate-iaa", "deflate-iaa-dynamic", "lz4", "null", "nope"];
