//! Leases that go to queues and come back, and software for what no queue takes.

use std::sync::Arc;

use acomp_core::{Direction, Error, OpenError, Outcome};
use page_codec::deflate::{DecodeErrorKind, Decoded, Decoder, Effort, Encoder};
use rustix::thread::sched_getcpu;

use super::accel::{Accel, Bound};
use super::job::{Job, Mode, SIDE_BYTES_MAX, State, Task, Verdict};
use super::queue::Wq;
use super::settings::SyncMode;
use crate::dma::Lease;

/// What a session or a submitter has of its own.
pub(crate) struct Lanes {
    accel: Arc<Accel>,
    mode: Mode,
    bound: Arc<Bound>,
    /// Where the owner runs, as far as is known.
    cpu: usize,
    /// How many jobs went around the queues, compressions and decompressions.
    turns: [usize; 2],
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
            cpu: 0,
            turns: [0; 2],
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
        self.cpu = sched_getcpu();
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
        let wq = self.next_queue(direction)?;
        let lease = self.free.pop()?;
        let interrupts = self.sync_mode() == SyncMode::AsyncIrq;
        match Job::submit(lease, &wq, task, src, interrupts) {
            Ok(job) => {
                wq.device.written_from(self.cpu, is_alarming || interrupts);
                Some(job)
            }
            Err(lease) => {
                self.free.push(lease);
                None
            }
        }
    }

    /// The next queue of this CPU's round that is well.
    fn next_queue(&mut self, direction: Direction) -> Option<Arc<Wq>> {
        let round = self.bound.map.as_ref()?.cpu(self.cpu).round(direction);
        let turn = self.turns.get_mut(direction as usize)?;
        for _ in 0..round.queues.len() {
            let wq = self.bound.wq(round.queue(*turn))?;
            if wq.is_well() {
                *turn = turn.wrapping_add(1);
                return Some(Arc::clone(wq));
            }
            // The rest of its run is the next one's.
            *turn = turn.wrapping_add(round.run - *turn % round.run);
        }
        None
    }

    /// Looks after a job, whose output goes to `dst`; `None`: it goes on. `is_idle`: there was
    /// nothing else to do, so that time counts.
    pub(crate) fn look(
        &mut self,
        place: &mut Option<Job>,
        dst: &mut [u8],
        is_idle: bool,
    ) -> Option<Ended> {
        let job = place.as_mut()?;
        let settings = &self.bound.settings;
        let verdict = match job.state(settings, is_idle) {
            State::Running => return None,
            State::Completed(record) => job.verdict(&record, dst, settings, &self.accel.counters),
            State::Lost => Verdict::Again,
            State::TimedOut => {
                self.accel.counters.count_timeout();
                job.wq.give_up(settings.quarantine_ns);
                self.overdue.extend(place.take());
                return Some(Ended::Again);
            }
        };
        let ended = match verdict {
            Verdict::Verifying => return None,
            Verdict::Answer(outcome) => Ended::Answer(outcome),
            Verdict::Again => Ended::Again,
        };
        self.free.extend(place.take().map(|job| job.lease));
        Some(ended)
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
