//! Drivers and a device that fail when they are to, and what becomes of memory that is refused.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use acomp_core::{
    AddGuard, AlgInfo, Algorithm, Codec, Error, OpenError, Outcome, Params, Registry,
};
use zswap::{Housekeeping, Load, Owner, Pool, Slot, StoreError};

use super::devices::{Ram, unwritten};
use super::pages::{filled, random, stamped};
use crate::fault::{Fault, during, is_refused};

/// However many stores fail, and wherever, memory for the next one is still there.
#[test]
fn what_a_failed_store_had_taken_is_given_back() {
    let drivers = Drivers::new();
    let pool = Pool::builder(&drivers.registry).compressor("lz4").total_bytes(64 << 20);
    let pool = pool.housekeeping(Housekeeping::Apart).build().unwrap();
    let folio = [stamped(1), random(2), filled(3), filled(0)];
    let mut first = 0;
    // The reserves have 16384 entries, 8192 numbers, and less of anything else.
    let mut failures = HashMap::<Fault, usize>::new();
    while failures.len() < 5 || failures.values().any(|failures| *failures < 8500) {
        for at in 0.. {
            // In two partitions, of which one is new.
            first += 1 << 14;
            let store = || pool.store(Slot(first - 3), &folio, Owner::ROOT);
            let (stored, failed) = during(at..at + 1, store);
            match failed[..] {
                [] | [Fault::Compress] => assert_eq!(stored, Ok(())),
                _ => assert_eq!(stored, Err(StoreError::NoMemory), "{failed:?}"),
            }
            if stored.is_err() {
                *failures.entry(failed[0]).or_default() += 1;
            }
            (first - 3..first + 1).for_each(|slot| pool.invalidate(Slot(slot)));
            let counters = pool.counters();
            assert_eq!((counters.object_bytes, counters.pool_total_size), (0, 0), "{failed:?}");
            assert_eq!((counters.stored_pages, counters.zero_pages), (0, 0), "{failed:?}");
            if failed.is_empty() {
                break;
            }
        }
    }
    assert_eq!(pool.store(Slot(first), &folio, Owner::ROOT), Ok(()));
    let mut back = [filled(7); 4];
    pool.load_range(Slot(first), &mut back, Load::Exclusive).unwrap();
    assert!(back == folio);
}

/// A store that fails when some of its pages are in place already frees their entries once: none is
/// given to two pages afterwards.
#[test]
fn entries_of_a_store_that_fails_half_way_are_freed_once() {
    let pool = Pool::builder(Registry::global()).compressor("lz4").total_bytes(64 << 20);
    let pool = pool.housekeeping(Housekeeping::Apart).build().unwrap();
    // The second half has its places in another node.
    let folio: [_; 8] = std::array::from_fn(|n| stamped(n as u64));
    for at in 0.. {
        let (_, failed) = during(at..at + 1, || pool.store(Slot(60), &folio, Owner::ROOT));
        for slot in 1000..1016 {
            pool.store(Slot(slot), &[stamped(slot)], Owner::ROOT).unwrap();
        }
        for slot in 1000..1016 {
            let mut back = filled(0);
            pool.load(Slot(slot), &mut back, Load::Exclusive).unwrap();
            assert!(back == stamped(slot), "{slot} after {failed:?}");
        }
        if failed.is_empty() {
            break;
        }
        assert_eq!(pool.counters().stored_pages, 0, "{failed:?}");
    }
}

/// What maintenance could not have, or not give back, it asks for the next time.
#[test]
fn maintenance_that_is_refused_memory_goes_on_when_there_is_some() {
    let mut seen = HashSet::new();
    let folio = vec![random(1); 512];
    for at in 0.. {
        // The folios need more than three of its four chunks.
        let pool = Pool::builder(Registry::global()).compressor("null").total_bytes(8 << 20);
        let pool = pool.housekeeping(Housekeeping::Apart).build().unwrap();
        pool.set("max_pool_percent", "100").unwrap();
        let before = seen.len();
        let mut maintain = || {
            let (done, refused) = during(at..at + 1, || pool.maintain());
            assert_eq!(done.is_err(), !refused.is_empty(), "{done:?}");
            seen.extend(refused.into_iter().map(|fault| (fault, at)));
            pool.maintain().unwrap()
        };
        for first in [0, 512, 1024] {
            pool.store(Slot(first), &folio, Owner::ROOT).unwrap();
            maintain();
        }
        let mut back = folio.clone();
        for first in [0, 512, 1024] {
            back.fill(filled(0));
            pool.load_range(Slot(first), &mut back, Load::Exclusive).unwrap();
            assert!(back == folio);
        }
        maintain();
        assert_eq!(pool.counters().pool_total_size, 0);
        assert_eq!(pool.maintain().unwrap().bytes_returned, 0, "nothing is left to return");
        for first in [0, 512, 1024] {
            pool.store(Slot(first), &folio, Owner::ROOT).unwrap();
            pool.maintain().unwrap();
        }
        if seen.len() == before {
            break;
        }
    }
    let seen: HashSet<Fault> = seen.into_iter().map(|(fault, _)| fault).collect();
    assert_eq!(seen, HashSet::from([Fault::Populate, Fault::Discard]));
}

#[test]
fn pool_whose_memory_is_refused_is_not_built() {
    for at in 0.. {
        let device = Arc::new(Ram::new(100));
        let builder = Pool::builder(Registry::global()).compressor("lz4").hash_duplicates(1);
        let (built, refused) = during(at..at + 1, || builder.device(device).build());
        match (built, &refused[..]) {
            (Err(OpenError::Device(_)), [Fault::Map | Fault::Populate]) => {}
            (Ok(_), []) => {
                assert!(at > 10, "there are so many mappings");
                break;
            }
            (built, refused) => panic!("{refused:?}: {built:?}"),
        }
    }
}

/// The model's compressors.
#[derive(Debug)]
pub(super) struct Drivers {
    pub(super) registry: Registry,
    _added: Vec<AddGuard>,
}

impl Drivers {
    pub(super) fn new() -> Self {
        let registry = Registry::from_entries([]);
        let add = |name| {
            let inner = Registry::global().find(name).unwrap();
            let inner = Arc::clone(inner.algorithm().unwrap());
            registry.add(Arc::new(Faulty(inner))).unwrap()
        };
        let added = ["lz4", "zstd", "deflate", "null"].map(add).into();
        Self { registry, _added: added }
    }
}

#[derive(Debug)]
struct Faulty(Arc<dyn Algorithm>);

impl Algorithm for Faulty {
    fn info(&self) -> &AlgInfo {
        self.0.info()
    }

    fn open(&self, params: &Params) -> Result<Box<dyn Codec>, OpenError> {
        Ok(Box::new(FaultyCodec(self.0.open(params)?)))
    }
}

struct FaultyCodec(Box<dyn Codec>);

impl Codec for FaultyCodec {
    fn compress(&mut self, src: &[u8], dst: &mut [u8]) -> Outcome {
        let is_refused = is_refused(Fault::Compress);
        if is_refused { Err(Error::DeviceLost) } else { self.0.compress(src, dst) }
    }

    fn decompress(&mut self, src: &[u8], dst: &mut [u8]) -> Outcome {
        let is_refused = is_refused(Fault::Decompress);
        if is_refused { Err(Error::DeviceLost) } else { self.0.decompress(src, dst) }
    }
}

/// A device that writes so few pages of each batch, and reads or not; and that fails when it is to.
pub(super) fn ram(blocks: u32, writes: Arc<AtomicUsize>, reads: Arc<AtomicUsize>) -> Ram {
    Ram::new(blocks)
        .on_write(move |pages| {
            let writes = writes.load(Relaxed).min(pages.len());
            let failed = (0..writes).find(|_| is_refused(Fault::Write));
            let written = failed.unwrap_or(writes);
            (written < pages.len()).then(|| unwritten(written))
        })
        .on_read(move |_| {
            let fails = reads.load(Relaxed) == 0 || is_refused(Fault::Read);
            fails.then(|| io::Error::other("EIO"))
        })
}
