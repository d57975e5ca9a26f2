//! Pagers of every kind, pages made from a number, and tests in a process of their own.

#![allow(dead_code, reason = "each test file uses its own part")]
#![expect(clippy::unwrap_used, reason = "test helpers unwrap like tests")]

use std::env;
use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, Instant};

use acomp_algs as _;
use acomp_core::Registry;
use zswap_pager::{Advice, Builder, FaultMode, Fifo, Kept, Pager, PagerError, Region, Without};

pub(crate) const PAGE_BYTES: usize = 4096;
pub(crate) const MIB: usize = 1 << 20;
pub(crate) const LIMIT_BYTES: usize = 4 * MIB;

/// What tests go through.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    pub(crate) mode: FaultMode,
    pub(crate) without: Without,
    pub(crate) kept: Kept,
    pub(crate) is_fifo: bool,
}

impl Kind {
    pub(crate) const fn new(mode: FaultMode, without: Without) -> Self {
        Self { mode, without, kept: Kept::Exact, is_fifo: false }
    }

    pub(crate) fn builder(self) -> Builder {
        let builder = Pager::builder(Registry::global())
            .limit(LIMIT_BYTES as u64)
            .mode(self.mode)
            .without(self.without)
            .kept(self.kept);
        if self.is_fifo { builder.eviction(Fifo::default()) } else { builder }
    }

    pub(crate) fn pager(self) -> Option<Pager> {
        build(self.builder())
    }
}

/// Both modes on both rungs.
pub(crate) const KINDS: [Kind; 4] = [
    Kind::new(FaultMode::Thread, Without::Nothing),
    Kind::new(FaultMode::Thread, Without::Move),
    Kind::new(FaultMode::Sigbus, Without::Nothing),
    Kind::new(FaultMode::Sigbus, Without::Move),
];

/// A pager, where the system lets this process have one. A test without one shows nothing, and
/// says so.
pub(crate) fn build(builder: Builder) -> Option<Pager> {
    match builder.build() {
        Err(error @ (PagerError::NotPermitted | PagerError::Unsupported { .. })) => {
            eprintln!("NOTHING IS TESTED HERE: {error}");
            None
        }
        built => Some(built.unwrap()),
    }
}

/// What a page contains: zeros for 0, else of every kind in turn.
pub(crate) fn content(value: u64) -> [u8; PAGE_BYTES] {
    let mut page = [0; PAGE_BYTES];
    let word = |at: usize| match value % 8 {
        _ if value == 0 => 0,
        0 => value,
        1 => mix(value ^ (at as u64) << 32),
        _ if at.is_multiple_of(4) => mix(value ^ (at as u64 / 16) << 32),
        _ => value,
    };
    for (at, bytes) in page.as_chunks_mut().0.iter_mut().enumerate() {
        *bytes = word(at).to_le_bytes();
    }
    page
}

/// Splitmix64.
pub(crate) fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ value >> 31
}

/// Writes what pages contain, of those that the memory begins with the first of.
pub(crate) fn fill(memory: &mut [u8], first: u64) {
    for (page, value) in memory.chunks_mut(PAGE_BYTES).zip(first..) {
        page.copy_from_slice(&content(value));
    }
}

/// Every byte.
pub(crate) fn verify(memory: &[u8], first: u64) {
    for (page, value) in memory.chunks(PAGE_BYTES).zip(first..) {
        assert!(page == content(value), "page {value} is another");
    }
}

/// Nobody is at work: everything leaves, and the books balance. For regions that are all of their
/// pager's, when nothing is pinned and everything fits.
pub(crate) fn assert_settled(pager: &Pager, regions: &[&Region]) {
    for region in regions {
        region.advise(0..region.len(), Advice::PageOut).unwrap();
        let stats = region.stats();
        assert_eq!((stats.resident, stats.in_transit, stats.lost), (0, 0, 0), "{stats:?}");
        assert_eq!(stats.untouched + stats.stored, capacity_pages(region), "{stats:?}");
    }
    assert_unused(pager);
}

/// Nothing of any region is left behind.
pub(crate) fn assert_empty(pager: &Pager) {
    assert_unused(pager);
    let pool = pager.pool().counters();
    assert_eq!((pool.stored_pages, pool.object_bytes, pool.duplicate_pages), (0, 0, 0));
}

/// What is used is these two together: a page that is counted twice, or not, shows here. A helper
/// may be about to give back a frame that it has emptied.
fn assert_unused(pager: &Pager) {
    let end = Instant::now() + Duration::from_secs(10);
    let used = || (pager.stats().resident_bytes, pager.stats().staging_bytes);
    while used() != (0, 0) && Instant::now() < end {
        thread::yield_now();
    }
    assert_eq!(used(), (0, 0), "{:?}", pager.stats());
}

fn capacity_pages(region: &Region) -> usize {
    let stats = region.stats();
    stats.untouched + stats.resident + stats.in_transit + stats.stored + stats.lost
}

/// Whether this is the process that [`run_alone`] made for the test.
pub(crate) fn is_alone() -> bool {
    env::var_os(ALONE).is_some()
}

/// Runs the test of this name in a process of its own, which may die.
pub(crate) fn run_alone(test: &str) -> Output {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]).env(ALONE, "1");
    command.output().unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

const ALONE: &str = "ZSWAP_PAGER_TEST_ALONE";
