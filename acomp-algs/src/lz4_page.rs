//! `lz4` for pages: one LZ4 block, by `page-codec`.

use std::sync::Arc;

use acomp_core::{AlgInfo, Registration};
use page_codec::lz4::Encoder;

use crate::page::{PageDriver, info, stream_of};

static INFO: AlgInfo = info("lz4", "lz4-page");

acomp_core::inventory::submit!(Registration::new(
    &INFO,
    || Ok(Arc::new(PageDriver { info: &INFO, open: || Box::new(Stream(Encoder::new())) })),
    module_path!()
));

stream_of!(lz4);
