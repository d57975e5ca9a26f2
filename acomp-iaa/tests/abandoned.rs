//! Jobs that nobody waits for any more: sessions, requests and probes that end before the device
//! does, and completions that never come. Nothing is leaked, and everything gets on.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod setup;

use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use acomp_core::{Acomp, Inflight, Params, Registry, Request, Submitter};
use acomp_iaa::{
    Accel, BindError, Binding, ControlError, DeflateIaa, Device, DeviceConfig, DeviceControl,
    DeviceState, EngineThreads, Fault, FaultPlan, RealClock, Settings, SyncMode, WqConfig,
};
use futures::FutureExt;
use futures::executor::block_on;

use self::setup::{Driver, decoded, page};

#[test]
fn a_session_that_ends_before_its_jobs_leaks_nothing() {
    let driver = impatient();
    let (device, binding) = driver.bind(small());
    device.set_faults(FaultPlan::new(0).often(10_000, Fault::Delay(600_000)));
    for number in 0..4 {
        device.drive(0); // The quarantine of the last one is over.
        driver.acomp.session().unwrap().compress(&page(number), &mut [0; 4096]).unwrap();
    }
    assert_ne!(driver.accel.outstanding_descriptors(), 0);
    device.set_faults(FaultPlan::new(0));
    for _ in 0..2000 {
        device.drive(8);
    }
    assert_eq!(driver.accel.outstanding_descriptors(), 0);
    block_on(binding.probe()).unwrap();
}

#[test]
fn an_algorithm_that_ends_before_its_requests_leaves_their_memory_to_the_device() {
    let accel = Accel::new(Settings::default());
    let (dma, clock) = (Arc::clone(accel.dma()), Arc::new(RealClock::new()));
    let device = Device::new(DeviceConfig::new(1), dma, clock, FaultPlan::new(0));
    let _binding = accel.bind(&device).unwrap();
    let submitter = submitter(&accel);
    for number in 0..60 {
        drop(request(&submitter, number));
    }
    drop(submitter);
    for _ in 0..100 {
        device.drive(8);
    }
    assert_eq!(device.unreported_completions(), 0, "there was memory for all of them");
    assert_eq!(accel.outstanding_descriptors(), 0);
}

#[test]
fn a_probe_that_times_out_or_is_dropped_leaks_nothing() {
    let driver = impatient();
    let (device, binding) = driver.bind(small());
    device.set_faults(FaultPlan::new(0).at(0, Fault::Delay(600_000)));
    assert!(matches!(block_on(binding.probe()), Err(ControlError::TimedOut)));
    assert!(binding.probe().now_or_never().is_none(), "it waits for the device");
    for _ in 0..2000 {
        device.drive(8);
    }
    assert_eq!(driver.accel.outstanding_descriptors(), 0);
    block_on(binding.probe()).unwrap();
}

#[test]
fn a_drain_gives_back_what_never_came() {
    let driver = impatient();
    let (device, binding) = driver.bind(small());
    device.set_faults(FaultPlan::new(0).often(10_000, Fault::LostCompletion));
    for number in 0..4 {
        device.drive(0);
        driver.compress(number);
    }
    device.set_faults(FaultPlan::new(0));
    block_on(binding.drain()).unwrap();
    assert_eq!(driver.accel.outstanding_descriptors(), 0);
    block_on(binding.probe()).unwrap();
    let calls = driver.accel.stats().total_comp_calls;
    driver.compress(5);
    assert_eq!(driver.accel.stats().total_comp_calls, calls + 1);
}

#[test]
fn requests_go_on_when_all_completions_are_lost() {
    let driver = impatient();
    let (device, _binding) = driver.bind(DeviceConfig::new(1));
    device.set_faults(FaultPlan::new(0).often(10_000, Fault::LostCompletion));
    for number in 0..200 {
        device.drive(0);
        assert_eq!(decoded(driver.request(number).wait().output()), page(number));
    }
}

#[test]
fn a_drain_fails_no_page_that_is_being_verified() {
    let mut settings = Settings::default();
    settings.verify_compress = true;
    let driver = Driver::new(settings);
    let (_device, binding) = driver.bind(DeviceConfig::new(1));
    let requests: Vec<_> = (0..4).map(|number| driver.request(number)).collect();
    block_on(binding.drain()).unwrap();
    for (number, request) in requests.into_iter().enumerate() {
        assert_eq!(decoded(request.wait().output()), page(number as u64));
    }
}

#[test]
fn a_drain_ends_a_probe_that_is_under_way() {
    let driver = Driver::new(Settings::default());
    let (_device, binding) = driver.bind(DeviceConfig::new(1));
    block_on(binding.drain()).unwrap();
    let mut probe = binding.probe();
    assert!((&mut probe).now_or_never().is_none());
    block_on(binding.drain()).unwrap();
    assert!(block_on(probe).is_err());
    assert_eq!(binding.state(), DeviceState::Draining);
    block_on(binding.probe()).unwrap();
    driver.compress(1);
    assert_eq!(driver.accel.stats().total_comp_calls, 1);
}

#[test]
fn a_queue_smaller_than_a_batch_does_all_of_it() {
    let driver = Driver::new(Settings::default());
    let (_device, _binding) = driver.bind(small());
    driver.round_trip(0..16);
    let requests: Vec<_> = (0..16).map(|number| driver.request(number)).collect();
    for (number, request) in requests.into_iter().enumerate() {
        assert_eq!(decoded(request.wait().output()), page(number as u64));
    }
    let stats = driver.accel.stats();
    assert_eq!((stats.total_comp_calls, stats.total_sw_comp_calls), (32, 0), "{stats:?}");
}

#[test]
fn what_a_device_cannot_do_is_done_in_software() {
    // Headers, long transfers, another driver's memory.
    let driver = Driver::new(Settings::default());
    let mut queue = WqConfig::new(16);
    queue.transfer_bytes_max = 4096;
    let config = DeviceConfig::new(1).without_header_generation().with_queues(vec![queue]);
    let (_device, _binding) = driver.bind(config);
    driver.acomp.compress(&page(1), &mut [0; 5000]).unwrap();
    driver.acomp.compress(&[7; 5000], &mut [0; 5000]).unwrap();
    let stats = driver.accel.stats();
    assert_eq!((stats.total_comp_calls, stats.total_sw_comp_calls), (1, 1));

    let registry = Registry::from_entries([]);
    let _added = registry.add(Arc::new(DeflateIaa::dynamic(&driver.accel).unwrap())).unwrap();
    let dynamic = Acomp::alloc_in(&registry, "deflate-iaa-dynamic", Params::new()).unwrap();
    dynamic.compress(&page(1), &mut [0; 4096]).unwrap();
    assert_eq!(driver.accel.stats().total_sw_comp_calls, 2);

    let foreign = Driver::new(Settings::default()).device(DeviceConfig::new(3));
    assert!(matches!(driver.accel.bind(&foreign), Err(BindError::OtherDma)));
}

#[test]
fn a_request_comes_although_its_interrupt_does_not() {
    let irq = |plan| with_interrupts(plan, 40);
    let (_accel, device, _binding, submitter) = irq(FaultPlan::new(0).at(0, Fault::LostCompletion));
    let _threads = EngineThreads::start(&[device], 1).unwrap();
    assert_comes(request(&submitter, 1));

    let (_accel, device, binding, submitter) = irq(FaultPlan::new(0).at(0, Fault::Hang));
    let hung = request(&submitter, 1);
    device.drive(1);
    let awaited = thread::spawn(move || assert_comes(hung));
    block_on(binding.remove()).unwrap();
    awaited.join().unwrap();
}

#[test]
fn interrupts_of_more_completions_than_are_answered_at_once_strand_none() {
    let (accel, device, _binding, submitter) = with_interrupts(FaultPlan::new(0), 40);
    let requests: Vec<_> = (0..41).map(|number| request(&submitter, number)).collect();
    device.drive(100);
    assert_eq!(accel.outstanding_descriptors(), 0, "nobody has polled");
    drop(requests);
}

/// A driver that gives jobs up soon, and queues for no time to speak of.
fn impatient() -> Driver {
    let mut settings = Settings::default();
    (settings.completion_timeout_ns, settings.quarantine_ns) = (200_000, 1);
    Driver::new(settings)
}

fn small() -> DeviceConfig {
    DeviceConfig::new(1).with_queues(vec![WqConfig::new(4)])
}

fn with_interrupts(plan: FaultPlan, size: usize) -> (Arc<Accel>, Arc<Device>, Binding, Submitter) {
    let mut settings = Settings::default();
    settings.sync_mode = SyncMode::AsyncIrq;
    settings.completion_timeout_ns = 100_000_000;
    let accel = Accel::new(settings);
    let config = DeviceConfig::new(1).with_queues(vec![WqConfig::new(size)]);
    let (dma, clock) = (Arc::clone(accel.dma()), Arc::new(RealClock::new()));
    let device = Device::new(config, dma, clock, plan);
    let binding = accel.bind(&device).unwrap();
    let submitter = submitter(&accel);
    (accel, device, binding, submitter)
}

fn submitter(accel: &Arc<Accel>) -> Submitter {
    let registry = Registry::from_entries([]);
    let _added = registry.add(Arc::new(DeflateIaa::fixed(accel).unwrap())).unwrap();
    let acomp = Acomp::alloc_in(&registry, "deflate-iaa", Params::new()).unwrap();
    acomp.submitter(64).unwrap()
}

fn request(submitter: &Submitter, number: u64) -> Inflight {
    let request = Request::compress(page(number), vec![0; 4096]);
    submitter.submit(request).map_err(|rejected| rejected.error).unwrap()
}

/// It is awaited on another thread: this one says so if it never comes.
fn assert_comes(inflight: Inflight) {
    let (sender, receiver) = channel();
    let inflight = Mutex::new(Some(inflight));
    thread::spawn(move || {
        let inflight = inflight.lock().unwrap().take().unwrap();
        sender.send(block_on(inflight).outcome)
    });
    let outcome = receiver.recv_timeout(Duration::from_secs(20));
    assert!(matches!(outcome, Ok(Ok(_))), "{outcome:?}");
}
