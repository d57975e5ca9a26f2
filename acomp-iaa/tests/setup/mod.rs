//! Drivers with models to work on, and pages.

#![allow(dead_code, reason = "each test file uses its own part")]
#![expect(clippy::unwrap_used, reason = "test helpers unwrap like tests")]

use std::ops::Range;
use std::sync::Arc;

use acomp_core::{Acomp, Chain, Inflight, Op, Params, Registry, Request, Session, Submitter};
use acomp_iaa::topology::{Machine, Package};
use acomp_iaa::{
    Accel, Binding, Clock, DeflateIaa, Device, DeviceConfig, FaultPlan, Settings, SteppedClock,
};
use acomp_testmgr::Content;
use page_codec::deflate::Decoder;

/// `deflate-iaa` over devices whose time passes in steps.
pub(crate) struct Driver {
    pub(crate) accel: Arc<Accel>,
    pub(crate) clock: Arc<SteppedClock>,
    pub(crate) acomp: Acomp,
    submitter: Submitter,
}

impl Driver {
    /// On a machine of one CPU, so that everybody begins at the same device.
    pub(crate) fn new(settings: Settings) -> Self {
        let package = Package { cpus: vec![0], threads_per_core: 1, devices: Vec::new() };
        Self::on(&Machine { packages: vec![package] }, settings)
    }

    pub(crate) fn on(machine: &Machine, settings: Settings) -> Self {
        Self::of(Accel::on(machine, settings))
    }

    pub(crate) fn of(accel: Arc<Accel>) -> Self {
        let registry = Registry::from_entries([]);
        let _added = registry.add(Arc::new(DeflateIaa::fixed(&accel).unwrap())).unwrap();
        let acomp = Acomp::alloc_in(&registry, "deflate-iaa", Params::new()).unwrap();
        let submitter = acomp.submitter(16).unwrap();
        Self { accel, clock: Arc::default(), acomp, submitter }
    }

    pub(crate) fn device(&self, config: DeviceConfig) -> Arc<Device> {
        let clock: Arc<dyn Clock> = self.clock.clone();
        Device::new(config, Arc::clone(self.accel.dma()), clock, FaultPlan::new(0))
    }

    pub(crate) fn bind(&self, config: DeviceConfig) -> (Arc<Device>, Binding) {
        let device = self.device(config);
        let binding = self.accel.bind(&device).unwrap();
        (device, binding)
    }

    pub(crate) fn now_ns(&self) -> u64 {
        self.clock.now_ns()
    }

    pub(crate) fn compress(&self, number: u64) {
        let mut stream = vec![0; 4096];
        let len = self.acomp.compress(&page(number), &mut stream).unwrap();
        assert_eq!(decoded(&stream[..len]), page(number));
    }

    /// A compression that is submitted, and not yet done.
    pub(crate) fn request(&self, number: u64) -> Inflight {
        let request = Request::compress(page(number), vec![0; 4096]);
        self.submitter.submit(request).map_err(|rejected| rejected.error).unwrap()
    }

    pub(crate) fn round_trip(&self, numbers: Range<u64>) {
        round_trip(&mut self.acomp.session().unwrap(), numbers);
    }
}

/// Pages through a chain and back through another one.
pub(crate) fn round_trip(session: &mut Session, numbers: Range<u64>) {
    let pages: Vec<_> = numbers.map(page).collect();
    let mut streams = vec![vec![0; 4096]; pages.len()];
    let mut chain = Chain::<16>::new();
    for (page, stream) in pages.iter().zip(&mut streams) {
        chain.push(Op::compress(page, stream)).unwrap();
    }
    session.run(chain.as_mut_ops());
    let mut backs = vec![vec![0; 4096]; pages.len()];
    let mut back = Chain::<16>::new();
    for (op, dst) in chain.ops().iter().zip(&mut backs) {
        op.outcome().unwrap().unwrap();
        back.push(Op::decompress(op.output(), dst)).unwrap();
    }
    session.run(back.as_mut_ops());
    for (op, page) in back.ops().iter().zip(&pages) {
        assert_eq!(op.outcome(), Some(Ok(4096)));
        assert!(op.output() == page);
    }
}

/// Compressible, and of each number another.
pub(crate) fn page(number: u64) -> Vec<u8> {
    let mut page = vec![0; 4096];
    Content::ALL[number as usize % 3].fill(number, &mut page);
    page[..8].copy_from_slice(&number.to_le_bytes());
    page
}

pub(crate) fn decoded(stream: &[u8]) -> Vec<u8> {
    let mut page = vec![0; 6000];
    let decoded = Decoder::new().decode(stream, &mut page).unwrap();
    assert_eq!(decoded.consumed, stream.len());
    page.truncate(decoded.produced);
    page
}
