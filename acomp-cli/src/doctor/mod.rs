//! `acomp doctor`: what this machine has, and how to mend what it lacks.

mod checks;

use serde::Serialize;

use crate::machine::Machine;
use crate::output::{Rows, row};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Another machine's files.
    #[arg(long, default_value = "/", hide = true)]
    root: Machine,
}

/// What is missing is an answer, not a failure.
pub(crate) fn run(args: &Args) -> Rows {
    let rows = checks::ALL.iter().map(|(what, check)| {
        let finding = check(&args.root);
        row! { what: what, state: finding.state, found: finding.found, mend: finding.mend }
    });
    Rows::new(rows.collect())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Ok,
    /// Works, or works for some.
    Limited,
    Missing,
}

#[derive(Debug)]
struct Finding {
    state: State,
    found: String,
    /// A command, or what to do where no command helps. Nothing if all is well.
    mend: Option<&'static str>,
}
