//! What a driver says about itself is true, and it takes no parameter that it does not know.

use acomp_core::{MAX_BATCH, OpenError, Params};

use crate::subject::Driver;
use crate::trial::Trial;

pub(crate) fn run(trial: &mut Trial<'_>) {
    let (driver, alg) = (trial.driver, trial.driver.alg);
    trial.case(format_args!("names"), |_| {
        let (made, prepared) = (alg.info(), driver.info());
        if (&made.name, &made.driver) == (&prepared.name, &prepared.driver) {
            return Ok(());
        }
        Err(format!(
            "prepared, {}/{} becomes {}/{}",
            made.name, made.driver, prepared.name, prepared.driver,
        ))
    });
    trial.case(format_args!("batch size"), |_| match driver.info().batch_size.get() {
        0..=MAX_BATCH => Ok(()),
        n => Err(format!("{n} ops never come in one call: at most {MAX_BATCH} do")),
    });
    trial.case(format_args!("kind"), |_| match driver.port() {
        Some(_) if driver.info().is_software() => {
            Err("software, but its requests have an engine: it is `Kind::Offload`".into())
        }
        _ => Ok(()),
    });
    trial.case(format_args!("unknown parameter"), |_| {
        let params = Params::new().with("no-such-parameter", "1");
        let opened = Driver::prepare(alg, &params).and_then(|driver| driver.open_with(&params));
        match opened {
            Err(OpenError::Unsupported { .. } | OpenError::InvalidParam { .. }) => Ok(()),
            Err(error) => Err(format!("refused, but not for the parameter: {error}")),
            Ok(_) => Err("accepted: a driver refuses what it would ignore".into()),
        }
    });
}
