//! `acomp capture`: the anonymous memory of a live process as a page file.
//!
//! The process runs on meanwhile: each page is one that it had, not all at the same moment.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use acomp::zswap::PAGE_BYTES;
use anyhow::{Context, Error, Result, anyhow};
use procfs::ProcError;
use procfs::process::{
    MMPermissions, MMapPath, MemoryMap, MemoryPageFlags, PageInfo, PageMap, Process,
};

use crate::output::{Rows, row};
use crate::progress::Progress;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The process.
    #[arg(long)]
    pid: i32,
    /// The page file to write.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

pub(crate) fn run(args: &Args) -> Result<Rows> {
    let refused = |error| refused(args.pid, error);
    let process = Process::new(args.pid).map_err(refused)?;
    let maps: Vec<_> = process.maps().map_err(refused)?.into_iter().filter(is_wanted).collect();
    let source = Source {
        memory: process.mem().map_err(refused)?,
        page_map: process.pagemap().map_err(refused)?,
    };

    let cannot_write = || format!("cannot write {}", args.output.display());
    let file = File::create(&args.output).with_context(cannot_write)?;
    let mut capture = Capture { source, out: BufWriter::new(file), pages: 0, zero: 0, lost: 0 };
    let progress = Progress::new("capture", maps.len());
    for map in &maps {
        let (start, end) = map.address;
        let page = |address: u64| address as usize / PAGE_BYTES;
        capture.range(page(start)..page(end)).with_context(cannot_write)?;
        progress.step();
    }
    capture.out.flush().with_context(cannot_write)?;
    let row = row! {
        pid: args.pid,
        file: args.output,
        mappings: maps.len(),
        pages: capture.pages,
        zero_pages_dropped: capture.zero,
        pages_gone_meanwhile: capture.lost,
        bytes: capture.pages * PAGE_BYTES,
    };
    let failure = (capture.pages == 0)
        .then(|| format!("process {} has no anonymous page that is not zero", args.pid));
    Ok(Rows { rows: vec![row], failure })
}

/// Readable and anonymous: what a kernel would swap.
fn is_wanted(map: &MemoryMap) -> bool {
    let is_anonymous = match &map.pathname {
        MMapPath::Anonymous | MMapPath::Heap | MMapPath::Stack | MMapPath::TStack(_) => true,
        MMapPath::Other(name) => name.starts_with("[anon"),
        _ => false,
    };
    is_anonymous && map.perms.contains(MMPermissions::READ | MMPermissions::PRIVATE)
}

struct Source {
    memory: File,
    page_map: PageMap,
}

struct Capture {
    source: Source,
    out: BufWriter<File>,
    pages: usize,
    zero: usize,
    lost: usize,
}

impl Capture {
    /// Writes the pages of a range that the process ever touched. Never those that it did not:
    /// reserved address space may be a thousand times the memory.
    fn range(&mut self, pages: Range<usize>) -> Result<()> {
        for first in pages.clone().step_by(PAGES_PER_LOOK) {
            let look = first..pages.end.min(first + PAGES_PER_LOOK);
            // A mapping that is gone meanwhile, or never had a page table, has nothing to read.
            let infos = self.source.page_map.get_range_info(look.clone()).unwrap_or_default();
            for (number, info) in look.zip(infos) {
                if is_touched(&info) {
                    self.page(number)?;
                }
            }
        }
        Ok(())
    }

    fn page(&mut self, number: usize) -> Result<()> {
        let mut page = [0; PAGE_BYTES];
        let address = (number * PAGE_BYTES) as u64;
        if self.source.memory.read_exact_at(&mut page, address).is_err() {
            self.lost += 1;
        } else if page == [0; PAGE_BYTES] {
            self.zero += 1;
        } else {
            self.out.write_all(&page)?;
            self.pages += 1;
        }
        Ok(())
    }
}

fn is_touched(info: &PageInfo) -> bool {
    match info {
        PageInfo::MemoryPage(flags) => flags.contains(MemoryPageFlags::PRESENT),
        PageInfo::SwapPage(_) => true,
    }
}

fn refused(pid: i32, error: ProcError) -> Error {
    match error {
        ProcError::NotFound(_) => anyhow!("there is no process {pid}"),
        ProcError::PermissionDenied(_) => anyhow!(
            "the memory of process {pid} may not be read: run as its user with \
             kernel.yama.ptrace_scope=0, or with the capability CAP_SYS_PTRACE (as root has)"
        ),
        other => Error::new(other).context(format!("process {pid} cannot be read")),
    }
}

const PAGES_PER_LOOK: usize = 512;
