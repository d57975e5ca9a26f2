//! What a command answers: rows, printed as a table or as JSON.

use std::io::{ErrorKind, Write, stderr, stdout};

use acomp::{AlgRef, Error};
use anyhow::Result;
use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Map, Value};

/// One row: keys in snake_case, unit last. Keys may be added, renaming one breaks users.
pub(crate) type Row = Map<String, Value>;

/// Makes a [`Row`].
macro_rules! row {
    ($($key:ident: $value:expr),* $(,)?) => {{
        let mut row = $crate::output::Row::new();
        $(row.insert(stringify!($key).into(), serde_json::json!($value));)*
        row
    }};
}
pub(crate) use row;

/// The rows of a command, and why it failed although it has rows to show.
#[derive(Default)]
pub(crate) struct Rows {
    pub(crate) rows: Vec<Row>,
    /// What people are shown instead of a table.
    pub(crate) drawing: Option<String>,
    pub(crate) failure: Option<String>,
}

impl Rows {
    pub(crate) fn new(rows: Vec<Row>) -> Self {
        Self { rows, ..Self::default() }
    }

    /// Prints to stdout. A reader that closes the pipe early has seen enough.
    pub(crate) fn print(&self, json: bool) -> Result<()> {
        let text = match &self.drawing {
            _ if json => serde_json::to_string_pretty(&self.rows)?,
            Some(drawing) => drawing.clone(),
            None => self.table(),
        };
        let mut out = stdout().lock();
        match writeln!(out, "{text}").and_then(|()| out.flush()) {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// A line for each row; what is itself a table of a row follows below.
    pub(crate) fn table(&self) -> String {
        let Some(first) = self.rows.first() else { return "nothing to show".into() };
        let is_flat = |key: &&String| !first[*key].is_object();
        let columns: Vec<&String> = first.keys().filter(is_flat).collect();
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_header(columns.iter().map(|key| key.as_str()));
        for row in &self.rows {
            table.add_row(columns.iter().map(|key| cell(row.get(*key))));
        }
        for (column, key) in table.column_iter_mut().zip(&columns) {
            if first[*key].is_number() {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        let mut text = table.trim_fmt();
        for row in &self.rows {
            for (key, inner) in row.iter().filter_map(|(key, v)| Some((key, v.as_object()?))) {
                let of = cell(row.get("driver"));
                let pairs: Vec<_> = inner.iter().map(|(k, v)| format!("{k} {v}")).collect();
                text += &format!("\n{of} {key}: {}", pairs.join(", "));
            }
        }
        text
    }
}

/// Says something on stderr, to whoever still reads it.
pub(crate) fn complain(message: &str) {
    let _ = writeln!(stderr(), "acomp: {message}");
}

/// The middle one.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// What all sessions of a driver did, past ones included. Errors that never happened are left out.
pub(crate) fn stats_of(alg: &AlgRef) -> Row {
    let stats = alg.stats();
    let mut row = Row::new();
    for (direction, flow) in [("compress", &stats.compress), ("decompress", &stats.decompress)] {
        row.insert(format!("{direction}_ok"), flow.ok.into());
        row.insert(format!("{direction}_bytes_in"), flow.bytes_in.into());
        row.insert(format!("{direction}_bytes_out"), flow.bytes_out.into());
        for error in Error::ALL.iter().filter(|error| flow.failed(**error) > 0) {
            let key = format!("{direction}_failed_{}", error.name());
            row.insert(key, flow.failed(*error).into());
        }
    }
    row.insert("fallbacks".into(), stats.fallbacks.into());
    row.insert("chains".into(), stats.chains.as_slice().into());
    row
}

/// Rounds for people and for diffs: measurements are not that exact.
pub(crate) fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "-".into(),
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
    }
}
