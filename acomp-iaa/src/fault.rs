//! What goes wrong, as data: which job meets which fault, by a seed.

use std::array;

use fastrand::Rng;

/// What can happen to a job, or to the device while it has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// A page is not there. Without block-on-fault the job ends partially done; with it, it takes
    /// [`PAGE_REQUEST_NS`] longer.
    PageFault,
    /// The device does not understand the stream, as if a distance led too far.
    Analytics,
    /// The output does not fit, whatever there is of room.
    Overflow,
    /// The job takes too long, and the device ends it.
    Watchdog,
    /// The queue refuses, as if it were full.
    QueueFull,
    /// The job is done and nobody is told.
    LostCompletion,
    /// The completion comes twice, the second time after so many nanoseconds.
    DoubleCompletion(u64),
    /// The completion comes so many nanoseconds late, and behind others.
    Delay(u64),
    /// The engine does nothing any more until the device is reset.
    Hang,
    /// The device resets itself: all jobs are lost, and its queues are off.
    Reset,
    /// The job's queue is switched off, and what is in it lost.
    QueueOff,
    /// The device is gone.
    Removed,
    /// The checksum is not that of the data.
    BadCrc,
    /// A bit of the output is not what it should be; the checksum is right.
    FlippedBit,
}

impl Fault {
    /// What it is called, without its time.
    #[must_use]
    pub const fn name(self) -> &'static str {
        NAMES[self.number()]
    }

    const fn number(self) -> usize {
        match self {
            Self::PageFault => 0,
            Self::Analytics => 1,
            Self::Overflow => 2,
            Self::Watchdog => 3,
            Self::QueueFull => 4,
            Self::LostCompletion => 5,
            Self::DoubleCompletion(_) => 6,
            Self::Delay(_) => 7,
            Self::Hang => 8,
            Self::Reset => 9,
            Self::QueueOff => 10,
            Self::Removed => 11,
            Self::BadCrc => 12,
            Self::FlippedBit => 13,
        }
    }
}

/// Which jobs meet which faults.
///
/// ```
/// use acomp_iaa::{Fault, FaultPlan};
///
/// // The tenth job of the device is lost, and one of a thousand is late.
/// let plan = FaultPlan::new(7).at(10, Fault::LostCompletion).often(10, Fault::Delay(50_000));
/// assert_eq!(plan.seed(), 7);
/// ```
#[derive(Clone, Debug, Default)]
pub struct FaultPlan {
    seed: u64,
    at: Vec<(u64, Fault)>,
    often: Vec<(u32, Fault)>,
}

impl FaultPlan {
    /// A plan without faults; the seed is for what else is random on the device.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { seed, ..Self::default() }
    }

    /// The job of this number, from 0 in the order in which engines take them, meets `fault`; of
    /// [`Fault::QueueFull`], the descriptor of this number in the order in which they are written.
    #[must_use]
    pub fn at(mut self, job: u64, fault: Fault) -> Self {
        self.at.push((job, fault));
        self
    }

    /// Of 10 000 jobs that meet no fault named before, so many meet `fault`.
    #[must_use]
    pub fn often(mut self, of_10000: u32, fault: Fault) -> Self {
        self.often.push((of_10000, fault));
        self
    }

    /// A plan of what can go wrong without making a wrong page look right, rarely or often, by the
    /// seed.
    #[must_use]
    pub fn of_seed(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let faults = [
            Fault::PageFault,
            Fault::Analytics,
            Fault::Overflow,
            Fault::Watchdog,
            Fault::QueueFull,
            Fault::LostCompletion,
            Fault::DoubleCompletion(rng.u64(0..500_000)),
            Fault::Delay(rng.u64(0..500_000)),
            Fault::Hang,
            Fault::Reset,
            Fault::QueueOff,
            Fault::Removed,
        ];
        let mut plan = Self::new(seed);
        for fault in faults {
            if rng.bool() {
                let of_10000 = [1, 10, 100, 1000][rng.usize(..4)];
                // What ends a device ends the test of it: rarely.
                let is_final = matches!(fault, Fault::Removed | Fault::Reset | Fault::Hang);
                plan = plan.often(if is_final { of_10000.min(10) } else { of_10000 }, fault);
            }
        }
        plan
    }

    /// What was said by [`often`](Self::often).
    #[must_use]
    pub fn rates(&self) -> &[(u32, Fault)] {
        &self.often
    }

    /// The seed.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.at.is_empty() && self.often.is_empty()
    }
}

/// A plan that is carried out.
#[derive(Debug)]
pub(crate) struct Faults {
    plan: FaultPlan,
    rng: Rng,
    jobs: u64,
    writes: u64,
    /// How often each was met, under all plans.
    met: [u64; FAULTS],
}

impl Faults {
    pub(crate) fn new(plan: FaultPlan) -> Self {
        let rng = Rng::with_seed(plan.seed);
        Self { plan, rng, jobs: 0, writes: 0, met: [0; FAULTS] }
    }

    /// Carries out another plan from now on.
    pub(crate) fn follow(&mut self, plan: FaultPlan) {
        *self = Self { met: self.met, ..Self::new(plan) };
    }

    pub(crate) fn met(&self) -> [(&'static str, u64); FAULTS] {
        array::from_fn(|number| (NAMES[number], self.met[number]))
    }

    /// Does the queue refuse the next descriptor?
    pub(crate) fn refuses(&mut self) -> bool {
        let refuses = self.refuses_next();
        self.met[Fault::QueueFull.number()] += u64::from(refuses);
        refuses
    }

    fn refuses_next(&mut self) -> bool {
        let writes = self.writes;
        self.writes += 1;
        let is_at =
            |(number, fault): &(u64, Fault)| *number == writes && *fault == Fault::QueueFull;
        let mut often = self.plan.often.iter().filter(|(_, fault)| *fault == Fault::QueueFull);
        self.plan.at.iter().any(is_at) || often.any(|(rate, _)| self.rng.u32(..10_000) < *rate)
    }

    /// What the next job meets.
    pub(crate) fn next(&mut self) -> Option<Fault> {
        let fault = self.fault_of_next()?;
        self.met[fault.number()] += 1;
        Some(fault)
    }

    fn fault_of_next(&mut self) -> Option<Fault> {
        let job = self.jobs;
        self.jobs += 1;
        let is_met = |fault: &Fault| *fault != Fault::QueueFull;
        let mut at = self.plan.at.iter().filter(|(_, fault)| is_met(fault));
        let at = at.find(|(number, _)| *number == job);
        if let Some((_, fault)) = at {
            return Some(*fault);
        }
        let mut often = self.plan.often.iter().filter(|(_, fault)| is_met(fault));
        let found = often.find(|(of_10000, _)| self.rng.u32(..10_000) < *of_10000);
        found.map(|(_, fault)| *fault)
    }

    /// A byte of so many, and a bit of it.
    pub(crate) fn place(&mut self, bytes: usize) -> (usize, u8) {
        (self.rng.usize(..bytes), self.rng.u8(..8))
    }
}

/// How many faults there are.
pub(crate) const FAULTS: usize = NAMES.len();
const NAMES: [&str; 14] = [
    "page fault",
    "analytics error",
    "overflow",
    "watchdog",
    "queue full",
    "lost completion",
    "double completion",
    "delay",
    "hang",
    "reset",
    "queue off",
    "removed",
    "bad checksum",
    "flipped bit",
];
/// How long a page takes that has to be fetched (measured under emulation: 9 us on average).
pub const PAGE_REQUEST_NS: u64 = 9000;
