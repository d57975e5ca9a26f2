//! A work queue as the driver sees it: descriptors that are left, and health.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use crate::config::WqMode;
use crate::device::Device;
use crate::dma::{Lease, locked};
use crate::stats::WqCounters;
use crate::wq::Written;

/// A queue of a device that is bound.
#[derive(Debug)]
pub(crate) struct Wq {
    pub(crate) device: Arc<Device>,
    index: usize,
    /// The tables for fixed blocks, for as long as a job may refer to them.
    aecs: Arc<Lease>,
    /// The handle of the interrupt that rings the driver's bell.
    pub(crate) interrupt: u16,
    portal: Mutex<Portal>,
    /// 0, or until when nobody submits.
    given_up_until_ns: AtomicU64,
    pub(crate) counters: Arc<WqCounters>,
}

/// Descriptors are written with this locked: who closes it knows that none comes after.
#[derive(Debug)]
struct Portal {
    is_open: bool,
    /// Descriptors that may be written before one completes; of a shared queue, which says itself
    /// when it is full, as good as endless.
    left: usize,
    size: usize,
    /// Of the device, when the descriptors were last all there: each reset makes it so.
    resets: u64,
}

/// What became of a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Submitted {
    /// It is with the device, which was reset so often before.
    Accepted { resets: u64 },
    /// There is no room now.
    Full,
    /// The queue takes nothing.
    Closed,
}

impl Wq {
    pub(crate) fn new(device: &Arc<Device>, index: usize, aecs: &Arc<Lease>, irq: u16) -> Self {
        let config = device.config().queues.get(index);
        let size = match config.map(|config| (config.mode, config.size)) {
            Some((WqMode::Dedicated, size)) => size,
            _ => usize::MAX,
        };
        Self {
            device: Arc::clone(device),
            index,
            aecs: Arc::clone(aecs),
            interrupt: irq,
            portal: Mutex::new(Portal { is_open: true, left: size, size, resets: device.resets() }),
            given_up_until_ns: AtomicU64::new(0),
            counters: Arc::default(),
        }
    }

    pub(crate) fn name(&self) -> &str {
        self.device.config().queues.get(self.index).map_or("", |config| &config.name)
    }

    pub(crate) fn aecs_address(&self) -> u64 {
        self.aecs.address(0)
    }

    /// May somebody submit?
    pub(crate) fn is_well(&self) -> bool {
        let until = self.given_up_until_ns.load(Ordering::Acquire);
        self.device.is_queue_on(self.index) && (until == 0 || self.device.clock().now_ns() >= until)
    }

    /// Nobody submits for a while; then the next job is the probe.
    pub(crate) fn give_up(&self, ns: u64) {
        let until = self.device.clock().now_ns().saturating_add(ns);
        self.given_up_until_ns.store(until.max(1), Ordering::Release);
    }

    /// A job has come back.
    pub(crate) fn recovered(&self) {
        if self.given_up_until_ns.load(Ordering::Relaxed) != 0 {
            self.given_up_until_ns.store(0, Ordering::Release);
        }
    }

    /// Opens or closes the portal. When it is closed, nobody is writing to it any more.
    pub(crate) fn open(&self, is_open: bool) {
        locked(&self.portal).is_open = is_open;
    }

    pub(crate) fn submit(&self, descriptor: &[u8; 64]) -> Submitted {
        let mut portal = locked(&self.portal);
        let resets = self.device.resets();
        if portal.resets != resets {
            (portal.left, portal.resets) = (portal.size, resets);
        }
        if !portal.is_open {
            return Submitted::Closed;
        }
        if portal.left == 0 {
            return Submitted::Full;
        }
        match self.device.write(self.index, descriptor) {
            Written::Accepted => {
                portal.left -= 1;
                Submitted::Accepted { resets }
            }
            Written::Retry => Submitted::Full,
            // The queue went off meanwhile.
            Written::Lost => Submitted::Closed,
        }
    }

    /// The descriptor that was submitted after so many resets is done.
    pub(crate) fn put(&self, resets: u64) {
        let mut portal = locked(&self.portal);
        if portal.resets == resets {
            portal.left += 1;
        }
    }

    /// Descriptors that are out.
    pub(crate) fn outstanding(&self) -> usize {
        let portal = locked(&self.portal);
        let is_reset = portal.resets != self.device.resets();
        if is_reset { 0 } else { portal.size - portal.left }
    }
}
