//! Machines as the kernel shows them.
//!
//! `bus/dsa/devices` holds `iax<n>`, `wq<n>.<m>` and `engine<n>.<m>`; a device names its NUMA node,
//! a node its CPUs, and a CPU its package.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::{Machine, Package, TopologyError, cpus, invalid};
use crate::config::{DeviceConfig, WqConfig, WqMode, queue_name};

impl Machine {
    /// Reads the tree at `root` (on a live machine `/sys`). Of devices and queues those count that
    /// are enabled. `None`: there is no such device.
    ///
    /// # Errors
    ///
    /// [`TopologyError::Io`] and [`TopologyError::Invalid`] name the file.
    pub fn from_sysfs(root: impl AsRef<Path>) -> Result<Option<Self>, TopologyError> {
        let root = root.as_ref();
        let bus = root.join("bus/dsa/devices");
        let names = entries(&bus)?;
        let mut devices = BTreeMap::new();
        for name in &names {
            let number = name.strip_prefix("iax").and_then(|number| number.parse::<u32>().ok());
            if let Some(number) = number
                && is_enabled(&bus.join(name))?
            {
                devices.insert(number, device(&bus, name, &names)?);
            }
        }
        if devices.is_empty() {
            return Ok(None);
        }
        let mut packages = packages(root)?;
        for (_, (device, node)) in devices {
            let package = package_of(root, node, &packages)?;
            if let Some(package) = package.and_then(|number| packages.get_mut(&number)) {
                package.devices.push(device);
            }
        }
        let machine = Self { packages: packages.into_values().collect() };
        machine.check()?;
        Ok(Some(machine))
    }
}

/// The packages of the CPUs that are online.
fn packages(root: &Path) -> Result<BTreeMap<usize, Package>, TopologyError> {
    let mut packages = BTreeMap::<usize, Package>::new();
    for cpu in cpu_file(&root.join("devices/system/cpu/online"))? {
        let topology = root.join(format!("devices/system/cpu/cpu{cpu}/topology"));
        let package = packages.entry(value(&topology.join("physical_package_id"))?).or_default();
        let threads = cpu_file(&topology.join("thread_siblings_list"))?.len();
        package.threads_per_core = package.threads_per_core.max(threads);
        package.cpus.push(cpu);
    }
    Ok(packages)
}

/// The package that a node lies in; the first one for a node without CPUs, and for none (-1).
fn package_of(
    root: &Path,
    node: i64,
    packages: &BTreeMap<usize, Package>,
) -> Result<Option<usize>, TopologyError> {
    let first = packages.keys().next().copied();
    if node < 0 {
        return Ok(first);
    }
    let of_node = cpu_file(&root.join(format!("devices/system/node/node{node}/cpulist")))?;
    let is_near = |package: &Package| of_node.iter().any(|cpu| package.cpus.contains(cpu));
    let near = packages.iter().find(|(_, package)| is_near(package));
    Ok(near.map(|(number, _)| *number).or(first))
}

/// A device with its queues and engines, and its node.
fn device(bus: &Path, name: &str, names: &[String]) -> Result<(DeviceConfig, i64), TopologyError> {
    let number = name.trim_start_matches("iax");
    let parts = |kind: &str| {
        let prefix = format!("{kind}{number}.");
        let index = |name: &String| name.strip_prefix(&prefix)?.parse::<usize>().ok();
        let mut parts: Vec<_> = names.iter().filter_map(index).collect();
        parts.sort_unstable();
        parts
    };
    let mut engine_groups = Vec::new();
    for engine in parts("engine") {
        let group = value::<i64>(&bus.join(format!("engine{number}.{engine}/group_id")))?;
        engine_groups.extend(usize::try_from(group).ok());
    }
    let mut queues = Vec::new();
    for index in parts("wq") {
        let name = queue_name(name, index);
        let path = bus.join(&name);
        if is_enabled(&path)? {
            queues.push(queue(name, &path)?);
        }
    }
    let node = value(&bus.join(name).join("numa_node"))?;
    let device = DeviceConfig {
        name: name.into(),
        engine_groups,
        queues,
        // Sysfs does not say.
        has_header_generation: false,
    };
    Ok((device, node))
}

fn queue(name: String, path: &Path) -> Result<WqConfig, TopologyError> {
    let mode = path.join("mode");
    Ok(WqConfig {
        name,
        threshold: value(&path.join("threshold"))?,
        mode: match &*text(&mode)? {
            "dedicated" => WqMode::Dedicated,
            "shared" => WqMode::Shared,
            other => {
                let why = format!("`{other}` is neither `dedicated` nor `shared`");
                return Err(invalid(mode.display().to_string(), why));
            }
        },
        priority: value(&path.join("priority"))?,
        group: value(&path.join("group_id"))?,
        ..WqConfig::new(value(&path.join("size"))?)
    })
}

fn is_enabled(path: &Path) -> Result<bool, TopologyError> {
    Ok(text(&path.join("state"))? == "enabled")
}

/// The names in a directory; none if it is not there.
fn entries(path: &Path) -> Result<Vec<String>, TopologyError> {
    let names = fs::read_dir(path).and_then(|entries| {
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    });
    match names {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        names => names.map_err(|source| TopologyError::Io { path: path.into(), source }),
    }
}

fn cpu_file(path: &Path) -> Result<Vec<usize>, TopologyError> {
    cpus::parse(&text(path)?).map_err(|why| invalid(path.display().to_string(), why))
}

fn value<T: FromStr>(path: &Path) -> Result<T, TopologyError> {
    let text = text(path)?;
    let why = || format!("`{text}` is not the number that belongs here");
    text.parse().map_err(|_| invalid(path.display().to_string(), why()))
}

fn text(path: &Path) -> Result<String, TopologyError> {
    let text = fs::read_to_string(path);
    let text = text.map_err(|source| TopologyError::Io { path: PathBuf::from(path), source })?;
    Ok(text.trim().into())
}
