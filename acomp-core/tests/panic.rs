//! Foreign code that panics: engines, wakers, drivers. It poisons nothing and strands nobody.

#![expect(clippy::unwrap_used, reason = "test helpers unwrap like tests")]

mod engines;
mod toys;

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::task::{Context, Wake, Waker};
use std::thread;
use std::time::Duration;

use acomp_core::{
    Acomp, AlgInfo, Algorithm, Codec, DrivenBy, Engine, Error, Inflight, Job, OpenError, Params,
    Port, Progress, Refused, Registry, ReqFlags, Request, TemplateRegistration, inventory,
};
use futures::executor::block_on;

use engines::{Held, execute, submitter};
use toys::{TOY, Toy, copy, die};

/// Driven by whoever polls, it panics in its 200th poll and executes from the 400th on.
struct DiesOnce {
    held: Arc<Held>,
    polls: AtomicUsize,
}

impl Engine for DiesOnce {
    fn submit(&self, job: Job) -> Result<(), Refused> {
        self.held.submit(job)
    }

    fn poll(&self, _: usize) -> Progress {
        let job = match self.polls.fetch_add(1, SeqCst) {
            200 => die(),
            400.. => self.held.next(),
            _ => None,
        };
        let completed = usize::from(job.is_some());
        job.into_iter().for_each(execute);
        Progress { completed, driven_by: DrivenBy::Caller }
    }
}

#[test]
fn engine_that_dies_in_poll_lets_nobody_sleep_for_ever() {
    for ask in [Inflight::wait, |inflight| block_on(inflight)] {
        // More polls than a waiter spins, and fewer.
        for polls in [0, 199] {
            let engine = DiesOnce { held: Held::new(4), polls: polls.into() };
            let submitter = submitter(Arc::new(engine), 4);
            let inflight = submitter.submit(request(1, ReqFlags::empty())).unwrap();
            assert_eq!(in_time(move || ask(inflight).outcome), Ok(1));
        }
    }
}

#[test]
fn waker_that_panics_keeps_the_backlog_going() {
    let engine = Held::new(1);
    let submitter = submitter(engine.clone(), 4);
    let mut first = submitter.submit(request(1, ReqFlags::empty())).unwrap();
    let second = submitter.submit(request(2, ReqFlags::MAY_BACKLOG)).unwrap();
    awaited_by(&mut first, Arc::new(Panics { in_wake: true }));
    engine.execute();
    assert_eq!(first.try_finish().unwrap().outcome, Ok(1));
    engine.execute();
    assert_eq!(second.try_finish().unwrap().outcome, Ok(1));
}

#[test]
fn waker_that_panics_while_requests_are_handed_over_blocks_nobody() {
    let engine = Arc::new(Fickle::default());
    let submitter = submitter(engine.clone(), 4);
    let mut first = submitter.submit(request(1, ReqFlags::MAY_BACKLOG)).unwrap();
    awaited_by(&mut first, Arc::new(Panics { in_wake: true }));
    let second = submitter.submit(request(2, ReqFlags::MAY_BACKLOG)).unwrap();
    engine.loses_one.store(true, SeqCst);
    // Hands over the first, which is refused, and wakes.
    assert_eq!(submitter.submit(request(3, ReqFlags::empty())).unwrap_err().error, Error::Busy);
    assert_eq!(first.try_finish().unwrap().outcome, Err(Error::DeviceLost));
    assert_eq!(submitter.free_slots(), 3);
    engine.is_open.store(true, SeqCst);
    submitter.poll(1);
    assert_eq!(second.wait().outcome, Ok(1));
}

#[test]
fn waker_that_panics_when_it_is_dropped_costs_no_place() {
    for is_done in [false, true] {
        let engine = Held::new(4);
        let submitter = submitter(engine.clone(), 4);
        let mut inflight = submitter.submit(request(1, ReqFlags::empty())).unwrap();
        awaited_by(&mut inflight, Arc::new(Panics { in_wake: false }));
        if is_done {
            engine.execute();
            drop(inflight);
        } else {
            drop(inflight);
            engine.execute();
        }
        assert_eq!(submitter.free_slots(), 4);
    }
}

#[test]
fn driver_that_dies_where_it_is_asked_for_its_port_is_refused() {
    #[derive(Debug)]
    struct NoPort;
    impl Algorithm for NoPort {
        fn info(&self) -> &AlgInfo {
            static INFO: AlgInfo = TOY;
            &INFO
        }
        fn open(&self, _: &Params) -> Result<Box<dyn Codec>, OpenError> {
            Err(toys::absent())
        }
        fn port(&self) -> Option<&Port> {
            die()
        }
    }
    let registry = Registry::from_entries([]);
    let guard = registry.add(Arc::new(NoPort)).unwrap();
    let opened = Acomp::open(guard.alg().clone(), Params::new());
    assert!(matches!(opened, Err(OpenError::Panicked { .. })), "{opened:?}");
}

/// A wrapper's session is as dead as what it wraps, and the shared handle replaces it.
#[test]
fn death_of_a_wrapped_driver_shows_and_is_repaired() {
    for name in ["verify(toy)", "pcomp(toy,workers=2)", "cryptd(toy)", "toy"] {
        let templates = inventory::iter::<TemplateRegistration>;
        let registry = Registry::builder().templates(templates).build();
        let _guard = registry
            .add(Toy::each(TOY, |src, dst| if src == b"deadly" { die() } else { copy(src, dst) }));
        let acomp = Acomp::alloc_in(&registry, name, Params::new()).unwrap();
        let mut session = acomp.session().unwrap();
        let mut dst = [0; 8];
        assert_eq!(session.compress(b"deadly", &mut dst), Err(Error::Panicked), "{name}");
        assert!(session.is_dead(), "{name}");
        assert_eq!(acomp.compress(b"deadly", &mut dst), Err(Error::Panicked), "{name}");
        assert_eq!(acomp.compress(b"page", &mut dst), Ok(4), "{name}");

        let submitter = acomp.submitter(2).unwrap();
        let ask = |src: &[u8]| {
            submitter.submit(Request::compress(src.to_vec(), vec![0; 8])).unwrap().wait().outcome
        };
        assert_eq!(ask(b"deadly"), Err(Error::Panicked), "{name}");
        assert_eq!(ask(b"page"), Ok(4), "{name}");
    }
}

/// A device without room until it is opened, which loses one job where it is told to.
#[derive(Default)]
struct Fickle {
    is_open: AtomicBool,
    loses_one: AtomicBool,
}

impl Engine for Fickle {
    fn submit(&self, job: Job) -> Result<(), Refused> {
        if self.loses_one.swap(false, SeqCst) {
            return Err(Refused { error: Error::DeviceLost, job });
        }
        if !self.is_open.load(SeqCst) {
            return Err(Refused { error: Error::Busy, job });
        }
        execute(job);
        Ok(())
    }

    fn poll(&self, _: usize) -> Progress {
        Progress { completed: 0, driven_by: DrivenBy::Device }
    }
}

struct Panics {
    in_wake: bool,
}

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        if self.in_wake {
            die()
        }
    }
}

impl Drop for Panics {
    fn drop(&mut self) {
        if !self.in_wake && !thread::panicking() {
            die()
        }
    }
}

/// Its clone in the slot is the last owner: the one here goes first, silently.
fn awaited_by(inflight: &mut Inflight, panics: Arc<Panics>) {
    let waker = Waker::from(panics);
    let polled = Pin::new(inflight).poll(&mut Context::from_waker(&waker));
    assert!(polled.is_pending());
}

fn request(mark: u8, flags: ReqFlags) -> Request {
    Request::compress(vec![mark], vec![0]).with_flags(flags)
}

/// What it gives; a failure instead of a hang.
fn in_time<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, result) = mpsc::channel();
    thread::spawn(move || done.send(run()));
    result.recv_timeout(Duration::from_secs(30)).unwrap()
}
