//! The devices: probed, reset, drained, taken out and put in while everybody uses them.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use acomp_iaa::{
    Accel, Binding, ControlError, Device, DeviceControl, DeviceState, FaultPlan, JobKind, Jobs,
};

use crate::case::{Case, Control};
use crate::turns::Turns;
use crate::violation::{Invariant, Violation, ensure};
use crate::world::{TIMEOUT_NS, World, locked};

/// The devices, and what was begun with them.
pub(crate) struct Units {
    units: Mutex<Vec<Unit>>,
    /// Those that were taken out.
    past: Mutex<Vec<Arc<Device>>>,
    begun: Mutex<Vec<Begun>>,
}

struct Unit {
    device: Arc<Device>,
    binding: Arc<Binding>,
    /// Whether devices that are put in meet no faults.
    is_mended: bool,
}

/// Something that was begun with a device.
struct Begun {
    unit: usize,
    control: Control,
    done: Pin<Box<dyn Future<Output = Result<(), ControlError>> + Send>>,
}

impl Units {
    pub(crate) fn new(
        case: &Case,
        accel: &Arc<Accel>,
        turns: &Arc<Turns>,
    ) -> Result<Self, Violation> {
        let units = 0..case.setup.units.len();
        let units = units.map(|unit| Unit::new(case, unit, case.plan(unit), accel, turns));
        Ok(Self {
            units: Mutex::new(units.collect::<Result<_, _>>()?),
            past: Mutex::default(),
            begun: Mutex::default(),
        })
    }

    pub(crate) fn device(&self, unit: usize) -> Arc<Device> {
        Arc::clone(&locked(&self.units)[unit].device)
    }

    fn binding(&self, unit: usize) -> Arc<Binding> {
        Arc::clone(&locked(&self.units)[unit].binding)
    }

    /// All that there were.
    pub(crate) fn devices(&self) -> Vec<Arc<Device>> {
        let mut devices = locked(&self.past).clone();
        devices.extend(locked(&self.units).iter().map(|unit| Arc::clone(&unit.device)));
        devices
    }

    pub(crate) fn jobs(&self, kind: JobKind) -> Jobs {
        let mut sum = Jobs::default();
        self.devices().iter().for_each(|device| sum.add(device.jobs(kind)));
        sum
    }

    /// Sets the faults of all devices.
    pub(crate) fn set_faults(&self, plan: impl Fn(usize) -> FaultPlan) {
        for (number, unit) in locked(&self.units).iter().enumerate() {
            unit.device.set_faults(plan(number));
        }
    }

    /// A device meets no faults any more, nor do those that come after it.
    pub(crate) fn mend(&self, unit: usize) {
        let unit = &mut locked(&self.units)[unit];
        unit.is_mended = true;
        unit.device.set_faults(FaultPlan::new(0));
    }

    pub(crate) fn are_well(&self) -> Result<(), Violation> {
        let units = locked(&self.units);
        let is_ill = |unit: &&Unit| unit.binding.state() != DeviceState::Active;
        let ill = units.iter().find(is_ill).map(|unit| unit.device.config().name.clone());
        ensure(ill.is_none(), Invariant::Answer, || format!("{ill:?} is not used again"))
    }
}

impl Unit {
    fn new(
        case: &Case,
        unit: usize,
        plan: FaultPlan,
        accel: &Arc<Accel>,
        turns: &Arc<Turns>,
    ) -> Result<Self, Violation> {
        let described = &case.setup.units[unit];
        let config = described.config.clone();
        let device = Device::new(config, Arc::clone(accel.dma()), turns.clone(), plan);
        let bound = accel.bind_in(described.package, &device);
        let binding = bound.map_err(|error| Invariant::Answer.broken(error.to_string()))?;
        Ok(Self { device, binding: Arc::new(binding), is_mended: false })
    }
}

impl World {
    pub(crate) fn control(&self, unit: usize, control: Control) -> Result<(), Violation> {
        if control == Control::Plug {
            return self.plug(unit);
        }
        let binding = self.units.binding(unit);
        let done = Box::pin(async move {
            match control {
                Control::Probe => binding.probe().await,
                Control::Reset => binding.reset().await,
                Control::Drain => binding.drain().await,
                Control::Remove | Control::Plug => binding.remove().await,
            }
        });
        self.go_on(Begun { unit, control, done }, false)
    }

    pub(crate) fn continue_control(&self, at: usize) -> Result<(), Violation> {
        let mut all = locked(&self.units.begun);
        if all.is_empty() {
            return Ok(());
        }
        let at = at % all.len();
        let begun = all.remove(at);
        drop(all);
        self.go_on(begun, false)
    }

    /// What was begun ends, and where `must_succeed`, well.
    pub(crate) fn finish_control(&self, must_succeed: bool) -> Result<(), Violation> {
        let deadline_ns = self.turns.now_ns() + CONTROL_NS_MAX;
        while let Some(begun) = { locked(&self.units.begun).pop() } {
            let is_late = self.turns.now_ns() > deadline_ns;
            ensure(!is_late, Invariant::Stuck, || format!("{begun:?} does not end"))?;
            self.turns.pass();
            self.go_on(begun, must_succeed)?;
        }
        Ok(())
    }

    fn go_on(&self, mut begun: Begun, must_succeed: bool) -> Result<(), Violation> {
        match begun.done.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Pending => locked(&self.units.begun).push(begun),
            Poll::Ready(Ok(())) => self.tell(format_args!("{begun:?} is done")),
            Poll::Ready(Err(error)) => {
                let is_faults = matches!(
                    error,
                    ControlError::Gone
                        | ControlError::TimedOut
                        | ControlError::Interrupted
                        | ControlError::Failed { .. }
                );
                ensure(is_faults && !must_succeed, Invariant::Answer, || {
                    format!("{begun:?} is answered: {error}")
                })?;
                self.tell(format_args!("{begun:?} is answered: {error}"));
            }
        }
        Ok(())
    }

    fn plug(&self, unit: usize) -> Result<(), Violation> {
        let (device, is_mended) = {
            let unit = &locked(&self.units.units)[unit];
            (Arc::clone(&unit.device), unit.is_mended)
        };
        if !device.is_gone() {
            return Ok(());
        }
        // One that has removed itself is still bound.
        self.control(unit, Control::Remove)?;
        // Somebody else had a turn there, and may have been faster.
        if !Arc::ptr_eq(&device, &self.units.device(unit)) {
            return Ok(());
        }
        let plan = if is_mended { FaultPlan::new(0) } else { self.case.plan(unit) };
        let mut new = Unit::new(&self.case, unit, plan, &self.accel, &self.turns)?;
        new.is_mended = is_mended;
        locked(&self.units.past).push(device);
        locked(&self.units.units)[unit] = new;
        self.tell(format_args!("plugged unit {unit} in"));
        Ok(())
    }
}

impl fmt::Debug for Begun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} of unit {}", self.control, self.unit)
    }
}

/// Each of three queues has twice the time of a job.
const CONTROL_NS_MAX: u64 = 50 * TIMEOUT_NS;
