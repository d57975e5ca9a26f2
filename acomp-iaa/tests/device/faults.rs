//! Each fault does what it says.

use acomp_iaa::aecs::Aecs;
use acomp_iaa::completion::{AnalyticsError, CompletionRecord, Status};
use acomp_iaa::desc::{DecompressFlags, Descriptor, Flags, Operation};
use acomp_iaa::{
    DeviceConfig, Fault, FaultPlan, JobKind, Lease, PAGE_REQUEST_NS, WqConfig, Written,
};

use crate::bench::{
    Bench, DECOMPRESS, DYNAMIC, FIXED, INFLATE, crc64, drain, job, noop, page, reporting,
    with_flags, with_table,
};

#[test]
fn a_page_fault_ends_a_job_that_does_not_block() {
    let bench = of_fault(Fault::PageFault);
    let (src, dst) = (bench.lease(&page(1)), bench.room(4096));
    let descriptor = job(DYNAMIC, &src, &dst);
    let record = bench.run(descriptor);
    assert_eq!(record.status, Status::PAGE_FAULT.with_write_fault());
    assert_eq!(record.fault_address, dst.address(0));
    assert_eq!(*dst.read(), [0; 4096]);
    // To submit it again is all that it takes.
    assert_eq!(bench.run(descriptor).status, Status::SUCCESS);

    let bench = of_fault(Fault::PageFault);
    let src = bench.lease(&page(1));
    let record = bench.run(crc64(&src, 1));
    assert_eq!((record.status, record.fault_address), (Status::PAGE_FAULT, src.address(0)));
}

#[test]
fn a_page_fault_delays_a_job_that_blocks() {
    let bench = of_fault(Fault::PageFault);
    let (src, dst) = (bench.lease(&page(1)), bench.room(4096));
    let record = bench.submit(with_flags(job(DYNAMIC, &src, &dst), Flags::BLOCK_ON_FAULT));
    bench.device.drive(1);
    bench.drive_for_us(PAGE_REQUEST_NS as usize / 1000 - 1);
    assert_eq!(record.completion(), None);
    bench.drive_for_us(1);
    assert_eq!(record.completion().unwrap().status, Status::SUCCESS);
}

#[test]
fn jobs_that_fail_tell_why_and_write_nothing() {
    let overflow = CompletionRecord { error: 25, ..failed(Status::ANALYTICS_ERROR) };
    let distance = CompletionRecord { error: 17, ..failed(Status::ANALYTICS_ERROR) };
    let cases = [
        (Fault::Analytics, DYNAMIC, distance),
        (Fault::Analytics, DECOMPRESS, distance),
        (Fault::Overflow, DYNAMIC, overflow),
        (Fault::Overflow, DECOMPRESS, failed(Status::OUTPUT_OVERFLOW)),
        (Fault::Watchdog, DYNAMIC, failed(Status::WATCHDOG_EXPIRED)),
        (Fault::Watchdog, DECOMPRESS, failed(Status::WATCHDOG_EXPIRED)),
    ];
    for (fault, operation, expected) in cases {
        let bench = of_fault(fault);
        let (src, dst) = (bench.lease(&page(1)), bench.lease(&[0xaa; 4096]));
        assert_eq!(bench.run(job(operation, &src, &dst)), expected, "{fault:?}");
        assert_eq!(*dst.read(), [0xaa; 4096]);
    }
    assert_eq!(overflow.analytics_error(), Some(AnalyticsError::OUTPUT_OVERFLOW));
}

#[test]
fn a_queue_refuses_as_if_it_were_full() {
    for queue in [WqConfig::new(8), WqConfig::new(8).shared(8)] {
        let plan = FaultPlan::new(0).at(1, Fault::QueueFull);
        let bench = Bench::with(DeviceConfig::new(1).with_queues(vec![queue]), plan);
        let _first = bench.submit(noop());
        let record = bench.room(0);
        let bytes = reporting(noop(), &record).encode();
        assert_eq!(bench.device.submit(0, &bytes), Written::Retry);
        assert_eq!(bench.device.drive(10), 1);
        assert_eq!(record.completion(), None);
        assert_eq!(bench.device.submit(0, &bytes), Written::Accepted);
        assert_eq!(bench.device.lost_descriptors(), 0);
    }
}

#[test]
fn a_lost_completion_is_that_of_a_job_that_was_done() {
    let bench = of_fault(Fault::LostCompletion);
    let (src, dst) = (bench.lease(&page(1)), bench.room(4096));
    let record = bench.submit(job(Operation::MemMove, &src, &dst));
    bench.device.drive(1);
    bench.drive_for_us(1000);
    assert_eq!(record.completion(), None);
    assert_eq!(*dst.read(), page(1));
    assert_eq!(bench.device.unreported_completions(), 0);
}

#[test]
fn a_second_completion_finds_nothing_after_renewal() {
    let bench = of_fault(Fault::DoubleCompletion(5_000));
    let record = bench.submit(noop());
    bench.device.drive(1);
    assert_eq!(record.completion().unwrap().status, Status::SUCCESS);
    record.renew();
    bench.drive_for_us(10);
    assert_eq!(record.completion(), None);
    assert_eq!(bench.device.unreported_completions(), 1);

    // Who does not renew and only looks again is told again.
    let bench = of_fault(Fault::DoubleCompletion(5_000));
    let record = bench.submit(noop());
    bench.device.drive(1);
    bench.drive_for_us(10);
    assert!(record.completion().is_some());
    assert_eq!(bench.device.unreported_completions(), 0);
}

#[test]
fn a_second_completion_does_not_count_for_drains() {
    let bench = Bench::of_faults(
        FaultPlan::new(0).at(0, Fault::DoubleCompletion(5_000)).at(1, Fault::Delay(50_000)),
    );
    let first = bench.submit(noop());
    let late = bench.submit(noop());
    let drained = bench.submit(drain());
    bench.device.drive(2);
    assert!(first.completion().is_some());
    for _ in 0..20 {
        bench.device.drive(10);
    }
    assert_eq!((late.completion(), drained.completion()), (None, None));
    for _ in 0..40 {
        bench.device.drive(10);
    }
    assert!(late.completion().is_some() && drained.completion().is_some());
}

#[test]
fn a_delay_is_as_long_as_it_says() {
    let bench = of_fault(Fault::Delay(7_000));
    let record = bench.submit(noop());
    bench.device.drive(1);
    bench.drive_for_us(6);
    assert_eq!(record.completion(), None);
    bench.drive_for_us(1);
    assert_eq!(record.completion().unwrap().status, Status::SUCCESS);
    // One that is longer than time never comes.
    let bench = of_fault(Fault::Delay(u64::MAX));
    let record = bench.submit(noop());
    bench.device.drive(1);
    bench.drive_for_us(1000);
    assert_eq!(record.completion(), None);
}

#[test]
fn an_engine_that_hangs_does_so_until_a_reset() {
    let plan = FaultPlan::new(0).at(1, Fault::Hang);
    let bench = Bench::with(DeviceConfig::new(1).with_engines(&[1]), plan);
    assert_eq!(bench.run(noop()).status, Status::SUCCESS);
    let records = [bench.submit(noop()), bench.submit(noop())];
    assert_eq!(bench.device.drive(10), 1);
    bench.drive_for_us(1000);
    assert_eq!(bench.device.drive(10), 0);
    assert!(records.iter().all(|record| record.completion().is_none()));
    bench.device.reset();
    assert_eq!(bench.run(noop()).status, Status::SUCCESS);
}

#[test]
fn the_other_engines_go_on_when_one_hangs() {
    let plan = FaultPlan::new(0).at(0, Fault::Hang);
    let bench = Bench::with(DeviceConfig::new(1).with_engines(&[2]), plan);
    let [hangs, record] = [bench.submit(noop()), bench.submit(noop())];
    bench.device.drive(10);
    assert!(hangs.completion().is_none() && record.completion().is_some());
}

#[test]
fn a_device_that_resets_itself_has_its_queues_off() {
    let plan = FaultPlan::new(0).at(0, Fault::Delay(2_000)).at(1, Fault::Reset);
    let queues = vec![WqConfig::new(8), WqConfig::new(8).shared(8)];
    let bench = Bench::with(DeviceConfig::new(1).with_queues(queues), plan);
    let records: Vec<_> = [0, 0, 0, 1].map(|queue| bench.submit_to(queue, noop())).into();
    bench.device.drive(10);
    bench.drive_for_us(10);
    assert!(records.iter().all(|record| record.completion().is_none()));
    assert_eq!((bench.device.resets(), bench.device.lost_descriptors()), (1, 0));
    assert_off(&bench, [Written::Lost, Written::Retry]);
    bench.device.reset();
    assert_eq!(bench.run(noop()).status, Status::SUCCESS);
}

#[test]
fn a_queue_that_goes_off_loses_what_is_in_it() {
    let plan = FaultPlan::new(0).at(0, Fault::QueueOff);
    let queues = vec![WqConfig::new(8).with_priority(11), WqConfig::new(8)];
    let bench = Bench::with(DeviceConfig::new(1).with_queues(queues), plan);
    let records: Vec<_> = [0, 0, 1].map(|queue| bench.submit_to(queue, noop())).into();
    bench.device.drive(10);
    let has_record: Vec<_> = records.iter().map(|record| record.completion().is_some()).collect();
    assert_eq!(has_record, [false, false, true]);
    assert_eq!([0, 1].map(|queue| bench.device.is_queue_on(queue)), [false, true]);
    let bytes = reporting(noop(), &records[0]).encode();
    assert_eq!(bench.device.submit(0, &bytes), Written::Lost);
    assert_eq!(bench.device.resets(), 0);
    bench.device.reset();
    assert_eq!(bench.run(noop()).status, Status::SUCCESS);
}

#[test]
fn a_device_that_is_gone_loses_everything() {
    let plan = FaultPlan::new(0).at(1, Fault::Removed);
    let queues = vec![WqConfig::new(8), WqConfig::new(8).shared(8)];
    let bench = Bench::with(DeviceConfig::new(1).with_queues(queues), plan);
    let records: Vec<_> = [0, 0, 0, 1].map(|queue| bench.submit_to(queue, noop())).into();
    bench.device.drive(10);
    let has_record: Vec<_> = records.iter().map(|record| record.completion().is_some()).collect();
    assert_eq!(has_record, [true, false, false, false]);
    assert!(bench.device.is_gone());
    assert_off(&bench, [Written::Lost, Written::Retry]);
}

#[test]
fn a_bad_checksum_stands_beside_good_data() {
    for operation in [DYNAMIC, DECOMPRESS] {
        let bench = of_fault(Fault::BadCrc);
        let (src, dst) = (source(&bench, operation), bench.room(4096));
        let descriptor = job(operation, &src, &dst);
        let (output, bad) = bench.output(descriptor, &dst);
        let (expected, good) = bench.output(descriptor, &dst);
        assert_ne!(bad.crc, good.crc);
        assert_eq!(CompletionRecord { crc: good.crc, ..bad }, good);
        assert!(output == expected);
    }
}

#[test]
fn a_flipped_bit_stands_beside_a_good_checksum() {
    for operation in [DYNAMIC, DECOMPRESS] {
        let bench = of_fault(Fault::FlippedBit);
        let (src, dst) = (source(&bench, operation), bench.room(4096));
        let descriptor = job(operation, &src, &dst);
        let (output, first) = bench.output(descriptor, &dst);
        let (expected, second) = bench.output(descriptor, &dst);
        assert_eq!(first, second);
        let differing = output.iter().zip(&expected).map(|(a, b)| (a ^ b).count_ones());
        assert_eq!(differing.sum::<u32>(), 1);
    }
}

#[test]
fn no_bit_is_flipped_where_there_is_no_output() {
    let bench = of_fault(Fault::FlippedBit);
    let (src, dst) = (source(&bench, DECOMPRESS), bench.lease(&page(1)));
    let verify = Operation::Decompress(INFLATE | DecompressFlags::SUPPRESS_OUTPUT);
    assert_eq!(bench.run(job(verify, &src, &dst)).status, Status::SUCCESS);
    assert!(*dst.read() == page(1));
}

#[test]
fn faults_meet_the_jobs_of_their_plan() {
    let plan = FaultPlan::new(3).at(2, Fault::Watchdog).often(5000, Fault::Analytics);
    let statuses = |bench: &Bench| {
        let (src, dst) = (bench.lease(&page(1)), bench.room(4096));
        let table = bench.table(&Aecs::fixed());
        let descriptor: Descriptor = with_table(job(FIXED, &src, &dst), &table);
        (0..100).map(|_| bench.run(descriptor).status).collect::<Vec<_>>()
    };
    let bench = Bench::of_faults(plan.clone());
    let first = statuses(&bench);
    assert_eq!(first[2], Status::WATCHDOG_EXPIRED);
    let failed = first.iter().filter(|status| **status == Status::ANALYTICS_ERROR).count();
    assert!((30..70).contains(&failed), "{failed} of 100");
    // The same seed gives the same, from the moment when it is set.
    bench.device.set_faults(plan);
    assert_eq!(statuses(&bench), first);
    bench.device.set_faults(FaultPlan::new(3));
    assert_eq!(statuses(&bench), [Status::SUCCESS; 100]);
}

#[test]
fn jobs_and_faults_are_counted() {
    let plan = FaultPlan::new(0)
        .at(0, Fault::LostCompletion)
        .at(1, Fault::Delay(50_000))
        .at(2, Fault::DoubleCompletion(10))
        .at(3, Fault::Hang);
    let bench = Bench::of_faults(plan);
    let (src, dst) = (bench.lease(&page(1)), bench.room(4096));
    let table = bench.table(&Aecs::fixed());
    let compress: Descriptor = with_table(job(FIXED, &src, &dst), &table);
    let _records: Vec<_> = (0..5).map(|_| bench.submit(compress)).collect();
    let _noop = bench.submit(noop());
    let jobs = |kind| {
        let jobs = bench.device.jobs(kind);
        (jobs.submitted, jobs.done, jobs.lost, jobs.in_flight)
    };
    assert_eq!(jobs(JobKind::Compress), (5, 0, 0, 5));
    bench.device.drive(5);
    // The first and the third are done, and the fifth. The second is late, the fourth hangs.
    assert_eq!(jobs(JobKind::Compress), (5, 3, 0, 2));
    assert_eq!(jobs(JobKind::Other), (1, 0, 0, 1));
    for _ in 0..60 {
        bench.device.drive(1);
    }
    assert_eq!(jobs(JobKind::Compress), (5, 4, 0, 1));
    bench.device.reset();
    assert_eq!(jobs(JobKind::Compress), (5, 4, 1, 0));
    assert_eq!(jobs(JobKind::Other), (1, 1, 0, 0));
    bench.device.set_faults(FaultPlan::new(0).at(0, Fault::QueueFull));
    assert_eq!(bench.device.submit(0, &noop().encode()), Written::Retry);
    let met = bench.device.faults_met();
    let met: Vec<_> = met.iter().filter(|(_, count)| *count > 0).collect();
    let named = |fault: Fault| (fault.name(), 1);
    let faults = [
        Fault::QueueFull,
        Fault::LostCompletion,
        Fault::DoubleCompletion(0),
        Fault::Delay(0),
        Fault::Hang,
    ];
    assert!(met.into_iter().eq(&faults.map(named)));
}

/// Of one job that meets this fault.
fn of_fault(fault: Fault) -> Bench {
    Bench::of_faults(FaultPlan::new(0).at(0, fault))
}

/// What this operation can read.
fn source(bench: &Bench, operation: Operation) -> Lease {
    if operation != DECOMPRESS {
        return bench.lease(&page(1));
    }
    let other = Bench::new();
    let (src, dst) = (other.lease(&page(1)), other.room(4096));
    bench.lease(&other.output(job(DYNAMIC, &src, &dst), &dst).0)
}

fn failed(status: Status) -> CompletionRecord {
    CompletionRecord { status, ..CompletionRecord::default() }
}

/// No queue takes anything; dedicated ones cannot say so.
fn assert_off<const N: usize>(bench: &Bench, answers: [Written; N]) {
    let record = bench.room(0);
    let bytes = reporting(noop(), &record).encode();
    for (queue, answer) in answers.into_iter().enumerate() {
        assert!(!bench.device.is_queue_on(queue));
        assert_eq!(bench.device.submit(queue, &bytes), answer);
    }
    assert_eq!(bench.device.lost_descriptors(), 1);
    assert_eq!(bench.device.drive(10), 0);
}
