//! What the machine was like before the kernel's zswap was set up, in a file that is written before
//! anything is changed: whatever ends the program, the next start mends it.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;
use std::{io, os::unix::process::CommandExt};

use anyhow::{Context, Error, Result, bail};
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use crate::machine::Machine;
use crate::output::complain;

/// Paths are those of the machine.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Before {
    /// Files, and what was in them.
    pub(super) settings: Vec<(PathBuf, String)>,
    pub(super) swap_file: PathBuf,
    pub(super) cgroup: PathBuf,
    /// Settings do not outlive the boot, the swap file does.
    pub(super) boot_id: Option<String>,
}

/// The right to change the machine: one program at a time has it, and what the last one left is
/// mended.
#[derive(Debug)]
pub(super) struct Changes<'m> {
    machine: &'m Machine,
    _lock: File,
}

impl<'m> Changes<'m> {
    pub(super) fn allowed(machine: &'m Machine) -> Result<Self> {
        let dir = machine.path(DIR);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&dir)
            .and_then(|()| File::create(dir.join("lock")))
            .with_context(|| format!("cannot write to {} (as root?)", dir.display()))
            .and_then(|lock| match lock.try_lock() {
                Ok(()) => Ok(Self { machine, _lock: lock }),
                Err(TryLockError::WouldBlock) => bail!("another usemem has zswap set up: wait"),
                Err(TryLockError::Error(error)) => Err(error.into()),
            })
            .and_then(|changes| changes.mend().map(|()| changes))
    }

    /// Writes down what the machine is like. Dropping the answer makes it so again.
    pub(super) fn begin(&self, before: &Before) -> Result<Begun<'_>> {
        let mut file = NamedTempFile::new_in(self.machine.path(DIR))?;
        file.write_all(&serde_json::to_vec_pretty(before)?)?;
        file.as_file().sync_all()?;
        file.persist(self.file())?;
        Ok(Begun { changes: self })
    }

    /// Makes the machine what the file says, if there is one, and forgets it.
    fn mend(&self) -> Result<()> {
        let Ok(text) = fs::read(self.file()) else { return Ok(()) };
        let file = self.file();
        let before: Before = serde_json::from_slice(&text).with_context(|| {
            format!("{} is no restore file: look, and remove it", file.display())
        })?;
        before.mend(self.machine).with_context(|| {
            format!("the machine is not as it was; {} says how", file.display())
        })?;
        Ok(fs::remove_file(file)?)
    }

    fn file(&self) -> PathBuf {
        self.machine.path(DIR).join("restore.json")
    }
}

/// Whether a machine was left changed.
pub(super) fn is_left(machine: &Machine) -> bool {
    machine.has(Path::new(DIR).join("restore.json"))
}

/// Changes may be under way.
#[derive(Debug)]
pub(super) struct Begun<'c> {
    changes: &'c Changes<'c>,
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.changes.mend() {
            complain(&format!("{error:#}"));
        }
    }
}

impl Before {
    /// Does all that can be done; the first error is told.
    fn mend(&self, machine: &Machine) -> Result<()> {
        let is_this_boot = self.boot_id == boot_id(machine);
        let mut outcomes = Vec::new();
        if is_this_boot {
            outcomes.push(self.swap_off(machine));
        }
        outcomes.push(match fs::remove_file(machine.path(&self.swap_file)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        });
        if is_this_boot {
            outcomes.push(self.remove_cgroup(machine));
            let settings = self.settings.iter().rev();
            outcomes.extend(settings.map(|(path, value)| machine.write(path, value)));
        }
        outcomes.into_iter().collect()
    }

    fn swap_off(&self, machine: &Machine) -> Result<()> {
        let swaps = machine.read("/proc/swaps").unwrap_or_default();
        let file = machine.path(&self.swap_file);
        let is_on = swaps.lines().any(|line| line.split(' ').next().map(Path::new) == Some(&file));
        if is_on { tool("swapoff", &file) } else { Ok(()) }
    }

    /// Its processes were killed, and may still be ending.
    fn remove_cgroup(&self, machine: &Machine) -> Result<()> {
        if !machine.has(&self.cgroup) {
            return Ok(());
        }
        let mut removed = machine.remove_cgroup(&self.cgroup);
        for _ in 0..TRIES {
            if removed.is_ok() {
                break;
            }
            sleep(PAUSE);
            removed = machine.remove_cgroup(&self.cgroup);
        }
        removed
    }
}

pub(super) fn boot_id(machine: &Machine) -> Option<String> {
    machine.read("/proc/sys/kernel/random/boot_id")
}

/// Runs a program on the swap file.
pub(super) fn tool(name: &str, file: &Path) -> Result<()> {
    // In a group of its own: Ctrl-C is for this program, which then tidies up by such tools.
    let output = Command::new(name).arg(file).process_group(0).output();
    let output = output.with_context(|| format!("cannot run {name} (of util-linux)"))?;
    match output.status.success() {
        true => Ok(()),
        false => {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            Err(Error::msg(said).context(format!("{name} failed (as root?)")))
        }
    }
}

/// Root's: what it holds decides what is written.
pub(super) const DIR: &str = "/var/lib/acomp-usemem";
const TRIES: usize = 100;
const PAUSE: Duration = Duration::from_millis(50);
