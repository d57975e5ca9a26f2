//! Lists of numbered things that are linked in a table of their own.

use std::sync::atomic::Ordering::Relaxed;

use super::mem::Table;
use crate::sync::AtomicU32;

/// How one thing is linked. Who holds the lock that guards a list changes the links in it.
#[derive(Debug, Default)]
pub(crate) struct Links {
    prev: AtomicU32,
    next: AtomicU32,
}

/// The head of a list: numbers, the last one pushed first. A number is in one list at most.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct List {
    /// Numbers are kept plus one, as in links, so that 0 is nobody.
    head: u32,
    tail: u32,
    len: u32,
}

impl List {
    #[inline]
    pub(crate) fn push(&mut self, links: &Table<Links>, number: usize) {
        let (Some(new), Some(place)) = (links.get(number), place(number)) else { return };
        new.prev.store(NOBODY, Relaxed);
        new.next.store(self.head, Relaxed);
        match at(links, self.head) {
            Some(head) => head.prev.store(place, Relaxed),
            None => self.tail = place,
        }
        self.head = place;
        self.len += 1;
    }

    /// Takes out a number that is in this list.
    #[inline]
    pub(crate) fn remove(&mut self, links: &Table<Links>, number: usize) {
        let Some(old) = links.get(number) else { return };
        let (prev, next) = (old.prev.load(Relaxed), old.next.load(Relaxed));
        match at(links, prev) {
            Some(prev) => prev.next.store(next, Relaxed),
            None => self.head = next,
        }
        match at(links, next) {
            Some(next) => next.prev.store(prev, Relaxed),
            None => self.tail = prev,
        }
        self.len -= 1;
    }

    #[inline]
    pub(crate) fn first(&self) -> Option<usize> {
        number(self.head)
    }

    /// The one that was pushed before all others.
    #[inline]
    pub(crate) fn last(&self) -> Option<usize> {
        number(self.tail)
    }

    /// The one that was pushed after this one, which is in the list.
    #[inline]
    pub(crate) fn pushed_after(links: &Table<Links>, number: usize) -> Option<usize> {
        self::number(links.get(number)?.prev.load(Relaxed))
    }

    /// The one after the first.
    pub(crate) fn second(&self, links: &Table<Links>) -> Option<usize> {
        number(at(links, self.head)?.next.load(Relaxed))
    }

    pub(crate) fn len(&self) -> usize {
        self.len as usize
    }
}

#[inline]
fn at(links: &Table<Links>, place: u32) -> Option<&Links> {
    links.get(number(place)?)
}

#[inline]
fn number(place: u32) -> Option<usize> {
    (place as usize).checked_sub(1)
}

#[inline]
fn place(number: usize) -> Option<u32> {
    u32::try_from(number).ok()?.checked_add(1)
}

const NOBODY: u32 = 0;

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn numbers_come_and_go_at_every_place() {
        let links = Table::new(5).unwrap();
        links.grow(5).unwrap();
        let mut list = List::default();
        for number in 0..5 {
            list.push(&links, number);
        }
        for (number, first, second) in
            [(2, 4, Some(3)), (4, 3, Some(1)), (0, 3, Some(1)), (3, 1, None)]
        {
            list.remove(&links, number);
            assert_eq!((list.first(), list.second(&links)), (Some(first), second));
            assert_eq!(list.last(), if list.len() > 2 { Some(0) } else { Some(1) });
        }
        list.remove(&links, 1);
        assert_eq!((list.first(), list.second(&links), list.len()), (None, None, 0));
        list.push(&links, 2);
        assert_eq!((list.first(), list.last(), list.len()), (Some(2), Some(2), 1));
    }
}
