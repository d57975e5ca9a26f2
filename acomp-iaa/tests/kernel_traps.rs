//! The museum of traps of accelerator drivers: a test for each defect that the kernel's had, named
//! after it. Those of the map from CPUs to queues are in `topology.rs`.

mod setup;

use std::thread;

use acomp_core::{Algorithm, Chain, ExecutedOn, Kind, Op, Request};
use acomp_iaa::{
    Accel, DeflateIaa, DeviceConfig, DeviceControl, Fault, FaultPlan, Settings, SyncMode, WqConfig,
};
use futures::executor::block_on;

use self::setup::{Driver, decoded, page, round_trip};

#[test]
fn descriptor_is_not_kept_in_what_belongs_to_the_callers_callback() {
    let driver = Driver::new(Settings::default());
    let submitter = driver.acomp.submitter(4).unwrap();
    // Without a device it is completed where it is submitted, and then polled for.
    for binding in [None, Some(driver.bind(DeviceConfig::new(1)))] {
        let request = Request::compress(page(1), vec![0; 4096]).with_token(0xC0FFEE);
        let completion = submitter.submit(request).map_err(|r| r.error).unwrap().wait();
        assert_eq!(completion.request.token, 0xC0FFEE);
        assert_eq!(decoded(completion.output()), page(1));
        drop(binding);
    }
}

#[test]
fn decompression_is_not_finished_as_a_compression_nor_its_verification() {
    let mut settings = Settings::default();
    settings.verify_compress = true;
    let driver = Driver::new(settings);
    let (_device, _binding) = driver.bind(DeviceConfig::new(1));
    let (first, second) = (page(1), page(2));
    let mut stream = vec![0; 4096];
    let len = driver.acomp.compress(&first, &mut stream).unwrap();
    let (mut out, mut back) = (vec![0; 4096], vec![0; 4096]);
    let mut chain = Chain::<2>::new();
    chain.push(Op::compress(&second, &mut out)).unwrap();
    chain.push(Op::decompress(&stream[..len], &mut back)).unwrap();
    driver.acomp.session().unwrap().run(chain.as_mut_ops());
    let [compressed, decompressed] = chain.ops() else { panic!("two") };
    assert_eq!(decoded(compressed.output()), second);
    assert_eq!(decompressed.output(), first);
    let stats = driver.accel.stats();
    assert_eq!((stats.total_comp_calls, stats.total_decomp_calls), (2, 1));
}

#[test]
fn cve_2024_35926_descriptor_is_freed_once_on_every_path() {
    let faults = [
        Fault::PageFault,
        Fault::Analytics,
        Fault::Overflow,
        Fault::Watchdog,
        Fault::QueueFull,
        Fault::LostCompletion,
        Fault::DoubleCompletion(10_000),
        Fault::Delay(10_000),
        Fault::Hang,
        Fault::Reset,
        Fault::QueueOff,
        Fault::BadCrc,
    ];
    for fault in faults {
        let driver = Driver::new(Settings::default());
        let config = DeviceConfig::new(1).with_queues(vec![WqConfig::new(4)]);
        let (device, binding) = driver.bind(config);
        device.set_faults(FaultPlan::new(0).at(2, fault));
        for number in 0..10 {
            let _ = driver.acomp.compress(&page(number), &mut [0; 4096]); // Some are reported.
        }
        let out = driver.accel.outstanding_descriptors();
        let is_with_the_device =
            matches!(fault, Fault::LostCompletion | Fault::Hang | Fault::QueueOff);
        assert_eq!(out, usize::from(is_with_the_device), "{fault:?}");
        // Freed twice, there would be more descriptors than entries, and some would be lost.
        block_on(binding.reset()).unwrap();
        block_on(binding.probe()).unwrap();
        round_trip(&mut driver.acomp.session().unwrap(), 0..16);
        assert_eq!(driver.accel.outstanding_descriptors(), 0, "{fault:?}");
        assert_eq!(device.lost_descriptors(), 0, "{fault:?}");
    }
}

#[test]
fn queue_that_is_removed_with_jobs_in_flight_strands_nobody() {
    let driver = Driver::new(Settings::default());
    let (_device, binding) = driver.bind(DeviceConfig::new(1));
    let requests: Vec<_> = (0..16).map(|number| driver.request(number)).collect();
    block_on(binding.remove()).unwrap();
    for (number, request) in requests.into_iter().enumerate() {
        let completion = request.wait();
        assert_eq!(decoded(completion.output()), page(number as u64));
        assert_eq!(completion.executed_on, ExecutedOn::Fallback);
    }
}

#[test]
fn job_is_not_in_progress_with_nobody_to_poll_for_it() {
    for sync_mode in [SyncMode::Sync, SyncMode::Async, SyncMode::AsyncIrq] {
        let mut settings = Settings::default();
        settings.sync_mode = sync_mode;
        let driver = Driver::new(settings);
        // No engine has a thread: whoever waits must be the one who works.
        let (_device, _binding) = driver.bind(DeviceConfig::new(1));
        driver.compress(1);
        assert_eq!(decoded(driver.request(2).wait().output()), page(2));
        assert_eq!(decoded(block_on(driver.request(3)).output()), page(3));
        assert_eq!(driver.accel.stats().total_comp_calls, 3, "{sync_mode:?}");
    }
}

#[test]
fn software_fallback_is_not_shared() {
    let driver = Driver::new(Settings::default());
    thread::scope(|scope| {
        for thread in 0..4 {
            let mut session = driver.acomp.session().unwrap();
            scope.spawn(move || {
                for first in 100 * thread..100 * thread + 20 {
                    round_trip(&mut session, first..first + 8);
                }
            });
        }
    });
    assert_eq!(driver.accel.stats().total_sw_comp_calls, 4 * 20 * 8);
}

#[test]
fn one_timeout_does_not_disable_the_driver() {
    let mut settings = Settings::default();
    settings.quarantine_ns = 500_000;
    let driver = Driver::new(settings);
    let (device, _binding) = driver.bind(DeviceConfig::new(1));
    driver.bind(DeviceConfig::new(3));
    device.set_faults(FaultPlan::new(0).at(0, Fault::LostCompletion));
    driver.compress(0);
    let quarantine_ends_ns = driver.now_ns() + 500_000;
    let calls = || driver.accel.device_stats().iter().map(|d| d.total().comp_calls).collect();
    let (mut in_quarantine, mut after): (Vec<_>, Vec<_>) = (calls(), Vec::new());
    for number in 0.. {
        driver.compress(number);
        if driver.now_ns() < quarantine_ends_ns {
            in_quarantine = calls();
        } else if number % 2 == 0 {
            after = calls();
            break;
        }
    }
    assert_eq!(in_quarantine[0], 1, "everybody went to the other");
    assert!(in_quarantine[1] > 100 && after[0] > 1, "{in_quarantine:?}, and back: {after:?}");
}

#[test]
fn descriptor_zero_is_not_a_failure() {
    let driver = Driver::new(Settings::default());
    driver.bind(DeviceConfig::new(1).with_queues(vec![WqConfig::new(1)]));
    (0..10).for_each(|number| driver.compress(number));
    assert_eq!(driver.accel.stats().total_comp_calls, 10);
    assert_eq!(driver.accel.stats().total_sw_comp_calls, 0);
}

#[test]
fn full_queue_does_not_hang_its_submitters() {
    let driver = Driver::new(Settings::default());
    let config = DeviceConfig::new(1).with_queues(vec![WqConfig::new(4)]).with_engines(&[1]);
    let (device, _binding) = driver.bind(config);
    // The one engine hangs, and everybody else's job stays in the queue.
    device.set_faults(FaultPlan::new(0).at(0, Fault::Hang));
    let requests: Vec<_> = (0..8).map(|number| driver.request(number)).collect();
    for (number, request) in requests.into_iter().enumerate() {
        assert_eq!(decoded(request.wait().output()), page(number as u64));
    }
    assert!(driver.accel.stats().total_sw_comp_calls >= 8);
}

#[test]
fn tables_are_not_rebuilt_under_submitters() {
    let driver = Driver::new(Settings::default());
    let (_first, _binding) = driver.bind(DeviceConfig::new(1));
    let before = driver.accel.map().unwrap();
    let (_second, binding) = driver.bind(DeviceConfig::new(3));
    assert_eq!(driver.accel.map().unwrap().cpu(0).compress.queues.len(), 2);
    block_on(binding.remove()).unwrap();
    assert_eq!(driver.accel.map().unwrap().cpu(0).compress.queues.len(), 1);
    assert_eq!(before.cpu(0).compress.queues.len(), 1);
}

#[test]
fn algorithm_is_neither_lost_nor_registered_again_when_the_last_device_goes() {
    let driver = Driver::new(Settings::default());
    for round in 1..=3 {
        let (_device, binding) = driver.bind(DeviceConfig::new(1));
        driver.compress(round);
        block_on(binding.remove()).unwrap();
        driver.compress(round);
        let stats = driver.accel.stats();
        assert_eq!((stats.total_comp_calls, stats.total_sw_comp_calls), (round, round));
    }
}

#[test]
fn asynchronous_is_not_a_flag_to_forget() {
    let algorithm = DeflateIaa::fixed(&Accel::new(Settings::default())).unwrap();
    assert_eq!(algorithm.info().kind, Kind::Offload);
    assert!(algorithm.port().is_some());
}
