//! What a device is made of: engines in groups, and the queues that they serve.

use std::fmt;

/// An accelerator.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "whoever describes a device names every field")]
pub struct DeviceConfig {
    /// Unique, `iax1` and so on.
    pub name: String,
    /// The group of each engine.
    pub engine_groups: Vec<usize>,
    /// Those that are enabled.
    pub queues: Vec<WqConfig>,
    /// Whether it makes headers of dynamic blocks, as the later devices do.
    pub has_header_generation: bool,
}

/// A work queue.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "whoever describes a queue names every field")]
pub struct WqConfig {
    /// Unique in the device, `wq1.0` and so on.
    pub name: String,
    /// Entries, of the [`ENTRIES`] that the queues of a device share.
    pub size: usize,
    /// Entries that a shared queue fills before its portal asks to try again; 0: all.
    pub threshold: usize,
    /// Who may submit.
    pub mode: WqMode,
    /// 1 to 15; engines take from the highest first.
    pub priority: u8,
    /// Which engines serve it.
    pub group: usize,
    /// The longest source or destination, in bytes.
    pub transfer_bytes_max: usize,
}

/// Who may submit to a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the modes of the device")]
pub enum WqMode {
    /// One client, who counts the entries himself: a descriptor too many is lost.
    Dedicated,
    /// Several, who are told to try again.
    Shared,
}

impl DeviceConfig {
    /// `iax{number}`: one group of [`ENGINES`] engines, and one dedicated queue of [`ENTRIES`].
    #[must_use]
    pub fn new(number: u32) -> Self {
        let device = Self {
            name: format!("iax{number}"),
            engine_groups: vec![0; ENGINES],
            queues: Vec::new(),
            has_header_generation: true,
        };
        device.with_queues(vec![WqConfig::new(ENTRIES)])
    }

    /// With these queues; those without a name get the device's number and their own.
    #[must_use]
    pub fn with_queues(mut self, queues: Vec<WqConfig>) -> Self {
        self.queues = queues;
        for (index, queue) in self.queues.iter_mut().enumerate() {
            if queue.name.is_empty() {
                queue.name = queue_name(&self.name, index);
            }
        }
        self
    }

    /// With so many engines in each group.
    #[must_use]
    pub fn with_engines(mut self, group_engines: &[usize]) -> Self {
        let groups = group_engines.iter().enumerate();
        self.engine_groups = groups.flat_map(|(group, count)| vec![group; *count]).collect();
        self
    }

    /// Without the later devices' dynamic blocks.
    #[must_use]
    pub fn without_header_generation(mut self) -> Self {
        self.has_header_generation = false;
        self
    }
}

impl WqConfig {
    /// A dedicated queue of this size, of the first group, for transfers of up to 2 MiB.
    #[must_use]
    pub const fn new(size: usize) -> Self {
        Self {
            name: String::new(),
            size,
            threshold: 0,
            mode: WqMode::Dedicated,
            priority: PRIORITY,
            group: 0,
            transfer_bytes_max: TRANSFER_BYTES_MAX,
        }
    }

    /// A shared one.
    #[must_use]
    pub const fn shared(mut self, threshold: usize) -> Self {
        (self.mode, self.threshold) = (WqMode::Shared, threshold);
        self
    }

    /// With another priority.
    #[must_use]
    pub const fn with_priority(mut self, priority: u8) -> Self {
        self.priority = priority;
        self
    }

    /// Of another group.
    #[must_use]
    pub const fn of_group(mut self, group: usize) -> Self {
        self.group = group;
        self
    }

    /// Entries that can be filled.
    pub(crate) fn room(&self) -> usize {
        match (self.mode, self.threshold) {
            (WqMode::Dedicated, _) | (WqMode::Shared, 0) => self.size,
            (WqMode::Shared, threshold) => threshold.min(self.size),
        }
    }
}

impl fmt::Display for WqMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dedicated => "dedicated",
            Self::Shared => "shared",
        })
    }
}

/// The name of a device's queue: they share the device's number.
pub(crate) fn queue_name(device: &str, queue: usize) -> String {
    let number = device.trim_start_matches(|c: char| !c.is_ascii_digit());
    format!("wq{number}.{queue}")
}

/// Engines of a device (as `accel-config` lists them).
pub const ENGINES: usize = 8;
/// Groups of a device (as `accel-config` lists them).
pub const GROUPS: usize = 4;
/// Queues of a device (as `accel-config` lists them).
pub const QUEUES: usize = 8;
/// Entries that the queues of a device share (as `accel-config` lists them).
pub const ENTRIES: usize = 128;
/// What the kernel gives the queue that it configures at boot.
pub(crate) const PRIORITY: u8 = 10;
/// The kernel's default.
pub(crate) const TRANSFER_BYTES_MAX: usize = 2 << 20;
