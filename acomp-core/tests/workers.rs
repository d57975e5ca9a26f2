//! `cryptd(X)` and `pcomp(X)`: the same answers by more threads.

#![expect(clippy::unwrap_used, reason = "test helpers unwrap like tests")]

mod toys;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use acomp_algs as _;
use acomp_core::{
    Acomp, AddGuard, Algorithm, Codec, Error, ExecutedOn, Op, OpenError, Outcome, Params, Registry,
    ReqFlags, Request, TemplateRegistration, inventory,
};
use futures::FutureExt;
use futures::executor::block_on;

use toys::{TOY, Toy, copy, die};

#[test]
fn instances_say_what_they_are() {
    let pcomp = alloc("pcomp(zstd(level=1),workers=3)").unwrap();
    assert_eq!((pcomp.name(), pcomp.driver()), ("zstd", "pcomp(zstd-libzstd,workers=3)"));
    assert_eq!(pcomp.params(), &Params::new().with_level(1));
    assert_eq!((pcomp.batch_size().get(), pcomp.is_async(), pcomp.may_block()), (12, false, true));
    assert_eq!(alloc("pcomp(lz4,workers=64)").unwrap().batch_size().get(), 64);

    let cryptd = alloc("cryptd(lz4)").unwrap();
    assert_eq!((cryptd.name(), cryptd.driver()), ("lz4", "cryptd(lz4-page)"));
    assert!(cryptd.is_async());
    let in_use: Vec<_> =
        Registry::global().iter().map(|alg| alg.info().driver.to_string()).collect();
    for name in [pcomp.driver(), cryptd.driver()] {
        assert!(in_use.iter().any(|driver| driver == name), "{in_use:?}");
    }
}

#[test]
fn wrong_numbers_of_workers_are_refused_where_they_stand() {
    for name in ["pcomp(lz4,workers=0)", "cryptd(lz4,workers=65)", "pcomp(lz4,workers=many)"] {
        match alloc(name) {
            Err(OpenError::InvalidParam { param, at, .. }) => {
                assert_eq!((&*param, at), ("workers", name.find("workers")), "{name}");
            }
            other => panic!("{name}: {other:?}"),
        }
    }
    assert!(matches!(alloc("pcomp(lz4,threads=2)"), Err(OpenError::InvalidParam { .. })));
}

#[test]
fn chains_of_every_length_are_answered_as_the_driver_answers() {
    for name in ["pcomp(toy,workers=2)", "pcomp(toy,workers=4)", "pcomp(verify(toy),workers=3)"] {
        let (registry, _guard) = with(Toy::each(TOY, picky));
        let mut session = alloc_in(&registry, name).session().unwrap();
        for ops in 1..=64 {
            for bad in [0, ops / 2, ops - 1] {
                // A copy of every op, one that fails, one that no worker takes.
                let srcs: Vec<Vec<u8>> = (0..ops)
                    .map(|i| match i {
                        i if i == bad => vec![BAD; 10],
                        i if i == bad + 2 => vec![1; 70_000],
                        i => vec![i as u8; 100 + i],
                    })
                    .collect();
                let mut dsts: Vec<Vec<u8>> = srcs.iter().map(|src| vec![0; src.len()]).collect();
                let mut chain: Vec<_> = srcs
                    .iter()
                    .zip(&mut dsts)
                    .enumerate()
                    .map(|(i, (src, dst))| match i % 3 {
                        0 => Op::decompress(src, dst),
                        _ => Op::compress(src, dst),
                    })
                    .collect();
                let summary = session.run(&mut chain);
                assert_eq!((summary.ok, summary.failed), (ops - 1, 1), "{name} {ops} {bad}");
                for (i, op) in chain.iter().enumerate() {
                    let expected = if i == bad { Err(Error::Corrupt) } else { Ok(srcs[i].len()) };
                    assert_eq!(op.outcome(), Some(expected), "{name}: {i} of {ops}");
                    assert!(i == bad || op.output() == srcs[i], "{name}: {i} of {ops}");
                }
            }
        }
    }
}

/// The op of the caller lasts until a worker had one: both took part.
#[test]
fn workers_and_caller_both_take_part() {
    let by_worker = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&by_worker);
    let caller = thread::current().id();
    let (registry, _guard) = with(Toy::each(TOY, move |src, dst| {
        if thread::current().id() == caller {
            wait_until(Duration::from_millis(20), || count.load(SeqCst) > 0);
        } else {
            count.fetch_add(1, SeqCst);
        }
        copy(src, dst)
    }));
    let mut session = alloc_in(&registry, "pcomp(toy,workers=2)").session().unwrap();
    let on: Vec<_> = (0..100).flat_map(|_| run(&mut session, 8)).collect();
    assert!(on.contains(&ExecutedOn::Worker) && on.contains(&ExecutedOn::Driver), "{on:?}");
    assert_eq!(by_worker.load(SeqCst), on.iter().filter(|on| **on == ExecutedOn::Worker).count());
}

/// What is taken back from a worker, or repeated, leaves it fit for the next chains.
#[test]
fn workers_help_again_and_again() {
    let has_helped = Arc::new(AtomicBool::new(false));
    let (helped, caller) = (Arc::clone(&has_helped), thread::current().id());
    let (registry, _guard) = with(Toy::each(TOY, move |src, dst| {
        if thread::current().id() == caller {
            wait_until(Duration::from_millis(20), || helped.load(SeqCst));
        } else {
            helped.store(true, SeqCst);
        }
        copy(src, dst)
    }));
    let mut session = alloc_in(&registry, "pcomp(toy,workers=2)").session().unwrap();
    let mut chains = 0;
    wait_until(Duration::from_secs(10), || {
        has_helped.store(false, SeqCst);
        wait_until(Duration::from_millis(1), || false); // Who has nothing to do falls asleep.
        chains += usize::from(run(&mut session, 8).contains(&ExecutedOn::Worker));
        chains == 20
    });
    assert_eq!(chains, 20);
}

#[test]
fn caller_repeats_what_a_worker_does_not_finish() {
    let gate = Arc::new(Mutex::new(()));
    let is_caught = Arc::new(AtomicBool::new(false));
    let (door, caught) = (Arc::clone(&gate), Arc::clone(&is_caught));
    let caller = thread::current().id();
    let (registry, _guard) = with(Toy::each(TOY, move |src, dst| {
        if thread::current().id() == caller {
            wait_until(Duration::from_millis(20), || caught.load(SeqCst));
        } else {
            caught.store(true, SeqCst);
            drop(door.lock());
        }
        copy(src, dst)
    }));
    let mut session = alloc_in(&registry, "pcomp(toy,workers=2)").session().unwrap();
    let closed = gate.lock().unwrap();
    for _ in 0..20 {
        run(&mut session, 8); // Would hang if it waited.
    }
    assert!(is_caught.load(SeqCst), "a worker is stuck in an op");
    drop(closed);
    for _ in 0..20 {
        run(&mut session, 8);
    }
}

#[test]
fn driver_that_panics_fails_its_ops_and_no_others_chains() {
    let n = AtomicUsize::new(0);
    let (registry, _guard) = with(Toy::each(TOY, move |src, dst| {
        if n.fetch_add(1, SeqCst) % 50 == 49 { die() } else { copy(src, dst) }
    }));
    let acomp = alloc_in(&registry, "pcomp(toy,workers=3)");
    for _ in 0..100 {
        let (srcs, mut dsts) = pages(16);
        let mut ops = ops(&srcs, &mut dsts);
        acomp.run(&mut ops);
        for (op, src) in ops.iter().zip(&srcs) {
            let outcome = op.outcome().unwrap();
            assert!(outcome == Err(Error::Panicked) || (outcome == Ok(8) && op.output() == src));
        }
    }
    // The handle replaces what died.
    assert!((0..100).any(|_| acomp.compress(b"page", &mut [0; 4]) == Ok(4)));
}

#[test]
fn sessions_of_one_transform_do_not_disturb_each_other() {
    let acomp = alloc("pcomp(null,workers=3)").unwrap();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut session = acomp.session().unwrap();
                (0..300).for_each(|_| drop(run(&mut session, 16)));
            });
        }
    });
}

#[test]
fn threads_end_with_the_last_user() {
    for name in ["pcomp(toy,workers=4)", "cryptd(toy,workers=4)"] {
        let open = Arc::new(());
        let held = Arc::clone(&open);
        let (registry, guard) = with(Toy::new(TOY, move |_| Ok(Box::new(Held(held.clone())))));
        let acomp = alloc_in(&registry, name);
        let (session, submitter) = (acomp.session().unwrap(), acomp.submitter(8).unwrap());
        let inflight = submitter.submit(Request::compress(vec![1], vec![0])).unwrap();
        assert!(Arc::strong_count(&open) > 2, "{name}");
        drop((acomp, guard, registry, submitter));
        drop(session);
        assert_eq!(inflight.wait().outcome, Ok(1), "requests outlive all but themselves");
        wait_until(Duration::from_secs(30), || Arc::strong_count(&open) == 1);
        assert_eq!(Arc::strong_count(&open), 1, "{name}: codecs are gone, and so their threads");
    }
}

#[test]
fn requests_complete_though_nobody_polls() {
    let submitter = alloc("cryptd(lz4,workers=2)").unwrap().submitter(64).unwrap();
    let page = vec![9; 4096];
    let request = || Request::compress(page.clone(), vec![0; 4096]);
    let mut inflight = submitter.submit(request()).unwrap();
    let started = Instant::now();
    let completion = loop {
        match inflight.try_finish() {
            Ok(completion) => break completion,
            Err(pending) => inflight = pending,
        }
        assert!(started.elapsed() < Duration::from_secs(30), "no worker came");
        thread::yield_now();
    };
    assert_eq!(completion.executed_on, ExecutedOn::Worker);
    let stream = completion.output().to_vec();
    let back = submitter.submit(Request::decompress(stream, vec![0; 4096])).unwrap();
    assert_eq!(block_on(back).output(), page);
}

#[test]
fn requests_to_be_polled_are_left_to_who_polls() {
    let submitter = alloc("cryptd(null,workers=2)").unwrap().submitter(8).unwrap();
    let polled = Request::compress(vec![1], vec![0]).with_flags(ReqFlags::POLL);
    let polled = submitter.submit(polled).unwrap();
    let other = submitter.submit(Request::compress(vec![2], vec![0])).unwrap();
    let polled = polled.try_finish().unwrap_err();
    let mut done = 0;
    wait_until(Duration::from_secs(30), || {
        done += submitter.poll(1);
        done > 0
    });
    let completion = polled.try_finish().unwrap();
    assert_eq!(completion.executed_on, ExecutedOn::Driver, "by this thread");
    assert_eq!(other.wait().outcome, Ok(1));
}

/// With every worker stuck, requests wait in the queue, then in the backlog, until who waits helps.
#[test]
fn waiters_help_and_full_queues_say_so() {
    let gate = Arc::new(Mutex::new(()));
    let stuck = Arc::new(AtomicUsize::new(0));
    let (door, count) = (Arc::clone(&gate), Arc::clone(&stuck));
    let (registry, _guard) = with(Toy::each(TOY, move |src, dst| {
        if src == [STUCK] {
            count.fetch_add(1, SeqCst);
            drop(door.lock());
        }
        copy(src, dst)
    }));
    let submitter = alloc_in(&registry, "cryptd(toy,workers=2)").submitter(256).unwrap();
    let submit =
        |byte, flags| submitter.submit(Request::compress(vec![byte], vec![0]).with_flags(flags));
    let closed = gate.lock().unwrap();
    let at_work = [(); 2].map(|()| submit(STUCK, ReqFlags::empty()).unwrap());
    wait_until(Duration::from_secs(30), || stuck.load(SeqCst) == 2);
    assert_eq!(stuck.load(SeqCst), 2);

    let cancelled = submit(1, ReqFlags::empty()).unwrap().cancel();
    assert_eq!(cancelled.now_or_never().unwrap().outcome, Err(Error::Cancelled));
    let flags = [ReqFlags::empty(), ReqFlags::POLL].into_iter().cycle();
    let queued: Vec<_> = flags.take(128).map(|flags| submit(2, flags).unwrap()).collect();
    let queued = Vec::from_iter(queued.into_iter().filter_map(|it| it.try_finish().err()));
    assert_eq!(queued.len(), 128);
    // Submitting to a full queue helps with one job; nothing is ever refused for long.
    assert!(submit(3, ReqFlags::empty()).is_ok());
    let queued = Vec::from_iter(queued.into_iter().filter_map(|it| it.try_finish().err()));
    assert_eq!(queued.len(), 127);
    let last = submit(4, ReqFlags::MAY_BACKLOG).unwrap();
    assert_eq!(last.wait().output(), [4], "its waiter did the work of all");
    assert!(queued.into_iter().all(|inflight| inflight.try_finish().is_ok()));
    drop(closed);
    for inflight in at_work {
        assert_eq!(inflight.wait().outcome, Ok(1));
    }
}

#[test]
fn blocking_calls_on_cryptd_run_where_they_are_called() {
    let mut session = alloc("cryptd(null)").unwrap().session().unwrap();
    assert!(run(&mut session, 8).iter().all(|on| *on == ExecutedOn::Driver));
}

/// Runs a chain and tells who executed what.
fn run(session: &mut acomp_core::Session, len: usize) -> Vec<ExecutedOn> {
    let (srcs, mut dsts) = pages(len);
    let mut ops = ops(&srcs, &mut dsts);
    assert_eq!(session.run(&mut ops).ok, len);
    assert!(ops.iter().zip(&srcs).all(|(op, src)| op.output() == src));
    ops.iter().map(|op| op.executed_on().unwrap()).collect()
}

fn pages(len: usize) -> (Vec<[u8; 8]>, Vec<[u8; 8]>) {
    ((0..len).map(|i| [i as u8; 8]).collect(), vec![[0; 8]; len])
}

fn ops<'b>(srcs: &'b [[u8; 8]], dsts: &'b mut [[u8; 8]]) -> Vec<Op<'b>> {
    srcs.iter().zip(dsts).map(|(src, dst)| Op::compress(src, dst)).collect()
}

/// Copies, but for what is bad.
fn picky(src: &[u8], dst: &mut [u8]) -> Outcome {
    if src.first() == Some(&BAD) { Err(Error::Corrupt) } else { copy(src, dst) }
}

/// A codec that is counted.
struct Held(#[expect(dead_code, reason = "its clones are counted")] Arc<()>);

impl Codec for Held {
    fn compress(&mut self, src: &[u8], dst: &mut [u8]) -> Outcome {
        copy(src, dst)
    }

    fn decompress(&mut self, src: &[u8], dst: &mut [u8]) -> Outcome {
        copy(src, dst)
    }
}

fn with(driver: Arc<dyn Algorithm>) -> (Registry, AddGuard) {
    let templates = inventory::iter::<TemplateRegistration>;
    let registry = Registry::builder().templates(templates).build();
    let guard = registry.add(driver).unwrap();
    (registry, guard)
}

fn alloc_in(registry: &Registry, name: &str) -> Acomp {
    Acomp::alloc_in(registry, name, Params::new()).unwrap()
}

fn alloc(name: &str) -> Result<Acomp, OpenError> {
    Acomp::alloc(name)
}

/// No longer than this; the caller asserts what must be.
fn wait_until(limit: Duration, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() && started.elapsed() < limit {
        thread::yield_now();
    }
}

const BAD: u8 = 0xBA;
const STUCK: u8 = 0x57;
