//! The properties: what holds for every driver.

mod chains;
mod damage;
mod facts;
mod known_streams;
mod round_trip;
mod small_dst;
mod state;

use crate::trial::Trial;

/// Name and cases of each property.
pub(crate) const THEMES: [(&str, fn(&mut Trial<'_>)); 7] = [
    ("facts", facts::run),
    ("vectors", known_streams::run),
    ("round trip", round_trip::run),
    ("small destination", small_dst::run),
    ("damaged stream", damage::run),
    ("chain", chains::run),
    ("state", state::run),
];
