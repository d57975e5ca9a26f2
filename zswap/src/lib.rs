//! zswap.
