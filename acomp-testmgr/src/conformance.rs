/// Tests for your driver: one `#[test]` for each [`Theme`](crate::Theme), named after it. The
/// failure says which cases failed, and what to do.
///
/// Takes an expression of the driver, evaluated in every test. Attributes after it become those of
/// the tests.
///
/// ```
/// # use acomp_core::{AlgInfo, Algorithm, Codec, Error, OpenError, Outcome, Params};
/// # #[derive(Debug)]
/// # struct Copied;
/// # static INFO: AlgInfo = AlgInfo::new("copied", "copied-toy");
/// # impl Algorithm for Copied {
/// #     fn info(&self) -> &AlgInfo { &INFO }
/// #     fn open(&self, params: &Params) -> Result<Box<dyn Codec>, OpenError> {
/// #         params.allow(&[]).map(|()| Box::new(CopiedCodec) as _)
/// #     }
/// # }
/// # struct CopiedCodec;
/// # impl Codec for CopiedCodec {
/// #     fn compress(&mut self, src: &[u8], dst: &mut [u8]) -> Outcome {
/// #         dst.get_mut(..src.len()).ok_or(Error::DstTooSmall)?.copy_from_slice(src);
/// #         Ok(src.len())
/// #     }
/// #     fn decompress(&mut self, src: &[u8], dst: &mut [u8]) -> Outcome {
/// #         self.compress(src, dst)
/// #     }
/// # }
/// acomp_testmgr::conformance!(Copied);
/// # let report = acomp_testmgr::theme_test(&Copied, acomp_testmgr::Theme::RoundTrip);
/// # assert!(report.is_passed(), "{report}");
/// ```
///
/// A driver of something that few machines have:
///
/// ```
/// # struct OnDevice;
/// acomp_testmgr::conformance!(OnDevice, #[ignore = "needs the device"]);
/// ```
#[macro_export]
macro_rules! conformance {
    ($driver:expr $(, #[$attribute:meta])* $(,)?) => {
        $crate::conformance! {
            @tests [$(#[$attribute])*] $driver;
            open = Open,
            facts = Facts,
            vectors = Vectors,
            round_trip = RoundTrip,
            small_destination = SmallDestination,
            damaged_stream = DamagedStream,
            chain = Chain,
            state = State,
            matrix = Matrix,
        }
    };
    (@tests $attributes:tt $driver:expr; $($test:ident = $theme:ident,)*) => {
        // A theme without a test does not compile.
        const _: [$crate::Theme; $crate::Theme::ALL.len()] = [$($crate::Theme::$theme),*];
        $($crate::conformance! { @test $attributes $driver; $test = $theme })*
    };
    (@test [$(#[$attribute:meta])*] $driver:expr; $test:ident = $theme:ident) => {
        #[test]
        $(#[$attribute])*
        fn $test() {
            let report = $crate::theme_test(&$driver, $crate::Theme::$theme);
            assert!(report.is_passed(), "{report}");
        }
    };
}
