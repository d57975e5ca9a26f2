//! The stack, who uses it, and who gets a turn in the middle of what.
//!
//! Everything happens in one thread. Whatever waits for a device drives it, and wherever one is
//! driven, or the swap device is used, somebody else may get a turn: his operation then runs as a
//! whole, in the middle of the other, unless it needs what the other has locked there.

use std::fmt::{self, Write};
use std::hash::{DefaultHasher, Hasher};
use std::mem;
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use acomp_core::{Acomp, AddGuard, Params, Registry};
use acomp_iaa::topology::{Machine, Package};
use acomp_iaa::{Accel, DeflateIaa, Settings};
use zswap::Pool;

use crate::case::{Case, Control, OWNERS, Op, Setup, Step};
use crate::devices::Ram;
use crate::disk::{Disk, ram};
use crate::model::Model;
use crate::outcome::Tally;
use crate::requests::Requests;
use crate::seam::Seam;
use crate::turns::{Place, Turns};
use crate::units::Units;
use crate::violation::{Invariant, Violation, ensure};

/// The stack, and who uses it.
pub(crate) struct World {
    pub(crate) turns: Arc<Turns>,
    pub(crate) accel: Arc<Accel>,
    _added: Vec<AddGuard>,
    pub(crate) seam: Arc<dyn Seam>,
    pub(crate) units: Units,
    pub(crate) disk: Arc<Disk>,
    pub(crate) ram: Arc<Ram>,
    pub(crate) pool: Pool,
    pub(crate) requests: Requests,
    pub(crate) model: Mutex<Model>,
    pub(crate) case: Case,
    frame: Mutex<Frame>,
    violation: Mutex<Option<Violation>>,
    pub(crate) tally: Mutex<Tally>,
    trace: Mutex<Trace>,
}

/// What is locked somewhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Held {
    /// The pool's context.
    pub(crate) context: bool,
    /// The pool's reclaim.
    pub(crate) reclaim: bool,
    /// The driver's requests.
    pub(crate) requests: bool,
}

/// What is done, and what is to be done meanwhile.
#[derive(Debug, Default)]
struct Frame {
    turns: u32,
    meanwhile: Vec<(u32, Op)>,
    /// Where the innermost operation was begun.
    base: Held,
    /// What it locks itself: at devices, and at writes.
    locks: [Held; 2],
}

struct Trace {
    hash: DefaultHasher,
    is_told: bool,
}

impl Held {
    const NOTHING: Self = Self { context: false, reclaim: false, requests: false };

    fn and(self, other: Self) -> Self {
        Self {
            context: self.context || other.context,
            reclaim: self.reclaim || other.reclaim,
            requests: self.requests || other.requests,
        }
    }
}

impl World {
    pub(crate) fn new(
        case: &Case,
        seam: &Arc<dyn Seam>,
        is_told: bool,
    ) -> Result<Arc<Self>, Violation> {
        let failed = |what: &dyn fmt::Display| Invariant::Answer.broken(what.to_string());
        let turns = Arc::new(Turns::default());
        let accel = accel(&case.setup);
        let units = Units::new(case, &accel, &turns)?;
        let registry = Registry::from_entries([]);
        let fixed = DeflateIaa::fixed(&accel).map_err(|error| failed(&error))?;
        let dynamic = DeflateIaa::dynamic(&accel).map_err(|error| failed(&error))?;
        let mut added = Vec::new();
        for algorithm in [Arc::new(fixed), Arc::new(dynamic)] {
            let algorithm = seam.algorithm(algorithm, &accel);
            added.push(registry.add(algorithm).map_err(|error| failed(&error))?);
        }
        for software in ["lz4", "null"] {
            let found = Registry::global().find(software);
            let found = found.map_err(|error| failed(&error))?;
            let algorithm = found.algorithm().map_err(|error| failed(&error))?;
            added.push(registry.add(Arc::clone(algorithm)).map_err(|error| failed(&error))?);
        }
        let disk = Arc::new(Disk::new(&turns));
        let ram = Arc::new(ram(case.setup.blocks, &disk));
        let mut builder = Pool::builder(&registry)
            .compressor(case.setup.compressor)
            .total_bytes(TOTAL_BYTES)
            .reserve_bytes(0)
            .owners(OWNERS)
            .clock(turns.clone())
            .device(seam.disk(ram.clone()));
        if case.setup.has_checksums {
            builder = builder.checksums();
        }
        if case.setup.hashes_duplicates {
            builder = builder.hash_duplicates(case.seed);
        }
        let pool = builder.build().map_err(|error| failed(&error))?;
        let open = |driver| Acomp::alloc_in(&registry, driver, Params::new());
        let drivers = [open("deflate-iaa"), open("deflate-iaa-dynamic")];
        let [Ok(fixed), Ok(dynamic)] = drivers else {
            return Err(failed(&"a driver is not to be had"));
        };
        let requests = Requests::new([fixed, dynamic]).map_err(|error| failed(&error))?;
        let world = Arc::new(Self {
            turns,
            accel,
            _added: added,
            seam: Arc::clone(seam),
            units,
            disk,
            ram,
            pool,
            requests,
            model: Mutex::new(Model::new()),
            case: case.clone(),
            frame: Mutex::default(),
            violation: Mutex::default(),
            tally: Mutex::default(),
            trace: Mutex::new(Trace { hash: DefaultHasher::new(), is_told }),
        });
        world.turns.begin(Arc::downgrade(&world));
        Ok(world)
    }

    /// Does a step, and checks everything that can be checked when nothing goes on.
    pub(crate) fn step(&self, step: &Step) -> Result<(), Violation> {
        let meanwhile = step.meanwhile.clone();
        *locked(&self.frame) = Frame { meanwhile, ..Frame::default() };
        self.execute(&step.op)?;
        // Who had no turn has it now.
        while let Some((_, op)) = { locked(&self.frame).meanwhile.pop() } {
            self.execute(&op)?;
        }
        let turns = locked(&self.frame).turns;
        let mut tally = locked(&self.tally);
        tally.turns_most = tally.turns_most.max(turns);
        drop(tally);
        self.no_violation()?;
        self.look_for_duplicates()?;
        self.check()
    }

    /// Somebody else may do something here.
    pub(crate) fn turn(&self, place: Place) {
        let mut frame = locked(&self.frame);
        frame.turns += 1;
        if frame.turns > TURNS_MAX_OPS {
            drop(frame);
            self.violated(Invariant::Stuck.broken("a step takes too long".to_owned()));
            // Nothing but this ends whoever waits for ever.
            resume_unwind(Box::new("stuck"));
        }
        let [at_device, at_write] = frame.locks;
        let held = frame.base.and(match place {
            Place::Device => at_device,
            Place::Write => at_write,
            Place::Read => Held::NOTHING,
        });
        let turns = frame.turns;
        let is_due = |(turn, op): &(u32, Op)| *turn <= turns && self.may_run(op, held);
        let Some(at) = frame.meanwhile.iter().position(is_due) else { return };
        let (_, op) = frame.meanwhile.remove(at);
        let base = mem::replace(&mut frame.base, held);
        let locks = frame.locks;
        drop(frame);
        locked(&self.tally).in_the_middle += 1;
        if let Err(violation) = self.execute(&op) {
            self.violated(violation);
        }
        let mut frame = locked(&self.frame);
        (frame.base, frame.locks) = (base, locks);
    }

    /// Whether an operation needs nothing that is locked.
    fn may_run(&self, op: &Op, held: Held) -> bool {
        match op {
            Op::Store { owner, .. } => {
                let limit = locked(&self.model).limits.get(usize::from(*owner)).copied().flatten();
                !held.context && (!held.reclaim || limit.is_none())
            }
            Op::Load { .. } | Op::LoadDamaged { .. } | Op::Revalidate { .. } => !held.context,
            Op::Shrink { .. } | Op::Maintain => !held.context && !held.reclaim,
            Op::Set { name: "compressor", .. } => !held.context,
            Op::Submit { .. }
            | Op::Poll { .. }
            | Op::GiveUp { .. }
            | Op::Cancel { .. }
            | Op::Abandon { .. } => !held.requests,
            Op::Set { .. }
            | Op::Invalidate { .. }
            | Op::OwnerLimit { .. }
            | Op::OwnerWriteback { .. }
            | Op::Disk { .. }
            | Op::Chain { .. }
            | Op::Control { .. }
            | Op::Continue { .. }
            | Op::Drive { .. } => true,
        }
    }

    /// What an operation locks while it drives devices, and while it writes to the swap device.
    /// Whoever drives a device may be handed completions there, in the middle of the requests.
    fn locks(&self, op: &Op) -> [Held; 2] {
        let (context, requests) = (true, true);
        let reclaim = match op {
            Op::Store { owner, .. } => {
                locked(&self.model).limits.get(usize::from(*owner)).copied().flatten().is_some()
            }
            Op::Shrink { .. } | Op::Maintain => true,
            Op::Load { .. } | Op::LoadDamaged { .. } | Op::Revalidate { .. } => false,
            _ => return [Held { requests, ..Held::NOTHING }; 2],
        };
        let at_write = Held { reclaim, ..Held::NOTHING };
        [Held { context, reclaim, requests }, at_write]
    }

    fn execute(&self, op: &Op) -> Result<(), Violation> {
        let locks = self.locks(op);
        locked(&self.frame).locks = locks;
        *locked(&self.tally).ops.entry(op.name()).or_default() += 1;
        self.turns.pass();
        match op {
            Op::Store { task, at, folio, owner, is_flipped } => {
                self.store((*task, *at), folio, *owner, *is_flipped)?;
            }
            Op::Load { task, at, pages, how } => self.load((*task, *at), *pages, *how)?,
            Op::LoadDamaged { task, at } => self.load_damaged((*task, *at))?,
            Op::Revalidate { task, at, is_same } => self.revalidate((*task, *at), *is_same)?,
            Op::Invalidate { task, at } => self.invalidate((*task, *at)),
            Op::Set { name, value } => self.set(name, value)?,
            Op::OwnerLimit { owner, bytes } => self.owner_limit(*owner, *bytes),
            Op::OwnerWriteback { owner, on } => self.owner_writeback(*owner, *on),
            Op::Shrink { owner, pages } => self.shrink(*owner, *pages)?,
            Op::Maintain => self.maintain()?,
            Op::Disk { writes, reads } => self.disk.set(*writes, *reads),
            Op::Chain { pages, is_dynamic } => self.chain(pages, *is_dynamic)?,
            Op::Submit { .. } => self.submit(op)?,
            Op::Poll { at } => self.poll(*at)?,
            Op::GiveUp { at } => self.give_up(*at)?,
            Op::Cancel { at } => self.cancel(*at),
            Op::Abandon { at } => self.abandon(*at),
            Op::Control { unit, control } => self.control(*unit, *control)?,
            Op::Continue { at } => self.continue_control(*at)?,
            Op::Drive { unit, turns } => self.drive(*unit, *turns),
        }
        Ok(())
    }

    fn drive(&self, unit: usize, turns: usize) {
        let device = self.units.device(unit);
        let done: usize = (0..turns).map(|_| device.drive(1)).sum();
        self.tell(format_args!("drove unit {unit}: {done} jobs"));
    }

    /// What happened, to be compared with what happens the next time.
    pub(crate) fn tell(&self, what: fmt::Arguments<'_>) {
        let now_us = self.turns.now_ns() / 1000;
        let mut trace = locked(&self.trace);
        let _ = write!(trace, "{now_us} {what}"); // A hash takes everything.
        if trace.is_told {
            println!("{now_us:>9} us  {what}");
        }
    }

    pub(crate) fn trace(&self) -> u64 {
        locked(&self.trace).hash.finish()
    }

    /// Only the first one counts: what comes after may come of it.
    pub(crate) fn violated(&self, violation: Violation) {
        locked(&self.violation).get_or_insert(violation);
    }

    pub(crate) fn no_violation(&self) -> Result<(), Violation> {
        locked(&self.violation).take().map_or(Ok(()), Err)
    }

    /// Everything that was begun ends in time. What was stored is there, and then nothing is.
    pub(crate) fn settle(&self) -> Result<(), Violation> {
        *locked(&self.frame) = Frame::default();
        self.disk.set(usize::MAX, true);
        self.finish_control(false)?;
        self.finish_requests()?;
        self.check()?;
        for unit in 0..self.case.setup.units.len() {
            self.units.mend(unit);
            // A device that a fault has just removed is no more to be mended.
            self.control(unit, Control::Plug)?;
            self.control(unit, Control::Reset)?;
            self.control(unit, Control::Probe)?;
        }
        self.finish_control(true)?;
        self.units.are_well()?;
        self.empty()?;
        self.check()?;
        let outstanding = self.accel.outstanding_descriptors();
        ensure(outstanding == 0, Invariant::Memory, || format!("{outstanding} descriptors are out"))
    }

    /// When all users are gone, the driver holds no memory.
    pub(crate) fn close(self) -> Result<(), Violation> {
        let accel = Arc::clone(&self.accel);
        drop(self);
        accel.unbind_all();
        let leases = accel.dma().leases();
        ensure(leases == 0, Invariant::Memory, || format!("{leases} leases are left"))
    }
}

impl Write for Trace {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.hash.write(text.as_bytes());
        Ok(())
    }
}

fn accel(setup: &Setup) -> Arc<Accel> {
    let mut settings = Settings::default();
    settings.sync_mode = setup.sync_mode;
    settings.verify_compress = setup.has_verification;
    settings.completion_timeout_ns = TIMEOUT_NS;
    settings.quarantine_ns = setup.quarantine_ns;
    settings.policy.g_comp_wqs_per_iaa = setup.queues_used;
    settings.policy.g_consec_descs_per_gwq = setup.descriptors_in_a_row;
    [settings.policy.distribute_comps, settings.policy.distribute_decomps] = setup.is_distributed;
    let package = |cpus| Package { cpus, threads_per_core: 1, devices: Vec::new() };
    // Wherever this thread runs, the seed decides where it submits.
    Accel::on(&Machine { packages: vec![package(vec![0]), package(Vec::new())] }, settings)
}

pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How long a job may take before it is given up.
pub(crate) const TIMEOUT_NS: u64 = 200_000;
/// What the pool may hold, all in all.
pub(crate) const TOTAL_BYTES: u64 = 8 << 20;
/// Microseconds of a step, most of which take less than one in a hundred of it.
const TURNS_MAX_OPS: u32 = 300_000;
