//! `pcomp(X)`, `pcomp(X,workers=N)`: runs the ops of a chain on several threads.
//!
//! The caller counts as a worker and depends on no other: he hands out copies of a few ops, works
//! on the rest himself, takes back what nobody has begun, and repeats what a worker does not finish
//! in time because it lost its CPU. The copies are what makes that safe, and cost about 0.2 us a
//! page. A worker spins for a moment after its last op, then sleeps, and is woken only for what
//! takes longer than waking does.

mod crew;

use std::hint::spin_loop;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::slice;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::alg::{AlgInfo, Algorithm, Codec, Kind};
use crate::error::{OpenError, Outcome};
use crate::flags::AlgFlags;
use crate::handle::{Acomp, Session};
use crate::op::{MAX_BATCH, Ops};
use crate::params::Params;
use crate::registry::AlgRef;
use crate::template::{TemplateArgs, TemplateRegistration, info_as};

use crew::{Crew, Helper, SPIN_MAX};

inventory::submit!(TemplateRegistration::new("pcomp", wrap, module_path!()));

fn wrap(inner: AlgRef, args: &TemplateArgs) -> Result<Arc<dyn Algorithm>, OpenError> {
    args.allow(&["workers"])?;
    let workers = args.workers()?;
    Ok(Arc::new(Pcomp { info: parallel(args.info_over(&inner), workers), inner, workers }))
}

fn parallel(info: AlgInfo, workers: usize) -> AlgInfo {
    let batch_size = NonZeroUsize::new((4 * workers).min(MAX_BATCH)).unwrap_or(info.batch_size);
    // The caller may wait for a worker, for a moment.
    let flags = info.flags.difference(AlgFlags::NEVER_BLOCKS);
    info.with_flags(flags).with_kind(Kind::Offload).with_batch_size(batch_size)
}

#[derive(Debug)]
struct Pcomp {
    info: AlgInfo,
    inner: AlgRef,
    workers: usize,
}

impl Pcomp {
    fn prepared(&self, params: &Params) -> Result<Prepared, OpenError> {
        let inner = Acomp::open(self.inner.clone(), params.clone())?;
        let crew = Arc::new(Crew::new(&inner, self.workers - 1)?);
        let info = parallel(info_as(&self.info, &inner), self.workers);
        Ok(Prepared { info, inner, crew })
    }
}

impl Algorithm for Pcomp {
    fn info(&self) -> &AlgInfo {
        &self.info
    }

    fn prepare(&self, params: &Params) -> Result<Option<Arc<dyn Algorithm>>, OpenError> {
        Ok(Some(Arc::new(self.prepared(params)?)))
    }

    fn open(&self, params: &Params) -> Result<Box<dyn Codec>, OpenError> {
        self.prepared(params)?.open(params)
    }
}

/// Over a transform and a crew, which its sessions share.
#[derive(Debug)]
struct Prepared {
    info: AlgInfo,
    inner: Acomp,
    crew: Arc<Crew>,
}

impl Algorithm for Prepared {
    fn info(&self) -> &AlgInfo {
        &self.info
    }

    fn open(&self, _: &Params) -> Result<Box<dyn Codec>, OpenError> {
        let (session, crew) = (self.inner.session()?, Arc::clone(&self.crew));
        Ok(Box::new(Caller { session, helpers: crew.helpers(), _crew: crew }))
    }
}

/// The side of a session.
struct Caller {
    session: Session,
    helpers: Box<[Helper]>,
    /// Whoever is the last to have it ends its threads.
    _crew: Arc<Crew>,
}

impl Codec for Caller {
    fn compress(&mut self, src: &[u8], dst: &mut [u8]) -> Outcome {
        self.session.compress(src, dst)
    }

    fn decompress(&mut self, src: &[u8], dst: &mut [u8]) -> Outcome {
        self.session.decompress(src, dst)
    }

    fn run(&mut self, ops: &mut Ops<'_, '_>) {
        let mut rest = 0..ops.len();
        self.helpers.iter_mut().take(ops.len().saturating_sub(1)).for_each(Helper::engage);
        let mut started = Some(Instant::now());
        loop {
            self.exchange(ops, &mut rest);
            let Some(index) = rest.next().or_else(|| self.taken_back()) else { break };
            self.run_here(ops, index);
            if let Some(started) = started.take()
                && started.elapsed().saturating_mul(rest.len() as u32) >= WORTH_WAKING
            {
                self.helpers.iter_mut().for_each(Helper::wake);
            }
        }
        self.finish(ops);
        self.helpers.iter_mut().for_each(Helper::release);
    }
}

impl Caller {
    /// Takes what the helpers have done, and gives them more.
    fn exchange(&mut self, ops: &mut Ops<'_, '_>, rest: &mut Range<usize>) {
        for helper in &mut self.helpers {
            helper.collect(ops);
            helper.hand_out(ops, rest);
        }
    }

    fn taken_back(&mut self) -> Option<usize> {
        self.helpers.iter_mut().find_map(Helper::take_back)
    }

    fn run_here(&mut self, ops: &mut Ops<'_, '_>, index: usize) {
        if let Some(op) = ops.as_mut_ops().get_mut(index) {
            self.session.run(slice::from_mut(op));
        }
    }

    /// Everything has been begun. Waits for a moment, then repeats what is not done.
    fn finish(&mut self, ops: &mut Ops<'_, '_>) {
        let started = Instant::now();
        while self.helpers.iter().any(Helper::is_at_work) && started.elapsed() < SPIN_MAX {
            spin_loop();
            self.helpers.iter_mut().for_each(|helper| helper.collect(ops));
        }
        while let Some(index) = self.helpers.iter_mut().find_map(Helper::give_up) {
            self.run_here(ops, index);
        }
    }
}

/// What the rest of a chain must take, or a sleeping worker would come too late for it.
const WORTH_WAKING: Duration = Duration::from_micros(50);
