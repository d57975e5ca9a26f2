//! The wire: what is written is read back, what a device would refuse is refused.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::array;

use acomp_iaa::aecs::{Aecs, AecsError};
use acomp_iaa::bits::{
    self, EngCap, GenCap, GrpCap, IaaCap, OpCap, WqCap, aecs, completion, descriptor, opcode,
};
use acomp_iaa::completion::{AnalyticsError, CompletionRecord, Status};
use acomp_iaa::desc::{
    CompressFlags, DecompressFlags, Descriptor, Flags, Invalid, Opcode, Operation,
};
use fastrand::Rng;
use page_codec::deflate::{CodeTables, Encoder, Framing, Histogram};

const ROUNDS: usize = 10_000;
const RANDOM_BLOCKS: usize = 100_000;
const RECORD: Flags = Flags::COMPLETION_VALID.union(Flags::REQUEST_COMPLETION);
const GENERIC_BITS: u32 = 0x3fbf;
const ALL_BITS: u32 = 0x7f_3fbf;

#[test]
fn valid_descriptors_come_back() {
    let mut rng = rng();
    for _ in 0..ROUNDS {
        let descriptor = valid_descriptor(&mut rng);
        let bytes = descriptor.encode();
        assert_eq!(Descriptor::parse(&bytes), Ok(descriptor));
        assert_eq!(Descriptor::parse(&bytes).unwrap().encode(), bytes);
    }
}

#[test]
fn records_come_back() {
    let mut rng = rng();
    for _ in 0..ROUNDS {
        let mut bytes: [u8; completion::BYTES] = random(&mut rng);
        let noisy = CompletionRecord::parse(&bytes);
        // Reserved places are not the record's.
        for reserved in [3..4, 20..24, 29..30, 48..64] {
            bytes[reserved].fill(0);
        }
        let record = CompletionRecord::parse(&bytes);
        assert_eq!(record, noisy);
        assert_eq!(record.encode(), bytes);
        assert_eq!(CompletionRecord::parse(&record.encode()), record);
        let crc = rng.u64(..);
        assert_eq!(record.with_crc64(crc).crc64(), crc);
    }
}

#[test]
fn tables_come_back() {
    let mut rng = rng();
    for _ in 0..ROUNDS {
        let codes = any_codes(&mut rng);
        let accumulator: [u8; aecs::ACCUMULATOR_BYTES] = random(&mut rng);
        let bits = rng.usize(..=8 * aecs::ACCUMULATOR_BYTES);
        let made = Aecs::with_codes(&codes, &accumulator, bits).unwrap();
        let table = Aecs { crc: rng.u32(..), xor_checksum: rng.u32(..), ..made };
        let bytes = table.encode();
        let back = Aecs::parse(&bytes).unwrap();
        assert_eq!(back, table);
        assert_eq!(back.encode(), bytes);
        assert_eq!(back.code_tables(), Ok(codes));
    }
}

#[test]
fn the_kernel_s_compress_descriptor_has_these_bytes() {
    let descriptor = Descriptor {
        flags: RECORD | Flags::READ_SRC2_AECS | Flags::CACHE_CONTROL,
        operation: Operation::Compress(
            CompressFlags::FLUSH_OUTPUT | CompressFlags::APPEND_END_OF_BLOCK,
        ),
        completion: 0x1122_3344_5566_7740,
        src1: 0x1000,
        dst: 0x2000,
        src1_bytes: 4096,
        src2: 0xa0,
        dst_bytes_max: 4095,
        src2_bytes: 1568,
        ..Descriptor::default()
    };
    #[rustfmt::skip]
    let golden = [
        0, 0, 0, 0,                                     // PASID, privilege
        0x0c, 0x01, 0x01, 0x43,                         // flags, opcode
        0x40, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, // completion address
        0x00, 0x10, 0, 0, 0, 0, 0, 0,                   // first source
        0x00, 0x20, 0, 0, 0, 0, 0, 0,                   // destination
        0x00, 0x10, 0, 0,                               // its size
        0, 0,                                           // interrupt handle
        0x06, 0,                                        // compression flags
        0xa0, 0, 0, 0, 0, 0, 0, 0,                      // AECS
        0xff, 0x0f, 0, 0,                               // size of the destination
        0x20, 0x06, 0, 0,                               // size of the AECS
        0, 0, 0, 0,                                     // filter flags
        0, 0, 0, 0,                                     // number of inputs
    ];
    assert_eq!(descriptor.encode(), golden);
    assert_eq!(Descriptor::parse(&golden), Ok(descriptor));
}

#[test]
fn the_kernel_s_decompress_descriptor_has_these_bytes() {
    let usual = DecompressFlags::ENABLE
        | DecompressFlags::FLUSH_OUTPUT
        | DecompressFlags::CHECK_END_OF_BLOCK
        | DecompressFlags::STOP_ON_END_OF_BLOCK;
    let descriptor = Descriptor {
        pasid: 0x1_2345,
        privileged: true,
        flags: RECORD | Flags::CACHE_CONTROL | Flags::REQUEST_INTERRUPT,
        operation: Operation::Decompress(usual),
        completion: 0x40,
        src1: 0x1000,
        dst: 0x2000,
        src1_bytes: 700,
        interrupt_handle: 0x0102,
        dst_bytes_max: 4096,
        ..Descriptor::default()
    };
    #[rustfmt::skip]
    let golden = [
        0x45, 0x23, 0x01, 0x80,
        0x1c, 0x01, 0x00, 0x42,
        0x40, 0, 0, 0, 0, 0, 0, 0,
        0x00, 0x10, 0, 0, 0, 0, 0, 0,
        0x00, 0x20, 0, 0, 0, 0, 0, 0,
        0xbc, 0x02, 0, 0,
        0x02, 0x01,
        0x0f, 0,
        0, 0, 0, 0, 0, 0, 0, 0,
        0x00, 0x10, 0, 0,
        0, 0, 0, 0,
        0, 0, 0, 0,
        0, 0, 0, 0,
    ];
    assert_eq!(descriptor.encode(), golden);
    assert_eq!(Descriptor::parse(&golden), Ok(descriptor));
}

#[test]
fn unknown_opcodes_are_refused() {
    let known: Vec<_> = Opcode::ALL.iter().map(|opcode| opcode.bits()).collect();
    assert_eq!(known, [0x00, 0x02, 0x03, 0x42, 0x43, 0x44]);
    for opcode in 0..=u8::MAX {
        let mut bytes = simplest(Opcode::Noop).encode();
        bytes[7] = opcode;
        assert_eq!(Opcode::from_bits(opcode).is_some(), known.contains(&opcode));
        if !known.contains(&opcode) {
            assert_eq!(refusal(&bytes).status, Status::BAD_OPCODE, "{opcode:#x}");
        }
    }
}

#[test]
fn unknown_flags_are_refused_by_name() {
    for opcode in Opcode::ALL {
        let codes = matches!(opcode, Opcode::Compress | Opcode::Decompress);
        let known = if codes { ALL_BITS } else { GENERIC_BITS };
        for bit in (0..24).map(|shift| 1 << shift) {
            let word = simplest_word(*opcode) | bit;
            let parsed = Descriptor::parse(&with_word(simplest(*opcode), word));
            if known & bit != 0 {
                assert!(parsed.is_ok(), "{opcode:?} {bit:#x}: {parsed:?}");
                continue;
            }
            let invalid = parsed.unwrap_err();
            let found = (invalid.status, invalid.invalid_flags);
            assert_eq!(found, (Status::INVALID_FLAGS, bit), "{opcode:?}");
            let record = CompletionRecord::parse(&invalid.record().encode());
            assert_eq!((record.status.bits(), record.invalid_flags), (0x11, bit));
        }
    }
}

#[test]
fn flags_that_contradict_each_other_are_refused() {
    let of = |flags| {
        let invalid = refusal(&Descriptor { flags, ..simplest(Opcode::Compress) }.encode());
        assert_eq!(invalid.status, Status::INVALID_FLAGS);
        Flags::from_bits(invalid.invalid_flags).unwrap()
    };
    let reads = Flags::READ_SRC2_AECS | Flags::READ_SRC2_DATA;
    let writes = Flags::WRITE_SRC2_AECS | Flags::WRITE_SRC2_AECS_ON_OVERFLOW;
    assert_eq!(of(RECORD | reads), reads);
    assert_eq!(of(RECORD | writes), writes);
    assert_eq!(of(Flags::REQUEST_COMPLETION), Flags::REQUEST_COMPLETION);
}

#[test]
fn unknown_flags_of_operations_are_refused() {
    for (opcode, known) in [(Opcode::Compress, 0x31f7), (Opcode::Decompress, 0x1fff)] {
        for bit in (0..16).map(|shift| 1_u16 << shift) {
            let mut bytes = simplest(opcode).encode();
            bytes[descriptor::OP_FLAGS_AT..][..2].copy_from_slice(&bit.to_le_bytes());
            match Descriptor::parse(&bytes) {
                Ok(_) => assert!(known & bit != 0, "{opcode:?} {bit:#x}"),
                Err(invalid) => {
                    assert!(known & bit == 0, "{opcode:?} {bit:#x}: {invalid}");
                    assert_eq!(invalid.status, Status::INVALID_OP_FLAGS);
                }
            }
        }
    }
}

#[test]
fn reserved_bits_are_refused() {
    // NOOP and DRAIN have nothing but a completion record.
    for opcode in [Opcode::Noop, Opcode::Drain] {
        for bit in 16 * 8..64 * 8 {
            refused_bit(&simplest(opcode), bit);
        }
    }
    for opcode in Opcode::ALL {
        for bit in 20..31 {
            refused_bit(&simplest(*opcode), bit);
        }
        // Without a flag for them, these are reserved.
        for bit in descriptor::INTERRUPT_AT * 8..(descriptor::INTERRUPT_AT + 2) * 8 {
            refused_bit(&simplest(*opcode), bit);
        }
        for bit in descriptor::SRC2_AT * 8..descriptor::DST_BYTES_MAX_AT * 8 {
            refused_bit(&simplest(*opcode), bit);
        }
        let silent = Descriptor { flags: Flags::empty(), completion: 0, ..simplest(*opcode) };
        for bit in descriptor::COMPLETION_AT * 8..descriptor::SRC1_AT * 8 {
            assert_eq!(refused_bit(&silent, bit).completion, None);
        }
        let is_filter = *opcode == Opcode::Crc64;
        for bit in (descriptor::FILTER_FLAGS_AT * 8..512).filter(|_| !is_filter) {
            refused_bit(&simplest(*opcode), bit);
        }
    }
    for opcode in [Opcode::MemMove, Opcode::Crc64] {
        for bit in descriptor::OP_FLAGS_AT * 8..descriptor::FILTER_FLAGS_AT * 8 {
            refused_bit(&simplest(opcode), bit);
        }
    }
}

#[test]
fn sizes_alignment_and_overlap_are_checked() {
    let good = simplest(Opcode::Compress);
    let max = descriptor::TRANSFER_BYTES_MAX;
    let aecs = Flags::READ_SRC2_AECS | RECORD;
    let far = Descriptor { dst: 1 << 40, src1_bytes: max, dst_bytes_max: max, ..good };
    assert_eq!(Descriptor::parse(&far.encode()), Ok(far));
    let data = Descriptor { flags: Flags::READ_SRC2_DATA | RECORD, src2: 1, ..good };
    assert_eq!(Descriptor::parse(&data.encode()), Ok(data));
    let cases = [
        (Descriptor { src1_bytes: 0, ..good }, Status::BAD_TRANSFER_SIZE),
        (Descriptor { src1_bytes: max + 1, ..far }, Status::BAD_TRANSFER_SIZE),
        (Descriptor { dst_bytes_max: max + 1, ..far }, Status::BAD_TRANSFER_SIZE),
        (Descriptor { src2_bytes: max + 1, ..data }, Status::BAD_TRANSFER_SIZE),
        (Descriptor { flags: aecs, src2: 16, ..good }, Status::ADDRESS_MISALIGNED),
        (Descriptor { completion: 32, ..good }, Status::COMPLETION_ADDRESS_MISALIGNED),
        (Descriptor { dst: good.src1 + 4095, ..good }, Status::OVERLAPPING_BUFFERS),
        (Descriptor { dst: good.src1 - 4095, ..good }, Status::OVERLAPPING_BUFFERS),
        (Descriptor { dst: 0x1001, ..simplest(Opcode::MemMove) }, Status::OVERLAPPING_BUFFERS),
    ];
    for (descriptor, status) in cases {
        let invalid = refusal(&descriptor.encode());
        assert_eq!((invalid.status, invalid.invalid_flags), (status, 0), "{descriptor:?}");
        assert_eq!(invalid.flags, descriptor.flags);
        let is_misaligned = status == Status::COMPLETION_ADDRESS_MISALIGNED;
        assert_eq!(invalid.completion, (!is_misaligned).then_some(good.completion));
    }
    // Verifying writes nothing, so that the destination may be anything.
    let verify = Operation::Decompress(DecompressFlags::SUPPRESS_OUTPUT);
    let verify = Descriptor { operation: verify, dst: good.src1, ..good };
    assert_eq!(Descriptor::parse(&verify.encode()), Ok(verify));
}

#[test]
fn a_refusal_interrupts_whoever_asked_for_it() {
    let flags = RECORD | Flags::REQUEST_INTERRUPT;
    let asked = Descriptor { flags, interrupt_handle: 7, ..simplest(Opcode::Noop) };
    let mut bytes = asked.encode();
    bytes[7] = opcode::SCAN;
    let invalid = refusal(&bytes);
    assert_eq!((invalid.completion, invalid.interrupt_handle), (Some(0x40), Some(7)));
    bytes[4] = 0;
    let invalid = refusal(&bytes);
    assert_eq!((invalid.completion, invalid.interrupt_handle), (None, None));
}

#[test]
fn random_blocks_are_read_or_refused() {
    let mut rng = rng();
    let mut accepted = 0;
    for round in 0..RANDOM_BLOCKS {
        let mut bytes: [u8; descriptor::BYTES] = random(&mut rng);
        if round % 2 == 0 {
            // A valid one with a few bits flipped gets further.
            bytes = valid_descriptor(&mut rng).encode();
            for _ in 0..rng.usize(..4) {
                bytes[rng.usize(..descriptor::BYTES)] ^= 1 << rng.u32(..8);
            }
        }
        match Descriptor::parse(&bytes) {
            Ok(descriptor) => {
                assert_eq!(descriptor.encode(), bytes);
                accepted += 1;
            }
            Err(invalid) => {
                assert!(invalid.status != Status::PENDING && invalid.status != Status::SUCCESS);
                let is_about_flags = invalid.status == Status::INVALID_FLAGS;
                assert_eq!(is_about_flags, invalid.invalid_flags != 0, "{invalid:?}");
            }
        }
        let record = CompletionRecord::parse(&bytes);
        assert_eq!(CompletionRecord::parse(&record.encode()), record);
        let _ = (record.status.to_string(), record.analytics_error());
    }
    assert!(accepted > RANDOM_BLOCKS / 8, "{accepted}");
}

#[test]
fn random_tables_are_read_or_refused() {
    let mut rng = rng();
    for _ in 0..ROUNDS {
        let mut bytes = Aecs::with_codes(&any_codes(&mut rng), &[], 0).unwrap().encode();
        for _ in 0..rng.usize(..4) {
            bytes[rng.usize(..aecs::BYTES)] ^= 1 << rng.u32(..8);
        }
        if let Ok(table) = Aecs::parse(&bytes) {
            assert_eq!(table.encode(), bytes);
            if let Ok(codes) = table.code_tables() {
                let again = Aecs::with_codes(&codes, &table.accumulator, 0).unwrap();
                assert_eq!((again.litlen, again.dist), (table.litlen, table.dist));
            }
        }
        assert!(Aecs::parse(&random(&mut rng)).is_err());
    }
}

#[test]
fn the_fixed_table_has_these_values() {
    let fixed = Aecs::fixed();
    assert_eq!((fixed.crc, fixed.xor_checksum), (0, 0));
    assert_eq!((fixed.accumulator[0], fixed.accumulator_bits), (0b011, 3));
    assert!(fixed.accumulator[1..].iter().all(|byte| *byte == 0));
    let symbols = [0, 143, 144, 255, 256, 279, 280, 285].map(|symbol| fixed.litlen[symbol]);
    let golden = [0x40030, 0x400bf, 0x48190, 0x481ff, 0x38000, 0x38017, 0x400c0, 0x400c5];
    assert_eq!(symbols, golden);
    assert!(fixed.dist.iter().zip(0x28000..).all(|(symbol, golden)| *symbol == golden));

    let bytes = fixed.encode();
    assert_eq!(bytes.len(), 1568);
    assert_eq!(bytes[28..33], [3, 0, 0, 0, 3]);
    assert_eq!(bytes[288..292], [0x30, 0x00, 0x04, 0x00]);
    assert_eq!(bytes[1440..1448], [0x00, 0x80, 0x02, 0x00, 0x01, 0x80, 0x02, 0x00]);
    assert_eq!(Aecs::with_codes(&CodeTables::fixed(), &[0b011], 3), Ok(fixed.clone()));
    assert_eq!(fixed.code_tables(), Ok(CodeTables::fixed()));
}

#[test]
fn the_words_of_a_table_are_those_of_the_stream() {
    let mut rng = rng();
    let framing = Framing::new().without_header().without_end_of_block();
    for codes in [CodeTables::fixed(), any_codes(&mut rng), any_codes(&mut rng)] {
        let table = Aecs::with_codes(&codes, &[], 0).unwrap();
        let mut encoder = Encoder::with_codes(codes);
        for literal in 0..=u8::MAX {
            let symbol = table.litlen[usize::from(literal)];
            let (bits, word) = (symbol >> 15, symbol & 0x7fff);
            let mut dst = [0; 8];
            let encoded = encoder.encode_framed(&[literal], &mut dst, &framing);
            if bits == 0 {
                assert!(encoded.is_err(), "{literal}");
                continue;
            }
            assert!(encoded.is_ok(), "{literal}: {encoded:?}");
            let wire = u32::from(u16::from_le_bytes([dst[0], dst[1]]));
            assert_eq!(wire, word.reverse_bits() >> (32 - bits), "{literal}");
        }
    }
}

#[test]
fn tables_that_are_none_are_refused() {
    let bytes = Aecs::fixed().encode();
    for at in (8..28).chain(1432..1440).chain(1560..1568) {
        let mut bytes = bytes;
        bytes[at] = 1;
        assert_eq!(Aecs::parse(&bytes), Err(AecsError::Reserved), "{at}");
    }
    let parsed = |at: usize, word: u32| {
        let mut bytes = bytes;
        bytes[at..at + 4].copy_from_slice(&word.to_le_bytes());
        Aecs::parse(&bytes).map(|_| ())
    };
    assert_eq!(parsed(28, 2048), Ok(()));
    assert_eq!(parsed(28, 2049), Err(AecsError::AccumulatorBits));
    assert_eq!(parsed(288, 8 << 15 | 0xff), Ok(()));
    assert_eq!(parsed(288, 8 << 15 | 0x100), Err(AecsError::Symbol));
    assert_eq!(parsed(288, 1 << 19), Err(AecsError::Symbol));
    assert_eq!(parsed(1440, 1), Err(AecsError::Symbol));
    let too_many = Aecs::with_codes(&CodeTables::fixed(), &[], 2049);
    assert_eq!(too_many, Err(AecsError::AccumulatorBits));
}

#[test]
fn codes_that_page_codec_does_not_have_are_refused() {
    let mut swapped = Aecs::fixed();
    swapped.litlen.swap(0, 1);
    assert_eq!(swapped.code_tables(), Err(AecsError::NotCanonical));
    let mut crowded = Aecs::fixed();
    crowded.litlen = [1 << 15; aecs::LITLEN_SYMBOLS];
    assert!(matches!(crowded.code_tables(), Err(AecsError::Code(_))));
    let mut long = Aecs::fixed();
    long.dist[0] = u32::MAX;
    assert!(matches!(long.code_tables(), Err(AecsError::Code(_))));
}

#[test]
fn bits_that_are_not_valid_stay_out_of_the_accumulator() {
    let table = Aecs::with_codes(&CodeTables::fixed(), &[0xff; 300], 11).unwrap();
    assert_eq!(table.accumulator[..3], [0xff, 0b111, 0]);
    let table = Aecs::with_codes(&CodeTables::fixed(), &[0xff], 2048).unwrap();
    assert_eq!((table.accumulator[..2].to_vec(), table.accumulator_bits), (vec![0xff, 0], 2048));
}

#[test]
fn registers_come_back() {
    // As read from a device of the first generation, of which we know some bits.
    let general = GenCap::parse(0x71f10901f0105);
    let expected = GenCap {
        block_on_fault: true,
        cache_control: true,
        dst_readback: true,
        transfer_bytes_log_max: 31,
        configurable: true,
    };
    assert_eq!(general, expected);
    assert_eq!(general.encode(), 0x801f_0105);
    let operations = OpCap::parse([0xd, 0x7f331c, 0, 0]);
    for opcode in Opcode::ALL {
        assert!(operations.has(opcode.bits()), "{opcode:?}");
    }
    assert!(!operations.with(opcode::SCAN).has(0xff) && operations.with(0xff).has(0xff));
    assert_eq!(OpCap::default().with(opcode::DECOMPRESS).encode(), [0, 4, 0, 0]);
    let queues = WqCap { entries: 128, queues: 8, shared: true, dedicated: true, priority: true };
    assert_eq!(queues.encode(), 0x000b_0000_0008_0080);

    let mut rng = rng();
    for _ in 0..ROUNDS {
        let bits = rng.u64(..);
        assert_eq!(GenCap::parse(GenCap::parse(bits).encode()), GenCap::parse(bits));
        assert_eq!(WqCap::parse(WqCap::parse(bits).encode()), WqCap::parse(bits));
        assert_eq!(GrpCap::parse(bits).encode(), bits & 0xff);
        assert_eq!(EngCap::parse(bits).encode(), bits & 0xff);
        assert_eq!(IaaCap::parse(bits).encode(), bits & 1 << 8);
    }
}

#[test]
fn errors_have_words() {
    for bits in 0..=u8::MAX {
        assert!(!Status::from_bits(bits).to_string().is_empty());
        assert!(!AnalyticsError::from_bits(bits).to_string().is_empty());
    }
    let failed = |status, error| CompletionRecord { status, error, ..Default::default() };
    let overflow = failed(Status::ANALYTICS_ERROR, 25);
    assert_eq!(overflow.analytics_error(), Some(AnalyticsError::OUTPUT_OVERFLOW));
    assert_eq!(failed(Status::OUTPUT_OVERFLOW, 25).analytics_error(), None);
    assert_eq!(Status::from_bits(0x7f).to_string(), "status 0x7f");
}

fn rng() -> Rng {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    Rng::with_seed(seed)
}

fn random<const N: usize>(rng: &mut Rng) -> [u8; N] {
    array::from_fn(|_| rng.u8(..))
}

fn refusal(bytes: &[u8; descriptor::BYTES]) -> Invalid {
    Descriptor::parse(bytes).unwrap_err()
}

fn refused_bit(descriptor: &Descriptor, bit: usize) -> Invalid {
    let mut bytes = descriptor.encode();
    bytes[bit / 8] ^= 1 << (bit % 8);
    let invalid = refusal(&bytes);
    assert_eq!(invalid.status, Status::NON_ZERO_RESERVED, "{descriptor:?}, bit {bit}");
    invalid
}

fn operation(opcode: Opcode) -> Operation {
    match opcode {
        Opcode::Drain => Operation::Drain,
        Opcode::MemMove => Operation::MemMove,
        Opcode::Decompress => Operation::Decompress(DecompressFlags::empty()),
        Opcode::Compress => Operation::Compress(CompressFlags::empty()),
        Opcode::Crc64 => Operation::Crc64,
        _ => Operation::Noop,
    }
}

/// With as few fields as the operation needs.
fn simplest(opcode: Opcode) -> Descriptor {
    let (reads, codes) = match opcode {
        Opcode::Noop | Opcode::Drain => (false, false),
        Opcode::Compress | Opcode::Decompress => (true, true),
        _ => (true, false),
    };
    let writes = reads && opcode != Opcode::Crc64;
    Descriptor {
        flags: RECORD,
        operation: operation(opcode),
        completion: 0x40,
        src1: if reads { 0x1000 } else { 0 },
        src1_bytes: if reads { 4096 } else { 0 },
        dst: if writes { 0x2000 } else { 0 },
        dst_bytes_max: if codes { 4096 } else { 0 },
        ..Descriptor::default()
    }
}

fn simplest_word(opcode: Opcode) -> u32 {
    u32::from(opcode.bits()) << descriptor::OPCODE_SHIFT | RECORD.bits()
}

fn with_word(descriptor: Descriptor, word: u32) -> [u8; descriptor::BYTES] {
    let mut bytes = descriptor.encode();
    bytes[descriptor::FLAGS_AT..][..4].copy_from_slice(&word.to_le_bytes());
    bytes
}

fn valid_descriptor(rng: &mut Rng) -> Descriptor {
    let opcode = Opcode::ALL[rng.usize(..Opcode::ALL.len())];
    let least = simplest(opcode);
    let codes = least.dst_bytes_max > 0;
    let mut bits = rng.u32(..) & if codes { ALL_BITS } else { GENERIC_BITS };
    for pair in [0x3_0000, 0xc_0000] {
        if bits & pair == pair {
            bits &= !pair | (pair & pair >> 1);
        }
    }
    if bits & bits::flags::COMPLETION_VALID == 0 {
        bits &= !bits::flags::REQUEST_COMPLETION;
    }
    let flags = Flags::from_bits(bits).unwrap();
    let operation = match opcode {
        Opcode::Compress => Operation::Compress(CompressFlags::from_bits_truncate(rng.u16(..))),
        Opcode::Decompress => {
            Operation::Decompress(DecompressFlags::from_bits_truncate(rng.u16(..)))
        }
        _ => least.operation,
    };
    let has_src2 = bits & 0xf_0000 != 0;
    let bytes_max = descriptor::TRANSFER_BYTES_MAX;
    let when = |is_used, value| if is_used { value } else { 0 };
    let descriptor = Descriptor {
        pasid: rng.u32(..1 << 20),
        privileged: rng.bool(),
        flags,
        operation,
        completion: when(flags.contains(Flags::COMPLETION_VALID), rng.u64(..) & !63),
        src1: when(least.src1 > 0, rng.u64(..1 << 62)),
        src1_bytes: when(least.src1 > 0, rng.u64(1..=u64::from(bytes_max))) as u32,
        dst: when(least.dst > 0, rng.u64(1 << 63..)),
        dst_bytes_max: when(codes, rng.u64(..=u64::from(bytes_max))) as u32,
        interrupt_handle: when(bits & 0x10 != 0, rng.u64(..1 << 16)) as u16,
        src2: when(has_src2, rng.u64(..) & !31),
        src2_bytes: when(has_src2, rng.u64(..=u64::from(bytes_max))) as u32,
        ..least
    };
    match opcode {
        Opcode::Crc64 => descriptor.with_polynomial(rng.u64(..)),
        _ => descriptor,
    }
}

/// The code of random frequencies, or now and then that of fixed blocks.
fn any_codes(rng: &mut Rng) -> CodeTables {
    if rng.u8(..16) == 0 {
        return CodeTables::fixed();
    }
    let spread = rng.u32(1..12);
    let mut frequency = |_| rng.u32(..1 << spread).saturating_sub(1 << (spread / 2));
    let (litlen, dist) = (array::from_fn(&mut frequency), array::from_fn(&mut frequency));
    CodeTables::of_histogram(&Histogram { litlen, dist })
}
