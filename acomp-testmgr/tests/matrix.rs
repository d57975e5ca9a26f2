//! The whole matrix, over a driver that is told how its calls are to end.

#![expect(clippy::unwrap_used, reason = "test helpers unwrap like tests")]

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex};

use acomp_core::{
    Acomp, AlgInfo, Algorithm, Codec, Direction, DrivenBy, Engine, Error, ExecutedOn, Job, JobId,
    Kind, OpenError, Outcome, Params, Port, Progress, Refused, Registry,
};
use acomp_testmgr::matrix::{Call, Cell, Ending, Rule, Stand, Way};

#[test]
fn every_cell_ends_as_it_should_and_is_submitted_and_completed_once() {
    let (mut ran, mut left_out) = (0, BTreeMap::new());
    for cell in Cell::all() {
        if let Some(rule) = cell.left_out_by() {
            *left_out.entry(format!("{rule:?}")).or_insert(0) += 1;
            continue;
        }
        let (driver, mut stand) = Driver::told(cell.ending);
        let calls = calls(cell.ending);
        let delivered = stand.ask(cell, &calls).unwrap();
        for (delivered, call) in delivered.iter().zip(&calls) {
            assert_eq!(delivered.answer, expected(cell.ending, call), "{cell}");
            let is_refused = cell.way != Way::Sync && cell.ending == Ending::Busy;
            assert_eq!(delivered.is_accepted, !is_refused, "{cell}");
        }
        let counts = driver.counts();
        let jobs = match (cell.way, cell.ending) {
            (Way::Sync, _) | (_, Ending::Busy) => 0,
            _ => calls.len(),
        };
        assert_eq!(counts.jobs.len(), jobs, "{cell}");
        assert!(counts.jobs.values().all(|&once| once == [1, 1]), "{cell}: {counts:?}");
        assert_eq!(counts.calls, if cell.way == Way::Sync { calls.len() } else { 0 }, "{cell}");
        ran += 1;
    }
    println!("{ran} cells of {} were run, left out: {left_out:?}", Cell::all().count());
    // 4 ways x 3 kinds of buffers x 2 shapes x 8 endings.
    assert_eq!(Cell::all().count(), 192);
    // Three slices: by 3 ways in 2 shapes, and by chains of sessions.
    assert_eq!(left_out[&format!("{:?}", Rule::OneSliceEach)], (3 * 2 + 1) * 8);
    // Of sessions, all calls with one slice, and single ones with three.
    assert_eq!(left_out[&format!("{:?}", Rule::NoHandle)], 2 * 2 + 1);
    assert_eq!(ran, 131);
}

fn calls(ending: Ending) -> [Call<'static>; 5] {
    let dst_bytes = if ending == Ending::Overflow { 3 } else { 8 };
    let call = |direction, src| Call { direction, src, dst_bytes };
    [
        call(Direction::Compress, b"page"),
        call(Direction::Decompress, b"PAGE"),
        call(Direction::Compress, b"page"),
        call(Direction::Compress, b"longer"),
        call(Direction::Decompress, b"STREAM"),
    ]
}

fn expected(ending: Ending, call: &Call<'_>) -> Result<Vec<u8>, Error> {
    match ending {
        Ending::Done => Ok(call.src.iter().map(|byte| byte ^ CASE).collect()),
        Ending::Overflow => Err(Error::DstTooSmall),
        Ending::Busy => Err(Error::Busy),
        Ending::Fault => Err(Error::Device),
        Ending::TimedOut => Err(Error::TimedOut),
        Ending::Cancelled => Err(Error::Cancelled),
        _ => Err(Error::Corrupt),
    }
}

/// Changes the case of letters, unless it is told to do something else.
#[derive(Clone)]
struct Driver {
    ending: Ending,
    state: Arc<Mutex<State>>,
    port: Port,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Job>,
    counts: Counts,
}

#[derive(Clone, Debug, Default)]
struct Counts {
    /// How often each was taken, and completed.
    jobs: BTreeMap<String, [usize; 2]>,
    /// Of codecs.
    calls: usize,
}

impl Driver {
    fn told(ending: Ending) -> (Self, Stand) {
        let state = Arc::default();
        let device = Device { ending, state: Arc::clone(&state) };
        let driver = Self { ending, state, port: Port::new(Arc::new(device)) };
        let registry = Registry::from_entries([]);
        let added = registry.add(Arc::new(driver.clone())).unwrap();
        let acomp = Acomp::open(added.alg().clone(), Params::new()).unwrap();
        (driver, Stand::new(acomp).unwrap())
    }

    fn counts(&self) -> Counts {
        self.state.lock().unwrap().counts.clone()
    }
}

static INFO: AlgInfo = AlgInfo::new("case", "case-dev").with_kind(Kind::Offload);

impl Algorithm for Driver {
    fn info(&self) -> &AlgInfo {
        &INFO
    }

    fn open(&self, _: &Params) -> Result<Box<dyn Codec>, OpenError> {
        Ok(Box::new(self.clone()))
    }

    fn port(&self) -> Option<&Port> {
        Some(&self.port)
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").field("ending", &self.ending).finish_non_exhaustive()
    }
}

impl Codec for Driver {
    fn compress(&mut self, src: &[u8], dst: &mut [u8]) -> Outcome {
        self.state.lock().unwrap().counts.calls += 1;
        execute(self.ending, src, dst)
    }

    fn decompress(&mut self, src: &[u8], dst: &mut [u8]) -> Outcome {
        self.compress(src, dst)
    }
}

/// Holds jobs until it is polled.
struct Device {
    ending: Ending,
    state: Arc<Mutex<State>>,
}

impl Device {
    fn complete(&self, mut job: Job, outcome: Option<Error>) {
        self.state.lock().unwrap().counts.jobs.get_mut(&id(&job)).unwrap()[1] += 1;
        let (src, dst) = job.io();
        let outcome = outcome.map_or_else(|| execute(self.ending, src, dst), Err);
        job.complete(outcome, ExecutedOn::Driver);
    }
}

impl Engine for Device {
    fn submit(&self, job: Job) -> Result<(), Refused> {
        if self.ending == Ending::Busy {
            return Err(Refused { error: Error::Busy, job });
        }
        let mut state = self.state.lock().unwrap();
        state.counts.jobs.entry(id(&job)).or_default()[0] += 1;
        state.queue.push_back(job);
        Ok(())
    }

    fn poll(&self, budget: usize) -> Progress {
        let next = || self.state.lock().unwrap().queue.pop_front();
        let ready = std::iter::from_fn(next).take(budget);
        let completed = ready.map(|job| self.complete(job, None)).count();
        Progress { completed, driven_by: DrivenBy::Caller }
    }

    fn cancel(&self, id: JobId) {
        let mut state = self.state.lock().unwrap();
        let found = state.queue.iter().position(|job| job.id() == id);
        let job = found.and_then(|at| state.queue.remove(at));
        drop(state);
        if let Some(job) = job {
            self.complete(job, Some(Error::Cancelled));
        }
    }
}

fn execute(ending: Ending, src: &[u8], dst: &mut [u8]) -> Outcome {
    match (ending, dst.get_mut(..src.len())) {
        (Ending::Corrupt | Ending::Truncated, _) => Err(Error::Corrupt),
        (Ending::Busy, _) => Err(Error::Busy),
        (Ending::Fault, _) => Err(Error::Device),
        (Ending::TimedOut, _) => Err(Error::TimedOut),
        (_, None) => Err(Error::DstTooSmall),
        (_, Some(dst)) => {
            dst.iter_mut().zip(src).for_each(|(dst, src)| *dst = src ^ CASE);
            Ok(src.len())
        }
    }
}

fn id(job: &Job) -> String {
    format!("{:?}", job.id())
}

/// By which letters differ from those of the other case.
const CASE: u8 = b'a' ^ b'A';
