//! The header of a dynamic block: RFC 1951, section 3.2.7.

use super::reader::BitReader;
use super::table::{Entry, Table};
use super::{DecodeErrorKind, Tables};
use crate::deflate::format::{
    DIST_SYMBOLS, END_OF_BLOCK, LITLEN_SYMBOLS, PRECODE_ORDER, PRECODE_SYMBOLS,
};

/// Reads the code lengths behind the type of a dynamic block, and builds their tables.
pub(super) fn read(
    reader: &mut BitReader<'_>,
    tables: &mut Tables,
) -> Result<(), DecodeErrorKind> {
    let litlen_count = reader.take(5)? as usize + 257;
    let dist_count = reader.take(5)? as usize + 1;
    let precode_count = reader.take(4)? as usize + 4;
    if litlen_count > LITLEN_SYMBOLS || dist_count > DIST_SYMBOLS {
        return Err(DecodeErrorKind::Header);
    }
    let mut precode_lengths = [0; PRECODE_SYMBOLS];
    for symbol in &PRECODE_ORDER[..precode_count] {
        precode_lengths[usize::from(*symbol)] = reader.take(3)? as u8;
    }
    let mut precode = PrecodeTable::new();
    if !precode.build(&precode_lengths, PRECODE_MEANINGS) {
        return Err(DecodeErrorKind::Header);
    }
    let mut lengths = [0; LITLEN_SYMBOLS + DIST_SYMBOLS];
    let lengths = &mut lengths[..litlen_count + dist_count];
    read_lengths(reader, &precode, lengths)?;
    let (litlen, dist) = lengths.split_at(litlen_count);
    if litlen[END_OF_BLOCK] == 0 || !tables.build(litlen, dist) {
        return Err(DecodeErrorKind::Header);
    }
    Ok(())
}

fn read_lengths(
    reader: &mut BitReader<'_>,
    precode: &PrecodeTable,
    lengths: &mut [u8],
) -> Result<(), DecodeErrorKind> {
    let mut at = 0;
    while at < lengths.len() {
        reader.refill();
        let entry = precode.look_up(reader.peek());
        if entry.is_exception() {
            return Err(DecodeErrorKind::Header);
        }
        let symbol = entry.value();
        let total_bits = entry.bits();
        if total_bits > reader.count() {
            return Err(DecodeErrorKind::Truncated);
        }
        let extra = entry.number(reader.peek()) - symbol;
        reader.consume(total_bits);
        let (value, run) = match symbol {
            16 => (*at.checked_sub(1).and_then(|at| lengths.get(at)).ok_or(DecodeErrorKind::Header)?, 3 + extra),
            17 => (0, 3 + extra),
            18 => (0, 11 + extra),
            _ => {
                lengths[at] = symbol as u8;
                at += 1;
                continue;
            }
        };
        lengths.get_mut(at..at + run).ok_or(DecodeErrorKind::Header)?.fill(value);
        at += run;
    }
    Ok(())
}

type PrecodeTable = Table<7, 128>;

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
