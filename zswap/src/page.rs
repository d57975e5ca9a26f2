//! Pages, and what can be seen of one without compressing it.

/// Size of a page in bytes.
pub const PAGE_BYTES: usize = 4096;

/// The content of one page.
pub type Page = [u8; PAGE_BYTES];

/// The word that the page repeats from end to end, if it does.
#[inline]
pub(crate) fn same_filled(page: &Page) -> Option<u64> {
    let (words, _) = page.as_chunks::<WORD_BYTES>();
    let (first, last) = (words.first()?, words.last()?);
    // Most pages differ within a cache line already, which is read in any case. Of the others most
    // differ at the end.
    let (line, rest) = words.split_at(CACHE_LINE_BYTES / WORD_BYTES);
    if line.iter().any(|word| word != first) || first != last {
        return None;
    }
    rest.iter().all(|word| word == first).then(|| u64::from_ne_bytes(*first))
}

/// Fills the page with a word.
pub(crate) fn fill(page: &mut Page, word: u64) {
    let (words, _) = page.as_chunks_mut::<WORD_BYTES>();
    words.fill(word.to_ne_bytes());
}

const WORD_BYTES: usize = 8;
const CACHE_LINE_BYTES: usize = 64;

#[cfg(test)]
mod test {
    use super::*;

    #[test]
    fn a_word_repeated_is_same_filled_and_fills_back() {
        let mut page = [0; PAGE_BYTES];
        assert_eq!(same_filled(&page), Some(0));
        fill(&mut page, 0x0123_4567_89AB_CDEF);
        assert_eq!(same_filled(&page), Some(0x0123_4567_89AB_CDEF));
    }

    #[test]
    fn one_odd_byte_anywhere_is_seen() {
        for at in 0..PAGE_BYTES {
            let mut page = [0x55; PAGE_BYTES];
            page[at] ^= 1;
            assert_eq!(same_filled(&page), None, "odd byte at {at}");
        }
    }
}
