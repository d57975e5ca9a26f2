//! Codecs in the one shape in which they are timed.

use page_codec::{Page, deflate, lz4};
use peers::{Peer, package_version};

use crate::PAGE_BYTES;

/// A codec, and the name under which its figures are printed.
pub(crate) struct Candidate {
    pub(crate) name: String,
    pub(crate) codec: Codec,
}

/// Runs over a corpus; the length of each result.
type Codec = Box<dyn FnMut(&[Vec<u8>]) -> Vec<usize>>;

impl Candidate {
    fn new(name: impl Into<String>, codec: impl FnMut(&[Vec<u8>]) -> Vec<usize> + 'static) -> Self {
        Self { name: name.into(), codec: Box::new(codec) }
    }
}

pub(crate) fn compressing(name: &str, package: &str, mut peer: impl Peer + 'static) -> Candidate {
    let mut dst = vec![0; PAGE_BYTES];
    Candidate::new(format!("{name} {}", package_version(package)), move |pages| {
        pages.iter().map(|page| peer.compress(page, &mut dst).unwrap_or(PAGE_BYTES)).collect()
    })
}

pub(crate) fn decompressing(name: &str, package: &str, mut peer: impl Peer + 'static) -> Candidate {
    let mut dst = vec![0; PAGE_BYTES];
    Candidate::new(format!("{name} {}", package_version(package)), move |streams| {
        streams.iter().map(|src| peer.decompress(src, &mut dst).unwrap_or(0)).collect()
    })
}

pub(crate) fn deflating(name: &str, mut encoder: deflate::Encoder) -> Candidate {
    let mut dst = vec![0; PAGE_BYTES];
    Candidate::new(name, move |pages| {
        pages.iter().map(|page| encoder.encode(page, &mut dst).unwrap_or(PAGE_BYTES)).collect()
    })
}

pub(crate) fn inflating(name: &str, batch: usize) -> Candidate {
    let mut decoder = Box::new(deflate::Decoder::new());
    let mut dsts = vec![[0; PAGE_BYTES]; batch];
    Candidate::new(name, move |streams| {
        if let [dst] = &mut *dsts {
            let mut len = |src| decoder.decode(src, dst).map_or(0, |decoded| decoded.produced);
            return streams.iter().map(|src| len(src)).collect();
        }
        let run = |pages: &mut [Page<'_, _>]| decoder.decode_batch(pages);
        in_batches(streams, &mut dsts, run, |decoded| decoded.produced)
    })
}

pub(crate) fn lz4_encoding(name: &str) -> Candidate {
    let (mut encoder, mut dst) = (Box::new(lz4::Encoder::new()), vec![0; PAGE_BYTES]);
    Candidate::new(name, move |pages| {
        pages.iter().map(|page| encoder.encode(page, &mut dst).unwrap_or(PAGE_BYTES)).collect()
    })
}

pub(crate) fn lz4_decoding(name: &str, batch: usize) -> Candidate {
    let mut dsts = vec![[0; PAGE_BYTES]; batch];
    Candidate::new(name, move |blocks| {
        if let [dst] = &mut *dsts {
            return blocks.iter().map(|src| lz4::decode(src, dst).unwrap_or(0)).collect();
        }
        in_batches(blocks, &mut dsts, lz4::decode_batch, |len| len)
    })
}

/// Runs as many streams at a time as there are destinations.
fn in_batches<T: Copy, E>(
    streams: &[Vec<u8>],
    dsts: &mut [[u8; PAGE_BYTES]],
    mut run: impl FnMut(&mut [Page<'_, Result<T, E>>]),
    len: fn(T) -> usize,
) -> Vec<usize> {
    let mut lens = Vec::with_capacity(streams.len());
    for streams in streams.chunks(dsts.len()) {
        let mut pages: Vec<_> =
            streams.iter().zip(&mut *dsts).map(|(src, dst)| Page::new(src, dst)).collect();
        run(&mut pages);
        lens.extend(pages.iter().map(|page| match page.result {
            Some(Ok(result)) => len(result),
            _ => 0,
        }));
    }
    lens
}

/// Room for a page that does not compress.
pub(crate) const DST_BYTES: usize = 2 * PAGE_BYTES;
