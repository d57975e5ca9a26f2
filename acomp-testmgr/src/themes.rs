//! The properties: what holds for every driver.

mod chains;
mod damage;
mod facts;
mod known_streams;
mod matrix;
mod round_trip;
mod small_dst;
mod state;

use std::fmt;

use crate::trial::Trial;

/// A property that the suite tests: the crate's documentation says what each means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Theme {
    /// The driver opens without parameters.
    Open,
    /// What the driver says about itself is true.
    Facts,
    /// Known streams are read, broken ones refused.
    Vectors,
    /// Data comes back.
    RoundTrip,
    /// A destination that is too small is an error, or is none.
    SmallDestination,
    /// A damaged stream is an error, or some data.
    DamagedStream,
    /// Many ops at once do what as many calls do.
    Chain,
    /// Calls and codecs leave nothing to each other.
    State,
    /// Every way to ask gives the same answer, once.
    Matrix,
}

impl Theme {
    /// In the order of the suite.
    pub const ALL: &[Self] = &[
        Self::Open,
        Self::Facts,
        Self::Vectors,
        Self::RoundTrip,
        Self::SmallDestination,
        Self::DamagedStream,
        Self::Chain,
        Self::State,
        Self::Matrix,
    ];

    /// What to do about a failure.
    #[must_use]
    pub fn advice(self) -> &'static str {
        match self {
            Self::Open => "`open` takes `Params::new()`: give every parameter a default",
            Self::Facts => {
                "correct the `AlgInfo`, which `prepare` keeps; and start `open` with \
                 `params.allow(..)`, which refuses what you do not list"
            }
            Self::Vectors => {
                "the driver or the `VectorSet` in brackets is wrong about the format; a refused \
                 stream is `Corrupt`, also where there is room for more"
            }
            Self::RoundTrip => {
                "make the source again with `Content::fill`, compress and decompress it; every \
                 length up to `src_bytes_max` is possible, 0 too"
            }
            Self::SmallDestination => {
                "take every part of `dst` by `get_mut(..)`, or `DstTooSmall` if there is none; ask \
                 for no more of it than is written"
            }
            Self::DamagedStream => {
                "believe no length in a stream: take every part of `src` by `get(..)`, or \
                 `Corrupt` if there is none, and use up all of it"
            }
            Self::Chain => {
                "in `run`, complete every op, by its own direction, whatever became of the others; \
                 the default `run` does"
            }
            Self::State => {
                "begin each call as if the codec were new, also after an error; codecs share \
                 nothing that calls change"
            }
            Self::Matrix => {
                "of a codec, look at `Chain` and `State` first; of an engine, complete each job \
                 once, by its own direction and as the codec does, also when it is only polled"
            }
        }
    }

    /// Its cases. That a driver opens is seen before any.
    pub(crate) fn run(self, trial: &mut Trial<'_>) {
        match self {
            Self::Open => {}
            Self::Facts => facts::run(trial),
            Self::Vectors => known_streams::run(trial),
            Self::RoundTrip => round_trip::run(trial),
            Self::SmallDestination => small_dst::run(trial),
            Self::DamagedStream => damage::run(trial),
            Self::Chain => chains::run(trial),
            Self::State => state::run(trial),
            Self::Matrix => matrix::run(trial),
        }
    }
}

impl fmt::Display for Theme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "open",
            Self::Facts => "facts",
            Self::Vectors => "vectors",
            Self::RoundTrip => "round trip",
            Self::SmallDestination => "small destination",
            Self::DamagedStream => "damaged stream",
            Self::Chain => "chain",
            Self::State => "state",
            Self::Matrix => "matrix",
        })
    }
}
