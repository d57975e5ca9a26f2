//! `lzo` and `lzo-rle`: one LZO1X stream as the kernel's, by `page-codec`.
//!
//! Each reads the streams of both, as the kernel's do.

use std::sync::Arc;

use acomp_core::{AlgInfo, Registration};
use page_codec::lzo::Encoder;

use crate::page::{PageDriver, info, stream_of};

static LZO: AlgInfo = info("lzo", "lzo-page");
static LZO_RLE: AlgInfo = info("lzo-rle", "lzo-rle-page");

acomp_core::inventory::submit!(Registration::new(
    &LZO,
    || Ok(Arc::new(PageDriver { info: &LZO, open: || Box::new(Stream(Encoder::new())) })),
    module_path!()
));

acomp_core::inventory::submit!(Registration::new(
    &LZO_RLE,
    || Ok(Arc::new(PageDriver { info: &LZO_RLE, open: || Box::new(Stream(Encoder::with_runs())) })),
    module_path!()
));

stream_of!(lzo);
