//! Symbol by symbol: every check where it belongs.

use super::reader::BitReader;
use super::table::{END, Entry, LONG, Table, Tables};
use super::{DecodeErrorKind, Output};
use crate::deflate::format::CODE_BITS_MAX;

/// Decodes up to the end of a block, or, where it has none, until the destination is full. After an
/// error, `reader` stands before the symbol.
pub(super) fn block(
    reader: &mut BitReader<'_>,
    output: &mut Output<'_>,
    tables: &Tables,
    has_end: bool,
) -> Result<(), DecodeErrorKind> {
    while has_end || output.produced < output.dst.len() {
        let mut bits = reader.clone();
        let entry = word(&mut bits, &tables.litlen)?;
        if entry.is_literal() {
            let to = output.dst.get_mut(output.produced).ok_or(DecodeErrorKind::DstTooSmall)?;
            *to = entry.byte();
            output.produced += 1;
            bits.consume(entry.bits());
        } else if entry.is_exception() {
            bits.consume(entry.bits());
            *reader = bits;
            return Ok(());
        } else {
            let bytes = entry.number(bits.peek());
            bits.consume(entry.bits());
            let entry = word(&mut bits, &tables.dist)?;
            let distance = entry.number(bits.peek());
            bits.consume(entry.bits());
            copy(output, distance, bytes)?;
        }
        *reader = bits;
    }
    Ok(())
}

/// The next code word, which is there with its extra bits, and means something.
fn word<const BITS: u32, const SIZE: usize>(
    bits: &mut BitReader<'_>,
    table: &Table<BITS, SIZE>,
) -> Result<Entry, DecodeErrorKind> {
    bits.refill();
    let mut entry = table.look_up(bits.peek());
    if entry.is_exception() && entry.value() == LONG {
        entry = table.look_up_long(bits.peek());
    }
    if entry.is_exception() && entry.value() != END {
        // Zeros stand for the bits that are not there: with them it may be another word, unless it
        // is a whole one that must not occur.
        let word_bits = if entry.word_bits() > 0 { entry.word_bits() } else { CODE_BITS_MAX };
        let is_cut_off = bits.count() < word_bits;
        return Err(if is_cut_off { DecodeErrorKind::Truncated } else { DecodeErrorKind::Symbol });
    }
    if entry.bits() > bits.count() {
        return Err(DecodeErrorKind::Truncated);
    }
    Ok(entry)
}

fn copy(output: &mut Output<'_>, distance: usize, bytes: usize) -> Result<(), DecodeErrorKind> {
    let at = output.produced;
    if distance > output.window_bytes {
        return Err(DecodeErrorKind::DistanceBeyondWindow);
    }
    let from = at.checked_sub(distance).ok_or(DecodeErrorKind::DistanceTooFar)?;
    let data = output.dst.get_mut(from..at + bytes).ok_or(DecodeErrorKind::DstTooSmall)?;
    // What is copied grows by itself, so that each step may copy all that there is.
    let mut done = distance;
    while done < data.len() {
        let step = done.min(data.len() - done);
        data.copy_within(..step, done);
        done += step;
    }
    output.produced += bytes;
    Ok(())
}
