//! Compression of memory pages through one API, in software and on accelerators: the abstraction.
//!
//! - **Algorithm authors** implement [`Algorithm`] and [`Codec`] and submit a [`Registration`].
//! - **Consumers** allocate a transform by name ([`Acomp::alloc`]), open a [`Session`] and run
//!   single pages or chains of them ([`Session::run`]); a driver that knows nothing of batches
//!   runs a chain one by one.
//!
//! This crate holds no codec, no device and no I/O. Link `acomp-algs` for software codecs, or name
//! the facade crate `acomp`, which does it for you.
//!
//! ```
//! use acomp_algs as _; // links the drivers
//! use acomp_core::{Acomp, Chain, Op};
//!
//! let acomp = Acomp::alloc("lz4")?;
//! let mut session = acomp.session()?;
//!
//! let page = [7u8; 4096];
//! let (mut first, mut second) = ([0u8; 4096], [0u8; 4096]);
//! let mut chain = Chain::<8>::new();
//! chain.push(Op::compress(&page, &mut first)).expect("room for 8");
//! chain.push(Op::compress(&page, &mut second)).expect("room for 8");
//!
//! let summary = session.run(chain.as_mut_ops());
//! assert_eq!((summary.ok, summary.failed), (2, 0));
//!
//! let mut back = [0u8; 4096];
//! assert_eq!(session.decompress(chain.ops()[1].output(), &mut back), Ok(4096));
//! assert_eq!(back, page);
//! # Ok::<(), acomp_core::OpenError>(())
//! ```
//!
//! # Panics
//!
//! Nothing in the public API panics. A panic inside a driver is caught: its ops end as
//! [`Error::Panicked`] and so does every later op of that session, until it is replaced; a job that
//! dies with its engine ends as [`Error::DeviceLost`]. In a program built with `panic = "abort"` a
//! panicking driver ends the process. Only the `Drop` of an [`Algorithm`] or an [`Engine`] itself
//! is not contained: it runs where the last user lets go of it.

mod alg;
mod buf;
mod combinators;
mod engine;
mod error;
mod flags;
mod handle;
mod inflight;
#[cfg(all(test, loom))]
mod loom_models;
mod name;
mod op;
mod panics;
mod params;
mod port;
mod registry;
mod request;
mod selftest;
mod slot;
mod stats;
mod submitter;
mod sync;
mod template;

pub use alg::{AlgInfo, Algorithm, Codec, Kind};
pub use buf::Buf;
pub use combinators::{OrSoftware, Timeout};
pub use engine::{DrivenBy, Engine, Job, JobId, Progress, Refused};
pub use error::{AddError, Error, Misuse, OpenError, Outcome};
pub use flags::{AlgFlags, ReqFlags};
pub use handle::{Acomp, Session};
pub use inflight::{Inflight, Inflights};
pub use op::{Chain, Direction, ExecutedOn, MAX_BATCH, Op, OpMut, Ops, RunSummary};
pub use params::Params;
pub use port::Port;
pub use registry::{AddGuard, AlgRef, Registration, Registry, RegistryBuilder};
pub use request::{Completion, Rejected, Request};
pub use selftest::{SelfTestHook, Verdict};
pub use stats::{Flow, Stats};
pub use submitter::Submitter;
pub use template::{TemplateArgs, TemplateRegistration};

/// For `acomp_core::inventory::submit!`, by which drivers, self-tests and templates register.
pub use inventory;
