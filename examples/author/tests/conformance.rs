//! The driver does what every driver must do.

acomp_testmgr::conformance!(acomp_zeros::Zeros);

// Streams written by hand, lest the codec misunderstand its own format both ways.

use acomp_testmgr::{Vector, VectorSet};

static VECTORS: &[Vector] = &[
    Vector::accepted("nothing", &[], &[]),
    Vector::accepted("zeros", &[0x83], &[0; 4]),
    Vector::accepted("kept", &[1, 7, 8], &[7, 8]),
    Vector::accepted("both", &[0, 7, 0x80, 0, 8], &[7, 0, 8]),
    Vector::accepted("most zeros", &[0xFF], &[0; 128]),
    Vector::refused("cut off", &[1, 7]),
];

acomp_core::inventory::submit! { VectorSet::new("zeros", VECTORS, module_path!()) }
