//! The kernel's own zswap, set up for one run: a swap file, a memory cgroup, parameters.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process;

use anyhow::{Context, Result, ensure};
use procfs::{Meminfo, VmStat};
use rustix::fs::{FallocateFlags, fallocate};

use super::memory::Stats;
use super::restore::{Before, Begun, Changes, DIR, boot_id, tool};
use crate::cgroup::{Cgroup, Controller, Version};
use crate::machine::Machine;

/// What a run needs of it.
#[derive(Debug)]
pub(super) struct Setup<'a> {
    pub(super) compressor: &'a str,
    /// Of all processes.
    pub(super) bytes: u64,
    pub(super) limit_bytes: u64,
    pub(super) pool_limit_bytes: Option<u64>,
    pub(super) folio_bytes: u64,
}

/// zswap at work. The machine is as before when this is dropped; no process may be in the cgroup
/// then.
#[derive(Debug)]
pub(super) struct Kernel<'c> {
    machine: &'c Machine,
    cgroup: Cgroup,
    start: Counts,
    _begun: Begun<'c>,
}

impl<'c> Kernel<'c> {
    pub(super) fn set_up(
        machine: &'c Machine,
        changes: &'c Changes<'_>,
        setup: &Setup<'_>,
    ) -> Result<Self> {
        ensure!(
            machine.has(PARAMETERS),
            "this kernel has no zswap: it needs one with CONFIG_ZSWAP (see acomp doctor)"
        );
        let controller = Controller::find(machine).context(
            "no memory controller: boot with cgroup_enable=memory, \
             or mount -t cgroup2 none /sys/fs/cgroup (see acomp doctor)",
        )?;
        let swap_file = Path::new(DIR).join("swap");
        let cgroup = controller.path(&format!("acomp-usemem-{}", process::id()));
        let settings = settings(machine, &controller, setup)?;
        let before = settings.iter().map(|set| (set.path.clone(), set.before.clone())).collect();
        let begun = changes.begin(&Before {
            settings: before,
            swap_file: swap_file.clone(),
            cgroup: cgroup.clone(),
            boot_id: boot_id(machine),
        })?;
        for set in &settings {
            machine.write(&set.path, &set.value)?;
        }
        check_compressor(machine, setup.compressor)?;
        swap_on(&machine.path(&swap_file), setup.bytes + setup.bytes / 8 + SWAP_SLACK_BYTES)?;
        let (limit, pool_limit) = (setup.limit_bytes, setup.pool_limit_bytes);
        let cgroup = Cgroup::make(machine, controller.version, cgroup, limit, pool_limit)?;
        let start = Counts::read(machine, &cgroup);
        Ok(Self { machine, cgroup, start, _begun: begun })
    }

    /// The file of the machine in which a process writes 0 to be limited.
    pub(super) fn procs(&self) -> PathBuf {
        self.machine.path(self.cgroup.procs())
    }

    /// To be called again and again while processes run.
    pub(super) fn follow_pool(&self) -> Result<()> {
        self.cgroup.follow_pool(self.machine)
    }

    /// Takes the limit away.
    pub(super) fn lift(&self) -> Result<()> {
        self.cgroup.lift(self.machine)
    }

    /// What the processes made zswap do. They know better themselves what is resident.
    pub(super) fn stats(&self) -> Stats {
        let now = Counts::read(self.machine, &self.cgroup);
        let since = |now: Option<u64>, start: Option<u64>| Some(now?.saturating_sub(start?));
        Stats {
            resident_bytes: None,
            staging_bytes: Some(0),
            pool_bytes: since(now.pool_bytes, self.start.pool_bytes),
            kept_bytes: Some(0),
            metadata_bytes: None,
            zswpin: since(now.zswpin, self.start.zswpin),
            zswpout: since(now.zswpout, self.start.zswpout),
        }
    }
}

/// Of the cgroup where it counts zswap, else of the machine.
#[derive(Debug)]
struct Counts {
    pool_bytes: Option<u64>,
    zswpin: Option<u64>,
    zswpout: Option<u64>,
}

impl Counts {
    fn read(machine: &Machine, cgroup: &Cgroup) -> Self {
        let of_cgroup = |key| cgroup.stat(machine, key);
        let of_machine = machine.parse("/proc/vmstat").map(|VmStat(counts)| counts);
        let of_machine = |key| u64::try_from(*of_machine.as_ref()?.get(key)?).ok();
        let pool_bytes = || machine.parse::<Meminfo>("/proc/meminfo")?.z_swap;
        Self {
            pool_bytes: of_cgroup("zswap").or_else(pool_bytes),
            zswpin: of_cgroup("zswpin").or_else(|| of_machine("zswpin")),
            zswpout: of_cgroup("zswpout").or_else(|| of_machine("zswpout")),
        }
    }
}

struct Setting {
    path: PathBuf,
    value: String,
    before: String,
}

/// In the order in which they are written.
fn settings(machine: &Machine, controller: &Controller, setup: &Setup<'_>) -> Result<Vec<Setting>> {
    let mut values = Vec::new();
    let zswap = Path::new(PARAMETERS);
    // A zswap that was never on would take any name.
    values.push((zswap.join("enabled"), "Y".to_owned()));
    values.push((zswap.join("compressor"), setup.compressor.to_owned()));
    if let (Version::V1, Some(bytes)) = (controller.version, setup.pool_limit_bytes) {
        let memory: Meminfo = machine.parse("/proc/meminfo").context("/proc/meminfo")?;
        let percent = (bytes * 100).div_ceil(memory.mem_total);
        values.push((zswap.join("max_pool_percent"), percent.to_string()));
    }
    if setup.folio_bytes > SMALL_FOLIO_BYTES {
        values.extend(folio_settings(machine, setup.folio_bytes)?);
    }
    let with_before = |(path, value): (PathBuf, String)| {
        let before = machine.choice(&path);
        let before = before.with_context(|| format!("cannot read {} (as root?)", path.display()));
        Ok(Setting { before: before?, path, value })
    };
    let mut settings: Vec<_> = values.into_iter().map(with_before).collect::<Result<_>>()?;
    settings.extend(controller.enabling(machine).map(|(path, value, undone)| Setting {
        path,
        value: value.to_owned(),
        before: undone.to_owned(),
    }));
    Ok(settings)
}

/// Folios of this size where memory was advised to have huge ones, and of no other.
fn folio_settings(machine: &Machine, folio_bytes: u64) -> Result<Vec<(PathBuf, String)>> {
    let wanted = format!("hugepages-{}kB", folio_bytes >> 10);
    let names = machine.names(HUGE_PAGES);
    let sizes: Vec<_> = names.iter().filter(|name| name.starts_with("hugepages-")).collect();
    ensure!(
        sizes.contains(&&wanted),
        "this kernel has no folios of {folio_bytes} bytes ({HUGE_PAGES} has no {wanted})"
    );
    let value = |name: &String| if *name == wanted { "madvise" } else { "never" };
    let set = |name| (Path::new(HUGE_PAGES).join(name).join("enabled"), value(name).to_owned());
    Ok(sizes.into_iter().map(set).collect())
}

/// A kernel that does not know a name may keep the last one without an error.
fn check_compressor(machine: &Machine, wanted: &str) -> Result<()> {
    let used = machine.read(Path::new(PARAMETERS).join("compressor")).unwrap_or_default();
    ensure!(used == wanted, "the kernel uses {used}, not {wanted}: see /proc/crypto");
    Ok(())
}

fn swap_on(file: &Path, bytes: u64) -> Result<()> {
    let open = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
    open.and_then(|file| Ok(fallocate(file, FallocateFlags::empty(), 0, bytes)?))
        .with_context(|| format!("cannot make {} of {bytes} bytes", file.display()))?;
    tool("mkswap", file)?;
    tool("swapon", file)
}

pub(crate) const PARAMETERS: &str = "/sys/module/zswap/parameters";
pub(crate) const HUGE_PAGES: &str = "/sys/kernel/mm/transparent_hugepage";
const SMALL_FOLIO_BYTES: u64 = 4096;
/// Slots are handed out in clusters, some to each CPU.
const SWAP_SLACK_BYTES: u64 = 64 << 20;
