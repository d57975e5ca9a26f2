//! Requests that complete later: polled, awaited, interrupted, dropped; whatever goes wrong.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod setup;

use std::sync::Arc;
use std::time::Duration;

use acomp_core::{
    Acomp, Completion, Direction, Error, ExecutedOn, Params, Registry, Request, Submitter,
};
use acomp_iaa::{
    Accel, Clock, DeflateIaa, Device, DeviceConfig, EngineThreads, Fault, FaultPlan, RealClock,
    Settings, SteppedClock, SyncMode, WqConfig,
};
use fastrand::Rng;
use futures::executor::block_on;

use self::setup::{decoded, page};

#[test]
fn every_request_completes_once_with_what_it_should() {
    for seed in 0..300 {
        let setup = setup(SyncMode::Async, FaultPlan::of_seed(seed), Arc::new(SteppedClock::new()));
        let (submitter, mut rng) = (setup.acomp.submitter(20).unwrap(), Rng::with_seed(seed));
        let mut inflights = Vec::new();
        for token in 0..200 {
            let request = Request::compress(page(token), vec![0; 4096]).with_token(token);
            match submitter.submit(request) {
                Ok(inflight) => inflights.push(inflight),
                Err(rejected) => assert_eq!(rejected.error, Error::Busy, "seed {seed}"),
            }
            if rng.u8(..4) == 0 && !inflights.is_empty() {
                let inflight = inflights.swap_remove(rng.usize(..inflights.len()));
                match rng.u8(..3) {
                    0 => check(&inflight.wait(), seed),
                    1 => check(&block_on(inflight), seed),
                    _ => drop(inflight),
                }
            }
            if inflights.len() >= 18 {
                inflights.drain(..).for_each(|inflight| check(&inflight.wait(), seed));
            }
        }
        inflights.into_iter().for_each(|inflight| check(&inflight.wait(), seed));
        close(submitter, seed);
        setup.device.set_faults(FaultPlan::new(0));
        setup.device.reset();
        assert_eq!(setup.accel.outstanding_descriptors(), 0, "seed {seed}");
    }
}

#[test]
fn interrupts_complete_requests_that_nobody_polls() {
    let setup = setup(SyncMode::AsyncIrq, FaultPlan::new(0), Arc::new(RealClock::new()));
    let _threads = EngineThreads::start(&[Arc::clone(&setup.device)], 1).unwrap();
    let submitter = setup.acomp.submitter(8).unwrap();
    for round in 0..50 {
        let requests = (0..8).map(|i| Request::compress(page(8 * round + i), vec![0; 4096]));
        let inflights: Vec<_> = requests
            .map(|request| submitter.submit(request.with_token(0)).map_err(|r| r.error).unwrap())
            .collect();
        for (i, inflight) in inflights.into_iter().enumerate() {
            let completion = block_on(inflight);
            let expected = page(8 * round + i as u64);
            assert_eq!(decoded(completion.output()), expected);
            assert_eq!(completion.executed_on, ExecutedOn::Driver);
        }
    }
}

#[test]
fn a_device_that_goes_leaves_its_requests_to_software() {
    let plan = FaultPlan::new(0).at(5, Fault::Removed);
    let setup = setup(SyncMode::Async, plan, Arc::new(SteppedClock::new()));
    let submitter = setup.acomp.submitter(16).unwrap();
    let inflights: Vec<_> = (0..16)
        .map(|i| submitter.submit(Request::compress(page(i), vec![0; 4096])))
        .map(|submitted| submitted.map_err(|rejected| rejected.error).unwrap())
        .collect();
    let mut in_software = 0;
    for (i, inflight) in inflights.into_iter().enumerate() {
        let completion = inflight.wait();
        assert_eq!(decoded(completion.output()), page(i as u64));
        in_software += usize::from(completion.executed_on == ExecutedOn::Fallback);
    }
    assert_eq!(in_software, 11);
    assert!(setup.device.is_gone());
}

#[test]
fn a_decompression_that_the_device_fails_is_a_decompression_in_software() {
    let setup = setup(SyncMode::Async, FaultPlan::new(0), Arc::new(SteppedClock::new()));
    let mut stream = vec![0; 4096];
    let len = setup.acomp.compress(&page(1), &mut stream).unwrap();
    stream.truncate(len);
    setup.device.set_faults(FaultPlan::new(0).often(10_000, Fault::Analytics));
    let submitter = setup.acomp.submitter(1).unwrap();
    let inflight = submitter.submit(Request::decompress(stream, vec![0; 4096]));
    let completion = inflight.map_err(|rejected| rejected.error).unwrap().wait();
    assert_eq!(completion.executed_on, ExecutedOn::Fallback);
    assert_eq!(completion.output(), page(1));
}

struct Setup {
    accel: Arc<Accel>,
    device: Arc<Device>,
    acomp: Acomp,
}

fn setup(sync_mode: SyncMode, plan: FaultPlan, clock: Arc<dyn Clock>) -> Setup {
    let mut settings = Settings::default();
    settings.sync_mode = sync_mode;
    if !matches!(sync_mode, SyncMode::AsyncIrq) {
        (settings.completion_timeout_ns, settings.quarantine_ns) = (200_000, 100_000);
    }
    let accel = Accel::new(settings);
    let config = DeviceConfig::new(1).with_queues(vec![WqConfig::new(16)]);
    let device = Device::new(config, accel.dma().clone(), clock, FaultPlan::new(0));
    accel.bind(&device).unwrap();
    let registry = Registry::from_entries([]);
    let added = registry.add(Arc::new(DeflateIaa::fixed(&accel).unwrap())).unwrap();
    let acomp = Acomp::alloc_in(&registry, "deflate-iaa", Params::new()).unwrap();
    drop(added);
    device.set_faults(plan);
    Setup { accel, device, acomp }
}

fn check(completion: &Completion, seed: u64) {
    assert_eq!(completion.request.direction, Direction::Compress);
    match completion.outcome {
        Ok(_) => assert!(
            decoded(completion.output()) == page(completion.request.token),
            "seed {seed}, request {}",
            completion.request.token
        ),
        Err(error) => assert!(
            matches!(error, Error::DstTooSmall | Error::TimedOut | Error::Device),
            "seed {seed}: {error:?}"
        ),
    }
}

fn close(submitter: Submitter, seed: u64) {
    let closed = submitter.close(Duration::from_secs(10));
    assert!(closed.is_ok(), "seed {seed}: {closed:?}");
}
