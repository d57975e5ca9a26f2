//! One size class: its zspages, by how full they are.

use super::classes::Shape;
use super::list::{Links, List};
use super::mem::Table;
use super::numbers::Spare;
use crate::sync::{Mutex, MutexGuard, lock};

/// On cache lines of its own.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Class {
    pub(crate) shape: Shape,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    /// Zspages with free slots, by fullness; those without are in no list.
    groups: [List; GROUPS],
    pub(crate) spare: Spare,
    pub(crate) zspages: usize,
    pub(crate) objects: usize,
    pub(crate) object_bytes: usize,
}

impl Class {
    pub(crate) fn new(shape: &Shape) -> Self {
        Self { shape: *shape, state: Mutex::default() }
    }

    #[inline]
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// The place in `groups` of a zspage in which so many slots are used.
    #[inline]
    fn group(&self, used: u16) -> Option<usize> {
        (used < self.shape.slots)
            .then(|| usize::from(used) * GROUPS / usize::from(self.shape.slots))
    }
}

impl State {
    /// A zspage with a free slot, among the fullest.
    #[inline]
    pub(crate) fn fullest(&self) -> Option<usize> {
        self.groups.iter().rev().find_map(List::first)
    }

    /// Two zspages with free slots, the first among the emptiest, the second among the fullest.
    pub(crate) fn emptiest_and_fullest(&self, links: &Table<Links>) -> Option<(usize, usize)> {
        let emptiest = self.groups.iter().find_map(List::first)?;
        let fullest = self.fullest().filter(|fullest| *fullest != emptiest);
        let fullest = fullest.or_else(|| self.groups.iter().find_map(|g| g.second(links)))?;
        Some((emptiest, fullest))
    }

    /// Admits a zspage of which nothing is used.
    pub(crate) fn add(&mut self, class: &Class, links: &Table<Links>, zspage: usize) {
        self.zspages += 1;
        self.list(class, 0, |group| group.push(links, zspage));
    }

    /// Lets a zspage go of which nothing is used.
    pub(crate) fn remove(&mut self, class: &Class, links: &Table<Links>, zspage: usize) {
        self.zspages -= 1;
        self.list(class, 0, |group| group.remove(links, zspage));
    }

    /// Moves a zspage to where it belongs after so many of its slots are used.
    #[inline]
    pub(crate) fn regroup(
        &mut self,
        class: &Class,
        links: &Table<Links>,
        zspage: usize,
        (before, after): (u16, u16),
    ) {
        if class.group(before) != class.group(after) {
            self.list(class, before, |group| group.remove(links, zspage));
            self.list(class, after, |group| group.push(links, zspage));
        }
    }

    /// Zspages that would be left over if all objects moved together.
    #[inline]
    pub(crate) fn zspages_to_gain(&self, class: &Class) -> usize {
        let slots = usize::from(class.shape.slots);
        (self.zspages * slots).saturating_sub(self.objects) / slots
    }

    /// How many zspages there are of each fullness.
    pub(crate) fn group_lens(&self) -> [usize; GROUPS] {
        self.groups.map(|group| group.len())
    }

    #[inline]
    fn list(&mut self, class: &Class, used: u16, change: impl FnOnce(&mut List)) {
        let group = class.group(used).and_then(|group| self.groups.get_mut(group));
        if let Some(group) = group {
            change(group);
        }
    }
}

/// Tenths of a zspage.
pub(crate) const GROUPS: usize = 10;
