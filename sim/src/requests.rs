//! Who uses the devices beside the pool: requests that complete later, and other sessions.

use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};

use acomp_core::{
    Acomp, Chain, Completion, Direction, Error, Inflight, OpenError, Outcome, Rejected, ReqFlags,
    Request, Session, Submitter, Timeout,
};
use page_codec::deflate::{Decoder, Encoder};
use zswap::{PAGE_BYTES, Page};

use crate::case::{Kind, Op};
use crate::model::page;
use crate::violation::{Invariant, Violation, ensure};
use crate::world::{TIMEOUT_NS, World, locked};

/// The requests, and the sessions.
pub(crate) struct Requests {
    pub(crate) drivers: [Acomp; 2],
    submitters: [Submitter; 2],
    /// Those that nobody uses, of each driver.
    sessions: [Mutex<Vec<Session>>; 2],
    flights: Mutex<Vec<Flight>>,
}

/// A request that is under way.
struct Flight {
    inflight: Inflight,
    expected: Expected,
}

/// What a request is to make.
#[derive(Clone, Copy, Debug)]
struct Expected {
    kind: Kind,
    direction: Direction,
    /// There is no room for a page.
    is_tight: bool,
    is_cancelled: bool,
}

impl Requests {
    pub(crate) fn new(drivers: [Acomp; 2]) -> Result<Self, OpenError> {
        let sessions = |driver: &Acomp| {
            let sessions = (0..SESSIONS).map(|_| driver.session());
            sessions.collect::<Result<Vec<_>, _>>().map(Mutex::new)
        };
        let [fixed, dynamic] = &drivers;
        Ok(Self {
            submitters: [fixed.submitter(DEPTH_OPS)?, dynamic.submitter(DEPTH_OPS)?],
            sessions: [sessions(fixed)?, sessions(dynamic)?],
            flights: Mutex::default(),
            drivers,
        })
    }

    pub(crate) fn in_flight(&self) -> usize {
        locked(&self.flights).len()
    }

    pub(crate) fn has_decompressions(&self) -> bool {
        let flights = locked(&self.flights);
        flights.iter().any(|flight| flight.expected.direction == Direction::Decompress)
    }

    fn take(&self, at: usize) -> Option<Flight> {
        let mut flights = locked(&self.flights);
        let at = at.checked_rem(flights.len())?;
        Some(flights.remove(at))
    }

    fn put(&self, flight: Flight) {
        locked(&self.flights).push(flight);
    }

    /// Places are free again, also those of requests that were dropped.
    fn are_over(&self) -> bool {
        let are_free = |submitter: &Submitter| submitter.free_slots() == DEPTH_OPS;
        self.in_flight() == 0 && self.submitters.iter().all(are_free)
    }
}

impl World {
    pub(crate) fn submit(&self, op: &Op) -> Result<(), Violation> {
        let Op::Submit { page: kind, direction, is_dynamic, is_tight, may_backlog, is_polled } = op
        else {
            return Ok(());
        };
        let content = page(*kind).to_vec();
        let dst = vec![0; if *is_tight { TIGHT_BYTES } else { PAGE_BYTES }];
        let request = match direction {
            Direction::Compress => Request::compress(content, dst),
            Direction::Decompress => Request::decompress(encoded(&content), dst),
        };
        let mut flags = ReqFlags::empty();
        flags.set(ReqFlags::MAY_BACKLOG, *may_backlog);
        flags.set(ReqFlags::POLL, *is_polled);
        let submitter = &self.requests.submitters[usize::from(*is_dynamic)];
        let submitted = submitter.submit(request.with_flags(flags));
        match submitted {
            Ok(inflight) => {
                let (kind, direction) = (*kind, *direction);
                let expected =
                    Expected { kind, direction, is_tight: *is_tight, is_cancelled: false };
                self.requests.put(Flight { inflight, expected });
                self.tell(format_args!("submitted {expected:?}"));
                Ok(())
            }
            Err(Rejected { error: Error::Busy, .. }) => {
                self.tell(format_args!("a request was refused"));
                Ok(())
            }
            Err(Rejected { error, .. }) => {
                Err(Invariant::Answer.broken(format!("a request was refused: {error}")))
            }
        }
    }

    pub(crate) fn poll(&self, at: usize) -> Result<(), Violation> {
        let Some(flight) = self.requests.take(at) else { return Ok(()) };
        let Flight { mut inflight, expected } = flight;
        match Pin::new(&mut inflight).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(completion) => self.completed(&completion, expected),
            Poll::Pending => {
                self.requests.put(Flight { inflight, expected });
                Ok(())
            }
        }
    }

    pub(crate) fn give_up(&self, at: usize) -> Result<(), Violation> {
        let Some(Flight { inflight, expected }) = self.requests.take(at) else { return Ok(()) };
        let mut timeout = Timeout::new(inflight, ready(()));
        match Pin::new(&mut timeout).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(completion)) => self.completed(&completion, expected),
            Poll::Ready(Err(inflight)) => {
                self.requests.put(Flight { inflight, expected });
                Ok(())
            }
            Poll::Pending => Err(Invariant::Stuck.broken("a timer that is up".to_owned())),
        }
    }

    pub(crate) fn cancel(&self, at: usize) {
        if let Some(Flight { inflight, expected }) = self.requests.take(at) {
            let inflight = inflight.cancel();
            let expected = Expected { is_cancelled: true, ..expected };
            self.requests.put(Flight { inflight, expected });
        }
    }

    pub(crate) fn abandon(&self, at: usize) {
        drop(self.requests.take(at));
    }

    /// Every request completes, also if nobody asks for it any more.
    pub(crate) fn finish_requests(&self) -> Result<(), Violation> {
        let deadline_ns = self.turns.now_ns() + REQUESTS_NS_MAX;
        while !self.requests.are_over() {
            let is_late = self.turns.now_ns() > deadline_ns;
            let in_flight = self.requests.in_flight();
            ensure(!is_late, Invariant::Stuck, || format!("{in_flight} requests do not end"))?;
            self.turns.pass();
            self.poll(0)?;
            for submitter in &self.requests.submitters {
                submitter.poll(DEPTH_OPS);
            }
            self.no_violation()?;
        }
        Ok(())
    }

    fn completed(&self, completion: &Completion, expected: Expected) -> Result<(), Violation> {
        let Completion { outcome, executed_on, .. } = completion;
        self.tell(format_args!("{expected:?}: {outcome:?} on {executed_on:?}"));
        self.check_outcome(*outcome, completion.output(), expected)
    }

    /// Another session's chain: each page there, and another stream of it back.
    pub(crate) fn chain(&self, kinds: &[Kind], is_dynamic: bool) -> Result<(), Violation> {
        let sessions = &self.requests.sessions[usize::from(is_dynamic)];
        let Some(mut session) = locked(sessions).pop() else { return Ok(()) };
        let pages: Vec<Page> = kinds.iter().copied().map(page).collect();
        let streams: Vec<_> = pages.iter().map(|page| encoded(page)).collect();
        let mut outs = vec![[0; PAGE_BYTES]; 2 * pages.len()];
        let mut chain = Chain::<{ acomp_core::MAX_BATCH }>::new();
        let sources = pages.iter().map(<[u8; PAGE_BYTES]>::as_slice).zip(&streams);
        for ((page, stream), outs) in sources.zip(outs.as_chunks_mut::<2>().0) {
            let [first, second] = outs;
            let _ = chain.push(acomp_core::Op::compress(page, first));
            let _ = chain.push(acomp_core::Op::decompress(stream, second));
        }
        let ran = session.run(chain.as_mut_ops());
        locked(sessions).push(session);
        self.tell(format_args!("a chain: {ran:?}"));
        for (op, kind) in chain.ops().iter().zip(kinds.iter().flat_map(|kind| [kind, kind])) {
            let (kind, direction) = (*kind, op.direction());
            let expected = Expected { kind, direction, is_tight: false, is_cancelled: false };
            let outcome = op.outcome().unwrap_or(Err(Error::Unanswered));
            self.check_outcome(outcome, op.output(), expected)?;
        }
        Ok(())
    }

    /// What a device does not do, software does; but what a device says of a page that it was to
    /// compress is taken for true.
    fn check_outcome(
        &self,
        outcome: Outcome,
        output: &[u8],
        expected: Expected,
    ) -> Result<(), Violation> {
        let Expected { direction, is_tight, is_cancelled, .. } = expected;
        let is_compression = direction == Direction::Compress;
        let is_admissible = match outcome {
            Ok(_) => {
                let page = page(expected.kind);
                let is_it = if is_compression { decodes_to(output, &page) } else { output == page };
                return ensure(is_it, Invariant::WrongPage, || format!("{expected:?} is wrong"));
            }
            Err(Error::Cancelled) => is_cancelled,
            Err(Error::DstTooSmall) => is_compression || is_tight,
            Err(Error::VerifyFailed) => is_compression && self.case.setup.has_verification,
            Err(Error::TimedOut | Error::Device) => is_compression && !self.case.faults.is_empty(),
            Err(_) => false,
        };
        ensure(is_admissible, Invariant::Answer, || format!("{expected:?}: {outcome:?}"))
    }
}

fn encoded(page: &[u8]) -> Vec<u8> {
    let mut stream = vec![0; 2 * PAGE_BYTES];
    let len = Encoder::fixed().encode(page, &mut stream).unwrap_or_default();
    stream.truncate(len);
    stream
}

fn decodes_to(stream: &[u8], page: &Page) -> bool {
    let mut back = [0; PAGE_BYTES];
    let decoded = Decoder::new().decode(stream, &mut back);
    decoded.is_ok_and(|decoded| decoded.consumed == stream.len() && back == *page)
}

/// Requests of a submitter at a time.
const DEPTH_OPS: usize = 12;
/// As many as there can be chains in the middle of each other.
const SESSIONS: usize = crate::case::TASKS;
/// Room for nearly nothing.
const TIGHT_BYTES: usize = 100;
/// Two jobs for each of those that are under way, one after the other.
const REQUESTS_NS_MAX: u64 = 4 * DEPTH_OPS as u64 * TIMEOUT_NS;
