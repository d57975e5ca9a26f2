//! `cargo xtask tidy`: the house rules that no compiler lint covers; all violations at once.

mod checks;
mod source;

use anyhow::{Result, bail};
use cargo_metadata::Metadata;

use checks::CHECKS;
pub(crate) use checks::UNSAFE_LEAVES;
use source::Tree;

/// Runs every check and prints each violation as `file:line: message`.
pub(crate) fn run(workspace: &Metadata) -> Result<()> {
    let tree = Tree::read(workspace)?;
    let mut violations: Vec<_> = CHECKS.iter().flat_map(|check| check(&tree)).collect();
    violations.sort();
    for violation in &violations {
        println!("{violation}");
    }
    match violations.len() {
        0 => Ok(()),
        count => bail!("tidy: {count} violations"),
    }
}
