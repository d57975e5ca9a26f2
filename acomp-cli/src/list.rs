//! `acomp list`: the analogue of /proc/crypto.

use acomp::{AlgRef, Kind, Registry, Verdict};
use anyhow::Result;

use crate::output::{Rows, row};

pub(crate) fn run() -> Result<Rows> {
    let registry = Registry::global();
    registry.self_test_all();
    let failed = |alg: &AlgRef| matches!(alg.verdict(), Verdict::Failed(_));
    let failed: Vec<_> =
        registry.iter().filter(failed).map(|alg| alg.info().driver.to_string()).collect();
    let rows = registry.iter().map(|alg| {
        let info = alg.info();
        row! {
            name: info.name,
            driver: info.driver,
            priority: info.priority,
            kind: match info.kind {
                Kind::Software => "software",
                _ => "offload",
            },
            batch_size: info.batch_size,
            selftest: match alg.verdict() {
                Verdict::Passed => "passed",
                Verdict::Failed(_) => "failed",
                Verdict::Untested => "untested",
            },
            origin: alg.origin(),
        }
    });
    let templates = registry.templates().map(|template| {
        row! { driver: format!("{}(X)", template.name), kind: "template", origin: template.origin }
    });
    let failure = (!failed.is_empty()).then(|| format!("failed: {}", failed.join(", ")));
    Ok(Rows { failure, ..Rows::new(rows.chain(templates).collect()) })
}
