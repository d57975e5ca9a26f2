//! `acomp bench`: which rows there are, and what is in them apart from times.

use std::fs;

use acomp_testmgr::Content;
use serde_json::Value;
use tempfile::TempDir;

use crate::{DRIVERS, acomp, is_model, path, rows, stderr};

#[test]
fn codecs_has_every_software_driver_with_a_page_and_with_8_pages_a_call() {
    let dir = TempDir::new().unwrap();
    let rows = rows(&["bench", "codecs", "--pages", &page_file(&dir, Content::Text)]);
    let variants: Vec<_> =
        rows.iter().map(|row| (row["driver"].as_str().unwrap(), batch(row))).collect();
    let software = DRIVERS.iter().filter(|driver| !is_model(driver));
    let expected = software.flat_map(|driver| [(*driver, 1), (*driver, 8)]);
    assert_eq!(variants, expected.collect::<Vec<_>>());
    for row in &rows {
        let keys: Vec<_> = row.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["driver", "batch", "compress_mb_s", "decompress_mb_s", "ratio"]);
        assert!(row["compress_mb_s"].as_f64().unwrap() > 0.0, "{row}");
        assert!(row["decompress_mb_s"].as_f64().unwrap() > 0.0, "{row}");
        let is_copy = row["driver"] == "null-copy";
        assert!((0.1..0.9).contains(&ratio(row)) || is_copy && ratio(row) == 1.0, "{row}");
    }
}

#[test]
fn codecs_has_the_named_drivers_and_the_mean_of_the_files() {
    let dir = TempDir::new().unwrap();
    let [text, random] = [Content::Text, Content::Random].map(|content| page_file(&dir, content));
    let of = |files: &[&str]| {
        let driver = ["--driver", "lz4-page", "zstd(level=1)"];
        let rows = rows(&[&["bench", "codecs", "--pages"], files, &driver].concat());
        let drivers: Vec<_> = rows.iter().map(|row| row["driver"].as_str().unwrap()).collect();
        assert_eq!(drivers, ["lz4-page", "lz4-page", "zstd-libzstd", "zstd-libzstd"]);
        rows.iter().map(ratio).collect::<Vec<_>>()
    };
    let (of_text, of_both) = (of(&[&text]), of(&[&text, &random]));
    assert_eq!(of(&[&random]), [1.0; 4], "streams that are longer than their page");
    for (text, both) in of_text.iter().zip(&of_both) {
        assert!((text.sqrt() - both).abs() < 0.002, "{of_text:?}, {of_both:?}");
    }
}

#[test]
fn codecs_of_an_unknown_driver_fails_and_lists_the_known_ones() {
    let output = acomp(&["bench", "codecs", "--driver", "lz4", "lz5"]);
    assert_eq!(output.status.code(), Some(1));
    for known in ["lz5", "lz4-page", "deflate-flate2"] {
        assert!(stderr(&output).contains(known), "{}", stderr(&output));
    }
}

fn batch(row: &Value) -> u64 {
    row["batch"].as_u64().unwrap()
}

fn ratio(row: &Value) -> f64 {
    row["ratio"].as_f64().unwrap()
}

/// A few pages, not a multiple of a chain.
fn page_file(dir: &TempDir, content: Content) -> String {
    let mut bytes = vec![0; 13 * 4096];
    for (seed, page) in bytes.chunks_mut(4096).enumerate() {
        content.fill(seed as u64, page);
    }
    let file = dir.path().join(content.to_string());
    fs::write(&file, bytes).unwrap();
    path(&file).to_owned()
}
