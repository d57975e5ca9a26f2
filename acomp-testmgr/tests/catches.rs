//! Drivers with one defect each are reported, by the gate as by the tests of each theme, and sound
//! ones are not. Most defects are of drivers that were in use.

#![expect(clippy::unwrap_used, reason = "test helpers unwrap like tests")]

use std::collections::VecDeque;
use std::mem;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use acomp_core::{
    AlgInfo, Algorithm, Codec, Direction, DrivenBy, Engine, Error, ExecutedOn, Job, Kind,
    MAX_BATCH, OpenError, Ops, Outcome, Params, Port, Progress, Refused,
};
use acomp_testmgr::{Suite, Theme, Vector, VectorSet, alg_test, conformance, theme_test};

#[test]
fn every_defect_is_reported_by_the_gate() {
    for (is, theme) in DEFECTS {
        let report = alg_test(&Toy::new(is), Suite::Gate);
        let reports_it = report.failures.iter().any(|failure| failure.theme == theme);
        assert!(reports_it, "{is:?}: nothing about {theme} in: {report}");
    }
}

#[test]
fn sound_drivers_pass() {
    for is in [Is::Sound, Is::Backwards, Is::Limited, Is::Async] {
        for suite in [Suite::Gate, Suite::Full] {
            let report = alg_test(&Toy::new(is), suite);
            assert!(report.is_passed() && report.cases > 100, "{is:?}, {suite:?}: {report}");
        }
    }
}

#[test]
fn a_failure_comes_again_and_says_what_its_input_was() {
    let report = alg_test(&Toy::new(Is::WrongAtTheEnd), Suite::Full);
    let again = alg_test(&Toy::new(Is::WrongAtTheEnd), Suite::Full);
    assert_eq!((report.cases, &report.failures), (again.cases, &again.failures));

    let failure = report.failures.iter().find(|failure| failure.theme == Theme::RoundTrip).unwrap();
    assert_eq!(failure.case, "zero, seed 4095, 4095 bytes");
}

#[test]
fn a_panic_is_reported_with_its_message() {
    let report = alg_test(&Toy::new(Is::PanickingAtOpen), Suite::Gate);
    assert!(report.failures[0].why.contains("no luck today"), "{report}");
}

#[test]
fn a_report_on_one_theme_says_what_to_do_about_it_and_nothing_else() {
    for (is, theme) in DEFECTS {
        let report = theme_test(&Toy::new(is), theme);
        assert!(report.failures.iter().any(|failure| failure.theme == theme), "{is:?}: {report}");
        assert!(report.failures.iter().all(|failure| failure.theme == theme), "{is:?}: {report}");
        let text = report.to_string();
        assert_eq!(text.matches(theme.advice()).count(), 1, "{text}");
        assert_eq!(text.matches("=>").count(), 1, "{text}");
    }
    let sound = theme_test(&Toy::new(Is::Sound), Theme::Chain);
    assert!(sound.is_passed() && !sound.to_string().contains("=>"), "{sound}");
}

mod macro_on_a_sound_driver {
    super::conformance!(super::Toy::new(super::Is::Sound));
}

mod macro_on_a_broken_driver {
    super::conformance!(
        super::Toy::new(super::Is::PanickingAtOpen),
        #[should_panic(expected = "no luck today")]
    );
}

/// What a toy does wrong, or differently.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Is {
    Sound,
    /// Runs a chain from its end, which is allowed.
    Backwards,
    /// Takes short sources only, and says so.
    Limited,
    /// Requests have an engine, which works when it is polled.
    Async,

    AnsweringAllLikeHead,
    AnsweringAllLikeTail,
    AnsweringHeadOnly,
    /// "In progress" first, then the result.
    AnsweringTwice,
    BlindToDirection,
    BlindToTag,
    ConfusedByCorrupt,
    ConfusedByTooSmall,
    CuttingToFit,
    /// One that calls itself software, and has an engine.
    CallingItselfSoftware,
    /// Of every session, after the first error of one.
    DisabledByError,
    DroppingRemainder,
    /// All destinations are as long as that of the head.
    GivingAllTheHeadsRoom,
    /// Wants room for the worst case, always.
    Greedy,
    /// Writes as much as there is, and finds out then.
    IgnoringDstLength,
    IgnoringTail,
    LyingAboutLimit,
    /// Of a workspace: as many as there are descriptors.
    Leaking,
    NotTakingOddAddresses,
    OnePageScratch,
    Overclaiming,
    PanickingAtOpen,
    PanickingOnCut,
    Permissive,
    QueueFullForTooSmall,
    RefusingEmpty,
    Remembering,
    /// How long the last chain was.
    RememberingChain,
    Renaming,
    Sharing,
    /// Two calls at the same time use one scratch buffer.
    SharingScratch,
    StoppingAtFailure,
    TellingTooLittle,
    Tiring,
    TooLarge,
    UnsupportedForCorrupt,
    WrongAtTheEnd,

    EngineBlindToDirection,
    EngineLosingJobs,
    EngineMixingUpOutputs,
    /// Nobody is told, and nobody is to poll.
    EngineStranding,
    EngineAnsweringOneErrorForAll,
}

/// The theme under which each defect must be reported.
const DEFECTS: [(Is, Theme); 42] = [
    (Is::AnsweringAllLikeHead, Theme::Chain),
    (Is::AnsweringAllLikeTail, Theme::Chain),
    (Is::AnsweringHeadOnly, Theme::Chain),
    (Is::AnsweringTwice, Theme::Chain),
    (Is::BlindToDirection, Theme::Chain),
    (Is::BlindToTag, Theme::Vectors),
    (Is::CallingItselfSoftware, Theme::Facts),
    (Is::ConfusedByCorrupt, Theme::Vectors),
    (Is::ConfusedByTooSmall, Theme::SmallDestination),
    (Is::CuttingToFit, Theme::SmallDestination),
    (Is::DisabledByError, Theme::State),
    (Is::DroppingRemainder, Theme::RoundTrip),
    (Is::EngineBlindToDirection, Theme::Matrix),
    (Is::EngineLosingJobs, Theme::Matrix),
    (Is::EngineMixingUpOutputs, Theme::Matrix),
    (Is::EngineStranding, Theme::Matrix),
    (Is::EngineAnsweringOneErrorForAll, Theme::Matrix),
    (Is::GivingAllTheHeadsRoom, Theme::Chain),
    (Is::Greedy, Theme::SmallDestination),
    (Is::IgnoringDstLength, Theme::SmallDestination),
    (Is::IgnoringTail, Theme::DamagedStream),
    (Is::Leaking, Theme::State),
    (Is::LyingAboutLimit, Theme::RoundTrip),
    (Is::NotTakingOddAddresses, Theme::Matrix),
    (Is::OnePageScratch, Theme::RoundTrip),
    (Is::Overclaiming, Theme::SmallDestination),
    (Is::PanickingAtOpen, Theme::Open),
    (Is::PanickingOnCut, Theme::DamagedStream),
    (Is::Permissive, Theme::Facts),
    (Is::QueueFullForTooSmall, Theme::SmallDestination),
    (Is::RefusingEmpty, Theme::RoundTrip),
    (Is::Remembering, Theme::State),
    (Is::RememberingChain, Theme::Chain),
    (Is::Renaming, Theme::Facts),
    (Is::Sharing, Theme::State),
    (Is::SharingScratch, Theme::State),
    (Is::StoppingAtFailure, Theme::Chain),
    (Is::TellingTooLittle, Theme::RoundTrip),
    (Is::Tiring, Theme::State),
    (Is::TooLarge, Theme::Facts),
    (Is::UnsupportedForCorrupt, Theme::DamagedStream),
    (Is::WrongAtTheEnd, Theme::RoundTrip),
];

/// A tag, the length of the data in 4 bytes, and the data: one byte of it if all are equal.
#[derive(Debug)]
struct Toy {
    is: Is,
    info: AlgInfo,
    shared: Arc<Shared>,
    port: Option<Port>,
}

#[derive(Debug, Default)]
struct Shared {
    last: AtomicU8,
    is_disabled: AtomicBool,
    scratch: Mutex<Vec<u8>>,
}

static VECTORS: &[Vector] = &[
    Vector::accepted("stored", &[STORED, 2, 0, 0, 0, 7, 8], &[7, 8]),
    Vector::accepted("run", &[RUN, 3, 0, 0, 0, 7], &[7, 7, 7]),
    Vector::refused("tag", &[2, 2, 0, 0, 0, 7, 8]),
    Vector::refused("cut-off", &[STORED, 2, 0, 0, 0, 7]),
];

acomp_core::inventory::submit! { VectorSet::new("toy", VECTORS, module_path!()) }

impl Toy {
    fn new(is: Is) -> Self {
        let info = AlgInfo::new("toy", "toy-rs");
        let info = match is {
            Is::Limited | Is::LyingAboutLimit => info.with_src_bytes_max(LIMIT_BYTES),
            Is::TooLarge => info.with_batch_size(TOO_LARGE),
            is if is.has_engine() && is != Is::CallingItselfSoftware => {
                info.with_kind(Kind::Offload)
            }
            _ => info,
        };
        let toy = Self { is, info, shared: Arc::default(), port: None };
        let engine = ToyEngine { codec: toy.codec(), queue: Mutex::default() };
        Self { port: is.has_engine().then(|| Port::new(Arc::new(engine))), ..toy }
    }

    fn codec(&self) -> Mutex<ToyCodec> {
        let shared = Arc::clone(&self.shared);
        let (is, errors, calls, chain) = (self.is, 0, 0, MAX_BATCH);
        Mutex::new(ToyCodec { is, shared, errors, calls, chain, has_failed: false })
    }
}

impl Is {
    fn has_engine(self) -> bool {
        matches!(
            self,
            Self::Async
                | Self::CallingItselfSoftware
                | Self::EngineBlindToDirection
                | Self::EngineLosingJobs
                | Self::EngineMixingUpOutputs
                | Self::EngineStranding
                | Self::EngineAnsweringOneErrorForAll
        )
    }
}

impl Algorithm for Toy {
    fn info(&self) -> &AlgInfo {
        &self.info
    }

    fn prepare(&self, _: &Params) -> Result<Option<Arc<dyn Algorithm>>, OpenError> {
        Ok((self.is == Is::Renaming).then(|| {
            let info = AlgInfo::new("toy", "prepared");
            Arc::new(Self { info, ..Self::new(Is::Sound) }) as Arc<dyn Algorithm>
        }))
    }

    fn open(&self, params: &Params) -> Result<Box<dyn Codec>, OpenError> {
        assert!(self.is != Is::PanickingAtOpen, "no luck today");
        if self.is != Is::Permissive {
            params.allow(&[])?;
        }
        Ok(Box::new(self.codec().into_inner().unwrap()))
    }

    fn port(&self) -> Option<&Port> {
        self.port.as_ref()
    }
}

struct ToyCodec {
    is: Is,
    shared: Arc<Shared>,
    errors: usize,
    calls: usize,
    /// The length of the last one.
    chain: usize,
    has_failed: bool,
}

impl Codec for ToyCodec {
    fn compress(&mut self, src: &[u8], dst: &mut [u8]) -> Outcome {
        let stream = self.stream(src)?;
        let needed = if self.is == Is::Greedy { src.len() + HEADER_BYTES } else { stream.len() };
        let outcome = match dst.get_mut(..needed) {
            _ if self.is == Is::IgnoringDstLength => {
                dst[..stream.len()].copy_from_slice(&stream);
                Ok(stream.len())
            }
            Some(dst) => {
                dst[..stream.len()].copy_from_slice(&stream);
                Ok(stream.len() - usize::from(self.is == Is::TellingTooLittle))
            }
            None if self.is == Is::Overclaiming => Ok(stream.len()),
            None if self.is == Is::QueueFullForTooSmall => Err(Error::Busy),
            None => Err(Error::DstTooSmall),
        };
        self.remember(outcome)
    }

    fn decompress(&mut self, src: &[u8], dst: &mut [u8]) -> Outcome {
        let outcome = self.data(src).and_then(|data| {
            if self.is == Is::CuttingToFit && dst.len() < data.len() {
                dst.copy_from_slice(&data[..dst.len()]);
                return Ok(dst.len());
            }
            dst.get_mut(..data.len()).ok_or(Error::DstTooSmall)?.copy_from_slice(&data);
            Ok(data.len())
        });
        let outcome = match (outcome, self.is) {
            (Err(Error::DstTooSmall), Is::ConfusedByTooSmall) => Err(Error::Corrupt),
            (Err(Error::Corrupt), Is::ConfusedByCorrupt) => Err(Error::DstTooSmall),
            (Err(Error::Corrupt), Is::UnsupportedForCorrupt) => Err(Error::Unsupported),
            (outcome, _) => outcome,
        };
        self.remember(outcome)
    }

    fn run(&mut self, ops: &mut Ops<'_, '_>) {
        let len = match self.is {
            Is::AnsweringHeadOnly => 1,
            Is::RememberingChain => mem::replace(&mut self.chain, ops.len()).max(1),
            _ => MAX_BATCH,
        };
        let len = len.min(ops.len());
        let mut like_all = None;
        let heads_room = ops.get_mut(0).map_or(0, |mut head| head.io().1.len());
        for i in 0..len {
            let is_reverse = matches!(self.is, Is::Backwards | Is::AnsweringAllLikeTail);
            let i = if is_reverse { len - 1 - i } else { i };
            if self.is == Is::AnsweringTwice {
                let Some(op) = ops.get_mut(i) else { return };
                op.complete(Err(Error::Busy), ExecutedOn::Driver);
            }
            let Some(mut op) = ops.get_mut(i) else { return };
            let direction = match self.is {
                Is::BlindToDirection => Direction::Compress,
                _ => op.direction(),
            };
            let (src, mut dst) = op.io();
            if self.is == Is::GivingAllTheHeadsRoom {
                let room = dst.len().min(heads_room);
                dst = &mut dst[..room];
            }
            let outcome = match direction {
                Direction::Compress => self.compress(src, dst),
                Direction::Decompress => self.decompress(src, dst),
            };
            let is_like_all =
                matches!(self.is, Is::AnsweringAllLikeHead | Is::AnsweringAllLikeTail);
            let answer = if is_like_all { *like_all.get_or_insert(outcome) } else { outcome };
            op.complete(answer, ExecutedOn::Driver);
            if outcome.is_err() && self.is == Is::StoppingAtFailure {
                return;
            }
        }
    }
}

impl ToyCodec {
    fn stream(&mut self, src: &[u8]) -> Result<Vec<u8>, Error> {
        if self.is == Is::NotTakingOddAddresses && !src.as_ptr().addr().is_multiple_of(2) {
            return Err(Error::Unsupported);
        }
        let src = match self.is {
            Is::DroppingRemainder => &src[..src.len() / 8 * 8],
            Is::OnePageScratch => &src[..src.len().min(4096)],
            _ => src,
        };
        let is_limit = src.len() == LIMIT_BYTES.get();
        assert!(self.is != Is::Limited || src.len() <= LIMIT_BYTES.get());
        if is_limit && self.is == Is::LyingAboutLimit
            || src.is_empty() && self.is == Is::RefusingEmpty
        {
            return Err(Error::DstTooSmall);
        }
        let is_run = !src.is_empty() && src.iter().all(|&byte| byte == src[0]);
        let (tag, body) = if is_run { (RUN, &src[..1]) } else { (STORED, src) };
        let mut stream = vec![tag];
        stream.extend((src.len() as u32).to_le_bytes());
        stream.extend(body);
        match self.is {
            Is::Remembering if self.has_failed => stream[1] ^= 1,
            Is::SharingScratch => {
                self.shared.scratch.lock().unwrap().clone_from(&stream);
                if src.len() == 4096 {
                    thread::sleep(CALL_TIME);
                }
                stream.clone_from(&self.shared.scratch.lock().unwrap());
            }
            Is::Sharing => self.shared.last.store(stream[stream.len() - 1], Relaxed),
            _ => {}
        }
        Ok(stream)
    }

    fn data(&mut self, src: &[u8]) -> Result<Vec<u8>, Error> {
        if self.is == Is::PanickingOnCut {
            assert!(src.len() >= HEADER_BYTES);
        }
        let (&[tag, a, b, c, d], body) = src.split_first_chunk().ok_or(Error::Corrupt)?;
        let len = u32::from_le_bytes([a, b, c, d]) as usize;
        let mut data = match (tag, body) {
            (STORED, body) if body.len() == len => body.to_vec(),
            (STORED, body) if body.len() > len && self.is == Is::IgnoringTail => {
                body[..len].to_vec()
            }
            (RUN, &[_]) if len > LONGEST_DATA_BYTES => return Err(Error::DstTooSmall),
            (RUN, &[byte]) => vec![byte; len],
            (2.., body) if self.is == Is::BlindToTag => body.to_vec(),
            _ => return Err(Error::Corrupt),
        };
        match data.last_mut() {
            Some(last) if self.is == Is::WrongAtTheEnd && len > 4000 => *last ^= 1,
            Some(last) if self.is == Is::Sharing => *last = self.shared.last.load(Relaxed),
            _ => {}
        }
        Ok(data)
    }

    fn remember(&mut self, outcome: Outcome) -> Outcome {
        self.calls += 1;
        self.errors += usize::from(outcome.is_err());
        self.has_failed = outcome.is_err();
        assert!(self.is != Is::Tiring || self.errors < 25);
        assert!(self.is != Is::Leaking || self.calls < 50);
        match self.is {
            Is::DisabledByError if self.shared.is_disabled.load(Relaxed) => Err(Error::DeviceLost),
            Is::DisabledByError => {
                self.shared.is_disabled.store(outcome.is_err(), Relaxed);
                outcome
            }
            _ => outcome,
        }
    }
}

/// Works when it is polled.
struct ToyEngine {
    codec: Mutex<ToyCodec>,
    queue: Mutex<VecDeque<Job>>,
}

impl ToyEngine {
    fn execute(&self, mut job: Job) {
        let mut codec = self.codec.lock().unwrap();
        let mut direction = job.direction();
        if codec.is == Is::EngineBlindToDirection {
            direction = Direction::Compress;
        }
        let (src, dst) = job.io();
        let outcome = match direction {
            Direction::Compress => codec.compress(src, dst),
            Direction::Decompress => codec.decompress(src, dst),
        };
        let outcome = match (codec.is, outcome) {
            // The record of the one before.
            (Is::EngineMixingUpOutputs, Ok(len)) => Ok(mem::replace(&mut codec.chain, len)),
            (Is::EngineAnsweringOneErrorForAll, Err(_)) => Err(Error::Device),
            (_, outcome) => outcome,
        };
        drop(codec);
        job.complete(outcome, ExecutedOn::Driver);
    }
}

impl Engine for ToyEngine {
    fn submit(&self, job: Job) -> Result<(), Refused> {
        let mut codec = self.codec.lock().unwrap();
        codec.calls += 1;
        if codec.is != Is::EngineLosingJobs || !codec.calls.is_multiple_of(7) {
            self.queue.lock().unwrap().push_back(job);
            return Ok(());
        }
        drop(codec);
        drop(job);
        Ok(())
    }

    fn poll(&self, budget: usize) -> Progress {
        if self.codec.lock().unwrap().is == Is::EngineStranding {
            return Progress { completed: 0, driven_by: DrivenBy::Device };
        }
        let ready = std::iter::from_fn(|| self.queue.lock().unwrap().pop_front()).take(budget);
        let completed = ready.map(|job| self.execute(job)).count();
        Progress { completed, driven_by: DrivenBy::Caller }
    }
}

const STORED: u8 = 0;
const RUN: u8 = 1;
const HEADER_BYTES: usize = 5;
const TOO_LARGE: NonZeroUsize = NonZeroUsize::new(MAX_BATCH + 1).unwrap();
const LIMIT_BYTES: NonZeroUsize = NonZeroUsize::new(1000).unwrap();
/// Long enough for two calls that begin together to overlap.
const CALL_TIME: Duration = Duration::from_micros(50);
/// No test has more.
const LONGEST_DATA_BYTES: usize = 1 << 20;
