//! An input as a list of choices: numbers and bytes, until it ends.

/// What is left of an input.
#[derive(Clone, Copy)]
pub(crate) struct Input<'i>(pub(crate) &'i [u8]);

impl<'i> Input<'i> {
    /// The next byte; `None` at the end.
    pub(crate) fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    /// A number of two bytes.
    pub(crate) fn number(&mut self) -> Option<usize> {
        let bytes = self.array()?;
        Some(usize::from(u16::from_le_bytes(bytes)))
    }

    /// One of these.
    pub(crate) fn one_of<'t, T>(&mut self, all: &'t [T]) -> Option<&'t T> {
        let choice = self.byte()?;
        all.get(usize::from(choice) % all.len())
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }

    /// The next bytes, as many as there are.
    pub(crate) fn bytes(&mut self, len: usize) -> &'i [u8] {
        let (bytes, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        bytes
    }
}
