//! The life of a device under the driver: probed, reset, drained, removed while busy.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use async_trait::async_trait;

use super::accel::{Accel, BoundDevice};
use super::queue::Wq;
use crate::completion::Status;
use crate::desc::{Descriptor, Flags, Operation};
use crate::device::Device;
use crate::topology::TopologyError;

/// What happens to a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "all there are")]
pub enum DeviceState {
    /// It takes jobs.
    Active,
    /// It takes no more; those that it has complete.
    Draining,
    /// It was removed. Jobs that it had were done in software.
    Gone,
}

/// Why a device was not controlled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// It was removed.
    #[error("the device is gone: bind another one")]
    Gone,
    /// It did not do what it was asked for within the completion timeout.
    #[error("the device does not answer: reset it, or remove it")]
    TimedOut,
    /// It was drained or reset while it was probed.
    #[error("the device was drained or reset meanwhile: probe it again")]
    Interrupted,
    /// A queue of it refused the job that was to prove it.
    #[error("`{queue}` answered its probe with {status:?}: reset the device, or remove it")]
    Failed {
        /// Its name.
        queue: Box<str>,
        /// The answer.
        status: Status,
    },
    /// Its address space has no room for the probe.
    #[error("the address space of the device is full: drop leases")]
    NoMemory,
    /// With it, there is no map from CPUs to queues.
    #[error("the device does not fit the others")]
    Topology(#[from] TopologyError),
}

/// Controls a device while sessions use it.
///
/// None of this fails a session's page: what the device does not do, software does.
#[async_trait]
pub trait DeviceControl: Send + Sync {
    /// What happens to it.
    fn state(&self) -> DeviceState;

    /// Has each queue do nothing, and submits to all of them again: after a reset, after a drain,
    /// or to end a quarantine early.
    async fn probe(&self) -> Result<(), ControlError>;

    /// Forgets all jobs, and frees what hangs.
    async fn reset(&self) -> Result<(), ControlError>;

    /// Submits no more, and waits until the device has done what it had.
    async fn drain(&self) -> Result<(), ControlError>;

    /// Removes it, busy or not.
    async fn remove(&self) -> Result<(), ControlError>;
}

/// A device that was bound. Dropping this changes nothing.
///
/// ```
/// use acomp_iaa::{Accel, Device, DeviceConfig, DeviceControl, DeviceState};
/// use acomp_iaa::{FaultPlan, RealClock, Settings};
/// use futures::executor::block_on;
/// use std::sync::Arc;
///
/// let accel = Accel::new(Settings::default());
/// let clock = Arc::new(RealClock::new());
/// let device = Device::new(DeviceConfig::new(1), accel.dma().clone(), clock, FaultPlan::new(0));
/// let binding = accel.bind(&device)?;
///
/// block_on(binding.drain())?;
/// assert_eq!(binding.state(), DeviceState::Draining);
/// block_on(binding.probe())?;
/// assert_eq!(binding.state(), DeviceState::Active);
/// block_on(binding.remove())?;
/// assert!(device.is_gone());
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub struct Binding {
    accel: Arc<Accel>,
    bound: Arc<BoundDevice>,
}

impl Binding {
    pub(crate) fn new(accel: Arc<Accel>, bound: Arc<BoundDevice>) -> Self {
        Self { accel, bound }
    }

    fn device(&self) -> &Arc<Device> {
        &self.bound.device
    }

    /// Drives the device until `look` finds what is waited for, or until the time of a completion
    /// is over.
    async fn wait<T>(&self, mut look: impl FnMut() -> Option<T> + Send) -> Result<T, ControlError> {
        let clock = self.device().clock();
        let timeout_ns = self.accel.settings().completion_timeout_ns;
        let deadline_ns = clock.now_ns().saturating_add(timeout_ns);
        poll_fn(|context| {
            if self.device().is_gone() {
                return Poll::Ready(Err(ControlError::Gone));
            }
            if let Some(found) = look() {
                return Poll::Ready(Ok(found));
            }
            self.device().drive(DRIVEN_OPS_MAX);
            if clock.now_ns() > deadline_ns {
                return Poll::Ready(Err(ControlError::TimedOut));
            }
            // Nobody else may be there to wake us.
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await
    }

    async fn probe_queue(&self, wq: &Arc<Wq>) -> Result<(), ControlError> {
        let lease = self.accel.dma().lease(0).ok_or(ControlError::NoMemory)?;
        let noop = Descriptor {
            flags: Flags::COMPLETION_VALID | Flags::REQUEST_COMPLETION,
            operation: Operation::Noop,
            completion: lease.record_address(),
            ..Descriptor::default()
        };
        let noop = noop.encode();
        let mut lease = Some(lease);
        let submit = || match wq.submit(&noop, lease.take()?) {
            Ok(flight) => Some(flight),
            Err(grounded) => {
                lease = Some(grounded.lease);
                None
            }
        };
        let flight = self.wait(submit).await?;
        let look = || match flight.completion() {
            Some(record) => Some(Some(record.status)),
            None => flight.is_lost().then_some(None),
        };
        let status = self.wait(look).await?.ok_or(ControlError::Interrupted)?;
        flight.land();
        if status != Status::SUCCESS {
            return Err(ControlError::Failed { queue: wq.name().into(), status });
        }
        wq.recovered();
        Ok(())
    }

    async fn probe_queues(&self) -> Result<(), ControlError> {
        for wq in &self.bound.queues {
            self.probe_queue(wq).await?;
        }
        let is_in = self.accel.insert(&self.bound)?;
        is_in.then_some(()).ok_or(ControlError::Interrupted)
    }
}

#[async_trait]
impl DeviceControl for Binding {
    fn state(&self) -> DeviceState {
        if self.device().is_gone() {
            DeviceState::Gone
        } else if self.accel.bound().has(&self.bound) {
            DeviceState::Active
        } else {
            DeviceState::Draining
        }
    }

    async fn probe(&self) -> Result<(), ControlError> {
        self.bound.open(true);
        let probed = self.probe_queues().await;
        if probed.is_err() && self.state() != DeviceState::Active {
            self.bound.open(false);
        }
        probed
    }

    async fn reset(&self) -> Result<(), ControlError> {
        if self.device().is_gone() {
            return Err(ControlError::Gone);
        }
        self.device().reset();
        Ok(())
    }

    async fn drain(&self) -> Result<(), ControlError> {
        self.accel.withdraw(&self.bound);
        self.wait(|| self.device().is_idle().then_some(())).await?;
        self.device().settle();
        Ok(())
    }

    async fn remove(&self) -> Result<(), ControlError> {
        self.accel.withdraw(&self.bound);
        self.device().remove();
        Ok(())
    }
}

impl fmt::Debug for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Binding").field("device", self.device()).finish_non_exhaustive()
    }
}

/// Jobs that a poll does at a time.
const DRIVEN_OPS_MAX: usize = 8;
