//! Values that several commands take.

pub(crate) fn parse_bytes(size: &str) -> Result<u64, String> {
    let bytes = parse_size::Config::new().with_binary().parse_size(size);
    bytes.map_err(|error| error.to_string())
}
