//! Every interleaving of stores, loads and invalidates with the writeback of their page, up to
//! three preemptions (`cargo xtask loom`; CI takes two on each push).
//!
//! The pool is a whole one, on a driver and a device of the model's. It commits little ahead, takes
//! no more, and has one block to write to: what is lost or given out twice does not stay unnoticed.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use acomp_core::{
    AlgInfo, Algorithm, Codec, Error, OpenError, Outcome, Params, Registration, Registry,
};
use loom::model::Builder;
use loom::thread::{self, JoinHandle};

use crate::builder::Housekeeping;
use crate::device::{SwapDevice, Unwritten};
use crate::error::LoadError;
use crate::page::{PAGE_BYTES, Page};
use crate::pool::{Load, Pool};
use crate::reclaim::Reclaimed;
use crate::slot::{Owner, Slot};
use crate::sync::AtomicU64;

/// Keeps of a page its first byte, which tells the model's pages apart.
#[derive(Debug)]
struct FirstByte;

impl Algorithm for FirstByte {
    fn info(&self) -> &AlgInfo {
        &INFO
    }

    fn open(&self, _: &Params) -> Result<Box<dyn Codec>, OpenError> {
        Ok(Box::new(Self))
    }
}

impl Codec for FirstByte {
    fn compress(&mut self, src: &[u8], dst: &mut [u8]) -> Outcome {
        let (Some(src), Some(dst)) = (src.first(), dst.first_mut()) else {
            return Err(Error::DstTooSmall);
        };
        *dst = *src;
        Ok(1)
    }

    fn decompress(&mut self, src: &[u8], dst: &mut [u8]) -> Outcome {
        dst.fill(0);
        self.compress(src, dst).map(|_| dst.len())
    }
}

/// One block, which keeps a first byte. Relaxed: the pool may not rely on more.
#[derive(Debug)]
struct Device(AtomicU64);

impl SwapDevice for Device {
    fn blocks(&self) -> u32 {
        1
    }

    fn read(&self, _: u32, page: &mut Page) -> io::Result<()> {
        *page = self::page(self.0.load(Relaxed) as u8);
        Ok(())
    }

    fn write(&self, pages: &[(u32, &Page)]) -> Result<(), Unwritten> {
        pages.iter().for_each(|(_, page)| self.0.store(page[0].into(), Relaxed));
        Ok(())
    }
}

static INFO: AlgInfo = AlgInfo::new("first-byte", "first-byte-model");
static DRIVER: Registration = Registration::new(&INFO, || Ok(Arc::new(FirstByte)), module_path!());

/// Those of one partition.
const SLOTS: [Slot; 4] = [Slot(0), Slot(1), Slot(2), Slot(3)];
const SLOT: Slot = SLOTS[1];
/// In another partition.
const ELSEWHERE: Slot = Slot(5);

struct Model(Pool);

impl Model {
    fn new() -> Arc<Self> {
        let pool = Pool::builder(&Registry::from_entries([&DRIVER]))
            .compressor("first-byte")
            .total_bytes(2 << 20)
            .reserve_bytes(0)
            .owners(1)
            .device(Arc::new(Device(AtomicU64::new(0))))
            .housekeeping(Housekeeping::Apart)
            .build();
        Arc::new(Self(pool.unwrap()))
    }

    /// With page 1, whose turn it is to be written back.
    fn with_page() -> Arc<Self> {
        let model = Self::new();
        model.store_old(SLOT, 1);
        model
    }

    fn run<T: 'static>(self: &Arc<Self>, what: fn(&Self) -> T) -> JoinHandle<T> {
        let model = Arc::clone(self);
        thread::spawn(move || what(&model))
    }

    fn store(&self, slot: Slot, first: u8) {
        self.0.store(slot, &[page(first)], Owner::ROOT).unwrap();
    }

    /// Without a second chance.
    fn store_old(&self, slot: Slot, first: u8) {
        self.store(slot, first);
        assert_eq!(self.shrink().rotated, 1);
    }

    fn load(&self, how: Load) -> Option<u8> {
        self.load_from(SLOT, how)
    }

    fn load_from(&self, slot: Slot, how: Load) -> Option<u8> {
        let mut loaded = page(0);
        match self.0.load(slot, &mut loaded, how) {
            Err(LoadError::NotFound { .. }) => None,
            done => {
                done.unwrap();
                Some(loaded[0])
            }
        }
    }

    fn invalidate(&self) {
        self.0.invalidate(SLOT);
    }

    fn shrink(&self) -> Reclaimed {
        self.0.shrink(Owner::ROOT, 1)
    }

    /// All that was kept is free again, once: it serves for as many pages as at first.
    fn empties(&self) {
        self.is_empty();
        SLOTS.iter().zip(100..).for_each(|(slot, first)| self.store(*slot, first));
        assert_eq!(self.0.shrink(Owner::ROOT, SLOTS.len()).rotated, SLOTS.len());
        assert_eq!(self.shrink().written, 1);
        for (slot, first) in SLOTS.iter().zip(100..) {
            assert_eq!(self.load_from(*slot, Load::Exclusive), Some(first));
        }
        self.is_empty();
    }

    fn is_empty(&self) {
        let usage = self.0.owner(Owner::ROOT).unwrap();
        assert_eq!((usage.pages, usage.bytes), (0, 0));
        let counters = self.0.counters();
        let pages = [counters.stored_pages, counters.device_pages, counters.duplicate_pages];
        assert_eq!((pages, counters.object_bytes), ([0; 3], 0));
    }
}

fn explore(model: fn()) {
    let mut builder = Builder::new();
    builder.max_branches = 10_000;
    builder.check(model);
}

fn page(first: u8) -> Page {
    let mut page = [0; PAGE_BYTES];
    page[0] = first;
    page
}

#[test]
fn replaced_page_is_not_written_over() {
    explore(|| {
        let model = Model::with_page();
        let writer = model.run(Model::shrink);
        model.store(SLOT, 2);
        writer.join().unwrap();
        assert_eq!(model.load(Load::Exclusive), Some(2));
        model.empties();
    });
}

#[test]
fn invalidated_page_does_not_come_back() {
    explore(|| {
        let model = Model::with_page();
        let writer = model.run(Model::shrink);
        model.invalidate();
        writer.join().unwrap();
        assert_eq!(model.load(Load::Shared), None);
        model.empties();
    });
}

#[test]
fn page_is_there_while_it_is_written_back() {
    explore(|| {
        let model = Model::with_page();
        let writer = model.run(Model::shrink);
        assert_eq!(model.load(Load::Shared), Some(1));
        assert_eq!(model.load(Load::Exclusive), Some(1));
        writer.join().unwrap();
        assert_eq!(model.load(Load::Shared), None);
        model.empties();
    });
}

#[test]
fn replaced_and_invalidated_page_is_gone_wherever_it_was() {
    explore(|| {
        let model = Model::with_page();
        let writer = model.run(Model::shrink);
        let invalidater = model.run(Model::invalidate);
        model.store(SLOT, 2);
        invalidater.join().unwrap();
        writer.join().unwrap();
        assert!(matches!(model.load(Load::Exclusive), None | Some(2)));
        model.empties();
    });
}

#[test]
fn page_that_gets_the_entry_of_another_stays() {
    explore(|| {
        let model = Model::with_page();
        let writer = model.run(Model::shrink);
        let loader = model.run(|model| model.load(Load::Exclusive));
        model.invalidate();
        model.store(SLOT, 2);
        writer.join().unwrap();
        let (loaded, left) = (loader.join().unwrap(), model.load(Load::Exclusive));
        assert!(matches!((loaded, left), (None | Some(1), Some(2)) | (Some(2), None)));
        model.empties();
    });
}

#[test]
fn page_that_gets_the_partition_of_another_stays() {
    explore(|| {
        let model = Model::with_page();
        let writer = model.run(Model::shrink);
        model.invalidate();
        model.store(ELSEWHERE, 2);
        writer.join().unwrap();
        assert_eq!(model.load(Load::Shared), None);
        assert_eq!(model.load_from(ELSEWHERE, Load::Exclusive), Some(2));
        model.empties();
    });
}

#[test]
fn page_is_not_loaded_from_a_block_of_another() {
    explore(|| {
        let model = Model::with_page();
        assert_eq!(model.shrink().written, 1);
        model.store_old(ELSEWHERE, 2);
        let writer = model.run(|model| {
            model.invalidate();
            model.shrink()
        });
        assert!(matches!(model.load(Load::Shared), None | Some(1)));
        writer.join().unwrap();
        assert_eq!(model.load(Load::Shared), None);
        assert_eq!(model.load_from(ELSEWHERE, Load::Exclusive), Some(2));
        model.empties();
    });
}

#[test]
fn page_goes_only_while_it_is_a_duplicate() {
    explore(|| {
        let model = Model::with_page();
        let shrinker = model.run(Model::shrink);
        assert_eq!(model.load(Load::Duplicate), Some(1));
        let dropped = shrinker.join().unwrap().dropped;
        assert_eq!(model.load(Load::Exclusive), (dropped == 0).then_some(1));
        model.empties();
    });
}

#[test]
fn page_that_replaces_a_duplicate_is_not_dropped() {
    explore(|| {
        let model = Model::with_page();
        assert_eq!(model.load(Load::Duplicate), Some(1));
        let shrinker = model.run(Model::shrink);
        model.invalidate();
        model.store(SLOT, 2);
        shrinker.join().unwrap();
        assert_eq!(model.load(Load::Exclusive), Some(2));
        model.empties();
    });
}

#[test]
fn nothing_is_taken_off_an_account_before_it_is_on_it() {
    explore(|| {
        let model = Model::new();
        let invalidater = model.run(|model| {
            model.invalidate();
            model.0.owner(Owner::ROOT).unwrap()
        });
        model.store(SLOT, 1);
        let usage = invalidater.join().unwrap();
        assert!(usage.pages <= 1 && usage.bytes <= 1);
        model.invalidate();
        model.empties();
    });
}
