//! Queues: what they take, in which order it is served, and what is left of it.

use std::sync::Arc;
use std::thread;

use acomp_iaa::completion::Status;
use acomp_iaa::{DeviceConfig, Fault, FaultPlan, Lease, WqConfig, Written};

use crate::bench::{Bench, DYNAMIC, drain, job, noop, page, reporting};

#[test]
fn jobs_of_a_queue_are_begun_in_order() {
    let bench = Bench::new();
    let records: Vec<_> = (0..5).map(|_| bench.submit(noop())).collect();
    for done in 0..5 {
        assert_eq!(completed(&records), (0..done).collect::<Vec<_>>());
        assert_eq!(bench.device.drive(1), 1);
    }
    assert_eq!(bench.device.drive(1), 0);
}

#[test]
fn the_queue_of_higher_priority_is_served_first() {
    let queues = [(0, 5), (1, 15), (2, 10)];
    let bench = Bench::of_queues(queues.map(|(_, of)| WqConfig::new(4).with_priority(of)));
    let records: Vec<_> = queues.map(|(queue, _)| bench.submit_to(queue, noop())).into();
    for expected in [vec![], vec![1], vec![1, 2], vec![0, 1, 2]] {
        assert_eq!(completed(&records), expected);
        bench.device.drive(1);
    }
}

#[test]
fn engines_serve_their_group_only() {
    let queues = vec![WqConfig::new(4), WqConfig::new(4).of_group(1), WqConfig::new(4).of_group(2)];
    let config = DeviceConfig::new(1).with_engines(&[2, 1, 0]).with_queues(queues);
    // Those of group 0 are busy for ever.
    let plan = FaultPlan::new(0).at(0, Fault::Hang).at(1, Fault::Hang);
    let bench = Bench::with(config, plan);
    let records: Vec<_> = [0, 0, 0, 1, 2].map(|queue| bench.submit_to(queue, noop())).into();
    // Two that hang, one that is done.
    assert_eq!(bench.device.drive(10), 3);
    assert_eq!(completed(&records), [3]);
}

#[test]
fn completions_come_as_jobs_end_and_not_as_they_were_submitted() {
    let plan = FaultPlan::new(0).at(0, Fault::Delay(9_000)).at(1, Fault::Delay(4_000));
    let bench = Bench::of_faults(plan);
    let records: Vec<_> = (0..3).map(|_| bench.submit(noop())).collect();
    bench.device.drive(3);
    for expected in [vec![2], vec![1, 2], vec![0, 1, 2]] {
        assert_eq!(completed(&records), expected);
        bench.drive_for_us(5);
    }
}

#[test]
fn a_drain_waits_for_all_that_came_before() {
    let plan = FaultPlan::new(0).at(0, Fault::Delay(20_000)).at(2, Fault::Delay(10_000));
    let bench = Bench::of_faults(plan);
    let mut records: Vec<_> = (0..3).map(|_| bench.submit(noop())).collect();
    records.push(bench.submit(drain()));
    records.push(bench.submit(noop()));
    // What comes after a drain waits with it.
    let mut seen = vec![];
    for _ in 0..40 {
        bench.device.drive(10);
        let now = completed(&records);
        if seen.last() != Some(&now) {
            seen.push(now);
        }
    }
    assert_eq!(seen, [vec![1], vec![1, 2], vec![0, 1, 2, 3, 4]]);
}

#[test]
fn a_drain_of_a_lost_completion_does_not_wait() {
    let bench = Bench::of_faults(FaultPlan::new(0).at(0, Fault::LostCompletion));
    let records = [bench.submit(noop()), bench.submit(drain())];
    bench.device.drive(2);
    assert_eq!(completed(&records), [1]);
}

#[test]
fn a_drain_holds_up_its_own_queue_only() {
    let queues = vec![WqConfig::new(4).with_priority(15), WqConfig::new(4).with_priority(1)];
    let config = DeviceConfig::new(1).with_queues(queues);
    let bench = Bench::with(config, FaultPlan::new(0).at(0, Fault::Hang));
    let _hangs = bench.submit_to(0, noop());
    let records = [bench.submit_to(0, drain()), bench.submit_to(1, noop())];
    bench.device.drive(10);
    assert_eq!(completed(&records), [1]);
}

#[test]
fn a_dedicated_queue_loses_what_it_has_no_room_for() {
    let bench = Bench::of_queues([WqConfig::new(3)]);
    let records: Vec<_> = (0..3).map(|_| bench.submit(noop())).collect();
    let lost = bench.room(0);
    let bytes = reporting(noop(), &lost).encode();
    assert_eq!(bench.device.submit(0, &bytes), Written::Lost);
    assert_eq!(bench.device.submit(1, &bytes), Written::Lost);
    assert_eq!(bench.device.lost_descriptors(), 2);
    // An engine that takes one makes room.
    bench.device.drive(1);
    let last = bench.submit(noop());
    assert_eq!(bench.device.drive(10), 3);
    assert_eq!(completed(&records), [0, 1, 2]);
    assert!(last.completion().is_some() && lost.completion().is_none());
    assert_eq!(bench.device.lost_descriptors(), 2);
}

#[test]
fn a_shared_queue_asks_to_try_again_from_its_threshold_on() {
    for (size, threshold, room) in [(8, 3, 3), (2, 5, 2)] {
        let bench = Bench::of_queues([WqConfig::new(size).shared(threshold)]);
        let _records: Vec<_> = (0..room).map(|_| bench.submit(noop())).collect();
        let record = bench.room(0);
        let bytes = reporting(noop(), &record).encode();
        assert_eq!(bench.device.submit(0, &bytes), Written::Retry);
        bench.device.drive(1);
        assert_eq!(bench.device.submit(0, &bytes), Written::Accepted);
        bench.device.drive(room);
        assert_eq!(record.completion().unwrap().status, Status::SUCCESS);
        assert_eq!(bench.device.lost_descriptors(), 0);
    }
}

#[test]
fn a_reset_forgets_what_is_in_flight_and_queues_go_on() {
    let plan = FaultPlan::new(0).at(0, Fault::Delay(5_000)).at(1, Fault::Hang);
    let config = DeviceConfig::new(1).with_engines(&[1]);
    let bench = Bench::with(config, plan);
    let records: Vec<_> = (0..4).map(|_| bench.submit(noop())).collect();
    // One is late, one hangs, and two wait for the only engine.
    assert_eq!(bench.device.drive(10), 2);
    bench.device.reset();
    assert_eq!(bench.device.resets(), 1);
    bench.drive_for_us(10);
    assert_eq!(bench.device.drive(10), 0);
    assert!(completed(&records).is_empty());
    assert!(bench.device.is_queue_on(0));
    // Nothing is left that a drain would wait for.
    assert_eq!(bench.run(drain()).status, Status::SUCCESS);
    assert_eq!(bench.device.unreported_completions(), 0);
}

#[test]
fn a_job_that_was_begun_before_a_reset_is_not_reported_after_it() {
    let bench = Bench::of_queues([WqConfig::new(1).shared(1)]);
    let (src, dst) = (bench.lease(&page(1)), bench.room(4096));
    let begun = bench.submit(job(DYNAMIC, &src, &dst));
    let waiting = bench.room(0);
    let bytes = reporting(noop(), &waiting).encode();
    // Holds the engine up.
    let source = src.write();
    let device = Arc::clone(&bench.device);
    let engine = thread::spawn(move || device.drive(1));
    // There is room as soon as the engine has the first one.
    while bench.device.submit(0, &bytes) == Written::Retry {
        thread::yield_now();
    }
    bench.device.reset();
    drop(source);
    assert_eq!(engine.join().unwrap(), 1);
    assert_eq!(bench.device.drive(10), 0);
    assert!(completed(&[begun, waiting]).is_empty());
    assert_eq!(bench.run(drain()).status, Status::SUCCESS);
}

#[test]
fn a_device_that_was_removed_takes_nothing_any_more() {
    for queue in [WqConfig::new(8), WqConfig::new(8).shared(8)] {
        let plan = FaultPlan::new(0).at(0, Fault::Delay(5_000));
        let bench = Bench::with(DeviceConfig::new(1).with_queues(vec![queue]), plan);
        let records: Vec<_> = (0..3).map(|_| bench.submit(noop())).collect();
        bench.device.drive(1);
        bench.device.remove();
        for resets in [1, 2] {
            assert!(bench.device.is_gone() && !bench.device.is_queue_on(0));
            assert_eq!(bench.device.resets(), resets);
            let bytes = reporting(noop(), &records[2]).encode();
            assert_ne!(bench.device.submit(0, &bytes), Written::Accepted);
            bench.drive_for_us(10);
            assert_eq!(bench.device.drive(10), 0);
            assert!(completed(&records).is_empty());
            // That does not bring it back.
            bench.device.reset();
        }
    }
}

/// Which of them have a record.
fn completed(records: &[Lease]) -> Vec<usize> {
    (0..records.len()).filter(|at| records[*at].completion().is_some()).collect()
}
