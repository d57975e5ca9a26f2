//! The CPUs and the events.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, VecDeque};

use fastrand::Rng;

use super::device::{Device, Job};
use super::{PAGE_BYTES, SimError, SimParams, SimReport};
use crate::topology::{CpuQueues, Map, QueueId};

/// A simulation under way.
pub(super) struct Store<'a> {
    params: &'a SimParams,
    cpus: Vec<Cpu<'a>>,
    devices: Vec<Device>,
    /// Of each device, of each queue.
    descriptors: Vec<Vec<Descriptors>>,
    events: BinaryHeap<Event>,
    events_made: u64,
    rng: Rng,
    latencies_ns: Vec<f64>,
    pages: usize,
    waits: usize,
    fallbacks: usize,
    /// Kept for its memory.
    done: Vec<Job>,
}

/// A CPU that stores.
struct Cpu<'a> {
    queues: CpuQueues<'a>,
    /// Descriptors so far.
    submitted: usize,
    folio_since_ns: f64,
    /// Pages of the folio that are in no batch yet.
    pages_left: usize,
    /// Pages of the batch that are not submitted yet.
    to_submit: usize,
    /// Pages of the batch that the CPU has not seen completed.
    pending: usize,
    /// What completed while the CPU was still submitting: it has not looked yet.
    unseen: Vec<QueueId>,
    /// Changes whenever the CPU stops waiting for a descriptor.
    wait: u64,
}

/// The descriptors of a queue.
struct Descriptors {
    free: usize,
    waiters: VecDeque<Waiter>,
}

struct Waiter {
    cpu: usize,
    since_ns: f64,
}

#[derive(Clone, Copy)]
enum What {
    /// The CPU starts a folio.
    Folio { cpu: usize },
    /// The CPU asks for a descriptor.
    Ask { cpu: usize },
    /// The CPU has a descriptor of this queue.
    Submit { cpu: usize, queue: QueueId },
    /// The CPU has asked often enough, if it still waits.
    GiveUp { cpu: usize, queue: QueueId, wait: u64 },
    /// The CPU has compressed a page.
    Software { cpu: usize },
    /// An engine may be done.
    Tick { device: usize },
    /// A completion can be seen.
    Completion { cpu: usize, queue: QueueId },
}

struct Event {
    at_ns: f64,
    /// Among events of the same time the one made first comes first.
    number: u64,
    what: What,
}

impl<'a> Store<'a> {
    pub(super) fn new(map: &'a Map, params: &'a SimParams) -> Self {
        let cpu = |cpu| Cpu {
            queues: map.cpu(cpu),
            submitted: 0,
            folio_since_ns: 0.0,
            pages_left: 0,
            to_submit: 0,
            pending: 0,
            unseen: Vec::new(),
            wait: 0,
        };
        let machine = map.machine();
        let descriptors = machine.devices().map(|device| {
            let sizes = device.queues.iter().map(|queue| match queue.threshold {
                0 => queue.size,
                threshold => threshold,
            });
            sizes.map(|free| Descriptors { free, waiters: VecDeque::new() }).collect()
        });
        Self {
            params,
            cpus: (0..params.cpus).map(cpu).collect(),
            devices: machine.devices().map(|device| Device::new(device, params)).collect(),
            descriptors: descriptors.collect(),
            events: BinaryHeap::new(),
            events_made: 0,
            rng: Rng::with_seed(params.seed),
            latencies_ns: Vec::new(),
            pages: 0,
            waits: 0,
            fallbacks: 0,
            done: Vec::new(),
        }
    }

    pub(super) fn run(mut self) -> Result<SimReport, SimError> {
        let params = self.params;
        // CPUs in step would meet at the devices every time, or never.
        let page_ns = params.cpu_ns + params.fixed_ns + params.engine_ns() + params.think_ns;
        for cpu in 0..self.cpus.len() {
            let at_ns = match params.cpus {
                1 => 0.0,
                _ => self.rng.f64() * page_ns * params.folio_pages as f64,
            };
            self.at(at_ns, What::Folio { cpu });
        }
        while let Some(Event { at_ns, what, .. }) = self.events.pop()
            && at_ns <= params.duration_ns
        {
            self.happen(at_ns, what);
        }
        self.report()
    }

    fn happen(&mut self, now_ns: f64, what: What) {
        match what {
            What::Folio { cpu } => {
                self.cpus[cpu].folio_since_ns = now_ns;
                self.cpus[cpu].pages_left = self.params.folio_pages;
                self.start_batch(now_ns, cpu);
            }
            What::Ask { cpu } => self.ask(now_ns, cpu),
            What::Submit { cpu, queue } => self.submit(now_ns, cpu, queue),
            What::GiveUp { cpu, queue, wait } => {
                if self.cpus[cpu].wait == wait {
                    self.cpus[cpu].wait += 1;
                    self.descriptors(queue).waiters.retain(|waiter| waiter.cpu != cpu);
                    self.at(now_ns + self.params.software_ns, What::Software { cpu });
                }
            }
            What::Software { cpu } => {
                self.fallbacks += 1;
                self.pages += 1;
                self.go_on(now_ns, cpu);
            }
            What::Tick { device } => {
                let mut done = std::mem::take(&mut self.done);
                if let Some(at_ns) = self.devices[device].tick(now_ns, &mut done) {
                    self.at(at_ns, What::Tick { device });
                }
                for Job { cpu, queue, .. } in done.drain(..) {
                    let queue = QueueId { device, queue };
                    self.at(now_ns + self.params.fixed_ns, What::Completion { cpu, queue });
                }
                self.done = done;
            }
            What::Completion { cpu, queue } => {
                self.pages += 1;
                self.cpus[cpu].unseen.push(queue);
                if self.cpus[cpu].to_submit == 0 {
                    self.look(now_ns, cpu);
                }
            }
        }
    }

    fn start_batch(&mut self, now_ns: f64, index: usize) {
        let cpu = &mut self.cpus[index];
        let pages = self.params.batch_pages.min(cpu.pages_left);
        cpu.pages_left -= pages;
        cpu.to_submit = pages;
        let before_ns = pages as f64 * self.params.cpu_ns * (1.0 - self.params.submit_share);
        self.at(now_ns + before_ns + self.submit_ns(), What::Ask { cpu: index });
    }

    /// Work that belongs to one submission.
    fn submit_ns(&self) -> f64 {
        self.params.cpu_ns * self.params.submit_share
    }

    fn ask(&mut self, now_ns: f64, index: usize) {
        let cpu = &mut self.cpus[index];
        let queue = cpu.queues.compress.queue(cpu.submitted);
        cpu.submitted += 1;
        let wait = cpu.wait;
        let descriptors = self.descriptors(queue);
        if descriptors.free > 0 {
            descriptors.free -= 1;
            return self.submit(now_ns, index, queue);
        }
        descriptors.waiters.push_back(Waiter { cpu: index, since_ns: now_ns });
        self.waits += 1;
        let patience_ns = f64::from(self.params.tries) * self.params.try_ns;
        self.at(now_ns + patience_ns, What::GiveUp { cpu: index, queue, wait });
    }

    fn submit(&mut self, now_ns: f64, cpu: usize, queue: QueueId) {
        let job = Job { cpu, queue: queue.queue, since_ns: now_ns };
        if let Some(at_ns) = self.devices[queue.device].submit(now_ns, job) {
            self.at(at_ns, What::Tick { device: queue.device });
        }
        self.cpus[cpu].pending += 1;
        self.go_on(now_ns, cpu);
    }

    /// One page less to submit: to the next one, or to polling.
    fn go_on(&mut self, now_ns: f64, cpu: usize) {
        self.cpus[cpu].to_submit -= 1;
        if self.cpus[cpu].to_submit > 0 {
            self.at(now_ns + self.submit_ns(), What::Ask { cpu });
        } else {
            self.look(now_ns, cpu);
        }
    }

    /// The CPU polls: what has completed frees its descriptor.
    fn look(&mut self, now_ns: f64, cpu: usize) {
        while let Some(queue) = self.cpus[cpu].unseen.pop() {
            self.cpus[cpu].pending -= 1;
            self.free(now_ns, queue);
        }
        if self.cpus[cpu].pending > 0 {
            return;
        }
        if self.cpus[cpu].pages_left > 0 {
            return self.start_batch(now_ns, cpu);
        }
        let folio_ns = now_ns - self.cpus[cpu].folio_since_ns;
        let pages = self.params.folio_pages as f64;
        self.latencies_ns.push(folio_ns / pages);
        let think_ns = 2.0 * self.rng.f64() * self.params.think_ns * pages;
        self.at(now_ns + think_ns, What::Folio { cpu });
    }

    /// A descriptor is free: whoever has waited longest finds it, at its next try.
    fn free(&mut self, now_ns: f64, queue: QueueId) {
        let Some(Waiter { cpu, since_ns }) = self.descriptors(queue).waiters.pop_front() else {
            self.descriptors(queue).free += 1;
            return;
        };
        self.cpus[cpu].wait += 1;
        let tries = ((now_ns - since_ns) / self.params.try_ns).ceil();
        let at_ns = (since_ns + tries * self.params.try_ns).max(now_ns);
        self.at(at_ns, What::Submit { cpu, queue });
    }

    fn descriptors(&mut self, queue: QueueId) -> &mut Descriptors {
        &mut self.descriptors[queue.device][queue.queue]
    }

    fn at(&mut self, at_ns: f64, what: What) {
        self.events_made += 1;
        self.events.push(Event { at_ns, number: self.events_made, what });
    }

    fn report(mut self) -> Result<SimReport, SimError> {
        let duration_ns = self.params.duration_ns;
        self.latencies_ns.sort_unstable_by(f64::total_cmp);
        let folios = self.latencies_ns.len();
        let percentile = |percent: usize| {
            let rank = (folios * percent).div_ceil(100).max(1);
            self.latencies_ns.get(rank - 1).copied().ok_or(SimError::TooShort { duration_ns })
        };
        Ok(SimReport {
            mean_ns: self.latencies_ns.iter().sum::<f64>() / folios.max(1) as f64,
            p50_ns: percentile(50)?,
            p99_ns: percentile(99)?,
            pages: self.pages,
            folios,
            gb_s: self.pages as f64 * PAGE_BYTES / duration_ns,
            waits: self.waits,
            fallbacks: self.fallbacks,
            devices: self.devices.iter_mut().map(|device| device.report(duration_ns)).collect(),
        })
    }
}

/// A heap gives its greatest: the earliest.
impl Ord for Event {
    fn cmp(&self, other: &Self) -> Ordering {
        other.at_ns.total_cmp(&self.at_ns).then(other.number.cmp(&self.number))
    }
}

impl PartialOrd for Event {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Event {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Event {}
