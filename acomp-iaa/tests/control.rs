//! Devices come and go while sessions work: bound, probed, drained, reset, removed.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod setup;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use acomp_iaa::topology::{Machine, QueueId};
use acomp_iaa::{
    Accel, BindError, ControlError, Device, DeviceConfig, DeviceControl, DeviceState,
    EngineThreads, Fault, FaultPlan, RealClock, Settings, WqConfig, WqStats,
};
use futures::executor::block_on;

use self::setup::{Driver, decoded, page, round_trip};

#[test]
fn a_device_lives_drains_and_is_gone() {
    let driver = Driver::new(Settings::default());
    let (device, binding) = driver.bind(DeviceConfig::new(1));
    assert_eq!(binding.state(), DeviceState::Active);
    driver.compress(1);

    block_on(binding.drain()).unwrap();
    assert_eq!(binding.state(), DeviceState::Draining);
    driver.compress(2);
    assert_eq!(driver.accel.stats().total_comp_calls, 1);
    assert_eq!(driver.accel.stats().total_sw_comp_calls, 1);

    block_on(binding.probe()).unwrap();
    assert_eq!(binding.state(), DeviceState::Active);
    driver.compress(3);
    assert_eq!(driver.accel.stats().total_comp_calls, 2);

    block_on(binding.remove()).unwrap();
    assert_eq!(binding.state(), DeviceState::Gone);
    assert!(device.is_gone());
    driver.compress(4);
    assert_eq!(driver.accel.stats().total_comp_calls, 2);
    assert!(matches!(block_on(binding.probe()), Err(ControlError::Gone)));
    assert!(matches!(block_on(binding.reset()), Err(ControlError::Gone)));
    assert!(matches!(driver.accel.bind(&device), Err(BindError::Gone)));
}

#[test]
fn a_drain_waits_for_what_the_device_has() {
    let driver = Driver::new(Settings::default());
    let (device, binding) = driver.bind(DeviceConfig::new(1));
    let late_ns = 50_000;
    device.set_faults(FaultPlan::new(0).at(0, Fault::Delay(late_ns)));
    let request = driver.request(1);
    let from_ns = driver.now_ns();
    block_on(binding.drain()).unwrap();
    assert!(driver.now_ns() - from_ns >= late_ns);
    let completion = request.wait();
    assert_eq!(decoded(completion.output()), page(1));
    assert_eq!(driver.accel.stats().total_sw_comp_calls, 0);
}

#[test]
fn a_device_that_hangs_does_not_hang_who_drains_or_probes_it() {
    let driver = Driver::new(Settings::default());
    let (device, binding) = driver.bind(DeviceConfig::new(1).with_engines(&[1]));
    device.set_faults(FaultPlan::new(0).at(0, Fault::Hang));
    driver.compress(1);
    assert!(matches!(block_on(binding.drain()), Err(ControlError::TimedOut)));
    assert!(matches!(block_on(binding.probe()), Err(ControlError::TimedOut)));
    assert_eq!(binding.state(), DeviceState::Draining);

    block_on(binding.reset()).unwrap();
    block_on(binding.probe()).unwrap();
    driver.compress(2);
    assert_eq!(driver.accel.stats().total_completion_timeout_errors, 1);
    assert_eq!(driver.accel.stats().total_comp_calls, 2);
}

#[test]
fn settings_change_only_while_nothing_is_bound() {
    let driver = Driver::new(Settings::default());
    let (_, binding) = driver.bind(DeviceConfig::new(1));
    let mut settings = driver.accel.settings();
    settings.verify_compress = true;
    assert!(driver.accel.set(settings.clone()).is_err());
    block_on(binding.drain()).unwrap();
    driver.accel.set(settings).unwrap();
    block_on(binding.probe()).unwrap();
    driver.compress(1);
    assert!(driver.accel.settings().verify_compress);
}

#[test]
fn a_device_that_does_not_fit_is_not_bound() {
    let driver = Driver::new(Settings::default());
    let bind = |config| driver.accel.bind(&driver.device(config));
    assert!(matches!(
        bind(DeviceConfig::new(1).with_queues(Vec::new())),
        Err(BindError::Topology(_))
    ));
    assert!(matches!(
        bind(DeviceConfig::new(1).with_queues(vec![WqConfig::new(1).of_group(3)])),
        Err(BindError::Topology(_))
    ));
    let _binding = bind(DeviceConfig::new(1)).unwrap();
    assert!(matches!(bind(DeviceConfig::new(1)), Err(BindError::Topology(_))), "the same name");
    let elsewhere = driver.accel.bind_in(1, &driver.device(DeviceConfig::new(2)));
    assert!(matches!(elsewhere, Err(BindError::NoPackage(1))));
    driver.compress(1);
    assert_eq!(driver.accel.stats().total_comp_calls, 1);
}

#[test]
fn compressions_go_around_the_package_and_decompressions_stay_at_home() {
    let mut machine = Machine::spr();
    // Everybody is somewhere in the first package.
    machine.packages.truncate(1);
    let driver = Driver::on(&machine, Settings::default());
    let queues = || vec![WqConfig::new(64), WqConfig::new(64)];
    for number in [1, 3, 5, 7] {
        driver.bind(DeviceConfig::new(number).with_queues(queues()));
    }
    driver.round_trip(0..16);
    let stats = driver.accel.device_stats();
    for device in &stats {
        let [(_, decompress), (name, compress)] = &device.queues[..] else { panic!("two queues") };
        assert!(name.ends_with(".1"), "{name}");
        assert_eq!((decompress.comp_calls, compress.decomp_calls), (0, 0), "{device:?}");
        assert_eq!(compress.comp_calls, 4, "{device:?}");
    }
    let home: Vec<_> = stats.iter().map(|device| device.total().decomp_calls).collect();
    assert_eq!((home.iter().max(), home.iter().sum::<u64>()), (Some(&16), 16), "{stats:?}");
}

#[test]
fn a_policy_of_local_queues_and_runs_is_followed() {
    let mut machine = Machine::spr();
    machine.packages.truncate(1);
    let mut settings = Settings::default();
    settings.policy.distribute_comps = false;
    settings.policy.distribute_decomps = true;
    settings.policy.g_consec_descs_per_gwq = 8;
    let driver = Driver::on(&machine, settings);
    for number in [1, 3, 5, 7] {
        driver.bind(DeviceConfig::new(number));
    }
    driver.round_trip(0..16);
    let stats = driver.accel.device_stats();
    let calls = |calls: fn(&WqStats) -> u64| {
        let mut calls: Vec<_> = stats.iter().map(|device| calls(&device.total())).collect();
        calls.sort_unstable();
        calls
    };
    assert_eq!(calls(|stats| stats.comp_calls), [0, 0, 0, 16]);
    assert_eq!(calls(|stats| stats.decomp_calls), [0, 0, 8, 8]);
    let map = driver.accel.map().unwrap();
    assert_eq!(map.cpu(20).compress.queues, [QueueId { device: 1, queue: 0 }]);
}

#[test]
fn a_queue_that_is_given_up_leaves_the_work_to_the_others() {
    let driver = Driver::new(Settings::default());
    let (lazy, _binding) = driver.bind(DeviceConfig::new(1));
    driver.bind(DeviceConfig::new(3));
    lazy.set_faults(FaultPlan::new(0).at(0, Fault::LostCompletion));
    for number in 0..11 {
        driver.compress(number);
    }
    let stats = driver.accel.device_stats();
    let calls: Vec<_> = stats.iter().map(|device| device.total().comp_calls).collect();
    assert_eq!(calls, [1, 10], "the first waited for one in vain");
    assert_eq!(driver.accel.stats().total_sw_comp_calls, 1);
}

#[test]
fn devices_are_removed_and_bound_under_load() {
    let accel = Accel::new(Settings::default());
    let driver = Driver::of(accel);
    let clock = Arc::new(RealClock::new());
    let is_over = AtomicBool::new(false);
    let done = AtomicU64::new(0);
    thread::scope(|scope| {
        for thread in 0..4 {
            let (driver, is_over, done) = (&driver, &is_over, &done);
            scope.spawn(move || {
                let mut session = driver.acomp.session().unwrap();
                for number in (thread..).step_by(4) {
                    round_trip(&mut session, number..number + 10);
                    done.fetch_add(10, Ordering::Relaxed);
                    if is_over.load(Ordering::Relaxed) {
                        return;
                    }
                }
            });
        }
        for removal in 0..20 {
            let config = DeviceConfig::new(1).with_queues(vec![WqConfig::new(8)]);
            let dma = Arc::clone(driver.accel.dma());
            let device = Device::new(config, dma, clock.clone(), FaultPlan::new(0));
            let binding = driver.accel.bind(&device).unwrap();
            let threads = EngineThreads::start(&[device], 1).unwrap();
            let until = done.load(Ordering::Relaxed) + 100;
            while done.load(Ordering::Relaxed) < until {
                thread::yield_now();
            }
            if removal % 2 == 0 {
                block_on(binding.remove()).unwrap();
            } else {
                block_on(binding.drain()).unwrap();
            }
            drop(threads);
        }
        is_over.store(true, Ordering::Relaxed);
    });
    let stats = driver.accel.stats();
    assert!(stats.total_comp_calls > 0 && stats.total_completion_einval_errors == 0, "{stats:?}");
    assert_eq!(driver.accel.outstanding_descriptors(), 0);
}

#[test]
fn thirty_threads_on_one_small_queue_all_get_on() {
    load(Duration::from_secs(1));
}

#[test]
#[ignore = "takes 10 s: cargo xtask ci --full runs it"]
fn thirty_threads_on_one_small_queue_all_get_on_for_long() {
    load(Duration::from_secs(10));
}

fn load(duration: Duration) {
    let driver = Driver::of(Accel::new(Settings::default()));
    let config = DeviceConfig::new(1).with_queues(vec![WqConfig::new(8)]);
    let dma = Arc::clone(driver.accel.dma());
    let device = Device::new(config, dma, Arc::new(RealClock::new()), FaultPlan::new(0));
    let _binding = driver.accel.bind(&device).unwrap();
    let _threads = EngineThreads::start(&[Arc::clone(&device)], 1).unwrap();
    let deadline = Instant::now() + duration;
    let done: Vec<u64> = thread::scope(|scope| {
        let run = |thread: u64| {
            let mut session = driver.acomp.session().unwrap();
            let mut done = 0;
            while Instant::now() < deadline {
                round_trip(&mut session, thread..thread + 16);
                done += 32;
            }
            done
        };
        let threads: Vec<_> = (0..30).map(|thread| scope.spawn(move || run(thread))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let stats = driver.accel.stats();
    let counted = stats.total_comp_calls
        + stats.total_decomp_calls
        + stats.total_sw_comp_calls
        + stats.total_sw_decomp_calls;
    println!("{} pages, each thread {:?}, {stats:?}", done.iter().sum::<u64>(), done);
    assert!(done.iter().all(|done| *done > 0), "{done:?}");
    assert_eq!(counted, done.iter().sum::<u64>());
    assert!(stats.total_sw_comp_calls + stats.total_sw_decomp_calls > 0, "{stats:?}");
    assert_eq!(stats.total_completion_timeout_errors, 0);
    assert_eq!((device.lost_descriptors(), driver.accel.outstanding_descriptors()), (0, 0));
}
