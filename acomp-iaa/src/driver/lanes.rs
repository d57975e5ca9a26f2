//! Leases that go to queues and come back, and software for what no queue takes.

use std::sync::Arc;

use acomp_core::{Direction, Error, OpenError, Outcome};
use page_codec::deflate::{DecodeErrorKind, Decoded, Decoder, Effort, Encoder};

use super::accel::{Accel, Bound, SyncMode, Wq};
use super::job::{Job, Mode, SIDE_BYTES_MAX, State, Task, Verdict};
use crate::dma::Lease;

/// What a session or a submitter has of its own.
pub(crate) struct Lanes {
    accel: Arc<Accel>,
    mode: Mode,
    bound: Arc<Bound>,
    /// Where to go on in the round of the queues.
    turn: usize,
    free: Vec<Lease>,
    /// What timed out, until it comes back or its device is reset.
    overdue: Vec<Job>,
    software: Software,
}

/// Whether a job has ended, and how.
pub(crate) enum Ended {
    Answer(Outcome),
    /// Software is to do it.
    Again,
    /// Not yet.
    No(Job),
}

impl Lanes {
    /// With so many leases, and spares for those that are overdue.
    pub(crate) fn open(accel: &Arc<Accel>, mode: Mode, leases: usize) -> Result<Self, OpenError> {
        let leases = leases + SPARE_LEASES;
        let free = (0..leases).map(|_| accel.dma().lease(2 * SIDE_BYTES_MAX));
        let free = free.collect::<Option<Vec<_>>>();
        Ok(Self {
            accel: Arc::clone(accel),
            mode,
            bound: accel.bound(),
            turn: 0,
            free: free.ok_or_else(|| OpenError::Device("its address space is full".into()))?,
            overdue: Vec::with_capacity(leases),
            software: Software::new(mode),
        })
    }

    pub(crate) fn accel(&self) -> &Arc<Accel> {
        &self.accel
    }

    pub(crate) fn sync_mode(&self) -> SyncMode {
        self.bound.settings.sync_mode
    }

    pub(crate) fn has_lease(&self) -> bool {
        !self.free.is_empty()
    }

    /// Learns what has changed since the last batch.
    pub(crate) fn refresh(&mut self) {
        if self.accel.version() != self.bound.version {
            self.bound = self.accel.bound();
        }
        if !self.overdue.is_empty() {
            self.recover();
        }
    }

    /// Takes back what was overdue and has come.
    #[cold]
    fn recover(&mut self) {
        for at in (0..self.overdue.len()).rev() {
            let state = self.overdue.get_mut(at).map(|job| job.state(&self.bound.settings, false));
            if matches!(state, Some(State::Completed(_) | State::Lost)) {
                let job = self.overdue.swap_remove(at);
                self.free.push(job.into_lease());
            }
        }
    }

    /// `None`: software is to do it. `is_alarming`: engine threads that sleep are to wake up.
    pub(crate) fn submit(
        &mut self,
        direction: Direction,
        src: &[u8],
        dst_bytes: usize,
        is_alarming: bool,
    ) -> Option<Job> {
        let task = Task::new(direction, self.mode, src.len(), dst_bytes)?;
        let wq = self.next_queue()?;
        let lease = self.free.pop()?;
        if let Some(to) = lease.write().get_mut(..src.len()) {
            to.copy_from_slice(src);
        }
        let interrupts = self.sync_mode() == SyncMode::AsyncIrq;
        match Job::submit(lease, &wq, task, interrupts, is_alarming || interrupts) {
            Ok(job) => Some(job),
            Err(lease) => {
                self.free.push(lease);
                None
            }
        }
    }

    /// The next open queue, in a round over all.
    fn next_queue(&mut self) -> Option<Arc<Wq>> {
        let queues = &self.bound.queues;
        for _ in 0..queues.len() {
            let wq = queues.get(self.turn % queues.len())?;
            self.turn = self.turn.wrapping_add(1);
            if wq.is_open() {
                return Some(Arc::clone(wq));
            }
        }
        None
    }

    /// Looks after a job, whose output goes to `dst`. `is_idle`: there was nothing else to do, so
    /// that time counts.
    pub(crate) fn look(&mut self, mut job: Job, dst: &mut [u8], is_idle: bool) -> Ended {
        let settings = &self.bound.settings;
        let verdict = match job.state(settings, is_idle) {
            State::Running => return Ended::No(job),
            State::Completed(record) => job.verdict(&record, dst, settings, &self.accel.counters),
            State::Lost => Verdict::Again,
            State::TimedOut => {
                self.accel.counters.count_timeout();
                job.wq.give_up(settings.quarantine_ns);
                self.overdue.push(job);
                return Ended::Again;
            }
        };
        let ended = match verdict {
            Verdict::Verifying => return Ended::No(job),
            Verdict::Answer(outcome) => Ended::Answer(outcome),
            Verdict::Again => Ended::Again,
        };
        self.free.push(job.lease);
        ended
    }

    pub(crate) fn in_software(
        &mut self,
        direction: Direction,
        src: &[u8],
        dst: &mut [u8],
    ) -> Outcome {
        self.accel.counters.count_software(direction);
        self.software.run(direction, src, dst)
    }
}

/// The owner's own codec.
struct Software {
    encoder: Box<Encoder>,
    decoder: Box<Decoder>,
}

impl Software {
    fn new(mode: Mode) -> Self {
        let encoder = match mode {
            Mode::Fixed => Encoder::fixed(),
            Mode::Dynamic => Encoder::dynamic().effort(Effort::Dense),
        };
        Self { encoder: Box::new(encoder), decoder: Box::new(Decoder::new()) }
    }

    fn run(&mut self, direction: Direction, src: &[u8], dst: &mut [u8]) -> Outcome {
        match direction {
            Direction::Compress => self.encoder.encode(src, dst).map_err(|_| Error::DstTooSmall),
            Direction::Decompress => match self.decoder.decode(src, dst) {
                Ok(Decoded { consumed, produced }) if consumed == src.len() => Ok(produced),
                Err(error) if error.kind == DecodeErrorKind::DstTooSmall => Err(Error::DstTooSmall),
                _ => Err(Error::Corrupt),
            },
        }
    }
}

/// Leases that stand in for those that are overdue.
const SPARE_LEASES: usize = 2;
