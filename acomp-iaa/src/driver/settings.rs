//! What can be set while no device is bound.

use crate::topology::Policy;

/// How a chain is processed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the kernel's three")]
pub enum SyncMode {
    /// One job after the other.
    Sync,
    /// All are submitted, then all are polled.
    #[default]
    Async,
    /// All are submitted, and interrupts tell of the completions.
    AsyncIrq,
}

impl SyncMode {
    /// As in the kernel's attribute `sync_mode`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sync => "sync",
            Self::Async => "async",
            Self::AsyncIrq => "async_irq",
        }
    }
}

/// What can be set while no device is bound.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// How chains are processed.
    pub sync_mode: SyncMode,
    /// Whether each compression is decompressed by the device, and the checksums compared.
    pub verify_compress: bool,
    /// Which queues a CPU submits to.
    pub policy: Policy,
    /// How long a job may take before its queue is given up for a while.
    pub completion_timeout_ns: u64,
    /// For how long a queue is given up.
    pub quarantine_ns: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            sync_mode: SyncMode::Async,
            verify_compress: false,
            policy: Policy::default(),
            completion_timeout_ns: 1_000_000_000,
            quarantine_ns: 1_000_000_000,
        }
    }
}

/// A device is bound, and settings are settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a device is bound: unbind all devices to change the settings")]
#[non_exhaustive]
pub struct IsBound;
