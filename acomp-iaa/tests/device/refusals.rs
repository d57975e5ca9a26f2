//! What it does not do, and what it says: the codes of D.4 in the notes on the hardware.

use acomp_iaa::aecs::Aecs;
use acomp_iaa::bits::{descriptor as at, opcode};
use acomp_iaa::completion::{AnalyticsError, CompletionRecord, Status};
use acomp_iaa::desc::{CompressFlags, DecompressFlags, Descriptor, Flags, Operation};
use acomp_iaa::{DeviceConfig, WqConfig, Written};

use crate::bench::{
    Bench, COMPRESS, DECOMPRESS, DYNAMIC, FIXED, INFLATE, RECORD, inflated, job, noise, noop, page,
    reporting, with_flags, with_table,
};

#[test]
fn malformed_descriptors_are_refused() {
    let bench = Bench::new();
    let (src, dst) = (bench.lease(&page(1)), bench.lease(&[0xaa; 4096]));
    let table = bench.table(&Aecs::fixed());
    let compress = with_table(job(FIXED, &src, &dst), &table);
    let decompress = job(DECOMPRESS, &src, &dst);
    let cases: [(u8, Descriptor); 15] = [
        (0x11, with_flags(compress, Flags::READ_SRC2_DATA)),
        (0x11, with_flags(noop(), Flags::READ_SRC2_AECS)),
        (0x12, Descriptor { src1: 64, ..noop() }),
        (0x12, Descriptor { dst_bytes_max: 1, ..job(Operation::MemMove, &src, &dst) }),
        (0x12, Descriptor { inputs: 1, ..compress }),
        (0x13, Descriptor { src1_bytes: 0, ..decompress }),
        (0x13, Descriptor { src1_bytes: u32::MAX, ..decompress }),
        (0x13, Descriptor { src2_bytes: 1567, ..compress }),
        (0x13, job(FIXED, &src, &dst)),
        (0x16, Descriptor { dst: src.address(4095), ..compress }),
        (0x16, Descriptor { dst: src.address(0), ..job(Operation::MemMove, &src, &dst) }),
        (0x19, Descriptor { interrupt_handle: 7, ..with_flags(noop(), Flags::REQUEST_INTERRUPT) }),
        (0x1c, Descriptor { src2: table.address(16), ..compress }),
        (
            0x30,
            Descriptor { operation: Operation::Decompress(DecompressFlags::empty()), ..decompress },
        ),
        (
            0x30,
            Descriptor {
                operation: Operation::Compress(COMPRESS | CompressFlags::STATISTICS),
                ..compress
            },
        ),
    ];
    for (status, descriptor) in cases {
        let record = bench.run(descriptor);
        assert_eq!(record.status.bits(), status, "{descriptor:?}");
    }
    assert_eq!(*dst.read(), [0xaa; 4096]);
}

#[test]
fn bits_that_no_descriptor_has_are_refused() {
    let bench = Bench::new();
    let (src, dst) = (bench.lease(&page(1)), bench.room(4096));
    let cases = [
        (Status::BAD_OPCODE, job(DYNAMIC, &src, &dst), at::FLAGS_AT + 3, opcode::SCAN),
        (Status::BAD_OPCODE, noop(), at::FLAGS_AT + 3, 0xff),
        (Status::INVALID_FLAGS, noop(), at::FLAGS_AT, 0x40 | RECORD.bits() as u8),
        (Status::NON_ZERO_RESERVED, noop(), at::PASID_AT + 2, 0x10),
        (Status::NON_ZERO_RESERVED, noop(), at::OP_FLAGS_AT, 1),
        (Status::INVALID_OP_FLAGS, job(DYNAMIC, &src, &dst), at::OP_FLAGS_AT, 1 << 3),
        (Status::INVALID_OP_FLAGS, job(DECOMPRESS, &src, &dst), at::OP_FLAGS_AT + 1, 1 << 5),
    ];
    for (status, descriptor, byte, value) in cases {
        let record = bench.room(0);
        let mut bytes = reporting(descriptor, &record).encode();
        bytes[byte] = value;
        assert_eq!(bench.device.submit(0, &bytes), Written::Accepted);
        assert_eq!(bench.device.drive(1), 1);
        let record = record.completion().unwrap();
        assert_eq!(record.status, status, "{descriptor:?}");
        assert_eq!(record.invalid_flags, if status == Status::INVALID_FLAGS { 0x40 } else { 0 });
    }
}

#[test]
fn flags_that_the_model_does_not_honour_are_refused() {
    let bench = Bench::new();
    let (src, dst) = (bench.lease(&page(1)), bench.lease(&[0xaa; 4096]));
    let table = bench.table(&Aecs::fixed());
    for flag in [
        CompressFlags::STATISTICS,
        CompressFlags::ALL_LITERALS,
        CompressFlags::BIG_ENDIAN,
        CompressFlags::MINI_BLOCK,
        CompressFlags::GENERATE_HEADER,
    ] {
        let operation = Operation::Compress(COMPRESS | flag);
        let record = bench.run(with_table(job(operation, &src, &dst), &table));
        assert_eq!(record.status, Status::INVALID_OP_FLAGS, "{flag:?}");
    }
    for flag in [
        DecompressFlags::SELECT_FINAL_BLOCK,
        DecompressFlags::BIG_ENDIAN,
        DecompressFlags::IGNORE_END_BITS,
        DecompressFlags::INDEXING,
    ] {
        let record = bench.run(job(Operation::Decompress(INFLATE | flag), &src, &dst));
        assert_eq!(record.status, Status::INVALID_OP_FLAGS, "{flag:?}");
    }
    for flag in [Flags::WRITE_SRC2_AECS, Flags::WRITE_SRC2_AECS_ON_OVERFLOW, Flags::AECS_TOGGLE] {
        let record = bench.run(with_flags(with_table(job(FIXED, &src, &dst), &table), flag));
        assert_eq!((record.status, record.invalid_flags), (Status::INVALID_FLAGS, flag.bits()));
    }
    assert_eq!(*dst.read(), [0xaa; 4096]);
}

#[test]
fn a_device_without_header_generation_refuses_to() {
    let bench = Bench::of(DeviceConfig::new(1).without_header_generation());
    let (src, dst) = (bench.lease(&page(1)), bench.room(4096));
    assert_eq!(bench.run(job(DYNAMIC, &src, &dst)).status, Status::INVALID_OP_FLAGS);
    let table = bench.table(&Aecs::fixed());
    let fixed = with_table(job(FIXED, &src, &dst), &table);
    assert_eq!(bench.run(fixed).status, Status::SUCCESS);
}

#[test]
fn transfers_end_where_the_queue_says() {
    let mut queue = WqConfig::new(4);
    queue.transfer_bytes_max = 4096;
    let bench = Bench::of_queues([queue]);
    for (src_bytes, dst_bytes, status) in [
        (4096, 4096, Status::SUCCESS),
        (4097, 4096, Status::BAD_TRANSFER_SIZE),
        (4096, 4097, Status::BAD_TRANSFER_SIZE),
    ] {
        let (src, dst) = (bench.room(src_bytes), bench.room(dst_bytes));
        assert_eq!(bench.run(job(DYNAMIC, &src, &dst)).status, status);
    }
}

#[test]
fn output_that_does_not_fit_is_told_by_direction() {
    let bench = Bench::new();
    let table = bench.table(&Aecs::fixed());
    let (src, wide) = (bench.lease(&noise()), bench.room(6000));
    for compress in [with_table(job(FIXED, &src, &wide), &table), job(DYNAMIC, &src, &wide)] {
        let (stream, made) = bench.output(compress, &wide);
        let room = |bytes| Descriptor { dst_bytes_max: bytes, ..compress };
        assert_eq!(bench.run(room(made.output_bytes)), made);
        for short in [made.output_bytes - 1, 64, 1] {
            let record = bench.run(room(short));
            assert_eq!(record.analytics_error(), Some(AnalyticsError::OUTPUT_OVERFLOW));
        }
        assert_eq!(bench.inflate(&stream, 4096).status, Status::SUCCESS);
        assert_eq!(bench.inflate(&stream, 4095).status, Status::OUTPUT_OVERFLOW);
    }
    // Nothing is written behind the room.
    let narrow = bench.lease(&[0xaa; 4096]);
    let overflowing = Descriptor { dst_bytes_max: 100, ..job(DYNAMIC, &src, &narrow) };
    assert_eq!(bench.run(overflowing).status, Status::ANALYTICS_ERROR);
    assert!(narrow.read()[100..].iter().all(|byte| *byte == 0xaa));
}

#[test]
fn distances_reach_as_far_as_the_window() {
    let bench = Bench::new();
    // Symbol 23 with its ten extra bits ends at 4096, where symbol 24 goes on.
    let (near, far) = (repeat_from(4096, 23, 10, 0x3ff), repeat_from(4097, 24, 11, 0));
    assert_eq!((inflated(&near).len(), inflated(&far).len()), (4099, 4100));
    assert_eq!(bench.inflate(&near, 8192).status, Status::SUCCESS);
    assert_eq!(bench.inflate(&far, 8192), error(17));
}

#[test]
fn broken_streams_are_told_by_what_is_wrong() {
    let bench = Bench::new();
    let mut cut = repeat_from(4096, 23, 10, 0x3ff);
    cut.truncate(1000);
    let cases = [
        // Block type 3; a stored block whose complement is none.
        (vec![0b111], 13),
        (vec![1, 5, 0, 0, 0], 14),
        (cut, 15),
        (repeat_from(4, 4, 1, 0), 18),
    ];
    for (stream, code) in cases {
        assert_eq!(bench.inflate(&stream, 8192), error(code), "{code}");
    }
}

#[test]
fn tables_that_are_none_are_refused() {
    let bench = Bench::new();
    let (src, dst) = (bench.lease(&page(1)), bench.room(4096));
    let mut aecs = Aecs::fixed();
    aecs.accumulator_bits = 2049;
    let long = bench.table(&aecs);
    let mut aecs = Aecs::fixed();
    // Two symbols with one word.
    aecs.litlen[0] = aecs.litlen[1];
    let ambiguous = bench.table(&aecs);
    for table in [long, ambiguous] {
        assert_eq!(bench.run(with_table(job(FIXED, &src, &dst), &table)), error(22));
    }
}

#[test]
fn a_symbol_without_a_code_is_an_error() {
    let bench = Bench::new();
    let (src, dst) = (bench.lease(b"b"), bench.room(100));
    let mut lengths = [0; 257];
    (lengths[usize::from(b'a')], lengths[256]) = (1, 1);
    let codes = page_codec::deflate::CodeTables::from_lengths(&lengths, &[1, 1]).unwrap();
    let table = bench.table(&Aecs::with_codes(&codes, &[], 0).unwrap());
    assert_eq!(bench.run(with_table(job(FIXED, &src, &dst), &table)), error(30));
}

#[test]
fn what_nobody_asked_to_be_told_is_told_when_it_fails() {
    let bench = Bench::new();
    let (src, dst) = (bench.lease(&page(1)), bench.room(4096));
    let record = bench.room(0);
    let (flags, completion) = (Flags::COMPLETION_VALID, record.record_address());
    let quiet = Descriptor { flags, completion, ..job(DYNAMIC, &src, &dst) };
    let submit = |descriptor: Descriptor| {
        assert_eq!(bench.device.submit(0, &descriptor.encode()), Written::Accepted);
        assert_eq!(bench.device.drive(1), 1);
    };
    submit(quiet);
    assert_eq!(record.completion(), None);
    assert_ne!(dst.read()[0], 0);
    submit(Descriptor { dst_bytes_max: 1, ..quiet });
    assert_eq!(record.completion(), Some(error(25)));
    // Without an address there is only a register.
    let (flags, completion) = (Flags::empty(), 0);
    submit(Descriptor { flags, completion, ..quiet });
    assert_eq!(bench.device.unreported_completions(), 0);
    submit(Descriptor { flags, completion, dst_bytes_max: 1, ..quiet });
    assert_eq!(bench.device.unreported_completions(), 1);
    submit(Descriptor { flags, completion, src1_bytes: 0, ..quiet });
    assert_eq!(bench.device.unreported_completions(), 2);
    // An address that is misaligned is none.
    submit(Descriptor { completion: record.record_address() + 32, ..quiet });
    assert_eq!(bench.device.unreported_completions(), 3);
}

fn error(error: u8) -> CompletionRecord {
    CompletionRecord { status: Status::ANALYTICS_ERROR, error, ..CompletionRecord::default() }
}

/// A fixed block: so many letters, then a match of three with this distance symbol.
fn repeat_from(letters: usize, symbol: u32, extra_bits: u32, extra: u32) -> Vec<u8> {
    let mut bits = vec![true, true, false];
    let mut put = |value: u32, count: u32| bits.extend((0..count).map(|bit| value >> bit & 1 == 1));
    let reversed = |word: u32, count: u32| word.reverse_bits() >> (32 - count);
    for _ in 0..letters {
        put(reversed(0x30 + u32::from(b'a'), 8), 8);
    }
    put(reversed(1, 7), 7);
    put(reversed(symbol, 5), 5);
    put(extra, extra_bits);
    put(0, 7);
    let byte = |bits: &[bool]| bits.iter().rev().fold(0, |byte, bit| byte << 1 | u8::from(*bit));
    bits.chunks(8).map(byte).collect()
}
