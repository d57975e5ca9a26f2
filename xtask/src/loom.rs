//! `cargo xtask loom`: the models that explore every interleaving, up to a number of preemptions.

use anyhow::Result;
use cargo_metadata::Metadata;
use xshell::{Shell, cmd};

/// Runs every model. 2 preemptions find most defects in seconds; 3 take a minute.
pub(crate) fn run(workspace: &Metadata, preemptions: u8) -> Result<()> {
    let sh = &Shell::new()?;
    sh.change_dir(&workspace.workspace_root);
    // Of its own: the flag means another build of everything.
    let dir = workspace.target_directory.join("loom");
    let models = cmd!(
        sh,
        "cargo test -p acomp-core -p zswap --lib --profile loom --target-dir {dir} loom_models"
    );
    let models = models.env("RUSTFLAGS", "--cfg loom");
    models.env("LOOM_MAX_PREEMPTIONS", preemptions.to_string()).run()?;
    Ok(())
}
