//! `acomp sim`: stores in virtual time, beside published figures.

use std::path::PathBuf;

use acomp_iaa::sim::published::{
    INPUTS, Inputs, Usemem, calibrate, latencies, sensitivity, usemem,
};
use acomp_iaa::sim::{Mode, SimParams, SimReport};
use acomp_iaa::topology::Machine;
use anyhow::Result;

use crate::iaa;
use crate::output::{Row, Rows, rounded, row};

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Store latency per page in ns: one page after another, in batches on one device, in batches
    /// over the devices of a package.
    ///
    /// First come the three latencies that were published: CPU work and fixed latency are
    /// calibrated on two of them, the third is predicted. Then a machine with CPUs that do nothing
    /// but store; then what the prediction is with one input changed, and the inputs.
    Store(Store),
    /// How much of the published gains of usemem, in percent, the compression path gives.
    ///
    /// Thirty processes store folios on the published machine. `predicted` is the gain if nothing
    /// but the compression path changes, `explained_pct` its part of the time that was saved.
    Usemem30,
}

#[derive(clap::Args)]
pub(crate) struct Store {
    /// A machine described in JSON; without one that of the published benchmarks.
    #[arg(long, value_name = "FILE")]
    machine: Option<PathBuf>,
    /// CPUs that store.
    #[arg(long, default_value_t = 30)]
    cpus: usize,
    /// Pages of a folio, 1 to 512.
    #[arg(long, default_value_t = 16)]
    folio_pages: usize,
    /// What a CPU does between folios, per page.
    #[arg(long, default_value_t = 0.0)]
    think_ns: f64,
    /// What a CPU works for a page; calibrated if not given.
    #[arg(long)]
    cpu_ns: Option<f64>,
    /// From submission to completion, without the engine; calibrated if not given.
    #[arg(long)]
    fixed_ns: Option<f64>,
    /// What an engine reads at most, in 10^9 bytes per second.
    #[arg(long, default_value_t = SimParams::new().engine_gb_s)]
    engine_gb_s: f64,
    /// What a device reads at most, in 10^9 bytes per second.
    #[arg(long, default_value_t = SimParams::new().device_gb_s)]
    device_gb_s: f64,
    /// Where randomness starts.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

pub(crate) fn run(command: &Command) -> Result<Rows> {
    match command {
        Command::Store(args) => store(args),
        Command::Usemem30 => {
            let rows = usemem(USEMEM_DURATION_NS)?;
            Ok(Rows::new(rows.iter().map(usemem_row).collect()))
        }
    }
}

fn store(args: &Store) -> Result<Rows> {
    let calibrated = calibrate(&Inputs::default())?;
    let published = latencies(&Inputs::default())?;
    let mut rows = Vec::new();
    for latency in &published {
        let figures = Figures {
            case: format!("published {}", latency.mode.name()),
            published: Some(latency.published_ns),
            predicted: Some(latency.predicted_ns),
            is_calibrated: latency.is_calibrated,
        };
        rows.push(store_row(&figures, None, "published machine, 1 CPU, 64 KiB folios"));
    }
    rows.extend(machine_rows(args, &calibrated)?);

    let [.., predicted] = published;
    for row in sensitivity()? {
        let figures = Figures {
            case: format!(
                "{} with {} {}",
                predicted.mode.name(),
                row.input.name,
                rounded(row.value)
            ),
            published: Some(predicted.published_ns),
            predicted: row.predicted_ns,
            is_calibrated: false,
        };
        let solved =
            if row.predicted_ns.is_some() { "calibrated anew" } else { "no calibration fits" };
        rows.push(store_row(&figures, None, solved));
    }
    for input in INPUTS {
        let figures = Figures {
            case: format!("input {}", input.name),
            published: Some(input.of(Inputs::default())),
            predicted: None,
            is_calibrated: false,
        };
        rows.push(store_row(&figures, None, input.source));
    }
    for (name, value) in [("cpu_ns", calibrated.cpu_ns), ("fixed_ns", calibrated.fixed_ns)] {
        let figures = Figures {
            case: format!("solved {name}"),
            published: None,
            predicted: Some(value),
            is_calibrated: true,
        };
        rows.push(store_row(&figures, None, "sequential_ns and one_device_ns"));
    }
    Ok(Rows::new(rows))
}

/// The machine and the CPUs that were asked for.
fn machine_rows(args: &Store, calibrated: &SimParams) -> Result<Vec<Row>> {
    let machine = args.machine.as_deref().map_or_else(|| Ok(Machine::spr()), iaa::read)?;
    let mut params = calibrated.clone();
    params.cpus = args.cpus;
    params.folio_pages = args.folio_pages;
    params.think_ns = args.think_ns;
    params.cpu_ns = args.cpu_ns.unwrap_or(params.cpu_ns);
    params.fixed_ns = args.fixed_ns.unwrap_or(params.fixed_ns);
    params.engine_gb_s = args.engine_gb_s;
    params.device_gb_s = args.device_gb_s;
    params.seed = args.seed;
    params.duration_ns = STORE_DURATION_NS;
    let source = match &args.machine {
        Some(file) => file.display().to_string(),
        None => "published machine".into(),
    };
    let row = |mode: Mode| {
        let report = mode.simulate(&machine, &params)?;
        let figures = Figures {
            case: format!("{} CPUs {}", args.cpus, mode.name()),
            published: None,
            predicted: Some(report.p50_ns),
            is_calibrated: false,
        };
        Ok(store_row(&figures, Some(&report), &source))
    };
    Mode::ALL.into_iter().map(row).collect()
}

/// What every row of `acomp sim` has.
struct Figures {
    case: String,
    published: Option<f64>,
    predicted: Option<f64>,
    is_calibrated: bool,
}

impl Figures {
    fn row(&self) -> Row {
        let error = self.published.zip(self.predicted).filter(|(published, _)| *published != 0.0);
        row! {
            case: self.case,
            published: self.published.map(rounded),
            predicted: self.predicted.map(rounded),
            error_pct: error.map(|(published, predicted)| {
                rounded(100.0 * (predicted - published) / published)
            }),
            calibrated: self.is_calibrated,
        }
    }
}

fn store_row(figures: &Figures, report: Option<&SimReport>, source: &str) -> Row {
    let mut row = figures.row();
    let of = |figure: fn(&SimReport) -> f64| report.map(figure).map(rounded);
    row.extend(row! {
        p50_ns: of(|report| report.p50_ns),
        p99_ns: of(|report| report.p99_ns),
        gb_s: of(|report| report.gb_s),
        devices_used: report.map(|report| {
            report.devices.iter().filter(|device| device.pages > 0).count()
        }),
        utilisation_max_pct: of(|report| {
            100.0 * report.devices.iter().map(|device| device.utilisation).fold(0.0, f64::max)
        }),
        queueing_max_ns: of(|report| {
            report.devices.iter().map(|device| device.queueing_ns).fold(0.0, f64::max)
        }),
        waits: report.map(|report| report.waits),
        fallbacks: report.map(|report| report.fallbacks),
        source: source,
    });
    row
}

fn usemem_row(usemem: &Usemem) -> Row {
    let figures = Figures {
        case: usemem.case.clone(),
        published: Some(usemem.published_percent),
        predicted: Some(usemem.predicted_percent),
        is_calibrated: false,
    };
    let mut row = figures.row();
    row.extend(row! {
        explained_pct: rounded(usemem.explained_percent()),
        published_saving_ns: rounded(usemem.published_saving_ns),
        predicted_saving_ns: rounded(usemem.predicted_saving_ns),
        store_before_ns: rounded(usemem.before_ns),
        store_after_ns: rounded(usemem.after_ns),
        utilisation_before_pct: rounded(100.0 * usemem.utilisation_before),
        utilisation_after_pct: rounded(100.0 * usemem.utilisation_after),
    });
    row
}

/// More than a hundred huge folios of each of 30 CPUs.
const STORE_DURATION_NS: f64 = 1e9;
/// With five times as long the figures differ by at most 4 %.
const USEMEM_DURATION_NS: f64 = 2e8;
