//! Requests that nobody waits for any more, jobs that nobody executes, engines that panic: no place
//! is lost, no buffer, and nobody is stranded.

#![expect(clippy::unwrap_used, reason = "test helpers unwrap like tests")]

mod engines;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use acomp_core::{
    DrivenBy, Engine, Error, ExecutedOn, Job, Progress, Refused, ReqFlags, Request, Submitter,
};
use futures::executor::block_on;

use engines::{Held, Inline, execute, submitter};

#[test]
fn dropped_request_frees_its_place_when_the_device_is_done_and_its_buffers_return() {
    let engine = Held::new(4);
    let submitter = submitter(engine.clone(), 4);
    let buffers = leased(&submitter);
    drop(submitter.submit(request(&submitter)).unwrap());
    assert_eq!(submitter.free_slots(), 3, "the device still writes");
    assert_eq!(leased(&submitter), buffers - 2);
    engine.execute();
    assert_eq!((submitter.free_slots(), leased(&submitter)), (4, buffers));
}

#[test]
fn dropped_request_that_is_complete_frees_its_place_at_once() {
    let engine = Held::new(4);
    let submitter = submitter(engine.clone(), 4);
    let buffers = leased(&submitter);
    let inflight = submitter.submit(request(&submitter)).unwrap();
    engine.execute();
    assert_eq!(submitter.free_slots(), 3);
    drop(inflight);
    assert_eq!((submitter.free_slots(), leased(&submitter)), (4, buffers));
}

#[test]
fn forgotten_request_costs_one_place_and_nothing_else() {
    let engine = Held::new(4);
    let submitter = submitter(engine.clone(), 2);
    std::mem::forget(submitter.submit(request(&submitter)).unwrap());
    engine.execute();
    assert_eq!(submitter.free_slots(), 1);
    for _ in 0..10 {
        let inflight = submitter.submit(request(&submitter)).unwrap();
        engine.execute();
        assert_eq!(inflight.wait().outcome, Ok(4));
    }
}

#[test]
fn job_that_a_driver_drops_is_device_lost() {
    let engine = Held::new(4);
    let submitter = submitter(engine.clone(), 4);
    let inflight = submitter.submit(request(&submitter)).unwrap();
    drop(engine.next());
    let completion = inflight.wait();
    assert_eq!(completion.outcome, Err(Error::DeviceLost));
    assert_eq!(&completion.request.src[..], b"page", "with its buffers");
}

#[test]
fn cancelled_request_is_cancelled_or_complete() {
    let engine = Held::new(4);
    let submitter = submitter(engine.clone(), 4);
    let inflight = submitter.submit(request(&submitter)).unwrap();
    assert_eq!(inflight.cancel().wait().outcome, Err(Error::Cancelled));

    let inflight = submitter.submit(request(&submitter)).unwrap();
    let job = engine.next().unwrap(); // The device is at it: too late.
    let cancel = inflight.cancel();
    execute(job);
    assert_eq!(block_on(cancel).outcome, Ok(4));
    assert_eq!(submitter.free_slots(), 4);
}

#[test]
fn number_of_an_old_job_cancels_nobody() {
    let engine = Held::new(4);
    let submitter = submitter(engine.clone(), 1);
    let first = submitter.submit(request(&submitter)).unwrap();
    let job = engine.next().unwrap();
    let old = job.id();
    execute(job);
    drop(first);
    let second = submitter.submit(request(&submitter)).unwrap();
    engine.cancel(old);
    engine.execute();
    assert_eq!(second.wait().outcome, Ok(4));
}

#[test]
fn driver_that_claims_too_much_is_not_believed() {
    let engine = Held::new(4);
    let submitter = submitter(engine.clone(), 4);
    let inflight = submitter.submit(request(&submitter)).unwrap();
    engine.next().unwrap().complete(Ok(9), ExecutedOn::Driver);
    assert_eq!(inflight.wait().outcome, Err(Error::Overclaimed));
}

#[test]
fn requests_outlive_their_submitter() {
    for flags in [ReqFlags::empty(), ReqFlags::POLL] {
        let engine = Held::new(4);
        let submitter = submitter(engine.clone(), 4);
        let inflight = submitter.submit(request(&submitter).with_flags(flags)).unwrap();
        drop(submitter.submit(request(&submitter)).unwrap());
        drop(submitter);
        engine.execute();
        engine.execute();
        assert_eq!(inflight.wait().output(), b"page");
    }
}

#[test]
fn close_waits_for_what_is_under_way_and_no_longer_than_told() {
    let busy = submitter(Inline::new(4), 4);
    drop(busy.submit(request(&busy)).unwrap());
    assert!(busy.close(Duration::from_secs(60)).is_ok());

    let ready = submitter(Inline::new(4), 4);
    drop(ready.submit(request(&ready)).unwrap());
    assert!(ready.close(Duration::ZERO).is_ok(), "it polls at least once");

    let stuck = submitter(Held::new(4), 4);
    drop(stuck.submit(request(&stuck)).unwrap());
    let stuck = stuck.close(Duration::from_millis(1)).unwrap_err();
    assert_eq!(stuck.free_slots(), 3);
}

/// Panics where it is told to; the job dies with it.
struct Panics(&'static str, Mutex<Vec<Job>>);

impl Engine for Panics {
    fn submit(&self, job: Job) -> Result<(), Refused> {
        assert!(self.0 != "submit", "a toy engine died");
        self.1.lock().unwrap().push(job);
        Ok(())
    }

    fn poll(&self, _: usize) -> Progress {
        let jobs = std::mem::take(&mut *self.1.lock().unwrap());
        assert!(self.0 != "poll" || jobs.is_empty(), "a toy engine died");
        Progress { completed: jobs.len(), driven_by: DrivenBy::Caller }
    }
}

#[test]
fn engine_that_panics_strands_nobody() {
    for place in ["submit", "poll"] {
        let submitter = submitter(Arc::new(Panics(place, Mutex::default())), 2);
        let inflight = submitter.submit(request(&submitter)).unwrap();
        assert_eq!(inflight.wait().outcome, Err(Error::DeviceLost), "{place}");
        assert_eq!(submitter.free_slots(), 2, "{place}");
    }
}

fn request(submitter: &Submitter) -> Request {
    try_request(submitter).unwrap()
}

fn try_request(submitter: &Submitter) -> Option<Request> {
    let mut src = submitter.lease(4)?;
    src.copy_from_slice(b"page");
    Some(Request::compress(src, submitter.lease(8)?))
}

/// Buffers that can be leased now.
fn leased(submitter: &Submitter) -> usize {
    std::iter::from_fn(|| submitter.lease(1)).collect::<Vec<_>>().len()
}
