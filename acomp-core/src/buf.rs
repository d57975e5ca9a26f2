//! Buffers that are owned, so that a device can hold one while whoever asked for the work is gone.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes that travel with a request: leased from a pool, to which they return when dropped, or
/// anybody's `Box<[u8]>`.
///
/// ```
/// use acomp_core::Buf;
/// let mut buf = Buf::from(vec![1, 2, 3]);
/// buf[0] = 9;
/// assert_eq!(&buf[..], [9, 2, 3]);
/// ```
///
/// # Not possible
///
/// Reading it while a device may write to it:
///
/// ```compile_fail,E0382
/// # use acomp_core::{Buf, Request, Submitter};
/// fn read_too_early(submitter: &Submitter, src: Buf, dst: Buf) -> u8 {
///     let _inflight = submitter.submit(Request::compress(src, dst));
///     dst[0]
/// }
/// ```
pub struct Buf {
    bytes: Box<[u8]>,
    /// Where the first byte that counts stands.
    start: usize,
    len: usize,
    pool: Option<BufPool>,
}

impl Buf {
    /// Makes it shorter: only the first `len` bytes count. It never grows.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }
}

impl Deref for Buf {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[self.start..self.start + self.len]
    }
}

impl DerefMut for Buf {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.start + self.len]
    }
}

impl From<Box<[u8]>> for Buf {
    fn from(bytes: Box<[u8]>) -> Self {
        let len = bytes.len();
        Self { bytes, start: 0, len, pool: None }
    }
}

impl From<Vec<u8>> for Buf {
    fn from(bytes: Vec<u8>) -> Self {
        bytes.into_boxed_slice().into()
    }
}

impl Drop for Buf {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.take() {
            pool.free().push(std::mem::take(&mut self.bytes));
        }
    }
}

impl fmt::Debug for Buf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buf")
            .field("len", &self.len)
            .field("is_leased", &self.pool.is_some())
            .finish_non_exhaustive()
    }
}

/// A fixed number of buffers of one size. Leases keep it alive.
#[derive(Clone)]
pub(crate) struct BufPool {
    inner: Arc<Inner>,
}

struct Inner {
    free: Mutex<Vec<Box<[u8]>>>,
    len_bytes: usize,
}

impl BufPool {
    pub(crate) fn new(count: usize, len_bytes: usize) -> Self {
        let buffer = || vec![0; len_bytes + ALIGN_BYTES - 1].into_boxed_slice();
        let free = Mutex::new((0..count).map(|_| buffer()).collect());
        Self { inner: Arc::new(Inner { free, len_bytes }) }
    }

    /// A buffer of `len` bytes, aligned to a page. `None` if all are leased, or too short.
    pub(crate) fn lease(&self, len: usize) -> Option<Buf> {
        if len > self.inner.len_bytes {
            return None;
        }
        let bytes = self.free().pop()?;
        let start = bytes.as_ptr().align_offset(ALIGN_BYTES);
        Some(Buf { bytes, start, len, pool: Some(self.clone()) })
    }

    fn free(&self) -> MutexGuard<'_, Vec<Box<[u8]>>> {
        self.inner.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const ALIGN_BYTES: usize = 4096;

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn leases_are_aligned_bounded_and_return() {
        let pool = BufPool::new(2, 100);
        let one = pool.lease(100).unwrap();
        let two = pool.lease(1).unwrap();
        assert_eq!((one.as_ptr().addr() % ALIGN_BYTES, one.len(), two.len()), (0, 100, 1));
        assert!(pool.lease(1).is_none(), "both are out");
        drop(two);
        assert!(pool.lease(101).is_none(), "too long");
        let mut again = pool.lease(50).unwrap();
        again.truncate(60);
        assert_eq!(again.len(), 50);
        drop(pool);
        drop((one, again)); // Their pool lives as long as they do.
    }
}
