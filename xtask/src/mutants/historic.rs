//! Defects that the kernel's code had, as patches that plant them in ours. The tests that are there
//! for them must fail.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail, ensure};
use cargo_metadata::Metadata;
use cargo_metadata::camino::{Utf8Path, Utf8PathBuf};
use xshell::{Shell, cmd};

use super::Shard;
use super::tree::Tree;

/// All of them still apply, to the files as they are. What they do is another question.
pub(crate) fn check(workspace: &Metadata) -> Result<()> {
    let sh = Shell::new()?;
    sh.change_dir(&workspace.workspace_root);
    for Defect { name, path, .. } in defects(&sh, &workspace.workspace_root)? {
        let apply = cmd!(sh, "git apply --check {path}").quiet().run();
        apply.with_context(|| format!("{name} does not apply any more: make it anew"))?;
    }
    Ok(())
}

/// Plants each in the last commit, and runs its tests, which pass without it.
pub(crate) fn run(workspace: &Metadata, shard: Shard) -> Result<()> {
    let tree = &Tree::of_last_commit(workspace)?;
    let defects = shard.of(defects(&tree.sh, tree.sh.current_dir().as_path().try_into()?)?);
    let suites: BTreeSet<&[String]> = defects.iter().map(|defect| &*defect.tests).collect();
    for tests in suites {
        ensure!(passes(tree, tests)?, "without any defect, these fail: {}", tests.join(" "));
    }
    let mut missed = 0;
    for Defect { name, bug, tests, path } in &defects {
        let sh = &tree.sh;
        cmd!(sh, "git apply {path}").quiet().run()?;
        let is_missed = passes(tree, tests).with_context(|| format!("{name} does not compile"))?;
        cmd!(sh, "git checkout --quiet --force .").quiet().run()?;
        missed += usize::from(is_missed);
        println!("{} {name}: {bug}", if is_missed { "missed" } else { "caught" });
    }
    println!("{} historic defects at {}, {missed} missed", defects.len(), tree.commit);
    if missed > 0 {
        bail!("{missed} historic defects are not noticed");
    }
    Ok(())
}

/// Whether these tests pass, in time. That they do not compile is an error.
fn passes(tree: &Tree, tests: &[String]) -> Result<bool> {
    let Tree { sh, target_dir, .. } = tree;
    // Of defects as of mutants, the compiler's lints do not count.
    let _flags = sh.push_env("RUSTFLAGS", "--cap-lints=warn");
    let test = ["test", "--quiet", "--profile", "mutants", "--target-dir", target_dir.as_str()];
    cmd!(sh, "cargo {test...} {tests...} --no-run").quiet().ignore_stderr().run()?;
    let run = cmd!(sh, "timeout {TESTS_SECS} cargo {test...} {tests...}").quiet();
    Ok(run.ignore_status().ignore_stdout().ignore_stderr().output()?.status.success())
}

struct Defect {
    name: String,
    /// In words.
    bug: String,
    /// What `cargo test` gets.
    tests: Vec<String>,
    path: Utf8PathBuf,
}

/// Those of a tree. The lines before the diff say what they are.
fn defects(sh: &Shell, root: &Utf8Path) -> Result<Vec<Defect>> {
    let mut defects = Vec::new();
    for path in sh.read_dir(root.join("xtask/historic"))? {
        let path = Utf8PathBuf::try_from(path)?;
        let text = sh.read_file(&path)?;
        let header = |key: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(key));
            line.with_context(|| format!("{path} has no line `{key}`"))
        };
        defects.push(Defect {
            name: path.file_stem().unwrap_or_default().into(),
            bug: header("Bug: ")?.into(),
            tests: header("Tests: ")?.split(' ').map(str::to_owned).collect(),
            path: path.clone(),
        });
    }
    ensure!(!defects.is_empty(), "no patches in xtask/historic");
    Ok(defects)
}

/// Tests that take longer hang.
const TESTS_SECS: &str = "60";
