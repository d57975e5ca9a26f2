//! Conformance of drivers: what every algorithm must do, and a gate that tests it before first use.
//!
//! A program that links this crate (the facade `acomp` does) has every driver tested by
//! [`Suite::Gate`] when it is first allocated; one that fails is refused, with the failing case as
//! the reason, and the next best driver of the name is used.
//!
//! Milliseconds are too many, or a driver is to be used that fails? A registry tests what it is
//! told to, and the global one is told everything that is linked:
//!
//! ```
//! use acomp_core::inventory::iter;
//! use acomp_core::{Registration, Registry, TemplateRegistration};
//!
//! // Without `.self_tests(..)`: nobody is tested, nor are drivers that are added.
//! let drivers = Registry::builder().entries(iter::<Registration>);
//! let registry = drivers.templates(iter::<TemplateRegistration>).build();
//! ```
//!
//! # For authors of drivers
//!
//! Depend on this crate in `[dev-dependencies]`, and let [`conformance!`] make the tests; add a
//! [`VectorSet`] if the format is not known here (`null`, `842`, `deflate`, `lz4`, `lz4hc`, `lzo`,
//! `lzo-rle`, `zstd`), since a codec may misunderstand itself both ways. The folder
//! `examples/author` of the repository is a whole crate.
//!
//! ```
//! use acomp_core::{AlgInfo, Algorithm, Codec, Error, OpenError, Outcome, Params};
//! use acomp_testmgr::{Suite, Vector, VectorSet, alg_test, conformance};
//!
//! /// Runs: pairs of a length from 1 to 255 and a byte.
//! #[derive(Debug)]
//! struct Rle;
//!
//! static INFO: AlgInfo = AlgInfo::new("rle", "rle-toy");
//!
//! impl Algorithm for Rle {
//!     fn info(&self) -> &AlgInfo {
//!         &INFO
//!     }
//!     fn open(&self, params: &Params) -> Result<Box<dyn Codec>, OpenError> {
//!         params.allow(&[])?;
//!         Ok(Box::new(RleCodec))
//!     }
//! }
//!
//! struct RleCodec;
//!
//! impl Codec for RleCodec {
//!     fn compress(&mut self, src: &[u8], dst: &mut [u8]) -> Outcome {
//!         let mut len = 0;
//!         for run in src.chunk_by(|a, b| a == b).flat_map(|run| run.chunks(255)) {
//!             let pair = dst.get_mut(len..len + 2).ok_or(Error::DstTooSmall)?;
//!             pair.copy_from_slice(&[run.len() as u8, run[0]]);
//!             len += 2;
//!         }
//!         Ok(len)
//!     }
//!     fn decompress(&mut self, src: &[u8], dst: &mut [u8]) -> Outcome {
//!         let (pairs, []) = src.as_chunks() else { return Err(Error::Corrupt) };
//!         if pairs.iter().any(|[run, _]| *run == 0) {
//!             return Err(Error::Corrupt);
//!         }
//!         let mut len = 0;
//!         for [run, byte] in pairs {
//!             let end = len + usize::from(*run);
//!             dst.get_mut(len..end).ok_or(Error::DstTooSmall)?.fill(*byte);
//!             len = end;
//!         }
//!         Ok(len)
//!     }
//! }
//!
//! static VECTORS: &[Vector] = &[
//!     Vector::accepted("two-runs", &[3, b'a', 2, b'b'], b"aaabb"),
//!     Vector::refused("cut-off", &[3]),
//! ];
//!
//! acomp_core::inventory::submit! { VectorSet::new("rle", VECTORS, module_path!()) }
//!
//! conformance!(Rle); // a `#[test]` for each theme
//!
//! // The same in one piece, for those who have drivers in a list.
//! let report = alg_test(&Rle, Suite::Full);
//! assert!(report.is_passed(), "{report}");
//! ```
//!
//! # What is tested
//!
//! - **open**: the driver opens without parameters;
//! - **facts**: names and batch size are possible, an unknown parameter is refused;
//! - **vectors**: streams of other implementations are read, broken ones are refused;
//! - **round trip**: every [`Content`] in sizes from nothing to 64 KiB comes back;
//! - **small destination**: the answer is the right data or `DstTooSmall`, nothing is written
//!   outside, and data fits a destination of its own length;
//! - **damaged stream**: a cut, changed or extended stream never panics and fails in no other way
//!   than `Corrupt` and `DstTooSmall`, and what follows a stream is not ignored;
//! - **chain**: n ops at once do what n calls do, in any split, whichever of them fail;
//! - **state**: a codec after an error is like a fresh one, and codecs, also of two threads at a
//!   time, do not share state;
//! - **matrix**: a session, a future, a wait and a poll give the same answers, from any memory,
//!   alone or in a chain, and each once.
//!
//! Sources are never longer than [`AlgInfo::src_bytes_max`](acomp_core::AlgInfo::src_bytes_max).
//! Compressed bytes are never compared with known ones: every codec may find its own. A codec that
//! does not return is not caught.

mod conformance;
mod content;
pub mod matrix;
mod report;
mod subject;
mod themes;
mod trial;
mod vectors;

use acomp_core::{Algorithm, Params, SelfTestHook};

pub use content::Content;
pub use report::{Failure, Report, Suite};
pub use themes::Theme;
pub use vectors::{Expected, Vector, VectorSet};

use subject::Driver;
use trial::{Trial, caught};

/// Tests one driver, without parameters. Deterministic: two runs have the same cases. A panic of
/// the driver is a failure; a driver that cannot be opened, too.
#[must_use]
pub fn alg_test(alg: &dyn Algorithm, suite: Suite) -> Report {
    test(alg, suite, Theme::ALL)
}

/// Tests one property of [`Suite::Full`], and that the driver opens: what a test of
/// [`conformance!`] does.
#[must_use]
pub fn theme_test(alg: &dyn Algorithm, theme: Theme) -> Report {
    test(alg, Suite::Full, &[theme])
}

fn test(alg: &dyn Algorithm, suite: Suite, themes: &[Theme]) -> Report {
    let mut report = Report { cases: 1, ..Report::default() };
    let opened = caught(|| {
        let driver = Driver::prepare(alg, &Params::new()).map_err(|why| why.to_string())?;
        drop(driver.open()?);
        Ok(driver)
    });
    match opened {
        Err(why) => {
            let case = "without parameters".into();
            report.failures.push(Failure { theme: Theme::Open, case, why });
        }
        Ok(driver) => {
            for &theme in themes {
                let mut trial = Trial::new(&driver, suite, theme, &mut report);
                theme.run(&mut trial);
                trial.close();
            }
        }
    }
    report
}

acomp_core::inventory::submit!(SelfTestHook::new(
    |alg| match alg_test(alg, Suite::Gate).failures.first() {
        None => Ok(()),
        Some(failure) => Err(failure.to_string().into()),
    },
    module_path!(),
));
