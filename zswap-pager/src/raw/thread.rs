//! When a thread runs.

#![allow(unsafe_code, reason = "std and rustix do not know scheduling policies")]

/// Lets this thread run only where a CPU has nothing else to do. Whether the system takes it.
pub(crate) fn run_when_idle() -> bool {
    let param = libc::sched_param { sched_priority: 0 };
    // SAFETY: the argument is a valid record; 0 is the calling thread.
    unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const param) == 0 }
}
