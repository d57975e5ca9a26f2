//! The whole matrix over the driver and a device that does what the cell says: each call is
//! answered once, executed once by the device, and once more by software only where it is to be.

#![expect(clippy::unwrap_used, clippy::panic, reason = "test helpers are like tests")]

mod setup;

use acomp_core::{Direction, Error, ExecutedOn};
use acomp_iaa::{DeviceConfig, Fault, FaultPlan, Settings, SyncMode};
use acomp_testmgr::Content;
use acomp_testmgr::matrix::{Call, Cell, Ending, Shape, Stand, Way};
use page_codec::deflate::Encoder;

use self::setup::{Driver, decoded, page};

#[test]
fn every_cell_ends_as_it_should_and_is_executed_once() {
    let (mut ran, mut left_out) = (0, 0);
    for cell in Cell::all() {
        if cell.left_out_by().is_some() {
            left_out += 1;
            continue;
        }
        for fault in faults(cell.ending) {
            for sync_mode in [SyncMode::Sync, SyncMode::Async] {
                run(cell, *fault, sync_mode);
            }
        }
        ran += 1;
    }
    assert_eq!((ran, left_out), (131, 61), "as in the matrix of the suite");
}

/// By which a call ends so; `None`: the device is well.
fn faults(ending: Ending) -> &'static [Option<Fault>] {
    match ending {
        Ending::Busy => &[Some(Fault::QueueFull)],
        Ending::Fault => &[Some(Fault::PageFault), Some(Fault::Analytics)],
        Ending::TimedOut => &[Some(Fault::Watchdog), Some(Fault::LostCompletion)],
        _ => &[None],
    }
}

fn run(cell: Cell, fault: Option<Fault>, sync_mode: SyncMode) {
    let what = format!("{cell}, {fault:?}, {sync_mode:?}");
    let mut settings = Settings::default();
    (settings.sync_mode, settings.completion_timeout_ns) = (sync_mode, 200_000);
    let driver = Driver::new(settings);
    let (device, _binding) = driver.bind(DeviceConfig::new(1));
    let mut stand = Stand::new(driver.acomp.clone()).unwrap();
    let plan = FaultPlan::new(0);
    device.set_faults(fault.map_or(plan.clone(), |fault| plan.often(EVERY_JOB, fault)));

    let sources = Sources::new(cell.ending);
    let calls = sources.calls(cell.ending);
    let delivered = stand.ask(cell, &calls).unwrap_or_else(|why| panic!("{what}: {why}"));
    let mut fallbacks = 0;
    for (delivered, call) in delivered.iter().zip(&calls) {
        let (error, on) = expected(cell.ending, fault, call.direction);
        fallbacks += u64::from(on == ExecutedOn::Fallback);
        match (&delivered.answer, error) {
            (Ok(output), None) if call.direction == Direction::Compress => {
                assert!(decoded(output) == call.src, "{what}");
            }
            (Ok(output), None) => assert!(*output == sources.page, "{what}"),
            (answer, error) => assert_eq!(answer.as_ref().err().copied(), error, "{what}"),
        }
        // A single call of a session does not tell.
        let is_told = (cell.way, cell.shape) != (Way::Sync, Shape::Single);
        assert_eq!(delivered.executed_on, is_told.then_some(on), "{what}");
    }
    let stats = driver.accel.stats();
    let on_device = stats.total_comp_calls + stats.total_decomp_calls;
    let in_software = stats.total_sw_comp_calls + stats.total_sw_decomp_calls;
    let jobs = calls.len() as u64;
    match fault {
        Some(Fault::QueueFull) => assert_eq!(on_device, 0, "{what}"),
        // One that is lost gives up the queue for those who come later.
        Some(Fault::LostCompletion) => assert!((1..=jobs).contains(&on_device), "{what}"),
        _ => assert_eq!(on_device, jobs, "{what}"),
    }
    assert_eq!(in_software, fallbacks, "{what}");
    let is_lost = fault == Some(Fault::LostCompletion);
    assert!(is_lost || driver.accel.outstanding_descriptors() == 0, "{what}");
    assert_eq!((device.lost_descriptors(), device.unreported_completions()), (0, 0), "{what}");
}

/// How a call ends, and who executes it last.
fn expected(
    ending: Ending,
    fault: Option<Fault>,
    direction: Direction,
) -> (Option<Error>, ExecutedOn) {
    use ExecutedOn::{Driver, Fallback};
    let is_compression = direction == Direction::Compress;
    match (ending, fault) {
        (Ending::Overflow, _) if is_compression => (Some(Error::DstTooSmall), Driver),
        // Software has the last word on streams.
        (Ending::Overflow, _) => (Some(Error::DstTooSmall), Fallback),
        (Ending::Corrupt | Ending::Truncated, _) => (Some(Error::Corrupt), Fallback),
        (_, Some(Fault::QueueFull | Fault::LostCompletion)) => (None, Fallback),
        (_, Some(_)) if !is_compression => (None, Fallback),
        (_, Some(Fault::Watchdog)) => (Some(Error::TimedOut), Driver),
        (_, Some(_)) => (Some(Error::Device), Driver),
        // The driver gives up nothing that a device has begun: who cancels gets what is done.
        (_, None) => (None, Driver),
    }
}

struct Sources {
    page: Vec<u8>,
    noise: Vec<u8>,
    stream: Vec<u8>,
}

impl Sources {
    fn new(ending: Ending) -> Self {
        let (page, mut noise, mut stream) = (page(1), vec![0; 4096], vec![0; 4096]);
        Content::Random.fill(1, &mut noise);
        let len = Encoder::fixed().encode(&page, &mut stream).unwrap();
        stream.truncate(len);
        match ending {
            Ending::Corrupt => stream[0] |= 0b110, // A type of block that is none.
            Ending::Truncated => stream.truncate(len - 1),
            _ => {}
        }
        Self { page, noise, stream }
    }

    /// Compressions and decompressions, where there are both that end so.
    fn calls(&self, ending: Ending) -> Vec<Call<'_>> {
        let (src, dst_bytes) = match ending {
            Ending::Overflow => (&self.noise, 1000),
            _ => (&self.page, 4096),
        };
        let compress = Call { direction: Direction::Compress, src, dst_bytes };
        let direction = Direction::Decompress;
        let decompress = Call { direction, src: &self.stream, dst_bytes };
        match ending {
            Ending::Corrupt | Ending::Truncated => vec![decompress; 3],
            _ => vec![compress, decompress, compress, decompress],
        }
    }
}

/// Of ten thousand.
const EVERY_JOB: u32 = 10_000;
