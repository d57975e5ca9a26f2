//! Our streams are read by other libraries, and theirs by us; and the parameters do what they say.

#![allow(dead_code, unused_imports, reason = "with fewer drivers, fewer helpers are used")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "test helpers are like tests")]

use std::num::NonZeroUsize;

use acomp_algs as _;
use acomp_core::{Acomp, Error, OpenError, Params, Registry};
use acomp_testmgr::Content;

#[cfg(feature = "deflate")]
mod deflate {
    use miniz_oxide::deflate::compress_to_vec;
    use miniz_oxide::inflate::TINFLStatus;
    use miniz_oxide::inflate::core::inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
    use miniz_oxide::inflate::core::{DecompressorOxide, decompress};
    use miniz_oxide::inflate::decompress_to_vec;

    use super::*;

    #[test]
    fn pages_without_parameters_have_drivers_of_their_own() {
        assert_eq!(open("deflate", Params::new()).driver(), "deflate-page");
        assert_eq!(open("deflate", Params::new().with_level(6)).driver(), "deflate-flate2");
    }

    #[test]
    fn miniz_reads_every_level() {
        for level in 0..=9 {
            let deflate = open("deflate", Params::new().with_level(level));
            for source in sources() {
                assert_miniz_reads(&deflate, &source, &format!("level {level}"));
            }
        }
    }

    #[test]
    fn miniz_reads_streams_of_pages() {
        for deflate in ["deflate-page", "deflate-page-fixed"].map(|name| open(name, Params::new()))
        {
            for source in sources() {
                assert_miniz_reads(&deflate, &source, deflate.driver());
            }
        }
    }

    #[test]
    fn drivers_read_each_other() {
        assert_read_each_other(&DRIVERS);
    }

    #[test]
    fn streams_of_miniz_are_read() {
        let drivers = DRIVERS.map(|name| open(name, Params::new()));
        for source in sources() {
            for level in 0..=10 {
                let stream = compress_to_vec(&source.data, level);
                for driver in &drivers {
                    assert_unpacks(driver, &stream, &source, &format!("miniz level {level}"));
                }
            }
        }
    }

    #[test]
    fn drivers_for_pages_differ_in_the_type_of_their_blocks() {
        let text = page(Content::Text, 1);
        for (name, expected) in [("deflate-page", 0b10), ("deflate-page-fixed", 0b01)] {
            let stream = packed(&open(name, Params::new()), &text);
            assert_eq!(stream[0] >> 1 & 0b11, expected, "{name}");
        }
    }

    /// miniz has no dictionaries, but a history to begin with is the same.
    #[test]
    fn miniz_reads_streams_with_a_dictionary_as_its_history() {
        let dictionary = page(Content::Text, 100);
        let deflate = open("deflate", Params::new().with_dictionary(dictionary.clone()));
        for source in sources() {
            let stream = packed(&deflate, &source.data);
            let mut history = dictionary.clone();
            history.resize(dictionary.len() + source.data.len(), 0);
            let flags = TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
            let mut inflater = DecompressorOxide::new();
            let (status, _, len) =
                decompress(&mut inflater, &stream, &mut history, dictionary.len(), flags);
            assert_eq!((status, len), (TINFLStatus::Done, source.data.len()), "{}", source.name);
            assert!(history[dictionary.len()..] == source.data, "{}", source.name);
        }
    }

    #[test]
    fn a_window_bounds_the_distances() {
        let far = far_repeats();
        let whole = open("deflate-flate2", Params::new());
        assert_ne!(inflate_in_window(&packed(&whole, &far.data), 4096), Some(far.data));

        for bits in 9..=15 {
            let window = 1 << bits;
            let params = Params::new().with_window_bytes(NonZeroUsize::new(window).unwrap());
            let narrow = open("deflate", params);
            for source in sources().into_iter().chain([far_repeats()]) {
                let stream = packed(&narrow, &source.data);
                let name = format!("{}, window of {window} bytes", source.name);
                assert!(inflate_in_window(&stream, window) == Some(source.data.clone()), "{name}");
                assert_unpacks(&narrow, &stream, &source, &name);
                assert_unpacks(&whole, &stream, &source, &name);
            }
        }
    }

    #[test]
    fn more_effort_makes_less() {
        assert_effort_pays("deflate", &[1, 9]);
    }

    #[test]
    fn a_dictionary_helps_and_is_needed() {
        assert_dictionary_matters("deflate-flate2");
    }

    #[test]
    fn impossible_parameters_are_refused() {
        assert_refuses("deflate", Params::new().with_level(-1), "level");
        assert_refuses("deflate", Params::new().with_level(10), "level");
        for window in [1, 256, 5000, 65536] {
            let window = NonZeroUsize::new(window).unwrap();
            assert_refuses("deflate", Params::new().with_window_bytes(window), "window_bytes");
        }
        assert_refuses("deflate", Params::new().with("strategy", "rle"), "strategy");
    }

    #[track_caller]
    fn assert_miniz_reads(deflate: &Acomp, source: &Source, what: &str) {
        let read = decompress_to_vec(&packed(deflate, &source.data)).ok();
        assert!(read.as_ref() == Some(&source.data), "{what}, {}", source.name);
    }

    /// Reads a stream with no more history than `window` bytes, a power of two.
    fn inflate_in_window(stream: &[u8], window: usize) -> Option<Vec<u8>> {
        let (mut inflater, mut history) = (DecompressorOxide::new(), vec![0; window]);
        let (mut data, mut rest, mut at) = (Vec::new(), stream, 0);
        loop {
            let (status, read, len) = decompress(&mut inflater, rest, &mut history, at, 0);
            data.extend(&history[at..at + len]);
            rest = &rest[read..];
            at = (at + len) % window;
            match status {
                TINFLStatus::HasMoreOutput => {}
                TINFLStatus::Done => return Some(data),
                _ => return None,
            }
        }
    }

    const DRIVERS: [&str; 3] = ["deflate-page", "deflate-page-fixed", "deflate-flate2"];
}

#[cfg(all(feature = "lz4", feature = "lz4hc"))]
mod lz4 {
    use super::*;

    #[test]
    fn pages_have_a_driver_of_their_own() {
        assert_eq!(open("lz4", Params::new()).driver(), "lz4-page");
    }

    #[test]
    fn liblz4_reads_blocks_of_every_driver() {
        for lz4 in ["lz4-page", "lz4-flex"].map(|name| open(name, Params::new())) {
            for source in sources() {
                let stream = packed(&lz4, &source.data);
                let mut read = vec![0; source.data.len()];
                let len = lzzzz::lz4::decompress(&stream, &mut read);
                let name = format!("{}, {}", lz4.driver(), source.name);
                assert_eq!(len.ok(), Some(source.data.len()), "{name}");
                assert!(read == source.data, "{name}");
            }
        }
    }

    #[test]
    fn drivers_read_each_other() {
        assert_read_each_other(&DRIVERS);
    }

    #[test]
    fn every_decoder_reads_every_level_of_lz4hc() {
        let drivers = ["lz4-page", "lz4-flex"].map(|name| open(name, Params::new()));
        for level in 1..=12 {
            let lz4hc = open("lz4hc", Params::new().with_level(level));
            for source in sources() {
                let stream = packed(&lz4hc, &source.data);
                for lz4 in &drivers {
                    assert_unpacks(lz4, &stream, &source, &format!("lz4hc level {level}"));
                }
                let mut read = vec![0; source.data.len()];
                let len = lzzzz::lz4::decompress(&stream, &mut read);
                assert_eq!(len.ok(), Some(source.data.len()), "level {level}, {}", source.name);
                assert!(read == source.data, "level {level}, {}", source.name);
            }
        }
    }

    #[test]
    fn blocks_of_the_other_library_are_read() {
        let drivers = DRIVERS.map(|name| open(name, Params::new()));
        for source in sources() {
            let mut fast = Vec::new();
            lzzzz::lz4::compress_to_vec(&source.data, &mut fast, 1).unwrap();
            if source.data.is_empty() {
                fast = vec![0]; // The binding writes no block at all.
            }
            let flex = lz4_flex::block::compress(&source.data);
            for driver in &drivers {
                assert_unpacks(driver, &fast, &source, "liblz4");
                assert_unpacks(driver, &flex, &source, "lz4_flex");
            }
        }
    }

    #[test]
    fn both_libraries_agree_on_dictionaries() {
        let dictionary = page(Content::Text, 100);
        let lz4hc = open("lz4hc", Params::new().with_dictionary(dictionary.clone()));
        for source in sources() {
            let stream = packed(&lz4hc, &source.data);
            let mut read = vec![0; source.data.len()];
            let len = lzzzz::lz4::decompress_with_dict(&stream, &mut read, &dictionary);
            assert_eq!(len.ok(), Some(source.data.len()), "{}", source.name);
            assert!(read == source.data, "{}", source.name);

            let flex = lz4_flex::block::compress_with_dict(&source.data, &dictionary);
            assert_unpacks(&lz4hc, &flex, &source, "lz4_flex with a dictionary");
        }
    }

    #[test]
    fn more_effort_makes_less() {
        assert_effort_pays("lz4hc", &[3, 12]);
    }

    #[test]
    fn a_dictionary_helps_and_is_needed() {
        assert_dictionary_matters("lz4hc");
    }

    #[test]
    fn impossible_parameters_are_refused() {
        assert_refuses("lz4", Params::new().with_level(1), "level");
        assert_refuses("lz4", Params::new().with_dictionary(&b"words"[..]), "dictionary");
        assert_refuses("lz4hc", Params::new().with_level(0), "level");
        assert_refuses("lz4hc", Params::new().with_level(13), "level");
        assert_refuses("lz4hc", Params::new().with_window_bytes(PAGE), "window_bytes");
    }

    const DRIVERS: [&str; 3] = ["lz4-page", "lz4-flex", "lz4hc"];
}

#[cfg(feature = "lzo")]
mod lzo {
    use super::*;

    #[test]
    fn lzokay_reads_plain_streams() {
        let lzo = open("lzo", Params::new());
        for source in sources() {
            let mut read = vec![0; source.data.len()];
            let len = lzokay::decompress::decompress(&packed(&lzo, &source.data), &mut read);
            assert_eq!(len.ok(), Some(source.data.len()), "{}", source.name);
            assert!(read == source.data, "{}", source.name);
        }
    }

    #[test]
    fn drivers_read_each_other() {
        assert_read_each_other(&DRIVERS);
    }

    #[test]
    fn streams_of_lzokay_are_read() {
        let drivers = DRIVERS.map(|name| open(name, Params::new()));
        // Of nothing it makes no stream that its own decoder reads.
        for source in sources().into_iter().filter(|source| !source.data.is_empty()) {
            let stream = lzokay::compress::compress(&source.data).unwrap();
            for driver in &drivers {
                assert_unpacks(driver, &stream, &source, "lzokay");
            }
        }
    }

    #[test]
    fn runs_of_zeros_have_a_version() {
        let zeros = [7, 0, 0, 0, 0, 0, 0, 0, 0];
        let (plain, runs) = (open("lzo", Params::new()), open("lzo-rle", Params::new()));
        assert!(!packed(&plain, &zeros).starts_with(&[17, 1]));
        assert!(packed(&runs, &zeros).starts_with(&[17, 1]));
    }

    #[test]
    fn impossible_parameters_are_refused() {
        for name in ["lzo", "lzo-rle"] {
            assert_refuses(name, Params::new().with_level(1), "level");
            assert_refuses(name, Params::new().with_dictionary(&b"words"[..]), "dictionary");
        }
    }

    const DRIVERS: [&str; 2] = ["lzo-page", "lzo-rle-page"];
}

/// There is no other implementation to ask but the kernel's, whose streams are known ones of the
/// conformance suite.
#[cfg(feature = "842")]
mod e842 {
    use super::*;

    #[test]
    fn impossible_parameters_are_refused() {
        assert_refuses("842", Params::new().with_level(1), "level");
        assert_refuses("842", Params::new().with_dictionary(&b"words"[..]), "dictionary");
    }
}

#[cfg(feature = "zstd")]
mod zstd {
    use ruzstd::decoding::FrameDecoder;
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    use super::*;

    #[test]
    fn ruzstd_reads_every_level() {
        for level in [-100, -5, -1, 1, 2, 3, 5, 9, 15, 19, 22] {
            let zstd = open("zstd", Params::new().with_level(level));
            for source in sources() {
                let stream = packed(&zstd, &source.data);
                let read = read_by_ruzstd(&stream, source.data.len(), u64::MAX);
                assert!(read == Some(source.data), "level {level}, {}", source.name);
            }
        }
    }

    #[test]
    fn frames_of_ruzstd_are_read() {
        let zstd = open("zstd", Params::new());
        for source in sources() {
            for level in [CompressionLevel::Uncompressed, CompressionLevel::Fastest] {
                let stream = compress_to_vec(&*source.data, level);
                assert_unpacks(&zstd, &stream, &source, "ruzstd");
            }
        }
    }

    #[test]
    fn a_window_bounds_what_a_reader_must_keep() {
        let far = far_repeats();
        let whole = packed(&open("zstd", Params::new()), &far.data);
        assert_eq!(read_by_ruzstd(&whole, far.data.len(), 1024), None);

        let window = NonZeroUsize::new(1024).unwrap();
        let narrow = open("zstd", Params::new().with_window_bytes(window));
        let stream = packed(&narrow, &far.data);
        assert!(read_by_ruzstd(&stream, far.data.len(), 1024) == Some(far.data.clone()));
        assert_unpacks(&narrow, &stream, &far, "window of 1024 bytes");
    }

    #[test]
    fn more_effort_makes_less() {
        assert_effort_pays("zstd", &[-5, 1, 19]);
    }

    #[test]
    fn a_dictionary_helps_and_is_needed() {
        assert_dictionary_matters("zstd");
    }

    #[test]
    fn impossible_parameters_are_refused() {
        assert_refuses("zstd", Params::new().with_level(23), "level");
        for window in [512, 5000, 1 << 28] {
            let window = NonZeroUsize::new(window).unwrap();
            assert_refuses("zstd", Params::new().with_window_bytes(window), "window_bytes");
        }
        let both = Params::new().with_window_bytes(PAGE).with_dictionary(&b"words"[..]);
        assert_refuses("zstd", both, "window_bytes");
    }

    /// The decoder accepts no window above `window_max` bytes.
    fn read_by_ruzstd(stream: &[u8], len: usize, window_max: u64) -> Option<Vec<u8>> {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(window_max);
        let mut data = vec![0; len];
        (decoder.decode_all(stream, &mut data).ok()? == len).then_some(data)
    }
}

#[cfg(feature = "null")]
#[test]
fn null_copies() {
    for source in sources() {
        assert_eq!(packed(&open("null", Params::new()), &source.data), source.data);
    }
    assert_refuses("null", Params::new().with_level(1), "level");
}

struct Source {
    name: String,
    data: Vec<u8>,
}

/// Nothing, pages of every content, and one long source.
fn sources() -> Vec<Source> {
    let mut sources = vec![Source { name: "nothing".into(), data: vec![] }];
    for content in Content::ALL {
        for seed in 0..4 {
            let name = format!("{content}, seed {seed}, 4096 bytes");
            sources.push(Source { name, data: page(*content, seed) });
        }
    }
    let mut data = vec![0; 65536];
    Content::Structured.fill(5, &mut data);
    sources.push(Source { name: "structured, seed 5, 65536 bytes".into(), data });
    let data = (0..20).flat_map(|seed| page(Content::Text, seed)).collect();
    sources.push(Source { name: "text, 81920 bytes".into(), data });
    sources
}

fn page(content: Content, seed: u64) -> Vec<u8> {
    let mut page = vec![0; PAGE.get()];
    content.fill(seed, &mut page);
    page
}

/// Only who looks back further than 4096 bytes can make it smaller.
fn far_repeats() -> Source {
    let data = [1, 2].map(|seed| page(Content::Random, seed)).concat().repeat(8);
    Source { name: "8192 random bytes, 8 times".into(), data }
}

#[track_caller]
fn open(name: &str, params: Params) -> Acomp {
    Acomp::alloc_in(Registry::global(), name, params).unwrap()
}

#[track_caller]
fn packed(acomp: &Acomp, data: &[u8]) -> Vec<u8> {
    let mut stream = vec![0; 2 * data.len() + 1024];
    let len = acomp.compress(data, &mut stream).unwrap();
    stream.truncate(len);
    stream
}

fn unpacked(acomp: &Acomp, stream: &[u8], data_bytes: usize) -> Result<Vec<u8>, Error> {
    let mut data = vec![0; data_bytes];
    let len = acomp.decompress(stream, &mut data)?;
    data.truncate(len);
    Ok(data)
}

#[track_caller]
fn assert_unpacks(acomp: &Acomp, stream: &[u8], source: &Source, what: &str) {
    let data = unpacked(acomp, stream, source.data.len());
    assert!(data.as_ref() == Ok(&source.data), "{}, {}: {what}", acomp.driver(), source.name);
}

#[track_caller]
fn assert_read_each_other(names: &[&str]) {
    for writer in names.iter().map(|name| open(name, Params::new())) {
        for source in sources() {
            let stream = packed(&writer, &source.data);
            for reader in names.iter().map(|name| open(name, Params::new())) {
                assert_unpacks(&reader, &stream, &source, writer.driver());
            }
        }
    }
}

/// Sum of the streams of some pages that compress.
fn packed_bytes(acomp: &Acomp) -> usize {
    let pages =
        (0..16).flat_map(|seed| [Content::Text, Content::Structured].map(|c| page(c, seed)));
    pages.map(|page| packed(acomp, &page).len()).sum()
}

#[track_caller]
fn assert_effort_pays(name: &str, levels: &[i32]) {
    let sizes =
        levels.iter().map(|&level| packed_bytes(&open(name, Params::new().with_level(level))));
    let sizes: Vec<_> = sizes.collect();
    assert!(sizes.is_sorted_by(|more, less| more > less), "{name}, {levels:?}: {sizes:?}");
}

/// Equal dictionaries read each other's streams, others do not get the data.
#[track_caller]
fn assert_dictionary_matters(name: &str) {
    let plain = open(name, Params::new());
    let with = |bytes| open(name, Params::new().with_dictionary(bytes));
    let (one, same) = (with(page(Content::Text, 1)), with(page(Content::Text, 1)));
    let other = with(page(Content::Text, 2));
    for source in sources() {
        let stream = packed(&one, &source.data);
        assert_unpacks(&same, &stream, &source, "with an equal dictionary");
    }
    // Data that is in the dictionary is referred to, which only the dictionary resolves.
    let data = page(Content::Text, 1)[500..1500].to_vec();
    let stream = packed(&one, &data);
    assert!(stream.len() < 50 && 50 < packed(&plain, &data).len(), "{name}: {}", stream.len());
    for without in [&plain, &other] {
        assert_ne!(unpacked(without, &stream, data.len()), Ok(data.clone()), "{name}");
    }
}

#[track_caller]
fn assert_refuses(name: &str, params: Params, refused: &str) {
    match Acomp::alloc_in(Registry::global(), name, params) {
        Err(OpenError::InvalidParam { param, .. }) => assert_eq!(&*param, refused),
        other => panic!("{name}: {refused} is not refused: {other:?}"),
    }
}

const PAGE: NonZeroUsize = NonZeroUsize::new(4096).unwrap();
