//! Everything that a driver may be asked, prepared, so that nothing but the driver is at work.

#![expect(clippy::unwrap_used, reason = "test helpers unwrap like tests")]

use acomp::{Acomp, AlgFlags, Chain, Direction, Error, Op, Outcome, Registry, Session};
use acomp_testmgr::Content;

/// A transform of each driver that promises this, alone and within each template that keeps it.
pub(crate) fn promising(flag: AlgFlags) -> Vec<Acomp> {
    let registry = Registry::global();
    let drivers: Vec<_> = registry.iter().map(|alg| alg.info().driver.to_string()).collect();
    let within = |driver: &String| {
        let templates = registry.templates();
        templates.map(|template| format!("{}({driver})", template.name)).collect::<Vec<_>>()
    };
    let names = drivers.iter().cloned().chain(drivers.iter().flat_map(within));
    let acomps = names.map(|name| Acomp::alloc(&name).unwrap());
    let acomps: Vec<_> = acomps.filter(|acomp| acomp.info().flags.contains(flag)).collect();
    assert!(acomps.len() >= 3, "{acomps:?}");
    acomps
}

/// Calls of every ending, with sources of up to a page.
pub(crate) struct Work {
    calls: Vec<(Direction, Vec<u8>, usize)>,
}

impl Work {
    pub(crate) fn new(acomp: &Acomp) -> Self {
        use Direction::{Compress, Decompress};
        let mut calls = Vec::new();
        for (&content, len) in Content::ALL.iter().flat_map(|c| LENS_BYTES.map(|len| (c, len))) {
            let mut data = vec![0; len];
            content.fill(len as u64, &mut data);
            let mut stream = vec![0; ROOMY_BYTES];
            let stream_bytes = acomp.compress(&data, &mut stream).unwrap();
            stream.truncate(stream_bytes);
            for room in [ROOMY_BYTES, len, stream_bytes, stream_bytes / 2, 16, 0] {
                calls.push((Compress, data.clone(), room));
            }
            for room in [ROOMY_BYTES, len, len.saturating_sub(1), len / 2, 0] {
                calls.push((Decompress, stream.clone(), room));
            }
            for step in 0..DAMAGES {
                let at = stream_bytes * step / DAMAGES;
                let mut flipped = stream.clone();
                flipped.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << (step % 8));
                let extended = [&stream[..], &data[..data.len().min(step)]].concat();
                for damaged in [flipped, stream[..at].to_vec(), extended, data.clone()] {
                    calls.push((Decompress, damaged, ROOMY_BYTES));
                }
            }
        }
        Self { calls }
    }

    pub(crate) fn run(&self, session: &mut Session, room: &mut Room) -> Counts {
        let mut counts = Counts::default();
        for (direction, src, dst_bytes) in &self.calls {
            let dst = &mut room.dsts[0][..*dst_bytes];
            counts.count(match direction {
                Direction::Compress => session.compress(src, dst),
                Direction::Decompress => session.decompress(src, dst),
            });
        }
        for calls in self.calls.chunks(CHAIN_OPS) {
            let mut chain = Chain::<CHAIN_OPS>::new();
            for ((direction, src, dst_bytes), dst) in calls.iter().zip(&mut room.dsts) {
                let dst = &mut dst[..*dst_bytes];
                let _ = chain.push(match direction {
                    Direction::Compress => Op::compress(src, dst),
                    Direction::Decompress => Op::decompress(src, dst),
                });
            }
            session.run(chain.as_mut_ops());
            chain.ops().iter().filter_map(Op::outcome).for_each(|outcome| counts.count(outcome));
        }
        counts
    }
}

/// Destinations of a chain.
pub(crate) struct Room {
    dsts: Vec<Vec<u8>>,
}

impl Room {
    pub(crate) fn new() -> Self {
        Self { dsts: vec![vec![0; ROOMY_BYTES]; CHAIN_OPS] }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Counts {
    ok: usize,
    too_small: usize,
    corrupt: usize,
    other: usize,
}

impl Counts {
    fn count(&mut self, outcome: Outcome) {
        *match outcome {
            Ok(_) => &mut self.ok,
            Err(Error::DstTooSmall) => &mut self.too_small,
            Err(Error::Corrupt) => &mut self.corrupt,
            Err(_) => &mut self.other,
        } += 1;
    }

    /// A copy is never corrupt.
    pub(crate) fn check(&self, acomp: &Acomp) {
        let is_copy = acomp.name() == "null";
        assert!(self.ok > 500 && self.too_small > 200, "{acomp:?}: {self:?}");
        assert!(self.other == 0 && is_copy == (self.corrupt < 500), "{acomp:?}: {self:?}");
    }
}

const LENS_BYTES: [usize; 7] = [0, 1, 17, 100, 1000, 4095, 4096];
const ROOMY_BYTES: usize = 2 * 4096 + 1024;
const DAMAGES: usize = 16;
const CHAIN_OPS: usize = 16;
