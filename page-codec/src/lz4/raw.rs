//! Most of a block, decoded without bounds checks; the one unsafe leaf of this codec.
//!
//! Copies have fixed lengths and write more than they need, so sequences must be far from the ends
//! of both slices. Everything else is left to the caller: sequences near an end, and errors.
//!
//! Pages decode at 1.02 times the speed of liblz4 with this, at 0.86 times with checked accesses in
//! its place. Three things count: few branches that depend on data, no load of bytes that were just
//! written in other pieces, for it waits until they are in the cache, and pointers for positions.

#![allow(unsafe_code)]

use super::format::{LENGTH_IN_TOKEN_BYTES_MAX, MATCH_BYTES_MIN};
use crate::pattern::Pattern;

/// Decodes sequences until one needs care; tells how much was read and how much was written.
///
/// The sequence that needs care was not read. `dst` may be overwritten beyond what was written.
#[inline(never)]
pub(super) fn decode_far(src: &[u8], dst: &mut [u8]) -> (usize, usize) {
    if src.len() < SLACK_BYTES || dst.len() < SLACK_BYTES {
        return (0, 0);
    }
    let (start, dst_start) = (src.as_ptr(), dst.as_mut_ptr());
    // SAFETY: both slices are at least so long.
    let (last, src_slack, dst_slack) = unsafe {
        let src_end = start.add(src.len());
        let dst_end = dst_start.add(dst.len());
        (src_end.sub(SEQUENCE_BYTES), src_end.sub(SLACK_BYTES), dst_end.sub(SLACK_BYTES))
    };
    let (mut next, mut written) = (start, dst_start);
    while next <= last && written <= dst_slack {
        // SAFETY: from `next` on, `SEQUENCE_BYTES` are in `src`, and `SLACK_BYTES` at `written` in
        // `dst`. Short literals, an offset and a byte of a length are within them. Behind longer
        // literals there are `SLACK_BYTES` again, in both. So a short match has room for 16 bytes
        // anyway; for a long one, the room is measured.
        unsafe {
            let token = usize::from(*next);
            let mut read = next.add(1);
            let mut to = written;
            let literals = token >> 4;
            if literals < LENGTH_IN_TOKEN_BYTES_MAX {
                copy::<16>(read, to);
                read = read.add(literals);
                to = to.add(literals);
            } else {
                let Some((length, from)) = whole_length(literals, read, src_slack) else { break };
                if !fits(length, from, src_slack) || !fits(length, to, dst_slack) {
                    break;
                }
                copy_literals(from, to, length);
                read = from.add(length);
                to = to.add(length);
            }
            let offset = usize::from(u16::from_le_bytes(read.cast::<[u8; 2]>().read()));
            read = read.add(2);
            // Zero wraps to the largest.
            if offset.wrapping_sub(1) >= to.offset_from_unsigned(dst_start) {
                break;
            }
            let in_token = token & LENGTH_IN_TOKEN_BYTES_MAX;
            let mut length = in_token + MATCH_BYTES_MIN;
            if length <= SHORT_MATCH_BYTES_MAX {
                copy_short_match(offset, to, length);
            } else {
                if in_token == LENGTH_IN_TOKEN_BYTES_MAX {
                    let Some(whole) = whole_length(length, read, src_slack) else { break };
                    (length, read) = whole;
                }
                if !fits(length, to, dst_slack) {
                    break;
                }
                copy_long_match(offset, to, length);
            }
            next = read;
            written = to.add(length);
        }
    }
    // SAFETY: both are where their slices start, or behind.
    unsafe { (next.offset_from_unsigned(start), written.offset_from_unsigned(dst_start)) }
}

/// Whether `at + length` is not beyond `slack`.
#[inline(always)]
fn fits(length: usize, at: *const u8, slack: *const u8) -> bool {
    at <= slack && length <= slack as usize - at as usize
}

/// The length that goes on at `read`, and where it ends; `None` beyond `slack`.
///
/// # Safety
/// A byte can be read at `read`, and bytes from there to `slack` and at it.
#[inline(always)]
unsafe fn whole_length(
    mut length: usize,
    mut read: *const u8,
    slack: *const u8,
) -> Option<(usize, *const u8)> {
    loop {
        // SAFETY: the first byte is the caller's; before each other one, `slack` was compared.
        let byte = unsafe { *read };
        // SAFETY: the byte was there.
        read = unsafe { read.add(1) };
        length += usize::from(byte);
        if byte != 255 {
            return Some((length, read));
        }
        if read > slack || length > LENGTH_BYTES_MAX {
            return None;
        }
    }
}

/// # Safety
/// `length` and `SLACK_BYTES` can be read at `from` and be written at `to`.
#[inline(always)]
unsafe fn copy_literals(from: *const u8, to: *mut u8, length: usize) {
    let mut done = 0;
    loop {
        // SAFETY: `done` is at most `length`, and `SLACK_BYTES` are behind it.
        unsafe { copy::<32>(from.add(done), to.add(done)) };
        done += 32;
        if done >= length {
            return;
        }
    }
}

/// # Safety
/// There are `offset` bytes before `to`, one at least, and 16 can be written at it.
#[inline(always)]
unsafe fn copy_short_match(offset: usize, to: *mut u8, length: usize) {
    // SAFETY: 16 bytes from `from` on end before 16 bytes from `to` on.
    unsafe {
        let from = to.sub(offset);
        if offset >= 8 {
            // Most matches need one copy. The other one then repeats the load, lest it waits.
            let second = if length > 8 { from.add(8) } else { from };
            copy::<8>(from, to);
            copy::<8>(second, to.add(8));
        } else {
            let pattern = Pattern::new(from.cast::<[u8; 8]>().read(), offset);
            store(pattern.bytes(), to);
            store(pattern.next().bytes(), to.add(8));
        }
    }
}

/// # Safety
/// There are `offset` bytes before `to`, one at least; `length` and `SLACK_BYTES` can be written.
#[inline(always)]
unsafe fn copy_long_match(offset: usize, to: *mut u8, length: usize) {
    let mut done = 0;
    // SAFETY: `done` is at most `length`, and `SLACK_BYTES` are behind it. What is read ends before
    // what is written.
    unsafe {
        let from = to.sub(offset);
        if offset >= 8 {
            while done < length {
                for at in [done, done + 8, done + 16, done + 24] {
                    copy::<8>(from.add(at), to.add(at));
                }
                done += 32;
            }
        } else {
            let mut pattern = Pattern::new(from.cast::<[u8; 8]>().read(), offset);
            while done < length {
                store(pattern.bytes(), to.add(done));
                pattern = pattern.next();
                done += 8;
            }
        }
    }
}

/// # Safety
/// `N` bytes can be read at `from` and be written at `to`.
#[inline(always)]
unsafe fn copy<const N: usize>(from: *const u8, to: *mut u8) {
    // SAFETY: the caller's; an array of bytes needs no alignment.
    unsafe { store(from.cast::<[u8; N]>().read(), to) };
}

/// # Safety
/// `N` bytes can be written at `to`.
#[inline(always)]
unsafe fn store<const N: usize>(bytes: [u8; N], to: *mut u8) {
    // SAFETY: the caller's; an array of bytes needs no alignment.
    unsafe { to.cast::<[u8; N]>().write(bytes) };
}

/// The token, 14 literals, an offset and a byte of a length; also the token and a copy of 16.
const SEQUENCE_BYTES: usize = 18;
/// The longest copy; also 14 literals and a short match.
const SLACK_BYTES: usize = 32;
/// Two copies of 8 bytes.
const SHORT_MATCH_BYTES_MAX: usize = 16;
/// Beyond this, a sum might overflow.
const LENGTH_BYTES_MAX: usize = usize::MAX / 2;
