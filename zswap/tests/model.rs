//! A pool under random operations against a plain map, with shrinking: what fails is told as a
//! short list of operations.
//!
//! `ZSWAP_MODEL_SEED=n` chooses another series.

#![expect(clippy::unwrap_used, reason = "test helpers unwrap like tests")]

mod devices;
mod pages;

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::mem::{self, Discriminant};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use acomp_algs as _;
use acomp_core::{Acomp, Params, Registry};
use proptest::prelude::{Just, Strategy, any, prop};
use proptest::prop_oneof;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use zswap::{
    Counters, Load, LoadError, Loaded, Owner, Page, Pool, RangeError, Reclaimed, Revalidated, Slot,
    StoreError,
};

use devices::{Ram, unwritten};
use pages::{filled, random, stamped, text};

#[test]
fn pool_does_what_a_map_does() {
    run(25, 400);
}

#[test]
#[ignore = "takes minutes"]
fn pool_does_what_a_map_does_for_long() {
    run(100, 1000);
}

fn run(cases: u32, steps: usize) {
    let seed = std::env::var("ZSWAP_MODEL_SEED").map_or(1, |seed| seed.parse().unwrap());
    println!("ZSWAP_MODEL_SEED={seed}");
    let mut bytes = [0; 32];
    fastrand::Rng::with_seed(seed).fill(&mut bytes);
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    // What a series never comes to, it does not test.
    let seen = RefCell::new(Counters::default());
    let refused = RefCell::new(HashSet::new());
    let strategy = (any::<bool>(), prop::collection::vec(op(), steps));
    TestRunner::new_with_rng(config, rng)
        .run(&strategy, |(has_checksums, ops)| {
            let mut model = Model::new(has_checksums);
            for op in ops {
                model.step(op);
                model.check();
            }
            model.empty();
            let counters = model.pool.counters();
            let mut seen = seen.borrow_mut();
            seen.zswpwb += counters.zswpwb;
            seen.dropped_duplicates += counters.dropped_duplicates;
            seen.reject_reclaim_fail += counters.reject_reclaim_fail;
            seen.device_read_fail += counters.device_read_fail;
            refused.borrow_mut().extend(model.refused);
            Ok::<(), TestCaseError>(())
        })
        .unwrap();
    let seen = seen.into_inner();
    println!("{seen:?}");
    assert!(seen.zswpwb > 0 && seen.dropped_duplicates > 0);
    assert!(seen.reject_reclaim_fail > 0 && seen.device_read_fail > 0);
    assert_eq!(refused.into_inner().len(), 6, "every error of a store but `NoMemory`");
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

/// At the first one, across two partitions of the tree, at the last one.
fn slot() -> impl Strategy<Value = u64> {
    prop_oneof![0..SLOTS, (1 << 14) - SLOTS / 2..(1 << 14) + SLOTS / 2, u64::MAX - 9..=u64::MAX]
}

fn folio() -> impl Strategy<Value = Vec<Kind>> {
    let kind = prop_oneof![
        2 => Just(Kind::Zero),
        1 => (1..9_u64).prop_map(Kind::Filled),
        4 => (0..40_u64).prop_map(Kind::Stamped),
        4 => (0..20_u64).prop_map(Kind::Text),
        1 => (0..20_u64).prop_map(Kind::Random),
    ];
    prop_oneof![prop::collection::vec(kind.clone(), 1..10), prop::collection::vec(kind, 1..30)]
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
}

/// A pool, and what it should hold.
struct Model {
    pool: Pool,
    map: BTreeMap<u64, Stored>,
    totals: Totals,
    writes: Arc<AtomicUsize>,
    reads: Arc<AtomicUsize>,
    compressor: &'static str,
    limits: [Option<u64>; OWNERS as usize],
    has_writeback: [bool; OWNERS as usize],
    is_enabled: bool,
    max_percent: u64,
    /// Why stores were refused.
    refused: HashSet<Discriminant<StoreError>>,
}

impl Model {
    fn new(has_checksums: bool) -> Self {
        let (writes, reads) = (Arc::new(AtomicUsize::new(ALL)), Arc::new(AtomicUsize::new(1)));
        let (its_writes, its_reads) = (Arc::clone(&writes), Arc::clone(&reads));
        let ram = Ram::new(BLOCKS)
            .on_write(move |pages| {
                let writes = its_writes.load(Relaxed);
                (writes < pages.len()).then(|| unwritten(writes))
            })
            .on_read(move |_| (its_reads.load(Relaxed) == 0).then(|| io::Error::other("EIO")));
        let builder = Pool::builder(Registry::global()).compressor("lz4").owners(OWNERS);
        let builder = builder.total_bytes(TOTAL).device(Arc::new(ram));
        let builder = if has_checksums { builder.checksums() } else { builder };
        Self {
            pool: builder.build().unwrap(),
            map: BTreeMap::new(),
            totals: Totals::default(),
            writes,
            reads,
            compressor: "lz4",
            limits: [None; OWNERS as usize],
            has_writeback: [true; OWNERS as usize],
            is_enabled: true,
            max_percent: 20,
            refused: HashSet::new(),
        }
    }

    fn step(&mut self, op: Op) {
        match op {
            Op::Store { slot, folio, owner } => self.store(slot, &folio, owner),
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
                let reclaimed = self.pool.shrink(Owner::new(owner), pages);
                assert!(reclaimed.pages() + reclaimed.rotated + reclaimed.failed <= pages);
                self.reclaimed(Some(reclaimed));
            }
            Op::Maintain => {
                let done = self.pool.maintain().unwrap();
                self.reclaimed(Some(done.reclaimed));
            }
            Op::Device { writes, reads } => {
                self.writes.store(writes, Relaxed);
                self.reads.store(usize::from(reads), Relaxed);
            }
        }
    }

    fn store(&mut self, first: u64, folio: &[Kind], owner: u16) {
        let pages: Vec<Page> = folio.iter().copied().map(page).collect();
        let before = self.pool.counters();
        let stored = self.pool.store(Slot(first), &pages, Owner::new(owner));
        let expected = self.expected_store(first, folio, owner);
        let max = TOTAL * self.max_percent / 100;
        let at = usize::from(owner);
        let is_at_limit =
            self.limits.get(at).copied().flatten().is_some_and(|limit| self.usage(at).1 >= limit);
        self.refused.extend(stored.err().map(|error| mem::discriminant(&error)));
        match stored {
            Err(StoreError::OwnerLimit { .. }) => assert!(is_at_limit && self.is_enabled),
            // With hysteresis: it may have been full before.
            Err(StoreError::PoolLimit) => assert!(
                before.pool_total_size >= max || self.pool.counters().pool_limit_hit > 0,
                "{before:?}"
            ),
            stored => assert_eq!(stored, expected),
        }
        if stored.is_ok() {
            assert!(before.pool_total_size < max || is_at_limit, "it was full");
        }
        self.forget(first, folio.len());
        if stored.is_ok() {
            for (slot, kind) in (first..=u64::MAX).zip(folio) {
                let bytes = self.length(*kind);
                let (is_duplicate, is_on_device) = (false, false);
                self.map
                    .insert(slot, Stored { kind: *kind, owner, bytes, is_duplicate, is_on_device });
            }
            let zero = folio.iter().filter(|kind| **kind == Kind::Zero).count();
            self.totals.swpout_zero += zero as u64;
            self.totals.zswpout += (folio.len() - zero) as u64;
        }
        if is_at_limit {
            self.reclaimed(None);
        }
    }

    /// What comes of a store if no limit is reached.
    fn expected_store(&self, first: u64, folio: &[Kind], owner: u16) -> Result<(), StoreError> {
        is_range(first, folio.len())?;
        if !self.is_enabled {
            return Err(StoreError::Disabled);
        }
        let Some(has_writeback) = self.has_writeback.get(usize::from(owner)) else {
            return Err(StoreError::NoOwner { owner: Owner::new(owner) });
        };
        if *has_writeback {
            return Ok(());
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
        let loaded = load(&self.pool, &mut dst);
        if let Err(error) = self.expected_load(first, pages) {
            assert_eq!(loaded, Err(error));
            self.totals.device_read_fail += u64::from(matches!(error, LoadError::Device { .. }));
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

    fn expected_load(&self, first: u64, pages: usize) -> Result<(), LoadError> {
        is_range(first, pages)?;
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
        let expected = match self.expected_load(slot, 1) {
            Err(LoadError::NotFound { .. }) => Ok(Revalidated::Gone),
            Err(error) => Err(error),
            Ok(()) => Ok(if is_same { Revalidated::Same } else { Revalidated::Changed }),
        };
        self.totals.device_read_fail += u64::from(expected.is_err());
        let mut its_page = self.map.get(&slot).map_or(filled(0), |stored| page(stored.kind));
        its_page[4095] ^= u8::from(!is_same);
        assert_eq!(self.pool.revalidate(Slot(slot), &its_page), expected);
        match expected {
            Ok(Revalidated::Same) => self.map.get_mut(&slot).unwrap().is_duplicate = false,
            Ok(Revalidated::Changed) => drop(self.map.remove(&slot)),
            Ok(Revalidated::Gone) | Err(_) => {}
        }
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
        if let Some(reclaimed) = reclaimed {
            assert_eq!((reclaimed.written, reclaimed.dropped), (written, dropped));
        }
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
        };
        assert_eq!(totals, self.totals);
        let failures =
            [counters.decompress_fail, counters.checksum_fail, counters.reject_compress_fail];
        assert_eq!(failures, [0; 3]);
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

const SLOTS: u64 = 40;
const OWNERS: u16 = 3;
const BLOCKS: u32 = 24;
const TOTAL: u64 = 8 << 20;
/// More pages than there are in a batch.
const ALL: usize = 100;
