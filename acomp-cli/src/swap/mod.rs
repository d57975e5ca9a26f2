//! `acomp swap`: pages through zswap and back, every byte compared.

mod folios;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use acomp::zswap::{Counters, FOLIO_PAGES_MAX, FileDevice, PAGE_BYTES, Page, Pool};
use acomp::{Acomp, AlgRef, Registry};
use anyhow::{Context, Result, ensure};

use self::folios::Folios;
use crate::args::parse_bytes;
use crate::output::{Row, Rows, median, rounded, row, stats_of};
use crate::pages;
use crate::parallel::timed;
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
    /// The most memory that the pool may hold. Folios that do not fit are rejected, and kept by the
    /// program.
    #[arg(long, value_parser = parse_bytes, value_name = "BYTES")]
    limit: Option<u64>,
    /// Write pages back to this file when the pool is full. The file is made, or emptied.
    #[arg(long, requires = "limit", value_name = "FILE")]
    writeback: Option<PathBuf>,
    /// Compress with this one after half of the folios; stored pages stay as they are.
    #[arg(long, value_name = "NAME")]
    switch_to: Option<String>,
}

pub(crate) fn run(args: &Args) -> Result<Rows> {
    if let Some(file) = &args.writeback {
        ensure_spared(file, &args.pages)?;
    }
    let pages = pages::read(&args.pages)?;
    let job = Job {
        folio_pages: args.folio,
        threads: args.threads.into(),
        limit_bytes: args.limit,
        writeback: args.writeback.as_deref(),
        switch_to: args.switch_to.as_deref(),
        ..Job::new(&args.compressor, args.repeat.into())
    };
    let progress = Progress::new("swap", job.repeat);
    let report = job.run(&pages, || progress.step(1))?;
    drop(progress);
    Ok(Rows { failure: failure_of(report.mismatches), ..Rows::new(vec![report.row()]) })
}

pub(crate) fn failure_of(mismatches: usize) -> Option<String> {
    (mismatches > 0).then(|| format!("{mismatches} pages came back wrong"))
}

/// The file for writeback would be emptied before it is read.
fn ensure_spared(file: &Path, pages: &[PathBuf]) -> Result<()> {
    let Ok(file) = fs::canonicalize(file) else { return Ok(()) };
    let is_it = |page: &PathBuf| fs::canonicalize(page).is_ok_and(|page| page == file);
    let file = file.display();
    ensure!(!pages.iter().any(is_it), "{file} has the pages: write back to another file");
    Ok(())
}

/// Pages through one pool, `repeat` times.
pub(crate) struct Job<'a> {
    compressor: &'a str,
    folio_pages: usize,
    threads: usize,
    repeat: usize,
    limit_bytes: Option<u64>,
    writeback: Option<&'a Path>,
    switch_to: Option<&'a str>,
}

impl<'a> Job<'a> {
    /// On one thread, in folios of 64 KiB, into a pool of a fifth of the memory.
    pub(crate) fn new(compressor: &'a str, repeat: usize) -> Self {
        Self {
            compressor,
            folio_pages: 16,
            threads: 1,
            repeat,
            limit_bytes: None,
            writeback: None,
            switch_to: None,
        }
    }

    /// Calls `step` after each time.
    pub(crate) fn run(&self, pages: &[Page], step: impl Fn()) -> Result<Report> {
        let pool = self.pool(pages.len())?;
        let acomp = pool.acomp();
        // Tested and ready before the clock runs.
        let switched_to = self.switch_to.map(Acomp::alloc).transpose()?;
        let folios = Folios {
            pool: &pool,
            pages,
            folio_pages: self.folio_pages,
            has_limit: self.limit_bytes.is_some(),
            switch_to: self.switch_to,
        };
        let mut back = vec![[0; PAGE_BYTES]; pages.len()];
        let (mut store_times, mut load_times) = (Vec::new(), Vec::new());
        let mut last = Round::default();
        let mut mismatches = 0;
        for _ in 0..self.repeat {
            // Poisoned, so that nothing left from the last time can pass, and so that no page of it
            // is touched for the first time while the clock runs.
            back.fill([POISON; PAGE_BYTES]);
            last = self.round(&folios, &mut back)?;
            store_times.push(last.store_s);
            load_times.push(last.load_s);
            mismatches += pages.iter().zip(&back).filter(|(page, back)| page != back).count();
            if self.switch_to.is_some() {
                pool.set("compressor", acomp.driver())?;
            }
            step();
        }
        let drivers = [Some(&acomp), switched_to.as_ref()];
        Ok(Report {
            compressor: acomp.name().into(),
            driver: acomp.driver().into(),
            batch_size: acomp.batch_size().get(),
            pages: pages.len(),
            store_s: median(store_times),
            load_s: median(load_times),
            counters: pool.counters(),
            stats: stats_of(acomp.alg()),
            special: self.special_row(&last, switched_to.as_ref()),
            driver_counters: counters_of(drivers.into_iter().flatten().map(Acomp::alg))?,
            last,
            mismatches,
        })
    }

    fn pool(&self, pages: usize) -> Result<Pool> {
        let mut builder = Pool::builder(Registry::global()).compressor(self.compressor);
        if let Some(bytes) = self.limit_bytes {
            builder = builder.total_bytes(bytes);
        }
        if let Some(file) = self.writeback {
            let device = FileDevice::create(file, (pages * PAGE_BYTES) as u64);
            let device = device.with_context(|| format!("cannot make {}", file.display()))?;
            builder = builder.device(Arc::new(device));
        }
        let pool = builder.build()?;
        if self.limit_bytes.is_some() {
            pool.set("max_pool_percent", "100")?;
        }
        Ok(pool)
    }

    /// All pages, once.
    fn round(&self, folios: &Folios<'_>, back: &mut [Page]) -> Result<Round> {
        let part_pages = self.part_pages(back.len());
        let before = folios.pool.counters();
        let fate = folios.fate();
        let parts = folios.pages.chunks(part_pages);
        let store = |i, part: &[Page]| folios.store(i * part_pages, part, &fate);
        let store_s = timed(parts, store)?.seconds();
        let held = folios.pool.counters();
        let parts = back.chunks_mut(part_pages);
        let load = |i, part: &mut [Page]| folios.load(i * part_pages, part, &fate);
        let load_s = timed(parts, load)?.seconds();
        let after = folios.pool.counters();
        Ok(Round {
            store_s,
            load_s,
            rejected: fate.rejected_pages(),
            written_back: after.written_back_pages - before.written_back_pages,
            device_reads: after.pswpin - before.pswpin,
            held,
        })
    }

    /// What only those see who asked for something special.
    fn special_row(&self, last: &Round, switched_to: Option<&Acomp>) -> Row {
        let mut row = Row::new();
        if self.limit_bytes.is_some() {
            row.extend(row! {
                rejected: last.rejected,
                pool_bytes: last.held.pool_total_size,
            });
        }
        if self.writeback.is_some() {
            row.extend(row! {
                written_back_pages: last.written_back,
                device_pages: last.held.device_pages,
                device_reads: last.device_reads,
            });
        }
        if let Some(acomp) = switched_to {
            row.extend(row! { switched_to: acomp.driver(), switched_stats: stats_of(acomp.alg()) });
        }
        row
    }

    /// Pages of one thread: whole folios.
    fn part_pages(&self, pages: usize) -> usize {
        pages.div_ceil(self.folio_pages).div_ceil(self.threads) * self.folio_pages
    }
}

/// What became of all pages, once.
#[derive(Default)]
struct Round {
    store_s: f64,
    load_s: f64,
    /// Pages of folios that the pool did not take.
    rejected: usize,
    written_back: u64,
    device_reads: u64,
    /// While all pages were stored.
    held: Counters,
}

/// What became of a [`Job`].
pub(crate) struct Report {
    pub(crate) compressor: String,
    pub(crate) driver: String,
    pub(crate) batch_size: usize,
    pub(crate) pages: usize,
    pub(crate) mismatches: usize,
    last: Round,
    /// At the end.
    counters: Counters,
    pub(crate) stats: Row,
    special: Row,
    driver_counters: Row,
    store_s: f64,
    load_s: f64,
}

impl Report {
    /// Bytes held for all pages in memory over their size: lower is better.
    pub(crate) fn ratio(&self) -> f64 {
        let held = &self.last.held;
        let pages = held.stored_pages + held.zero_pages;
        rounded(held.object_bytes as f64 / (pages.max(1) * PAGE_BYTES as u64) as f64)
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
            zero_pages: self.last.held.zero_pages,
            same_filled: self.last.held.same_filled_pages,
            incompressible: self.last.held.stored_incompressible_pages,
            stored_bytes: self.last.held.object_bytes,
            ratio: self.ratio(),
            store_mb_s: self.store_mb_s(),
            load_mb_s: self.load_mb_s(),
            store_us_per_page: self.us_per_page(self.store_s),
            load_us_per_page: self.us_per_page(self.load_s),
            mismatches: self.mismatches,
            counters: counters.collect::<Row>(),
            stats: self.stats,
        };
        row.extend(self.special.clone());
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

/// What the drivers count of themselves, if they do.
fn counters_of<'d>(drivers: impl Iterator<Item = &'d AlgRef>) -> Result<Row> {
    let mut row = Row::new();
    for driver in drivers {
        let counters = driver.algorithm()?.counters().into_iter();
        row.extend(counters.map(|(name, value)| (name, value.into())));
    }
    Ok(row)
}

/// Parses the size of a folio.
fn folio_pages(size: &str) -> Result<usize, String> {
    let bytes = parse_bytes(size)?;
    let (pages, rest) = (bytes / PAGE_BYTES as u64, bytes % PAGE_BYTES as u64);
    match usize::try_from(pages) {
        Ok(pages @ 1..=FOLIO_PAGES_MAX) if rest == 0 => Ok(pages),
        _ => Err("a folio is a multiple of 4K, from 4K to 2M".into()),
    }
}

const POISON: u8 = 0xA5;
