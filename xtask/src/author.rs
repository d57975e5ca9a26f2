//! The crate of an author, `examples/author`: acomp as those see it whose drivers it does not know.

use anyhow::Result;
use cargo_metadata::Metadata;
use xshell::{Shell, cmd};

/// Lints and tests it, in the workspace of its own that it is.
pub(crate) fn test(workspace: &Metadata) -> Result<()> {
    let sh = &Shell::new()?;
    sh.change_dir(workspace.workspace_root.join("examples/author"));
    // What both depend on is compiled once.
    let dir = &workspace.target_directory;
    cmd!(sh, "cargo fmt --check").run()?;
    cmd!(sh, "cargo clippy --target-dir {dir} --all-targets -- -D warnings").run()?;
    cmd!(sh, "cargo test --target-dir {dir}").run()?;
    Ok(())
}
