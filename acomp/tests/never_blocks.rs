//! Every driver that promises `NEVER_BLOCKS` keeps it, whatever it is asked and however that ends:
//! its calls run on threads to which the kernel grants no call that could wait, and one that makes
//! one kills the process.
//!
//! Several threads work at a time, so that a lock that sessions share is waited for, and waiting is
//! a call. A wait that spins is none, and is not seen.

#![expect(clippy::unwrap_used, reason = "test helpers unwrap like tests")]

mod work;

use std::array;
use std::collections::BTreeMap;
use std::env;
use std::hint::spin_loop;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::{Barrier, Mutex};
use std::thread;

use acomp::AlgFlags;
use libc::{
    FUTEX_WAKE, SYS_brk, SYS_exit, SYS_futex, SYS_madvise, SYS_mmap, SYS_mprotect, SYS_mremap,
    SYS_munmap, SYS_rt_sigprocmask, SYS_sigaltstack, SYS_write,
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, apply_filter,
};

use work::{Room, Work, promising};

/// One test: another one at the same time would have the allocator's locks, for which the ends of
/// threads wait.
#[test]
fn drivers_that_promise_never_to_wait_make_no_call_that_could() {
    who_waits_is_killed();
    let filter = without_waiting();
    for acomp in promising(AlgFlags::NEVER_BLOCKS) {
        let work = Work::new(&acomp);
        let (begin, turn) = (Barrier::new(THREADS), AtomicUsize::new(THREADS));
        let thread = &|number| {
            let (mut session, mut room) = (acomp.session().unwrap(), Room::new());
            begin.wait();
            apply_filter(&filter).unwrap();
            let counts = work.run(&mut session, &mut room);
            // Threads that end together wait for each other, in malloc.
            while turn.load(Acquire) != number {
                spin_loop();
            }
            counts
        };
        thread::scope(|scope| {
            let threads =
                array::from_fn::<_, THREADS, _>(|number| scope.spawn(move || thread(number)));
            for (number, thread) in threads.into_iter().enumerate() {
                turn.store(number, Release);
                thread.join().unwrap().check(&acomp);
            }
        });
        println!("{}: {THREADS} threads made no call that could wait", acomp.driver());
    }
}

fn who_waits_is_killed() {
    let mut child = Command::new(env::current_exe().unwrap());
    let output = child.args(["--exact", "wait", "--ignored"]).output().unwrap();
    assert_eq!(output.status.signal(), Some(libc::SIGSYS), "{output:?}");
}

#[test]
#[ignore = "is killed: another test starts it, and looks"]
fn wait() {
    let (lock, filter) = (Mutex::new(0), without_waiting());
    let held = lock.lock().unwrap();
    thread::scope(|scope| {
        let waits = scope.spawn(|| {
            apply_filter(&filter).unwrap();
            drop(lock.lock());
        });
        waits.join().unwrap();
    });
    drop(held);
}

/// A thread may do arithmetic, have memory, wake others, and end.
fn without_waiting() -> BpfProgram {
    let any = |call| (call, Vec::new());
    let operation = SeccompCmpOp::MaskedEq(FUTEX_COMMANDS);
    let is_wake =
        SeccompCondition::new(1, SeccompCmpArgLen::Dword, operation, FUTEX_WAKE as u64).unwrap();
    let wake = (SYS_futex, vec![SeccompRule::new(vec![is_wake]).unwrap()]);
    let rules: BTreeMap<_, _> = NEVER_WAITING.map(any).into_iter().chain([wake]).collect();
    let (others, these) = (SeccompAction::KillProcess, SeccompAction::Allow);
    let here = env::consts::ARCH.try_into().unwrap();
    let filter = SeccompFilter::new(rules, others, these, here).unwrap();
    filter.try_into().unwrap()
}

/// Calls that the end of a thread takes, and memory. Writing is for the message of a panic.
const NEVER_WAITING: [i64; 10] = [
    SYS_brk,
    SYS_exit,
    SYS_madvise,
    SYS_mmap,
    SYS_mprotect,
    SYS_mremap,
    SYS_munmap,
    SYS_rt_sigprocmask,
    SYS_sigaltstack,
    SYS_write,
];
/// Without the flags that say whose futex it is, and by which clock.
const FUTEX_COMMANDS: u64 = 0x7F;
const THREADS: usize = 3;
