//! A session: chains on the queues, up to a batch at a time.

use std::array;
use std::cmp::Reverse;
use std::hint::spin_loop;
use std::slice;
use std::sync::Arc;
use std::thread;

use acomp_core::{Codec, Direction, Error, ExecutedOn, Op, OpMut, OpenError, Ops, Outcome};

use super::accel::Accel;
use super::job::{Job, Mode};
use super::lanes::{Ended, Lanes, Submission};
use super::settings::SyncMode;

/// The working state of a session.
pub(crate) struct IaaCodec {
    lanes: Lanes,
}

/// Jobs on their way.
type Window = [Place; BATCH_OPS];

/// Where a job is kept, and the number of its operation.
struct Place {
    at: usize,
    job: Option<Job>,
}

impl IaaCodec {
    pub(crate) fn open(accel: &Arc<Accel>, mode: Mode) -> Result<Self, OpenError> {
        Ok(Self { lanes: Lanes::open(accel, mode, BATCH_OPS)? })
    }

    fn single(&mut self, mut op: Op<'_>) -> Outcome {
        self.run(&mut Ops::new(slice::from_mut(&mut op)));
        op.outcome().unwrap_or(Err(Error::Unanswered))
    }

    /// Completes what has ended, and lets what is next take its place; whether something goes on.
    fn turn_over(
        &mut self,
        ops: &mut Ops<'_, '_>,
        order: &mut Order,
        window: &mut [Place],
        is_idle: bool,
    ) -> bool {
        // Who waits for one page does it himself; nobody need wake up.
        let is_alarming = ops.len() > 1 && self.lanes.sync_mode() != SyncMode::Sync;
        let mut has_jobs = window.iter().any(|place| place.job.is_some());
        for Place { at, job } in &mut *window {
            if let Some(mut op) = ops.get_mut(*at)
                && let Some(ended) = self.lanes.look(job, op.io().1, is_idle)
            {
                match ended {
                    Ended::Answer(outcome) => op.complete(outcome, ExecutedOn::Driver),
                    Ended::Again => self.in_software(op),
                }
            }
            while job.is_none()
                && let Some(next) = order.next(ops)
            {
                // Room is made by our own jobs, if there are any, when they are looked after.
                match self.submit(ops, next, (is_alarming, !has_jobs)) {
                    Submission::Submitted(submitted) => (*at, *job) = (next, Some(submitted)),
                    Submission::Full => {
                        order.put_back();
                        break;
                    }
                    Submission::Software => {}
                }
            }
            has_jobs |= job.is_some();
        }
        window.iter().any(|place| place.job.is_some()) || order.next < ops.len()
    }

    fn submit(
        &mut self,
        ops: &mut Ops<'_, '_>,
        at: usize,
        (is_alarming, may_wait): (bool, bool),
    ) -> Submission {
        let Some(mut op) = ops.get_mut(at) else { return Submission::Software };
        let direction = op.direction();
        let (src, dst) = op.io();
        let submission = self.lanes.submit(direction, src, dst.len(), is_alarming, may_wait);
        if matches!(submission, Submission::Software) {
            self.in_software(op);
        }
        submission
    }

    fn in_software(&mut self, mut op: OpMut<'_, '_>) {
        let direction = op.direction();
        let (src, dst) = op.io();
        let outcome = self.lanes.in_software(direction, src, dst);
        op.complete(outcome, ExecutedOn::Fallback);
    }
}

impl Codec for IaaCodec {
    fn compress(&mut self, src: &[u8], dst: &mut [u8]) -> Outcome {
        self.single(Op::compress(src, dst))
    }

    fn decompress(&mut self, src: &[u8], dst: &mut [u8]) -> Outcome {
        self.single(Op::decompress(src, dst))
    }

    fn run(&mut self, ops: &mut Ops<'_, '_>) {
        self.lanes.refresh();
        let is_serial = self.lanes.sync_mode() == SyncMode::Sync;
        let is_interrupted = self.lanes.sync_mode() == SyncMode::AsyncIrq;
        let mut window: Window = [const { Place { at: 0, job: None } }; BATCH_OPS];
        let size = if is_serial { 1 } else { ops.len().min(BATCH_OPS) };
        let window = &mut window[..size];
        let mut order = Order::default();
        let mut is_idle = false;
        let mut spins = 0_u32;
        loop {
            let rings = self.lanes.accel().bell().rings();
            if !self.turn_over(ops, &mut order, window, is_idle) {
                return;
            }
            // Whoever waits helps, one job at a time: then there may be room for the next one.
            let mut jobs = window.iter().filter_map(|place| place.job.as_ref());
            is_idle = !jobs.any(|job| job.wq().device.drive(1) > 0);
            if is_idle && is_interrupted {
                self.lanes.accel().bell().wait(rings);
            } else if is_idle && spins < SPINS_MAX {
                spins += 1;
                spin_loop();
            } else if is_idle {
                // The thread that has the job may need this CPU.
                thread::yield_now();
            }
        }
    }
}

/// The order in which operations are submitted.
#[derive(Default)]
struct Order {
    next: usize,
    /// Batches up to here have an order.
    begun: usize,
    /// Of the last one of them.
    batch: [usize; BATCH_OPS],
}

impl Order {
    fn next(&mut self, ops: &mut Ops<'_, '_>) -> Option<usize> {
        if self.next == ops.len() {
            return None;
        }
        let place = self.next % BATCH_OPS;
        if place == 0 && self.begun == self.next {
            self.begun += BATCH_OPS;
            self.batch = longest_first(ops, self.next);
        }
        self.next += 1;
        self.batch.get(place).copied()
    }

    /// The last one given out is to come again.
    fn put_back(&mut self) {
        self.next -= 1;
    }
}

/// The order of the batch that begins at `from`. Decompressions that take longest come first, so
/// that they do not end last: the two longest sources, then the others as they come (spec C.11).
fn longest_first(ops: &mut Ops<'_, '_>, from: usize) -> [usize; BATCH_OPS] {
    let mut order: [usize; BATCH_OPS] = array::from_fn(|place| from + place);
    let lens = order.map(|at| match ops.get_mut(at) {
        Some(mut op) if op.direction() == Direction::Decompress => op.io().0.len(),
        _ => 0,
    });
    let count = (ops.len() - from).min(BATCH_OPS);
    for first in 0..count.min(2) {
        let longest = (first..count).max_by_key(|place| {
            let at = order[*place];
            (lens[at - from], Reverse(at))
        });
        order[first..=longest.unwrap_or(first)].rotate_right(1);
    }
    order
}

/// Some 20 us.
const SPINS_MAX: u32 = 500;
/// Jobs of one session at a time: the kernel's `IAA_CRYPTO_MAX_BATCH_SIZE`.
pub(crate) const BATCH_OPS: usize = 8;
