//! Accounts: what each owner keeps, may keep, and in which order it would be written back.

use std::io;
use std::sync::atomic::{
    AtomicBool,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

use crate::slot::Owner;
use crate::sync::{AtomicU64, Mutex};
use crate::zsmalloc::{List, Table};

#[derive(Debug)]
pub(crate) struct Accounts {
    table: Table<Account>,
}

/// On cache lines of its own.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Account {
    pub(crate) lists: Mutex<Lists>,
    /// Bytes that its pages take, and the pages.
    bytes: AtomicU64,
    pages: AtomicU64,
    limit_bytes: AtomicU64,
    has_writeback: AtomicBool,
    /// Pages that came from the device since the shrinker looked last: each protects another one.
    pub(crate) device_reads: AtomicU64,
}

/// Entries, the last one stored or used first. Locked after the partition of any of them.
#[derive(Debug, Default)]
pub(crate) struct Lists {
    /// What can be written back.
    pub(crate) lru: List,
    /// What can be dropped, since the page is in the caller's memory as well.
    pub(crate) duplicates: List,
}

impl Default for Account {
    fn default() -> Self {
        Self {
            lists: Mutex::default(),
            bytes: AtomicU64::new(0),
            pages: AtomicU64::new(0),
            limit_bytes: AtomicU64::new(u64::MAX),
            has_writeback: AtomicBool::new(true),
            device_reads: AtomicU64::new(0),
        }
    }
}

impl Accounts {
    pub(crate) fn new(owners: usize) -> io::Result<Self> {
        let table = Table::new(owners)?;
        table.grow(owners)?;
        Ok(Self { table })
    }

    #[inline]
    pub(crate) fn get(&self, owner: Owner) -> Option<&Account> {
        self.table.get(owner.id().into())
    }

    /// How many owners there can be.
    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    pub(crate) fn metadata_bytes(&self) -> usize {
        self.table.committed_bytes()
    }
}

impl Account {
    #[inline]
    pub(crate) fn charge(&self, pages: usize, bytes: usize) {
        self.pages.fetch_add(pages as u64, Relaxed);
        self.bytes.fetch_add(bytes as u64, AcqRel);
    }

    #[inline]
    pub(crate) fn uncharge(&self, pages: usize, bytes: usize) {
        self.pages.fetch_sub(pages as u64, Relaxed);
        self.bytes.fetch_sub(bytes as u64, AcqRel);
    }

    pub(crate) fn set_limit(&self, bytes: u64) {
        self.limit_bytes.store(bytes, Release);
    }

    #[inline]
    pub(crate) fn is_at_limit(&self) -> bool {
        self.bytes.load(Acquire) >= self.limit_bytes.load(Acquire)
    }

    pub(crate) fn set_writeback(&self, on: bool) {
        self.has_writeback.store(on, Release);
    }

    #[inline]
    pub(crate) fn has_writeback(&self) -> bool {
        self.has_writeback.load(Acquire)
    }

    pub(crate) fn usage(&self) -> OwnerUsage {
        let limit = self.limit_bytes.load(Acquire);
        OwnerUsage {
            bytes: self.bytes.load(Acquire),
            pages: self.pages.load(Relaxed),
            limit_bytes: (limit != u64::MAX).then_some(limit),
            has_writeback: self.has_writeback(),
        }
    }
}

/// What an owner keeps, and may keep: a copy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OwnerUsage {
    /// Bytes of its objects in memory: `zswap` of a memory cgroup.
    pub bytes: u64,
    /// Pages of it in memory, zero pages apart: `zswapped` of a memory cgroup, in pages.
    pub pages: u64,
    /// How many bytes it may have; `None`: as many as fit.
    pub limit_bytes: Option<u64>,
    /// Whether its pages may be written to the device.
    pub has_writeback: bool,
}
