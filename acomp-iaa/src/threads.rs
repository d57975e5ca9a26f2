//! Threads that drive devices, and sleep when there is nothing to do.

use std::fmt;
use std::hint::spin_loop;
use std::io;
use std::mem;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use std::sync::{Arc, Mutex};
use std::thread::{self, Thread, sleep};
use std::time::{Duration, Instant};

use crate::device::Device;
use crate::dma::locked;

/// Threads that drive devices until this is dropped, which waits for nobody.
pub struct EngineThreads {
    alarm: Arc<Alarm>,
}

impl EngineThreads {
    /// Starts so many threads for these devices; a device keeps the first ones it is given.
    ///
    /// # Errors
    /// The system has no thread to give.
    pub fn start(devices: &[Arc<Device>], threads: usize) -> io::Result<Self> {
        let alarm = Arc::new(Alarm::default());
        devices.iter().for_each(|device| device.set_alarm(&alarm));
        let engine_threads = Self { alarm: Arc::clone(&alarm) };
        for number in 1..=threads {
            let (alarm, devices) = (Arc::clone(&alarm), devices.to_vec());
            let named = thread::Builder::new().name(format!("iaa-engine-{number}"));
            named.spawn(move || run(&alarm, &devices, number))?;
        }
        Ok(engine_threads)
    }
}

impl Drop for EngineThreads {
    fn drop(&mut self) {
        self.alarm.is_over.store(true, Ordering::Release);
        locked(&self.alarm.sleepers).drain(..).for_each(|sleeper| sleeper.unpark());
    }
}

impl fmt::Debug for EngineThreads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineThreads").finish_non_exhaustive()
    }
}

fn run(alarm: &Alarm, devices: &[Arc<Device>], number: usize) {
    let mut now = Instant::now();
    let mut idle_since = now;
    let mut is_stuck = false;
    while !alarm.is_over.load(Ordering::Acquire) {
        let done: usize = devices.iter().map(|device| device.drive_from(number, 1)).sum();
        let before = mem::replace(&mut now, Instant::now());
        if now - before > STALL || devices.iter().any(|device| device.is_submitted_to_from_here()) {
            // Somebody else needs this CPU. A job in the hands of a thread that does not run helps
            // nobody, and a CPU that is taken from a submitter does not help him.
            sleep(BACK_OFF);
            now = Instant::now();
        }
        if done > 0 {
            idle_since = now;
            is_stuck = false;
        } else if now - idle_since < SPIN_MAX {
            spin_loop();
        } else {
            let has_work = || devices.iter().any(|device| device.has_work());
            if !has_work() {
                alarm.sleep_unless(has_work);
            } else if is_stuck {
                // Nothing that engines could do: they hang, or what is to come is not due.
                sleep(BACK_OFF);
            }
            // Or it has come just now.
            is_stuck = has_work();
            now = Instant::now();
            idle_since = now;
        }
    }
}

/// Wakes threads that sleep.
#[derive(Default)]
pub(crate) struct Alarm {
    is_over: AtomicBool,
    sleeping: AtomicUsize,
    sleepers: Mutex<Vec<Thread>>,
}

impl Alarm {
    /// There is a job: wakes a thread, if all that are there sleep.
    pub(crate) fn ring(&self) {
        // Who goes to sleep says so before he looks for work; we look for him after there was some.
        fence(Ordering::SeqCst);
        if self.sleeping.load(Ordering::Relaxed) > 0 {
            self.wake();
        }
    }

    #[cold]
    fn wake(&self) {
        let mut sleepers = locked(&self.sleepers);
        let sleeper = sleepers.pop();
        self.sleeping.store(sleepers.len(), Ordering::Relaxed);
        drop(sleepers);
        if let Some(sleeper) = sleeper {
            sleeper.unpark();
        }
    }

    fn sleep_unless(&self, has_work: impl Fn() -> bool) {
        let mut sleepers = locked(&self.sleepers);
        sleepers.push(thread::current());
        self.sleeping.store(sleepers.len(), Ordering::Relaxed);
        drop(sleepers);
        fence(Ordering::SeqCst);
        if !has_work() && !self.is_over.load(Ordering::Acquire) {
            // Woken too early, it looks for work, spins, and comes back.
            thread::park();
        }
        let me = thread::current().id();
        let mut sleepers = locked(&self.sleepers);
        sleepers.retain(|sleeper| sleeper.id() != me);
        self.sleeping.store(sleepers.len(), Ordering::Relaxed);
    }
}

/// Longer than any job of a page takes, shorter than a thread's turn on a CPU that it shares.
const STALL: Duration = Duration::from_micros(500);
const BACK_OFF: Duration = Duration::from_millis(20);
/// How long a thread looks for the next job before it sleeps.
const SPIN_MAX: Duration = Duration::from_micros(100);
