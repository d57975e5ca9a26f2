//! A simulation that cannot fail proves nothing: each of these defects, put between two parts of
//! the stack, breaks an invariant.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashMap;
use std::io;
use std::mem;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use acomp_core::{
    AlgInfo, Algorithm, Codec, Direction, DrivenBy, Engine, ExecutedOn, Job, OpMut, OpenError, Ops,
    Outcome, Params, Port, Progress, Refused,
};
use acomp_iaa::Accel;
use acomp_sim::{Case, Invariant, Seam, shrink, simulate};
use page_codec::deflate::Decoder;
use zswap::{Page, Pool, Slot, SwapDevice, Unwritten};

#[test]
fn pages_of_the_operation_before_are_found() {
    assert_found(&codec(Defect::Previous), &[Invariant::WrongPage]);
}

#[test]
fn a_codec_that_calls_pages_done_that_are_not_is_found() {
    assert_found(&codec(Defect::Untouched), &[Invariant::WrongPage, Invariant::Counters]);
}

#[test]
fn a_fallback_that_nobody_counts_is_found() {
    assert_found(&codec(Defect::Uncounted), &[Invariant::Counters]);
}

#[test]
fn memory_that_is_never_given_back_is_found() {
    assert_found(&codec(Defect::Leak), &[Invariant::Memory]);
}

#[test]
fn whoever_waits_for_ever_is_found() {
    // Software does some of what it does for ever, which nobody else asked for.
    assert_found(&codec(Defect::Forever), &[Invariant::Stuck, Invariant::Counters]);
}

#[test]
fn a_request_that_nobody_answers_is_found() {
    assert_found(&codec(Defect::Stranded), &[Invariant::Stuck]);
}

#[test]
fn a_request_that_is_dropped_is_found() {
    assert_found(&codec(Defect::Dropped), &[Invariant::Answer]);
}

#[test]
fn blocks_of_the_swap_device_that_are_stale_are_found() {
    let seam = disk(|sound| Arc::new(Stale { sound, before: Mutex::default() }));
    // The pool has their checksum.
    assert_found(&seam, &[Invariant::LostPage]);
}

#[test]
fn writes_to_the_swap_device_that_are_lost_are_found() {
    let seam = disk(|sound| Arc::new(Lossy { sound, writes: AtomicU64::new(0) }));
    assert_found(&seam, &[Invariant::LostPage]);
}

#[test]
fn a_lost_invalidation_is_found() {
    let seam: Arc<dyn Seam> = Arc::new(Forgetful::default());
    assert_found(&seam, &[Invariant::Counters, Invariant::StalePage, Invariant::Memory]);
}

#[test]
fn an_invalidation_of_a_neighbour_is_found() {
    let seam: Arc<dyn Seam> = Arc::new(Careless);
    assert_found(&seam, &[Invariant::Counters, Invariant::LostPage]);
}

#[test]
fn a_case_that_fails_shrinks_and_still_fails() {
    let seam = codec(Defect::Previous);
    let fails = |case: &Case| {
        let violation = simulate(case, &seam, false).violation;
        violation.is_some_and(|violation| violation.invariant == Invariant::WrongPage)
    };
    let case = (0..SEEDS).map(|seed| Case::of_seed(seed, STEPS)).find(|case| fails(case)).unwrap();
    let smallest = shrink(&case, 500, fails);
    assert!(fails(&smallest));
    // Two pages there, and one back.
    assert!(smallest.size() <= 8, "{} of {}: {smallest}", smallest.size(), case.size());
    assert!(!smallest.has_faults());
}

/// One of a few seeds finds it as the first of these, and none as something else.
fn assert_found(seam: &Arc<dyn Seam>, as_any_of: &[Invariant]) {
    let found = |seed| simulate(&Case::of_seed(seed, STEPS), seam, false).violation;
    let mut violations = (0..SEEDS).filter_map(found);
    let is_found = violations.any(|violation| {
        assert!(as_any_of.contains(&violation.invariant), "{violation}");
        violation.invariant == as_any_of[0]
    });
    assert!(is_found, "as {:?}", as_any_of[0]);
}

fn codec(defect: Defect) -> Arc<dyn Seam> {
    Arc::new(InCodec(defect))
}

fn disk(make: fn(Arc<dyn SwapDevice>) -> Arc<dyn SwapDevice>) -> Arc<dyn Seam> {
    Arc::new(InDisk(make))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Defect {
    /// A decompression gives what the one before gave.
    Previous,
    /// A decompression is done that was not begun.
    Untouched,
    /// A page is decompressed in software, and the driver does not count it.
    Uncounted,
    /// A lease is kept of each operation.
    Leak,
    /// A session waits for something else to happen.
    Forever,
    /// A request is taken, and nobody looks after it.
    Stranded,
    /// A request is dropped.
    Dropped,
}

#[derive(Debug)]
struct InCodec(Defect);

impl Seam for InCodec {
    fn algorithm(&self, sound: Arc<dyn Algorithm>, driver: &Arc<Accel>) -> Arc<dyn Algorithm> {
        let port = Port::new(Arc::new(Negligent { kept: Mutex::default(), defect: self.0 }));
        let driver = Arc::clone(driver);
        Arc::new(Defective { defect: self.0, sound, driver, port })
    }
}

#[derive(Debug)]
struct Defective {
    defect: Defect,
    sound: Arc<dyn Algorithm>,
    driver: Arc<Accel>,
    port: Port,
}

impl Algorithm for Defective {
    fn info(&self) -> &AlgInfo {
        self.sound.info()
    }

    fn open(&self, params: &Params) -> Result<Box<dyn Codec>, OpenError> {
        Ok(Box::new(DefectiveCodec {
            defect: self.defect,
            sound: self.sound.open(params)?,
            driver: Arc::clone(&self.driver),
            previous: Vec::new(),
        }))
    }

    fn port(&self) -> Option<&Port> {
        match self.defect {
            Defect::Stranded | Defect::Dropped => Some(&self.port),
            _ => self.sound.port(),
        }
    }
}

struct DefectiveCodec {
    defect: Defect,
    sound: Box<dyn Codec>,
    driver: Arc<Accel>,
    previous: Vec<u8>,
}

impl Codec for DefectiveCodec {
    fn compress(&mut self, src: &[u8], dst: &mut [u8]) -> Outcome {
        self.sound.compress(src, dst)
    }

    fn decompress(&mut self, src: &[u8], dst: &mut [u8]) -> Outcome {
        self.sound.decompress(src, dst)
    }

    fn run(&mut self, ops: &mut Ops<'_, '_>) {
        let is_decompression = |op: &OpMut<'_, '_>| op.direction() == Direction::Decompress;
        match self.defect {
            Defect::Untouched if ops.iter_mut().all(|op| is_decompression(&op)) => {
                for mut op in ops.iter_mut() {
                    let len = op.io().1.len();
                    op.complete(Ok(len), ExecutedOn::Driver);
                }
                return;
            }
            Defect::Uncounted => {
                for mut op in ops.iter_mut().filter(is_decompression) {
                    let (src, dst) = op.io();
                    let decoded = Decoder::new().decode(src, dst).unwrap();
                    op.complete(Ok(decoded.produced), ExecutedOn::Fallback);
                }
            }
            Defect::Leak => mem::forget(self.driver.dma().lease(1)),
            Defect::Forever => {
                // For as long as a device does it.
                let calls = || self.driver.stats().total_comp_calls;
                let mut before = None;
                while before != Some(calls()) {
                    before = Some(calls());
                    let _ = self.sound.compress(&[7; 4096], &mut [0; 4096]);
                }
            }
            _ => {}
        }
        self.sound.run(ops);
        if self.defect == Defect::Previous {
            for mut op in ops.iter_mut().filter(is_decompression) {
                let dst = op.io().1;
                let previous = mem::replace(&mut self.previous, dst.to_vec());
                if previous.len() == dst.len() {
                    dst.copy_from_slice(&previous);
                }
            }
        }
    }
}

/// An engine that does not do its duty.
#[derive(Debug)]
struct Negligent {
    defect: Defect,
    kept: Mutex<Vec<Job>>,
}

impl Engine for Negligent {
    fn submit(&self, job: Job) -> Result<(), Refused> {
        if self.defect == Defect::Stranded {
            self.kept.lock().unwrap().push(job);
        }
        Ok(())
    }

    fn poll(&self, _: usize) -> Progress {
        Progress { completed: 0, driven_by: DrivenBy::Caller }
    }
}

#[derive(Debug)]
struct InDisk(fn(Arc<dyn SwapDevice>) -> Arc<dyn SwapDevice>);

impl Seam for InDisk {
    fn disk(&self, sound: Arc<dyn SwapDevice>) -> Arc<dyn SwapDevice> {
        self.0(sound)
    }
}

/// Gives what was in a block before.
#[derive(Debug)]
struct Stale {
    sound: Arc<dyn SwapDevice>,
    /// What was written to each block last, and before that.
    before: Mutex<HashMap<u32, [Option<Box<Page>>; 2]>>,
}

impl SwapDevice for Stale {
    fn blocks(&self) -> u32 {
        self.sound.blocks()
    }

    fn read(&self, block: u32, page: &mut Page) -> io::Result<()> {
        self.sound.read(block, page)?;
        if let Some([_, Some(before)]) = self.before.lock().unwrap().get(&block) {
            *page = **before;
        }
        Ok(())
    }

    fn write(&self, pages: &[(u32, &Page)]) -> Result<(), Unwritten> {
        for (block, page) in pages {
            let mut all = self.before.lock().unwrap();
            let [last, before] = all.entry(*block).or_default();
            *before = last.replace(Box::new(**page));
        }
        self.sound.write(pages)
    }
}

/// Every fourth write is none.
#[derive(Debug)]
struct Lossy {
    sound: Arc<dyn SwapDevice>,
    writes: AtomicU64,
}

impl SwapDevice for Lossy {
    fn blocks(&self) -> u32 {
        self.sound.blocks()
    }

    fn read(&self, block: u32, page: &mut Page) -> io::Result<()> {
        self.sound.read(block, page)
    }

    fn write(&self, pages: &[(u32, &Page)]) -> Result<(), Unwritten> {
        let is_lost = self.writes.fetch_add(1, Relaxed) % 4 == 3;
        if is_lost { Ok(()) } else { self.sound.write(pages) }
    }
}

/// Every tenth page that is to be forgotten is not.
#[derive(Debug, Default)]
struct Forgetful(AtomicU64);

impl Seam for Forgetful {
    fn invalidate(&self, pool: &Pool, slot: Slot) {
        if self.0.fetch_add(1, Relaxed) % 10 != 9 {
            pool.invalidate(slot);
        }
    }
}

/// The page beside it is forgotten as well.
#[derive(Debug)]
struct Careless;

impl Seam for Careless {
    fn invalidate(&self, pool: &Pool, slot: Slot) {
        pool.invalidate(slot);
        pool.invalidate(Slot(slot.0.saturating_add(1)));
    }
}

const SEEDS: u64 = 50;
const STEPS: usize = 40;
