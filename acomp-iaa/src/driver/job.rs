//! One job: a lease that a device works on, from its submission to what became of it.

use std::sync::Arc;

use acomp_core::{Direction, Error, Outcome};

use super::queue::{Submitted, Wq};
use super::settings::Settings;
use crate::completion::{AnalyticsError, CompletionRecord, Status};
use crate::desc::{CompressFlags, DecompressFlags, Descriptor, Flags, Operation};
use crate::dma::Lease;
use crate::stats::GlobalCounters;

/// Which of the driver's algorithms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Fixed,
    Dynamic,
}

/// What is submitted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Task {
    pub(crate) direction: Direction,
    pub(crate) mode: Mode,
    pub(crate) src_bytes: usize,
    /// Room for the output in the lease.
    pub(crate) dst_bytes: usize,
}

impl Task {
    /// Those that fit a lease.
    pub(crate) fn new(
        direction: Direction,
        mode: Mode,
        src_bytes: usize,
        dst_bytes: usize,
    ) -> Option<Self> {
        let fits = (1..=SIDE_BYTES_MAX).contains(&src_bytes) && dst_bytes > 0;
        let dst_bytes = dst_bytes.min(SIDE_BYTES_MAX);
        fits.then_some(Self { direction, mode, src_bytes, dst_bytes })
    }

    fn descriptor(&self, lease: &Lease, wq: &Wq) -> Descriptor {
        let mut flags = Flags::COMPLETION_VALID | Flags::REQUEST_COMPLETION | Flags::CACHE_CONTROL;
        let (mut src2, mut src2_bytes) = (0, 0);
        let operation = match (self.direction, self.mode) {
            (Direction::Compress, Mode::Fixed) => {
                flags |= Flags::READ_SRC2_AECS;
                (src2, src2_bytes) = (wq.aecs_address(), crate::bits::aecs::BYTES as u32);
                Operation::Compress(
                    CompressFlags::FLUSH_OUTPUT | CompressFlags::APPEND_END_OF_BLOCK,
                )
            }
            (Direction::Compress, Mode::Dynamic) => Operation::Compress(
                CompressFlags::FLUSH_OUTPUT
                    | CompressFlags::APPEND_END_OF_BLOCK
                    | CompressFlags::GENERATE_HEADER_ONE_PASS,
            ),
            (Direction::Decompress, _) => Operation::Decompress(DECOMPRESS),
        };
        Descriptor {
            flags,
            operation,
            completion: lease.record_address(),
            src1: lease.address(0),
            src1_bytes: self.src_bytes as u32,
            dst: lease.address(SIDE_BYTES_MAX),
            dst_bytes_max: self.dst_bytes as u32,
            src2,
            src2_bytes,
            ..Descriptor::default()
        }
    }
}

/// A job that was submitted.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) lease: Lease,
    pub(crate) wq: Arc<Wq>,
    task: Task,
    interrupts: bool,
    /// What the compression reported whose output is being verified.
    verified: Option<CompletionRecord>,
    /// Of the device, at submission.
    resets: u64,
    /// Since when it is waited for without anything to do meanwhile.
    waiting_since_ns: Option<u64>,
}

/// What is known of a job.
pub(crate) enum State {
    Running,
    Completed(CompletionRecord),
    /// The device was reset or removed: nothing comes any more, and nothing is written.
    Lost,
    /// It may still come.
    TimedOut,
}

/// What became of a job.
pub(crate) enum Verdict {
    Answer(Outcome),
    /// Software is to do it again.
    Again,
    /// It goes on: the device verifies what it made.
    Verifying,
}

impl Job {
    /// Submits to `wq`. `Err`: all tries met a full queue.
    pub(crate) fn submit(
        lease: Lease,
        wq: &Arc<Wq>,
        task: Task,
        src: &[u8],
        interrupts: bool,
    ) -> Result<Self, Lease> {
        lease.renew_with(src);
        let tries = match task.direction {
            Direction::Compress => COMPRESS_TRIES_MAX,
            Direction::Decompress => DECOMPRESS_TRIES_MAX,
        };
        let descriptor = with_interrupt(task.descriptor(&lease, wq), wq, interrupts);
        let Some(resets) = submit(wq, &descriptor, tries) else { return Err(lease) };
        wq.counters.count_call(task.direction);
        let wq = Arc::clone(wq);
        Ok(Self { lease, wq, task, interrupts, verified: None, resets, waiting_since_ns: None })
    }

    /// `is_idle`: there was nothing else to do, so that time counts.
    pub(crate) fn state(&mut self, settings: &Settings, is_idle: bool) -> State {
        if let Some(record) = self.lease.completion() {
            return State::Completed(record);
        }
        if self.is_lost() {
            // Whoever finished just before the reset has written.
            return match self.lease.completion() {
                Some(record) => State::Completed(record),
                None => State::Lost,
            };
        }
        if is_idle {
            let now_ns = self.wq.device.clock().now_ns();
            let since_ns = *self.waiting_since_ns.get_or_insert(now_ns);
            if now_ns.saturating_sub(since_ns) > settings.completion_timeout_ns {
                return State::TimedOut;
            }
        }
        State::Running
    }

    /// The job was overdue, and has come back or is lost: its lease is free.
    pub(crate) fn into_lease(self) -> Lease {
        self.wq.put(self.resets);
        self.lease
    }

    /// Was the device reset or removed?
    fn is_lost(&self) -> bool {
        self.wq.device.resets() != self.resets
    }

    /// What a completion means: the output goes to `dst`, after the device has verified it if
    /// `settings` say so.
    pub(crate) fn verdict(
        &mut self,
        record: &CompletionRecord,
        dst: &mut [u8],
        settings: &Settings,
        counters: &GlobalCounters,
    ) -> Verdict {
        self.wq.recovered();
        self.wq.put(self.resets);
        if let Some(compressed) = self.verified {
            let is_same = record.status == Status::SUCCESS && record.crc == compressed.crc;
            return if is_same {
                self.output(&compressed, dst)
            } else {
                counters.count_invalid();
                Verdict::Answer(Err(Error::VerifyFailed))
            };
        }
        if record.status == Status::SUCCESS {
            let is_verified =
                settings.verify_compress && self.task.direction == Direction::Compress;
            return if is_verified { self.verify(record) } else { self.output(record, dst) };
        }
        let is_overflow = record.analytics_error() == Some(AnalyticsError::OUTPUT_OVERFLOW);
        match self.task.direction {
            Direction::Compress if is_overflow => {
                counters.count_overflow();
                // There may be more room than the lease has.
                let has_more_room = dst.len() > self.task.dst_bytes;
                if has_more_room {
                    Verdict::Again
                } else {
                    Verdict::Answer(Err(Error::DstTooSmall))
                }
            }
            Direction::Compress if record.status == Status::WATCHDOG_EXPIRED => {
                counters.count_timeout();
                Verdict::Answer(Err(Error::TimedOut))
            }
            Direction::Compress => {
                counters.count_invalid();
                Verdict::Answer(Err(Error::Device))
            }
            Direction::Decompress => {
                counters.count_invalid();
                Verdict::Again
            }
        }
    }

    fn output(&self, record: &CompletionRecord, dst: &mut [u8]) -> Verdict {
        let len = record.output_bytes as usize;
        let counted = match self.task.direction {
            Direction::Compress => len,
            Direction::Decompress => self.task.src_bytes,
        };
        // A stream ends where its source does.
        let is_whole = record.bytes_completed as usize == self.task.src_bytes;
        let bytes = self.lease.read();
        let output = bytes.get(SIDE_BYTES_MAX..SIDE_BYTES_MAX + len);
        match (output, dst.get_mut(..len)) {
            (Some(output), Some(dst)) if is_whole => {
                dst.copy_from_slice(output);
                self.wq.counters.count_bytes(self.task.direction, counted);
                Verdict::Answer(Ok(len))
            }
            _ => Verdict::Again,
        }
    }

    /// Has the device decompress what it compressed, to nowhere, for the checksum.
    fn verify(&mut self, record: &CompletionRecord) -> Verdict {
        self.lease.renew();
        let descriptor = Descriptor {
            flags: Flags::COMPLETION_VALID | Flags::REQUEST_COMPLETION | Flags::CACHE_CONTROL,
            operation: Operation::Decompress(DECOMPRESS | DecompressFlags::SUPPRESS_OUTPUT),
            completion: self.lease.record_address(),
            src1: self.lease.address(SIDE_BYTES_MAX),
            src1_bytes: record.output_bytes,
            dst: self.lease.address(0),
            dst_bytes_max: self.task.src_bytes as u32,
            ..Descriptor::default()
        };
        let descriptor = with_interrupt(descriptor, &self.wq, self.interrupts);
        match submit(&self.wq, &descriptor, DECOMPRESS_TRIES_MAX) {
            Some(resets) => {
                (self.resets, self.verified) = (resets, Some(*record));
                self.waiting_since_ns = None;
                Verdict::Verifying
            }
            None => Verdict::Answer(Err(Error::VerifyFailed)),
        }
    }
}

/// A descriptor that asks for the interrupt of its queue, if it `interrupts`.
fn with_interrupt(descriptor: Descriptor, wq: &Wq, interrupts: bool) -> Descriptor {
    if !interrupts {
        return descriptor;
    }
    let flags = descriptor.flags | Flags::REQUEST_INTERRUPT;
    Descriptor { flags, interrupt_handle: wq.interrupt, ..descriptor }
}

/// Submits as soon as there is a descriptor to be had; the device's resets at that time.
fn submit(wq: &Wq, descriptor: &Descriptor, tries: usize) -> Option<u64> {
    let descriptor = descriptor.encode();
    for _ in 0..tries {
        match wq.submit(&descriptor) {
            Submitted::Accepted { resets } => return Some(resets),
            Submitted::Closed => return None,
            // Room is made by whoever takes a job.
            Submitted::Full => {
                if wq.device.drive(1) == 0 {
                    std::hint::spin_loop();
                }
            }
        }
    }
    None
}

const DECOMPRESS: DecompressFlags = DecompressFlags::ENABLE
    .union(DecompressFlags::FLUSH_OUTPUT)
    .union(DecompressFlags::CHECK_END_OF_BLOCK)
    .union(DecompressFlags::STOP_ON_END_OF_BLOCK);

/// What a lease has for a source, and for an output: a page that does not compress, and its codes.
pub(crate) const SIDE_BYTES_MAX: usize = 4096 + 4096 / 8 + 64;
/// How often a descriptor is asked for: spec C.10.
const COMPRESS_TRIES_MAX: usize = 1000;
const DECOMPRESS_TRIES_MAX: usize = 500;
