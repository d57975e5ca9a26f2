//! When a thread runs, and what interrupts it.

#![allow(unsafe_code, reason = "std and rustix know no scheduling policies, no masks")]

use std::mem::MaybeUninit;
use std::ptr;

/// Lets this thread run only where a CPU has nothing else to do. Whether the system takes it.
pub(crate) fn run_when_idle() -> bool {
    let param = libc::sched_param { sched_priority: 0 };
    // SAFETY: the argument is a valid record; 0 is the calling thread.
    unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const param) == 0 }
}

/// Starts threads that the program's signal handlers do not run in: one that touches a region would
/// wait for the thread that it runs in.
pub(crate) fn without_signals<R>(start: impl FnOnce() -> R) -> R {
    let mut all = MaybeUninit::<libc::sigset_t>::uninit();
    let mut former = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: the first call makes it a valid set, the second one reads that and writes the other.
    // Signals that a thread's own faults raise end the process, blocked or not.
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), former.as_mut_ptr());
    }
    let started = start();
    // SAFETY: the call above wrote it: its arguments were valid, which is all that it asks.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, former.as_ptr(), ptr::null_mut()) };
    started
}
