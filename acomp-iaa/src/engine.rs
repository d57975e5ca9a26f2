//! An engine: does what one descriptor says.

use std::ops::Range;

use page_codec::deflate::{
    CodeTables, DecodeError, DecodeErrorKind, Decoder, Effort, EncodeError, Encoded, Encoder,
    Framing,
};

use crate::aecs::Aecs;
use crate::bits::aecs::BYTES as AECS_BYTES;
use crate::completion::{AnalyticsError, CompletionRecord, Status};
use crate::desc::{CompressFlags, DecompressFlags, Descriptor, Flags, Operation};
use crate::dma::{Dma, Fault};

/// The state of an engine, some 200 KiB.
pub(crate) struct Engine {
    fixed: Box<Encoder>,
    dynamic: Box<Encoder>,
    /// For the AECS that was used last.
    given: Option<Given>,
    decoder: Box<Decoder>,
    /// Where output goes that nobody wants.
    scratch: Vec<u8>,
}

/// What an AECS asks for.
struct Given {
    bytes: Vec<u8>,
    accumulator: [u8; 256],
    accumulator_bits: usize,
    /// `None`: the fixed codes, behind a header that says so.
    codes: Option<(Box<Encoder>, Box<Decoder>)>,
}

/// Why a job ended before its end.
enum Stop {
    Fault { address: u64, is_write: bool },
    Status(Status),
    Analytics(AnalyticsError),
}

impl Stop {
    fn record(self, desc: &Descriptor) -> CompletionRecord {
        match self {
            // Nobody brings a page that is not leased.
            Self::Fault { address, is_write } if desc.flags.contains(Flags::BLOCK_ON_FAULT) => {
                fault_at(Status::PAGE_RESPONSE_ERROR, address, is_write)
            }
            Self::Fault { address, is_write } => page_fault(address, is_write),
            Self::Status(status) => failed(status),
            Self::Analytics(error) => broken(error),
        }
    }
}

impl Engine {
    pub(crate) fn new() -> Self {
        Self {
            fixed: Box::new(Encoder::fixed()),
            dynamic: Box::new(Encoder::dynamic().effort(Effort::Dense)),
            given: None,
            decoder: Box::new(Decoder::new().window(HISTORY_BYTES)),
            scratch: Vec::new(),
        }
    }

    /// Executes a descriptor; what is to be written to its completion record.
    pub(crate) fn execute(&mut self, desc: &Descriptor, dma: &Dma) -> CompletionRecord {
        let result = match desc.operation {
            Operation::MemMove => memmove(desc, dma),
            Operation::Crc64 => crc64(desc, dma),
            Operation::Compress(flags) => self.compress(desc, flags, dma),
            Operation::Decompress(flags) => self.decompress(desc, flags, dma),
            // Queues see to it that a drain comes when all others are done.
            Operation::Noop | Operation::Drain => Ok(succeeded()),
        };
        result.unwrap_or_else(|stop| stop.record(desc))
    }

    fn compress(
        &mut self,
        desc: &Descriptor,
        flags: CompressFlags,
        dma: &Dma,
    ) -> Result<CompletionRecord, Stop> {
        let is_dynamic = flags.contains(CompressFlags::GENERATE_HEADER_ONE_PASS);
        if !is_dynamic {
            self.load_aecs(desc, dma)?;
        }
        let has_end = flags.contains(CompressFlags::APPEND_END_OF_BLOCK);
        with_io(desc, dma, |src, dst| {
            let encoded = if is_dynamic {
                self.dynamic.encode_framed(src, dst, &Framing::new())
            } else {
                self.encode(src, dst, has_end)
            };
            let encoded = encoded.map_err(|error| match error {
                EncodeError::DstTooSmall | EncodeError::Incompressible => {
                    Stop::Analytics(AnalyticsError::OUTPUT_OVERFLOW)
                }
                _ => Stop::Analytics(AnalyticsError::HUFFMAN_CODE),
            })?;
            Ok(CompletionRecord {
                bytes_completed: src.len() as u32,
                output_bytes: encoded.bytes as u32,
                output_bits: (encoded.bits % 8) as u8,
                crc: crc32(desc, src),
                ..succeeded()
            })
        })?
    }

    /// With the codes of the AECS.
    fn encode(
        &mut self,
        src: &[u8],
        dst: &mut [u8],
        has_end: bool,
    ) -> Result<Encoded, EncodeError> {
        let Some(given) = &mut self.given else { return Err(EncodeError::NoCodes) };
        let mut framing =
            Framing::new().leading(&given.accumulator, given.accumulator_bits).without_header();
        if !has_end {
            framing = framing.without_end_of_block();
        }
        match &mut given.codes {
            Some((encoder, _)) => encoder.encode_framed(src, dst, &framing),
            // The usual case: the header that the encoder would write itself, and faster.
            None if has_end && (given.accumulator[0], given.accumulator_bits) == (0b011, 3) => {
                self.fixed.encode_framed(src, dst, &Framing::new())
            }
            None => self.fixed.encode_framed(src, dst, &framing),
        }
    }

    fn decompress(
        &mut self,
        desc: &Descriptor,
        flags: DecompressFlags,
        dma: &Dma,
    ) -> Result<CompletionRecord, Stop> {
        let is_canned = desc.flags.contains(Flags::READ_SRC2_AECS);
        if is_canned {
            self.load_aecs(desc, dma)?;
        }
        let is_suppressed = flags.contains(DecompressFlags::SUPPRESS_OUTPUT);
        let Self { given, decoder, scratch, .. } = self;
        let mut decode = |src: &[u8], dst: &mut [u8]| {
            let decoded = match given {
                Some(Given { codes: Some((_, decoder)), .. }) if is_canned => {
                    decoder.decode_framed(src, dst, &Framing::new().without_header())
                }
                _ => decoder.decode(src, dst),
            };
            let decoded = decoded.map_err(|error| refusal(&error))?;
            Ok(CompletionRecord {
                bytes_completed: decoded.consumed as u32,
                output_bytes: decoded.produced as u32,
                crc: crc32(desc, dst.get(..decoded.produced).unwrap_or_default()),
                ..succeeded()
            })
        };
        if is_suppressed {
            scratch.resize(desc.dst_bytes_max as usize, 0);
            with_source(desc, dma, |src| decode(src, scratch))?
        } else {
            with_io(desc, dma, decode)?
        }
    }

    /// Makes `given` what the descriptor's AECS says, if it is not already.
    fn load_aecs(&mut self, desc: &Descriptor, dma: &Dma) -> Result<(), Stop> {
        if desc.src2_bytes as usize != AECS_BYTES {
            return Err(Stop::Status(Status::BAD_TRANSFER_SIZE));
        }
        let fault = |Fault| Stop::Fault { address: desc.src2, is_write: false };
        let target = dma.find(desc.src2).map_err(fault)?;
        let bytes = target.read().map_err(fault)?;
        let bytes = target.range(AECS_BYTES).ok().and_then(|range| bytes.get(range));
        let bytes = bytes.ok_or_else(|| fault(Fault))?;
        if self.given.as_ref().is_some_and(|given| given.bytes == bytes) {
            return Ok(());
        }
        let aecs = bytes.first_chunk().and_then(|bytes| Aecs::parse(bytes).ok());
        let aecs = aecs.ok_or(Stop::Analytics(AnalyticsError::AECS))?;
        let codes = aecs.code_tables().map_err(|_| Stop::Analytics(AnalyticsError::AECS))?;
        // Without a header there are no fixed blocks, only codes that happen to be theirs.
        let is_fixed = aecs.accumulator_bits > 0 && codes == CodeTables::fixed();
        self.given = Some(Given {
            bytes: bytes.to_vec(),
            accumulator: aecs.accumulator,
            accumulator_bits: aecs.accumulator_bits as usize,
            codes: (!is_fixed).then(|| {
                let decoder = Decoder::new().window(HISTORY_BYTES).with_codes(codes.clone());
                (Box::new(Encoder::with_codes(codes)), Box::new(decoder))
            }),
        });
        Ok(())
    }
}

/// The record of a job that asks for what the model does not do, as of a device that cannot: what
/// it ignored it would do wrong.
pub(crate) fn unsupported(desc: &Descriptor) -> Option<CompletionRecord> {
    let flags = desc.flags.intersection(FLAGS_UNSUPPORTED);
    if !flags.is_empty() {
        let invalid_flags = flags.bits();
        return Some(CompletionRecord { invalid_flags, ..failed(Status::INVALID_FLAGS) });
    }
    let is_supported = match desc.operation {
        Operation::Compress(flags) => {
            // Of the two flags for headers, the first alone means a pass for statistics before.
            COMPRESS_FLAGS.contains(flags)
                && (!flags.contains(CompressFlags::GENERATE_HEADER)
                    || flags.contains(CompressFlags::GENERATE_HEADER_ONE_PASS))
        }
        Operation::Decompress(flags) => {
            DECOMPRESS_FLAGS.contains(flags) && flags.contains(DecompressFlags::ENABLE)
        }
        _ => true,
    };
    (!is_supported).then(|| failed(Status::INVALID_OP_FLAGS))
}

/// The record of a job that met a page that is not there.
pub(crate) fn page_fault(address: u64, is_write: bool) -> CompletionRecord {
    fault_at(Status::PAGE_FAULT, address, is_write)
}

fn fault_at(status: Status, address: u64, is_write: bool) -> CompletionRecord {
    let status = if is_write { status.with_write_fault() } else { status };
    CompletionRecord { fault_address: address, ..failed(status) }
}

/// The record of a job that failed.
pub(crate) fn failed(status: Status) -> CompletionRecord {
    CompletionRecord { status, ..CompletionRecord::default() }
}

/// The record of a job whose stream is broken, or does not fit.
pub(crate) fn broken(error: AnalyticsError) -> CompletionRecord {
    CompletionRecord { error: error.bits(), ..failed(Status::ANALYTICS_ERROR) }
}

fn succeeded() -> CompletionRecord {
    failed(Status::SUCCESS)
}

fn memmove(desc: &Descriptor, dma: &Dma) -> Result<CompletionRecord, Stop> {
    let desc = Descriptor { dst_bytes_max: desc.src1_bytes, ..*desc };
    with_io(&desc, dma, |src, dst| {
        dst.copy_from_slice(src);
        CompletionRecord { bytes_completed: src.len() as u32, ..succeeded() }
    })
}

/// Of the source, over the descriptor's polynomial, highest bit first.
fn crc64(desc: &Descriptor, dma: &Dma) -> Result<CompletionRecord, Stop> {
    let polynomial = desc.polynomial();
    with_source(desc, dma, |src| {
        let mut crc = 0_u64;
        for byte in src {
            crc ^= u64::from(*byte) << 56;
            for _ in 0..8 {
                crc = crc << 1 ^ if crc >> 63 == 1 { polynomial } else { 0 };
            }
        }
        CompletionRecord { bytes_completed: src.len() as u32, ..succeeded() }.with_crc64(crc)
    })
}

/// Of the uncompressed bytes, in every completion.
fn crc32(desc: &Descriptor, data: &[u8]) -> u32 {
    if desc.flags.contains(Flags::CRC_RFC3720) {
        crc32c::crc32c(data)
    } else {
        crc32fast::hash(data)
    }
}

/// Runs `run` on the descriptor's source.
fn with_source<T>(desc: &Descriptor, dma: &Dma, run: impl FnOnce(&[u8]) -> T) -> Result<T, Stop> {
    let fault = |Fault| Stop::Fault { address: desc.src1, is_write: false };
    let source = dma.find(desc.src1).map_err(fault)?;
    let range = source.range(desc.src1_bytes as usize).map_err(fault)?;
    let bytes = source.read().map_err(fault)?;
    Ok(run(bytes.get(range).ok_or_else(|| fault(Fault))?))
}

/// Runs `run` on the descriptor's source and destination.
fn with_io<T>(
    desc: &Descriptor,
    dma: &Dma,
    run: impl FnOnce(&[u8], &mut [u8]) -> T,
) -> Result<T, Stop> {
    let src_fault = |Fault| Stop::Fault { address: desc.src1, is_write: false };
    let dst_fault = |Fault| Stop::Fault { address: desc.dst, is_write: true };
    let source = dma.find(desc.src1).map_err(src_fault)?;
    let sink = dma.find(desc.dst).map_err(dst_fault)?;
    let src = source.range(desc.src1_bytes as usize).map_err(src_fault)?;
    let dst = sink.range(desc.dst_bytes_max as usize).map_err(dst_fault)?;
    if source.is_in_region_of(&sink) {
        let mut bytes = sink.write().map_err(dst_fault)?;
        // That was the sink's lease; the source may have been an earlier one's.
        source.check().map_err(src_fault)?;
        if src.end > bytes.len() {
            return Err(src_fault(Fault));
        }
        if dst.end > bytes.len() {
            return Err(dst_fault(Fault));
        }
        let (src, dst) =
            both(&mut bytes, src, dst).ok_or(Stop::Status(Status::OVERLAPPING_BUFFERS))?;
        return Ok(run(src, dst));
    }
    // Always in one order, lest two engines wait for each other.
    let (input, mut output) = if desc.src1 < desc.dst {
        let input = source.read().map_err(src_fault)?;
        (input, sink.write().map_err(dst_fault)?)
    } else {
        let output = sink.write().map_err(dst_fault)?;
        (source.read().map_err(src_fault)?, output)
    };
    let src = input.get(src).ok_or_else(|| src_fault(Fault))?;
    let dst = output.get_mut(dst).ok_or_else(|| dst_fault(Fault))?;
    Ok(run(src, dst))
}

/// Two ranges that do not overlap.
fn both(bytes: &mut [u8], src: Range<usize>, dst: Range<usize>) -> Option<(&[u8], &mut [u8])> {
    if src.end <= dst.start {
        let (head, tail) = bytes.split_at_mut(dst.start);
        Some((head.get(src)?, tail.get_mut(..dst.len())?))
    } else if dst.end <= src.start {
        let (head, tail) = bytes.split_at_mut(src.start);
        Some((tail.get(..src.len())?, head.get_mut(dst)?))
    } else {
        None
    }
}

/// What the device calls what is wrong with a stream.
fn refusal(error: &DecodeError) -> Stop {
    Stop::Analytics(match error.kind {
        DecodeErrorKind::DstTooSmall => return Stop::Status(Status::OUTPUT_OVERFLOW),
        DecodeErrorKind::BlockType => AnalyticsError::BLOCK_TYPE,
        DecodeErrorKind::StoredLength => AnalyticsError::STORED_LENGTH,
        DecodeErrorKind::CodeLengths => AnalyticsError::CODE_LENGTH_TABLE,
        DecodeErrorKind::DistanceTooFar => AnalyticsError::BEFORE_START,
        DecodeErrorKind::DistanceBeyondWindow => AnalyticsError::DISTANCE_CODE,
        DecodeErrorKind::Truncated => AnalyticsError::END_OF_FILE,
        _ => AnalyticsError::HUFFMAN_CODE,
    })
}

/// The model writes no AECS, and reads no other second source.
const FLAGS_UNSUPPORTED: Flags = Flags::READ_SRC2_DATA
    .union(Flags::WRITE_SRC2_AECS)
    .union(Flags::WRITE_SRC2_AECS_ON_OVERFLOW)
    .union(Flags::AECS_TOGGLE);
const COMPRESS_FLAGS: CompressFlags = CompressFlags::FLUSH_OUTPUT
    .union(CompressFlags::APPEND_END_OF_BLOCK)
    .union(CompressFlags::GENERATE_HEADER)
    .union(CompressFlags::GENERATE_HEADER_ONE_PASS);
const DECOMPRESS_FLAGS: DecompressFlags = DecompressFlags::ENABLE
    .union(DecompressFlags::FLUSH_OUTPUT)
    .union(DecompressFlags::CHECK_END_OF_BLOCK)
    .union(DecompressFlags::STOP_ON_END_OF_BLOCK)
    .union(DecompressFlags::SUPPRESS_OUTPUT);
/// How far back a match may lead, in either direction.
pub(crate) const HISTORY_BYTES: usize = 4096;
