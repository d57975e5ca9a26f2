//! Parameters that can be set while the pool works, under the names that they have in
//! `/sys/module/zswap/parameters`.

use std::sync::atomic::{
    AtomicBool, AtomicU8,
    Ordering::{Acquire, Release},
};

use crate::compressors::SwitchError;

#[derive(Debug)]
pub(crate) struct Params {
    pub(crate) enabled: AtomicBool,
    pub(crate) max_pool_percent: AtomicU8,
    pub(crate) accept_threshold_percent: AtomicU8,
    pub(crate) shrinker_enabled: AtomicBool,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            enabled: AtomicBool::new(true),
            max_pool_percent: AtomicU8::new(20),
            accept_threshold_percent: AtomicU8::new(90),
            shrinker_enabled: AtomicBool::new(false),
        }
    }
}

/// A parameter: what it is called, its default, what it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParamInfo {
    /// The kernel's name.
    pub name: &'static str,
    /// What it is if nobody sets it.
    pub default: &'static str,
    /// What it does.
    pub meaning: &'static str,
}

/// Every parameter.
pub const PARAMS: [ParamInfo; 5] = [
    ParamInfo {
        name: "enabled",
        default: "Y",
        meaning: "whether pages are stored; those that are stay loadable",
    },
    ParamInfo {
        name: "compressor",
        default: "the builder's",
        meaning: "the transform of pages to come; stored ones keep theirs",
    },
    ParamInfo {
        name: "max_pool_percent",
        default: "20",
        meaning: "how much of the configured total the pool may hold",
    },
    ParamInfo {
        name: "accept_threshold_percent",
        default: "90",
        meaning: "a pool that was full stores again below this much of its maximum; 100: at once",
    },
    ParamInfo {
        name: "shrinker_enabled",
        default: "N",
        meaning: "whether the shrinker offers pages to be written back under memory pressure",
    },
];

/// Why a parameter was not set. It keeps its value.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ParamError {
    /// There is no such parameter.
    #[error("there is no parameter `{name}`; there are {}", names())]
    Unknown {
        /// What was asked for.
        name: Box<str>,
    },
    /// The value is none that it can have: `EINVAL`.
    #[error("`{value}` is no value of `{name}`: it takes {takes}")]
    Invalid {
        /// The parameter.
        name: &'static str,
        /// What was given.
        value: Box<str>,
        /// What it takes.
        takes: &'static str,
    },
    /// The compressor cannot be had: `ENOENT`.
    #[error(transparent)]
    Compressor(#[from] SwitchError),
}

fn names() -> String {
    PARAMS.map(|param| param.name).join(", ")
}

impl Params {
    pub(crate) fn set(
        param: &AtomicBool,
        name: &'static str,
        value: &str,
    ) -> Result<(), ParamError> {
        // As the kernel reads them: by the first letter, but for `on` and `off`.
        let mut letters = value.bytes().map(|letter| letter.to_ascii_lowercase());
        let on = match (letters.next(), letters.next()) {
            (Some(b'y' | b't' | b'1'), _) | (Some(b'o'), Some(b'n')) => true,
            (Some(b'n' | b'f' | b'0'), _) | (Some(b'o'), Some(b'f')) => false,
            _ => {
                let takes = "Y, T, 1, on, N, F, 0 or off";
                return Err(ParamError::Invalid { name, value: value.into(), takes });
            }
        };
        param.store(on, Release);
        Ok(())
    }

    pub(crate) fn set_percent(
        param: &AtomicU8,
        name: &'static str,
        value: &str,
    ) -> Result<(), ParamError> {
        // As in C: hexadecimal after 0x, octal after 0.
        let percent = match value.strip_prefix("0x").or_else(|| value.strip_prefix("0X")) {
            Some(digits) => u8::from_str_radix(digits, 16),
            None if value.starts_with('0') => u8::from_str_radix(value, 8),
            None => value.parse(),
        };
        let percent = percent.ok().filter(|percent| *percent <= 100);
        let takes = "0 to 100";
        let invalid = || ParamError::Invalid { name, value: value.into(), takes };
        param.store(percent.ok_or_else(invalid)?, Release);
        Ok(())
    }

    /// A part of `total`.
    pub(crate) fn percent_of(param: &AtomicU8, total: u64) -> u64 {
        let percent = u128::from(param.load(Acquire));
        u64::try_from(u128::from(total) * percent / 100).unwrap_or(u64::MAX)
    }
}
