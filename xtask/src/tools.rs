//! The tools that `ci` needs beside the toolchain: pinned, and installed below the target directory
//! so that nothing of the user's changes.

use anyhow::Result;
use cargo_metadata::camino::{Utf8Path, Utf8PathBuf};
use xshell::{Shell, cmd};

/// A command-line tool of one fixed version.
pub(crate) struct Tool {
    name: &'static str,
    version: &'static str,
    source: Source,
}

enum Source {
    CratesIo,
    PyPi,
}

impl Tool {
    /// Where the program lies below `target_dir` once installed.
    pub(crate) fn program(&self, target_dir: &Utf8Path) -> Utf8PathBuf {
        self.root(target_dir).join("bin").join(self.name)
    }

    /// Installs the tool unless this version is there already.
    pub(crate) fn install(&self, sh: &Shell, target_dir: &Utf8Path) -> Result<()> {
        if self.program(target_dir).exists() {
            return Ok(());
        }
        let Self { name, version, .. } = self;
        let root = self.root(target_dir);
        match self.source {
            // Unoptimised: building costs more than running ever will.
            Source::CratesIo => {
                cmd!(sh, "cargo install --quiet --locked --debug {name}@{version} --root {root}")
                    .run()?;
            }
            // Ships a binary. `--target` works on externally managed Pythons too.
            Source::PyPi => {
                cmd!(sh, "python3 -m pip install --quiet --target {root} {name}=={version}")
                    .run()?;
            }
        }
        Ok(())
    }

    /// Named by version, so that a new pin never meets an old program.
    fn root(&self, target_dir: &Utf8Path) -> Utf8PathBuf {
        target_dir.join("xtask-tools").join(format!("{}-{}", self.name, self.version))
    }
}

pub(crate) const CARGO_DENY: Tool =
    Tool { name: "cargo-deny", version: "0.20.2", source: Source::CratesIo };
pub(crate) const CARGO_FUZZ: Tool =
    Tool { name: "cargo-fuzz", version: "0.13.1", source: Source::CratesIo };
pub(crate) const CARGO_HACK: Tool =
    Tool { name: "cargo-hack", version: "0.6.46", source: Source::CratesIo };
pub(crate) const CARGO_MUTANTS: Tool =
    Tool { name: "cargo-mutants", version: "27.1.0", source: Source::CratesIo };
pub(crate) const TYPOS: Tool = Tool { name: "typos", version: "1.52.0", source: Source::PyPi };
