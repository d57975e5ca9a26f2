//! Every driver that promises `NO_ALLOC_AFTER_OPEN` keeps it, whatever it is asked and however that
//! ends: its calls run where Rust's allocator is out of bounds, and one that allocates or frees
//! aborts the process. What C code allocates is not seen; the drivers that promise have none.

mod work;

use std::env;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use acomp::AlgFlags;
use assert_no_alloc::{AllocDisabler, assert_no_alloc};

use work::{Room, Work, promising};

#[global_allocator]
static ALLOCATOR: AllocDisabler = AllocDisabler;

#[test]
fn drivers_that_promise_to_allocate_nothing_allocate_nothing() {
    for acomp in promising(AlgFlags::NO_ALLOC_AFTER_OPEN) {
        let work = Work::new(&acomp);
        let (mut session, mut room) = (acomp.session().unwrap(), Room::new());
        let counts = assert_no_alloc(|| work.run(&mut session, &mut room));
        println!("{}: {counts:?} without the allocator", acomp.driver());
        counts.check(&acomp);
    }
}

#[test]
fn who_allocates_is_killed() {
    let mut child = Command::new(env::current_exe().unwrap());
    let output = child.args(["--exact", "allocate", "--ignored"]).output().unwrap();
    assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{output:?}");
}

#[test]
#[ignore = "is killed: another test starts it, and looks"]
fn allocate() {
    assert_eq!(assert_no_alloc(|| vec![7; 4096].len()), 4096);
}
