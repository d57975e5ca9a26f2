//! What all sessions share: the devices that are bound, their queues, the parameters, the counters.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use acomp_core::Direction;

use super::bell::Bell;
use crate::aecs::Aecs;
use crate::bits::aecs::BYTES as AECS_BYTES;
use crate::device::Device;
use crate::dma::{Dma, Lease, locked};
use crate::stats::{GlobalCounters, GlobalStats, WqCounters, WqStats};
use crate::wq::{WqMode, Written};

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

/// Why a device was not bound.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// Its address space has no room for another table.
    #[error("the address space of the device is full")]
    NoMemory,
    /// It was removed.
    #[error("the device is gone")]
    Gone,
}

/// The driver's state: what sessions of one algorithm share.
pub struct Accel {
    dma: Arc<Dma>,
    settings: Mutex<Settings>,
    /// Held while what is bound is changed.
    changing: Mutex<()>,
    bound: RwLock<Arc<Bound>>,
    /// Counts the changes of `bound`.
    version: AtomicU64,
    bell: Arc<Bell>,
    pub(crate) counters: GlobalCounters,
    /// Of queues that are unbound.
    past: Mutex<WqStats>,
}

/// What is bound: an immutable snapshot, replaced as a whole.
#[derive(Debug, Default)]
pub(crate) struct Bound {
    pub(crate) settings: Settings,
    pub(crate) devices: Vec<Arc<BoundDevice>>,
    pub(crate) queues: Vec<Arc<Wq>>,
    pub(crate) version: u64,
}

#[derive(Debug)]
pub(crate) struct BoundDevice {
    pub(crate) device: Arc<Device>,
    queues: Vec<Arc<Wq>>,
}

/// A queue as the driver sees it: descriptors that are left, and health.
#[derive(Debug)]
pub(crate) struct Wq {
    pub(crate) device: Arc<Device>,
    pub(crate) index: usize,
    /// The tables for fixed blocks, for as long as a job may refer to them.
    aecs: Arc<Lease>,
    /// The handle of the interrupt that rings the driver's bell.
    pub(crate) interrupt: u16,
    /// `None`: a shared queue, which says itself when it is full.
    credits: Option<Mutex<Credits>>,
    /// 0, or until when nobody submits.
    given_up_until_ns: AtomicU64,
    pub(crate) counters: WqCounters,
}

/// Descriptors that may be written before one completes.
#[derive(Debug)]
struct Credits {
    left: usize,
    size: usize,
    /// Of the device, when they were last whole: each reset makes them so.
    resets: u64,
}

impl Accel {
    /// A driver without devices, which does everything in software.
    #[must_use]
    pub fn new(settings: Settings) -> Arc<Self> {
        let bound = Bound { settings: settings.clone(), ..Bound::default() };
        Arc::new(Self {
            dma: Dma::new(),
            settings: Mutex::new(settings),
            changing: Mutex::new(()),
            bound: RwLock::new(Arc::new(bound)),
            version: AtomicU64::new(0),
            bell: Arc::default(),
            counters: GlobalCounters::default(),
            past: Mutex::default(),
        })
    }

    /// The address space that the driver's devices must use.
    #[must_use]
    pub fn dma(&self) -> &Arc<Dma> {
        &self.dma
    }

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> Settings {
        locked(&self.settings).clone()
    }

    /// Changes the settings.
    ///
    /// # Errors
    /// [`IsBound`] while a device is bound.
    pub fn set(&self, settings: Settings) -> Result<(), IsBound> {
        let _changing = locked(&self.changing);
        if !self.bound().devices.is_empty() {
            return Err(IsBound);
        }
        *locked(&self.settings) = settings;
        self.publish(Vec::new());
        Ok(())
    }

    /// Submits to the queues of this device, too.
    ///
    /// # Errors
    /// [`BindError`].
    pub fn bind(&self, device: &Arc<Device>) -> Result<(), BindError> {
        if device.is_gone() {
            return Err(BindError::Gone);
        }
        let aecs = Arc::new(self.dma.lease(AECS_BYTES).ok_or(BindError::NoMemory)?);
        aecs.write().copy_from_slice(&Aecs::fixed().encode());
        let bell = Arc::clone(&self.bell);
        let interrupt = device.add_handler(Arc::new(move || bell.ring()));
        let configs = device.config().queues.iter().enumerate();
        let queues = configs.map(|(index, config)| {
            let (left, size, resets) = (config.size, config.size, device.resets());
            let is_dedicated = config.mode == WqMode::Dedicated;
            let credits = is_dedicated.then(|| Mutex::new(Credits { left, size, resets }));
            Arc::new(Wq {
                device: Arc::clone(device),
                index,
                aecs: Arc::clone(&aecs),
                interrupt,
                credits,
                given_up_until_ns: AtomicU64::new(0),
                counters: WqCounters::default(),
            })
        });
        let queues = queues.collect();
        let device = Arc::new(BoundDevice { device: Arc::clone(device), queues });
        let _changing = locked(&self.changing);
        let mut devices = self.bound().devices.clone();
        devices.push(device);
        self.publish(devices);
        Ok(())
    }

    /// Submits to the queues of this device no more. What is in them completes.
    pub fn unbind(&self, id: u32) {
        let _changing = locked(&self.changing);
        let mut devices = self.bound().devices.clone();
        devices.retain(|bound| {
            let is_other = bound.device.config().id != id;
            if !is_other {
                let mut past = locked(&self.past);
                bound.queues.iter().for_each(|wq| past.add(wq.counters.read()));
            }
            is_other
        });
        self.publish(devices);
    }

    /// Submits to no device any more.
    pub fn unbind_all(&self) {
        for bound in &self.bound().devices {
            self.unbind(bound.device.config().id);
        }
    }

    /// Descriptors of dedicated queues that are out: 0 when nothing is on its way.
    #[must_use]
    pub fn outstanding_descriptors(&self) -> usize {
        self.bound().queues.iter().map(|wq| wq.outstanding()).sum()
    }

    /// The counters of the whole driver.
    #[must_use]
    pub fn stats(&self) -> GlobalStats {
        let mut queues = *locked(&self.past);
        for wq in &self.bound().queues {
            queues.add(wq.counters.read());
        }
        self.counters.read(queues)
    }

    /// The counters of each queue of each device: the device's number, the queue's, the counters.
    #[must_use]
    pub fn wq_stats(&self) -> Vec<(u32, usize, WqStats)> {
        let row = |wq: &Arc<Wq>| (wq.device.config().id, wq.index, wq.counters.read());
        self.bound().queues.iter().map(row).collect()
    }

    pub(crate) fn bell(&self) -> &Bell {
        &self.bell
    }

    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    pub(crate) fn bound(&self) -> Arc<Bound> {
        Arc::clone(&self.bound.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn publish(&self, devices: Vec<Arc<BoundDevice>>) {
        let settings = self.settings();
        let queues = devices.iter().flat_map(|device| device.queues.iter().cloned()).collect();
        let mut bound = self.bound.write().unwrap_or_else(PoisonError::into_inner);
        let version = bound.version + 1;
        *bound = Arc::new(Bound { settings, devices, queues, version });
        self.version.store(version, Ordering::Release);
    }
}

impl fmt::Debug for Accel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accel").field("bound", &self.bound()).finish_non_exhaustive()
    }
}

impl Wq {
    pub(crate) fn aecs_address(&self) -> u64 {
        self.aecs.address(0)
    }

    /// May somebody submit?
    pub(crate) fn is_open(&self) -> bool {
        let until = self.given_up_until_ns.load(Ordering::Acquire);
        self.device.is_queue_on(self.index) && (until == 0 || self.device.clock().now_ns() >= until)
    }

    /// Nobody submits for a while; then the next job is the probe.
    pub(crate) fn give_up(&self, ns: u64) {
        let until = self.device.clock().now_ns().saturating_add(ns);
        self.given_up_until_ns.store(until.max(1), Ordering::Release);
    }

    /// A job has come back.
    pub(crate) fn is_well(&self) {
        if self.given_up_until_ns.load(Ordering::Relaxed) != 0 {
            self.given_up_until_ns.store(0, Ordering::Release);
        }
    }

    /// A descriptor that may be written; the resets of the device at that time.
    pub(crate) fn take_credit(&self) -> Option<u64> {
        let Some(credits) = &self.credits else { return Some(self.device.resets()) };
        let mut credits = locked(credits);
        let resets = self.device.resets();
        if credits.resets != resets {
            (credits.left, credits.resets) = (credits.size, resets);
        }
        credits.left = credits.left.checked_sub(1)?;
        Some(resets)
    }

    /// Descriptors that are out.
    pub(crate) fn outstanding(&self) -> usize {
        self.credits.as_ref().map_or(0, |credits| {
            let credits = locked(credits);
            let is_reset = credits.resets != self.device.resets();
            if is_reset { 0 } else { credits.size - credits.left }
        })
    }

    /// The descriptor that was taken at so many resets is done.
    pub(crate) fn return_credit(&self, resets: u64) {
        if let Some(credits) = &self.credits {
            let mut credits = locked(credits);
            if credits.resets == resets {
                credits.left += 1;
            }
        }
    }

    pub(crate) fn write(&self, descriptor: &[u8; 64], is_alarming: bool) -> Written {
        self.device.write(self.index, descriptor, is_alarming)
    }

    pub(crate) fn count(&self, direction: Direction) {
        self.counters.count_call(direction);
    }
}
