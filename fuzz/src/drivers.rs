//! Properties of every driver that is linked, through the API that all share.

use std::cell::RefCell;

use acomp::{Acomp, MAX_BATCH, Op, Outcome, Params, Registry, Session};
use acomp_testmgr::{Content, VectorSet};

use crate::guarded;
use crate::input::Input;

thread_local! {
    static DRIVERS: RefCell<Vec<Driver>> = RefCell::new(all());
}

/// A driver, and a session that has seen every input so far.
struct Driver {
    acomp: Acomp,
    session: Session,
}

/// Drivers and, for chains, what templates make of them, in an order that is always the same.
fn all() -> Vec<Driver> {
    let drivers = Registry::global().iter().map(|alg| alg.info().driver.to_string());
    let mut names = Vec::from_iter(drivers);
    names.extend(["verify(lz4)", "cryptd(lz4)", "pcomp(lz4,workers=2)"].map(String::from));
    let open = |name: &String| {
        let acomp = Acomp::alloc(name).expect("a driver that is linked");
        Driver { session: acomp.session().expect("another session"), acomp }
    };
    names.iter().map(open).collect()
}

/// Whatever the drivers of one name are given to decompress: each stays within its destination,
/// says the same a second time, needs no more room than the data has, and those that take it make
/// the same of it.
pub fn driver_decode(input: &[u8]) {
    let mut input = Input(input);
    DRIVERS.with_borrow_mut(|drivers| {
        let Some(chosen) = input.one_of(drivers) else { return };
        let name = chosen.acomp.name().to_owned();
        let (room, stream) = crate::room(input.0);
        let mut taken: Option<(String, Vec<u8>)> = None;
        for driver in drivers.iter_mut().filter(|driver| driver.acomp.name() == name) {
            let who = driver.acomp.driver().to_owned();
            let mut decode = |room| guarded(room, |dst| driver.session.decompress(stream, dst));
            let decoded = decode(room);
            assert_eq!(decode(room), decoded, "{who} again");
            let Ok(data) = decoded else { continue };
            assert_eq!(decode(data.len()).as_ref(), Ok(&data), "{who} with just enough room");
            if let Some(less) = data.len().checked_sub(1) {
                assert!(decode(less).is_err(), "{who} with a byte less");
            }
            match &taken {
                None => taken = Some((who, data)),
                Some((other, theirs)) => assert_eq!(data, *theirs, "{who} and {other}"),
            }
        }
    });
}

/// Ops at once do what they do one by one and in any parts, whichever of them fail.
pub fn driver_chain(input: &[u8]) {
    let mut input = Input(input);
    DRIVERS.with_borrow_mut(|drivers| {
        let Some(at) = input.byte() else { return };
        let at = usize::from(at) % drivers.len();
        let Driver { acomp, session } = &mut drivers[at];
        let calls = calls(session, &mut input);
        let single = |call: &Call| {
            guarded(call.room, |dst| match call.is_compression {
                true => session.compress(&call.src, dst),
                false => session.decompress(&call.src, dst),
            })
        };
        let alone = Vec::from_iter(calls.iter().map(single));
        let name = acomp.driver();
        assert_eq!(run(session, &calls, |ops| ops), alone, "{name}: {} at once", calls.len());
        let mut parts = input.0.iter().cycle().map(|byte| usize::from(*byte) % 11 + 1);
        let part = |ops: usize| parts.next().unwrap_or(1).min(ops);
        assert_eq!(run(session, &calls, part), alone, "{name}: {} in parts", calls.len());
    });
}

/// What to do, and how much room there is.
struct Call {
    is_compression: bool,
    src: Vec<u8>,
    room: usize,
}

/// At most as many as a driver sees at a time and some more.
fn calls(session: &mut Session, input: &mut Input<'_>) -> Vec<Call> {
    let mut calls = Vec::new();
    let next = |input: &mut Input<'_>| Some((input.byte()?, input.byte()?, input.number()?));
    while calls.len() < MAX_BATCH + 3
        && let Some((kind, content, len)) = next(input)
    {
        let is_compression = kind & 1 != 0;
        let mut src = match kind >> 1 & 3 {
            0 => input.bytes(len % 300).to_vec(),
            _ => {
                let mut src = vec![0; if kind & 8 != 0 { 4096 } else { len % 5000 }];
                let class = Content::ALL[usize::from(content) % Content::ALL.len()];
                class.fill(u64::from(content), &mut src);
                src
            }
        };
        let data_bytes = src.len();
        if !is_compression && kind & 6 != 0 {
            let mut stream = vec![0; 2 * src.len() + 64];
            let stream_bytes = session.compress(&src, &mut stream).unwrap_or(0);
            stream.truncate(stream_bytes);
            let damaged_at = len % stream.len().max(1);
            match kind >> 1 & 3 {
                1 => {}
                2 => stream.truncate(damaged_at),
                _ => stream.iter_mut().skip(damaged_at).step_by(1000).for_each(|byte| *byte ^= 1),
            }
            src = stream;
        }
        let room = match kind >> 4 & 3 {
            0 => 4096,
            1 => data_bytes,
            2 => data_bytes / 2,
            _ => len % 8193,
        };
        calls.push(Call { is_compression, src, room });
    }
    calls
}

/// Runs calls in parts, of which `part` tells the length from how many there are.
fn run(
    session: &mut Session,
    calls: &[Call],
    mut part: impl FnMut(usize) -> usize,
) -> Vec<Result<Vec<u8>, acomp::Error>> {
    let mut buffers = Vec::from_iter(calls.iter().map(|call| vec![CANARY; call.room + 64]));
    let mut ops = Vec::from_iter(calls.iter().zip(&mut buffers).map(|(call, buffer)| {
        let dst = &mut buffer[..call.room];
        match call.is_compression {
            true => Op::compress(&call.src, dst),
            false => Op::decompress(&call.src, dst),
        }
    }));
    let mut rest = &mut ops[..];
    while !rest.is_empty() {
        let (now, later) = rest.split_at_mut(part(rest.len()));
        let summary = session.run(now);
        assert_eq!(summary.ok + summary.failed, now.len());
        rest = later;
    }
    let outcomes = Vec::from_iter(ops.iter().map(|op| op.outcome().expect("an answer")));
    let answer = |((call, buffer), outcome): ((&Call, &Vec<u8>), Outcome)| {
        assert!(buffer[call.room..].iter().all(|byte| *byte == CANARY), "written outside");
        outcome.map(|len| buffer[..len].to_vec())
    };
    calls.iter().zip(&buffers).zip(outcomes).map(answer).collect()
}

/// A name and parameters lead to a transform or to an error that points into the name; and what a
/// transform is called leads to it again.
pub fn names(input: &[u8]) {
    thread_local! {
        // Without self-tests, which would take most of the time.
        static REGISTRY: Registry = Registry::builder()
            .entries(acomp::inventory::iter::<acomp::Registration>)
            .templates(acomp::inventory::iter::<acomp::TemplateRegistration>)
            .build();
    }
    let text = String::from_utf8_lossy(input);
    let mut lines = text.lines();
    let name = lines.next().unwrap_or_default();
    let mut params = Params::new();
    for (key, value) in lines.filter_map(|line| line.split_once('=')) {
        params = match (key, value.parse::<i32>()) {
            ("level", Ok(level)) => params.with_level(level),
            ("dictionary", _) => params.with_dictionary(value.as_bytes()),
            _ => params.with(key, value),
        };
    }
    REGISTRY.with(|registry| match Acomp::alloc_in(registry, name, params) {
        Ok(acomp) => again(registry, &acomp),
        Err(error) => points_into(&error, name),
    });
}

/// A page is read by whoever is opened under the generic name, and the driver's name.
fn again(registry: &Registry, acomp: &Acomp) {
    let page = &[b"a page of a page of a page, ".as_slice(); 40].concat();
    let mut stream = vec![0; 2 * page.len()];
    let len = acomp.compress(page, &mut stream).expect("it fits");
    stream.truncate(len);
    for name in [acomp.name(), acomp.driver()] {
        let other = Acomp::alloc_in(registry, name, acomp.params().clone());
        let other = other.unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut data = vec![0; page.len()];
        assert_eq!(other.decompress(&stream, &mut data), Ok(page.len()), "{name}");
        assert!(data == *page, "{name} reads another page");
    }
}

fn points_into(error: &acomp::OpenError, text: &str) {
    use acomp::OpenError::{InvalidName, InvalidParam};
    assert!(!error.to_string().is_empty());
    let (InvalidName { at, .. } | InvalidParam { at: Some(at), .. }) = error else { return };
    assert!(text.is_char_boundary(*at), "{error}");
}

/// Known streams of every format, for each driver, in a page of room.
pub(crate) fn decode_seeds() -> Vec<Vec<u8>> {
    let names = DRIVERS.with_borrow(|drivers| {
        Vec::from_iter(drivers.iter().map(|driver| driver.acomp.name().to_owned()))
    });
    let sets = || acomp::inventory::iter::<VectorSet>.into_iter();
    let mut seeds = Vec::new();
    for (at, name) in names.iter().enumerate() {
        for vector in sets().filter(|set| set.name == name).flat_map(|set| set.vectors) {
            seeds.push([&[at as u8, 0, 16], vector.stream].concat());
        }
    }
    seeds
}

/// For each driver a chain of every kind of call.
pub(crate) fn chain_seeds() -> Vec<Vec<u8>> {
    let drivers = DRIVERS.with_borrow(Vec::len);
    let call = |kind: u8| [kind, kind / 3, kind.wrapping_mul(37), kind / 5];
    let calls = |first| Vec::from_iter((first..64).step_by(4).flat_map(call));
    let chain = |at, first| [&[at as u8], &*calls(first)].concat();
    (0..drivers).flat_map(|at| (0..4).map(move |first| chain(at, first))).collect()
}

/// Every name, parameters, and what is wrong in every way.
pub(crate) fn name_seeds() -> Vec<Vec<u8>> {
    let drivers = Registry::global().iter();
    let names =
        drivers.flat_map(|alg| [alg.info().name.to_string(), alg.info().driver.to_string()]);
    let others = [
        "verify(lz4)",
        "pcomp(zstd(level=-3),workers=2)",
        "cryptd(verify(pcomp(lz4)))",
        "zstd(level=3,window_bytes=4096)",
        "zstd(level=20)",
        "verify(",
        "lz4()",
        "zstd(level=1,level=2)",
        "zstd\nlevel=7\ndictionary=a page of",
        "deflate(level=9)\nx=y",
        "iaa(mode=async)",
    ];
    names.chain(others.map(String::from)).map(String::into_bytes).collect()
}

const CANARY: u8 = 0xa5;
