//! Another library reads the streams of the device and of its fallback, and they read its streams.

mod setup;

use std::sync::Arc;

use acomp_core::{Acomp, Params, Registry};
use acomp_iaa::{Accel, DeflateIaa, DeviceConfig, Settings};
use acomp_testmgr::Content;
use miniz_oxide::deflate::compress_to_vec;
use miniz_oxide::inflate::decompress_to_vec;

use self::setup::Driver;

#[test]
fn miniz_reads_and_is_read() {
    let driver = Driver::new(Settings::default());
    for has_device in [false, true] {
        let _bound = has_device.then(|| driver.bind(DeviceConfig::new(1)));
        let before = driver.accel.stats();
        for acomp in [&driver.acomp, &dynamic(&driver.accel)] {
            for content in Content::ALL {
                let mut page = vec![0; 4096];
                content.fill(1, &mut page);
                let mut stream = vec![0; 5000];
                let len = acomp.compress(&page, &mut stream).unwrap();
                let what = format!("{}, {content}, device: {has_device}", acomp.driver());
                assert!(decompress_to_vec(&stream[..len]).is_ok_and(|read| read == page), "{what}");
                for level in 0..=10 {
                    let (stream, mut back) = (compress_to_vec(&page, level), vec![0; 4096]);
                    assert_eq!(acomp.decompress(&stream, &mut back), Ok(4096), "{what}");
                    assert!(back == page, "{what}, level {level}");
                }
            }
        }
        let after = driver.accel.stats();
        assert_eq!(after.total_comp_calls != before.total_comp_calls, has_device);
        assert_eq!(after.total_decomp_calls != before.total_decomp_calls, has_device);
    }
}

#[expect(clippy::unwrap_used, reason = "test helpers unwrap like tests")]
fn dynamic(accel: &Arc<Accel>) -> Acomp {
    let registry = Registry::from_entries([]);
    let driver = DeflateIaa::dynamic(accel).unwrap();
    let _added = registry.add(Arc::new(driver)).unwrap();
    Acomp::alloc_in(&registry, "deflate-iaa-dynamic", Params::new()).unwrap()
}
