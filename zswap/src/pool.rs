//! The pool: store, load, invalidate.

use acomp_core::{Acomp, Chain, Error, Op, OpenError, Params, Registry};

use crate::context::{Context, Contexts, SUB_BATCH};
use crate::counters::{Counters, count};
use crate::entry::Entry;
use crate::error::{LoadError, RangeError, StoreError};
use crate::page::{PAGE_BYTES, Page, same_filled};
use crate::tree::Tree;

/// Most pages in one folio (2 MiB).
pub const FOLIO_PAGES_MAX: usize = 512;

/// Page number in a swap space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_structs, reason = "a number with a meaning")]
pub struct Slot(pub u64);

impl Slot {
    fn after(self, pages: usize) -> Self {
        Self(self.0.wrapping_add(pages as u64))
    }
}

/// On whose account a page is stored: the analogue of a memory cgroup.
///
/// This version keeps no accounts yet: every owner is treated alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Owner(u16);

impl Owner {
    /// The owner of what nobody else owns.
    pub const ROOT: Self = Self(0);

    /// The owner with this number.
    #[must_use]
    pub const fn new(id: u16) -> Self {
        Self(id)
    }

    /// Its number.
    #[must_use]
    pub const fn id(self) -> u16 {
        self.0
    }
}

/// What becomes of the stored page when it is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a page stays or goes")]
pub enum Load {
    /// It is removed: the destination is now the only copy.
    Exclusive,
    /// It stays.
    Shared,
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
}

impl Loaded {
    fn count(&mut self, entry: &Entry) {
        match entry {
            Entry::SameFilled(0) => self.zero += 1,
            Entry::SameFilled(_) => self.same_filled += 1,
            Entry::Raw(_) => self.incompressible += 1,
            Entry::Compressed(_) => self.decompressed += 1,
        }
    }
}

/// A store of compressed pages. Shared by threads; see the [crate documentation](crate).
#[derive(Debug)]
pub struct Pool {
    contexts: Contexts,
    tree: Tree,
}

impl Pool {
    /// Starts to describe a pool whose compressor comes from this registry.
    pub fn builder(registry: &Registry) -> Builder {
        Builder { registry: registry.clone(), compressor: String::new(), params: Params::default() }
    }

    /// Stores a folio: page `i` of it under slot `first + i`, instead of what was there.
    ///
    /// All or nothing: on failure no slot of the folio holds a page, not even an older one.
    ///
    /// # Errors
    ///
    /// [`StoreError::Range`] when the folio has no page or too many.
    pub fn store(&self, first: Slot, folio: &[Page], owner: Owner) -> Result<(), StoreError> {
        let _ = owner; // Accounts come with limits.
        let stored = self.store_folio(first, folio);
        if stored.is_err() {
            // Slots beyond the last one hold nothing: wrapping around must not reach slot 0.
            let slots = (0..folio.len()).map_while(|i| first.0.checked_add(i as u64));
            slots.for_each(|slot| self.tree.remove(Slot(slot)));
        }
        stored
    }

    /// Loads one page.
    ///
    /// # Errors
    ///
    /// [`LoadError::NotFound`] when nothing is stored there; [`LoadError::Decompress`] when what is
    /// stored is no page: the entry stays, and `dst` is unspecified.
    pub fn load(&self, slot: Slot, dst: &mut Page, how: Load) -> Result<Loaded, LoadError> {
        self.load_pages::<1>(slot, std::slice::from_mut(dst), how)
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
        if dst.len() <= SUB_BATCH {
            self.load_pages::<SUB_BATCH>(first, dst, how)
        } else {
            self.load_folio(first, dst, how)
        }
    }

    /// Forgets the page under a slot, if there is one.
    pub fn invalidate(&self, slot: Slot) {
        self.tree.remove(slot);
    }

    /// What the pool holds and did.
    #[must_use]
    pub fn counters(&self) -> Counters {
        Counters::new(self.tree.held(), self.contexts.cpus())
    }

    /// The transform that compresses.
    #[must_use]
    pub fn acomp(&self) -> &Acomp {
        self.contexts.acomp()
    }

    fn store_folio(&self, first: Slot, folio: &[Page]) -> Result<(), StoreError> {
        check_range(first, folio)?;
        let mut zero_pages = 0;
        for (i, pages) in folio.chunks(SUB_BATCH).enumerate() {
            zero_pages += self.store_pages(first.after(i * SUB_BATCH), pages);
        }
        let events = &self.contexts.cpu().events;
        count(&events.swpout_zero, zero_pages);
        count(&events.zswpout, folio.len() - zero_pages);
        Ok(())
    }

    /// Stores at most `SUB_BATCH` pages: all entries are prepared, then committed one by one.
    /// Returns how many pages were zero.
    fn store_pages(&self, first: Slot, pages: &[Page]) -> usize {
        let mut zero_pages = 0;
        let mut prepared = [const { None }; SUB_BATCH];
        for (page, entry) in pages.iter().zip(&mut prepared) {
            let word = same_filled(page);
            zero_pages += usize::from(word == Some(0));
            *entry = word.map(Entry::SameFilled);
        }
        self.compress(pages, &mut prepared);
        for (i, entry) in prepared.into_iter().enumerate() {
            if let Some(entry) = entry {
                self.tree.insert(first.after(i), entry);
            }
        }
        zero_pages
    }

    /// Prepares the entries that are not prepared yet.
    fn compress(&self, pages: &[Page], prepared: &mut [Option<Entry>; SUB_BATCH]) {
        let mut todo = pages.iter().zip(prepared).filter(|(_, entry)| entry.is_none()).peekable();
        if todo.peek().is_none() {
            return;
        }
        let mut failed = 0;
        let mut context = self.contexts.lock();
        while todo.peek().is_some() {
            let Some(Context { session, buffers }) = context.as_deref_mut() else {
                failed +=
                    todo.by_ref().map(|(page, entry)| *entry = Some(Entry::raw(page))).count();
                break;
            };
            let mut places = [const { None }; SUB_BATCH];
            let mut chain = Chain::<SUB_BATCH>::new();
            for ((place, buffer), (page, entry)) in
                places.iter_mut().zip(buffers).zip(todo.by_ref())
            {
                // A stream as long as the page is worth nothing.
                let _ = chain.push(Op::compress(page, &mut buffer[..PAGE_BYTES - 1]));
                *place = Some((page, entry));
            }
            session.run(chain.as_mut_ops());
            for (op, (page, entry)) in chain.ops().iter().zip(places.into_iter().flatten()) {
                *entry = Some(match op.outcome() {
                    Some(Ok(1..)) => Entry::Compressed(op.output().into()),
                    Some(Err(Error::DstTooSmall)) => Entry::raw(page),
                    _ => {
                        failed += 1;
                        Entry::raw(page)
                    }
                });
            }
        }
        drop(context);
        count(&self.contexts.cpu().events.reject_compress_fail, failed);
    }

    /// Out of line: its frame holds the entries of a whole folio.
    #[inline(never)]
    fn load_folio(&self, first: Slot, dst: &mut [Page], how: Load) -> Result<Loaded, LoadError> {
        self.load_pages::<FOLIO_PAGES_MAX>(first, dst, how)
    }

    /// Loads at most `N` pages.
    fn load_pages<const N: usize>(
        &self,
        first: Slot,
        dst: &mut [Page],
        how: Load,
    ) -> Result<Loaded, LoadError> {
        let mut loaded = Loaded::default();
        let mut entries = [const { None }; N];
        for (i, entry) in entries[..dst.len()].iter_mut().enumerate() {
            let slot = first.after(i);
            let found = self.tree.get(slot).ok_or(LoadError::NotFound { slot })?;
            loaded.count(&found);
            *entry = Some(found);
        }
        for (i, (pages, entries)) in
            dst.chunks_mut(SUB_BATCH).zip(entries.chunks(SUB_BATCH)).enumerate()
        {
            self.decompress(first.after(i * SUB_BATCH), pages, entries)?;
        }
        if how == Load::Exclusive {
            for (i, entry) in entries.iter().enumerate() {
                if let Some(entry) = entry {
                    self.tree.remove_same(first.after(i), entry);
                }
            }
        }
        let events = &self.contexts.cpu().events;
        count(&events.swpin_zero, loaded.zero);
        count(&events.zswpin, dst.len() - loaded.zero);
        Ok(loaded)
    }

    /// Fills at most `SUB_BATCH` pages from their entries.
    fn decompress(
        &self,
        first: Slot,
        pages: &mut [Page],
        entries: &[Option<Entry>],
    ) -> Result<(), LoadError> {
        let mut slots = [first; SUB_BATCH];
        let mut chain = Chain::<SUB_BATCH>::new();
        for (i, (page, entry)) in pages.iter_mut().zip(entries.iter().flatten()).enumerate() {
            if let Some(stream) = entry.copy_or_stream(page) {
                slots[chain.ops().len()] = first.after(i);
                let _ = chain.push(Op::decompress(stream, page));
            }
        }
        if chain.ops().is_empty() {
            return Ok(());
        }
        if let Some(mut context) = self.contexts.lock() {
            context.session.run(chain.as_mut_ops());
        }
        for (op, slot) in chain.ops().iter().zip(slots) {
            let error = match op.outcome() {
                Some(Ok(PAGE_BYTES)) => continue,
                Some(Ok(_)) => Error::Corrupt,
                Some(Err(error)) => error,
                None => Error::Panicked, // No context has a live session.
            };
            count(&self.contexts.cpu().events.decompress_fail, 1);
            return Err(LoadError::Decompress { slot, error });
        }
        Ok(())
    }
}

/// Describes a [`Pool`].
#[derive(Clone, Debug)]
#[must_use = "nothing is built before `build`"]
pub struct Builder {
    registry: Registry,
    compressor: String,
    params: Params,
}

impl Builder {
    /// Names the compressor: a generic name or a driver's.
    pub fn compressor(mut self, name: &str) -> Self {
        name.clone_into(&mut self.compressor);
        self
    }

    /// Sets the compressor's parameters.
    pub fn params(mut self, params: Params) -> Self {
        self.params = params;
        self
    }

    /// Builds the pool, with the context of the CPU that this runs on.
    ///
    /// # Errors
    ///
    /// As [`Acomp::alloc_in`]; an unknown compressor is answered with the known names.
    pub fn build(self) -> Result<Pool, OpenError> {
        let acomp = Acomp::alloc_in(&self.registry, &self.compressor, self.params)?;
        Ok(Pool { contexts: Contexts::new(acomp)?, tree: Tree::new() })
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
