//! The pool: store, load, invalidate, and everything that can be asked of it and set.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{
    AtomicBool, AtomicUsize, Ordering::Acquire, Ordering::Relaxed, Ordering::Release,
};
use std::thread::{Thread, ThreadId};

use acomp_core::{Acomp, Registry};

use crate::builder::{Builder, Housekeeping};
use crate::clock::Clock;
use crate::compressors::SwitchError;
use crate::context::SUB_BATCH;
use crate::counters::{Counters, Histogram, Latencies, count, pages_of};
use crate::entry::Content;
use crate::error::{LoadError, RangeError, StoreError};
use crate::load::sub_batches;
use crate::owners::{Account, OwnerUsage};
use crate::page::{PAGE_BYTES, Page};
use crate::params::{PARAMS, ParamError, Params};
use crate::reclaim::{Pages, Reclaimed};
use crate::slot::{Owner, Slot};
use crate::state::{Device, Found, State};
use crate::sync::{Mutex, lock};

/// Most pages in one folio (2 MiB).
pub const FOLIO_PAGES_MAX: usize = 512;

/// What becomes of the stored page when it is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a page stays, goes, or may go")]
pub enum Load {
    /// It is removed: the destination is now the only copy.
    Exclusive,
    /// It stays.
    Shared,
    /// It stays as a duplicate of the destination: as long as it is there, storing the unmodified
    /// page again takes a [`Pool::revalidate`] only. When memory is short, duplicates go first,
    /// without being written back.
    Duplicate,
}

/// How the pages of a load had been kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Loaded {
    /// Pages of zeros.
    pub zero: usize,
    /// Pages kept as one repeated word that is not zero.
    pub same_filled: usize,
    /// Pages kept raw.
    pub incompressible: usize,
    /// Pages that were decompressed.
    pub decompressed: usize,
    /// Pages that had been written back.
    pub from_device: usize,
}

impl Loaded {
    pub(crate) fn count(&mut self, found: &Found) {
        match found {
            Found::Nothing => {}
            Found::Zero => self.zero += 1,
            Found::Entry(_, record) => match record.content {
                Content::SameFilled(_) => self.same_filled += 1,
                Content::Raw(_) => self.incompressible += 1,
                Content::Compressed(..) => self.decompressed += 1,
                Content::Device(_) => self.from_device += 1,
            },
        }
    }
}

/// What is known of a page that was loaded as a duplicate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "that is all there can be")]
pub enum Revalidated {
    /// What is stored is this page, and is a duplicate no more: the caller may forget the page.
    Same,
    /// What was stored was another page, and is removed.
    Changed,
    /// Nothing is stored any more.
    Gone,
}

/// A store of compressed pages. Shared by threads; see the [crate documentation](crate).
///
/// With owners, a device, and what can be done while it works:
///
/// ```
/// use acomp_algs as _;
/// # use acomp_core::Registry;
/// use std::sync::Arc;
/// use zswap::{FileDevice, Load, Owner, Pool, Revalidated, Slot};
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("swap");
/// let device = Arc::new(FileDevice::create(path, 1 << 20)?);
/// let pool = Pool::builder(Registry::global())
///     .compressor("lz4")
///     .total_bytes(1 << 30)
///     .device(device)
///     .checksums()
///     .build()?;
/// let tenant = Owner::new(1);
/// pool.set_owner_limit(tenant, Some(64 << 20));
/// let page: [u8; 4096] = std::array::from_fn(|i| (i / 7) as u8);
/// pool.store(Slot(0), &[page; 4], tenant)?;
/// assert_eq!(pool.owner(tenant).map(|usage| usage.pages), Some(4));
///
/// // Older pages keep their compressor.
/// pool.set("compressor", "zstd")?;
///
/// // A copy that costs nothing to forget again, as long as it is not modified.
/// let mut back = [0; 4096];
/// pool.load(Slot(0), &mut back, Load::Duplicate)?;
/// assert_eq!(pool.revalidate(Slot(0), &back)?, Revalidated::Same);
///
/// // Memory is short: everybody's second chance is taken, then all are written back.
/// assert_eq!(pool.shrink(tenant, 4).rotated, 4);
/// assert_eq!(pool.shrink(tenant, 4).written, 4);
/// pool.load(Slot(3), &mut back, Load::Exclusive)?;
/// assert_eq!(back, page);
/// pool.maintain()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Pool {
    state: State,
    params: Params,
    total_bytes: u64,
    limits_metadata: bool,
    housekeeping: Housekeeping,
    clock: Arc<dyn Clock>,
    /// It was full, and has not been emptied to the threshold since.
    reached_full: AtomicBool,
    /// Whose turn it is to be written back.
    next_owner: AtomicUsize,
    /// One reclaim at a time.
    reclaiming: Mutex<Box<Pages>>,
    /// Somebody should call `maintain`.
    is_wanting: AtomicBool,
    /// Is told so.
    workers: Mutex<Vec<Thread>>,
}

/// What [`Pool::maintain`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Maintained {
    /// What was written back, because the pool was full.
    pub reclaimed: Reclaimed,
    /// Objects that compaction moved.
    pub objects_moved: usize,
    /// Bytes returned to the system.
    pub bytes_returned: usize,
}

impl Pool {
    /// Starts to describe a pool whose compressor comes from this registry.
    pub fn builder(registry: &Registry) -> Builder {
        Builder::new(registry)
    }

    pub(crate) fn new(
        state: State,
        total_bytes: u64,
        limits_metadata: bool,
        housekeeping: Housekeeping,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            state,
            params: Params::default(),
            total_bytes,
            limits_metadata,
            housekeeping,
            clock,
            reached_full: AtomicBool::new(false),
            next_owner: AtomicUsize::new(0),
            reclaiming: Mutex::default(),
            is_wanting: AtomicBool::new(false),
            workers: Mutex::default(),
        }
    }

    /// Stores a folio: page `i` of it under slot `first + i`, instead of what was there.
    ///
    /// All or nothing: on failure no slot of the folio holds a page, not even an older one.
    ///
    /// # Errors
    ///
    /// Every [`StoreError`].
    pub fn store(&self, first: Slot, folio: &[Page], owner: Owner) -> Result<(), StoreError> {
        let from_ns = self.sample(STORES);
        let stored = self.store_folio(first, folio, owner);
        if let Err(error) = stored {
            self.purge(first, folio.len());
            if error == StoreError::PoolLimit {
                count(&self.state.events().pool_limit_hit, 1);
                // With all of the total for the pool, it is the allocator that finds it full.
                self.reached_full.store(true, Relaxed);
            }
            if self.reached_full.load(Relaxed) {
                self.want();
            }
        }
        self.sampled(STORES, from_ns, folio.len());
        stored
    }

    /// Loads one page.
    ///
    /// # Errors
    ///
    /// [`LoadError::NotFound`] when nothing is stored there; the others when what is stored is no
    /// page: the entry stays, and `dst` is unspecified.
    pub fn load(&self, slot: Slot, dst: &mut Page, how: Load) -> Result<Loaded, LoadError> {
        let from_ns = self.sample(LOADS);
        let loaded = self.state.load_pages::<1>(slot, std::slice::from_mut(dst), how);
        self.sampled(LOADS, from_ns, 1);
        loaded
    }

    /// Loads a folio: as many pages as `dst` has, from slot `first` on. All, or none is removed.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load), with the first slot that failed; [`LoadError::Range`] when `dst`
    /// has no page or too many.
    pub fn load_range(
        &self,
        first: Slot,
        dst: &mut [Page],
        how: Load,
    ) -> Result<Loaded, LoadError> {
        check_range(first, dst)?;
        let from_ns = self.sample(LOADS);
        let loaded = if dst.len() <= SUB_BATCH {
            self.state.load_pages::<SUB_BATCH>(first, dst, how)
        } else {
            self.load_folio(first, dst, how)
        };
        self.sampled(LOADS, from_ns, dst.len());
        loaded
    }

    /// Says that the caller is about to forget a page that was loaded as a duplicate, and that need
    /// not be stored again if it is what is stored.
    ///
    /// # Errors
    ///
    /// What is stored cannot be compared, as for [`load`](Self::load). It stays: store the page.
    pub fn revalidate(&self, slot: Slot, page: &Page) -> Result<Revalidated, LoadError> {
        self.state.revalidate(slot, page)
    }

    /// Forgets the page under a slot, if there is one.
    pub fn invalidate(&self, slot: Slot) {
        let Some(mut partition) = self.state.tree.find(slot) else { return };
        let removed = self.state.remove(&mut partition, slot);
        drop(partition);
        self.state.dispose(&[removed]);
    }

    /// What the pool holds and did.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let stats = self.state.objects.stats();
        Counters::new(self.state.contexts.cpus(), stats.held_bytes, stats.object_bytes)
    }

    /// The transform that compresses.
    #[must_use]
    pub fn acomp(&self) -> Acomp {
        self.state.contexts.compressors.current_acomp()
    }

    /// How long stores and loads took per page, in nanoseconds: of every so many-th call.
    #[must_use]
    pub fn latencies(&self) -> (Histogram, Histogram) {
        let of = |which: usize| {
            let cpus = self.state.contexts.cpus().iter();
            Latencies::sum(cpus.filter_map(move |cpu| cpu.events.latencies.get(which)))
        };
        (of(STORES), of(LOADS))
    }

    /// How long the objects are that are held, in bytes.
    #[must_use]
    pub fn object_sizes(&self) -> Histogram {
        let classes = self.state.objects.class_stats();
        let mut levels: Vec<_> =
            classes.map(|class| (class.object_bytes_max as u64, class.objects as u64)).collect();
        levels.reverse();
        Histogram::new(levels)
    }

    /// Bytes of memory for what is known of pages, beside their objects.
    #[must_use]
    pub fn metadata_bytes(&self) -> usize {
        self.state.metadata_bytes()
    }

    /// Sets a parameter, by the kernel's name and in its words.
    ///
    /// # Errors
    ///
    /// [`ParamError`]; the parameter keeps its value.
    pub fn set(&self, name: &str, value: &str) -> Result<(), ParamError> {
        let (params, value) = (&self.params, value.trim());
        match name {
            "enabled" => Params::set(&params.enabled, "enabled", value),
            "compressor" => Ok(self.switch(value)?),
            "max_pool_percent" => {
                Params::set_percent(&params.max_pool_percent, "max_pool_percent", value)
            }
            "accept_threshold_percent" => {
                let param = &params.accept_threshold_percent;
                Params::set_percent(param, "accept_threshold_percent", value)
            }
            "shrinker_enabled" => Params::set(&params.shrinker_enabled, "shrinker_enabled", value),
            _ => Err(ParamError::Unknown { name: name.into() }),
        }
    }

    /// Names and values of the parameters.
    #[must_use]
    pub fn params(&self) -> [(&'static str, String); PARAMS.len()] {
        let on = |param: &AtomicBool| if param.load(Acquire) { "Y" } else { "N" }.to_owned();
        let params = &self.params;
        PARAMS.map(|param| {
            let value = match param.name {
                "enabled" => on(&params.enabled),
                "compressor" => self.acomp().name().to_owned(),
                "max_pool_percent" => params.max_pool_percent.load(Acquire).to_string(),
                "accept_threshold_percent" => {
                    params.accept_threshold_percent.load(Acquire).to_string()
                }
                _ => on(&params.shrinker_enabled),
            };
            (param.name, value)
        })
    }

    /// What an owner keeps, and may keep. `None`: the pool is not built for so many.
    #[must_use]
    pub fn owner(&self, owner: Owner) -> Option<OwnerUsage> {
        self.state.accounts.get(owner).map(Account::usage)
    }

    /// Lets an owner have so many bytes of objects; `None`: as many as fit. Whether there is such
    /// an owner.
    pub fn set_owner_limit(&self, owner: Owner, bytes: Option<u64>) -> bool {
        let account = self.state.accounts.get(owner);
        account.map(|account| account.set_limit(bytes.unwrap_or(u64::MAX))).is_some()
    }

    /// Lets an owner's pages be written to the device, or not. Without, pages that do not compress
    /// are refused. Whether there is such an owner.
    pub fn set_owner_writeback(&self, owner: Owner, on: bool) -> bool {
        let account = self.state.accounts.get(owner);
        account.map(|account| account.set_writeback(on)).is_some()
    }

    /// How many pages of an owner the shrinker would have written back: none unless
    /// `shrinker_enabled`. Pages that lately came from the device protect as many others, and the
    /// better pages compress, the less there is to gain.
    #[must_use]
    pub fn shrink_count(&self, owner: Owner) -> usize {
        let is_on = self.params.shrinker_enabled.load(Acquire) && self.state.device.is_some();
        let account = self.state.accounts.get(owner).filter(|account| account.has_writeback());
        let Some(account) = account.filter(|_| is_on) else { return 0 };
        let usage = account.usage();
        let listed = lock(&account.lists).lru.len();
        let protected = usize::try_from(account.device_reads.load(Relaxed)).unwrap_or(usize::MAX);
        let freeable = listed.saturating_sub(protected) as u64;
        let pages = usage.pages.max(1) * PAGE_BYTES as u64;
        let share = u128::from(freeable) * u128::from(usage.bytes.min(pages)) / u128::from(pages);
        usize::try_from(share).unwrap_or(usize::MAX)
    }

    /// Looks at so many pages of an owner, in the order in which they were stored: drops
    /// duplicates, gives second chances, and writes the others back.
    pub fn shrink(&self, owner: Owner, pages_max: usize) -> Reclaimed {
        let reclaimed = self.reclaim(owner, pages_max);
        if let Some(account) = self.state.accounts.get(owner) {
            // Each read from the device has protected a page once.
            let looked = (reclaimed.pages() + reclaimed.rotated + reclaimed.failed) as u64;
            let consume = |reads: u64| Some(reads.saturating_sub(looked));
            let _ = account.device_reads.fetch_update(Relaxed, Relaxed, consume);
        }
        reclaimed
    }

    /// Does what the data path leaves to others: takes memory from the system for what comes next
    /// and returns what is too much, compacts, closes former compressors, and writes back if the
    /// pool was full. To be called often, and never in a fault path.
    ///
    /// # Errors
    ///
    /// The system gave no memory.
    pub fn maintain(&self) -> io::Result<Maintained> {
        self.is_wanting.store(false, Release);
        let reclaimed = self.write_back();
        self.drain();
        let objects_moved = self.compact();
        // What can be returned is, also when nothing is to be had.
        let bytes_returned = self.state.objects.trim().map_err(io::Error::other);
        self.state.refill()?;
        let bytes_returned = bytes_returned?;
        Ok(Maintained { reclaimed, objects_moved, bytes_returned })
    }

    /// Moves objects together, so that memory comes free which is held for few of them. Bounded,
    /// and without a call of the global allocator. Returns how many were moved.
    pub fn compact(&self) -> usize {
        self.state.objects.compact(COMPACTED_OBJECTS_MAX).objects
    }

    /// Changes the compressor. A session of the new one is opened here, so that those who may not
    /// open one themselves have it.
    fn switch(&self, name: &str) -> Result<(), SwitchError> {
        self.drain();
        self.state.contexts.switch(name)
    }

    /// Closes former compressors whose pages are gone.
    fn drain(&self) {
        let cpus = self.state.contexts.cpus();
        self.state.contexts.drain(|compressor| pages_of(cpus, compressor));
    }

    /// Whether somebody should call [`maintain`](Self::maintain).
    #[must_use]
    pub fn is_wanting(&self) -> bool {
        self.is_wanting.load(Acquire)
    }

    pub(crate) fn add_worker(&self, worker: Thread) {
        lock(&self.workers).push(worker);
    }

    pub(crate) fn remove_worker(&self, worker: ThreadId) {
        lock(&self.workers).retain(|other| other.id() != worker);
    }

    /// Calls `trim` with the number of blocks if all have become free that were in use. None is
    /// taken meanwhile.
    pub(crate) fn trim_device(&self, trim: impl FnOnce(u32)) {
        let _reclaiming = lock(&self.reclaiming);
        if let Some(Device { device, blocks }) = &self.state.device
            && blocks.have_become_free()
        {
            trim(device.blocks());
        }
    }

    /// After the pool was full: writes back until it accepts pages again, or until nothing helps.
    fn write_back(&self) -> Reclaimed {
        let mut reclaimed = Reclaimed::default();
        let owners = self.state.accounts.len();
        let (mut failures, mut fruitless) = (0, 0);
        while self.is_full() && failures < FAILURES_MAX && fruitless < 2 * owners {
            let next = self.next_owner.fetch_add(1, Relaxed) % owners.max(1);
            let owner = Owner::new(next as u16);
            let batch = self.reclaim(owner, CLUSTER_PAGES);
            failures += usize::from(batch.failed > 0);
            // Each page gets but one second chance: taking it away is a step forward.
            fruitless = if batch.pages() + batch.rotated > 0 { 0 } else { fruitless + 1 };
            reclaimed.add(batch);
            self.compact();
        }
        reclaimed
    }

    fn reclaim(&self, owner: Owner, pages_max: usize) -> Reclaimed {
        let reclaim = |account| self.state.reclaim(account, pages_max, &mut lock(&self.reclaiming));
        self.state.accounts.get(owner).map(reclaim).unwrap_or_default()
    }

    fn store_folio(&self, first: Slot, folio: &[Page], owner: Owner) -> Result<(), StoreError> {
        check_range(first, folio)?;
        if !self.params.enabled.load(Acquire) {
            return Err(StoreError::Disabled);
        }
        let account = self.state.accounts.get(owner).ok_or(StoreError::NoOwner { owner })?;
        if account.is_at_limit() && self.reclaim(owner, CLUSTER_PAGES).pages() == 0 {
            return Err(StoreError::OwnerLimit { owner });
        }
        if self.is_full() {
            return Err(StoreError::PoolLimit);
        }
        match self.housekeeping {
            _ if !self.state.objects.is_short() => {}
            // Later, pages would have to be compressed again. What fails now fails then.
            Housekeeping::Inline => drop(self.state.refill()),
            Housekeeping::Faults => drop(self.state.refill_memory()),
            Housekeeping::Apart => self.want(),
        }
        let mut zero_pages = 0;
        for (slot, at, pages) in sub_batches(first, folio.len()) {
            let pages = folio.get(at..at + pages).unwrap_or_default();
            zero_pages += self.store_pages(slot, pages, owner, account)?;
        }
        let events = self.state.events();
        count(&events.swpout_zero, zero_pages);
        count(&events.zswpout, folio.len() - zero_pages);
        if folio.len() > SUB_BATCH {
            self.look_ahead();
        }
        Ok(())
    }

    fn store_pages(
        &self,
        first: Slot,
        pages: &[Page],
        owner: Owner,
        account: &Account,
    ) -> Result<usize, StoreError> {
        let stored = self.state.store_pages(first, pages, owner, account);
        if stored != Err(StoreError::NoMemory) {
            return stored;
        }
        let is_refilled = match self.housekeeping {
            Housekeeping::Inline => self.state.refill().is_ok(),
            Housekeeping::Faults => self.state.refill_memory().is_ok(),
            Housekeeping::Apart => false,
        };
        if is_refilled {
            return self.state.store_pages(first, pages, owner, account);
        }
        self.want();
        stored
    }

    /// Slots beyond the last one hold nothing: wrapping around must not reach slot 0.
    fn purge(&self, first: Slot, pages: usize) {
        let slots = (0..pages).map_while(|at| first.0.checked_add(at as u64));
        slots.for_each(|slot| self.invalidate(Slot(slot)));
    }

    /// Out of line: its frame holds what was found of a whole folio.
    #[inline(never)]
    fn load_folio(&self, first: Slot, dst: &mut [Page], how: Load) -> Result<Loaded, LoadError> {
        self.state.load_pages::<FOLIO_PAGES_MAX>(first, dst, how)
    }

    /// With the kernel's hysteresis: once full, the pool accepts pages again below the threshold.
    fn is_full(&self) -> bool {
        let max = Params::percent_of(&self.params.max_pool_percent, self.total_bytes);
        let mut held = self.state.objects.held_bytes() as u64;
        let mut is_over = held >= max;
        if self.limits_metadata {
            let metadata = self.state.metadata_bytes() as u64;
            held += metadata;
            self.state.objects.set_limit(max.saturating_sub(metadata) as usize);
            is_over = self.state.objects.is_at_limit();
        }
        if is_over {
            self.reached_full.store(true, Relaxed);
            return true;
        }
        let accept = Params::percent_of(&self.params.accept_threshold_percent, max);
        if self.reached_full.load(Relaxed) && held <= accept {
            self.reached_full.store(false, Relaxed);
        }
        self.reached_full.load(Relaxed)
    }

    #[cold]
    fn want(&self) {
        if !self.is_wanting.swap(true, Release) {
            lock(&self.workers).iter().for_each(Thread::unpark);
        }
    }

    /// When this call began, if it is one that is timed.
    #[inline]
    fn sample(&self, which: usize) -> Option<u64> {
        let calls = self.state.events().calls.get(which)?.fetch_add(1, Relaxed);
        calls.is_multiple_of(SAMPLED_OPS).then(|| self.sampled_at())
    }

    #[cold]
    fn sampled_at(&self) -> u64 {
        self.look_ahead();
        self.clock.now_ns()
    }

    /// Whether the reserves run low: now and then is often enough for single pages.
    fn look_ahead(&self) {
        if self.state.tree.is_low() || self.state.entries.is_low() || self.state.objects.is_low() {
            self.want();
        }
    }

    #[inline]
    fn sampled(&self, which: usize, from_ns: Option<u64>, pages: usize) {
        if let Some(from_ns) = from_ns
            && let Some(latencies) = self.state.events().latencies.get(which)
        {
            let ns = self.clock.now_ns().saturating_sub(from_ns);
            latencies.count(ns / pages.max(1) as u64);
        }
    }
}

fn check_range(first: Slot, folio: &[Page]) -> Result<(), RangeError> {
    let pages = folio.len();
    if !(1..=FOLIO_PAGES_MAX).contains(&pages) {
        return Err(RangeError::FolioPages { pages });
    }
    match first.0.checked_add(pages as u64 - 1) {
        Some(_last) => Ok(()),
        None => Err(RangeError::Slots { first, pages }),
    }
}

/// Which calls are counted and timed.
const STORES: usize = 0;
const LOADS: usize = 1;
/// Of so many calls on a CPU, one is timed.
const SAMPLED_OPS: u64 = 64;
/// Pages that are looked at at a time: the kernel's `SWAP_CLUSTER_MAX`.
const CLUSTER_PAGES: usize = 32;
/// The kernel's `MAX_RECLAIM_RETRIES`.
const FAILURES_MAX: usize = 16;
/// Objects that one maintenance moves.
const COMPACTED_OBJECTS_MAX: usize = 4096;
