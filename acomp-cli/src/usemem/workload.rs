//! What a thread does with its pages, the same for every backend.

use std::hint::black_box;
use std::time::Instant;

use acomp::zswap::Page;
use hdrhistogram::Histogram;

use super::accesses::Access;
use super::case::Pattern;
use super::content::{Content, modify};

/// A thread's part of the work, and what came of it. It is made, and its memory touched, before
/// any clock runs.
#[derive(Debug)]
pub(super) struct Part {
    /// Of the first page.
    number: u64,
    versions: Vec<u8>,
    accesses: Vec<Access>,
    /// In nanoseconds.
    pub(super) faults: Histogram<u64>,
    pub(super) mismatches: u64,
}

impl Part {
    pub(super) fn new(
        number: u64,
        pages: usize,
        accesses: Vec<Access>,
        faults: Histogram<u64>,
    ) -> Self {
        // Not by zeros, which the kernel would give when they are first written.
        let mut versions = vec![1; pages];
        versions.fill(0);
        Self { number, versions, accesses, faults, mismatches: 0 }
    }

    pub(super) fn write(&self, content: &Content, pages: &mut [Page]) {
        for (number, page) in (self.number..).zip(pages) {
            content.write(number, page);
        }
    }

    /// All accesses, the first touch of each timed by itself.
    pub(super) fn read(&mut self, content: &Content, pattern: Pattern, pages: &mut [Page]) {
        for access in &self.accesses {
            let at = access.page();
            let page = &mut pages[at];
            let version = &mut self.versions[at];
            let started = Instant::now();
            if access.modifies() {
                let old = *version;
                *version = old.wrapping_add(1);
                modify(black_box(&mut *page), old, *version);
                black_box(&mut *page);
            } else {
                black_box(black_box(&*page)[0]);
            }
            let ns = started.elapsed().as_nanos() as u64;
            if ns >= FAULT_NS {
                self.faults.saturating_record(ns);
            }
            let number = self.number + at as u64;
            let is_right = match pattern {
                Pattern::Seq => content.is(number, *version, page),
                Pattern::Random | Pattern::Zipf => content.is_touched(number, *version, page),
            };
            self.mismatches += u64::from(!is_right);
        }
    }

    /// Every byte.
    pub(super) fn check(&mut self, content: &Content, pages: &[Page]) {
        for ((number, version), page) in (self.number..).zip(&self.versions).zip(pages) {
            self.mismatches += u64::from(!content.is(number, *version, page));
        }
    }
}

/// What a fault takes at least. Resident memory answers in less than 0.7 us even where the TLB must
/// be filled first, under a hypervisor; the shortest fault, of a page that was read ahead, takes
/// 1.2. Faults counted so are those that the kernel counts, to 0.2 %.
const FAULT_NS: u64 = 1000;

#[cfg(test)]
mod test {
    use acomp::zswap::PAGE_BYTES;
    use acomp_testmgr::Content as Class;
    use anyhow::Result;

    use super::*;
    use crate::usemem::accesses::accesses;
    use crate::usemem::worker::fault_histogram;

    #[test]
    fn a_flipped_bit_a_page_of_another_number_and_a_lost_modification_are_noticed() -> Result<()> {
        let mut page = [0; PAGE_BYTES];
        Class::Text.fill(1, &mut page);
        for content in [Content::Words, Content::Data(vec![page])] {
            for bit in [0, 63, 64, 127, 128, 8 * PAGE_BYTES - 1] {
                assert_eq!(mismatches(&content, |now, _| now[1][bit / 8] ^= 1 << (bit % 8))?, 1);
            }
            assert_eq!(mismatches(&content, |now, _| now.swap(0, 2))?, 2);
            assert_eq!(mismatches(&content, |now, before| now[2] = before[2])?, 1);
            assert_eq!(mismatches(&content, |_, _| {})?, 0);
        }
        Ok(())
    }

    /// Of four pages that were written, modified once, and damaged, knowing what they were before
    /// the modification.
    fn mismatches(content: &Content, damage: impl Fn(&mut [Page], &[Page])) -> Result<u64> {
        let accesses = accesses(Pattern::Seq, 4, 1, 100, 0)?;
        let mut part = Part::new(7, 4, accesses, fault_histogram()?);
        let mut pages = [[0; PAGE_BYTES]; 4];
        part.write(content, &mut pages);
        let before = pages;
        part.read(content, Pattern::Seq, &mut pages);
        assert_eq!(part.mismatches, 0);
        damage(&mut pages, &before);
        part.check(content, &pages);
        Ok(part.mismatches)
    }
}
