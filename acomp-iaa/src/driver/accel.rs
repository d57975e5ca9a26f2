//! What all sessions share: the devices that are bound, the map to their queues, the settings, the
//! counters.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};

use super::bell::Bell;
use super::control::Binding;
use super::queue::Wq;
use super::settings::{IsBound, Settings};
use crate::aecs::Aecs;
use crate::bits::aecs::BYTES as AECS_BYTES;
use crate::device::Device;
use crate::dma::{Dma, locked};
use crate::stats::{DeviceStats, GlobalCounters, GlobalStats, WqCounters, WqStats};
use crate::topology::{Machine, Map, Package, QueueId, TopologyError};

/// Why a device was not bound.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// Its address space has no room for another table.
    #[error("the address space of the device is full: drop leases")]
    NoMemory,
    /// It was removed.
    #[error("the device is gone")]
    Gone,
    /// It was made for another address space than the driver's.
    #[error("the device has another address space: make it with `Accel::dma`")]
    OtherDma,
    /// So many drivers were bound to it that it has no interrupt left.
    #[error("the device has no interrupt left")]
    NoInterrupt,
    /// The machine has no such package.
    #[error("there is no package {0}: name its CPUs in the machine that the driver is made for")]
    NoPackage(usize),
    /// With it, there is no map from CPUs to queues.
    #[error("the device does not fit the others")]
    Topology(#[from] TopologyError),
}

/// The driver's state: what sessions of one algorithm share.
pub struct Accel {
    dma: Arc<Dma>,
    /// Without devices.
    packages: Vec<Package>,
    /// Held while what is bound is changed.
    changing: Mutex<()>,
    bound: RwLock<Arc<Bound>>,
    /// Counts the changes of `bound`.
    version: AtomicU64,
    bell: Arc<Bell>,
    pub(crate) counters: GlobalCounters,
    past: Mutex<Past>,
}

/// What is bound: an immutable snapshot, replaced as a whole.
#[derive(Debug, Default)]
pub(crate) struct Bound {
    pub(crate) settings: Settings,
    /// In the order of the map: by package.
    pub(crate) devices: Vec<Arc<BoundDevice>>,
    /// `None`: there is no queue.
    pub(crate) map: Option<Map>,
    pub(crate) version: u64,
}

#[derive(Debug)]
pub(crate) struct BoundDevice {
    pub(crate) device: Arc<Device>,
    package: usize,
    pub(crate) queues: Vec<Arc<Wq>>,
}

/// What is left of devices that are bound no more.
#[derive(Debug, Default)]
struct Past {
    /// Queues that jobs may still be with, and their counters.
    queues: Vec<(Weak<Wq>, Arc<WqCounters>)>,
    /// Of all others.
    stats: WqStats,
}

impl Accel {
    /// A driver without devices, which does everything in software, for a machine of one package
    /// with as many CPUs as this process may use, whatever their numbers.
    #[must_use]
    pub fn new(settings: Settings) -> Arc<Self> {
        Self::on(&Machine::default_model(), settings)
    }

    /// The same for the packages of `machine`. Its devices are not bound: they may be models, or
    /// real.
    #[must_use]
    pub fn on(machine: &Machine, settings: Settings) -> Arc<Self> {
        let mut packages = machine.packages.clone();
        packages.iter_mut().for_each(|package| package.devices.clear());
        let bound = Bound { settings, ..Bound::default() };
        Arc::new(Self {
            dma: Dma::new(),
            packages,
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
        self.bound().settings.clone()
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
        self.publish(settings, Vec::new(), None);
        Ok(())
    }

    /// Submits to the queues of this device of the first package, too.
    ///
    /// # Errors
    /// [`BindError`].
    pub fn bind(self: &Arc<Self>, device: &Arc<Device>) -> Result<Binding, BindError> {
        self.bind_in(0, device)
    }

    /// Submits to the queues of this device, too: by the settings' policy, from the CPUs of this
    /// package.
    ///
    /// # Errors
    /// [`BindError`].
    pub fn bind_in(
        self: &Arc<Self>,
        package: usize,
        device: &Arc<Device>,
    ) -> Result<Binding, BindError> {
        if package >= self.packages.len() {
            return Err(BindError::NoPackage(package));
        }
        if device.is_gone() {
            return Err(BindError::Gone);
        }
        if !Arc::ptr_eq(device.dma(), &self.dma) {
            return Err(BindError::OtherDma);
        }
        let aecs = Arc::new(self.dma.lease(AECS_BYTES).ok_or(BindError::NoMemory)?);
        aecs.write().copy_from_slice(&Aecs::fixed().encode());
        let bell = Arc::clone(&self.bell);
        let irq = device.add_handler(Arc::new(move || bell.ring()));
        let irq = irq.ok_or(BindError::NoInterrupt)?;
        let queues = 0..device.config().queues.len();
        let queues = queues.map(|index| Arc::new(Wq::new(device, index, &aecs, irq))).collect();
        let device = Arc::new(BoundDevice { device: Arc::clone(device), package, queues });
        self.insert(&device)?;
        Ok(Binding::new(Arc::clone(self), device))
    }

    /// The devices that are bound, to be controlled.
    pub fn bindings(self: &Arc<Self>) -> Vec<Binding> {
        let binding =
            |device: &Arc<BoundDevice>| Binding::new(Arc::clone(self), Arc::clone(device));
        self.bound().devices.iter().map(binding).collect()
    }

    /// Submits to no device any more.
    pub fn unbind_all(&self) {
        for bound in &self.bound().devices {
            self.withdraw(bound);
        }
    }

    /// Descriptors that are out: 0 when nothing is on its way.
    #[must_use]
    pub fn outstanding_descriptors(&self) -> usize {
        let _changing = locked(&self.changing);
        let bound = self.bound();
        let queues = bound.devices.iter().flat_map(|device| &device.queues);
        let past: Vec<_> =
            locked(&self.past).queues.iter().filter_map(|(wq, _)| wq.upgrade()).collect();
        queues.chain(&past).map(|wq| wq.outstanding()).sum()
    }

    /// The counters of the whole driver.
    #[must_use]
    pub fn stats(&self) -> GlobalStats {
        let _changing = locked(&self.changing);
        let past = locked(&self.past);
        let mut stats = past.stats;
        past.queues.iter().for_each(|(_, counters)| stats.add(counters.read()));
        self.device_stats().iter().for_each(|device| stats.add(device.total()));
        self.counters.read(stats)
    }

    /// The counters of each queue of each device that is bound.
    #[must_use]
    pub fn device_stats(&self) -> Vec<DeviceStats> {
        self.bound().devices.iter().map(|device| device.stats()).collect()
    }

    /// Which queues the CPUs submit to; `None` while there are none.
    #[must_use]
    pub fn map(&self) -> Option<Map> {
        self.bound().map.clone()
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

    /// Takes a device into the map, if it is not there; `false`: it was closed meanwhile.
    pub(crate) fn insert(&self, device: &Arc<BoundDevice>) -> Result<bool, TopologyError> {
        let _changing = locked(&self.changing);
        let bound = self.bound();
        if bound.has(device) {
            return Ok(true);
        }
        if !device.queues.iter().all(|wq| wq.is_open()) {
            return Ok(false);
        }
        let mut devices = bound.devices.clone();
        devices.push(Arc::clone(device));
        devices.sort_by_key(|device| device.package);
        let map = self.map_of(&devices)?;
        locked(&self.past).forget(device);
        self.publish(bound.settings.clone(), devices, Some(map));
        Ok(true)
    }

    /// Takes a device out of the map, and closes its queues. What is in them completes.
    pub(crate) fn withdraw(&self, device: &Arc<BoundDevice>) {
        let _changing = locked(&self.changing);
        device.open(false);
        let bound = self.bound();
        if !bound.has(device) {
            return;
        }
        locked(&self.past).remember(device);
        let mut devices = bound.devices.clone();
        devices.retain(|other| !Arc::ptr_eq(other, device));
        // Those that are left may have no queue.
        let map = self.map_of(&devices).ok();
        self.publish(bound.settings.clone(), devices, map);
    }

    fn map_of(&self, devices: &[Arc<BoundDevice>]) -> Result<Map, TopologyError> {
        let mut packages = self.packages.clone();
        for bound in devices {
            if let Some(package) = packages.get_mut(bound.package) {
                package.devices.push(bound.device.config().clone());
            }
        }
        Map::new(&Machine { packages }, &self.settings().policy)
    }

    fn publish(&self, settings: Settings, devices: Vec<Arc<BoundDevice>>, map: Option<Map>) {
        let mut bound = self.bound.write().unwrap_or_else(PoisonError::into_inner);
        let version = bound.version + 1;
        *bound = Arc::new(Bound { settings, devices, map, version });
        self.version.store(version, Ordering::Release);
    }
}

impl Bound {
    pub(crate) fn wq(&self, id: QueueId) -> Option<&Arc<Wq>> {
        self.devices.get(id.device)?.queues.get(id.queue)
    }

    pub(crate) fn has(&self, device: &Arc<BoundDevice>) -> bool {
        self.devices.iter().any(|other| Arc::ptr_eq(other, device))
    }
}

impl BoundDevice {
    pub(crate) fn open(&self, is_open: bool) {
        self.queues.iter().for_each(|wq| wq.open(is_open));
    }

    fn stats(&self) -> DeviceStats {
        let row = |wq: &Arc<Wq>| (wq.name().into(), wq.counters.read());
        DeviceStats {
            device: self.device.config().name.clone(),
            queues: self.queues.iter().map(row).collect(),
        }
    }
}

impl Past {
    fn remember(&mut self, device: &BoundDevice) {
        let Self { queues, stats } = self;
        queues.retain(|(wq, counters)| {
            let is_used = wq.strong_count() > 0;
            if !is_used {
                stats.add(counters.read());
            }
            is_used
        });
        let wqs = device.queues.iter();
        queues.extend(wqs.map(|wq| (Arc::downgrade(wq), Arc::clone(&wq.counters))));
    }

    /// It is bound again.
    fn forget(&mut self, device: &BoundDevice) {
        let is_of_device = |counters: &Arc<WqCounters>| {
            device.queues.iter().any(|wq| Arc::ptr_eq(&wq.counters, counters))
        };
        self.queues.retain(|(_, counters)| !is_of_device(counters));
    }
}

impl fmt::Debug for Accel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accel").field("bound", &self.bound()).finish_non_exhaustive()
    }
}
