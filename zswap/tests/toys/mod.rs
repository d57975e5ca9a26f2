//! A toy compressor that a test can watch and disturb.

#![allow(dead_code, reason = "each test file uses its own part")]
#![expect(clippy::unwrap_used, reason = "test helpers unwrap like tests")]

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;

use acomp_core::{
    AlgInfo, Algorithm, Codec, Direction, Error, ExecutedOn, OpenError, Ops, Outcome, Params,
    Registry,
};
use zswap::{Builder, PAGE_BYTES, Pool};

/// A stream is the page without the zeros at its end.
pub(crate) struct Toy {
    info: AlgInfo,
    hooks: Arc<Hooks>,
}

struct Hooks {
    open: Box<dyn Fn() -> Result<(), OpenError> + Send + Sync>,
    chain: Box<dyn Fn(Direction, usize) + Send + Sync>,
    op: Box<dyn Fn(Direction, &[u8]) -> Option<Outcome> + Send + Sync>,
    drop: Box<dyn Fn() + Send + Sync>,
}

impl Toy {
    pub(crate) fn new() -> Self {
        let hooks = Hooks {
            open: Box::new(|| Ok(())),
            chain: Box::new(|_, _| ()),
            op: Box::new(|_, _| None),
            drop: Box::new(|| ()),
        };
        Self { info: AlgInfo::new("toy", "toy-rs"), hooks: Arc::new(hooks) }
    }

    pub(crate) fn batch_size(mut self, batch_size: usize) -> Self {
        self.info = self.info.with_batch_size(NonZeroUsize::new(batch_size).unwrap());
        self
    }

    /// Called when a codec is opened, which it may refuse.
    pub(crate) fn on_open(
        mut self,
        open: impl Fn() -> Result<(), OpenError> + Send + Sync + 'static,
    ) -> Self {
        self.hooks_mut().open = Box::new(open);
        self
    }

    /// Called with the direction and the number of ops of each chain.
    pub(crate) fn on_chain(
        mut self,
        chain: impl Fn(Direction, usize) + Send + Sync + 'static,
    ) -> Self {
        self.hooks_mut().chain = Box::new(chain);
        self
    }

    /// Called with the source of each op, which it may answer instead of the toy.
    pub(crate) fn on_op(
        mut self,
        op: impl Fn(Direction, &[u8]) -> Option<Outcome> + Send + Sync + 'static,
    ) -> Self {
        self.hooks_mut().op = Box::new(op);
        self
    }

    /// Called when a codec is dropped.
    pub(crate) fn on_drop(mut self, drop: impl Fn() + Send + Sync + 'static) -> Self {
        self.hooks_mut().drop = Box::new(drop);
        self
    }

    /// Another name than `toy`, for a registry with several.
    pub(crate) fn named(mut self, name: &str) -> Self {
        self.info = self.info.with_names(name.to_owned(), format!("{name}-rs"));
        self
    }

    /// A pool that compresses with this toy.
    pub(crate) fn pool(self) -> Pool {
        self.pool_with(|builder| builder)
    }

    /// The same, after `describe`.
    pub(crate) fn pool_with(self, describe: impl FnOnce(Builder) -> Builder) -> Pool {
        let registry = Registry::from_entries([]);
        let name = self.info.name.clone();
        let _guard = registry.add(Arc::new(self)).unwrap();
        describe(Pool::builder(&registry).compressor(&name)).build().unwrap()
    }

    fn hooks_mut(&mut self) -> &mut Hooks {
        Arc::get_mut(&mut self.hooks).unwrap()
    }
}

impl Algorithm for Toy {
    fn info(&self) -> &AlgInfo {
        &self.info
    }

    fn open(&self, params: &Params) -> Result<Box<dyn Codec>, OpenError> {
        params.allow(&[])?;
        (self.hooks.open)()?;
        Ok(Box::new(Trim { hooks: Arc::clone(&self.hooks) }))
    }
}

impl fmt::Debug for Toy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Toy").field("info", &self.info).finish_non_exhaustive()
    }
}

struct Trim {
    hooks: Arc<Hooks>,
}

impl Codec for Trim {
    fn compress(&mut self, src: &[u8], dst: &mut [u8]) -> Outcome {
        if let Some(outcome) = (self.hooks.op)(Direction::Compress, src) {
            return outcome;
        }
        let len = src.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        dst.get_mut(..len).ok_or(Error::DstTooSmall)?.copy_from_slice(&src[..len]);
        Ok(len)
    }

    fn decompress(&mut self, src: &[u8], dst: &mut [u8]) -> Outcome {
        if let Some(outcome) = (self.hooks.op)(Direction::Decompress, src) {
            return outcome;
        }
        let (data, zeros) = dst.split_at_mut_checked(src.len()).ok_or(Error::DstTooSmall)?;
        data.copy_from_slice(src);
        zeros.fill(0);
        Ok(PAGE_BYTES)
    }

    fn run(&mut self, ops: &mut Ops<'_, '_>) {
        if let Some(direction) = ops.get_mut(0).map(|op| op.direction()) {
            (self.hooks.chain)(direction, ops.len());
        }
        for mut op in ops.iter_mut() {
            let direction = op.direction();
            let (src, dst) = op.io();
            let outcome = match direction {
                Direction::Compress => self.compress(src, dst),
                Direction::Decompress => self.decompress(src, dst),
            };
            op.complete(outcome, ExecutedOn::Driver);
        }
    }
}

impl Drop for Trim {
    fn drop(&mut self) {
        (self.hooks.drop)();
    }
}

/// A panic that prints nothing.
pub(crate) fn die() -> ! {
    std::panic::resume_unwind(Box::new("a toy died"))
}
