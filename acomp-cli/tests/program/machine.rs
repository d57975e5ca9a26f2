//! A machine of files, for what needs root on a real one: its swap tools only write down what they
//! are told.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::path;

pub(crate) struct Machine {
    root: TempDir,
}

impl Machine {
    /// Linux 6.8 with zswap, off; with a memory cgroup of version 1; without swap.
    pub(crate) fn new() -> Self {
        let machine = Self { root: TempDir::new().unwrap() };
        for (file, text) in FILES {
            machine.write(file, text);
        }
        for (tool, script) in TOOLS {
            machine.write(tool, script);
            let executable = fs::Permissions::from_mode(0o755);
            fs::set_permissions(machine.path(tool), executable).unwrap();
        }
        machine
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.root.path().join(file.trim_start_matches('/'))
    }

    pub(crate) fn write(&self, file: &str, text: &str) {
        let file = self.path(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }

    pub(crate) fn read(&self, file: &str) -> String {
        fs::read_to_string(self.path(file)).unwrap()
    }

    pub(crate) fn remove(&self, dir: &str) {
        fs::remove_dir_all(self.path(dir)).unwrap();
    }

    /// The program, on this machine.
    pub(crate) fn acomp(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_acomp"));
        command.args(args).args(["--root", path(self.root.path())]);
        command.env("PATH", format!("{}:/usr/bin:/bin", path(&self.path("bin"))));
        command.env("ROOT", self.root.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Nothing tells that zswap was ever set up.
    pub(crate) fn assert_as_before(&self) {
        for (file, text) in FILES.iter().filter(|(file, _)| file.starts_with("/sys")) {
            assert_eq!(self.read(file).trim_end(), text.trim_end(), "{file}");
        }
        assert_eq!(self.read("/proc/swaps"), SWAPS);
        let cgroups = fs::read_dir(self.path(CGROUP)).unwrap().count();
        assert_eq!(cgroups, 1, "{CGROUP} has its own file only");
        let left = fs::read_dir(self.path("/var/lib/acomp-usemem")).unwrap();
        let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["lock"]);
    }
}

pub(crate) const CGROUP: &str = "/sys/fs/cgroup/memory";
const SWAPS: &str = "Filename\tType\tSize\tUsed\tPriority\n";
const FILES: &[(&str, &str)] = &[
    ("/proc/mounts", "cgroup /sys/fs/cgroup/memory cgroup rw,relatime,memory 0 0\n"),
    ("/proc/swaps", SWAPS),
    ("/proc/vmstat", "zswpin 3\nzswpout 5\n"),
    ("/proc/sys/kernel/random/boot_id", "this-boot\n"),
    ("/proc/sys/kernel/osrelease", "6.8.0-test\n"),
    ("/proc/sys/vm/unprivileged_userfaultfd", "0\n"),
    ("/sys/module/zswap/parameters/enabled", "N\n"),
    ("/sys/module/zswap/parameters/compressor", "lzo\n"),
    ("/sys/module/zswap/parameters/max_pool_percent", "20\n"),
    ("/sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
];
/// `swapon` tells that it was called by opening `called`, if that is there, and waits until that is
/// closed.
const TOOLS: &[(&str, &str)] = &[
    ("/bin/mkswap", "#!/bin/sh\necho mkswap >> $ROOT/log\n"),
    (
        "/bin/swapon",
        "#!/bin/sh\necho swapon >> $ROOT/log\necho \"$1 file\" >> $ROOT/proc/swaps\n\
         if [ -e $ROOT/called ]; then cat $ROOT/called; fi\n",
    ),
    (
        "/bin/swapoff",
        "#!/bin/sh\necho swapoff >> $ROOT/log\n\
         head -n 1 $ROOT/proc/swaps > $ROOT/swaps\nmv $ROOT/swaps $ROOT/proc/swaps\n",
    ),
];
