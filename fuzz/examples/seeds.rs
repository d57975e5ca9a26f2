//! `seeds DIR`: writes the inputs that fuzzing starts from to `DIR/TARGET`, a file each.

use std::path::PathBuf;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let dir = env::args_os().nth(1).map(PathBuf::from);
    let dir = dir.ok_or_else(|| io::Error::other("seeds DIR: where to write them"))?;
    for property in acomp_fuzz::PROPERTIES {
        let dir = dir.join(property.name);
        fs::create_dir_all(&dir)?;
        for (number, seed) in (property.seeds)().into_iter().enumerate() {
            fs::write(dir.join(number.to_string()), seed)?;
        }
    }
    Ok(())
}
