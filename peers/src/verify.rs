//! Whether `page-codec`, the C libraries, flate2 and lz4_flex read each other's streams.

use std::fmt;

use anyhow::{Result, anyhow, ensure};
use fastrand::Rng;
use flate2::{Decompress, FlushDecompress, Status};
use page_codec::deflate::{Decoder, Effort, Encoder};
use page_codec::lz4;

use crate::{IsaLevel, Isal, Libdeflate, Liblz4, Peer, Zlib};

/// Checks page by page, against every library that is installed.
pub struct Verifier {
    encoders: Vec<(&'static str, Encoder)>,
    decoder: Box<Decoder>,
    lz4: Box<lz4::Encoder>,
    /// The strict judge of what is a deflate stream: libdeflate takes more, ISA-L depends on more.
    judge: Option<Zlib>,
    deflate_readers: Vec<Foreign>,
    deflate_writers: Vec<Foreign>,
    lz4_readers: Vec<Foreign>,
    lz4_writers: Vec<Foreign>,
    missing: Vec<String>,
}

/// One direction of a library: from a slice into another, and how much that was.
struct Foreign {
    name: String,
    run: Box<dyn FnMut(&[u8], &mut [u8]) -> Option<usize>>,
}

impl Verifier {
    /// Loads the libraries.
    #[must_use]
    pub fn new() -> Self {
        let encoders = vec![
            ("fixed", Encoder::fixed()),
            ("fixed dense", Encoder::fixed().effort(Effort::Dense)),
            ("dynamic", Encoder::dynamic()),
            ("dynamic dense", Encoder::dynamic().effort(Effort::Dense)),
        ];
        let mut verifier = Self {
            encoders,
            decoder: Box::new(Decoder::new()),
            lz4: Box::new(lz4::Encoder::new()),
            judge: None,
            deflate_readers: vec![Foreign::new("flate2", flate2_reads)],
            deflate_writers: Vec::new(),
            lz4_readers: vec![Foreign::new("lz4_flex", |src, dst| {
                lz4_flex::block::decompress_into(src, dst).ok()
            })],
            lz4_writers: Vec::new(),
            missing: Vec::new(),
        };
        let loaded = [
            verifier.load_zlib(),
            verifier.load_libdeflate(),
            verifier.load_isal(),
            verifier.load_liblz4(),
        ];
        verifier.missing =
            loaded.into_iter().filter_map(Result::err).map(|error| format!("{error:#}")).collect();
        verifier
    }

    /// Why libraries take no part, one reason each.
    #[must_use]
    pub fn missing(&self) -> &[String] {
        &self.missing
    }

    /// Has every reader read every stream and block of `page`.
    ///
    /// # Errors
    /// Somebody does not get `page` back.
    pub fn check(&mut self, page: &[u8]) -> Result<()> {
        for (name, encoder) in &mut self.encoders {
            let stream = encoded(encoder, page)?;
            read_by_all(&mut self.deflate_readers, &stream, page, name)?;
        }
        for writer in &mut self.deflate_writers {
            let stream = writer.make(page)?;
            let data = decoded(&mut self.decoder, &stream, page.len());
            ensure!(data.as_deref() == Some(page), "what {} made is not read", writer.name);
        }
        let mut block = vec![0; page.len() + page.len() / 8 + 64];
        let len = self.lz4.encode(page, &mut block)?;
        read_by_all(&mut self.lz4_readers, &block[..len], page, "lz4")?;
        for writer in &mut self.lz4_writers {
            let (block, mut data) = (writer.make(page)?, vec![0; page.len()]);
            let is_read = lz4::decode(&block, &mut data) == Ok(page.len()) && data == page;
            ensure!(is_read, "what {} made is not read", writer.name);
        }
        Ok(())
    }

    /// Breaks streams of `page`, `flips` times: what zlib takes is taken, and nothing else.
    ///
    /// # Errors
    /// The decoder and zlib disagree.
    pub fn check_flips(&mut self, page: &[u8], rng: &mut Rng, flips: usize) -> Result<()> {
        let mut streams = Vec::new();
        for (_, encoder) in &mut self.encoders {
            streams.push(encoded(encoder, page)?);
        }
        for writer in &mut self.deflate_writers {
            streams.push(writer.make(page)?);
        }
        let Some(judge) = &mut self.judge else { return Ok(()) };
        for _ in 0..flips {
            let mut stream = streams[rng.usize(..streams.len())].clone();
            // Half of them close to the start, where the headers are.
            let most = if rng.bool() { stream.len() } else { stream.len().min(80) };
            for _ in 0..rng.usize(1..4) {
                stream[rng.usize(..most)] ^= 1 << rng.u8(..8);
            }
            let room = if rng.bool() { page.len() } else { 2 * page.len() };
            let here = decoded(&mut self.decoder, &stream, room);
            let there = judged(judge, &stream, room);
            ensure!(here == there, "zlib disagrees about {} into {room}", hex(&stream));
        }
        Ok(())
    }

    fn load_zlib(&mut self) -> Result<()> {
        self.judge = Some(Zlib::open(6)?);
        self.deflate_readers.push(Foreign::reader("zlib", Zlib::open(6)?));
        for level in 0..=9 {
            let name = format!("zlib, level {level}");
            self.deflate_writers.push(Foreign::writer(name, Zlib::open(level)?));
        }
        Ok(())
    }

    fn load_libdeflate(&mut self) -> Result<()> {
        self.deflate_readers.push(Foreign::reader("libdeflate", Libdeflate::open(1)?));
        for level in 0..=12 {
            let name = format!("libdeflate, level {level}");
            self.deflate_writers.push(Foreign::writer(name, Libdeflate::open(level)?));
        }
        Ok(())
    }

    fn load_isal(&mut self) -> Result<()> {
        self.deflate_readers.push(Foreign::reader("ISA-L", Isal::open(IsaLevel::One)?));
        for level in [IsaLevel::Fixed, IsaLevel::One, IsaLevel::Two, IsaLevel::Three] {
            let name = format!("ISA-L, level {level:?}");
            self.deflate_writers.push(Foreign::writer(name, Isal::open(level)?));
        }
        Ok(())
    }

    fn load_liblz4(&mut self) -> Result<()> {
        self.lz4_readers.push(Foreign::reader("liblz4", Liblz4::open(1)?));
        for acceleration in [1, 2, 8, 64, 65537] {
            let name = format!("liblz4, acceleration {acceleration}");
            self.lz4_writers.push(Foreign::writer(name, Liblz4::open(acceleration)?));
        }
        Ok(())
    }
}

impl Default for Verifier {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("missing", &self.missing).finish_non_exhaustive()
    }
}

impl Foreign {
    fn new(
        name: impl Into<String>,
        run: impl FnMut(&[u8], &mut [u8]) -> Option<usize> + 'static,
    ) -> Self {
        Self { name: name.into(), run: Box::new(run) }
    }

    fn reader(name: &str, mut peer: impl Peer + 'static) -> Self {
        Self::new(name, move |src, dst| peer.decompress(src, dst))
    }

    fn writer(name: String, mut peer: impl Peer + 'static) -> Self {
        Self::new(name, move |src, dst| peer.compress(src, dst))
    }

    fn make(&mut self, page: &[u8]) -> Result<Vec<u8>> {
        let mut stream = vec![0; 2 * page.len() + 64];
        let len = (self.run)(page, &mut stream);
        stream.truncate(len.unwrap_or(0));
        ensure!(len.is_some(), "{} makes no stream", self.name);
        Ok(stream)
    }
}

fn flate2_reads(src: &[u8], dst: &mut [u8]) -> Option<usize> {
    let mut decoder = Decompress::new(false);
    let status = decoder.decompress(src, dst, FlushDecompress::Finish).ok()?;
    let is_whole = status == Status::StreamEnd && decoder.total_in() == src.len() as u64;
    is_whole.then_some(decoder.total_out() as usize)
}

fn read_by_all(readers: &mut [Foreign], stream: &[u8], page: &[u8], made_by: &str) -> Result<()> {
    for Foreign { name, run } in readers {
        let mut data = vec![0; page.len()];
        let len = run(stream, &mut data);
        ensure!(len == Some(page.len()) && data == page, "{name} does not read {made_by}");
    }
    Ok(())
}

fn encoded(encoder: &mut Encoder, page: &[u8]) -> Result<Vec<u8>> {
    let mut stream = vec![0; page.len() + page.len() / 8 + 64];
    let len = encoder.encode(page, &mut stream);
    let len = len.map_err(|error| anyhow!("a page does not encode: {error:?}"))?;
    stream.truncate(len);
    Ok(stream)
}

/// The data of a stream that ends where the slice ends.
fn decoded(decoder: &mut Decoder, stream: &[u8], room: usize) -> Option<Vec<u8>> {
    let mut data = vec![0; room];
    let decoded = decoder.decode(stream, &mut data).ok()?;
    data.truncate(decoded.produced);
    (decoded.consumed == stream.len()).then_some(data)
}

/// The same by zlib, which gets a byte more of room to find the end of the stream in.
fn judged(judge: &mut Zlib, stream: &[u8], room: usize) -> Option<Vec<u8>> {
    let mut data = vec![0; room + 1];
    let len = judge.decompress(stream, &mut data)?;
    data.truncate(len);
    (len <= room).then_some(data)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
