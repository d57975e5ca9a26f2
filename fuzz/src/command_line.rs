//! Properties of what the program `acomp` reads: sizes on its command line, and files of pages.

// The program's own source: as a library it runs the whole program, and nothing less.
#[path = "../../acomp-cli/src/args.rs"]
mod args;
#[path = "../../acomp-cli/src/pages/file.rs"]
mod file;

use acomp::zswap::PAGE_BYTES;

/// A size is refused, or is one that its number of bytes says, too.
pub fn byte_size(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    match args::parse_bytes(text) {
        Ok(bytes) => assert_eq!(args::parse_bytes(&bytes.to_string()), Ok(bytes), "{text}"),
        Err(error) => assert!(!error.is_empty()),
    }
}

/// A file of pages is those pages, the last one filled up with zeros.
pub fn page_file(input: &[u8]) {
    // Long, that is, of more pages than the fuzzer likes to make up.
    let file = input.repeat(input.first().map_or(0, |times| usize::from(*times)));
    let (pages, padding_bytes) = file::pages(&file);
    assert!(padding_bytes < PAGE_BYTES);
    let bytes = pages.as_flattened();
    assert_eq!(bytes.len(), file.len() + padding_bytes);
    assert!(bytes[..file.len()] == file && bytes[file.len()..].iter().all(|byte| *byte == 0));
}

/// Sizes with every unit, and what is none.
pub(crate) fn byte_size_seeds() -> Vec<Vec<u8>> {
    let sizes = [
        "", "0", "4096", "4K", "64k", "2M", "2MiB", "1.5 G", "1e9", "1_000", "16E", "17E", "-1",
        "0x10", "K",
    ];
    sizes.map(|size| size.into()).into()
}

/// No page, a part of one, one, and more.
pub(crate) fn page_file_seeds() -> Vec<Vec<u8>> {
    [&b""[..], b"\0", b"\x01", b"\x80a half", &[16; 256], &[255; 300]].map(Vec::from).into()
}
