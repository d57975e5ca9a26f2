//! What the pages hold: no two the same, and each byte known.

use std::array;
use std::path::Path;
use std::slice;

use acomp::zswap::{PAGE_BYTES, Page};
use anyhow::Result;

use crate::pages;

/// A page is told by its number, which no other page of all processes has, and by its version.
#[derive(Debug)]
pub(super) enum Content {
    /// Each word of 8 bytes holds its index, as in vm-scalability.
    Words,
    /// Those of a file, again and again, their first word XORed with the number.
    Data(Vec<Page>),
}

impl Content {
    pub(super) fn of(data: Option<&Path>) -> Result<Self> {
        Ok(match data {
            None => Self::Words,
            Some(file) => Self::Data(pages::read(slice::from_ref(&file.to_owned()))?),
        })
    }

    /// Writes a page of version 0.
    pub(super) fn write(&self, number: u64, page: &mut Page) {
        match self {
            Self::Words => {
                for (at, word) in page.as_chunks_mut().0.iter_mut().enumerate() {
                    *word = index(number, at);
                }
            }
            Self::Data(pages) => {
                page.copy_from_slice(base(pages, number));
                page[..WORD_BYTES].copy_from_slice(&self.first_words(number, 0)[0]);
            }
        }
    }

    /// Whether all of a page is right.
    pub(super) fn is(&self, number: u64, version: u8, page: &Page) -> bool {
        let (words, _) = page.as_chunks();
        let is_rest = match self {
            // Without a branch for each word.
            Self::Words => {
                let differ = |(at, word): (_, &Word)| at > 1 && *word != index(number, at);
                !words.iter().enumerate().fold(false, |any, word| any | differ(word))
            }
            Self::Data(pages) => page[2 * WORD_BYTES..] == base(pages, number)[2 * WORD_BYTES..],
        };
        is_rest && self.is_touched(number, version, page)
    }

    /// Whether the words are right that tell number and version.
    pub(super) fn is_touched(&self, number: u64, version: u8, page: &Page) -> bool {
        page.as_chunks().0[..2] == self.first_words(number, version)
    }

    fn first_words(&self, number: u64, version: u8) -> [Word; 2] {
        let mut words = match self {
            Self::Words => array::from_fn(|at| index(number, at)),
            Self::Data(pages) => {
                let base = base(pages, number).as_chunks().0;
                [(u64::from_le_bytes(base[0]) ^ number).to_le_bytes(), base[1]]
            }
        };
        words[1][0] ^= version;
        words
    }
}

/// Makes another version of a page, whatever it holds, by one instruction: so that a page which is
/// not there faults for writing.
pub(super) fn modify(page: &mut Page, old: u8, new: u8) {
    page[VERSION_AT] ^= old ^ new;
}

fn index(number: u64, at: usize) -> Word {
    (number * WORDS + at as u64).to_le_bytes()
}

fn base(pages: &[Page], number: u64) -> &Page {
    &pages[(number % pages.len() as u64) as usize]
}

type Word = [u8; WORD_BYTES];
const WORD_BYTES: usize = 8;
const WORDS: u64 = (PAGE_BYTES / WORD_BYTES) as u64;
/// The first byte of the second word.
const VERSION_AT: usize = WORD_BYTES;
