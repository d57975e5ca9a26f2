//! What holds whenever nothing goes on.

use acomp_iaa::JobKind;
use zswap::Owner;

use crate::case::OWNERS;
use crate::violation::{Invariant, Violation, ensure};
use crate::world::{TOTAL_BYTES, World, locked};

impl World {
    /// Counters add up, and what is held is bounded.
    pub(crate) fn check(&self) -> Result<(), Violation> {
        let counters = self.pool.counters();
        locked(&self.model).check(&counters)?;
        let owners = (0..OWNERS).filter_map(|owner| self.pool.owner(Owner::new(owner)));
        let usage =
            owners.fold([0, 0], |[pages, bytes], usage| [pages + usage.pages, bytes + usage.bytes]);
        let sums = [counters.stored_pages, counters.object_bytes];
        ensure(usage == sums, Invariant::Counters, || {
            format!("owners have {usage:?} pages and bytes, of {sums:?}")
        })?;
        let (objects, held) = (counters.object_bytes, counters.pool_total_size);
        let metadata = self.pool.metadata_bytes();
        let is_bounded = objects <= held && held <= TOTAL_BYTES && metadata <= METADATA_BYTES_MAX;
        ensure(is_bounded, Invariant::Memory, || {
            format!("{held} bytes for {objects} of objects, and {metadata} of metadata")
        })?;
        let blocks = u64::from(self.case.setup.blocks);
        ensure(counters.device_pages <= blocks, Invariant::Memory, || {
            format!("{} pages in {blocks} blocks", counters.device_pages)
        })?;
        self.check_driver()?;
        self.check_devices()
    }

    fn check_driver(&self) -> Result<(), Violation> {
        let stats = self.accel.stats();
        let core = self.requests.drivers.each_ref().map(|driver| driver.alg().stats());
        let fallbacks: u64 = core.iter().map(|stats| stats.fallbacks).sum();
        let software = stats.total_sw_comp_calls + stats.total_sw_decomp_calls;
        ensure(fallbacks == software, Invariant::Counters, || {
            format!("{fallbacks} operations fell back, and software did {software}")
        })?;
        let produced: u64 = core.iter().map(|stats| stats.compress.ok).sum();
        let comps = stats.total_comp_calls + stats.total_sw_comp_calls;
        ensure(produced <= comps, Invariant::Counters, || {
            format!("{produced} compressions succeeded, and {comps} were asked for")
        })?;
        let restored: u64 = core.iter().map(|stats| stats.decompress.ok).sum();
        let decomps = stats.total_decomp_calls + stats.total_sw_decomp_calls;
        ensure(restored <= decomps, Invariant::Counters, || {
            format!("{restored} decompressions succeeded, and {decomps} were asked for")
        })?;
        // A lease for each descriptor that is out, and those that sessions keep.
        let leases = self.accel.dma().leases();
        let leases_max = LEASES_MAX + self.accel.outstanding_descriptors();
        ensure(leases <= leases_max, Invariant::Memory, || {
            format!("{leases} leases, of {leases_max}")
        })
    }

    fn check_devices(&self) -> Result<(), Violation> {
        let stats = self.accel.stats();
        let kinds = [JobKind::Compress, JobKind::Decompress, JobKind::Other];
        let jobs = kinds.map(|kind| self.units.jobs(kind));
        for (kind, jobs) in kinds.iter().zip(&jobs) {
            ensure(
                jobs.submitted == jobs.done + jobs.lost + jobs.in_flight,
                Invariant::Counters,
                || format!("{kind:?}: {jobs:?} do not add up"),
            )?;
        }
        let [compress, decompress, _] = jobs.map(|jobs| jobs.submitted);
        let [comps, decomps] = [stats.total_comp_calls, stats.total_decomp_calls];
        let verified = self.case.setup.has_verification && decomps <= decompress;
        ensure(
            comps == compress && (verified || decomps == decompress),
            Invariant::Counters,
            || {
                format!(
                    "the driver counts {comps} compressions and {decomps} decompressions, the \
                     devices {compress} and {decompress}"
                )
            },
        )?;
        let in_flight: u64 = jobs.iter().map(|jobs| jobs.in_flight).sum();
        let outstanding = self.accel.outstanding_descriptors() as u64;
        ensure(in_flight <= outstanding, Invariant::Counters, || {
            format!("{in_flight} jobs are with devices, and {outstanding} descriptors are out")
        })
    }
}

/// What the pool knows of pages, all in all.
const METADATA_BYTES_MAX: usize = 16 << 20;
/// Sessions, of which each handle keeps one, two engines, and a table for each device.
const LEASES_MAX: usize = 300;
