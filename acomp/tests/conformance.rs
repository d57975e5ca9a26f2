//! Every linked driver against the whole suite, one test each. Whatever features are chosen.

use acomp::Registry;
use acomp_testmgr::matrix::{Cell, Ending};
use acomp_testmgr::{Suite, Theme, alg_test, theme_test};

macro_rules! conformance {
    ($($feature:literal $test:ident: $driver:literal,)*) => {
        $(#[cfg(feature = $feature)]
        #[test]
        fn $test() {
            let alg = Registry::global().find($driver).expect("linked");
            for theme in Theme::ALL {
                let report = theme_test(&**alg.algorithm().expect("made"), *theme);
                println!("{}, {theme}: {report}", $driver);
                assert!(report.is_passed(), "{}, {theme}: {report}", $driver);
            }
        })*

        /// In the order of `acomp list`. A driver that is missing here is not tested.
        #[test]
        fn these_are_all_drivers() {
            let linked = Registry::global().iter().map(|alg| alg.info().driver.to_string());
            let tested: &[&str] = &[$(#[cfg(feature = $feature)] $driver),*];
            assert_eq!(linked.collect::<Vec<_>>(), tested);
        }
    };
}

conformance! {
    "842" e842_page: "842-page",
    "deflate" deflate_page: "deflate-page",
    "deflate" deflate_page_fixed: "deflate-page-fixed",
    "deflate" deflate_flate2: "deflate-flate2",
    "iaa" deflate_iaa_dynamic: "deflate-iaa-dynamic",
    "iaa" deflate_iaa: "deflate-iaa",
    "lz4" lz4_page: "lz4-page",
    "lz4" lz4_flex: "lz4-flex",
    "lz4hc" lz4hc_liblz4: "lz4hc-liblz4",
    "lzo" lzo_page: "lzo-page",
    "lzo" lzo_rle_page: "lzo-rle-page",
    "null" null_copy: "null-copy",
    "zstd" zstd_libzstd: "zstd-libzstd",
}

/// Those that end by what is in the buffers; the others take a device that can be told to fail.
#[test]
fn every_driver_runs_its_cells_of_the_matrix() {
    for alg in Registry::global().iter() {
        // A copy refuses no stream.
        let is_copy = alg.info().name == "null";
        let cells = Cell::all().filter(|cell| match cell.ending {
            Ending::Corrupt | Ending::Truncated => !is_copy,
            ending => !ending.is_by_device(),
        });
        let cells = cells.filter(|cell| cell.left_out_by().is_none()).count();
        assert_eq!(cells, if is_copy { 34 } else { 68 });
        let report = theme_test(&**alg.algorithm().expect("made"), Theme::Matrix);
        // It is opened, and the calls are made alone, first.
        assert_eq!(report.cases, 2 + cells, "{}: {report}", alg.info().driver);
    }
}

#[cfg(feature = "lz4")]
#[test]
fn verify_lz4() {
    // Held: an instance lives as long as somebody uses it.
    let alg = Registry::global().find("verify(lz4)").expect("the template is built in");
    let report = alg_test(&**alg.algorithm().expect("made"), Suite::Full);
    assert!(report.is_passed(), "{report}");
}
