//! Descriptors: what a client asks of a device.

use std::ops::Range;

use crate::bits::{self, aecs, completion, descriptor as at, put, take};
use crate::completion::{CompletionRecord, Status};

/// An operation and its operands. Fields that an operation does not have must be zero.
///
/// ```
/// use acomp_iaa::desc::{DecompressFlags, Descriptor, Flags, Operation};
/// let descriptor = Descriptor {
///     operation: Operation::Decompress(DecompressFlags::ENABLE),
///     flags: Flags::COMPLETION_VALID | Flags::REQUEST_COMPLETION,
///     completion: 0x1000,
///     src1: 0x2000,
///     src1_bytes: 700,
///     dst: 0x3000,
///     dst_bytes_max: 4096,
///     ..Descriptor::default()
/// };
/// let bytes = descriptor.encode();
/// assert_eq!(bytes[4..8], [0x0c, 0, 0, 0x42]);
/// assert_eq!(Descriptor::parse(&bytes), Ok(descriptor));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the fields of uapi idxd.h")]
pub struct Descriptor {
    /// Whose addresses these are, 20 bits. Queues of the kernel fill it in.
    pub pasid: u32,
    /// Does the client claim a supervisor's privilege?
    pub privileged: bool,
    /// How to carry it out.
    pub flags: Flags,
    /// What to do.
    pub operation: Operation,
    /// Where the completion record is, if [`Flags::COMPLETION_VALID`]; a multiple of 64.
    pub completion: u64,
    /// Address of the first source.
    pub src1: u64,
    /// Address of the destination.
    pub dst: u64,
    /// Bytes of the first source: at least one.
    pub src1_bytes: u32,
    /// Whom to interrupt, if [`Flags::REQUEST_INTERRUPT`].
    pub interrupt_handle: u16,
    /// Address of the second source: data, or an AECS, of which it must be a multiple of 32.
    pub src2: u64,
    /// Bytes of the destination; MEMMOVE needs none beside [`Self::src1_bytes`].
    pub dst_bytes_max: u32,
    /// Bytes of the second source.
    pub src2_bytes: u32,
    /// Flags of filters. CRC64 has the low half of its polynomial here.
    pub filter_flags: u32,
    /// Number of elements for filters. CRC64 has the high half of its polynomial here.
    pub inputs: u32,
}

impl Descriptor {
    /// The bytes, for a portal.
    #[must_use]
    pub fn encode(&self) -> [u8; at::BYTES] {
        let pasid = self.pasid & at::PASID_MASK;
        let privilege = if self.privileged { at::PRIVILEGED } else { 0 };
        let opcode = u32::from(self.operation.opcode().bits()) << at::OPCODE_SHIFT;
        let flags = self.flags.bits() & bits::flags::MASK;
        let mut bytes = [0; at::BYTES];
        put::<{ at::PASID_AT }, _, _>(&mut bytes, (pasid | privilege).to_le_bytes());
        put::<{ at::FLAGS_AT }, _, _>(&mut bytes, (flags | opcode).to_le_bytes());
        put::<{ at::COMPLETION_AT }, _, _>(&mut bytes, self.completion.to_le_bytes());
        put::<{ at::SRC1_AT }, _, _>(&mut bytes, self.src1.to_le_bytes());
        put::<{ at::DST_AT }, _, _>(&mut bytes, self.dst.to_le_bytes());
        put::<{ at::SRC1_BYTES_AT }, _, _>(&mut bytes, self.src1_bytes.to_le_bytes());
        put::<{ at::INTERRUPT_AT }, _, _>(&mut bytes, self.interrupt_handle.to_le_bytes());
        put::<{ at::OP_FLAGS_AT }, _, _>(&mut bytes, self.operation.flags().to_le_bytes());
        put::<{ at::SRC2_AT }, _, _>(&mut bytes, self.src2.to_le_bytes());
        put::<{ at::DST_BYTES_MAX_AT }, _, _>(&mut bytes, self.dst_bytes_max.to_le_bytes());
        put::<{ at::SRC2_BYTES_AT }, _, _>(&mut bytes, self.src2_bytes.to_le_bytes());
        put::<{ at::FILTER_FLAGS_AT }, _, _>(&mut bytes, self.filter_flags.to_le_bytes());
        put::<{ at::INPUTS_AT }, _, _>(&mut bytes, self.inputs.to_le_bytes());
        bytes
    }

    /// Reads the bytes as a device does, which refuses what it does not know. What depends on the
    /// queue (its longest transfer, privileges, interrupt handles) is left to the queue.
    ///
    /// # Errors
    /// [`Invalid`], which is what the device says of such a descriptor. Of several defects it names
    /// the first in the order opcode, flags, completion address, flags of the operation, reserved
    /// fields, sizes, alignment, overlap; our sources give no order.
    pub fn parse(bytes: &[u8; at::BYTES]) -> Result<Self, Invalid> {
        let head = Head::parse(bytes);
        let refuse = |status| head.invalid(status, 0);
        let opcode = Opcode::from_bits(head.opcode).ok_or_else(|| refuse(Status::BAD_OPCODE))?;
        let invalid_flags = opcode.invalid_flags(head.flags);
        if invalid_flags != 0 {
            return Err(head.invalid(Status::INVALID_FLAGS, invalid_flags));
        }
        if !head.completion_is_aligned() {
            return Err(refuse(Status::COMPLETION_ADDRESS_MISALIGNED));
        }
        let op_flags = u16::from_le_bytes(take::<{ at::OP_FLAGS_AT }, _, _>(bytes));
        let operation = Operation::parse(opcode, op_flags).map_err(refuse)?;
        let pasid = u32::from_le_bytes(take::<{ at::PASID_AT }, _, _>(bytes));
        let descriptor = Self {
            pasid: pasid & at::PASID_MASK,
            privileged: pasid & at::PRIVILEGED != 0,
            flags: Flags::from_bits_truncate(head.flags),
            operation,
            completion: head.completion,
            src1: u64::from_le_bytes(take::<{ at::SRC1_AT }, _, _>(bytes)),
            dst: u64::from_le_bytes(take::<{ at::DST_AT }, _, _>(bytes)),
            src1_bytes: u32::from_le_bytes(take::<{ at::SRC1_BYTES_AT }, _, _>(bytes)),
            interrupt_handle: head.interrupt_handle,
            src2: u64::from_le_bytes(take::<{ at::SRC2_AT }, _, _>(bytes)),
            dst_bytes_max: u32::from_le_bytes(take::<{ at::DST_BYTES_MAX_AT }, _, _>(bytes)),
            src2_bytes: u32::from_le_bytes(take::<{ at::SRC2_BYTES_AT }, _, _>(bytes)),
            filter_flags: u32::from_le_bytes(take::<{ at::FILTER_FLAGS_AT }, _, _>(bytes)),
            inputs: u32::from_le_bytes(take::<{ at::INPUTS_AT }, _, _>(bytes)),
        };
        let reserved = pasid & !(at::PASID_MASK | at::PRIVILEGED);
        match descriptor.defect() {
            _ if reserved != 0 => Err(refuse(Status::NON_ZERO_RESERVED)),
            Some(status) => Err(refuse(status)),
            None => Ok(descriptor),
        }
    }

    /// The polynomial of CRC64. Our sources do not tell its place; these are the last eight bytes,
    /// which only filters use otherwise.
    #[must_use]
    pub const fn polynomial(&self) -> u64 {
        self.filter_flags as u64 | (self.inputs as u64) << 32
    }

    /// With this polynomial for CRC64.
    #[must_use]
    pub const fn with_polynomial(mut self, polynomial: u64) -> Self {
        (self.filter_flags, self.inputs) = (polynomial as u32, (polynomial >> 32) as u32);
        self
    }

    /// Does it write to the destination?
    pub(crate) fn has_output(&self) -> bool {
        match self.operation {
            Operation::Decompress(flags) => !flags.contains(DecompressFlags::SUPPRESS_OUTPUT),
            operation => operation.opcode().writes(),
        }
    }

    fn defect(&self) -> Option<Status> {
        let sizes = [self.src1_bytes, self.dst_bytes_max, self.src2_bytes];
        let reads = self.operation.opcode().reads();
        let is_sized = sizes.iter().all(|bytes| *bytes <= at::TRANSFER_BYTES_MAX)
            && (self.src1_bytes > 0 || !reads);
        let has_aecs = self.flags.intersects(Flags::SRC2_AECS);
        if !self.is_zero_where_reserved() {
            Some(Status::NON_ZERO_RESERVED)
        } else if !is_sized {
            Some(Status::BAD_TRANSFER_SIZE)
        } else if has_aecs && !self.src2.is_multiple_of(aecs::ALIGN_BYTES as u64) {
            Some(Status::ADDRESS_MISALIGNED)
        } else if self.overlaps() {
            Some(Status::OVERLAPPING_BUFFERS)
        } else {
            None
        }
    }

    fn is_zero_where_reserved(&self) -> bool {
        let opcode = self.operation.opcode();
        let has_src2 = self.flags.intersects(Flags::SRC2_AECS | Flags::READ_SRC2_DATA);
        let fields = [
            (self.flags.contains(Flags::COMPLETION_VALID), self.completion),
            (self.flags.contains(Flags::REQUEST_INTERRUPT), u64::from(self.interrupt_handle)),
            (opcode.reads(), self.src1 | u64::from(self.src1_bytes)),
            (opcode.writes(), self.dst),
            (opcode.codes(), u64::from(self.dst_bytes_max)),
            (has_src2, self.src2 | u64::from(self.src2_bytes)),
            (opcode == Opcode::Crc64, self.polynomial()),
        ];
        fields.iter().all(|(is_used, value)| *is_used || *value == 0)
    }

    fn overlaps(&self) -> bool {
        let dst_bytes = match self.operation {
            Operation::MemMove => self.src1_bytes,
            _ if self.has_output() => self.dst_bytes_max,
            _ => 0,
        };
        let (src, dst) = (span(self.src1, self.src1_bytes), span(self.dst, dst_bytes));
        dst_bytes > 0 && src.start < dst.end && dst.start < src.end
    }
}

/// What a device says of a descriptor that it refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[error("descriptor refused: {status}")]
pub struct Invalid {
    /// Why.
    pub status: Status,
    /// The flags that the operation does not have, if that is the reason.
    pub invalid_flags: u32,
    /// The flags of the descriptor that are known.
    pub flags: Flags,
    /// Where to write the record: with [`Flags::REQUEST_COMPLETION`] or without it, as failures are
    /// always told. `None` if the descriptor has no address, or a misaligned one; then the device
    /// has only its error register.
    pub completion: Option<u64>,
    /// Whom to interrupt, if that was requested.
    pub interrupt_handle: Option<u16>,
}

impl Invalid {
    /// The record to write.
    #[must_use]
    pub fn record(&self) -> CompletionRecord {
        let (status, invalid_flags) = (self.status, self.invalid_flags);
        CompletionRecord { status, invalid_flags, ..CompletionRecord::default() }
    }
}

/// What can be read of any descriptor, valid or not.
#[derive(Clone, Copy)]
struct Head {
    flags: u32,
    opcode: u8,
    completion: u64,
    interrupt_handle: u16,
}

impl Head {
    fn parse(bytes: &[u8; at::BYTES]) -> Self {
        let word = u32::from_le_bytes(take::<{ at::FLAGS_AT }, _, _>(bytes));
        Self {
            flags: word & bits::flags::MASK,
            opcode: (word >> at::OPCODE_SHIFT) as u8,
            completion: u64::from_le_bytes(take::<{ at::COMPLETION_AT }, _, _>(bytes)),
            interrupt_handle: u16::from_le_bytes(take::<{ at::INTERRUPT_AT }, _, _>(bytes)),
        }
    }

    /// Without an address there is nothing to be aligned.
    fn completion_is_aligned(self) -> bool {
        let has_address = self.flags & bits::flags::COMPLETION_VALID != 0;
        !has_address || self.completion.is_multiple_of(completion::BYTES as u64)
    }

    fn invalid(self, status: Status, invalid_flags: u32) -> Invalid {
        let flags = Flags::from_bits_truncate(self.flags);
        let is_written = flags.contains(Flags::COMPLETION_VALID) && self.completion_is_aligned();
        let interrupts = flags.contains(Flags::REQUEST_INTERRUPT);
        Invalid {
            status,
            invalid_flags,
            flags,
            completion: is_written.then_some(self.completion),
            interrupt_handle: interrupts.then_some(self.interrupt_handle),
        }
    }
}

/// What to do, and the flags that only this operation has.
///
/// One type for both, as the same 16 bits mean one thing to COMPRESS and another to DECOMPRESS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Operation {
    /// Does nothing but complete.
    #[default]
    Noop,
    /// Completes after all descriptors that came before.
    Drain,
    /// Copies the first source to the destination.
    MemMove,
    /// Inflates the first source.
    Decompress(DecompressFlags),
    /// Deflates the first source, with the codes of the AECS.
    Compress(CompressFlags),
    /// The CRC of the first source over the descriptor's polynomial.
    Crc64,
}

impl Operation {
    /// Its number.
    #[must_use]
    pub const fn opcode(self) -> Opcode {
        match self {
            Self::Noop => Opcode::Noop,
            Self::Drain => Opcode::Drain,
            Self::MemMove => Opcode::MemMove,
            Self::Decompress(_) => Opcode::Decompress,
            Self::Compress(_) => Opcode::Compress,
            Self::Crc64 => Opcode::Crc64,
        }
    }

    fn flags(self) -> u16 {
        match self {
            Self::Decompress(flags) => flags.bits(),
            Self::Compress(flags) => flags.bits(),
            Self::Noop | Self::Drain | Self::MemMove | Self::Crc64 => 0,
        }
    }

    fn parse(opcode: Opcode, flags: u16) -> Result<Self, Status> {
        let plain = |operation| match flags {
            0 => Ok(operation),
            _ => Err(Status::NON_ZERO_RESERVED),
        };
        match opcode {
            Opcode::Noop => plain(Self::Noop),
            Opcode::Drain => plain(Self::Drain),
            Opcode::MemMove => plain(Self::MemMove),
            Opcode::Crc64 => plain(Self::Crc64),
            Opcode::Decompress => DecompressFlags::from_bits(flags)
                .map(Self::Decompress)
                .ok_or(Status::INVALID_OP_FLAGS),
            Opcode::Compress => {
                CompressFlags::from_bits(flags).map(Self::Compress).ok_or(Status::INVALID_OP_FLAGS)
            }
        }
    }
}

/// Numbers of the operations that the model has. Of [`bits::opcode`], it refuses the others as a
/// device does whose OPCAP lacks them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum Opcode {
    /// [`Operation::Noop`].
    Noop = bits::opcode::NOOP,
    /// [`Operation::Drain`].
    Drain = bits::opcode::DRAIN,
    /// [`Operation::MemMove`].
    MemMove = bits::opcode::MEMMOVE,
    /// [`Operation::Decompress`].
    Decompress = bits::opcode::DECOMPRESS,
    /// [`Operation::Compress`].
    Compress = bits::opcode::COMPRESS,
    /// [`Operation::Crc64`].
    Crc64 = bits::opcode::CRC64,
}

impl Opcode {
    /// All of them.
    pub const ALL: &[Self] =
        &[Self::Noop, Self::Drain, Self::MemMove, Self::Decompress, Self::Compress, Self::Crc64];

    /// The byte.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self as u8
    }

    /// The operation of this number.
    #[must_use]
    pub fn from_bits(bits: u8) -> Option<Self> {
        Self::ALL.iter().copied().find(|opcode| opcode.bits() == bits)
    }

    fn reads(self) -> bool {
        !matches!(self, Self::Noop | Self::Drain)
    }

    fn writes(self) -> bool {
        self == Self::MemMove || self.codes()
    }

    fn codes(self) -> bool {
        matches!(self, Self::Decompress | Self::Compress)
    }

    /// Flags that it does not have, or that contradict each other.
    fn invalid_flags(self, bits: u32) -> u32 {
        let known = if self.codes() { Flags::all() } else { Flags::GENERIC };
        let mut invalid = bits & !known.bits();
        for pair in [Flags::READ_SRC2, Flags::WRITE_SRC2] {
            if bits & pair.bits() == pair.bits() {
                invalid |= pair.bits();
            }
        }
        if bits & bits::flags::COMPLETION_VALID == 0 {
            invalid |= bits & bits::flags::REQUEST_COMPLETION;
        }
        invalid
    }
}

bitflags::bitflags! {
    /// How to carry out an operation: [`bits::flags`] says what each flag means.
    ///
    /// Those of the second source and of the CRC exist for COMPRESS and DECOMPRESS only.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct Flags: u32 {
        /// [`bits::flags::FENCE`].
        const FENCE = bits::flags::FENCE;
        /// [`bits::flags::BLOCK_ON_FAULT`].
        const BLOCK_ON_FAULT = bits::flags::BLOCK_ON_FAULT;
        /// [`bits::flags::COMPLETION_VALID`].
        const COMPLETION_VALID = bits::flags::COMPLETION_VALID;
        /// [`bits::flags::REQUEST_COMPLETION`]; needs [`Self::COMPLETION_VALID`].
        const REQUEST_COMPLETION = bits::flags::REQUEST_COMPLETION;
        /// [`bits::flags::REQUEST_INTERRUPT`].
        const REQUEST_INTERRUPT = bits::flags::REQUEST_INTERRUPT;
        /// [`bits::flags::COMPLETION_STEERING`].
        const COMPLETION_STEERING = bits::flags::COMPLETION_STEERING;
        /// [`bits::flags::CHECK_RESULT`].
        const CHECK_RESULT = bits::flags::CHECK_RESULT;
        /// [`bits::flags::CACHE_CONTROL`].
        const CACHE_CONTROL = bits::flags::CACHE_CONTROL;
        /// [`bits::flags::ADDRESS1_TRAFFIC_CLASS`].
        const ADDRESS1_TRAFFIC_CLASS = bits::flags::ADDRESS1_TRAFFIC_CLASS;
        /// [`bits::flags::ADDRESS2_TRAFFIC_CLASS`].
        const ADDRESS2_TRAFFIC_CLASS = bits::flags::ADDRESS2_TRAFFIC_CLASS;
        /// [`bits::flags::ADDRESS3_TRAFFIC_CLASS`].
        const ADDRESS3_TRAFFIC_CLASS = bits::flags::ADDRESS3_TRAFFIC_CLASS;
        /// [`bits::flags::COMPLETION_TRAFFIC_CLASS`].
        const COMPLETION_TRAFFIC_CLASS = bits::flags::COMPLETION_TRAFFIC_CLASS;
        /// [`bits::flags::STRICT_ORDER`].
        const STRICT_ORDER = bits::flags::STRICT_ORDER;
        /// [`bits::flags::READ_SRC2_AECS`]; excludes [`Self::READ_SRC2_DATA`].
        const READ_SRC2_AECS = bits::flags::READ_SRC2_AECS;
        /// [`bits::flags::READ_SRC2_DATA`].
        const READ_SRC2_DATA = bits::flags::READ_SRC2_DATA;
        /// [`bits::flags::WRITE_SRC2_AECS`]; excludes [`Self::WRITE_SRC2_AECS_ON_OVERFLOW`].
        const WRITE_SRC2_AECS = bits::flags::WRITE_SRC2_AECS;
        /// [`bits::flags::WRITE_SRC2_AECS_ON_OVERFLOW`].
        const WRITE_SRC2_AECS_ON_OVERFLOW = bits::flags::WRITE_SRC2_AECS_ON_OVERFLOW;
        /// [`bits::flags::SRC2_STEERING`].
        const SRC2_STEERING = bits::flags::SRC2_STEERING;
        /// [`bits::flags::CRC_RFC3720`].
        const CRC_RFC3720 = bits::flags::CRC_RFC3720;
        /// [`bits::flags::AECS_TOGGLE`].
        const AECS_TOGGLE = bits::flags::AECS_TOGGLE;
    }
}

impl Flags {
    const READ_SRC2: Self = Self::READ_SRC2_AECS.union(Self::READ_SRC2_DATA);
    const WRITE_SRC2: Self = Self::WRITE_SRC2_AECS.union(Self::WRITE_SRC2_AECS_ON_OVERFLOW);
    const SRC2_AECS: Self = Self::READ_SRC2_AECS.union(Self::WRITE_SRC2);
    /// What every operation has.
    const GENERIC: Self = Self::all().intersection(Self::from_bits_retain(0xffff));
}

bitflags::bitflags! {
    /// How to compress: [`bits::compress`] says what each flag means.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct CompressFlags: u16 {
        /// [`bits::compress::STATISTICS`].
        const STATISTICS = bits::compress::STATISTICS;
        /// [`bits::compress::FLUSH_OUTPUT`].
        const FLUSH_OUTPUT = bits::compress::FLUSH_OUTPUT;
        /// [`bits::compress::APPEND_END_OF_BLOCK`].
        const APPEND_END_OF_BLOCK = bits::compress::APPEND_END_OF_BLOCK;
        /// [`bits::compress::ALL_LITERALS`].
        const ALL_LITERALS = bits::compress::ALL_LITERALS;
        /// [`bits::compress::BIG_ENDIAN`].
        const BIG_ENDIAN = bits::compress::BIG_ENDIAN;
        /// [`bits::compress::MINI_BLOCK`], a number of three bits.
        const MINI_BLOCK = bits::compress::MINI_BLOCK;
        /// [`bits::compress::GENERATE_HEADER`].
        const GENERATE_HEADER = bits::compress::GENERATE_HEADER;
        /// [`bits::compress::GENERATE_HEADER_ONE_PASS`].
        const GENERATE_HEADER_ONE_PASS = bits::compress::GENERATE_HEADER_ONE_PASS;
    }
}

bitflags::bitflags! {
    /// How to decompress: [`bits::decompress`] says what each flag means.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct DecompressFlags: u16 {
        /// [`bits::decompress::ENABLE`].
        const ENABLE = bits::decompress::ENABLE;
        /// [`bits::decompress::FLUSH_OUTPUT`].
        const FLUSH_OUTPUT = bits::decompress::FLUSH_OUTPUT;
        /// [`bits::decompress::CHECK_END_OF_BLOCK`].
        const CHECK_END_OF_BLOCK = bits::decompress::CHECK_END_OF_BLOCK;
        /// [`bits::decompress::STOP_ON_END_OF_BLOCK`].
        const STOP_ON_END_OF_BLOCK = bits::decompress::STOP_ON_END_OF_BLOCK;
        /// [`bits::decompress::SELECT_FINAL_BLOCK`].
        const SELECT_FINAL_BLOCK = bits::decompress::SELECT_FINAL_BLOCK;
        /// [`bits::decompress::BIG_ENDIAN`].
        const BIG_ENDIAN = bits::decompress::BIG_ENDIAN;
        /// [`bits::decompress::IGNORE_END_BITS`], a number of three bits.
        const IGNORE_END_BITS = bits::decompress::IGNORE_END_BITS;
        /// [`bits::decompress::SUPPRESS_OUTPUT`].
        const SUPPRESS_OUTPUT = bits::decompress::SUPPRESS_OUTPUT;
        /// [`bits::decompress::INDEXING`], a number of three bits.
        const INDEXING = bits::decompress::INDEXING;
    }
}

/// The addresses of a buffer. One at the end of the address space ends there: to wrap around is a
/// fault that the translation finds.
fn span(start: u64, bytes: u32) -> Range<u64> {
    start..start.saturating_add(u64::from(bytes))
}
