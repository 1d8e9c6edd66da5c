//! Libraries that are old, broken, or none.

use std::time::Duration;

use crate::common::{Rig, of, options};
use tokenpath_core::Reason;
use tokenpath_gpu::GpuSource;

#[test]
fn an_old_library_loses_what_it_lacks_and_nothing_else() {
    let rig = Rig::without(
        &[
            "nvmlDeviceGetMemoryInfo_v2",
            "nvmlDeviceGetFieldValues",
            "nvmlDeviceGetCurrentClocksEventReasons",
            "nvmlDeviceGetMarginTemperature",
            "nvmlDeviceGetComputeRunningProcesses_v3",
            "nvmlGpmQueryDeviceSupport",
        ],
        "value nvmlDeviceGetCurrentClocksThrottleReasons * 32\nprocess 0 5 1024 compute\n\
         value nvmlDeviceGetViolationStatus:0 * 7000000000\n\
         value nvmlDeviceGetPcieThroughput:0 * 5\nvalue nvmlDeviceGetPcieThroughput:1 * 6\n",
    );
    let page = rig.page("a page with PCIe rates is there", |page| {
        of(page, 0, "gpu_pcie_transmit_bytes_per_second", &[]).is_some()
    });
    let mib = 1_048_576.0;
    // The first version of the call counts what is reserved as used.
    assert_eq!(
        of(&page, 0, "gpu_vram_used_bytes", &[]),
        Some(130_614.0 * mib)
    );
    assert_eq!(of(&page, 0, "gpu_vram_reserved_bytes", &[]), None);
    assert_eq!(
        of(&page, 0, "gpu_throttle_active", &[("reason", "sw_thermal")]),
        Some(1.0)
    );
    assert_eq!(
        of(
            &page,
            0,
            "gpu_throttle_seconds_total",
            &[("reason", "sw_power_cap")]
        ),
        Some(7.0)
    );
    assert_eq!(of(&page, 0, "gpu_processes", &[]), Some(1.0));
    assert_eq!(
        of(&page, 0, "gpu_pcie_transmit_bytes_per_second", &[]),
        Some(5000.0)
    );
    assert_eq!(
        of(&page, 0, "gpu_pcie_receive_bytes_per_second", &[]),
        Some(6000.0)
    );
    assert_eq!(of(&page, 0, "gpu_temperature_margin_celsius", &[]), None);
    assert_eq!(
        of(&page, 0, "gpu_bound_state", &[("state", "unknown")]),
        Some(1.0)
    );
    assert!(page.shape().family("gpu_read_errors_total").is_none());
    // The time that the sampler saw the reason hold.
    rig.page("time adds up", |page| {
        of(
            page,
            0,
            "gpu_throttle_sampled_seconds_total",
            &[("reason", "sw_thermal")],
        ) > Some(0.15)
    });
}

#[test]
fn a_library_that_cannot_free_what_it_gives_does_no_harm() {
    let rig = Rig::without(
        &["nvmlShutdown", "nvmlEventSetFree", "nvmlGpmSampleFree"],
        "count 2\n",
    );
    let page = rig.page("a page is there", |page| {
        of(page, 1, "gpu_up", &[]) == Some(1.0)
    });
    assert!(page.shape().family("gpu_xid_events_total").is_none());
    assert!(page.shape().family("gpu_sm_active_ratio").is_none());
    rig.fake.control("init 9\ncode * * 9\n");
    rig.error("the driver is gone");
    rig.fake.control("count 2\n");
    rig.page("it is back", |_| true);
}

#[test]
fn drivers_that_cannot_be_opened_say_why() {
    for (code, words) in [
        (9, "load the kernel module"),
        (12, "not fully installed"),
        (18, "reload the module or reboot"),
        (4, "/dev/nvidiactl"),
        (777, "code 777"),
    ] {
        let rig = Rig::new(&format!("init {code}\n"));
        let error = rig.until("opening failed", |read| {
            let error = read.as_ref().err()?;
            (error.reason() == Reason::Driver).then(|| error.to_string())
        });
        assert!(error.contains(words), "{code}: {error}");
        rig.fake.control("");
        rig.page("it opens now", |_| true);
    }
}

#[test]
fn files_that_are_no_driver_say_why() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("text.so");
    std::fs::write(
        &text,
        "not a library, but long enough to have a header of some kind",
    )
    .unwrap();
    let rig = Rig::without(&["nvmlInit_v2"], "");
    let error = rig.until("opening failed", |read| {
        let error = read.as_ref().err()?;
        (error.reason() == Reason::Driver).then(|| error.to_string())
    });
    assert!(error.contains("nvmlInit_v2 is missing"), "{error}");
    for (path, words) in [
        (text, "not a library"),
        (folder.path().join("none.so"), "install the NVIDIA driver"),
    ] {
        let mut options = options();
        options.library = Some(path);
        let source = GpuSource::spawn("host", options).unwrap();
        assert!(source.wait_first(Duration::from_secs(30)));
        let error = source.copy_newest(&mut Default::default()).unwrap_err();
        assert_eq!(error.reason(), Reason::Driver);
        assert!(error.to_string().contains(words), "{error}");
    }
}
