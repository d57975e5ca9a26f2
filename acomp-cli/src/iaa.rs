//! `acomp iaa`: the accelerators of a machine.

use std::fs;
use std::path::{Path, PathBuf};

use acomp_iaa::topology::{Machine, Map, Policy, Queue, QueueKind, Served, cpu_list};
use anyhow::{Context, Result};

use crate::output::{Row, Rows, row};

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Which CPUs each device serves, its queues, and what they take.
    ///
    /// Without a file: this machine's devices, or the model that drivers use where there are none.
    /// Compressions go to all queues for them in the package in turn, decompressions to those of
    /// the CPU's own device.
    Topology(Topology),
}

#[derive(clap::Args)]
pub(crate) struct Topology {
    /// A machine described in JSON.
    #[arg(long, value_name = "FILE")]
    machine: Option<PathBuf>,
}

pub(crate) fn run(command: &Command) -> Result<Rows> {
    match command {
        Command::Topology(args) => topology(args),
    }
}

fn topology(args: &Topology) -> Result<Rows> {
    let (origin, machine) = match &args.machine {
        Some(file) => (file.display().to_string(), read(file)?),
        None => match Machine::from_sysfs("/sys")? {
            Some(machine) => ("sysfs".into(), machine),
            None => ("model".into(), Machine::default_model()),
        },
    };
    let map = Map::new(&machine, &Policy::default())?;
    Ok(Rows::new(map.served().flat_map(|served| queues(&served, &origin)).collect()))
}

/// Reads a description.
pub(crate) fn read(file: &Path) -> Result<Machine> {
    let text =
        fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    Machine::from_json(&text).with_context(|| file.display().to_string())
}

/// A row for each queue of a device.
fn queues(served: &Served<'_>, origin: &str) -> Vec<Row> {
    let Served { package, device, kinds, cpus, .. } = served;
    let row = |(queue, kind): (&Queue, &QueueKind)| {
        row! {
            package: package,
            device: device.name,
            cpus: cpu_list(cpus),
            engines: device.engine_groups.iter().filter(|group| **group == queue.group).count(),
            queue: queue.name,
            takes: kind.to_string(),
            size: queue.size,
            threshold: queue.threshold,
            mode: queue.mode.to_string(),
            priority: queue.priority,
            group: queue.group,
            origin: origin,
        }
    };
    device.queues.iter().zip(*kinds).map(row).collect()
}
