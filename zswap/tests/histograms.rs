//! How long calls take and how long objects are.

mod pages;
mod toys;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use zswap::{Clock, Load, Owner, PAGE_BYTES, Slot};

use pages::{filled, random, stamped};
use toys::Toy;

#[test]
fn stores_and_loads_are_timed_per_page() {
    let pool = Toy::new().pool_with(|builder| builder.clock(Arc::new(Ticking::default())));
    for number in 0..1000 {
        pool.store(Slot(number), &[stamped(number)], Owner::ROOT).unwrap();
        pool.load(Slot(number), &mut filled(0), Load::Exclusive).unwrap();
    }
    let (stores, loads) = pool.latencies();
    for histogram in [stores, loads] {
        let counted: u64 = histogram.levels().iter().map(|(_, count)| count).sum();
        assert!((10..100).contains(&counted), "{counted}");
        // The clock ticks once between the beginning and the end of a call.
        assert_eq!((histogram.quantile(1), histogram.quantile(1000)), (2048, 2048));
    }
}

#[test]
fn objects_are_told_apart_by_length() {
    let pool = Toy::new().pool();
    assert_eq!(pool.object_sizes().quantile(500), 0);
    pool.store(Slot(0), &[stamped(1), stamped(2), random(3)], Owner::ROOT).unwrap();
    let sizes = pool.object_sizes();
    assert!(sizes.quantile(500) < 200, "two of three are short");
    assert_eq!(sizes.quantile(1000), PAGE_BYTES as u64);
}

/// Time that passes when it is asked for.
#[derive(Debug, Default)]
struct Ticking(AtomicU64);

impl Clock for Ticking {
    fn now_ns(&self) -> u64 {
        self.0.fetch_add(1500, Relaxed)
    }
}
