//! The drivers pass the suite that every driver passes, in every mode.

#![expect(clippy::unwrap_used, reason = "test helpers unwrap like tests")]

use std::sync::Arc;

use acomp_iaa::{
    Accel, DeflateIaa, Device, DeviceConfig, EngineThreads, FaultPlan, RealClock, Settings,
    SyncMode, model,
};
use acomp_testmgr::{Suite, Theme, alg_test, theme_test};

#[test]
fn both_drivers_pass_with_one_job_after_the_other() {
    assert_both_drivers_pass(SyncMode::Sync);
}

#[test]
fn both_drivers_pass_by_polling() {
    assert_both_drivers_pass(SyncMode::Async);
}

#[test]
fn both_drivers_pass_by_interrupts() {
    assert_both_drivers_pass(SyncMode::AsyncIrq);
}

#[track_caller]
fn assert_both_drivers_pass(sync_mode: SyncMode) {
    for verify_compress in [false, true] {
        let mut settings = Settings::default();
        (settings.sync_mode, settings.verify_compress) = (sync_mode, verify_compress);
        let accel = Accel::new(settings);
        let dma = Arc::clone(accel.dma());
        let clock = Arc::new(RealClock::new());
        let device = Device::new(DeviceConfig::new(1), dma, clock, FaultPlan::new(0));
        accel.bind(&device).unwrap();
        // With interrupts, a page would wait for another thread to wake up.
        let threads = if sync_mode == SyncMode::AsyncIrq { 0 } else { 1 };
        let _threads = EngineThreads::start(&[device], threads).unwrap();
        for alg in [DeflateIaa::fixed(&accel).unwrap(), DeflateIaa::dynamic(&accel).unwrap()] {
            // Compressions are verified: nothing is different for damaged streams, which take long.
            let is_new = |theme: &Theme| !verify_compress || *theme != Theme::DamagedStream;
            for &theme in Theme::ALL.iter().filter(|theme| is_new(theme)) {
                let report = theme_test(&alg, theme);
                assert!(report.is_passed(), "verify {verify_compress}: {report}");
            }
        }
        assert!(accel.stats().total_comp_calls > 50, "{:?}", accel.stats());
    }
}

#[test]
fn without_a_device_everything_is_software() {
    let accel = Accel::new(Settings::default());
    let report = alg_test(&DeflateIaa::fixed(&accel).unwrap(), Suite::Full);
    assert!(report.is_passed(), "{report}");
    assert_eq!(accel.stats().total_comp_calls, 0);
    assert!(accel.stats().total_sw_comp_calls > 1000);
}

#[test]
fn the_default_model_works_out_of_the_box() {
    let report = alg_test(&DeflateIaa::fixed(&model().unwrap()).unwrap(), Suite::Gate);
    assert!(report.is_passed(), "{report}");
}
