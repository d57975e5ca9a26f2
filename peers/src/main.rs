//! Measures `page-codec` beside the C libraries: interleaved, on one CPU, on files of raw pages.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use page_codec::{Page, deflate, lz4};
use peers::{IsaLevel, Isal, Libdeflate, Liblz4, Peer, package_version};
use serde_json::{Value, json};

/// Measures page-codec beside the C libraries that are installed.
#[derive(Parser)]
struct Options {
    /// Files of raw 4096-byte pages.
    #[arg(long, num_args = 1.., required = true, value_name = "FILE")]
    pages: Vec<PathBuf>,
    /// Only contests whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
    /// The CPU to run on.
    #[arg(long, default_value_t = 1)]
    cpu: usize,
    /// Rounds whose median counts.
    #[arg(long, default_value_t = 11)]
    rounds: usize,
    /// Prints JSON.
    #[arg(long)]
    json: bool,
}

type Codec = Box<dyn FnMut(&[Vec<u8>]) -> Vec<usize>>;

/// Candidates that do the same work; the first is the one that the others are compared with.
struct Contest {
    name: &'static str,
    corpora: Vec<Vec<Vec<u8>>>,
    candidates: Vec<(String, Codec)>,
}

fn main() -> Result<()> {
    let options = Options::parse();
    pin(options.cpu)?;
    let pages = options.pages.iter().map(read).collect::<Result<Vec<_>>>()?;
    let mut rows = Vec::new();
    for mut contest in contests(&pages)? {
        if contest.name.contains(&options.only) {
            rows.extend(run(&mut contest, options.rounds, options.json));
        }
    }
    if options.json {
        println!("{}", serde_json::to_string_pretty(&rows)?);
    }
    Ok(())
}

fn pin(cpu: usize) -> Result<()> {
    let mut set = rustix::thread::CpuSet::new();
    set.set(cpu);
    rustix::thread::sched_setaffinity(None, &set).with_context(|| format!("no CPU {cpu}"))
}

fn read(file: &PathBuf) -> Result<Vec<Vec<u8>>> {
    let bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let pages: Vec<_> = bytes.as_chunks::<PAGE_BYTES>().0.iter().map(|page| page.to_vec()).collect();
    ensure!(!pages.is_empty(), "{} holds no page", file.display());
    Ok(pages)
}

fn contests(pages: &[Vec<Vec<u8>>]) -> Result<Vec<Contest>> {
    let mut rng = fastrand::Rng::with_seed(1);
    let random: Vec<Vec<u8>> = (0..1024).map(|_| (0..PAGE_BYTES).map(|_| rng.u8(..)).collect()).collect();
    let fixed_streams = encoded(pages, || Isal::open(IsaLevel::Fixed))?;
    let dynamic_streams = encoded(pages, || Libdeflate::open(6))?;
    let lz4_blocks = encoded(pages, || Liblz4::open(1))?;
    let pages = || pages.to_vec();
    let isal = |level| compressing("isal", "libisal2", Isal::open(level));
    Ok(vec![
        Contest {
            name: "fixed compress",
            corpora: pages(),
            candidates: vec![
                isal(IsaLevel::Fixed)?,
                deflating("fast", deflate::Encoder::fixed()),
                deflating("dense", deflate::Encoder::fixed().effort(deflate::Effort::Dense)),
            ],
        },
        Contest {
            name: "fixed decompress",
            corpora: fixed_streams,
            candidates: vec![
                decompressing("libdeflate", "libdeflate0", Libdeflate::open(1))?,
                inflating("single", 1),
                inflating("batch 8", 8),
            ],
        },
        Contest {
            name: "dynamic compress",
            corpora: pages(),
            candidates: vec![
                isal(IsaLevel::One)?,
                deflating("fast", deflate::Encoder::dynamic()),
                deflating("dense", deflate::Encoder::dynamic().effort(deflate::Effort::Dense)),
            ],
        },
        Contest {
            name: "dynamic decompress",
            corpora: dynamic_streams,
            candidates: vec![
                decompressing("libdeflate", "libdeflate0", Libdeflate::open(1))?,
                inflating("single", 1),
                inflating("batch 8", 8),
            ],
        },
        Contest {
            name: "random compress",
            corpora: vec![random],
            candidates: vec![
                isal(IsaLevel::Fixed)?,
                deflating("fixed", deflate::Encoder::fixed()),
                deflating("dynamic", deflate::Encoder::dynamic()),
            ],
        },
        Contest {
            name: "lz4 compress",
            corpora: pages(),
            candidates: vec![
                compressing("liblz4", "liblz4-1", Liblz4::open(1))?,
                lz4_encoding(),
            ],
        },
        Contest {
            name: "lz4 decompress",
            corpora: lz4_blocks,
            candidates: vec![
                decompressing("liblz4", "liblz4-1", Liblz4::open(1))?,
                lz4_decoding("single", 1),
                lz4_decoding("batch 8", 8),
            ],
        },
    ])
}

/// Times every candidate on every corpus once a round, after a warm-up round.
fn run(contest: &mut Contest, rounds: usize, json: bool) -> Vec<Value> {
    let (corpora, candidates) = (&contest.corpora, &mut contest.candidates);
    let mut times = vec![vec![Vec::new(); corpora.len()]; candidates.len()];
    let mut ratios = vec![vec![0.0; corpora.len()]; candidates.len()];
    for round in 0..=rounds {
        for (c, corpus) in corpora.iter().enumerate() {
            for (k, (_, codec)) in candidates.iter_mut().enumerate() {
                let start = Instant::now();
                let lens = codec(corpus);
                let time = start.elapsed().as_secs_f64();
                if round > 0 {
                    times[k][c].push(time / corpus.len() as f64);
                }
                let bytes: usize = lens.iter().map(|len| (*len).min(PAGE_BYTES)).sum();
                ratios[k][c] = bytes as f64 / (corpus.len() * PAGE_BYTES) as f64;
            }
        }
    }
    let mut rows = Vec::new();
    for (k, (name, _)) in candidates.iter().enumerate() {
        let median_us = geomean(times[k].iter().map(|times| median(times.clone()) * 1e6));
        let versus = |round: usize| {
            geomean(times[0].iter().zip(&times[k]).map(|(peer, us)| peer[round] / us[round]))
        };
        let versus = median((0..rounds).map(versus).collect());
        let row = json!({
            "contest": contest.name,
            "candidate": name,
            "us_page": rounded(median_us),
            "mb_s": rounded(PAGE_BYTES as f64 / median_us),
            "speed_vs_peer": rounded(versus),
            "ratio": (geomean(ratios[k].iter().copied()) * 1e5).round() / 1e5,
        });
        if !json {
            println!(
                "{:20} {:28} {:7.2} us {:8.1} MB/s {:6.3}x  ratio {:.5}",
                contest.name, name, median_us, PAGE_BYTES as f64 / median_us, versus, row["ratio"].as_f64().unwrap_or(0.0)
            );
        }
        rows.push(row);
    }
    rows
}

fn compressing(
    name: &str,
    package: &str,
    peer: Result<impl Peer + 'static>,
) -> Result<(String, Codec)> {
    let (mut peer, mut dst) = (peer?, vec![0; DST_BYTES]);
    let codec = move |pages: &[Vec<u8>]| {
        pages.iter().map(|page| peer.compress(page, &mut dst).unwrap_or(PAGE_BYTES)).collect()
    };
    Ok((format!("{name} {}", package_version(package)), Box::new(codec)))
}

fn decompressing(
    name: &str,
    package: &str,
    peer: Result<impl Peer + 'static>,
) -> Result<(String, Codec)> {
    let (mut peer, mut dst) = (peer?, vec![0; PAGE_BYTES]);
    let codec = move |pages: &[Vec<u8>]| {
        pages.iter().map(|page| peer.decompress(page, &mut dst).unwrap_or(0)).collect()
    };
    Ok((format!("{name} {}", package_version(package)), Box::new(codec)))
}

fn deflating(name: &str, mut encoder: deflate::Encoder) -> (String, Codec) {
    let mut dst = vec![0; PAGE_BYTES];
    let codec = move |pages: &[Vec<u8>]| {
        pages.iter().map(|page| encoder.encode(page, &mut dst).unwrap_or(PAGE_BYTES)).collect()
    };
    (name.into(), Box::new(codec))
}

fn inflating(name: &str, batch: usize) -> (String, Codec) {
    let mut decoder = Box::new(deflate::Decoder::new());
    let mut dsts = vec![[0; PAGE_BYTES]; batch];
    let codec = move |streams: &[Vec<u8>]| {
        let mut lens = Vec::with_capacity(streams.len());
        if let [dst] = &mut *dsts {
            lens.extend(streams.iter().map(|src| decoder.decode(src, dst).map_or(0, |d| d.produced)));
            return lens;
        }
        for streams in streams.chunks(batch) {
            let mut pages: Vec<_> =
                streams.iter().zip(&mut dsts).map(|(src, dst)| Page::new(src, dst)).collect();
            decoder.decode_batch(&mut pages);
            lens.extend(pages.iter().map(|page| match page.result {
                Some(Ok(decoded)) => decoded.produced,
                _ => 0,
            }));
        }
        lens
    };
    (name.into(), Box::new(codec))
}

fn lz4_encoding() -> (String, Codec) {
    let (mut encoder, mut dst) = (Box::new(lz4::Encoder::new()), vec![0; DST_BYTES]);
    let codec = move |pages: &[Vec<u8>]| {
        pages.iter().map(|page| encoder.encode(page, &mut dst).unwrap_or(PAGE_BYTES)).collect()
    };
    ("page-codec".into(), Box::new(codec))
}

fn lz4_decoding(name: &str, batch: usize) -> (String, Codec) {
    let mut dsts = vec![[0; PAGE_BYTES]; batch];
    let codec = move |blocks: &[Vec<u8>]| {
        let mut lens = Vec::with_capacity(blocks.len());
        if let [dst] = &mut *dsts {
            lens.extend(blocks.iter().map(|src| lz4::decode(src, dst).unwrap_or(0)));
            return lens;
        }
        for blocks in blocks.chunks(batch) {
            let mut pages: Vec<_> =
                blocks.iter().zip(&mut dsts).map(|(src, dst)| Page::new(src, dst)).collect();
            lz4::decode_batch(&mut pages);
            lens.extend(pages.iter().map(|page| match page.result {
                Some(Ok(len)) => len,
                _ => 0,
            }));
        }
        lens
    };
    (name.into(), Box::new(codec))
}

fn encoded<P: Peer>(
    corpora: &[Vec<Vec<u8>>],
    open: impl Fn() -> Result<P>,
) -> Result<Vec<Vec<Vec<u8>>>> {
    let mut peer = open()?;
    let mut dst = vec![0; DST_BYTES];
    let mut encode = |page: &Vec<u8>| {
        let len = peer.compress(page, &mut dst).context("a peer failed")?;
        Ok(dst[..len].to_vec())
    };
    corpora.iter().map(|corpus| corpus.iter().map(&mut encode).collect()).collect()
}

fn geomean(values: impl Iterator<Item = f64>) -> f64 {
    let (mut sum, mut count) = (0.0, 0.0);
    for value in values {
        sum += value.ln();
        count += 1.0;
    }
    f64::exp(sum / count)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

const PAGE_BYTES: usize = 4096;
/// Room for a page that does not compress.
const DST_BYTES: usize = 2 * PAGE_BYTES;
