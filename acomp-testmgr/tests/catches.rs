//! Drivers with one defect each are reported, and sound ones are not: the suite can fail.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use acomp_core::{
    AlgInfo, Algorithm, Codec, Direction, Error, ExecutedOn, MAX_BATCH, OpenError, Ops, Outcome,
    Params,
};
use acomp_testmgr::{Suite, Theme, Vector, VectorSet, alg_test, conformance, theme_test};

#[test]
fn every_defect_is_reported_by_both_suites() {
    for (is, theme) in DEFECTS {
        for suite in [Suite::Gate, Suite::Full] {
            let report = alg_test(&Toy::new(is), suite);
            let reports_it = report.failures.iter().any(|failure| failure.theme == theme);
            assert!(reports_it, "{is:?}, {suite:?}: nothing about {theme} in: {report}");
        }
    }
}

/// The gate has no input that the toy shrinks to half.
#[test]
fn a_driver_that_always_wants_the_worst_case_is_reported_by_the_full_suite() {
    let report = alg_test(&Toy::new(Is::Greedy), Suite::Full);
    assert!(report.failures.iter().any(|failure| failure.theme == Theme::SmallDestination));
}

#[test]
fn sound_drivers_pass() {
    for is in [Is::Sound, Is::Backwards, Is::Limited] {
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

    AnsweringHeadOnly,
    BlindToDirection,
    BlindToTag,
    ConfusedByCorrupt,
    ConfusedByTooSmall,
    CuttingToFit,
    Greedy,
    IgnoringTail,
    LyingAboutLimit,
    Overclaiming,
    PanickingAtOpen,
    PanickingOnCut,
    Permissive,
    RefusingEmpty,
    Remembering,
    Renaming,
    Sharing,
    StoppingAtFailure,
    TellingTooLittle,
    Tiring,
    TooLarge,
    UnsupportedForCorrupt,
    WrongAtTheEnd,
}

/// The theme under which each defect must be reported.
const DEFECTS: [(Is, Theme); 22] = [
    (Is::AnsweringHeadOnly, Theme::Chain),
    (Is::BlindToDirection, Theme::Chain),
    (Is::BlindToTag, Theme::Vectors),
    (Is::ConfusedByCorrupt, Theme::Vectors),
    (Is::ConfusedByTooSmall, Theme::SmallDestination),
    (Is::CuttingToFit, Theme::SmallDestination),
    (Is::IgnoringTail, Theme::DamagedStream),
    (Is::LyingAboutLimit, Theme::RoundTrip),
    (Is::Overclaiming, Theme::SmallDestination),
    (Is::PanickingAtOpen, Theme::Open),
    (Is::PanickingOnCut, Theme::DamagedStream),
    (Is::Permissive, Theme::Facts),
    (Is::RefusingEmpty, Theme::RoundTrip),
    (Is::Remembering, Theme::State),
    (Is::Renaming, Theme::Facts),
    (Is::Sharing, Theme::State),
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
    shared: Arc<AtomicU8>,
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
            _ => info,
        };
        Self { is, info, shared: Arc::default() }
    }
}

impl Algorithm for Toy {
    fn info(&self) -> &AlgInfo {
        &self.info
    }

    fn prepare(&self, _: &Params) -> Result<Option<Arc<dyn Algorithm>>, OpenError> {
        Ok((self.is == Is::Renaming).then(|| {
            let info = AlgInfo::new("toy", "prepared");
            Arc::new(Self { is: Is::Sound, info, shared: Arc::default() }) as Arc<dyn Algorithm>
        }))
    }

    fn open(&self, params: &Params) -> Result<Box<dyn Codec>, OpenError> {
        assert!(self.is != Is::PanickingAtOpen, "no luck today");
        if self.is != Is::Permissive {
            params.allow(&[])?;
        }
        let shared = Arc::clone(&self.shared);
        Ok(Box::new(ToyCodec { is: self.is, shared, errors: 0, has_failed: false }))
    }
}

struct ToyCodec {
    is: Is,
    shared: Arc<AtomicU8>,
    errors: usize,
    has_failed: bool,
}

impl Codec for ToyCodec {
    fn compress(&mut self, src: &[u8], dst: &mut [u8]) -> Outcome {
        let stream = self.stream(src)?;
        let needed = if self.is == Is::Greedy { src.len() + HEADER_BYTES } else { stream.len() };
        let outcome = match dst.get_mut(..needed) {
            Some(dst) => {
                dst[..stream.len()].copy_from_slice(&stream);
                Ok(stream.len() - usize::from(self.is == Is::TellingTooLittle))
            }
            None if self.is == Is::Overclaiming => Ok(stream.len()),
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
        let len = if self.is == Is::AnsweringHeadOnly { 1 } else { ops.len() };
        for i in 0..len {
            let i = if self.is == Is::Backwards { len - 1 - i } else { i };
            let Some(mut op) = ops.get_mut(i) else { return };
            let direction = match self.is {
                Is::BlindToDirection => Direction::Compress,
                _ => op.direction(),
            };
            let (src, dst) = op.io();
            let outcome = match direction {
                Direction::Compress => self.compress(src, dst),
                Direction::Decompress => self.decompress(src, dst),
            };
            op.complete(outcome, ExecutedOn::Driver);
            if outcome.is_err() && self.is == Is::StoppingAtFailure {
                return;
            }
        }
    }
}

impl ToyCodec {
    fn stream(&mut self, src: &[u8]) -> Result<Vec<u8>, Error> {
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
            Is::Sharing => self.shared.store(stream[stream.len() - 1], Relaxed),
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
            Some(last) if self.is == Is::Sharing => *last = self.shared.load(Relaxed),
            _ => {}
        }
        Ok(data)
    }

    fn remember(&mut self, outcome: Outcome) -> Outcome {
        self.errors += usize::from(outcome.is_err());
        self.has_failed = outcome.is_err();
        assert!(self.is != Is::Tiring || self.errors < 25);
        outcome
    }
}

const STORED: u8 = 0;
const RUN: u8 = 1;
const HEADER_BYTES: usize = 5;
const TOO_LARGE: NonZeroUsize = NonZeroUsize::new(MAX_BATCH + 1).unwrap();
const LIMIT_BYTES: NonZeroUsize = NonZeroUsize::new(1000).unwrap();
/// No test has more.
const LONGEST_DATA_BYTES: usize = 1 << 20;
