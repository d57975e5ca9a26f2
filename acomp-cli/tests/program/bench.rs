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

#[test]
fn zswap_has_a_row_for_each_codec_and_one_for_the_whole() {
    let dir = TempDir::new().unwrap();
    let file = page_file(&dir, Content::Text);
    let rows = rows(&["bench", "zswap", "--quick", "--pages", &file]);
    let drivers: Vec<_> = rows.iter().map(|row| row["driver"].as_str().unwrap()).collect();
    assert_eq!(drivers, ["lz4-page", "stub-1600", "zswap"]);
    for row in &rows {
        assert!(row["store_extra_us"].is_number() && row["load_extra_us"].is_number(), "{row}");
    }
    let whole = &rows[2];
    let number = |key: &str| whole[key].as_f64().expect(key);
    for key in ["lz4_store_us", "lz4_load_us", "lz4_codec_store_us", "lz4_codec_load_us"] {
        assert!(number(key) > 0.0, "{key} of {whole}");
    }
    assert!(number("threads2_over_1") > 0.0 && number("zstd_over_codec").is_finite(), "{whole}");
    for key in ["density_filled", "density_after_churn", "density_10mib"] {
        assert!(number(key) > 0.0 && number(key) <= 1.0, "{key} of {whole}");
    }
    assert_eq!(number("allocs_per_load"), 0.0, "{whole}");
    assert!(number("metadata_bytes_per_page") > 0.0, "{whole}");
    assert!(number("metadata_resident_bytes_per_page") > 0.0, "{whole}");
    assert!(number("metadata_bytes_per_page_sparse") > number("metadata_bytes_per_page"));
    let contexts = (&whole["context_bytes_batch1"], &whole["context_bytes_batch8"]);
    assert_eq!(contexts, (&4096.into(), &32768.into()));
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
