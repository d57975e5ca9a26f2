//! The memory that a workload runs over, by backend.

use acomp::Registry;
use acomp::pager::{self, FaultMode, Pager, Region};
use acomp::zswap::PAGE_BYTES;
use anyhow::{Context, Result};
use memmap2::{Advice, MmapMut};
use procfs::process::Process;
use serde::{Deserialize, Serialize};

use super::case::{Backend, Case, Kept, Mode};

/// What a process asks of its backend.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Wanted {
    pub(super) case: Case,
    pub(super) bytes: usize,
    pub(super) folio_bytes: u64,
    pub(super) batch_pages: Option<u8>,
    /// The share of this process; of resident and staging memory.
    pub(super) limit_bytes: u64,
    /// The share of this process; of what is kept compressed, and metadata.
    pub(super) pool_limit_bytes: Option<u64>,
}

/// Memory of a process, and what its backend counts.
pub(super) trait Memory {
    fn bytes(&mut self) -> &mut [u8];

    /// What there is now, of bytes, and was since the start, of events.
    fn stats(&self) -> Result<Stats>;
}

/// Makes the memory, zeroed.
pub(super) fn open(wanted: &Wanted) -> Result<Box<dyn Memory>> {
    match wanted.case.backend {
        // The kernel's differs by the cgroup that the process is in.
        Backend::None | Backend::Kernel => Ok(Box::new(Plain::map(wanted)?)),
        Backend::Pager => Ok(Box::new(Paged::map(wanted)?)),
    }
}

/// Sums are `None` where nobody can tell.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Stats {
    pub(super) resident_bytes: Option<u64>,
    pub(super) staging_bytes: Option<u64>,
    pub(super) pool_bytes: Option<u64>,
    pub(super) kept_bytes: Option<u64>,
    pub(super) metadata_bytes: Option<u64>,
    pub(super) zswpin: Option<u64>,
    pub(super) zswpout: Option<u64>,
}

impl Stats {
    /// Of two processes.
    pub(super) fn plus(self, other: Self) -> Self {
        let sum = |a: Option<u64>, b: Option<u64>| Some(a? + b?);
        Self {
            resident_bytes: sum(self.resident_bytes, other.resident_bytes),
            staging_bytes: sum(self.staging_bytes, other.staging_bytes),
            pool_bytes: sum(self.pool_bytes, other.pool_bytes),
            kept_bytes: sum(self.kept_bytes, other.kept_bytes),
            metadata_bytes: sum(self.metadata_bytes, other.metadata_bytes),
            zswpin: sum(self.zswpin, other.zswpin),
            zswpout: sum(self.zswpout, other.zswpout),
        }
    }
}

/// A region of a pager.
struct Paged {
    pager: Pager,
    region: Region,
}

impl Paged {
    fn map(wanted: &Wanted) -> Result<Self> {
        let Wanted { case, bytes, .. } = wanted;
        let mode = match case.mode {
            Some(Mode::Sigbus) => FaultMode::Sigbus,
            Some(Mode::Thread) | None => FaultMode::Thread,
        };
        let kept = match case.kept {
            Some(Kept::Exact) => pager::Kept::Exact,
            Some(Kept::Hash) => pager::Kept::Hash,
            Some(Kept::Off) | None => pager::Kept::Off,
        };
        let mut builder = Pager::builder(Registry::global())
            .compressor(case.compressor.as_deref().context("no compressor")?)
            .mode(mode)
            .kept(kept)
            .limit(wanted.limit_bytes);
        if wanted.folio_bytes > SMALL_FOLIO_BYTES {
            builder = builder.folio_pages(usize::try_from(wanted.folio_bytes)? / PAGE_BYTES);
        }
        if let Some(pages) = wanted.batch_pages {
            builder = builder.batch_pages(pages.into());
        }
        if let Some(bytes) = wanted.pool_limit_bytes {
            builder = builder.pool_limit(bytes);
        }
        let pager = builder.build()?;
        let region = pager.map(*bytes)?;
        Ok(Self { pager, region })
    }
}

impl Memory for Paged {
    fn bytes(&mut self) -> &mut [u8] {
        &mut self.region
    }

    fn stats(&self) -> Result<Stats> {
        let (stats, pool) = (self.pager.stats(), self.pager.pool().counters());
        Ok(Stats {
            resident_bytes: Some(stats.resident_bytes),
            staging_bytes: Some(stats.staging_bytes),
            pool_bytes: Some(stats.pool_bytes),
            kept_bytes: Some(stats.kept_bytes),
            metadata_bytes: Some(stats.metadata_bytes),
            zswpin: Some(pool.zswpin),
            zswpout: Some(pool.zswpout),
        })
    }
}

/// Anonymous memory of the kernel.
struct Plain {
    map: MmapMut,
    /// What else the process has.
    others_bytes: u64,
}

impl Plain {
    fn map(wanted: &Wanted) -> Result<Self> {
        let map = MmapMut::map_anon(wanted.bytes).context("cannot map the memory")?;
        let is_huge = wanted.folio_bytes > SMALL_FOLIO_BYTES;
        let advice = if is_huge { Advice::HugePage } else { Advice::NoHugePage };
        // A kernel without huge pages refuses both.
        let advised = map.advise(advice);
        if is_huge {
            advised.context("this kernel has no transparent huge pages for --folio")?;
        }
        Ok(Self { map, others_bytes: anonymous_bytes()? })
    }
}

impl Memory for Plain {
    fn bytes(&mut self) -> &mut [u8] {
        &mut self.map
    }

    fn stats(&self) -> Result<Stats> {
        let resident_bytes = anonymous_bytes()?.saturating_sub(self.others_bytes);
        Ok(Stats {
            resident_bytes: Some(resident_bytes),
            staging_bytes: Some(0),
            pool_bytes: Some(0),
            kept_bytes: Some(0),
            metadata_bytes: Some(0),
            zswpin: Some(0),
            zswpout: Some(0),
        })
    }
}

/// Anonymous memory of this process that is resident.
fn anonymous_bytes() -> Result<u64> {
    let kib = Process::myself()?.status()?.rssanon.context("no RssAnon in /proc/self/status")?;
    Ok(kib * 1024)
}

const SMALL_FOLIO_BYTES: u64 = 4096;
