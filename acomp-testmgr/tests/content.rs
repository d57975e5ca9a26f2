//! The classes of contents are what their names say: lz4 tells.

#![expect(clippy::unwrap_used, reason = "test helpers unwrap like tests")]

use acomp_algs as _;
use acomp_core::Acomp;
use acomp_testmgr::Content;

#[test]
fn a_class_compresses_as_its_name_promises() {
    for content in Content::ALL {
        let ratio = lz4_ratio(*content);
        let promised = match content {
            Content::Zero | Content::SameFilled => 0.0..0.02,
            Content::Repeating => 0.02..0.2,
            Content::Structured | Content::Text => 0.3..0.6,
            Content::Adversarial => 0.6..0.9,
            Content::Random => 1.0..1.01,
            other => panic!("{other} promises nothing"),
        };
        assert!(promised.contains(&ratio), "{content}: {ratio:.2}");
    }
}

#[test]
fn seeds_make_different_pages_and_the_same_seed_the_same() {
    for content in Content::ALL.iter().filter(|content| **content != Content::Zero) {
        let [mut first, mut again, mut other] = [[0; 4096]; 3];
        content.fill(1, &mut first);
        content.fill(1, &mut again);
        content.fill(2, &mut other);
        assert_eq!(first, again, "{content}");
        assert_ne!(first, other, "{content}");
    }
}

#[test]
fn any_length_is_filled() {
    for content in Content::ALL {
        for len in (0..300).chain([65536]) {
            let mut bytes = vec![0xEE; len + 1];
            content.fill(len as u64, &mut bytes[..len]);
            assert_eq!(bytes[len], 0xEE, "{content}, {len} bytes");
        }
    }
}

fn lz4_ratio(content: Content) -> f64 {
    let mut session = Acomp::alloc("lz4").unwrap().session().unwrap();
    let mut packed = 0;
    for seed in 0..PAGES {
        let (mut page, mut dst) = ([0; 4096], [0; 8192]);
        content.fill(seed, &mut page);
        packed += session.compress(&page, &mut dst).unwrap();
    }
    packed as f64 / (PAGES * 4096) as f64
}

const PAGES: u64 = 64;
