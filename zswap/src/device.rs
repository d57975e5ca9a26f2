//! Devices that pages are written back to.
//!
//! The data path is blocking and allocates nothing. Control is asynchronous: whoever operates the
//! device awaits it, nothing in the data path does.

use std::fmt::Debug;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use async_trait::async_trait;
use rustix::fs::{FallocateFlags, OFlags, fallocate};

use crate::page::{PAGE_BYTES, Page};

/// Keeps pages in blocks that are numbered from 0. Which are in use is the pool's to know.
pub trait SwapDevice: Debug + Send + Sync {
    /// How many blocks of a page there are.
    fn blocks(&self) -> u32;

    /// Reads a block that was written.
    ///
    /// # Errors
    ///
    /// Whatever the device says. The pool answers the load with it, and keeps the page's entry.
    fn read(&self, block: u32, page: &mut Page) -> io::Result<()>;

    /// Writes pages to blocks. One caller at a time: a device that calls back into
    /// the pool may load and invalidate there, not have it write back.
    ///
    /// # Errors
    ///
    /// [`Unwritten`] tells how many, counted from the first one, are on the device all the same.
    /// The others stay in memory.
    fn write(&self, pages: &[(u32, &Page)]) -> Result<(), Unwritten>;
}

/// Not all pages were written.
#[derive(Debug, thiserror::Error)]
#[error("the device wrote {written} pages only")]
#[expect(clippy::exhaustive_structs, reason = "devices make it")]
pub struct Unwritten {
    /// Pages that are on the device, counted from the first.
    pub written: usize,
    /// Why the next one is not.
    #[source]
    pub error: io::Error,
}

/// Operates a device.
#[async_trait]
pub trait SwapDeviceControl: SwapDevice {
    /// Makes sure that what was written stays.
    async fn flush(&self) -> io::Result<()>;

    /// Gives the space of blocks back that are not in use.
    async fn trim(&self, first: u32, blocks: u32) -> io::Result<()>;

    /// How it is.
    async fn health(&self) -> Health;
}

/// How a device is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Health {
    /// Reads that failed so far.
    pub read_errors: u64,
    /// Writes that failed so far.
    pub write_errors: u64,
    /// Whether reads and writes go around the system's page cache, where they are aligned.
    pub is_direct: bool,
}

/// A file, which goes around the page cache where the file system can.
///
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("swap");
/// use zswap::{FileDevice, SwapDevice};
///
/// let device = FileDevice::create(&path, 1 << 20)?;
/// assert_eq!(device.blocks(), 256);
/// assert!(device.write(&[(7, &[1; 4096])]).is_ok());
/// let mut page = [0; 4096];
/// device.read(7, &mut page)?;
/// assert_eq!(page, [1; 4096]);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct FileDevice {
    file: File,
    direct: Option<File>,
    blocks: u32,
    read_errors: AtomicU64,
    write_errors: AtomicU64,
}

impl FileDevice {
    /// Makes the file, or empties it, with room for so many bytes of pages. The space is taken when
    /// it is written to.
    ///
    /// # Errors
    ///
    /// The file cannot be made that large.
    pub fn create(path: impl AsRef<Path>, bytes: u64) -> io::Result<Self> {
        let blocks = u32::try_from(bytes / PAGE_BYTES as u64);
        let blocks = blocks.map_err(|_| io::ErrorKind::FileTooLarge)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        let file = options.clone().create(true).truncate(true).open(&path)?;
        file.set_len(u64::from(blocks) * PAGE_BYTES as u64)?;
        let direct = options.custom_flags(OFlags::DIRECT.bits() as i32).open(&path).ok();
        let (read_errors, write_errors) = (AtomicU64::new(0), AtomicU64::new(0));
        Ok(Self { file, direct, blocks, read_errors, write_errors })
    }

    /// Direct transfers need memory that is aligned to pages.
    fn file_for(&self, page: &Page) -> &File {
        let is_aligned = page.as_ptr().addr().is_multiple_of(PAGE_BYTES);
        self.direct.as_ref().filter(|_| is_aligned).unwrap_or(&self.file)
    }

    fn check(&self, block: u32) -> io::Result<u64> {
        let is_there = block < self.blocks;
        let at = u64::from(block) * PAGE_BYTES as u64;
        is_there.then_some(at).ok_or_else(|| io::ErrorKind::InvalidInput.into())
    }
}

impl SwapDevice for FileDevice {
    fn blocks(&self) -> u32 {
        self.blocks
    }

    fn read(&self, block: u32, page: &mut Page) -> io::Result<()> {
        let read = self.check(block).and_then(|at| self.file_for(page).read_exact_at(page, at));
        read.inspect_err(|_| {
            self.read_errors.fetch_add(1, Relaxed);
        })
    }

    fn write(&self, pages: &[(u32, &Page)]) -> Result<(), Unwritten> {
        for (written, (block, page)) in pages.iter().enumerate() {
            let done =
                self.check(*block).and_then(|at| self.file_for(page).write_all_at(*page, at));
            done.map_err(|error| {
                self.write_errors.fetch_add(1, Relaxed);
                Unwritten { written, error }
            })?;
        }
        Ok(())
    }
}

#[async_trait]
impl SwapDeviceControl for FileDevice {
    async fn flush(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    async fn trim(&self, first: u32, blocks: u32) -> io::Result<()> {
        let end = first.checked_add(blocks).filter(|end| *end <= self.blocks);
        end.ok_or(io::ErrorKind::InvalidInput)?;
        let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        let [at, bytes] = [first, blocks].map(|blocks| u64::from(blocks) * PAGE_BYTES as u64);
        Ok(fallocate(&self.file, hole, at, bytes)?)
    }

    async fn health(&self) -> Health {
        Health {
            read_errors: self.read_errors.load(Relaxed),
            write_errors: self.write_errors.load(Relaxed),
            is_direct: self.direct.is_some(),
        }
    }
}
