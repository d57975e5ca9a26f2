//! Statistics under the kernel's names.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use acomp_core::Direction;

use crate::completion::Status;

/// What the driver did, as in the kernel's `global_stats`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GlobalStats {
    /// Compressions that a device was asked for.
    pub total_comp_calls: u64,
    /// Decompressions that a device was asked for.
    pub total_decomp_calls: u64,
    /// Compressions done in software.
    pub total_sw_comp_calls: u64,
    /// Decompressions done in software.
    pub total_sw_decomp_calls: u64,
    /// Bytes that devices made of pages.
    pub total_comp_bytes_out: u64,
    /// Bytes that devices made pages of.
    pub total_decomp_bytes_in: u64,
    /// Jobs that ended with an error that no other counter counts.
    pub total_completion_einval_errors: u64,
    /// Jobs that ended by the device's watchdog, or not in time.
    pub total_completion_timeout_errors: u64,
    /// Pages that did not fit their destination.
    pub total_completion_comp_buf_overflow_errors: u64,
}

impl GlobalStats {
    /// Names and values, in the kernel's order.
    #[must_use]
    pub fn rows(&self) -> [(&'static str, u64); 9] {
        [
            ("total_comp_calls", self.total_comp_calls),
            ("total_decomp_calls", self.total_decomp_calls),
            ("total_sw_comp_calls", self.total_sw_comp_calls),
            ("total_sw_decomp_calls", self.total_sw_decomp_calls),
            ("total_comp_bytes_out", self.total_comp_bytes_out),
            ("total_decomp_bytes_in", self.total_decomp_bytes_in),
            ("total_completion_einval_errors", self.total_completion_einval_errors),
            ("total_completion_timeout_errors", self.total_completion_timeout_errors),
            (
                "total_completion_comp_buf_overflow_errors",
                self.total_completion_comp_buf_overflow_errors,
            ),
        ]
    }
}

/// What a queue did, or several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WqStats {
    /// Compressions.
    pub comp_calls: u64,
    /// Bytes that they made.
    pub comp_bytes: u64,
    /// Decompressions.
    pub decomp_calls: u64,
    /// Bytes that went into them.
    pub decomp_bytes: u64,
}

impl WqStats {
    /// Adds those of another queue.
    pub fn add(&mut self, other: Self) {
        self.comp_calls += other.comp_calls;
        self.comp_bytes += other.comp_bytes;
        self.decomp_calls += other.decomp_calls;
        self.decomp_bytes += other.decomp_bytes;
    }

    /// Names and values.
    #[must_use]
    pub fn rows(&self) -> [(&'static str, u64); 4] {
        [
            ("comp_calls", self.comp_calls),
            ("comp_bytes", self.comp_bytes),
            ("decomp_calls", self.decomp_calls),
            ("decomp_bytes", self.decomp_bytes),
        ]
    }
}

/// What a device did, as in the kernel's `wq_stats`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeviceStats {
    /// Its name.
    pub device: String,
    /// The names of its queues, and what they did.
    pub queues: Vec<(String, WqStats)>,
}

impl DeviceStats {
    /// What all its queues did.
    #[must_use]
    pub fn total(&self) -> WqStats {
        let mut total = WqStats::default();
        self.queues.iter().for_each(|(_, stats)| total.add(*stats));
        total
    }

    /// Names and values: `iax1 comp_calls` for the device, `iax1/wq1.0 comp_calls` for a queue.
    #[must_use]
    pub fn rows(&self) -> Vec<(String, u64)> {
        let Self { device, queues } = self;
        let rows = |of: String, stats: WqStats| {
            stats.rows().map(move |(name, value)| (format!("{of} {name}"), value))
        };
        let queues = queues.iter().flat_map(|(wq, stats)| rows(format!("{device}/{wq}"), *stats));
        rows(device.clone(), self.total()).into_iter().chain(queues).collect()
    }
}

/// What a device is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "the rest is other")]
pub enum JobKind {
    /// Compressions.
    Compress,
    /// Decompressions, and verifications, which are some.
    Decompress,
    /// Whatever else, such as probes.
    Other,
}

/// What became of jobs: `submitted` is the sum of all others while nobody works on them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Jobs {
    /// Descriptors that queues took.
    pub submitted: u64,
    /// Jobs that engines are done with, reported or not.
    pub done: u64,
    /// Jobs that went with their queue when it was switched off or reset.
    pub lost: u64,
    /// Jobs in queues, with engines, and still to be reported.
    pub in_flight: u64,
}

impl Jobs {
    /// Adds those of another queue or device.
    pub fn add(&mut self, other: Self) {
        self.submitted += other.submitted;
        self.done += other.done;
        self.lost += other.lost;
        self.in_flight += other.in_flight;
    }
}

pub(crate) const JOB_KINDS: usize = 3;

/// What belongs to no queue.
#[derive(Debug, Default)]
pub(crate) struct GlobalCounters {
    sw_comp_calls: AtomicU64,
    sw_decomp_calls: AtomicU64,
    einval_errors: AtomicU64,
    timeout_errors: AtomicU64,
    comp_buf_overflow_errors: AtomicU64,
}

impl GlobalCounters {
    pub(crate) fn read(&self, queues: WqStats) -> GlobalStats {
        GlobalStats {
            total_comp_calls: queues.comp_calls,
            total_decomp_calls: queues.decomp_calls,
            total_sw_comp_calls: self.sw_comp_calls.load(Relaxed),
            total_sw_decomp_calls: self.sw_decomp_calls.load(Relaxed),
            total_comp_bytes_out: queues.comp_bytes,
            total_decomp_bytes_in: queues.decomp_bytes,
            total_completion_einval_errors: self.einval_errors.load(Relaxed),
            total_completion_timeout_errors: self.timeout_errors.load(Relaxed),
            total_completion_comp_buf_overflow_errors: self.comp_buf_overflow_errors.load(Relaxed),
        }
    }

    pub(crate) fn count_software(&self, direction: Direction) {
        let counter = match direction {
            Direction::Compress => &self.sw_comp_calls,
            Direction::Decompress => &self.sw_decomp_calls,
        };
        counter.fetch_add(1, Relaxed);
    }

    /// A job ended with an error.
    pub(crate) fn count_failure(&self, status: Status) {
        if status == Status::WATCHDOG_EXPIRED {
            self.count_timeout();
        } else {
            self.einval_errors.fetch_add(1, Relaxed);
        }
    }

    pub(crate) fn count_timeout(&self) {
        self.timeout_errors.fetch_add(1, Relaxed);
    }

    pub(crate) fn count_overflow(&self) {
        self.comp_buf_overflow_errors.fetch_add(1, Relaxed);
    }
}

#[derive(Debug, Default)]
pub(crate) struct WqCounters {
    comp_calls: AtomicU64,
    comp_bytes: AtomicU64,
    decomp_calls: AtomicU64,
    decomp_bytes: AtomicU64,
}

impl WqCounters {
    /// A job was submitted.
    pub(crate) fn count_call(&self, direction: Direction) {
        let counter = match direction {
            Direction::Compress => &self.comp_calls,
            Direction::Decompress => &self.decomp_calls,
        };
        counter.fetch_add(1, Relaxed);
    }

    /// A job was done: `bytes` out of a compression, or into a decompression.
    pub(crate) fn count_bytes(&self, direction: Direction, bytes: usize) {
        let counter = match direction {
            Direction::Compress => &self.comp_bytes,
            Direction::Decompress => &self.decomp_bytes,
        };
        counter.fetch_add(bytes as u64, Relaxed);
    }

    pub(crate) fn read(&self) -> WqStats {
        WqStats {
            comp_calls: self.comp_calls.load(Relaxed),
            comp_bytes: self.comp_bytes.load(Relaxed),
            decomp_calls: self.decomp_calls.load(Relaxed),
            decomp_bytes: self.decomp_bytes.load(Relaxed),
        }
    }
}
