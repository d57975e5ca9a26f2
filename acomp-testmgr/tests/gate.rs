//! Linking this crate puts the gate before every driver's first use.

use std::sync::Arc;

use acomp_core::{
    Acomp, AlgInfo, Algorithm, Codec, Error, OpenError, Outcome, Params, Registration, Registry,
    Verdict,
};
use acomp_testmgr as _;

#[test]
fn a_driver_that_fails_is_passed_over_and_says_why_it_is_refused() {
    let acomp = Acomp::alloc("plain").unwrap();
    assert_eq!(acomp.driver(), "plain-good");
    assert_eq!(acomp.alg().verdict(), Verdict::Passed);

    let refused = Acomp::alloc("plain-bad").unwrap_err();
    let OpenError::SelfTest { driver, case } = &refused else { panic!("{refused}") };
    assert_eq!(&**driver, "plain-bad");
    assert!(case.contains("zero, seed 1, 1 bytes"), "{case}");
}

#[test]
fn a_driver_added_at_run_time_is_tested_too() {
    let registry = Registry::global();
    let bad = Plain { info: AlgInfo::new("hot", "hot-bad"), flips: 1 };
    let guard = registry.add(Arc::new(bad)).unwrap();
    assert_eq!(guard.alg().verdict(), Verdict::Untested);
    assert!(matches!(Acomp::alloc("hot"), Err(OpenError::SelfTest { .. })));
    assert!(matches!(guard.alg().verdict(), Verdict::Failed(_)));
    drop(guard);

    let good = Plain { info: AlgInfo::new("hot", "hot-good"), flips: 0 };
    let guard = registry.add(Arc::new(good)).unwrap();
    assert_eq!(Acomp::alloc("hot").unwrap().driver(), "hot-good");
    assert_eq!(guard.alg().verdict(), Verdict::Passed);
}

#[test]
fn a_registry_without_self_tests_tests_nobody() {
    let drivers = acomp_core::inventory::iter::<Registration>;
    let registry = Registry::builder().entries(drivers).build();
    let acomp = Acomp::alloc_in(&registry, "plain", Params::new()).unwrap();
    assert_eq!((acomp.driver(), acomp.alg().verdict()), ("plain-bad", Verdict::Untested));
}

static GOOD: AlgInfo = AlgInfo::new("plain", "plain-good").with_priority(1);
static BAD: AlgInfo = AlgInfo::new("plain", "plain-bad").with_priority(2);

acomp_core::inventory::submit! {
    Registration::new(
        &GOOD,
        || Ok(Arc::new(Plain { info: GOOD.clone(), flips: 0 })),
        module_path!(),
    )
}
acomp_core::inventory::submit! {
    Registration::new(&BAD, || Ok(Arc::new(Plain { info: BAD.clone(), flips: 1 })), module_path!())
}

/// A copy, of which decompression flips bits.
#[derive(Debug)]
struct Plain {
    info: AlgInfo,
    flips: u8,
}

impl Algorithm for Plain {
    fn info(&self) -> &AlgInfo {
        &self.info
    }

    fn open(&self, params: &Params) -> Result<Box<dyn Codec>, OpenError> {
        params.allow(&[])?;
        Ok(Box::new(PlainCodec { flips: self.flips }))
    }
}

struct PlainCodec {
    flips: u8,
}

impl Codec for PlainCodec {
    fn compress(&mut self, src: &[u8], dst: &mut [u8]) -> Outcome {
        dst.get_mut(..src.len()).ok_or(Error::DstTooSmall)?.copy_from_slice(src);
        Ok(src.len())
    }

    fn decompress(&mut self, src: &[u8], dst: &mut [u8]) -> Outcome {
        let len = self.compress(src, dst)?;
        dst[..len].iter_mut().for_each(|byte| *byte ^= self.flips);
        Ok(len)
    }
}
