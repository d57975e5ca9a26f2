//! `acomp swap`: files through zswap.

use std::fs;

use acomp_testmgr::Content;
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
