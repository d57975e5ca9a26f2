//! Loading: objects are pinned under the lock of their partition, and read without it.

use acomp_core::{Chain, Error, Op};

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

    /// Fills the pages of a sub-batch, and tells what stands under their slots.
    pub(crate) fn fill_pages(
        &self,
        first: Slot,
        dst: &mut [Page],
        found: &mut [Found],
    ) -> Result<(), LoadError> {
        let mut objects: Objects<'_> = [const { None }; SUB_BATCH];
        let partition = self.tree.find(first).ok_or(LoadError::NotFound { slot: first })?;
        for (at, (found, object)) in found.iter_mut().zip(&mut objects).enumerate() {
            let slot = first.after(at);
            *found = self.look(&partition, slot);
            match found {
                Found::Nothing => return Err(LoadError::NotFound { slot }),
                Found::Entry(_, record) => match record.content {
                    Content::Raw(stored) | Content::Compressed(stored, _) => {
                        *object = self.pin(stored);
                    }
                    Content::SameFilled(_) | Content::Device(_) => {}
                },
                Found::Zero => {}
            }
        }
        drop(partition);
        self.verify(first, found, &objects)?;
        self.decompress(first, dst, found, &objects)
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
                count(&self.events().checksum_fail, 1);
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
                        *page = *raw.ok_or_else(|| self.failed(slot, Error::Corrupt))?;
                    }
                    Content::Compressed(_, compressor) => compressors |= 1 << compressor,
                    Content::Device(stored) => self.read_device(slot, stored, page)?,
                },
            }
        }
        while compressors != 0 {
            self.decompress_by(compressors.trailing_zeros() as u8, first, dst, found, objects)?;
            compressors &= compressors - 1;
        }
        Ok(())
    }

    /// Decompresses what one compressor made.
    fn decompress_by(
        &self,
        compressor: u8,
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
        if let Some((session, _)) = context.as_mut().and_then(|context| context.parts()) {
            session.run(chain.as_mut_ops());
        }
        drop(context);
        for (op, slot) in chain.ops().iter().zip(slots) {
            match op.outcome() {
                Some(Ok(PAGE_BYTES)) => {}
                Some(Ok(_)) => return Err(self.failed(slot, Error::Corrupt)),
                Some(Err(error)) => return Err(self.failed(slot, error)),
                // No context has a live session.
                None => return Err(self.failed(slot, Error::Panicked)),
            }
        }
        Ok(())
    }

    #[cold]
    pub(crate) fn failed(&self, slot: Slot, error: Error) -> LoadError {
        count(&self.events().decompress_fail, 1);
        LoadError::Decompress { slot, error }
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
