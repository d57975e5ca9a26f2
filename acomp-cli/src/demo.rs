//! `acomp demo`: what the whole system does, in a second or two and without any file.

use acomp::Registry;
use anyhow::Result;

use crate::output::{Row, Rows, row};
use crate::pages;
use crate::progress::Progress;
use crate::swap::{Job, Report, failure_of};

#[derive(clap::Args, Default)]
pub(crate) struct Args {
    /// Also show what each driver counted.
    #[arg(long)]
    stats: bool,
}

pub(crate) fn run(args: &Args) -> Result<Rows> {
    let pages = pages::generated(PAGES_OF_EACH_CLASS);
    let drivers: Vec<_> = Registry::global().iter().collect();
    let progress = Progress::new("demo", drivers.len() * REPEAT);
    let mut reports = Vec::new();
    let mut unusable = Vec::new();
    for alg in &drivers {
        let driver = alg.info().driver.as_ref();
        let job = Job::new(driver, REPEAT);
        match job.run(&pages, || progress.step(1)) {
            Ok(report) => reports.push(report),
            Err(why) => unusable.push(format!("{driver}: {why:#}")),
        }
    }
    drop(progress);
    let mismatches = failure_of(reports.iter().map(|report| report.mismatches).sum());
    let failure = mismatches.or((!unusable.is_empty()).then(|| unusable.join("; ")));
    let rows = reports.iter().map(|report| {
        let mut row = row_of(report);
        if args.stats {
            row.insert("stats".into(), report.stats.clone().into());
        }
        row
    });
    Ok(Rows { failure, ..Rows::new(rows.collect()) })
}

fn row_of(report: &Report) -> Row {
    row! {
        compressor: report.compressor,
        driver: report.driver,
        batch_size: report.batch_size,
        pages: report.pages,
        ratio: report.ratio(),
        store_mb_s: report.store_mb_s(),
        load_mb_s: report.load_mb_s(),
        mismatches: report.mismatches,
    }
}

const PAGES_OF_EACH_CLASS: usize = 256;
const REPEAT: usize = 3;
