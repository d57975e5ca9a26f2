//! What this kernel offers, and lets this process have.

use std::io::ErrorKind;

use linux_raw_sys::general as sys;

use crate::error::PagerError;
use crate::raw::uffd::{Features, Uffd};

/// What userfaultfd can do here, as far as the pager uses it.
///
/// ```
/// match zswap_pager::Support::probe() {
///     Ok(support) if support.moves => println!("pages are moved out"),
///     Ok(_) => println!("pages are protected, stored, and taken away: slower"),
///     Err(error) => println!("{error}"),
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Support {
    /// Pages are moved out of a region in one step (UFFDIO_MOVE, Linux 6.8).
    pub moves: bool,
    /// Writes to pages can be held up (UFFDIO_WRITEPROTECT, Linux 5.7).
    pub protects: bool,
    /// A page that is lost can be made an error (UFFDIO_POISON, Linux 6.6).
    pub poisons: bool,
    /// A thread can serve its own faults (Linux 4.14).
    pub signals: bool,
    /// Faults within system calls are permitted to this process.
    pub kernel_faults: bool,
}

impl Support {
    /// Asks the kernel.
    ///
    /// # Errors
    ///
    /// [`PagerError::NotPermitted`], [`PagerError::Unsupported`] or [`PagerError::System`]: there
    /// is no userfaultfd at all.
    pub fn probe() -> Result<Self, PagerError> {
        let (_, features, kernel_faults) = Uffd::open(0).map_err(refused)?;
        let has = |feature: u32| features & Features::from(feature) != 0;
        Ok(Self {
            moves: has(sys::UFFD_FEATURE_MOVE),
            protects: has(sys::UFFD_FEATURE_PAGEFAULT_FLAG_WP),
            poisons: has(sys::UFFD_FEATURE_POISON),
            signals: has(sys::UFFD_FEATURE_SIGBUS),
            kernel_faults,
        })
    }
}

/// Why there is no descriptor.
pub(crate) fn refused(error: std::io::Error) -> PagerError {
    match error.kind() {
        ErrorKind::PermissionDenied => PagerError::NotPermitted,
        ErrorKind::Unsupported => PagerError::Unsupported { what: "userfaultfd" },
        _ => PagerError::System(error),
    }
}
