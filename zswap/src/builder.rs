//! What a pool is made of, and who looks after its memory.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use acomp_core::{OpenError, Params, Registry};

use crate::blocks::Blocks;
use crate::clock::{Clock, RealClock};
use crate::context::{Contexts, SUB_BATCH};
use crate::device::SwapDevice;
use crate::entry::Entries;
use crate::owners::Accounts;
use crate::pool::Pool;
use crate::state::{Device, State};
use crate::tree::Tree;
use crate::zsmalloc::{Config, Zsmalloc};

/// Describes a [`Pool`].
#[derive(Clone, Debug)]
#[must_use = "nothing is built before `build`"]
pub struct Builder {
    registry: Registry,
    compressor: String,
    params: Params,
    total_bytes: u64,
    limits_metadata: bool,
    reserve_bytes: usize,
    owners: u16,
    device: Option<Arc<dyn SwapDevice>>,
    has_checksums: bool,
    hash_key: Option<u64>,
    housekeeping: Housekeeping,
    clock: Option<Arc<dyn Clock>>,
}

impl Builder {
    pub(crate) fn new(registry: &Registry) -> Self {
        Self {
            registry: registry.clone(),
            compressor: String::new(),
            params: Params::default(),
            total_bytes: system_bytes(),
            limits_metadata: false,
            reserve_bytes: RESERVE_BYTES,
            owners: OWNERS,
            device: None,
            has_checksums: false,
            hash_key: None,
            housekeeping: Housekeeping::default(),
            clock: None,
        }
    }

    /// Names the compressor: a generic name or a driver's.
    pub fn compressor(mut self, name: &str) -> Self {
        name.clone_into(&mut self.compressor);
        self
    }

    /// Sets the compressor's parameters.
    pub fn params(mut self, params: Params) -> Self {
        self.params = params;
        self
    }

    /// The memory that `max_pool_percent` is a part of. Otherwise it is the system's.
    pub fn total_bytes(mut self, bytes: u64) -> Self {
        self.total_bytes = bytes;
        self
    }

    /// Counts what is known of pages towards the limit too, as
    /// [`Pool::metadata_bytes`](crate::Pool::metadata_bytes) tells: objects take no more than it
    /// leaves them, whoever stores at the same time. It grows in steps, also beyond the limit, and
    /// never shrinks; pages are then refused until objects are gone. Otherwise it is as in the
    /// kernel: a folio that comes below the limit is stored, whatever that takes.
    pub fn limit_metadata(mut self) -> Self {
        self.limits_metadata = true;
        self
    }

    /// Memory for objects that is committed ahead, at least 512 KiB; else 4 MiB.
    pub fn reserve_bytes(mut self, bytes: usize) -> Self {
        self.reserve_bytes = bytes.max(RESERVE_BYTES_MIN);
        self
    }

    /// Owners have numbers below this; else 64.
    pub fn owners(mut self, owners: u16) -> Self {
        self.owners = owners.max(1);
        self
    }

    /// Where pages are written back to. Otherwise they stay in memory.
    pub fn device(mut self, device: Arc<dyn SwapDevice>) -> Self {
        self.device = Some(device);
        self
    }

    /// Keeps a checksum of each object, so that what was damaged in memory is refused and never
    /// decompressed. What is on the device has one in any case.
    pub fn checksums(mut self) -> Self {
        self.has_checksums = true;
        self
    }

    /// Tells by a hash of 128 bits with this key whether a page is its duplicate, not by
    /// decompressing it: some ten times as fast, for 16 bytes per page more. The key should be
    /// random, and nobody's who chooses what pages contain: two pages of the same hash would be
    /// taken for one.
    pub fn hash_duplicates(mut self, key: u64) -> Self {
        self.hash_key = Some(key);
        self
    }

    /// Who takes memory from the system.
    pub fn housekeeping(mut self, housekeeping: Housekeeping) -> Self {
        self.housekeeping = housekeeping;
        self
    }

    /// The clock that latencies are measured by. Otherwise it is the system's.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Builds the pool, with the context of the CPU that this runs on.
    ///
    /// # Errors
    ///
    /// As [`Acomp::alloc_in`](acomp_core::Acomp::alloc_in); an unknown compressor is answered with
    /// the known names.
    /// [`OpenError::Device`] when the system gives no memory.
    pub fn build(self) -> Result<Pool, OpenError> {
        let opens = self.housekeeping == Housekeeping::Inline;
        let contexts = Contexts::new(self.registry, &self.compressor, self.params, opens)?;
        let max_bytes =
            usize::try_from(self.total_bytes).unwrap_or(usize::MAX).min(OBJECTS_BYTES_MAX);
        let no_memory = |error: io::Error| OpenError::Device(error.into());
        let entries_max = (max_bytes / ENTRY_OBJECT_BYTES).clamp(ENTRIES_MIN, ENTRIES_MAX);
        let device = self
            .device
            .map(|device| Blocks::new(device.blocks()).map(|blocks| Device { device, blocks }));
        let mut config = Config::new(max_bytes).reserve_bytes(self.reserve_bytes);
        if self.housekeeping == Housekeeping::Faults {
            config = config.small_pages();
        }
        let state = State {
            contexts,
            tree: Tree::new(entries_max).map_err(no_memory)?,
            entries: Entries::new(entries_max, self.hash_key.is_some()).map_err(no_memory)?,
            objects: Zsmalloc::new(config).map_err(|error| OpenError::Device(error.into()))?,
            accounts: Accounts::new(self.owners.into()).map_err(no_memory)?,
            device: device.transpose().map_err(no_memory)?,
            has_checksums: self.has_checksums,
            hash_key: self.hash_key,
        };
        let clock = self.clock.unwrap_or_else(|| Arc::new(RealClock(Instant::now())));
        Ok(Pool::new(state, self.total_bytes, self.limits_metadata, self.housekeeping, clock))
    }
}

/// Who takes memory from the system for what comes next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "somebody must")]
pub enum Housekeeping {
    /// Whoever stores, when a quarter of the reserve is gone; and whoever first uses a CPU opens
    /// the session there. For everybody but those who store because memory is short.
    #[default]
    Inline,
    /// Whoever calls [`Pool::maintain`], such as a [`Worker`](crate::Worker). Store, load and
    /// invalidate then make no call of the global allocator and ask the system for no memory, and
    /// a store fails when the reserve is empty. They may still wait for locks, wake a worker, and
    /// use the device: a load of what was written back, and a store of an owner who is at his
    /// limit.
    Apart,
    /// As [`Apart`](Self::Apart), but whoever stores takes memory from the system when the reserve
    /// runs low, in small pages, which is no call of the global allocator. For those who serve
    /// page faults, and can neither allocate nor wait for another thread.
    Faults,
}

/// The memory of this machine.
fn system_bytes() -> u64 {
    let info = rustix::system::sysinfo();
    u64::from(info.mem_unit.max(1)) * info.totalram
}

const RESERVE_BYTES: usize = 4 << 20;
/// Room for a zspage (of nearly 64 KiB) for each page of a sub-batch: whoever stores one finds
/// enough when the reserve has been refilled.
const RESERVE_BYTES_MIN: usize = SUB_BATCH * (64 << 10);
const OWNERS: u16 = 64;
/// What the allocator can name.
const OBJECTS_BYTES_MAX: usize = 1 << 40;
/// There are entries for as many pages as there would be objects of this size.
const ENTRY_OBJECT_BYTES: usize = 64;
const ENTRIES_MIN: usize = 1 << 16;
const ENTRIES_MAX: usize = 1 << 31;
