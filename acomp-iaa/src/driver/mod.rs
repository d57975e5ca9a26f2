//! The driver: algorithms whose sessions submit to the queues of the devices that are bound.

mod accel;
mod bell;
mod codec;
mod control;
mod job;
mod lanes;
mod queue;
mod requests;
mod settings;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread::available_parallelism;

use acomp_core::{AlgInfo, Algorithm, Codec, Kind, OpenError, Params, Port, Registration};
use once_cell::sync::OnceCell;

pub use accel::{Accel, BindError};
pub use control::{Binding, ControlError, DeviceControl, DeviceState};
pub use settings::{IsBound, Settings, SyncMode};

use self::codec::{BATCH_OPS, IaaCodec};
use self::job::Mode;
use self::requests::IaaEngine;
use crate::clock::RealClock;
use crate::config::{DeviceConfig, ENGINES};
use crate::device::Device;
use crate::fault::FaultPlan;
use crate::stats::DeviceStats;
use crate::threads::EngineThreads;

static FIXED: AlgInfo = info("deflate-iaa").with_priority(MODEL_PRIORITY);
static DYNAMIC: AlgInfo = info("deflate-iaa-dynamic").with_priority(MODEL_PRIORITY + 1);

acomp_core::inventory::submit!(Registration::new(
    &FIXED,
    || Ok(Arc::new(DeflateIaa::fixed(&model()?)?)),
    module_path!()
));

acomp_core::inventory::submit!(Registration::new(
    &DYNAMIC,
    || Ok(Arc::new(DeflateIaa::dynamic(&model()?)?)),
    module_path!()
));

/// Raw deflate on devices that are bound to an [`Accel`].
///
/// What is linked registers `deflate-iaa` and `deflate-iaa-dynamic` on a model of one device. To
/// have others, make an `Accel`, bind them, and add these to a registry:
///
/// ```
/// use acomp_core::{Acomp, Params, Registry};
/// use acomp_iaa::{Accel, DeflateIaa, Device, DeviceConfig, FaultPlan, RealClock, Settings};
/// use std::sync::Arc;
///
/// let accel = Accel::new(Settings::default());
/// let clock = Arc::new(RealClock::new());
/// let device = Device::new(DeviceConfig::new(1), accel.dma().clone(), clock, FaultPlan::new(0));
/// let _binding = accel.bind(&device)?;
///
/// let registry = Registry::from_entries([]);
/// let _added = registry.add(Arc::new(DeflateIaa::fixed(&accel)?))?;
/// let acomp = Acomp::alloc_in(&registry, "deflate-iaa", Params::new())?;
/// let mut stream = [0; 4096];
/// let len = acomp.compress(&[7; 4096], &mut stream)?;
/// assert!(len < 100);
/// assert_eq!(accel.stats().total_comp_calls, 1);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct DeflateIaa {
    info: AlgInfo,
    mode: Mode,
    accel: Arc<Accel>,
    port: Port,
}

impl DeflateIaa {
    /// `deflate-iaa`: blocks of the fixed code.
    ///
    /// # Errors
    /// [`OpenError::Device`]: the address space has no room for requests.
    pub fn fixed(accel: &Arc<Accel>) -> Result<Self, OpenError> {
        Self::new(&FIXED, Mode::Fixed, accel)
    }

    /// `deflate-iaa-dynamic`: blocks with codes of their own, of devices that make headers.
    ///
    /// # Errors
    /// As [`fixed`](Self::fixed).
    pub fn dynamic(accel: &Arc<Accel>) -> Result<Self, OpenError> {
        Self::new(&DYNAMIC, Mode::Dynamic, accel)
    }

    fn new(info: &AlgInfo, mode: Mode, accel: &Arc<Accel>) -> Result<Self, OpenError> {
        let port = Port::new(IaaEngine::open(accel, mode)?);
        Ok(Self { info: info.clone(), mode, accel: Arc::clone(accel), port })
    }
}

impl Algorithm for DeflateIaa {
    fn info(&self) -> &AlgInfo {
        &self.info
    }

    fn open(&self, params: &Params) -> Result<Box<dyn Codec>, OpenError> {
        params.allow(&[])?;
        Ok(Box::new(IaaCodec::open(&self.accel, self.mode)?))
    }

    fn port(&self) -> Option<&Port> {
        Some(&self.port)
    }

    fn counters(&self) -> Vec<(String, u64)> {
        let global = self.accel.stats().rows().map(|(name, value)| (name.to_owned(), value));
        let devices = self.accel.device_stats();
        global.into_iter().chain(devices.iter().flat_map(DeviceStats::rows)).collect()
    }
}

/// The driver of the default model, made when it is first asked for: one device of eight engines,
/// served by as many threads as there are CPUs beside the one that waits.
///
/// # Errors
/// The system gave no thread.
pub fn model() -> Result<Arc<Accel>, OpenError> {
    static MODEL: OnceCell<(Arc<Accel>, EngineThreads)> = OnceCell::new();
    let model = MODEL.get_or_try_init(|| {
        let accel = Accel::new(Settings::default());
        let (dma, clock) = (Arc::clone(accel.dma()), Arc::new(RealClock::new()));
        let device = Device::new(DeviceConfig::new(1), dma, clock, FaultPlan::new(0));
        let _binding = accel.bind(&device).map_err(|error| OpenError::Device(error.into()))?;
        let spare = available_parallelism().map_or(1, NonZeroUsize::get) - 1;
        let spare = spare.min(ENGINES);
        let threads = EngineThreads::start(&[device], spare);
        Ok((accel, threads.map_err(|error| OpenError::Device(error.into()))?))
    });
    model.map(|(accel, _)| Arc::clone(accel))
}

const fn info(driver: &'static str) -> AlgInfo {
    let batch = NonZeroUsize::MIN.saturating_add(BATCH_OPS - 1);
    AlgInfo::new("deflate", driver).with_batch_size(batch).with_kind(Kind::Offload)
}

/// Below all software: plain `deflate` is not to pick a model.
const MODEL_PRIORITY: u32 = 50;
