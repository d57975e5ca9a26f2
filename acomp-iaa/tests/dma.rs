//! Memory of devices: whoever holds a lease, and nobody else, is where its addresses lead.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashSet;
use std::sync::Arc;

use acomp_iaa::completion::Status;
use acomp_iaa::desc::{Descriptor, Flags, Operation};
use acomp_iaa::{
    Device, DeviceConfig, Dma, FaultPlan, Lease, REGION_BYTES_MAX, SteppedClock, Written,
};
use fastrand::Rng;

#[test]
fn a_lease_is_zeroed() {
    let dma = Dma::new();
    for len in [0, 1, 100, 4096, 50] {
        let lease = dma.lease(len).unwrap();
        assert_eq!(*lease.read(), vec![0; len]);
        assert_eq!(lease.completion(), None);
        // The next one gets the same region.
        lease.write().fill(0xaa);
    }
}

#[test]
fn regions_have_a_limit() {
    let dma = Dma::new();
    let lease = dma.lease(REGION_BYTES_MAX).unwrap();
    assert!(dma.lease(REGION_BYTES_MAX + 1).is_none());
    assert_eq!(dma.leases(), 1);
    // A device reaches the last byte, and no further.
    let device = device(&dma);
    let dst = dma.lease(1).unwrap();
    lease.write()[REGION_BYTES_MAX - 1] = 0x5a;
    assert_eq!(copy(&dma, &device, lease.address(REGION_BYTES_MAX - 1), dst.address(0), 1), 1);
    assert_eq!(*dst.read(), [0x5a]);
    assert_eq!(copy(&dma, &device, lease.address(REGION_BYTES_MAX), dst.address(0), 1), 4);
}

#[test]
fn leases_are_counted() {
    let dma = Dma::new();
    let mut leases: Vec<_> = (0..300).map(|_| dma.lease(8).unwrap()).collect();
    assert_eq!(dma.leases(), 300);
    leases.truncate(7);
    assert_eq!(dma.leases(), 7);
    leases.iter().for_each(Lease::renew);
    leases.push(dma.lease(8).unwrap());
    assert_eq!(dma.leases(), 8);
    drop(leases);
    assert_eq!(dma.leases(), 0);
}

#[test]
fn there_are_as_many_leases_as_addresses() {
    let dma = Dma::new();
    let mut leases: Vec<_> = (0..1 << 16).map(|_| dma.lease(0).unwrap()).collect();
    let addresses: HashSet<_> = leases.iter().map(Lease::record_address).collect();
    assert_eq!(addresses.len(), 1 << 16);
    assert!(dma.lease(0).is_none());
    assert_eq!(dma.leases(), 1 << 16);
    // One that comes back can be had, at another address.
    leases.truncate((1 << 16) - 1);
    assert!(!addresses.contains(&dma.lease(0).unwrap().record_address()));
}

#[test]
fn addresses_lead_to_their_lease_and_nowhere_when_it_has_ended() {
    let mut rng = Rng::with_seed(1);
    let dma = Dma::new();
    let device = device(&dma);
    let mut held: Vec<(Lease, u8)> = Vec::new();
    let mut stale = Vec::new();
    for round in 0..2000 {
        match rng.u8(..4) {
            0 | 1 => {
                let lease = dma.lease(rng.usize(1..100)).unwrap();
                lease.write().fill(round as u8);
                held.push((lease, round as u8));
            }
            2 if !held.is_empty() => {
                let (lease, _) = held.swap_remove(rng.usize(..held.len()));
                stale.push(lease.address(0));
            }
            _ if !held.is_empty() => {
                let (lease, _) = &held[rng.usize(..held.len())];
                stale.push(lease.address(0));
                lease.renew();
            }
            _ => (),
        }
        let out = dma.lease(1).unwrap();
        if !held.is_empty() {
            let (lease, value) = &held[rng.usize(..held.len())];
            assert_eq!(copy(&dma, &device, lease.address(0), out.address(0), 1), 1);
            assert_eq!(*out.read(), [*value]);
        }
        if !stale.is_empty() {
            let address = stale[rng.usize(..stale.len())];
            assert_eq!(copy(&dma, &device, address, out.address(0), 1), 0x04);
            // What would be written is written to nobody.
            assert_eq!(copy(&dma, &device, out.address(0), address, 1), 0x84);
        }
        drop(out);
    }
    for (lease, value) in &held {
        assert!(lease.read().iter().all(|byte| byte == value));
    }
}

#[test]
fn a_renewed_lease_keeps_its_bytes_and_forgets_its_record() {
    let dma = Dma::new();
    let device = device(&dma);
    let lease = dma.lease(16).unwrap();
    lease.write().fill(0x77);
    let noop = Descriptor {
        flags: Flags::COMPLETION_VALID | Flags::REQUEST_COMPLETION,
        completion: lease.record_address(),
        ..Descriptor::default()
    };
    assert_eq!(device.submit(0, &noop.encode()), Written::Accepted);
    device.drive(1);
    assert_eq!(lease.completion().unwrap().status, Status::SUCCESS);
    lease.renew();
    assert_eq!(lease.completion(), None);
    assert_eq!(*lease.read(), [0x77; 16]);
}

#[test]
fn a_lease_outlives_its_address_space() {
    let lease = Dma::new().lease(16).unwrap();
    lease.write().fill(1);
    lease.renew();
    assert_eq!(*lease.read(), [1; 16]);
}

fn device(dma: &Arc<Dma>) -> Arc<Device> {
    let clock = Arc::new(SteppedClock::new());
    Device::new(DeviceConfig::new(1), Arc::clone(dma), clock, FaultPlan::new(0))
}

/// Has the device copy; the status that it reports.
fn copy(dma: &Arc<Dma>, device: &Device, src1: u64, dst: u64, src1_bytes: u32) -> u8 {
    let record = dma.lease(0).unwrap();
    let descriptor = Descriptor {
        flags: Flags::COMPLETION_VALID | Flags::REQUEST_COMPLETION,
        operation: Operation::MemMove,
        completion: record.record_address(),
        src1,
        dst,
        src1_bytes,
        ..Descriptor::default()
    };
    assert_eq!(device.submit(0, &descriptor.encode()), Written::Accepted);
    assert_eq!(device.drive(1), 1);
    record.completion().unwrap().status.bits()
}
