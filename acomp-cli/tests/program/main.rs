//! The program as a user meets it: its rows, its errors, its exit status.

#![expect(clippy::expect_used, clippy::unwrap_used, reason = "tests fail by panicking")]

mod bench;
mod capture;
mod doctor;
mod machine;
mod rows;
mod sim;
mod swap;
mod usemem;

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn acomp(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_acomp")).args(args).output().expect("acomp starts")
}

/// The rows of a command that must succeed.
fn rows(args: &[&str]) -> Vec<Value> {
    let output = acomp(&[args, &["--json"]].concat());
    assert!(output.status.success(), "{args:?}: {}", stderr(&output));
    serde_json::from_slice(&output.stdout).expect("one JSON array")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn path(path: &Path) -> &str {
    path.to_str().expect("temporary paths are UTF-8")
}

/// The models of accelerators, which take pages in batches.
fn is_model(driver: &str) -> bool {
    driver.contains("iaa")
}

/// In the order of `acomp list`: by name, the preferred one first.
const DRIVERS: [&str; 13] = [
    "842-page",
    "deflate-page",
    "deflate-page-fixed",
    "deflate-flate2",
    "deflate-iaa-dynamic",
    "deflate-iaa",
    "lz4-page",
    "lz4-flex",
    "lz4hc-liblz4",
    "lzo-page",
    "lzo-rle-page",
    "null-copy",
    "zstd-libzstd",
];
