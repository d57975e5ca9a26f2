//! The header of a dynamic block: RFC 1951, section 3.2.7.

use super::DecodeErrorKind;
use super::reader::BitReader;
use super::table::{Completeness, Entry, PrecodeTable, Tables};
use crate::deflate::format::{
    DIST_SYMBOLS, END_OF_BLOCK, LITLEN_SYMBOLS, PRECODE_ORDER, PRECODE_SYMBOLS,
};

/// Reads the code lengths behind the type of a dynamic block, and builds their tables.
pub(super) fn read(reader: &mut BitReader<'_>, tables: &mut Tables) -> Result<(), DecodeErrorKind> {
    let litlen_count = reader.take(5)? as usize + 257;
    let dist_count = reader.take(5)? as usize + 1;
    let precode_count = reader.take(4)? as usize + 4;
    if litlen_count > LITLEN_SYMBOLS || dist_count > DIST_SYMBOLS {
        return Err(DecodeErrorKind::CodeLengths);
    }
    let mut precode_lengths = [0; PRECODE_SYMBOLS];
    for symbol in &PRECODE_ORDER[..precode_count] {
        precode_lengths[usize::from(*symbol)] = reader.take(3)? as u8;
    }
    if tables.precode.build(&precode_lengths, PRECODE_MEANINGS) != Completeness::Complete {
        return Err(DecodeErrorKind::CodeLengths);
    }
    let mut lengths = [0; LENGTHS_BYTES];
    let count = litlen_count + dist_count;
    read_lengths(reader, &tables.precode, count, &mut lengths)?;
    let (litlen, dist) = lengths[..count].split_at(litlen_count);
    if litlen[END_OF_BLOCK] == 0 || tables.build(litlen, dist) > Completeness::OneBit {
        return Err(DecodeErrorKind::CodeLengths);
    }
    Ok(())
}

#[inline(always)]
fn read_lengths(
    reader: &mut BitReader<'_>,
    precode: &PrecodeTable,
    count: usize,
    lengths: &mut [u8; LENGTHS_BYTES],
) -> Result<(), DecodeErrorKind> {
    let mut at = 0;
    let mut bits = reader.clone();
    let result = loop {
        if at >= count {
            break if at == count { Ok(()) } else { Err(DecodeErrorKind::CodeLengths) };
        }
        if !bits.refill_fast() {
            bits = bits.refilled_at_end();
        }
        let entry = precode.look_up(bits.peek());
        let symbol = entry.value();
        if entry.bits() > bits.count() {
            break Err(DecodeErrorKind::Truncated);
        }
        if symbol == 16 && at == 0 {
            break Err(DecodeErrorKind::CodeLengths);
        }
        let extra = entry.number(bits.peek()) - symbol;
        bits.consume(entry.bits());
        if symbol < 16 {
            lengths[at] = symbol as u8;
            at += 1;
            continue;
        }
        let value = if symbol == 16 { lengths[at - 1] } else { 0 };
        let run = extra + if symbol == 18 { 11 } else { 3 };
        // Most runs are short.
        lengths[at..at + 16].fill(value);
        if run > 16 {
            lengths[at + 16..at + run].fill(value);
        }
        at += run;
    };
    *reader = bits;
    result
}

/// Room for all lengths, and for a run that starts at the last of them.
const LENGTHS_BYTES: usize = 512;

/// The symbols themselves, with their extra bits.
const PRECODE_MEANINGS: &[Entry; PRECODE_SYMBOLS] = &{
    let mut entries = [Entry::new(0, 0); PRECODE_SYMBOLS];
    let mut symbol = 0;
    while symbol < entries.len() {
        let extra_bits = match symbol {
            16 => 2,
            17 => 3,
            18 => 7,
            _ => 0,
        };
        entries[symbol] = Entry::new(symbol, extra_bits);
        symbol += 1;
    }
    entries
};
