//! GPUs and drivers that fail while they are read, and come back.

use std::collections::HashSet;
use std::time::Duration;

use crate::common::{Rig, lines, of, options};
use tokenpath_core::{Reason, Snapshot};

#[test]
fn a_lost_gpu_leaves_the_others_and_comes_back() {
    let rig = Rig::new("count 3\n");
    rig.settled();
    rig.fake.control("count 3\nxid 1 79 1\ncode * 1 15\n");
    let page = rig.page("one GPU is down", |page| {
        of(page, 1, "gpu_up", &[]) == Some(0.0)
            && of(page, 1, "gpu_xid_events_total", &[]) == Some(1.0)
    });
    let of_lost: Vec<_> = lines(&page)
        .into_iter()
        .filter(|line| line.contains("GPU-00000001"))
        .map(|line| line.split('{').next().unwrap().to_owned())
        .collect::<HashSet<_>>()
        .into_iter()
        .collect();
    for family in &of_lost {
        let kept = ["gpu_up", "gpu_read_errors_total", "gpu_xid"];
        assert!(kept.iter().any(|kept| family.starts_with(kept)), "{family}");
    }
    assert_eq!(
        of(&page, 1, "gpu_xid_errors_total", &[("xid", "79")]),
        Some(1.0),
        "why it was lost"
    );
    assert!(of(&page, 1, "gpu_read_errors_total", &[("error", "gpu_lost")]) >= Some(1.0));
    for gpu in [0, 2] {
        assert_eq!(of(&page, gpu, "gpu_up", &[]), Some(1.0));
        assert_eq!(
            of(&page, gpu, "gpu_power_watts", &[]),
            Some(627.4 + f64::from(gpu))
        );
    }
    rig.fake.control("count 3\nxid 1 79 1\n");
    let page = rig.page("it is back", |page| of(page, 1, "gpu_up", &[]) == Some(1.0));
    assert_eq!(of(&page, 1, "gpu_power_watts", &[]), Some(628.4));
    assert_eq!(of(&page, 1, "gpu_power_limit_watts", &[]), Some(700.0));
}

#[test]
fn a_gpu_that_is_lost_from_the_start_is_down_without_a_name() {
    let rig = Rig::new("count 2\ncode * 1 15\n");
    let page = rig.page("a page is there", |_| true);
    assert_eq!(page.value("gpu_up", &[("gpu", "1")]), Some(0.0));
    assert_eq!(
        page.value(
            "gpu_read_errors_total",
            &[("gpu", "1"), ("error", "gpu_lost")]
        ),
        Some(1.0)
    );
    assert_eq!(of(&page, 0, "gpu_up", &[]), Some(1.0));
    rig.fake.control("count 2\n");
    let page = rig.page("it is there", |page| {
        of(page, 1, "gpu_up", &[]) == Some(1.0)
    });
    assert_eq!(page.value("gpu_up", &[("gpu", "1")]), None);
}

#[test]
fn an_unknown_code_costs_one_number_or_one_gpu() {
    let rig = Rig::new("count 2\ncode nvmlDeviceGetPowerUsage 0 777\ncode * 1 777\n");
    let page = rig.page("a page is there", |page| {
        of(page, 0, "gpu_up", &[]) == Some(1.0)
    });
    assert_eq!(of(&page, 0, "gpu_power_watts", &[]), None);
    assert!(of(&page, 0, "gpu_energy_joules_total", &[]).is_some());
    assert!(
        of(
            &page,
            0,
            "gpu_read_errors_total",
            &[("error", "other_code")]
        ) >= Some(1.0)
    );
    assert_eq!(page.value("gpu_up", &[("gpu", "1")]), Some(0.0));
}

#[test]
fn a_gpu_of_which_no_call_goes_through_is_down() {
    let rig = Rig::new("");
    rig.settled();
    // The handle and the name still work.
    let control =
        "code * 0 999\ncode nvmlDeviceGetUUID 0 0\ncode nvmlDeviceGetHandleByIndex_v2 0 0\n";
    rig.fake.control(control);
    let page = rig.page("it is down", |page| of(page, 0, "gpu_up", &[]) == Some(0.0));
    assert!(of(&page, 0, "gpu_read_errors_total", &[("error", "unknown")]) >= Some(1.0));
    assert_eq!(of(&page, 0, "gpu_power_watts", &[]), None);
}

#[test]
fn a_driver_that_goes_away_is_opened_again() {
    let rig = Rig::new("");
    rig.settled();
    rig.fake.control("init 9\ncode * * 9\n");
    let error = rig.error("the driver is gone");
    assert_eq!(error.reason(), Reason::Driver);
    assert!(
        error.to_string().contains("driver is not loaded"),
        "{error}"
    );
    rig.until("opening fails too", |read| {
        let error = read.as_ref().err()?.to_string();
        error.contains("cannot open").then_some(())
    });
    rig.fake.control("value nvmlDeviceGetPowerUsage 0 100000\n");
    let page = rig.page("it is back", |_| true);
    assert_eq!(of(&page, 0, "gpu_power_watts", &[]), Some(100.0));
}

#[test]
fn values_follow_the_uuid_when_indices_move() {
    let rig = Rig::new("count 3\n");
    let before = rig.settled();
    assert_eq!(of(&before, 2, "gpu_power_watts", &[]), Some(629.4));
    rig.fake.control("count 3\norder 2,0,1\n");
    let moved = [("gpu", "0"), ("uuid", "GPU-00000002")];
    let page = rig.page("the indices moved", |page| {
        page.value("gpu_up", &moved).is_some()
    });
    assert_eq!(page.value("gpu_power_watts", &moved), Some(629.4));
    let other = [("gpu", "1"), ("uuid", "GPU-00000000")];
    assert_eq!(page.value("gpu_power_watts", &other), Some(627.4));
    assert_eq!(
        of(&page, 2, "gpu_power_watts", &[]),
        None,
        "not under its old index"
    );

    // One vanishes altogether: its index is now another's, its name is not.
    rig.fake.control("count 2\norder 2,1\n");
    let page = rig.page("one is gone", |page| {
        page.value("gpu_up", &[("gpu", "1"), ("uuid", "GPU-00000001")]) == Some(1.0)
    });
    assert_eq!(page.value("gpu_up", &other), Some(0.0));
    assert_eq!(page.value("gpu_power_watts", &other), None);
    assert_eq!(page.value("gpu_power_watts", &moved), Some(629.4));
}

#[test]
fn counters_of_the_hardware_say_nothing_of_an_outage() {
    let mut options = options();
    options.period = Duration::from_millis(300);
    let rig = Rig::with(&[], "", options);
    rig.settled();
    rig.fake.control("hang nvmlDeviceGetPowerUsage\n");
    rig.stale_page();
    std::thread::sleep(Duration::from_millis(1000));
    rig.fake.control("");
    let page = rig.page("the driver answers", |_| true);
    assert_eq!(of(&page, 0, "gpu_power_watts", &[]), Some(627.4));
    assert_eq!(
        of(&page, 0, "gpu_sm_active_ratio", &[]),
        None,
        "the mean over the outage"
    );
    rig.settled();
}

#[test]
fn errors_of_hardware_counters_are_counted_and_a_lost_gpu_is_down() {
    for function in [
        "nvmlGpmQueryDeviceSupport",
        "nvmlGpmSampleGet",
        "nvmlGpmMetricsGet",
    ] {
        let rig = Rig::new(&format!("code {function} * 999\n"));
        let unknown = [("error", "unknown")];
        let page = rig.page("the error is counted", |page| {
            of(page, 0, "gpu_read_errors_total", &unknown) > Some(1.0)
        });
        assert_eq!(of(&page, 0, "gpu_sm_active_ratio", &[]), None);
        assert_eq!(of(&page, 0, "gpu_power_watts", &[]), Some(627.4));
        rig.fake.control(&format!("code {function} * 15\n"));
        rig.page("it is down", |page| of(page, 0, "gpu_up", &[]) == Some(0.0));
    }
    let rig = Rig::new("count 2\nmig 1 3\ncode nvmlGpmMigSampleGet 1 999\n");
    rig.page("the error is counted", |page| {
        of(page, 1, "gpu_read_errors_total", &[("error", "unknown")]) > Some(0.0)
    });
}

#[test]
fn what_a_gpu_is_is_asked_again_while_a_part_is_missing() {
    let rig = Rig::new(
        "code nvmlDeviceGetName * 999\ncode nvmlDeviceGetPciInfo_v3 * 999\n\
         code nvmlSystemGetDriverVersion * 999\n",
    );
    let told = |page: &Snapshot, label: &str| {
        let family = page.shape().family("gpu_info").unwrap();
        let series = family.series().find(|it| page.has(*it)).unwrap();
        series.label(label).map(str::to_owned)
    };
    let page = rig.page("a page is there", |_| true);
    assert_eq!(told(&page, "gpu_name"), None);
    assert_eq!(told(&page, "architecture").as_deref(), Some("hopper"));
    rig.fake.control("");
    let page = rig.page("it has its name", |page| told(page, "gpu_name").is_some());
    assert_eq!(told(&page, "gpu_name").as_deref(), Some("NVIDIA H200"));
    assert_eq!(
        told(&page, "pci_bus_id").as_deref(),
        Some("00000000:83:00.0")
    );
    assert_eq!(told(&page, "driver_version").as_deref(), Some("590.48.01"));
}

#[test]
fn a_question_that_was_not_answered_is_asked_again() {
    let rig = Rig::new(
        "code nvmlGpmQueryDeviceSupport * 999\ncode nvmlDeviceGetSupportedEventTypes * 999\n",
    );
    let page = rig.page("a page is there", |_| true);
    assert!(page.shape().family("gpu_sm_active_ratio").is_none());
    assert!(page.shape().family("gpu_xid_events_total").is_none());
    rig.fake.control("");
    rig.page("the answers are there", |page| {
        page.shape().family("gpu_sm_active_ratio").is_some()
            && of(page, 0, "gpu_xid_events_total", &[]) == Some(0.0)
    });
}

#[test]
fn a_gpu_that_falls_off_in_the_middle_of_a_reading_is_down() {
    let rig = Rig::new("count 2\n");
    rig.settled();
    rig.fake
        .control("count 2\ncode nvmlDeviceGetMemoryInfo_v2 0 15\n");
    let page = rig.page("it is down", |page| of(page, 0, "gpu_up", &[]) == Some(0.0));
    assert_eq!(of(&page, 0, "gpu_power_watts", &[]), None);
    assert_eq!(of(&page, 1, "gpu_power_watts", &[]), Some(628.4));
}
