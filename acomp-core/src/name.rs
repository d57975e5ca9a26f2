//! The grammar of names, as in `verify(zstd(level=3))`:
//!
//! ```text
//! alg := ident [ '(' arg { ',' arg } ')' ]
//! arg := alg | key '=' value
//! ```
//!
//! A template takes exactly one algorithm, first, and then values of its own; an algorithm takes
//! only values, which are parameters.

use crate::error::OpenError;

/// A name taken apart. It borrows from the text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Name<'t> {
    pub(crate) ident: &'t str,
    /// Where it starts in the whole text.
    pub(crate) at: usize,
    pub(crate) inner: Option<Box<Name<'t>>>,
    pub(crate) values: Vec<Value<'t>>,
}

/// One `key=value`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Value<'t> {
    pub(crate) key: &'t str,
    pub(crate) value: &'t str,
    /// Where the key stands in the whole text.
    pub(crate) at: usize,
}

impl<'t> Name<'t> {
    pub(crate) fn parse(text: &'t str) -> Result<Self, OpenError> {
        let mut parser = Parser { text, at: 0 };
        let name = parser.alg(1)?;
        if parser.at < text.len() {
            return Err(parser.error("nothing may follow here"));
        }
        Ok(name)
    }
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Parser<'t> {
    fn alg(&mut self, depth: usize) -> Result<Name<'t>, OpenError> {
        let at = self.at;
        let ident = self.word()?;
        let mut name = Name { ident, at, inner: None, values: Vec::new() };
        if !self.take('(') {
            return Ok(name);
        }
        if depth == DEPTH_LEVELS_MAX {
            return Err(self.error("names nest 4 deep, no deeper"));
        }
        loop {
            let at = self.at;
            let key = self.word()?;
            if self.take('=') {
                let value = self.word()?;
                if name.values.iter().any(|earlier| earlier.key == key) {
                    self.at = at;
                    return Err(self.error("this value is given twice"));
                }
                name.values.push(Value { key, value, at });
            } else {
                self.at = at;
                if name.inner.is_some() || !name.values.is_empty() {
                    return Err(self.error("the one algorithm of a template comes first"));
                }
                name.inner = Some(Box::new(self.alg(depth + 1)?));
            }
            if self.take(')') {
                return Ok(name);
            }
            if !self.take(',') {
                return Err(self.error("`,` or `)` is missing"));
            }
        }
    }

    fn word(&mut self) -> Result<&'t str, OpenError> {
        let rest = &self.text[self.at..];
        let len = rest.find(['(', ')', ',', '=']).unwrap_or(rest.len());
        if len == 0 {
            return Err(self.error("a name, a key or a value is missing"));
        }
        self.at += len;
        Ok(&rest[..len])
    }

    fn take(&mut self, wanted: char) -> bool {
        let is_there = self.text[self.at..].starts_with(wanted);
        self.at += if is_there { wanted.len_utf8() } else { 0 };
        is_there
    }

    fn error(&self, why: &str) -> OpenError {
        OpenError::InvalidName { name: self.text.into(), at: self.at, why: why.into() }
    }
}

const DEPTH_LEVELS_MAX: usize = 4;

#[cfg(test)]
mod test {
    use super::*;

    fn plain(ident: &str, at: usize) -> Name<'_> {
        Name { ident, at, inner: None, values: Vec::new() }
    }

    #[test]
    fn names_nest_and_take_values() {
        assert_eq!(Name::parse("lz4").unwrap(), plain("lz4", 0));
        let level = Value { key: "level", value: "-3", at: 11 };
        let zstd = Name { values: vec![level], ..plain("zstd", 6) };
        let workers = Value { key: "workers", value: "2", at: 21 };
        let outer =
            Name { inner: Some(Box::new(zstd)), values: vec![workers], ..plain("pcomp", 0) };
        assert_eq!(Name::parse("pcomp(zstd(level=-3),workers=2)").unwrap(), outer);
    }

    #[test]
    fn errors_point_at_the_position() {
        let cases = [
            ("", 0),
            ("(lz4)", 0),
            ("verify(", 7),
            ("verify()", 7),
            ("verify(lz4", 10),
            ("verify(lz4,)", 11),
            ("verify(lz4)x", 11),
            ("verify(lz4,zstd)", 11),
            ("pcomp(workers=2,lz4)", 16),
            ("zstd(level=)", 11),
            ("zstd(level=1,level=2)", 13),
            ("zstd(=1)", 5),
            ("a(b(c(d(e))))", 8),
            ("lz4)", 3),
        ];
        for (text, expected) in cases {
            match Name::parse(text) {
                Err(OpenError::InvalidName { at, .. }) => assert_eq!(at, expected, "{text}"),
                other => panic!("{text}: {other:?}"),
            }
        }
    }
}
