//! Drivers that come and go at run time while others use them.
//!
//! All drivers here are of one format: a stream is the mark of the driver that wrote it, then the
//! source, inverted by that mark. Each reads the streams of every other.

#![expect(clippy::panic, clippy::unwrap_used, reason = "test helpers are like tests")]

mod toys;

use std::any::Any;
use std::slice;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Sender, TryRecvError, channel};
use std::sync::{Arc, Barrier, LazyLock, Mutex, Weak};
use std::thread;

use acomp_core::{
    Acomp, AddError, AddGuard, AlgInfo, Codec, Direction, Error, Op, OpenError, Outcome, Params,
    Registration, Registry, Request, SelfTestHook, Session, Submitter, TemplateRegistration,
    inventory,
};

use toys::{Toy, absent};

#[test]
fn allocation_gets_the_best_driver_of_now() {
    let registry = registry();
    let now = || ["x", "verify(x)"].map(|name| driver_of(&registry, name));
    let is = |driver: &str| [driver.to_owned(), format!("verify({driver})")];
    let add = |driver, priority| {
        let info = AlgInfo::new("x", driver).with_priority(priority);
        registry.add(device(info, 1)).unwrap()
    };
    assert_eq!(now(), is("x-rs"));
    let mid = add("x-c", 200);
    assert_eq!(now(), is("x-c"));
    let best = add("x-z", 300);
    let low = add("x-a", 100);
    assert_eq!(now(), is("x-z"));
    drop(mid);
    assert_eq!(now(), is("x-z"));
    drop(best);
    assert_eq!(now(), is("x-a"));
    drop(low);
    assert_eq!(now(), is("x-rs"));
}

#[test]
fn what_is_held_works_on_after_the_removal() {
    let registry = registry();
    let guard = registry.add(device(DEVICE, 7)).unwrap();
    let transform = alloc(&registry, "x");
    let mut held = handles(&registry);
    let Handle::Async(submitter) = Handle::new(transform.clone(), ASYNC) else { unreachable!() };
    let inflight = submitter.submit(Request::compress(vec![0; 4], vec![0; 5])).unwrap();
    drop(guard);
    assert_eq!(inflight.wait().output()[0], 7);
    held.extend((0..KINDS).map(|kind| Handle::new(transform.clone(), kind)));
    for handle in &mut held {
        assert_eq!(handle.mark(), 7);
    }
    assert!(handles(&registry).iter_mut().all(|handle| handle.mark() == SOFTWARE_MARK));
}

#[test]
fn device_that_is_gone_says_so_to_who_still_holds_it() {
    let registry = registry();
    let is_gone = Arc::new(AtomicBool::new(false));
    let guard = registry.add(device_until(DEVICE, 7, &is_gone)).unwrap();
    let mut held = handles(&registry);
    let stream = held[0].run(Direction::Compress, b"page").unwrap();
    is_gone.store(true, Relaxed);
    drop(guard);
    for handle in &mut held {
        assert_eq!(handle.run(Direction::Compress, b"page"), Err(Error::DeviceLost));
        assert_eq!(handle.run(Direction::Decompress, &stream), Err(Error::DeviceLost));
    }
    for mut handle in handles(&registry) {
        assert_eq!(handle.run(Direction::Decompress, &stream), Ok(b"page".to_vec()));
    }
}

#[test]
fn device_that_finds_itself_gone_removes_itself() {
    let registry = registry();
    let guard: Arc<Mutex<Option<AddGuard>>> = Arc::default();
    let own = Arc::clone(&guard);
    let dead = Toy::new(DEVICE, move |_| {
        own.lock().unwrap().take();
        Err(absent())
    });
    let removed = Arc::downgrade(&dead);
    *guard.lock().unwrap() = Some(registry.add(dead).unwrap());
    assert_eq!(driver_of(&registry, "x"), "x-rs");
    assert!(guard.lock().unwrap().is_none());
    assert!(matches!(registry.find("x-dev"), Err(OpenError::NotFound { .. })));
    assert_eq!(removed.strong_count(), 0);
}

#[test]
fn added_driver_shadows_a_linked_one_and_leaves_it_as_it_was() {
    let registry = registry();
    let mut linked = handles_of(&registry, "x-rs");
    let guard = registry.add(device(SOFTWARE.clone(), 7)).unwrap();
    let mut shadow = handles_of(&registry, "x-rs");
    for _ in 0..2 {
        assert!(linked.iter_mut().all(|handle| handle.mark() == SOFTWARE_MARK));
        assert!(shadow.iter_mut().all(|handle| handle.mark() == 7));
    }
    drop(guard);
    let again = handles_of(&registry, "x-rs");
    for mut handle in linked.into_iter().chain(again) {
        assert_eq!(handle.mark(), SOFTWARE_MARK);
    }
    assert!(shadow.iter_mut().all(|handle| handle.mark() == 7));
    assert_eq!(registry.find("x").unwrap().origin(), "linked");
}

#[test]
fn name_is_taken_while_the_guard_lives_whoever_else_holds_the_driver() {
    let registry = registry();
    let first = registry.add(device(DEVICE, 1)).unwrap();
    let refused = registry.add(device(DEVICE, 2)).unwrap_err();
    assert!(matches!(refused, AddError::Duplicate { name, .. } if &*name == "x-dev"));
    let mut held = handles(&registry);
    drop(first);
    let second = registry.add(device(DEVICE, 3)).unwrap();
    assert!(held.iter_mut().all(|handle| handle.mark() == 1));
    assert!(handles(&registry).iter_mut().all(|handle| handle.mark() == 3));
    drop(held);
    assert!(registry.add(device(DEVICE, 4)).is_err(), "the second one's guard lives");
    drop(second);
    assert!(registry.add(device(DEVICE, 5)).is_ok());
}

#[test]
fn driver_lives_as_long_as_its_guard_or_a_handle() {
    for seed in 0..SHUFFLES {
        let registry = registry();
        let token = Arc::default();
        let driver = Arc::downgrade(&token);
        let guard = registry.add(device_until(DEVICE, 1, &token)).unwrap();
        drop(token);
        let mut held: Vec<Box<dyn Any>> = vec![Box::new(guard.alg().clone()), Box::new(guard)];
        held.extend(handles(&registry).into_iter().map(|handle| Box::new(handle) as _));
        let mut rng = fastrand::Rng::with_seed(seed);
        rng.shuffle(&mut held);
        while let Some(handle) = held.pop() {
            assert!(driver.strong_count() > 0, "seed {seed}: {} to go", held.len() + 1);
            drop(handle);
        }
        assert_eq!(driver.strong_count(), 0, "seed {seed}");
    }
}

#[test]
fn driver_may_look_drivers_up_while_it_is_dropped() {
    struct Dropped(Registry, Sender<String>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.1.send(driver_of(&self.0, "x-rs")).unwrap();
        }
    }
    let registry = registry();
    let (sender, dropped) = channel();
    let watched = || {
        let this = Dropped(registry.clone(), sender.clone());
        Toy::new(DEVICE, move |_| {
            let _ = &this;
            Ok(Box::new(Marking::default()))
        })
    };
    let guard = registry.add(watched()).unwrap();
    assert!(registry.add(watched()).is_err());
    assert_eq!(dropped.try_recv().unwrap(), "x-rs", "it was refused");
    let transform = alloc(&registry, "x");
    drop(guard);
    assert_eq!(dropped.try_recv(), Err(TryRecvError::Empty));
    drop(transform);
    assert_eq!(dropped.try_recv().unwrap(), "x-rs", "its last transform was dropped");
    drop(registry.add(watched()));
    assert_eq!(dropped.try_recv().unwrap(), "x-rs", "it was removed");
}

#[test]
fn driver_comes_and_goes_while_another_is_made() {
    static MAKING: Barrier = Barrier::new(2);
    static ENTRY: Registration = Registration::new(
        &SLOW,
        || {
            MAKING.wait();
            MAKING.wait();
            Ok(device(SLOW.clone(), 2))
        },
        "linked",
    );
    assert_comes_and_goes(&Registry::from_entries([&LINKED, &ENTRY]), &MAKING);
}

#[test]
fn driver_comes_and_goes_while_another_is_tested() {
    static TESTING: Barrier = Barrier::new(2);
    static ENTRY: Registration = Registration::new(&SLOW, || Ok(device(SLOW.clone(), 2)), "linked");
    static HOOK: SelfTestHook = SelfTestHook::new(
        |alg| {
            if alg.info().driver == SLOW.driver {
                TESTING.wait();
                TESTING.wait();
            }
            Ok(())
        },
        "hook",
    );
    let registry = Registry::builder().entries([&LINKED, &ENTRY]).self_tests([&HOOK]).build();
    assert_comes_and_goes(&registry, &TESTING);
}

/// A thread that allocates `x-slow` passes `inside` where driver code begins and where it ends.
fn assert_comes_and_goes(registry: &Registry, inside: &Barrier) {
    let driver = |name| Acomp::alloc_in(registry, name, Params::new()).map(|it| it.driver().into());
    thread::scope(|scope| {
        let slow = scope.spawn(|| driver_of(registry, "x-slow"));
        inside.wait();
        let added = registry.add(device(DEVICE, 1));
        let is_added = added.is_ok();
        let while_added: Result<String, _> = driver("x");
        drop(added);
        let next: Result<String, _> = driver("x-rs");
        let removed = driver("x-dev");
        // Nothing panicked so far, or the thread would wait for ever.
        inside.wait();
        assert!(is_added);
        assert_eq!((&*while_added.unwrap(), &*next.unwrap()), ("x-dev", "x-rs"));
        assert!(matches!(removed, Err(OpenError::NotFound { .. })));
        assert_eq!(slow.join().unwrap(), "x-slow");
    });
    assert_eq!(driver_of(registry, "x"), "x-slow");
}

#[test]
fn driver_that_is_made_may_add_others() {
    static REGISTRY: LazyLock<Registry> =
        LazyLock::new(|| Registry::from_entries([&LINKED, &ENTRY]));
    static DEVICES: Mutex<Vec<AddGuard>> = Mutex::new(Vec::new());
    static ENTRY: Registration = Registration::new(
        &SLOW,
        || {
            DEVICES.lock().unwrap().extend(REGISTRY.add(device(DEVICE, 1)));
            Ok(device(SLOW.clone(), 2))
        },
        "linked",
    );
    assert_eq!(driver_of(&REGISTRY, "x"), "x-slow", "of those there were when it was asked");
    assert_eq!(driver_of(&REGISTRY, "x"), "x-dev");
    DEVICES.lock().unwrap().clear();
    assert_eq!(driver_of(&REGISTRY, "x"), "x-slow");
}

#[test]
fn statistics_of_a_removed_driver_go_on_apart_from_those_of_its_successor() {
    let registry = registry();
    let guard = registry.add(device(DEVICE, 1)).unwrap();
    let old = guard.alg().clone();
    let mut held = handles_of(&registry, "x-dev");
    drop(guard);
    let guard = registry.add(device(DEVICE, 2)).unwrap();
    let mut bytes = 0;
    for (i, handle) in held.iter_mut().enumerate() {
        handle.run(Direction::Compress, &vec![0; i]).unwrap();
        bytes += i as u64;
    }
    let calls = held.len() as u64;
    for _ in 0..2 {
        assert_eq!((old.stats().compress.ok, old.stats().compress.bytes_in), (calls, bytes));
        assert_eq!(guard.alg().stats().compress.ok, 0);
        held.clear(); // Past sessions are counted, too.
    }
}

/// Rounds of four steps, each done by every thread in an order of its own: all try to add a device
/// of one name; all find the one that was added; who added it removes it; all find the next best.
/// Threads end with each step, so that whatever happened in one is before the next.
#[test]
fn threads_that_plug_and_allocate_see_what_is_there() {
    for seed in SEEDS {
        println!("seed {seed}");
        let registry = registry();
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut workers: Vec<_> =
            (0..THREADS).map(|_| Worker::new(&registry, rng.fork())).collect();
        let mut devices = Vec::new();
        for round in 0..ROUNDS {
            step(&mut workers, |i, worker| worker.plug(1 + round * THREADS + i));
            let marks: Vec<_> = workers.iter().filter_map(Worker::plugged).collect();
            assert_eq!(marks.len(), 1, "seed {seed}, round {round}: added once");
            step(&mut workers, |_, worker| worker.allocate(&[marks[0]]));
            step(&mut workers, |_, worker| worker.unplug(marks[0]));
            step(&mut workers, |_, worker| worker.allocate(&[SOFTWARE_MARK]));
            devices.extend(workers.iter_mut().filter_map(|worker| worker.device.take()));
        }
        drop(workers);
        assert_eq!(devices.len(), usize::from(ROUNDS * THREADS));
        assert!(devices.iter().all(|device| device.strong_count() == 0), "seed {seed}: a leak");
        assert_eq!(registry.iter().count(), 1, "seed {seed}");
    }
}

/// Lets every worker do this at once, each on a thread.
fn step(workers: &mut [Worker], work: impl Fn(u8, &mut Worker) + Sync) {
    let start = Barrier::new(workers.len());
    thread::scope(|scope| {
        for (i, worker) in (0..).zip(workers) {
            let (start, work) = (&start, &work);
            scope.spawn(move || {
                start.wait();
                work(i, worker);
            });
        }
    });
}

/// What one thread has, from step to step.
struct Worker {
    registry: Registry,
    rng: fastrand::Rng,
    plugged: Option<(AddGuard, u8)>,
    /// The one that it made in this round, added or not.
    device: Option<Weak<Toy>>,
    /// With the mark of the driver.
    held: Vec<(Handle, u8)>,
}

impl Worker {
    fn new(registry: &Registry, rng: fastrand::Rng) -> Self {
        let registry = registry.clone();
        Self { registry, rng, plugged: None, device: None, held: Vec::new() }
    }

    /// The mark of the device that it added.
    fn plugged(&self) -> Option<u8> {
        self.plugged.as_ref().map(|(_, mark)| *mark)
    }

    /// Tries to add a device while others do and allocate: they get theirs, or the next best.
    fn plug(&mut self, mark: u8) {
        let at = self.rng.usize(..STEP_OPS);
        for i in 0..STEP_OPS {
            if i == at {
                let device = device(DEVICE, mark);
                self.device = Some(Arc::downgrade(&device));
                match self.registry.add(device) {
                    Ok(guard) => self.plugged = Some((guard, mark)),
                    Err(AddError::Duplicate { name, .. }) => assert_eq!(&*name, "x-dev"),
                    Err(other) => panic!("{other}"),
                }
            }
            let first = mark - (mark - 1) % THREADS;
            let marks: Vec<_> = (first..first + THREADS).chain([SOFTWARE_MARK]).collect();
            self.use_one(&marks);
        }
    }

    fn unplug(&mut self, mark: u8) {
        let at = self.rng.usize(..STEP_OPS);
        for i in 0..STEP_OPS {
            if i == at && self.plugged.take().is_some() {
                self.use_one(&[SOFTWARE_MARK]);
            }
            self.use_one(&[mark, SOFTWARE_MARK]);
        }
    }

    fn allocate(&mut self, expected: &[u8]) {
        for _ in 0..STEP_OPS {
            self.use_one(expected);
        }
    }

    /// Allocates something, which gets one of these drivers, and uses something that it holds.
    fn use_one(&mut self, expected: &[u8]) {
        let name = *self.rng.choice(&["x", "verify(x)"]).unwrap();
        let mut new = Handle::new(alloc(&self.registry, name), self.rng.usize(..KINDS));
        let len = self.rng.usize(..PAGE_BYTES_MAX);
        let page: Vec<u8> = (0..len).map(|_| self.rng.u8(..)).collect();
        let stream = new.stream(&page);
        assert!(expected.contains(&stream[0]), "{name}: {} is none of {expected:?}", stream[0]);
        self.held.push((new, stream[0]));

        let at = self.rng.usize(..self.held.len());
        let (held, mark) = &mut self.held[at];
        assert_eq!(held.mark(), *mark);
        assert_eq!(held.run(Direction::Decompress, &stream).unwrap(), page);
        if self.held.len() > HELD {
            self.held.swap_remove(at);
        }
    }
}

/// Whatever a consumer holds.
enum Handle {
    Shared(Acomp),
    Exclusive(Session),
    Async(Submitter),
}

impl Handle {
    fn new(acomp: Acomp, kind: usize) -> Self {
        match kind {
            SHARED => Self::Shared(acomp),
            EXCLUSIVE => Self::Exclusive(acomp.session().unwrap()),
            _ => Self::Async(acomp.submitter(1).unwrap()),
        }
    }

    fn run(&mut self, direction: Direction, src: &[u8]) -> Result<Vec<u8>, Error> {
        let mut dst = vec![0; src.len() + 1];
        if let Self::Async(submitter) = self {
            let make = match direction {
                Direction::Compress => Request::compress,
                Direction::Decompress => Request::decompress,
            };
            let request = make(src.to_vec(), dst);
            let completion = submitter.submit(request).unwrap().wait();
            return completion.outcome.map(|_| completion.output().to_vec());
        }
        let mut op = match direction {
            Direction::Compress => Op::compress(src, &mut dst),
            Direction::Decompress => Op::decompress(src, &mut dst),
        };
        let ops = slice::from_mut(&mut op);
        match self {
            Self::Shared(acomp) => acomp.run(ops),
            Self::Exclusive(session) => session.run(ops),
            Self::Async(_) => unreachable!("see above"),
        };
        op.outcome().unwrap().map(|_| op.output().to_vec())
    }

    /// A stream that comes back as it went.
    fn stream(&mut self, page: &[u8]) -> Vec<u8> {
        let stream = self.run(Direction::Compress, page).unwrap();
        assert_eq!(self.run(Direction::Decompress, &stream).unwrap(), page);
        stream
    }

    /// That of the driver behind it.
    fn mark(&mut self) -> u8 {
        self.stream(b"page")[0]
    }
}

/// One of each kind, of this name and within a template.
fn handles_of(registry: &Registry, name: &str) -> Vec<Handle> {
    let names = [name.to_owned(), format!("verify({name})")];
    let acomps = names.map(|name| alloc(registry, &name));
    let kinds = |acomp: Acomp| (0..KINDS).map(move |kind| Handle::new(acomp.clone(), kind));
    acomps.into_iter().flat_map(kinds).collect()
}

fn handles(registry: &Registry) -> Vec<Handle> {
    handles_of(registry, "x")
}

fn alloc(registry: &Registry, name: &str) -> Acomp {
    Acomp::alloc_in(registry, name, Params::new()).unwrap()
}

fn driver_of(registry: &Registry, name: &str) -> String {
    alloc(registry, name).driver().to_owned()
}

/// A registry with one linked driver, and with templates.
fn registry() -> Registry {
    let templates = inventory::iter::<TemplateRegistration>;
    Registry::builder().entries([&LINKED]).templates(templates).build()
}

fn device(info: AlgInfo, mark: u8) -> Arc<Toy> {
    device_until(info, mark, &Arc::default())
}

/// A driver that loses its device. It and its codecs hold `is_gone`.
fn device_until(info: AlgInfo, mark: u8, is_gone: &Arc<AtomicBool>) -> Arc<Toy> {
    let is_gone = Arc::clone(is_gone);
    Toy::new(info, move |params| {
        params.allow(&[])?;
        Ok(Box::new(Marking { mark, is_gone: Arc::clone(&is_gone) }))
    })
}

#[derive(Default)]
struct Marking {
    mark: u8,
    is_gone: Arc<AtomicBool>,
}

impl Marking {
    fn invert(&self, mark: u8, src: &[u8], dst: &mut [u8]) -> Outcome {
        if self.is_gone.load(Relaxed) {
            return Err(Error::DeviceLost);
        }
        let dst = dst.get_mut(..src.len()).ok_or(Error::DstTooSmall)?;
        dst.iter_mut().zip(src).for_each(|(dst, src)| *dst = src ^ mark);
        Ok(src.len())
    }
}

impl Codec for Marking {
    fn compress(&mut self, src: &[u8], dst: &mut [u8]) -> Outcome {
        let (first, rest) = dst.split_first_mut().ok_or(Error::DstTooSmall)?;
        *first = self.mark;
        Ok(1 + self.invert(self.mark, src, rest)?)
    }

    fn decompress(&mut self, src: &[u8], dst: &mut [u8]) -> Outcome {
        let (mark, rest) = src.split_first().ok_or(Error::Corrupt)?;
        self.invert(*mark, rest, dst)
    }
}

static SOFTWARE: AlgInfo = AlgInfo::new("x", "x-rs");
static LINKED: Registration =
    Registration::new(&SOFTWARE, || Ok(device(SOFTWARE.clone(), SOFTWARE_MARK)), "linked");
static SLOW: AlgInfo = AlgInfo::new("x", "x-slow").with_priority(100);
const DEVICE: AlgInfo = AlgInfo::new("x", "x-dev").with_priority(300);
const SOFTWARE_MARK: u8 = 0xff;

/// Kinds of handles.
const SHARED: usize = 0;
const EXCLUSIVE: usize = 1;
const ASYNC: usize = 2;
const KINDS: usize = 3;

const SHUFFLES: u64 = 50;
const SEEDS: [u64; 3] = [1, 2, 3];
const THREADS: u8 = 4;
const ROUNDS: u8 = 20;
/// What a thread does in one step.
const STEP_OPS: usize = 4;
const HELD: usize = 8;
const PAGE_BYTES_MAX: usize = 64;
