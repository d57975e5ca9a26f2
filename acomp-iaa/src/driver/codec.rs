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
use super::lanes::{Ended, Lanes};
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
        let mut is_running = false;
        for Place { at, job } in window {
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
                *at = next;
                *job = self.submit(ops, next, is_alarming);
            }
            is_running |= job.is_some();
        }
        is_running
    }

    /// `None`: it was done in software.
    fn submit(&mut self, ops: &mut Ops<'_, '_>, at: usize, is_alarming: bool) -> Option<Job> {
        let mut op = ops.get_mut(at)?;
        let direction = op.direction();
        let (src, dst) = op.io();
        let job = self.lanes.submit(direction, src, dst.len(), is_alarming);
        if job.is_none() {
            self.in_software(op);
        }
        job
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
        let window = if is_serial { &mut window[..1] } else { &mut window[..] };
        let mut order = Order::default();
        let mut is_idle = false;
        let mut spins = 0_u32;
        while self.turn_over(ops, &mut order, window, is_idle) {
            // Whoever waits helps, one job at a time: then there may be room for the next one.
            let mut jobs = window.iter().filter_map(|place| place.job.as_ref());
            is_idle = !jobs.any(|job| job.wq.device.drive(1) > 0);
            if is_idle && is_interrupted {
                self.lanes.accel().bell().wait();
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
    /// Of the batch that `next` belongs to.
    batch: [usize; BATCH_OPS],
}

impl Order {
    fn next(&mut self, ops: &mut Ops<'_, '_>) -> Option<usize> {
        if self.next == ops.len() {
            return None;
        }
        let place = self.next % BATCH_OPS;
        if place == 0 {
            self.batch = longest_first(ops, self.next);
        }
        self.next += 1;
        self.batch.get(place).copied()
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
