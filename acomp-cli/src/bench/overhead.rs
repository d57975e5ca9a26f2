//! `acomp bench overhead`: sessions, chains and shared handles beside a direct call, in ns.

use std::hint::black_box;

use acomp::zswap::PAGE_BYTES;
use acomp::{Acomp, Chain, Error, Op, Outcome, Session};
use anyhow::{Result, ensure};
use lz4_flex::block::{CompressTable, compress_into_with_table, get_maximum_output_size};

use super::rounds::{interleaved, median};
use crate::output::{Row, Rows, rounded, row};
use crate::pages;

pub(crate) fn run() -> Result<Rows> {
    let mut row = null_calls()?;
    row.extend(lz4_pages()?);
    Ok(Rows::new(vec![row]))
}

/// `null` over inputs of 64 bytes: nothing but the calls.
fn null_calls() -> Result<Row> {
    let acomp = Acomp::alloc("null-copy")?;
    let srcs: Vec<[u8; INPUT_BYTES]> = (0..INPUTS).map(|i| [i as u8; INPUT_BYTES]).collect();
    let mut raw_places = Places::new(&acomp)?;
    let mut single_places = Places::new(&acomp)?;
    let mut chain_places = Places::new(&acomp)?;
    let mut chain8_places = Places::new(&acomp)?;
    let mut handle_places = Places::new(&acomp)?;

    let mut raw = || {
        let (_, [dst, ..]) = raw_places.next();
        each(&srcs, PASSES, |src| copy(src, black_box(dst)))
    };
    let mut by_session = || {
        let (session, [dst, ..]) = single_places.next();
        each(&srcs, PASSES, |src| session.compress(src, black_box(dst)))
    };
    let mut by_handle = || {
        let (_, [dst, ..]) = handle_places.next();
        each(&srcs, PASSES, |src| acomp.compress(src, black_box(dst)))
    };
    let mut by_chain = || {
        let (session, [dst, ..]) = chain_places.next();
        each(&srcs, PASSES, |src| {
            let mut ops = [Op::compress(src, black_box(dst))];
            session.run(&mut ops);
            ops[0].outcome().unwrap_or(Err(Error::Unanswered))
        })
    };
    let mut by_chain8 = || {
        let (session, dsts) = chain8_places.next();
        each8(&srcs, PASSES, session, dsts)
    };
    let rounds = interleaved(
        "overhead",
        &mut [&mut raw, &mut by_session, &mut by_chain, &mut by_chain8, &mut by_handle],
    )?;
    let calls = (INPUTS * PASSES) as f64;
    let ns = |i: usize| rounded(median(&rounds, |round| round[i] / calls));
    let extra_ns = |i: usize| rounded(median(&rounds, |round| (round[i] - round[0]) / calls));
    Ok(row! {
        raw_ns: ns(0),
        session_ns: ns(1),
        session_extra_ns: extra_ns(1),
        chain1_ns: ns(2),
        chain1_extra_ns: extra_ns(2),
        chain8_built_ns: ns(3),
        shared_handle_ns: ns(4),
        shared_handle_extra_ns: extra_ns(4),
    })
}

/// `lz4-flex` by name beside `lz4_flex` called directly, over generated pages, into a page.
fn lz4_pages() -> Result<Row> {
    let acomp = Acomp::alloc("lz4-flex")?;
    let (mut session, mut chained) = (acomp.session()?, acomp.session()?);
    let pages = pages::compressible(pages::generated(512), &mut session)?;
    let mut table = CompressTable::small();
    let mut roomy = vec![0; get_maximum_output_size(PAGE_BYTES)];
    let mut dst = [0; PAGE_BYTES];
    let mut dsts = [[0; PAGE_BYTES]; 8];

    let mut direct = || {
        each(&pages, 1, |page| {
            let len = compress_into_with_table(page, black_box(&mut roomy), &mut table);
            len.map_err(|_| Error::DstTooSmall)
        })
    };
    let mut by_session = || each(&pages, 1, |page| session.compress(page, black_box(&mut dst)));
    let mut by_chain8 = || each8(&pages, 1, &mut chained, &mut dsts);
    let rounds = interleaved("lz4", &mut [&mut direct, &mut by_session, &mut by_chain8])?;
    let calls = pages.len() as f64;
    let ns = |i: usize| rounded(median(&rounds, |round| round[i] / calls));
    let extra_ns =
        |i: usize, over: usize| rounded(median(&rounds, |round| (round[i] - round[over]) / calls));
    Ok(row! {
        lz4_direct_ns: ns(0),
        lz4_session_ns: ns(1),
        lz4_session_extra_ns: extra_ns(1, 0),
        lz4_chain8_ns: ns(2),
        lz4_chain8_extra_ns: extra_ns(2, 1),
    })
}

/// A session and destinations for each round. Where they lie may clash with the stack or with the
/// sources modulo 4 KiB, which costs several nanoseconds; a median over rounds does not depend on
/// one such place.
struct Places {
    places: Vec<(Session, [[u8; INPUT_BYTES]; 8])>,
    turn: usize,
}

impl Places {
    fn new(acomp: &Acomp) -> Result<Self> {
        let place = |_| Ok((acomp.session()?, [[0; INPUT_BYTES]; 8]));
        Ok(Self { places: (0..PLACES).map(place).collect::<Result<_>>()?, turn: 0 })
    }

    fn next(&mut self) -> &mut (Session, [[u8; INPUT_BYTES]; 8]) {
        self.turn = (self.turn + 1) % PLACES;
        &mut self.places[self.turn]
    }
}

/// The work of `null`, called directly.
#[inline(never)]
fn copy(src: &[u8], dst: &mut [u8]) -> Outcome {
    let dst = dst.get_mut(..src.len()).ok_or(Error::DstTooSmall)?;
    dst.copy_from_slice(src);
    Ok(src.len())
}

/// Calls for every source; the compiler knows neither sources nor outcomes.
#[inline(always)]
fn each<const N: usize>(
    srcs: &[[u8; N]],
    passes: usize,
    mut call: impl FnMut(&[u8]) -> Outcome,
) -> Result<()> {
    for _ in 0..passes {
        for src in srcs {
            black_box(call(black_box(src)))?;
        }
    }
    Ok(())
}

/// The same by chains of 8, their construction included.
fn each8<const N: usize>(
    srcs: &[[u8; N]],
    passes: usize,
    session: &mut Session,
    dsts: &mut [[u8; N]; 8],
) -> Result<()> {
    for _ in 0..passes {
        for srcs in srcs.chunks(8) {
            let mut chain = Chain::<8>::new();
            for (src, dst) in srcs.iter().zip(&mut *dsts) {
                let _ = chain.push(Op::compress(black_box(src), black_box(dst)));
            }
            ensure!(session.run(chain.as_mut_ops()).failed == 0, "an op failed");
        }
    }
    Ok(())
}

const INPUT_BYTES: usize = 64;
const INPUTS: usize = 256;
const PLACES: usize = 22;
/// A call takes nanoseconds: each candidate settles in before its turn ends.
const PASSES: usize = 400;
