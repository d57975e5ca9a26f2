//! The C libraries that are installed read what `page-codec` writes, and it reads what they write.

use acomp_testmgr::Content;
use fastrand::Rng;
use peers::Verifier;

#[test]
fn each_reads_what_the_others_write() {
    let mut verifier = verifier();
    for (page, name) in pages(12) {
        let checked = verifier.check(&page);
        assert!(checked.is_ok(), "{name}: {checked:?}");
    }
}

#[test]
fn sources_of_any_length_are_read() {
    let mut verifier = verifier();
    for seed in 0..150 {
        let mut rng = Rng::with_seed(seed);
        let content = Content::ALL[rng.usize(..Content::ALL.len())];
        let bytes_most = [30, 300, 9000][rng.usize(..3)];
        let mut src = vec![0; rng.usize(..=bytes_most)];
        content.fill(seed, &mut src);
        let checked = verifier.check(&src);
        assert!(checked.is_ok(), "{content} of {}, seed {seed}: {checked:?}", src.len());
    }
}

#[test]
fn zlib_takes_the_same_broken_streams() {
    let (mut verifier, pages) = (verifier(), Vec::from_iter(pages(10)));
    let flips = FLIPS / pages.len() + 1;
    for (seed, (page, name)) in pages.iter().enumerate() {
        let checked = verifier.check_flips(page, &mut Rng::with_seed(seed as u64), flips);
        assert!(checked.is_ok(), "{name}, flips with seed {seed}: {checked:?}");
    }
}

/// Of each kind of contents `count` pages, with a name that tells how to make them again.
fn pages(count: u64) -> impl Iterator<Item = (Vec<u8>, String)> {
    Content::ALL.iter().flat_map(move |content| {
        (0..count).map(move |seed| {
            let mut page = vec![0; 4096];
            content.fill(seed, &mut page);
            (page, format!("{content} with seed {seed}"))
        })
    })
}

fn verifier() -> Verifier {
    let verifier = Verifier::new();
    for reason in verifier.missing() {
        eprintln!("left out: {reason}");
    }
    verifier
}

/// Broken streams that are shown to zlib.
const FLIPS: usize = 20_000;
