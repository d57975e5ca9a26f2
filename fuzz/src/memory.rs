//! Properties of what keeps compressed pages: the allocator and the pool, each beside a map.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use acomp::Registry;
use acomp::zswap::zsmalloc::{AllocError, Config, Handle, Zsmalloc};
use acomp::zswap::{
    Load, LoadError, Owner, PARAMS, Page, Pool, Revalidated, Slot, StoreError, SwapDevice,
    Unwritten,
};
use acomp_testmgr::Content;

use crate::input::Input;

/// Whatever is allocated, freed, moved and given back: every object is what it was.
pub fn zsmalloc(input: &[u8]) {
    let mut input = Input(input);
    let config = Config::new(4 << 20).reserve_bytes(0);
    let zsmalloc = Zsmalloc::new(config).expect("addresses for 4 MiB");
    let mut objects: BTreeMap<usize, Object> = BTreeMap::new();
    while let Some(choice) = input.byte() {
        let key = || usize::from(choice >> 3);
        match choice & 7 {
            0..=2 => {
                let (Some(len), Some(fill)) = (input.number(), input.byte()) else { break };
                let object = vec![fill; len % 4200];
                match zsmalloc.alloc(&object) {
                    Ok(handle) => {
                        let old = objects.insert(key(), (handle, object));
                        old.into_iter().for_each(|object| free(&zsmalloc, object));
                    }
                    Err(AllocError::Length { len }) => assert!(!(1..=4096).contains(&len)),
                    Err(AllocError::ReserveEmpty) => zsmalloc.refill().expect("memory"),
                    Err(error) => panic!("{error}"),
                }
            }
            3 | 4 => {
                objects.remove(&key()).into_iter().for_each(|object| free(&zsmalloc, object));
            }
            5 => _ = objects.get(&key()).map(|object| is_intact(&zsmalloc, object)),
            6 => _ = zsmalloc.compact(key()),
            _ => _ = zsmalloc.trim().expect("memory is given back"),
        }
    }
    zsmalloc.compact(usize::MAX);
    let bytes: usize = objects.values().map(|(_, object)| object.len()).sum();
    let stats = zsmalloc.stats();
    assert_eq!((stats.objects, stats.object_bytes), (objects.len(), bytes));
    assert!(stats.held_bytes >= bytes);
    objects.into_values().for_each(|object| free(&zsmalloc, object));
    assert_eq!((zsmalloc.held_bytes(), zsmalloc.stats().objects), (0, 0));
}

/// Where an object is, and what it is.
type Object = (Handle, Vec<u8>);

fn free(zsmalloc: &Zsmalloc, object: Object) {
    is_intact(zsmalloc, &object);
    zsmalloc.free(object.0);
}

fn is_intact(zsmalloc: &Zsmalloc, (handle, object): &Object) {
    let is_it = zsmalloc.read(handle, |bytes| bytes == object);
    assert_eq!(is_it, Some(true), "an object of {} bytes", object.len());
}

/// Whatever is stored, loaded, forgotten, written back and set: no page is wrong, stale or lost.
pub fn zswap(input: &[u8]) {
    let mut input = Input(input);
    let Some(flags) = input.byte() else { return };
    let mut model = Model::new(flags);
    while let Some(op) = input.byte() {
        if model.step(op, &mut input).is_none() {
            break;
        }
    }
    model.empty();
}

/// A pool, and what it should hold.
struct Model {
    pool: Pool,
    pages: BTreeMap<u64, Stored>,
    /// Pages that were gone when somebody looked.
    gone: u64,
}

#[derive(Clone, Copy, Debug)]
struct Stored {
    number: u8,
    /// The caller was given it as a duplicate, which may be dropped.
    may_go: bool,
}

impl Model {
    fn new(flags: u8) -> Self {
        let compressor = COMPRESSORS[usize::from(flags >> 3) % COMPRESSORS.len()];
        let mut builder = Pool::builder(Registry::global()).compressor(compressor).owners(2);
        builder = builder.total_bytes(8 << 20).reserve_bytes(1);
        if flags & 1 != 0 {
            builder = builder.checksums();
        }
        if flags & 2 != 0 {
            builder = builder.hash_duplicates(7);
        }
        if flags & 4 != 0 {
            builder = builder.device(Arc::new(Ram(Mutex::default())));
        }
        Self { pool: builder.build().expect("a pool of 8 MiB"), pages: BTreeMap::new(), gone: 0 }
    }

    /// `None`: the input ended.
    fn step(&mut self, op: u8, input: &mut Input<'_>) -> Option<()> {
        let slot = u64::from(input.byte()?);
        match op % 11 {
            0..=2 => {
                let pages = FOLIO_PAGES[usize::from(op / 11) % FOLIO_PAGES.len()];
                self.store(slot, pages, input.byte()?);
            }
            3 => self.load(slot, Load::Exclusive),
            4 => self.load(slot, Load::Duplicate),
            5 => {
                self.pool.invalidate(Slot(slot));
                self.pages.remove(&slot);
            }
            6 => self.revalidate(slot, op / 11),
            7 => _ = self.pool.shrink(Owner::new(u16::from(op / 11) % 3), slot as usize),
            8 => _ = self.pool.maintain().expect("memory"),
            9 => self.load(slot, Load::Shared),
            _ => {
                let (name, value) = *input.one_of(&SETTINGS)?;
                self.pool.set(name, value).expect("a value that it takes");
                let limit = (slot % 4 != 0).then_some(slot * 64);
                self.pool.set_owner_limit(Owner::new(1), limit);
                self.pool.set_owner_writeback(Owner::new(1), slot % 8 < 6);
            }
        }
        Some(())
    }

    fn store(&mut self, first: u64, pages: usize, number: u8) {
        let numbers = Vec::from_iter((0..pages).map(|at| number.wrapping_add(at as u8)));
        let folio = Vec::from_iter(numbers.iter().map(|number| page(*number)));
        let stored = self.pool.store(Slot(first), &folio, Owner::new(u16::from(number % 2)));
        for (slot, number) in (first..).zip(numbers) {
            self.pages.remove(&slot);
            if stored.is_ok() {
                self.pages.insert(slot, Stored { number, may_go: false });
            }
        }
        match stored {
            Err(StoreError::Range(_)) => assert_eq!(pages, 0),
            Err(StoreError::NoMemory) => panic!("there is memory"),
            _ => {}
        }
    }

    fn load(&mut self, slot: u64, how: Load) {
        let mut dst = [0xa5; 4096];
        let loaded = self.pool.load(Slot(slot), &mut dst, how);
        match (loaded, self.pages.get_mut(&slot)) {
            (Ok(_), Some(stored)) => {
                assert!(dst == page(stored.number), "slot {slot}: another page");
                stored.may_go |= how == Load::Duplicate;
            }
            (Err(LoadError::NotFound { .. }), None) => {}
            (Err(LoadError::NotFound { .. }), Some(Stored { may_go: true, .. })) => self.lose(slot),
            (loaded, known) => panic!("slot {slot}: {loaded:?} instead of {known:?}"),
        }
        if how == Load::Exclusive {
            self.pages.remove(&slot);
        }
    }

    fn revalidate(&mut self, slot: u64, changed: u8) {
        let known = self.pages.get(&slot).copied();
        let mut its_page = page(known.map_or(0, |stored| stored.number));
        its_page[4095] ^= changed;
        match (self.pool.revalidate(Slot(slot), &its_page), known) {
            (Ok(Revalidated::Gone), None) => {}
            (Ok(Revalidated::Gone), Some(Stored { may_go: true, .. })) => self.lose(slot),
            (Ok(Revalidated::Changed), Some(_)) if changed != 0 => _ = self.pages.remove(&slot),
            (Ok(Revalidated::Same), Some(stored)) if changed == 0 => {
                self.pages.insert(slot, Stored { may_go: false, ..stored });
            }
            (answer, known) => panic!("slot {slot}: {answer:?} instead of {known:?}"),
        }
    }

    fn lose(&mut self, slot: u64) {
        self.pages.remove(&slot);
        self.gone += 1;
        let dropped = self.pool.counters().dropped_duplicates;
        assert!(self.gone <= dropped, "{} pages are gone, {dropped} were dropped", self.gone);
    }

    /// Every page is there, and then none.
    fn empty(&mut self) {
        let slots = Vec::from_iter(self.pages.keys().copied());
        slots.into_iter().for_each(|slot| self.load(slot, Load::Exclusive));
        let counters = self.pool.counters();
        let held = [counters.stored_pages, counters.zero_pages, counters.device_pages];
        assert_eq!(held, [0; 3]);
        assert_eq!((counters.object_bytes, counters.pool_total_size), (0, 0));
    }
}

/// A page of each kind that the pool knows, by its number: zeros, a repeated word, text of several
/// densities, noise.
fn page(number: u8) -> Page {
    static PAGES: LazyLock<Vec<Page>> = LazyLock::new(|| {
        let content = |number| Content::ALL[number % Content::ALL.len()];
        let mut pages = vec![[0; 4096]; 256];
        for (number, page) in pages.iter_mut().enumerate() {
            content(number).fill(number as u64, page);
        }
        pages
    });
    PAGES[usize::from(number)]
}

/// A parameter takes a value in the kernel's words, or keeps what it has; what it says that it is,
/// it takes.
pub fn params(input: &[u8]) {
    thread_local! {
        static POOL: Pool = Pool::builder(Registry::global())
            .compressor("lz4")
            .total_bytes(8 << 20)
            .build()
            .expect("a pool of 8 MiB");
    }
    let Some((choice, value)) = input.split_first() else { return };
    let value = String::from_utf8_lossy(value);
    // One more than there are: a name that is none.
    let name = PARAMS.get(usize::from(*choice) % (PARAMS.len() + 1)).map(|param| param.name);
    POOL.with(|pool| {
        let before = pool.params();
        let set = pool.set(name.unwrap_or(&value), &value);
        let after = pool.params();
        if let Err(error) = &set {
            assert!(!error.to_string().is_empty());
            assert_eq!(before, after, "{error}");
        }
        for ((param, was), (_, is)) in before.iter().zip(&after) {
            assert!(Some(*param) == name || was == is, "{param} became {is}");
            pool.set(param, is).unwrap_or_else(|error| panic!("{param} says {is}: {error}"));
        }
        assert_eq!(pool.params(), after);
    });
}

/// A device in memory.
struct Ram(Mutex<BTreeMap<u32, Box<Page>>>);

impl SwapDevice for Ram {
    fn blocks(&self) -> u32 {
        16
    }

    fn read(&self, block: u32, page: &mut Page) -> io::Result<()> {
        let pages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *page = **pages.get(&block).ok_or(io::ErrorKind::NotFound)?;
        Ok(())
    }

    fn write(&self, pages: &[(u32, &Page)]) -> Result<(), Unwritten> {
        let mut blocks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        blocks.extend(pages.iter().map(|(block, page)| (*block, Box::new(**page))));
        Ok(())
    }
}

impl fmt::Debug for Ram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ram").finish_non_exhaustive()
    }
}

/// Objects of all lengths, of which some go and the others are moved.
pub(crate) fn zsmalloc_seeds() -> Vec<Vec<u8>> {
    let store = |key: u8, len: u16| [&[key << 3], &len.to_le_bytes()[..], &[key]].concat();
    let stores = |lens: &dyn Fn(u8) -> u16| Vec::from_iter((0..32).flat_map(|k| store(k, lens(k))));
    let frees = Vec::from_iter((0..32).step_by(3).map(|key| key << 3 | 3));
    let rest = [0x2d, 0xfe, 7, 0x0c];
    let lens: [&dyn Fn(u8) -> u16; 3] = [&|_| 100, &|key| 130 * u16::from(key), &|_| 4096];
    lens.map(|lens| [&[7], &*stores(lens), &*frees, &rest, &*stores(lens)].concat()).into()
}

/// Pools of every kind, in which everything is done.
pub(crate) fn zswap_seeds() -> Vec<Vec<u8>> {
    let ops = (0..66_u8).flat_map(|op| [op, op.wrapping_mul(7) % 32, op.wrapping_mul(11)]);
    let ops = Vec::from_iter(ops);
    (0..32).map(|flags| [&[flags], &*ops].concat()).collect()
}

/// Every parameter, with values that it takes and that it does not.
pub(crate) fn param_seeds() -> Vec<Vec<u8>> {
    let values =
        ["Y", "off", "0x1f", "012", " 100 ", "101", "-1", "", "zstd", "verify(lz4)", "nope"];
    let params = 0..=PARAMS.len() as u8;
    params.flat_map(|param| values.map(|value| [&[param], value.as_bytes()].concat())).collect()
}

/// Around a sub-batch of 8, and what is no folio.
const FOLIO_PAGES: [usize; 8] = [1, 1, 2, 3, 8, 9, 17, 0];
const COMPRESSORS: [&str; 4] = ["lz4", "deflate", "zstd", "deflate-iaa"];
const SETTINGS: [(&str, &str); 8] = [
    ("enabled", "N"),
    ("enabled", "Y"),
    ("compressor", "lz4"),
    ("compressor", "zstd"),
    ("compressor", "deflate"),
    ("max_pool_percent", "1"),
    ("max_pool_percent", "50"),
    ("accept_threshold_percent", "50"),
];
