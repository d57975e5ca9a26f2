//! What each operation does.

use acomp_iaa::aecs::Aecs;
use acomp_iaa::completion::{CompletionRecord, Status};
use acomp_iaa::desc::{CompressFlags, DecompressFlags, Flags, Operation};
use acomp_testmgr::Content;
use page_codec::deflate::{CodeTables, Encoder};

use crate::bench::{
    Bench, COMPRESS, DECOMPRESS, DYNAMIC, FIXED, INFLATE, crc64, drain, inflated, job, noop, page,
    with_flags, with_table,
};

#[test]
fn noop_and_drain_only_complete() {
    let bench = Bench::new();
    let expected = CompletionRecord { status: Status::SUCCESS, ..CompletionRecord::default() };
    assert_eq!(bench.run(noop()), expected);
    assert_eq!(bench.run(drain()), expected);
}

#[test]
fn memmove_copies() {
    let bench = Bench::new();
    let (src, dst) = (bench.lease(&page(1)), bench.room(4096));
    let mut middle = job(Operation::MemMove, &src, &dst);
    (middle.src1, middle.dst, middle.src1_bytes) = (src.address(10), dst.address(20), 30);
    assert_eq!(bench.run(middle).bytes_completed, 30);
    let mut expected = vec![0; 4096];
    expected[20..50].copy_from_slice(&page(1)[10..40]);
    assert_eq!(*dst.read(), expected);
    // Inside of one lease, too.
    middle.dst = src.address(4066);
    assert_eq!(bench.run(middle).status, Status::SUCCESS);
    assert_eq!(src.read()[4066..], page(1)[10..40]);
}

#[test]
fn crc64_is_that_of_the_polynomial() {
    let bench = Bench::new();
    let src = bench.lease(b"123456789");
    // The check value of CRC-64/ECMA-182.
    let record = bench.run(crc64(&src, 0x42f0_e1eb_a9ea_3693));
    assert_eq!((record.crc64(), record.bytes_completed), (0x6c40_df5f_0b49_7347, 9));
}

#[test]
fn every_content_goes_there_and_back() {
    let bench = Bench::new();
    let table = bench.table(&Aecs::fixed());
    for content in Content::ALL {
        for len in [1, 2, 3, 100, 4095, 4096, 10_000] {
            let mut bytes = vec![0; len];
            content.fill(len as u64, &mut bytes);
            let (src, dst) = (bench.lease(&bytes), bench.room(2 * len + 200));
            for compress in [with_table(job(FIXED, &src, &dst), &table), job(DYNAMIC, &src, &dst)] {
                let (stream, made) = bench.output(compress, &dst);
                let (source, back) = (bench.lease(&stream), bench.room(len));
                let (output, read) = bench.output(job(DECOMPRESS, &source, &back), &back);
                assert!(output == bytes, "{content}, {len} bytes");
                assert_eq!(made.bytes_completed as usize, len);
                assert_eq!(read.bytes_completed as usize, stream.len());
                assert_eq!(read.crc, made.crc);
            }
        }
    }
}

#[test]
fn anyone_can_read_what_it_compresses_and_it_reads_what_anyone_compresses() {
    let bench = Bench::new();
    let (src, dst) = (bench.lease(&page(2)), bench.room(4096));
    let table = bench.table(&Aecs::fixed());
    let (fixed, _) = bench.output(with_table(job(FIXED, &src, &dst), &table), &dst);
    let (dynamic, _) = bench.output(job(DYNAMIC, &src, &dst), &dst);
    assert_eq!((inflated(&fixed), inflated(&dynamic)), (page(2), page(2)));
    // BFINAL and BTYPE.
    assert_eq!((fixed[0] & 7, dynamic[0] & 7), (0b011, 0b101));
    assert!(dynamic.len() < fixed.len());

    let mut stream = vec![0; 4096];
    let len = Encoder::dynamic().encode(&page(3), &mut stream).unwrap();
    let (source, back) = (bench.lease(&stream[..len]), bench.room(4096));
    assert_eq!(bench.output(job(DECOMPRESS, &source, &back), &back).0, page(3));
}

#[test]
fn every_record_has_the_crc_of_the_uncompressed_bytes() {
    let bench = Bench::new();
    let (src, dst, back) = (bench.lease(b"123456789"), bench.room(100), bench.room(100));
    let table = bench.table(&Aecs::fixed());
    // The check values of CRC-32, and of CRC-32C, which RFC 3720 has.
    for (flags, expected) in [(Flags::empty(), 0xcbf4_3926), (Flags::CRC_RFC3720, 0xe306_9283)] {
        let fixed = with_flags(with_table(job(FIXED, &src, &dst), &table), flags);
        let (stream, fixed) = bench.output(fixed, &dst);
        let dynamic = bench.run(with_flags(job(DYNAMIC, &src, &dst), flags));
        let source = bench.lease(&stream);
        let decompressed = bench.run(with_flags(job(DECOMPRESS, &source, &back), flags));
        assert_eq!([fixed.crc, dynamic.crc, decompressed.crc], [expected; 3]);
    }
}

#[test]
fn suppressed_output_leaves_its_crc_and_touches_nothing() {
    let bench = Bench::new();
    let (src, dst) = (bench.lease(&page(4)), bench.room(4096));
    let (stream, made) = bench.output(job(DYNAMIC, &src, &dst), &dst);
    let (source, untouched) = (bench.lease(&stream), bench.lease(&[0xaa; 4096]));
    let operation = Operation::Decompress(INFLATE | DecompressFlags::SUPPRESS_OUTPUT);
    let mut verify = job(operation, &source, &untouched);
    let record = bench.run(verify);
    assert_eq!(record.status, Status::SUCCESS);
    assert_eq!((record.crc, record.output_bytes), (made.crc, 4096));
    assert_eq!(*untouched.read(), [0xaa; 4096]);
    // The limit counts nevertheless.
    verify.dst_bytes_max = 4095;
    assert_eq!(bench.run(verify).status, Status::OUTPUT_OVERFLOW);
}

#[test]
fn canned_codes_stand_in_the_table_and_not_in_the_stream() {
    let bench = Bench::new();
    let (src, dst) = (bench.lease(&page(5)), bench.room(4096));
    let own = CodeTables::of_histogram(&Encoder::fixed().histogram(&page(5)));
    let fixed = bench.table(&Aecs::fixed());
    let (with_header, _) = bench.output(with_table(job(FIXED, &src, &dst), &fixed), &dst);
    for codes in [own.clone(), CodeTables::fixed()] {
        let table = bench.table(&Aecs::with_codes(&codes, &[], 0).unwrap());
        let (stream, made) = bench.output(with_table(job(FIXED, &src, &dst), &table), &dst);
        let (source, back) = (bench.lease(&stream), bench.room(4096));
        let (output, read) =
            bench.output(with_table(job(DECOMPRESS, &source, &back), &table), &back);
        assert!(output == page(5));
        assert_eq!(read.crc, made.crc);
        if codes == own {
            assert!(stream.len() < with_header.len());
        } else {
            // The same bits, three places further on.
            let bits = output_bits(&made);
            assert!(
                stream_bits(&with_header).skip(3).take(bits).eq(stream_bits(&stream).take(bits))
            );
        }
    }
}

#[test]
fn tables_change_from_job_to_job() {
    let bench = Bench::new();
    let (src, dst) = (bench.lease(&page(6)), bench.room(4096));
    let table = bench.table(&Aecs::fixed());
    let compress = with_table(job(FIXED, &src, &dst), &table);
    let (first, _) = bench.output(compress, &dst);
    let codes = CodeTables::of_histogram(&Encoder::fixed().histogram(&page(6)));
    // In the same place.
    table.write().copy_from_slice(&Aecs::with_codes(&codes, &[], 0).unwrap().encode());
    let (second, _) = bench.output(compress, &dst);
    table.write().copy_from_slice(&Aecs::fixed().encode());
    let (third, _) = bench.output(compress, &dst);
    assert!(first == third && first != second);
}

#[test]
fn the_accumulator_comes_first() {
    let bench = Bench::new();
    let (src, dst) = (bench.lease(&page(7)), bench.room(4096));
    let accumulator = [0x5a, 0xc3, 0x15];
    for bits in [0, 1, 8, 13, 21] {
        let aecs = Aecs::with_codes(&CodeTables::fixed(), &accumulator, bits).unwrap();
        let table = bench.table(&aecs);
        let (stream, _) = bench.output(with_table(job(FIXED, &src, &dst), &table), &dst);
        assert!(stream_bits(&stream).take(bits).eq(stream_bits(&accumulator).take(bits)));
    }
}

#[test]
fn a_block_without_end_goes_on_where_the_record_says() {
    let bench = Bench::new();
    let (src, dst) = (bench.lease(&page(8)), bench.room(4096));
    let table = bench.table(&Aecs::fixed());
    let open = Operation::Compress(CompressFlags::FLUSH_OUTPUT);
    let (mut stream, unended) = bench.output(with_table(job(open, &src, &dst), &table), &dst);
    let whole = Operation::Compress(COMPRESS);
    let (_, ended) = bench.output(with_table(job(whole, &src, &dst), &table), &dst);
    // The end of a fixed block is seven zeros.
    assert_eq!(output_bits(&unended) + 7, output_bits(&ended));
    let broken = bench.inflate(&stream, 4096);
    assert_eq!(broken.status, Status::ANALYTICS_ERROR);
    stream.resize((output_bits(&unended) + 7).div_ceil(8), 0);
    assert_eq!(inflated(&stream), page(8));
}

/// How many bits of output a record tells of.
fn output_bits(record: &CompletionRecord) -> usize {
    let missing = (8 - usize::from(record.output_bits)) % 8;
    8 * record.output_bytes as usize - missing
}

fn stream_bits(bytes: &[u8]) -> impl Iterator<Item = bool> {
    bytes.iter().flat_map(|byte| (0..8).map(move |bit| byte >> bit & 1 == 1))
}
