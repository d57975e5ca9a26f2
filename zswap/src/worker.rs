//! A thread that maintains a pool.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Acquire, Ordering::Release};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use pollster::block_on;

use crate::device::SwapDeviceControl;
use crate::pool::Pool;

/// Maintains a pool until this is dropped: the kernel's `zswap-shrink`.
///
/// ```
/// use acomp_algs as _;
/// # use acomp_core::Registry;
/// use std::sync::Arc;
/// use zswap::{Housekeeping, Pool, Worker};
///
/// let builder = Pool::builder(Registry::global()).compressor("lz4");
/// let pool = Arc::new(builder.housekeeping(Housekeeping::Apart).build()?);
/// let worker = Worker::start(&pool)?;
/// drop(worker); // It ends, and the pool stays.
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Worker {
    pool: Arc<Pool>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// The system has no thread to give.
    pub fn start(pool: &Arc<Pool>) -> io::Result<Self> {
        Self::start_thread(pool, None)
    }

    /// The same, for a pool that writes back to a device that has something to be operated: its
    /// space is given back whenever all of it has become free, and it is flushed at the end.
    ///
    /// # Errors
    ///
    /// The system has no thread to give.
    pub fn operate(pool: &Arc<Pool>, device: Arc<dyn SwapDeviceControl>) -> io::Result<Self> {
        Self::start_thread(pool, Some(device))
    }

    fn start_thread(
        pool: &Arc<Pool>,
        device: Option<Arc<dyn SwapDeviceControl>>,
    ) -> io::Result<Self> {
        let is_over = Arc::new(AtomicBool::new(false));
        let (its_pool, its_end) = (Arc::clone(pool), Arc::clone(&is_over));
        let thread = thread::Builder::new().name("zswap-shrink".into()).spawn(move || {
            while !its_end.load(Acquire) {
                // What cannot be had now is asked for again when it is wanted; nor does a device
                // that panics end the maintenance of what needs none.
                let _ = catch_unwind(AssertUnwindSafe(|| its_pool.maintain()));
                if let Some(device) = &device {
                    // It is a matter of space only: an error is for the device's health to tell.
                    its_pool.trim_device(|blocks| drop(block_on(device.trim(0, blocks))));
                }
                if !its_pool.is_wanting() {
                    thread::park_timeout(IDLE_MAX);
                }
            }
            device.map(|device| block_on(device.flush()));
        })?;
        pool.add_worker(thread.thread().clone());
        Ok(Self { pool: Arc::clone(pool), is_over, thread: Some(thread) })
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.is_over.store(true, Release);
        if let Some(thread) = self.thread.take() {
            self.pool.remove_worker(thread.thread().id());
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

/// After that, it looks for what could be compacted or returned.
const IDLE_MAX: Duration = Duration::from_secs(1);
