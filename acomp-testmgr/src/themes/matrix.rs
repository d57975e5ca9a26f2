//! However a driver is asked (see [`crate::matrix`]), it answers as its codec does, once.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use acomp_core::{
    Acomp, AlgInfo, Algorithm, Codec, Direction, Error, OpenError, Ops, Outcome, Params, Port,
    Registry,
};

use crate::content::Content;
use crate::matrix::{Call, Cell, Ending, Shape, Stand, Way};
use crate::report::Suite;
use crate::subject::{Driver, Known, Subject, describe, roomy};
use crate::trial::{Input, Trial};

pub(crate) fn run(trial: &mut Trial<'_>) {
    let (driver, suite) = (trial.driver, trial.suite);
    let bytes = if suite == Suite::Gate { 512 } else { 4096 };
    let bytes = driver.info().src_bytes_max.map_or(bytes, |max| bytes.min(max.get()));
    let orders = trial.case(format_args!("single calls"), |it| Orders::make(it, bytes));
    let Some(orders) = orders else { return };
    let mut desk = None;
    for cell in Cell::all().filter(|cell| cell.left_out_by().is_none()) {
        let Some(orders) = orders.of(cell) else { continue };
        let passed = trial.case(format_args!("{cell}"), |it| match &mut desk {
            Some(desk) => run_cell(it, desk, cell, &orders),
            none => run_cell(it, none.insert(Desk::open(driver)?), cell, &orders),
        });
        if passed.is_none() {
            if driver.port().is_some() {
                return; // Each failure of an engine that is stuck takes as long as a stand waits.
            }
            desk = None;
        }
    }
}

struct Orders {
    bytes: usize,
    by_ending: Vec<(Ending, Known)>,
}

impl Orders {
    fn make(codec: &mut Subject, bytes: usize) -> Result<Self, String> {
        use Direction::{Compress, Decompress};
        let data = Input::new(Content::Structured, 1, bytes).bytes;
        let noise = Input::new(Content::Random, 1, bytes).bytes;
        let stream = codec.stream_of(&data)?;
        let mut orders = Self { bytes, by_ending: Vec::new() };
        for (ending, direction, src, dst_bytes) in [
            (Ending::Done, Compress, &data, roomy(bytes)),
            (Ending::Done, Decompress, &stream, bytes),
            (Ending::Overflow, Compress, &noise, bytes / 4),
            (Ending::Overflow, Decompress, &stream, bytes - 1),
        ] {
            let order = Known::ask(codec, Call { direction, src, dst_bytes })?;
            match (ending, &order.answer) {
                (Ending::Done, Ok(_)) | (Ending::Overflow, Err(Error::DstTooSmall)) => {}
                (_, answer) => return Err(format!("{direction:?}: {}", describe(answer))),
            }
            orders.by_ending.push((ending, order));
        }
        let cut = (0..stream.len()).rev().map(|len| stream[..len].to_vec());
        let flipped = (0..8 * stream.len()).map(|bit| {
            let mut flipped = stream.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            flipped
        });
        orders.refused(codec, Ending::Truncated, cut.step_by(stream.len().div_ceil(TRIES)))?;
        orders.refused(codec, Ending::Corrupt, flipped.take(TRIES))?;
        Ok(orders)
    }

    /// The first of these streams that is refused. A format of which all bytes mean something has
    /// none.
    fn refused(
        &mut self,
        codec: &mut Subject,
        ending: Ending,
        streams: impl Iterator<Item = Vec<u8>>,
    ) -> Result<(), String> {
        let (direction, dst_bytes) = (Direction::Decompress, roomy(self.bytes));
        for src in streams {
            let order = Known::ask(codec, Call { direction, src: &src, dst_bytes })?;
            if order.answer == Err(Error::Corrupt) {
                self.by_ending.push((ending, order));
                break;
            }
        }
        Ok(())
    }

    fn ending(&self, ending: Ending) -> impl Iterator<Item = &Known> {
        self.by_ending.iter().filter(move |(of, _)| *of == ending).map(|(_, order)| order)
    }

    /// The calls of a cell. In a chain, those that fail stand between others that succeed, which
    /// share their sources.
    fn of(&self, cell: Cell) -> Option<Vec<&Known>> {
        let special: Vec<_> = self.ending(cell.ending).collect();
        let around = || self.ending(Ending::Done);
        match cell.shape {
            _ if special.is_empty() => None,
            Shape::Single => Some(special),
            Shape::Chain => Some(around().chain(special).chain(around()).collect()),
        }
    }
}

fn run_cell(
    reader: &mut Subject,
    desk: &mut Desk,
    cell: Cell,
    orders: &[&Known],
) -> Result<(), String> {
    let calls: Vec<_> = orders.iter().map(|order| order.call()).collect();
    arrivals(&desk.arrived).clear();
    let delivered = desk.stand.ask(cell, &calls)?;
    for (at, (delivered, order)) in delivered.iter().zip(orders).enumerate() {
        order
            .agree(reader, &delivered.answer)
            .map_err(|why| format!("op {at} of {}: {why}", orders.len()))?;
    }
    if cell.way != Way::Sync && desk.has_engine {
        return Ok(()); // The work never came to a codec.
    }
    let mut arrived: Vec<_> = arrivals(&desk.arrived).drain(..).collect();
    let mut asked: Vec<_> = orders.iter().map(|it| (it.direction as u8, it.src.clone())).collect();
    arrived.sort_unstable();
    asked.sort_unstable();
    if arrived != asked {
        let (arrived, asked) = (arrived.len(), asked.len());
        return Err(format!(
            "the codec was called for {arrived} ops, not once for each of {asked}"
        ));
    }
    Ok(())
}

/// The driver behind the API, in a registry of its own, and what its codecs are called for.
struct Desk {
    stand: Stand,
    arrived: Arrived,
    has_engine: bool,
}

/// The direction and source of every op.
type Arrived = Arc<Mutex<Vec<(u8, Vec<u8>)>>>;

impl Desk {
    fn open(driver: &Driver<'_>) -> Result<Self, String> {
        let arrived = Arrived::default();
        let codecs = (0..CODECS).map(|_| driver.open().map(|subject| subject.codec));
        let opened = Opened {
            info: driver.info().clone().with_names("tested".into(), "tested-opened".into()),
            port: driver.port().cloned(),
            codecs: Mutex::new(codecs.collect::<Result<_, _>>()?),
            arrived: Arc::clone(&arrived),
        };
        let has_engine = opened.port.is_some();
        let registry = Registry::from_entries([]);
        let added = registry.add(Arc::new(opened)).map_err(|why| why.to_string())?;
        let acomp = Acomp::open(added.alg().clone(), Params::new());
        let stand = acomp.and_then(Stand::new).map_err(|why| why.to_string())?;
        Ok(Self { stand, arrived, has_engine })
    }
}

/// A driver that outlives the one it was made of: its codecs are open.
struct Opened {
    info: AlgInfo,
    port: Option<Port>,
    codecs: Mutex<Vec<Box<dyn Codec>>>,
    arrived: Arrived,
}

impl Algorithm for Opened {
    fn info(&self) -> &AlgInfo {
        &self.info
    }

    fn open(&self, _: &Params) -> Result<Box<dyn Codec>, OpenError> {
        let codec = self.codecs.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let codec = codec.ok_or_else(|| OpenError::Device("no codec is left".into()))?;
        Ok(Box::new(Listed { codec, arrived: Arc::clone(&self.arrived) }))
    }

    fn port(&self) -> Option<&Port> {
        self.port.as_ref()
    }
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened").field("info", &self.info).finish_non_exhaustive()
    }
}

/// A codec that lists what it is called for.
struct Listed {
    codec: Box<dyn Codec>,
    arrived: Arrived,
}

impl Listed {
    fn list(&self, direction: Direction, src: &[u8]) {
        arrivals(&self.arrived).push((direction as u8, src.to_vec()));
    }
}

impl Codec for Listed {
    fn compress(&mut self, src: &[u8], dst: &mut [u8]) -> Outcome {
        self.list(Direction::Compress, src);
        self.codec.compress(src, dst)
    }

    fn decompress(&mut self, src: &[u8], dst: &mut [u8]) -> Outcome {
        self.list(Direction::Decompress, src);
        self.codec.decompress(src, dst)
    }

    fn run(&mut self, ops: &mut Ops<'_, '_>) {
        for mut op in ops.iter_mut() {
            let direction = op.direction();
            self.list(direction, op.io().0);
        }
        self.codec.run(ops);
    }
}

fn arrivals(arrived: &Arrived) -> MutexGuard<'_, Vec<(u8, Vec<u8>)>> {
    arrived.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The session of a stand, and that of the transform itself.
const CODECS: usize = 2;
/// Streams that are damaged until one is refused.
const TRIES: usize = 64;
