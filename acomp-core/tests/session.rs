//! What becomes of each op: one outcome, whatever the driver does.

#![expect(clippy::unwrap_used, reason = "test helpers unwrap like tests")]

mod toys;

use std::num::NonZeroUsize;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

use acomp_core::{
    Acomp, Chain, Direction, Error, ExecutedOn, MAX_BATCH, Op, Ops, Outcome, ReqFlags, RunSummary,
};

use toys::{TOY, Toy, acomp_of, copy, die};

#[test]
fn length_beyond_the_destination_is_overclaimed() {
    let claims = |len| acomp_of(Toy::each(TOY, move |_, _| Ok(len))).session().unwrap();
    let mut dst = [0; 8];
    assert_eq!(claims(8).compress(b"page", &mut dst), Ok(8));
    for len in [9, usize::MAX] {
        let mut session = claims(len);
        assert_eq!(session.compress(b"page", &mut dst), Err(Error::Overclaimed));
        assert_eq!(session.decompress(b"page", &mut dst), Err(Error::Overclaimed));
        let mut op = Op::compress(b"page", &mut dst);
        session.run(std::slice::from_mut(&mut op));
        assert_eq!((op.outcome(), op.output()), (Some(Err(Error::Overclaimed)), &[][..]));
    }
}

#[test]
fn length_beyond_the_destination_is_overclaimed_from_a_driver_of_chains() {
    let acomp = acomp_of(Toy::whole(TOY, |ops| {
        for (i, op) in ops.iter_mut().enumerate() {
            op.complete(Ok(7 + i), ExecutedOn::Driver);
        }
    }));
    let (outcomes, summary) = run(&acomp, &[b"page"; 3], |_| ());
    assert_eq!(outcomes, [Ok(7), Ok(8), Err(Error::Overclaimed)]);
    assert_eq!((summary.ok, summary.failed), (2, 1));
}

#[test]
fn op_that_the_driver_leaves_out_is_unanswered() {
    let head_only = acomp_of(Toy::whole(TOY, |ops| {
        if let Some(op) = ops.get_mut(0) {
            op.complete(Ok(1), ExecutedOn::Driver);
        }
    }));
    let (outcomes, summary) = run(&head_only, &[b"page"; 3], |_| ());
    assert_eq!(outcomes, [Ok(1), Err(Error::Unanswered), Err(Error::Unanswered)]);
    assert_eq!((summary.ok, summary.failed), (1, 2));
    assert_eq!(summary.first_error, Some(Error::Unanswered));
}

#[test]
fn first_answer_counts() {
    let acomp = acomp_of(Toy::whole(TOY, |ops| {
        let answers = [
            (Err(Error::Busy), ExecutedOn::Fallback),
            (Ok(3), ExecutedOn::Driver),
            (Ok(99), ExecutedOn::Worker),
        ];
        for i in 0..ops.len() {
            for (outcome, on) in answers.into_iter().cycle().skip(i).take(3) {
                if let Some(op) = ops.get_mut(i) {
                    op.complete(outcome, on);
                }
            }
        }
    }));
    let mut seen = Vec::new();
    let (outcomes, _) = run(&acomp, &[b"page"; 3], |op| seen.push(op.executed_on()));
    assert_eq!(outcomes, [Err(Error::Busy), Ok(3), Err(Error::Overclaimed)]);
    let by = [ExecutedOn::Fallback, ExecutedOn::Driver, ExecutedOn::Worker];
    assert_eq!(seen, by.map(Some));
}

#[test]
fn panic_ends_the_session_and_a_new_one_works() {
    let calls = Arc::new(AtomicUsize::new(0));
    let acomp = acomp_of(Toy::each(TOY, {
        let calls = Arc::clone(&calls);
        move |src, dst| {
            calls.fetch_add(1, Relaxed);
            if src == b"deadly" { die() } else { copy(src, dst) }
        }
    }));
    let mut session = acomp.session().unwrap();
    let mut dst = [0; 8];
    assert_eq!(session.compress(b"page", &mut dst), Ok(4));
    assert!(!session.is_dead());
    assert_eq!(session.decompress(b"deadly", &mut dst), Err(Error::Panicked));
    assert!(session.is_dead());

    assert_eq!(session.compress(b"page", &mut dst), Err(Error::Panicked));
    assert_eq!(session.decompress(b"page", &mut dst), Err(Error::Panicked));
    let mut op = Op::compress(b"page", &mut dst);
    session.run(std::slice::from_mut(&mut op));
    assert_eq!(op.outcome(), Some(Err(Error::Panicked)));
    assert_eq!(calls.load(Relaxed), 2, "a dead driver is not called");

    assert_eq!(acomp.session().unwrap().compress(b"page", &mut dst), Ok(4));
}

#[test]
fn panic_in_a_chain_leaves_the_answered_ops_their_outcome() {
    for at in 0..8 {
        let mut srcs = [b"page"; 8];
        srcs[at] = b"dead";
        let acomp = acomp_of(Toy::each(
            TOY,
            |src, dst| {
                if src == b"dead" { die() } else { copy(src, dst) }
            },
        ));
        let (outcomes, summary) = run(&acomp, &srcs, |_| ());
        assert_eq!(outcomes[..at], vec![Ok(4); at]);
        assert_eq!(outcomes[at..], vec![Err(Error::Panicked); 8 - at]);
        assert_eq!((summary.ok, summary.failed), (at, 8 - at));
        assert_eq!(summary.first_error, Some(Error::Panicked));
    }
}

#[test]
fn panic_in_a_driver_of_chains_leaves_the_answered_ops_their_outcome() {
    let acomp = acomp_of(Toy::whole(TOY, |ops| {
        for at in [3, 0] {
            if let Some(op) = ops.get_mut(at) {
                op.complete(Ok(at), ExecutedOn::Worker);
            }
        }
        die()
    }));
    let mut session = acomp.session().unwrap();
    let mut dsts = [[0; 8]; 4];
    let mut chain = chain_of(&[b"page"; 4], &mut dsts);
    session.run(chain.as_mut_ops());
    let panicked = Err(Error::Panicked);
    assert_eq!(outcomes_of(chain.ops()), [Ok(0), panicked, panicked, Ok(3)]);
    assert_eq!(chain.ops()[3].executed_on(), Some(ExecutedOn::Worker));
    assert!(session.is_dead());
}

#[test]
fn panic_ends_the_later_parts_of_a_long_chain_too() {
    let acomp = acomp_of(Toy::whole(TOY, |_| die()));
    let (outcomes, summary) = run(&acomp, &[b"page"; 2 * MAX_BATCH], |_| ());
    assert_eq!(outcomes, [Err(Error::Panicked); 2 * MAX_BATCH]);
    assert_eq!(summary.failed, 2 * MAX_BATCH);
}

#[test]
fn panic_whose_payload_panics_again_is_contained() {
    struct Mine;
    impl Drop for Mine {
        fn drop(&mut self) {
            die();
        }
    }
    let mut session =
        acomp_of(Toy::each(TOY, |_, _| resume_unwind(Box::new(Mine)))).session().unwrap();
    assert_eq!(session.compress(b"page", &mut [0; 8]), Err(Error::Panicked));
}

#[test]
fn source_beyond_the_drivers_limit_is_unsupported_and_the_driver_never_sees_it() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let limited = TOY.with_src_bytes_max(NonZeroUsize::new(4).unwrap());
    let acomp = acomp_of(Toy::each(limited, {
        let seen = Arc::clone(&seen);
        move |src, dst| {
            seen.lock().unwrap().push(src.len());
            copy(src, dst)
        }
    }));
    let mut session = acomp.session().unwrap();
    let mut dst = [0; 8];
    assert_eq!(session.compress(b"12345", &mut dst), Err(Error::Unsupported));
    assert_eq!(session.compress(b"1234", &mut dst), Ok(4));
    assert_eq!(session.decompress(b"123456", &mut dst), Ok(6), "a limit of compressions only");
    assert_eq!(*seen.lock().unwrap(), [4, 6]);
    seen.lock().unwrap().clear();

    for at in 0..4 {
        let mut srcs = [&b"page"[..]; 4];
        srcs[at] = b"too long";
        let mut expected = [Ok(4); 4];
        expected[at] = Err(Error::Unsupported);
        let mut dsts = [[0; 8]; 4];
        let mut chain = chain_of(&srcs, &mut dsts);
        let summary = session.run(chain.as_mut_ops());
        assert_eq!(outcomes_of(chain.ops()), expected);
        assert_eq!((summary.ok, summary.first_error), (3, Some(Error::Unsupported)));
    }
    assert_eq!(*seen.lock().unwrap(), [4; 12]);

    let mut op = Op::decompress(b"too long", &mut dst);
    session.run(std::slice::from_mut(&mut op));
    assert_eq!(op.outcome(), Some(Ok(8)));
}

#[test]
fn dead_session_answers_panicked_even_where_the_source_is_too_long() {
    let limited = TOY.with_src_bytes_max(NonZeroUsize::new(4).unwrap());
    let mut session = acomp_of(Toy::each(limited, |_, _| die())).session().unwrap();
    let mut dst = [0; 8];
    assert_eq!(session.compress(b"page", &mut dst), Err(Error::Panicked));
    assert_eq!(session.compress(b"too long", &mut dst), Err(Error::Panicked));
    let mut op = Op::compress(b"too long", &mut dst);
    session.run(std::slice::from_mut(&mut op));
    assert_eq!(op.outcome(), Some(Err(Error::Panicked)));
}

#[test]
fn long_chains_are_cut_and_the_summary_adds_up() {
    let lens = Arc::new(Mutex::new(Vec::new()));
    let acomp = acomp_of(Toy::whole(TOY, {
        let lens = Arc::clone(&lens);
        move |ops| {
            lens.lock().unwrap().push(ops.len());
            serial(ops);
        }
    }));
    let mut srcs = [&b"page"[..]; 2 * MAX_BATCH + 3];
    srcs[MAX_BATCH + 1] = b"bad";
    srcs[2 * MAX_BATCH + 2] = b"too long for it";
    let (outcomes, summary) = run(&acomp, &srcs, |_| ());
    assert_eq!(*lens.lock().unwrap(), [MAX_BATCH, MAX_BATCH, 3]);
    assert_eq!(outcomes[MAX_BATCH + 1], Err(Error::Corrupt));
    assert_eq!(outcomes[2 * MAX_BATCH + 2], Err(Error::DstTooSmall));
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Ok(4)).count(), summary.ok);
    assert_eq!((summary.ok, summary.failed), (2 * MAX_BATCH + 1, 2));
    assert_eq!(summary.first_error, Some(Error::Corrupt), "the first in the order of the chain");
}

#[test]
fn empty_chain_does_nothing() {
    let mut session = acomp_of(Toy::whole(TOY, |_| die())).session().unwrap();
    assert_eq!(session.run(&mut []), RunSummary::default());
    let mut chain = Chain::<8>::new();
    assert!(chain.is_empty());
    assert_eq!(session.run(chain.as_mut_ops()), RunSummary::default());
    assert!(!session.is_dead());

    let mut dst = [0];
    assert!(chain.push(Op::compress(&[1], &mut dst)).is_ok());
    assert_eq!((chain.is_empty(), chain.len()), (false, 1));
}

#[test]
fn failing_op_leaves_the_others_alone_wherever_it_stands() {
    let acomp = acomp_of(Toy::whole(TOY, serial));
    for at in 0..8 {
        let mut srcs = [b"page"; 8];
        srcs[at] = b"bad!";
        let mut expected = [Ok(4); 8];
        expected[at] = Err(Error::Corrupt);
        let mut outputs = Vec::new();
        let (outcomes, summary) = run(&acomp, &srcs, |op| outputs.push(op.output().to_vec()));
        assert_eq!(outcomes, expected);
        assert_eq!((summary.ok, summary.failed), (7, 1));
        for (i, output) in outputs.iter().enumerate() {
            assert_eq!(output, if i == at { &b""[..] } else { b"page" });
        }
    }
}

#[test]
fn running_an_op_again_clears_its_outcome() {
    let runs = AtomicUsize::new(0);
    let only_the_first_time = acomp_of(Toy::whole(TOY, move |ops| {
        if runs.fetch_add(1, Relaxed) == 0 {
            serial(ops);
        }
    }));
    let mut session = only_the_first_time.session().unwrap();
    let mut dst = [0; 8];
    let mut op = Op::compress(b"page", &mut dst);
    assert_eq!((op.outcome(), op.executed_on(), op.output()), (None, None, &[][..]));
    session.run(std::slice::from_mut(&mut op));
    assert_eq!((op.outcome(), op.output()), (Some(Ok(4)), &b"page"[..]));
    session.run(std::slice::from_mut(&mut op));
    assert_eq!((op.outcome(), op.output()), (Some(Err(Error::Unanswered)), &[][..]));
}

#[test]
fn driver_sees_direction_flags_and_buffers_of_each_op() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let acomp = acomp_of(Toy::whole(TOY, {
        let seen = Arc::clone(&seen);
        move |ops| {
            for mut op in ops.iter_mut() {
                let (direction, flags) = (op.direction(), op.flags());
                let (src, dst) = op.io();
                seen.lock().unwrap().push((direction, flags, src.to_vec(), dst.len()));
                op.complete(Ok(0), ExecutedOn::Driver);
            }
        }
    }));
    let (mut a, mut b) = ([0; 1], [0; 2]);
    let flags = ReqFlags::POLL | ReqFlags::MAY_SLEEP;
    let mut ops = [Op::compress(b"one", &mut a).with_flags(flags), Op::decompress(b"two", &mut b)];
    acomp.session().unwrap().run(&mut ops);
    let expected = [
        (Direction::Compress, flags, b"one".to_vec(), 1),
        (Direction::Decompress, ReqFlags::default(), b"two".to_vec(), 2),
    ];
    assert_eq!(*seen.lock().unwrap(), expected);
}

#[test]
fn view_of_a_chain_splits_and_ends_where_the_chain_does() {
    let mut dsts = [[0; 8]; 3];
    let mut chain = chain_of(&[b"page"; 3], &mut dsts);
    let mut ops = Ops::new(chain.as_mut_ops());
    assert!(!ops.is_empty() && ops.get_mut(3).is_none());
    for mid in 0..5 {
        let (head, tail) = ops.split_at_mut(mid);
        assert_eq!((head.len(), tail.len()), (mid.min(3), 3 - mid.min(3)));
    }
    let (_, mut tail) = ops.split_at_mut(2);
    tail.get_mut(0).unwrap().complete(Ok(2), ExecutedOn::Driver);
    let outcomes: Vec<_> = chain.ops().iter().map(Op::outcome).collect();
    assert_eq!(outcomes, [None, None, Some(Ok(2))]);
}

/// Copies each op but those whose source starts with `bad`.
fn serial(ops: &mut Ops<'_, '_>) {
    for mut op in ops.iter_mut() {
        let (src, dst) = op.io();
        let outcome = if src.starts_with(b"bad") { Err(Error::Corrupt) } else { copy(src, dst) };
        op.complete(outcome, ExecutedOn::Driver);
    }
}

/// Compresses each source into 8 bytes, all in one chain, and looks at each op.
fn run<const N: usize>(
    acomp: &Acomp,
    srcs: &[impl AsRef<[u8]>; N],
    mut look: impl FnMut(&Op<'_>),
) -> ([Outcome; N], RunSummary) {
    let mut dsts = [[0; 8]; N];
    let mut chain: Chain<'_, N> = chain_of(srcs, &mut dsts);
    let summary = acomp.session().unwrap().run(chain.as_mut_ops());
    chain.ops().iter().for_each(&mut look);
    (outcomes_of(chain.ops()).try_into().unwrap(), summary)
}

fn chain_of<'b, const N: usize>(
    srcs: &'b [impl AsRef<[u8]>; N],
    dsts: &'b mut [[u8; 8]; N],
) -> Chain<'b, N> {
    let mut chain = Chain::new();
    for (src, dst) in srcs.iter().zip(dsts) {
        chain.push(Op::compress(src.as_ref(), dst)).unwrap();
    }
    chain
}

fn outcomes_of(ops: &[Op<'_>]) -> Vec<Outcome> {
    ops.iter().map(|op| op.outcome().unwrap()).collect()
}
