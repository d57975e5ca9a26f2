//! What the driver does about jobs that fail, or come too late: nothing is lost, neither data nor
//! descriptors, and no reset is needed where the device goes on.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use acomp_core::{Acomp, Error, Params, Registry, Session};
use acomp_iaa::{
    Accel, DeflateIaa, Device, DeviceConfig, Fault, FaultPlan, Settings, SteppedClock, WqConfig,
};
use acomp_testmgr::Content;
use page_codec::deflate::Decoder;

#[test]
fn descriptors_come_back_whatever_the_record_says() {
    for fault in [Fault::PageFault, Fault::Analytics, Fault::Overflow, Fault::Watchdog] {
        let mut setup = setup(FaultPlan::new(0).often(10_000, fault));
        for number in 0..4 * QUEUE_SIZE as u64 {
            let outcome = setup.compress(number);
            let expected = match fault {
                Fault::Overflow => Error::DstTooSmall,
                Fault::Watchdog => Error::TimedOut,
                _ => Error::Device,
            };
            assert_eq!(outcome, Err(expected), "{fault:?}");
        }
        assert_eq!(setup.accel.outstanding_descriptors(), 0, "{fault:?}");
        assert_eq!(setup.device.lost_descriptors(), 0);
        setup.device.set_faults(FaultPlan::new(0));
        let calls = setup.accel.stats().total_comp_calls;
        assert_eq!(setup.compress(1), Ok(()));
        assert_eq!(setup.accel.stats().total_comp_calls, calls + 1);
    }
}

#[test]
fn decompression_that_a_device_fails_is_done_in_software() {
    let mut setup = setup(FaultPlan::new(0));
    let mut stream = vec![0; 4096];
    let len = setup.session.compress(&page(1), &mut stream).unwrap();
    for fault in [Fault::PageFault, Fault::Analytics, Fault::Overflow, Fault::Watchdog] {
        setup.device.set_faults(FaultPlan::new(0).often(10_000, fault));
        let before = setup.accel.stats();
        let mut back = vec![0; 4096];
        assert_eq!(setup.session.decompress(&stream[..len], &mut back), Ok(4096));
        assert!(back == page(1));
        let after = setup.accel.stats();
        assert_eq!(after.total_decomp_calls, before.total_decomp_calls + 1);
        assert_eq!(after.total_sw_decomp_calls, before.total_sw_decomp_calls + 1);
        let timeouts = u64::from(fault == Fault::Watchdog);
        let counted =
            after.total_completion_timeout_errors - before.total_completion_timeout_errors;
        assert_eq!(counted, timeouts, "{fault:?}");
        assert_eq!(setup.accel.outstanding_descriptors(), 0);
    }
}

#[test]
fn what_is_overdue_keeps_its_lease_until_it_has_come() {
    // Far behind the timeout, but the queue stands open again by then.
    let mut setup = setup(FaultPlan::new(0).at(0, Fault::Delay(3 * TIMEOUT_NS)));
    assert_eq!(setup.compress(0), Ok(()));
    assert_eq!(setup.accel.outstanding_descriptors(), 1);
    let calls = setup.accel.stats().total_comp_calls;
    for number in 1..20 {
        assert_eq!(setup.compress(number), Ok(()));
    }
    assert_eq!(setup.accel.stats().total_comp_calls, calls + 19);
    assert_eq!(setup.accel.outstanding_descriptors(), 1);
    for _ in 0..3 * TIMEOUT_NS / 1000 {
        setup.device.drive(1);
    }
    assert_eq!(setup.compress(20), Ok(()));
    assert_eq!(setup.accel.outstanding_descriptors(), 0);
    // It found the lease that it was for.
    assert_eq!(setup.device.unreported_completions(), 0);
}

#[test]
fn what_is_overdue_keeps_its_place_in_the_queue() {
    let mut setup = setup(FaultPlan::new(0).at(0, Fault::Hang));
    for number in 0..4 * QUEUE_SIZE as u64 {
        assert_eq!(setup.compress(number), Ok(()));
        assert!(setup.accel.outstanding_descriptors() <= QUEUE_SIZE);
    }
    // Nobody knows what a queue still has that does not answer.
    assert_eq!(setup.accel.outstanding_descriptors(), QUEUE_SIZE);
    assert_eq!(setup.device.lost_descriptors(), 0);
    setup.device.reset();
    let calls = setup.accel.stats().total_comp_calls;
    assert_eq!(setup.compress(0), Ok(()));
    assert_eq!(setup.accel.stats().total_comp_calls, calls + 1);
    assert_eq!(setup.accel.outstanding_descriptors(), 0);
}

struct Setup {
    accel: Arc<Accel>,
    device: Arc<Device>,
    session: Session,
}

impl Setup {
    /// A page there and, in software of the test's own, back.
    fn compress(&mut self, number: u64) -> Result<(), Error> {
        let (mut stream, mut back) = (vec![0; 4096], vec![0; 4096]);
        // Time passes, so that a queue is given another try.
        self.device.drive(0);
        let len = self.session.compress(&page(number), &mut stream)?;
        let decoded = Decoder::new().decode(&stream[..len], &mut back).unwrap();
        assert_eq!((decoded.consumed, decoded.produced), (len, 4096));
        assert!(back == page(number));
        Ok(())
    }
}

/// One engine, one queue.
fn setup(plan: FaultPlan) -> Setup {
    let mut settings = Settings::default();
    (settings.completion_timeout_ns, settings.quarantine_ns) = (TIMEOUT_NS, 1);
    let accel = Accel::new(settings);
    let queues = vec![WqConfig::new(QUEUE_SIZE)];
    let config = DeviceConfig::new(1).with_engines(&[1]).with_queues(queues);
    let device = Device::new(config, accel.dma().clone(), Arc::new(SteppedClock::new()), plan);
    accel.bind(&device).unwrap();
    let registry = Registry::from_entries([]);
    let _added = registry.add(Arc::new(DeflateIaa::fixed(&accel).unwrap())).unwrap();
    let acomp = Acomp::alloc_in(&registry, "deflate-iaa", Params::new()).unwrap();
    Setup { accel, device, session: acomp.session().unwrap() }
}

fn page(number: u64) -> Vec<u8> {
    let mut page = vec![0; 4096];
    Content::Text.fill(number, &mut page);
    page
}

const QUEUE_SIZE: usize = 4;
const TIMEOUT_NS: u64 = 200_000;
