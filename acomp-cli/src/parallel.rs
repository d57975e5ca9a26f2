//! Work on several threads at the same time, and when it was done.

use std::panic::resume_unwind;
use std::sync::RwLock;
use std::thread;

use anyhow::{Context, Result};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// From the first start to the last end, by the monotonic clock, which all processes share.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Span {
    start_ns: u64,
    end_ns: u64,
}

impl Span {
    /// Of all of them; of none if there are none.
    pub(crate) fn over(spans: impl IntoIterator<Item = Self>) -> Option<Self> {
        spans.into_iter().reduce(|a, b| Self {
            start_ns: a.start_ns.min(b.start_ns),
            end_ns: a.end_ns.max(b.end_ns),
        })
    }

    pub(crate) fn seconds(&self) -> f64 {
        (self.end_ns - self.start_ns) as f64 / 1e9
    }
}

/// Works on the parts at the same time, each on a thread of its own and with its number.
pub(crate) fn timed<P: Send>(
    parts: impl ExactSizeIterator<Item = P>,
    work: impl Fn(usize, P) -> Result<()> + Sync,
) -> Result<Span> {
    // Closed until every thread is there; opens also when one cannot be had.
    let gate = &RwLock::new(());
    let work = &work;
    let spans: Vec<Span> = thread::scope(|scope| {
        let closed = gate.write();
        let spawn = |(number, part)| {
            let run = move || {
                drop(gate.read());
                let start_ns = monotonic_ns();
                work(number, part).map(|()| Span { start_ns, end_ns: monotonic_ns() })
            };
            thread::Builder::new().spawn_scoped(scope, run).context("cannot start a thread")
        };
        let threads: Result<Vec<_>> = parts.enumerate().map(spawn).collect();
        drop(closed);
        let joined = threads?.into_iter().map(|thread| match thread.join() {
            Ok(span) => span,
            Err(panic) => resume_unwind(panic),
        });
        joined.collect::<Result<_>>()
    })?;
    Span::over(spans).context("no pages")
}

fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}
