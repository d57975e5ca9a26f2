//! `cargo xtask mutants`: would the tests notice? cargo-mutants plants defects at random places of
//! the last commit, one at a time, and the tests of the package must fail.
//!
//! With `--historic`, the defects are those that the kernel's code had.

mod historic;
mod tree;

use std::collections::BTreeSet;
use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::str::FromStr;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use cargo_metadata::Metadata;
use cargo_metadata::camino::{Utf8Path, Utf8PathBuf};
use clap::Args;
use xshell::cmd;

use crate::tools::CARGO_MUTANTS;
use tree::Tree;

pub(crate) use historic::{check, run as historic};

/// What to plant.
#[derive(Args)]
pub(crate) struct Options {
    /// Packages to plant in; acomp-core and zswap if there is none.
    packages: Vec<String>,
    /// How many mutants to draw from each package.
    #[arg(long, default_value_t = 150)]
    sample: usize,
    /// Which ones: the same seed draws the same of the same source.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// A part of them, as in `2/10`. A bar holds for all of them only.
    #[arg(long, default_value = "1/1")]
    shard: Shard,
    /// Instead of a sample, all mutants whose names have this in them, as in `port.rs:120`.
    #[arg(long, conflicts_with_all = ["sample", "seed"])]
    matching: Option<String>,
    /// Instead of mutants, the defects that the kernel's code had, as in `xtask/historic`.
    #[arg(long, conflicts_with_all = ["packages", "sample", "seed", "matching"])]
    historic: bool,
}

/// Draws mutants of each package, and tells what became of them.
pub(crate) fn run(workspace: &Metadata, options: &Options) -> Result<()> {
    if options.historic {
        return historic(workspace, options.shard);
    }
    let tree = Tree::of_last_commit(workspace)?;
    CARGO_MUTANTS.install(&tree.sh, &workspace.target_directory)?;
    let program = CARGO_MUTANTS.program(&workspace.target_directory);
    let chosen = |suite: &&Suite| {
        options.packages.is_empty() || options.packages.iter().any(|name| name == suite.package)
    };
    let suites: Vec<_> = SUITES.iter().filter(chosen).collect();
    ensure!(!suites.is_empty(), "no such package: {}", options.packages.join(" "));
    for suite in suites {
        let mutants = Mutants::new(&tree, &program, suite)?;
        let drawn = mutants.draw(options);
        let (start, count) = (Instant::now(), drawn.len());
        let counts = mutants.test(drawn, options.shard.part == 1)?;
        counts.print();
        println!("{:.1} s for each", start.elapsed().as_secs_f64() / count.max(1) as f64);
        let percent = counts.percent_caught();
        ensure!(
            options.shard.parts > 1 || options.matching.is_some() || percent >= CAUGHT_MIN_PERCENT,
            "{}: {percent:.1} % caught, less than {CAUGHT_MIN_PERCENT}",
            suite.package,
        );
    }
    Ok(())
}

/// How the mutants of a package are tested: by each stage in turn, as far as the one before did not
/// notice them.
struct Suite {
    package: &'static str,
    stages: &'static [Stage],
}

struct Stage {
    /// What `cargo test` gets.
    targets: &'static [&'static str],
    /// A mutant whose tests take longer hangs.
    timeout_secs: u32,
}

struct Mutants<'m> {
    tree: &'m Tree,
    program: &'m Utf8Path,
    suite: &'m Suite,
    /// All that there are.
    names: BTreeSet<String>,
}

impl<'m> Mutants<'m> {
    fn new(tree: &'m Tree, program: &'m Utf8Path, suite: &'m Suite) -> Result<Self> {
        let (sh, package) = (&tree.sh, suite.package);
        let list = cmd!(sh, "{program} mutants --list -p {package}").quiet().read()?;
        Ok(Self { tree, program, suite, names: list.lines().map(str::to_owned).collect() })
    }

    fn draw(&self, options: &Options) -> Vec<String> {
        let Options { sample, seed, shard, matching, .. } = options;
        let mut drawn = Vec::from_iter(self.names.iter().cloned());
        if let Some(part) = matching {
            drawn.retain(|name| name.contains(part));
        } else {
            // By rank, so that a mutant that is no more is replaced by one other.
            drawn.sort_by_cached_key(|name| {
                let mut hasher = DefaultHasher::new();
                (seed, name).hash(&mut hasher);
                hasher.finish()
            });
            drawn.truncate(*sample);
        }
        let (package, commit, all) = (self.suite.package, &self.tree.commit, self.names.len());
        println!("{package} at {commit}: {} of {all} mutants, seed {seed}", drawn.len());
        shard.of(drawn)
    }

    /// Lets each stage test what the one before missed. The tree itself must pass, which is tested
    /// `with_baseline`.
    fn test(&self, mut mutants: Vec<String>, with_baseline: bool) -> Result<Counts> {
        let mut counts = Counts::default();
        for stage in self.suite.stages {
            if mutants.is_empty() {
                break;
            }
            let out = self.run_stage(stage, &mutants, with_baseline)?;
            counts.caught += names(&out, "caught")?.len();
            counts.unviable += names(&out, "unviable")?.len();
            counts.timeout.extend(names(&out, "timeout")?);
            mutants = names(&out, "missed")?;
        }
        counts.missed = mutants;
        Ok(counts)
    }

    /// Returns where the results are.
    fn run_stage(
        &self,
        stage: &Stage,
        mutants: &[String],
        with_baseline: bool,
    ) -> Result<Utf8PathBuf> {
        let Self { tree, program, suite, names } = self;
        let Tree { sh, target_dir, out, .. } = tree;
        let results = out.join("mutants.out");
        // All others are said to have been caught before: its filters do not filter every kind.
        let others = names.iter().filter(|name| !mutants.contains(name));
        let others = Vec::from_iter(others.map(String::as_str)).join("\n");
        sh.remove_path(&results)?;
        sh.write_file(results.join("caught.txt"), others)?;

        let (package, targets) = (suite.package, stage.targets);
        let baseline = if with_baseline { "run" } else { "skip" };
        let timeout = stage.timeout_secs.to_string();
        let run = cmd!(
            sh,
            "{program} mutants --in-place --iterate -p {package} --output {out}
             --baseline {baseline} --timeout {timeout} --build-timeout 600
             --cargo-arg=--target-dir={target_dir} --no-times --colors never -- {targets...}"
        );
        let status = run.quiet().ignore_status().output()?.status;
        // 2: some were missed; 3: some hung.
        let is_run = matches!(status.code(), Some(0 | 2 | 3));
        ensure!(is_run, "cargo-mutants: {status}; its log is in {results}");
        Ok(results)
    }
}

/// What became of mutants.
#[derive(Default)]
struct Counts {
    caught: usize,
    /// They do not compile.
    unviable: usize,
    missed: Vec<String>,
    timeout: Vec<String>,
}

impl Counts {
    /// Of those that compile and end.
    fn percent_caught(&self) -> f64 {
        100.0 * self.caught as f64 / (self.caught + self.missed.len()).max(1) as f64
    }

    fn print(&self) {
        let Self { caught, unviable, missed, timeout } = self;
        let percent = self.percent_caught();
        println!("{caught} caught, {} missed: {percent:.1} % caught", missed.len());
        println!("apart from these, {} timed out, {unviable} do not compile", timeout.len());
        missed.iter().for_each(|name| println!("  missed   {name}"));
        timeout.iter().for_each(|name| println!("  timeout  {name}"));
    }
}

fn names(out: &Utf8Path, outcome: &str) -> Result<Vec<String>> {
    let path = out.join(outcome).with_extension("txt");
    let text = fs::read_to_string(&path).with_context(|| format!("no {path}"))?;
    Ok(text.lines().map(str::to_owned).collect())
}

/// A part of a whole, for runs that are to be short.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shard {
    part: usize,
    parts: usize,
}

impl Shard {
    pub(crate) const WHOLE: Self = Self { part: 1, parts: 1 };

    fn of<T>(self, all: Vec<T>) -> Vec<T> {
        all.into_iter().skip(self.part - 1).step_by(self.parts).collect()
    }
}

impl FromStr for Shard {
    type Err = anyhow::Error;

    fn from_str(arg: &str) -> Result<Self> {
        let (part, parts) = arg.split_once('/').context("as in 2/10")?;
        let (part, parts) = (part.parse()?, parts.parse()?);
        ensure!((1..=parts).contains(&part), "the parts are 1 to {parts}");
        Ok(Self { part, parts })
    }
}

const CAUGHT_MIN_PERCENT: f64 = 85.0;

/// What notices most, and soon, comes first; each test once.
const SUITES: &[Suite] = &[
    Suite {
        package: "acomp-core",
        stages: &[
            Stage {
                targets: &[
                    "--lib",
                    "--test=alloc",
                    "--test=panic",
                    "--test=registry",
                    "--test=requests",
                    "--test=session",
                    "--test=stats",
                    "--test=templates",
                    "--test=workers",
                ],
                timeout_secs: 20,
            },
            Stage {
                targets: &[
                    "--test=abandoned",
                    "--test=backlog",
                    "--test=circles",
                    "--test=facts",
                    "--test=hotplug",
                    "--test=kernel_traps",
                    "--test=shared_handle",
                ],
                timeout_secs: 40,
            },
            Stage {
                targets: &["--test=stress", "--test=units_and_vectored", "--test=zero_alloc"],
                timeout_secs: 120,
            },
        ],
    },
    Suite {
        package: "zswap",
        stages: &[
            Stage {
                targets: &[
                    "--test=failure",
                    "--test=params",
                    "--test=round_trip",
                    "--test=special_pages",
                    "--test=writeback",
                    "--test=zsmalloc",
                ],
                timeout_secs: 20,
            },
            Stage {
                targets: &[
                    "--lib",
                    "--test=chains",
                    "--test=corruption",
                    "--test=duplicates",
                    "--test=histograms",
                    "--test=reentrance",
                    "--test=stale",
                    "--test=zsmalloc_reserve",
                    "--test=zsmalloc_trim",
                    "--test=zsmalloc_zero_alloc",
                ],
                timeout_secs: 90,
            },
            Stage {
                targets: &[
                    "--test=concurrency",
                    "--test=memory",
                    "--test=zero_alloc",
                    "--test=zsmalloc_concurrency",
                    "--test=zsmalloc_density",
                ],
                timeout_secs: 120,
            },
        ],
    },
];

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn shards_are_parts_of_a_whole() {
        let part = |arg: &str| arg.parse::<Shard>().unwrap().of(vec![1, 2, 3, 4, 5]);
        assert_eq!((part("1/2"), part("2/2"), part("1/1").len()), (vec![1, 3, 5], vec![2, 4], 5));
        for wrong in ["2", "0/3", "4/3", "a/b"] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
    }
}
