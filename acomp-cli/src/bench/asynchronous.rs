//! `acomp bench async`: what a request costs beside the blocking call, in ns, and what worker
//! threads gain.

use std::fmt;
use std::hint::{black_box, spin_loop};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use acomp::zswap::{PAGE_BYTES, Page};
use acomp::{
    Acomp, AlgInfo, Algorithm, Chain, Codec, DrivenBy, Engine, Error, ExecutedOn, Inflight, Job,
    Kind, Op, OpenError, Outcome, Params, Port, Progress, Refused, Registry, Request, Session,
    Submitter,
};
use anyhow::{Context, Result};
use crossbeam_queue::ArrayQueue;
use futures::executor::block_on;

use super::rounds::{interleaved, median};
use crate::output::{Row, Rows, rounded, row};
use crate::pages;

pub(crate) fn run(pages: Vec<Page>) -> Result<Rows> {
    let mut row = requests()?;
    row.extend(parallel(pages)?);
    Ok(Rows::new(vec![row]))
}

/// A device that does nothing, over leased buffers of 64 bytes: nothing but the calls. The request
/// of each completion is submitted again.
fn requests() -> Result<Row> {
    let registry = Registry::from_entries([]);
    let device = registry.add(Arc::new(Device {
        port: Port::new(Arc::new(Inline { jobs: ArrayQueue::new(DEPTH) })),
    }))?;
    let acomp = Acomp::open(device.alg().clone(), Params::new())?;
    let mut session = acomp.session()?;
    let submitter = acomp.submitter(DEPTH)?;
    let lease = || submitter.lease(BUFFER_BYTES).context("a lease");
    let (src, mut dst) = (lease()?, lease()?);
    let request = || Ok::<_, anyhow::Error>(Request::compress(lease()?, lease()?));
    let (mut waited, mut awaited) = (Some(request()?), Some(request()?));

    let mut by_session = || {
        for _ in 0..REQUESTS {
            black_box(session.compress(black_box(&src), black_box(&mut dst)))?;
        }
        Ok(())
    };
    let mut by_wait = || {
        let mut request = waited.take().context("a request")?;
        for _ in 0..REQUESTS {
            let completion = submit(&submitter, request)?.wait();
            completion.outcome?;
            request = completion.request;
        }
        waited = Some(request);
        Ok(())
    };
    let mut by_await = || {
        block_on(async {
            let mut request = awaited.take().context("a request")?;
            for _ in 0..REQUESTS {
                let completion = submit(&submitter, request)?.await;
                completion.outcome?;
                request = completion.request;
            }
            awaited = Some(request);
            Ok(())
        })
    };
    let rounds = interleaved("requests", &mut [&mut by_session, &mut by_wait, &mut by_await])?;
    let allocations = allocation_counter::measure(|| {
        let _ = (by_wait(), by_await());
    });
    let requests = REQUESTS as f64;
    let ns = |i: usize| rounded(median(&rounds, |round| round[i] / requests));
    let extra_ns = |i: usize| rounded(median(&rounds, |round| (round[i] - round[0]) / requests));
    Ok(row! {
        session_ns: ns(0),
        engine_inline_ns: ns(1),
        engine_inline_extra_ns: extra_ns(1),
        await_ns: ns(2),
        await_extra_ns: extra_ns(2),
        allocs_per_request: rounded(allocations.count_total as f64 / (2.0 * requests)),
    })
}

/// `pcomp(lz4,workers=2)` over `lz4`: how many times as fast, in chains of 16 pages one after the
/// other, while all other CPUs are free and while they are busy.
fn parallel(pages: Vec<Page>) -> Result<Row> {
    let mut single = Chains::new("lz4")?;
    let pages = pages::compressible(pages, &mut single.session)?;
    let mut pcomp2 = Chains::new("pcomp(lz4,workers=2)")?;
    let mut speed_up = |what| {
        let mut by_single = || single.run(&pages);
        let mut by_pcomp2 = || pcomp2.run(&pages);
        let rounds = interleaved(what, &mut [&mut by_single, &mut by_pcomp2])?;
        Ok::<_, anyhow::Error>(rounded(median(&rounds, |round| round[0] / round[1])))
    };
    let free = speed_up("pcomp")?;
    let is_over = AtomicBool::new(false);
    let cpus = thread::available_parallelism()?.get();
    let busy = thread::scope(|scope| {
        for _ in 1..cpus {
            scope.spawn(|| {
                while !is_over.load(Relaxed) {
                    spin_loop();
                }
            });
        }
        let busy = speed_up("pcomp, others busy");
        is_over.store(true, Relaxed);
        busy
    })?;
    Ok(row! { cpus: cpus, pcomp2_over_single: free, pcomp2_busy_over_single: busy })
}

struct Chains {
    session: Session,
    dsts: Vec<Page>,
}

impl Chains {
    fn new(name: &str) -> Result<Self> {
        Ok(Self { session: Acomp::alloc(name)?.session()?, dsts: vec![[0; PAGE_BYTES]; CHAIN_OPS] })
    }

    fn run(&mut self, pages: &[Page]) -> Result<()> {
        for pages in pages.chunks(CHAIN_OPS) {
            let mut chain = Chain::<CHAIN_OPS>::new();
            for (page, dst) in pages.iter().zip(&mut self.dsts) {
                let _ = chain.push(Op::compress(page, dst)); // Room for all.
            }
            black_box(self.session.run(chain.as_mut_ops()));
        }
        Ok(())
    }
}

fn submit(submitter: &Submitter, request: Request) -> Result<Inflight> {
    submitter.submit(request).map_err(|rejected| rejected.error.into())
}

struct Device {
    port: Port,
}

static INFO: AlgInfo = AlgInfo::new("nothing", "nothing-dev").with_kind(Kind::Offload);

impl Algorithm for Device {
    fn info(&self) -> &AlgInfo {
        &INFO
    }

    fn open(&self, params: &Params) -> Result<Box<dyn Codec>, OpenError> {
        params.allow(&[])?;
        Ok(Box::new(Nothing))
    }

    fn port(&self) -> Option<&Port> {
        Some(&self.port)
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Device").finish_non_exhaustive()
    }
}

struct Nothing;

impl Codec for Nothing {
    fn compress(&mut self, src: &[u8], _: &mut [u8]) -> Outcome {
        Ok(src.len())
    }

    fn decompress(&mut self, src: &[u8], dst: &mut [u8]) -> Outcome {
        self.compress(src, dst)
    }
}

/// Completes jobs when it is polled.
struct Inline {
    jobs: ArrayQueue<Job>,
}

impl Engine for Inline {
    fn submit(&self, job: Job) -> Result<(), Refused> {
        self.jobs.push(job).map_err(|job| Refused { error: Error::Busy, job })
    }

    fn poll(&self, budget: usize) -> Progress {
        // One at a time: who waits for another one comes back.
        let job = if budget > 0 { self.jobs.pop() } else { None };
        let completed = usize::from(job.is_some());
        if let Some(mut job) = job {
            let src_bytes = job.io().0.len();
            job.complete(Ok(src_bytes), ExecutedOn::Driver);
        }
        Progress { completed, driven_by: DrivenBy::Caller }
    }
}

const BUFFER_BYTES: usize = 64;
const CHAIN_OPS: usize = 16;
const DEPTH: usize = 8;
const REQUESTS: usize = 20_000;
