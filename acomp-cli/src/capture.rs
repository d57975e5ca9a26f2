//! `acomp capture`: the anonymous memory of a live process as a page file.
//!
//! The process runs on meanwhile: each page is one that it had, not all at the same moment.

use std::fs::File;
use std::io::{BufWriter, IntoInnerError, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use acomp::zswap::PAGE_BYTES;
use anyhow::{Context, Error, Result, anyhow, ensure};
use procfs::ProcError;
use procfs::process::{
    MMPermissions, MMapPath, MemoryMap, MemoryPageFlags, PageInfo, PageMap, Process,
};
use tempfile::NamedTempFile;

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
    ensure!(
        procfs::page_size() == PAGE_BYTES as u64,
        "pages of this machine have {} bytes, not {PAGE_BYTES}",
        procfs::page_size()
    );
    let refused = |error| refused(args.pid, error);
    let process = Process::new(args.pid).map_err(refused)?;
    let maps: Vec<_> = process.maps().map_err(refused)?.into_iter().filter(is_wanted).collect();
    let memory = process.mem().map_err(refused)?;
    let page_map = process.pagemap().map_err(refused)?;

    // Under a name of its own until it is whole.
    let dir = args.output.parent().filter(|dir| *dir != Path::new("")).unwrap_or(Path::new("."));
    let cannot_write = || format!("cannot write {}", args.output.display());
    let file = NamedTempFile::new_in(dir).with_context(cannot_write)?;
    let ranges: Vec<_> = maps.iter().map(pages_of).collect();
    let looks = ranges.iter().map(|pages| pages.len().div_ceil(PAGES_PER_LOOK)).sum();
    let progress = Progress::new("capture", looks);
    let out = BufWriter::new(file);
    let mut capture = Capture { memory, page_map, out, progress, pages: 0, zero: 0, lost: 0 };
    for pages in ranges {
        capture.range(pages).with_context(cannot_write)?;
    }
    let Capture { out, pages, zero, lost, .. } = capture;
    let file = out.into_inner().map_err(IntoInnerError::into_error).with_context(cannot_write)?;
    file.persist(&args.output).map_err(|error| error.error).with_context(cannot_write)?;

    let row = row! {
        pid: args.pid,
        file: args.output.display().to_string(),
        mappings: maps.len(),
        pages: pages,
        zero_pages_dropped: zero,
        pages_gone_meanwhile: lost,
        bytes: pages * PAGE_BYTES,
    };
    let failure =
        (pages == 0).then(|| format!("process {} has no anonymous page with data", args.pid));
    Ok(Rows { failure, ..Rows::new(vec![row]) })
}

fn pages_of(map: &MemoryMap) -> Range<usize> {
    let page = |address: u64| address as usize / PAGE_BYTES;
    page(map.address.0)..page(map.address.1)
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

struct Capture {
    memory: File,
    page_map: PageMap,
    out: BufWriter<NamedTempFile>,
    progress: Progress,
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
            let infos = self.page_map.get_range_info(look.clone()).unwrap_or_default();
            for (number, info) in look.zip(infos) {
                if is_touched(&info) {
                    self.page(number)?;
                }
            }
            self.progress.step(1);
        }
        Ok(())
    }

    fn page(&mut self, number: usize) -> Result<()> {
        let mut page = [0; PAGE_BYTES];
        let address = (number * PAGE_BYTES) as u64;
        if self.memory.read_exact_at(&mut page, address).is_err() {
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
