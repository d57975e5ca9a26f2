//! Whatever goes wrong on a device: no wrong byte, no lost or doubled answer, no hang, nothing
//! leaked. One thread, time in steps, and everything random by a seed.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod setup;

use std::env;
use std::sync::Arc;

use acomp_core::{Acomp, Chain, Error, ExecutedOn, Op, Params, Registry, Session};
use acomp_iaa::topology::{Machine, Package};
use acomp_iaa::{
    Accel, DeflateIaa, Device, DeviceConfig, Fault, FaultPlan, Settings, SteppedClock, SyncMode,
    WqConfig,
};
use acomp_testmgr::Content;
use fastrand::Rng;
use page_codec::deflate::Encoder;

use self::setup::decoded;

#[test]
fn faults_by_seed() {
    let seeds = match env::var("ACOMP_SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) => (0..SEEDS).collect(),
    };
    for seed in seeds {
        println!("to replay: ACOMP_SEED={seed} cargo test -p acomp-iaa --test simulation");
        simulate(seed, 12);
    }
}

#[test]
#[ignore = "takes 40 s in a release build (cargo xtask ci --full); ACOMP_SEEDS asks for more"]
fn faults_by_many_seeds() {
    let seeds = env::var("ACOMP_SEEDS").map_or(10 * SEEDS, |seeds| seeds.parse().unwrap());
    for seed in 0..seeds {
        println!("to replay: ACOMP_SEED={seed} cargo test -p acomp-iaa --test simulation");
        simulate(seed, 12);
    }
}

fn simulate(seed: u64, rounds: usize) {
    let mut rng = Rng::with_seed(seed);
    let mut settings = Settings::default();
    settings.sync_mode = [SyncMode::Sync, SyncMode::Async][rng.usize(..2)];
    settings.verify_compress = rng.bool();
    settings.completion_timeout_ns = 200_000;
    settings.quarantine_ns = rng.u64(1..1_000_000);
    settings.policy.g_comp_wqs_per_iaa = rng.usize(..3);
    settings.policy.g_consec_descs_per_gwq = rng.usize(1..9);
    (settings.policy.distribute_comps, settings.policy.distribute_decomps) =
        (rng.bool(), rng.bool());
    let package = |cpus| Package { cpus, threads_per_core: 1, devices: Vec::new() };
    // Wherever this thread runs, the seed decides where it submits.
    let packages = vec![package(vec![0]), package(Vec::new())];
    let accel = Accel::on(&Machine { packages }, settings);
    let devices: Vec<_> = (0..rng.u32(1..5)).map(|id| device(&accel, id, &mut rng)).collect();
    let registry = Registry::from_entries([]);
    let fixed = registry.add(Arc::new(DeflateIaa::fixed(&accel).unwrap())).unwrap();
    let dynamic = registry.add(Arc::new(DeflateIaa::dynamic(&accel).unwrap())).unwrap();
    let open = |driver| {
        let acomp = Acomp::alloc_in(&registry, driver, Params::new()).unwrap();
        acomp.session().unwrap()
    };
    let mut sessions = [open("deflate-iaa"), open("deflate-iaa-dynamic")];
    for _ in 0..rounds {
        let session = &mut sessions[rng.usize(..2)];
        chain(session, &mut rng);
        if rng.u8(..8) == 0 {
            devices[rng.usize(..devices.len())].reset();
        }
    }
    // What is lost comes back with a reset; then nothing is missing.
    for device in &devices {
        device.set_faults(FaultPlan::new(0));
        device.reset();
    }
    for session in &mut sessions {
        chain(session, &mut rng);
    }
    assert_eq!(accel.outstanding_descriptors(), 0, "seed {seed}");
    drop((sessions, fixed, dynamic, registry));
    accel.unbind_all();
    assert_eq!(accel.dma().leases(), 0, "seed {seed}");
}

fn device(accel: &Arc<Accel>, id: u32, rng: &mut Rng) -> Arc<Device> {
    let queues = (0..rng.usize(1..4)).map(|_| {
        let size = rng.usize(1..16);
        let config = WqConfig::new(size).with_priority(rng.u8(1..16));
        if rng.bool() { config.shared(rng.usize(..=size)) } else { config }
    });
    let config = DeviceConfig::new(id).with_queues(queues.collect());
    let config = config.with_engines(&[rng.usize(1..9)]);
    let plan = if rng.u8(..4) == 0 { FaultPlan::new(0) } else { FaultPlan::of_seed(rng.u64(..)) };
    let device = Device::new(config, accel.dma().clone(), Arc::new(SteppedClock::new()), plan);
    let _binding = accel.bind_in(rng.usize(..2), &device).unwrap();
    device
}

/// Runs a chain of either direction, and looks at every answer.
fn chain(session: &mut Session, rng: &mut Rng) {
    let count = rng.usize(1..20);
    let pages: Vec<_> = (0..count).map(|_| page(rng)).collect();
    let mut encoder = Encoder::fixed();
    let streams: Vec<_> = pages.iter().map(|page| encoded(&mut encoder, page)).collect();
    let is_compression: Vec<_> = (0..count).map(|_| rng.bool()).collect();
    let rooms: Vec<_> = (0..count).map(|_| [4096, 4096, 100, 6000][rng.usize(..4)]).collect();
    let mut outs: Vec<_> = rooms.iter().map(|room| vec![0; *room]).collect();
    let mut chain = Chain::<20>::new();
    for (at, out) in outs.iter_mut().enumerate() {
        chain
            .push(if is_compression[at] {
                Op::compress(&pages[at], out)
            } else {
                Op::decompress(&streams[at], out)
            })
            .unwrap();
    }
    session.run(chain.as_mut_ops());
    for (at, op) in chain.ops().iter().enumerate() {
        let outcome = op.outcome().unwrap();
        if is_compression[at] {
            match outcome {
                Ok(len) => assert_eq!(decoded(&op.output()[..len]), pages[at]),
                Err(error) => assert!(
                    matches!(
                        error,
                        Error::DstTooSmall | Error::TimedOut | Error::Device | Error::VerifyFailed
                    ),
                    "{error:?}"
                ),
            }
            assert_ne!(op.executed_on(), Some(ExecutedOn::Worker));
        } else if pages[at].len() <= rooms[at] {
            assert_eq!(outcome, Ok(pages[at].len()));
            assert!(op.output() == pages[at]);
        } else {
            assert_eq!(outcome, Err(Error::DstTooSmall));
        }
    }
}

#[test]
fn a_flipped_bit_is_found_by_verification() {
    let mut settings = Settings::default();
    settings.verify_compress = true;
    let accel = Accel::new(settings);
    let plan = FaultPlan::new(1).at(0, Fault::FlippedBit).at(3, Fault::BadCrc);
    let clock = Arc::new(SteppedClock::new());
    let device = Device::new(DeviceConfig::new(0), accel.dma().clone(), clock, plan);
    let _binding = accel.bind(&device).unwrap();
    let registry = Registry::from_entries([]);
    let _added = registry.add(Arc::new(DeflateIaa::fixed(&accel).unwrap())).unwrap();
    let acomp = Acomp::alloc_in(&registry, "deflate-iaa", Params::new()).unwrap();
    let page = page(&mut Rng::with_seed(1));
    // Jobs 0 and 1 are the first page and its verification, 2 and 3 those of the second.
    for _ in 0..2 {
        let outcome = acomp.compress(&page, &mut [0; 5000]);
        assert_eq!(outcome, Err(Error::VerifyFailed));
    }
    assert!(acomp.compress(&page, &mut [0; 5000]).is_ok());
}

fn page(rng: &mut Rng) -> Vec<u8> {
    let len = if rng.u8(..4) == 0 { rng.usize(0..5000) } else { 4096 };
    let mut page = vec![0; len];
    let content = Content::ALL[rng.usize(..Content::ALL.len())];
    content.fill(rng.u64(..), &mut page);
    page
}

fn encoded(encoder: &mut Encoder, page: &[u8]) -> Vec<u8> {
    let mut stream = vec![0; 6000];
    let len = encoder.encode(page, &mut stream).unwrap();
    stream.truncate(len);
    stream
}

const SEEDS: u64 = 1000;
