//! Virtual time: cases with a closed form, and the published figures.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use acomp_iaa::sim::published::{Inputs, calibrate, latencies, sensitivity, usemem};
use acomp_iaa::sim::{Mode, SimError, SimParams, SimReport, simulate};
use acomp_iaa::topology::{Machine, Map, Policy};

#[test]
fn one_cpu_one_page_at_a_time_takes_the_sum() {
    let params = params(300.0, 1_000.0);
    let report = run(Mode::Sequential, &params);
    let sum_ns = 300.0 + 1_000.0 + PAGE_NS;
    assert_near(report.p50_ns, sum_ns);
    assert_near(report.p99_ns, sum_ns);
    assert_near(report.gb_s, 4096.0 / sum_ns);
    assert_near(report.devices[0].utilisation, PAGE_NS / 2.0 / sum_ns);
    assert_near(report.devices[0].queueing_ns, 0.0);
}

#[test]
fn a_batch_on_one_device_shares_it() {
    let report = run(Mode::Batched, &params(300.0, 1_000.0));
    let batch_ns = 8.0 * 300.0 + 1_000.0 + 8.0 * PAGE_NS / 2.0;
    assert_near(report.p50_ns, batch_ns / 8.0);
    assert_near(report.devices[0].queueing_ns, 3.0 * PAGE_NS);
    assert!(report.devices[1..].iter().all(|device| device.pages == 0));
}

#[test]
fn a_batch_over_four_devices_waits_for_none() {
    let report = run(Mode::Distributed, &params(300.0, 1_000.0));
    assert_near(report.p50_ns, (8.0 * 300.0 + 1_000.0 + PAGE_NS) / 8.0);
    let pages: Vec<_> = report.devices.iter().map(|device| device.pages > 0).collect();
    assert_eq!(pages, [true, true, true, true, false, false, false, false]);
}

#[test]
fn work_between_submissions_overlaps_with_the_device() {
    let mut params = params(300.0, 1_000.0);
    params.submit_share = 1.0;
    let report = run(Mode::Batched, &params);
    // The first page is alone for the time of one submission, and has half of the device.
    let batch_ns = 1.5 * 300.0 + 1_000.0 + 8.0 * PAGE_NS / 2.0;
    assert_near(report.p50_ns, batch_ns / 8.0);
}

#[test]
fn a_folio_that_is_no_multiple_of_a_batch_ends_with_a_short_one() {
    let mut params = params(300.0, 1_000.0);
    params.folio_pages = 11;
    let report = run(Mode::Batched, &params);
    let folio_ns = 11.0 * 300.0 + 2.0 * 1_000.0 + 11.0 * PAGE_NS / 2.0;
    assert_near(report.p50_ns, folio_ns / 11.0);
}

#[test]
fn many_cpus_saturate_a_device_and_no_more() {
    let mut params = params(300.0, 1_000.0);
    params.cpus = 14;
    params.duration_ns = 1e7;
    for mode in [Mode::Sequential, Mode::Batched] {
        let report = run(mode, &params);
        let device = report.devices[0];
        assert!((0.99..=1.0).contains(&device.utilisation), "{report:?}");
        assert!((0.99 * 3.8..3.8 * 1.001).contains(&report.gb_s), "{report:?}");
        // Little's law: all that the CPUs do not have themselves is in the device.
        let submitted = if mode == Mode::Sequential { 14.0 } else { 14.0 * 8.0 };
        let in_device_ns = submitted * PAGE_NS / 2.0;
        let device_ns = device.queueing_ns + PAGE_NS;
        assert!((0.7 * in_device_ns..in_device_ns).contains(&device_ns), "{report:?}");
    }
}

#[test]
fn one_engine_is_as_fast_as_one_engine() {
    let machine = machine(r#""engines": 1"#);
    let mut params = params(100.0, 100.0);
    params.cpus = 4;
    let report = Mode::Batched.simulate(&machine, &params).unwrap();
    assert!((0.99 * 1.9..1.9 * 1.001).contains(&report.gb_s), "{report:?}");
    assert!(report.devices[0].utilisation <= 1.0);
}

#[test]
fn no_device_does_more_than_it_can() {
    for cpus in [1, 3, 30, 224] {
        for mode in Mode::ALL {
            let mut params = params(100.0, 200.0);
            params.cpus = cpus;
            let report = run(mode, &params);
            let devices = &report.devices;
            assert!(devices.iter().all(|d| (0.0..=1.0).contains(&d.utilisation)), "{report:?}");
            let busy = devices.iter().map(|device| device.utilisation).sum::<f64>();
            // Pages under way at the end are work done, but not pages yet.
            assert!(report.gb_s <= 3.8 * busy * 1.001, "{report:?}");
            assert!(report.p50_ns <= report.p99_ns);
            let waits = cpus > 128 / 8 || report.waits == 0;
            assert!(waits && report.fallbacks == 0, "{report:?}");
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_report() {
    let mut params = params(100.0, 200.0);
    params.cpus = 30;
    params.think_ns = 500.0;
    let report = run(Mode::Distributed, &params);
    assert_eq!(report, run(Mode::Distributed, &params));
    params.seed += 1;
    assert_ne!(report, run(Mode::Distributed, &params));
}

#[test]
fn full_queues_are_asked_again_and_then_software_compresses() {
    let machine = machine(r#""queues": [{ "size": 8 }]"#);
    let mut params = params(100.0, 200.0);
    params.cpus = 30;
    let patient = Mode::Batched.simulate(&machine, &params).unwrap();
    assert!(patient.waits > 0 && patient.fallbacks > 0, "{patient:?}");
    params.tries = 10;
    let hasty = Mode::Batched.simulate(&machine, &params).unwrap();
    assert!(hasty.fallbacks > patient.fallbacks, "{hasty:?}");
    assert!(hasty.gb_s > patient.gb_s, "waiting is worse than working");
    assert!(hasty.devices[0].pages + hasty.fallbacks <= hasty.pages + 8, "{hasty:?}");
}

#[test]
fn a_batch_that_the_queue_has_no_room_for_falls_back_for_the_rest() {
    let machine = machine(r#""queues": [{ "size": 4 }]"#);
    let mut params = params(300.0, 1_000.0);
    let report = Mode::Batched.simulate(&machine, &params).unwrap();
    // Nobody polls before everything is submitted: four pages of each batch wait in vain.
    let page_ns = f64::from(params.tries) * params.try_ns + params.software_ns;
    assert_near(report.p50_ns, (8.0 * 300.0 + 4.0 * page_ns) / 8.0);
    params.batch_pages = 4;
    assert_eq!(Mode::Batched.simulate(&machine, &params).unwrap().fallbacks, 0);
}

#[test]
fn the_highest_priority_is_served_first() {
    let mut params = params(100.0, 100.0);
    (params.cpus, params.folio_pages, params.batch_pages) = (16, 1, 1);
    // Both queues are generic, and CPUs take turns between them.
    let mut policy = Policy::default();
    policy.g_comp_wqs_per_iaa = 2;
    let [equal, unequal] = [5, 9].map(|priority| {
        let machine = machine(&format!(
            r#""engines": 1, "queues": [
                {{ "size": 64, "priority": 5 }}, {{ "size": 64, "priority": {priority} }}
            ]"#
        ));
        simulate(&Map::new(&machine, &policy).unwrap(), &params).unwrap()
    });
    assert!(equal.p99_ns < 1.1 * equal.p50_ns, "{equal:?}");
    assert!(unequal.p99_ns > 1.5 * equal.p99_ns, "{unequal:?}");
    assert_near(unequal.gb_s, equal.gb_s);
}

#[test]
fn parameters_out_of_their_range_are_named() {
    let broken: [(&str, fn(&mut SimParams)); 6] = [
        ("cpus", |params| params.cpus = 0),
        ("folio_pages", |params| params.folio_pages = 513),
        ("batch_pages", |params| params.batch_pages = 0),
        ("cpu_ns", |params| params.cpu_ns = f64::NAN),
        ("engine_gb_s", |params| params.engine_gb_s = 0.0),
        ("duration_ns", |params| params.duration_ns = 1e11),
    ];
    for (name, break_it) in broken {
        let mut params = params(300.0, 1_000.0);
        break_it(&mut params);
        match Mode::Batched.simulate(&Machine::spr(), &params) {
            Err(SimError::Param { param, .. }) => assert_eq!(param, name),
            other => panic!("{name}: {other:?}"),
        }
    }
    let mut params = params(300.0, 1_000.0);
    params.duration_ns = 1_000.0;
    let error = Mode::Batched.simulate(&Machine::spr(), &params).unwrap_err();
    assert!(matches!(error, SimError::TooShort { .. }), "{error}");
}

#[test]
fn two_published_latencies_are_reproduced_and_the_third_is_within_25_percent() {
    let [sequential, one_device, four_devices] = latencies(&Inputs::default()).unwrap();
    assert!(sequential.is_calibrated && one_device.is_calibrated && !four_devices.is_calibrated);
    assert_near(sequential.predicted_ns, 3_503.0);
    assert_near(one_device.predicted_ns, 1_356.0);
    let error = four_devices.predicted_ns / four_devices.published_ns - 1.0;
    assert!(error.abs() < 0.25, "{four_devices:?}");
    // The closed form of the module's documentation.
    let params = calibrate(&Inputs::default()).unwrap();
    let cpu_ns = (8.0 * 1_356.0 - 3_503.0 - 3.0 * PAGE_NS) / 7.0;
    assert_near(params.cpu_ns, cpu_ns);
    assert_near(params.fixed_ns, 3_503.0 - PAGE_NS - cpu_ns);
    let four_ns = (8.0 * cpu_ns + params.fixed_ns + PAGE_NS) / 8.0;
    assert_near(four_devices.predicted_ns, four_ns);
}

#[test]
fn what_two_rows_contradict_has_no_solution() {
    let mut inputs = Inputs::default();
    inputs.device_gb_s = 3.0;
    let error = calibrate(&inputs).unwrap_err();
    assert!(matches!(error, SimError::NoSolution { .. }), "{error}");
}

#[test]
fn sensitivity_has_two_rows_for_each_input() {
    let rows = sensitivity().unwrap();
    let inputs: Vec<_> = rows.iter().map(|row| row.input.name).collect();
    assert_eq!(inputs.len(), 10);
    assert!(inputs.as_chunks::<2>().0.iter().all(|[a, b]| a == b), "{inputs:?}");
    let unsolved = rows.iter().filter(|row| row.predicted_ns.is_none());
    let unsolved: Vec<_> = unsolved.map(|row| (row.input.name, row.value)).collect();
    assert!(unsolved.iter().any(|(name, value)| *name == "device_gb_s" && *value < 3.8));
}

#[test]
fn usemem_has_every_published_gain_and_explains_a_part_of_each() {
    let rows = usemem(2e7).unwrap();
    assert_eq!(rows.len(), 6 * 2 + 4);
    for row in &rows {
        assert!((0.0..100.0).contains(&row.explained_percent()), "{row:?}");
        assert!(row.after_ns < row.before_ns, "{row:?}");
        assert!(row.utilisation_before <= 1.0 && row.utilisation_after <= 1.0, "{row:?}");
    }
    let v8 = &rows[0];
    assert_eq!(v8.case, "v8 64K throughput");
    assert!((69.0..70.0).contains(&v8.published_percent), "{v8:?}");
}

fn params(cpu_ns: f64, fixed_ns: f64) -> SimParams {
    let mut params = SimParams::new();
    (params.cpu_ns, params.fixed_ns) = (cpu_ns, fixed_ns);
    // Many folios, but none of them cut off in the middle matters.
    params.duration_ns = 1e6 * (cpu_ns + fixed_ns) / 100.0;
    params
}

fn run(mode: Mode, params: &SimParams) -> SimReport {
    mode.simulate(&Machine::spr(), params).unwrap()
}

/// 28 CPUs and one device.
fn machine(device: &str) -> Machine {
    let devices = format!(r#"[{{ "name": "iax1", {device} }}]"#);
    let text = format!(r#"{{ "packages": [{{ "cpus": "0-27", "devices": {devices} }}] }}"#);
    Machine::from_json(&text).unwrap()
}

fn assert_near(value: f64, expected: f64) {
    assert!((value - expected).abs() <= 0.005 * expected + 0.01, "{value}, expected {expected}");
}

/// What an engine at 1.9 GB/s takes.
const PAGE_NS: f64 = 4096.0 / 1.9;
