//! `verify(X)`: decompresses what X compressed, and compares. What differs is answered
//! [`VerifyFailed`](Error::VerifyFailed) and counted as such.

use std::sync::Arc;

use crate::alg::{AlgInfo, Algorithm, Codec};
use crate::error::{Error, OpenError, Outcome};
use crate::handle::{Acomp, Session};
use crate::op::{Direction, ExecutedOn, Ops};
use crate::params::Params;
use crate::registry::AlgRef;
use crate::template::{TemplateArgs, TemplateRegistration, info_as};

inventory::submit!(TemplateRegistration::new("verify", wrap, module_path!()));

fn wrap(inner: AlgRef, args: &TemplateArgs) -> Result<Arc<dyn Algorithm>, OpenError> {
    args.allow(&[])?;
    Ok(Arc::new(Verify { info: args.info_over(&inner), inner }))
}

#[derive(Debug)]
struct Verify {
    info: AlgInfo,
    inner: AlgRef,
}

impl Algorithm for Verify {
    fn info(&self) -> &AlgInfo {
        &self.info
    }

    fn prepare(&self, params: &Params) -> Result<Option<Arc<dyn Algorithm>>, OpenError> {
        let inner = Acomp::open(self.inner.clone(), params.clone())?;
        Ok(Some(Arc::new(Prepared { info: info_as(&self.info, &inner), inner })))
    }

    fn open(&self, params: &Params) -> Result<Box<dyn Codec>, OpenError> {
        let inner = Acomp::open(self.inner.clone(), params.clone())?;
        Prepared { info: self.info.clone(), inner }.open(params)
    }
}

/// Over a transform, which its sessions share.
#[derive(Debug)]
struct Prepared {
    info: AlgInfo,
    inner: Acomp,
}

impl Algorithm for Prepared {
    fn info(&self) -> &AlgInfo {
        &self.info
    }

    fn open(&self, _: &Params) -> Result<Box<dyn Codec>, OpenError> {
        Ok(Box::new(Verifier { session: self.inner.session()?, back: vec![0; PAGE_BYTES] }))
    }
}

struct Verifier {
    session: Session,
    /// Grows to the longest source.
    back: Vec<u8>,
}

impl Codec for Verifier {
    fn compress(&mut self, src: &[u8], dst: &mut [u8]) -> Outcome {
        let len = self.session.compress(src, dst)?;
        self.verify(src, dst.get(..len).unwrap_or_default())?;
        Ok(len)
    }

    fn decompress(&mut self, src: &[u8], dst: &mut [u8]) -> Outcome {
        self.session.decompress(src, dst)
    }

    fn run(&mut self, ops: &mut Ops<'_, '_>) {
        self.session.run(ops.as_mut_ops());
        for op in ops.as_mut_ops() {
            if op.direction() == Direction::Compress
                && op.outcome().is_some_and(|outcome| outcome.is_ok())
                && let Err(error) = self.verify(op.src(), op.output())
            {
                let on = op.executed_on().unwrap_or(ExecutedOn::Driver);
                op.clear();
                op.answer(Err(error), on);
            }
        }
    }
}

impl Verifier {
    fn verify(&mut self, src: &[u8], stream: &[u8]) -> Result<(), Error> {
        if self.back.len() < src.len() {
            self.back.resize(src.len(), 0);
        }
        let back = &mut self.back[..src.len()];
        if self.session.decompress(stream, back) == Ok(src.len()) && back == src {
            Ok(())
        } else {
            Err(Error::VerifyFailed)
        }
    }
}

const PAGE_BYTES: usize = 4096;
