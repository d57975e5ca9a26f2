//! What an allocator holds and did.

use std::sync::atomic::Ordering::Relaxed;

use super::Zsmalloc;
use super::class::{Class, GROUPS};

/// What an allocator holds and did: a copy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Objects held.
    pub objects: usize,
    /// Sum of their lengths.
    pub object_bytes: usize,
    /// Memory of zspages, whatever is in them: what limits are compared with.
    pub held_bytes: usize,
    /// Memory that is committed and free.
    pub reserve_bytes: usize,
    /// Memory committed for handles, and for what is known of zspages and chunks.
    pub metadata_bytes: usize,
    /// Allocations that failed because the reserve was empty.
    pub reserve_empty: u64,
}

/// What one size class holds: a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClassStats {
    /// Most bytes in an object of this class.
    pub object_bytes_max: usize,
    /// Objects in a full zspage.
    pub objects_per_zspage: usize,
    /// Objects held.
    pub objects: usize,
    /// Sum of their lengths.
    pub object_bytes: usize,
    /// Zspages, full ones included.
    pub zspages: usize,
    /// Zspages that are not full, by tenths of fullness.
    pub zspages_by_fullness: [usize; GROUPS],
    /// Zspages that compaction would free.
    pub freeable: usize,
}

impl Zsmalloc {
    /// What the allocator holds and did. Other threads may be changing it.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let mut stats = Stats {
            held_bytes: self.held_bytes(),
            reserve_bytes: self.reserve.free_bytes(),
            metadata_bytes: self.metadata_bytes(),
            reserve_empty: self.reserve_empty.load(Relaxed),
            ..Stats::default()
        };
        for class in &self.classes {
            let state = class.lock();
            stats.objects += state.objects;
            stats.object_bytes += state.object_bytes;
        }
        stats
    }

    /// What each size class holds, from the largest objects to the smallest.
    pub fn class_stats(&self) -> impl Iterator<Item = ClassStats> {
        self.classes.iter().map(ClassStats::new)
    }

    /// Memory of zspages, whatever is in them: what limits are compared with. Cheap.
    #[inline]
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.reserve.taken_bytes()
    }

    pub(crate) fn metadata_bytes(&self) -> usize {
        self.memory.cells().committed_bytes()
            + self.memory.frames_bytes()
            + self.links.committed_bytes()
            + self.reserve.metadata_bytes()
            + size_of_val::<[Class]>(&self.classes)
    }
}

impl ClassStats {
    fn new(class: &Class) -> Self {
        let state = class.lock();
        Self {
            object_bytes_max: class.shape.object_bytes_max(),
            objects_per_zspage: class.shape.slots.into(),
            objects: state.objects,
            object_bytes: state.object_bytes,
            zspages: state.zspages,
            zspages_by_fullness: state.group_lens(),
            freeable: state.zspages_to_gain(class),
        }
    }
}
