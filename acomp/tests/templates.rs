//! A driver within a template answers as it does alone, and each reads the streams of the other.

#![expect(clippy::expect_used, clippy::panic, reason = "test helpers are like tests")]

use acomp::inventory::iter;
use acomp::{Acomp, Direction, Error, Params, Registration, Registry, TemplateRegistration};
use acomp_testmgr::matrix::{Call, Cell, Ending, Stand};
use acomp_testmgr::{Content, Theme, theme_test};

/// Over all drivers and the templates that there are, however it is asked.
#[test]
fn wrapped_is_bare() {
    // Of its own: a stand counts what its driver does, and wants it for itself.
    let registry = Registry::builder().entries(iter::<Registration>);
    let registry = &registry.templates(iter::<TemplateRegistration>).build();
    for driver in registry.iter().map(|alg| alg.info().driver.to_string()).collect::<Vec<_>>() {
        let mut bare = stand(registry, &driver);
        let (inputs, streams) = sources(&driver);
        for template in registry.templates().map(|template| template.name) {
            let mut wrapped = stand(registry, &format!("{template}({driver})"));
            let cells = Cell::all().filter(|cell| cell.left_out_by().is_none());
            for cell in cells.filter(|cell| cell.ending == Ending::Done) {
                let calls = calls(&inputs, &streams);
                let ours = bare.ask(cell, &calls).expect("the matrix of the suite passes");
                let theirs = wrapped.ask(cell, &calls);
                let theirs = theirs.unwrap_or_else(|why| panic!("{template}({driver}): {why}"));
                for ((ours, theirs), call) in ours.iter().zip(&theirs).zip(&calls) {
                    let what = format!("{template}({driver}), {cell}, {}", call.dst_bytes);
                    agree(&driver, call, &ours.answer, &theirs.answer, &what);
                }
            }
        }
    }
}

/// What holds for every driver holds for instances: these are the themes that they could break.
#[test]
fn instances_pass_the_suite() {
    let registry = Registry::global();
    for driver in ["deflate-page", "lz4-page", "zstd-libzstd", "deflate-iaa"] {
        if registry.find(driver).is_err() {
            continue; // Its feature is off.
        }
        for template in registry.templates().map(|template| template.name) {
            // Held: an instance lives as long as somebody uses it.
            let acomp = Acomp::alloc(&format!("{template}({driver})")).expect("linked");
            let instance = acomp.alg().algorithm().expect("made");
            for theme in [Theme::Facts, Theme::SmallDestination, Theme::Chain, Theme::Matrix] {
                let report = theme_test(&**instance, theme);
                assert!(report.is_passed(), "{template}({driver}), {theme}: {report}");
            }
        }
    }
}

fn stand(registry: &Registry, name: &str) -> Stand {
    let acomp = Acomp::alloc_in(registry, name, Params::new());
    acomp.and_then(Stand::new).expect("linked")
}

/// Pages, and a stream of each.
fn sources(driver: &str) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let acomp = Acomp::alloc(driver).expect("linked");
    let pages = Content::ALL.iter().map(|content| {
        let mut page = vec![0; 4096];
        content.fill(1, &mut page);
        page
    });
    let pages: Vec<_> = pages.collect();
    let streams = pages.iter().map(|page| {
        let mut stream = vec![0; ROOMY_BYTES];
        let len = acomp.compress(page, &mut stream).expect("there is room");
        stream.truncate(len);
        stream
    });
    let streams = streams.collect();
    (pages, streams)
}

/// As many of each ending as a submitter takes at once.
fn calls<'s>(pages: &'s [Vec<u8>], streams: &'s [Vec<u8>]) -> Vec<Call<'s>> {
    let call = |direction, src, dst_bytes| Call { direction, src, dst_bytes };
    let each = pages.iter().zip(streams).enumerate().flat_map(|(at, (page, stream))| {
        let half = &stream[..stream.len() / 2];
        let decompress = match at % 3 {
            0 => call(Direction::Decompress, stream, 4096),
            1 => call(Direction::Decompress, stream, 4095),
            _ => call(Direction::Decompress, half, ROOMY_BYTES),
        };
        [call(Direction::Compress, page, if at % 2 == 0 { ROOMY_BYTES } else { 100 }), decompress]
    });
    each.collect()
}

type Answer = Result<Vec<u8>, Error>;

/// Two streams of the same data need not be equal bytes, except to a decompressor.
fn agree(driver: &str, call: &Call<'_>, ours: &Answer, theirs: &Answer, what: &str) {
    match (call.direction, ours, theirs) {
        _ if ours == theirs => {}
        (Direction::Compress, Ok(_), Ok(stream)) => {
            let mut back = vec![0; call.src.len()];
            let acomp = Acomp::alloc(driver).expect("linked");
            assert_eq!(acomp.decompress(stream, &mut back), Ok(call.src.len()), "{what}");
            assert!(back == call.src, "{what}");
        }
        _ => panic!(
            "{what}: {:?}, alone {:?}",
            theirs.as_ref().map(Vec::len),
            ours.as_ref().map(Vec::len)
        ),
    }
}

const ROOMY_BYTES: usize = 2 * 4096 + 1024;
