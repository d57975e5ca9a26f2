//! Which driver `alloc` ends up with, when it passes one over, and what the self-test has to say.

mod toys;

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Barrier, OnceLock};
use std::thread;

use acomp_core::{
    Acomp, AlgInfo, Algorithm, Codec, OpenError, Params, Registration, Registry, SelfTestHook,
    Verdict,
};

use toys::{Toy, absent, die, registry_of};

const BEST: AlgInfo = AlgInfo::new("x", "x-best").with_priority(200);
const NEXT: AlgInfo = AlgInfo::new("x", "x-next").with_priority(100);

#[test]
fn driver_that_refuses_to_open_is_passed_over_unless_it_was_named() {
    type Refusal = fn() -> OpenError;
    let refusals: [(Refusal, &str); 3] = [
        (|| unsupported("level", "no levels"), "no levels"),
        (absent, "device cannot be used"),
        (|| die(), "`x-best` panicked"),
    ];
    for (refusal, text) in refusals {
        let best = Toy::new(BEST, move |_| Err(refusal()));
        let (registry, _guards) = registry_of([best, Toy::copying(NEXT)]);
        let acomp = Acomp::alloc_in(&registry, "x", Params::new()).unwrap();
        assert_eq!((acomp.name(), acomp.driver()), ("x", "x-next"), "{text}");

        let error = Acomp::alloc_in(&registry, "x-best", Params::new()).unwrap_err();
        assert!(error.to_string().contains(text), "{error}");
        assert_eq!(registry.find("x").unwrap().info(), &BEST, "it is still the best driver");
    }
}

#[test]
fn driver_that_cannot_be_made_is_passed_over_unless_it_was_named() {
    static ABSENT: Registration = Registration::new(&BEST_INFO, || Err(absent()), "absent");
    static PANICS: Registration = Registration::new(&BEST_INFO, || die(), "panics");
    static SOUND: Registration = Registration::new(&NEXT_INFO, || Ok(Toy::copying(NEXT)), "sound");
    static BEST_INFO: AlgInfo = BEST;
    static NEXT_INFO: AlgInfo = NEXT;
    for best in [&ABSENT, &PANICS] {
        let registry = Registry::from_entries([best, &SOUND]);
        let acomp = Acomp::alloc_in(&registry, "x", Params::new()).unwrap();
        assert_eq!(acomp.driver(), "x-next");
        assert!(Acomp::alloc_in(&registry, "x-best", Params::new()).is_err());
    }
}

#[test]
fn driver_that_refuses_in_prepare_is_passed_over_unless_it_was_named() {
    for refusal in [absent as fn() -> OpenError, || die()] {
        let registry = Registry::from_entries([]);
        let _best = registry.add(Arc::new(Unprepared { refusal })).unwrap();
        let _next = registry.add(Toy::copying(NEXT)).unwrap();
        let acomp = Acomp::alloc_in(&registry, "x", Params::new()).unwrap();
        assert_eq!(acomp.driver(), "x-next");
        assert!(Acomp::alloc_in(&registry, "x-best", Params::new()).is_err());
    }
}

#[test]
fn parameter_that_only_the_next_driver_takes_selects_it() {
    let takes_level = Toy::new(NEXT, |params| {
        params.allow(&["level"])?;
        Toy::copying(NEXT).open(&Params::new())
    });
    let (registry, _guards) = registry_of([Toy::copying(BEST), takes_level]);
    let params = Params::new().with_level(3);
    let acomp = Acomp::alloc_in(&registry, "x", params.clone()).unwrap();
    assert_eq!((acomp.driver(), acomp.params()), ("x-next", &params));
    assert_eq!(Acomp::alloc_in(&registry, "x", Params::new()).unwrap().driver(), "x-best");
}

#[test]
fn parameter_that_no_driver_takes_is_invalid_and_each_driver_says_what_it_takes() {
    let (registry, _guards) = registry_of([Toy::copying(BEST), Toy::copying(NEXT)]);
    let error = Acomp::alloc_in(&registry, "x", Params::new().with("colour", "red")).unwrap_err();
    let OpenError::InvalidParam { param, why, .. } = error else { panic!("{error}") };
    assert_eq!(&*param, "colour");
    for part in ["x-best: the driver takes no parameters", "x-next: the driver takes no"] {
        assert!(why.contains(part), "{why}");
    }

    let error =
        Acomp::alloc_in(&registry, "x-next", Params::new().with("colour", "red")).unwrap_err();
    let OpenError::InvalidParam { param, why, .. } = error else { panic!("{error}") };
    assert!(&*param == "colour" && why.contains("x-next") && !why.contains("x-best"), "{why}");
}

#[test]
fn drivers_that_refuse_different_parameters_are_each_listed() {
    let takes = |info: AlgInfo, known: &'static [&'static str]| {
        Toy::new(info, move |params| {
            params.allow(known)?;
            Toy::copying(NEXT).open(&Params::new())
        })
    };
    let (registry, _guards) = registry_of([takes(BEST, &["dictionary"]), takes(NEXT, &["level"])]);
    let params = Params::new().with_level(3).with_dictionary(&b"words"[..]);
    let error = Acomp::alloc_in(&registry, "x", params).unwrap_err();
    assert!(matches!(error, OpenError::NoneUsable { .. }), "{error}");
}

#[test]
fn invalid_value_ends_the_search_at_once() {
    let opened = Arc::new(AtomicUsize::new(0));
    let invalid = Toy::new(BEST, |_| {
        let (param, why) = ("level".into(), "levels are numbers".into());
        Err(OpenError::InvalidParam { param, why, at: None })
    });
    let counting = Toy::new(NEXT, {
        let opened = Arc::clone(&opened);
        move |params| {
            opened.fetch_add(1, Relaxed);
            Toy::copying(NEXT).open(params)
        }
    });
    let (registry, _guards) = registry_of([invalid, counting]);
    let error = Acomp::alloc_in(&registry, "x", Params::new()).unwrap_err();
    assert!(matches!(&error, OpenError::InvalidParam { param, .. } if &**param == "level"));
    assert_eq!(opened.load(Relaxed), 0, "the next driver was not asked");
}

#[test]
fn when_none_can_be_used_every_reason_is_listed_best_driver_first() {
    let refusing =
        |info: AlgInfo, refusal: fn() -> OpenError| Toy::new(info, move |_| Err(refusal()));
    let last = AlgInfo::new("x", "x-last");
    let (registry, _guards) = registry_of([
        refusing(last, || die()),
        refusing(NEXT, || unsupported("level", "no levels")),
        refusing(BEST, absent),
    ]);
    let error = Acomp::alloc_in(&registry, "x", Params::new()).unwrap_err();
    let text = error.to_string();
    let OpenError::NoneUsable { name, refused } = error else { panic!("{error}") };
    let drivers: Vec<_> = refused.iter().map(|(driver, _)| &**driver).collect();
    assert_eq!((&*name, &*drivers), ("x", &["x-best", "x-next", "x-last"][..]));
    assert!(matches!(refused[0].1, OpenError::Device(_)));
    assert!(matches!(refused[1].1, OpenError::Unsupported { .. }));
    assert!(matches!(refused[2].1, OpenError::Panicked { .. }));
    for (driver, why) in &refused {
        assert!(text.contains(&format!("{driver}: {why}")), "{text}");
    }
}

#[test]
fn driver_that_fails_its_self_test_is_refused_and_stays_visible() {
    static HOOK: SelfTestHook = SelfTestHook::new(
        |alg| if alg.info().driver == "x-best" { Err("empty page".into()) } else { Ok(()) },
        "hook",
    );
    let registry = Registry::builder().self_tests([&HOOK]).build();
    let _guards = [BEST, NEXT].map(|info| registry.add(Toy::copying(info)).unwrap());
    assert_eq!(verdicts(&registry), [Verdict::Untested, Verdict::Untested]);

    assert_eq!(Acomp::alloc_in(&registry, "x", Params::new()).unwrap().driver(), "x-next");
    let error = Acomp::alloc_in(&registry, "x-best", Params::new()).unwrap_err();
    let OpenError::SelfTest { driver, case } = error else { panic!("{error}") };
    assert_eq!((&*driver, &*case), ("x-best", "empty page (hook)"));
    assert_eq!(verdicts(&registry), [Verdict::Failed(case), Verdict::Passed]);
}

#[test]
fn self_test_runs_once_per_driver_and_only_when_it_is_used() {
    static RUNS: [AtomicUsize; 2] = [const { AtomicUsize::new(0) }; 2];
    static HOOK: SelfTestHook = SelfTestHook::new(
        |alg| {
            RUNS[usize::from(alg.info().driver == "x-next")].fetch_add(1, Relaxed);
            Ok(())
        },
        "hook",
    );
    let runs = || RUNS.each_ref().map(|n| n.load(Relaxed));
    let registry = Registry::builder().self_tests([&HOOK]).build();
    let _guards = [BEST, NEXT].map(|info| registry.add(Toy::copying(info)).unwrap());
    registry.find("x").unwrap();
    registry.candidates("x").unwrap();
    assert_eq!((registry.iter().count(), runs()), (2, [0, 0]));

    let start = Barrier::new(THREADS);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                start.wait();
                Acomp::alloc_in(&registry, "x", Params::new()).unwrap();
            });
        }
    });
    assert_eq!(runs(), [1, 0]);
    registry.self_test_all();
    registry.self_test_all();
    assert_eq!(runs(), [1, 1]);
}

#[test]
fn every_hook_must_pass_and_the_first_failure_is_named() {
    static SOUND: SelfTestHook = SelfTestHook::new(|_| Ok(()), "sound");
    static FAILS: SelfTestHook = SelfTestHook::new(|_| Err("a case".into()), "fails");
    static PANICS: SelfTestHook = SelfTestHook::new(|_| die(), "panics");
    let verdict = |hooks: &[&'static SelfTestHook]| {
        let registry = Registry::builder().self_tests(hooks.iter().copied()).build();
        let guard = registry.add(Toy::copying(BEST)).unwrap();
        registry.self_test_all();
        guard.alg().verdict()
    };
    assert_eq!(verdict(&[]), Verdict::Untested);
    assert_eq!(verdict(&[&SOUND]), Verdict::Passed);
    assert_eq!(verdict(&[&SOUND, &FAILS, &PANICS]), Verdict::Failed("a case (fails)".into()));
    assert_eq!(verdict(&[&PANICS, &FAILS]), Verdict::Failed("panic (panics)".into()));
}

#[test]
fn untested_driver_is_used() {
    let (registry, guards) = registry_of([Toy::copying(BEST)]);
    assert!(Acomp::alloc_in(&registry, "x", Params::new()).is_ok());
    assert_eq!(guards[0].alg().verdict(), Verdict::Untested);
}

#[test]
fn driver_that_cannot_be_made_stays_untested() {
    static HOOK: SelfTestHook = SelfTestHook::new(|_| Ok(()), "hook");
    static INFO: AlgInfo = BEST;
    static ABSENT: Registration = Registration::new(&INFO, || Err(absent()), "absent");
    let registry = Registry::builder().entries([&ABSENT]).self_tests([&HOOK]).build();
    let _next = registry.add(Toy::copying(NEXT)).unwrap();
    registry.self_test_all();
    assert_eq!(verdicts(&registry), [Verdict::Untested, Verdict::Passed]);
}

/// A driver of [`BEST`] that refuses while it is prepared.
#[derive(Debug)]
struct Unprepared {
    refusal: fn() -> OpenError,
}

impl Algorithm for Unprepared {
    fn info(&self) -> &AlgInfo {
        static INFO: AlgInfo = BEST;
        &INFO
    }

    fn prepare(&self, _params: &Params) -> Result<Option<Arc<dyn Algorithm>>, OpenError> {
        Err((self.refusal)())
    }

    fn open(&self, params: &Params) -> Result<Box<dyn Codec>, OpenError> {
        Toy::copying(BEST).open(params)
    }
}

fn unsupported(param: &str, why: &str) -> OpenError {
    OpenError::Unsupported { param: param.into(), why: why.into() }
}

/// Best driver first.
fn verdicts(registry: &Registry) -> Vec<Verdict> {
    registry.iter().map(|alg| alg.verdict()).collect()
}

const THREADS: usize = 8;

/// As a device driver would that falls back to software by generic name.
#[test]
fn driver_that_opens_its_own_name_gets_the_next_one() {
    static HOOK: SelfTestHook = SelfTestHook::new(
        |alg| alg.open(&Params::new()).map(drop).map_err(|why| why.to_string().into()),
        "hook",
    );
    let registry = Registry::builder().self_tests([&HOOK]).build();
    let inner = registry.clone();
    let _next = registry.add(Toy::copying(NEXT)).unwrap();
    let _best = registry
        .add(Toy::new(BEST, move |params| {
            let fallback = Acomp::alloc_in(&inner, "x", Params::new())?;
            assert_eq!(fallback.driver(), "x-next");
            Toy::copying(BEST).open(params)
        }))
        .unwrap();
    let acomp = Acomp::alloc_in(&registry, "x-best", Params::new()).unwrap();
    assert_eq!(acomp.alg().verdict(), Verdict::Passed);
}

#[test]
fn driver_that_needs_itself_to_be_made_is_refused() {
    static INFO: AlgInfo = BEST;
    static ONCE: Registration = Registration::new(
        &INFO,
        || match REGISTRY.get().unwrap().find("x-best") {
            Err(why @ OpenError::Recursive { .. }) => Err(why),
            other => panic!("{other:?}"),
        },
        "once",
    );
    static REGISTRY: OnceLock<Registry> = OnceLock::new();
    let registry = REGISTRY.get_or_init(|| Registry::from_entries([&ONCE]));
    let error = registry.find("x-best").unwrap_err();
    assert!(matches!(error, OpenError::Recursive { .. }), "{error}");
}

#[test]
fn driver_that_tells_other_names_than_its_registration_is_refused() {
    static INFO: AlgInfo = NEXT;
    static ENTRY: Registration =
        Registration::new(&INFO, || Ok(Toy::copying(AlgInfo::new("y", "y-next"))), "misnamed");
    let error = Acomp::alloc_in(&Registry::from_entries([&ENTRY]), "x", Params::new()).unwrap_err();
    assert!(matches!(error, OpenError::Misnamed { .. }), "{error}");
    assert!(error.to_string().contains("`y`, `y-next`"), "{error}");
}

#[test]
fn driver_that_needs_a_parameter_stays_untested_and_works_with_it() {
    static HOOK: SelfTestHook = SelfTestHook::new(|_| Ok(()), "hook");
    let registry = Registry::builder().self_tests([&HOOK]).build();
    let needy = Toy::new(NEXT, |params| match params.level() {
        None => Err(OpenError::invalid_param("level", "give one")),
        Some(_) => Toy::copying(NEXT).open(&Params::new()),
    });
    let _guard = registry.add(needy).unwrap();
    let acomp = Acomp::alloc_in(&registry, "x", Params::new().with_level(1)).unwrap();
    assert_eq!(acomp.alg().verdict(), Verdict::Untested);
    assert!(Acomp::alloc_in(&registry, "x", Params::new()).is_err());
}

#[test]
fn parameter_set_by_name_that_has_a_method_is_refused() {
    let (registry, _guards) = registry_of([Toy::new(NEXT, |params| {
        params.allow(&["level", "dictionary", "window_bytes"])?;
        Toy::copying(NEXT).open(&Params::new())
    })]);
    for name in ["level", "dictionary", "window_bytes", "bounce_bytes_max"] {
        let error = Acomp::alloc_in(&registry, "x", Params::new().with(name, "1")).unwrap_err();
        assert!(error.to_string().contains(&format!("with_{name}")), "{error}");
    }
}
