//! A pool under random operations against a plain map, with shrinking: what fails is told as a
//! short list of operations.
//!
//! In some series, operations are refused memory, by a reserve or by the system, compressions and
//! decompressions fail, and so does the device: any of the places that an operation comes to, as
//! `zswap/src/fault.rs` counts them. It is why this is a part of the crate, if only in its tests.
//!
//! `ZSWAP_MODEL_SEED=n` chooses another series.

#[path = "../devices/mod.rs"]
mod devices;
mod faults;
#[path = "../pages/mod.rs"]
mod pages;

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::mem::{self, Discriminant};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use acomp_algs as _;
use acomp_core::{Acomp, Error, Params, Registry};
use proptest::prelude::{Just, Strategy, any, prop};
use proptest::prop_oneof;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use zswap::{
    Builder, Counters, Housekeeping, Load, LoadError, Loaded, Owner, Page, Pool, RangeError,
    Reclaimed, Revalidated, Slot, StoreError,
};

use crate::fault::{Fault, during};
use faults::Drivers;
use pages::{filled, random, stamped, text};

#[test]
fn pool_does_what_a_map_does() {
    run(25, 400, &Just(0..0));
}

#[test]
fn pool_does_what_a_map_does_where_anything_may_fail() {
    run(50, 200, &plan());
}

#[test]
#[ignore = "takes minutes"]
fn pool_does_what_a_map_does_for_long() {
    run(100, 1000, &Just(0..0));
    run(500, 200, &plan());
}

/// Runs so many operations, during each of which what its plan says fails.
fn run(cases: u32, steps: usize, plan: &(impl Strategy<Value = Range<usize>> + Clone)) {
    let seed = std::env::var("ZSWAP_MODEL_SEED").map_or(1, |seed| seed.parse().unwrap());
    println!("ZSWAP_MODEL_SEED={seed}");
    let mut bytes = [0; 32];
    fastrand::Rng::with_seed(seed).fill(&mut bytes);
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    // What a series never comes to, it does not test.
    let seen = RefCell::new(Seen::default());
    let ops = prop::collection::vec((op(), plan.clone()), steps);
    TestRunner::new_with_rng(config, rng)
        .run(&(described(), ops), |(described, ops)| {
            let mut model = Model::new(described);
            for (op, plan) in ops {
                model.plan = plan;
                model.step(op);
                model.check();
            }
            model.empty();
            seen.borrow_mut().add(&model);
            Ok::<(), TestCaseError>(())
        })
        .unwrap();
    let Seen { counters, refused, mut failed } = seen.into_inner();
    println!("{counters:?} {failed:?}");
    assert!(counters.zswpwb > 0 && counters.dropped_duplicates > 0);
    assert!(counters.reject_reclaim_fail > 0 && counters.device_read_fail > 0);
    let no_memory = mem::discriminant(&StoreError::NoMemory);
    assert_eq!(refused.contains(&no_memory), !failed.is_empty());
    assert_eq!(refused.iter().filter(|why| **why != no_memory).count(), 6, "the other errors");
    if failed.remove(&Fault::Discard) || !failed.is_empty() {
        assert_eq!(failed.len(), FAULTS, "{failed:?}");
    }
}

/// What fails during one operation: nothing, or one or two places of the few that a load comes to,
/// or of the many that a folio does.
fn plan() -> impl Strategy<Value = Range<usize>> + Clone {
    let range = |(first, count)| first..first + count;
    prop_oneof![
        1 => Just(0..0),
        2 => (prop_oneof![2 => 0..6_usize, 1 => 0..60_usize], 1..3_usize).prop_map(range),
    ]
}

/// What happened in a series.
#[derive(Debug, Default)]
struct Seen {
    counters: Counters,
    refused: HashSet<Discriminant<StoreError>>,
    failed: HashSet<Fault>,
}

impl Seen {
    fn add(&mut self, model: &Model) {
        let counters = model.pool.counters();
        self.counters.zswpwb += counters.zswpwb;
        self.counters.dropped_duplicates += counters.dropped_duplicates;
        self.counters.reject_reclaim_fail += counters.reject_reclaim_fail;
        self.counters.device_read_fail += counters.device_read_fail;
        self.refused.extend(&model.refused);
        self.failed.extend(&model.seen_failed);
    }
}

/// How a pool is built.
#[derive(Clone, Copy, Debug)]
struct Described {
    has_checksums: bool,
    is_apart: bool,
}

fn described() -> impl Strategy<Value = Described> {
    (any::<bool>(), any::<bool>())
        .prop_map(|(has_checksums, is_apart)| Described { has_checksums, is_apart })
}

/// A page is named by what it is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Zero,
    Filled(u64),
    Stamped(u64),
    Text(u64),
    Random(u64),
}

#[derive(Clone, Debug)]
enum Op {
    Store {
        slot: u64,
        folio: Vec<Kind>,
        owner: u16,
    },
    /// The largest folio, of like pages: more than a chunk of memory if they do not compress.
    StoreLarge {
        kind: Kind,
        owner: u16,
    },
    /// A folio that is no folio.
    StoreNone {
        slot: u64,
        pages: usize,
    },
    Load {
        slot: u64,
        how: Load,
    },
    LoadRange {
        slot: u64,
        pages: usize,
        how: Load,
    },
    Revalidate {
        slot: u64,
        is_same: bool,
    },
    Invalidate {
        slot: u64,
    },
    Set {
        name: &'static str,
        value: &'static str,
    },
    OwnerLimit {
        owner: u16,
        bytes: Option<u64>,
    },
    OwnerWriteback {
        owner: u16,
        on: bool,
    },
    Shrink {
        owner: u16,
        pages: usize,
    },
    Maintain,
    /// The device writes so few pages of each batch, and reads or not.
    Device {
        writes: usize,
        reads: bool,
    },
}

fn op() -> impl Strategy<Value = Op> {
    let owner = || 0..OWNERS;
    prop_oneof![
        30 => (slot(), folio(), 0..=OWNERS)
            .prop_map(|(slot, folio, owner)| Op::Store { slot, folio, owner }),
        2 => (prop_oneof![2 => (0..20_u64).prop_map(Kind::Random), 1 => kind()], owner())
            .prop_map(|(kind, owner)| Op::StoreLarge { kind, owner }),
        1 => (slot(), prop_oneof![Just(0_usize), Just(513)])
            .prop_map(|(slot, pages)| Op::StoreNone { slot, pages }),
        12 => (slot(), how()).prop_map(|(slot, how)| Op::Load { slot, how }),
        20 => (slot(), 0..24_usize, how())
            .prop_map(|(slot, pages, how)| Op::LoadRange { slot, pages, how }),
        8 => (slot(), any::<bool>())
            .prop_map(|(slot, is_same)| Op::Revalidate { slot, is_same }),
        8 => slot().prop_map(|slot| Op::Invalidate { slot }),
        6 => param().prop_map(|(name, value)| Op::Set { name, value }),
        3 => (owner(), prop_oneof![Just(None), (0..60_000_u64).prop_map(Some)])
            .prop_map(|(owner, bytes)| Op::OwnerLimit { owner, bytes }),
        3 => (owner(), any::<bool>())
            .prop_map(|(owner, on)| Op::OwnerWriteback { owner, on }),
        8 => (owner(), 0..40_usize).prop_map(|(owner, pages)| Op::Shrink { owner, pages }),
        4 => Just(Op::Maintain),
        3 => (prop_oneof![0..9_usize, Just(ALL)], prop::bool::weighted(0.8))
            .prop_map(|(writes, reads)| Op::Device { writes, reads }),
    ]
}

/// At the first one, across two partitions of the tree, at the last one; seldom where the largest
/// folios are.
fn slot() -> impl Strategy<Value = u64> {
    let middle = 1 << 14;
    prop_oneof![
        10 => 0..SLOTS,
        10 => middle - SLOTS / 2..middle + SLOTS / 2,
        10 => u64::MAX - 9..=u64::MAX,
        1 => FAR..FAR + 512,
    ]
}

fn folio() -> impl Strategy<Value = Vec<Kind>> {
    prop_oneof![prop::collection::vec(kind(), 1..10), prop::collection::vec(kind(), 1..30)]
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        2 => Just(Kind::Zero),
        1 => (1..9_u64).prop_map(Kind::Filled),
        4 => (0..40_u64).prop_map(Kind::Stamped),
        4 => (0..20_u64).prop_map(Kind::Text),
        1 => (0..20_u64).prop_map(Kind::Random),
    ]
}

fn how() -> impl Strategy<Value = Load> {
    prop_oneof![Just(Load::Exclusive), Just(Load::Shared), Just(Load::Duplicate)]
}

fn param() -> impl Strategy<Value = (&'static str, &'static str)> {
    prop_oneof![
        4 => prop_oneof![Just("lz4"), Just("zstd"), Just("deflate"), Just("null"), Just("nope")]
            .prop_map(|name| ("compressor", name)),
        2 => prop_oneof![Just("0"), Just("10"), Just("20"), Just("30"), Just("100")]
            .prop_map(|percent| ("max_pool_percent", percent)),
        1 => prop_oneof![Just("0"), Just("50"), Just("90"), Just("100")]
            .prop_map(|percent| ("accept_threshold_percent", percent)),
        1 => prop_oneof![3 => Just("Y"), 1 => Just("N")].prop_map(|on| ("enabled", on)),
    ]
}

/// What is under a slot.
#[derive(Clone, Copy, Debug)]
struct Stored {
    kind: Kind,
    owner: u16,
    /// Bytes of its object; 0: it has none.
    bytes: u64,
    is_duplicate: bool,
    is_on_device: bool,
}

/// Totals so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Totals {
    zswpout: u64,
    swpout_zero: u64,
    zswpin: u64,
    swpin_zero: u64,
    pswpin: u64,
    zswpwb: u64,
    dropped_duplicates: u64,
    device_read_fail: u64,
    decompress_fail: u64,
    reject_compress_fail: u64,
    reject_alloc_fail: u64,
    reject_reclaim_fail: u64,
}

impl Described {
    fn apply(self, builder: Builder) -> Builder {
        let builder = if self.has_checksums { builder.checksums() } else { builder };
        if self.is_apart {
            // Of all reserves there is more than the model needs without maintenance.
            builder.housekeeping(Housekeeping::Apart)
        } else {
            builder.reserve_bytes(1)
        }
    }
}

/// A pool, and what it should hold.
struct Model {
    pool: Pool,
    _drivers: Drivers,
    described: Described,
    /// What fails during the next operation, and what failed during the last one and all.
    plan: Range<usize>,
    failed: Vec<Fault>,
    seen_failed: HashSet<Fault>,
    map: BTreeMap<u64, Stored>,
    totals: Totals,
    writes: Arc<AtomicUsize>,
    reads: Arc<AtomicUsize>,
    compressor: &'static str,
    limits: [Option<u64>; OWNERS as usize],
    has_writeback: [bool; OWNERS as usize],
    is_enabled: bool,
    max_percent: u64,
    /// It was full, and has taken no page since.
    may_be_full: bool,
    /// Why stores were refused.
    refused: HashSet<Discriminant<StoreError>>,
}

impl Model {
    fn new(described: Described) -> Self {
        let (writes, reads) = (Arc::new(AtomicUsize::new(ALL)), Arc::new(AtomicUsize::new(1)));
        let drivers = Drivers::new();
        let ram = Arc::new(faults::ram(BLOCKS, Arc::clone(&writes), Arc::clone(&reads)));
        let builder = Pool::builder(&drivers.registry).compressor("lz4").owners(OWNERS);
        let builder = described.apply(builder.total_bytes(TOTAL).device(ram));
        Self {
            pool: builder.build().unwrap(),
            _drivers: drivers,
            described,
            plan: 0..0,
            failed: Vec::new(),
            seen_failed: HashSet::new(),
            map: BTreeMap::new(),
            totals: Totals::default(),
            writes,
            reads,
            compressor: "lz4",
            limits: [None; OWNERS as usize],
            has_writeback: [true; OWNERS as usize],
            is_enabled: true,
            max_percent: 20,
            may_be_full: false,
            refused: HashSet::new(),
        }
    }

    /// Runs an operation, of which what is planned fails.
    fn with_faults<T>(&mut self, op: impl FnOnce(&Pool) -> T) -> T {
        let (result, failed) = during(mem::take(&mut self.plan), || op(&self.pool));
        self.seen_failed.extend(&failed);
        self.failed = failed;
        result
    }

    /// How often one of these was refused to the last operation.
    fn failures(&self, faults: &[Fault]) -> u64 {
        self.failed.iter().filter(|fault| faults.contains(fault)).count() as u64
    }

    fn step(&mut self, op: Op) {
        self.failed.clear();
        match op {
            Op::Store { slot, folio, owner } => self.store(slot, &folio, owner),
            Op::StoreLarge { kind, owner } => self.store(FAR, &[kind; 512], owner),
            Op::StoreNone { slot, pages } => {
                let stored = self.pool.store(Slot(slot), &vec![filled(1); pages], Owner::ROOT);
                assert_eq!(stored, Err(RangeError::FolioPages { pages }.into()));
                self.forget(slot, pages);
            }
            Op::Load { slot, how } => {
                self.load(slot, 1, how, |pool, dst| pool.load(Slot(slot), &mut dst[0], how));
            }
            Op::LoadRange { slot, pages, how } => {
                self.load(slot, pages, how, |pool, dst| pool.load_range(Slot(slot), dst, how));
            }
            Op::Revalidate { slot, is_same } => self.revalidate(slot, is_same),
            Op::Invalidate { slot } => {
                self.pool.invalidate(Slot(slot));
                self.map.remove(&slot);
            }
            Op::Set { name, value } => self.set(name, value),
            Op::OwnerLimit { owner, bytes } => {
                assert!(self.pool.set_owner_limit(Owner::new(owner), bytes));
                self.limits[usize::from(owner)] = bytes;
            }
            Op::OwnerWriteback { owner, on } => {
                assert!(self.pool.set_owner_writeback(Owner::new(owner), on));
                self.has_writeback[usize::from(owner)] = on;
            }
            Op::Shrink { owner, pages } => {
                let reclaimed = self.with_faults(|pool| pool.shrink(Owner::new(owner), pages));
                assert!(reclaimed.pages() + reclaimed.rotated + reclaimed.failed <= pages);
                self.reclaimed(Some(reclaimed));
            }
            Op::Maintain => self.maintain(),
            Op::Device { writes, reads } => {
                self.writes.store(writes, Relaxed);
                self.reads.store(usize::from(reads), Relaxed);
            }
        }
    }

    fn store(&mut self, first: u64, folio: &[Kind], owner: u16) {
        let pages: Vec<Page> = folio.iter().copied().map(page).collect();
        let before = self.pool.counters();
        let stored = self.with_faults(|pool| pool.store(Slot(first), &pages, Owner::new(owner)));
        let max = TOTAL * self.max_percent / 100;
        let at = usize::from(owner);
        let is_at_limit =
            self.limits.get(at).copied().flatten().is_some_and(|limit| self.usage(at).1 >= limit);
        self.refused.extend(stored.err().map(|error| mem::discriminant(&error)));
        match stored {
            Err(StoreError::OwnerLimit { .. }) => assert!(is_at_limit && self.is_enabled),
            Err(StoreError::PoolLimit) => {
                let is_full = before.pool_total_size >= max || self.may_be_full;
                // All memory that there may be is committed: there is no other frame.
                assert!(is_full || self.failures(&[Fault::Frame]) > 0, "{before:?}");
                self.may_be_full = true;
            }
            stored => {
                let known = (stored, self.is_starved(&before, stored));
                assert_eq!(stored, self.expected_store(first, folio, owner, known));
                let was_asked = matches!(
                    stored,
                    Ok(()) | Err(StoreError::NoMemory | StoreError::Incompressible { .. })
                );
                self.may_be_full &= !was_asked;
            }
        }
        if stored.is_ok() {
            assert!(before.pool_total_size < max || is_at_limit, "it was full");
        }
        self.forget(first, folio.len());
        if stored.is_ok() {
            self.insert(first, folio, owner);
        }
        self.check_rejects(&before, stored.is_ok());
        if is_at_limit {
            self.reclaimed(None);
        }
    }

    /// A folio was stored.
    fn insert(&mut self, first: u64, folio: &[Kind], owner: u16) {
        for (slot, kind) in (first..=u64::MAX).zip(folio) {
            let bytes = self.length(*kind);
            let (is_duplicate, is_on_device) = (false, false);
            self.map.insert(slot, Stored { kind: *kind, owner, bytes, is_duplicate, is_on_device });
        }
        let zero = folio.iter().filter(|kind| **kind == Kind::Zero).count();
        self.totals.swpout_zero += zero as u64;
        self.totals.zswpout += (folio.len() - zero) as u64;
        // Those that could not be compressed are raw now. Finds out which.
        let mut raw = self.failures(&[Fault::Compress]);
        for slot in (first..=u64::MAX).take(if raw > 0 { folio.len() } else { 0 }) {
            let loaded = self.pool.load(Slot(slot), &mut filled(0xBAD), Load::Shared).unwrap();
            self.totals.swpin_zero += loaded.zero as u64;
            self.totals.zswpin += 1 - loaded.zero as u64;
            let stored = self.map.get_mut(&slot).unwrap();
            if loaded.incompressible == 1 && stored.bytes < 4096 {
                assert!(stored.bytes > 0 && raw > 0, "slot {slot}: {stored:?} is raw");
                stored.bytes = 4096;
                raw -= 1;
            }
        }
    }

    /// Compares what a store counted of its failures.
    fn check_rejects(&mut self, before: &Counters, is_stored: bool) {
        let counters = self.pool.counters();
        let no_entry = counters.reject_kmemcache_fail - before.reject_kmemcache_fail;
        assert_eq!(no_entry > 0, self.failures(&[Fault::Entry]) > 0);
        let no_memory = counters.reject_alloc_fail - before.reject_alloc_fail;
        let failed = self.failures(&OBJECT_FAULTS);
        if self.described.is_apart {
            assert_eq!(no_memory, failed);
        } else {
            // The reserve was empty once more, and could be refilled or not.
            assert!((failed..=failed + 1).contains(&no_memory), "{no_memory} of {failed}");
        }
        self.totals.reject_alloc_fail += no_memory;
        let uncompressed = counters.reject_compress_fail - before.reject_compress_fail;
        let failed = self.failures(&[Fault::Compress]);
        // Nothing of what is not stored need be known.
        assert!(if is_stored { uncompressed == failed } else { uncompressed <= failed });
        self.totals.reject_compress_fail += uncompressed;
    }

    /// Whether a store had to fail since it was refused memory: also after it had asked the system
    /// for some, if it may do that.
    fn is_starved(&self, before: &Counters, stored: Result<(), StoreError>) -> bool {
        let is_memory = |fault| fault == Fault::Entry || OBJECT_FAULTS.contains(&fault);
        let mut failed = self.failed.iter().copied();
        if self.described.is_apart {
            return failed.any(is_memory);
        }
        let no_memory = self.pool.counters().reject_alloc_fail - before.reject_alloc_fail;
        if no_memory == self.failures(&OBJECT_FAULTS) {
            return self.failed.windows(2).any(|pair| is_memory(pair[0]));
        }
        // The reserve was empty. Whether what was refused came after that, only the pool can tell.
        let is_refused = failed.any(|fault| is_memory(fault) || fault == Fault::Populate);
        is_refused && stored == Err(StoreError::NoMemory)
    }

    /// What comes of a store if no limit is reached.
    fn expected_store(
        &self,
        first: u64,
        folio: &[Kind],
        owner: u16,
        (stored, is_starved): (Result<(), StoreError>, bool),
    ) -> Result<(), StoreError> {
        is_range(first, folio.len())?;
        if !self.is_enabled {
            return Err(StoreError::Disabled);
        }
        let Some(has_writeback) = self.has_writeback.get(usize::from(owner)) else {
            return Err(StoreError::NoOwner { owner: Owner::new(owner) });
        };
        if is_starved {
            return Err(StoreError::NoMemory);
        }
        if *has_writeback {
            return Ok(());
        }
        // Which of the pages could not be compressed, only the pool can tell.
        if self.failures(&[Fault::Compress]) > 0
            && let Err(StoreError::Incompressible { slot }) = stored
            && (slot.0 - first) < folio.len() as u64
        {
            return stored;
        }
        let poor = folio.iter().position(|kind| self.length(*kind) == 4096);
        let incompressible = |at| Err(StoreError::Incompressible { slot: Slot(first + at as u64) });
        poor.map_or(Ok(()), incompressible)
    }

    fn load(
        &mut self,
        first: u64,
        pages: usize,
        how: Load,
        load: impl Fn(&Pool, &mut [Page]) -> Result<Loaded, LoadError>,
    ) {
        let mut dst = vec![filled(0xBAD); pages];
        let loaded = self.with_faults(|pool| load(pool, &mut dst));
        if let Err(error) = self.expected_load(first, pages, loaded.err()) {
            assert_eq!(loaded, Err(error));
            self.count_failed(error);
            return;
        }
        let loaded = loaded.unwrap();
        let mut expected = Loaded::default();
        for (slot, dst) in (first..=u64::MAX).zip(&dst) {
            let stored = self.map.get_mut(&slot).unwrap();
            assert!(*dst == page(stored.kind), "slot {slot}: another page than {stored:?}");
            match stored {
                Stored { is_on_device: true, .. } => expected.from_device += 1,
                Stored { kind: Kind::Zero, .. } => expected.zero += 1,
                Stored { bytes: 0, .. } => expected.same_filled += 1,
                Stored { bytes: 4096, .. } => expected.incompressible += 1,
                _ => expected.decompressed += 1,
            }
            match how {
                Load::Shared => {}
                Load::Exclusive => drop(self.map.remove(&slot)),
                Load::Duplicate => {
                    stored.is_duplicate |= stored.bytes > 0 && !stored.is_on_device;
                }
            }
        }
        assert_eq!(loaded, expected);
        self.totals.swpin_zero += loaded.zero as u64;
        self.totals.pswpin += loaded.from_device as u64;
        self.totals.zswpin += (pages - loaded.zero - loaded.from_device) as u64;
    }

    fn expected_load(
        &self,
        first: u64,
        pages: usize,
        failed: Option<LoadError>,
    ) -> Result<(), LoadError> {
        is_range(first, pages)?;
        if let Some(fault) = self.failed.first() {
            // Which page it was, only the pool can tell: one of those that can fail so.
            let failed = failed.unwrap();
            let is_it = |slot: Slot, is_it: &dyn Fn(&Stored) -> bool| {
                slot.0 - first < pages as u64 && self.map.get(&slot.0).is_some_and(is_it)
            };
            assert!(match (fault, failed) {
                (Fault::Read, LoadError::Device { slot, .. }) => is_it(slot, &|s| s.is_on_device),
                (Fault::Decompress, LoadError::Decompress { slot, error: Error::DeviceLost }) =>
                    is_it(slot, &|s| (1..4096).contains(&s.bytes) && !s.is_on_device),
                _ => false,
            });
            return Err(failed);
        }
        // Sub-batches are of 8 pages in one partition.
        let mut at = 0;
        while at < pages {
            let slot = first + at as u64;
            let count = (pages - at).min(8).min((1 << 14) - (slot % (1 << 14)) as usize);
            let slots = || slot..=slot + (count as u64 - 1);
            if let Some(slot) = slots().find(|slot| !self.map.contains_key(slot)) {
                return Err(LoadError::NotFound { slot: Slot(slot) });
            }
            if self.reads.load(Relaxed) == 0
                && let Some(slot) = slots().find(|slot| self.map[slot].is_on_device)
            {
                return Err(LoadError::Device { slot: Slot(slot), error: io::ErrorKind::Other });
            }
            at += count;
        }
        Ok(())
    }

    fn revalidate(&mut self, slot: u64, is_same: bool) {
        let mut its_page = self.map.get(&slot).map_or(filled(0), |stored| page(stored.kind));
        its_page[4095] ^= u8::from(!is_same);
        let revalidated = self.with_faults(|pool| pool.revalidate(Slot(slot), &its_page));
        let expected = match self.expected_load(slot, 1, revalidated.err()) {
            Err(LoadError::NotFound { .. }) => Ok(Revalidated::Gone),
            Err(error) => Err(error),
            Ok(()) => Ok(if is_same { Revalidated::Same } else { Revalidated::Changed }),
        };
        expected.err().into_iter().for_each(|error| self.count_failed(error));
        assert_eq!(revalidated, expected);
        match expected {
            Ok(Revalidated::Same) => self.map.get_mut(&slot).unwrap().is_duplicate = false,
            Ok(Revalidated::Changed) => drop(self.map.remove(&slot)),
            Ok(Revalidated::Gone) | Err(_) => {}
        }
    }

    fn count_failed(&mut self, error: LoadError) {
        match error {
            LoadError::Device { .. } => self.totals.device_read_fail += 1,
            LoadError::Decompress { .. } => self.totals.decompress_fail += 1,
            _ => {}
        }
    }

    fn maintain(&mut self) {
        let held = self.pool.counters().pool_total_size;
        self.may_be_full |= held >= TOTAL * self.max_percent / 100;
        let done = self.with_faults(Pool::maintain);
        let is_refused = self.failures(&[Fault::Populate, Fault::Discard]) > 0;
        assert_eq!(done.is_err(), is_refused, "{done:?}");
        self.reclaimed(done.ok().map(|done| done.reclaimed));
    }

    fn set(&mut self, name: &'static str, value: &'static str) {
        let set = self.pool.set(name, value);
        assert_eq!(set.is_err(), value == "nope", "{set:?}");
        match name {
            "enabled" => self.is_enabled = value == "Y",
            "max_pool_percent" => self.max_percent = value.parse().unwrap(),
            "compressor" if set.is_ok() => self.compressor = value,
            _ => {}
        }
    }

    /// Pages may have gone to the device, and duplicates may be gone. Finds out which.
    fn reclaimed(&mut self, reclaimed: Option<Reclaimed>) {
        let counters = self.pool.counters();
        let written = (counters.zswpwb - self.totals.zswpwb) as usize;
        let dropped = (counters.dropped_duplicates - self.totals.dropped_duplicates) as usize;
        let unwritten = counters.reject_reclaim_fail - self.totals.reject_reclaim_fail;
        // A store decompresses and writes nothing but what it writes back.
        let undecompressed = self.failures(&[Fault::Decompress]);
        let failed = undecompressed + self.failures(&[Fault::Block, Fault::Write]);
        assert!(unwritten >= failed, "{unwritten} of {failed}");
        if let Some(reclaimed) = reclaimed {
            assert_eq!((reclaimed.written, reclaimed.dropped), (written, dropped));
            assert_eq!(reclaimed.failed as u64, unwritten);
            let is_well = self.failed.is_empty() && self.writes.load(Relaxed) == ALL;
            let is_full = counters.device_pages == u64::from(BLOCKS);
            assert!(unwritten == 0 || is_full || !is_well, "{unwritten} pages had a block");
        }
        self.totals.decompress_fail += undecompressed;
        self.totals.reject_reclaim_fail = counters.reject_reclaim_fail;
        self.totals.zswpwb = counters.zswpwb;
        self.totals.dropped_duplicates = counters.dropped_duplicates;
        if written + dropped == 0 {
            return;
        }
        let (mut went, mut gone) = (0, 0);
        let reads = self.reads.swap(1, Relaxed);
        let Self { pool, map, totals, has_writeback, .. } = self;
        map.retain(|slot, stored| {
            let mut dst = filled(0xBAD);
            let Ok(loaded) = pool.load(Slot(*slot), &mut dst, Load::Shared) else {
                assert!(stored.is_duplicate, "slot {slot}: {stored:?} is lost");
                gone += 1;
                return false;
            };
            assert!(dst == page(stored.kind), "slot {slot}: another page than {stored:?}");
            totals.swpin_zero += loaded.zero as u64;
            totals.pswpin += loaded.from_device as u64;
            totals.zswpin += (1 - loaded.zero - loaded.from_device) as u64;
            if loaded.from_device == 1 && !stored.is_on_device {
                assert!(stored.bytes > 0 && !stored.is_duplicate, "{stored:?} was written");
                assert!(has_writeback[usize::from(stored.owner)], "{stored:?} was written");
                stored.is_on_device = true;
                went += 1;
            }
            true
        });
        self.reads.store(reads, Relaxed);
        // What was replaced by the store that wrote it back cannot be seen.
        assert!(went <= written && gone <= dropped, "{went} of {written}, {gone} of {dropped}");
        if reclaimed.is_some() {
            assert_eq!((went, gone), (written, dropped));
        }
    }

    /// Compares all counters.
    fn check(&self) {
        let counters = self.pool.counters();
        let count = |is_it: &dyn Fn(&Stored) -> bool| {
            self.map.values().filter(|stored| is_it(stored)).count() as u64
        };
        let is_zero = |stored: &Stored| stored.kind == Kind::Zero;
        let is_here = |stored: &Stored| !is_zero(stored) && !stored.is_on_device;
        assert_eq!(counters.zero_pages, count(&is_zero));
        assert_eq!(counters.stored_pages, count(&is_here));
        assert_eq!(counters.same_filled_pages, count(&|s| is_here(s) && s.bytes == 0));
        assert_eq!(counters.stored_incompressible_pages, count(&|s| is_here(s) && s.bytes == 4096));
        assert_eq!(counters.device_pages, count(&|stored| stored.is_on_device));
        assert_eq!(counters.duplicate_pages, count(&|stored| stored.is_duplicate));
        let totals = Totals {
            zswpout: counters.zswpout,
            swpout_zero: counters.swpout_zero,
            zswpin: counters.zswpin,
            swpin_zero: counters.swpin_zero,
            pswpin: counters.pswpin,
            zswpwb: counters.zswpwb,
            dropped_duplicates: counters.dropped_duplicates,
            device_read_fail: counters.device_read_fail,
            decompress_fail: counters.decompress_fail,
            reject_compress_fail: counters.reject_compress_fail,
            reject_alloc_fail: counters.reject_alloc_fail,
            reject_reclaim_fail: counters.reject_reclaim_fail,
        };
        assert_eq!(totals, self.totals);
        assert_eq!(counters.checksum_fail, 0);
        let mut bytes = 0;
        for owner in 0..usize::from(OWNERS) {
            let usage = self.pool.owner(Owner::new(owner as u16)).unwrap();
            assert_eq!((usage.pages, usage.bytes), self.usage(owner), "owner {owner}");
            assert_eq!(usage.limit_bytes, self.limits[owner]);
            bytes += usage.bytes;
        }
        assert_eq!(counters.object_bytes, bytes);
        assert!(counters.pool_total_size >= bytes);
    }

    /// Pages and bytes of an owner.
    fn usage(&self, owner: usize) -> (u64, u64) {
        let is_its = |stored: &&Stored| {
            usize::from(stored.owner) == owner && stored.kind != Kind::Zero && !stored.is_on_device
        };
        let its = self.map.values().filter(is_its);
        its.fold((0, 0), |(pages, bytes), stored| (pages + 1, bytes + stored.bytes))
    }

    /// Every page is there, and then none.
    fn empty(&mut self) {
        self.reads.store(1, Relaxed);
        let slots: Vec<_> = self.map.keys().copied().collect();
        for slot in slots {
            let how = if slot % 2 == 0 { Load::Exclusive } else { Load::Shared };
            self.load(slot, 1, how, |pool, dst| pool.load(Slot(slot), &mut dst[0], how));
            self.pool.invalidate(Slot(slot));
            self.map.remove(&slot);
        }
        self.check();
        let counters = self.pool.counters();
        assert_eq!((counters.object_bytes, counters.pool_total_size), (0, 0));
    }

    fn forget(&mut self, first: u64, pages: usize) {
        (first..=u64::MAX).take(pages).for_each(|slot| {
            self.map.remove(&slot);
        });
    }

    /// How many bytes the object of a page has.
    fn length(&self, kind: Kind) -> u64 {
        if let Kind::Zero | Kind::Filled(_) = kind {
            return 0;
        }
        let name = self.compressor;
        thread_local! {
            static LENGTHS: RefCell<HashMap<(&'static str, Kind), u64>> = RefCell::default();
        }
        let length = || {
            let acomp = Acomp::alloc_in(Registry::global(), name, Params::new()).unwrap();
            let mut dst = [0; 4095];
            let length = acomp.session().unwrap().compress(&page(kind), &mut dst);
            length.map_or(4096, |length| length as u64)
        };
        LENGTHS.with_borrow_mut(|lengths| *lengths.entry((name, kind)).or_insert_with(length))
    }
}

fn page(kind: Kind) -> Page {
    thread_local! {
        static MADE: RefCell<HashMap<Kind, Page>> = RefCell::default();
    }
    let make = || match kind {
        Kind::Zero => filled(0),
        Kind::Filled(word) => filled(word),
        Kind::Stamped(seed) => stamped(seed),
        Kind::Text(seed) => text(seed),
        Kind::Random(seed) => random(seed),
    };
    MADE.with_borrow_mut(|made| *made.entry(kind).or_insert_with(make))
}

fn is_range(first: u64, pages: usize) -> Result<(), RangeError> {
    if pages == 0 || pages > 512 {
        Err(RangeError::FolioPages { pages })
    } else if u64::MAX - first < pages as u64 - 1 {
        Err(RangeError::Slots { first: Slot(first), pages })
    } else {
        Ok(())
    }
}

/// What a store needs beside an entry.
const OBJECT_FAULTS: [Fault; 4] = [Fault::Partition, Fault::Node, Fault::Number, Fault::Frame];
/// What a series refuses: all but addresses, which only a builder asks for, and giving memory back,
/// which not every series comes to. `faults.rs` tests both.
const FAULTS: usize = 11;
const SLOTS: u64 = 40;
/// Where the largest folios are: in a partition of their own.
const FAR: u64 = 1 << 40;
const OWNERS: u16 = 3;
const BLOCKS: u32 = 24;
const TOTAL: u64 = 8 << 20;
/// More pages than there are in a batch.
const ALL: usize = 100;
