//! Where the cells of the matrix are run: the API as users have it.

use std::io::{IoSlice, IoSliceMut};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use acomp_core::{
    Acomp, Buf, Completion, Direction, Error, ExecutedOn, Inflight, Inflights, Op, OpenError,
    Outcome, ReqFlags, Request, Session, Stats, Submitter,
};
use futures::Stream;

use super::arena::{Arena, Odd, off_line};
use super::{Buffers, Call, Cell, Ending, Shape, Way};

/// A session and a submitter of one transform, which nobody else uses meanwhile.
#[derive(Debug)]
pub struct Stand {
    acomp: Acomp,
    session: Session,
    submitter: Submitter,
    next_token: u64,
}

/// What came back for one call.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Delivered {
    /// The output, or why there is none.
    pub answer: Result<Vec<u8>, Error>,
    /// Who executed it, where that is told: not for single calls of a session, nor for what was
    /// not accepted.
    pub executed_on: Option<ExecutedOn>,
    /// Whether there was to be a completion: else the request came back at once.
    pub is_accepted: bool,
}

impl Stand {
    /// Opens both sides of a transform.
    ///
    /// # Errors
    ///
    /// As [`Acomp::session`].
    pub fn new(acomp: Acomp) -> Result<Self, OpenError> {
        let (session, submitter) = (acomp.session()?, acomp.submitter(DEPTH_OPS)?);
        Ok(Self { acomp, session, submitter, next_token: 1 })
    }

    /// Makes the calls as the cell says: cancelled if that is how they are to end. Whatever becomes
    /// of them, each is answered once, counted once, and gives back its own buffers; nothing
    /// outside of the destinations is written, and no place of the submitter stays taken.
    ///
    /// # Errors
    ///
    /// Which of that does not hold.
    pub fn ask(&mut self, cell: Cell, calls: &[Call<'_>]) -> Result<Vec<Delivered>, String> {
        let before = answered(&self.acomp.alg().stats());
        let delivered = match (cell.way, cell.shape) {
            (Way::Sync, Shape::Single) => {
                calls.iter().map(|call| self.call(cell.buffers, call)).collect::<Result<_, _>>()?
            }
            (Way::Sync, Shape::Chain) => self.run(cell.buffers, calls)?,
            (_, Shape::Single) => {
                let one = |call| self.request(cell, &[call]).map(|mut one| one.pop());
                let all = calls.iter().copied().map(one).collect::<Result<Option<Vec<_>>, _>>();
                all?.ok_or("a request without an answer")?
            }
            (_, Shape::Chain) => self.request(cell, calls)?,
        };
        let accepted = delivered.iter().filter(|delivered| delivered.is_accepted).count() as u64;
        let counted = answered(&self.acomp.alg().stats()) - before;
        if counted != accepted {
            return Err(format!("{accepted} ops, and the statistics count {counted}"));
        }
        match self.submitter.free_slots() {
            DEPTH_OPS => Ok(delivered),
            free => Err(format!("{free} places of {DEPTH_OPS} are free after all is done")),
        }
    }

    fn call(&mut self, buffers: Buffers, call: &Call<'_>) -> Result<Delivered, String> {
        let mut arena = Arena::new(buffers, [call.dst_bytes].into_iter());
        let odd = Odd::new(call.src);
        let mut dsts = arena.dsts();
        let dst = dsts.pop().ok_or("no destination")?;
        let session = &mut self.session;
        let outcome = match (buffers, call.direction) {
            (Buffers::Vectored, direction) => {
                let src = thirds(call.src.len()).map(|third| IoSlice::new(&call.src[third]));
                let (head, tail) = dst.split_at_mut(thirds(dst.len())[0].end);
                let dst = &mut [head, &mut [], tail].map(IoSliceMut::new);
                match direction {
                    Direction::Compress => session.compress_vectored(&src, dst),
                    Direction::Decompress => session.decompress_vectored(&src, dst),
                }
            }
            (buffers, direction) => {
                let src = if buffers == Buffers::Unaligned { odd.bytes() } else { call.src };
                match direction {
                    Direction::Compress => session.compress(src, dst),
                    Direction::Decompress => session.decompress(src, dst),
                }
            }
        };
        arena.check()?;
        delivered(&arena, 0, outcome, None)
    }

    fn run(&mut self, buffers: Buffers, calls: &[Call<'_>]) -> Result<Vec<Delivered>, String> {
        let mut arena = Arena::new(buffers, calls.iter().map(|call| call.dst_bytes));
        let odd: Vec<_> = calls.iter().map(|call| Odd::new(call.src)).collect();
        let ops = calls.iter().zip(&odd).zip(arena.dsts()).map(|((call, odd), dst)| {
            let src = if buffers == Buffers::Unaligned { odd.bytes() } else { call.src };
            match call.direction {
                Direction::Compress => Op::compress(src, dst),
                Direction::Decompress => Op::decompress(src, dst),
            }
        });
        let mut ops: Vec<_> = ops.collect();
        let summary = self.session.run(&mut ops);
        if summary.ok + summary.failed != ops.len() {
            return Err(format!("{} ops, and the summary says {summary:?}", ops.len()));
        }
        let outcomes: Vec<_> = ops.iter().map(|op| (op.outcome(), op.executed_on())).collect();
        arena.check()?;
        let each = outcomes.into_iter().enumerate().map(|(at, (outcome, on))| {
            delivered(&arena, at, outcome.ok_or_else(|| format!("op {at} has no outcome"))?, on)
        });
        each.collect()
    }

    fn request(&mut self, cell: Cell, calls: &[Call<'_>]) -> Result<Vec<Delivered>, String> {
        let mut asked = Vec::new();
        let mut inflights = Vec::new();
        for call in calls {
            let request = self.request_for(cell, call)?;
            asked.push(Asked::new(&request));
            let at = asked.len() - 1;
            match self.submitter.submit(request) {
                Ok(inflight) if cell.ending == Ending::Cancelled => {
                    inflights.push(inflight.cancel());
                }
                Ok(inflight) => inflights.push(inflight),
                Err(rejected) => asked[at].rejected(rejected.error, &rejected.request)?,
            }
        }
        let mut deliver = |completion: &Completion| {
            let of = |asked: &&mut Asked| asked.token == completion.request.token;
            let asked = asked.iter_mut().find(of).ok_or("a completion that nobody asked for")?;
            asked.completed(completion)
        };
        let deadline = Instant::now() + PATIENCE;
        match cell.way {
            Way::Poll => polled(&self.submitter, inflights, deadline, &mut deliver)?,
            Way::Await if cell.shape == Shape::Chain => {
                streamed(inflights, deadline, &mut deliver)?;
            }
            Way::Await => awaited(inflights, deadline, &mut deliver)?,
            _ => {
                for inflight in inflights.into_iter().rev() {
                    let completion = inflight.wait_timeout(PATIENCE).map_err(|_| NEVER)?;
                    deliver(&completion)?;
                }
            }
        }
        asked.into_iter().map(|asked| asked.delivered.ok_or_else(|| NEVER.into())).collect()
    }

    fn request_for(&mut self, cell: Cell, call: &Call<'_>) -> Result<Request, String> {
        let buffer = |len| match cell.buffers {
            Buffers::Unaligned => Ok(Buf::from(off_line(len))),
            _ => self.submitter.lease(len).ok_or("a leased buffer did not come back"),
        };
        let (mut src, dst) = (buffer(call.src.len())?, buffer(call.dst_bytes)?);
        src.copy_from_slice(call.src);
        let request = match call.direction {
            Direction::Compress => Request::compress(src, dst),
            Direction::Decompress => Request::decompress(src, dst),
        };
        let is_polled = cell.way == Way::Poll;
        let flags = if is_polled { ReqFlags::POLL } else { ReqFlags::empty() };
        self.next_token += 1;
        Ok(request.with_flags(flags).with_token(self.next_token))
    }
}

/// A request, and what is to come back.
struct Asked {
    token: u64,
    direction: Direction,
    /// Addresses and lengths of the source and the destination.
    buffers: [(usize, usize); 2],
    src: Vec<u8>,
    delivered: Option<Delivered>,
}

impl Asked {
    fn new(request: &Request) -> Self {
        let (direction, token) = (request.direction, request.token);
        let src = request.src.to_vec();
        Self { token, direction, buffers: buffers(request), src, delivered: None }
    }

    fn completed(&mut self, completion: &Completion) -> Result<(), String> {
        let answer = completion.outcome.map(|_| completion.output().to_vec());
        if let (Ok(len), Ok(output)) = (completion.outcome, &answer)
            && len != output.len()
        {
            return Err(format!("claims {len} bytes in a destination of {:?}", self.buffers[1]));
        }
        let executed_on = Some(completion.executed_on);
        self.end(&completion.request, Delivered { answer, executed_on, is_accepted: true })
    }

    fn rejected(&mut self, error: Error, request: &Request) -> Result<(), String> {
        self.end(request, Delivered { answer: Err(error), executed_on: None, is_accepted: false })
    }

    fn end(&mut self, request: &Request, delivered: Delivered) -> Result<(), String> {
        if self.delivered.replace(delivered).is_some() {
            return Err("one request was completed twice".into());
        }
        let is_same = (request.token, request.direction) == (self.token, self.direction)
            && buffers(request) == self.buffers
            && *request.src == *self.src;
        if is_same { Ok(()) } else { Err("another request came back, or other buffers".into()) }
    }
}

fn buffers(request: &Request) -> [(usize, usize); 2] {
    [&request.src, &request.dst].map(|buf| (buf.as_ptr().addr(), buf.len()))
}

type Deliver<'d> = dyn FnMut(&Completion) -> Result<(), String> + 'd;

/// One after the other, each no longer than until it is there.
fn polled(
    submitter: &Submitter,
    inflights: Vec<Inflight>,
    deadline: Instant,
    deliver: &mut Deliver<'_>,
) -> Result<(), String> {
    for mut inflight in inflights {
        let completion = loop {
            let is_late = Instant::now() > deadline;
            if submitter.poll(1) == 0 {
                thread::yield_now(); // To whoever has it.
            }
            match inflight.try_finish() {
                Ok(completion) => break completion,
                Err(_) if is_late => return Err(NEVER.into()),
                Err(running) => inflight = running,
            }
        };
        deliver(&completion)?;
    }
    Ok(())
}

fn awaited(
    inflights: Vec<Inflight>,
    deadline: Instant,
    deliver: &mut Deliver<'_>,
) -> Result<(), String> {
    for mut inflight in inflights {
        deliver(&ready(deadline, |cx| Pin::new(&mut inflight).poll(cx))?)?;
        let mut cx = Context::from_waker(Waker::noop());
        if pin!(inflight).poll(&mut cx).is_ready() {
            return Err("one request was completed twice".into());
        }
    }
    Ok(())
}

/// As they come.
fn streamed(
    inflights: Vec<Inflight>,
    deadline: Instant,
    deliver: &mut Deliver<'_>,
) -> Result<(), String> {
    let mut set = Inflights::default();
    inflights.into_iter().for_each(|inflight| set.push(inflight));
    while let Some(completion) = ready(deadline, |cx| Pin::new(&mut set).poll_next(cx))? {
        deliver(&completion)?;
    }
    Ok(())
}

/// Polls when it is woken, until the deadline.
fn ready<T>(
    deadline: Instant,
    mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
) -> Result<T, String> {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut cx = Context::from_waker(&waker);
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if let Poll::Ready(value) = poll(&mut cx) {
            return Ok(value);
        }
        if left.is_zero() {
            return Err(NEVER.into());
        }
        thread::park_timeout(left);
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn delivered(
    arena: &Arena,
    place: usize,
    outcome: Outcome,
    executed_on: Option<ExecutedOn>,
) -> Result<Delivered, String> {
    let output = |len| arena.output(place, len).map(<[u8]>::to_vec);
    let answer = match outcome {
        Ok(len) => Ok(output(len).ok_or_else(|| format!("op {place} claims {len} bytes"))?),
        Err(error) => Err(error),
    };
    Ok(Delivered { answer, executed_on, is_accepted: true })
}

/// A third, nothing, and the rest.
fn thirds(len: usize) -> [std::ops::Range<usize>; 3] {
    [0..len / 3, len / 3..len / 3, len / 3..len]
}

fn answered(stats: &Stats) -> u64 {
    let flows = [&stats.compress, &stats.decompress];
    flows.iter().map(|flow| flow.ok + Error::ALL.iter().map(|e| flow.failed(*e)).sum::<u64>()).sum()
}

const NEVER: &str = "a request was never completed";
/// More than the longest chain that is asked for.
const DEPTH_OPS: usize = 16;
/// A device that takes longer is stuck.
const PATIENCE: Duration = Duration::from_secs(2);
