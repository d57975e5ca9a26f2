//! `acomp sim` and `acomp iaa`: which rows there are, and that they add up.

use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{acomp, path, rows, stderr};

#[test]
fn store_has_the_published_latencies_then_the_machine_then_the_inputs() {
    let rows = rows(&["sim", "store", "--cpus", "2"]);
    let [sequential, batched, distributed] = &rows[..3] else { panic!("{rows:?}") };
    for (row, published) in [(sequential, 3503.0), (batched, 1356.0)] {
        assert_eq!((&row["published"], &row["calibrated"]), (&published.into(), &true.into()));
        assert!(number(row, "error_pct").abs() < 0.1, "{row}");
    }
    assert_eq!(
        (&distributed["published"], &distributed["calibrated"]),
        (&706.0.into(), &false.into())
    );
    assert!(number(distributed, "error_pct").abs() < 25.0, "{distributed}");
    for row in &rows[3..6] {
        assert!(row["case"].as_str().unwrap().starts_with("2 CPUs "), "{row}");
        assert!(number(row, "p50_ns") <= number(row, "p99_ns"), "{row}");
        assert!(number(row, "utilisation_max_pct") <= 100.0 && row["fallbacks"] == 0, "{row}");
    }
    let inputs: Vec<_> = rows.iter().filter(|row| case(row).starts_with("input ")).collect();
    assert!(inputs.len() == 5 && inputs.iter().all(|row| !row["source"].is_null()), "{inputs:?}");
    assert_eq!(rows.iter().filter(|row| case(row).starts_with("solved ")).count(), 2);
}

#[test]
fn store_takes_a_machine() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("machine.json");
    let device = json!({ "name": "iax1", "engines": 1 });
    let machine = json!({ "packages": [{ "cpus": "0-3", "devices": [device] }] });
    fs::write(&file, machine.to_string()).unwrap();
    let args = ["sim", "store", "--cpus", "4", "--machine", path(&file)];
    let rows = rows(&args);
    // One engine, whatever the mode.
    assert!(rows[4..6].iter().all(|row| (1.8..1.91).contains(&number(row, "gb_s"))), "{rows:?}");
    assert_eq!(rows[3]["source"], path(&file));

    let topology = crate::rows(&["iaa", "topology", "--machine", path(&file)]);
    let [row] = &topology[..] else { panic!("{topology:?}") };
    assert_eq!((&row["cpus"], &row["engines"]), (&"0-3".into(), &1.into()));
    assert_eq!((&row["queue"], &row["takes"]), (&"wq1.0".into(), &"generic".into()));
}

#[test]
fn usemem_explains_a_part_of_every_gain() {
    let rows = rows(&["sim", "usemem30"]);
    assert_eq!(rows.len(), 16);
    for row in &rows {
        assert!((0.0..100.0).contains(&number(row, "explained_pct")), "{row}");
        assert!(number(row, "predicted") < number(row, "published"), "{row}");
        assert_eq!(row["calibrated"], false);
    }
}

#[test]
fn topology_of_this_machine_serves_cpu_0() {
    let rows = rows(&["iaa", "topology"]);
    assert!(!rows.is_empty());
    assert!(rows.iter().all(|row| row["origin"] == "model" || row["origin"] == "sysfs"));
    assert!(rows.iter().any(|row| row["cpus"].as_str().unwrap().starts_with('0')), "{rows:?}");
}

#[test]
fn a_wrong_machine_names_the_file_and_the_field() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("machine.json");
    fs::write(&file, r#"{ "packages": [{ "cpus": "0", "devices": [{}] }] }"#).unwrap();
    for command in [["iaa", "topology"], ["sim", "store"]] {
        let output = acomp(&[&command[..], &["--machine", path(&file)]].concat());
        assert_eq!(output.status.code(), Some(1));
        let complaint = stderr(&output);
        assert!(complaint.contains(path(&file)), "{complaint}");
        assert!(complaint.contains("packages[0].devices[0].name: is missing"), "{complaint}");
    }
}

#[test]
fn parameters_out_of_range_are_named() {
    let output = acomp(&["sim", "store", "--cpus", "0"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("cpus: 0 is not from 1"), "{}", stderr(&output));
}

fn case(row: &Value) -> &str {
    row["case"].as_str().unwrap()
}

fn number(row: &Value, key: &str) -> f64 {
    row[key].as_f64().unwrap()
}

#[test]
fn iaa_stats_count_each_page_that_a_device_had() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("pages");
    let pages: Vec<u8> = (0..40 * 4096).map(|i| (i / 64) as u8).collect();
    fs::write(&file, pages).unwrap();
    let rows = rows(&["iaa", "stats", path(&file)]);
    let value = |counter: &str| {
        let row = rows.iter().find(|row| row["counter"] == counter);
        row.unwrap()["value"].as_u64().unwrap()
    };
    assert!(value("total_comp_calls") == 40);
    assert!(value("total_decomp_calls") == 40);
    for of in ["iax1", "iax1/wq1.0"] {
        assert_eq!(value(&format!("{of} comp_calls")), value("total_comp_calls"));
        assert_eq!(value(&format!("{of} decomp_bytes")), value("total_decomp_bytes_in"));
    }
}

#[test]
fn topology_is_drawn_for_people() {
    let output = acomp(&["iaa", "topology"]);
    let drawing = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(drawing.starts_with("package 0: CPUs 0"), "{drawing}");
    assert!(drawing.contains("\n  iax"), "{drawing}");
}

#[test]
fn swap_shows_what_a_driver_of_a_device_counts() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("pages");
    fs::write(&file, (0..8 * 4096).map(|i| (i / 64) as u8).collect::<Vec<_>>()).unwrap();
    let rows = rows(&["swap", "--compressor", "deflate-iaa", "--pages", path(&file)]);
    let counters = &rows[0]["driver_counters"];
    assert!(counters["total_comp_calls"].as_u64() >= Some(8), "{counters}");
    assert!(counters["iax1/wq1.0 decomp_calls"].as_u64() >= Some(8), "{counters}");
}
