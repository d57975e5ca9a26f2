//! `acomp doctor`: what there is, and what mends what is not.

use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use crate::machine::Machine;
use crate::{path, rows};

#[test]
fn it_says_something_of_every_part_of_this_machine() {
    let rows = rows(&["doctor"]);
    let parts: Vec<_> = rows.iter().map(|row| row["what"].as_str().unwrap()).collect();
    assert_eq!(parts, PARTS);
    for row in &rows {
        let is_ok = row["state"] == "ok";
        assert!(is_ok || row["state"] == "limited" || row["state"] == "missing", "{row}");
        assert_eq!(row["mend"].is_null(), is_ok, "{row}");
    }
}

#[test]
fn an_empty_machine_lacks_everything_and_is_told_what_to_do() {
    let root = TempDir::new().unwrap();
    for row in states(root.path()) {
        // Who is root is not asked for; it is only needed for some.
        let expected = if row["what"] == "root" { "limited" } else { "missing" };
        assert_eq!(row["state"], expected, "{row}");
        assert!(!row["mend"].as_str().unwrap().is_empty());
    }
}

#[test]
fn what_there_is_is_found() {
    let machine = Machine::new();
    machine.write("/proc/crypto", CRYPTO);
    machine.write("/sys/bus/dsa/devices/iax1", "");
    machine.write("/proc/cpuinfo", "processor\t: 0\nflags\t\t: fpu sse4_2 avx2\n\n");
    let state = |what: &str| {
        let row = states(&machine.path("/")).into_iter().find(|row| row["what"] == what).unwrap();
        [&row["state"], &row["found"]].map(|value| value.as_str().unwrap().to_owned())
    };
    assert_eq!(state("kernel"), ["ok", "6.8.0-test"]);
    assert_eq!(state("userfaultfd")[0], "limited");
    assert_eq!(state("memory cgroup"), ["ok", "v1"]);
    assert_eq!(state("zswap"), ["limited", "off, lzo"]);
    assert_eq!(state("zswap compressors"), ["ok", "lzo-rle"]);
    assert_eq!(state("swap"), ["missing", "none"]);
    assert_eq!(state("huge pages"), ["ok", "madvise"]);
    assert_eq!(state("IAA"), ["limited", "1 devices, 0 queues of user space"]);
    assert_eq!(state("CPU"), ["limited", "sse4_2 avx2"]);
    for (release, expected) in [("5.6.19", "missing"), ("5.7.0", "limited"), ("6.18.4", "ok")] {
        machine.write("/proc/sys/kernel/osrelease", release);
        assert_eq!(state("kernel"), [expected, release]);
    }
    machine.write("/proc/sys/vm/unprivileged_userfaultfd", "1");
    assert_eq!(state("userfaultfd")[0], "ok");
}

fn states(root: &Path) -> Vec<Value> {
    rows(&["doctor", "--root", path(root)])
}

const PARTS: [&str; 12] = [
    "kernel",
    "userfaultfd",
    "pager",
    "memory cgroup",
    "zswap",
    "zswap compressors",
    "swap",
    "root",
    "huge pages",
    "locked memory",
    "IAA",
    "CPU",
];
const CRYPTO: &str = "\
name         : lzo-rle
driver       : lzo-rle-scomp
module       : kernel
priority     : 0
refcnt       : 2
selftest     : passed
internal     : no
type         : scomp

";
