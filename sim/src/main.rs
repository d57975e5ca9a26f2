//! `cargo xtask sim`: simulates many seeds, or replays one.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::panic;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, available_parallelism};
use std::time::{Duration, Instant};

use acomp_sim::{Case, Outcome, Seam, Sound, Tally, Violation, shrink, simulate, stay_on};
use anyhow::{Result, bail};
use clap::Parser;

/// Simulates the whole stack: zswap over the IAA driver over devices that fail.
#[derive(Parser)]
#[command(name = "cargo xtask sim", bin_name = "cargo xtask sim")]
struct Args {
    /// How many seeds to simulate.
    #[arg(long, default_value_t = 1000)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Replays this seed only, tells what happens, and shrinks it if it fails.
    #[arg(long, conflicts_with_all = ["seeds", "from"])]
    seed: Option<u64>,
    /// Steps of each simulation.
    #[arg(long, default_value_t = 40)]
    steps: usize,
    /// How many simulations run at once; otherwise as many as there are CPUs.
    #[arg(long)]
    threads: Option<NonZeroUsize>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let ran = args.seed.map_or_else(|| run(&args), |seed| replay(seed, args.steps));
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sim: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<()> {
    let started = Instant::now();
    let threads = args.threads.or_else(|| available_parallelism().ok());
    let threads = threads.map_or(1, NonZeroUsize::get);
    let next = Arc::new(AtomicU64::new(args.from));
    let end = args.from.saturating_add(args.seeds);
    let is_over = Arc::new(AtomicBool::new(false));
    let (sender, receiver) = channel();
    for thread in 0..threads {
        let (next, is_over, sender) = (Arc::clone(&next), Arc::clone(&is_over), sender.clone());
        let steps = args.steps;
        thread::spawn(move || {
            if let Err(error) = stay_on(thread) {
                eprintln!("sim: a thread moves between CPUs, and traces differ: {error}");
            }
            work((&next, end), steps, &is_over, &sender);
        });
    }
    drop(sender);
    let simulated = collect(&receiver, (args.from..end).collect());
    is_over.store(true, Relaxed);
    let (tally, failed) = simulated?;
    let Some((seed, violation)) = failed else {
        tell(&tally, args, started.elapsed());
        return Ok(());
    };
    println!("seed {seed} fails: {violation}");
    replay_quietly(seed, args.steps, &violation);
    bail!("to replay: {}", command(seed, args.steps))
}

fn work(
    (next, end): (&AtomicU64, u64),
    steps: usize,
    is_over: &AtomicBool,
    sender: &Sender<(u64, Outcome)>,
) {
    while !is_over.load(Relaxed) {
        let seed = next.fetch_add(1, Relaxed);
        if seed >= end {
            return;
        }
        let outcome = simulate(&Case::of_seed(seed, steps), &sound(), false);
        if sender.send((seed, outcome)).is_err() {
            return;
        }
    }
}

/// What happened in all, and a seed that fails, with which it ends.
fn collect(
    receiver: &Receiver<(u64, Outcome)>,
    mut seeds: BTreeSet<u64>,
) -> Result<(Tally, Option<(u64, Violation)>)> {
    let mut tally = Tally::default();
    while let Some(first) = seeds.first() {
        match receiver.recv_timeout(HANG) {
            Ok((seed, outcome)) => {
                seeds.remove(&seed);
                tally.add(&outcome.tally);
                if let Some(violation) = outcome.violation {
                    return Ok((tally, Some((seed, violation))));
                }
            }
            Err(RecvTimeoutError::Timeout) => bail!("seed {first} hangs"),
            Err(RecvTimeoutError::Disconnected) => bail!("the thread of seed {first} died"),
        }
    }
    Ok((tally, None))
}

fn tell(tally: &Tally, args: &Args, took: Duration) {
    let sum = |counts: &BTreeMap<&str, u64>| counts.values().sum::<u64>();
    let rows = [("operations", &tally.ops), ("faults", &tally.faults), ("events", &tally.events)];
    for (name, counts) in rows {
        println!("{name}:");
        let counted = counts.iter().filter(|(_, count)| **count > 0);
        counted.for_each(|(name, count)| println!("{count:>12}  {name}"));
    }
    println!(
        "{} seeds from {} of {} steps: {} operations, {} of them in the middle of another, {} \
         faults, {:.1} s; the longest step took {} us of simulated time",
        args.seeds,
        args.from,
        args.steps,
        sum(&tally.ops),
        tally.in_the_middle,
        sum(&tally.faults),
        took.as_secs_f64(),
        tally.turns_most,
    );
}

fn replay(seed: u64, steps: usize) -> Result<()> {
    stay_on(0)?;
    let case = Case::of_seed(seed, steps);
    println!("{case}");
    let outcome = simulate(&case, &sound(), true);
    println!("trace {:016x}", outcome.trace);
    let Some(violation) = outcome.violation else { return Ok(()) };
    println!("seed {seed} fails: {violation}");
    replay_quietly(seed, steps, &violation);
    bail!("to replay: {}", command(seed, steps))
}

/// Shrinks the case of a seed, and prints what is left.
fn replay_quietly(seed: u64, steps: usize, violation: &Violation) {
    panic::set_hook(Box::new(|_| {}));
    let _ = stay_on(0); // Elsewhere it may go another way.
    let case = Case::of_seed(seed, steps);
    let fails = |case: &Case| {
        let again = simulate(case, &sound(), false).violation;
        again.is_some_and(|again| again.invariant == violation.invariant)
    };
    let smallest = shrink(&case, SHRINK_TRIES_MAX, fails);
    println!("shrunk from {} to {} pieces:", case.size(), smallest.size());
    println!("{smallest}");
    if let Some(violation) = simulate(&smallest, &sound(), true).violation {
        println!("{violation}");
    }
}

fn command(seed: u64, steps: usize) -> String {
    format!("cargo xtask sim --seed {seed} --steps {steps}")
}

fn sound() -> Arc<dyn Seam> {
    Arc::new(Sound)
}

/// Longer than any seed takes.
const HANG: Duration = Duration::from_secs(60);
const SHRINK_TRIES_MAX: usize = 2000;
