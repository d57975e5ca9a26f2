//! `acomp bench codecs`: how fast drivers are over the same pages, and how small their streams.
//!
//! A driver compresses into a page, as a store of pages has it do, and decompresses every stream,
//! those that are longer than their page included. A call takes a page or, as a chain, 8 pages.

use std::hint::black_box;

use acomp::zswap::{PAGE_BYTES, Page};
use acomp::{Acomp, Chain, Direction, Error, Op, Outcome, Params, Registry, Session};
use anyhow::{Context, Result, bail};

use super::Pages;
use super::rounds::{interleaved, median};
use crate::output::{Rows, rounded, row};

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    pages: Pages,
    /// Names as in other commands, also `zstd(level=1)`; every software driver if there are none.
    #[arg(long = "driver", num_args = 1.., value_name = "NAME")]
    drivers: Vec<String>,
}

pub(crate) fn run(args: &Args) -> Result<Rows> {
    let acomps = opened(&args.drivers)?;
    let files = args.pages.read_each()?;
    let measured = files.iter().map(|pages| measure(&acomps, &sample(pages)));
    let measured: Vec<_> = measured.collect::<Result<_>>()?;
    let variants = acomps.iter().flat_map(|acomp| BATCHES_PAGES.map(|batch| (acomp, batch)));
    let rows = variants.enumerate().map(|(i, (acomp, batch))| {
        let mean = |of: fn(&Figures) -> f64| {
            let sum: f64 = measured.iter().map(|figures| of(&figures[i]).ln()).sum();
            rounded((sum / measured.len() as f64).exp())
        };
        row! {
            driver: acomp.driver(),
            batch: batch,
            compress_mb_s: mean(|figures| figures.compress_mb_s),
            decompress_mb_s: mean(|figures| figures.decompress_mb_s),
            ratio: mean(|figures| figures.ratio),
        }
    });
    Ok(Rows::new(rows.collect()))
}

fn opened(names: &[String]) -> Result<Vec<Acomp>> {
    let opened: Result<_, _> = if names.is_empty() {
        let software = Registry::global().iter().filter(|alg| alg.info().is_software());
        software.map(|alg| Acomp::open(alg, Params::new())).collect()
    } else {
        names.iter().map(|name| Acomp::alloc(name)).collect()
    };
    Ok(opened?)
}

fn sample(pages: &[Page]) -> Vec<Page> {
    let count = pages.len().min(SAMPLE_PAGES_MAX);
    (0..count).map(|i| pages[i * pages.len() / count]).collect()
}

/// What one driver does with the pages of one file, so many at a time.
struct Figures {
    compress_mb_s: f64,
    decompress_mb_s: f64,
    ratio: f64,
}

/// For each driver, and each number of pages a call.
fn measure(acomps: &[Acomp], pages: &[Page]) -> Result<Vec<Figures>> {
    let streams = acomps.iter().map(|acomp| streams(acomp, pages));
    let streams: Vec<_> = streams.collect::<Result<_>>()?;
    let mut works = Vec::new();
    for (acomp, streams) in acomps.iter().zip(&streams) {
        for batch in BATCHES_PAGES {
            let pages = pages.iter().map(|page| &page[..]).collect();
            let streams = streams.iter().map(|stream| &stream[..]).collect();
            works.push(Work::new(acomp, Direction::Compress, pages, batch)?);
            works.push(Work::new(acomp, Direction::Decompress, streams, batch)?);
        }
    }
    let mut calls: Vec<_> = works.iter_mut().map(|work| || work.run()).collect();
    let mut candidates: Vec<&mut dyn FnMut() -> Result<()>> = Vec::new();
    candidates.extend(calls.iter_mut().map(|call| call as &mut dyn FnMut() -> Result<()>));
    let rounds = interleaved("codecs", &mut candidates)?;

    let bytes = (pages.len() * PAGE_BYTES) as f64;
    let mb_s = |work: usize| bytes * 1000.0 / median(&rounds, |times_ns| times_ns[work]);
    let per_driver = BATCHES_PAGES.len();
    let figures = (0..acomps.len() * per_driver).map(|i| {
        let kept = streams[i / per_driver].iter().map(|stream| stream.len().min(PAGE_BYTES));
        Figures {
            compress_mb_s: mb_s(2 * i),
            decompress_mb_s: mb_s(2 * i + 1),
            ratio: kept.sum::<usize>() as f64 / bytes,
        }
    });
    Ok(figures.collect())
}

fn streams(acomp: &Acomp, pages: &[Page]) -> Result<Vec<Vec<u8>>> {
    let mut dst = [0; 2 * PAGE_BYTES];
    let streams = pages.iter().map(|page| {
        let len = acomp.compress(page, &mut dst).with_context(|| acomp.driver().to_owned())?;
        Ok(dst[..len].to_vec())
    });
    streams.collect()
}

/// What is timed.
struct Work<'a> {
    driver: &'a str,
    session: Session,
    direction: Direction,
    srcs: Vec<&'a [u8]>,
    /// As many as pages a call.
    dsts: Vec<Page>,
}

impl<'a> Work<'a> {
    fn new(
        acomp: &'a Acomp,
        direction: Direction,
        srcs: Vec<&'a [u8]>,
        batch: usize,
    ) -> Result<Self> {
        let (driver, session) = (acomp.driver(), acomp.session()?);
        Ok(Self { driver, session, direction, srcs, dsts: vec![[0; PAGE_BYTES]; batch] })
    }

    fn run(&mut self) -> Result<()> {
        let Self { driver, session, direction, srcs, dsts } = self;
        let check = |outcome| match (*direction, outcome) {
            (Direction::Compress, Ok(_) | Err(Error::DstTooSmall)) => Ok(()),
            (Direction::Decompress, Ok(PAGE_BYTES)) => Ok(()),
            (direction, outcome) => bail!("{driver}: {direction:?}: {outcome:?}"),
        };
        if let [dst] = &mut **dsts {
            return srcs.iter().try_for_each(|src| check(single(session, *direction, src, dst)));
        }
        for srcs in srcs.chunks(dsts.len()) {
            let mut chain = Chain::<CHAIN_PAGES>::new();
            for (src, dst) in srcs.iter().zip(&mut *dsts) {
                let op = match direction {
                    Direction::Compress => Op::compress(src, black_box(dst)),
                    Direction::Decompress => Op::decompress(src, black_box(dst)),
                };
                let _ = chain.push(op); // Room for all.
            }
            session.run(chain.as_mut_ops());
            for op in chain.ops() {
                check(op.outcome().unwrap_or(Err(Error::Unanswered)))?;
            }
        }
        Ok(())
    }
}

fn single(session: &mut Session, direction: Direction, src: &[u8], dst: &mut Page) -> Outcome {
    match direction {
        Direction::Compress => session.compress(src, black_box(dst)),
        Direction::Decompress => session.decompress(src, black_box(dst)),
    }
}

/// Pages a call.
const BATCHES_PAGES: [usize; 2] = [1, CHAIN_PAGES];
const CHAIN_PAGES: usize = 8;
const SAMPLE_PAGES_MAX: usize = 1024;
