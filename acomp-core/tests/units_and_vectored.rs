//! Sources cut into units, and buffers in pieces: the same results as one linear call each.

#![expect(clippy::unwrap_used, reason = "test helpers unwrap like tests")]

mod toys;

use std::io::{IoSlice, IoSliceMut};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};

use acomp_algs as _;
use acomp_core::{Acomp, Error, MAX_BATCH, Misuse, Outcome, Params, Registry, RunSummary, Session};

use toys::{TOY, Toy, acomp_of, copy};

#[test]
fn units_are_compressed_each_to_a_stream_of_its_own() {
    for src_bytes in [1, 99, 100, 101, 250, 300, 64 * 100, 64 * 100 + 1, 15_050] {
        let src = compressible(src_bytes);
        let units = src_bytes.div_ceil(100);
        let mut cut = Cut::of(units);
        let mut session = Acomp::alloc("lz4").unwrap().session().unwrap();
        let summary = cut.run(&mut session, &src, 100).unwrap();
        assert_eq!((summary.ok, summary.failed), (units, 0));

        for (i, unit) in src.chunks(100).enumerate() {
            let mut back = [0; 100];
            let stream = &cut.dsts[i][..cut.outcomes[i].unwrap()];
            assert_eq!(session.decompress(stream, &mut back), Ok(unit.len()), "unit {i}");
            assert_eq!(&back[..unit.len()], unit, "unit {i} of {src_bytes} bytes");
        }
    }
}

#[test]
fn more_units_than_a_chain_holds_are_run_in_several() {
    let lens = Arc::new(Mutex::new(Vec::new()));
    let acomp = acomp_of(Toy::whole(TOY, {
        let lens = Arc::clone(&lens);
        move |ops| lens.lock().unwrap().push(ops.len())
    }));
    let mut cut = Cut::of(300);
    let src = compressible((2 * MAX_BATCH + 22) * 100);
    let summary = cut.run(&mut acomp.session().unwrap(), &src, 100).unwrap();
    assert_eq!(*lens.lock().unwrap(), [MAX_BATCH, MAX_BATCH, 22]);
    assert_eq!((summary.ok, summary.failed), (0, 2 * MAX_BATCH + 22));
}

#[test]
fn empty_source_has_no_units() {
    let mut session = acomp_of(Toy::copying(TOY)).session().unwrap();
    let mut cut = Cut::of(2);
    assert_eq!(cut.run(&mut session, &[], 100), Ok(RunSummary::default()));
    assert_eq!(cut, Cut::of(2), "nothing is touched");
    assert_eq!(Cut::of(0).run(&mut session, &[], 100), Ok(RunSummary::default()));
}

#[test]
fn destinations_and_cells_beyond_the_units_are_not_touched() {
    let mut session = acomp_of(Toy::copying(TOY)).session().unwrap();
    for (units, extra) in [(1, 1), (3, 70), (64, 1), (65, 64)] {
        let mut cut = Cut::of(units + extra);
        cut.run(&mut session, &vec![1; units * 100], 100).unwrap();
        assert!(cut.outcomes[..units].iter().all(|outcome| *outcome == Ok(100)));
        assert_eq!(cut.dsts[units..], Cut::of(extra).dsts);
        assert_eq!(cut.outcomes[units..], Cut::of(extra).outcomes);
    }
}

#[test]
fn too_few_destinations_or_cells_are_misuse_and_nothing_is_run() {
    let mut session = acomp_of(Toy::copying(TOY)).session().unwrap();
    let src = [1; 201];
    let mut few_dsts = Cut::of(3);
    few_dsts.dsts.pop();
    let misuse = few_dsts.run(&mut session, &src, 100);
    assert_eq!(misuse, Err(Misuse::TooFewDsts { units: 3, dsts: 2 }));

    let mut few_outcomes = Cut::of(3);
    few_outcomes.outcomes.pop();
    let misuse = few_outcomes.run(&mut session, &src, 100);
    assert_eq!(misuse, Err(Misuse::TooFewOutcomes { units: 3, outcomes: 2 }));

    assert_eq!(few_dsts.outcomes, Cut::of(3).outcomes);
    assert_eq!(few_outcomes.dsts, Cut::of(3).dsts);
    assert_eq!(session.stats(), acomp_of(Toy::copying(TOY)).session().unwrap().stats());
}

#[test]
fn failing_unit_has_its_error_and_the_others_their_streams() {
    let acomp =
        acomp_of(Toy::each(
            TOY,
            |src, dst| {
                if src[0] == 3 { Err(Error::Busy) } else { copy(src, dst) }
            },
        ));
    let src: Vec<u8> = (0..6).flat_map(|unit| [unit; 100]).collect();
    let mut cut = Cut::of(6);
    let summary = cut.run(&mut acomp.session().unwrap(), &src, 100).unwrap();
    let mut expected = [Ok(100); 6];
    expected[3] = Err(Error::Busy);
    assert_eq!(cut.outcomes, expected);
    assert_eq!((summary.ok, summary.first_error), (5, Some(Error::Busy)));
}

#[test]
fn pieces_give_what_one_linear_call_gives() {
    for name in ["null", "lz4", "deflate"] {
        let mut session = Acomp::alloc(name).unwrap().session().unwrap();
        for seed in 0..SPLITS {
            let mut rng = fastrand::Rng::with_seed(seed);
            let src = compressible(rng.usize(..6000));
            let dst_bytes = rng.usize(..2 * src.len() + 64); // Sometimes too small.
            let case = format!("{name}, seed {seed}, {} to {dst_bytes} bytes", src.len());

            let mut linear = vec![0; dst_bytes];
            let outcome = session.compress(&src, &mut linear);
            let pieces =
                vectored(&mut rng, &src, dst_bytes, |src, dst| session.compress_vectored(src, dst));
            assert_eq!(pieces.0, outcome, "{case}");
            let Ok(len) = outcome else { continue };
            assert_eq!(pieces.1[..len], linear[..len], "{case}");

            let (outcome, back) = vectored(&mut rng, &linear[..len], src.len(), |src, dst| {
                session.decompress_vectored(src, dst)
            });
            assert_eq!((outcome, back), (Ok(src.len()), src), "{case}");
        }
    }
}

#[test]
fn pieces_longer_than_the_bounce_limit_are_unsupported() {
    let bounce = NonZeroUsize::new(100).unwrap();
    let registry = Registry::from_entries([]);
    let _guard = registry.add(Toy::copying(TOY)).unwrap();
    let params = Params::new().with_bounce_bytes_max(bounce);
    let mut session = Acomp::alloc_in(&registry, "toy", params).unwrap().session().unwrap();
    let mut copied = |src_bytes: usize, dst_bytes: usize| {
        let (src, mut dst) = (vec![1; src_bytes], vec![0; dst_bytes]);
        let (head, tail) = src.split_at(src_bytes / 2);
        let outcome = session.compress_vectored(
            &[IoSlice::new(head), IoSlice::new(tail)],
            &mut [IoSliceMut::new(&mut dst)],
        );
        (outcome, dst)
    };
    assert_eq!(copied(100, 100), (Ok(100), vec![1; 100]));
    assert_eq!(copied(101, 101), (Err(Error::Unsupported), vec![0; 101]));
    assert_eq!(copied(100, 101), (Err(Error::Unsupported), vec![0; 101]));
    assert_eq!(copied(10, 100).0, Ok(10), "the session goes on");
}

#[test]
fn nothing_is_written_to_the_pieces_on_failure() {
    let acomp = acomp_of(Toy::each(TOY, |_, dst| {
        dst.fill(0xEE);
        Err(Error::Corrupt)
    }));
    let mut session = acomp.session().unwrap();
    let (mut head, mut tail) = ([7; 10], [7; 20]);
    let mut dst = [IoSliceMut::new(&mut head), IoSliceMut::new(&mut tail)];
    let src = [IoSlice::new(b"page")];
    assert_eq!(session.decompress_vectored(&src, &mut dst), Err(Error::Corrupt));
    assert_eq!((head, tail), ([7; 10], [7; 20]));
}

#[test]
fn bytes_behind_the_output_are_left_as_they_were() {
    let mut session = acomp_of(Toy::copying(TOY)).session().unwrap();
    let mut pieces = [[7; 4]; 3];
    let mut dst = pieces.each_mut().map(|piece| IoSliceMut::new(piece));
    let src = [IoSlice::new(b"abc"), IoSlice::new(b""), IoSlice::new(b"def")];
    assert_eq!(session.compress_vectored(&src, &mut dst), Ok(6));
    assert_eq!(pieces.as_flattened(), b"abcdef\x07\x07\x07\x07\x07\x07");
}

#[test]
fn no_pieces_at_all_are_an_empty_buffer() {
    let mut session = acomp_of(Toy::copying(TOY)).session().unwrap();
    assert_eq!(session.compress_vectored(&[], &mut []), Ok(0));
    let src = [IoSlice::new(b"page")];
    assert_eq!(session.compress_vectored(&src, &mut []), Err(Error::DstTooSmall));
}

/// The destinations and outcome cells of a call of `run_units`.
#[derive(Debug, PartialEq)]
struct Cut {
    dsts: Vec<[u8; 128]>,
    outcomes: Vec<Outcome>,
}

impl Cut {
    fn of(units: usize) -> Self {
        Self { dsts: vec![[0xAA; 128]; units], outcomes: vec![Err(Error::Cancelled); units] }
    }

    fn run(
        &mut self,
        session: &mut Session,
        src: &[u8],
        unit: usize,
    ) -> Result<RunSummary, Misuse> {
        let mut dsts: Vec<&mut [u8]> = self.dsts.iter_mut().map(|dst| &mut dst[..]).collect();
        let unit = NonZeroUsize::new(unit).unwrap();
        session.run_units(src, unit, &mut dsts, &mut self.outcomes)
    }
}

/// Calls with source and destination cut at random, some pieces empty; the outcome and what the
/// destination then holds.
fn vectored(
    rng: &mut fastrand::Rng,
    src: &[u8],
    dst_bytes: usize,
    call: impl FnOnce(&[IoSlice<'_>], &mut [IoSliceMut<'_>]) -> Outcome,
) -> (Outcome, Vec<u8>) {
    let mut pieces = Vec::new();
    let mut rest = src;
    for len in random_lens(rng, src.len()) {
        let (piece, later) = rest.split_at(len);
        pieces.push(IoSlice::new(piece));
        rest = later;
    }
    let mut dst: Vec<Vec<u8>> =
        random_lens(rng, dst_bytes).into_iter().map(|len| vec![0; len]).collect();
    let mut dst_pieces: Vec<_> = dst.iter_mut().map(|piece| IoSliceMut::new(piece)).collect();
    let outcome = call(&pieces, &mut dst_pieces);
    (outcome, dst.concat())
}

/// One to eight lengths with this sum.
fn random_lens(rng: &mut fastrand::Rng, sum: usize) -> Vec<usize> {
    let mut cuts: Vec<usize> = (0..rng.usize(..8)).map(|_| rng.usize(..=sum)).collect();
    cuts.extend([0, sum]);
    if rng.bool() {
        cuts.push(cuts[0]); // An empty piece.
    }
    cuts.sort_unstable();
    cuts.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

fn compressible(len: usize) -> Vec<u8> {
    let mut rng = fastrand::Rng::with_seed(len as u64);
    (0..len).map(|_| *rng.choice(b"aaaaaabbc ").unwrap_or(&b' ')).collect()
}

const SPLITS: u64 = 300;

#[test]
fn no_limit_and_more_bytes_than_memory_is_unsupported() {
    let registry = Registry::from_entries([]);
    let _guard = registry.add(Toy::copying(TOY)).unwrap();
    let params = Params::new().with_bounce_bytes_max(NonZeroUsize::MAX);
    let mut session = Acomp::alloc_in(&registry, "toy", params).unwrap().session().unwrap();
    let piece = vec![0; 1 << 20];
    // One MiB, 2^26 times.
    let src = vec![IoSlice::new(&piece); 1 << 26];
    let outcome = session.compress_vectored(&src, &mut [IoSliceMut::new(&mut [0; 8])]);
    assert_eq!(outcome, Err(Error::Unsupported));
    let two = [IoSlice::new(b"two "), IoSlice::new(b"pieces")];
    assert_eq!(session.compress_vectored(&two, &mut [IoSliceMut::new(&mut [0; 10])]), Ok(10));
}
