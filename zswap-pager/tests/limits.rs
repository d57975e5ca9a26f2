//! Limits: of memory, of the pool, and what becomes of pages that nobody takes.

mod support;

use std::sync::Arc;

use zswap::{FileDevice, Owner};
use zswap_pager::{Advice, MapOptions};

use support::{
    KINDS, Kind, LIMIT_BYTES, MIB, PAGE_BYTES, assert_empty, assert_settled, content, fill, mix,
    verify,
};

/// What the pool refuses stays in memory, over the limit, and is what it was.
#[test]
fn pages_that_the_pool_refuses_stay() {
    for kind in KINDS {
        let Some(pager) = support::build(kind.builder().pool_limit(4 * MIB as u64)) else { return };
        let mut region = pager.map(16 * MIB).unwrap();
        fill(&mut region, 1);
        verify(&region, 1);
        let stats = pager.stats();
        assert!(stats.pages_refused > 0, "{kind:?} {stats:?}");
        assert!(stats.resident_bytes > LIMIT_BYTES as u64, "{kind:?} {stats:?}");
        // The limit is for all of it; what regions know of their pages comes on top.
        let most = 4 * MIB as u64 + MIB as u64 / 5;
        assert!(stats.pool_bytes + stats.metadata_bytes <= most, "{kind:?} {stats:?}");
        assert_eq!(stats.pages_lost, 0);
        // Zeros need no room: once pages are those, everything leaves.
        region.fill(0);
        assert!(region.iter().all(|byte| *byte == 0));
        assert_settled(&pager, &[&region]);
        drop(region);
        assert_empty(&pager);
    }
}

/// Nothing compresses, and nothing may leave: a fault does not search for room for ever.
#[test]
fn a_pool_without_room_at_all() {
    for kind in KINDS {
        let Some(pager) = support::build(kind.builder().pool_limit(4 * MIB as u64)) else { return };
        let mut region = pager.map(8 * MIB).unwrap();
        let noise = |at: usize| content(8 * at as u64 + 1);
        for (at, page) in region.chunks_mut(PAGE_BYTES).enumerate() {
            page.copy_from_slice(&noise(at));
        }
        for (at, page) in region.chunks(PAGE_BYTES).enumerate() {
            assert!(page == noise(at), "{kind:?}: page {at}");
        }
    }
}

#[test]
fn a_device_takes_what_the_pool_has_no_room_for() {
    for kind in KINDS {
        let dir = tempfile::tempdir().unwrap();
        let device = FileDevice::create(dir.path().join("swap"), 64 << 20).unwrap();
        let builder = kind.builder().pool_limit(4 * MIB as u64).device(Arc::new(device));
        let Some(pager) = support::build(builder) else { return };
        let mut region = pager.map(16 * MIB).unwrap();
        for round in [1, 70_000] {
            fill(&mut region, round);
            verify(&region, round);
        }
        let stats = pager.stats();
        assert!(pager.pool().counters().written_back_pages > 0, "{kind:?} {stats:?}");
        assert!(stats.used_bytes_max <= LIMIT_BYTES as u64, "{kind:?} {stats:?}");
        // What is refused at first is taken later: all of it can leave.
        assert_settled(&pager, &[&region]);
        drop(region);
        assert_empty(&pager);
    }
}

/// Copies of pages that are in memory go before anything that is only in the pool is refused.
#[test]
fn kept_copies_make_room() {
    for kind in KINDS {
        let Some(pager) = support::build(kind.builder().pool_limit(6 * MIB as u64)) else {
            return;
        };
        let noise = |at: usize| content(8 * at as u64 + 1);
        // 6 MiB that do not compress: with 3 MiB in memory they fit, without copies of those, as
        // some 2 MiB of the pool's are for what it knows of them.
        let mut region = pager.map(6 * MIB).unwrap();
        for (at, page) in region.chunks_mut(PAGE_BYTES).enumerate() {
            page.copy_from_slice(&noise(at));
        }
        for step in 0..6 * (region.len() / PAGE_BYTES) {
            let at = mix(step as u64) as usize % (region.len() / PAGE_BYTES);
            assert!(region[at * PAGE_BYTES..][..PAGE_BYTES] == noise(at), "{kind:?}: page {at}");
        }
        let stats = pager.stats();
        assert!(stats.pages_unmodified > 0, "copies served: {kind:?} {stats:?}");
        assert_eq!(stats.pages_refused, 0, "{kind:?} {stats:?}");
        assert!(stats.used_bytes_max <= LIMIT_BYTES as u64, "{kind:?} {stats:?}");
    }
}

#[test]
fn owners_pay_for_what_is_theirs() {
    for kind in KINDS {
        let Some(pager) = kind.pager() else { return };
        let owner = Owner::new(7);
        let mut region = pager.map_with(8 * MIB, MapOptions::default().owner(owner)).unwrap();
        let mut other = pager.map(8 * MIB).unwrap();
        fill(&mut region, 1);
        fill(&mut other, 5000);
        verify(&region, 1);
        for region in [&region, &other] {
            region.advise(0..region.len(), Advice::PageOut).unwrap();
        }
        let usage = |owner| pager.pool().owner(owner).unwrap();
        assert_eq!(usage(owner).pages, 2048, "{kind:?}");
        assert_eq!(usage(Owner::ROOT).pages, 2048, "{kind:?}");
        // A limit of its own: what is over it stays in memory.
        assert!(pager.pool().set_owner_limit(owner, Some(MIB as u64)));
        fill(&mut region, 9000);
        verify(&region, 9000);
        drop(region);
        assert_eq!((usage(owner).bytes, usage(owner).pages), (0, 0), "{kind:?}");
        verify(&other, 5000);
        drop(other);
        assert_eq!((usage(Owner::ROOT).bytes, usage(Owner::ROOT).pages), (0, 0), "{kind:?}");
        assert_empty(&pager);
    }
}

/// Every page that came in went out, or is there.
#[test]
fn figures_add_up() {
    for kind in KINDS {
        for kept in [zswap_pager::Kept::Off, zswap_pager::Kept::Exact] {
            let Some(pager) = (Kind { kept, ..kind }).pager() else { return };
            let mut region = pager.map(12 * MIB).unwrap();
            fill(&mut region, 1);
            verify(&region, 1);
            assert_settled(&pager, &[&region]);
            let stats = pager.stats();
            assert_eq!(stats.pages_new, 3072, "{kind:?} {stats:?}");
            let came = stats.pages_new + stats.pages_loaded;
            assert_eq!(came, stats.pages_stored + stats.pages_unmodified, "{kind:?} {stats:?}");
            assert!(stats.faults <= came + stats.pages_rescued, "{kind:?} {stats:?}");
            assert_eq!(stats.kept_bytes, 0, "nothing is in memory");
            assert!(stats.pool_bytes > 0 && stats.metadata_bytes > 0);
        }
    }
}
