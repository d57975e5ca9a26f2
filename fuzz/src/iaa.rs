//! Properties of the accelerator's interface: descriptors, records and tables, and what a device
//! does to memory.

use std::ops::Range;
use std::sync::Arc;

use acomp_iaa::aecs::Aecs;
use acomp_iaa::bits::{aecs, completion, descriptor};
use acomp_iaa::completion::{CompletionRecord, Status};
use acomp_iaa::desc::{CompressFlags, DecompressFlags, Descriptor, Flags, Operation};
use acomp_iaa::topology::{Machine, Map, Policy};
use acomp_iaa::{Device, DeviceConfig, Dma, FaultPlan, Lease, SteppedClock, Written};

use crate::input::Input;

/// What a parser takes is what the encoder writes, and what it refuses has a record that says so.
pub fn iaa_wire(input: &[u8]) {
    let mut input = Input(input);
    match input.byte().map(|choice| choice % 3) {
        Some(0) => {
            let Some(bytes) = input.array::<{ descriptor::BYTES }>() else { return };
            match Descriptor::parse(&bytes) {
                // Whoever writes one knows where the reserved bytes are: there are none.
                Ok(descriptor) => assert_eq!(descriptor.encode(), bytes, "{descriptor:?}"),
                Err(invalid) => assert_ne!(invalid.record().status, Status::SUCCESS, "{invalid}"),
            }
        }
        Some(1) => {
            let Some(bytes) = input.array::<{ completion::BYTES }>() else { return };
            let record = CompletionRecord::parse(&bytes);
            assert_eq!(CompletionRecord::parse(&record.encode()), record);
            assert!(!record.status.to_string().is_empty());
        }
        Some(_) => {
            let mut bytes = [0; aecs::BYTES];
            let given = input.bytes(bytes.len());
            bytes[..given.len()].copy_from_slice(given);
            let Ok(table) = Aecs::parse(&bytes) else { return };
            assert_eq!(Aecs::parse(&table.encode()).as_ref(), Ok(&table));
            let Ok(codes) = table.code_tables() else { return };
            let bits = table.accumulator_bits as usize;
            let again = Aecs::with_codes(&codes, &table.accumulator, bits).expect("as many bits");
            assert_eq!(again.code_tables(), Ok(codes));
        }
        None => {}
    }
}

/// Whatever descriptors are written to a queue: each is answered where it says, if anywhere, and
/// nothing changes in memory but the destinations that they name.
pub fn iaa_device(input: &[u8]) {
    let mut input = Input(input);
    let bench = Bench::new(&mut input);
    while let Some(descriptor) = bench.descriptor(&mut input) {
        bench.run(&descriptor);
    }
}

/// A device, and all memory that it can reach.
struct Bench {
    device: Arc<Device>,
    leases: Vec<Lease>,
}

impl Bench {
    fn new(input: &mut Input<'_>) -> Self {
        thread_local! {
            static DEVICE: (Arc<Dma>, Arc<Device>) = {
                let (dma, clock) = (Dma::new(), Arc::new(SteppedClock::new()));
                let config = DeviceConfig::new(1).with_engines(&[1]);
                (Arc::clone(&dma), Device::new(config, dma, clock, FaultPlan::new(0)))
            };
        }
        let (dma, device) = DEVICE.with(Clone::clone);
        let leases = Vec::from_iter(LEASES_BYTES.map(|len| dma.lease(len).expect("few leases")));
        // One of each: to be read, to be written, a table, and nobody's.
        let len = input.number().unwrap_or(0) % 1000;
        let text = input.bytes(len);
        if !text.is_empty() {
            leases[0].write().iter_mut().zip(text.iter().cycle()).for_each(|(to, by)| *to = *by);
        }
        leases[2].write().copy_from_slice(&Aecs::fixed().encode());
        let patch = input.byte().unwrap_or(0);
        for bytes in input.bytes(3 * usize::from(patch % 16)).chunks_exact(3) {
            let at = usize::from(u16::from_le_bytes([bytes[0], bytes[1]]));
            leases[2].write()[at % aecs::BYTES] = bytes[2];
        }
        Self { device, leases }
    }

    /// Any bytes, in which some addresses lead somewhere.
    fn descriptor(&self, input: &mut Input<'_>) -> Option<[u8; descriptor::BYTES]> {
        let mut bytes: [u8; descriptor::BYTES] = input.array()?;
        for at in ADDRESSES_AT {
            let choice = input.byte()?;
            let Some(lease) = self.leases.get(usize::from(choice % 8)) else { continue };
            let offset = if choice & 0x80 == 0 { 0 } else { input.number()? % 4200 };
            let address = match at {
                descriptor::COMPLETION_AT => lease.record_address(),
                _ => lease.address(offset),
            };
            bytes[at..at + 8].copy_from_slice(&address.to_le_bytes());
        }
        Some(bytes)
    }

    fn run(&self, bytes: &[u8; descriptor::BYTES]) {
        let memory = || Vec::from_iter(self.leases.iter().map(|lease| lease.read().to_vec()));
        let before = memory();
        assert_eq!(self.device.submit(0, bytes), Written::Accepted);
        assert_eq!(self.device.drive(1), 1, "a descriptor stays");
        let parsed = Descriptor::parse(bytes);
        // Where a record may be, and has to be.
        let (may, must) = match parsed {
            Ok(d) => (
                d.flags.contains(Flags::COMPLETION_VALID).then_some(d.completion),
                d.flags.contains(Flags::REQUEST_COMPLETION),
            ),
            Err(invalid) => (invalid.completion, true),
        };
        for lease in &self.leases {
            let is_it = may == Some(lease.record_address());
            let record = lease.completion();
            assert!(is_it || record.is_none(), "a record that nobody asked for");
            assert!(!is_it || !must || record.is_some(), "no record");
            if let (Some(record), Ok(descriptor)) = (record, &parsed) {
                assert!(record.output_bytes <= descriptor.dst_bytes_max, "{record:?}");
            }
        }
        let written = parsed.map_or(0..0, |descriptor| destination(&descriptor));
        for ((lease, before), after) in self.leases.iter().zip(&before).zip(memory()) {
            for (at, bytes) in before.iter().zip(&after).enumerate() {
                let is_inside = written.contains(&lease.address(at));
                assert!(is_inside || bytes.0 == bytes.1, "byte {at}, outside of {written:?}");
            }
        }
        self.leases.iter().for_each(Lease::renew);
    }
}

/// What a descriptor lets the device write to.
fn destination(descriptor: &Descriptor) -> Range<u64> {
    let len = match descriptor.operation {
        Operation::MemMove => descriptor.src1_bytes,
        Operation::Compress(_) | Operation::Decompress(_) => descriptor.dst_bytes_max,
        _ => 0,
    };
    descriptor.dst..descriptor.dst.saturating_add(len.into())
}

/// A description of a machine is refused, or is a machine: every CPU has queues, of devices that
/// there are.
pub fn machine(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    let machine = match Machine::from_json(text) {
        Ok(machine) => machine,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    machine.check().expect("what was read makes sense");
    let Ok(map) = Map::new(&machine, &Policy::default()) else { return };
    let devices = Vec::from_iter(machine.devices());
    for cpu in machine.packages.iter().flat_map(|package| &package.cpus).chain(&[usize::MAX]) {
        let queues = map.cpu(*cpu);
        for round in [queues.compress, queues.decompress] {
            let known = |id: &acomp_iaa::topology::QueueId| {
                devices.get(id.device).is_some_and(|device| id.queue < device.queues.len())
            };
            assert!(!round.queues.is_empty() && round.queues.iter().all(known), "CPU {cpu}");
            assert!(round.start < round.queues.len() && round.run > 0, "CPU {cpu}");
        }
    }
}

/// A descriptor of each operation, a record, and the fixed table.
pub(crate) fn wire_seeds() -> Vec<Vec<u8>> {
    let record = CompletionRecord { status: Status::SUCCESS, ..CompletionRecord::default() };
    let mut seeds = Vec::from_iter(descriptors().map(|d| [&[0], &d.encode()[..]].concat()));
    seeds.push([&[1], &record.encode()[..]].concat());
    seeds.push([&[2], &Aecs::fixed().encode()[..]].concat());
    seeds
}

/// Each operation, from the first lease to the second, with the table in the third.
pub(crate) fn device_seeds() -> Vec<Vec<u8>> {
    let text = b"a page of a page of a page, ";
    let head = [&[text.len() as u8, 0], &text[..], &[0]].concat();
    let patched = |descriptor: Descriptor| {
        let (reads, writes) = (descriptor.src1_bytes > 0, !destination(&descriptor).is_empty());
        let has_table = descriptor.flags.contains(Flags::READ_SRC2_AECS);
        let lease = |is_used, lease| if is_used { lease } else { NO_LEASE };
        let leases = [3, lease(reads, 0), lease(writes, 1), lease(has_table, 2)];
        [&descriptor.encode()[..], &leases].concat()
    };
    let singles = Vec::from_iter(descriptors().map(patched));
    let all = singles.concat();
    singles.iter().chain([&all]).map(|tail| [&head[..], tail].concat()).collect()
}

/// Machines in few words and in many, and what is none.
pub(crate) fn machine_seeds() -> Vec<Vec<u8>> {
    let device = r#"{"name":"iax1","engines":[0,0,1],"header_generation":false,"queues":[
        {"size":64},{"size":64,"mode":"shared","threshold":60,"priority":5,"group":1}]}"#;
    let machines = [
        r#"{"packages":[{"cpus":"0-3"}]}"#.to_owned(),
        format!(r#"{{"packages":[{{"cpus":"0-3,8","threads_per_core":2,"devices":[{device}]}}]}}"#),
        r#"{"packages":[{"cpus":"0","devices":[{"name":"iax1","engines":99}]}]}"#.to_owned(),
        r#"{"packages":[{"cpus":"3-0"}],"x":1}"#.to_owned(),
    ];
    machines.map(String::into_bytes).into()
}

/// One of each operation, with and without a table; all addresses are 0.
fn descriptors() -> impl Iterator<Item = Descriptor> {
    let flush = CompressFlags::FLUSH_OUTPUT | CompressFlags::APPEND_END_OF_BLOCK;
    let operations = [
        Operation::Noop,
        Operation::Drain,
        Operation::MemMove,
        Operation::Crc64,
        Operation::Decompress(DecompressFlags::ENABLE),
        Operation::Compress(flush),
        Operation::Compress(flush | CompressFlags::GENERATE_HEADER_ONE_PASS),
    ];
    let records = Flags::COMPLETION_VALID | Flags::REQUEST_COMPLETION;
    operations.into_iter().flat_map(move |operation| {
        let codes = matches!(operation, Operation::Compress(_) | Operation::Decompress(_));
        let reads = !matches!(operation, Operation::Noop | Operation::Drain);
        let plain = Descriptor {
            operation,
            flags: records,
            src1_bytes: if reads { 100 } else { 0 },
            dst_bytes_max: if codes { 4000 } else { 0 },
            ..Descriptor::default()
        };
        let flags = records | Flags::READ_SRC2_AECS;
        let canned = Descriptor { flags, src2_bytes: aecs::BYTES as u32, ..plain };
        [Some(plain), codes.then_some(canned)].into_iter().flatten()
    })
}

const ADDRESSES_AT: [usize; 4] =
    [descriptor::COMPLETION_AT, descriptor::SRC1_AT, descriptor::DST_AT, descriptor::SRC2_AT];
const LEASES_BYTES: [usize; 4] = [4096, 4096, aecs::BYTES, 0];
const NO_LEASE: u8 = 7;
