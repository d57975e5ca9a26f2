//! SIGBUS: a thread that touched a missing page serves its own fault.

#![allow(unsafe_code, reason = "signal handlers are made of unsafe calls")]

use std::cell::Cell;
use std::io;
use std::mem::{self, MaybeUninit};
use std::ptr;

use libc::{SA_NODEFER, SA_SIGINFO, SIG_DFL, SIG_IGN, SIGBUS, c_int, c_void, sigaction, siginfo_t};
use once_cell::sync::OnceCell;

/// Serves the fault at an address. Whether it is one of the pager's: the access is then tried
/// again. Must not panic, allocate, or take a lock that application code can hold.
type Serve = fn(address: usize) -> bool;

/// What stood there before, and what serves now.
static INSTALLED: OnceCell<(sigaction, Serve)> = OnceCell::new();

/// Installs the handler, once in a process. Others' SIGBUS go to the handler that was there before.
pub(crate) fn install(serve: Serve) -> io::Result<()> {
    INSTALLED.get_or_try_init(|| {
        let mut former = MaybeUninit::<sigaction>::zeroed();
        // SAFETY: the struct is plain data, for which zeros are a value.
        let mut action: sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
        action.sa_sigaction = on_sigbus as *const () as usize;
        // Not on the alternate stack: those that std makes have room for a message, not for a
        // codec. Not deferred: a fault within is a defect, which is to be told, not waited for.
        action.sa_flags = SA_SIGINFO | SA_NODEFER;
        // The program's other handlers wait: one that touches a region would be such a fault, and
        // wait for locks that this thread holds.
        // SAFETY: the set is the caller's own.
        unsafe {
            libc::sigfillset(&raw mut action.sa_mask);
            // But for what a defect here would raise, which is to be told.
            for defect in [SIGBUS, libc::SIGSEGV] {
                libc::sigdelset(&raw mut action.sa_mask, defect);
            }
        }
        // SAFETY: the handler has the signature that SA_SIGINFO asks for, and lives for ever.
        if unsafe { sigaction(SIGBUS, &raw const action, former.as_mut_ptr()) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call succeeded and wrote it.
        Ok((unsafe { former.assume_init() }, serve))
    })?;
    Ok(())
}

thread_local! {
    /// Whether this thread is in the handler: without a destructor, so that it takes no memory.
    static IS_SERVING: Cell<bool> = const { Cell::new(false) };
}

extern "C" fn on_sigbus(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: errno is the thread's own; it is put back below, as whoever was interrupted may be
    // about to read it.
    let errno = unsafe { *libc::__errno_location() };
    // SAFETY: the kernel passes a valid record to a handler with SA_SIGINFO; what is an address in
    // some is a number like others in the rest, and not looked at.
    let (code, address) = unsafe { ((*info).si_code, (*info).si_addr().addr()) };
    // Until `install` has returned nothing is registered, and no fault the pager's.
    let Some((former, serve)) = INSTALLED.get() else { return by_default() };
    let serve = |address| {
        if IS_SERVING.replace(true) {
            die("a page fault within the pager itself");
        }
        let is_served = serve(address);
        IS_SERVING.set(false);
        is_served
    };
    // Others are sent, or tell of broken memory: to try an access to that again helps nobody.
    if code != libc::BUS_ADRERR || !serve(address) {
        pass_on(former, signal, info, context);
    }
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = errno };
}

/// Calls what was there before.
fn pass_on(former: &sigaction, signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    match former.sa_sigaction {
        // A fault that is ignored would come again for ever.
        SIG_DFL | SIG_IGN => by_default(),
        handler if former.sa_flags & SA_SIGINFO != 0 => {
            // SAFETY: a handler that was installed with SA_SIGINFO is such a function.
            let handler: extern "C" fn(c_int, *mut siginfo_t, *mut c_void) =
                unsafe { mem::transmute(handler) };
            handler(signal, info, context);
        }
        handler => {
            // SAFETY: a handler that was installed without is such a function.
            let handler: extern "C" fn(c_int) = unsafe { mem::transmute(handler) };
            handler(signal);
        }
    }
}

/// Lets the access be tried again with nobody to serve it: the process ends as by any SIGBUS.
fn by_default() {
    // SAFETY: the struct is plain data, and the default action needs no function.
    unsafe {
        let action: sigaction = MaybeUninit::zeroed().assume_init();
        sigaction(SIGBUS, &raw const action, ptr::null_mut());
    }
}

/// Ends the process with a message: without the pager its pages would be zeros.
pub(crate) fn die(why: &str) -> ! {
    say(&[why, ": the process ends, as its memory would be wrong"]);
    std::process::abort()
}

/// Without formatting: that may allocate, and this may be a signal handler.
pub(crate) fn say(what: &[&str]) {
    for part in ["zswap-pager: "].iter().chain(what).chain(&["\n"]) {
        let _ = rustix::io::write(rustix::stdio::stderr(), part.as_bytes());
    }
}
