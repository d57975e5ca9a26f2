//! `zstd`: one Zstandard frame (RFC 8878), by libzstd.

use std::ops::RangeInclusive;
use std::sync::Arc;

use acomp_core::{AlgInfo, Algorithm, Codec, Error, OpenError, Outcome, Params, Registration};
use zstd_safe::zstd_sys::ZSTD_ErrorCode;
use zstd_safe::{
    CCtx, CDict, CLEVEL_DEFAULT, CParameter, DCtx, DDict, ErrorCode, find_frame_compressed_size,
    get_error_name, get_frame_content_size, max_c_level, min_c_level,
};

// No promises: libzstd resizes its workspace when it likes.
static INFO: AlgInfo = AlgInfo::new("zstd", "zstd-libzstd").with_priority(100);

acomp_core::inventory::submit!(Registration::new(&INFO, || Ok(Arc::new(Zstd)), module_path!()));

#[derive(Debug)]
struct Zstd;

impl Algorithm for Zstd {
    fn info(&self) -> &AlgInfo {
        &INFO
    }

    fn prepare(&self, params: &Params) -> Result<Option<Arc<dyn Algorithm>>, OpenError> {
        let Some(bytes) = params.dictionary() else { return Ok(None) };
        if params.window_bytes().is_some() {
            return Err(OpenError::unsupported("window_bytes", "not together with a dictionary"));
        }
        let compress = CDict::try_create(bytes, level(params)?);
        let decompress = DDict::try_create(bytes);
        match (compress, decompress) {
            (Some(compress), Some(decompress)) => {
                let digested = Arc::new(Digested { compress, decompress });
                Ok(Some(Arc::new(ZstdWithDictionary { digested })))
            }
            _ => Err(OpenError::unsupported("dictionary", "libzstd refuses it")),
        }
    }

    fn open(&self, params: &Params) -> Result<Box<dyn Codec>, OpenError> {
        params.allow(&["level", "window_bytes"])?;
        let mut contexts = Contexts::open()?;
        let set = |context: &mut CCtx<'static>, param| {
            context
                .set_parameter(param)
                .map_err(|code| OpenError::Device(get_error_name(code).into()))
        };
        set(&mut contexts.compress, CParameter::CompressionLevel(level(params)?))?;
        if let Some(log) = window_log(params)? {
            set(&mut contexts.compress, CParameter::WindowLog(log))?;
        }
        Ok(Box::new(Frame { contexts, digested: None }))
    }
}

/// A driver prepared for one dictionary, which its sessions share.
struct ZstdWithDictionary {
    digested: Arc<Digested>,
}

impl std::fmt::Debug for ZstdWithDictionary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ZstdWithDictionary").finish_non_exhaustive()
    }
}

impl Algorithm for ZstdWithDictionary {
    fn info(&self) -> &AlgInfo {
        &INFO
    }

    fn open(&self, params: &Params) -> Result<Box<dyn Codec>, OpenError> {
        params.allow(&["level", "dictionary"])?;
        let digested = Some(Arc::clone(&self.digested));
        Ok(Box::new(Frame { contexts: Contexts::open()?, digested }))
    }
}

struct Digested {
    compress: CDict<'static>,
    decompress: DDict<'static>,
}

struct Contexts {
    compress: CCtx<'static>,
    decompress: DCtx<'static>,
}

impl Contexts {
    fn open() -> Result<Self, OpenError> {
        let out_of_memory = || OpenError::Device("libzstd has no memory for a context".into());
        Ok(Self {
            compress: CCtx::try_create().ok_or_else(out_of_memory)?,
            decompress: DCtx::try_create().ok_or_else(out_of_memory)?,
        })
    }
}

struct Frame {
    contexts: Contexts,
    digested: Option<Arc<Digested>>,
}

impl Codec for Frame {
    fn compress(&mut self, src: &[u8], dst: &mut [u8]) -> Outcome {
        let context = &mut self.contexts.compress;
        let result = match &self.digested {
            None => context.compress2(dst, src),
            Some(digested) => context.compress_using_cdict(dst, src, &digested.compress),
        };
        result.map_err(
            |code| if is_too_small(code) { Error::DstTooSmall } else { Error::Unsupported },
        )
    }

    fn decompress(&mut self, src: &[u8], dst: &mut [u8]) -> Outcome {
        // libzstd would also read several frames, and skip frames that hold no data.
        if !src.starts_with(&FRAME_MAGIC) || find_frame_compressed_size(src) != Ok(src.len()) {
            return Err(Error::Corrupt);
        }
        match get_frame_content_size(src) {
            Err(_) => return Err(Error::Corrupt),
            Ok(Some(len)) if len > dst.len() as u64 => return Err(Error::DstTooSmall),
            Ok(_) => {}
        }
        let context = &mut self.contexts.decompress;
        let result = match &self.digested {
            None => context.decompress(dst, src),
            Some(digested) => context.decompress_using_ddict(dst, src, &digested.decompress),
        };
        result.map_err(|code| if is_too_small(code) { Error::DstTooSmall } else { Error::Corrupt })
    }
}

fn level(params: &Params) -> Result<i32, OpenError> {
    let level = params.level().unwrap_or(CLEVEL_DEFAULT);
    if (min_c_level()..=max_c_level()).contains(&level) {
        Ok(level)
    } else {
        let why = format!("libzstd has levels {} to {}", min_c_level(), max_c_level());
        Err(OpenError::unsupported("level", why))
    }
}

fn window_log(params: &Params) -> Result<Option<u32>, OpenError> {
    let Some(bytes) = params.window_bytes() else { return Ok(None) };
    if bytes.is_power_of_two() && WINDOW_LOG.contains(&bytes.ilog2()) {
        Ok(Some(bytes.ilog2()))
    } else {
        Err(OpenError::unsupported("window_bytes", "a power of two from 1 KiB to 128 MiB"))
    }
}

fn is_too_small(code: ErrorCode) -> bool {
    code == (ZSTD_ErrorCode::ZSTD_error_dstSize_tooSmall as usize).wrapping_neg()
}

/// RFC 8878, section 3.1.1.
const FRAME_MAGIC: [u8; 4] = 0xFD2F_B528_u32.to_le_bytes();
/// From the format's minimum to what every decoder takes unasked (RFC 8878, section 3.1.1.1.2).
const WINDOW_LOG: RangeInclusive<u32> = 10..=27;
