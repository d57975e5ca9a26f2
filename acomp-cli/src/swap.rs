//! `acomp swap`: pages through zswap and back, every byte compared.

use std::panic::resume_unwind;
use std::path::PathBuf;
use std::sync::RwLock;
use std::thread;
use std::time::Instant;

use acomp::zswap::{Counters, FOLIO_PAGES_MAX, Load, Owner, PAGE_BYTES, Page, Pool, Slot};
use acomp::{AlgRef, Registry};
use anyhow::{Context, Result};

use crate::output::{Row, Rows, median, rounded, row, stats_of};
use crate::pages;
use crate::progress::Progress;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Generic name or driver name (see `acomp list`).
    #[arg(long)]
    compressor: String,
    /// Files of raw 4096-byte pages (see `acomp capture`).
    #[arg(long, required = true, num_args = 1.., value_name = "FILE")]
    pages: Vec<PathBuf>,
    /// Size of a folio: 4K to 2M.
    #[arg(long, default_value = "64K", value_parser = folio_pages, value_name = "SIZE")]
    folio: usize,
    /// Threads that store and load at the same time.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: u16,
    /// Times that all pages are stored and loaded; the medians are reported.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    repeat: u16,
}

pub(crate) fn run(args: &Args) -> Result<Rows> {
    let pages = pages::read(&args.pages)?;
    let job = Job {
        compressor: &args.compressor,
        folio_pages: args.folio,
        threads: args.threads.into(),
        repeat: args.repeat.into(),
    };
    let progress = Progress::new("swap", job.repeat);
    let report = job.run(&pages, || progress.step(1))?;
    drop(progress);
    Ok(Rows { failure: failure_of(report.mismatches), ..Rows::new(vec![report.row()]) })
}

pub(crate) fn failure_of(mismatches: usize) -> Option<String> {
    (mismatches > 0).then(|| format!("{mismatches} pages came back wrong"))
}

/// Pages through one pool, `repeat` times.
pub(crate) struct Job<'a> {
    pub(crate) compressor: &'a str,
    pub(crate) folio_pages: usize,
    pub(crate) threads: usize,
    pub(crate) repeat: usize,
}

impl Job<'_> {
    /// Calls `step` after each time.
    pub(crate) fn run(&self, pages: &[Page], step: impl Fn()) -> Result<Report> {
        let pool = Pool::builder(Registry::global()).compressor(self.compressor).build()?;
        let mut back = vec![[0; PAGE_BYTES]; pages.len()];
        let part_pages = self.part_pages(pages.len());
        let (mut store_times, mut load_times) = (Vec::new(), Vec::new());
        let mut held = Counters::default();
        let mut mismatches = 0;
        for _ in 0..self.repeat {
            let parts = pages.chunks(part_pages);
            let store = |first, part: &[Page]| self.store(&pool, first, part);
            store_times.push(timed(part_pages, parts, store)?);
            held = pool.counters();

            // Poisoned, so that nothing left from the last time can pass, and so that no page of it
            // is touched for the first time while the clock runs.
            back.fill([POISON; PAGE_BYTES]);
            let parts = back.chunks_mut(part_pages);
            let load = |first, part: &mut [Page]| self.load(&pool, first, part);
            load_times.push(timed(part_pages, parts, load)?);
            mismatches += pages.iter().zip(&back).filter(|(page, back)| page != back).count();
            step();
        }
        Ok(Report {
            compressor: pool.acomp().name().into(),
            driver: pool.acomp().driver().into(),
            batch_size: pool.acomp().batch_size().get(),
            pages: pages.len(),
            store_s: median(store_times),
            load_s: median(load_times),
            held,
            counters: pool.counters(),
            stats: stats_of(pool.acomp().alg()),
            driver_counters: counters_of(pool.acomp().alg())?,
            mismatches,
        })
    }

    fn store(&self, pool: &Pool, first: usize, pages: &[Page]) -> Result<()> {
        for (i, folio) in pages.chunks(self.folio_pages).enumerate() {
            let slot = Slot((first + i * self.folio_pages) as u64);
            pool.store(slot, folio, Owner::ROOT).context("store")?;
        }
        Ok(())
    }

    fn load(&self, pool: &Pool, first: usize, pages: &mut [Page]) -> Result<()> {
        for (i, folio) in pages.chunks_mut(self.folio_pages).enumerate() {
            let slot = Slot((first + i * self.folio_pages) as u64);
            pool.load_range(slot, folio, Load::Exclusive).context("load")?;
        }
        Ok(())
    }

    /// Pages of one thread: whole folios.
    fn part_pages(&self, pages: usize) -> usize {
        pages.div_ceil(self.folio_pages).div_ceil(self.threads) * self.folio_pages
    }
}

/// Works on the parts at the same time, each on a thread of its own and with the number of its
/// first page, and returns the seconds from the first start to the last end.
fn timed<P: Send>(
    part_pages: usize,
    parts: impl ExactSizeIterator<Item = P>,
    work: impl Fn(usize, P) -> Result<()> + Sync,
) -> Result<f64> {
    // Closed until every thread is there; opens also when one cannot be had.
    let gate = &RwLock::new(());
    let work = &work;
    let spans: Vec<(Instant, Instant)> = thread::scope(|scope| {
        let closed = gate.write();
        let spawn = |(i, part)| {
            let run = move || {
                drop(gate.read());
                let started = Instant::now();
                work(i * part_pages, part).map(|()| (started, Instant::now()))
            };
            thread::Builder::new().spawn_scoped(scope, run).context("cannot start a thread")
        };
        let threads: Result<Vec<_>> = parts.enumerate().map(spawn).collect();
        drop(closed);
        let joined = threads?.into_iter().map(|thread| match thread.join() {
            Ok(span) => span,
            Err(panic) => resume_unwind(panic),
        });
        joined.collect::<Result<_>>()
    })?;
    let first = spans.iter().map(|span| span.0).min();
    let last = spans.iter().map(|span| span.1).max();
    let time = first.zip(last).map(|(first, last)| last - first).context("no pages")?;
    Ok(time.as_secs_f64())
}

/// What became of a [`Job`].
pub(crate) struct Report {
    pub(crate) compressor: String,
    pub(crate) driver: String,
    pub(crate) batch_size: usize,
    pub(crate) pages: usize,
    pub(crate) mismatches: usize,
    /// While all pages were stored.
    held: Counters,
    /// At the end.
    counters: Counters,
    pub(crate) stats: Row,
    driver_counters: Row,
    store_s: f64,
    load_s: f64,
}

impl Report {
    /// Bytes held for all pages over their size: lower is better.
    pub(crate) fn ratio(&self) -> f64 {
        rounded(self.held.object_bytes as f64 / (self.pages * PAGE_BYTES) as f64)
    }

    pub(crate) fn store_mb_s(&self) -> f64 {
        self.mb_s(self.store_s)
    }

    pub(crate) fn load_mb_s(&self) -> f64 {
        self.mb_s(self.load_s)
    }

    fn row(&self) -> Row {
        let counters = self.counters.table().map(|(name, n)| (name.into(), n.into()));
        let mut row = row! {
            compressor: self.compressor,
            driver: self.driver,
            pages: self.pages,
            zero_pages: self.held.zero_pages,
            same_filled: self.held.same_filled_pages,
            incompressible: self.held.stored_incompressible_pages,
            stored_bytes: self.held.object_bytes,
            ratio: self.ratio(),
            store_mb_s: self.store_mb_s(),
            load_mb_s: self.load_mb_s(),
            store_us_per_page: self.us_per_page(self.store_s),
            load_us_per_page: self.us_per_page(self.load_s),
            mismatches: self.mismatches,
            counters: counters.collect::<Row>(),
            stats: self.stats,
        };
        if !self.driver_counters.is_empty() {
            row.insert("driver_counters".into(), self.driver_counters.clone().into());
        }
        row
    }

    /// In 10^6 bytes of pages per second.
    fn mb_s(&self, seconds: f64) -> f64 {
        rounded((self.pages * PAGE_BYTES) as f64 / seconds / 1e6)
    }

    fn us_per_page(&self, seconds: f64) -> f64 {
        rounded(seconds * 1e6 / self.pages as f64)
    }
}

/// What the driver counts of itself, if it does.
fn counters_of(alg: &AlgRef) -> Result<Row> {
    let counters = alg.algorithm()?.counters().into_iter();
    Ok(counters.map(|(name, value)| (name, value.into())).collect())
}

/// Parses the size of a folio.
fn folio_pages(size: &str) -> Result<usize, String> {
    let bytes = parse_size::Config::new().with_binary().parse_size(size);
    let bytes = bytes.map_err(|error| error.to_string())?;
    let (pages, rest) = (bytes / PAGE_BYTES as u64, bytes % PAGE_BYTES as u64);
    match usize::try_from(pages) {
        Ok(pages @ 1..=FOLIO_PAGES_MAX) if rest == 0 => Ok(pages),
        _ => Err("a folio is a multiple of 4K, from 4K to 2M".into()),
    }
}

const POISON: u8 = 0xA5;
