//! What is asked of ranges of pages: advice, pins, discards, other lengths, system calls.

mod support;

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};

use acomp_core::Registry;
use zswap::Owner;
use zswap_pager::{Advice, FaultMode, KernelFaults, MapOptions, Pager, PagerError, Without};

use support::{
    KINDS, Kind, LIMIT_BYTES, MIB, PAGE_BYTES, assert_empty, assert_settled, fill, verify,
};

#[test]
fn advice_moves_pages_and_changes_none() {
    for kind in KINDS {
        let Some(pager) = kind.pager() else { return };
        let mut region = pager.map(12 * MIB).unwrap();
        fill(&mut region, 1);
        region.advise(0..region.len(), Advice::PageOut).unwrap();
        assert_eq!(region.stats().stored, region.len() / PAGE_BYTES, "{kind:?}");
        assert_eq!(pager.stats().resident_bytes, 0, "{kind:?}");

        region.advise(MIB..2 * MIB, Advice::WillNeed).unwrap();
        let before = pager.stats();
        assert_eq!(before.resident_bytes, MIB as u64, "{kind:?}");
        verify(&region[MIB..2 * MIB], 257);
        assert_eq!(pager.stats().faults, before.faults, "what is there needs no fault");

        // More than the limit: the last ones are there.
        region.advise(0..region.len(), Advice::WillNeed).unwrap();
        assert!(pager.stats().used_bytes_max <= LIMIT_BYTES as u64, "{kind:?}");
        region.advise(0..region.len(), Advice::Cold).unwrap();
        verify(&region, 1);
        // Half a page is that page.
        region.advise(100..200, Advice::PageOut).unwrap();
        verify(&region[..MIB], 1);
        region.advise(0..0, Advice::PageOut).unwrap();
        assert_settled(&pager, &[&region]);
    }
}

/// A window that is cold leaves before others that came first.
#[test]
fn cold_pages_leave_first() {
    for is_fifo in [false, true] {
        // Whoever faults lets the window leave himself: no other is on its way by then.
        let kind = Kind { is_fifo, ..Kind::new(FaultMode::Sigbus, Without::Nothing) };
        let Some(pager) = kind.pager() else { return };
        let mut region = pager.map(16 * MIB).unwrap();
        fill(&mut region[..MIB], 1);
        fill(&mut region[MIB..2 * MIB], 1000);
        region.advise(MIB..2 * MIB, Advice::Cold).unwrap();
        let mut at = 2 * MIB;
        while pager.stats().windows_out == 0 {
            fill(&mut region[at..at + PAGE_BYTES], 2000);
            at += PAGE_BYTES;
        }
        let before = pager.stats().faults;
        verify(&region[..MIB], 1);
        if is_fifo {
            assert_eq!(pager.stats().faults, before, "what is not cold is still there");
        }
        verify(&region[MIB..2 * MIB], 1000);
    }
}

#[test]
fn discarded_pages_are_zeros() {
    for kind in KINDS {
        let Some(pager) = kind.pager() else { return };
        let mut region = pager.map(12 * MIB).unwrap();
        // Stored, staged and resident ones.
        fill(&mut region, 1);
        let (from, to) = (5 * PAGE_BYTES, 12 * MIB - 7 * PAGE_BYTES);
        region.discard(from..to).unwrap();
        assert_eq!(region.stats().untouched, (to - from) / PAGE_BYTES, "{kind:?}");
        assert!(region[from..to].iter().all(|byte| *byte == 0), "{kind:?}");
        verify(&region[..from], 1);
        verify(&region[to..], (to / PAGE_BYTES) as u64 + 1);
        fill(&mut region, 9);
        verify(&region, 9);
        let part = 100 * PAGE_BYTES..101 * PAGE_BYTES;
        region.discard(part.clone()).unwrap();
        region.discard(part.clone()).unwrap();
        assert!(region[part].iter().all(|byte| *byte == 0), "{kind:?}");
        region.discard(0..region.len()).unwrap();
        assert_settled(&pager, &[&region]);
        assert_empty(&pager);
    }
}

#[test]
fn a_region_grows_and_shrinks() {
    for kind in KINDS {
        let Some(pager) = kind.pager() else { return };
        let options = MapOptions::default().capacity(12 * MIB);
        let mut region = pager.map_with(MIB + 1, options).unwrap();
        assert_eq!(region.len(), MIB + PAGE_BYTES, "whole pages");
        fill(&mut region, 1);
        region.resize(12 * MIB).unwrap();
        assert!(region[MIB + PAGE_BYTES..].iter().all(|byte| *byte == 0), "{kind:?}");
        fill(&mut region[MIB + PAGE_BYTES..], 1000);
        region.resize(3 * PAGE_BYTES).unwrap();
        assert_eq!(region.len(), 3 * PAGE_BYTES);
        verify(&region, 1);
        region.resize(12 * MIB).unwrap();
        assert!(region[3 * PAGE_BYTES..].iter().all(|byte| *byte == 0), "{kind:?}");
        assert!(matches!(
            region.resize(12 * MIB + 1),
            Err(PagerError::Capacity { capacity }) if capacity == 12 * MIB
        ));
        assert!(matches!(region.resize(usize::MAX), Err(PagerError::Capacity { .. })));
        region.resize(0).unwrap();
        assert!(region.is_empty());
        // What was staged of it goes with its frame.
        region.resize(12 * MIB).unwrap();
        assert_settled(&pager, &[&region]);
        assert_empty(&pager);
        let too_little = pager.map_with(2 * MIB, MapOptions::default().capacity(MIB));
        assert!(matches!(too_little, Err(PagerError::Capacity { capacity: MIB })));
    }
}

#[test]
fn ranges_that_are_none_are_refused() {
    let Some(pager) = KINDS[0].pager() else { return };
    let mut region = pager.map(MIB).unwrap();
    #[expect(clippy::reversed_empty_ranges, reason = "that is the point")]
    let wrong = [0..MIB + 1, MIB + 1..MIB + 1, 2..1, usize::MAX - 1..usize::MAX];
    for range in wrong {
        let refused = |result| matches!(result, Err(PagerError::Range { len: MIB, .. }));
        assert!(refused(region.advise(range.clone(), Advice::WillNeed)), "{range:?}");
        assert!(refused(region.pin(range.clone()).map(drop)), "{range:?}");
        assert!(refused(region.discard(range.clone())), "{range:?}");
    }
    assert!(matches!(region.discard(1..PAGE_BYTES), Err(PagerError::Range { .. })));
    assert!(matches!(region.discard(0..PAGE_BYTES - 1), Err(PagerError::Range { .. })));
    assert!(pager.map(0).is_err());
    assert!(pager.map(usize::MAX).is_err());
    assert!(pager.map(1 << 60).is_err());
}

#[test]
fn pinned_pages_stay() {
    for kind in KINDS {
        let Some(pager) = kind.pager() else { return };
        let mut region = pager.map(12 * MIB).unwrap();
        fill(&mut region, 1);
        let mut other = pager.map(12 * MIB).unwrap();
        let pinned = region.pin(MIB + 5..2 * MIB).unwrap();
        fill(&mut other, 5000);
        verify(&other, 5000);
        region.advise(0..region.len(), Advice::PageOut).unwrap();
        let before = pager.stats();
        assert_eq!(region.stats().pinned, 256, "{kind:?}");
        assert_eq!(region.stats().resident, 256, "{kind:?}");
        verify(&region[MIB..2 * MIB], 257);
        assert_eq!(pager.stats().faults, before.faults, "{kind:?}");
        drop(pinned);
        fill(&mut other, 9000);
        verify(&other, 9000);
        verify(&region, 1);
        assert_settled(&pager, &[&region, &other]);
    }
}

/// A refused pin leaves nothing pinned.
#[test]
fn pins_have_a_limit() {
    for kind in KINDS {
        let Some(pager) = kind.pager() else { return };
        let mut region = pager.map(12 * MIB).unwrap();
        for _ in 0..3 {
            let refused = region.pin(0..3 * MIB);
            assert!(matches!(refused, Err(PagerError::PinLimit { pages: 768 })));
            drop(refused);
            assert_eq!(region.stats().pinned, 0);
            let half = [region.pin(0..MIB).unwrap(), region.pin(5 * MIB..5 * MIB + 1).unwrap()];
            assert!(region.pin(7 * MIB..7 * MIB + 1).is_err());
            assert_eq!(region.stats().pinned, 512);
            drop(half);
            // What is refused does not stay out of reach of reclaim either.
            fill(&mut region, 1);
            verify(&region, 1);
        }
        assert_settled(&pager, &[&region]);
    }
}

/// `write(2)` and `read(2)` of memory that is not there.
#[test]
fn system_calls_reach_pages_in_thread_mode() {
    for without in [Without::Nothing, Without::Move] {
        let kind = Kind::new(FaultMode::Thread, without);
        let Some(pager) = support::build(kind.builder().kernel_faults(KernelFaults::Required))
        else {
            return;
        };
        let mut region = pager.map(12 * MIB).unwrap();
        assert!(region.has_kernel_faults());
        fill(&mut region, 1);
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&region).unwrap();
        region.advise(0..region.len(), Advice::PageOut).unwrap();
        region.discard(0..6 * MIB).unwrap();
        file.seek(SeekFrom::Start(0)).unwrap();
        file.read_exact(&mut region).unwrap();
        verify(&region, 1);
        assert_settled(&pager, &[&region]);
    }
}

#[test]
fn system_calls_reach_pinned_pages_in_sigbus_mode() {
    for without in [Without::Nothing, Without::Move] {
        let Some(pager) = Kind::new(FaultMode::Sigbus, without).pager() else { return };
        let mut region = pager.map(12 * MIB).unwrap();
        assert!(!region.has_kernel_faults());
        fill(&mut region, 1);
        region.advise(0..region.len(), Advice::PageOut).unwrap();
        let mut file: File = tempfile::tempfile().unwrap();
        let refused = file.write_all(&region[..MIB]).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(14), "EFAULT: {refused}");
        file.set_len(0).unwrap();
        file.seek(SeekFrom::Start(0)).unwrap();
        {
            let _pinned = region.pin(0..MIB).unwrap();
            file.write_all(&region[..MIB]).unwrap();
        }
        file.seek(SeekFrom::Start(0)).unwrap();
        let mut written = vec![0; MIB];
        file.read_exact(&mut written).unwrap();
        verify(&written, 1);
        assert_settled(&pager, &[&region]);
    }
}

#[test]
fn builders_refuse_what_cannot_be() {
    let limit = |bytes| Pager::builder(Registry::global()).limit(bytes).build();
    assert!(matches!(limit(LIMIT_BYTES as u64 - 1), Err(PagerError::Limit { .. })));
    assert!(matches!(limit(0), Err(PagerError::Limit { .. })));
    let none = Pager::builder(Registry::global()).compressor("none-such").build();
    assert!(matches!(none, Err(PagerError::Open(_) | PagerError::NotPermitted)), "{none:?}");
}

/// An owner that the pool does not have could store nothing.
#[test]
fn owners_are_those_of_the_pool() {
    let Some(pager) = support::build(KINDS[0].builder().owners(4)) else { return };
    let owner = |id| MapOptions::default().owner(Owner::new(id));
    assert!(pager.map_with(MIB, owner(3)).is_ok());
    let refused = pager.map_with(MIB, owner(4));
    assert!(matches!(refused, Err(PagerError::Owner { id: 4 })));
}
