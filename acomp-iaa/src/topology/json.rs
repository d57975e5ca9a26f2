//! Machines described in JSON.

use serde_json::{Map, Value};

use super::{Machine, Package, TopologyError, cpus, invalid};
use crate::config::{DeviceConfig, ENGINES, ENTRIES, PRIORITY, WqConfig, WqMode};

impl Machine {
    /// Reads a description:
    ///
    /// ```
    /// # use acomp_iaa::topology::Machine;
    /// let machine = Machine::from_json(
    ///     r#"{ "packages": [ {
    ///         "cpus": "0-3",
    ///         "threads_per_core": 2,
    ///         "devices": [ {
    ///             "name": "iax1",
    ///             "engines": [0, 0, 1],
    ///             "queues": [
    ///                 { "size": 64 },
    ///                 { "size": 64, "mode": "shared", "threshold": 60, "priority": 5, "group": 1 }
    ///             ]
    ///         } ]
    ///     } ] }"#,
    /// )?;
    /// assert_eq!(machine.packages[0].devices[0].queues[1].name, "wq1.1");
    /// # Ok::<_, acomp_iaa::topology::TopologyError>(())
    /// ```
    ///
    /// `cpus` has to be there. By default cores have one thread, packages no device, devices eight
    /// `engines` (a number, or the group of each) in group 0, `header_generation` and one queue,
    /// and queues all entries, mode `dedicated`, threshold 0, priority 10, group 0.
    ///
    /// # Errors
    ///
    /// [`TopologyError::Syntax`], and [`TopologyError::Invalid`] which names the field.
    pub fn from_json(text: &str) -> Result<Self, TopologyError> {
        let mut root = Fields::new(serde_json::from_str(text).map_err(TopologyError::Syntax)?, "")?;
        let packages = root.take("packages").ok_or_else(|| invalid("packages", MISSING))?;
        root.finish()?;
        let machine = Self { packages: each(packages, "packages", package)? };
        machine.check()?;
        Ok(machine)
    }
}

fn package(value: Value, at: &str) -> Result<Package, TopologyError> {
    let mut fields = Fields::new(value, at)?;
    let list = fields.text("cpus")?.ok_or_else(|| invalid(fields.path("cpus"), MISSING))?;
    let package = Package {
        cpus: cpus::parse(&list).map_err(|why| invalid(fields.path("cpus"), why))?,
        threads_per_core: fields.number("threads_per_core")?.unwrap_or(1),
        devices: match fields.take("devices") {
            Some(devices) => each(devices, &fields.path("devices"), device)?,
            None => Vec::new(),
        },
    };
    fields.finish()?;
    Ok(package)
}

fn device(value: Value, at: &str) -> Result<DeviceConfig, TopologyError> {
    let mut fields = Fields::new(value, at)?;
    let name = fields.text("name")?.ok_or_else(|| invalid(fields.path("name"), MISSING))?;
    let engine_groups = match fields.take("engines") {
        None => vec![0; ENGINES],
        Some(groups @ Value::Array(_)) => each(groups, &fields.path("engines"), number)?,
        // More than there can be are refused later, but must not be made first.
        Some(count) => vec![0; number(count, &fields.path("engines"))?.min(ENGINES + 1)],
    };
    let queues = match fields.take("queues") {
        Some(queues) => each(queues, &fields.path("queues"), queue)?,
        None => vec![queue(Value::Object(Map::new()), &fields.path("queues"))?],
    };
    let header_generation = fields.truth("header_generation")?.unwrap_or(true);
    fields.finish()?;
    let device = DeviceConfig {
        name,
        engine_groups,
        queues: Vec::new(),
        has_header_generation: header_generation,
    };
    Ok(device.with_queues(queues))
}

/// Its name is empty if it has none.
fn queue(value: Value, at: &str) -> Result<WqConfig, TopologyError> {
    let mut fields = Fields::new(value, at)?;
    let mode = match fields.text("mode")?.as_deref() {
        None | Some("dedicated") => WqMode::Dedicated,
        Some("shared") => WqMode::Shared,
        Some(other) => {
            let why = format!("`{other}` is neither `dedicated` nor `shared`");
            return Err(invalid(fields.path("mode"), why));
        }
    };
    let priority = fields.number("priority")?.unwrap_or(PRIORITY.into());
    let size = fields.number("size")?.unwrap_or(ENTRIES);
    let queue = WqConfig {
        name: fields.text("name")?.unwrap_or_default(),
        threshold: fields.number("threshold")?.unwrap_or(0),
        mode,
        priority: u8::try_from(priority).unwrap_or(u8::MAX),
        group: fields.number("group")?.unwrap_or(0),
        ..WqConfig::new(size)
    };
    fields.finish()?;
    Ok(queue)
}

/// The fields of an object that nobody has read yet.
struct Fields<'a> {
    at: &'a str,
    left: Map<String, Value>,
}

impl<'a> Fields<'a> {
    fn new(value: Value, at: &'a str) -> Result<Self, TopologyError> {
        match value {
            Value::Object(left) => Ok(Self { at, left }),
            _ => Err(invalid(if at.is_empty() { "the description" } else { at }, "is no object")),
        }
    }

    fn path(&self, key: &str) -> String {
        if self.at.is_empty() { key.into() } else { format!("{}.{key}", self.at) }
    }

    fn take(&mut self, key: &str) -> Option<Value> {
        self.left.remove(key)
    }

    fn text(&mut self, key: &str) -> Result<Option<String>, TopologyError> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(invalid(self.path(key), format!("{other} is no string"))),
        }
    }

    fn truth(&mut self, key: &str) -> Result<Option<bool>, TopologyError> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::Bool(truth)) => Ok(Some(truth)),
            Some(other) => Err(invalid(self.path(key), format!("{other} is not true or false"))),
        }
    }

    fn number(&mut self, key: &str) -> Result<Option<usize>, TopologyError> {
        self.take(key).map(|value| number(value, &self.path(key))).transpose()
    }

    /// What is left is misspelled, and would silently do nothing.
    fn finish(self) -> Result<(), TopologyError> {
        match self.left.keys().next() {
            Some(key) => Err(invalid(self.path(key), "there is no such field")),
            None => Ok(()),
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "one of the readers that `each` takes")]
fn number(value: Value, at: &str) -> Result<usize, TopologyError> {
    let number = value.as_u64().and_then(|number| usize::try_from(number).ok());
    number.ok_or_else(|| invalid(at, format!("{value} is no number of things")))
}

/// Reads the elements of an array.
fn each<T>(
    value: Value,
    at: &str,
    read: impl Fn(Value, &str) -> Result<T, TopologyError>,
) -> Result<Vec<T>, TopologyError> {
    let Value::Array(values) = value else { return Err(invalid(at, "is no array")) };
    let read = |(i, value)| read(value, &format!("{at}[{i}]"));
    values.into_iter().enumerate().map(read).collect()
}

const MISSING: &str = "is missing";
