//! Duplicates: stored pages that the caller has as well. They are compared when he forgets the
//! page, and are dropped when memory is short.

use std::slice::from_mut;

use twox_hash::xxhash3_128::Hasher;

use crate::counters::{count, uncount};
use crate::entry::{Content, Record};
use crate::error::LoadError;
use crate::page::{PAGE_BYTES, Page};
use crate::pool::Revalidated;
use crate::slot::Slot;
use crate::state::{Found, State};
use crate::sync::lock;

impl State {
    /// Makes duplicates of the pages of a sub-batch that were not replaced meanwhile. Those that
    /// take no memory stay what they are.
    pub(crate) fn duplicate_pages(&self, first: Slot, pages: &[Page], found: &[Found]) {
        let Some(partition) = self.tree.find(first) else { return };
        for (at, (page, found)) in pages.iter().zip(found).enumerate() {
            if let Found::Entry(identity, record) = found
                && let Content::Raw(_) | Content::Compressed(..) = record.content
                && !record.is_duplicate
                && self.look(&partition, first.after(at)) == *found
            {
                self.relist(identity.number, record, Record { is_duplicate: true, ..*record });
                if let (Some(hash), Some(key)) = (self.entries.hash(identity.number), self.hash_key)
                {
                    hash.write(Hasher::oneshot_with_seed(key, page));
                }
                count(&self.events().duplicate_pages, 1);
            }
        }
    }

    /// Whether what is stored is this page; then it is a duplicate no more, else it is removed.
    pub(crate) fn revalidate(&self, slot: Slot, page: &Page) -> Result<Revalidated, LoadError> {
        if let Some(key) = self.hash_key
            && let Some(partition) = self.tree.find(slot)
            && let found @ Found::Entry(identity, record) = self.look(&partition, slot)
            && record.is_duplicate
            && let Some(hash) = self.entries.hash(identity.number)
        {
            let hash = hash.read();
            drop(partition);
            let is_same = hash == Hasher::oneshot_with_seed(key, page);
            return Ok(self.settle(slot, &found, is_same));
        }
        let (mut stored, mut found) = ([0; PAGE_BYTES], Found::Nothing);
        match self.fill_pages(slot, from_mut(&mut stored), from_mut(&mut found)) {
            Err(LoadError::NotFound { .. }) => Ok(Revalidated::Gone),
            filled => filled.map(|()| self.settle(slot, &found, stored == *page)),
        }
    }

    /// A page was compared with what was found under its slot.
    fn settle(&self, slot: Slot, found: &Found, is_same: bool) -> Revalidated {
        let Some(mut partition) = self.tree.find(slot) else { return Revalidated::Gone };
        let now = self.look(&partition, slot);
        match (now, found) {
            (Found::Nothing, _) => return Revalidated::Gone,
            (Found::Zero, Found::Zero) => {}
            (Found::Entry(now, _), Found::Entry(found, _)) if now == *found => {}
            // Replaced meanwhile: by whom, only the caller can know.
            _ => return Revalidated::Changed,
        }
        if !is_same {
            let removed = self.remove(&mut partition, slot);
            drop(partition);
            self.dispose(&[removed]);
            return Revalidated::Changed;
        }
        if let Found::Entry(identity, record) = now
            && record.is_duplicate
        {
            self.relist(identity.number, &record, Record { is_duplicate: false, ..record });
            uncount(&self.events().duplicate_pages, 1);
        }
        Revalidated::Same
    }

    /// Moves an entry to the list of what it is from now on. With its partition locked.
    fn relist(&self, number: u32, before: &Record, after: Record) {
        let account = self.accounts.get(before.owner);
        if let (Some(account), Some(entry)) = (account, self.entries.get(number)) {
            self.unlist(account, number, before);
            entry.write_new(after);
            self.list(&mut lock(&account.lists), number, &after);
        }
    }
}
