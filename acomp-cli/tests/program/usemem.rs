//! `acomp usemem`: its rows, and that it leaves a machine as it was.

use std::fs::{self, OpenOptions};
use std::process::{Child, Command};

use acomp_testmgr::Content;
use serde_json::Value;
use tempfile::TempDir;

use crate::machine::{CGROUP, Machine};
use crate::{acomp, path, rows, stderr};

#[test]
fn a_row_has_all_that_is_measured() {
    let row = &row(&["usemem", "--backend", "none", "--rounds", "2", "2m"]);
    let keys: Vec<_> = row.as_object().unwrap().keys().collect();
    assert_eq!(keys, KEYS);
    assert_eq!((&row["backend"], &row["threads"]), (&"none".into(), &1.into()));
    assert_eq!((&row["pattern"], &row["mismatches"]), (&"seq".into(), &0.into()));
    for absent in ["compressor", "mode", "kept"] {
        assert!(row[absent].is_null(), "{row}");
    }
    for positive in ["write_mb_s", "read_mb_s", "cpu_s"] {
        assert!(row[positive].as_f64().unwrap() > 0.0, "{row}");
    }
    // Nobody took any of it away, and little else is counted.
    let resident = row["resident_bytes"].as_u64().unwrap();
    assert!((2 << 20..3 << 20).contains(&resident), "{row}");
    assert_eq!((&row["zswpin"], &row["pool_bytes"]), (&0.into(), &0.into()));
}

#[test]
fn the_published_options_are_taken_and_every_page_is_right() {
    let published = ["usemem", "--init-time", "-w", "-O", "-b", "1", "-s", "0", "-n", "30"];
    let row = &row(&[&published[..], &["--backend", "none", "--rounds", "1", "512k"]].concat());
    assert_eq!((&row["processes"], &row["mismatches"]), (&30.into(), &0.into()));
    assert!(row["init_s"].as_f64().unwrap() >= 0.0, "{row}");
    assert!(row["resident_bytes"].as_u64().unwrap() >= 30 * (512 << 10), "{row}");
}

#[test]
fn every_pattern_is_right_with_threads_data_and_modified_pages() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("pages");
    // Fewer than are written: they differ by their numbers alone.
    let mut bytes = vec![0; 3 * 4096];
    bytes.chunks_mut(4096).for_each(|page| Content::Text.fill(1, page));
    fs::write(&file, bytes).unwrap();
    for pattern in ["seq", "random", "zipf"] {
        for data in [&[][..], &["--data", path(&file)]] {
            let args = ["usemem", "--pattern", pattern, "--read", "3", "--modify", "50"];
            // No whole number of pages, nor of pages for each thread.
            let size = ["--backend", "none", "--rounds", "1", "-n", "2", "-t", "3", "1000001"];
            let row = &row(&[&args[..], data, &size].concat());
            assert_eq!((&row["mismatches"], &row["pattern"]), (&0.into(), &pattern.into()));
            assert_eq!((&row["threads"], &row["modify_percent"]), (&3.into(), &50.into()));
        }
    }
}

#[test]
fn without_read_passes_there_is_no_figure_of_them() {
    let row = &row(&["usemem", "--backend", "none", "--read", "0", "--rounds", "1", "1m"]);
    for key in ["read_mb_s", "fault_p50_us", "fault_p99_us"] {
        assert!(row[key].is_null(), "{row}");
    }
    assert_eq!((&row["faults"], &row["mismatches"]), (&0.into(), &0.into()));
}

#[test]
fn the_pager_holds_its_limit_and_every_page_is_right() {
    let args = ["usemem", "--mode", "thread,sigbus", "--kept", "off,exact,hash", "--json"];
    let size = ["--rounds", "1", "--limit", "4m", "--read", "2", "--modify", "30", "10m"];
    let output = acomp(&[&args[..], &size].concat());
    if stderr(&output).contains("userfaultfd") {
        eprintln!("NOTHING IS TESTED HERE: {}", stderr(&output));
        return;
    }
    assert!(output.status.success(), "{}", stderr(&output));
    let rows: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(rows.len(), 6);
    for row in &rows {
        let bytes = |key: &str| row[key].as_u64().unwrap();
        assert_eq!((&row["backend"], bytes("mismatches")), (&"pager".into(), 0), "{row}");
        assert!(bytes("resident_bytes") + bytes("staging_bytes") <= 4 << 20, "{row}");
        assert!(bytes("zswpin") > 0 && bytes("pool_bytes") > 0, "{row}");
        assert_eq!(row["kept"] == "off", bytes("kept_bytes") == 0, "{row}");
    }
}

#[test]
fn a_limit_that_the_pager_cannot_hold_is_refused() {
    let output = acomp(&["usemem", "--limit", "1m", "2m"]);
    assert_eq!(output.status.code(), Some(1));
    let said = stderr(&output);
    assert!(said.contains("limit of 1048576 bytes") || said.contains("userfaultfd"), "{said}");
}

#[test]
fn the_kernel_is_set_up_for_each_run_and_set_back() {
    let machine = Machine::new();
    let args = ["usemem", "--backend", "kernel,none", "--rounds", "2", "--json", "1m"];
    let kernels = ["--kernel-compressor", "lzo-rle", "deflate"];
    let output = machine.acomp(&[&args[..], &kernels].concat()).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let rows: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let compressors: Vec<_> = rows.iter().map(|row| row["compressor"].as_str()).collect();
    assert_eq!(compressors, [Some("lzo-rle"), Some("deflate"), None]);
    // The machine's counters stand still; it does not tell its pool.
    assert_eq!((&rows[0]["zswpout"], &rows[0]["pool_bytes"]), (&0.into(), &Value::Null));
    machine.assert_as_before();
    assert_eq!(machine.read("log"), "mkswap\nswapon\nswapoff\n".repeat(4));
}

#[test]
fn a_cgroup_of_version_2_gets_its_controller_only_meanwhile() {
    let machine = Machine::new();
    machine.write("/proc/mounts", "cgroup2 /sys/fs/cgroup/memory cgroup2 rw 0 0\n");
    machine.write(&format!("{CGROUP}/cgroup.controllers"), "cpu memory\n");
    let control = format!("{CGROUP}/cgroup.subtree_control");
    machine.write(&control, "cpu\n");
    let output = machine.acomp(&[KERNEL, &["1m"]].concat()).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(machine.read(&control), "-memory");
}

#[test]
fn what_a_kernel_lacks_is_named_and_nothing_is_changed() {
    let machine = Machine::new();
    let fails = |args: &[&str], named: &str| {
        let output = machine.acomp(&[KERNEL, args, &["1m"]].concat()).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains(named), "{named}: {}", stderr(&output));
        machine.assert_as_before();
    };
    fails(&["--folio", "64K"], "hugepages-64kB");
    machine.write("/bin/mkswap", "#!/bin/sh\necho no room >&2\nexit 1\n");
    fails(&[], "no room");
    machine.write("/proc/mounts", "proc /proc proc rw 0 0\n");
    fails(&[], "cgroup_enable=memory");
    let zswap = "/sys/module/zswap/parameters";
    machine.remove(zswap);
    let output = machine.acomp(&[KERNEL, &["1m"]].concat()).output().unwrap();
    assert!(stderr(&output).contains("CONFIG_ZSWAP"), "{}", stderr(&output));
}

#[test]
fn a_terminated_run_leaves_the_machine_as_before() {
    let machine = Machine::new();
    let mut child = stopped_in_setup(&machine, "-TERM");
    assert_eq!(child.wait().unwrap().code(), Some(1));
    machine.assert_as_before();
}

#[test]
fn what_a_killed_run_left_is_mended_by_the_next_one() {
    let machine = Machine::new();
    let mut child = stopped_in_setup(&machine, "-KILL");
    child.wait().unwrap();
    assert_eq!(machine.read("/sys/module/zswap/parameters/compressor"), "lzo-rle");
    let output = machine.acomp(NONE).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    machine.assert_as_before();
    assert_eq!(machine.read("log"), "mkswap\nswapon\nswapoff\n");
}

#[test]
fn after_a_boot_only_the_swap_file_is_mended() {
    let machine = Machine::new();
    stopped_in_setup(&machine, "-KILL").wait().unwrap();
    machine.write("/proc/sys/kernel/random/boot_id", "another-boot\n");
    let output = machine.acomp(NONE).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(!machine.path("/var/lib/acomp-usemem/swap").exists());
    assert!(!machine.path("/var/lib/acomp-usemem/restore.json").exists());
    assert_eq!(machine.read("/sys/module/zswap/parameters/compressor"), "lzo-rle");
}

#[test]
fn two_runs_do_not_set_up_the_kernel_at_once() {
    let machine = Machine::new();
    let mut first = in_setup(&machine);
    let called = OpenOptions::new().write(true).open(machine.path("called")).unwrap();
    let output = machine.acomp(&[KERNEL, &["1m"]].concat()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("another usemem"), "{}", stderr(&output));
    drop(called);
    assert!(first.wait().unwrap().success());
    machine.assert_as_before();
}

/// Where the kernel cannot be used, the error must say what is missing.
#[test]
#[ignore = "changes the machine, and writes a swap file"]
fn the_real_kernel_swaps_and_every_page_is_right_or_the_error_says_what_is_missing() {
    let folder = "/sys/module/zswap/parameters/";
    let parameters =
        || ["enabled", "compressor"].map(|name| fs::read(format!("{folder}{name}")).ok());
    let swaps = || fs::read_to_string("/proc/swaps").unwrap();
    let before = (parameters(), swaps());
    let args = ["usemem", "--backend", "kernel", "--json", "--limit", "16m", "--read", "2"];
    let output = acomp(&[&args[..], &["--modify", "20", "-t", "2", "64m"]].concat());
    assert_eq!((parameters(), swaps()), before);
    if !output.status.success() {
        let said = stderr(&output);
        assert!(said.contains("as root?") || said.contains("acomp doctor"), "{said}");
        return;
    }
    let rows: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let number = |key: &str| rows[0][key].as_u64().unwrap();
    assert_eq!(number("mismatches"), 0);
    // Three quarters of the pages do not fit.
    assert!(number("zswpout") > 12 << 10 && number("zswpin") > 12 << 10, "{rows:?}");
    assert!(number("resident_bytes") <= 16 << 20, "{rows:?}");
    assert!(number("pool_bytes") > 0 && number("faults") > 12 << 10, "{rows:?}");
}

/// A run of the kernel that got a signal while it set up swap, and then went on if it could.
fn stopped_in_setup(machine: &Machine, signal: &str) -> Child {
    let child = in_setup(machine);
    let called = OpenOptions::new().write(true).open(machine.path("called")).unwrap();
    let killed = Command::new("kill").args([signal, &child.id().to_string()]).status();
    assert!(killed.unwrap().success());
    drop(called);
    fs::remove_file(machine.path("called")).unwrap();
    child
}

/// A run that waits in `swapon`: opening `called` waits until it is there.
fn in_setup(machine: &Machine) -> Child {
    let made = Command::new("mkfifo").arg(machine.path("called")).status();
    assert!(made.unwrap().success());
    machine.acomp(&[KERNEL, &["1m"]].concat()).spawn().unwrap()
}

fn row(args: &[&str]) -> Value {
    let mut rows = rows(args);
    assert_eq!(rows.len(), 1, "{rows:?}");
    rows.pop().unwrap()
}

const NONE: &[&str] = &["usemem", "--backend", "none", "--rounds", "1", "1m"];
const KERNEL: &[&str] = &["usemem", "--backend", "kernel", "--rounds", "1"];
const KEYS: [&str; 22] = [
    "backend",
    "compressor",
    "mode",
    "kept",
    "processes",
    "threads",
    "pattern",
    "modify_percent",
    "write_mb_s",
    "read_mb_s",
    "fault_p50_us",
    "fault_p99_us",
    "faults",
    "cpu_s",
    "zswpin",
    "zswpout",
    "resident_bytes",
    "staging_bytes",
    "pool_bytes",
    "kept_bytes",
    "metadata_bytes",
    "mismatches",
];
