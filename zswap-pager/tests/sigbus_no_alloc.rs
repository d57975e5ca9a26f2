//! In `sigbus` mode a fault calls no allocator: this one aborts the process, in whatever thread and
//! place that would be.

mod support;

use assert_no_alloc::{AllocDisabler, assert_no_alloc};
use zswap_pager::{FaultMode, Kept, Without};

use support::{Kind, MIB, fill, verify};

#[global_allocator]
static ALLOCATOR: AllocDisabler = AllocDisabler;

#[test]
fn a_fault_calls_no_allocator() {
    for without in [Without::Nothing, Without::Move] {
        for kept in [Kept::Off, Kept::Exact, Kept::Hash] {
            let kind = Kind { kept, ..Kind::new(FaultMode::Sigbus, without) };
            let Some(pager) = kind.pager() else { return };
            let mut region = pager.map(12 * MIB).unwrap();
            for first in [1, 5000] {
                assert_no_alloc(|| {
                    fill(&mut region, first);
                    verify(&region, first);
                });
            }
            assert!(pager.stats().pages_loaded > 2048, "{kind:?}");
        }
    }
}
