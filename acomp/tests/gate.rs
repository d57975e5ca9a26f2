//! What the gate before first use takes, of every linked driver. In a release build it is held to
//! its budget: `cargo test --release -p acomp --test gate -- --nocapture`.

use std::time::{Duration, Instant};

use acomp::Registry;
use acomp_testmgr::{Suite, alg_test};

#[test]
fn gate_is_passed_in_no_time_to_speak_of() {
    for alg in Registry::global().iter() {
        let driver = alg.algorithm().expect("made");
        let runs = (0..RUNS).map(|_| {
            let started = Instant::now();
            let report = alg_test(&**driver, Suite::Gate);
            assert!(report.is_passed(), "{}: {report}", alg.info().driver);
            (started.elapsed(), report.cases)
        });
        let (fastest, cases) = runs.min().expect("some");
        println!(
            "{:<20} {cases:>5} cases {:>6.1} ms",
            alg.info().driver,
            1e3 * fastest.as_secs_f64()
        );
        assert!(cfg!(debug_assertions) || fastest <= BUDGET, "{}: {fastest:?}", alg.info().driver);
    }
}

/// The fastest is what the driver takes, the others what the machine takes.
const RUNS: usize = if cfg!(debug_assertions) { 1 } else { 20 };
const BUDGET: Duration = Duration::from_millis(20);
