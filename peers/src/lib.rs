//! The C libraries that `page-codec` is measured against and tested with.
//!
//! They are loaded at run time where they are installed, so that nothing in the workspace links
//! them or needs their headers; a library that is missing is an error that names its package.

mod isal;
mod libdeflate;
mod liblz4;
mod library;
mod verify;
mod zlib;

use std::process::Command;

pub use isal::{IsaLevel, Isal};
pub use libdeflate::Libdeflate;
pub use liblz4::Liblz4;
pub use verify::Verifier;
pub use zlib::Zlib;

/// A one-shot compressor of pages. `None`: the result does not fit `dst`, or `src` is no valid
/// stream.
pub trait Peer {
    /// Compresses `src` into `dst`; the length of the stream.
    fn compress(&mut self, src: &[u8], dst: &mut [u8]) -> Option<usize>;
    /// Decompresses the stream `src` into `dst`; the length of the data.
    fn decompress(&mut self, src: &[u8], dst: &mut [u8]) -> Option<usize>;
}

/// The version of an installed Debian package: not every library tells its own.
#[must_use]
pub fn package_version(package: &str) -> String {
    let query = Command::new("dpkg-query").args(["-W", "-f=${Version}", package]).output();
    let version = query.ok().filter(|output| output.status.success());
    version.map_or("unknown".into(), |output| String::from_utf8_lossy(&output.stdout).into_owned())
}
