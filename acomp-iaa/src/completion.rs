//! Completion records: what a device says of a descriptor.

use std::fmt;

use crate::bits::{self, completion as at, put, take};

/// What became of a descriptor. Fields that an operation does not have are zero.
///
/// ```
/// use acomp_iaa::completion::{CompletionRecord, Status};
/// let record = CompletionRecord {
///     status: Status::SUCCESS,
///     output_bytes: 1234,
///     ..CompletionRecord::default()
/// };
/// let bytes = record.encode();
/// assert_eq!(bytes[..4], [1, 0, 0, 0]);
/// assert_eq!(CompletionRecord::parse(&bytes), record);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the fields of uapi idxd.h")]
pub struct CompletionRecord {
    /// How it ended. Software clears it before it submits and polls it; the device writes it last.
    pub status: Status,
    /// Why, beside [`Status::ANALYTICS_ERROR`]: see [`Self::analytics_error`].
    pub error: u8,
    /// What kind of page fault; the meaning of its bits is the device's own.
    pub fault_info: u8,
    /// Bytes of the first source that were consumed.
    pub bytes_completed: u32,
    /// Where the page fault was.
    pub fault_address: u64,
    /// The flags that the device refused, beside [`Status::INVALID_FLAGS`].
    pub invalid_flags: u32,
    /// Bytes of output.
    pub output_bytes: u32,
    /// Bits that are valid in the last byte of output; 0 if all are.
    pub output_bits: u8,
    /// XOR of the uncompressed data, in words of 16 bits.
    pub xor_checksum: u16,
    /// CRC-32 of the uncompressed data.
    pub crc: u32,
    /// The least element, or the first.
    pub min: u32,
    /// The greatest element, or the last.
    pub max: u32,
    /// Sum of the elements, or number of bits set.
    pub sum: u32,
}

impl CompletionRecord {
    /// The bytes, with zeros in reserved places.
    #[must_use]
    pub fn encode(&self) -> [u8; at::BYTES] {
        let mut bytes = [0; at::BYTES];
        put::<{ at::STATUS_AT }, _, _>(&mut bytes, [self.status.bits()]);
        put::<{ at::ERROR_AT }, _, _>(&mut bytes, [self.error]);
        put::<{ at::FAULT_INFO_AT }, _, _>(&mut bytes, [self.fault_info]);
        put::<{ at::BYTES_COMPLETED_AT }, _, _>(&mut bytes, self.bytes_completed.to_le_bytes());
        put::<{ at::FAULT_ADDRESS_AT }, _, _>(&mut bytes, self.fault_address.to_le_bytes());
        put::<{ at::INVALID_FLAGS_AT }, _, _>(&mut bytes, self.invalid_flags.to_le_bytes());
        put::<{ at::OUTPUT_BYTES_AT }, _, _>(&mut bytes, self.output_bytes.to_le_bytes());
        put::<{ at::OUTPUT_BITS_AT }, _, _>(&mut bytes, [self.output_bits]);
        put::<{ at::XOR_CHECKSUM_AT }, _, _>(&mut bytes, self.xor_checksum.to_le_bytes());
        put::<{ at::CRC_AT }, _, _>(&mut bytes, self.crc.to_le_bytes());
        put::<{ at::LEAST_AT }, _, _>(&mut bytes, self.min.to_le_bytes());
        put::<{ at::GREATEST_AT }, _, _>(&mut bytes, self.max.to_le_bytes());
        put::<{ at::SUM_AT }, _, _>(&mut bytes, self.sum.to_le_bytes());
        bytes
    }

    /// Reads the bytes. Reserved places are ignored: a later device may use them.
    #[must_use]
    pub fn parse(bytes: &[u8; at::BYTES]) -> Self {
        let [status] = take::<{ at::STATUS_AT }, _, _>(bytes);
        let [error] = take::<{ at::ERROR_AT }, _, _>(bytes);
        let [fault_info] = take::<{ at::FAULT_INFO_AT }, _, _>(bytes);
        let [output_bits] = take::<{ at::OUTPUT_BITS_AT }, _, _>(bytes);
        Self {
            status: Status::from_bits(status),
            error,
            fault_info,
            bytes_completed: u32::from_le_bytes(take::<{ at::BYTES_COMPLETED_AT }, _, _>(bytes)),
            fault_address: u64::from_le_bytes(take::<{ at::FAULT_ADDRESS_AT }, _, _>(bytes)),
            invalid_flags: u32::from_le_bytes(take::<{ at::INVALID_FLAGS_AT }, _, _>(bytes)),
            output_bytes: u32::from_le_bytes(take::<{ at::OUTPUT_BYTES_AT }, _, _>(bytes)),
            output_bits,
            xor_checksum: u16::from_le_bytes(take::<{ at::XOR_CHECKSUM_AT }, _, _>(bytes)),
            crc: u32::from_le_bytes(take::<{ at::CRC_AT }, _, _>(bytes)),
            min: u32::from_le_bytes(take::<{ at::LEAST_AT }, _, _>(bytes)),
            max: u32::from_le_bytes(take::<{ at::GREATEST_AT }, _, _>(bytes)),
            sum: u32::from_le_bytes(take::<{ at::SUM_AT }, _, _>(bytes)),
        }
    }

    /// Why the operation failed, if the status says that the error code tells it.
    #[must_use]
    pub fn analytics_error(&self) -> Option<AnalyticsError> {
        let is_told = self.status.code() == Status::ANALYTICS_ERROR;
        is_told.then_some(AnalyticsError(self.error))
    }

    /// The result of CRC64: its low half stands in [`Self::crc`], its high half in [`Self::min`].
    /// Our sources do not tell the place; this one keeps it a field of eight aligned bytes.
    #[must_use]
    pub const fn crc64(&self) -> u64 {
        self.crc as u64 | (self.min as u64) << 32
    }

    /// With this result of CRC64.
    #[must_use]
    pub const fn with_crc64(mut self, crc: u64) -> Self {
        (self.crc, self.min) = (crc as u32, (crc >> 32) as u32);
        self
    }
}

/// Named values of a byte: constants of the type, and words for each.
macro_rules! codes {
    ($type:ident in $module:ident: $($name:ident => $words:literal,)+) => {
        impl $type {
            $(
                #[doc = concat!("\"", $words, "\".")]
                pub const $name: Self = Self(bits::$module::$name);
            )+

            const fn words(self) -> Option<&'static str> {
                match self {
                    $(Self::$name => Some($words),)+
                    _ => None,
                }
            }
        }
    };
}

/// How a descriptor ended: byte 0 of its record. Values without a name are kept as they are.
///
/// ```
/// use acomp_iaa::completion::Status;
/// let fault = Status::PAGE_FAULT.with_write_fault();
/// assert_eq!((fault.bits(), fault.code()), (0x84, Status::PAGE_FAULT));
/// assert_eq!(fault.to_string(), "page fault, on a write");
/// assert_eq!(Status::from_bits(0x77).to_string(), "status 0x77");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Status(u8);

codes! { Status in status:
    PENDING => "not completed yet",
    SUCCESS => "success",
    SUCCESS_FALSE_PREDICATE => "success, with a false predicate",
    PAGE_FAULT => "page fault",
    PAGE_RESPONSE_ERROR => "page fault that could not be resolved",
    ANALYTICS_ERROR => "analytics error",
    OUTPUT_OVERFLOW => "output does not fit the destination",
    BAD_OPCODE => "unknown operation",
    INVALID_FLAGS => "invalid flags",
    NON_ZERO_RESERVED => "reserved field is not zero",
    BAD_TRANSFER_SIZE => "transfer size out of range",
    OVERLAPPING_BUFFERS => "source and destination overlap",
    BAD_INTERRUPT_HANDLE => "invalid interrupt handle",
    COMPLETION_ADDRESS_FAULT => "completion address could not be translated",
    COMPLETION_ADDRESS_MISALIGNED => "completion address is misaligned",
    ADDRESS_MISALIGNED => "address is misaligned",
    PRIVILEGE_NOT_ALLOWED => "privilege is not allowed",
    BAD_TRAFFIC_CLASS => "traffic class is not allowed",
    READBACK_FAULT => "page fault while reading back",
    HARDWARE_ERROR => "hardware error",
    HARDWARE_ERROR_2 => "hardware error of the second kind",
    TRANSLATION_FAILED => "address could not be translated",
    PAGE_REQUEST_TIMEOUT => "page request was not answered in time",
    WATCHDOG_EXPIRED => "watchdog expired",
    INVALID_OP_FLAGS => "invalid compression or decompression flags",
    INVALID_FILTER_FLAGS => "invalid filter flags",
    INVALID_INPUT_SIZE => "invalid input size",
    INVALID_ELEMENTS => "invalid number of elements",
    INVALID_SRC1_WIDTH => "invalid width of the first source",
    INVALID_INVERTED_OUTPUT => "output cannot be inverted",
}

impl Status {
    /// The byte, with bit 7 where a page fault was on a write.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    /// The byte.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Without the mark of a write: what to compare with the named values.
    #[must_use]
    pub const fn code(self) -> Self {
        Self(self.0 & bits::status::CODE_MASK)
    }

    /// Was the access that faulted a write?
    #[must_use]
    pub const fn is_write_fault(self) -> bool {
        self.0 & bits::status::WRITE_FAULT != 0
    }

    /// Marked as a fault on a write.
    #[must_use]
    pub const fn with_write_fault(self) -> Self {
        Self(self.0 | bits::status::WRITE_FAULT)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code().words() {
            Some(words) => f.write_str(words)?,
            None => write!(f, "status {:#04x}", self.code().0)?,
        }
        f.write_str(if self.is_write_fault() { ", on a write" } else { "" })
    }
}

/// Why an operation failed: byte 1 of the record. Values without a name are kept as they are.
///
/// ```
/// use acomp_iaa::completion::AnalyticsError;
/// assert_eq!(AnalyticsError::OUTPUT_OVERFLOW.bits(), 0x19);
/// assert_eq!(AnalyticsError::from_bits(7).to_string(), "invalid code (error 7)");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AnalyticsError(u8);

codes! { AnalyticsError in error:
    NONE => "no error",
    HEADER_TOO_LARGE => "header is too large",
    CODE_LENGTH_TABLE => "invalid code for code lengths",
    FIRST_CODE_LENGTH => "invalid first code length",
    FIRST_LITLEN_CODE => "invalid first literal/length code",
    BLOCK_TYPE => "invalid block type",
    STORED_LENGTH => "length of a stored block does not match",
    END_OF_FILE => "source ends inside the stream",
    LENGTH_CODE => "invalid length code",
    DISTANCE_CODE => "invalid distance code, or a distance beyond the window",
    BEFORE_START => "match begins before the output",
    NO_PROGRESS => "no progress in time",
    AECS => "invalid AECS",
    OUTPUT_OVERFLOW => "output does not fit, unrecoverably",
    ZERO_COMPRESS_VERIFY => "verification of compressed zeros failed",
    HUFFMAN_CODE => "bits that are no code word",
    TOO_MANY_LITLEN_CODES => "too many literal/length codes",
    TOO_MANY_DIST_CODES => "too many distance codes",
}

impl AnalyticsError {
    /// The byte.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    /// The byte.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }
}

impl fmt::Display for AnalyticsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.words() {
            Some(words) => f.write_str(words),
            None if bits::error::BAD_CODES.contains(&self.0) => {
                write!(f, "invalid code (error {})", self.0)
            }
            None => write!(f, "error {}", self.0),
        }
    }
}
