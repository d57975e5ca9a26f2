//! `842`: one 842 stream as the kernel's, by `page-codec`.

use std::sync::Arc;

use acomp_core::{AlgInfo, Registration};
use page_codec::e842::Encoder;

use crate::page::{PageDriver, info, stream_of};

static INFO: AlgInfo = info("842", "842-page");

acomp_core::inventory::submit!(Registration::new(
    &INFO,
    || Ok(Arc::new(PageDriver { info: &INFO, open: || Box::new(Stream(Encoder::new())) })),
    module_path!()
));

stream_of!(e842);
