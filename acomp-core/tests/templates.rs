//! Names that are made of names: templates around drivers, and parameters.

#![expect(clippy::expect_used, clippy::panic, reason = "test helpers are like tests")]

mod toys;

use std::sync::{Arc, Barrier, LazyLock};
use std::thread;

use acomp_algs as _;
use acomp_core::{
    Acomp, AddGuard, AlgInfo, Algorithm, Error, ExecutedOn, Op, OpenError, Params, Registration,
    Registry, TemplateArgs, TemplateRegistration, inventory,
};

use toys::{TOY, Toy, absent, copy, die};

#[test]
fn verify_gives_what_the_driver_gives_under_a_name_of_its_own() {
    let acomp = alloc("verify(lz4)").unwrap();
    assert_eq!((acomp.name(), acomp.driver()), ("lz4", "verify(lz4-page)"));
    assert_eq!(acomp.info().flags, alloc("lz4").unwrap().info().flags);

    let page = [5; 4096];
    let (mut packed, mut bare) = ([0; 64], [0; 64]);
    let len = acomp.compress(&page, &mut packed).unwrap();
    assert_eq!(alloc("lz4").unwrap().compress(&page, &mut bare), Ok(len));
    assert_eq!(packed, bare);
    let mut back = [0; 4096];
    assert_eq!(acomp.decompress(&packed[..len], &mut back), Ok(4096));
    assert_eq!(back, page);
}

#[test]
fn verify_answers_and_counts_what_does_not_come_back() {
    // A driver that forgets the sevens.
    let (registry, _guard) = with(Toy::each(TOY, |src, dst| {
        let len = copy(src, dst)?;
        dst[..len].iter_mut().filter(|byte| **byte == 7).for_each(|byte| *byte = 0);
        Ok(len)
    }));
    let acomp = Acomp::alloc_in(&registry, "verify(toy)", Params::new()).unwrap();
    let mut session = acomp.session().unwrap();
    let mut dst = [0; 8];
    assert_eq!(session.compress(b"page", &mut dst), Ok(4));
    assert_eq!(session.compress(&[7, 8], &mut dst), Err(Error::VerifyFailed));
    assert_eq!(session.decompress(&[7, 8], &mut dst), Ok(2), "only compressions are verified");

    let mut dsts = [[0; 8]; 3];
    let [one, two, three] = &mut dsts;
    let mut ops = [
        Op::compress(b"one", one),
        Op::compress(&[7], two),
        Op::compress(b"too long a page", three),
    ];
    let summary = session.run(&mut ops);
    let outcomes = ops.each_ref().map(|op| op.outcome().unwrap());
    assert_eq!(outcomes, [Ok(3), Err(Error::VerifyFailed), Err(Error::DstTooSmall)]);
    assert_eq!((summary.ok, summary.failed), (1, 2));
    assert!(ops.iter().all(|op| op.executed_on() == Some(ExecutedOn::Driver)));
    assert_eq!(session.stats().compress.failed(Error::VerifyFailed), 2);
    drop(session);
    assert_eq!(acomp.alg().stats().compress.failed(Error::VerifyFailed), 2);
}

#[test]
fn templates_nest_and_parameters_reach_the_driver() {
    let acomp = alloc("verify(verify(zstd(level=1)))").unwrap();
    assert_eq!(acomp.driver(), "verify(verify(zstd-libzstd))");
    assert_eq!(acomp.params(), &Params::new().with_level(1));
    let mut dst = [0; 4096];
    assert!(acomp.compress(&[1; 4096], &mut dst).is_ok());
}

#[test]
fn parameters_in_the_name_are_those_of_params() {
    let text = alloc("deflate(level=9,window_bytes=4096,bounce_bytes_max=100)").unwrap();
    let params = Params::new().with_level(9).with_window_bytes(4096.try_into().unwrap());
    let params = params.with_bounce_bytes_max(100.try_into().unwrap());
    assert_eq!(text.params(), &params);
    for (param, same, other) in
        [("level", 9, 8), ("window_bytes", 4096, 4097), ("bounce_bytes_max", 100, 99)]
    {
        let with = |value: u32| {
            let name = format!("deflate({param}={value})");
            Acomp::alloc_in(Registry::global(), &name, params.clone())
        };
        assert_eq!(with(same).unwrap().params(), &params);
        assert_param(&with(other).unwrap_err(), param, 8);
    }
}

#[test]
fn errors_point_at_the_parameter() {
    for (name, param, at) in [
        ("zstd(level=fast)", "level", 5),
        ("zstd(level=100)", "level", 5),
        ("verify(zstd(fast=1))", "fast", 12),
        ("zstd(dictionary=x)", "dictionary", 5),
        ("verify(lz4,pages=2)", "pages", 11),
        ("lz4(level=1)", "level", 4),
    ] {
        assert_param(&alloc(name).unwrap_err(), param, at);
    }
}

#[test]
fn errors_point_at_what_is_no_name() {
    for (name, expected) in [("nonsense(lz4)", 0), ("verify(lz4", 10), ("verify(lz4(zstd))", 7)] {
        match alloc(name).unwrap_err() {
            OpenError::InvalidName { at, .. } => assert_eq!(at, expected, "{name}"),
            other => panic!("{name}: {other}"),
        }
    }
    let unknown = alloc("verify(lz5)").unwrap_err();
    assert!(matches!(&unknown, OpenError::NotFound { name, .. } if &**name == "lz5"), "{unknown}");
}

#[test]
fn next_driver_is_wrapped_if_the_best_cannot_be_opened() {
    const BEST: AlgInfo = AlgInfo::new("toy", "toy-dev").with_priority(9);
    let (registry, _next) = with(Toy::copying(TOY));
    let _best = registry.add(Toy::new(BEST, |_| Err(absent()))).unwrap();
    let acomp = Acomp::alloc_in(&registry, "verify(toy)", Params::new()).unwrap();
    assert_eq!(acomp.driver(), "verify(toy-rs)");
    assert!(Acomp::alloc_in(&registry, "verify(toy-dev)", Params::new()).is_err());
}

#[test]
fn instance_is_listed_while_it_is_used_and_never_picked_by_generic_name() {
    let (registry, _guard) = with(Toy::copying(TOY));
    let listed = || registry.iter().map(|alg| alg.info().driver.to_string()).collect::<Vec<_>>();
    let acomp = Acomp::alloc_in(&registry, "verify(toy)", Params::new()).unwrap();
    let again = Acomp::alloc_in(&registry, "verify(toy-rs)", Params::new()).unwrap();
    assert_eq!(listed(), ["toy-rs", "verify(toy-rs)"], "one instance serves both");
    assert_eq!(registry.candidates("toy").unwrap().len(), 1);
    assert_eq!(registry.find("verify(toy)").unwrap().info().driver, "verify(toy-rs)");
    drop((acomp, again));
    assert_eq!(listed(), ["toy-rs"]);
}

#[test]
fn instance_over_a_driver_that_was_shadowed_is_not_used_for_the_new_one() {
    static INFO: AlgInfo = TOY;
    static LINKED: Registration = Registration::new(&INFO, || Ok(Toy::copying(TOY)), "linked");
    let templates = inventory::iter::<TemplateRegistration>;
    let registry = Registry::builder().entries([&LINKED]).templates(templates).build();
    let old = Acomp::alloc_in(&registry, "verify(toy)", Params::new()).unwrap();
    let _guard = registry.add(Toy::each(TOY, |_, _| Err(Error::Busy))).unwrap();
    let new = Acomp::alloc_in(&registry, "verify(toy)", Params::new()).unwrap();
    assert_eq!(old.driver(), new.driver());
    assert_eq!(old.compress(b"page", &mut [0; 8]), Ok(4));
    assert_eq!(new.compress(b"page", &mut [0; 8]), Err(Error::Busy));
}

#[test]
fn candidates_have_no_place_for_parameters() {
    assert_param(&Registry::global().find("zstd(level=3)").unwrap_err(), "level", 5);
}

#[test]
fn template_that_panics_is_an_error_and_two_of_one_name_are_reported() {
    fn panics(_: acomp_core::AlgRef, _: &TemplateArgs) -> Result<Arc<dyn Algorithm>, OpenError> {
        die()
    }
    static ONE: TemplateRegistration = TemplateRegistration::new("odd", panics, "one");
    static TWO: TemplateRegistration = TemplateRegistration::new("odd", panics, "two");
    let registry = Registry::builder().templates([&ONE]).build();
    let _guard = registry.add(Toy::copying(TOY)).unwrap();
    let error = Acomp::alloc_in(&registry, "odd(toy)", Params::new()).unwrap_err();
    assert!(matches!(&error, OpenError::Panicked { driver } if &**driver == "odd(toy-rs)"));

    let registry = Registry::builder().templates([&ONE, &TWO]).build();
    let _guard = registry.add(Toy::copying(TOY)).unwrap();
    let error = Acomp::alloc_in(&registry, "odd(toy)", Params::new()).unwrap_err();
    assert!(matches!(error, OpenError::Duplicate { .. }), "{error}");
}

fn alloc(name: &str) -> Result<Acomp, OpenError> {
    Acomp::alloc(name)
}

/// A registry with every template and this driver.
fn with(toy: Arc<Toy>) -> (Registry, AddGuard) {
    let templates = inventory::iter::<TemplateRegistration>;
    let registry = Registry::builder().templates(templates).build();
    let guard = registry.add(toy).expect("no other driver");
    (registry, guard)
}

fn assert_param(error: &OpenError, expected: &str, expected_at: usize) {
    match error {
        OpenError::InvalidParam { param, at: Some(at), .. } => {
            assert_eq!((&**param, *at), (expected, expected_at), "{error}");
        }
        other => panic!("{expected}: {other}"),
    }
}

#[test]
fn instance_is_shared_again_after_its_driver_was_shadowed() {
    static INFO: AlgInfo = AlgInfo::new("x", "x-rs");
    static LINKED: Registration =
        Registration::new(&INFO, || Ok(Toy::copying(INFO.clone())), "linked");
    let templates = inventory::iter::<TemplateRegistration>;
    let registry = Registry::builder().entries([&LINKED]).templates(templates).build();
    let alloc = || Acomp::alloc_in(&registry, "verify(x)", Params::new()).expect("x is there");
    let before = alloc();
    let shadow = registry.add(Toy::copying(INFO.clone())).expect("it may shadow");
    let meanwhile = alloc();
    drop(shadow);
    assert_eq!(alloc().compress(b"page", &mut [0; 4]), Ok(4));
    let ok = |acomp: &Acomp| acomp.alg().stats().compress.ok;
    assert_eq!((ok(&before), ok(&meanwhile)), (1, 0), "one instance over each driver");
    drop(meanwhile);
    let names: Vec<_> = registry.iter().map(|alg| alg.info().driver.to_string()).collect();
    assert_eq!(names, ["x-rs", "verify(x-rs)"]);
}

#[test]
fn threads_that_allocate_at_once_share_an_instance() {
    static BOTH: LazyLock<Barrier> = LazyLock::new(|| Barrier::new(2));
    static SLOW: TemplateRegistration = TemplateRegistration::new(
        "slow",
        |inner, args| {
            BOTH.wait();
            Ok(Toy::copying(args.info_over(&inner)))
        },
        "here",
    );
    let registry = Registry::builder().templates([&SLOW]).build();
    let _guard = registry.add(Toy::copying(TOY)).expect("a name of its own");
    let alloc = || Acomp::alloc_in(&registry, "slow(toy)", Params::new()).expect("it is there");
    let [one, other] = thread::scope(|scope| {
        [(); 2].map(|()| scope.spawn(alloc)).map(|thread| thread.join().expect("no panic"))
    });
    assert_eq!(one.compress(b"page", &mut [0; 4]), Ok(4));
    assert_eq!(other.alg().stats().compress.ok, 1);
}

#[test]
fn instances_that_lie_or_are_made_of_themselves_are_refused() {
    static LIES: TemplateRegistration =
        TemplateRegistration::new("lies", |_, _| Ok(Toy::copying(TOY)), "here");
    static REGISTRY: LazyLock<Registry> =
        LazyLock::new(|| Registry::builder().templates([&LIES, &LOOPS]).build());
    static LOOPS: TemplateRegistration = TemplateRegistration::new(
        "loops",
        |_, _| REGISTRY.find("loops(toy)")?.algorithm().cloned(),
        "here",
    );
    let _guard = REGISTRY.add(Toy::copying(TOY)).expect("a name of its own");
    let alloc = |name| Acomp::alloc_in(&REGISTRY, name, Params::new());
    assert!(matches!(alloc("lies(toy)"), Err(OpenError::Misnamed { .. })));
    assert!(matches!(alloc("loops(toy)"), Err(OpenError::Recursive { .. })));
}
