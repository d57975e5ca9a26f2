//! userfaultfd: missing pages of a mapping become events, and are filled, moved and protected.
//!
//! Numbers and layouts come from the kernel's user-space headers by `linux-raw-sys`.

#![allow(unsafe_code, reason = "ioctls take addresses")]

use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};

use linux_raw_sys::general as sys;
use rustix::io::Errno;
use rustix::ioctl::{Ioctl, IoctlOutput, Opcode, Updater, ioctl, opcode};
use rustix::mm::{UserfaultfdFlags, userfaultfd};
use zswap::{PAGE_BYTES, Page};

use super::memory::{Area, Frame, Origin};
use super::signal::die;

/// A userfaultfd that agreed to what was asked for.
#[derive(Debug)]
pub(crate) struct Uffd {
    fd: OwnedFd,
    origin: Origin,
}

/// What it can do, as bits of `UFFD_FEATURE_*`.
pub(crate) type Features = u64;

/// Which accesses are faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Faults {
    /// To a page that is missing.
    Missing,
    /// Writes to a page that is protected. A missing one is zeros: in a frame, to which nobody
    /// writes, one that was taken from its region behind the pager's back.
    Protected,
    Both,
}

/// What came through the descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// Somebody touched a page that is missing, or wrote to one that is protected.
    Fault { address: usize, is_protected: bool, thread: u32 },
    /// Pages were moved or unmapped, or the process forked, behind the pager's back.
    Foreign(&'static str),
}

/// How far an operation on pages came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Done {
    /// Pages from the first one on.
    pub(crate) pages: usize,
    /// Why there it ended, if it is not the end.
    pub(crate) error: Option<Errno>,
}

macro_rules! ioctls {
    ($($name:ident = $number:ident($arg:ident);)+) => {$(
        /// # Safety
        ///
        /// What `arg` says is done to memory must be no harm to it.
        unsafe fn $name(fd: BorrowedFd<'_>, arg: &mut sys::$arg) -> Result<(), Errno> {
            const OPCODE: Opcode =
                opcode::read_write::<sys::$arg>(sys::UFFDIO as u8, sys::$number as u8);
            // SAFETY: number and argument belong together (linux/userfaultfd.h); the rest is the
            // caller's promise.
            unsafe { ioctl(fd, Updater::<OPCODE, sys::$arg>::new(arg)) }
        }
    )+};
}

ioctls! {
    api = _UFFDIO_API(uffdio_api);
    register = _UFFDIO_REGISTER(uffdio_register);
    copy = _UFFDIO_COPY(uffdio_copy);
    move_pages = _UFFDIO_MOVE(uffdio_move);
    protect = _UFFDIO_WRITEPROTECT(uffdio_writeprotect);
    poison = _UFFDIO_POISON(uffdio_poison);
}

impl Uffd {
    /// Opens one and asks for features. Beside it: what the kernel has; and `false` if there are no
    /// faults from within system calls, since that is not permitted: the descriptor is then good
    /// for user mode alone.
    pub(crate) fn open(features: Features) -> io::Result<(Self, Features, bool)> {
        let flags = UserfaultfdFlags::CLOEXEC | UserfaultfdFlags::NONBLOCK;
        // SAFETY: the descriptor stays private; what is done with it is proven below.
        let any = unsafe { userfaultfd(flags) };
        let (fd, has_kernel_faults) = match any.or_else(|_| open_device(flags)) {
            Ok(fd) => (fd, true),
            Err(_) => {
                let user_mode = UserfaultfdFlags::from_bits_retain(sys::UFFD_USER_MODE_ONLY);
                // SAFETY: as above.
                let fd = unsafe { userfaultfd(flags | user_mode) };
                // Before Linux 5.11 there is no such flag, and nothing left to be permitted.
                let denied = |error| if error == Errno::INVAL { Errno::PERM } else { error };
                (fd.map_err(denied)?, false)
            }
        };
        let mut arg = sys::uffdio_api { api: sys::UFFD_API.into(), features, ioctls: 0 };
        // SAFETY: it touches no memory but the argument.
        unsafe { api(fd.as_fd(), &mut arg) }?;
        Ok((Self { fd, origin: Origin::new()? }, arg.features, has_kernel_faults))
    }

    /// From now on these accesses to the mapping are faults.
    pub(crate) fn register(&self, area: &Area, faults: Faults) -> io::Result<()> {
        let mode = match faults {
            Faults::Missing => sys::UFFDIO_REGISTER_MODE_MISSING,
            Faults::Protected => sys::UFFDIO_REGISTER_MODE_WP,
            Faults::Both => sys::UFFDIO_REGISTER_MODE_MISSING | sys::UFFDIO_REGISTER_MODE_WP,
        };
        let mut arg = sys::uffdio_register {
            range: range_of(area, 0..area.pages()),
            mode: mode.into(),
            ioctls: 0,
        };
        // SAFETY: touching what is registered waits for this descriptor, nothing else changes.
        Ok(unsafe { register(self.here(), &mut arg) }?)
    }

    /// No longer: pages that are missing are zeros.
    pub(crate) fn unregister(&self, area: &Area) -> io::Result<()> {
        self.on_range::<{ UNREGISTER }>(range_of(area, 0..area.pages()))
    }

    /// Lets those go on who wait for these pages.
    pub(crate) fn wake(&self, area: &Area, pages: Range<usize>) -> io::Result<()> {
        self.on_range::<{ WAKE }>(range_of(area, pages))
    }

    /// Fills missing pages from `first` on, and lets those go on who wait for them. Never touches
    /// one that is there.
    pub(crate) fn copy(&self, area: &Area, first: usize, from: &[Page]) -> Done {
        let range = range_of(area, first..first + from.len());
        let src = from.as_ptr().expose_provenance() as u64;
        let mut arg = sys::uffdio_copy { dst: range.start, src, len: range.len, mode: 0, copy: 0 };
        // SAFETY: it reads pages that are borrowed, and fills only what is missing of an area,
        // which nobody has seen before.
        let copied = unsafe { copy(self.here(), &mut arg) };
        done(copied, arg.copy, from.len())
    }

    /// Fills a page if it is missing, protected from writes.
    pub(crate) fn copy_protected(&self, area: &Area, at: usize, from: &Page) -> io::Result<()> {
        let range = range_of(area, at..at + 1);
        let src = from.as_ptr().expose_provenance() as u64;
        let mode = COPY_MODE_WP;
        let mut arg = sys::uffdio_copy { dst: range.start, src, len: range.len, mode, copy: 0 };
        // SAFETY: as in `copy`.
        match unsafe { copy(self.here(), &mut arg) } {
            Err(Errno::EXIST) => Ok(()),
            copied => Ok(copied?),
        }
    }

    /// Moves the pages of a range that are there into a frame, which has none there, at the places
    /// from 0 on. Nobody sees a page in part, or in both.
    pub(crate) fn move_out(
        &self,
        area: &Area,
        pages: Range<usize>,
        to: &mut Frame,
        at: usize,
    ) -> Done {
        let to = range_of(to.area(), at..at + pages.len());
        let from = range_of(area, pages.clone());
        let mut arg = sys::uffdio_move {
            dst: to.start,
            src: from.start,
            len: from.len.min(to.len),
            mode: MOVE_MODE_ALLOW_SRC_HOLES,
            move_: 0,
        };
        // SAFETY: the frame is borrowed mutably, and has no pages there. What leaves the area comes
        // back before an access to it ends: whoever touches it waits for this descriptor.
        let moved = unsafe { move_pages(self.here(), &mut arg) };
        done(moved, arg.move_, pages.len())
    }

    /// Makes writes to pages that are there faults, or no longer.
    pub(crate) fn protect(&self, area: &Area, pages: Range<usize>, on: bool) -> io::Result<()> {
        let mode = if on { WRITEPROTECT_MODE_WP } else { 0 };
        let mut arg = sys::uffdio_writeprotect { range: range_of(area, pages), mode };
        // SAFETY: it changes who waits, not what the memory contains.
        Ok(unsafe { protect(self.here(), &mut arg) }?)
    }

    /// Makes a missing page one whose access is an error. It may be one already: several threads
    /// may have touched it.
    pub(crate) fn poison(&self, area: &Area, page: usize) -> io::Result<()> {
        let range = range_of(area, page..page + 1);
        let mut arg = sys::uffdio_poison { range, mode: 0, updated: 0 };
        // SAFETY: it takes a page that is missing, whose access ends the process from then on.
        match unsafe { poison(self.here(), &mut arg) } {
            Err(Errno::EXIST) => Ok(()),
            poisoned => Ok(poisoned?),
        }
    }

    /// Reads what is there, up to `N` events, without waiting. Returns how many.
    pub(crate) fn read<const N: usize>(&self, events: &mut [Event; N]) -> io::Result<usize> {
        const BYTES: usize = size_of::<sys::uffd_msg>();
        let mut messages = [[0_u8; BYTES]; N];
        let read = match rustix::io::read(&self.fd, messages.as_flattened_mut()) {
            Err(Errno::AGAIN) => 0,
            read => read?,
        };
        let count = read / BYTES;
        for (event, message) in events.iter_mut().zip(messages.iter().take(count)) {
            *event = Event::parse(message);
        }
        Ok(count)
    }

    /// The descriptor, for what changes memory: that of the process that opened it, also when it is
    /// a forked child that asks.
    fn here(&self) -> BorrowedFd<'_> {
        if !self.origin.is_here() {
            die("a forked child uses a region of its parent");
        }
        self.fd.as_fd()
    }

    fn on_range<const OPCODE: Opcode>(&self, mut range: sys::uffdio_range) -> io::Result<()> {
        // SAFETY: both opcodes that this is called with take a range, as a range of addresses, and
        // change nothing of the memory's content: pages that are missing may be zeros afterwards,
        // which are bytes too.
        Ok(unsafe { ioctl(self.here(), Updater::<OPCODE, sys::uffdio_range>::new(&mut range)) }?)
    }
}

impl AsFd for Uffd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Event {
    /// A message of the descriptor: `struct uffd_msg`.
    fn parse(message: &[u8]) -> Self {
        let word = |at: usize| {
            let bytes = message.get(at..at + 8).and_then(|bytes| bytes.first_chunk());
            bytes.map_or(0, |bytes| u64::from_ne_bytes(*bytes))
        };
        let event = u32::from(message.first().copied().unwrap_or_default());
        match event {
            sys::UFFD_EVENT_PAGEFAULT => Self::Fault {
                address: word(16) as usize,
                is_protected: word(8) & u64::from(sys::UFFD_PAGEFAULT_FLAG_WP) != 0,
                thread: word(24) as u32,
            },
            sys::UFFD_EVENT_FORK => Self::Foreign("a fork that copies it"),
            sys::UFFD_EVENT_REMAP => Self::Foreign("mremap"),
            sys::UFFD_EVENT_UNMAP => Self::Foreign("munmap"),
            _ => Self::Foreign("something unknown"),
        }
    }
}

fn range_of(area: &Area, pages: Range<usize>) -> sys::uffdio_range {
    let end = pages.end.min(area.pages());
    let start = pages.start.min(end);
    let len = ((end - start) * PAGE_BYTES) as u64;
    sys::uffdio_range { start: area.page(start) as u64, len }
}

/// What an ioctl says that it did: bytes, or a negated error, beside its own error.
fn done(result: Result<(), Errno>, bytes: i64, wanted: usize) -> Done {
    match result {
        Ok(()) => Done { pages: wanted, error: None },
        Err(error) => {
            let bytes = usize::try_from(bytes).unwrap_or_default();
            Done { pages: bytes / PAGE_BYTES, error: Some(error) }
        }
    }
}

/// `/dev/userfaultfd`, for whoever may open that.
fn open_device(flags: UserfaultfdFlags) -> Result<OwnedFd, Errno> {
    use rustix::fs::{Mode, OFlags, open};
    let device = open("/dev/userfaultfd", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    // SAFETY: the opcode takes the flags of the system call by value.
    unsafe { ioctl(&device, NewDescriptor(flags)) }
}

/// `USERFAULTFD_IOC_NEW`.
struct NewDescriptor(UserfaultfdFlags);

// SAFETY: the ioctl takes a number, and returns a descriptor that nobody else has.
unsafe impl Ioctl for NewDescriptor {
    type Output = OwnedFd;
    const IS_MUTATING: bool = false;

    fn opcode(&self) -> Opcode {
        opcode::none(sys::USERFAULTFD_IOC as u8, 0)
    }

    fn as_ptr(&mut self) -> *mut libc::c_void {
        std::ptr::without_provenance_mut(self.0.bits() as usize)
    }

    unsafe fn output_from_ptr(fd: IoctlOutput, _: *mut libc::c_void) -> Result<OwnedFd, Errno> {
        // SAFETY: the ioctl succeeded, and made it.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) })
    }
}

const UNREGISTER: Opcode =
    opcode::read::<sys::uffdio_range>(sys::UFFDIO as u8, sys::_UFFDIO_UNREGISTER as u8);
const WAKE: Opcode = opcode::read::<sys::uffdio_range>(sys::UFFDIO as u8, sys::_UFFDIO_WAKE as u8);
/// `UFFDIO_COPY_MODE_WP`.
const COPY_MODE_WP: u64 = 1 << 1;
/// `UFFDIO_MOVE_MODE_ALLOW_SRC_HOLES`.
const MOVE_MODE_ALLOW_SRC_HOLES: u64 = 1 << 1;
/// `UFFDIO_WRITEPROTECT_MODE_WP`.
const WRITEPROTECT_MODE_WP: u64 = 1;
