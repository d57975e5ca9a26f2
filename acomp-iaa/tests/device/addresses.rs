//! Addresses that lead nowhere.

use acomp_iaa::aecs::Aecs;
use acomp_iaa::completion::{CompletionRecord, Status};
use acomp_iaa::desc::{Descriptor, Flags, Operation};
use acomp_iaa::{Lease, Written};

use crate::bench::{
    Bench, DECOMPRESS, DYNAMIC, FIXED, RECORD, crc64, job, noop, page, with_flags, with_table,
};

/// What ends an address.
const ENDS: [fn(Lease) -> Option<Lease>; 2] = [
    |lease| {
        drop(lease);
        None
    },
    |lease| {
        lease.renew();
        Some(lease)
    },
];

#[test]
fn a_stale_source_is_a_fault_on_a_read() {
    let bench = Bench::new();
    for end in ENDS {
        for operation in [Operation::MemMove, DYNAMIC, DECOMPRESS] {
            let (src, dst) = (bench.lease(&page(1)), bench.room(4096));
            let descriptor = job(operation, &src, &dst);
            let _src = end(src);
            assert_eq!(bench.run(descriptor), fault(Status::PAGE_FAULT, descriptor.src1));
            assert_eq!(*dst.read(), [0; 4096]);
        }
        let src = bench.lease(&page(1));
        let descriptor = crc64(&src, 1);
        let _src = end(src);
        assert_eq!(bench.run(descriptor), fault(Status::PAGE_FAULT, descriptor.src1));
    }
}

#[test]
fn a_stale_destination_is_a_fault_on_a_write() {
    let bench = Bench::new();
    for end in ENDS {
        for operation in [Operation::MemMove, DYNAMIC, DECOMPRESS] {
            let (src, dst) = (bench.lease(&page(1)), bench.lease(&[0xaa; 4096]));
            let descriptor = job(operation, &src, &dst);
            let dst = end(dst);
            let record = bench.run(descriptor);
            assert_eq!(record, fault(Status::PAGE_FAULT.with_write_fault(), descriptor.dst));
            assert!(record.status.is_write_fault());
            assert!(dst.is_none_or(|dst| *dst.read() == [0xaa; 4096]));
        }
    }
}

#[test]
fn a_stale_address_is_stale_beside_a_fresh_one_of_the_same_lease() {
    let bench = Bench::new();
    let lease = bench.lease(&[page(1), page(2)].concat());
    let of_halves = |src1, dst| {
        let operation = Operation::MemMove;
        Descriptor { operation, src1, dst, src1_bytes: 4096, ..Descriptor::default() }
    };
    let (src, dst) = (lease.address(0), lease.address(4096));
    lease.renew();
    let stale_src = of_halves(src, lease.address(4096));
    assert_eq!(bench.run(stale_src), fault(Status::PAGE_FAULT, src));
    let stale_dst = of_halves(lease.address(0), dst);
    assert_eq!(bench.run(stale_dst), fault(Status::PAGE_FAULT.with_write_fault(), dst));
    assert_eq!(*lease.read(), [page(1), page(2)].concat());
}

#[test]
fn a_stale_table_is_a_fault_on_a_read() {
    let bench = Bench::new();
    let (src, dst) = (bench.lease(&page(1)), bench.room(4096));
    for end in ENDS {
        let table = bench.table(&Aecs::fixed());
        let descriptor = with_table(job(FIXED, &src, &dst), &table);
        let _table = end(table);
        assert_eq!(bench.run(descriptor), fault(Status::PAGE_FAULT, descriptor.src2));
    }
}

#[test]
fn a_buffer_ends_with_its_lease() {
    let bench = Bench::new();
    let (src, dst) = (bench.lease(&page(1)), bench.room(4096));
    let whole = job(Operation::MemMove, &src, &dst);
    let (long, low, null) = (
        Descriptor { src1_bytes: 4097, ..whole },
        // The record is not of the buffer.
        Descriptor { src1: src.address(0) - 1, ..whole },
        Descriptor { src1: 0, ..whole },
    );
    for descriptor in [long, low, null] {
        assert_eq!(bench.run(descriptor), fault(Status::PAGE_FAULT, descriptor.src1));
    }
    let past = Descriptor { dst: dst.address(1), ..whole };
    let expected = fault(Status::PAGE_FAULT.with_write_fault(), past.dst);
    assert_eq!(bench.run(past), expected);
    assert_eq!(*dst.read(), [0; 4096]);
}

#[test]
fn a_fault_that_blocks_cannot_be_resolved() {
    let bench = Bench::new();
    let (src, dst) = (bench.lease(&page(1)), bench.room(4096));
    let descriptor = with_flags(job(DYNAMIC, &src, &dst), Flags::BLOCK_ON_FAULT);
    dst.renew();
    let status = Status::PAGE_RESPONSE_ERROR.with_write_fault();
    assert_eq!(bench.run(descriptor), fault(status, descriptor.dst));
}

#[test]
fn a_record_without_its_lease_is_counted_and_written_nowhere() {
    let bench = Bench::new();
    for (count, end) in (1..).zip(ENDS) {
        let record = end(bench.submit(noop()));
        // Who has the region now?
        let next = bench.room(0);
        assert_eq!(bench.device.drive(1), 1);
        assert_eq!(bench.device.unreported_completions(), count);
        assert_eq!(next.completion(), None);
        assert!(record.is_none_or(|record| record.completion().is_none()));
    }
    // Buffers are no records.
    let buffer = bench.room(64);
    let (flags, completion) = (RECORD, buffer.address(0));
    let descriptor = Descriptor { flags, completion, ..Descriptor::default() };
    assert_eq!(bench.device.submit(0, &descriptor.encode()), Written::Accepted);
    assert_eq!(bench.device.drive(1), 1);
    assert_eq!(bench.device.unreported_completions(), 3);
    assert_eq!((buffer.completion(), &*buffer.read()), (None, &[0; 64][..]));
}

fn fault(status: Status, fault_address: u64) -> CompletionRecord {
    CompletionRecord { status, fault_address, ..CompletionRecord::default() }
}
