//! Entries that no slot has yet: whoever prepares a page owns what is kept of it until it is
//! committed. Dropped before, it frees everything.

use std::mem;

use crate::counters::uncount;
use crate::entry::{Content, Record};
use crate::slot::Owner;
use crate::state::State;

/// What is kept of one page.
#[derive(Debug)]
pub(crate) enum Prepared<'p> {
    /// Zero pages need no entry.
    Zero,
    Entry(PreparedEntry<'p>),
}

#[derive(Debug)]
pub(crate) struct PreparedEntry<'p> {
    state: &'p State,
    pub(crate) number: u32,
    /// It needs no object.
    pub(crate) is_same_filled: bool,
    /// Bytes of the object.
    pub(crate) bytes: usize,
}

impl<'p> PreparedEntry<'p> {
    /// Owns the entry from here on.
    pub(crate) fn new(state: &'p State, number: u32, owner: Owner, word: Option<u64>) -> Self {
        let content = Content::SameFilled(word.unwrap_or_default());
        if let Some(entry) = state.entries.get(number) {
            entry.write_new(Record { content, owner, is_duplicate: false });
        }
        Self { state, number, is_same_filled: word.is_some(), bytes: 0 }
    }

    /// Owns the object, too.
    pub(crate) fn set(&mut self, content: Content, owner: Owner, bytes: usize) {
        if let Some(entry) = self.state.entries.get(self.number) {
            entry.write_new(Record { content, owner, is_duplicate: false });
            self.bytes = bytes;
        }
    }

    /// The tree owns it now.
    pub(crate) fn publish(self) {
        mem::forget(self);
    }
}

impl Drop for PreparedEntry<'_> {
    fn drop(&mut self) {
        let Some(entry) = self.state.entries.get(self.number) else { return };
        let content = entry.read().content;
        if let Content::Compressed(_, compressor) = content
            && let Some(pages) = self.state.events().compressed.get(usize::from(compressor))
        {
            uncount(pages, 1);
        }
        self.state.free_content(content);
        self.state.entries.put(&[self.number]);
    }
}
