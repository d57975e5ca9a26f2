//! Reclaim: duplicates are dropped, and what was stored first is written back to the device.
//!
//! The list of an owner says what comes next. Entries are looked up again under the lock of their
//! partition before anything is done to them: whoever loaded, replaced or invalidated them
//! meanwhile was faster.

use acomp_core::Error;

use crate::context::SUB_BATCH;
use crate::counters::count;
use crate::device::Unwritten;
use crate::entry::{Content, Identity, Stored};
use crate::error::LoadError;
use crate::owners::Account;
use crate::page::{PAGE_BYTES, Page};
use crate::slot::Slot;
use crate::state::{Device, Found, State};
use crate::sync::lock;

/// What became of a reclaim.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reclaimed {
    /// Pages written back.
    pub written: usize,
    /// Duplicates dropped.
    pub dropped: usize,
    /// Pages that got a second chance.
    pub rotated: usize,
    /// Pages that could not be written back.
    pub failed: usize,
}

impl Reclaimed {
    pub(crate) fn add(&mut self, other: Self) {
        self.written += other.written;
        self.dropped += other.dropped;
        self.rotated += other.rotated;
        self.failed += other.failed;
    }

    /// Pages that are in memory no more.
    #[must_use]
    pub fn pages(&self) -> usize {
        self.written + self.dropped
    }
}

/// Pages on their way to the device, aligned for direct transfers.
#[derive(Debug)]
#[repr(align(4096))]
pub(crate) struct Pages([Page; SUB_BATCH]);

impl Default for Pages {
    fn default() -> Self {
        Self([[0; PAGE_BYTES]; SUB_BATCH])
    }
}

/// What is to be reclaimed, if it is still there.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    slot: Slot,
    identity: Identity,
}

impl State {
    /// Looks at up to so many pages of an owner.
    pub(crate) fn reclaim(
        &self,
        account: &Account,
        pages_max: usize,
        buffer: &mut Pages,
    ) -> Reclaimed {
        let mut reclaimed = Reclaimed::default();
        let mut left = pages_max;
        while left > 0
            && let Some(is_dropped) = self.drop_duplicate(account)
        {
            reclaimed.dropped += usize::from(is_dropped);
            left -= 1;
        }
        let Some(device) = self.device.as_ref().filter(|_| account.has_writeback()) else {
            return reclaimed;
        };
        while left > 0 {
            let mut candidates = [None; SUB_BATCH];
            let wanted = candidates.get_mut(..left.min(SUB_BATCH)).unwrap_or_default();
            let (looked, rotated) = self.candidates(account, wanted, left);
            reclaimed.rotated += rotated;
            left -= looked;
            let batch = self.write_back(device, &candidates, buffer);
            reclaimed.add(batch);
            if looked == 0 || batch.failed > 0 {
                break;
            }
        }
        reclaimed
    }

    /// Drops the duplicate that was made first, unless somebody else takes it away now. `None`:
    /// there is none.
    fn drop_duplicate(&self, account: &Account) -> Option<bool> {
        let lists = lock(&account.lists);
        let candidate = lists.duplicates.last().and_then(|number| self.candidate(number as u32));
        drop(lists);
        let Candidate { slot, identity } = candidate?;
        let Some(mut partition) = self.tree.find(slot) else { return Some(false) };
        let removed = match self.look(&partition, slot) {
            found @ Found::Entry(now, record) if now == identity && record.is_duplicate => {
                self.remove_same(&mut partition, slot, &found)
            }
            // Somebody was faster. He takes it from the list.
            _ => return Some(false),
        };
        drop(partition);
        self.dispose(&[removed]);
        count(&self.events().dropped_duplicates, 1);
        Some(true)
    }

    /// Fills `candidates` with those whose turn it is, and looks at no more than `looks_max`. How
    /// many were looked at, and how many of these got a second chance. Each goes to the front, so
    /// that one that fails is not tried again at once.
    fn candidates(
        &self,
        account: &Account,
        candidates: &mut [Option<Candidate>],
        looks_max: usize,
    ) -> (usize, usize) {
        let mut lists = lock(&account.lists);
        let looks_max = looks_max.min(lists.lru.len());
        let (mut looked, mut rotated) = (0, 0);
        let mut places = candidates.iter_mut();
        while looked < looks_max && places.len() > 0 {
            let Some(number) = lists.lru.last() else { break };
            lists.lru.remove(self.entries.links(), number);
            lists.lru.push(self.entries.links(), number);
            looked += 1;
            let Some(entry) = self.entries.get(number as u32) else { break };
            if entry.take_reference() {
                rotated += 1;
            } else if let Some(place) = places.next() {
                *place = self.candidate(number as u32);
            }
        }
        (looked, rotated)
    }

    /// With the list locked that the entry is in, so that it is not given to another page.
    fn candidate(&self, number: u32) -> Option<Candidate> {
        let slot = self.tree.slot_at(self.entries.get(number)?.place())?;
        Some(Candidate { slot, identity: self.entries.identity(number) })
    }

    fn write_back(
        &self,
        device: &Device,
        candidates: &[Option<Candidate>; SUB_BATCH],
        buffer: &mut Pages,
    ) -> Reclaimed {
        let mut reclaimed = Reclaimed::default();
        let mut found = [Found::Nothing; SUB_BATCH];
        let mut blocks = [None; SUB_BATCH];
        let all = candidates.iter().zip(&mut found).zip(&mut buffer.0).zip(&mut blocks);
        for (((candidate, found), page), block) in all {
            let Some(Candidate { slot, identity }) = candidate else { continue };
            // One by one: they lie anywhere.
            let filled =
                self.fill_pages(*slot, std::slice::from_mut(page), std::slice::from_mut(found));
            // Duplicates are never written back, also if they have just become some.
            let is_it = matches!(
                found,
                Found::Entry(now, record) if now == identity && !record.is_duplicate
            );
            match filled {
                Ok(()) if is_it => *block = device.blocks.take(),
                // It was loaded or replaced.
                Ok(()) => continue,
                Err(_) if !is_it => continue,
                Err(_) => {}
            }
            reclaimed.failed += usize::from(block.is_none());
        }
        self.write(device, candidates, &found, &blocks, buffer, &mut reclaimed);
        count(&self.events().reject_reclaim_fail, reclaimed.failed);
        count(&self.events().zswpwb, reclaimed.written);
        reclaimed
    }

    /// Writes the pages that have a block, and lets go of what was kept of them.
    fn write(
        &self,
        device: &Device,
        candidates: &[Option<Candidate>; SUB_BATCH],
        found: &[Found; SUB_BATCH],
        blocks: &[Option<u32>; SUB_BATCH],
        buffer: &Pages,
        reclaimed: &mut Reclaimed,
    ) {
        let mut pages = [(0, &buffer.0[0]); SUB_BATCH];
        let mut count = 0;
        for ((place, block), page) in pages.iter_mut().zip(blocks.iter().flatten()).zip(
            buffer.0.iter().zip(blocks).filter(|(_, block)| block.is_some()).map(|(page, _)| page),
        ) {
            *place = (*block, page);
            count += 1;
        }
        let pages = pages.get(..count).unwrap_or_default();
        if pages.is_empty() {
            return;
        }
        let written = match device.device.write(pages) {
            Ok(()) => count,
            Err(Unwritten { written, .. }) => written.min(count),
        };
        let all = candidates.iter().zip(found).zip(blocks).zip(&buffer.0);
        let on_way = all.filter_map(|(((candidate, found), block), page)| {
            Some((candidate.as_ref()?, found, (*block)?, page))
        });
        for (at, (candidate, found, block, page)) in on_way.enumerate() {
            if at >= written {
                device.blocks.put(block);
                reclaimed.failed += 1;
            } else if self.moved(candidate.slot, found, block, page) {
                reclaimed.written += 1;
            } else {
                device.blocks.put(block);
            }
        }
    }

    /// The page is on the device: its entry says so from now on, unless it was replaced.
    fn moved(&self, slot: Slot, found: &Found, block: u32, page: &Page) -> bool {
        let Found::Entry(identity, record) = found else { return false };
        let Some(partition) = self.tree.find(slot) else { return false };
        if self.look(&partition, slot) != *found {
            return false;
        }
        let account = self.accounts.get(record.owner);
        let (Some(account), Some(entry)) = (account, self.entries.get(identity.number)) else {
            return false;
        };
        self.unlist(account, identity.number, record);
        let mut on_device = *record;
        on_device.content = Content::Device(Stored { at: block, checksum: checksum(page) });
        entry.write(on_device);
        self.uncount(record);
        self.count(&on_device);
        drop(partition);
        if let Some(bytes) = self.free_content(record.content) {
            account.uncharge(1, bytes);
        }
        true
    }

    /// Reads a page that was written back.
    pub(crate) fn read_device(
        &self,
        slot: Slot,
        stored: Stored,
        page: &mut Page,
    ) -> Result<(), LoadError> {
        let Some(device) = &self.device else {
            return Err(LoadError::Decompress { slot, error: Error::DeviceLost });
        };
        let read = device.device.read(stored.at, page);
        read.map_err(|error| LoadError::Device { slot, error: error.kind() })?;
        if checksum(page) == stored.checksum { Ok(()) } else { Err(LoadError::Checksum { slot }) }
    }

    #[inline]
    pub(crate) fn checksum_of(&self, object: &[u8]) -> u32 {
        if self.has_checksums { checksum(object) } else { 0 }
    }
}

fn checksum(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes)
}
