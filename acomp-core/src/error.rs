//! Errors. The data plane has one small [`Error`]; the control plane has rich ones that say what to
//! do next; misuse of an interface has a type of its own.

/// What one operation produced: the number of bytes written to `dst`, or why there are none.
pub type Outcome = Result<usize, Error>;

/// Why one operation failed. No kind has two meanings.
///
/// `repr(usize)` on purpose: both arms of [`Outcome`] then share one 8-byte slot, so an outcome
/// travels in two registers.
///
/// ```
/// use acomp_core::Error;
/// assert_eq!(Error::DstTooSmall.to_string(), "output does not fit the destination");
/// assert!(Error::Busy.is_retryable());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
#[repr(usize)]
pub enum Error {
    /// The driver has no room now; the same operation may succeed later.
    #[error("driver is busy")]
    Busy,
    /// The operation was cancelled before it was executed.
    #[error("operation was cancelled")]
    Cancelled,
    /// The source of a decompression is not a valid stream of the algorithm.
    #[error("source is not a valid stream")]
    Corrupt,
    /// The device reported an error of its own, none of the source or the destination.
    #[error("device reported an error")]
    Device,
    /// The device, or whoever executed the operation, went away.
    #[error("device is gone")]
    DeviceLost,
    /// The output does not fit `dst`. Expected for incompressible data, cheap, only counted.
    #[error("output does not fit the destination")]
    DstTooSmall,
    /// The driver claimed to have written more bytes than `dst` holds: a defect of the driver.
    #[error("driver claims more output than the destination holds")]
    Overclaimed,
    /// The driver panicked now, or earlier in the life of this session: open a new session.
    #[error("driver panicked, the session must be replaced")]
    Panicked,
    /// The operation did not end in time, and it is certain that it no longer runs.
    #[error("operation timed out")]
    TimedOut,
    /// The driver returned without an answer for this operation: a defect of the driver.
    #[error("driver gave no answer")]
    Unanswered,
    /// The driver cannot carry out this operation: source too long, buffers too large.
    #[error("operation is not supported")]
    Unsupported,
    /// Decompressing what was just compressed did not give the source back.
    #[error("verification failed")]
    VerifyFailed,
}

impl Error {
    /// Every kind, in the order of the discriminants.
    pub const ALL: &[Self] = &[
        Self::Busy,
        Self::Cancelled,
        Self::Corrupt,
        Self::Device,
        Self::DeviceLost,
        Self::DstTooSmall,
        Self::Overclaimed,
        Self::Panicked,
        Self::TimedOut,
        Self::Unanswered,
        Self::Unsupported,
        Self::VerifyFailed,
    ];

    /// The kind as metrics and JSON name it, as in `dst_too_small`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Cancelled => "cancelled",
            Self::Corrupt => "corrupt",
            Self::Device => "device",
            Self::DeviceLost => "device_lost",
            Self::DstTooSmall => "dst_too_small",
            Self::Overclaimed => "overclaimed",
            Self::Panicked => "panicked",
            Self::TimedOut => "timed_out",
            Self::Unanswered => "unanswered",
            Self::Unsupported => "unsupported",
            Self::VerifyFailed => "verify_failed",
        }
    }

    /// The nearest Linux `errno`, positive. Every kind has its own.
    #[must_use]
    pub const fn errno(self) -> i32 {
        match self {
            Self::Busy => 16,         // EBUSY
            Self::Cancelled => 125,   // ECANCELED
            Self::Corrupt => 74,      // EBADMSG
            Self::Device => 5,        // EIO
            Self::DeviceLost => 19,   // ENODEV
            Self::DstTooSmall => 28,  // ENOSPC
            Self::Overclaimed => 75,  // EOVERFLOW
            Self::Panicked => 131,    // ENOTRECOVERABLE
            Self::TimedOut => 110,    // ETIMEDOUT
            Self::Unanswered => 61,   // ENODATA
            Self::Unsupported => 95,  // EOPNOTSUPP
            Self::VerifyFailed => 84, // EILSEQ
        }
    }

    /// Whether the same operation on the same session may succeed later.
    #[must_use]
    pub const fn is_retryable(self) -> bool {
        matches!(self, Self::Busy | Self::TimedOut)
    }
}

// The promise of a register pair (a size assert alone does not prove it; `acomp bench overhead`
// would show the difference).
const _: () = assert!(size_of::<Outcome>() == 16);
const _: () = assert!(Error::ALL.len() == Error::VerifyFailed as usize + 1);

/// Why a transform could not be allocated or a session not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// No algorithm or driver has this name.
    #[error("no algorithm or driver is named `{name}`; {}", known_names(known))]
    NotFound {
        /// The name that was looked up.
        name: Box<str>,
        /// Every generic and driver name in the registry, sorted.
        known: Box<[Box<str>]>,
    },
    /// The name does not follow the grammar, or a template in it is not known.
    #[error("`{name}` is no name: {why} (at offset {at})")]
    InvalidName {
        /// The whole name.
        name: Box<str>,
        /// Where it goes wrong.
        at: usize,
        /// What is wrong there.
        why: Box<str>,
    },
    /// A parameter is unknown to every candidate, or its value makes no sense to any.
    #[error("parameter `{param}`: {why}{}", position(*at))]
    InvalidParam {
        /// The parameter's name.
        param: Box<str>,
        /// What is wrong and what would be right.
        why: Box<str>,
        /// Offset in the name where the parameter stands, if it stands in the name.
        at: Option<usize>,
    },
    /// This driver does not take this parameter; another driver of the same name may.
    #[error("parameter `{param}` is not supported: {why}")]
    Unsupported {
        /// The parameter's name.
        param: Box<str>,
        /// What the driver takes instead.
        why: Box<str>,
    },
    /// The driver failed its self-test and must not be used.
    #[error("driver `{driver}` failed its self-test: {case}")]
    SelfTest {
        /// The driver that was refused.
        driver: Box<str>,
        /// The test case that failed.
        case: Box<str>,
    },
    /// Two linked drivers claim one name, so neither is picked.
    #[error("name `{driver}` is claimed twice, by {} and {}: unlink one", origins[0], origins[1])]
    Duplicate {
        /// The name in conflict.
        driver: Box<str>,
        /// The modules that registered the two drivers.
        origins: [Box<str>; 2],
    },
    /// Several drivers have this name and each refused.
    #[error("no driver of `{name}` can be used:{}", refusals(refused))]
    NoneUsable {
        /// The name that was looked up.
        name: Box<str>,
        /// Driver and reason, best driver first.
        refused: Box<[(Box<str>, Self)]>,
    },
    /// The driver panicked while it was made, prepared, or opened.
    #[error("driver `{driver}` panicked while it was opened")]
    Panicked {
        /// The driver that panicked.
        driver: Box<str>,
    },
    /// The registration and the driver do not tell the same names: a defect of the driver.
    #[error("driver `{driver}` calls itself `{name}`, `{says}`")]
    Misnamed {
        /// The driver name of the registration.
        driver: Box<str>,
        /// The generic name that the driver tells.
        name: Box<str>,
        /// The driver name that the driver tells.
        says: Box<str>,
    },
    /// The driver came back to itself while it was made, tested, prepared or opened.
    #[error("driver `{driver}` needs itself to be made, tested or opened")]
    Recursive {
        /// The driver.
        driver: Box<str>,
    },
    /// The device behind the driver is absent or refused.
    #[error("device cannot be used: {0}")]
    Device(Box<dyn std::error::Error + Send + Sync>),
}

impl OpenError {
    /// For authors: this value makes no sense to any driver of the name.
    #[must_use]
    pub fn invalid_param(param: &str, why: impl Into<Box<str>>) -> Self {
        Self::InvalidParam { param: param.into(), why: why.into(), at: None }
    }

    /// For authors: this driver does not take this parameter or value; `why` says what it takes.
    #[must_use]
    pub fn unsupported(param: &str, why: impl Into<Box<str>>) -> Self {
        Self::Unsupported { param: param.into(), why: why.into() }
    }

    /// What to answer when every candidate of a name refused: the parameter that none takes; else
    /// the only candidate's own reason, or every reason.
    pub(crate) fn all_refused(name: &str, mut refused: Vec<(Box<str>, Self)>) -> Self {
        let unsupported = refused.iter().filter_map(|(driver, why)| match why {
            Self::Unsupported { param, why } => Some((&**param, format!("{driver}: {why}"))),
            _ => None,
        });
        let (params, whys): (Vec<_>, Vec<_>) = unsupported.unzip();
        if params.len() == refused.len()
            && let [first, others @ ..] = &*params
            && others.iter().all(|param| param == first)
        {
            let why = format!("no driver takes it ({})", whys.join("; "));
            return Self::invalid_param(first, why);
        }
        match (refused.len(), refused.pop()) {
            (1, Some((_, why))) => why,
            (_, last) => {
                refused.extend(last);
                Self::NoneUsable { name: name.into(), refused: refused.into() }
            }
        }
    }
}

fn known_names(known: &[Box<str>]) -> String {
    if known.is_empty() {
        "the registry is empty: is its crate linked? \
         (depend on `acomp`, or write `use acomp_algs as _;`)"
            .into()
    } else {
        format!("known names: {} (is its crate linked?)", known.join(", "))
    }
}

fn position(at: Option<usize>) -> String {
    at.map_or_else(String::new, |at| format!(" (at offset {at} of the name)"))
}

fn refusals(refused: &[(Box<str>, OpenError)]) -> String {
    refused.iter().map(|(driver, why)| format!("\n  {driver}: {why}")).collect()
}

/// Why an algorithm could not be added to a registry at run time.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AddError {
    /// Another driver claims one of the names.
    #[error("name `{name}` is already claimed by {origin}")]
    Duplicate {
        /// The name in conflict.
        name: Box<str>,
        /// The module that registered the other driver, or `run time`.
        origin: Box<str>,
    },
    /// The driver panicked when it was asked for its facts.
    #[error("driver panicked when it was asked for its facts")]
    Panicked,
    /// A name is empty or holds a character other than `a-z 0-9 _ . -`.
    #[error("`{name}` is not a name: use lower-case letters, digits, `_`, `.` and `-`")]
    InvalidName {
        /// The name that was refused.
        name: Box<str>,
    },
}

/// An interface was called with arguments that cannot be served; nothing was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Misuse {
    /// Fewer destinations than units.
    #[error("{units} units need as many destinations, {dsts} were given")]
    TooFewDsts {
        /// Units in the source.
        units: usize,
        /// Destinations that were passed.
        dsts: usize,
    },
    /// Fewer outcome cells than units.
    #[error("{units} units need as many outcome cells, {outcomes} were given")]
    TooFewOutcomes {
        /// Units in the source.
        units: usize,
        /// Outcome cells that were passed.
        outcomes: usize,
    },
}
