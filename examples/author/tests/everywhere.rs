//! The name works wherever the crate is linked, without a change anywhere else.

use std::fs;
use std::process::Command;

use acomp::zswap::{Load, Owner, PAGE_BYTES, Pool, Slot};
use acomp::{Registry, Verdict};
use acomp_testmgr::Content;
use acomp_zeros as _;
use serde_json::Value;

#[test]
fn zswap_stores_pages_by_it_after_testing_it() {
    let pool = Pool::builder(Registry::global()).compressor("zeros").build().unwrap();
    let mut page = [0; PAGE_BYTES];
    page[1000..1100].fill(7);
    pool.store(Slot(3), &[page], Owner::ROOT).unwrap();

    let counters = pool.counters();
    assert_eq!((counters.stored_pages, counters.stored_incompressible_pages), (1, 0));
    assert_eq!(pool.acomp().driver(), "zeros-author");
    assert_eq!(pool.acomp().alg().verdict(), Verdict::Passed);

    let mut back = [1; PAGE_BYTES];
    pool.load(Slot(3), &mut back, Load::Exclusive).unwrap();
    assert_eq!(back, page);
}

#[test]
fn templates_take_it() {
    let acomp = acomp::Acomp::alloc("verify(zeros)").unwrap();
    let mut packed = [0; 64];
    assert_eq!(acomp.compress(&[0; PAGE_BYTES], &mut packed), Ok(32));
}

#[test]
fn the_program_lists_it() {
    let rows = program(&["list"]);
    let row = rows.iter().find(|row| row["driver"] == "zeros-author").expect("a row");
    assert_eq!(row["name"], "zeros");
}

#[test]
fn the_program_swaps_with_it() {
    let dir = tempfile::TempDir::new().unwrap();
    let file = dir.path().join("pages");
    let mut pages = vec![0; 16 * PAGE_BYTES];
    for (seed, page) in pages.chunks_mut(PAGE_BYTES).enumerate() {
        Content::Structured.fill(seed as u64, &mut page[..PAGE_BYTES / 2]);
    }
    fs::write(&file, &pages).unwrap();

    let rows = program(&["swap", "--compressor", "zeros", "--pages", file.to_str().unwrap()]);
    let [row] = &rows[..] else { panic!("{rows:?}") };
    assert_eq!((&row["driver"], &row["mismatches"]), (&"zeros-author".into(), &0.into()), "{row}");
    assert!(row["ratio"].as_f64().unwrap() < 0.75, "{row}");
}

/// The rows of a command of this crate's own `acomp`.
fn program(args: &[&str]) -> Vec<Value> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_acomp-zeros"));
    let output = command.args(args).arg("--json").output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}
