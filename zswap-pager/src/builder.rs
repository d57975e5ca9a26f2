//! What a pager is made of.

use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex};

use acomp_core::Registry;
use linux_raw_sys::general as sys;
use rustix::param::page_size;
use zswap::{Housekeeping, PAGE_BYTES, Pool, SwapDevice, Worker};

use crate::core::{Buffers, Core, Events};
use crate::error::PagerError;
use crate::eviction::{Eviction, Hand};
use crate::handler::Handler;
use crate::helpers::{Helped, Helpers};
use crate::pager::{Pager, Shared};
use crate::raw::signal;
use crate::raw::thread::without_signals;
use crate::raw::uffd::{Features, Uffd};
use crate::regions;
use crate::space::lock;
use crate::staging::Staging;
use crate::support::{Support, refused};
use crate::window::{SLICE_PAGES_MAX, WINDOW_PAGES};

/// Who serves a fault.
///
/// In both modes: a signal handler of the program must not touch a region if it may run in a thread
/// that is in a call of this crate, nor may an allocator whose memory is a region serve that thread
/// then: both would wait for what the call holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum FaultMode {
    /// A thread of the pager, which follows the faulting thread from CPU to CPU. Serves faults
    /// within system calls too, if [`KernelFaults`] are permitted.
    #[default]
    Thread,
    /// The faulting thread itself, in a handler of SIGBUS: faster, for programs that can promise
    /// this: a system call is only passed memory that is there
    /// ([`Region::pin`](crate::Region::pin)); no thread blocks SIGBUS; each has 64 KiB of stack
    /// left, outside regions, when it touches one.
    Sigbus,
}

/// Whether faults within system calls are needed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum KernelFaults {
    /// A pager without them is not built.
    Required,
    /// Without the permission, system calls that touch a page that is not there fail with EFAULT.
    #[default]
    IfPermitted,
}

/// What is done with the compressed copy of a page that comes back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kept {
    /// It is removed.
    Off,
    /// It stays, as long as there is room. A page that was not modified, which a comparison tells,
    /// need not be compressed again.
    #[default]
    Exact,
    /// The same, but a keyed hash of 128 bits tells: faster, and wrong with a probability that is
    /// not worth naming, unless somebody who knows the key chooses what pages contain.
    Hash,
}

/// What of the kernel is not to be used, though it is there: for tests of what older kernels have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Without {
    /// Everything is used.
    #[default]
    Nothing,
    /// UFFDIO_MOVE (before Linux 6.8). Memory that the system writes to by itself (O_DIRECT,
    /// io_uring) is then to be pinned meanwhile; MOVE leaves it alone.
    Move,
}

/// Describes a [`Pager`].
#[derive(Debug)]
#[must_use = "nothing is built before `build`"]
pub struct Builder {
    registry: Registry,
    compressor: String,
    limit_bytes: u64,
    pool_limit_bytes: Option<u64>,
    folio_pages: usize,
    batch_pages: usize,
    staging_bytes: Option<u64>,
    headroom_bytes: u64,
    helpers: usize,
    mode: FaultMode,
    kernel_faults: KernelFaults,
    kept: Kept,
    eviction: Box<dyn Eviction>,
    device: Option<Arc<dyn SwapDevice>>,
    owners: Option<u16>,
    without: Without,
}

impl Builder {
    pub(crate) fn new(registry: &Registry) -> Self {
        Self {
            registry: registry.clone(),
            compressor: "lz4".into(),
            limit_bytes: LIMIT_BYTES,
            pool_limit_bytes: None,
            folio_pages: FOLIO_PAGES,
            batch_pages: BATCH_PAGES,
            staging_bytes: None,
            headroom_bytes: 0,
            helpers: 0,
            mode: FaultMode::default(),
            kernel_faults: KernelFaults::default(),
            kept: Kept::default(),
            eviction: Box::new(Hand::default()),
            device: None,
            owners: None,
            without: Without::default(),
        }
    }

    /// Names the compressor: a generic name or a driver's; else `lz4`.
    pub fn compressor(mut self, name: &str) -> Self {
        name.clone_into(&mut self.compressor);
        self
    }

    /// Bytes of pages in regions and on their way out; else 1 GiB. At least
    /// [`LIMIT_BYTES_MIN`](crate::LIMIT_BYTES_MIN). Where nothing can leave for long, as others are
    /// at it or what is there is pinned, each fault brings one page beyond it.
    pub fn limit(mut self, bytes: u64) -> Self {
        self.limit_bytes = bytes;
        self
    }

    /// Bytes of memory for compressed pages, for kept copies, and for what is known of them; else
    /// what the system has. At least [`LIMIT_BYTES_MIN`](crate::LIMIT_BYTES_MIN), of which 1 to 2
    /// MiB are for what is known; regions know a byte of each page of theirs on top. If nothing
    /// more can be compressed, dropped or written back, pages stay in memory beyond
    /// [`limit`](Self::limit).
    pub fn pool_limit(mut self, bytes: u64) -> Self {
        self.pool_limit_bytes = Some(bytes);
        self
    }

    /// Pages that one fault brings back at most, where accesses are sequential: 1 to 256, else 64.
    pub fn folio_pages(mut self, pages: usize) -> Self {
        self.folio_pages = pages.clamp(1, WINDOW_PAGES);
        self
    }

    /// Pages that are stored at once, and the most that a fault has to store: 1 to 64, else 8, the
    /// sub-batch of the pool.
    pub fn batch_pages(mut self, pages: usize) -> Self {
        self.batch_pages = pages.clamp(1, SLICE_PAGES_MAX);
        self
    }

    /// How much of the limit may be staged: pages that have left their region, and are compressed
    /// unless they are touched again soon. Else an eighth.
    pub fn staging(mut self, bytes: u64) -> Self {
        self.staging_bytes = Some(bytes);
        self
    }

    /// The low watermark: pages are stored as fast as others come when so few bytes are left of the
    /// limit. At least what one window and two faults need, which is the default.
    pub fn headroom(mut self, bytes: u64) -> Self {
        self.headroom_bytes = bytes;
        self
    }

    /// Threads that compress pages where a CPU is idle, while accesses are sequential; else none.
    pub fn helpers(mut self, threads: usize) -> Self {
        self.helpers = threads;
        self
    }

    /// Who serves faults.
    pub fn mode(mut self, mode: FaultMode) -> Self {
        self.mode = mode;
        self
    }

    /// Whether faults within system calls are needed.
    pub fn kernel_faults(mut self, needed: KernelFaults) -> Self {
        self.kernel_faults = needed;
        self
    }

    /// What is done with compressed copies of pages that come back.
    pub fn kept(mut self, kept: Kept) -> Self {
        self.kept = kept;
        self
    }

    /// The order in which windows leave; else [`Hand`].
    pub fn eviction(mut self, eviction: impl Eviction + 'static) -> Self {
        self.eviction = Box::new(eviction);
        self
    }

    /// Where compressed pages are written back to when the pool is full.
    pub fn device(mut self, device: Arc<dyn SwapDevice>) -> Self {
        self.device = Some(device);
        self
    }

    /// Owners have numbers below this; else 64.
    pub fn owners(mut self, owners: u16) -> Self {
        self.owners = Some(owners);
        self
    }

    /// Does as on a kernel that lacks something.
    pub fn without(mut self, what: Without) -> Self {
        self.without = what;
        self
    }

    /// Builds the pager, and starts its threads.
    ///
    /// # Errors
    ///
    /// [`PagerError`], but for those of regions.
    pub fn build(self) -> Result<Pager, PagerError> {
        let limit_pages = usize::try_from(self.limit_bytes).unwrap_or(usize::MAX) / PAGE_BYTES;
        for bytes in [Some(self.limit_bytes), self.pool_limit_bytes].into_iter().flatten() {
            if bytes < LIMIT_BYTES_MIN {
                return Err(PagerError::Limit { bytes });
            }
        }
        if page_size() != PAGE_BYTES {
            return Err(PagerError::Unsupported { what: "pages of 4096 bytes" });
        }
        let (uffd, has_kernel_faults, moves) = self.open_uffd()?;
        let pool = Arc::new(self.build_pool()?);
        let staging_pages = self.staging_bytes.map_or(limit_pages / STAGING_PART, |bytes| {
            usize::try_from(bytes).unwrap_or(usize::MAX) / PAGE_BYTES
        });
        let most = STAGING_PAGES_MAX.min(limit_pages - WINDOW_PAGES);
        let frames = staging_pages.clamp(STAGING_PAGES_MIN, most) / WINDOW_PAGES;
        let headroom_pages =
            usize::try_from(self.headroom_bytes).unwrap_or(usize::MAX) / PAGE_BYTES;
        // Helpers work in a second half of it.
        let needed = (WINDOW_PAGES + 2 * self.folio_pages) << usize::from(self.helpers > 0);
        let headroom_pages = headroom_pages.max(needed).min(limit_pages / 2);
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        let core = Arc::new(Core {
            staging: Staging::new(frames)?,
            uffd,
            eviction: Mutex::new(self.eviction),
            spaces: Mutex::default(),
            buffers: Buffers::new(2 * cpus + 2, self.folio_pages.max(self.batch_pages)),
            zeros: vec![[0; PAGE_BYTES]; self.folio_pages].into(),
            keeps: self.kept != Kept::Off,
            moves,
            limit_pages,
            slice_pages: self.batch_pages,
            headroom_pages,
            used: AtomicUsize::new(0),
            pinned: AtomicUsize::new(0),
            debt: AtomicUsize::new(0),
            helped: Helped::default(),
            events: Events::default(),
            pool,
        });
        if moves {
            core.staging.register(&core.uffd)?;
        }
        if self.mode == FaultMode::Sigbus {
            signal::install(regions::serve_signal)?;
        }
        let (handler, helpers, worker) = without_signals(|| {
            let handler = Handler::start(&core)?;
            let helpers = Helpers::start(&core, self.helpers)?;
            Ok::<_, std::io::Error>((handler, helpers, Worker::start(&core.pool)?))
        })?;
        let shared = Shared {
            handler,
            helpers,
            worker,
            mode: self.mode,
            has_kernel_faults: has_kernel_faults && self.mode == FaultMode::Thread,
            next_slot: AtomicU64::new(0),
            mapping: Mutex::default(),
            core,
        };
        Ok(Pager::new(shared))
    }

    /// Opens a descriptor with what the mode needs. Beside it: whether it has faults within system
    /// calls, and MOVE.
    fn open_uffd(&self) -> Result<(Uffd, bool, bool), PagerError> {
        let support = Support::probe()?;
        let moves = support.moves && self.without != Without::Move;
        let is_enough = match self.mode {
            FaultMode::Thread => support.protects,
            FaultMode::Sigbus => support.protects && support.signals,
        };
        if !is_enough {
            return Err(PagerError::Unsupported { what: "userfaultfd with write protection" });
        }
        let is_required =
            self.kernel_faults == KernelFaults::Required && self.mode == FaultMode::Thread;
        if is_required && !support.kernel_faults {
            return Err(PagerError::NotPermitted);
        }
        let mode = match self.mode {
            FaultMode::Thread => sys::UFFD_FEATURE_THREAD_ID,
            FaultMode::Sigbus => sys::UFFD_FEATURE_SIGBUS,
        };
        let rung = if moves { sys::UFFD_FEATURE_MOVE } else { sys::UFFD_FEATURE_PAGEFAULT_FLAG_WP };
        let watch = sys::UFFD_FEATURE_EVENT_REMAP | sys::UFFD_FEATURE_EVENT_UNMAP;
        let (uffd, _, has_kernel_faults) =
            Uffd::open(Features::from(mode | rung | watch)).map_err(refused)?;
        Ok((uffd, has_kernel_faults, moves))
    }

    fn build_pool(&self) -> Result<Pool, PagerError> {
        let mut builder = Pool::builder(&self.registry)
            .compressor(&self.compressor)
            .housekeeping(Housekeeping::Faults)
            .limit_metadata();
        if let Some(bytes) = self.pool_limit_bytes {
            builder = builder.total_bytes(bytes);
        }
        if let Some(owners) = self.owners {
            builder = builder.owners(owners);
        }
        if let Some(device) = &self.device {
            builder = builder.device(Arc::clone(device));
        }
        if self.kept == Kept::Hash {
            builder = builder.hash_duplicates(random_key()?);
        }
        let pool = builder.build()?;
        // All of the limit is for pages, and every page that goes makes room.
        for name in ["max_pool_percent", "accept_threshold_percent"] {
            pool.set(name, "100").map_err(std::io::Error::other)?;
        }
        let acomp = pool.acomp();
        if self.mode == FaultMode::Sigbus && (acomp.may_block() || acomp.may_allocate()) {
            return Err(PagerError::Driver { driver: acomp.driver().to_owned() });
        }
        Ok(pool)
    }
}

fn random_key() -> Result<u64, PagerError> {
    let mut key = [0; 8];
    rustix::rand::getrandom(&mut key, rustix::rand::GetRandomFlags::empty())
        .map_err(std::io::Error::from)?;
    Ok(u64::from_ne_bytes(key))
}

impl Pager {
    /// Gives a region a number.
    pub(crate) fn number(core: &Core) -> u32 {
        let mut spaces = lock(&core.spaces);
        let free = spaces.iter().position(Option::is_none);
        free.unwrap_or_else(|| {
            spaces.push(None);
            spaces.len() - 1
        }) as u32
    }
}

/// The smallest limit, of memory and of the pool: 4 MiB, as pages leave a MiB at a time.
pub const LIMIT_BYTES_MIN: u64 = 4 << 20;
const LIMIT_BYTES: u64 = 1 << 30;
const FOLIO_PAGES: usize = 64;
const BATCH_PAGES: usize = 8;
/// One in so many pages of the limit is staged.
const STAGING_PART: usize = 8;
const STAGING_PAGES_MIN: usize = 2 * WINDOW_PAGES;
/// What the numbers of frames have room for.
const STAGING_PAGES_MAX: usize = WINDOW_PAGES << 14;
