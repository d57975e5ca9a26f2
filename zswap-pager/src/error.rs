//! Why there is no pager, or no region.

use std::io;

use acomp_core::OpenError;

/// Why a pager or a region could not be made, or did not do what was asked of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PagerError {
    /// The kernel lacks something.
    #[error("the kernel has no {what}: the pager needs Linux 5.7, and is fast from 6.8 on")]
    Unsupported {
        /// What it lacks.
        what: &'static str,
    },
    /// The process may not have a userfaultfd, or not one for faults within system calls.
    #[error(
        "userfaultfd is not permitted: set `vm.unprivileged_userfaultfd` to 1 (`sysctl -w`), give \
         the program CAP_SYS_PTRACE or access to /dev/userfaultfd, or do without faults from \
         within system calls (`KernelFaults::IfPermitted`)"
    )]
    NotPermitted,
    /// The limit, or the pool's, has no room for what the pager itself needs.
    #[error("a limit of {bytes} bytes is too small: at least {}", crate::LIMIT_BYTES_MIN)]
    Limit {
        /// What was asked for.
        bytes: u64,
    },
    /// The compressor could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// In `sigbus` mode a driver must neither allocate nor block.
    #[error(
        "driver {driver} may allocate or block, which a signal handler must not: use \
         `FaultMode::Thread`, or another compressor"
    )]
    Driver {
        /// Which.
        driver: String,
    },
    /// The range is no range of the region's pages.
    #[error("bytes {start} to {end} are no whole pages of a region of {len} bytes")]
    Range {
        /// First byte.
        start: usize,
        /// Behind the last byte.
        end: usize,
        /// Bytes in the region.
        len: usize,
    },
    /// The region cannot grow beyond what addresses were reserved for.
    #[error("the region has addresses for {capacity} bytes: map it with a larger `capacity`")]
    Capacity {
        /// For how many.
        capacity: usize,
    },
    /// The pager was built for fewer owners.
    #[error("there is no owner {id}: build the pager for more `owners`")]
    Owner {
        /// Who was named.
        id: u16,
    },
    /// A page of the range is lost: what was stored of it cannot be had back.
    #[error("a page of the range cannot be had back: its stored copy is damaged")]
    Lost,
    /// More would be pinned than the limit has room for.
    #[error("{pages} pages cannot be pinned beside what is: raise `limit`")]
    PinLimit {
        /// How many.
        pages: usize,
    },
    /// The system refused a mapping, a thread, or a descriptor.
    #[error("the system refused: {0}")]
    System(#[from] io::Error),
}
