//! The index from slots to entries: partitions of 2^14 slots (64 MiB of pages, as in the kernel),
//! each with a lock of its own and nodes of 64 slots.
//!
//! Partitions are found without a lock. One that becomes empty may be given to other slots: its key
//! changes under its lock only, so that who has locked it and finds the key knows that it is the
//! right one. Everything lies in tables that grow outside the data path.

use std::io;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use crate::fault::{Fault, is_refused};
use crate::slot::Slot;
use crate::sync::{AtomicU32, AtomicU64, Mutex, MutexGuard, lock};
use crate::zsmalloc::{Links, List, Table};

#[derive(Debug)]
pub(crate) struct Tree {
    partitions: Table<Partition>,
    nodes: Table<Node>,
    /// Chains of partitions, by key.
    buckets: Table<AtomicU32>,
    /// Of partitions that are empty.
    links: Table<Links>,
    spare: Mutex<Spare>,
    /// Counts the changes of chains.
    changes: AtomicU64,
    reserve: Reserve,
}

/// As much as is committed ahead.
#[derive(Clone, Copy, Debug)]
struct Reserve {
    partitions: usize,
    nodes: usize,
}

#[derive(Debug, Default)]
struct Partition {
    /// The slots' common part, plus one; 0: there is none yet.
    key: AtomicU64,
    /// The next one of the chain, plus one.
    next: AtomicU32,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Numbers of nodes, plus one.
    nodes: [u32; PARTITION_NODES],
    /// Slots in use, of each node and of all.
    used: [u8; PARTITION_NODES],
    used_total: u32,
}

impl Default for State {
    fn default() -> Self {
        Self { nodes: [0; PARTITION_NODES], used: [0; PARTITION_NODES], used_total: 0 }
    }
}

/// What is under 64 slots: 0 is nothing. Touched under the lock of the partition that has it.
#[derive(Debug)]
#[repr(align(64))]
struct Node([AtomicU32; NODE_SLOTS]);

impl Default for Node {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU32::new(0)))
    }
}

/// What no slot uses. Locked after partitions, or with others' only tried.
#[derive(Debug, Default)]
struct Spare {
    /// Partitions that are empty, the last one that became so first.
    empty: List,
    /// Partitions from this one on were never used.
    fresh_partition: u32,
    /// The first free node, plus one; its first slot has the next.
    free_node: u32,
    free_nodes: usize,
    fresh_node: u32,
}

/// There is no memory for another part of the tree until the reserve is refilled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReserveEmpty;

impl Tree {
    /// For so many entries at most.
    pub(crate) fn new(entries_max: usize) -> io::Result<Self> {
        let partitions_max = entries_max.min(PARTITIONS_MAX);
        let tree = Self {
            partitions: Table::new(partitions_max)?,
            nodes: Table::new(entries_max)?,
            buckets: Table::new(BUCKETS)?,
            links: Table::new(partitions_max)?,
            spare: Mutex::default(),
            changes: AtomicU64::new(0),
            reserve: Reserve {
                partitions: PARTITIONS_AHEAD.min(partitions_max),
                nodes: NODES_AHEAD.min(entries_max),
            },
        };
        tree.buckets.grow(BUCKETS)?;
        tree.refill()?;
        Ok(tree)
    }

    /// Commits memory ahead. Not for the data path.
    pub(crate) fn refill(&self) -> io::Result<()> {
        let (left, Reserve { partitions, nodes }) = (self.left(), self.reserve);
        if left.partitions < partitions {
            let len = self.partitions.len() + partitions;
            self.links.grow(len)?;
            self.partitions.grow(len)?;
        }
        if left.nodes < nodes {
            self.nodes.grow(self.nodes.len() + nodes)?;
        }
        Ok(())
    }

    /// Whether less than half of the reserve is left.
    pub(crate) fn is_low(&self) -> bool {
        let (left, Reserve { partitions, nodes }) = (self.left(), self.reserve);
        let can_grow = |len, capacity| len < capacity;
        (left.partitions < partitions / 2
            && can_grow(self.partitions.len(), self.partitions.capacity()))
            || (left.nodes < nodes / 2 && can_grow(self.nodes.len(), self.nodes.capacity()))
    }

    /// Whether it has all the memory that it may have.
    pub(crate) fn is_final(&self) -> bool {
        self.partitions.len() == self.partitions.capacity()
            || self.nodes.len() == self.nodes.capacity()
    }

    fn left(&self) -> Reserve {
        let spare = lock(&self.spare);
        Reserve {
            partitions: self.partitions.len() - spare.fresh_partition as usize + spare.empty.len(),
            nodes: self.nodes.len() - spare.fresh_node as usize + spare.free_nodes,
        }
    }

    pub(crate) fn metadata_bytes(&self) -> usize {
        self.partitions.committed_bytes()
            + self.nodes.committed_bytes()
            + self.buckets.committed_bytes()
            + self.links.committed_bytes()
    }

    /// The partition of a slot, locked, if one of its slots may be in use.
    #[inline]
    pub(crate) fn find(&self, slot: Slot) -> Option<Locked<'_>> {
        let key = key(slot);
        loop {
            let changes = self.changes.load(Acquire);
            match self.look_up(key) {
                Some(number) => {
                    if let Some(locked) = self.locked(number, key) {
                        return Some(locked);
                    }
                }
                // While others changed the chain, we may have been led astray.
                None if self.changes.load(Acquire) == changes => return None,
                None => {}
            }
        }
    }

    /// The same; it is made if there is none.
    #[inline]
    pub(crate) fn find_or_add(&self, slot: Slot) -> Result<Locked<'_>, ReserveEmpty> {
        match self.find(slot) {
            Some(locked) => Ok(locked),
            None => self.add(slot),
        }
    }

    /// The slot whose place was noted in an entry.
    pub(crate) fn slot_at(&self, place: u32) -> Option<Slot> {
        let partition = self.partitions.get((place >> PARTITION_BITS) as usize)?;
        let key = partition.key.load(Relaxed).checked_sub(1)?;
        Some(Slot(key << PARTITION_BITS | u64::from(place & PARTITION_MASK)))
    }

    #[cold]
    fn add(&self, slot: Slot) -> Result<Locked<'_>, ReserveEmpty> {
        let key = key(slot);
        loop {
            let mut spare = lock(&self.spare);
            // Somebody may have been faster.
            if let Some(number) = self.look_up(key) {
                drop(spare);
                if let Some(locked) = self.locked(number, key) {
                    return Ok(locked);
                }
                continue;
            }
            let (number, state) = self.take_partition(&mut spare)?;
            let partition = self.partitions.get(number).ok_or(ReserveEmpty)?;
            self.unlink(number, partition);
            partition.key.store(key, Relaxed);
            self.link(number, partition);
            drop(spare);
            return Ok(Locked { tree: self, number, state });
        }
    }

    /// A partition that nobody uses, locked.
    fn take_partition<'t>(
        &'t self,
        spare: &mut Spare,
    ) -> Result<(usize, MutexGuard<'t, State>), ReserveEmpty> {
        if is_refused(Fault::Partition) {
            return Err(ReserveEmpty);
        }
        // The one that has been empty for longest. Holders of some may be about to use them again.
        let mut next = spare.empty.last();
        for _ in 0..EMPTY_PARTITION_TRIES {
            let Some(number) = next else { break };
            if let Some(partition) = self.partitions.get(number)
                && let Ok(state) = partition.state.try_lock()
                && state.used_total == 0
            {
                // Still empty: it stays in the list until a slot of it is used.
                return Ok((number, state));
            }
            next = List::pushed_after(&self.links, number);
        }
        let number = spare.fresh_partition as usize;
        let partition = self.partitions.get(number).ok_or(ReserveEmpty)?;
        spare.fresh_partition += 1;
        spare.empty.push(&self.links, number);
        Ok((number, lock(&partition.state)))
    }

    fn look_up(&self, key: u64) -> Option<usize> {
        let mut next = self.bucket(key)?.load(Acquire);
        // A chain that changes meanwhile may lead in circles: the caller tries again.
        for _ in 0..=self.partitions.len() {
            let number = next.checked_sub(1)? as usize;
            let partition = self.partitions.get(number)?;
            if partition.key.load(Relaxed) == key {
                return Some(number);
            }
            next = partition.next.load(Acquire);
        }
        None
    }

    fn locked(&self, number: usize, key: u64) -> Option<Locked<'_>> {
        let partition = self.partitions.get(number)?;
        let state = lock(&partition.state);
        (partition.key.load(Relaxed) == key).then_some(Locked { tree: self, number, state })
    }

    /// With `spare` locked, and the partition.
    fn link(&self, number: usize, partition: &Partition) {
        let Some(bucket) = self.bucket(partition.key.load(Relaxed)) else { return };
        // Released: who is led astray by it must see that the chain has changed.
        partition.next.store(bucket.load(Relaxed), Release);
        bucket.store(number as u32 + 1, Release);
    }

    /// With `spare` locked, and the partition.
    fn unlink(&self, number: usize, partition: &Partition) {
        let key = partition.key.load(Relaxed);
        if key == 0 {
            return;
        }
        let Some(mut place) = self.bucket(key) else { return };
        loop {
            let next = place.load(Relaxed);
            let Some(linked) = next.checked_sub(1) else { break };
            if linked as usize == number {
                place.store(partition.next.load(Relaxed), Release);
                break;
            }
            let Some(partition) = self.partitions.get(linked as usize) else { break };
            place = &partition.next;
        }
        self.changes.fetch_add(1, Release);
    }

    #[inline]
    fn bucket(&self, key: u64) -> Option<&AtomicU32> {
        let hash = key.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        self.buckets.get(hash as usize % self.buckets.len())
    }

    fn take_node(&self) -> Option<u32> {
        if is_refused(Fault::Node) {
            return None;
        }
        let mut spare = lock(&self.spare);
        if let Some(number) = spare.free_node.checked_sub(1) {
            let node = self.nodes.get(number as usize)?;
            spare.free_node = node.0[0].swap(0, Relaxed);
            spare.free_nodes -= 1;
            return Some(number);
        }
        let number = spare.fresh_node;
        self.nodes.get(number as usize)?;
        spare.fresh_node += 1;
        Some(number)
    }

    fn put_node(&self, number: u32) {
        if let Some(node) = self.nodes.get(number as usize) {
            let mut spare = lock(&self.spare);
            node.0[0].store(spare.free_node, Relaxed);
            spare.free_node = number + 1;
            spare.free_nodes += 1;
        }
    }
}

/// A partition, locked.
#[derive(Debug)]
pub(crate) struct Locked<'t> {
    tree: &'t Tree,
    number: usize,
    state: MutexGuard<'t, State>,
}

impl Locked<'_> {
    /// What names the slot in 32 bits for as long as something is under it.
    #[inline]
    pub(crate) fn place(&self, slot: Slot) -> u32 {
        (self.number as u32) << PARTITION_BITS | slot.0 as u32 & PARTITION_MASK
    }

    /// What is under a slot of this partition; 0: nothing.
    #[inline]
    pub(crate) fn get(&self, slot: Slot) -> u32 {
        let (node, at) = split(slot);
        let number = self.state.nodes[node].checked_sub(1);
        let node = number.and_then(|number| self.tree.nodes.get(number as usize));
        node.map_or(0, |node| node.0[at].load(Relaxed))
    }

    /// Puts something under a slot; what was there.
    #[inline]
    pub(crate) fn set(&mut self, slot: Slot, value: u32) -> Result<u32, ReserveEmpty> {
        let (index, at) = split(slot);
        if self.state.nodes[index] == 0 {
            self.state.nodes[index] = self.tree.take_node().ok_or(ReserveEmpty)? + 1;
        }
        let number = self.state.nodes[index] - 1;
        let node = self.tree.nodes.get(number as usize).ok_or(ReserveEmpty)?;
        let old = node.0[at].swap_relaxed(value);
        if old == 0 && value != 0 {
            self.state.used[index] += 1;
            self.state.used_total += 1;
            if self.state.used_total == 1 {
                lock(&self.tree.spare).empty.remove(&self.tree.links, self.number);
            }
        }
        Ok(old)
    }

    /// Takes what is under a slot; 0: nothing.
    #[inline]
    pub(crate) fn take(&mut self, slot: Slot) -> u32 {
        let (index, at) = split(slot);
        let Some(number) = self.state.nodes[index].checked_sub(1) else { return 0 };
        let Some(node) = self.tree.nodes.get(number as usize) else { return 0 };
        let old = node.0[at].swap_relaxed(0);
        if old != 0 {
            self.state.used[index] -= 1;
            self.state.used_total -= 1;
            if self.state.used[index] == 0 {
                self.state.nodes[index] = 0;
                self.tree.put_node(number);
            }
            if self.state.used_total == 0 {
                lock(&self.tree.spare).empty.push(&self.tree.links, self.number);
            }
        }
        old
    }
}

/// Plain reads and writes of what a lock guards.
trait Guarded {
    fn swap_relaxed(&self, value: u32) -> u32;
}

impl Guarded for AtomicU32 {
    #[inline]
    fn swap_relaxed(&self, value: u32) -> u32 {
        let old = self.load(Relaxed);
        self.store(value, Relaxed);
        old
    }
}

/// How many of `pages` pages from `first` on lie in its partition.
#[inline]
pub(crate) fn pages_in_partition(first: Slot, pages: usize) -> usize {
    let left = PARTITION_SLOTS - (first.0 as usize & PARTITION_MASK as usize);
    left.min(pages)
}

#[inline]
fn key(slot: Slot) -> u64 {
    (slot.0 >> PARTITION_BITS) + 1
}

/// The node of a slot in its partition, and the place there.
#[inline]
fn split(slot: Slot) -> (usize, usize) {
    let offset = slot.0 as usize & PARTITION_MASK as usize;
    (offset / NODE_SLOTS, offset % NODE_SLOTS)
}

/// As in the kernel. What is explored has two nodes in a partition, and two chains.
const PARTITION_BITS: u32 = if cfg!(loom) { 2 } else { 14 };
const PARTITION_SLOTS: usize = 1 << PARTITION_BITS;
const PARTITION_MASK: u32 = PARTITION_SLOTS as u32 - 1;
const NODE_SLOTS: usize = if cfg!(loom) { 2 } else { 64 };
const PARTITION_NODES: usize = PARTITION_SLOTS / NODE_SLOTS;
/// As many as a place in an entry can name.
const PARTITIONS_MAX: usize = 1 << (u32::BITS - PARTITION_BITS);
/// Chains of partitions, however many there are: of at most 64.
const BUCKETS: usize = if cfg!(loom) { 2 } else { 4096 };
/// Empty partitions that are looked at for one that nobody holds.
const EMPTY_PARTITION_TRIES: usize = 64;
/// Committed ahead: 84 KiB.
const PARTITIONS_AHEAD: usize = if cfg!(loom) { 2 } else { 64 };
/// Committed ahead: 64 KiB, for 16 384 pages of folios, or 256 that lie apart.
const NODES_AHEAD: usize = if cfg!(loom) { 2 } else { 256 };

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn slots_are_found_under_their_own_keys_only() {
        let tree = Tree::new(1 << 20).unwrap();
        let slots = [0, 63, 64, 16_383, 16_384, 1 << 40, u64::MAX].map(Slot);
        for (slot, value) in slots.iter().zip(1..) {
            let mut partition = tree.find_or_add(*slot).unwrap();
            assert_eq!(partition.set(*slot, value), Ok(0));
            let place = partition.place(*slot);
            drop(partition);
            assert_eq!(tree.slot_at(place), Some(*slot));
        }
        for (slot, value) in slots.iter().zip(1..) {
            assert_eq!(tree.find(*slot).unwrap().get(*slot), value);
        }
        assert!(tree.find(Slot(1 << 50)).is_none());
        for (slot, value) in slots.iter().zip(1..) {
            assert_eq!(tree.find(*slot).unwrap().take(*slot), value);
            assert_eq!(tree.find(*slot).map_or(0, |partition| partition.get(*slot)), 0);
        }
    }

    #[test]
    fn empty_partitions_serve_other_slots_also_while_one_is_held() {
        let tree = Tree::new(1 << 20).unwrap();
        let held = tree.find_or_add(Slot(0)).unwrap();
        for number in 1..10_000 {
            let slot = Slot(number << PARTITION_BITS);
            let mut partition = tree.find_or_add(slot).unwrap();
            assert_eq!(partition.set(slot, 1), Ok(0));
            assert_eq!(partition.take(slot), 1);
        }
        drop(held);
        assert!(tree.partitions.len() <= PARTITIONS_AHEAD);
    }
}

/// Every interleaving of two threads, one or two calls each (`cargo xtask loom`). Who finds slots
/// without a lock is the second thread, while the first one changes the chains: loom races a write
/// with the last read only, which would be the writer's own.
#[cfg(all(test, loom))]
mod loom_models {
    use std::ptr;
    use std::sync::Arc;

    use loom::thread::{self, JoinHandle};

    use super::*;

    /// Two partitions and two nodes at first, and room for as many more.
    struct Model {
        tree: Tree,
        /// First slots of partitions: three of one chain, and one of the other.
        chain: [Slot; 3],
        other_chain: Slot,
    }

    impl Model {
        fn new() -> Arc<Self> {
            let tree = Tree::new(4).unwrap();
            let bucket = |slot: &Slot| ptr::from_ref(tree.bucket(key(*slot)).unwrap());
            let slots = || (0..).map(|number| Slot(number << PARTITION_BITS));
            let is_first = |slot: &Slot| ptr::eq(bucket(slot), bucket(&Slot(0)));
            let mut chain = slots().filter(is_first);
            let chain = std::array::from_fn(|_| chain.next().unwrap());
            let other_chain = slots().find(|slot| !is_first(slot)).unwrap();
            Arc::new(Self { tree, chain, other_chain })
        }

        /// With something under the slot at the end of a chain, and before it a partition that is
        /// empty.
        fn with_empty_partition() -> Arc<Self> {
            let model = Self::new();
            model.set(model.chain[0], 1);
            assert_eq!(model.tree.find_or_add(model.chain[1]).unwrap().get(model.chain[1]), 0);
            model
        }

        fn run<T: 'static>(self: &Arc<Self>, what: fn(&Self) -> T) -> JoinHandle<T> {
            let model = Arc::clone(self);
            thread::spawn(move || what(&model))
        }

        fn set(&self, slot: Slot, value: u32) {
            assert_eq!(self.tree.find_or_add(slot).unwrap().set(slot, value), Ok(0));
        }

        fn get(&self, slot: Slot) -> u32 {
            self.tree.find(slot).map_or(0, |partition| partition.get(slot))
        }

        fn take(&self, slot: Slot) -> u32 {
            self.tree.find(slot).map_or(0, |mut partition| partition.take(slot))
        }
    }

    #[test]
    fn slot_is_found_while_a_partition_comes_into_its_chain() {
        loom::model(|| {
            let model = Model::new();
            model.set(model.chain[0], 1);
            let finder = model.run(|model| model.get(model.chain[0]));
            model.set(model.chain[1], 2);
            assert_eq!(finder.join().unwrap(), 1);
            assert_eq!(model.get(model.chain[1]), 2);
        });
    }

    #[test]
    fn slot_is_found_while_a_partition_leaves_its_chain() {
        loom::model(|| {
            let model = Model::with_empty_partition();
            let finder = model.run(|model| model.get(model.chain[0]));
            model.set(model.other_chain, 2);
            assert_eq!(finder.join().unwrap(), 1);
            assert_eq!(model.get(model.other_chain), 2);
            assert_eq!(model.tree.left().partitions, 0, "the empty one was used");
        });
    }

    #[test]
    fn slot_is_found_while_a_partition_moves_in_its_chain() {
        loom::model(|| {
            let model = Model::with_empty_partition();
            let finder = model.run(|model| model.get(model.chain[0]));
            model.set(model.chain[2], 2);
            assert_eq!(finder.join().unwrap(), 1);
            assert_eq!(model.get(model.chain[2]), 2);
        });
    }

    #[test]
    fn partition_is_not_taken_for_what_it_was() {
        loom::model(|| {
            let model = Model::with_empty_partition();
            let taker = model.run(|model| model.take(model.chain[1]));
            model.set(model.other_chain, 2);
            assert_eq!(taker.join().unwrap(), 0);
            assert_eq!(model.get(model.other_chain), 2);
        });
    }

    #[test]
    fn partition_that_is_held_is_not_given_away() {
        loom::model(|| {
            let model = Model::new();
            let adder = model.run(|model| model.set(model.chain[0], 1));
            model.set(model.other_chain, 2);
            adder.join().unwrap();
            assert_eq!([model.get(model.chain[0]), model.get(model.other_chain)], [1, 2]);
        });
    }

    #[test]
    fn slots_of_one_partition_are_added_to_one() {
        loom::model(|| {
            let model = Model::new();
            let adder = model.run(|model| model.set(model.chain[0].after(1), 2));
            model.set(model.chain[0], 1);
            adder.join().unwrap();
            let slots = [model.chain[0], model.chain[0].after(1)];
            assert_eq!(slots.map(|slot| model.get(slot)), [1, 2]);
            assert_eq!(model.tree.left().partitions, 1);
        });
    }

    #[test]
    fn node_is_under_the_slots_of_one_partition() {
        loom::model(|| {
            let model = Model::new();
            let other = model.run(|model| {
                model.set(model.other_chain, 2);
                assert_eq!(model.take(model.other_chain), 2);
            });
            model.set(model.chain[0], 1);
            assert_eq!(model.take(model.chain[0]), 1);
            other.join().unwrap();
            assert_eq!([model.get(model.chain[0]), model.get(model.other_chain)], [0, 0]);
            let Reserve { partitions, nodes } = model.tree.left();
            assert_eq!((partitions, nodes), (2, 2), "all is back");
        });
    }

    #[test]
    fn tree_grows_while_it_is_used() {
        loom::model(|| {
            let model = Model::with_empty_partition();
            model.set(model.chain[1], 2);
            let refiller = model.run(|model| model.tree.refill().unwrap());
            if let Ok(mut partition) = model.tree.find_or_add(model.other_chain)
                && partition.set(model.other_chain, 3).is_ok()
            {
                assert_eq!(partition.get(model.other_chain), 3);
            }
            assert_eq!(model.get(model.chain[0]), 1);
            refiller.join().unwrap();
            let Reserve { partitions, nodes } = model.tree.left();
            assert!((1..=2).contains(&partitions) && (1..=2).contains(&nodes));
        });
    }
}
