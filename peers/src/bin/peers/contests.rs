//! Which candidates are compared, and over what.

use anyhow::{Context, Result};
use fastrand::Rng;
use page_codec::deflate::{Effort, Encoder};
use peers::{IsaLevel, Isal, Libdeflate, Liblz4, Peer};

use crate::PAGE_BYTES;
use crate::candidates::{
    Candidate, DST_BYTES, compressing, decompressing, deflating, inflating, lz4_decoding,
    lz4_encoding,
};

/// Pages, or their streams.
pub(crate) type Corpus = Vec<Vec<u8>>;

/// Candidates that do the same work; the first is the one that the others are compared with.
pub(crate) struct Contest {
    pub(crate) corpora: Vec<Corpus>,
    pub(crate) candidates: Vec<Candidate>,
}

/// Makes a contest over these pages, if the libraries that it needs are installed.
type Make = fn(&[Corpus]) -> Result<Contest>;

pub(crate) const CONTESTS: &[(&str, Make)] = &[
    ("fixed compress", |pages| {
        let corpora = pages.to_vec();
        Ok(Contest { corpora, candidates: compressors(IsaLevel::Fixed, Encoder::fixed)? })
    }),
    ("fixed decompress", |pages| {
        let corpora = encoded(pages, Isal::open(IsaLevel::Fixed)?)?;
        Ok(Contest { corpora, candidates: decompressors()? })
    }),
    ("dynamic compress", |pages| {
        let corpora = pages.to_vec();
        Ok(Contest { corpora, candidates: compressors(IsaLevel::One, Encoder::dynamic)? })
    }),
    ("dynamic decompress", |pages| {
        let corpora = encoded(pages, Libdeflate::open(6)?)?;
        Ok(Contest { corpora, candidates: decompressors()? })
    }),
    ("random compress", |_| {
        let candidates = vec![
            compressing("isal", "libisal2", Isal::open(IsaLevel::Fixed)?),
            deflating("fixed", Encoder::fixed()),
            deflating("dynamic", Encoder::dynamic()),
        ];
        Ok(Contest { corpora: vec![random_pages()], candidates })
    }),
    ("lz4 compress", |pages| {
        let candidates =
            vec![compressing("liblz4", "liblz4-1", Liblz4::open(1)?), lz4_encoding("page-codec")];
        Ok(Contest { corpora: pages.to_vec(), candidates })
    }),
    ("lz4 decompress", |pages| {
        let candidates = vec![
            decompressing("liblz4", "liblz4-1", Liblz4::open(1)?),
            lz4_decoding("single", 1),
            lz4_decoding("batch 8", 8),
        ];
        Ok(Contest { corpora: encoded(pages, Liblz4::open(1)?)?, candidates })
    }),
];

fn compressors(level: IsaLevel, encoder: fn() -> Encoder) -> Result<Vec<Candidate>> {
    Ok(vec![
        compressing("isal", "libisal2", Isal::open(level)?),
        deflating("fast", encoder()),
        deflating("dense", encoder().effort(Effort::Dense)),
    ])
}

fn decompressors() -> Result<Vec<Candidate>> {
    Ok(vec![
        decompressing("libdeflate", "libdeflate0", Libdeflate::open(1)?),
        inflating("single", 1),
        inflating("batch 8", 8),
    ])
}

fn encoded(corpora: &[Corpus], mut peer: impl Peer) -> Result<Vec<Corpus>> {
    let mut dst = vec![0; DST_BYTES];
    let mut encode = |page: &Vec<u8>| {
        let len = peer.compress(page, &mut dst).context("a peer failed")?;
        Ok(dst[..len].to_vec())
    };
    corpora.iter().map(|corpus| corpus.iter().map(&mut encode).collect()).collect()
}

fn random_pages() -> Corpus {
    let mut rng = Rng::with_seed(1);
    (0..1024).map(|_| (0..PAGE_BYTES).map(|_| rng.u8(..)).collect()).collect()
}
