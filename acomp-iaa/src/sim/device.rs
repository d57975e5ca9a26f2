//! A device: queues, and engines that share its throughput.
//!
//! All pages take the same work, and all engines get the same share at any time. Work is therefore
//! counted on a clock that runs as fast as an engine works: a page that starts at `v` is done at
//! `v` plus its own work, however many come and go, and pages finish in the order they started in.

use std::cmp::Reverse;
use std::collections::VecDeque;

use super::{DeviceReport, SimParams};
use crate::config::{DeviceConfig, WqConfig};

#[derive(Debug)]
pub(super) struct Device {
    queues: Vec<Queue>,
    /// Idle engines of each group.
    idle: Vec<usize>,
    /// What engines work on and when, on the clock of work, each is done.
    active: VecDeque<(f64, Job)>,
    /// The clock of work, in ns of an engine at full speed, and the time it was set.
    work_ns: f64,
    work_set_ns: f64,
    is_tick_due: bool,
    /// Work for a page.
    page_ns: f64,
    parallelism: f64,
    done_ns: f64,
    pages: usize,
    queueing_ns: f64,
}

#[derive(Debug)]
struct Queue {
    group: usize,
    priority: u8,
    waiting: VecDeque<Job>,
}

/// A page on its way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Job {
    pub(super) cpu: usize,
    pub(super) queue: usize,
    /// When it was submitted.
    pub(super) since_ns: f64,
}

impl Device {
    pub(super) fn new(device: &DeviceConfig, params: &SimParams) -> Self {
        let groups = device.engine_groups.iter().max().map_or(0, |last| last + 1);
        let mut idle = vec![0; groups];
        for group in &device.engine_groups {
            idle[*group] += 1;
        }
        let queue = |queue: &WqConfig| Queue {
            group: queue.group,
            priority: queue.priority,
            waiting: VecDeque::new(),
        };
        Self {
            queues: device.queues.iter().map(queue).collect(),
            idle,
            active: VecDeque::new(),
            work_ns: 0.0,
            work_set_ns: 0.0,
            is_tick_due: false,
            page_ns: params.engine_ns(),
            parallelism: params.parallelism().min(device.engine_groups.len() as f64),
            done_ns: 0.0,
            pages: 0,
            queueing_ns: 0.0,
        }
    }

    /// A descriptor comes. The time of the next [`tick`](Self::tick), if nobody knows it yet.
    pub(super) fn submit(&mut self, now_ns: f64, job: Job) -> Option<f64> {
        self.advance(now_ns);
        self.queues[job.queue].waiting.push_back(job);
        self.dispatch(self.queues[job.queue].group);
        self.next_tick(now_ns)
    }

    /// Moves what is done to `done`. A page that came in between has slowed the others down: then
    /// nothing is done yet. The time of the next tick.
    pub(super) fn tick(&mut self, now_ns: f64, done: &mut Vec<Job>) -> Option<f64> {
        self.is_tick_due = false;
        self.advance(now_ns);
        while let Some((finish_ns, job)) =
            self.active.pop_front_if(|(finish_ns, _)| *finish_ns <= self.work_ns + ROUNDING_NS)
        {
            debug_assert!(self.work_ns <= finish_ns + 2.0 * ROUNDING_NS, "a tick came too late");
            let group = self.queues[job.queue].group;
            self.idle[group] += 1;
            self.pages += 1;
            self.queueing_ns += now_ns - job.since_ns - self.page_ns;
            self.dispatch(group);
            done.push(job);
        }
        self.next_tick(now_ns)
    }

    pub(super) fn report(&mut self, now_ns: f64) -> DeviceReport {
        self.advance(now_ns);
        DeviceReport {
            pages: self.pages,
            utilisation: (self.done_ns / (now_ns * self.parallelism.max(1.0))).min(1.0),
            // Rounding may have left a page a little less than nothing.
            queueing_ns: (self.queueing_ns / self.pages.max(1) as f64).max(0.0),
        }
    }

    fn advance(&mut self, now_ns: f64) {
        let work_ns = (now_ns - self.work_set_ns) * self.speed();
        self.work_ns += work_ns;
        self.work_set_ns = now_ns;
        self.done_ns += work_ns * self.active.len() as f64;
    }

    /// Of each engine, 1 at most.
    fn speed(&self) -> f64 {
        (self.parallelism / self.active.len().max(1) as f64).min(1.0)
    }

    /// Idle engines take from the queue with the highest priority, among those from the one whose
    /// first descriptor has waited longest.
    fn dispatch(&mut self, group: usize) {
        while self.idle[group] > 0 {
            let ready = self.queues.iter_mut().filter(|queue| queue.group == group);
            let next = ready
                .filter(|queue| !queue.waiting.is_empty())
                .max_by_key(|queue| (queue.priority, Reverse(queue.first_since())));
            let Some(job) = next.and_then(|queue| queue.waiting.pop_front()) else { return };
            self.idle[group] -= 1;
            self.active.push_back((self.work_ns + self.page_ns, job));
        }
    }

    fn next_tick(&mut self, now_ns: f64) -> Option<f64> {
        if self.is_tick_due {
            return None;
        }
        let (finish_ns, _) = self.active.front()?;
        self.is_tick_due = true;
        Some(now_ns + (finish_ns - self.work_ns).max(0.0) / self.speed())
    }
}

impl Queue {
    /// Times are positive, so that their bits are in their order.
    fn first_since(&self) -> u64 {
        self.waiting.front().map_or(u64::MAX, |job| job.since_ns.to_bits())
    }
}

/// More than what sums of times up to [`super::DURATION_NS_MAX`] are rounded by.
const ROUNDING_NS: f64 = 1e-3;
