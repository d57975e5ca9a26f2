//! Forks, and signals that are not the pager's.

mod support;

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use fork::{Fork, fork, waitpid};
use signal_hook::consts::SIGBUS;
use signal_hook::{flag, low_level};
use zswap_pager::{Advice, FaultMode, Without};

use support::{
    KINDS, Kind, MIB, PAGE_BYTES, assert_settled, fill, is_alone, run_alone, stderr, verify,
};

/// A child does not have the region: it dies instead of reading zeros. The parent goes on, also
/// with the pages that were there when it forked.
#[test]
fn a_child_does_not_have_the_region() {
    if !is_alone() {
        // A fork of a process with few threads, none of which holds a lock.
        let output = run_alone("a_child_does_not_have_the_region");
        assert!(output.status.success(), "{}", stderr(&output));
        return;
    }
    for kind in KINDS {
        let Some(pager) = kind.pager() else { return };
        let mut region = pager.map(8 * MIB).unwrap();
        fill(&mut region, 1);
        // Among them: resident, staged, stored.
        for page in [0, 1000, 2000, 2047] {
            match fork().unwrap() {
                Fork::Child => {
                    std::hint::black_box(region[page * PAGE_BYTES]);
                    std::process::abort();
                }
                Fork::Parent(child) => {
                    let status = ExitStatus::from_raw(waitpid(child).unwrap());
                    assert_eq!(status.signal(), Some(11), "{kind:?}: page {page}, {status:?}");
                }
            }
        }
        verify(&region, 1);
        fill(&mut region, 5000);
        verify(&region, 5000);
        assert_settled(&pager, &[&region]);
    }
}

/// Somebody's handler that was there before the pager's still gets what is not the pager's.
#[test]
fn others_signals_are_passed_on() {
    if !is_alone() {
        let output = run_alone("others_signals_are_passed_on");
        assert!(output.status.success(), "{}", stderr(&output));
        return;
    }
    let former = Arc::new(AtomicBool::new(false));
    flag::register(SIGBUS, Arc::clone(&former)).unwrap();
    let Some(pager) = Kind::new(FaultMode::Sigbus, Without::Nothing).pager() else { return };
    let mut region = pager.map(8 * MIB).unwrap();
    fill(&mut region, 1);
    assert!(!former.load(Relaxed), "page faults are the pager's alone");
    low_level::raise(SIGBUS).unwrap();
    // That one passes it on to std's, which asks for the default action from now on.
    assert!(former.load(Relaxed));
}

/// One that is installed later, and calls what was there before, does not hurt.
#[test]
fn later_handlers_may_pass_on_to_the_pager() {
    if !is_alone() {
        let output = run_alone("later_handlers_may_pass_on_to_the_pager");
        assert!(output.status.success(), "{}", stderr(&output));
        return;
    }
    // signal-hook calls the action that it found; with the pager's own among those that it found,
    // not with the default one.
    let Some(pager) = Kind::new(FaultMode::Sigbus, Without::Nothing).pager() else { return };
    let later = Arc::new(AtomicBool::new(false));
    flag::register(SIGBUS, Arc::clone(&later)).unwrap();
    let mut region = pager.map(8 * MIB).unwrap();
    fill(&mut region, 1);
    verify(&region, 1);
    assert!(later.load(Relaxed));
}

/// Without a handler of the program's the process does not outlive a SIGBUS that is not the
/// pager's, but for what it does without a page fault.
#[test]
fn signals_of_nobody_end_the_process() {
    if !is_alone() {
        let Some(_pager) = KINDS[2].pager() else { return };
        let output = run_alone("signals_of_nobody_end_the_process");
        assert_eq!(output.status.signal(), Some(SIGBUS), "{}", stderr(&output));
        return;
    }
    let pager = KINDS[2].pager().unwrap();
    let mut region = pager.map(MIB).unwrap();
    fill(&mut region, 1);
    region.advise(0..MIB, Advice::PageOut).unwrap();
    low_level::raise(SIGBUS).unwrap();
    verify(&region, 1);
}

/// The program's handlers do not run in the pager's threads: what they touch may be a region,
/// whose faults those threads serve.
#[test]
fn the_pagers_threads_take_no_signals() {
    let Some(pager) = support::build(KINDS[0].builder().helpers(1)) else { return };
    let mut region = pager.map(8 * MIB).unwrap();
    fill(&mut region, 1);
    region.advise(0..MIB, Advice::PageOut).unwrap();
    let mut seen = 0;
    for task in fs::read_dir("/proc/self/task").unwrap() {
        // Threads of other tests come and go.
        let Ok(status) = fs::read_to_string(task.unwrap().path().join("status")) else { continue };
        let field = |name| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim();
        if ["zswap-pager", "zswap-helper", "zswap-shrink"].contains(&field("Name:")) {
            let blocked = u64::from_str_radix(field("SigBlk:"), 16).unwrap();
            for signal in [1, 2, 10, 12, 14, 15, 17] {
                assert!(blocked >> (signal - 1) & 1 == 1, "{} takes {signal}", field("Name:"));
            }
            seen += 1;
        }
    }
    assert!(seen >= 3, "all threads are there");
}
