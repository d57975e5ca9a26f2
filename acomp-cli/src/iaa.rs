//! `acomp iaa`: the accelerators of a machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use acomp::zswap::PAGE_BYTES;
use acomp::{Acomp, Algorithm, Chain, Op, Params, Registry};
use acomp_iaa::topology::{Machine, Map, Policy, QueueKind, Served, cpu_list};
use acomp_iaa::{DeflateIaa, WqConfig, model};
use anyhow::{Context, Result};

use crate::output::{Row, Rows, row};
use crate::pages;
use crate::progress::Progress;

#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Which CPUs each device serves, its queues, and what they take.
    ///
    /// Without a file: this machine's devices, or the model that drivers use where there are none.
    /// Compressions go to all queues for them in the package in turn, decompressions to those of
    /// the CPU's own device.
    Topology(Topology),
    /// What the driver counts while the pages of these files are compressed and decompressed.
    ///
    /// In chains of 16 pages, on the default model. The names are the kernel's: of `global_stats`,
    /// and of `wq_stats` for each device and each of its queues.
    Stats(Stats),
}

#[derive(clap::Args)]
pub(crate) struct Stats {
    /// Files of raw 4096-byte pages.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
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
        Command::Stats(args) => stats(args),
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
    let rows = map.served().flat_map(|served| queues(&served, &origin)).collect();
    Ok(Rows { drawing: Some(map.to_string().trim_end().into()), ..Rows::new(rows) })
}

fn stats(args: &Stats) -> Result<Rows> {
    let pages = pages::read(&args.files)?;
    let driver = Arc::new(DeflateIaa::fixed(&model()?)?);
    let registry = Registry::from_entries([]);
    let _added = registry.add(driver.clone())?;
    let mut session = Acomp::alloc_in(&registry, "deflate-iaa", Params::new())?.session()?;
    let progress = Progress::new("pages", pages.len());
    let (mut streams, mut backs) = ([[0; PAGE_BYTES]; CHAIN_PAGES], [[0; PAGE_BYTES]; CHAIN_PAGES]);
    for folio in pages.chunks(CHAIN_PAGES) {
        let mut chain = Chain::<CHAIN_PAGES>::new();
        for (page, stream) in folio.iter().zip(&mut streams) {
            let _ = chain.push(Op::compress(page, stream)); // Room for a folio.
        }
        session.run(chain.as_mut_ops());
        let mut back = Chain::<CHAIN_PAGES>::new();
        for (op, dst) in
            chain.ops().iter().zip(&mut backs).filter(|(op, _)| !op.output().is_empty())
        {
            let _ = back.push(Op::decompress(op.output(), dst));
        }
        session.run(back.as_mut_ops());
        progress.step(folio.len());
    }
    let rows = driver.counters().into_iter().map(|(counter, value)| {
        row! { counter: counter, value: value }
    });
    Ok(Rows::new(rows.collect()))
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
    let row = |(queue, kind): (&WqConfig, &QueueKind)| {
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

const CHAIN_PAGES: usize = 16;
