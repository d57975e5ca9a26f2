//! The device at its own interface: descriptors written to queues, memory, and records; no driver.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod addresses;
mod bench;
mod faults;
mod operations;
mod queues;
mod refusals;
