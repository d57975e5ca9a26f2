//! Which region an address is in: for all pagers of the process.

use std::sync::{Arc, Mutex};

use crate::core::Core;
use crate::fault::Served;
use crate::raw::signal::die;
use crate::space::{Space, lock};

/// Sorted by address. Room is made where regions are mapped, never while a fault is served.
static REGIONS: Mutex<Vec<Region>> = Mutex::new(Vec::new());

#[derive(Debug)]
struct Region {
    start: usize,
    space: Arc<Space>,
    core: Arc<Core>,
}

pub(crate) fn add(space: &Arc<Space>, core: &Arc<Core>) {
    let region =
        Region { start: space.area.page(0), space: Arc::clone(space), core: Arc::clone(core) };
    // The allocator may lead to a fault on a region, which looks in here: not with the lock held.
    let mut more = Vec::new();
    loop {
        let mut regions = lock(&REGIONS);
        let wanted = regions.len() + 1;
        if regions.capacity() < wanted && more.capacity() < wanted {
            drop(regions);
            more = Vec::with_capacity(2 * wanted);
            continue;
        }
        if regions.capacity() < wanted {
            more.append(&mut regions);
            std::mem::swap(&mut *regions, &mut more);
        }
        let place = regions.partition_point(|other| other.start < region.start);
        regions.insert(place, region);
        break;
    }
}

pub(crate) fn remove(space: &Arc<Space>) {
    let mut regions = lock(&REGIONS);
    let place = regions.iter().position(|region| Arc::ptr_eq(&region.space, space));
    let removed = place.map(|place| regions.remove(place));
    drop(regions);
    drop(removed);
}

fn find(address: usize) -> Option<(Arc<Space>, Arc<Core>, usize)> {
    let regions = lock(&REGIONS);
    let place = regions.partition_point(|region| region.start <= address).checked_sub(1)?;
    let region = regions.get(place)?;
    let page = region.space.page_of(address)?;
    Some((Arc::clone(&region.space), Arc::clone(&region.core), page))
}

/// The page of an address.
pub(crate) fn find_page(address: usize) -> Option<(Arc<Space>, usize)> {
    find(address).map(|(space, _, page)| (space, page))
}

/// Serves a fault at an address. `None`: it is not in a region.
pub(crate) fn serve(address: usize) -> Option<Served> {
    let (space, core, page) = find(address)?;
    let served = core.serve(&space, page);
    // Not the last ones: the table has them, as whoever removes them from there has the region for
    // himself, and no access of his is under way.
    drop((space, core));
    Some(served)
}

/// Serves a fault in the thread that it happened in. Whether the access may be tried again.
pub(crate) fn serve_signal(address: usize) -> bool {
    match serve(address) {
        Some(Served::Yes) => true,
        Some(Served::Lost) => die("a page of a region cannot be had back"),
        None => false,
    }
}
