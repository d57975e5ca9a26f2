//! A session: a batch at a time on the queues.

use std::hint::spin_loop;
use std::slice;
use std::sync::Arc;
use std::thread;

use acomp_core::{Codec, Direction, Error, ExecutedOn, Op, OpMut, OpenError, Ops, Outcome};

use super::accel::{Accel, SyncMode};
use super::job::{Job, Mode};
use super::lanes::{Ended, Lanes};

/// The working state of a session.
pub(crate) struct IaaCodec {
    lanes: Lanes,
}

type Jobs = [Option<Job>; BATCH_OPS];

impl IaaCodec {
    pub(crate) fn open(accel: &Arc<Accel>, mode: Mode) -> Result<Self, OpenError> {
        Ok(Self { lanes: Lanes::open(accel, mode, BATCH_OPS)? })
    }

    fn single(&mut self, mut op: Op<'_>) -> Outcome {
        self.batch(&mut Ops::new(slice::from_mut(&mut op)));
        op.outcome().unwrap_or(Err(Error::Unanswered))
    }

    /// Runs up to a batch.
    fn batch(&mut self, ops: &mut Ops<'_, '_>) {
        self.lanes.refresh();
        let mut jobs: Jobs = [const { None }; BATCH_OPS];
        let is_serial = self.lanes.sync_mode() == SyncMode::Sync;
        // Who waits for one page does it himself; nobody need wake up.
        let is_alarming = ops.len() > 1 && !is_serial;
        for at in order(ops) {
            let (Some(mut op), Some(place)) = (ops.get_mut(at), jobs.get_mut(at)) else { continue };
            let direction = op.direction();
            let (src, dst) = op.io();
            *place = self.lanes.submit(direction, src, dst.len(), is_alarming);
            if place.is_none() {
                self.in_software(op);
            } else if is_serial {
                self.wait(ops, &mut jobs);
            }
        }
        self.wait(ops, &mut jobs);
    }

    /// Until every job has an answer.
    fn wait(&mut self, ops: &mut Ops<'_, '_>, jobs: &mut Jobs) {
        let mut is_idle = false;
        let mut spins = 0_u32;
        loop {
            let mut driven = 0;
            let mut is_waiting = false;
            for (at, place) in jobs.iter_mut().enumerate() {
                let (Some(mut op), Some(job)) = (ops.get_mut(at), place.take()) else { continue };
                match self.lanes.look(job, op.io().1, is_idle) {
                    Ended::Answer(outcome) => op.complete(outcome, ExecutedOn::Driver),
                    Ended::Again => self.in_software(op),
                    Ended::No(job) => {
                        // Whoever waits helps.
                        driven += job.wq.device.drive(1);
                        *place = Some(job);
                        is_waiting = true;
                    }
                }
            }
            if !is_waiting {
                return;
            }
            is_idle = driven == 0;
            if is_idle && self.lanes.sync_mode() == SyncMode::AsyncIrq {
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
        let (mut head, mut tail) = ops.split_at_mut(BATCH_OPS);
        self.batch(&mut head);
        if !tail.is_empty() {
            self.run(&mut tail);
        }
    }
}

/// Decompressions that take longest first, so that they do not end last: the two longest sources,
/// then the others as they come (spec C.11).
fn order(ops: &mut Ops<'_, '_>) -> impl Iterator<Item = usize> + use<> {
    let mut order = [0; BATCH_OPS];
    let mut lens = [0; BATCH_OPS];
    let count = ops.len().min(BATCH_OPS);
    for (at, mut op) in ops.iter_mut().take(count).enumerate() {
        order[at] = at;
        lens[at] = if op.direction() == Direction::Decompress { op.io().0.len() } else { 0 };
    }
    for first in 0..count.min(2) {
        let longest = (first..count).max_by_key(|at| (lens[order[*at]], BATCH_OPS - at));
        order[first..=longest.unwrap_or(first)].rotate_right(1);
    }
    order.into_iter().take(count)
}

/// Some 20 us.
const SPINS_MAX: u32 = 500;
/// Jobs of one session at a time: the kernel's `IAA_CRYPTO_MAX_BATCH_SIZE`.
pub(crate) const BATCH_OPS: usize = 8;
