//! The thread that reads the descriptor: it serves faults in `thread` mode, and watches over the
//! mappings in both.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Acquire, Ordering::Release};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::io::{Errno, write};
use rustix::thread::{CpuSet, Pid, gettid, sched_getcpu, sched_setaffinity};

use crate::core::{Core, or_die};
use crate::fault::Served;
use crate::raw::signal::{die, say};
use crate::raw::uffd::Event;
use crate::regions;

#[derive(Debug)]
pub(crate) struct Handler {
    is_over: Arc<AtomicBool>,
    wake: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl Handler {
    pub(crate) fn start(core: &Arc<Core>) -> io::Result<Self> {
        let wake = Arc::new(eventfd(0, EventfdFlags::CLOEXEC)?);
        let is_over = Arc::new(AtomicBool::new(false));
        let (its_core, its_wake, its_over) =
            (Arc::clone(core), Arc::clone(&wake), Arc::clone(&is_over));
        let thread = thread::Builder::new().name("zswap-pager".into()).spawn(move || {
            // Whoever waits for a page would wait for ever, or read zeros.
            let run = || run(&its_core, &its_wake, &its_over);
            or_die("a panic while a fault was served", run);
        })?;
        Ok(Self { is_over, wake, thread: Some(thread) })
    }
}

impl Drop for Handler {
    fn drop(&mut self) {
        self.is_over.store(true, Release);
        let _ = write(&self.wake, &1_u64.to_ne_bytes());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(core: &Core, wake: &OwnedFd, is_over: &AtomicBool) {
    let mut follower = Follower::default();
    let mut events = [Event::Foreign(""); EVENTS];
    while !is_over.load(Acquire) {
        let count = match core.uffd.read(&mut events) {
            Ok(count) => count,
            Err(_) => die("page faults can no longer be read"),
        };
        if count == 0 {
            let mut fds = [
                PollFd::from_borrowed_fd(core.uffd.as_fd(), PollFlags::IN),
                PollFd::from_borrowed_fd(wake.as_fd(), PollFlags::IN),
            ];
            match poll(&mut fds, None) {
                Ok(_) | Err(Errno::INTR) => continue,
                Err(_) => die("page faults can no longer be waited for"),
            }
        }
        for event in events.iter().take(count) {
            match *event {
                Event::Fault { address, thread, .. } => {
                    follower.follow(thread);
                    without_allocating(|| serve(core, address));
                }
                Event::Foreign(what) => die_of(what),
            }
        }
    }
}

fn serve(core: &Core, address: usize) {
    match regions::serve(address) {
        Some(Served::Yes) => {}
        Some(Served::Lost) => {
            say(&["a page of a region cannot be had back: whoever touches it gets SIGBUS"]);
            // From then on the access is an error of its own.
            let poisoned = regions::find_page(address)
                .map(|(space, page)| core.uffd.poison(&space.area, page));
            if !matches!(poisoned, Some(Ok(()))) {
                die("a page of a region cannot be had back");
            }
        }
        // It was over before it was read: another fault brought the page, and by now the region is
        // gone.
        None => {}
    }
}

#[cold]
fn die_of(what: &str) -> ! {
    match what {
        "mremap" => die("a region was moved by mremap: use Region::resize"),
        "munmap" => die("a region was unmapped: drop it"),
        _ => die("a region was changed by the kernel's calls"),
    }
}

#[cfg(not(test))]
fn without_allocating(serve: impl FnOnce()) {
    serve();
}

/// In this crate's own tests, a call of the allocator ends the process.
#[cfg(test)]
use assert_no_alloc::assert_no_alloc as without_allocating;

/// Follows the threads whose faults it serves from CPU to CPU: to wake one on another CPU takes
/// ten times as long as to serve its fault.
#[derive(Debug, Default)]
struct Follower {
    looked: Option<Instant>,
}

impl Follower {
    fn follow(&mut self, thread: u32) {
        let now = Instant::now();
        // Threads that take turns on several CPUs do not make it go to and fro.
        if self.looked.is_some_and(|looked| now.duration_since(looked) < FOLLOW) {
            return;
        }
        self.looked = Some(now);
        if let Some(cpu) = cpu_of(thread)
            && cpu != sched_getcpu()
            && cpu < CpuSet::MAX_CPU
        {
            let mut cpus = CpuSet::new();
            cpus.set(cpu);
            // It may not run there, and serves from where it is.
            let _ = sched_setaffinity(Some(gettid()), &cpus);
        }
    }
}

/// The CPU that a thread of this process last ran on: field 39 of its `stat`. Allocates nothing.
fn cpu_of(thread: u32) -> Option<usize> {
    use rustix::fs::{Mode, OFlags, open};
    use std::io::Write;
    Pid::from_raw(thread.cast_signed())?;
    let mut path = [0_u8; 48];
    let mut rest = &mut path[..];
    write!(rest, "/proc/self/task/{thread}/stat\0").ok()?;
    let path = std::ffi::CStr::from_bytes_until_nul(&path).ok()?;
    let file = open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let mut stat = [0_u8; 1024];
    let read = rustix::io::read(&file, &mut stat).ok()?;
    let stat = std::str::from_utf8(stat.get(..read)?).ok()?;
    // The name, in parentheses, may contain anything.
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(36)?.parse().ok()
}

/// Events that are read at once.
const EVENTS: usize = 16;
/// It looks where a thread is so often.
const FOLLOW: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use acomp_algs as _;
    use acomp_core::Registry;
    use assert_no_alloc::AllocDisabler;
    use zswap::PAGE_BYTES;

    use crate::{Kept, Pager, Without};

    #[global_allocator]
    static ALLOCATOR: AllocDisabler = AllocDisabler;

    /// In its own thread, where an allocation ends the process: see `without_allocating`.
    #[test]
    fn a_fault_calls_no_allocator() {
        for without in [Without::Nothing, Without::Move] {
            for kept in [Kept::Off, Kept::Exact, Kept::Hash] {
                let builder = Pager::builder(Registry::global()).limit(4 << 20);
                let Ok(pager) = builder.without(without).kept(kept).build() else {
                    eprintln!("NOTHING IS TESTED HERE: no userfaultfd");
                    return;
                };
                let mut region = pager.map(12 << 20).unwrap();
                for first in [1, 5000] {
                    for (at, page) in region.chunks_mut(PAGE_BYTES).enumerate() {
                        page[..8].copy_from_slice(&(first + at).to_ne_bytes());
                    }
                    for (at, page) in region.chunks(PAGE_BYTES).enumerate() {
                        assert!(page.starts_with(&(first + at).to_ne_bytes()), "page {at}");
                    }
                }
                let stats = pager.stats();
                assert!(stats.pages_loaded > 2048, "{without:?} {kept:?} {stats:?}");
            }
        }
    }
}
