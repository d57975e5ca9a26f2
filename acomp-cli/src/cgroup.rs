//! Memory cgroups of both versions.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use procfs::MountEntry;

use crate::machine::Machine;

/// Where a memory cgroup can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// Limits what is resident.
    V1,
    /// Limits what is resident and what zswap keeps for it.
    V2,
}

/// The controller `memory`, which is in one hierarchy only.
#[derive(Debug)]
pub(crate) struct Controller {
    pub(crate) version: Version,
    mount: PathBuf,
}

impl Controller {
    pub(crate) fn find(machine: &Machine) -> Option<Self> {
        let mounts: Vec<MountEntry> = machine.parse("/proc/mounts")?;
        let of = |mount: &MountEntry| {
            let version = match mount.fs_vfstype.as_str() {
                "cgroup" if mount.fs_mntops.contains_key("memory") => Version::V1,
                "cgroup2" if has_memory(machine, &mount.fs_file, "cgroup.controllers") => {
                    Version::V2
                }
                _ => return None,
            };
            Some(Self { version, mount: PathBuf::from(&mount.fs_file) })
        };
        mounts.iter().find_map(of)
    }

    /// What must be written before a cgroup below the mount has the controller, and what undoes it.
    pub(crate) fn enabling(&self, machine: &Machine) -> Option<(PathBuf, &str, &str)> {
        let file = "cgroup.subtree_control";
        let is_wanting = self.version == Version::V2 && !has_memory(machine, &self.mount, file);
        is_wanting.then(|| (self.mount.join(file), "+memory", "-memory"))
    }

    /// Where a cgroup of the name is.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.mount.join(name)
    }
}

/// A cgroup of its own, by the path of [`Controller::path`]. Who made it removes it.
#[derive(Debug)]
pub(crate) struct Cgroup {
    version: Version,
    path: PathBuf,
    limit_bytes: u64,
}

impl Cgroup {
    pub(crate) fn make(
        machine: &Machine,
        version: Version,
        path: PathBuf,
        limit_bytes: u64,
        pool_limit_bytes: Option<u64>,
    ) -> Result<Self> {
        let dir = machine.path(&path);
        fs::create_dir(&dir)
            .with_context(|| format!("cannot make the cgroup {} (as root?)", dir.display()))?;
        let cgroup = Self { version, path, limit_bytes };
        machine.write(cgroup.limit_file(), &limit_bytes.to_string())?;
        if let (Version::V2, Some(bytes)) = (version, pool_limit_bytes) {
            machine.write(cgroup.path.join("memory.zswap.max"), &bytes.to_string())?;
        }
        Ok(cgroup)
    }

    /// The file that takes processes: who writes 0 means itself.
    pub(crate) fn procs(&self) -> PathBuf {
        self.path.join("cgroup.procs")
    }

    /// Bounds what is resident in both versions: version 2 charges the pool, too, so there the
    /// limit follows it.
    pub(crate) fn follow_pool(&self, machine: &Machine) -> Result<()> {
        match self.stat(machine, "zswap") {
            Some(pool_bytes) if self.version == Version::V2 => {
                machine.write(self.limit_file(), &(self.limit_bytes + pool_bytes).to_string())
            }
            _ => Ok(()),
        }
    }

    /// From now on there is no limit.
    pub(crate) fn lift(&self, machine: &Machine) -> Result<()> {
        let unlimited = match self.version {
            Version::V1 => "-1",
            Version::V2 => "max",
        };
        machine.write(self.limit_file(), unlimited)
    }

    /// A line of `memory.stat`. Of zswap, only version 2 has any.
    pub(crate) fn stat(&self, machine: &Machine, key: &str) -> Option<u64> {
        let text = machine.read(self.path.join("memory.stat"))?;
        let mut lines = text.lines().filter_map(|line| line.split_once(' '));
        lines.find(|(name, _)| *name == key)?.1.parse().ok()
    }

    fn limit_file(&self) -> PathBuf {
        self.path.join(match self.version {
            Version::V1 => "memory.limit_in_bytes",
            Version::V2 => "memory.max",
        })
    }
}

fn has_memory(machine: &Machine, mount: impl AsRef<Path>, file: &str) -> bool {
    let controllers = machine.read(mount.as_ref().join(file)).unwrap_or_default();
    controllers.split_whitespace().any(|name| name == "memory")
}

#[cfg(test)]
mod test {
    use std::error::Error;
    use std::fs;

    use tempfile::TempDir;

    use super::*;

    #[test]
    fn what_may_be_resident_is_the_same_in_both_versions() -> Result<(), Box<dyn Error>> {
        for (version, file, expected) in [
            (Version::V1, "memory.limit_in_bytes", "4096000"),
            (Version::V2, "memory.max", "4097234"),
        ] {
            let root = TempDir::new()?;
            let machine: Machine = root.path().to_str().unwrap().parse()?;
            let cgroup = Cgroup::make(&machine, version, "/group".into(), 4_096_000, None)?;
            let dir = root.path().join("group");
            assert_eq!(fs::read_to_string(dir.join(file))?, "4096000");
            fs::write(dir.join("memory.stat"), "anon 77\nzswap 1234\nzswapped 5000\n")?;
            cgroup.follow_pool(&machine)?;
            assert_eq!(fs::read_to_string(dir.join(file))?, expected);
        }
        Ok(())
    }
}
