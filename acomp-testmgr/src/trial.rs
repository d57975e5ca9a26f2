//! One theme of the suite at work on one driver.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::content::Content;
use crate::report::{Failure, Report, Suite};
use crate::subject::{Driver, Subject};
use crate::themes::Theme;

/// Runs the cases of one theme. They share a codec, which is replaced after a failure.
pub(crate) struct Trial<'a> {
    pub(crate) driver: &'a Driver<'a>,
    pub(crate) suite: Suite,
    theme: Theme,
    subject: Option<Subject>,
    failures_left: usize,
    report: &'a mut Report,
}

impl<'a> Trial<'a> {
    pub(crate) fn new(
        driver: &'a Driver<'a>,
        suite: Suite,
        theme: Theme,
        report: &'a mut Report,
    ) -> Self {
        Self { driver, suite, theme, subject: None, failures_left: FAILURES_MAX, report }
    }

    /// Runs a case, unless the theme has failed often enough. A panic is a failure.
    pub(crate) fn case<T>(
        &mut self,
        name: fmt::Arguments<'_>,
        run: impl FnOnce(&mut Subject) -> Result<T, String>,
    ) -> Option<T> {
        if self.failures_left == 0 {
            return None;
        }
        self.report.cases += 1;
        let (driver, subject) = (self.driver, &mut self.subject);
        let result = caught(|| match subject {
            Some(subject) => run(subject),
            None => run(subject.insert(driver.open()?)),
        });
        match result {
            Ok(value) => Some(value),
            Err(why) => {
                self.failures_left -= 1;
                self.report.failures.push(Failure {
                    theme: self.theme,
                    case: name.to_string(),
                    why,
                });
                self.close();
                None
            }
        }
    }

    /// Drops the codec.
    pub(crate) fn close(&mut self) {
        let subject = self.subject.take();
        let closed = caught(|| {
            drop(subject);
            Ok(())
        });
        if let Err(why) = closed {
            let case = "close".into();
            self.report.failures.push(Failure { theme: self.theme, case, why });
        }
    }

    /// Every content in every size that the driver takes.
    pub(crate) fn inputs(
        &self,
        contents: &'static [Content],
        sizes: &'static [usize],
    ) -> impl Iterator<Item = Input> + use<> {
        let max = self.driver.info().src_bytes_max.map_or(usize::MAX, Into::into);
        let sizes = sizes.iter().filter(move |&&len| len <= max);
        sizes.flat_map(move |&len| {
            let contents = if len == 0 { &contents[..1] } else { contents };
            contents.iter().map(move |&content| Input::new(content, len as u64, len))
        })
    }
}

/// Runs the driver's code; a panic becomes an error.
pub(crate) fn caught<T>(run: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|payload| {
        let why = format!("panicked: {}", message(&*payload));
        // Dropping the payload runs the driver's code once more, which may panic again.
        std::mem::forget(payload);
        Err(why)
    })
}

fn message(payload: &dyn Any) -> &str {
    let literal = payload.downcast_ref::<&str>().copied();
    let formatted = payload.downcast_ref::<String>().map(String::as_str);
    literal.or(formatted).unwrap_or("no message")
}

/// A generated source. Its `Display` is what it takes to generate it again.
pub(crate) struct Input {
    content: Content,
    seed: u64,
    pub(crate) bytes: Vec<u8>,
}

impl Input {
    pub(crate) fn new(content: Content, seed: u64, len: usize) -> Self {
        let mut bytes = vec![0; len];
        content.fill(seed, &mut bytes);
        Self { content, seed, bytes }
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, seed {}, {} bytes", self.content, self.seed, self.bytes.len())
    }
}

/// Of one theme: enough to see a pattern.
const FAILURES_MAX: usize = 4;
