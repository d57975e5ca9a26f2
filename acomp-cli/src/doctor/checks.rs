//! What is looked at, each by itself.

use acomp::pager::Support;
use procfs::process::{LimitValue, Limits, Status};
use procfs::{CpuInfo, CryptoTable};

use super::State::{Limited, Missing, Ok};
use super::{Finding, State};
use crate::cgroup::{Controller, Version};
use crate::machine::Machine;
use crate::usemem::kernel::{HUGE_PAGES, PARAMETERS};

pub(super) const ALL: &[(&str, fn(&Machine) -> Finding)] = &[
    ("kernel", kernel),
    ("userfaultfd", userfaultfd),
    ("pager", pager),
    ("memory cgroup", memory_cgroup),
    ("zswap", zswap),
    ("zswap compressors", compressors),
    ("swap", swap),
    ("root", root),
    ("huge pages", huge_pages),
    ("locked memory", locked_memory),
    ("IAA", iaa),
    ("CPU", cpu),
];

impl Finding {
    fn new(state: State, found: impl Into<String>, mend: &'static str) -> Self {
        Self { state, found: found.into(), mend: (state != Ok).then_some(mend) }
    }
}

fn kernel(machine: &Machine) -> Finding {
    let release = machine.read("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
    let mut number = || numbers.next().and_then(Result::ok).unwrap_or_default();
    let version = (number(), number());
    let state = match version {
        _ if version >= MOVE_SINCE => Ok,
        _ if version >= WRITE_PROTECT_SINCE => Limited,
        _ => Missing,
    };
    Finding::new(state, release, "boot Linux 6.8 or later (UFFDIO_MOVE); 5.7 has write protection")
}

fn userfaultfd(machine: &Machine) -> Finding {
    let Some(anyone) = machine.read("/proc/sys/vm/unprivileged_userfaultfd") else {
        return Finding::new(Missing, "none", "boot a kernel with CONFIG_USERFAULTFD");
    };
    let may = anyone == "1" || has_capability(machine, CAP_SYS_PTRACE);
    let found = format!("vm.unprivileged_userfaultfd={anyone}");
    match may {
        true => Finding::new(Ok, format!("{found}, every fault may be served"), ""),
        false => Finding::new(
            Limited,
            format!("{found}, faults of system calls may not be served"),
            "sysctl vm.unprivileged_userfaultfd=1",
        ),
    }
}

/// What the pager can do, by asking the kernel.
fn pager(machine: &Machine) -> Finding {
    if !machine.is_this() {
        return Finding::new(Missing, "another machine is not asked", "run it there");
    }
    match Support::probe() {
        Err(error) => Finding::new(Missing, error.to_string(), "see `kernel` and `userfaultfd`"),
        Result::Ok(support) => {
            let features = [
                ("move", support.moves),
                ("write-protect", support.protects),
                ("poison", support.poisons),
                ("sigbus", support.signals),
                ("kernel faults", support.kernel_faults),
            ];
            let found: Vec<_> =
                features.iter().filter(|(_, is_there)| *is_there).map(|(name, _)| *name).collect();
            let state = match (support.protects, support.moves && support.kernel_faults) {
                (true, true) => Ok,
                (true, false) => Limited,
                (false, _) => Missing,
            };
            Finding::new(state, found.join(" "), "see `kernel` and `userfaultfd`")
        }
    }
}

fn memory_cgroup(machine: &Machine) -> Finding {
    match Controller::find(machine) {
        Some(Controller { version: Version::V1, .. }) => Finding::new(Ok, "v1", ""),
        Some(Controller { version: Version::V2, .. }) => Finding::new(Ok, "v2", ""),
        None => Finding::new(
            Missing,
            "none",
            "mount -t cgroup2 none /sys/fs/cgroup (boot with cgroup_enable=memory)",
        ),
    }
}

fn zswap(machine: &Machine) -> Finding {
    let parameter = |name: &str| machine.read(format!("{PARAMETERS}/{name}"));
    let Some(compressor) = parameter("compressor") else {
        return Finding::new(Missing, "none", "boot a kernel with CONFIG_ZSWAP");
    };
    match parameter("enabled").as_deref() {
        Some("Y") => Finding::new(Ok, format!("on, {compressor}"), ""),
        _ => Finding::new(
            Limited,
            format!("off, {compressor}"),
            "echo Y > /sys/module/zswap/parameters/enabled (usemem does by itself)",
        ),
    }
}

fn compressors(machine: &Machine) -> Finding {
    let table = machine.parse::<CryptoTable>("/proc/crypto").map(|table| table.crypto_blocks);
    let has = |name: &&&str| table.as_ref().is_some_and(|table| table.contains_key(**name));
    let known: Vec<_> = COMPRESSORS.iter().filter(has).copied().collect();
    let state = match &*known {
        [] => Missing,
        _ if known.contains(&"lzo-rle") => Ok,
        _ => Limited,
    };
    let mend = "modprobe lzo-rle (or lz4, zstd: CONFIG_CRYPTO_LZO, _LZ4, _ZSTD)";
    Finding::new(state, known.join(" "), mend)
}

fn swap(machine: &Machine) -> Finding {
    let swaps = machine.read("/proc/swaps").unwrap_or_default();
    let names = swaps.lines().skip(1).filter_map(|line| line.split_whitespace().next());
    let names: Vec<_> = names.collect();
    match &*names {
        [] => Finding::new(
            Missing,
            "none",
            "fallocate -l 4G /swap && mkswap /swap && swapon /swap (usemem does by itself)",
        ),
        names => Finding::new(Ok, names.join(" "), ""),
    }
}

fn root(machine: &Machine) -> Finding {
    match has_capability(machine, CAP_SYS_ADMIN) {
        true => Finding::new(Ok, "CAP_SYS_ADMIN", ""),
        false => Finding::new(Limited, "no CAP_SYS_ADMIN", "sudo (for usemem --backend kernel)"),
    }
}

fn huge_pages(machine: &Machine) -> Finding {
    match machine.choice(format!("{HUGE_PAGES}/enabled")) {
        None => Finding::new(Missing, "none", "boot a kernel with CONFIG_TRANSPARENT_HUGEPAGE"),
        Some(choice) => {
            let state = if choice == "never" { Limited } else { Ok };
            let mend = "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled";
            Finding::new(state, choice, mend)
        }
    }
}

fn locked_memory(machine: &Machine) -> Finding {
    let limits = machine.parse::<Limits>("/proc/self/limits");
    let mend = "ulimit -l unlimited (as root; or memlock in /etc/security/limits.conf)";
    match limits.map(|limits| limits.max_locked_memory.soft_limit) {
        None => Finding::new(Missing, "not known", mend),
        Some(LimitValue::Unlimited) => Finding::new(Ok, "unlimited", ""),
        Some(LimitValue::Value(bytes)) => {
            let state = if bytes < LOCKED_BYTES { Limited } else { Ok };
            Finding::new(state, format!("{bytes} bytes"), mend)
        }
    }
}

fn iaa(machine: &Machine) -> Finding {
    let devices = machine.names("/sys/bus/dsa/devices");
    let devices = devices.iter().filter(|name| name.starts_with("iax")).count();
    let queues = machine.names("/dev/iax");
    let found = format!("{devices} devices, {} queues of user space", queues.len());
    match (devices, &*queues) {
        (0, _) => Finding::new(
            Missing,
            found,
            "needs a CPU with IAA, CONFIG_INTEL_IDXD and intel_iommu=on,sm_on: \
             the drivers run on a model",
        ),
        (_, []) => Finding::new(
            Limited,
            found,
            "accel-config config-wq iax1/wq1.0 --type=user --mode=shared --size=16 \
             --threshold=15 --name=acomp --driver-name=user --group-id=0 && \
             accel-config enable-device iax1 && accel-config enable-wq iax1/wq1.0",
        ),
        (_, _) => Finding::new(Ok, found, ""),
    }
}

/// What codecs make use of.
fn cpu(machine: &Machine) -> Finding {
    let info = machine.parse::<CpuInfo>("/proc/cpuinfo");
    let flags = info.as_ref().and_then(|info| info.flags(0)).unwrap_or_default();
    let has = |flag: &&&str| flags.contains(*flag);
    let known: Vec<_> = CPU_FLAGS.iter().filter(has).copied().collect();
    let state = match known.len() {
        0 => Missing,
        n if n == CPU_FLAGS.len() => Ok,
        _ => Limited,
    };
    Finding::new(state, known.join(" "), "another CPU: codecs are slower without, not different")
}

fn has_capability(machine: &Machine, capability: u64) -> bool {
    let status = machine.parse::<Status>("/proc/self/status");
    status.is_some_and(|status| status.capeff >> capability & 1 == 1)
}

const MOVE_SINCE: (u32, u32) = (6, 8);
const WRITE_PROTECT_SINCE: (u32, u32) = (5, 7);
const CAP_SYS_PTRACE: u64 = 19;
const CAP_SYS_ADMIN: u64 = 21;
/// A region's tables and staging.
const LOCKED_BYTES: u64 = 64 << 20;
const COMPRESSORS: [&str; 8] =
    ["lzo", "lzo-rle", "lz4", "lz4hc", "zstd", "deflate", "deflate-iaa", "842"];
const CPU_FLAGS: [&str; 6] = ["sse4_2", "pclmulqdq", "bmi2", "avx2", "avx512f", "avx512bw"];
