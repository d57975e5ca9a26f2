//! The files by which Linux tells about itself and takes settings, below one root: a test has a
//! machine of its own.

use std::convert::Infallible;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, Result};
use procfs::FromRead;

/// Paths are absolute, as they are on the machine.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    root: PathBuf,
}

impl Machine {
    /// Whether it is the one that this runs on.
    pub(crate) fn is_this(&self) -> bool {
        self.root == Path::new("/")
    }

    /// Where a path of the machine is.
    pub(crate) fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    pub(crate) fn has(&self, path: impl AsRef<Path>) -> bool {
        self.path(path).exists()
    }

    /// What a file says, without the end of its last line.
    pub(crate) fn read(&self, path: impl AsRef<Path>) -> Option<String> {
        let text = fs::read_to_string(self.path(path)).ok()?;
        Some(text.trim_end().to_owned())
    }

    /// The choice that a file tells, which some mark among all there are: `always [madvise] never`.
    pub(crate) fn choice(&self, path: impl AsRef<Path>) -> Option<String> {
        let text = self.read(path)?;
        let marked = text.split_once('[').and_then(|(_, rest)| rest.split_once(']'));
        Some(marked.map_or(text.clone(), |(choice, _)| choice.to_owned()))
    }

    pub(crate) fn parse<T: FromRead>(&self, path: impl AsRef<Path>) -> Option<T> {
        T::from_file(self.path(path)).ok()
    }

    /// The names in a directory, sorted; none if it cannot be read.
    pub(crate) fn names(&self, dir: impl AsRef<Path>) -> Vec<String> {
        let entries = fs::read_dir(self.path(dir)).into_iter().flatten().flatten();
        let mut names: Vec<_> =
            entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        names
    }

    pub(crate) fn write(&self, path: impl AsRef<Path>, value: &str) -> Result<()> {
        let path = self.path(path);
        fs::write(&path, value)
            .with_context(|| format!("cannot write {value} to {} (as root?)", path.display()))
    }

    /// Removes a cgroup that has no process any more.
    pub(crate) fn remove_cgroup(&self, path: &Path) -> Result<()> {
        let dir = self.path(path);
        // A cgroup goes with its files. Those of a test's are ordinary ones.
        let is_real = self.root == Path::new("/");
        let removed = if is_real { fs::remove_dir(&dir) } else { fs::remove_dir_all(&dir) };
        removed.with_context(|| format!("cannot remove the cgroup {}", dir.display()))
    }
}

impl FromStr for Machine {
    type Err = Infallible;

    fn from_str(root: &str) -> Result<Self, Infallible> {
        Ok(Self { root: root.into() })
    }
}
