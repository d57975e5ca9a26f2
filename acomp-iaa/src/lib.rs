//! The driver of the Intel In-Memory Analytics Accelerator (IAA), and the device below it.
//!
//! Driver and device meet at the device's own interface only: descriptors of 64 bytes written to
//! work queues, completion records of 64 bytes, an AECS table in memory. Below that line stands a
//! software model; real queues are a later step.

#![forbid(unsafe_code)]

pub mod aecs;
pub mod bits;
mod clock;
pub mod completion;
mod config;
pub mod desc;
mod device;
mod dma;
mod driver;
mod engine;
mod fault;
pub mod sim;
mod stats;
mod threads;
pub mod topology;
mod wq;

pub use clock::{Clock, RealClock, SteppedClock};
pub use config::{DeviceConfig, ENGINES, ENTRIES, GROUPS, QUEUES, WqConfig, WqMode};
pub use device::Device;
pub use dma::{Dma, Lease, REGION_BYTES_MAX};
pub use driver::{
    Accel, BindError, Binding, ControlError, DeflateIaa, DeviceControl, DeviceState, IsBound,
    Settings, SyncMode, model,
};
pub use fault::{Fault, FaultPlan, PAGE_REQUEST_NS};
pub use stats::{DeviceStats, GlobalStats, JobKind, Jobs, WqStats};
pub use threads::EngineThreads;
pub use wq::Written;
