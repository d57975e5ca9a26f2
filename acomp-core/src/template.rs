//! Templates: algorithms made from another algorithm by name, as in `verify(lz4)`.

mod cryptd;
mod pcomp;
mod verify;

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread;

use crate::alg::{AlgInfo, Algorithm};
use crate::error::OpenError;
use crate::handle::Acomp;
use crate::name::Value;
use crate::op::MAX_BATCH;
use crate::registry::AlgRef;

/// A template, submitted with `inventory::submit!`.
///
/// An instance has the generic name of what it wraps, and as driver name the name by which it is
/// found: `verify(lz4-page)`. It is never a candidate for a generic name.
#[non_exhaustive]
pub struct TemplateRegistration {
    /// What stands before the parenthesis.
    pub name: &'static str,
    /// Makes an instance over `inner`. It is opened with the parameters that `inner` is to have.
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

/// What an instance is made with: the `key=value` arguments that stand in its name, as in
/// `pcomp(lz4,workers=2)`, and that name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TemplateArgs {
    driver: Box<str>,
    values: BTreeMap<Box<str>, (Box<str>, usize)>,
}

impl TemplateArgs {
    /// The facts of an instance over `inner`, if it changes nothing but the driver's name.
    #[must_use]
    pub fn info_over(&self, inner: &AlgRef) -> AlgInfo {
        let info = inner.info().clone();
        let name = info.name.clone().into_owned();
        info.with_names(name, self.driver.clone().into())
    }

    /// The value of `key`, if the name gives one.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(|(value, _)| &**value)
    }

    /// Refuses every argument that is not in `known`.
    ///
    /// # Errors
    ///
    /// [`OpenError::InvalidParam`], which points at the argument.
    pub fn allow(&self, known: &[&str]) -> Result<(), OpenError> {
        match self.values.iter().find(|(key, _)| !known.contains(&&***key)) {
            None => Ok(()),
            Some((key, (_, at))) => Err(OpenError::InvalidParam {
                param: key.clone(),
                why: format!("the template takes {}", known.join(", ")).into(),
                at: Some(*at),
            }),
        }
    }

    /// How many threads: `workers=N`, or as many as there are CPUs.
    fn workers(&self) -> Result<usize, OpenError> {
        let Some((value, at)) = self.values.get("workers") else {
            let cpus = thread::available_parallelism().map_or(1, NonZeroUsize::get);
            return Ok(cpus.min(WORKER_THREADS_MAX));
        };
        match value.parse() {
            Ok(workers @ 1..=WORKER_THREADS_MAX) => Ok(workers),
            _ => Err(OpenError::InvalidParam {
                param: "workers".into(),
                why: format!("from 1 to {WORKER_THREADS_MAX}, not {value}").into(),
                at: Some(*at),
            }),
        }
    }

    pub(crate) fn new(template: &str, inner: &AlgRef, values: &[Value<'_>]) -> Self {
        let entry = |v: &Value<'_>| (v.key.into(), (v.value.into(), v.at));
        let values: BTreeMap<Box<str>, (Box<str>, usize)> = values.iter().map(entry).collect();
        let arguments: String =
            values.iter().map(|(key, (value, _))| format!(",{key}={value}")).collect();
        let driver = format!("{template}({}{arguments})", inner.info().driver).into();
        Self { driver, values }
    }

    /// The canonical name of the instance.
    pub(crate) fn driver(&self) -> &str {
        &self.driver
    }
}

/// The facts of a prepared driver under the names of an instance over it.
fn info_as(instance: &AlgInfo, prepared: &Acomp) -> AlgInfo {
    let AlgInfo { name, driver, .. } = instance.clone();
    prepared.info().clone().with_names(name.into_owned(), driver.into_owned())
}

/// One for each op of the longest chain.
const WORKER_THREADS_MAX: usize = MAX_BATCH;
