//! Which algorithms there are: collected through `inventory`, added at run time, found by name.

mod drivers;
mod once;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use once_cell::sync::Lazy;

use crate::alg::{AlgInfo, Algorithm};
use crate::error::{AddError, OpenError};
use crate::name::{Name, Value};
use crate::panics::caught;
use crate::params::Params;
use crate::selftest::{SelfTestHook, Verdict};
use crate::stats::{Stats, Totals};
use crate::template::{TemplateArgs, TemplateRegistration};

use drivers::{Drivers, clash};
use once::Once;

/// A driver, submitted with `inventory::submit!` (see [`Algorithm`] for a whole example).
#[non_exhaustive]
pub struct Registration {
    /// The facts by which it is looked up, before it is made.
    pub info: &'static AlgInfo,
    /// Makes the driver: called once, at the first lookup that needs it, never before `main`. After
    /// a failure (an absent device) the next lookup tries again. It may look up other drivers, also
    /// by its own generic name: it is then passed over itself.
    pub make: fn() -> Result<Arc<dyn Algorithm>, OpenError>,
    /// The module that registers it: `module_path!()`.
    pub origin: &'static str,
}

impl Registration {
    /// Describes a driver.
    #[must_use]
    pub const fn new(
        info: &'static AlgInfo,
        make: fn() -> Result<Arc<dyn Algorithm>, OpenError>,
        origin: &'static str,
    ) -> Self {
        Self { info, make, origin }
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration")
            .field("info", &self.info)
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

inventory::collect!(Registration);

/// A set of drivers to look names up in. Cheap to clone; clones share what is added.
///
/// Looking up finds the driver of exactly that name or else, best priority first, the drivers whose
/// generic name it is. The result never depends on link order.
///
/// ```
/// use acomp_algs as _;
/// use acomp_core::{Acomp, AlgInfo, Params, Registry};
///
/// let registry = Registry::global();
/// // Filters are iterator adapters on the facts.
/// let software = registry.candidates("deflate")?.into_iter().find(|alg| alg.info().is_software());
/// let acomp = Acomp::open(software.expect("acomp-algs has one"), Params::new())?;
/// assert_eq!(acomp.name(), "deflate");
/// # Ok::<(), acomp_core::OpenError>(())
/// ```
#[derive(Clone)]
pub struct Registry {
    shared: Arc<Shared>,
}

struct Shared {
    drivers: Drivers,
    templates: Box<[&'static TemplateRegistration]>,
    /// The instances that somebody uses, by canonical name and by where the entry is that they are
    /// over, which they keep: under one name, several drivers come and go.
    instances: Mutex<BTreeMap<(Box<str>, usize), Weak<Entry>>>,
    hooks: Hooks,
}

type Hooks = Arc<[&'static SelfTestHook]>;

impl Registry {
    /// Everything that is linked into the program, and what is added at run time.
    #[must_use]
    pub fn global() -> &'static Self {
        static GLOBAL: Lazy<Registry> = Lazy::new(|| {
            Registry::builder()
                .entries(inventory::iter::<Registration>)
                .self_tests(inventory::iter::<SelfTestHook>)
                .templates(inventory::iter::<TemplateRegistration>)
                .build()
        });
        &GLOBAL
    }

    /// Only these drivers, without self-test and templates: for tests, and where `inventory` has no
    /// support.
    pub fn from_entries(entries: impl IntoIterator<Item = &'static Registration>) -> Self {
        Self::builder().entries(entries).build()
    }

    /// Starts to describe a registry that holds only what it is given.
    ///
    /// ```
    /// use acomp_core::{Registry, TemplateRegistration, inventory};
    /// let templates = inventory::iter::<TemplateRegistration>;
    /// let registry = Registry::builder().templates(templates).build();
    /// assert_eq!(registry.iter().count(), 0);
    /// ```
    pub fn builder() -> RegistryBuilder {
        RegistryBuilder::default()
    }

    /// The drivers that `name` stands for, best first. Drivers that cannot be made are left out.
    ///
    /// # Errors
    ///
    /// [`OpenError::NotFound`] with the known names; [`OpenError::InvalidName`];
    /// [`OpenError::InvalidParam`] when the name has parameters, which a driver alone cannot keep;
    /// [`OpenError::Duplicate`] when two linked drivers claim one name; the driver's own error, or
    /// [`OpenError::NoneUsable`], when none can be made.
    pub fn candidates(&self, name: &str) -> Result<Vec<AlgRef>, OpenError> {
        self.made(name, usize::MAX)
    }

    /// The first candidates that can be made, at most so many.
    fn made(&self, name: &str, most: usize) -> Result<Vec<AlgRef>, OpenError> {
        let resolved = self.resolve(name, Params::new())?;
        if let Some(value) = resolved.values.first() {
            let why = "a driver alone has no parameters: allocate a transform".into();
            let param = value.key.into();
            return Err(OpenError::InvalidParam { param, why, at: Some(value.at) });
        }
        let mut made = Vec::new();
        let mut refused = Vec::new();
        for alg in &resolved.candidates {
            if made.len() == most {
                break;
            }
            match self.instance(alg, &resolved).and_then(|alg| alg.algorithm().map(|_| alg.clone()))
            {
                Ok(alg) => made.push(alg),
                Err(why) => refused.push((alg.info().driver.as_ref().into(), why)),
            }
        }
        if made.is_empty() { Err(OpenError::all_refused(name, refused)) } else { Ok(made) }
    }

    /// The driver of this name, or the best one of this generic name.
    ///
    /// # Errors
    ///
    /// As [`candidates`](Self::candidates).
    pub fn find(&self, name: &str) -> Result<AlgRef, OpenError> {
        let not_found = || self.not_found(name);
        self.made(name, 1)?.pop().ok_or_else(not_found)
    }

    /// Adds a driver until the guard is dropped. Transforms that were allocated from it live on.
    ///
    /// It shadows a linked driver of the same driver name.
    ///
    /// # Errors
    ///
    /// [`AddError::Duplicate`] when an added driver has this driver name, or a driver name equals
    /// another driver's generic name; [`AddError::InvalidName`]; [`AddError::Panicked`].
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use acomp_core::{AlgInfo, Algorithm, Codec, OpenError, Params, Registry};
    /// # #[derive(Debug)]
    /// # struct Device(AlgInfo);
    /// # impl Algorithm for Device {
    /// #     fn info(&self) -> &AlgInfo { &self.0 }
    /// #     fn open(&self, _: &Params) -> Result<Box<dyn Codec>, OpenError> { unimplemented!() }
    /// # }
    /// let registry = Registry::from_entries([]);
    /// let device = Device(AlgInfo::new("deflate", "deflate-dev0").with_priority(300));
    /// let guard = registry.add(Arc::new(device))?;
    /// assert_eq!(registry.find("deflate").unwrap().info().driver, "deflate-dev0");
    /// drop(guard);
    /// assert!(registry.find("deflate").is_err());
    /// # Ok::<(), acomp_core::AddError>(())
    /// ```
    pub fn add(&self, alg: Arc<dyn Algorithm>) -> Result<AddGuard, AddError> {
        let info = caught(|| alg.info().clone()).ok_or(AddError::Panicked)?;
        for name in [&info.name, &info.driver] {
            if !is_name(name) {
                return Err(AddError::InvalidName { name: name.as_ref().into() });
            }
        }
        let added = AlgRef::new(info, ADDED, move || Ok(Arc::clone(&alg)), &self.shared.hooks);
        self.shared.drivers.add(&added)?;
        Ok(AddGuard { registry: self.clone(), added })
    }

    /// Every driver, sorted by generic name, then best first: a snapshot that holds no lock. The
    /// instances of templates that are in use follow, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = AlgRef> + use<> {
        let instances = self.instances();
        let in_use: Vec<_> = instances.values().filter_map(Weak::upgrade).collect();
        drop(instances);
        let drivers = self.shared.drivers.snapshot();
        drivers.into_iter().chain(in_use.into_iter().map(|entry| AlgRef { entry }))
    }

    /// Every template, sorted by name.
    pub fn templates(&self) -> impl Iterator<Item = &'static TemplateRegistration> + use<> {
        let mut templates = self.shared.templates.to_vec();
        templates.sort_by_key(|template| (template.name, template.origin));
        templates.into_iter()
    }

    /// Runs the self-test of every driver that can be made and was not tested yet.
    pub fn self_test_all(&self) {
        for alg in self.iter() {
            // A driver that cannot be made stays untested; whoever opens it is told why.
            let _ = alg.self_test();
        }
    }

    /// Takes a name apart and finds what its parts stand for. `params` are those that do not stand
    /// in the name.
    pub(crate) fn resolve<'t>(
        &self,
        text: &'t str,
        params: Params,
    ) -> Result<Resolved<'t>, OpenError> {
        if text.is_empty() {
            return Err(self.not_found(text)); // Tells whoever forgot a name which there are.
        }
        let mut name = Name::parse(text)?;
        let mut layers = Vec::new();
        while let Some(inner) = name.inner.take() {
            layers.push((self.template(text, &name)?, name.values));
            name = *inner;
        }
        layers.reverse();
        let params = params.with_values(&name.values)?;
        Ok(Resolved { candidates: self.lookup(name.ident)?, layers, params, values: name.values })
    }

    /// This driver within the templates of the name.
    pub(crate) fn instance(&self, alg: &AlgRef, name: &Resolved<'_>) -> Result<AlgRef, OpenError> {
        name.layers.iter().try_fold(alg.clone(), |inner, (template, values)| {
            self.wrapped(&inner, template, &TemplateArgs::new(template.name, &inner, values))
        })
    }

    /// One instance serves all who use it.
    fn wrapped(
        &self,
        inner: &AlgRef,
        template: &'static TemplateRegistration,
        args: &TemplateArgs,
    ) -> Result<AlgRef, OpenError> {
        let key = (Box::from(args.driver()), Arc::as_ptr(&inner.entry).addr());
        if let Some(entry) = self.instances().get(&key).and_then(Weak::upgrade) {
            return Ok(AlgRef { entry });
        }
        let panicked = || OpenError::Panicked { driver: args.driver().into() };
        let inside = Inside::enter(std::ptr::from_ref(template).addr(), args.driver())?;
        let wrapped = caught(|| (template.wrap)(inner.clone(), args));
        let made = wrapped.unwrap_or_else(|| Err(panicked()))?;
        let info = caught(|| made.info().clone()).ok_or_else(panicked)?;
        drop(inside);
        check_names(&info, &inner.info().name, args.driver())?;
        let over = inner.clone();
        let make = move || {
            let _kept = &over;
            Ok(Arc::clone(&made))
        };
        let instance = AlgRef::new(info, template.origin, make, &self.shared.hooks);
        let mut instances = self.instances();
        instances.retain(|_, entry| entry.strong_count() > 0);
        // Another thread may have made one meanwhile.
        if let Some(entry) = instances.get(&key).and_then(Weak::upgrade) {
            return Ok(AlgRef { entry });
        }
        instances.insert(key, Arc::downgrade(&instance.entry));
        Ok(instance)
    }

    fn template(
        &self,
        text: &str,
        name: &Name<'_>,
    ) -> Result<&'static TemplateRegistration, OpenError> {
        let mut found = self.templates().filter(|template| template.name == name.ident);
        match (found.next(), found.next()) {
            (Some(template), None) => Ok(template),
            (Some(one), Some(other)) => Err(OpenError::Duplicate {
                driver: name.ident.into(),
                origins: [one.origin.into(), other.origin.into()],
            }),
            (None, _) => {
                let known: Vec<_> = self.templates().map(|template| template.name).collect();
                let why =
                    format!("no template is named `{}`; known: {}", name.ident, known.join(", "));
                Err(OpenError::InvalidName { name: text.into(), at: name.at, why: why.into() })
            }
        }
    }

    fn instances(&self) -> MutexGuard<'_, BTreeMap<(Box<str>, usize), Weak<Entry>>> {
        self.shared.instances.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The drivers that this part of a name stands for, best first, not made.
    fn lookup(&self, name: &str) -> Result<Vec<AlgRef>, OpenError> {
        let all = self.shared.drivers.snapshot();
        let with = |is: fn(&AlgInfo) -> &str| -> Vec<AlgRef> {
            all.iter().filter(|alg| is(alg.info()) == name).cloned().collect()
        };
        let mut found = with(|info| &info.driver);
        if found.is_empty() {
            found = with(|info| &info.name);
        }
        if found.is_empty() {
            return Err(self.not_found(name));
        }
        for alg in &found {
            let others = all.iter().filter(|other| !other.is(alg));
            for other in others {
                if let Some(driver) = clash(alg.info(), other.info()) {
                    let origins = [alg.origin().into(), other.origin().into()];
                    return Err(OpenError::Duplicate { driver: driver.into(), origins });
                }
            }
        }
        Ok(found)
    }

    fn not_found(&self, name: &str) -> OpenError {
        let mut known: Vec<Box<str>> = self
            .iter()
            .flat_map(|alg| [alg.info().name.as_ref().into(), alg.info().driver.as_ref().into()])
            .collect();
        known.sort();
        known.dedup();
        OpenError::NotFound { name: name.into(), known: known.into() }
    }
}

/// What the parts of a name stand for.
pub(crate) struct Resolved<'t> {
    /// Of the innermost part, best first.
    pub(crate) candidates: Vec<AlgRef>,
    /// Templates with their values, from the inside out.
    layers: Vec<(&'static TemplateRegistration, Vec<Value<'t>>)>,
    /// Those of the name included.
    pub(crate) params: Params,
    /// The parameters that stand in the name.
    values: Vec<Value<'t>>,
}

impl Resolved<'_> {
    /// Adds to an error where the parameter it is about stands in the name.
    pub(crate) fn located(&self, mut error: OpenError) -> OpenError {
        if let OpenError::InvalidParam { param, at: at @ None, .. } = &mut error {
            *at = self.values.iter().find(|value| *value.key == **param).map(|value| value.at);
        }
        error
    }
}

/// Describes a [`Registry`].
#[derive(Debug, Default)]
#[must_use = "nothing is built before `build`"]
pub struct RegistryBuilder {
    entries: Vec<&'static Registration>,
    hooks: Vec<&'static SelfTestHook>,
    templates: Vec<&'static TemplateRegistration>,
}

impl RegistryBuilder {
    /// Adds drivers.
    pub fn entries(mut self, entries: impl IntoIterator<Item = &'static Registration>) -> Self {
        self.entries.extend(entries);
        self
    }

    /// Adds self-tests, all of which a driver must pass before its first use. Without this call,
    /// no driver is tested.
    pub fn self_tests(mut self, hooks: impl IntoIterator<Item = &'static SelfTestHook>) -> Self {
        self.hooks.extend(hooks);
        self
    }

    /// Adds templates.
    pub fn templates(
        mut self,
        templates: impl IntoIterator<Item = &'static TemplateRegistration>,
    ) -> Self {
        self.templates.extend(templates);
        self
    }

    /// Builds the registry. Two entries that claim one name are reported by whoever looks it up.
    #[must_use]
    pub fn build(self) -> Registry {
        let hooks: Hooks = self.hooks.into();
        let linked = self.entries.into_iter();
        let linked = linked.map(|reg| AlgRef::new(reg.info.clone(), reg.origin, reg.make, &hooks));
        let (drivers, instances) = (Drivers::new(linked), Mutex::default());
        let templates = self.templates.into();
        Registry { shared: Arc::new(Shared { drivers, templates, instances, hooks }) }
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Removes an added driver when dropped.
#[derive(Debug)]
#[must_use = "dropping the guard removes the driver at once"]
pub struct AddGuard {
    registry: Registry,
    added: AlgRef,
}

impl AddGuard {
    /// The driver that was added.
    #[must_use]
    pub fn alg(&self) -> &AlgRef {
        &self.added
    }
}

impl Drop for AddGuard {
    fn drop(&mut self) {
        self.registry.shared.drivers.remove(&self.added);
    }
}

/// A driver in a registry. Holding it keeps the driver alive, not registered.
#[derive(Clone)]
pub struct AlgRef {
    entry: Arc<Entry>,
}

struct Entry {
    info: AlgInfo,
    origin: &'static str,
    make: Box<dyn Fn() -> Result<Arc<dyn Algorithm>, OpenError> + Send + Sync>,
    made: Once<Arc<dyn Algorithm>>,
    hooks: Hooks,
    verdict: Once<Verdict>,
    totals: Arc<Totals>,
}

impl AlgRef {
    /// The facts.
    #[must_use]
    pub fn info(&self) -> &AlgInfo {
        &self.entry.info
    }

    /// The module that registered it, or `run time`.
    #[must_use]
    pub fn origin(&self) -> &'static str {
        self.entry.origin
    }

    /// What is known of its self-test. Never runs it.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.entry.verdict.get().cloned().unwrap_or(Verdict::Untested)
    }

    /// What all its sessions did, past ones included.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.entry.totals.read()
    }

    /// The driver itself, made if this is the first use.
    ///
    /// # Errors
    ///
    /// Whatever [`Registration::make`] answers; [`OpenError::Panicked`] if it panics,
    /// [`OpenError::Misnamed`] if the driver tells other names than its registration,
    /// [`OpenError::Recursive`] if `make` calls this.
    pub fn algorithm(&self) -> Result<&Arc<dyn Algorithm>, OpenError> {
        self.once(&self.entry.made, || {
            let alg = caught(&self.entry.make).unwrap_or_else(|| Err(self.panicked()))?;
            self.info_of(&*alg).map(|_| alg)
        })
    }

    /// Tests it once, with every hook.
    ///
    /// # Errors
    ///
    /// A failed test is a verdict, not an error. A driver that cannot be made or opened now (its
    /// device is absent) is not judged: errors as for [`algorithm`](Self::algorithm) and
    /// [`Algorithm::open`]. One that cannot do without parameters stays untested.
    pub fn self_test(&self) -> Result<Verdict, OpenError> {
        let alg = self.algorithm()?;
        if self.entry.hooks.is_empty() {
            return Ok(Verdict::Untested);
        }
        let failing_case = |hook: &&'static SelfTestHook| {
            let case =
                caught(|| (hook.run)(&**alg)).unwrap_or_else(|| Err("panic".into())).err()?;
            Some(format!("{case} ({})", hook.origin).into())
        };
        let verdict = self.once(&self.entry.verdict, || {
            let opened = caught(|| alg.open(&Params::new()).map(drop));
            opened.unwrap_or_else(|| Err(self.panicked()))?;
            let failed = self.entry.hooks.iter().find_map(failing_case);
            Ok(failed.map_or(Verdict::Passed, Verdict::Failed))
        });
        match verdict {
            Ok(verdict) => Ok(verdict.clone()),
            Err(OpenError::InvalidParam { .. } | OpenError::Unsupported { .. }) => {
                Ok(Verdict::Untested)
            }
            Err(why) => Err(why),
        }
    }

    /// The facts that the driver tells, if its names are those of the registration.
    pub(crate) fn info_of(&self, alg: &dyn Algorithm) -> Result<AlgInfo, OpenError> {
        let told = caught(|| alg.info().clone()).ok_or_else(|| self.panicked())?;
        let AlgInfo { name, driver, .. } = self.info();
        check_names(&told, name, driver).map(|()| told)
    }

    /// Marks that this thread now makes, tests, prepares or opens the driver. Driver code that
    /// comes back here (a device's fallback, looked up by its own generic name) is refused, instead
    /// of waiting for itself or recursing for ever, and so gets the next driver.
    pub(crate) fn enter(&self) -> Result<Inside, OpenError> {
        Inside::enter(Arc::as_ptr(&self.entry).addr(), &self.info().driver)
    }

    /// What is in the cell, put there now if need be.
    fn once<'c, T>(
        &self,
        cell: &'c Once<T>,
        fill: impl FnOnce() -> Result<T, OpenError>,
    ) -> Result<&'c T, OpenError> {
        if let Some(value) = cell.get() {
            return Ok(value);
        }
        let _inside = self.enter()?;
        cell.get_or_try_fill(fill, || recursive(&self.info().driver))
    }

    pub(crate) fn totals(&self) -> &Arc<Totals> {
        &self.entry.totals
    }

    pub(crate) fn panicked(&self) -> OpenError {
        OpenError::Panicked { driver: self.info().driver.as_ref().into() }
    }

    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.entry, &other.entry)
    }

    fn new(
        info: AlgInfo,
        origin: &'static str,
        make: impl Fn() -> Result<Arc<dyn Algorithm>, OpenError> + Send + Sync + 'static,
        hooks: &Hooks,
    ) -> Self {
        let make = Box::new(make);
        let (made, verdict, totals) = (Once::new(), Once::new(), Arc::default());
        let hooks = Arc::clone(hooks);
        let entry = Entry { info, origin, make, made, hooks, verdict, totals };
        Self { entry: Arc::new(entry) }
    }
}

impl fmt::Debug for AlgRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AlgRef")
            .field("info", self.info())
            .field("origin", &self.origin())
            .field("verdict", &self.verdict())
            .finish_non_exhaustive()
    }
}

/// While this thread is in the code of a driver or template. Guards are dropped in reverse order:
/// they live on the stack.
pub(crate) struct Inside;

impl Inside {
    fn enter(place: usize, driver: &str) -> Result<Self, OpenError> {
        let is_first = INSIDE.try_with(|inside| {
            let mut inside = inside.borrow_mut();
            let is_first = !inside.contains(&place);
            inside.push(place);
            is_first
        });
        let inside = Self; // Its drop also ends what is refused.
        // A thread that is ending has no list any more, and nothing to fear.
        if is_first.unwrap_or(true) { Ok(inside) } else { Err(recursive(driver)) }
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        let _ = INSIDE.try_with(|inside| inside.borrow_mut().pop());
    }
}

thread_local! {
    /// The entries and templates whose code this thread is in.
    static INSIDE: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

fn recursive(driver: &str) -> OpenError {
    OpenError::Recursive { driver: driver.into() }
}

/// Whether a driver tells the names under which it is found.
fn check_names(told: &AlgInfo, name: &str, driver: &str) -> Result<(), OpenError> {
    if (&*told.name, &*told.driver) == (name, driver) {
        return Ok(());
    }
    Err(OpenError::Misnamed {
        driver: driver.into(),
        name: told.name.as_ref().into(),
        says: told.driver.as_ref().into(),
    })
}

fn is_name(name: &str) -> bool {
    let is_char = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_.-".contains(c);
    !name.is_empty() && name.chars().all(is_char)
}

const ADDED: &str = "run time";
