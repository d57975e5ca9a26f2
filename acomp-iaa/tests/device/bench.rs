//! A client of a device: what it leases, writes and reads.

use std::sync::Arc;

use acomp_iaa::aecs::Aecs;
use acomp_iaa::bits::aecs;
use acomp_iaa::completion::{CompletionRecord, Status};
use acomp_iaa::desc::{CompressFlags, DecompressFlags, Descriptor, Flags, Operation};
use acomp_iaa::{Device, DeviceConfig, Dma, FaultPlan, Lease, SteppedClock, WqConfig, Written};
use acomp_testmgr::Content;
use page_codec::deflate::Decoder;

pub(crate) const RECORD: Flags = Flags::COMPLETION_VALID.union(Flags::REQUEST_COMPLETION);
/// As the kernel's driver compresses.
pub(crate) const COMPRESS: CompressFlags =
    CompressFlags::FLUSH_OUTPUT.union(CompressFlags::APPEND_END_OF_BLOCK);
pub(crate) const FIXED: Operation = Operation::Compress(COMPRESS);
pub(crate) const DYNAMIC: Operation =
    Operation::Compress(COMPRESS.union(CompressFlags::GENERATE_HEADER_ONE_PASS));
pub(crate) const INFLATE: DecompressFlags = DecompressFlags::ENABLE
    .union(DecompressFlags::FLUSH_OUTPUT)
    .union(DecompressFlags::CHECK_END_OF_BLOCK)
    .union(DecompressFlags::STOP_ON_END_OF_BLOCK);
pub(crate) const DECOMPRESS: Operation = Operation::Decompress(INFLATE);

pub(crate) struct Bench {
    pub(crate) dma: Arc<Dma>,
    pub(crate) device: Arc<Device>,
}

impl Bench {
    /// One dedicated queue, and no faults.
    pub(crate) fn new() -> Self {
        Self::of(DeviceConfig::new(1))
    }

    pub(crate) fn of(config: DeviceConfig) -> Self {
        Self::with(config, FaultPlan::new(0))
    }

    pub(crate) fn of_queues<const N: usize>(queues: [WqConfig; N]) -> Self {
        Self::of(DeviceConfig::new(1).with_queues(queues.into()))
    }

    pub(crate) fn of_faults(plan: FaultPlan) -> Self {
        Self::with(DeviceConfig::new(1), plan)
    }

    /// Time passes as the device is driven, a microsecond each time.
    pub(crate) fn with(config: DeviceConfig, plan: FaultPlan) -> Self {
        let dma = Dma::new();
        let device = Device::new(config, Arc::clone(&dma), Arc::new(SteppedClock::new()), plan);
        Self { dma, device }
    }

    pub(crate) fn lease(&self, bytes: &[u8]) -> Lease {
        let lease = self.dma.lease(bytes.len()).unwrap();
        lease.write().copy_from_slice(bytes);
        lease
    }

    pub(crate) fn room(&self, len: usize) -> Lease {
        self.dma.lease(len).unwrap()
    }

    pub(crate) fn table(&self, aecs: &Aecs) -> Lease {
        self.lease(&aecs.encode())
    }

    /// Submits to a queue that has room; where the record will be.
    pub(crate) fn submit_to(&self, queue: usize, descriptor: Descriptor) -> Lease {
        let record = self.room(0);
        let bytes = reporting(descriptor, &record).encode();
        assert_eq!(self.device.submit(queue, &bytes), Written::Accepted);
        record
    }

    pub(crate) fn submit(&self, descriptor: Descriptor) -> Lease {
        self.submit_to(0, descriptor)
    }

    /// Runs a job that nothing holds back.
    pub(crate) fn run(&self, descriptor: Descriptor) -> CompletionRecord {
        let record = self.submit(descriptor);
        assert_eq!(self.device.drive(1), 1);
        record.completion().unwrap()
    }

    /// Runs one that succeeds; its output, and the record.
    pub(crate) fn output(
        &self,
        descriptor: Descriptor,
        dst: &Lease,
    ) -> (Vec<u8>, CompletionRecord) {
        let record = self.run(descriptor);
        assert_eq!(record.status, Status::SUCCESS);
        (dst.read()[..record.output_bytes as usize].to_vec(), record)
    }

    /// What a stream of another compressor gives.
    pub(crate) fn inflate(&self, stream: &[u8], room: usize) -> CompletionRecord {
        self.run(job(DECOMPRESS, &self.lease(stream), &self.room(room)))
    }

    pub(crate) fn drive_for_us(&self, us: usize) {
        for _ in 0..us {
            self.device.drive(0);
        }
    }
}

/// From all of one lease to all of the other.
pub(crate) fn job(operation: Operation, src: &Lease, dst: &Lease) -> Descriptor {
    let codes = matches!(operation, Operation::Compress(_) | Operation::Decompress(_));
    Descriptor {
        operation,
        src1: src.address(0),
        src1_bytes: src.read().len() as u32,
        dst: dst.address(0),
        dst_bytes_max: if codes { dst.read().len() as u32 } else { 0 },
        ..Descriptor::default()
    }
}

pub(crate) fn crc64(src: &Lease, polynomial: u64) -> Descriptor {
    let src1_bytes = src.read().len() as u32;
    let operation = Operation::Crc64;
    Descriptor { operation, src1: src.address(0), src1_bytes, ..Descriptor::default() }
        .with_polynomial(polynomial)
}

pub(crate) fn noop() -> Descriptor {
    Descriptor::default()
}

pub(crate) fn drain() -> Descriptor {
    Descriptor { operation: Operation::Drain, ..Descriptor::default() }
}

pub(crate) fn with_table(descriptor: Descriptor, table: &Lease) -> Descriptor {
    Descriptor {
        flags: descriptor.flags | Flags::READ_SRC2_AECS,
        src2: table.address(0),
        src2_bytes: aecs::BYTES as u32,
        ..descriptor
    }
}

pub(crate) fn with_flags(descriptor: Descriptor, flags: Flags) -> Descriptor {
    Descriptor { flags: descriptor.flags | flags, ..descriptor }
}

pub(crate) fn reporting(descriptor: Descriptor, record: &Lease) -> Descriptor {
    Descriptor { completion: record.record_address(), ..with_flags(descriptor, RECORD) }
}

/// What another decompressor makes of it.
pub(crate) fn inflated(stream: &[u8]) -> Vec<u8> {
    let mut page = vec![0; 2 * 4096];
    let decoded = Decoder::new().decode(stream, &mut page).unwrap();
    assert_eq!(decoded.consumed, stream.len());
    page.truncate(decoded.produced);
    page
}

/// Text, of each seed another.
pub(crate) fn page(seed: u64) -> Vec<u8> {
    let mut page = vec![0; 4096];
    Content::Text.fill(seed, &mut page);
    page
}

/// What does not compress.
pub(crate) fn noise() -> Vec<u8> {
    let mut page = vec![0; 4096];
    fastrand::Rng::with_seed(1).fill(&mut page);
    page
}
