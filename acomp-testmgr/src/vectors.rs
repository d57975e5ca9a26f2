//! Streams that other implementations made, and what a decompressor must answer to them.

/// Known streams of one format, submitted with `acomp_core::inventory::submit!`; every driver of
/// the name is held to every set of the name.
///
/// ```
/// use acomp_testmgr::{Vector, VectorSet};
///
/// static VECTORS: &[Vector] = &[
///     Vector::accepted("two-runs", &[3, b'a', 2, b'b'], b"aaabb"),
///     Vector::refused("cut-off", &[3]),
/// ];
///
/// acomp_core::inventory::submit! { VectorSet::new("rle", VECTORS, module_path!()) }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct VectorSet {
    /// Generic name of the algorithms.
    pub name: &'static str,
    /// The streams.
    pub vectors: &'static [Vector],
    /// The module that submits them: `module_path!()`.
    pub origin: &'static str,
}

impl VectorSet {
    /// Describes a set.
    #[must_use]
    pub const fn new(name: &'static str, vectors: &'static [Vector], origin: &'static str) -> Self {
        Self { name, vectors, origin }
    }
}

acomp_core::inventory::collect!(VectorSet);

/// One stream, and what it is.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Vector {
    /// Names it in reports.
    pub name: &'static str,
    /// The source of the decompression.
    pub stream: &'static [u8],
    /// What the decompression answers.
    pub expected: Expected,
}

impl Vector {
    /// A stream that is read as `data`.
    #[must_use]
    pub const fn accepted(name: &'static str, stream: &'static [u8], data: &'static [u8]) -> Self {
        Self { name, stream, expected: Expected::Data(data) }
    }

    /// A stream that is refused.
    #[must_use]
    pub const fn refused(name: &'static str, stream: &'static [u8]) -> Self {
        Self { name, stream, expected: Expected::Corrupt }
    }
}

/// What the decompression of a known stream answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "bytes are a stream or they are not")]
pub enum Expected {
    /// These bytes.
    Data(&'static [u8]),
    /// [`Error::Corrupt`](acomp_core::Error::Corrupt).
    Corrupt,
}

/// The vectors of every set of this generic name, each with the origin of its set.
pub(crate) fn vectors_of(
    name: &str,
) -> impl Iterator<Item = (&'static str, &'static Vector)> + use<'_> {
    acomp_core::inventory::iter::<VectorSet>
        .into_iter()
        .filter(move |set| set.name == name)
        .flat_map(|set| set.vectors.iter().map(|vector| (set.origin, vector)))
}

acomp_core::inventory::submit!(VectorSet::new("null", NULL, module_path!()));
acomp_core::inventory::submit!(VectorSet::new("842", E842, module_path!()));
acomp_core::inventory::submit!(VectorSet::new("deflate", DEFLATE, module_path!()));
acomp_core::inventory::submit!(VectorSet::new("lz4", LZ4, module_path!()));
acomp_core::inventory::submit!(VectorSet::new("lz4hc", LZ4, module_path!()));
acomp_core::inventory::submit!(VectorSet::new("lzo", LZO, module_path!()));
acomp_core::inventory::submit!(VectorSet::new("lzo", LZO_RLE, module_path!()));
acomp_core::inventory::submit!(VectorSet::new("lzo-rle", LZO, module_path!()));
acomp_core::inventory::submit!(VectorSet::new("lzo-rle", LZO_RLE, module_path!()));
acomp_core::inventory::submit!(VectorSet::new("zstd", ZSTD, module_path!()));

/// A file that `vectors/make.py` made.
macro_rules! file {
    ($name:expr) => {
        include_bytes!(concat!("../vectors/", $name))
    };
}

macro_rules! accepted {
    ($name:literal, $data:expr) => {
        Vector::accepted($name, file!(concat!($name, ".stream")), $data)
    };
}

macro_rules! refused {
    ($name:literal) => {
        Vector::refused($name, file!(concat!($name, ".stream")))
    };
}

const NULL: &[Vector] =
    &[Vector::accepted("null/empty", &[], &[]), Vector::accepted("null/text", TEXT, TEXT)];

const E842: &[Vector] = &[
    accepted!("842/empty", &[]),
    accepted!("842/zeros", &[0; 24]),
    accepted!("842/repeat-and-four", b"abcdefghabcdefghabcd1234"),
    accepted!("842/short-data", b"hello"),
    accepted!("842/pairs", b"\0\x01\x02\x03\x04\x05\x06\x07\0\x01\0\x01\x06\x07\xaa\xbb"),
    accepted!("842/page-of-zeros", &[0; 4096]),
    accepted!("842/templates", file!("templates.data")),
    accepted!("842/rings", file!("rings.data")),
    refused!("842/no-bytes"),
    refused!("842/opcode-26"),
    refused!("842/opcode-31"),
    refused!("842/before-start"),
    refused!("842/own-block"),
    refused!("842/repeat-of-nothing"),
    refused!("842/short-data-of-none"),
    refused!("842/short-data-first"),
    refused!("842/checksum-wrong"),
    refused!("842/no-end"),
    refused!("842/cut-off"),
    refused!("842/cut-off-padding"),
    refused!("842/padding"),
    refused!("842/trailing-byte"),
    refused!("842/trailing-word"),
];

const DEFLATE: &[Vector] = &[
    accepted!("deflate/empty-fixed", &[]),
    accepted!("deflate/empty-stored", &[]),
    accepted!("deflate/stored", LITERALS),
    accepted!("deflate/fixed", TEXT),
    accepted!("deflate/huffman-only", TEXT),
    accepted!("deflate/dynamic", TEXT),
    accepted!("deflate/fast", TEXT),
    accepted!("deflate/sync-flush", TEXT),
    accepted!("deflate/run", RUN),
    accepted!("deflate/far", FAR),
    refused!("deflate/no-bytes"),
    refused!("deflate/block-type-3"),
    refused!("deflate/before-start"),
    refused!("deflate/length-symbol-286"),
    refused!("deflate/distance-symbol-30"),
    refused!("deflate/oversubscribed"),
    refused!("deflate/cut-off"),
    refused!("deflate/cut-off-end"),
    refused!("deflate/cut-off-stored"),
    refused!("deflate/trailing-byte"),
    refused!("deflate/two-streams"),
    refused!("deflate/stored-length"),
];

const LZ4: &[Vector] = &[
    accepted!("lz4/empty", &[]),
    accepted!("lz4/literals", LITERALS),
    accepted!("lz4/offset-1", RUN),
    accepted!("lz4/run", RUN),
    accepted!("lz4/fast", TEXT),
    accepted!("lz4/default", TEXT),
    accepted!("lz4/high-compression", TEXT),
    refused!("lz4/no-bytes"),
    refused!("lz4/offset-0"),
    refused!("lz4/before-start"),
    refused!("lz4/cut-off-literals"),
    refused!("lz4/cut-off-length"),
    refused!("lz4/cut-off-offset"),
    refused!("lz4/cut-off-match-length"),
    refused!("lz4/trailing-byte"),
];

const LZO: &[Vector] = &[
    accepted!("lzo/empty", &[]),
    accepted!("lzo/literals", LITERALS),
    accepted!("lzo/first-byte", &[b'a'; 4]),
    accepted!("lzo/distance-1", RUN),
    accepted!("lzo/run", RUN),
    accepted!("lzo/default", TEXT),
    accepted!("lzo/far", FAR),
    refused!("lzo/no-bytes"),
    refused!("lzo/before-start"),
    refused!("lzo/end-with-length"),
    refused!("lzo/cut-off"),
    refused!("lzo/cut-off-end"),
    refused!("lzo/cut-off-literals"),
    refused!("lzo/cut-off-length"),
    refused!("lzo/trailing-byte"),
];

const LZO_RLE: &[Vector] = &[
    accepted!("lzo-rle/empty", &[]),
    accepted!("lzo-rle/literals", LITERALS),
    accepted!("lzo-rle/zeros", ZEROS),
    refused!("lzo-rle/cut-off"),
    refused!("lzo-rle/version-2"),
    refused!("lzo-rle/zeros-without-version"),
];

const ZSTD: &[Vector] = &[
    accepted!("zstd/empty", &[]),
    accepted!("zstd/fast", TEXT),
    accepted!("zstd/level-1", TEXT),
    accepted!("zstd/level-3", TEXT),
    accepted!("zstd/level-19", TEXT),
    accepted!("zstd/checksum", TEXT),
    accepted!("zstd/no-size", TEXT),
    accepted!("zstd/no-size-blocks", TEXT),
    accepted!("zstd/raw", LITERALS),
    accepted!("zstd/rle", RUN),
    accepted!("zstd/rle-raw-empty", RUN),
    refused!("zstd/no-bytes"),
    refused!("zstd/magic"),
    refused!("zstd/reserved-bit"),
    refused!("zstd/block-type-3"),
    refused!("zstd/wrong-size"),
    refused!("zstd/checksum-wrong"),
    refused!("zstd/cut-off"),
    refused!("zstd/cut-off-checksum"),
    refused!("zstd/no-last-block"),
    refused!("zstd/trailing-byte"),
    refused!("zstd/two-frames"),
    refused!("zstd/skippable"),
];

const TEXT: &[u8] = file!("text.data");
const FAR: &[u8] = file!("far.data");
const RUN: &[u8] = file!("run.data");
const ZEROS: &[u8] = &{
    let mut data = [0; 1 + 2051 + 5 + 1];
    data[0] = b'A';
    data[data.len() - 1] = b'C';
    data
};
const LITERALS: &[u8] = file!("literals.data");
