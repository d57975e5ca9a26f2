//! Loading: objects are pinned under the lock of their partition, and read without it.

use std::sync::atomic::Ordering::Relaxed;

use acomp_core::{Chain, Error, Op};

use crate::compressors::COMPRESSORS_MAX;
use crate::context::SUB_BATCH;
use crate::counters::count;
use crate::entry::Content;
use crate::error::LoadError;
use crate::page::{PAGE_BYTES, Page, fill};
use crate::pool::{Load, Loaded};
use crate::slot::Slot;
use crate::state::{Found, Removed, State};
use crate::tree::pages_in_partition;
use crate::zsmalloc::Object;

/// The objects of a sub-batch.
type Objects<'o> = [Option<Object<'o>>; SUB_BATCH];

/// Which use of their numbers the compressors are.
type Uses = [usize; COMPRESSORS_MAX];

/// Splits pages from `first` on into sub-batches that lie in one partition each.
pub(crate) fn sub_batches(first: Slot, pages: usize) -> impl Iterator<Item = (Slot, usize, usize)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let slot = first.after(at);
        let count = pages_in_partition(slot, (pages - at).min(SUB_BATCH));
        let from = at;
        at += count;
        (count > 0).then_some((slot, from, count))
    })
}

impl State {
    /// Loads at most `N` pages.
    pub(crate) fn load_pages<const N: usize>(
        &self,
        first: Slot,
        dst: &mut [Page],
        how: Load,
    ) -> Result<Loaded, LoadError> {
        let mut loaded = Loaded::default();
        let mut found = [Found::Nothing; N];
        for (slot, at, pages) in sub_batches(first, dst.len()) {
            let (Some(dst), Some(found)) =
                (dst.get_mut(at..at + pages), found.get_mut(at..at + pages))
            else {
                break;
            };
            self.fill_pages(slot, dst, found)?;
            found.iter().for_each(|found| loaded.count(found));
            self.protect(found);
        }
        for (slot, at, pages) in sub_batches(first, dst.len()) {
            let found = found.get(at..at + pages).unwrap_or_default();
            match how {
                Load::Shared => break,
                Load::Exclusive => self.remove_pages(slot, found),
                Load::Duplicate => {
                    let pages = dst.get(at..at + pages).unwrap_or_default();
                    self.duplicate_pages(slot, pages, found);
                }
            }
        }
        let events = self.events();
        count(&events.swpin_zero, loaded.zero);
        count(&events.pswpin, loaded.from_device);
        count(&events.zswpin, dst.len() - loaded.zero - loaded.from_device);
        Ok(loaded)
    }

    /// Each page that comes from the device protects another one from the shrinker.
    fn protect(&self, found: &[Found]) {
        for found in found {
            if let Found::Entry(_, record) = found
                && let Content::Device(_) = record.content
                && let Some(account) = self.accounts.get(record.owner)
            {
                account.device_reads.fetch_add(1, Relaxed);
            }
        }
    }

    /// Fills the pages of a sub-batch, and tells what stands under their slots.
    pub(crate) fn fill_pages(
        &self,
        first: Slot,
        dst: &mut [Page],
        found: &mut [Found],
    ) -> Result<(), LoadError> {
        let mut filled = self.try_fill(first, dst, found);
        for _ in 0..TRIES_MAX {
            match filled {
                Ok(()) | Err(LoadError::NotFound { .. }) => return filled,
                // Pages that go while they are read may leave their block, or the number of their
                // compressor, to others.
                Err(_) if !self.is_still(first, found) => {
                    filled = self.try_fill(first, dst, found);
                }
                Err(_) => break,
            }
        }
        filled.inspect_err(|error| self.count_failed(error))
    }

    /// Whether the pages of a sub-batch are what was found.
    #[cold]
    fn is_still(&self, first: Slot, found: &[Found]) -> bool {
        let Some(partition) = self.tree.find(first) else { return false };
        let mut all = found.iter().enumerate();
        all.all(|(at, found)| self.look(&partition, first.after(at)) == *found)
    }

    #[cold]
    fn count_failed(&self, error: &LoadError) {
        let events = self.events();
        match error {
            LoadError::Decompress { .. } => count(&events.decompress_fail, 1),
            LoadError::Checksum { .. } => count(&events.checksum_fail, 1),
            LoadError::Device { .. } => count(&events.device_read_fail, 1),
            LoadError::NotFound { .. } | LoadError::Range(_) => {}
        }
    }

    fn try_fill(
        &self,
        first: Slot,
        dst: &mut [Page],
        found: &mut [Found],
    ) -> Result<(), LoadError> {
        let mut objects: Objects<'_> = [const { None }; SUB_BATCH];
        let mut uses = Uses::default();
        let partition = self.tree.find(first).ok_or(LoadError::NotFound { slot: first })?;
        for (at, (found, object)) in found.iter_mut().zip(&mut objects).enumerate() {
            let slot = first.after(at);
            *found = self.look(&partition, slot);
            match found {
                Found::Nothing => return Err(LoadError::NotFound { slot }),
                Found::Entry(_, record) => match record.content {
                    Content::Raw(stored) => *object = self.pin(stored),
                    Content::Compressed(stored, compressor) => {
                        *object = self.pin(stored);
                        if let Some(uses) = uses.get_mut(usize::from(compressor)) {
                            *uses = self.contexts.compressors.uses(compressor.into());
                        }
                    }
                    Content::SameFilled(_) | Content::Device(_) => {}
                },
                Found::Zero => {}
            }
        }
        drop(partition);
        self.verify(first, found, &objects)?;
        self.decompress(first, dst, found, &objects, &uses)
    }

    /// Compares the checksums of objects.
    fn verify(&self, first: Slot, found: &[Found], objects: &Objects<'_>) -> Result<(), LoadError> {
        if !self.has_checksums {
            return Ok(());
        }
        for (at, (found, object)) in found.iter().zip(objects).enumerate() {
            if let Found::Entry(_, record) = found
                && let Content::Raw(stored) | Content::Compressed(stored, _) = record.content
                && let Some(object) = object
                && self.checksum_of(object) != stored.checksum
            {
                return Err(LoadError::Checksum { slot: first.after(at) });
            }
        }
        Ok(())
    }

    fn decompress(
        &self,
        first: Slot,
        dst: &mut [Page],
        found: &[Found],
        objects: &Objects<'_>,
        uses: &Uses,
    ) -> Result<(), LoadError> {
        let mut compressors = 0_u32;
        for (at, (page, (found, object))) in
            dst.iter_mut().zip(found.iter().zip(objects)).enumerate()
        {
            let slot = first.after(at);
            match found {
                Found::Zero | Found::Nothing => page.fill(0),
                Found::Entry(_, record) => match record.content {
                    Content::SameFilled(word) => fill(page, word),
                    Content::Raw(_) => {
                        let raw = object.as_deref().and_then(|object| object.first_chunk());
                        *page = *raw.ok_or_else(|| failed(slot, Error::Corrupt))?;
                    }
                    Content::Compressed(_, compressor) => compressors |= 1 << compressor,
                    Content::Device(stored) => self.read_device(slot, stored, page)?,
                },
            }
        }
        while compressors != 0 {
            let compressor = compressors.trailing_zeros() as usize;
            let uses = uses.get(compressor).copied().unwrap_or_default();
            self.decompress_by((compressor as u8, uses), first, dst, found, objects)?;
            compressors &= compressors - 1;
        }
        Ok(())
    }

    /// Decompresses what one compressor made, if its number still stands for it.
    fn decompress_by(
        &self,
        (compressor, uses): (u8, usize),
        first: Slot,
        dst: &mut [Page],
        found: &[Found],
        objects: &Objects<'_>,
    ) -> Result<(), LoadError> {
        let mut slots = [first; SUB_BATCH];
        let mut chain = Chain::<SUB_BATCH>::new();
        for (at, (page, (found, object))) in
            dst.iter_mut().zip(found.iter().zip(objects)).enumerate()
        {
            if let Found::Entry(_, record) = found
                && let Content::Compressed(_, by) = record.content
                && by == compressor
            {
                let stream = object.as_deref().unwrap_or_default();
                if let Some(slot) = slots.get_mut(chain.ops().len()) {
                    *slot = first.after(at);
                }
                let _ = chain.push(Op::decompress(stream, page));
            }
        }
        let mut context = self.contexts.lock_to_load(compressor.into());
        if let Some((session, _)) = context.as_mut().and_then(|context| context.parts())
            && self.contexts.compressors.uses(compressor.into()) == uses
        {
            session.run(chain.as_mut_ops());
        }
        drop(context);
        for (op, slot) in chain.ops().iter().zip(slots) {
            match op.outcome() {
                Some(Ok(PAGE_BYTES)) => {}
                Some(Ok(_)) => return Err(failed(slot, Error::Corrupt)),
                Some(Err(error)) => return Err(failed(slot, error)),
                // No context has a live session.
                None => return Err(failed(slot, Error::Panicked)),
            }
        }
        Ok(())
    }

    /// Removes the pages of a sub-batch that were not replaced meanwhile.
    fn remove_pages(&self, first: Slot, found: &[Found]) {
        let mut removed: [Option<Removed>; SUB_BATCH] = [None; SUB_BATCH];
        let Some(mut partition) = self.tree.find(first) else { return };
        for (at, (found, removed)) in found.iter().zip(&mut removed).enumerate() {
            *removed = self.remove_same(&mut partition, first.after(at), found);
        }
        drop(partition);
        self.dispose(&removed);
    }
}

#[cold]
fn failed(slot: Slot, error: Error) -> LoadError {
    LoadError::Decompress { slot, error }
}

/// Pages that go while they are loaded are looked for again, so often.
const TRIES_MAX: usize = 16;
