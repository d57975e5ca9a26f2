//! What can be asked of a transform and of an error.

mod toys;

use std::collections::BTreeSet;
use std::num::NonZeroUsize;

use acomp_core::{AlgFlags, Error, Kind};

use toys::{TOY, Toy, acomp_of};

#[test]
fn transform_without_promises_may_block_and_allocate() {
    let acomp = acomp_of(Toy::copying(TOY));
    assert!(acomp.may_block() && acomp.may_allocate());
    assert_eq!(
        (acomp.src_bytes_max(), acomp.numa_node(), acomp.batch_size().get()),
        (None, None, 1)
    );
    assert!(acomp.info().is_software() && !acomp.info().is_batching());
}

#[test]
fn transform_tells_the_facts_of_its_driver() {
    let eight = NonZeroUsize::new(8).unwrap();
    let device = TOY
        .with_flags(AlgFlags::NEVER_BLOCKS | AlgFlags::NO_ALLOC_AFTER_OPEN)
        .with_src_bytes_max(eight)
        .with_batch_size(eight)
        .with_numa_node(1)
        .with_kind(Kind::Offload);
    let acomp = acomp_of(Toy::copying(device));
    assert!(!acomp.may_block() && !acomp.may_allocate());
    assert_eq!((acomp.src_bytes_max(), acomp.numa_node()), (Some(eight), Some(1)));
    assert_eq!(acomp.batch_size(), eight);
    assert!(!acomp.info().is_software() && acomp.info().is_batching());
}

#[test]
fn errors_have_names_and_numbers_of_their_own() {
    let names: BTreeSet<_> = Error::ALL.iter().map(|error| error.name()).collect();
    let numbers: BTreeSet<_> = Error::ALL.iter().map(|error| error.errno()).collect();
    let texts: BTreeSet<_> = Error::ALL.iter().map(ToString::to_string).collect();
    for distinct in [names.len(), numbers.len(), texts.len()] {
        assert_eq!(distinct, Error::ALL.len());
    }
    assert_eq!(Error::DstTooSmall.name(), "dst_too_small");
    assert!(Error::Busy.is_retryable() && !Error::Corrupt.is_retryable());
}
