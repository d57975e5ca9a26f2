//! Values that several commands take.

pub(crate) fn parse_bytes(size: &str) -> Result<u64, String> {
    // After the largest number that it can keep, one digit more makes the library panic, or begin
    // at 0 again.
    if size.bytes().filter(u8::is_ascii_digit).count() > DIGITS_OF_U64 {
        return Err(format!("more than {DIGITS_OF_U64} digits"));
    }
    let bytes = parse_size::Config::new().with_binary().parse_size(size);
    bytes.map_err(|error| error.to_string())
}

const DIGITS_OF_U64: usize = 20;

#[cfg(test)]
mod tests {
    use super::parse_bytes;

    #[test]
    fn sizes_beyond_64_bits_are_refused() {
        assert_eq!(parse_bytes("18446744073709551615"), Ok(u64::MAX));
        for size in ["18446744073709551616", "184467440737095516155", "1844674407370955161.59e1"] {
            assert!(parse_bytes(size).is_err(), "{size}");
        }
    }
}
