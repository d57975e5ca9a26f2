//! Who submits where: the published examples, odd machines, descriptions and sysfs.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use acomp_iaa::DeviceConfig;
use acomp_iaa::topology::{
    Machine, Map, Policy, QueueId, QueueKind, Served, TopologyError, cpu_list,
};
use tempfile::TempDir;

#[test]
fn each_device_of_the_published_machine_serves_28_cpus() {
    let map = Map::new(&Machine::spr(), &Policy::default()).unwrap();
    let served: Vec<_> = map
        .served()
        .map(|served| {
            assert_eq!(served.cpus.len(), 28);
            (served.device.name.as_str(), served.package, cpu_list(&served.cpus))
        })
        .collect();
    let expected = [
        ("iax1", 0, "0-13,112-125"),
        ("iax3", 0, "14-27,126-139"),
        ("iax5", 0, "28-41,140-153"),
        ("iax7", 0, "42-55,154-167"),
        ("iax9", 1, "56-69,168-181"),
        ("iax11", 1, "70-83,182-195"),
        ("iax13", 1, "84-97,196-209"),
        ("iax15", 1, "98-111,210-223"),
    ];
    assert_eq!(served, expected.map(|(name, package, cpus)| (name, package, cpus.to_owned())));
}

#[test]
fn a_batch_of_8_spreads_over_the_package_from_the_own_device_on() {
    let map = Map::new(&Machine::spr(), &Policy::default()).unwrap();
    let devices = |cpu| {
        let queues = map.cpu(cpu);
        (0..8).map(|count| queues.compress.queue(count).device).collect::<Vec<_>>()
    };
    assert_eq!(devices(0), [0, 1, 2, 3, 0, 1, 2, 3]);
    assert_eq!(devices(150), [2, 3, 0, 1, 2, 3, 0, 1]);
    assert_eq!(devices(111), [7, 4, 5, 6, 7, 4, 5, 6]);
    let queues = map.cpu(150);
    assert_eq!(
        (queues.device, queues.decompress.queues),
        (2, &[QueueId { device: 2, queue: 0 }][..])
    );
}

#[test]
fn consecutive_descriptors_stay_on_one_queue() {
    let mut policy = Policy::default();
    policy.g_consec_descs_per_gwq = 3;
    policy.distribute_decomps = true;
    let map = Map::new(&Machine::spr(), &policy).unwrap();
    let queues = map.cpu(14);
    let devices: Vec<_> = (0..13).map(|count| queues.compress.queue(count).device).collect();
    assert_eq!(devices, [1, 1, 1, 2, 2, 2, 3, 3, 3, 0, 0, 0, 1]);
    let devices: Vec<_> = (0..4).map(|count| queues.decompress.queue(count).device).collect();
    assert_eq!(devices, [1, 1, 1, 2]);
}

#[test]
fn without_distribution_a_cpu_uses_its_own_device_in_turn() {
    let mut policy = Policy::default();
    policy.g_comp_wqs_per_iaa = 2;
    policy.distribute_comps = false;
    policy.g_consec_descs_per_gwq = 5;
    let map = Map::new(&machine(&[("0-7", 1, &[3, 3])]), &policy).unwrap();
    let queues = map.cpu(4);
    let compress: Vec<_> = (0..3).map(|count| queues.compress.queue(count)).collect();
    assert_eq!(compress, [id(1, 1), id(1, 2), id(1, 1)]);
    assert_eq!(queues.decompress.queues, [id(1, 0)]);
}

#[test]
fn the_last_queues_compress_and_the_others_decompress() {
    use QueueKind::{Compress as C, Decompress as D, Generic as G};
    let kinds = |queues, g_comp_wqs_per_iaa| {
        let mut policy = Policy::default();
        policy.g_comp_wqs_per_iaa = g_comp_wqs_per_iaa;
        let map = Map::new(&machine(&[("0", 1, &[queues])]), &policy).unwrap();
        map.served().next().unwrap().kinds.to_vec()
    };
    assert_eq!(kinds(2, 1), [D, C]);
    assert_eq!(kinds(4, 3), [D, C, C, C]);
    assert_eq!(kinds(1, 1), [G], "the only queue does both");
    assert_eq!(kinds(3, 3), [G, G, G], "no more than those for compression");
    assert_eq!(kinds(3, 8), [G, G, G]);
    assert_eq!(kinds(3, 0), [G, G, G], "0 must not leave a CPU without a queue for compression");
}

#[test]
fn every_cpu_of_odd_machines_has_queues_that_do_what_they_should() {
    let machines = [
        machine(&[("5", 1, &[1])]),
        machine(&[("0-6", 1, &[1, 8, 2, 3])]),
        machine(&[("0-1", 1, &[1, 1, 1, 1])]),
        machine(&[("0-3", 1, &[]), ("4-7", 1, &[2, 2])]),
        machine(&[("0-3", 2, &[0, 3, 0]), ("8-10", 2, &[0])]),
        machine(&[("", 1, &[2]), ("1,3,7", 8, &[])]),
        machine(&[("0-1", 1, &[1]), ("2-3", 1, &[1, 1, 1])]),
        Machine::default_model(),
    ];
    for machine in &machines {
        for comps in 0..4 {
            for flags in 0..4 {
                let mut policy = Policy::default();
                policy.g_comp_wqs_per_iaa = comps;
                policy.distribute_comps = flags & 1 > 0;
                policy.distribute_decomps = flags & 2 > 0;
                every_cpu_is_served(machine, &policy);
            }
        }
    }
}

fn every_cpu_is_served(machine: &Machine, policy: &Policy) {
    let map = Map::new(machine, policy).unwrap();
    let served: Vec<_> = map.served().collect();
    let own: Vec<_> = served.iter().flat_map(|served| &served.cpus).collect();
    let cpus = machine.packages.iter().map(|package| package.cpus.len()).sum::<usize>();
    assert_eq!(own.len(), cpus, "each CPU has one device\n{map}");
    // Numbers between and beyond those that are named are served too.
    for cpu in 0..20 {
        let queues = map.cpu(cpu);
        for count in [0, 1, 7, usize::MAX] {
            let kind = |id: QueueId| served[id.device].kinds[id.queue];
            assert_ne!(kind(queues.compress.queue(count)), QueueKind::Decompress);
            assert_ne!(kind(queues.decompress.queue(count)), QueueKind::Compress);
        }
    }
}

#[test]
fn cores_that_do_not_divide_evenly_are_spread_and_threads_share_their_core_s_device() {
    let map = Map::new(&machine(&[("0-13", 2, &[1, 1, 1, 1])]), &Policy::default()).unwrap();
    let cpus: Vec<_> = map.served().map(|served| cpu_list(&served.cpus)).collect();
    assert_eq!(cpus, ["0-1,7-8", "2-3,9-10", "4-5,11-12", "6,13"]);
}

#[test]
fn cpus_of_a_package_without_devices_are_spread_over_all_devices() {
    let machine = machine(&[("0-3", 1, &[]), ("4-7", 1, &[1, 1])]);
    let map = Map::new(&machine, &Policy::default()).unwrap();
    let cpus: Vec<_> = map.served().map(|served| cpu_list(&served.cpus)).collect();
    assert_eq!(cpus, ["0-1,4-5", "2-3,6-7"]);
}

#[test]
fn a_machine_that_cannot_serve_every_cpu_is_refused() {
    let map = |machine: &Machine| Map::new(machine, &Policy::default());
    let error = map(&machine(&[("3", 1, &[0])])).unwrap_err();
    assert!(matches!(error, TopologyError::NoQueue { cpu: 3, .. }), "{error}");
    assert!(matches!(map(&machine(&[("", 1, &[1])])), Err(TopologyError::NoCpu)));
    assert!(matches!(map(&Machine::default()), Err(TopologyError::NoCpu)));
    let mut policy = Policy::default();
    policy.g_consec_descs_per_gwq = 0;
    let error = Map::new(&Machine::spr(), &policy).unwrap_err().to_string();
    assert!(error.starts_with("g_consec_descs_per_gwq: "), "{error}");
}

#[test]
fn cpus_share_the_tables() {
    let map = Map::new(&Machine::spr(), &Policy::default()).unwrap();
    assert_eq!(map.cpu(0).compress.queues.as_ptr(), map.cpu(167).compress.queues.as_ptr());
}

#[test]
fn a_drawing_has_devices_cpus_and_kinds() {
    let map = Map::new(&machine(&[("0-3", 2, &[2])]), &Policy::default()).unwrap();
    let expected = "\
package 0: CPUs 0-3
  iax1: 8 engines, CPUs 0-3
    wq1.0: 16 dedicated, priority 10, decompress
    wq1.1: 16 dedicated, priority 10, compress
";
    assert_eq!(map.to_string(), expected);
}

#[test]
fn a_description_gives_defaults_and_everything_else() {
    let text = r#"{ "packages": [
        { "cpus": "0-3", "devices": [{ "name": "iax1" }] },
        { "cpus": "4,6", "threads_per_core": 2, "devices": [
            { "name": "iax3", "engines": [0, 2], "queues": [
                { "name": "loads", "size": 32, "mode": "shared", "threshold": 30, "group": 2 },
                { "size": 96, "priority": 15 }
            ] },
            { "name": "iax5", "engines": 2, "queues": [] }
        ] }
    ] }"#;
    let machine = Machine::from_json(text).unwrap();
    let spr = Machine::spr();
    assert_eq!(machine.packages[0].devices[0], spr.packages[0].devices[0]);
    let [loads, other] = &machine.packages[1].devices[0].queues[..] else { panic!("two queues") };
    assert_eq!((&*loads.name, loads.threshold, loads.group, loads.priority), ("loads", 30, 2, 10));
    assert_eq!((&*other.name, other.size, other.priority), ("wq3.1", 96, 15));
    assert_eq!(machine.packages[1].devices[1].engine_groups, [0, 0]);
}

#[test]
fn a_wrong_description_names_the_field() {
    let device = |fields: &str| {
        format!(r#"{{"packages": [{{"cpus": "0", "devices": [{{"name": "iax1", {fields}}}]}}]}}"#)
    };
    let queue = |fields: &str| device(&format!(r#""queues": [{{{fields}}}]"#));
    let cases = [
        ("[]".into(), "the description: "),
        ("{}".into(), "packages: "),
        (r#"{"packages": [{}]}"#.into(), "packages[0].cpus: "),
        (r#"{"packages": [{"cpus": 3}]}"#.into(), "packages[0].cpus: "),
        (r#"{"packages": [{"cpus": "3-1"}]}"#.into(), "packages[0].cpus: "),
        (r#"{"packages": [{"cpus": "0"}, {"cpus": "0-1"}]}"#.into(), "packages[1].cpus: "),
        (r#"{"packages": [{"cpus": "0", "cores": 1}]}"#.into(), "packages[0].cores: "),
        (
            r#"{"packages": [{"cpus": "0", "threads_per_core": 0}]}"#.into(),
            "packages[0].threads_per_core: ",
        ),
        (device(r#""engines": 9"#), "packages[0].devices[0].engines: "),
        (device(r#""engines": 1e9"#), "packages[0].devices[0].engines: "),
        (device(r#""engines": [0, 4]"#), "packages[0].devices[0].engines[1]: "),
        (device(r#""engines": 0"#), "packages[0].devices[0].queues[0].group: "),
        (device(r#""queues": [{}, {}]"#), "packages[0].devices[0].queues: "),
        (queue(r#""size": 0"#), "packages[0].devices[0].queues[0].size: "),
        (queue(r#""size": -1"#), "packages[0].devices[0].queues[0].size: "),
        (queue(r#""size": 8, "threshold": 9"#), "packages[0].devices[0].queues[0].threshold: "),
        (queue(r#""priority": 16"#), "packages[0].devices[0].queues[0].priority: "),
        (queue(r#""priority": 256"#), "packages[0].devices[0].queues[0].priority: "),
        (queue(r#""group": 1"#), "packages[0].devices[0].queues[0].group: "),
        (queue(r#""mode": "both""#), "packages[0].devices[0].queues[0].mode: "),
        (queue(r#""sizes": 1"#), "packages[0].devices[0].queues[0].sizes: "),
    ];
    for (text, field) in cases {
        let error = Machine::from_json(&text).expect_err(&text).to_string();
        assert!(error.starts_with(field), "{text}: {error}");
    }
    assert!(matches!(Machine::from_json("{"), Err(TopologyError::Syntax(_))));
}

#[test]
fn two_devices_of_one_name_are_refused() {
    let mut machine = Machine::spr();
    machine.packages[1].devices[0].name = "iax3".into();
    let error = machine.check().unwrap_err().to_string();
    assert!(error.contains("iax3"), "{error}");
}

#[test]
fn sysfs_without_devices_is_no_machine() {
    let root = TempDir::new().unwrap();
    assert_eq!(Machine::from_sysfs(root.path()).unwrap(), None);
    let tree = Tree::with_cpus(&["0-1"], 1);
    tree.write("bus/dsa/devices/iax1/state", "disabled");
    assert_eq!(Machine::from_sysfs(tree.root()).unwrap(), None);
}

#[test]
fn sysfs_shows_what_is_enabled() {
    let tree = Tree::with_cpus(&["0-1,4-5", "2-3,6-7"], 1);
    tree.device(3, 1, &[("enabled", 64, 0), ("disabled", 0, 0), ("enabled", 32, 1)]);
    tree.device(1, 0, &[("enabled", 128, 0)]);
    tree.write("bus/dsa/devices/dsa0/state", "enabled");
    let machine = Machine::from_sysfs(tree.root()).unwrap().unwrap();
    let [first, second] = &machine.packages[..] else { panic!("two packages: {machine:?}") };
    assert_eq!((cpu_list(&first.cpus), first.threads_per_core), ("0-1,4-5".into(), 2));
    assert_eq!(names(&first.devices), ["iax1"]);
    assert_eq!(names(&second.devices), ["iax3"]);
    let device = &second.devices[0];
    assert_eq!(device.engine_groups, [0, 1], "the engine without a group is left out");
    let queues: Vec<_> = device.queues.iter().map(|q| (&*q.name, q.size, q.group)).collect();
    assert_eq!(queues, [("wq3.0", 64, 0), ("wq3.2", 32, 1)]);
}

#[test]
fn sub_numa_clusters_change_nothing() {
    let machine = |nodes_per_package: usize| {
        let tree = Tree::with_cpus(&["0-7,16-23", "8-15,24-31"], nodes_per_package);
        for number in 0..4 {
            // Firmware may report all devices of a package on its first node.
            let node = number / 2 * nodes_per_package;
            tree.device(2 * number + 1, node, &[("enabled", 128, 0)]);
        }
        Machine::from_sysfs(tree.root()).unwrap().unwrap()
    };
    assert_eq!(machine(1), machine(2));
    let map = Map::new(&machine(4), &Policy::default()).unwrap();
    let served: BTreeMap<_, _> = map
        .served()
        .map(|Served { device, cpus, .. }| (device.name.clone(), cpu_list(&cpus)))
        .collect();
    let expected = [
        ("iax1", "0-3,16-19"),
        ("iax3", "4-7,20-23"),
        ("iax5", "8-11,24-27"),
        ("iax7", "12-15,28-31"),
    ];
    assert_eq!(served, expected.map(|(name, cpus)| (name.into(), cpus.into())).into());
}

#[test]
fn sysfs_that_makes_no_sense_names_the_file() {
    let tree = Tree::with_cpus(&["0"], 1);
    tree.device(1, 0, &[("enabled", 128, 0)]);
    tree.write("bus/dsa/devices/wq1.0/size", "many");
    let error = Machine::from_sysfs(tree.root()).unwrap_err().to_string();
    assert!(error.contains("wq1.0/size") && error.contains("many"), "{error}");
    fs::remove_file(tree.root().join("bus/dsa/devices/wq1.0/size")).unwrap();
    let error = Machine::from_sysfs(tree.root()).unwrap_err().to_string();
    assert!(error.contains("wq1.0/size"), "{error}");
}

/// Packages, each with its CPUs, threads per core, and the number of queues of each device.
fn machine(packages: &[(&str, usize, &[usize])]) -> Machine {
    let mut number = 1;
    let packages = packages.iter().map(|(cpus, threads, devices)| {
        let devices = devices.iter().map(|queues| {
            let name = format!("iax{number}");
            number += 2;
            serde_json::json!({
                "name": name,
                "queues": vec![serde_json::json!({ "size": 16 }); *queues],
            })
        });
        let devices: Vec<_> = devices.collect();
        serde_json::json!({ "cpus": cpus, "threads_per_core": threads, "devices": devices })
    });
    let packages: Vec<_> = packages.collect();
    Machine::from_json(&serde_json::json!({ "packages": packages }).to_string()).unwrap()
}

fn id(device: usize, queue: usize) -> QueueId {
    QueueId { device, queue }
}

fn names(devices: &[DeviceConfig]) -> Vec<&str> {
    devices.iter().map(|device| &*device.name).collect()
}

/// A made-up sysfs.
struct Tree(TempDir);

impl Tree {
    /// Cores of two threads, or of one if there is only one CPU.
    fn with_cpus(packages: &[&str], nodes_per_package: usize) -> Self {
        let tree = Self(TempDir::new().unwrap());
        let mut all = Vec::new();
        for (package, list) in packages.iter().enumerate() {
            let machine = machine(&[(list, 1, &[])]);
            let cpus = &machine.packages[0].cpus;
            let cores = cpus.len().div_ceil(2);
            for (place, cpu) in cpus.iter().enumerate() {
                let siblings: Vec<_> = cpus.iter().skip(place % cores).step_by(cores).collect();
                let siblings: Vec<_> = siblings.into_iter().copied().collect();
                let at = |name| format!("devices/system/cpu/cpu{cpu}/topology/{name}");
                tree.write(&at("physical_package_id"), &package.to_string());
                tree.write(&at("thread_siblings_list"), &cpu_list(&siblings));
            }
            for node in 0..nodes_per_package {
                let part = cores.div_ceil(nodes_per_package);
                let is_in = |place: &usize| place % cores / part == node;
                let of_node: Vec<_> = (0..cpus.len()).filter(is_in).map(|p| cpus[p]).collect();
                let node = package * nodes_per_package + node;
                let path = format!("devices/system/node/node{node}/cpulist");
                tree.write(&path, &cpu_list(&of_node));
            }
            all.extend(cpus);
        }
        all.sort_unstable();
        tree.write("devices/system/cpu/online", &cpu_list(&all));
        tree
    }

    /// Queues: state, size and group. One engine for each of the groups 0 and 1, and one idle one.
    fn device(&self, number: usize, node: usize, queues: &[(&str, usize, usize)]) {
        let write = |path: String, text: &str| self.write(&format!("bus/dsa/devices/{path}"), text);
        write(format!("iax{number}/state"), "enabled");
        write(format!("iax{number}/numa_node"), &node.to_string());
        for (engine, group) in [0, 1, -1].into_iter().enumerate() {
            write(format!("engine{number}.{engine}/group_id"), &group.to_string());
        }
        for (queue, (state, size, group)) in queues.iter().enumerate() {
            let file = |name| format!("wq{number}.{queue}/{name}");
            write(file("state"), state);
            write(file("size"), &size.to_string());
            write(file("threshold"), "0");
            write(file("mode"), "dedicated");
            write(file("priority"), "10");
            write(file("group_id"), &group.to_string());
        }
    }

    /// A file as the kernel writes it, with a line feed.
    fn write(&self, path: &str, text: &str) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("{text}\n")).unwrap();
    }

    fn root(&self) -> &Path {
        self.0.path()
    }
}
