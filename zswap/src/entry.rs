//! What is kept of one page.

use std::sync::Arc;

use crate::page::{Page, fill};

/// One stored page. Whoever holds the entry owns it: a store until it is committed, then the tree.
/// Cloning is cheap and lets a load read without holding the tree.
#[derive(Clone, Debug)]
pub(crate) enum Entry {
    /// Every word of the page is this one.
    SameFilled(u64),
    /// The page itself, which did not compress.
    Raw(Arc<[u8]>),
    /// The page as a stream of the pool's compressor.
    Compressed(Arc<[u8]>),
}

impl Entry {
    pub(crate) fn raw(page: &Page) -> Self {
        Self::Raw(page.as_slice().into())
    }

    /// Copies the page into `dst` if that needs no decompression; else gives the stream.
    #[inline]
    pub(crate) fn copy_or_stream(&self, dst: &mut Page) -> Option<&[u8]> {
        match self {
            Self::SameFilled(word) => fill(dst, *word),
            Self::Raw(page) => dst.copy_from_slice(page),
            Self::Compressed(stream) => return Some(stream),
        }
        None
    }

    /// Whether both are the result of one store, or cannot be told apart.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::SameFilled(a), Self::SameFilled(b)) => a == b,
            (Self::Raw(a), Self::Raw(b)) | (Self::Compressed(a), Self::Compressed(b)) => {
                Arc::ptr_eq(a, b)
            }
            _ => false,
        }
    }

    /// Bytes held for the content of the page.
    pub(crate) fn len_bytes(&self) -> usize {
        match self {
            Self::SameFilled(_) => 0,
            Self::Raw(content) | Self::Compressed(content) => content.len(),
        }
    }
}
