//! One job: a lease that a device works on, from its submission to what became of it.

use std::sync::Arc;

use acomp_core::{Direction, Error, Outcome};

use super::queue::{Flight, Grounded, Wq};
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
    src_bytes: u32,
    /// Room for the output in the lease.
    dst_bytes: u32,
}

impl Task {
    /// Those that fit a lease, and the queue.
    pub(crate) fn new(
        direction: Direction,
        mode: Mode,
        src_bytes: usize,
        dst_bytes: usize,
        transfer_bytes_max: usize,
    ) -> Option<Self> {
        let side_bytes_max = transfer_bytes_max.min(SIDE_BYTES_MAX);
        let fits = (1..=side_bytes_max).contains(&src_bytes) && dst_bytes > 0;
        let dst_bytes = dst_bytes.min(side_bytes_max);
        let (src_bytes, dst_bytes) = (src_bytes as u32, dst_bytes as u32);
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
            src1_bytes: self.src_bytes,
            dst: lease.address(SIDE_BYTES_MAX),
            dst_bytes_max: self.dst_bytes,
            src2,
            src2_bytes,
            ..Descriptor::default()
        }
    }
}

/// A job that was submitted.
#[derive(Debug)]
pub(crate) struct Job {
    flight: Flight,
    task: Task,
    interrupts: bool,
    /// What the compression made whose output is being verified.
    verified: Option<Made>,
    looks: u32,
    /// Since when it is waited for.
    waiting_since_ns: Option<u64>,
}

/// What a device says that it made.
#[derive(Clone, Copy, Debug)]
struct Made {
    bytes: u32,
    crc: u32,
}

/// What is known of a job.
pub(crate) enum State {
    Running,
    Completed(CompletionRecord),
    /// Nothing comes any more, and nothing is written.
    Lost,
    /// It may still come.
    TimedOut,
}

/// What became of a job; its lease is free.
pub(crate) enum Finished {
    Answer(Outcome, Option<Lease>),
    /// Software is to do it again.
    Again(Option<Lease>),
    /// It goes on: the device verifies what it made.
    Verifying(Job),
}

impl Job {
    /// Submits to `wq`, with `src` in the lease.
    pub(crate) fn submit(
        lease: Lease,
        wq: &Arc<Wq>,
        task: Task,
        src: &[u8],
        interrupts: bool,
        tries: usize,
    ) -> Result<Self, Grounded> {
        lease.renew_with(src);
        let descriptor = with_interrupt(task.descriptor(&lease, wq), wq, interrupts);
        let flight = submit(wq, &descriptor, lease, tries)?;
        wq.counters.count_call(task.direction);
        Ok(Self { flight, task, interrupts, verified: None, looks: 0, waiting_since_ns: None })
    }

    pub(crate) fn wq(&self) -> &Arc<Wq> {
        self.flight.wq()
    }

    /// `is_idle`: the device had nothing else to do.
    pub(crate) fn state(&mut self, settings: &Settings, is_idle: bool) -> State {
        if let Some(record) = self.flight.completion() {
            return State::Completed(record);
        }
        if self.flight.is_lost() {
            // Whoever finished just before has written.
            return match self.flight.completion() {
                Some(record) => State::Completed(record),
                None => State::Lost,
            };
        }
        self.looks = self.looks.wrapping_add(1);
        // A device that is always busy must not keep us waiting for ever, either.
        if is_idle || self.looks.is_multiple_of(LOOKS_OPS) {
            let now_ns = self.wq().device.clock().now_ns();
            let since_ns = *self.waiting_since_ns.get_or_insert(now_ns);
            if now_ns.saturating_sub(since_ns) > settings.completion_timeout_ns {
                return State::TimedOut;
            }
        }
        State::Running
    }

    /// Nothing comes any more: the lease.
    pub(crate) fn land(self) -> Option<Lease> {
        self.flight.land()
    }

    /// What a completion means: the output goes to `dst`, after the device has verified it if
    /// `settings` say so.
    pub(crate) fn finish(
        self,
        record: &CompletionRecord,
        dst: &mut [u8],
        settings: &Settings,
        counters: &GlobalCounters,
    ) -> Finished {
        let Self { flight, task, interrupts, verified, .. } = self;
        let wq = Arc::clone(flight.wq());
        wq.recovered();
        let lease = flight.land();
        let is_success = record.status == Status::SUCCESS;
        let made = Made { bytes: record.output_bytes, crc: record.crc };
        if let Some(compressed) = verified {
            if is_success && made.crc == compressed.crc {
                return task.output(&wq, lease, compressed, dst);
            }
            counters.count_failure(record.status);
            return Finished::Answer(Err(Error::VerifyFailed), lease);
        }
        let is_compression = task.direction == Direction::Compress;
        // A stream ends where its source does.
        let is_whole = record.bytes_completed == task.src_bytes;
        match lease {
            lease if is_success && !is_whole => Finished::Again(lease),
            Some(lease) if is_success && is_compression && settings.verify_compress => {
                task.verify(&wq, lease, made, interrupts)
            }
            lease if is_success => task.output(&wq, lease, made, dst),
            lease if is_compression => task.refused(record, dst, counters, lease),
            lease => {
                // A stream that is longer than the page is the stream's fault.
                if record.status != Status::OUTPUT_OVERFLOW {
                    counters.count_failure(record.status);
                }
                Finished::Again(lease)
            }
        }
    }
}

impl Task {
    fn output(&self, wq: &Wq, lease: Option<Lease>, made: Made, dst: &mut [u8]) -> Finished {
        let len = made.bytes as usize;
        if let Some(lease) = &lease
            && let Some(output) = lease.read().get(SIDE_BYTES_MAX..SIDE_BYTES_MAX + len)
            && let Some(dst) = dst.get_mut(..len)
        {
            dst.copy_from_slice(output);
        } else {
            return Finished::Again(lease);
        }
        let counted = match self.direction {
            Direction::Compress => made.bytes,
            Direction::Decompress => self.src_bytes,
        };
        wq.counters.count_bytes(self.direction, counted as usize);
        Finished::Answer(Ok(len), lease)
    }

    /// A compression that the device did not do.
    fn refused(
        &self,
        record: &CompletionRecord,
        dst: &[u8],
        counters: &GlobalCounters,
        lease: Option<Lease>,
    ) -> Finished {
        if record.analytics_error() == Some(AnalyticsError::OUTPUT_OVERFLOW) {
            counters.count_overflow();
            // There may be more room than the lease has.
            let has_more_room = dst.len() > self.dst_bytes as usize;
            return if has_more_room {
                Finished::Again(lease)
            } else {
                Finished::Answer(Err(Error::DstTooSmall), lease)
            };
        }
        counters.count_failure(record.status);
        let is_timeout = record.status == Status::WATCHDOG_EXPIRED;
        let error = if is_timeout { Error::TimedOut } else { Error::Device };
        Finished::Answer(Err(error), lease)
    }

    /// Has the device decompress what it compressed, to nowhere, for the checksum. If that cannot
    /// be, software does it all again.
    fn verify(self, wq: &Arc<Wq>, lease: Lease, made: Made, interrupts: bool) -> Finished {
        lease.renew();
        let descriptor = Descriptor {
            flags: Flags::COMPLETION_VALID | Flags::REQUEST_COMPLETION | Flags::CACHE_CONTROL,
            operation: Operation::Decompress(DECOMPRESS | DecompressFlags::SUPPRESS_OUTPUT),
            completion: lease.record_address(),
            src1: lease.address(SIDE_BYTES_MAX),
            src1_bytes: made.bytes,
            dst: lease.address(0),
            dst_bytes_max: self.src_bytes,
            ..Descriptor::default()
        };
        let descriptor = with_interrupt(descriptor, wq, interrupts);
        match submit(wq, &descriptor, lease, DECOMPRESS_TRIES_MAX) {
            Ok(flight) => Finished::Verifying(Job {
                flight,
                task: self,
                interrupts,
                verified: Some(made),
                looks: 0,
                waiting_since_ns: None,
            }),
            Err(Grounded { lease, .. }) => Finished::Again(Some(lease)),
        }
    }
}

/// How often a descriptor is asked for: spec C.10.
pub(crate) fn tries_max(direction: Direction) -> usize {
    match direction {
        Direction::Compress => COMPRESS_TRIES_MAX,
        Direction::Decompress => DECOMPRESS_TRIES_MAX,
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

/// Submits as soon as there is a descriptor to be had.
fn submit(
    wq: &Arc<Wq>,
    descriptor: &Descriptor,
    mut lease: Lease,
    tries: usize,
) -> Result<Flight, Grounded> {
    let descriptor = descriptor.encode();
    for _ in 1..tries {
        match wq.submit(&descriptor, lease) {
            Err(grounded) if grounded.is_full => {
                lease = grounded.lease;
                // Room is made by whoever takes a job.
                if wq.device.drive(1) == 0 {
                    std::hint::spin_loop();
                }
            }
            submitted => return submitted,
        }
    }
    wq.submit(&descriptor, lease)
}

const DECOMPRESS: DecompressFlags = DecompressFlags::ENABLE
    .union(DecompressFlags::FLUSH_OUTPUT)
    .union(DecompressFlags::CHECK_END_OF_BLOCK)
    .union(DecompressFlags::STOP_ON_END_OF_BLOCK);

/// What a lease has for a source, and for an output: a page that does not compress, and its codes.
pub(crate) const SIDE_BYTES_MAX: usize = 4096 + 4096 / 8 + 64;
const COMPRESS_TRIES_MAX: usize = 1000;
const DECOMPRESS_TRIES_MAX: usize = 500;
/// Every so often, time is looked at.
const LOOKS_OPS: u32 = 64;
