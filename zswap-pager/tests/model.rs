//! A region under random operations against plain memory.
//!
//! `ZSWAP_PAGER_SEED=n` repeats a series; `ZSWAP_PAGER_SOAK_S=n` is how long the soak takes.

#![expect(clippy::unwrap_used, reason = "test helpers unwrap like tests")]

mod support;

use std::env;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;
use zswap_pager::{Advice, Kept, MapOptions, Pager, Region};

use support::{KINDS, Kind, LIMIT_BYTES, MIB, PAGE_BYTES, assert_empty, assert_settled, content};

#[test]
fn a_region_does_what_memory_does() {
    let seed = number("ZSWAP_PAGER_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("ZSWAP_PAGER_SEED={seed}");
    let mut rng = Rng::with_seed(seed);
    for kind in KINDS {
        for kept in [Kept::Off, Kept::Exact, Kept::Hash] {
            let kind = Kind { kept, is_fifo: rng.bool(), ..kind };
            let folio_pages = [1, 2, 5, 16, 64, 256][rng.usize(..6)];
            let builder = kind.builder().folio_pages(folio_pages).helpers(rng.usize(..2));
            let Some(pager) = support::build(builder) else { return };
            let mut model = Model::new(&pager, rng.fork());
            for _ in 0..250 {
                model.step();
            }
            // A fault may bring zeros of pages behind the end.
            model.resize(CAPACITY / PAGE_BYTES);
            model.verify(0..model.memory.len());
            assert_settled(&pager, &[&model.region]);
            model.verify(0..model.memory.len());
            drop(model);
            assert_empty(&pager);
        }
    }
}

/// Threads with regions of their own, and one in common that all of them read.
#[test]
#[ignore = "takes ten minutes"]
fn soak() {
    let time = Duration::from_secs(number("ZSWAP_PAGER_SOAK_S").unwrap_or(600));
    let seed = number("ZSWAP_PAGER_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("ZSWAP_PAGER_SEED={seed}");
    for (kind, index) in KINDS.into_iter().zip(0..) {
        let Some(pager) = support::build(kind.builder().helpers(1)) else { return };
        let end = Instant::now() + time / KINDS.len() as u32;
        let mut common = pager.map(8 * MIB).unwrap();
        support::fill(&mut common, 1);
        let is_over = Arc::new(AtomicBool::new(false));
        thread::scope(|scope| {
            for thread in 0..THREADS {
                let (pager, common) = (&pager, &common);
                let rng = Rng::with_seed(seed ^ thread << 8 ^ index);
                let is_over = Arc::clone(&is_over);
                scope.spawn(move || {
                    while !is_over.load(Relaxed) {
                        live(pager, common, rng.clone(), 400);
                        is_over.fetch_or(Instant::now() >= end, Relaxed);
                    }
                });
            }
        });
        let stats = pager.stats();
        // With half of the limit pinned and the rest in frames that faults read, those faults come
        // in over the limit.
        assert!(stats.used_bytes_max <= LIMIT_BYTES as u64 * 3 / 2, "{kind:?} {stats:?}");
        assert_eq!(stats.pages_lost, 0, "{kind:?} {stats:?}");
        support::verify(&common, 1);
        assert_settled(&pager, &[&common]);
        drop(common);
        assert_empty(&pager);
    }
}

/// The life of a region.
fn live(pager: &Pager, common: &Region, mut rng: Rng, steps: usize) {
    let mut model = Model::new(pager, rng.fork());
    for _ in 0..steps {
        model.step();
        let page = rng.usize(..common.len() / PAGE_BYTES);
        let bytes = &common[page * PAGE_BYTES..][..PAGE_BYTES];
        assert!(bytes == content(page as u64 + 1), "page {page} of the common region");
        if rng.u8(..) == 0 {
            common.advise(0..common.len(), Advice::PageOut).unwrap();
        }
    }
    model.verify(0..model.memory.len());
}

struct Model {
    region: Region,
    memory: Vec<u8>,
    rng: Rng,
}

impl Model {
    fn new(pager: &Pager, rng: Rng) -> Self {
        let options = MapOptions::default().capacity(CAPACITY);
        let region = pager.map_with(CAPACITY / 2, options).unwrap();
        Self { region, memory: vec![0; CAPACITY / 2], rng }
    }

    fn step(&mut self) {
        match self.rng.u8(..100) {
            0..35 => self.write(),
            35..65 => {
                let pages = self.pages(64);
                self.verify(pages);
            }
            65..70 => self.advise(Advice::WillNeed),
            70..75 => self.advise(Advice::Cold),
            75..85 => self.advise(Advice::PageOut),
            85..90 => self.pin(),
            90..97 => {
                let pages = self.pages(700);
                self.region.discard(pages.clone()).unwrap();
                self.memory[pages].fill(0);
            }
            _ => {
                let pages = self.rng.usize(1..=CAPACITY / PAGE_BYTES);
                self.resize(pages);
            }
        }
    }

    fn resize(&mut self, pages: usize) {
        self.region.resize(pages * PAGE_BYTES).unwrap();
        self.memory.resize(pages * PAGE_BYTES, 0);
    }

    /// Whole pages, or a few bytes across a border of pages.
    fn write(&mut self) {
        let range = self.pages(64);
        if self.rng.bool() {
            let value = self.rng.u64(..);
            for (at, page) in self.memory[range.clone()].chunks_mut(PAGE_BYTES).enumerate() {
                page.copy_from_slice(&content(value.wrapping_add(at as u64)));
            }
            self.region[range.clone()].copy_from_slice(&self.memory[range]);
        } else {
            let from = self.rng.usize(range);
            let to = (from + self.rng.usize(1..100)).min(self.memory.len());
            self.memory[from..to].fill_with(|| self.rng.u8(..));
            self.region[from..to].copy_from_slice(&self.memory[from..to]);
        }
    }

    fn verify(&self, range: std::ops::Range<usize>) {
        let first = range.start / PAGE_BYTES;
        let pages = self.region[range.clone()].chunks(PAGE_BYTES);
        for (at, (page, wanted)) in pages.zip(self.memory[range].chunks(PAGE_BYTES)).enumerate() {
            assert!(page == wanted, "page {} is another", first + at);
        }
    }

    fn advise(&mut self, advice: Advice) {
        let range = self.pages(800);
        self.region.advise(range, advice).unwrap();
    }

    fn pin(&mut self) {
        let range = self.pages(200);
        // Several threads may have pinned what may be pinned.
        if let Ok(_pinned) = self.region.pin(range.clone()) {
            self.region.advise(range.clone(), Advice::PageOut).unwrap();
            self.verify(range);
        }
    }

    /// Bytes of so many pages at most.
    fn pages(&mut self, pages_max: usize) -> std::ops::Range<usize> {
        let pages = self.memory.len() / PAGE_BYTES;
        let first = self.rng.usize(..pages);
        let count = self.rng.usize(1..=pages_max).min(pages - first);
        first * PAGE_BYTES..(first + count) * PAGE_BYTES
    }
}

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok()?.parse().ok()
}

const CAPACITY: usize = 8 * MIB;
const THREADS: u64 = 4;
