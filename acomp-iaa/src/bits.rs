//! The wire: every number that driver and device agree on.
//!
//! All fields are little-endian. The sources are "uapi idxd.h" (the interface header of the idxd
//! driver), "idxd registers.h", "QPL hw_status.h" and "QPL hw_iaa_flags.h" (Intel's Query
//! Processing Library), and "DSA specification" (Intel document 341204, whose registers and flags
//! IAA shares). Where they leave something open, the constant says what we decided.

use std::ops::RangeInclusive;

/// Operations. Source: uapi idxd.h.
pub mod opcode {
    /// Does nothing but complete.
    pub const NOOP: u8 = 0x00;
    /// Completes after all descriptors that came before.
    pub const DRAIN: u8 = 0x02;
    /// Copies the first source to the destination.
    pub const MEMMOVE: u8 = 0x03;
    /// Inflates the first source.
    pub const DECOMPRESS: u8 = 0x42;
    /// Deflates the first source.
    pub const COMPRESS: u8 = 0x43;
    /// The CRC of the first source, over a polynomial of 64 bits.
    pub const CRC64: u8 = 0x44;
    /// Decompresses zeros among words of 32 bits.
    pub const ZDECOMP32: u8 = 0x48;
    /// Decompresses zeros among words of 16 bits.
    pub const ZDECOMP16: u8 = 0x49;
    /// Compresses zeros among words of 32 bits.
    pub const ZCOMP32: u8 = 0x4c;
    /// Compresses zeros among words of 16 bits.
    pub const ZCOMP16: u8 = 0x4d;
    /// Filter: which elements lie in a range.
    pub const SCAN: u8 = 0x50;
    /// Filter: a range of elements.
    pub const EXTRACT: u8 = 0x52;
    /// Filter: the elements whose bit is set in the second source.
    pub const SELECT: u8 = 0x53;
    /// Filter: repeats elements as often as the second source says.
    pub const RLE_BURST: u8 = 0x54;
    /// Filter: which values occur.
    pub const FIND_UNIQUE: u8 = 0x55;
    /// Filter: puts elements where a bit is set in the second source.
    pub const EXPAND: u8 = 0x56;
}

/// Flags of every operation, 24 bits. Source: uapi idxd.h.
pub mod flags {
    /// Waits for the descriptors before it.
    pub const FENCE: u32 = 0x1;
    /// A page fault stops the engine until the page is there (BOF).
    pub const BLOCK_ON_FAULT: u32 = 0x2;
    /// There is a completion address (CRAV).
    pub const COMPLETION_VALID: u32 = 0x4;
    /// A completion record is wanted for success, too (RCR).
    pub const REQUEST_COMPLETION: u32 = 0x8;
    /// An interrupt is wanted at completion (RCI).
    pub const REQUEST_INTERRUPT: u32 = 0x10;
    /// Selects the steering tag of the completion record (CRSTS).
    pub const COMPLETION_STEERING: u32 = 0x20;
    /// Checks the result (CR).
    pub const CHECK_RESULT: u32 = 0x80;
    /// Writes the destination to the cache (CC).
    pub const CACHE_CONTROL: u32 = 0x100;
    /// Traffic class of the first address.
    pub const ADDRESS1_TRAFFIC_CLASS: u32 = 0x200;
    /// Traffic class of the second address.
    pub const ADDRESS2_TRAFFIC_CLASS: u32 = 0x400;
    /// Traffic class of the third address.
    pub const ADDRESS3_TRAFFIC_CLASS: u32 = 0x800;
    /// Traffic class of the completion record.
    pub const COMPLETION_TRAFFIC_CLASS: u32 = 0x1000;
    /// Writes are strictly ordered.
    pub const STRICT_ORDER: u32 = 0x2000;
    /// The second source is an AECS, and is read.
    pub const READ_SRC2_AECS: u32 = 0x1_0000;
    /// The second source is data.
    pub const READ_SRC2_DATA: u32 = 0x2_0000;
    /// The AECS is written back at completion.
    pub const WRITE_SRC2_AECS: u32 = 0x4_0000;
    /// The AECS is written back when the output overflows.
    pub const WRITE_SRC2_AECS_ON_OVERFLOW: u32 = 0x8_0000;
    /// Selects the steering tag of the second source.
    pub const SRC2_STEERING: u32 = 0x10_0000;
    /// The CRC is that of RFC 3720 (Castagnoli) instead of the usual one.
    pub const CRC_RFC3720: u32 = 0x20_0000;
    /// Which half of a doubled AECS is read, and which is written.
    pub const AECS_TOGGLE: u32 = 0x40_0000;
    /// Where flags can stand, below the opcode.
    pub const MASK: u32 = 0xff_ffff;
}

/// Flags of COMPRESS, 16 bits. Source: uapi idxd.h, QPL hw_iaa_flags.h.
pub mod compress {
    /// Writes a histogram of the symbols instead of the symbols.
    pub const STATISTICS: u16 = 1;
    /// Writes the last bits, too, up to a whole byte.
    pub const FLUSH_OUTPUT: u16 = 1 << 1;
    /// What to append, bits 3:2. Value 1 is [`APPEND_END_OF_BLOCK`]; the sources do not tell what
    /// 2 and 3 do, so that the model refuses bit 3.
    pub const END_PROCESSING_SHIFT: u32 = 2;
    /// Appends the end of the block: end processing 1.
    pub const APPEND_END_OF_BLOCK: u16 = 1 << END_PROCESSING_SHIFT;
    /// Finds no matches.
    pub const ALL_LITERALS: u16 = 1 << 4;
    /// Takes the bits of a byte from the highest on.
    pub const BIG_ENDIAN: u16 = 1 << 5;
    /// Where the size of mini-blocks, for indexing, stands.
    pub const MINI_BLOCK_SHIFT: u32 = 6;
    /// The size of mini-blocks, bits 8:6.
    pub const MINI_BLOCK: u16 = 0x7 << MINI_BLOCK_SHIFT;
    /// Makes the header of a dynamic block.
    pub const GENERATE_HEADER: u16 = 1 << 12;
    /// Makes the header of a dynamic block in the same pass as its symbols.
    pub const GENERATE_HEADER_ONE_PASS: u16 = 1 << 13;
}

/// Flags of DECOMPRESS, 16 bits. Source: uapi idxd.h, QPL hw_iaa_flags.h.
pub mod decompress {
    /// Decompresses at all.
    pub const ENABLE: u16 = 1;
    /// Writes the last bits, too, up to a whole byte.
    pub const FLUSH_OUTPUT: u16 = 1 << 1;
    /// Sees that the source ends with the end of a block. QPL has the places of this flag and of
    /// [`STOP_ON_END_OF_BLOCK`] the other way round; everybody sets both.
    pub const CHECK_END_OF_BLOCK: u16 = 1 << 2;
    /// Stops at the end of a block.
    pub const STOP_ON_END_OF_BLOCK: u16 = 1 << 3;
    /// Of blocks, only the final one counts as the end.
    pub const SELECT_FINAL_BLOCK: u16 = 1 << 4;
    /// Takes the bits of a byte from the highest on.
    pub const BIG_ENDIAN: u16 = 1 << 5;
    /// Where the number of bits to ignore stands.
    pub const IGNORE_END_BITS_SHIFT: u32 = 6;
    /// How many bits of the last byte to ignore, bits 8:6.
    pub const IGNORE_END_BITS: u16 = 0x7 << IGNORE_END_BITS_SHIFT;
    /// Writes no output: what is wanted is the CRC.
    pub const SUPPRESS_OUTPUT: u16 = 1 << 9;
    /// Where the size of mini-blocks, for indexing, stands.
    pub const INDEXING_SHIFT: u32 = 10;
    /// The size of mini-blocks, bits 12:10.
    pub const INDEXING: u16 = 0x7 << INDEXING_SHIFT;
}

/// Status codes, byte 0 of the completion record. Source: uapi idxd.h, QPL hw_status.h.
pub mod status {
    /// Not completed yet.
    pub const PENDING: u8 = 0x00;
    /// Done.
    pub const SUCCESS: u8 = 0x01;
    /// Done, and the predicate is false.
    pub const SUCCESS_FALSE_PREDICATE: u8 = 0x02;
    /// A page fault, while faults do not block; the work is done in part.
    pub const PAGE_FAULT: u8 = 0x04;
    /// A page fault that could not be resolved.
    pub const PAGE_RESPONSE_ERROR: u8 = 0x05;
    /// The operation failed: the error code tells why.
    pub const ANALYTICS_ERROR: u8 = 0x0a;
    /// The output does not fit the destination.
    pub const OUTPUT_OVERFLOW: u8 = 0x0b;
    /// The device does not have this operation.
    pub const BAD_OPCODE: u8 = 0x10;
    /// Flags that the operation does not have: the invalid flags tell which.
    pub const INVALID_FLAGS: u8 = 0x11;
    /// A reserved field is not zero.
    pub const NON_ZERO_RESERVED: u8 = 0x12;
    /// A size is out of range.
    pub const BAD_TRANSFER_SIZE: u8 = 0x13;
    /// Source and destination overlap.
    pub const OVERLAPPING_BUFFERS: u8 = 0x16;
    /// The interrupt handle is not the client's.
    pub const BAD_INTERRUPT_HANDLE: u8 = 0x19;
    /// The completion address could not be translated.
    pub const COMPLETION_ADDRESS_FAULT: u8 = 0x1a;
    /// The completion address is misaligned.
    pub const COMPLETION_ADDRESS_MISALIGNED: u8 = 0x1b;
    /// An address is misaligned.
    pub const ADDRESS_MISALIGNED: u8 = 0x1c;
    /// The descriptor claims a privilege that the queue does not have.
    pub const PRIVILEGE_NOT_ALLOWED: u8 = 0x1d;
    /// The traffic class is not allowed.
    pub const BAD_TRAFFIC_CLASS: u8 = 0x1e;
    /// A page fault while reading back.
    pub const READBACK_FAULT: u8 = 0x1f;
    /// The device failed.
    pub const HARDWARE_ERROR: u8 = 0x20;
    /// The device failed; the sources do not tell the difference.
    pub const HARDWARE_ERROR_2: u8 = 0x21;
    /// An address could not be translated.
    pub const TRANSLATION_FAILED: u8 = 0x22;
    /// Nobody answered a page request in time.
    pub const PAGE_REQUEST_TIMEOUT: u8 = 0x23;
    /// The engine made no progress in time.
    pub const WATCHDOG_EXPIRED: u8 = 0x24;
    /// Compression or decompression flags that the operation does not have.
    pub const INVALID_OP_FLAGS: u8 = 0x30;
    /// Filter flags that the operation does not have.
    pub const INVALID_FILTER_FLAGS: u8 = 0x31;
    /// The size of the input is invalid. Our sources are unsure of this code and the next three.
    pub const INVALID_INPUT_SIZE: u8 = 0x32;
    /// The number of elements is invalid.
    pub const INVALID_ELEMENTS: u8 = 0x33;
    /// The width of the elements of the first source is invalid.
    pub const INVALID_SRC1_WIDTH: u8 = 0x34;
    /// The output cannot be inverted.
    pub const INVALID_INVERTED_OUTPUT: u8 = 0x35;
    /// The bits of the code.
    pub const CODE_MASK: u8 = 0x7f;
    /// Beside a page fault: the access was a write.
    pub const WRITE_FAULT: u8 = 0x80;
}

/// Error codes beside [`status::ANALYTICS_ERROR`]. Source: QPL hw_status.h.
pub mod error {
    use super::RangeInclusive;

    /// None.
    pub const NONE: u8 = 0;
    /// The header of the block is too large.
    pub const HEADER_TOO_LARGE: u8 = 1;
    /// The header's code for code lengths is no code.
    pub const CODE_LENGTH_TABLE: u8 = 2;
    /// The first code length is invalid.
    pub const FIRST_CODE_LENGTH: u8 = 3;
    /// The first literal/length code is invalid.
    pub const FIRST_LITLEN_CODE: u8 = 4;
    /// A code for literals and lengths, or for distances, is invalid: one number for each way.
    pub const BAD_CODES: RangeInclusive<u8> = 5..=12;
    /// A block of type 3.
    pub const BLOCK_TYPE: u8 = 13;
    /// A stored block whose length and complement do not match.
    pub const STORED_LENGTH: u8 = 14;
    /// The source ends inside the stream.
    pub const END_OF_FILE: u8 = 15;
    /// A length symbol that does not exist.
    pub const LENGTH_CODE: u8 = 16;
    /// A distance symbol that does not exist, or that reaches beyond the window of 4 KB.
    pub const DISTANCE_CODE: u8 = 17;
    /// A match that begins before the output does.
    pub const BEFORE_START: u8 = 18;
    /// No progress in time.
    pub const NO_PROGRESS: u8 = 19;
    /// The AECS is invalid.
    pub const AECS: u8 = 22;
    /// The output does not fit, and the operation cannot go on later.
    pub const OUTPUT_OVERFLOW: u8 = 25;
    /// Verifying what compressing zeros gave failed.
    pub const ZERO_COMPRESS_VERIFY: u8 = 29;
    /// Bits that are no word of the code.
    pub const HUFFMAN_CODE: u8 = 30;
    /// More than 286 literal/length symbols.
    pub const TOO_MANY_LITLEN_CODES: u8 = 35;
    /// More than 30 distance symbols.
    pub const TOO_MANY_DIST_CODES: u8 = 36;
}

/// Fields of a descriptor: offsets in bytes. Source: uapi idxd.h.
pub mod descriptor {
    /// Size, and alignment when submitted.
    pub const BYTES: usize = 64;
    /// PASID in bits 19:0, reserved bits 30:20, privilege in bit 31.
    pub const PASID_AT: usize = 0;
    /// Flags in bits 23:0, opcode in bits 31:24.
    pub const FLAGS_AT: usize = 4;
    /// Completion address, u64.
    pub const COMPLETION_AT: usize = 8;
    /// First source address, u64.
    pub const SRC1_AT: usize = 16;
    /// Destination address, u64.
    pub const DST_AT: usize = 24;
    /// Size of the first source, u32.
    pub const SRC1_BYTES_AT: usize = 32;
    /// Interrupt handle, u16.
    pub const INTERRUPT_AT: usize = 36;
    /// Compression or decompression flags, u16.
    pub const OP_FLAGS_AT: usize = 38;
    /// Second source address, u64.
    pub const SRC2_AT: usize = 40;
    /// Size of the destination, u32.
    pub const DST_BYTES_MAX_AT: usize = 48;
    /// Size of the second source, u32.
    pub const SRC2_BYTES_AT: usize = 52;
    /// Filter flags, u32.
    pub const FILTER_FLAGS_AT: usize = 56;
    /// Number of input elements, u32.
    pub const INPUTS_AT: usize = 60;
    /// The bits of the PASID.
    pub const PASID_MASK: u32 = 0xf_ffff;
    /// The bit of the privilege.
    pub const PRIVILEGED: u32 = 1 << 31;
    /// Where the opcode stands beside the flags.
    pub const OPCODE_SHIFT: u32 = 24;
    /// The longest transfer that any queue can allow, in bytes. Source: GENCAP.
    pub const TRANSFER_BYTES_MAX: u32 = 1 << 31;

    const _: () = assert!(PASID_AT + 4 == FLAGS_AT && FLAGS_AT + 4 == COMPLETION_AT);
    const _: () = assert!(COMPLETION_AT + 8 == SRC1_AT && SRC1_AT + 8 == DST_AT);
    const _: () = assert!(DST_AT + 8 == SRC1_BYTES_AT && SRC1_BYTES_AT + 4 == INTERRUPT_AT);
    const _: () = assert!(INTERRUPT_AT + 2 == OP_FLAGS_AT && OP_FLAGS_AT + 2 == SRC2_AT);
    const _: () = assert!(SRC2_AT + 8 == DST_BYTES_MAX_AT && DST_BYTES_MAX_AT + 4 == SRC2_BYTES_AT);
    const _: () = assert!(SRC2_BYTES_AT + 4 == FILTER_FLAGS_AT && FILTER_FLAGS_AT + 4 == INPUTS_AT);
    const _: () = assert!(INPUTS_AT + 4 == BYTES);
}

/// Fields of a completion record: offsets in bytes. Source: uapi idxd.h.
pub mod completion {
    /// Size, and alignment.
    pub const BYTES: usize = 64;
    /// Status, u8. The device writes it last.
    pub const STATUS_AT: usize = 0;
    /// Error code, u8.
    pub const ERROR_AT: usize = 1;
    /// Fault info, u8; one reserved byte behind it.
    pub const FAULT_INFO_AT: usize = 2;
    /// Bytes of input consumed, u32.
    pub const BYTES_COMPLETED_AT: usize = 4;
    /// Fault address, u64.
    pub const FAULT_ADDRESS_AT: usize = 8;
    /// Invalid flags, u32; four reserved bytes behind it.
    pub const INVALID_FLAGS_AT: usize = 16;
    /// Bytes of output, u32.
    pub const OUTPUT_BYTES_AT: usize = 24;
    /// Bits in the last byte of output, u8; one reserved byte behind it.
    pub const OUTPUT_BITS_AT: usize = 28;
    /// XOR checksum, u16.
    pub const XOR_CHECKSUM_AT: usize = 30;
    /// CRC-32, u32.
    pub const CRC_AT: usize = 32;
    /// The least element, or the first, u32.
    pub const LEAST_AT: usize = 36;
    /// The greatest element, or the last, u32.
    pub const GREATEST_AT: usize = 40;
    /// Sum of the elements, or number of bits set, u32; 16 reserved bytes behind it.
    pub const SUM_AT: usize = 44;

    const _: () = assert!(STATUS_AT + 1 == ERROR_AT && ERROR_AT + 1 == FAULT_INFO_AT);
    const _: () = assert!(FAULT_INFO_AT + 1 + 1 == BYTES_COMPLETED_AT);
    const _: () = assert!(BYTES_COMPLETED_AT + 4 == FAULT_ADDRESS_AT);
    const _: () = assert!(FAULT_ADDRESS_AT + 8 == INVALID_FLAGS_AT);
    const _: () = assert!(INVALID_FLAGS_AT + 4 + 4 == OUTPUT_BYTES_AT);
    const _: () = assert!(OUTPUT_BYTES_AT + 4 == OUTPUT_BITS_AT);
    const _: () = assert!(OUTPUT_BITS_AT + 1 + 1 == XOR_CHECKSUM_AT);
    const _: () = assert!(XOR_CHECKSUM_AT + 2 == CRC_AT && CRC_AT + 4 == LEAST_AT);
    const _: () = assert!(LEAST_AT + 4 == GREATEST_AT && GREATEST_AT + 4 == SUM_AT);
    const _: () = assert!(SUM_AT + 4 + 16 == BYTES);
}

/// Fields of the AECS of COMPRESS: offsets in bytes. Source: the kernel's IAA documentation.
pub mod aecs {
    /// Size.
    pub const BYTES: usize = 1568;
    /// Alignment. Source: QPL hw_status.h.
    pub const ALIGN_BYTES: usize = 32;
    /// CRC so far, u32.
    pub const CRC_AT: usize = 0;
    /// XOR checksum so far, u32.
    pub const XOR_CHECKSUM_AT: usize = 4;
    /// Five reserved words.
    pub const RESERVED1_AT: usize = 8;
    /// Bits that are valid in the accumulator, u32.
    pub const ACCUMULATOR_BITS_AT: usize = 28;
    /// Output that stands before the first symbol.
    pub const ACCUMULATOR_AT: usize = 32;
    /// Size of the accumulator.
    pub const ACCUMULATOR_BYTES: usize = 256;
    /// Code words of the literal/length symbols, u32 each.
    pub const LITLEN_AT: usize = 288;
    /// How many literal/length symbols there are.
    pub const LITLEN_SYMBOLS: usize = 286;
    /// Two reserved words.
    pub const RESERVED2_AT: usize = 1432;
    /// Code words of the distance symbols, u32 each.
    pub const DIST_AT: usize = 1440;
    /// How many distance symbols there are.
    pub const DIST_SYMBOLS: usize = 30;
    /// Two words of padding.
    pub const PAD_AT: usize = 1560;
    /// Where a symbol has the length of its code word, above the word itself.
    pub const CODE_LENGTH_SHIFT: u32 = 15;
    /// The longest code word, in bits.
    pub const CODE_BITS_MAX: u32 = 15;

    const _: () = assert!(CRC_AT + 4 == XOR_CHECKSUM_AT && XOR_CHECKSUM_AT + 4 == RESERVED1_AT);
    const _: () = assert!(RESERVED1_AT + 5 * 4 == ACCUMULATOR_BITS_AT);
    const _: () = assert!(ACCUMULATOR_BITS_AT + 4 == ACCUMULATOR_AT);
    const _: () = assert!(ACCUMULATOR_AT + ACCUMULATOR_BYTES == LITLEN_AT);
    const _: () = assert!(LITLEN_AT + 4 * LITLEN_SYMBOLS == RESERVED2_AT);
    const _: () = assert!(RESERVED2_AT + 2 * 4 == DIST_AT);
    const _: () = assert!(DIST_AT + 4 * DIST_SYMBOLS == PAD_AT && PAD_AT + 2 * 4 == BYTES);
    const _: () = assert!(BYTES.is_multiple_of(ALIGN_BYTES));
}

/// Registers: offsets in BAR 0, in bytes. Source: idxd registers.h.
pub mod register {
    /// What the device can do: [`GenCap`](super::GenCap).
    pub const GENCAP: usize = 0x10;
    /// Its work queues: [`WqCap`](super::WqCap).
    pub const WQCAP: usize = 0x20;
    /// Its groups: [`GrpCap`](super::GrpCap).
    pub const GRPCAP: usize = 0x30;
    /// Its engines: [`EngCap`](super::EngCap).
    pub const ENGCAP: usize = 0x38;
    /// Its operations, 256 bits: [`OpCap`](super::OpCap).
    pub const OPCAP: usize = 0x40;
    /// Where its tables are.
    pub const TABLE_OFFSETS: usize = 0x60;
    /// General configuration.
    pub const GENCFG: usize = 0x80;
    /// General control.
    pub const GENCTRL: usize = 0x88;
    /// General status.
    pub const GENSTATUS: usize = 0x90;
    /// Why it interrupts.
    pub const INTCAUSE: usize = 0x98;
    /// Command.
    pub const CMD: usize = 0xa0;
    /// What became of the command.
    pub const CMDSTATUS: usize = 0xa8;
    /// Errors without a completion record, four words of 8 bytes.
    pub const SWERR: usize = 0xc0;
    /// What IAA has beyond DSA: [`IaaCap`](super::IaaCap).
    pub const IAACAP: usize = 0x180;
    /// Configuration of a work queue: bytes for each.
    pub const WQCFG_BYTES: usize = 64;

    const _: () = assert!(OPCAP + 256 / 8 == TABLE_OFFSETS);
}

/// GENCAP: general capabilities. Bits that we do not know are ignored, as software must. Source:
/// idxd registers.h.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the fields of a register")]
pub struct GenCap {
    /// Bit 0: page faults can block.
    pub block_on_fault: bool,
    /// Bit 2: descriptors can send the destination to the cache.
    pub cache_control: bool,
    /// Bit 8: the destination can be read back.
    pub dst_readback: bool,
    /// Bits 20:16: the longest transfer, in bytes, as a power of two: 0 to 31.
    pub transfer_bytes_log_max: u32,
    /// Bit 31: software may configure the device.
    pub configurable: bool,
}

impl GenCap {
    /// The register.
    #[must_use]
    pub const fn encode(self) -> u64 {
        (self.block_on_fault as u64)
            | (self.cache_control as u64) << 2
            | (self.dst_readback as u64) << 8
            | field(self.transfer_bytes_log_max as u64, 16, 5)
            | (self.configurable as u64) << 31
    }

    /// Reads the register.
    #[must_use]
    pub const fn parse(register: u64) -> Self {
        Self {
            block_on_fault: is_set(register, 0),
            cache_control: is_set(register, 2),
            dst_readback: is_set(register, 8),
            transfer_bytes_log_max: part(register, 16, 5) as u32,
            configurable: is_set(register, 31),
        }
    }
}

/// WQCAP: work queues. Source: DSA specification.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the fields of a register")]
pub struct WqCap {
    /// Bits 15:0: descriptors that all queues together can hold.
    pub entries: u16,
    /// Bits 23:16: how many queues there are.
    pub queues: u8,
    /// Bit 48: queues can be shared.
    pub shared: bool,
    /// Bit 49: queues can be dedicated.
    pub dedicated: bool,
    /// Bit 51: queues can have priorities.
    pub priority: bool,
}

impl WqCap {
    /// The register.
    #[must_use]
    pub const fn encode(self) -> u64 {
        (self.entries as u64)
            | (self.queues as u64) << 16
            | (self.shared as u64) << 48
            | (self.dedicated as u64) << 49
            | (self.priority as u64) << 51
    }

    /// Reads the register.
    #[must_use]
    pub const fn parse(register: u64) -> Self {
        Self {
            entries: part(register, 0, 16) as u16,
            queues: part(register, 16, 8) as u8,
            shared: is_set(register, 48),
            dedicated: is_set(register, 49),
            priority: is_set(register, 51),
        }
    }
}

/// GRPCAP: groups of engines and queues. Source: DSA specification.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the fields of a register")]
pub struct GrpCap {
    /// Bits 7:0: how many groups there are.
    pub groups: u8,
}

impl GrpCap {
    /// The register.
    #[must_use]
    pub const fn encode(self) -> u64 {
        self.groups as u64
    }

    /// Reads the register.
    #[must_use]
    pub const fn parse(register: u64) -> Self {
        Self { groups: part(register, 0, 8) as u8 }
    }
}

/// ENGCAP: engines. Source: DSA specification.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the fields of a register")]
pub struct EngCap {
    /// Bits 7:0: how many engines there are.
    pub engines: u8,
}

impl EngCap {
    /// The register.
    #[must_use]
    pub const fn encode(self) -> u64 {
        self.engines as u64
    }

    /// Reads the register.
    #[must_use]
    pub const fn parse(register: u64) -> Self {
        Self { engines: part(register, 0, 8) as u8 }
    }
}

/// OPCAP: operations, one bit for each opcode. Source: DSA specification.
///
/// ```
/// use acomp_iaa::bits::{OpCap, opcode};
/// // A device of the first generation.
/// let cap = OpCap::parse([0xd, 0x7f331c, 0, 0]);
/// assert!(cap.has(opcode::COMPRESS) && !cap.has(0x01));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpCap([u64; 4]);

impl OpCap {
    /// With one operation more.
    #[must_use]
    pub fn with(mut self, opcode: u8) -> Self {
        if let Some(word) = self.0.get_mut(usize::from(opcode / 64)) {
            *word |= 1 << (opcode % 64);
        }
        self
    }

    /// Does the device have this operation?
    #[must_use]
    pub fn has(self, opcode: u8) -> bool {
        let word = self.0.get(usize::from(opcode / 64));
        word.is_some_and(|word| is_set(*word, u32::from(opcode % 64)))
    }

    /// The register, lowest opcodes first.
    #[must_use]
    pub const fn encode(self) -> [u64; 4] {
        self.0
    }

    /// Reads the register.
    #[must_use]
    pub const fn parse(register: [u64; 4]) -> Self {
        Self(register)
    }
}

/// IAACAP: what IAA has beyond DSA. Source: idxd registers.h.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the fields of a register")]
pub struct IaaCap {
    /// The device makes headers of dynamic blocks. Our sources name this flag without its place;
    /// bit 8 is to be confirmed by a device.
    pub header_generation: bool,
}

impl IaaCap {
    /// The register.
    #[must_use]
    pub const fn encode(self) -> u64 {
        (self.header_generation as u64) << 8
    }

    /// Reads the register.
    #[must_use]
    pub const fn parse(register: u64) -> Self {
        Self { header_generation: is_set(register, 8) }
    }
}

const fn is_set(register: u64, bit: u32) -> bool {
    register >> bit & 1 != 0
}

const fn part(register: u64, shift: u32, bits: u32) -> u64 {
    register >> shift & ((1 << bits) - 1)
}

const fn field(value: u64, shift: u32, bits: u32) -> u64 {
    (value & ((1 << bits) - 1)) << shift
}

/// Writes a field at an offset that is known to lie inside.
pub(crate) fn put<const AT: usize, const N: usize, const BYTES: usize>(
    bytes: &mut [u8; BYTES],
    value: [u8; N],
) {
    const { assert!(AT + N <= BYTES) };
    bytes[AT..AT + N].copy_from_slice(&value);
}

/// Reads a field at an offset that is known to lie inside.
pub(crate) fn take<const AT: usize, const N: usize, const BYTES: usize>(
    bytes: &[u8; BYTES],
) -> [u8; N] {
    const { assert!(AT + N <= BYTES) };
    let mut value = [0; N];
    value.copy_from_slice(&bytes[AT..AT + N]);
    value
}
