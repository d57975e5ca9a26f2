//! Every linked driver against the whole suite, one test each.

use acomp_algs as _;
use acomp_core::Registry;
use acomp_testmgr::{Suite, alg_test};

macro_rules! conformance {
    ($($test:ident: $driver:literal,)*) => {
        $(#[test]
        fn $test() {
            let alg = Registry::global().find($driver).expect("linked");
            let report = alg_test(&**alg.algorithm().expect("made"), Suite::Full);
            println!("{}: {report}", $driver);
            assert!(report.is_passed(), "{}: {report}", $driver);
        })*

        /// In the order of `acomp list`. A driver that is missing here is not tested.
        #[test]
        fn these_are_all_drivers() {
            let drivers = Registry::global().iter().map(|alg| alg.info().driver.to_string());
            assert_eq!(drivers.collect::<Vec<_>>(), [$($driver),*]);
        }
    };
}

conformance! {
    deflate_flate2: "deflate-flate2",
    lz4_flex: "lz4-flex",
    lz4hc_liblz4: "lz4hc-liblz4",
    null_copy: "null-copy",
    zstd_libzstd: "zstd-libzstd",
}
