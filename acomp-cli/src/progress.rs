//! A bar on stderr for what takes longer than a second. Nothing where stderr is no terminal.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

pub(crate) struct Progress {
    bar: ProgressBar,
    /// Its drop ends the wait for the first second.
    _done: Sender<()>,
}

impl Progress {
    pub(crate) fn new(what: &'static str, steps: usize) -> Self {
        let bar = ProgressBar::with_draw_target(Some(steps as u64), ProgressDrawTarget::hidden());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {wide_bar} {pos}/{len}") {
            bar.set_style(style);
        }
        bar.set_message(what);
        let (_done, ended) = channel();
        let late = bar.clone();
        thread::spawn(move || {
            if ended.recv_timeout(SILENT) == Err(RecvTimeoutError::Timeout) {
                late.set_draw_target(ProgressDrawTarget::stderr());
                late.enable_steady_tick(TICK);
            }
        });
        Self { bar, _done }
    }

    pub(crate) fn step(&self, steps: usize) {
        self.bar.inc(steps as u64);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

const SILENT: Duration = Duration::from_secs(1);
/// Rarely enough for a benchmark.
const TICK: Duration = Duration::from_millis(250);
