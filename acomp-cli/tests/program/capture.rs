//! `acomp capture`: pages of a live process.

use std::process::{Child, Command, Stdio};
use std::{fs, io::Read};

use tempfile::TempDir;

use crate::{acomp, path, rows, stderr};

/// A process that has touched memory of its own: it says so, then waits for its input to end.
fn process() -> Child {
    let mut child = Command::new("sh")
        .args(["-c", "echo ready; read wait"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("sh starts");
    let mut ready = [0; 6];
    child.stdout.as_mut().unwrap().read_exact(&mut ready).unwrap();
    child
}

/// Where the process may not be read (ptrace scope), the error must say what is missing.
#[test]
fn a_live_process_gives_pages_that_swap_takes_or_says_what_permission_is_missing() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("captured");
    let mut child = process();
    let pid = child.id().to_string();
    let output = acomp(&["capture", "--pid", &pid, "-o", path(&file), "--json"]);
    drop(child.stdin.take());
    child.wait().unwrap();
    if !output.status.success() {
        assert!(stderr(&output).contains("CAP_SYS_PTRACE"), "{}", stderr(&output));
        assert!(!file.exists(), "no file is left behind");
        return;
    }
    let captured: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).unwrap();
    let bytes = fs::read(&file).unwrap();
    assert_eq!(captured[0]["bytes"], bytes.len());
    assert!(bytes.len() >= 4096 && bytes.len().is_multiple_of(4096));
    assert!(bytes.chunks(4096).all(|page| page != [0; 4096]), "zero pages are dropped");

    let rows = rows(&["swap", "--compressor", "lz4", "--pages", path(&file)]);
    assert_eq!(rows[0]["mismatches"], 0);
    assert_eq!(rows[0]["pages"], captured[0]["pages"]);
}

#[test]
fn a_process_that_is_not_there_is_named_and_no_file_is_left() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("captured");
    // Beyond the largest process number that Linux hands out.
    let output = acomp(&["capture", "--pid", "2147483647", "-o", path(&file)]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("no process 2147483647"), "{}", stderr(&output));
    assert!(!file.exists());
}
