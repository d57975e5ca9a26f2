//! `acomp usemem`: memory that is larger than its limit, written and read, over several backends.
//!
//! Interleaved: each round runs every case once, medians over the rounds are reported.

mod accesses;
mod case;
mod content;
mod group;
pub(crate) mod kernel;
mod memory;
mod restore;
mod run;
pub(crate) mod worker;
mod workload;

use std::path::PathBuf;

use acomp::zswap::PAGE_BYTES;
use anyhow::{Context, Result, ensure};

use self::case::{Backend, Case, Kept, Mode, Pattern};
use self::group::Interrupt;
use self::memory::Wanted;
use self::restore::Changes;
use self::run::{Measured, Run};
use self::worker::Spec;
use crate::args::parse_bytes;
use crate::machine::Machine;
use crate::output::{Row, Rows, median, rounded, row};
use crate::progress::Progress;
use crate::swap::failure_of;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Memory of each process.
    #[arg(value_parser = parse_bytes)]
    size: u64,
    /// Processes.
    #[arg(short = 'n', default_value_t = 1, value_name = "PROCS",
        value_parser = clap::value_parser!(u16).range(1..=1024))]
    processes: u16,
    /// Threads of each process, which share its memory.
    #[arg(short, long, default_value_t = 1,
        value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: u16,
    /// Write the memory: always done.
    #[arg(short = 'w')]
    _write: bool,
    /// Anonymous memory: always taken.
    #[arg(short = 'O')]
    _anonymous: bool,
    /// Hold the memory for so long after the passes.
    #[arg(short = 's', default_value_t = 0, value_name = "SECS")]
    hold_s: u64,
    /// Leave the time that making the memory takes out of the write, and tell it.
    #[arg(long)]
    init_time: bool,
    /// Pin thread number I (of all processes) to CPU number I * BIND, counting round.
    #[arg(short, long)]
    bind: Option<u16>,
    /// Write the pages of this file, again and again, instead of words that hold their index.
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// The order of the read passes.
    #[arg(long, value_enum, default_value = "seq")]
    pattern: Pattern,
    /// Read passes, of as many accesses as there are pages.
    #[arg(long, default_value_t = 1, value_name = "PASSES")]
    read: u16,
    /// How many of the accesses of the read passes modify their page.
    #[arg(long, default_value_t = 0, value_name = "PERCENT",
        value_parser = clap::value_parser!(u8).range(..=100))]
    modify: u8,
    /// The most memory that all processes may have resident, or staged to be compressed: half of
    /// what they write if not said.
    #[arg(long, value_parser = parse_bytes, value_name = "BYTES")]
    limit: Option<u64>,
    /// The most memory for compressed pages of all processes. With the kernel and cgroups v1, a
    /// whole percentage of the machine's.
    #[arg(long, value_parser = parse_bytes, value_name = "BYTES")]
    pool_limit: Option<u64>,
    /// Size of a folio: 4K, or what the kernel has. 4K takes huge pages away.
    #[arg(long, default_value = "4K", value_parser = parse_bytes, value_name = "SIZE")]
    folio: u64,
    /// Pages that the pager compresses at once, 1 to 64; else 8.
    #[arg(long, value_name = "PAGES", value_parser = clap::value_parser!(u8).range(1..=64))]
    batch: Option<u8>,
    /// What the pager compresses with (see `acomp list`). SIZE must not come right after it.
    #[arg(long, default_value = "lz4", num_args = 1.., value_name = "NAME")]
    compressor: Vec<String>,
    /// Who serves the pager's faults.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "thread")]
    mode: Vec<Mode>,
    /// Whether the pager keeps compressed copies, and how it finds pages unchanged.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "exact")]
    kept: Vec<Kept>,
    /// What holds the memory.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "pager")]
    backend: Vec<Backend>,
    /// What the kernel compresses with (see /proc/crypto). SIZE must not come right after it.
    #[arg(long, default_value = "lzo-rle", num_args = 1.., value_name = "NAME")]
    kernel_compressor: Vec<String>,
    /// Times that every row is measured; the medians are reported.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// Another machine's files.
    #[arg(long, default_value = "/", hide = true)]
    root: Machine,
}

pub(crate) fn run(args: &Args) -> Result<Rows> {
    let cases = args.cases();
    let needs_kernel = cases.iter().any(|case| case.backend == Backend::Kernel);
    let interrupt = Interrupt::catch()?;
    let needs_changes = needs_kernel || restore::is_left(&args.root);
    let changes = needs_changes.then(|| Changes::allowed(&args.root)).transpose()?;
    let progress = Progress::new("usemem", cases.len() * usize::from(args.rounds));
    let mut measured: Vec<Vec<Measured>> = cases.iter().map(|_| Vec::new()).collect();
    for _ in 0..args.rounds {
        for (case, measured) in cases.iter().zip(&mut measured) {
            let run = Run { machine: &args.root, changes: changes.as_ref(), interrupt: &interrupt };
            measured.push(run.measure(&args.specs(case)?)?);
            progress.step(1);
        }
    }
    let rows = cases.iter().zip(&measured).map(|(case, measured)| args.row(case, measured));
    let mismatches = measured.iter().flatten().map(|measured| measured.mismatches as usize).sum();
    Ok(Rows { failure: failure_of(mismatches), ..Rows::new(rows.collect()) })
}

impl Args {
    /// In the order in which they were said.
    fn cases(&self) -> Vec<Case> {
        let plain = |backend, compressor| Case { backend, compressor, mode: None, kept: None };
        let mut cases = Vec::new();
        for backend in self.backend.iter().copied() {
            match backend {
                Backend::None => cases.push(plain(backend, None)),
                Backend::Kernel => {
                    let names = self.kernel_compressor.iter().cloned();
                    cases.extend(names.map(|name| plain(backend, Some(name))));
                }
                Backend::Pager => {
                    for name in &self.compressor {
                        for mode in self.mode.iter().copied().map(Some) {
                            let case = plain(backend, Some(name.clone()));
                            let kepts = self.kept.iter().copied().map(Some);
                            cases.extend(kepts.map(|kept| Case { mode, kept, ..case.clone() }));
                        }
                    }
                }
            }
        }
        cases
    }

    /// One for each process: limits are divided among them.
    fn specs(&self, case: &Case) -> Result<Vec<Spec>> {
        let bytes = self.size.next_multiple_of(PAGE_BYTES as u64);
        ensure!(bytes > 0, "no memory");
        let processes = u64::from(self.processes);
        let total = bytes.checked_mul(processes).context("more memory than can be addressed")?;
        let wanted = Wanted {
            case: case.clone(),
            bytes: usize::try_from(bytes)?,
            folio_bytes: self.folio,
            batch_pages: self.batch,
            limit_bytes: self.limit.unwrap_or(total / 2) / processes,
            pool_limit_bytes: self.pool_limit.map(|bytes| bytes / processes),
        };
        let spec = |process| Spec {
            wanted: wanted.clone(),
            process,
            threads: self.threads.into(),
            bind: self.bind.map(usize::from),
            data: self.data.clone(),
            pattern: self.pattern,
            passes: self.read.into(),
            modify_percent: self.modify,
            hold_s: self.hold_s,
            cgroup_procs: None,
        };
        Ok((0..self.processes.into()).map(spec).collect())
    }

    fn row(&self, case: &Case, rounds: &[Measured]) -> Row {
        let middle = |of: &dyn Fn(&Measured) -> Option<f64>| {
            let values: Option<Vec<f64>> = rounds.iter().map(of).collect();
            values.map(|values| rounded(median(values)))
        };
        let count = |of: &dyn Fn(&Measured) -> Option<u64>| {
            middle(&|measured| of(measured).map(|count| count as f64)).map(|count| count as u64)
        };
        let write_s = |m: &Measured| m.write_s + if self.init_time { 0.0 } else { m.init_s };
        let mut row = row! {
            backend: case.backend,
            compressor: case.compressor,
            mode: case.mode,
            kept: case.kept,
            processes: self.processes,
            threads: self.threads,
            pattern: self.pattern,
            modify_percent: self.modify,
            write_mb_s: middle(&|m| Some(m.write_bytes as f64 / write_s(m) / 1e6)),
            read_mb_s: middle(&|m| Some(m.read_bytes as f64 / m.read_s? / 1e6)),
            fault_p50_us: middle(&|m| m.fault_us(0.50)),
            fault_p99_us: middle(&|m| m.fault_us(0.99)),
            faults: count(&|m| Some(m.faults.len())),
            cpu_s: middle(&|m| Some(m.cpu_s)),
            zswpin: count(&|m| m.stats.zswpin),
            zswpout: count(&|m| m.stats.zswpout),
            resident_bytes: count(&|m| m.stats.resident_bytes),
            staging_bytes: count(&|m| m.stats.staging_bytes),
            pool_bytes: count(&|m| m.stats.pool_bytes),
            kept_bytes: count(&|m| m.stats.kept_bytes),
            metadata_bytes: count(&|m| m.stats.metadata_bytes),
            mismatches: rounds.iter().map(|m| m.mismatches).sum::<u64>(),
        };
        if self.init_time {
            row.extend(row! { init_s: middle(&|m| Some(m.init_s)) });
        }
        row
    }
}

#[cfg(test)]
mod test {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Usemem {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn the_published_command_means_30_processes_of_10_gib_of_which_half_fit() {
        let published = "usemem --init-time -w -O -b 1 -s 10 -n 30 10g";
        let Usemem { args } = Usemem::parse_from(published.split(' '));
        assert!(args.init_time);
        let case = &args.cases()[0];
        let specs = args.specs(case).unwrap();
        assert_eq!(specs.len(), 30);
        for (process, spec) in specs.iter().enumerate() {
            assert_eq!((spec.process, spec.bind, spec.hold_s), (process, Some(1), 10));
            assert_eq!(spec.wanted.bytes, 10 << 30);
            assert_eq!(spec.wanted.limit_bytes, 5 << 30);
        }
    }

    #[test]
    fn a_case_for_each_backend_compressor_mode_and_kept() {
        let line = "usemem 1m --backend pager,kernel,none --compressor lz4 zstd(level=1) \
                    --mode thread,sigbus --kept off,exact,hash --kernel-compressor lzo lzo-rle";
        let Usemem { args } = Usemem::parse_from(line.split_whitespace());
        let cases = args.cases();
        assert_eq!(cases.len(), 2 * 2 * 3 + 2 + 1);
        assert_eq!(cases[11].compressor.as_deref(), Some("zstd(level=1)"));
        assert_eq!(cases[12].compressor.as_deref(), Some("lzo"));
    }
}
