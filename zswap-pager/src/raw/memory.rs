//! Memory that is mapped here.
//!
//! # Who may touch which byte
//!
//! - The bytes of a [`Mapping`] belong to whoever has it as a value: [`Mapping::bytes`] borrows
//!   them as any owner's accessor does. What the pager does through its [`Area`] meanwhile does not
//!   change what they contain: a page is taken away only as a whole, and an access to it waits
//!   until the same bytes are back. That they are the same is what the pager's states are for
//!   (`window.rs`); a mistake there makes wrong bytes, not a bad reference.
//! - The pages of a [`Frame`] are written by the kernel alone, and only through `&mut Frame`.

#![allow(unsafe_code, reason = "memory is mapped and handed out here")]

use std::io;
use std::ops::Range;
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::Arc;

use rustix::mm::{
    Advice, MapFlags, MprotectFlags, ProtFlags, madvise, mlock, mmap_anonymous, mprotect, munlock,
    munmap,
};
use zswap::{PAGE_BYTES, Page};

/// Addresses of anonymous memory in small pages, which a forked child does not have. Unmapped when
/// the last one who knows them is gone.
#[derive(Debug)]
pub(crate) struct Area {
    start: NonNull<u8>,
    pages: usize,
}

// SAFETY: an area is a place and a size, which are the same in every thread.
unsafe impl Send for Area {}
// SAFETY: what `&Area` can do are system calls, which threads may make at once.
unsafe impl Sync for Area {}

impl Area {
    /// Reserves so many pages; none takes memory before it is touched or filled.
    fn new(pages: usize) -> io::Result<Self> {
        let bytes = pages.checked_mul(PAGE_BYTES).filter(|bytes| *bytes > 0);
        let bytes = bytes.ok_or(io::ErrorKind::InvalidInput)?;
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
        // SAFETY: the system chooses a place where nothing is mapped.
        let start = unsafe { mmap_anonymous(ptr::null_mut(), bytes, ProtFlags::empty(), flags)? };
        let area =
            Self { start: NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?, pages };
        // To a program that locks all its memory (MCL_FUTURE) the system gives pages right away,
        // behind the pager's back: not as long as none can be accessed.
        area.unlock(0..pages)?;
        // SAFETY: the range is the area.
        unsafe { mprotect(start, bytes, MprotectFlags::READ | MprotectFlags::WRITE)? };
        // Small pages are what is compressed, and large ones would be split. To a child the pages
        // that are away would be zeros: it has none of them.
        for advice in [Advice::LinuxNoHugepage, Advice::LinuxDontFork] {
            area.advise(0..pages, advice)?;
        }
        Ok(area)
    }

    pub(crate) fn pages(&self) -> usize {
        self.pages
    }

    /// The address of a page.
    pub(crate) fn page(&self, at: usize) -> usize {
        self.start.as_ptr().expose_provenance() + at * PAGE_BYTES
    }

    /// Gives pages back to the system. They are missing from then on, or zeros if nobody fills
    /// them.
    pub(crate) fn discard(&self, pages: Range<usize>) -> io::Result<()> {
        self.advise(pages.clone(), Advice::LinuxDontNeed).or_else(|_| {
            // The program has locked some.
            self.unlock(pages.clone())?;
            self.advise(pages, Advice::LinuxDontNeed)
        })
    }

    /// Copies a page that is present. For pages that are protected from being written: else it is
    /// not said what the copy contains.
    pub(crate) fn copy(&self, at: usize, to: &mut Page) {
        if at >= self.pages {
            return;
        }
        let from = self.start.as_ptr().wrapping_add(at * PAGE_BYTES).cast::<u64>();
        for (word, bytes) in to.as_chunks_mut::<8>().0.iter_mut().enumerate() {
            // SAFETY: the page is mapped readable, and aligned. It is read word by word as memory
            // that others may write; whether they do is up to the caller.
            *bytes = unsafe { from.add(word).read_volatile() }.to_ne_bytes();
        }
    }

    fn advise(&self, pages: Range<usize>, advice: Advice) -> io::Result<()> {
        let (start, bytes) = self.range(pages)?;
        // SAFETY: the range lies within the area. Discarding makes no reference invalid: what is
        // read afterwards is zeros, or what the pager fills in.
        unsafe { madvise(start.cast(), bytes, advice)? };
        Ok(())
    }

    fn unlock(&self, pages: Range<usize>) -> io::Result<()> {
        let (start, bytes) = self.range(pages)?;
        // SAFETY: the range lies within the area. Memory that is not locked has the same content.
        unsafe { munlock(start.cast(), bytes)? };
        Ok(())
    }

    /// The start and the bytes of pages of the area.
    fn range(&self, pages: Range<usize>) -> io::Result<(*mut u8, usize)> {
        if pages.start > pages.end || pages.end > self.pages {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Ok((self.start.as_ptr().wrapping_add(pages.start * PAGE_BYTES), pages.len() * PAGE_BYTES))
    }
}

impl Drop for Area {
    fn drop(&mut self) {
        // SAFETY: it was mapped in `new`, and nobody has a reference: a `Mapping` has an `Arc` of
        // its area.
        let unmapped = unsafe { munmap(self.start.as_ptr().cast(), self.pages * PAGE_BYTES) };
        debug_assert!(unmapped.is_ok(), "what was mapped can be unmapped");
    }
}

/// The memory of an area: there is one for each.
#[derive(Debug)]
pub(crate) struct Mapping(Arc<Area>);

impl Mapping {
    pub(crate) fn new(pages: usize) -> io::Result<Self> {
        Ok(Self(Arc::new(Area::new(pages)?)))
    }

    pub(crate) fn area(&self) -> &Arc<Area> {
        &self.0
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: the memory is mapped readable for as long as `self` lives, has always been
        // initialised (by the system, with zeros), and is written only through `&mut self`.
        unsafe { slice::from_raw_parts(self.0.start.as_ptr(), self.0.pages * PAGE_BYTES) }
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes`, and nobody else has a reference.
        unsafe { slice::from_raw_parts_mut(self.0.start.as_ptr(), self.0.pages * PAGE_BYTES) }
    }
}

/// Where pages are moved to that are taken out of a region.
#[derive(Debug)]
pub(crate) struct Frame(Mapping);

impl Frame {
    pub(crate) fn new(pages: usize) -> io::Result<Self> {
        Ok(Self(Mapping::new(pages)?))
    }

    pub(crate) fn area(&self) -> &Area {
        self.0.area()
    }

    /// Pages that were moved in. To touch another is a fault of the pager in the pager.
    pub(crate) fn pages(&self, at: Range<usize>) -> &[Page] {
        let (pages, _) = self.0.bytes().as_chunks();
        pages.get(at).unwrap_or_default()
    }

    /// Makes all pages missing again.
    pub(crate) fn empty(&mut self) -> io::Result<()> {
        let area = self.area();
        area.discard(0..area.pages())
    }
}

/// Tells a process from the children that it forks, for the price of reading a byte.
#[derive(Debug)]
pub(crate) struct Origin(Mapping);

impl Origin {
    pub(crate) fn new() -> io::Result<Self> {
        let mut page = Mapping::new(1)?;
        page.bytes_mut().fill(1);
        for advice in [Advice::LinuxDoFork, Advice::LinuxWipeOnFork] {
            page.area().advise(0..1, advice)?;
        }
        Ok(Self(page))
    }

    pub(crate) fn is_here(&self) -> bool {
        self.0.bytes().first() == Some(&1)
    }
}

/// Locks memory, so that what serves faults does not fault itself. Whether that was permitted.
pub(crate) fn lock<T>(memory: &[T]) -> bool {
    // SAFETY: a locked page has the same content.
    unsafe { mlock(memory.as_ptr().cast_mut().cast(), size_of_val(memory)) }.is_ok()
}

#[cfg(test)]
mod tests {
    use std::env;
    use std::process::Command;
    use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering::Relaxed};

    use acomp_algs as _;
    use acomp_core::Registry;
    use rustix::mm::{MremapFlags, mremap};

    use super::*;
    use crate::{FaultMode, Pager, PagerError, Region};

    #[test]
    fn what_is_unmapped_behind_the_pager_ends_the_process() {
        dies("what_is_unmapped_behind_the_pager_ends_the_process", "unmapped: drop it", |region| {
            let start = region.as_mut_ptr().cast();
            // SAFETY: none; it is what the pager has to notice.
            unsafe { munmap(start, PAGE_BYTES) }.unwrap();
        });
    }

    #[test]
    fn what_is_moved_behind_the_pager_ends_the_process() {
        dies("what_is_moved_behind_the_pager_ends_the_process", "use Region::resize", |region| {
            let (start, len) = (region.as_mut_ptr().cast(), region.len());
            // SAFETY: none; it is what the pager has to notice.
            unsafe { mremap(start, len, 2 * len, MremapFlags::MAYMOVE) }.unwrap();
        });
    }

    #[test]
    fn an_access_to_nothing_is_the_programs_own() {
        extern "C" fn on_sigsegv(_: libc::c_int) {
            // SAFETY: allowed in a handler, and never returns.
            unsafe { libc::_exit(42) }
        }
        let name = "an_access_to_nothing_is_the_programs_own";
        if env::var_os(ALONE).is_none() {
            return assert_eq!(run_alone(name).0, Some(42));
        }
        // SAFETY: the handler has the signature of one without SA_SIGINFO.
        unsafe { libc::signal(libc::SIGSEGV, on_sigsegv as *const () as usize) };
        let Some(mut region) = region(FaultMode::Sigbus) else { std::process::exit(42) };
        region.fill(1);
        // SAFETY: none; it is what the program's handler is for.
        unsafe { ptr::without_provenance::<u8>(8).read_volatile() };
    }

    /// The system would fill locked memory before the pager can.
    #[test]
    fn a_program_that_locks_its_memory_has_regions_like_others() {
        let name = "a_program_that_locks_its_memory_has_regions_like_others";
        if env::var_os(ALONE).is_none() {
            return assert_eq!(run_alone(name).0, Some(0));
        }
        let Some(pager) = pager(FaultMode::Thread) else { return };
        // SAFETY: locked memory has the same content.
        if unsafe { libc::mlockall(libc::MCL_FUTURE) } != 0 {
            return eprintln!("NOTHING IS TESTED HERE: memory may not be locked");
        }
        let mut region = pager.map(8 << 20).unwrap();
        assert_eq!(region.stats().untouched, 2048);
        region.fill(7);
        assert!(region.stats().stored > 0, "{:?}", region.stats());
        let start = region.as_ptr().cast_mut().cast();
        // SAFETY: as above.
        unsafe { mlock(start, PAGE_BYTES) }.unwrap();
        region.discard(0..PAGE_BYTES).unwrap();
        assert_eq!((region[0], region[PAGE_BYTES]), (0, 7));
    }

    /// A signal that comes while a fault is served waits, as its handler may touch a region.
    #[test]
    fn handlers_of_the_program_touch_regions() {
        static START: AtomicPtr<u8> = AtomicPtr::new(ptr::null_mut());
        static TOUCHED: AtomicUsize = AtomicUsize::new(0);
        extern "C" fn on_signal(_: libc::c_int) {
            let at = TOUCHED.fetch_add(1, Relaxed) % 2048 * PAGE_BYTES;
            // SAFETY: the test's region has so many bytes, and nobody writes to it.
            let byte = unsafe { START.load(Relaxed).add(at).read_volatile() };
            assert_eq!(byte, 7);
        }
        let name = "handlers_of_the_program_touch_regions";
        if env::var_os(ALONE).is_none() {
            return assert_eq!(run_alone(name).0, Some(0));
        }
        let Some(mut region) = region(FaultMode::Sigbus) else { return };
        region.fill(7);
        START.store(region.as_mut_ptr(), Relaxed);
        // SAFETY: the handler has the signature of one without SA_SIGINFO; the thread that signals
        // are sent to ends after the one that sends them.
        let this = unsafe {
            libc::signal(libc::SIGUSR1, on_signal as *const () as usize);
            libc::pthread_self()
        };
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Relaxed) {
                    // SAFETY: as above.
                    unsafe { libc::pthread_kill(this, libc::SIGUSR1) };
                }
            });
            while TOUCHED.load(Relaxed) < 1 << 12 {
                assert!(region.iter().step_by(PAGE_BYTES).all(|byte| *byte == 7));
            }
            is_over.store(true, Relaxed);
        });
    }

    /// The descriptor that a child inherits is for the memory of its parent.
    #[test]
    fn a_child_that_drops_a_region_takes_nothing_from_its_parent() {
        let name = "a_child_that_drops_a_region_takes_nothing_from_its_parent";
        if env::var_os(ALONE).is_none() {
            return assert_eq!(run_alone(name).0, Some(0));
        }
        let Some(mut region) = region(FaultMode::Thread) else { return };
        region.fill(7);
        region.advise(0..region.len(), crate::Advice::PageOut).unwrap();
        match fork::fork().unwrap() {
            fork::Fork::Child => {
                drop(region);
                // SAFETY: it ends the process.
                unsafe { libc::_exit(0) }
            }
            fork::Fork::Parent(child) => drop(fork::waitpid(child).unwrap()),
        }
        assert!(region.iter().all(|byte| *byte == 7));
    }

    /// Runs `act` in a process of its own, which dies with a message.
    fn dies(name: &str, message: &str, act: fn(&mut Region)) {
        if env::var_os(ALONE).is_none() {
            let (code, said) = run_alone(name);
            let is_untested = said.contains("NOTHING IS TESTED");
            assert!(is_untested || (code.is_none() && said.contains(message)), "{code:?}: {said}");
            return;
        }
        let Some(mut region) = region(FaultMode::Thread) else { return };
        region.fill(1);
        act(&mut region);
        // The pager's thread ends the process before the call returns, or soon.
        std::thread::park();
    }

    fn region(mode: FaultMode) -> Option<Region> {
        pager(mode).map(|pager| pager.map(8 << 20).unwrap())
    }

    fn pager(mode: FaultMode) -> Option<Pager> {
        match Pager::builder(Registry::global()).mode(mode).limit(4 << 20).build() {
            Err(error @ (PagerError::NotPermitted | PagerError::Unsupported { .. })) => {
                eprintln!("NOTHING IS TESTED HERE: {error}");
                None
            }
            pager => Some(pager.unwrap()),
        }
    }

    /// The exit code of this test in a process of its own, if it had one, and what it said.
    fn run_alone(name: &str) -> (Option<i32>, String) {
        let name = format!("raw::memory::tests::{name}");
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", &name, "--nocapture"]).env(ALONE, "1");
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    const ALONE: &str = "ZSWAP_PAGER_TEST_ALONE";
}
