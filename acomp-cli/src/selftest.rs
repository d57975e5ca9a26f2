//! `acomp selftest`: the whole conformance suite, over every driver or over some.

use acomp::{AlgRef, Registry};
use acomp_testmgr::{Suite, alg_test};
use anyhow::Result;

use crate::output::{Rows, row};
use crate::progress::Progress;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Generic names or driver names; all drivers if there are none.
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

pub(crate) fn run(args: &Args) -> Result<Rows> {
    let drivers = drivers(&args.names)?;
    let progress = Progress::new("selftest", drivers.len());
    let mut rows = Rows::default();
    let mut failed = Vec::new();
    for alg in &drivers {
        let report = alg.algorithm().map(|driver| alg_test(&**driver, Suite::Full));
        progress.step(1);
        let (cases, failures, first_failure) = match &report {
            Ok(report) => {
                let first = report.failures.first().map(ToString::to_string);
                (report.cases, report.failures.len(), first)
            }
            Err(absent) => (0, 1, Some(absent.to_string())),
        };
        if failures > 0 {
            failed.push(alg.info().driver.as_ref());
        }
        rows.rows.push(row! {
            name: alg.info().name,
            driver: alg.info().driver,
            cases: cases,
            failures: failures,
            first_failure: first_failure,
        });
    }
    rows.failure = (!failed.is_empty()).then(|| format!("failed: {}", failed.join(", ")));
    Ok(rows)
}

fn drivers(names: &[String]) -> Result<Vec<AlgRef>> {
    let registry = Registry::global();
    if names.is_empty() {
        return Ok(registry.iter().collect());
    }
    let mut drivers = Vec::new();
    for name in names {
        drivers.extend(registry.candidates(name)?);
    }
    Ok(drivers)
}
