//! Storing: pages are prepared in sub-batches, and committed one by one.

use std::slice;

use acomp_core::{Chain, Error, Op};

use crate::context::SUB_BATCH;
use crate::counters::{count, uncount};
use crate::entry::{Content, Stored};
use crate::error::StoreError;
use crate::owners::Account;
use crate::page::{PAGE_BYTES, Page, same_filled};
use crate::prepared::{Prepared, PreparedEntry};
use crate::slot::{Owner, Slot};
use crate::state::{Removed, State, ZERO};
use crate::sync::lock;
use crate::zsmalloc::AllocError;

/// Pages of a sub-batch, as far as they are prepared.
type Batch<'p> = [Option<Prepared<'p>>; SUB_BATCH];

impl State {
    /// Stores at most `SUB_BATCH` pages under slots of one partition, instead of what was there.
    /// Returns how many pages were zero. On failure, some may be stored.
    pub(crate) fn store_pages(
        &self,
        first: Slot,
        pages: &[Page],
        owner: Owner,
        account: &Account,
    ) -> Result<usize, StoreError> {
        let mut batch = [const { None }; SUB_BATCH];
        let zero_pages = self.prepare(pages, owner, &mut batch)?;
        self.compress(first, pages, owner, account, &mut batch)?;
        self.commit(first, batch, account)?;
        Ok(zero_pages)
    }

    /// Takes entries. Returns how many pages are zero.
    fn prepare<'p>(
        &'p self,
        pages: &[Page],
        owner: Owner,
        batch: &mut Batch<'p>,
    ) -> Result<usize, StoreError> {
        let mut words = [None; SUB_BATCH];
        for (page, word) in pages.iter().zip(&mut words) {
            *word = same_filled(page);
        }
        let words = words.get(..pages.len()).unwrap_or_default();
        let is_zero = |word: &&Option<u64>| **word == Some(0);
        let zero_pages = words.iter().filter(is_zero).count();
        let mut numbers = [0; SUB_BATCH];
        let wanted = pages.len() - zero_pages;
        let numbers = numbers.get_mut(..wanted).unwrap_or_default();
        let taken = self.entries.take(numbers);
        let mut numbers = numbers.iter().take(taken);
        for (word, place) in words.iter().zip(batch) {
            *place = match word {
                Some(0) => Some(Prepared::Zero),
                _ => numbers
                    .next()
                    .map(|number| Prepared::Entry(PreparedEntry::new(self, *number, owner, *word))),
            };
        }
        if taken < wanted {
            count(&self.events().reject_kmemcache_fail, wanted - taken);
            return Err(no_memory(self.entries.is_final()));
        }
        Ok(zero_pages)
    }

    /// Makes objects of the pages that need one.
    fn compress<'p>(
        &'p self,
        first: Slot,
        pages: &[Page],
        owner: Owner,
        account: &Account,
        batch: &mut Batch<'p>,
    ) -> Result<(), StoreError> {
        let mut todo = pages
            .iter()
            .zip(batch)
            .enumerate()
            .filter_map(|(at, (page, place))| match place {
                Some(Prepared::Entry(entry)) if !entry.is_same_filled => {
                    Some(Todo { slot: first.after(at), page, entry })
                }
                _ => None,
            })
            .peekable();
        if todo.peek().is_none() {
            return Ok(());
        }
        let keep = |kept: &Kept<'_>, todo: &mut Todo<'_, '_>| self.keep(kept, owner, account, todo);
        let mut context = self.contexts.lock_to_store();
        while todo.peek().is_some() {
            let compressor = context.as_ref().map_or(0, |context| context.compressor);
            let Some((session, buffers)) = context.as_mut().and_then(|context| context.parts())
            else {
                drop(context);
                return todo.try_for_each(|mut todo| keep(&Kept::Failed(todo.page), &mut todo));
            };
            if let [buffer] = buffers {
                // Not as a `Chain`, of which all is cleared and copied for each page.
                for mut todo in todo.by_ref() {
                    let mut op = Op::compress(todo.page, &mut buffer[..STREAM_BYTES_MAX]);
                    session.run(slice::from_mut(&mut op));
                    keep(&Kept::new(&op, compressor, todo.page), &mut todo)?;
                }
                break;
            }
            let mut todos = [const { None }; SUB_BATCH];
            let mut chain = Chain::<SUB_BATCH>::new();
            for ((place, buffer), todo) in todos.iter_mut().zip(buffers).zip(todo.by_ref()) {
                let _ = chain.push(Op::compress(todo.page, &mut buffer[..STREAM_BYTES_MAX]));
                *place = Some(todo);
            }
            session.run(chain.as_mut_ops());
            for (op, mut todo) in chain.ops().iter().zip(todos.into_iter().flatten()) {
                keep(&Kept::new(op, compressor, todo.page), &mut todo)?;
            }
        }
        Ok(())
    }

    /// Makes the object of one page. With the context of a stream's compressor locked.
    fn keep(
        &self,
        kept: &Kept<'_>,
        owner: Owner,
        account: &Account,
        todo: &mut Todo<'_, '_>,
    ) -> Result<(), StoreError> {
        let events = self.events();
        if let Kept::Failed(_) = kept {
            count(&events.reject_compress_fail, 1);
        }
        let object: &[u8] = match kept {
            Kept::Stream(stream, _) => stream,
            Kept::Poor(page) | Kept::Failed(page) if account.has_writeback() => *page,
            Kept::Poor(_) | Kept::Failed(_) => {
                count(&events.reject_compress_poor, 1);
                return Err(StoreError::Incompressible { slot: todo.slot });
            }
        };
        // Counted before the object is copied: a locked instruction after it would wait until the
        // copy has left for memory, which the next compression need not.
        let compressed = match kept {
            Kept::Stream(_, compressor) => events.compressed.get(usize::from(*compressor)),
            Kept::Poor(_) | Kept::Failed(_) => None,
        };
        compressed.into_iter().for_each(|pages| count(pages, 1));
        let checksum = self.checksum_of(object);
        let handle = self.objects.alloc(object).map_err(|error| {
            compressed.into_iter().for_each(|pages| uncount(pages, 1));
            count(&events.reject_alloc_fail, 1);
            match error {
                AllocError::Full => StoreError::PoolLimit,
                _ => StoreError::NoMemory,
            }
        })?;
        let stored = Stored { at: handle.into_number().get(), checksum };
        let content = match kept {
            Kept::Stream(_, compressor) => Content::Compressed(stored, *compressor),
            Kept::Poor(_) | Kept::Failed(_) => Content::Raw(stored),
        };
        todo.entry.set(content, owner, object.len());
        Ok(())
    }

    /// Puts the entries into the tree, one by one. Those that do not come there are freed.
    fn commit(&self, first: Slot, batch: Batch<'_>, account: &Account) -> Result<(), StoreError> {
        let mut stale: [Option<Removed>; SUB_BATCH] = [None; SUB_BATCH];
        let rejected = |_| {
            count(&self.events().reject_alloc_fail, 1);
            no_memory(self.tree.is_final())
        };
        let mut partition = self.tree.find_or_add(first).map_err(rejected)?;
        let mut lists = lock(&account.lists);
        let (mut pages, mut bytes) = (0, 0);
        let mut committed = Ok(());
        for ((at, prepared), stale) in batch.into_iter().enumerate().zip(&mut stale) {
            let Some(prepared) = prepared else { break };
            let slot = first.after(at);
            let value = match &prepared {
                Prepared::Zero => ZERO,
                Prepared::Entry(entry) => entry.number + 1,
            };
            let old = match partition.set(slot, value) {
                Ok(old) => old,
                Err(empty) => {
                    committed = Err(rejected(empty));
                    break;
                }
            };
            *stale = self.removed(old);
            match prepared {
                Prepared::Zero => count(&self.events().zero_pages, 1),
                Prepared::Entry(prepared) => {
                    (pages, bytes) = (pages + 1, bytes + prepared.bytes);
                    if let Some(entry) = self.entries.get(prepared.number) {
                        entry.set_place(partition.place(slot));
                        let record = entry.read();
                        self.count(&record);
                        self.list(&mut lists, prepared.number, &record);
                    }
                    prepared.publish();
                }
            }
        }
        // With the partition locked, so that nothing is taken off the account before it is on it.
        account.charge(pages, bytes);
        drop((lists, partition));
        self.dispose(&stale);
        committed
    }
}

/// `is_final`: nor will there be any.
fn no_memory(is_final: bool) -> StoreError {
    if is_final { StoreError::PoolLimit } else { StoreError::NoMemory }
}

/// A page that needs an object.
struct Todo<'t, 'p> {
    slot: Slot,
    page: &'t Page,
    entry: &'t mut PreparedEntry<'p>,
}

/// What is kept of a page.
enum Kept<'k> {
    Stream(&'k [u8], u8),
    /// It does not compress.
    Poor(&'k Page),
    /// It could not be compressed.
    Failed(&'k Page),
}

impl<'k> Kept<'k> {
    #[inline]
    fn new(op: &'k Op<'_>, compressor: usize, page: &'k Page) -> Self {
        match op.outcome() {
            Some(Ok(1..)) => Self::Stream(op.output(), compressor as u8),
            Some(Err(Error::DstTooSmall)) => Self::Poor(page),
            _ => Self::Failed(page),
        }
    }
}

/// A stream as long as the page is worth nothing.
const STREAM_BYTES_MAX: usize = PAGE_BYTES - 1;
