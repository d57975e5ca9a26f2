//! Leases that go to queues and come back, and software for what no queue takes.

use std::sync::Arc;

use acomp_core::{Direction, Error, OpenError, Outcome};
use page_codec::deflate::{DecodeErrorKind, Decoded, Decoder, Effort, Encoder};
use rustix::thread::sched_getcpu;

use super::accel::{Accel, Bound};
use super::job::{Finished, Job, Mode, SIDE_BYTES_MAX, State, Task, tries_max};
use super::queue::{Grounded, Wq};
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
    /// How many leases there are to be, and how many are with devices.
    leases: usize,
    out: usize,
    free: Vec<Lease>,
    software: Software,
}

/// What became of a page that is to be a job.
pub(crate) enum Submission {
    Submitted(Job),
    /// There is no room until one of our own jobs is looked after.
    Full,
    /// Software is to do it.
    Software,
}

/// How a job has ended.
pub(crate) enum Ended {
    Answer(Outcome),
    /// Software is to do it.
    Again,
}

impl Lanes {
    /// With so many leases.
    pub(crate) fn open(accel: &Arc<Accel>, mode: Mode, leases: usize) -> Result<Self, OpenError> {
        let free = (0..leases).map(|_| accel.dma().lease(2 * SIDE_BYTES_MAX));
        let free = free.collect::<Option<Vec<_>>>();
        Ok(Self {
            accel: Arc::clone(accel),
            mode,
            bound: accel.bound(),
            cpu: 0,
            turns: [0; 2],
            leases,
            out: 0,
            free: free.ok_or_else(|| OpenError::Device("its address space is full".into()))?,
            software: Software::new(mode),
        })
    }

    pub(crate) fn accel(&self) -> &Arc<Accel> {
        &self.accel
    }

    pub(crate) fn sync_mode(&self) -> SyncMode {
        self.bound.settings.sync_mode
    }

    /// Learns what has changed since the last batch.
    pub(crate) fn refresh(&mut self) {
        self.cpu = sched_getcpu();
        if self.accel.version() != self.bound.version {
            self.bound = self.accel.bound();
        }
        if self.free.len() + self.out < self.leases {
            self.replace();
        }
    }

    /// Leases others for those that devices keep.
    #[cold]
    fn replace(&mut self) {
        let missing = self.leases - self.out - self.free.len();
        let leases = (0..missing).map_while(|_| self.accel.dma().lease(2 * SIDE_BYTES_MAX));
        self.free.extend(leases);
    }

    /// `is_alarming`: engine threads that sleep are to wake up. `may_wait`: none of our own jobs
    /// has what we wait for.
    pub(crate) fn submit(
        &mut self,
        direction: Direction,
        src: &[u8],
        dst_bytes: usize,
        is_alarming: bool,
        may_wait: bool,
    ) -> Submission {
        let Some((wq, task)) = self.next_queue(direction, src.len(), dst_bytes) else {
            return Submission::Software;
        };
        let Some(lease) = self.free.pop() else { return Submission::Software };
        let interrupts = self.sync_mode() == SyncMode::AsyncIrq;
        let tries = if may_wait { tries_max(direction) } else { 1 };
        match Job::submit(lease, &wq, task, src, interrupts, tries) {
            Ok(job) => {
                self.out += 1;
                wq.device.written_from(self.cpu, is_alarming || interrupts);
                Submission::Submitted(job)
            }
            Err(Grounded { lease, is_full }) => {
                self.free.push(lease);
                if is_full && !may_wait { Submission::Full } else { Submission::Software }
            }
        }
    }

    /// The next queue of this CPU's round that is well and can do it.
    fn next_queue(
        &mut self,
        direction: Direction,
        src_bytes: usize,
        dst_bytes: usize,
    ) -> Option<(Arc<Wq>, Task)> {
        let round = self.bound.map.as_ref()?.cpu(self.cpu).round(direction);
        let turn = self.turns.get_mut(direction as usize)?;
        let makes_header = self.mode == Mode::Dynamic && direction == Direction::Compress;
        for _ in 0..round.queues.len() {
            let wq = self.bound.wq(round.queue(*turn))?;
            let can = !makes_header || wq.device.config().has_header_generation;
            let bytes_max = wq.config()?.transfer_bytes_max;
            let task = Task::new(direction, self.mode, src_bytes, dst_bytes, bytes_max);
            if let Some(task) = task.filter(|_| can)
                && wq.is_well(self.bound.settings.quarantine_ns)
            {
                *turn = turn.wrapping_add(1);
                return Some((Arc::clone(wq), task));
            }
            // The rest of its run is the next one's.
            *turn = turn.wrapping_add(round.run - *turn % round.run);
        }
        None
    }

    /// Looks after a job, whose output goes to `dst`; `None`: it goes on. `is_idle`: the device had
    /// nothing else to do.
    pub(crate) fn look(
        &mut self,
        place: &mut Option<Job>,
        dst: &mut [u8],
        is_idle: bool,
    ) -> Option<Ended> {
        let settings = &self.bound.settings;
        let state = place.as_mut()?.state(settings, is_idle);
        if matches!(state, State::Running) {
            return None;
        }
        let job = place.take()?;
        self.out -= 1;
        let (ended, lease) = match state {
            State::Completed(record) => {
                match job.finish(&record, dst, settings, &self.accel.counters) {
                    Finished::Answer(outcome, lease) => (Ended::Answer(outcome), lease),
                    Finished::Again(lease) => (Ended::Again, lease),
                    Finished::Verifying(job) => {
                        self.out += 1;
                        job.wq().device.written_from(self.cpu, true);
                        *place = Some(job);
                        return None;
                    }
                }
            }
            State::Lost => (Ended::Again, job.land()),
            State::TimedOut | State::Running => {
                self.accel.counters.count_timeout();
                job.wq().give_up(settings.quarantine_ns);
                // The device keeps the lease.
                (Ended::Again, None)
            }
        };
        self.free.extend(lease);
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
