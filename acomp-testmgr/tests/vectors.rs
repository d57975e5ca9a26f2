//! Every stream that `make.py` made is in a set.

use std::collections::BTreeSet;
use std::path::Path;

use acomp_testmgr::VectorSet;

#[test]
fn every_stream_file_is_a_vector() {
    let vectors = acomp_core::inventory::iter::<VectorSet>.into_iter().flat_map(|set| set.vectors);
    let listed: BTreeSet<_> = vectors.map(|vector| vector.name.to_string()).collect();

    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors");
    for format in ["842", "deflate", "lz4", "lzo", "lzo-rle", "zstd"] {
        for file in folder.join(format).read_dir().unwrap() {
            let path = file.unwrap().path();
            let name = format!("{format}/{}", path.file_stem().unwrap().to_str().unwrap());
            assert!(listed.contains(&name), "{name} is in no set");
        }
    }
}
