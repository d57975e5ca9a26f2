//! Toy drivers: facts and one function.

#![allow(dead_code, reason = "each test file uses its own part")]
#![expect(clippy::unwrap_used, reason = "test helpers unwrap like tests")]

use std::fmt;
use std::sync::Arc;

use acomp_core::{
    Acomp, AddGuard, AlgInfo, Algorithm, Codec, Error, OpenError, Ops, Outcome, Params, Registry,
};

/// A driver that opens what its function opens.
pub(crate) struct Toy {
    info: AlgInfo,
    open: Box<Open>,
}

type Open = dyn Fn(&Params) -> Result<Box<dyn Codec>, OpenError> + Send + Sync;

impl Toy {
    pub(crate) fn new(
        info: AlgInfo,
        open: impl Fn(&Params) -> Result<Box<dyn Codec>, OpenError> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self { info, open: Box::new(open) })
    }

    /// A driver without parameters that does this with each op, in either direction.
    pub(crate) fn each(
        info: AlgInfo,
        run: impl Fn(&[u8], &mut [u8]) -> Outcome + Send + Sync + 'static,
    ) -> Arc<Self> {
        let run = Arc::new(run);
        Self::new(info, move |params| {
            params.allow(&[])?;
            Ok(Box::new(Each(Arc::clone(&run))))
        })
    }

    /// A driver without parameters that does this with each chain, and copies single ops.
    pub(crate) fn whole(
        info: AlgInfo,
        run: impl Fn(&mut Ops<'_, '_>) + Send + Sync + 'static,
    ) -> Arc<Self> {
        let run = Arc::new(run);
        Self::new(info, move |params| {
            params.allow(&[])?;
            Ok(Box::new(Whole(Arc::clone(&run))))
        })
    }

    pub(crate) fn copying(info: AlgInfo) -> Arc<Self> {
        Self::each(info, copy)
    }
}

impl Algorithm for Toy {
    fn info(&self) -> &AlgInfo {
        &self.info
    }

    fn open(&self, params: &Params) -> Result<Box<dyn Codec>, OpenError> {
        (self.open)(params)
    }
}

impl fmt::Debug for Toy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Toy").field("info", &self.info).finish_non_exhaustive()
    }
}

struct Each<F>(Arc<F>);

impl<F: Fn(&[u8], &mut [u8]) -> Outcome + Send + Sync> Codec for Each<F> {
    fn compress(&mut self, src: &[u8], dst: &mut [u8]) -> Outcome {
        (self.0)(src, dst)
    }

    fn decompress(&mut self, src: &[u8], dst: &mut [u8]) -> Outcome {
        (self.0)(src, dst)
    }
}

struct Whole<F>(Arc<F>);

impl<F: Fn(&mut Ops<'_, '_>) + Send + Sync> Codec for Whole<F> {
    fn compress(&mut self, src: &[u8], dst: &mut [u8]) -> Outcome {
        copy(src, dst)
    }

    fn decompress(&mut self, src: &[u8], dst: &mut [u8]) -> Outcome {
        copy(src, dst)
    }

    fn run(&mut self, ops: &mut Ops<'_, '_>) {
        (self.0)(ops);
    }
}

pub(crate) fn copy(src: &[u8], dst: &mut [u8]) -> Outcome {
    let dst = dst.get_mut(..src.len()).ok_or(Error::DstTooSmall)?;
    dst.copy_from_slice(src);
    Ok(src.len())
}

/// A panic that prints nothing.
pub(crate) fn die() -> ! {
    std::panic::resume_unwind(Box::new("a toy died"))
}

/// An absent device.
pub(crate) fn absent() -> OpenError {
    OpenError::Device("no such device".into())
}

/// A transform of this driver, which is in no registry.
pub(crate) fn acomp_of(driver: Arc<dyn Algorithm>) -> Acomp {
    let registry = Registry::from_entries([]);
    let guard = registry.add(driver).unwrap();
    Acomp::open(guard.alg().clone(), Params::new()).unwrap()
}

/// A registry of these drivers, which are in it as long as the guards live.
pub(crate) fn registry_of(
    drivers: impl IntoIterator<Item = Arc<Toy>>,
) -> (Registry, Vec<AddGuard>) {
    let registry = Registry::from_entries([]);
    let guards = drivers.into_iter().map(|driver| registry.add(driver).unwrap()).collect();
    (registry, guards)
}

/// The facts of a toy where they do not matter.
pub(crate) const TOY: AlgInfo = AlgInfo::new("toy", "toy-rs");
