//! Rows and tables of the commands that need no input.

use std::io::Read;
use std::process::{Command, Stdio};

use crate::{DRIVERS, acomp, is_model, rows, stderr};

#[test]
fn list_shows_every_driver_tested_and_every_template() {
    let mut rows = rows(&["list"]);
    let templates: Vec<_> = rows.extract_if(.., |row| row["kind"] == "template").collect();
    let names: Vec<_> = templates.iter().map(|row| row["driver"].as_str().unwrap()).collect();
    assert_eq!(names, ["cryptd(X)", "pcomp(X)", "verify(X)"]);
    let drivers: Vec<_> = rows.iter().map(|row| row["driver"].as_str().unwrap()).collect();
    assert_eq!(drivers, DRIVERS);
    for row in &rows {
        assert_eq!(row["selftest"], "passed", "{row}");
        for key in ["name", "priority", "kind", "batch_size", "origin"] {
            assert!(!row[key].is_null(), "{key} of {row}");
        }
    }
}

#[test]
fn without_arguments_it_is_the_demo_and_every_page_comes_back() {
    let rows = rows(&[]);
    assert_eq!(rows.len(), DRIVERS.len());
    for row in &rows {
        assert_eq!(row["mismatches"], 0, "{row}");
        let ratio = row["ratio"].as_f64().unwrap();
        assert!((0.1..1.0).contains(&ratio), "{row}");
        assert!(row["store_mb_s"].as_f64().unwrap() > 0.0, "{row}");
        let batch_size = if is_model(row["driver"].as_str().unwrap()) { 8 } else { 1 };
        assert_eq!(row["batch_size"], batch_size, "{row}");
    }
}

#[test]
fn demo_shows_what_drivers_counted_if_asked() {
    assert!(rows(&["demo"]).iter().all(|row| row["stats"].is_null()));
    for row in rows(&["demo", "--stats"]) {
        let keys = ["decompress_bytes_out", "compress_bytes_in"];
        let [out, taken] = keys.map(|key| row["stats"][key].as_u64().unwrap());
        // A page is compressed again if memory for its object has to be had first.
        assert!(out <= taken && taken - out <= out / 100, "{row}");
    }
}

#[test]
fn a_table_has_a_line_for_each_row() {
    let output = acomp(&["list"]);
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<_> = text.lines().collect();
    let templates = 3;
    assert_eq!(lines.len(), 1 + DRIVERS.len() + templates, "{text}");
    assert!(lines[0].contains("batch_size") && lines[1].contains(DRIVERS[0]), "{text}");
}

#[test]
fn zswap_params_are_the_kernels_with_their_defaults_and_meanings() {
    let rows = rows(&["zswap", "params"]);
    let of = |key: &str| rows.iter().map(|row| row[key].as_str().unwrap()).collect::<Vec<_>>();
    let names = [
        "enabled",
        "compressor",
        "max_pool_percent",
        "accept_threshold_percent",
        "shrinker_enabled",
    ];
    assert_eq!(of("name"), names);
    assert_eq!(of("default"), ["Y", "the builder's", "20", "90", "N"]);
    assert!(of("meaning").iter().all(|meaning| meaning.len() > 10), "{rows:?}");
}

#[test]
fn selftest_of_a_name_runs_its_drivers_only() {
    let rows = rows(&["selftest", "null"]);
    assert_eq!(rows.len(), 1);
    assert_eq!((&rows[0]["driver"], &rows[0]["failures"]), (&"null-copy".into(), &0.into()));
    assert!(rows[0]["cases"].as_u64().unwrap() > 100, "{rows:?}");
}

#[test]
fn selftest_of_an_unknown_name_fails_and_lists_the_known_ones() {
    let output = acomp(&["selftest", "lz5"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("lz5") && stderr(&output).contains("lz4-flex"));
}

#[test]
fn a_reader_that_closes_the_pipe_is_no_error() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_acomp"))
        .arg("list")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut complaints = String::new();
    child.stderr.take().unwrap().read_to_string(&mut complaints).unwrap();
    assert!(child.wait().unwrap().success(), "{complaints}");
    assert_eq!(complaints, "");
}
