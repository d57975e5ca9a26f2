//! Most of a stream, decoded in copies of constant length.
//!
//! They write more than they need, so instructions must be far from the ends of both slices.
//! Everything else is left to the caller: what is near an end, errors, M4, and the end itself.
//!
//! Pages decode twice as fast with this, in checked accesses.

use super::format::{
    END, LITERALS_BYTES_MIN, LITERALS_IN_OPCODE_BYTES_MAX, M2, M2_DISTANCE_BYTES_MAX, M3,
    M3_IN_OPCODE_BYTES_MAX, M4, MATCH_BYTES_BASE, RUN_BYTES_MIN,
};
use crate::pattern::Pattern;

/// How far a decoder is: what it read and wrote, and how many literals came last.
#[derive(Clone, Copy)]
pub(super) struct Position {
    pub(super) read: usize,
    pub(super) written: usize,
    /// Since the last match: 0 to 3 with that match, or 4 for a run of their own. Opcodes below 16
    /// mean what it makes them mean.
    pub(super) before: usize,
}

/// Decodes instructions until one needs care, which is not read. `dst` may be overwritten beyond
/// what was written.
#[inline(never)]
pub(super) fn decode_far(
    src: &[u8],
    dst: &mut [u8],
    mut position: Position,
    has_runs: bool,
) -> Position {
    while let Some(next) = instruction(src, dst, position, has_runs) {
        position = next;
    }
    position
}

/// Decodes the instruction at a position; `None` if it needs care.
#[inline(always)]
fn instruction(src: &[u8], dst: &mut [u8], at: Position, has_runs: bool) -> Option<Position> {
    let rest = src.get(at.read..)?;
    let head = rest.first_chunk::<SLACK_BYTES>()?;
    let room = dst.get_mut(at.written..)?.first_chunk_mut::<SLACK_BYTES>()?;
    let opcode = usize::from(head[0]);
    if opcode >= M2 {
        let length = (opcode >> 5) + 1;
        let distance = (usize::from(head[1]) << 3 | opcode >> 2 & 7) + 1;
        repeat_8(dst, at.written, distance)?;
        literals_behind(rest, dst, at, 2, length, opcode & 3)
    } else if opcode >= M3 {
        let in_opcode = opcode & M3_IN_OPCODE_BYTES_MAX;
        let (count, more) = whole_length(rest, in_opcode, M3_IN_OPCODE_BYTES_MAX)?;
        let operand = usize::from(u16::from_le_bytes(*rest.get(more..)?.first_chunk()?));
        let length = count + MATCH_BYTES_BASE;
        repeat(dst, at.written, (operand >> 2) + 1, length)?;
        literals_behind(rest, dst, at, more + 2, length, operand & 3)
    } else if opcode >= M4 {
        if !has_runs || opcode & 8 == 0 || head[1] | 3 != 255 || head[2] != 255 {
            return None;
        }
        let length = (usize::from(head[3]) << 3 | opcode & 7) + RUN_BYTES_MIN;
        dst[at.written..].get_mut(..length)?.fill(0);
        literals_behind(rest, dst, at, 4, length, usize::from(head[1] & 3))
    } else if at.before == 0 {
        let (length, bytes) = if opcode > 0 {
            room[..18].copy_from_slice(&head[1..19]);
            (opcode + LITERALS_BYTES_MIN - 1, 1)
        } else {
            let (count, bytes) = whole_length(rest, 0, LITERALS_IN_OPCODE_BYTES_MAX)?;
            let length = count + LITERALS_BYTES_MIN - 1;
            let from = rest.get(bytes..)?.get(..length + END.len())?;
            dst[at.written..].get_mut(..length)?.copy_from_slice(&from[..length]);
            (length, bytes)
        };
        let (read, written) = (at.read + bytes + length, at.written + length);
        Some(Position { read, written, before: LITERALS_BYTES_MIN })
    } else {
        let is_far = at.before == LITERALS_BYTES_MIN;
        let base = if is_far { M2_DISTANCE_BYTES_MAX } else { 0 };
        let distance = (usize::from(head[1]) << 2 | opcode >> 2) + base + 1;
        repeat_8(dst, at.written, distance)?;
        literals_behind(rest, dst, at, 2, 2 + usize::from(is_far), opcode & 3)
    }
}

/// Copies the literals of an instruction of so many `bytes`, which wrote `length`.
#[inline(always)]
fn literals_behind(
    rest: &[u8],
    dst: &mut [u8],
    at: Position,
    bytes: usize,
    length: usize,
    literals: usize,
) -> Option<Position> {
    // Behind as many literals as there can be, there is room for the end.
    let [a, b, c, d, ..] = *rest.get(bytes..)?.first_chunk::<6>()?;
    let written = at.written + length;
    *dst.get_mut(written..)?.first_chunk_mut()? = [a, b, c, d];
    Some(Position {
        read: at.read + bytes + literals,
        written: written + literals,
        before: literals,
    })
}

/// A length, and where it ends.
#[inline(always)]
fn whole_length(rest: &[u8], in_opcode: usize, in_opcode_max: usize) -> Option<(usize, usize)> {
    if in_opcode > 0 {
        return Some((in_opcode, 1));
    }
    let zeros = rest[1..].iter().take(ZERO_BYTES_MAX).position(|byte| *byte > 0)?;
    Some((in_opcode_max + 255 * zeros + usize::from(rest[1 + zeros]), 2 + zeros))
}

/// Writes a match of up to 8 bytes at `to`, where `SLACK_BYTES` are.
#[inline(always)]
fn repeat_8(dst: &mut [u8], to: usize, distance: usize) -> Option<()> {
    let mut bytes = load(dst, to.checked_sub(distance)?)?;
    if distance < 8 {
        bytes = Pattern::new(bytes, distance).bytes();
    }
    store(dst, to, bytes)
}

/// Writes a match at `to`, where `SLACK_BYTES` are.
#[inline(always)]
fn repeat(dst: &mut [u8], to: usize, distance: usize, length: usize) -> Option<()> {
    let from = to.checked_sub(distance)?;
    if length > 16 {
        return repeat_long(dst, to, distance, length);
    }
    if distance >= 8 {
        copy(dst, from, to)?;
        copy(dst, from + 8, to + 8)
    } else {
        let pattern = Pattern::new(load(dst, from)?, distance);
        store(dst, to, pattern.bytes())?;
        store(dst, to + 8, pattern.next().bytes())
    }
}

#[inline(always)]
fn repeat_long(dst: &mut [u8], to: usize, distance: usize, length: usize) -> Option<()> {
    let from = to - distance;
    // Every copy then fits.
    dst.get(to..)?.get(length + 8..)?;
    if distance >= 8 {
        for done in (0..length).step_by(8) {
            copy(dst, from + done, to + done)?;
        }
    } else {
        let mut pattern = Pattern::new(load(dst, from)?, distance);
        for done in (0..length).step_by(8) {
            store(dst, to + done, pattern.bytes())?;
            pattern = pattern.next();
        }
    }
    Some(())
}

#[inline(always)]
fn copy(dst: &mut [u8], from: usize, to: usize) -> Option<()> {
    let bytes = load(dst, from)?;
    store(dst, to, bytes)
}

#[inline(always)]
fn load(dst: &[u8], at: usize) -> Option<[u8; 8]> {
    dst.get(at..)?.first_chunk().copied()
}

#[inline(always)]
fn store(dst: &mut [u8], at: usize, bytes: [u8; 8]) -> Option<()> {
    *dst.get_mut(at..)?.first_chunk_mut()? = bytes;
    Some(())
}

/// An opcode and what a copy of literals reads behind it; a short match and what is written behind.
const SLACK_BYTES: usize = 32;
/// Of a length; more might overflow where addresses are short.
const ZERO_BYTES_MAX: usize = 1 << 16;
