//! What an algorithm author implements: facts and [`open`](Algorithm::open) in [`Algorithm`],
//! shared and cold; the work in [`Codec`], exclusive and hot.

use std::borrow::Cow;
use std::fmt::Debug;
use std::num::NonZeroUsize;
use std::sync::Arc;

use crate::error::{OpenError, Outcome};
use crate::flags::AlgFlags;
use crate::op::{Direction, ExecutedOn, Ops};
use crate::params::Params;
use crate::port::Port;

/// One implementation of an algorithm. Shared between threads; asked only when something is opened.
///
/// A whole driver:
///
/// ```
/// use std::sync::Arc;
/// use acomp_core::{AlgInfo, Algorithm, Codec, Error, OpenError, Outcome, Params, Registration};
///
/// #[derive(Debug)]
/// struct Inverted;
///
/// static INFO: AlgInfo = AlgInfo::new("inverted", "inverted-rs").with_priority(100);
///
/// impl Algorithm for Inverted {
///     fn info(&self) -> &AlgInfo {
///         &INFO
///     }
///     fn open(&self, params: &Params) -> Result<Box<dyn Codec>, OpenError> {
///         params.allow(&[])?;
///         Ok(Box::new(InvertedCodec))
///     }
/// }
///
/// struct InvertedCodec;
///
/// impl Codec for InvertedCodec {
///     fn compress(&mut self, src: &[u8], dst: &mut [u8]) -> Outcome {
///         let dst = dst.get_mut(..src.len()).ok_or(Error::DstTooSmall)?;
///         dst.iter_mut().zip(src).for_each(|(d, s)| *d = !s);
///         Ok(src.len())
///     }
///     fn decompress(&mut self, src: &[u8], dst: &mut [u8]) -> Outcome {
///         self.compress(src, dst)
///     }
/// }
///
/// acomp_core::inventory::submit! {
///     Registration::new(&INFO, || Ok(Arc::new(Inverted)), module_path!())
/// }
///
/// # let acomp = acomp_core::Acomp::alloc("inverted").unwrap();
/// # let mut out = [0; 3];
/// # assert_eq!(acomp.compress(&[0, 1, 2], &mut out), Ok(3));
/// # assert_eq!(out, [255, 254, 253]);
/// ```
pub trait Algorithm: Debug + Send + Sync + 'static {
    /// The facts. `name` and `driver` equal those of the registration.
    fn info(&self) -> &AlgInfo;

    /// Called once per [`Acomp`](crate::Acomp): checks the parameters and prepares what its
    /// sessions share (a digested dictionary, a worker pool). `None`: nothing to share, sessions
    /// are opened on `self`.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    fn prepare(&self, params: &Params) -> Result<Option<Arc<dyn Algorithm>>, OpenError> {
        let _ = params;
        Ok(None)
    }

    /// Opens a codec. All allocation happens here.
    ///
    /// # Errors
    ///
    /// [`OpenError::Unsupported`] for a parameter or value that another driver of the name may
    /// take, [`OpenError::InvalidParam`] for a value that none can, [`OpenError::Device`] when the
    /// device is absent.
    fn open(&self, params: &Params) -> Result<Box<dyn Codec>, OpenError>;

    /// Where requests enter the engine that completes them later; `None` if there is none, and
    /// requests complete where they are submitted.
    fn port(&self) -> Option<&Port> {
        None
    }

    /// What the driver counts beside [`AlgRef::stats`](crate::AlgRef::stats), under the names that
    /// users of its device know.
    fn counters(&self) -> Vec<(String, u64)> {
        Vec::new()
    }
}

/// The working state of an algorithm, used by one caller at a time.
///
/// One bound holds for every method: nothing is written beyond `dst`, which a slice guarantees, and
/// a returned length is at most `dst.len()`, which the session checks.
pub trait Codec: Send {
    /// Compresses all of `src` into `dst` and returns the length of the stream in bytes.
    ///
    /// # Errors
    ///
    /// [`DstTooSmall`](crate::Error::DstTooSmall) when the stream does not fit. `dst` is then
    /// unspecified.
    fn compress(&mut self, src: &[u8], dst: &mut [u8]) -> Outcome;

    /// Decompresses the stream that `src` consists of and returns the length of the data in bytes.
    ///
    /// # Errors
    ///
    /// [`Corrupt`](crate::Error::Corrupt) when `src` is not exactly one valid stream,
    /// [`DstTooSmall`](crate::Error::DstTooSmall) when the data does not fit. `dst` is then
    /// unspecified.
    fn decompress(&mut self, src: &[u8], dst: &mut [u8]) -> Outcome;

    /// Runs every op, in any order, and answers each once. A failing op does not stop the others.
    ///
    /// The default runs them one by one; a driver that gains from several at once overrides it and
    /// says so in [`AlgInfo::batch_size`]. At most [`MAX_BATCH`](crate::MAX_BATCH) ops come in one
    /// call.
    fn run(&mut self, ops: &mut Ops<'_, '_>) {
        for mut op in ops.iter_mut() {
            let direction = op.direction();
            let (src, dst) = op.io();
            let outcome = match direction {
                Direction::Compress => self.compress(src, dst),
                Direction::Decompress => self.decompress(src, dst),
            };
            op.complete(outcome, ExecutedOn::Driver);
        }
    }
}

/// Static facts about one implementation. `name` is what it does, `driver` is who does it.
///
/// ```
/// use std::num::NonZeroUsize;
/// use acomp_core::{AlgInfo, Kind};
/// const INFO: AlgInfo = AlgInfo::new("deflate", "deflate-toy")
///     .with_priority(110)
///     .with_batch_size(NonZeroUsize::new(8).unwrap());
/// assert!(INFO.is_batching() && INFO.kind == Kind::Software);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AlgInfo {
    /// Generic name: the format. Stored data is tagged with it.
    pub name: Cow<'static, str>,
    /// Driver name: the implementation, unique in a registry.
    pub driver: Cow<'static, str>,
    /// Among drivers of one name the highest is picked.
    pub priority: u32,
    /// Promises to callers.
    pub flags: AlgFlags,
    /// Longest source of a compression in bytes; `None` = no limit.
    pub src_bytes_max: Option<NonZeroUsize>,
    /// NUMA node of the device, if it has one.
    pub numa_node: Option<u32>,
    /// Upper bound of the ops that are useful in one chain, in either direction.
    pub batch_size: NonZeroUsize,
    /// Whether the work runs on the calling CPU.
    pub kind: Kind,
}

impl AlgInfo {
    /// A software implementation of priority 0 without batches, limits or promises.
    #[must_use]
    pub const fn new(name: &'static str, driver: &'static str) -> Self {
        Self {
            name: Cow::Borrowed(name),
            driver: Cow::Borrowed(driver),
            priority: 0,
            flags: AlgFlags::empty(),
            src_bytes_max: None,
            numa_node: None,
            batch_size: NonZeroUsize::MIN,
            kind: Kind::Software,
        }
    }

    /// Replaces both names by ones made at run time (a hot-plugged device, a template's instance).
    #[must_use]
    pub fn with_names(mut self, name: String, driver: String) -> Self {
        self.name = name.into();
        self.driver = driver.into();
        self
    }

    /// Sets the priority.
    #[must_use]
    pub const fn with_priority(mut self, priority: u32) -> Self {
        self.priority = priority;
        self
    }

    /// Sets the promises.
    #[must_use]
    pub const fn with_flags(mut self, flags: AlgFlags) -> Self {
        self.flags = flags;
        self
    }

    /// Sets the longest source of a compression in bytes.
    #[must_use]
    pub const fn with_src_bytes_max(mut self, src_bytes_max: NonZeroUsize) -> Self {
        self.src_bytes_max = Some(src_bytes_max);
        self
    }

    /// Sets the NUMA node of the device.
    #[must_use]
    pub const fn with_numa_node(mut self, numa_node: u32) -> Self {
        self.numa_node = Some(numa_node);
        self
    }

    /// Sets the batch size.
    #[must_use]
    pub const fn with_batch_size(mut self, batch_size: NonZeroUsize) -> Self {
        self.batch_size = batch_size;
        self
    }

    /// Sets the kind.
    #[must_use]
    pub const fn with_kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    /// Whether the work runs on the calling CPU.
    #[must_use]
    pub fn is_software(&self) -> bool {
        self.kind == Kind::Software
    }

    /// Whether a chain gains over single ops.
    #[must_use]
    pub fn is_batching(&self) -> bool {
        self.batch_size.get() > 1
    }
}

/// Where the work of an implementation is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// On the calling CPU.
    Software,
    /// On a device or on other threads.
    Offload,
}
