//! `acomp bench batch`: what batches gain on the model of an accelerator, and what it costs beside
//! the codec that it runs and the checksum that the device reports.

use std::hint::black_box;
use std::sync::Arc;
use std::thread::{self, sleep};
use std::time::Duration;

use acomp::zswap::{PAGE_BYTES, Page};
use acomp::{Acomp, Chain, Error, Op, Params, Registry, Session};
use acomp_iaa::{
    Accel, DeflateIaa, Device, DeviceConfig, EngineThreads, FaultPlan, RealClock, Settings,
};
use anyhow::Result;
use page_codec::deflate::Encoder;
use procfs::process::Process;

use super::rounds::{interleaved, median};
use crate::output::{Rows, rounded, row};

pub(crate) fn run(pages: &[Page]) -> Result<Rows> {
    let (mut alone, _) = model(0)?;
    let (mut single, threads) = model(1)?;
    // The same device: what differs is how many pages come at once.
    let mut batched = single.1.session()?;
    let mut encoder = Box::new(Encoder::fixed());
    let mut dst = [0; PAGE_BYTES];

    let mut run_codec = || {
        for page in pages {
            let _ = encoder.encode(page, black_box(&mut dst)); // Some do not fit.
        }
        Ok(())
    };
    let mut run_crc = || {
        for page in pages {
            black_box(crc32fast::hash(page));
        }
        Ok(())
    };
    let mut encoders = [(); 2].map(|()| Box::new(Encoder::fixed()));
    let mut run_both = || {
        // What two cores of this machine are worth now: others may be at them.
        let halves = pages.chunks(pages.len().div_ceil(2).max(1));
        thread::scope(|scope| {
            for (half, encoder) in halves.zip(&mut encoders) {
                scope.spawn(move || {
                    let mut dst = [0; PAGE_BYTES];
                    for page in half {
                        let _ = encoder.encode(page, black_box(&mut dst));
                    }
                });
            }
        });
        Ok(())
    };
    let mut run_alone = || one_by_one(&mut alone.0, pages);
    let mut run_single = || one_by_one(&mut single.0, pages);
    let mut run_batched = || in_folios(&mut batched, pages);
    let rounds = interleaved(
        "batch",
        &mut [
            &mut run_codec,
            &mut run_crc,
            &mut run_alone,
            &mut run_single,
            &mut run_batched,
            &mut run_both,
        ],
    )?;
    let idle_cpu_percent = idle_cpu_percent()?;
    drop(threads);

    let us = |of: fn(&[f64]) -> f64| {
        rounded(median(&rounds, |round| of(round) / 1000.0 / pages.len() as f64))
    };
    Ok(Rows::new(vec![row! {
        pages: pages.len(),
        codec_us: us(|round| round[0]),
        crc_us: us(|round| round[1]),
        iaa_single_extra_us: us(|round| round[2] - round[0] - round[1]),
        iaa_single_us: us(|round| round[3]),
        iaa_batched_us: us(|round| round[4]),
        iaa_batched_over_single: rounded(median(&rounds, |round| round[3] / round[4])),
        iaa_batched_over_codec_1core: rounded(median(&rounds, |round| round[0] / round[4])),
        codec_2cores_over_1core: rounded(median(&rounds, |round| round[0] / round[5])),
        idle_cpu_percent: rounded(idle_cpu_percent),
    }]))
}

/// A session on a device of its own, with so many engine threads.
fn model(threads: usize) -> Result<((Session, Acomp), EngineThreads)> {
    let accel = Accel::new(Settings::default());
    let (dma, clock) = (Arc::clone(accel.dma()), Arc::new(RealClock::new()));
    let device = Device::new(DeviceConfig::new(1), dma, clock, FaultPlan::new(0));
    let _binding = accel.bind(&device)?;
    let threads = EngineThreads::start(&[device], threads)?;
    let registry = Registry::from_entries([]);
    let _added = registry.add(Arc::new(DeflateIaa::fixed(&accel)?))?;
    let acomp = Acomp::alloc_in(&registry, "deflate-iaa", Params::new())?;
    Ok(((acomp.session()?, acomp), threads))
}

fn one_by_one(session: &mut Session, pages: &[Page]) -> Result<()> {
    let mut dst = [0; PAGE_BYTES];
    for page in pages {
        fits_or_not(session.compress(page, black_box(&mut dst)))?;
    }
    Ok(())
}

fn in_folios(session: &mut Session, pages: &[Page]) -> Result<()> {
    let mut dsts = [[0; PAGE_BYTES]; FOLIO_PAGES];
    for folio in pages.chunks(FOLIO_PAGES) {
        let mut chain = Chain::<FOLIO_PAGES>::new();
        for (page, dst) in folio.iter().zip(&mut dsts) {
            let _ = chain.push(Op::compress(page, dst)); // Room for a folio.
        }
        session.run(chain.as_mut_ops());
        for op in chain.ops() {
            fits_or_not(op.outcome().unwrap_or(Err(Error::Unanswered)))?;
        }
    }
    Ok(())
}

/// Some pages do not compress; nothing else may be wrong.
fn fits_or_not(outcome: Result<usize, Error>) -> Result<()> {
    match outcome {
        Ok(_) | Err(Error::DstTooSmall) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// What the process takes of a CPU when there is nothing to do.
fn idle_cpu_percent() -> Result<f64> {
    sleep(SETTLING);
    let before = cpu_ticks()?;
    sleep(IDLING);
    let ticks = (cpu_ticks()? - before) as f64;
    Ok(100.0 * ticks / procfs::ticks_per_second() as f64 / IDLING.as_secs_f64())
}

fn cpu_ticks() -> Result<u64> {
    let stat = Process::myself()?.stat()?;
    Ok(stat.utime + stat.stime)
}

/// 64 KiB.
const FOLIO_PAGES: usize = 16;
const SETTLING: Duration = Duration::from_millis(100);
const IDLING: Duration = Duration::from_secs(10);
