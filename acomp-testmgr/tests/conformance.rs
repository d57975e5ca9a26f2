//! Every linked driver, against the whole suite.

use std::thread;

use acomp_algs as _;
use acomp_core::Registry;
use acomp_testmgr::{Suite, alg_test};

#[test]
fn every_driver_passes() {
    let drivers: Vec<_> = Registry::global().iter().collect();
    let tests: Vec<_> = drivers
        .iter()
        .map(|alg| (alg.info().driver.as_ref(), alg.algorithm().unwrap().clone()))
        .map(|(driver, alg)| (driver, thread::spawn(move || alg_test(&*alg, Suite::Full))))
        .collect();
    let mut failed = Vec::new();
    for (driver, test) in tests {
        let report = test.join().unwrap();
        println!("{driver}: {report}");
        if !report.is_passed() {
            failed.push(format!("{driver}: {report}"));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn the_registry_holds_exactly_these_drivers() {
    let drivers: Vec<_> =
        Registry::global().iter().map(|alg| alg.info().driver.to_string()).collect();
    let expected = ["deflate-flate2", "lz4-flex", "lz4hc-liblz4", "null-copy", "zstd-libzstd"];
    assert_eq!(drivers, expected);
}
