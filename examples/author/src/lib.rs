//! An algorithm that acomp does not have, in a crate that acomp does not know.
//!
//! Memory is full of zeros, so `zeros` counts them and keeps the rest. A stream is a row of pieces,
//! each begun by a byte: below 128, so many bytes and one more follow, as they are; from 128 on, it
//! stands for that many zeros less 127.
//!
//! A driver has three parts, in this order below: its facts, how it is opened, and what it does.

use std::sync::Arc;

use acomp_core::{AlgInfo, Algorithm, Codec, Error, OpenError, Outcome, Params, Registration};

/// The driver: shared by all who use it, so without state.
#[derive(Debug)]
pub struct Zeros;

/// The name of the format, and that of this implementation of it. If others implement the format,
/// the one of the highest priority is picked.
static INFO: AlgInfo = AlgInfo::new("zeros", "zeros-author").with_priority(100);

// All it takes to be found by name, in every program that this crate is linked into.
acomp_core::inventory::submit! {
    Registration::new(&INFO, || Ok(Arc::new(Zeros)), module_path!())
}

impl Algorithm for Zeros {
    fn info(&self) -> &AlgInfo {
        &INFO
    }

    fn open(&self, params: &Params) -> Result<Box<dyn Codec>, OpenError> {
        params.allow(&[])?; // There are none: `zeros(level=3)` is an error.
        Ok(Box::new(ZerosCodec))
    }
}

/// What has one user at a time. Tables, which are allocated once, would be here.
struct ZerosCodec;

impl Codec for ZerosCodec {
    fn compress(&mut self, src: &[u8], dst: &mut [u8]) -> Outcome {
        let mut len = 0;
        let runs = src.chunk_by(|a, b| (*a == 0) == (*b == 0));
        for piece in runs.flat_map(|run| run.chunks(PIECE_BYTES_MAX)) {
            let (kind, kept) = if piece[0] == 0 { (ZEROS, &[][..]) } else { (KEPT, piece) };
            // Incompressible data comes often. It is an error that costs nothing.
            let room = dst.get_mut(len..=len + kept.len()).ok_or(Error::DstTooSmall)?;
            room[0] = kind | (piece.len() - 1) as u8;
            room[1..].copy_from_slice(kept);
            len += room.len();
        }
        Ok(len)
    }

    fn decompress(&mut self, mut src: &[u8], dst: &mut [u8]) -> Outcome {
        let mut len = 0;
        while let Some((&head, rest)) = src.split_first() {
            let piece_bytes = usize::from(head & !ZEROS) + 1;
            let room = dst.get_mut(len..len + piece_bytes).ok_or(Error::DstTooSmall)?;
            src = if head & ZEROS != 0 {
                room.fill(0);
                rest
            } else {
                // A stream may be damaged, or made to do damage.
                let (kept, rest) = rest.split_at_checked(piece_bytes).ok_or(Error::Corrupt)?;
                room.copy_from_slice(kept);
                rest
            };
            len += piece_bytes;
        }
        Ok(len)
    }
}

const PIECE_BYTES_MAX: usize = 128;
const KEPT: u8 = 0;
const ZEROS: u8 = 0x80;
