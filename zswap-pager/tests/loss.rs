//! Pages that cannot be had back: never wrong bytes, and nothing else is lost with them.

#![expect(clippy::unwrap_used, reason = "test helpers unwrap like tests")]

mod support;
mod toys;

use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use acomp_core::AlgFlags;
use zswap_pager::{Advice, FaultMode, Kept, Pager, PagerError, Region, Without};

use support::{KINDS, Kind, MIB, PAGE_BYTES, is_alone, run_alone, stderr};
use toys::{BAD, Toy};

#[test]
fn a_lost_page_ends_the_process_in_thread_mode() {
    dies_at_a_lost_page("a_lost_page_ends_the_process_in_thread_mode", FaultMode::Thread);
}

#[test]
fn a_lost_page_ends_the_process_in_sigbus_mode() {
    dies_at_a_lost_page("a_lost_page_ends_the_process_in_sigbus_mode", FaultMode::Sigbus);
}

fn dies_at_a_lost_page(test: &str, mode: FaultMode) {
    let Some((pager, region, switch)) = damaged(Kind::new(mode, Without::Nothing)) else { return };
    if !is_alone() {
        let output = run_alone(test);
        let said = stderr(&output);
        assert!(said.contains("before the lost page"), "{said}");
        assert!(!said.contains("behind the lost page"), "{said}");
        let signal = output.status.signal();
        assert!(matches!(signal, Some(6 | 7)), "SIGABRT or SIGBUS: {:?} {said}", output.status);
        return;
    }
    switch.store(true, Relaxed);
    // Faults in sequence bring more and more pages: the lost one comes with others.
    for at in 0..LOST {
        assert_eq!(region[at * PAGE_BYTES], of(at), "page {at}");
    }
    for at in LOST + 1..512 {
        assert_eq!(region[at * PAGE_BYTES], of(at), "page {at}");
    }
    assert!(pager.stats().pages_lost <= 1);
    eprintln!("before the lost page");
    let byte = region[LOST * PAGE_BYTES];
    eprintln!("behind the lost page: {byte}");
}

/// What asks for many pages is told, and gets the others.
#[test]
fn others_of_the_range_come() {
    for kind in KINDS {
        let Some((pager, mut region, switch)) = damaged(kind) else { return };
        switch.store(true, Relaxed);
        let lost = |result| matches!(result, Err(PagerError::Lost));
        assert!(lost(region.advise(0..MIB, Advice::WillNeed)), "{kind:?}");
        assert!(lost(region.pin(0..MIB).map(drop)), "{kind:?}");
        assert_eq!((region.stats().lost, region.stats().pinned), (1, 0), "{kind:?}");
        for at in (0..LOST).chain(LOST + 1..512) {
            assert_eq!(region[at * PAGE_BYTES], of(at), "{kind:?}: page {at}");
        }
        assert_eq!(pager.stats().pages_lost, 1, "{kind:?}");
        // Whoever has no more use for it has the page again, as zeros.
        region.discard(LOST * PAGE_BYTES..(LOST + 1) * PAGE_BYTES).unwrap();
        assert_eq!(region[LOST * PAGE_BYTES], 0, "{kind:?}");
        region[LOST * PAGE_BYTES] = 5;
        region.advise(0..region.len(), Advice::PageOut).unwrap();
        assert_eq!(region[LOST * PAGE_BYTES], 5, "{kind:?}");
        drop(region);
        support::assert_empty(&pager);
    }
}

/// A pin that says that pages are there means all of them, also where a fill was cut short.
#[test]
fn a_pin_counts_every_page() {
    for kind in KINDS {
        let Some((_pager, region, switch)) = damaged(kind) else { return };
        switch.store(true, Relaxed);
        for from in 0..LOST {
            let range = from * PAGE_BYTES..(LOST + 1) * PAGE_BYTES;
            assert!(matches!(region.pin(range), Err(PagerError::Lost)), "{kind:?}: {from}");
        }
    }
}

/// A system call that comes to a lost page fails, and the process goes on.
#[test]
fn a_system_call_fails_at_a_lost_page() {
    for without in [Without::Nothing, Without::Move] {
        let kind = Kind::new(FaultMode::Thread, without);
        let Some((_pager, mut region, switch)) = damaged(kind) else { return };
        if !region.has_kernel_faults() {
            eprintln!("NOTHING IS TESTED HERE: no faults within system calls");
            return;
        }
        switch.store(true, Relaxed);
        let page = LOST * PAGE_BYTES..(LOST + 1) * PAGE_BYTES;
        let mut file = tempfile::tempfile().unwrap();
        let refused = file.write(&region[page.clone()]).unwrap_err();
        assert!(matches!(refused.raw_os_error(), Some(14 | 133)), "EFAULT, EHWPOISON: {refused}");
        region.discard(page.clone()).unwrap();
        assert!(region[page.clone()].iter().all(|byte| *byte == 0));
        file.write_all(&region[page]).unwrap();
    }
}

/// In a signal handler a driver must neither allocate nor block.
#[test]
fn sigbus_mode_asks_for_promises() {
    for flags in [AlgFlags::empty(), AlgFlags::NEVER_BLOCKS, AlgFlags::NO_ALLOC_AFTER_OPEN] {
        let built = Toy::new(flags).0.builder().mode(FaultMode::Sigbus).build();
        match built {
            Err(PagerError::NotPermitted | PagerError::Unsupported { .. }) => {
                eprintln!("NOTHING IS TESTED HERE: no userfaultfd");
            }
            Err(PagerError::Driver { driver }) => assert_eq!(driver, "toy-rs"),
            other => panic!("{flags:?}: {other:?}"),
        }
        assert!(support::build(Toy::new(flags).0.builder()).is_some(), "in thread mode it may");
    }
}

/// A region whose pages are all stored, one of which will be lost when the switch is set.
fn damaged(kind: Kind) -> Option<(Pager, Region, Arc<AtomicBool>)> {
    let (toy, switch) = Toy::new(AlgFlags::NEVER_BLOCKS | AlgFlags::NO_ALLOC_AFTER_OPEN);
    let builder = toy.builder().limit(support::LIMIT_BYTES as u64).mode(kind.mode).kept(Kept::Off);
    let pager = support::build(builder.without(kind.without))?;
    let mut region = pager.map(2 * MIB).unwrap();
    for (at, page) in region.chunks_mut(PAGE_BYTES).enumerate() {
        page[..8].fill(of(at));
    }
    region[LOST * PAGE_BYTES..][..BAD.len()].copy_from_slice(BAD);
    region.advise(0..region.len(), Advice::PageOut).unwrap();
    assert_eq!(region.stats().stored, 512);
    Some((pager, region, switch))
}

fn of(page: usize) -> u8 {
    page as u8 % 100 + 1
}

const LOST: usize = 21;
