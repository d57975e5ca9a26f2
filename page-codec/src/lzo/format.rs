//! What both sides know about LZO1X streams.
//!
//! An opcode tells what it is by its highest bit, but for those below 16. They are literals, or
//! matches if literals were just before, for two runs of literals in a row would be one.

/// The least opcodes of each kind of match; M1 is below.
pub(super) const M4: usize = 16;
pub(super) const M3: usize = 32;
pub(super) const M2: usize = 64;
/// The greatest lengths in an opcode. If there is 0, the length goes on behind, from here.
pub(super) const LITERALS_IN_OPCODE_BYTES_MAX: usize = 15;
pub(super) const M3_IN_OPCODE_BYTES_MAX: usize = 31;
pub(super) const M4_IN_OPCODE_BYTES_MAX: usize = 7;
/// The shortest run of literals. Fewer are part of the match before, or of the first byte.
pub(super) const LITERALS_BYTES_MIN: usize = 4;
/// What lengths of M3 and M4 are counted from.
pub(super) const MATCH_BYTES_BASE: usize = 2;
/// Greater distances need M3; those of M1 behind a run of literals count from here.
pub(super) const M2_DISTANCE_BYTES_MAX: usize = 2048;
/// Longer matches need M3.
pub(super) const M2_BYTES_MAX: usize = 8;
/// Greater distances need M4.
pub(super) const M3_DISTANCE_BYTES_MAX: usize = 16384;
/// Distances of M4 count from here, and this one ends the stream.
pub(super) const M4_DISTANCE_BYTES_MIN: usize = 16384;
/// The first byte, from 18 on, is a number of literals and this.
pub(super) const FIRST_BASE: usize = 17;
/// More literals do not fit the first byte.
pub(super) const FIRST_BYTES_MAX: usize = 238;
/// The end of every stream, which no copy of literals may leave no room for.
pub(super) const END: [u8; 3] = [0x11, 0, 0];
/// With a version behind it, the header of a stream that has room for another end.
pub(super) const HEADER: u8 = 0x11;
/// The version with runs of zeros.
pub(super) const VERSION_RUNS: u8 = 1;
/// The shortest run of zeros.
pub(super) const RUN_BYTES_MIN: usize = 4;
/// The longest run of zeros.
pub(super) const RUN_BYTES_MAX: usize = RUN_BYTES_MIN + 2047;
/// The shortest match that is written; shorter ones gain nothing.
pub(super) const MATCH_BYTES_MIN: usize = 4;
