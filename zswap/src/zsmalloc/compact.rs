//! Compaction: objects move from the emptiest zspages of a class to its fullest, one at a time.

use std::sync::atomic::Ordering::Relaxed;

use super::Zsmalloc;
use super::class::{Class, State};

/// What a [compaction](Zsmalloc::compact) did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Compacted {
    /// Objects that were moved.
    pub objects: usize,
    /// Zspages that became empty and went back to the reserve.
    pub zspages: usize,
}

/// How far the zspage that is emptied was looked through.
#[derive(Clone, Copy, Debug, Default)]
struct Cursor {
    zspage: usize,
    slot: u16,
}

/// What became of one step.
enum Step {
    Moved,
    Emptied,
    /// The object was being read, written or freed.
    Busy,
    /// There is nothing to gain, or the rest is busy.
    Done,
}

impl Zsmalloc {
    /// Moves at most so many objects together, class by class, and returns zspages that become
    /// empty to the reserve. It goes on where the last compaction ended.
    ///
    /// The lock of a class is held for one object at a time. An object that is read stays where it
    /// is; who comes to read one while it moves waits until it is copied.
    pub fn compact(&self, objects_max: usize) -> Compacted {
        let mut done = Compacted::default();
        let mut steps = objects_max;
        for _ in 0..self.classes.len() {
            let at = self.next_class.load(Relaxed) % self.classes.len();
            let Some(class) = self.classes.get(at) else { break };
            self.compact_class(class, &mut steps, &mut done);
            if steps == 0 {
                break;
            }
            self.next_class.store(at + 1, Relaxed);
        }
        done
    }

    fn compact_class(&self, class: &Class, steps: &mut usize, done: &mut Compacted) {
        let mut cursor = Cursor::default();
        while *steps > 0 {
            match self.move_one(class, &mut cursor) {
                Step::Moved => done.objects += 1,
                Step::Emptied => {
                    done.objects += 1;
                    done.zspages += 1;
                }
                Step::Busy => {}
                Step::Done => return,
            }
            *steps -= 1;
        }
    }

    fn move_one(&self, class: &Class, cursor: &mut Cursor) -> Step {
        let mut state = class.lock();
        if state.zspages_to_gain(class) == 0 {
            return Step::Done;
        }
        let Some((from, to)) = state.emptiest_and_fullest(&self.links) else { return Step::Done };
        if cursor.zspage != from {
            *cursor = Cursor { zspage: from, slot: 0 };
        }
        self.move_next(class, &mut state, cursor, to).unwrap_or(Step::Done)
    }

    /// Moves the object that the cursor comes to next. `None` if it comes to none.
    fn move_next(
        &self,
        class: &Class,
        state: &mut State,
        cursor: &mut Cursor,
        to: usize,
    ) -> Option<Step> {
        let (mut src, mut dst) = (self.memory.frame(cursor.zspage)?, self.memory.frame(to)?);
        let (src_used, dst_used) = (src.used(), dst.used());
        let (slot, owner) = src.next_used(cursor.slot)?;
        cursor.slot = slot + 1;
        let cell = self.memory.cell(owner as usize)?;
        let Some(old) = cell.lock() else { return Some(Step::Busy) };
        let Some(mut new) = dst.take(old.len(), owner) else {
            let _ = cell.put(old); // It was locked: there is room.
            return None;
        };
        new.bytes_mut().copy_from_slice(old.bytes());
        let _ = cell.put(new);
        let _ = src.put(old); // It came from there.
        state.regroup(class, &self.links, to, (dst_used, dst.used()));
        state.regroup(class, &self.links, cursor.zspage, (src_used, src.used()));
        if !src.uncut() {
            return Some(Step::Moved);
        }
        drop(src);
        state.remove(class, &self.links, cursor.zspage);
        self.reserve.put(cursor.zspage);
        Some(Step::Emptied)
    }
}
