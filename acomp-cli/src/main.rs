//! The program `acomp`.
fn main() {}
