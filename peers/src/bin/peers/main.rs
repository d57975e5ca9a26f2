//! Measures `page-codec` beside the C libraries, or checks it against them, on files of raw pages.

mod candidates;
mod contests;
mod measure;

use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use fastrand::Rng;
use peers::Verifier;

use contests::{CONTESTS, Corpus};
use measure::Row;

/// Measures page-codec beside the C libraries that are installed.
#[derive(Parser)]
struct Options {
    /// Files of raw 4096-byte pages.
    #[arg(long, num_args = 1.., required = true, value_name = "FILE")]
    pages: Vec<PathBuf>,
    /// Checks that page-codec and the libraries read each other's streams, and measures nothing.
    #[arg(long)]
    verify: bool,
    /// Only contests whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
    /// The CPU to run on.
    #[arg(long, default_value_t = 1)]
    cpu: usize,
    /// Rounds whose median counts.
    #[arg(long, default_value_t = 11)]
    rounds: usize,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let corpora = options.pages.iter().map(read).collect::<Result<Vec<_>>>()?;
    if options.verify { verify(&options.pages, &corpora) } else { measure(&options, &corpora) }
}

fn read(file: &PathBuf) -> Result<Corpus> {
    let bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let pages: Corpus =
        bytes.as_chunks::<PAGE_BYTES>().0.iter().map(|page| page.to_vec()).collect();
    ensure!(!pages.is_empty(), "{} holds no page", file.display());
    Ok(pages)
}

/// Goes on after a difference, so that all of them are seen.
fn verify(files: &[PathBuf], corpora: &[Corpus]) -> Result<()> {
    let mut verifier = Verifier::new();
    for reason in verifier.missing() {
        eprintln!("left out: {reason}");
    }
    let (mut checked, mut differences) = (0, 0);
    for (file, corpus) in files.iter().zip(corpora) {
        for (i, page) in corpus.iter().enumerate() {
            let mut rng = Rng::with_seed(i as u64);
            let page_checked = verifier.check(page);
            let result = page_checked.and_then(|()| verifier.check_flips(page, &mut rng, FLIPS));
            if let Err(error) = result {
                eprintln!("{}, page {i}: {error:#}", file.display());
                differences += 1;
            }
            checked += 1;
        }
    }
    println!("{checked} pages checked, {differences} with a difference");
    if differences > 0 {
        bail!("{differences} pages with a difference");
    }
    Ok(())
}

fn measure(options: &Options, corpora: &[Corpus]) -> Result<()> {
    pin(options.cpu)?;
    let mut rows = Vec::new();
    for (name, contest) in CONTESTS.iter().filter(|(name, _)| name.contains(&options.only)) {
        let mut contest = match contest(corpora) {
            Ok(contest) => contest,
            Err(error) => {
                eprintln!("{name} is left out: {error:#}");
                continue;
            }
        };
        for row in measure::run(name, &mut contest, options.rounds) {
            if !options.json {
                println!("{row}");
            }
            rows.push(row);
        }
    }
    if options.json {
        let rows: Vec<_> = rows.iter().map(Row::to_json).collect();
        println!("{}", serde_json::to_string_pretty(&rows)?);
    }
    Ok(())
}

fn pin(cpu: usize) -> Result<()> {
    let mut set = rustix::thread::CpuSet::new();
    set.set(cpu);
    rustix::thread::sched_setaffinity(None, &set).with_context(|| format!("no CPU {cpu}"))
}

const PAGE_BYTES: usize = 4096;
/// Broken streams of each page that is checked.
const FLIPS: usize = 100;
