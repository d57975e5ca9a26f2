//! A tree to plant defects in: the last commit, in a folder of its own.

use anyhow::Result;
use cargo_metadata::Metadata;
use cargo_metadata::camino::Utf8PathBuf;
use xshell::{Shell, cmd};

/// A worktree. Only what differs is written when it is made again, so that builds go on from the
/// last one.
pub(super) struct Tree {
    /// In the tree.
    pub(super) sh: Shell,
    pub(super) commit: String,
    /// For what is built of it, and for results.
    pub(super) target_dir: Utf8PathBuf,
    pub(super) out: Utf8PathBuf,
}

impl Tree {
    pub(super) fn of_last_commit(workspace: &Metadata) -> Result<Self> {
        let sh = Shell::new()?;
        sh.change_dir(&workspace.workspace_root);
        let commit = cmd!(sh, "git rev-parse --short HEAD").quiet().read()?;
        let out = workspace.target_directory.join("mutants");
        let (tree, target_dir) = (out.join("tree"), out.join("target"));
        if !sh.path_exists(&tree) {
            // By force, where git still knows of a tree that somebody has removed.
            cmd!(sh, "git worktree add --quiet --force --detach {tree} {commit}").quiet().run()?;
        }
        sh.change_dir(&tree);
        cmd!(sh, "git checkout --quiet --force --detach {commit}").quiet().run()?;
        Ok(Self { sh, commit, target_dir, out })
    }
}
