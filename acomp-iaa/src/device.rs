//! A device: queues and engines in groups, who runs its jobs, and what goes wrong.
//!
//! Nobody in particular runs a device. Whoever waits for it [drives](Device::drive) it, and
//! [`EngineThreads`](crate::EngineThreads) do where there are any: each call takes jobs from the
//! queues for engines that are idle. So a device without threads costs nothing, and a step of a
//! simulation is a call.

use std::cmp::Reverse;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, TryLockError};

use rustix::thread::sched_getcpu;

use crate::clock::Clock;
use crate::completion::{AnalyticsError, CompletionRecord, Status};
use crate::config::DeviceConfig;
use crate::desc::{CompressFlags, Descriptor, Flags, Operation};
use crate::dma::{Dma, Lease, locked};
use crate::engine::{Engine, broken, failed, page_fault, unsupported};
use crate::fault::{FAULTS, Fault, FaultPlan, Faults, PAGE_REQUEST_NS};
use crate::stats::{JobKind, Jobs};
use crate::threads::Alarm;
use crate::wq::{WorkQueue, Written, kind};

/// A device in software.
///
/// A client leases memory, writes a descriptor to a queue, and polls the record; here he drives the
/// device himself.
///
/// ```
/// use acomp_iaa::completion::Status;
/// use acomp_iaa::desc::{CompressFlags, DecompressFlags, Descriptor, Flags, Operation};
/// use acomp_iaa::{Device, DeviceConfig, Dma, FaultPlan, RealClock, Written};
/// use std::sync::Arc;
///
/// let dma = Dma::new();
/// let config = DeviceConfig::new(1);
/// let device = Device::new(config, dma.clone(), Arc::new(RealClock::new()), FaultPlan::new(0));
/// let [page, stream, copy] = [4096, 4096, 4096].map(|bytes| dma.lease(bytes).unwrap());
/// page.write().fill(b'x');
///
/// let compress = Descriptor {
///     flags: Flags::COMPLETION_VALID | Flags::REQUEST_COMPLETION,
///     operation: Operation::Compress(
///         CompressFlags::FLUSH_OUTPUT
///             | CompressFlags::APPEND_END_OF_BLOCK
///             | CompressFlags::GENERATE_HEADER_ONE_PASS,
///     ),
///     completion: stream.record_address(),
///     src1: page.address(0),
///     src1_bytes: 4096,
///     dst: stream.address(0),
///     dst_bytes_max: 4096,
///     ..Descriptor::default()
/// };
/// assert_eq!(device.submit(0, &compress.encode()), Written::Accepted);
/// device.drive(1);
/// let compressed = stream.completion().unwrap();
/// assert_eq!(compressed.status, Status::SUCCESS);
///
/// let decompress = Descriptor {
///     operation: Operation::Decompress(DecompressFlags::ENABLE),
///     completion: copy.record_address(),
///     src1: stream.address(0),
///     src1_bytes: compressed.output_bytes,
///     dst: copy.address(0),
///     ..compress
/// };
/// assert_eq!(device.submit(0, &decompress.encode()), Written::Accepted);
/// device.drive(1);
/// assert_eq!(copy.completion().unwrap().output_bytes, 4096);
/// assert_eq!(*copy.read(), *page.read());
/// ```
pub struct Device {
    config: DeviceConfig,
    dma: Arc<Dma>,
    clock: Arc<dyn Clock>,
    queues: Box<[WorkQueue]>,
    /// The queues' numbers, highest priority first; of equal priority, the lowest number.
    by_priority: Box<[usize]>,
    engines: Box<[EnginePlace]>,
    is_gone: AtomicBool,
    /// Held while all queues are switched.
    switching: Mutex<()>,
    /// Counts the resets: what was begun before one is not reported.
    resets: AtomicU64,
    /// Counts the moments from which on nothing of what was before goes on: resets, and drains.
    epoch: AtomicU64,
    /// What nobody waits for any more, and jobs may still write to.
    kept: Mutex<Vec<Kept>>,
    kept_len: AtomicUsize,
    has_faults: AtomicBool,
    faults: Mutex<Faults>,
    held: Mutex<Vec<Held>>,
    held_len: AtomicUsize,
    lost: AtomicU64,
    unreported: AtomicU64,
    alarm: OnceLock<Arc<Alarm>>,
    /// Where the last descriptor came from.
    submitting_cpu: AtomicUsize,
    handlers: Mutex<Vec<Handler>>,
}

/// Called with the interrupt of a completion.
pub(crate) type Handler = Arc<dyn Fn() + Send + Sync>;

struct EnginePlace {
    group: usize,
    is_hung: AtomicBool,
    state: Mutex<Engine>,
}

/// Where a job came from.
#[derive(Clone, Copy)]
struct Origin {
    queue: usize,
    kind: JobKind,
    /// Of the device, when an engine took it.
    resets: u64,
}

/// A completion that comes later.
struct Held {
    due_ns: u64,
    origin: Origin,
    /// Counts for the queue's running jobs.
    is_first: bool,
    report: Report,
}

/// A lease, until its completion has come or the epoch is over.
struct Kept {
    lease: Lease,
    epoch: u64,
    put: Box<dyn FnOnce() + Send>,
}

/// What is to be told, where, and how.
#[derive(Clone, Copy)]
struct Report {
    /// Where, if anywhere.
    completion: Option<u64>,
    interrupt: Option<u16>,
    record: CompletionRecord,
}

impl Device {
    /// A device that meets the faults of `plan`.
    #[must_use]
    pub fn new(
        config: DeviceConfig,
        dma: Arc<Dma>,
        clock: Arc<dyn Clock>,
        plan: FaultPlan,
    ) -> Arc<Self> {
        let engines = config.engine_groups.iter().map(|group| EnginePlace {
            group: *group,
            is_hung: AtomicBool::new(false),
            state: Mutex::new(Engine::new()),
        });
        let mut queues: Vec<_> = config.queues.iter().enumerate().collect();
        queues.sort_by_key(|(_, queue)| Reverse(queue.priority));
        let by_priority = queues.into_iter().map(|(at, _)| at).collect();
        Arc::new(Self {
            by_priority,
            queues: config.queues.iter().cloned().map(WorkQueue::new).collect(),
            engines: engines.collect(),
            config,
            dma,
            clock,
            is_gone: AtomicBool::new(false),
            switching: Mutex::new(()),
            resets: AtomicU64::new(0),
            epoch: AtomicU64::new(0),
            kept: Mutex::default(),
            kept_len: AtomicUsize::new(0),
            has_faults: AtomicBool::new(!plan.is_empty()),
            faults: Mutex::new(Faults::new(plan)),
            held: Mutex::default(),
            held_len: AtomicUsize::new(0),
            lost: AtomicU64::new(0),
            unreported: AtomicU64::new(0),
            alarm: OnceLock::new(),
            submitting_cpu: AtomicUsize::new(usize::MAX),
            handlers: Mutex::default(),
        })
    }

    /// What it is made of.
    #[must_use]
    pub fn config(&self) -> &DeviceConfig {
        &self.config
    }

    /// Descriptors that were written to a dedicated queue that was full or off: the software error
    /// register of the device.
    #[must_use]
    pub fn lost_descriptors(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Completions whose address led nowhere, and failures that had no address: the rest of the
    /// software error register.
    #[must_use]
    pub fn unreported_completions(&self) -> u64 {
        self.unreported.load(Ordering::Relaxed)
    }

    /// What became of the jobs of a kind.
    #[must_use]
    pub fn jobs(&self, kind: JobKind) -> Jobs {
        let mut sum = Jobs::default();
        let jobs = self.queues.iter().filter_map(|queue| queue.jobs().get(kind as usize).copied());
        jobs.for_each(|jobs| sum.add(jobs));
        sum
    }

    /// How many jobs and descriptors met each fault so far, by [`Fault::name`].
    #[must_use]
    pub fn faults_met(&self) -> [(&'static str, u64); FAULTS] {
        locked(&self.faults).met()
    }

    /// Whether it was removed.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.is_gone.load(Ordering::Acquire)
    }

    /// How often it was reset.
    #[must_use]
    pub fn resets(&self) -> u64 {
        self.resets.load(Ordering::Acquire)
    }

    /// Whether this queue takes descriptors.
    #[must_use]
    pub fn is_queue_on(&self, queue: usize) -> bool {
        self.queues.get(queue).is_some_and(WorkQueue::is_on) && !self.is_gone()
    }

    /// Meets the faults of `plan` from now on, whose jobs are counted from here.
    pub fn set_faults(&self, plan: FaultPlan) {
        let mut faults = locked(&self.faults);
        self.has_faults.store(!plan.is_empty(), Ordering::Relaxed);
        faults.follow(plan);
    }

    /// Writes a descriptor to the portal of a queue. What becomes of it stands in its completion
    /// record, once an engine has taken it: see [`Self::drive`].
    pub fn submit(&self, queue: usize, descriptor: &[u8; 64]) -> Written {
        let written = self.write(queue, descriptor);
        self.written_from(sched_getcpu(), true);
        written
    }

    /// Loses all jobs, frees engines that hang, and switches all queues on, unless the device was
    /// removed.
    pub fn reset(&self) {
        let switching = locked(&self.switching);
        self.stop();
        if !self.is_gone() {
            self.queues.iter().for_each(|queue| queue.switch(true));
        }
        drop(switching);
        self.interrupt_all();
    }

    /// Removes the device: all jobs are lost, and it takes no more.
    pub fn remove(&self) {
        let switching = locked(&self.switching);
        self.is_gone.store(true, Ordering::Release);
        self.stop();
        drop(switching);
        self.interrupt_all();
    }

    /// Takes jobs for engines that are idle, up to `budget`; how many jobs and late completions
    /// there were.
    pub fn drive(&self, budget: usize) -> usize {
        self.drive_from(0, budget)
    }

    /// The same, with preference for an engine, which has its tables in this CPU's cache.
    pub(crate) fn drive_from(&self, engine: usize, budget: usize) -> usize {
        self.clock.tick();
        let mut done = 0;
        if self.held_len.load(Ordering::Acquire) > 0 {
            done += self.deliver();
        }
        while done < budget && self.run_one(engine) {
            done += 1;
        }
        done
    }

    pub(crate) fn has_work(&self) -> bool {
        self.queues.iter().any(|queue| !queue.is_empty())
            || self.held_len.load(Ordering::Acquire) > 0
    }

    /// [`Self::submit`], and nobody is told.
    pub(crate) fn write(&self, queue: usize, descriptor: &[u8; 64]) -> Written {
        let refuses = self.faults().is_some_and(|mut faults| faults.refuses());
        let written = match self.queues.get(queue) {
            Some(_) if refuses => Written::Retry,
            Some(queue) => queue.write(descriptor),
            None => Written::Lost,
        };
        if written == Written::Lost {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        written
    }

    /// Descriptors were written on this CPU. `is_alarming`: engine threads that sleep are to know.
    pub(crate) fn written_from(&self, cpu: usize, is_alarming: bool) {
        let Some(alarm) = self.alarm.get() else { return };
        // Engine threads read it all the time: it is not to leave their caches for nothing.
        if self.submitting_cpu.load(Ordering::Relaxed) != cpu {
            self.submitting_cpu.store(cpu, Ordering::Relaxed);
        }
        if is_alarming {
            alarm.ring();
        }
    }

    /// Nothing is in its queues, with its engines, or still to be reported.
    pub(crate) fn is_idle(&self) -> bool {
        self.queues.iter().all(WorkQueue::is_idle)
    }

    /// Nothing that was submitted before is still going on.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// The device is idle, and nobody submits: what has not come by now never will.
    pub(crate) fn settle(&self) {
        let _switching = locked(&self.switching);
        self.end_epoch();
    }

    /// Takes a lease that a job may still write to; when it may not any more, `put` is called.
    pub(crate) fn keep(&self, lease: Lease, epoch: u64, put: Box<dyn FnOnce() + Send>) {
        let mut kept = locked(&self.kept);
        kept.push(Kept { lease, epoch, put });
        self.kept_len.store(kept.len(), Ordering::Release);
    }

    /// Whether so many jobs do not come back that there are to be no more of them.
    pub(crate) fn keeps_too_much(&self) -> bool {
        self.kept_len.load(Ordering::Acquire) >= KEPT_LEASES_MAX
    }

    /// Lets go of what has come back.
    pub(crate) fn reap(&self) {
        if self.kept_len.load(Ordering::Acquire) == 0 {
            return;
        }
        let epoch = self.epoch();
        let is_over = |kept: &mut Kept| kept.epoch != epoch || kept.lease.completion().is_some();
        let mut kept = locked(&self.kept);
        let over: Vec<_> = kept.extract_if(.., is_over).collect();
        self.kept_len.store(kept.len(), Ordering::Release);
        drop(kept);
        over.into_iter().for_each(|kept| (kept.put)());
    }

    fn end_epoch(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
        self.reap();
    }

    /// Was the last descriptor written on this CPU?
    pub(crate) fn is_submitted_to_from_here(&self) -> bool {
        self.submitting_cpu.load(Ordering::Relaxed) == sched_getcpu()
    }

    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    pub(crate) fn set_alarm(&self, alarm: &Arc<Alarm>) {
        let _ = self.alarm.set(Arc::clone(alarm)); // The first threads are the only ones.
    }

    /// The interrupt handle that stands for `handler`, if there is one left.
    pub(crate) fn add_handler(&self, handler: Handler) -> Option<u16> {
        let mut handlers = locked(&self.handlers);
        let handle = u16::try_from(handlers.len()).ok()?;
        handlers.push(handler);
        Some(handle)
    }

    pub(crate) fn dma(&self) -> &Arc<Dma> {
        &self.dma
    }

    /// To be called while `switching`.
    fn stop(&self) {
        self.queues.iter().for_each(|queue| queue.switch(false));
        self.resets.fetch_add(1, Ordering::AcqRel);
        let mut held = locked(&self.held);
        held.clear();
        self.held_len.store(0, Ordering::Release);
        drop(held);
        self.engines.iter().for_each(|engine| engine.is_hung.store(false, Ordering::Release));
        self.end_epoch();
    }

    /// Whoever sleeps until an interrupt comes is to see that nothing does any more.
    fn interrupt_all(&self) {
        let handlers = locked(&self.handlers).clone();
        handlers.iter().for_each(|handler| handler());
    }

    fn run_one(&self, preferred: usize) -> bool {
        if self.queues.iter().all(WorkQueue::is_empty) {
            return false;
        }
        let engines = self.engines.len();
        for i in preferred..preferred + engines {
            let Some(place) = self.engines.get(i % engines) else { return false };
            let mut engine = match place.state.try_lock() {
                Ok(engine) => engine,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => continue,
            };
            if place.is_hung.load(Ordering::Acquire) {
                continue;
            }
            if let Some((queue, (descriptor, resets))) = self.take(place.group) {
                let fault = self.faults().and_then(|mut faults| faults.next());
                let origin = Origin { queue, kind: kind(&descriptor), resets };
                self.run(place, &mut engine, origin, &descriptor, fault);
                return true;
            }
        }
        false
    }

    /// The next descriptor for an engine of this group, its queue, and the resets until then.
    fn take(&self, group: usize) -> Option<(usize, ([u8; 64], u64))> {
        let queues = self.by_priority.iter().filter_map(|at| Some((*at, self.queues.get(*at)?)));
        let mut mine = queues.filter(|(_, queue)| queue.config.group == group && !queue.is_empty());
        // One whose drain waits leaves the engine to the next.
        mine.find_map(|(at, queue)| Some((at, queue.take(&self.resets)?)))
    }

    fn run(
        &self,
        place: &EnginePlace,
        engine: &mut Engine,
        origin: Origin,
        descriptor: &[u8; 64],
        fault: Option<Fault>,
    ) {
        let desc = match Descriptor::parse(descriptor) {
            Ok(desc) => desc,
            Err(invalid) => {
                let report = Report {
                    completion: invalid.completion,
                    interrupt: invalid.interrupt_handle,
                    record: invalid.record(),
                };
                return self.finish(origin, Some(report), 0);
            }
        };
        // What happens to the device happens to the one that had the job.
        match fault.filter(|_| origin.resets == self.resets()) {
            Some(Fault::Hang) => return place.is_hung.store(true, Ordering::Release),
            Some(Fault::Reset) => {
                let switching = locked(&self.switching);
                self.stop();
                drop(switching);
                return self.interrupt_all();
            }
            Some(Fault::Removed) => return self.remove(),
            Some(Fault::QueueOff) => {
                if let Some(queue) = self.queues.get(origin.queue) {
                    queue.switch(false);
                }
                return;
            }
            _ => (),
        }
        let record = self.record(engine, origin.queue, &desc, fault);
        let interrupts = desc.flags.contains(Flags::REQUEST_INTERRUPT);
        // Failures are told unasked.
        let is_told =
            record.status != Status::SUCCESS || desc.flags.contains(Flags::REQUEST_COMPLETION);
        let has_address = desc.flags.contains(Flags::COMPLETION_VALID);
        let report = Some(Report {
            completion: (is_told && has_address).then_some(desc.completion),
            interrupt: interrupts.then_some(desc.interrupt_handle),
            record,
        });
        match fault {
            Some(Fault::LostCompletion) => self.finish(origin, None, 0),
            Some(Fault::Delay(ns)) => self.finish(origin, report, ns),
            Some(Fault::PageFault) if desc.flags.contains(Flags::BLOCK_ON_FAULT) => {
                self.finish(origin, report, PAGE_REQUEST_NS);
            }
            Some(Fault::DoubleCompletion(ns)) => {
                self.finish(origin, report, 0);
                if let Some(report) = report {
                    self.hold(origin, report, ns, false);
                }
            }
            _ => self.finish(origin, report, 0),
        }
    }

    /// What becomes of a job.
    fn record(
        &self,
        engine: &mut Engine,
        queue: usize,
        desc: &Descriptor,
        fault: Option<Fault>,
    ) -> CompletionRecord {
        let bytes = desc.src1_bytes.max(desc.dst_bytes_max) as usize;
        let bytes_max = self.queues.get(queue).map_or(0, |queue| queue.config.transfer_bytes_max);
        let header = CompressFlags::GENERATE_HEADER.union(CompressFlags::GENERATE_HEADER_ONE_PASS);
        let (is_compression, makes_header) = match desc.operation {
            Operation::Compress(flags) => (true, flags.intersects(header)),
            _ => (false, false),
        };
        let interrupts = desc.flags.contains(Flags::REQUEST_INTERRUPT);
        if interrupts && usize::from(desc.interrupt_handle) >= locked(&self.handlers).len() {
            return failed(Status::BAD_INTERRUPT_HANDLE);
        }
        if bytes > bytes_max {
            return failed(Status::BAD_TRANSFER_SIZE);
        }
        if makes_header && !self.config.has_header_generation {
            return failed(Status::INVALID_OP_FLAGS);
        }
        if let Some(refusal) = unsupported(desc) {
            return refusal;
        }
        match fault {
            Some(Fault::PageFault) if !desc.flags.contains(Flags::BLOCK_ON_FAULT) => {
                let is_write = desc.has_output();
                page_fault(if is_write { desc.dst } else { desc.src1 }, is_write)
            }
            Some(Fault::Analytics) => broken(AnalyticsError::DISTANCE_CODE),
            Some(Fault::Overflow) if is_compression => broken(AnalyticsError::OUTPUT_OVERFLOW),
            Some(Fault::Overflow) => failed(Status::OUTPUT_OVERFLOW),
            Some(Fault::Watchdog) => failed(Status::WATCHDOG_EXPIRED),
            fault => {
                let mut record = engine.execute(desc, &self.dma);
                match fault {
                    Some(Fault::BadCrc) => record.crc ^= 1,
                    Some(Fault::FlippedBit) => self.flip(desc, record.output_bytes as usize),
                    _ => (),
                }
                record
            }
        }
    }

    /// Flips a bit of the output.
    fn flip(&self, desc: &Descriptor, output_bytes: usize) {
        if output_bytes == 0 || !desc.has_output() {
            return;
        }
        let (at, bit) = locked(&self.faults).place(output_bytes);
        if let Ok(target) = self.dma.find(desc.dst)
            && let (Ok(range), Ok(mut bytes)) = (target.range(output_bytes), target.write())
            && let Some(byte) = bytes.get_mut(range.start + at)
        {
            *byte ^= 1 << bit;
        }
    }

    /// The job is done, and is reported so much later.
    fn finish(&self, origin: Origin, report: Option<Report>, late_ns: u64) {
        // A reset has forgotten the job.
        if origin.resets != self.resets() {
            return;
        }
        match report {
            Some(report) if late_ns > 0 => self.hold(origin, report, late_ns, true),
            Some(report) => {
                self.report(&report);
                self.left(origin);
            }
            None => self.left(origin),
        }
    }

    /// `None`: nothing goes wrong.
    fn faults(&self) -> Option<MutexGuard<'_, Faults>> {
        self.has_faults.load(Ordering::Relaxed).then(|| locked(&self.faults))
    }

    fn left(&self, origin: Origin) {
        if let Some(queue) = self.queues.get(origin.queue) {
            queue.left(origin.kind);
        }
    }

    fn hold(&self, origin: Origin, report: Report, ns: u64, is_first: bool) {
        let due_ns = self.clock.now_ns().saturating_add(ns);
        let mut held = locked(&self.held);
        held.push(Held { due_ns, origin, is_first, report });
        self.held_len.store(held.len(), Ordering::Release);
    }

    /// Reports what is due.
    fn deliver(&self) -> usize {
        let now_ns = self.clock.now_ns();
        let mut due = Vec::new();
        let mut held = locked(&self.held);
        held.retain(|held| {
            let is_due = held.due_ns <= now_ns;
            if is_due {
                due.push((held.origin, held.is_first, held.report));
            }
            !is_due
        });
        self.held_len.store(held.len(), Ordering::Release);
        drop(held);
        for (origin, is_first, report) in &due {
            if origin.resets != self.resets() {
                continue;
            }
            self.report(report);
            if *is_first {
                self.left(*origin);
            }
        }
        due.len()
    }

    fn report(&self, report: &Report) {
        let is_told = match report.completion {
            Some(address) => {
                let target = self.dma.find(address);
                target.and_then(|target| target.complete(&report.record.encode())).is_ok()
            }
            None => report.record.status == Status::SUCCESS,
        };
        if !is_told {
            self.unreported.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(handle) = report.interrupt {
            let handler = locked(&self.handlers).get(usize::from(handle)).cloned();
            if let Some(handler) = handler {
                handler();
            }
        }
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Device").field("config", &self.config).finish_non_exhaustive()
    }
}

/// More than a driver with some sense of order ever loses.
const KEPT_LEASES_MAX: usize = 1024;
