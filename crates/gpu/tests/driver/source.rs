//! The source itself: its options, its end.

use std::time::{Duration, Instant};

use crate::common::{Rig, of, options};
use tokenpath_gpu::{GpuSource, Options};

#[test]
fn parts_that_are_switched_off_are_not_asked_for() {
    let mut options = options();
    options.processes = false;
    options.mig = false;
    // Either call would hang for ever.
    let control = "mig 0 1\nhang nvmlDeviceGetComputeRunningProcesses_v3\n\
        hang nvmlDeviceGetMigDeviceHandleByIndex\n";
    let rig = Rig::with(&[], control, options);
    let page = rig.page("a page is there", |_| true);
    assert!(page.shape().family("gpu_processes").is_none());
    assert!(page.shape().family("gpu_mig_info").is_none());
    assert_eq!(of(&page, 0, "gpu_mig_enabled", &[]), Some(1.0));
}

#[test]
fn a_source_is_made_of_sane_options_only() {
    let mut options = Options::default();
    options.period = Duration::ZERO;
    let error = GpuSource::spawn("host", options).unwrap_err();
    assert!(error.to_string().contains("100 ms"), "{error}");
}

#[test]
fn a_source_is_dropped_promptly() {
    let rig = Rig::new("count 8\n");
    rig.settled();
    let start = Instant::now();
    drop(rig);
    assert!(start.elapsed() < Duration::from_secs(10));
}
