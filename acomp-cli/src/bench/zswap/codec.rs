//! What a page costs beside its codec: the time through zswap minus the time of the same bare
//! session calls on the same pages.

use std::hint::black_box;
use std::sync::Arc;

use acomp::zswap::{Load, Owner, PAGE_BYTES, Page, Pool};
use acomp::{AlgInfo, Algorithm, Codec, Error, OpenError, Outcome, Params, Registry};
use anyhow::{Context, Result, ensure};

use super::{FOLIO_PAGES, folio_slot};
use crate::bench::rounds::{interleaved, median};
use crate::output::{Row, rounded, row};
use crate::pages;

/// Times of a page, with its codec alone and through zswap.
pub(super) struct Beside {
    driver: String,
    pages: usize,
    pub(super) codec_store_us: f64,
    pub(super) store_us: f64,
    pub(super) store_extra_us: f64,
    pub(super) codec_load_us: f64,
    pub(super) load_us: f64,
    pub(super) load_extra_us: f64,
}

impl Beside {
    pub(super) fn row(&self) -> Row {
        row! {
            driver: self.driver,
            pages: self.pages,
            codec_store_us: self.codec_store_us,
            store_us: self.store_us,
            store_extra_us: self.store_extra_us,
            codec_load_us: self.codec_load_us,
            load_us: self.load_us,
            load_extra_us: self.load_extra_us,
        }
    }
}

/// Beside a codec that costs next to nothing.
pub(super) fn beside_stub(pages: &[Page]) -> Result<Beside> {
    // Of its own and without the self-test, which the stub, being no codec, would not pass.
    let registry = Registry::from_entries([]);
    let stub = registry.add(Arc::new(Stub))?;
    beside(&stub.alg().info().name, &registry, pages.to_vec())
}

/// Beside a codec that is linked.
pub(super) fn beside_codec(name: &str, pages: &[Page]) -> Result<Beside> {
    beside(name, Registry::global(), pages.to_vec())
}

fn beside(name: &str, registry: &Registry, pages: Vec<Page>) -> Result<Beside> {
    let pool = Pool::builder(registry).compressor(name).build()?;
    let acomp = pool.acomp();
    let (mut storing, mut loading) = (acomp.session()?, acomp.session()?);
    let pages = pages::compressible(pages, &mut storing)?;
    let mut dst = [0; PAGE_BYTES];
    let streams: Vec<Box<[u8]>> = pages
        .iter()
        .map(|page| storing.compress(page, &mut dst).map(|len| dst[..len].into()))
        .collect::<Result<_, Error>>()?;
    let mut backs = [vec![[0; PAGE_BYTES]; FOLIO_PAGES], vec![[0; PAGE_BYTES]; FOLIO_PAGES]];
    let [bare_back, pool_back] = &mut backs;

    let mut bare_store = || {
        for page in &pages {
            storing.compress(page, black_box(&mut dst[..PAGE_BYTES - 1]))?;
        }
        Ok(())
    };
    let mut pool_store = || {
        for (i, folio) in pages.chunks(FOLIO_PAGES).enumerate() {
            pool.store(folio_slot(i), folio, Owner::ROOT).context("store")?;
        }
        Ok(())
    };
    let mut bare_load = || {
        for streams in streams.chunks(FOLIO_PAGES) {
            for (stream, back) in streams.iter().zip(&mut *bare_back) {
                let len = loading.decompress(stream, black_box(back))?;
                ensure!(len == PAGE_BYTES, "a page came back short");
            }
        }
        Ok(())
    };
    let mut pool_load = || {
        for (i, folio) in pages.chunks(FOLIO_PAGES).enumerate() {
            let back = black_box(&mut pool_back[..folio.len()]);
            pool.load_range(folio_slot(i), back, Load::Exclusive).context("load")?;
        }
        Ok(())
    };
    let rounds = interleaved(
        "zswap",
        &mut [&mut bare_store, &mut pool_store, &mut bare_load, &mut pool_load],
    )?;
    let us = |of: fn(&[f64]) -> f64| {
        rounded(median(&rounds, |round| of(round) / 1000.0 / pages.len() as f64))
    };
    Ok(Beside {
        driver: acomp.driver().into(),
        pages: pages.len(),
        codec_store_us: us(|round| round[0]),
        store_us: us(|round| round[1]),
        store_extra_us: us(|round| round[1] - round[0]),
        codec_load_us: us(|round| round[2]),
        load_us: us(|round| round[3]),
        load_extra_us: us(|round| round[3] - round[2]),
    })
}

/// A codec that costs next to nothing and makes objects of a usual size.
#[derive(Debug)]
struct Stub;

static STUB: AlgInfo = AlgInfo::new("stub", "stub-1600");

impl Algorithm for Stub {
    fn info(&self) -> &AlgInfo {
        &STUB
    }

    fn open(&self, params: &Params) -> Result<Box<dyn Codec>, OpenError> {
        params.allow(&[])?;
        Ok(Box::new(StubCodec))
    }
}

struct StubCodec;

impl Codec for StubCodec {
    fn compress(&mut self, src: &[u8], dst: &mut [u8]) -> Outcome {
        let (src, dst) = (src.get(..STREAM_BYTES), dst.get_mut(..STREAM_BYTES));
        dst.ok_or(Error::DstTooSmall)?.copy_from_slice(src.ok_or(Error::Unsupported)?);
        Ok(STREAM_BYTES)
    }

    fn decompress(&mut self, src: &[u8], dst: &mut [u8]) -> Outcome {
        let head = dst.get_mut(..src.len()).ok_or(Error::DstTooSmall)?;
        head.copy_from_slice(src);
        Ok(dst.len())
    }
}

const STREAM_BYTES: usize = 1600;
