//! Templates: algorithms made from another algorithm by name, as in `verify(lz4)`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::alg::Algorithm;
use crate::error::OpenError;
use crate::registry::AlgRef;

/// A template, submitted with `inventory::submit!`.
#[non_exhaustive]
pub struct TemplateRegistration {
    /// What stands before the parenthesis.
    pub name: &'static str,
    /// Makes an instance over `inner`.
    pub wrap: fn(inner: AlgRef, args: &TemplateArgs) -> Result<Arc<dyn Algorithm>, OpenError>,
    /// The module that registers it: `module_path!()`.
    pub origin: &'static str,
}

impl TemplateRegistration {
    /// Describes a template.
    #[must_use]
    pub const fn new(
        name: &'static str,
        wrap: fn(AlgRef, &TemplateArgs) -> Result<Arc<dyn Algorithm>, OpenError>,
        origin: &'static str,
    ) -> Self {
        Self { name, wrap, origin }
    }
}

impl fmt::Debug for TemplateRegistration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TemplateRegistration")
            .field("name", &self.name)
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

inventory::collect!(TemplateRegistration);

/// The `key=value` arguments that stand in a template's name, as in `pcomp(lz4,workers=2)`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TemplateArgs {
    args: BTreeMap<Box<str>, Box<str>>,
}

impl TemplateArgs {
    /// The value of `key`, if the name gives one.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<&str> {
        self.args.get(key).map(|value| &**value)
    }

    /// Every key that the name gives, sorted.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.args.keys().map(|key| &**key)
    }
}

impl FromIterator<(Box<str>, Box<str>)> for TemplateArgs {
    fn from_iter<I: IntoIterator<Item = (Box<str>, Box<str>)>>(args: I) -> Self {
        Self { args: args.into_iter().collect() }
    }
}
