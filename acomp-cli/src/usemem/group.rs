//! The processes of a run, from their start to their rows.

use std::env;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

use super::worker::{AT_GATE, Outcome, Spec};

/// Whether the user wants the program to end.
#[derive(Clone, Debug)]
pub(super) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// From now on, Ctrl-C and its like are noticed instead of ending the program at once.
    pub(super) fn catch() -> Result<Self> {
        let is_wanted = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            flag::register(signal, Arc::clone(&is_wanted))?;
        }
        Ok(Self(is_wanted))
    }

    fn check(&self) -> Result<()> {
        ensure!(!self.0.load(Relaxed), "interrupted");
        Ok(())
    }
}

/// Killed when dropped.
#[derive(Debug)]
pub(super) struct Group<'i> {
    children: Vec<(Child, ChildStdin)>,
    events: Receiver<Event>,
    interrupt: &'i Interrupt,
}

#[derive(Debug)]
enum Event {
    AtGate,
    /// What came after the gates.
    Ended {
        process: usize,
        said: String,
    },
}

impl<'i> Group<'i> {
    pub(super) fn spawn(specs: &[Spec], interrupt: &'i Interrupt) -> Result<Self> {
        let (sender, events) = channel();
        let mut group = Self { children: Vec::new(), events, interrupt };
        for (process, spec) in specs.iter().enumerate() {
            let (child, stdin, stdout) = spawn(spec)?;
            group.children.push((child, stdin));
            let sender = sender.clone();
            thread::spawn(move || listen(process, stdout, &sender));
        }
        Ok(group)
    }

    /// Waits until all are at their next gate. Calls `tick` meanwhile.
    pub(super) fn wait(&mut self, tick: impl Fn() -> Result<()>) -> Result<()> {
        for _ in 0..self.children.len() {
            match self.event(&tick)? {
                Event::AtGate => {}
                Event::Ended { process, .. } => bail!("{}", self.end_of(process)?),
            }
        }
        Ok(())
    }

    /// Lets all go on.
    pub(super) fn open(&mut self) -> Result<()> {
        for (_, stdin) in &mut self.children {
            stdin.write_all(b"\n").context("a process of usemem is gone")?;
        }
        Ok(())
    }

    /// After the last gate.
    pub(super) fn outcomes(mut self) -> Result<Vec<Outcome>> {
        let mut outcomes = Vec::new();
        for _ in 0..self.children.len() {
            match self.event(&|| Ok(()))? {
                Event::AtGate => bail!("a process of usemem is at a gate too many"),
                Event::Ended { process, said } => match serde_json::from_str::<[_; 1]>(&said) {
                    Ok([outcome]) => outcomes.push(outcome),
                    Err(_) => bail!("{}", self.end_of(process)?),
                },
            }
        }
        Ok(outcomes)
    }

    fn event(&self, tick: &impl Fn() -> Result<()>) -> Result<Event> {
        loop {
            self.interrupt.check()?;
            match self.events.recv_timeout(TICK) {
                Ok(event) => return Ok(event),
                Err(RecvTimeoutError::Timeout) => tick()?,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Why a process did not do its work. It may have said more.
    fn end_of(&mut self, process: usize) -> Result<String> {
        let status = self.children[process].0.wait()?;
        Ok(match status.code() {
            Some(_) => "a process of usemem failed".into(),
            None => format!(
                "a process of usemem was killed ({status}): if it was for want of memory, raise \
                 --limit"
            ),
        })
    }
}

impl Drop for Group<'_> {
    fn drop(&mut self) {
        for (child, _) in &mut self.children {
            let _ = child.kill(); // It may have ended.
        }
        for (child, _) in &mut self.children {
            let _ = child.wait();
        }
    }
}

fn spawn(spec: &Spec) -> Result<(Child, ChildStdin, ChildStdout)> {
    let mut command = Command::new(env::current_exe()?);
    command.args(["--json", "usemem-worker", &serde_json::to_string(spec)?]);
    // In a group of its own: Ctrl-C is for its parent, which ends it.
    command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().context("cannot start a process")?;
    let stdin = child.stdin.take().context("no stdin")?;
    let stdout = child.stdout.take().context("no stdout")?;
    Ok((child, stdin, stdout))
}

fn listen(process: usize, stdout: ChildStdout, events: &Sender<Event>) {
    let mut stdout = BufReader::new(stdout);
    let mut said = String::new();
    while stdout.read_line(&mut said).is_ok_and(|read| read > 0) && said.trim_end() == AT_GATE {
        said.clear();
        let _ = events.send(Event::AtGate); // Who listens no more has killed the process.
    }
    let _ = stdout.read_to_string(&mut said);
    let _ = events.send(Event::Ended { process, said });
}

/// How late an interrupt may be noticed, and how long a limit stays as it is.
const TICK: Duration = Duration::from_millis(10);
