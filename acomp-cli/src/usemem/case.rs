//! What is compared: a backend and what it is told.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// A row of the answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Case {
    pub(super) backend: Backend,
    pub(super) compressor: Option<String>,
    pub(super) mode: Option<Mode>,
    pub(super) kept: Option<Kept>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Backend {
    /// Memory regions over zswap in user space.
    Pager,
    /// The kernel's zswap, set up and taken down for each run. Needs root.
    Kernel,
    /// Memory without a limit.
    None,
}

/// Who serves the faults of the pager.
#[derive(Clone, Copy, Debug, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Mode {
    Thread,
    Sigbus,
}

/// Whether the pager keeps compressed copies of resident pages, and how it finds them unchanged.
#[derive(Clone, Copy, Debug, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kept {
    Off,
    Exact,
    Hash,
}

/// The order of a read pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Pattern {
    /// Each page, in order, every byte of it.
    Seq,
    /// As many accesses as there are pages, each to any of them.
    Random,
    /// The same, some pages being liked more: Zipf's law with the exponent 0.99.
    Zipf,
}
