//! Loading libraries and finding their functions.

#![allow(unsafe_code)]

use anyhow::{Context, Result};
use libloading::Library;

/// Loads `file`, which Debian has in `package`.
pub(crate) fn load(file: &str, package: &str) -> Result<Library> {
    // SAFETY: the libraries named in this crate run no code of consequence when they are loaded.
    unsafe { Library::new(file) }
        .with_context(|| format!("{file} is missing; Debian has it in {package}"))
}

/// The address of `name`, whose library stays loaded as long as the process lives.
///
/// # Safety
/// `name` must have the type `F`.
pub(crate) unsafe fn symbol<F: Copy>(library: &'static Library, name: &str) -> Result<F> {
    // SAFETY: the type is the caller's to prove; the library is never unloaded.
    let symbol = unsafe { library.get::<F>(name.as_bytes()) };
    Ok(*symbol.with_context(|| format!("no symbol {name}"))?)
}
