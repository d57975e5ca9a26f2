//! A work queue as the driver sees it: descriptors that are left, and health.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use crate::completion::CompletionRecord;
use crate::config::{WqConfig, WqMode};
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
    portal: Arc<Mutex<Portal>>,
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
    /// Of the device, when the descriptors were last all there.
    epoch: u64,
}

/// A descriptor that is out, and the memory that it refers to. Dropped before it has landed, it
/// leaves both to the device, which may still write.
#[derive(Debug)]
pub(crate) struct Flight {
    wq: Arc<Wq>,
    epoch: u64,
    /// `None`: it has landed.
    lease: Option<Lease>,
}

/// Why a descriptor was not written. The lease is the caller's again.
#[derive(Debug)]
pub(crate) struct Grounded {
    pub(crate) lease: Lease,
    /// There is no room now; else the queue takes nothing.
    pub(crate) is_full: bool,
}

impl Wq {
    pub(crate) fn new(device: &Arc<Device>, index: usize, aecs: &Arc<Lease>, irq: u16) -> Self {
        let config = device.config().queues.get(index);
        let size = match config.map(|config| (config.mode, config.size)) {
            Some((WqMode::Dedicated, size)) => size,
            _ => usize::MAX,
        };
        let portal = Portal { is_open: true, left: size, size, epoch: device.epoch() };
        Self {
            device: Arc::clone(device),
            index,
            aecs: Arc::clone(aecs),
            interrupt: irq,
            portal: Arc::new(Mutex::new(portal)),
            given_up_until_ns: AtomicU64::new(0),
            counters: Arc::default(),
        }
    }

    pub(crate) fn config(&self) -> Option<&WqConfig> {
        self.device.config().queues.get(self.index)
    }

    pub(crate) fn name(&self) -> &str {
        self.config().map_or("", |config| &config.name)
    }

    pub(crate) fn aecs_address(&self) -> u64 {
        self.aecs.address(0)
    }

    /// May somebody submit? Of those who ask when a quarantine is over, the first: his job is the
    /// probe.
    pub(crate) fn is_well(&self, quarantine_ns: u64) -> bool {
        if !self.device.is_queue_on(self.index) || self.device.keeps_too_much() {
            return false;
        }
        let until_ns = self.given_up_until_ns.load(Ordering::Acquire);
        until_ns == 0 || {
            let now_ns = self.device.clock().now_ns();
            let next_ns = now_ns.saturating_add(quarantine_ns).max(1);
            let (success, failure) = (Ordering::AcqRel, Ordering::Relaxed);
            let until = &self.given_up_until_ns;
            now_ns >= until_ns
                && until.compare_exchange(until_ns, next_ns, success, failure).is_ok()
        }
    }

    /// Nobody submits for a while.
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

    pub(crate) fn is_open(&self) -> bool {
        locked(&self.portal).is_open
    }

    /// Writes a descriptor that refers to the lease.
    pub(crate) fn submit(
        self: &Arc<Self>,
        descriptor: &[u8; 64],
        lease: Lease,
    ) -> Result<Flight, Grounded> {
        let mut portal = locked(&self.portal);
        let epoch = self.device.epoch();
        portal.renew(epoch);
        if !portal.is_open {
            return Err(Grounded { lease, is_full: false });
        }
        if portal.left == 0 {
            drop(portal);
            // Those that others gave up may be back.
            self.device.reap();
            return Err(Grounded { lease, is_full: true });
        }
        match self.device.write(self.index, descriptor) {
            Written::Accepted => {
                portal.left -= 1;
                Ok(Flight { wq: Arc::clone(self), epoch, lease: Some(lease) })
            }
            Written::Retry => Err(Grounded { lease, is_full: true }),
            // The queue went off meanwhile.
            Written::Lost => Err(Grounded { lease, is_full: false }),
        }
    }

    /// Descriptors that are out.
    pub(crate) fn outstanding(&self) -> usize {
        self.device.reap();
        let mut portal = locked(&self.portal);
        portal.renew(self.device.epoch());
        portal.size - portal.left
    }
}

impl Portal {
    fn renew(&mut self, epoch: u64) {
        if self.epoch != epoch {
            (self.left, self.epoch) = (self.size, epoch);
        }
    }

    fn put(&mut self, epoch: u64) {
        if self.epoch == epoch {
            self.left += 1;
        }
    }
}

impl Flight {
    pub(crate) fn wq(&self) -> &Arc<Wq> {
        &self.wq
    }

    /// What the device has reported, if it has.
    #[inline]
    pub(crate) fn completion(&self) -> Option<CompletionRecord> {
        self.lease.as_ref()?.completion()
    }

    /// Nothing comes any more, and nothing is written: the device was reset, removed or drained.
    pub(crate) fn is_lost(&self) -> bool {
        self.wq.device.epoch() != self.epoch
    }

    /// It is completed, or lost.
    pub(crate) fn land(mut self) -> Option<Lease> {
        locked(&self.wq.portal).put(self.epoch);
        self.lease.take()
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if let Some(lease) = self.lease.take() {
            let (portal, epoch) = (Arc::clone(&self.wq.portal), self.epoch);
            self.wq.device.keep(lease, epoch, Box::new(move || locked(&portal).put(epoch)));
        }
    }
}
