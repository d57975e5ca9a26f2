//! Foreign decoders of raw deflate: what they read of a stream, and the data, if they take it.

use flate2::{Decompress, FlushDecompress, Status};
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};

/// Decodes by zlib-rs, into `room` bytes.
pub(crate) fn zlib(stream: &[u8], room: usize) -> Option<(usize, Vec<u8>)> {
    // A byte more, since not every library looks for the end of a stream once there is no room.
    let mut data = vec![0; room + 1];
    // A new one each time: a reset does not make one forget an unfinished stream.
    let mut decoder = Decompress::new(false);
    let status = decoder.decompress(stream, &mut data, FlushDecompress::Finish);
    data.truncate(decoder.total_out() as usize);
    let fits = matches!(status, Ok(Status::StreamEnd)) && data.len() <= room;
    fits.then(|| (decoder.total_in() as usize, data))
}

/// Decodes by miniz_oxide, into `room` bytes.
pub(crate) fn miniz(stream: &[u8], room: usize) -> Option<(usize, Vec<u8>)> {
    let mut data = vec![0; room + 1];
    let flags = TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
    let mut decoder = DecompressorOxide::new();
    let (status, read, written) = decompress(&mut decoder, stream, &mut data, 0, flags);
    data.truncate(written);
    (status == TINFLStatus::Done && written <= room).then_some((read, data))
}
