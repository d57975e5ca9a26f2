//! The C libraries that `page-codec` is measured against and tested with.
//!
//! They are loaded at run time where they are installed, so that nothing in the workspace links
//! them or needs their headers; a library that is missing is an error that names its package.

#![allow(unsafe_code)]

mod isal;
mod libdeflate;
mod liblz4;
mod zlib;

use std::process::Command;

use anyhow::{Context, Result};
use libloading::Library;

pub use isal::{IsaLevel, Isal};
pub use libdeflate::Libdeflate;
pub use liblz4::Liblz4;
pub use zlib::Zlib;

/// A one-shot compressor of pages. `None`: the result does not fit `dst`, or `src` is no valid
/// stream.
pub trait Peer {
    /// Compresses `src` into `dst`; the length of the stream.
    fn compress(&mut self, src: &[u8], dst: &mut [u8]) -> Option<usize>;
    /// Decompresses the stream `src` into `dst`; the length of the data.
    fn decompress(&mut self, src: &[u8], dst: &mut [u8]) -> Option<usize>;
}

fn load(file: &str, package: &str) -> Result<Library> {
    // SAFETY: the libraries named in this crate run no code of consequence when they are loaded.
    unsafe { Library::new(file) }
        .with_context(|| format!("{file} is missing; Debian has it in {package}"))
}

/// The version of an installed Debian package: not every library tells its own.
#[must_use]
pub fn package_version(package: &str) -> String {
    let query = Command::new("dpkg-query").args(["-W", "-f=${Version}", package]).output();
    let version = query.ok().filter(|output| output.status.success());
    version.map_or("unknown".into(), |output| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The address of `name`, whose library stays loaded as long as the process lives.
///
/// # Safety
/// `name` must have the type `F`.
unsafe fn symbol<F: Copy>(library: &'static Library, name: &str) -> Result<F> {
    // SAFETY: the type is the caller's to prove; the library is never unloaded.
    let symbol = unsafe { library.get::<F>(name.as_bytes()) };
    Ok(*symbol.with_context(|| format!("no symbol {name}"))?)
}
