//! Parameters of a transform.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;

use crate::error::OpenError;
use crate::name::Value;

/// Parameters of a transform, chosen when it is allocated and fixed for its life.
///
/// Whoever stores compressed data keeps the generic name *and* the parameters with it: data is
/// decompressed by any driver of that name opened with equal parameters.
///
/// A parameter that a driver does not know makes it refuse ([`OpenError::Unsupported`]), and
/// [`Acomp::alloc_in`](crate::Acomp::alloc_in) then asks the next driver of the name.
///
/// ```
/// use acomp_core::Params;
/// let params = Params::new().with_level(3).with_dictionary(&b"common words"[..]);
/// assert_eq!(params.level(), Some(3));
/// assert_eq!(params, params.clone());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Params {
    level: Option<i32>,
    dictionary: Option<Arc<[u8]>>,
    window_bytes: Option<NonZeroUsize>,
    bounce_bytes_max: Option<NonZeroUsize>,
    named: BTreeMap<Box<str>, Box<str>>,
}

impl Params {
    /// No parameter set: every driver's defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the effort; the scale is the algorithm's own.
    #[must_use]
    pub fn with_level(mut self, level: i32) -> Self {
        self.level = Some(level);
        self
    }

    /// Sets the bytes that both sides know in advance.
    #[must_use]
    pub fn with_dictionary(mut self, dictionary: impl Into<Arc<[u8]>>) -> Self {
        self.dictionary = Some(dictionary.into());
        self
    }

    /// Sets how far back, in bytes, the compressor may refer.
    #[must_use]
    pub fn with_window_bytes(mut self, window_bytes: NonZeroUsize) -> Self {
        self.window_bytes = Some(window_bytes);
        self
    }

    /// Sets the largest source and destination, in bytes each, of the vectored calls of a session.
    #[must_use]
    pub fn with_bounce_bytes_max(mut self, bounce_bytes_max: NonZeroUsize) -> Self {
        self.bounce_bytes_max = Some(bounce_bytes_max);
        self
    }

    /// Sets a parameter that has no method of its own.
    #[must_use]
    pub fn with(mut self, name: impl Into<Box<str>>, value: impl Into<Box<str>>) -> Self {
        self.named.insert(name.into(), value.into());
        self
    }

    /// The effort, if it was set.
    #[must_use]
    pub fn level(&self) -> Option<i32> {
        self.level
    }

    /// The dictionary, if one was set.
    #[must_use]
    pub fn dictionary(&self) -> Option<&Arc<[u8]>> {
        self.dictionary.as_ref()
    }

    /// The window in bytes, if it was set.
    #[must_use]
    pub fn window_bytes(&self) -> Option<NonZeroUsize> {
        self.window_bytes
    }

    /// Largest source and destination of a vectored call, in bytes each.
    #[must_use]
    pub fn bounce_bytes_max(&self) -> NonZeroUsize {
        self.bounce_bytes_max.unwrap_or(BOUNCE_BYTES_MAX)
    }

    /// The value of a parameter that has no method of its own.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&str> {
        self.named.get(name).map(|value| &**value)
    }

    /// Adds the values that stand in a name. One that is already set must be equal.
    pub(crate) fn with_values(mut self, values: &[Value<'_>]) -> Result<Self, OpenError> {
        let before = self.clone();
        for Value { key, value, at } in values {
            let invalid = |why: &str| OpenError::InvalidParam {
                param: (*key).into(),
                why: why.into(),
                at: Some(*at),
            };
            let number = |_| invalid("not a number it can be");
            let is_kept = match *key {
                "level" => {
                    self.level = Some(value.parse().map_err(number)?);
                    before.level.is_none_or(|level| self.level == Some(level))
                }
                "window_bytes" => {
                    self.window_bytes = Some(value.parse().map_err(number)?);
                    before.window_bytes.is_none_or(|bytes| self.window_bytes == Some(bytes))
                }
                "bounce_bytes_max" => {
                    self.bounce_bytes_max = Some(value.parse().map_err(number)?);
                    before.bounce_bytes_max.is_none_or(|max| self.bounce_bytes_max == Some(max))
                }
                "dictionary" => return Err(invalid("bytes cannot stand in a name")),
                _ => {
                    let old = self.named.insert((*key).into(), (*value).into());
                    old.is_none_or(|old| &*old == *value)
                }
            };
            if !is_kept {
                return Err(invalid("the name and `Params` differ"));
            }
        }
        Ok(self)
    }

    /// For authors: refuses every parameter that is set and not in `known`.
    ///
    /// The names are `level`, `dictionary`, `window_bytes` and whatever [`with`](Self::with) set.
    /// The bounce limit is the session's own and known to all.
    ///
    /// # Errors
    ///
    /// [`OpenError::Unsupported`] with the first such parameter; [`OpenError::InvalidParam`] when
    /// [`with`](Self::with) set a parameter that has a method of its own.
    ///
    /// ```
    /// use acomp_core::Params;
    /// let params = Params::new().with_level(3);
    /// assert!(params.allow(&["level"]).is_ok());
    /// assert!(params.allow(&["dictionary"]).is_err());
    /// ```
    pub fn allow(&self, known: &[&str]) -> Result<(), OpenError> {
        let set = [
            ("level", self.level.is_some()),
            ("dictionary", self.dictionary.is_some()),
            ("window_bytes", self.window_bytes.is_some()),
        ];
        let set = set.into_iter().filter_map(|(name, is_set)| is_set.then_some(name));
        if let Some(name) = OWN_METHOD.iter().find(|name| self.named.contains_key(**name)) {
            let why = format!("set it by `Params::with_{name}`");
            return Err(OpenError::invalid_param(name, why));
        }
        let mut all = set.chain(self.named.keys().map(|name| &**name));
        match all.find(|name| !known.contains(name)) {
            None => Ok(()),
            Some(name) if known.is_empty() => {
                Err(OpenError::unsupported(name, "the driver takes no parameters"))
            }
            Some(name) => {
                Err(OpenError::unsupported(name, format!("the driver takes {}", known.join(", "))))
            }
        }
    }
}

const OWN_METHOD: [&str; 4] = ["level", "dictionary", "window_bytes", "bounce_bytes_max"];
const BOUNCE_BYTES_MAX: NonZeroUsize = NonZeroUsize::new(64 << 10).unwrap();
