//! `acomp swap`: files through zswap.

use std::fs;

use acomp_testmgr::Content;
use serde_json::Value;
use tempfile::TempDir;

use crate::{DRIVERS, acomp, is_model, path, rows, stderr};

/// Pages of every class and, at the end, an incomplete one.
fn page_file(dir: &TempDir) -> std::path::PathBuf {
    let mut bytes = Vec::new();
    for (seed, content) in Content::ALL.iter().cycle().take(70).enumerate() {
        let mut page = [0; 4096];
        content.fill(seed as u64, &mut page);
        bytes.extend_from_slice(&page);
    }
    bytes.extend_from_slice(b"the tail");
    let file = dir.path().join("pages");
    fs::write(&file, bytes).unwrap();
    file
}

#[test]
fn every_byte_comes_back_and_the_row_adds_up() {
    let dir = TempDir::new().unwrap();
    let file = page_file(&dir);
    for compressor in DRIVERS {
        let args = ["swap", "--compressor", compressor, "--threads", "3", "--folio", "32K"];
        let rows = rows(&[&args[..], &["--pages", path(&file), path(&file)]].concat());
        let [row] = &rows[..] else { panic!("{rows:?}") };
        assert_eq!(row["mismatches"], 0, "{row}");
        assert_eq!(row["pages"], 142);
        assert_eq!((&row["zero_pages"], &row["same_filled"]), (&20.into(), &20.into()));
        // Random pages, at least.
        assert!(row["incompressible"].as_u64().unwrap() >= 20, "{row}");
        let ratio = row["stored_bytes"].as_f64().unwrap() / (142.0 * 4096.0);
        assert!((row["ratio"].as_f64().unwrap() - ratio).abs() < 0.001, "{row}");
        // Three times stored and exclusively loaded: nothing is left.
        let counters = &row["counters"];
        assert_eq!(counters["stored_pages"], 0);
        assert_eq!(counters["zswpout"], 3 * 122);
        assert_eq!((&counters["zswpin"], &counters["swpin_zero"]), (&366.into(), &60.into()));
        // The driver saw each page that is not of one word, and gave back what it took.
        let stats = &row["stats"];
        let too_small = stats["compress_failed_dst_too_small"].as_u64().unwrap();
        assert_eq!(stats["compress_ok"].as_u64().unwrap() + too_small, 3 * 102);
        assert_eq!(stats["decompress_bytes_out"], stats["compress_bytes_in"]);
        let one_by_one = stats["chains"][0].as_u64().unwrap();
        let is_batched = is_model(row["driver"].as_str().unwrap());
        assert!(if is_batched { one_by_one < 102 } else { one_by_one == 3 * 102 }, "{row}");
    }
}

#[test]
fn what_does_not_fit_is_rejected_and_counted() {
    let dir = TempDir::new().unwrap();
    let row = &special(&dir, &["--limit", LIMIT, "--threads", "2"]);
    let [rejected, pool_bytes] = ["rejected", "pool_bytes"].map(|key| number(row, key));
    assert!((1..PAGES).contains(&rejected), "{row}");
    assert!(pool_bytes <= LIMIT.parse().unwrap(), "{row}");
    let counters = &row["counters"];
    assert!(number(counters, "pool_limit_hit") > 0, "{row}");
    assert_eq!((&counters["stored_pages"], &counters["object_bytes"]), (&0.into(), &0.into()));
    assert!(row["written_back_pages"].is_null() && row["switched_to"].is_null(), "{row}");
}

#[test]
fn a_full_pool_writes_back_and_every_page_comes_from_the_file() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("swap");
    let args = ["--limit", LIMIT, "--writeback", path(&file), "--folio", "4K"];
    let row = &special(&dir, &args);
    let keys = ["written_back_pages", "device_pages", "device_reads", "rejected"];
    let [written, held, read, rejected] = keys.map(|key| number(row, key));
    assert!(written > 0, "{row}");
    assert_eq!((held, read, rejected), (written, written, 0), "{row}");
    let counters = &row["counters"];
    assert_eq!(counters["written_back_pages"], counters["pswpin"]);
    assert_eq!((&counters["device_pages"], &counters["checksum_fail"]), (&0.into(), &0.into()));
    assert_eq!(fs::metadata(&file).unwrap().len(), PAGES * 4096);
}

#[test]
fn half_of_the_folios_go_to_the_other_compressor() {
    let dir = TempDir::new().unwrap();
    for threads in ["1", "2"] {
        let args = ["--switch-to", "zstd", "--folio", "16K", "--threads", threads];
        let row = &special(&dir, &args);
        let drivers = (&row["driver"], &row["switched_to"]);
        assert_eq!(drivers, (&"lz4-page".into(), &"zstd-libzstd".into()));
        let tried = |stats: &Value| {
            let too_small = stats["compress_failed_dst_too_small"].as_u64().unwrap_or(0);
            number(stats, "compress_ok") + too_small
        };
        let (first, second) = (tried(&row["stats"]), tried(&row["switched_stats"]));
        assert_eq!(first + second, 3 * (PAGES - SAME_FILLED), "{row}");
        match threads {
            "1" => assert_eq!(first, second),
            // While one thread switches, the other stores as much as it likes.
            _ => assert!(first >= 3 * (PAGES / 2 - SAME_FILLED), "{first} and {second}"),
        }
        for stats in [&row["stats"], &row["switched_stats"]] {
            assert_eq!(stats["decompress_bytes_out"], stats["compress_bytes_in"]);
        }
    }
}

#[test]
fn limit_writeback_and_switch_work_together() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("swap");
    let args = ["--limit", LIMIT, "--writeback", path(&file), "--switch-to", "deflate"];
    let row = &special(&dir, &[&args[..], &["--threads", "3", "--repeat", "4"]].concat());
    assert!(number(row, "written_back_pages") > 0, "{row}");
    assert_eq!(row["counters"]["stored_pages"], 0, "{row}");
}

#[test]
fn files_for_writeback_are_refused_where_they_make_no_sense() {
    let dir = TempDir::new().unwrap();
    let file = page_file(&dir);
    let missing = dir.path().join("missing").join("swap");
    let cases: [(&[&str], &str); 4] = [
        (&["--writeback", path(&file)], "--limit"),
        (&["--limit", "1M", "--writeback", path(&file)], "write back to another file"),
        (&["--limit", "1M", "--writeback", path(&missing)], "missing"),
        (&["--switch-to", "lz5"], "lz5"),
    ];
    for (args, named) in cases {
        let command = ["swap", "--compressor", "lz4", "--pages", path(&file)];
        let output = acomp(&[&command[..], args].concat());
        assert!(!output.status.success(), "{args:?}");
        assert!(stderr(&output).contains(named), "{args:?}: {}", stderr(&output));
        assert!(!stderr(&output).contains("panicked"), "{args:?}: {}", stderr(&output));
    }
    assert!(fs::metadata(&file).unwrap().len() > 0, "the pages are still there");
}

/// The row of a swap of many pages with these arguments, in which every page came back.
fn special(dir: &TempDir, args: &[&str]) -> Value {
    let file = page_file(dir);
    let files = vec![path(&file); FILES];
    let command = ["swap", "--compressor", "lz4", "--pages"];
    let mut rows = rows(&[&command[..], &files, args].concat());
    let row = rows.pop().unwrap();
    assert_eq!((&row["pages"], &row["mismatches"]), (&PAGES.into(), &0.into()), "{row}");
    row
}

fn number(row: &Value, key: &str) -> u64 {
    let number = row[key].as_u64();
    number.expect(key)
}

const FILES: usize = 40;
/// Of `FILES` files, 71 each.
const PAGES: u64 = 71 * FILES as u64;
const SAME_FILLED: u64 = 20 * FILES as u64;
/// Less than the objects of so many pages take.
const LIMIT: &str = "2097152";

#[test]
fn an_incomplete_last_page_is_padded_and_said() {
    let dir = TempDir::new().unwrap();
    let file = page_file(&dir);
    let output = acomp(&["swap", "--compressor", "lz4", "--pages", path(&file)]);
    assert!(output.status.success());
    assert!(stderr(&output).contains("padded with 4088 zeros"), "{}", stderr(&output));
}

#[test]
fn an_unknown_compressor_is_answered_with_the_known_ones() {
    let dir = TempDir::new().unwrap();
    let file = page_file(&dir);
    let output = acomp(&["swap", "--compressor", "lz5", "--pages", path(&file)]);
    assert_eq!(output.status.code(), Some(1));
    for known in ["lz5", "deflate", "lz4-flex", "zstd"] {
        assert!(stderr(&output).contains(known), "{}", stderr(&output));
    }
}

#[test]
fn bad_arguments_and_files_are_named() {
    let dir = TempDir::new().unwrap();
    let file = page_file(&dir);
    let empty = dir.path().join("empty");
    fs::write(&empty, "").unwrap();
    let missing = dir.path().join("missing");
    let cases: [(&[&str], &str); 5] = [
        (&["--pages", path(&missing)], "missing"),
        (&["--pages", path(&empty)], "empty"),
        (&["--pages", path(&file), "--folio", "4M"], "4K to 2M"),
        (&["--pages", path(&file), "--folio", "5000"], "4K to 2M"),
        (&["--pages", path(&file), "--threads", "0"], "threads"),
    ];
    for (args, named) in cases {
        let output = acomp(&[&["swap", "--compressor", "lz4"], args].concat());
        assert!(!output.status.success(), "{args:?}");
        assert!(stderr(&output).contains(named), "{args:?}: {}", stderr(&output));
        assert!(!stderr(&output).contains("panicked"), "{args:?}: {}", stderr(&output));
    }
}

#[test]
fn a_compressor_may_be_a_template_with_parameters() {
    let dir = TempDir::new().unwrap();
    let file = page_file(&dir);
    let compressor = "verify(zstd(level=1))";
    let rows = rows(&["swap", "--compressor", compressor, "--pages", path(&file)]);
    assert_eq!((&rows[0]["compressor"], &rows[0]["mismatches"]), (&"zstd".into(), &0.into()));
    assert_eq!(rows[0]["driver"], "verify(zstd-libzstd)");
}
