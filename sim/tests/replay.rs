//! The same seed is the same simulation, wherever and whenever it runs.

use std::collections::HashSet;
use std::sync::Arc;
use std::thread;

use acomp_sim::{Case, Seam, Sound, Tally, simulate, stay_on};

#[test]
fn a_seed_goes_the_same_way_twice() {
    // Beside each other, on two CPUs where there are some.
    let run = |cpu| {
        thread::spawn(move || {
            stay_on(cpu).unwrap();
            traces(0..60)
        })
    };
    let [first, second] = [0, 1].map(run);
    let (first, second) = (first.join().unwrap(), second.join().unwrap());
    assert_eq!(first, second);
    let different: HashSet<u64> = first.into_iter().collect();
    assert_eq!(different.len(), 60);
}

#[test]
fn a_series_of_seeds_meets_everything() {
    stay_on(0).unwrap();
    let mut tally = Tally::default();
    for seed in 0..150 {
        let outcome = simulate(&Case::of_seed(seed, 40), &sound(), false);
        assert!(outcome.violation.is_none(), "seed {seed}: {:?}", outcome.violation);
        tally.add(&outcome.tally);
    }
    // What a series never comes to, it does not test.
    for (name, count) in tally.ops.iter().chain(&tally.faults) {
        assert_ne!(*count, 0, "{name}");
    }
    assert_eq!((tally.ops.len(), tally.faults.len()), (21, 17));
    assert!(tally.in_the_middle > 300, "{}", tally.in_the_middle);
    let rare = ["dropped_duplicates", "reject_reclaim_fail", "pool_limit_hit"];
    assert!(rare.iter().all(|name| tally.events[name] > 0), "{:?}", tally.events);
}

fn traces(seeds: std::ops::Range<u64>) -> Vec<u64> {
    seeds.map(|seed| simulate(&Case::of_seed(seed, 40), &sound(), false).trace).collect()
}

fn sound() -> Arc<dyn Seam> {
    Arc::new(Sound)
}
