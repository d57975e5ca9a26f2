//! Two threads beside one, and calls of the global allocator.

use std::hint::black_box;
use std::panic::resume_unwind;
use std::thread;

use acomp::Registry;
use acomp::zswap::{Load, Owner, PAGE_BYTES, Page, Pool};
use anyhow::{Context, Result};

use super::{FOLIO_PAGES, folio_slot};
use crate::bench::rounds::{interleaved, median};
use crate::output::{Row, rounded, row};

pub(super) fn row(pages: &[Page]) -> Result<Row> {
    let pool = Pool::builder(Registry::global()).compressor("lz4").build()?;
    // Whole folios, so that no slot is of both threads.
    let half = pages.len().div_ceil(FOLIO_PAGES).div_ceil(2) * FOLIO_PAGES;
    let mut one = || on_threads(&pool, &[pages]);
    let (first, second) = pages.split_at(half.min(pages.len()));
    let mut two = || on_threads(&pool, &[first, second]);
    let rounds = interleaved("threads", &mut [&mut one, &mut two])?;
    Ok(row! {
        threads2_over_1: rounded(median(&rounds, |round| round[0] / round[1])),
        allocs_per_load: allocs_per_load(&pool, pages)?,
    })
}

/// Stores and loads all parts, each on a thread of its own.
fn on_threads(pool: &Pool, parts: &[&[Page]]) -> Result<()> {
    thread::scope(|scope| {
        let mut folio = 0;
        let mut threads = Vec::new();
        for part in parts {
            let first = folio;
            folio += part.len().div_ceil(FOLIO_PAGES);
            let builder = thread::Builder::new();
            threads.push(builder.spawn_scoped(scope, move || store_and_load(pool, first, part))?);
        }
        threads.into_iter().try_for_each(|thread| match thread.join() {
            Ok(done) => done,
            Err(panic) => resume_unwind(panic),
        })
    })
}

fn store_and_load(pool: &Pool, first: usize, pages: &[Page]) -> Result<()> {
    for (i, folio) in pages.chunks(FOLIO_PAGES).enumerate() {
        pool.store(folio_slot(first + i), folio, Owner::ROOT).context("store")?;
    }
    load(pool, first, pages.len(), &mut [[0; PAGE_BYTES]; FOLIO_PAGES])
}

fn load(pool: &Pool, first: usize, pages: usize, back: &mut [Page; FOLIO_PAGES]) -> Result<()> {
    for i in 0..pages.div_ceil(FOLIO_PAGES) {
        let folio_pages = (pages - i * FOLIO_PAGES).min(FOLIO_PAGES);
        let back = black_box(&mut back[..folio_pages]);
        pool.load_range(folio_slot(first + i), back, Load::Exclusive).context("load")?;
    }
    Ok(())
}

/// Calls of the global allocator, of this thread.
fn allocs_per_load(pool: &Pool, pages: &[Page]) -> Result<f64> {
    store_and_load(pool, 0, pages)?;
    for (i, folio) in pages.chunks(FOLIO_PAGES).enumerate() {
        pool.store(folio_slot(i), folio, Owner::ROOT).context("store")?;
    }
    let mut back = [[0; PAGE_BYTES]; FOLIO_PAGES];
    let mut loaded = Ok(());
    let allocations = allocation_counter::measure(|| {
        loaded = load(pool, 0, pages.len(), &mut back);
    });
    loaded?;
    Ok(rounded(allocations.count_total as f64 / pages.len() as f64))
}
