//! The whole crate on a fake driver library: numbers, and every way a driver fails.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    reason = "tests compare exact numbers"
)]

mod common;

use std::collections::HashSet;
use std::time::{Duration, Instant};

use common::{Rig, lines, of, options};
use tokenpath_core::{DropReason, Reason, Snapshot, Source};
use tokenpath_gpu::{GpuSource, Options};

#[test]
fn every_number_of_an_h200_arrives_in_base_units() {
    let rig = Rig::new("count 2\n");
    let page = rig.settled();
    let mib = 1_048_576.0;
    for gpu in [0, 1] {
        let g = f64::from(gpu);
        for (family, labels, value) in [
            ("gpu_up", &[][..], 1.0),
            ("gpu_vram_total_bytes", &[], 143_771.0 * mib),
            ("gpu_vram_used_bytes", &[], (130_000.0 + g) * mib),
            ("gpu_vram_free_bytes", &[], (13_157.0 - g) * mib),
            ("gpu_vram_reserved_bytes", &[], 614.0 * mib),
            ("gpu_bar1_used_bytes", &[], 2.0 * mib),
            ("gpu_bar1_total_bytes", &[], 262_144.0 * mib),
            ("gpu_compute_utilization_ratio", &[], (90.0 + g) / 100.0),
            ("gpu_memory_busy_ratio", &[], (40.0 + g) / 100.0),
            (
                "gpu_memory_bandwidth_utilization_ratio",
                &[],
                (78.0 + g) / 100.0,
            ),
            ("gpu_encoder_utilization_ratio", &[], 0.01),
            ("gpu_decoder_utilization_ratio", &[], 0.02),
            ("gpu_jpeg_utilization_ratio", &[], 0.03),
            ("gpu_optical_flow_utilization_ratio", &[], 0.04),
            ("gpu_graphics_engine_active_ratio", &[], 0.99),
            ("gpu_sm_active_ratio", &[], 0.92),
            ("gpu_sm_occupancy_ratio", &[], 0.31),
            ("gpu_tensor_active_ratio", &[], 0.14),
            ("gpu_pipe_active_ratio", &[("pipe", "integer")], 0.12),
            ("gpu_pipe_active_ratio", &[("pipe", "fp32")], 0.2),
            ("gpu_pipe_active_ratio", &[("pipe", "fp16")], 0.05),
            ("gpu_pipe_active_ratio", &[("pipe", "fp64")], 0.0),
            ("gpu_pipe_active_ratio", &[("pipe", "tensor_hmma")], 0.13),
            ("gpu_bound_state", &[("state", "memory")], 1.0),
            ("gpu_bound_state", &[("state", "compute")], 0.0),
            ("gpu_bound_state", &[("state", "unknown")], 0.0),
            ("gpu_vram_full_compute_low", &[], 0.0),
            ("gpu_temperature_celsius", &[("sensor", "gpu")], 50.0 + g),
            ("gpu_temperature_celsius", &[("sensor", "memory")], 40.0 + g),
            ("gpu_temperature_margin_celsius", &[], 35.0 - g),
            (
                "gpu_temperature_margin_threshold_celsius",
                &[("threshold", "shutdown")],
                -8.0,
            ),
            (
                "gpu_temperature_margin_threshold_celsius",
                &[("threshold", "slowdown")],
                -2.0,
            ),
            ("gpu_power_watts", &[], 627.4 + g),
            ("gpu_power_instant_watts", &[("scope", "gpu")], 626.26),
            ("gpu_power_average_watts", &[("scope", "gpu")], 627.4),
            ("gpu_power_average_watts", &[("scope", "memory")], 46.56),
            ("gpu_power_limit_watts", &[], 700.0),
            ("gpu_power_limit_min_watts", &[], 200.0),
            (
                "gpu_energy_joules_total",
                &[],
                (5_000_000_500.0 + g) / 1000.0,
            ),
            ("gpu_clock_hertz", &[("clock", "sm")], 1.98e9),
            ("gpu_clock_hertz", &[("clock", "memory")], 3.201e9),
            ("gpu_clock_hertz", &[("clock", "video")], 1.545e9),
            ("gpu_clock_max_hertz", &[("clock", "graphics")], 1.98e9),
            ("gpu_performance_state", &[], 0.0),
            ("gpu_pcie_transmit_bytes_total", &[], 1e12 + g),
            ("gpu_pcie_receive_bytes_total", &[], 2e12 + g),
            ("gpu_pcie_transmit_bytes_per_second", &[], 100.0 * mib),
            ("gpu_pcie_receive_bytes_per_second", &[], 200.0 * mib),
            ("gpu_pcie_link_generation", &[], 5.0),
            ("gpu_pcie_link_lanes", &[], 16.0),
            ("gpu_nvlink_transmit_bytes_total", &[], 3e9 * 1024.0),
            ("gpu_nvlink_receive_bytes_total", &[], 4e9 * 1024.0),
            ("gpu_nvlink_transmit_bytes_per_second", &[], 300.0 * mib),
            ("gpu_nvlink_receive_bytes_per_second", &[], 400.0 * mib),
            ("gpu_nvlink_errors_total", &[("kind", "replay")], 18.0),
            ("gpu_nvlink_errors_total", &[("kind", "crc")], 0.0),
            ("gpu_nvlink_up", &[("link", "17")], 1.0),
            ("gpu_ecc_enabled", &[], 1.0),
            ("gpu_ecc_errors_total", &[("kind", "corrected")], 1.0),
            (
                "gpu_ecc_errors_lifetime_total",
                &[("kind", "uncorrected")],
                2.0,
            ),
            (
                "gpu_ecc_memory_errors_total",
                &[("kind", "corrected"), ("memory", "dram")],
                1.0,
            ),
            ("gpu_remapped_rows_total", &[("kind", "corrected")], 2.0),
            ("gpu_remapped_rows_total", &[("kind", "uncorrected")], 1.0),
            ("gpu_row_remap_pending", &[], 0.0),
            ("gpu_row_remap_banks", &[("availability", "max")], 3072.0),
            ("gpu_throttle_active", &[("reason", "sw_power_cap")], 1.0),
            ("gpu_throttle_active", &[("reason", "hw_slowdown")], 0.0),
            (
                "gpu_throttle_seconds_total",
                &[("reason", "sw_power_cap")],
                1.5,
            ),
            ("gpu_throttle_seconds_total", &[("reason", "thermal")], 2.5),
            (
                "gpu_throttle_seconds_total",
                &[("reason", "sw_thermal")],
                3.5,
            ),
            (
                "gpu_throttle_seconds_total",
                &[("reason", "hw_thermal")],
                4.5,
            ),
            ("gpu_xid_events_total", &[], 0.0),
            ("gpu_processes", &[], 0.0),
            ("gpu_mig_enabled", &[], 0.0),
        ] {
            assert_eq!(
                of(&page, gpu, family, labels),
                Some(value),
                "{family} {labels:?} {gpu}"
            );
        }
        // What this card does not have is absent.
        for family in [
            "gpu_fan_speed_ratio",
            "gpu_retired_pages_total",
            "gpu_mig_info",
        ] {
            assert!(page.shape().family(family).is_none(), "{family}");
        }
        let info = [
            ("gpu_name", "NVIDIA H200"),
            (
                "pci_bus_id",
                ["00000000:83:00.0", "00000000:84:00.0"][gpu as usize],
            ),
            ("architecture", "hopper"),
            ("vbios_version", "96.00.A5.00.03"),
            ("driver_version", "590.48.01"),
            ("nvml_version", "13.590.48.01"),
            ("cuda_version", "13.1"),
        ];
        assert_eq!(of(&page, gpu, "gpu_info", &info), Some(1.0));
    }
    assert_eq!(page.value("gpu_driver_up", &[]), Some(1.0));
    assert!(page.value("gpu_sample_age_seconds", &[]).unwrap() < 0.2);
    assert!(page.value("gpu_sample_duration_seconds", &[]).is_some());
    assert_eq!(page.tally().dropped(DropReason::Duplicate), 0);
    assert_eq!(page.tally().dropped(DropReason::TypeClash), 0);
}

/// With all that any card has, every family is on the page and no series is there twice.
#[test]
fn every_family_can_be_on_the_page() {
    let control = "count 2\nmig 1 3\nxid 0 79 0\nprocess 0 7 4096 compute\n\
        value nvmlDeviceGetNumFans * 2\nvalue nvmlDeviceGetFanSpeed_v2:0 * 35\n\
        value nvmlDeviceGetFanSpeed_v2:1 * 110\n\
        value nvmlDeviceGetTemperatureThreshold:0 * 95\nvalue field:29:0 * 3\nvalue field:30:0 * 4\n\
        value field:31:0 * 1\ncode nvmlDeviceGetJpgUtilization 0 4\n";
    let rig = Rig::new(control);
    rig.partly_settled();
    rig.fake
        .control(&control.replace("xid 0 79 0", "xid 0 79 1"));
    let page = rig.page("the XID error is there", |page| {
        of(page, 0, "gpu_xid_events_total", &[]) == Some(1.0)
            && page.shape().family("gpu_mig_sm_active_ratio").is_some()
    });
    let there: HashSet<_> = page
        .shape()
        .families()
        .map(|family| family.desc().name().to_owned())
        .collect();
    for desc in rig.source.describe() {
        assert!(there.contains(desc.name()), "{} is missing", desc.name());
    }
    assert_eq!(
        of(&page, 0, "gpu_fan_speed_ratio", &[("fan", "1")]),
        Some(1.1)
    );
    assert_eq!(
        of(
            &page,
            0,
            "gpu_retired_pages_total",
            &[("cause", "double_bit")]
        ),
        Some(4.0)
    );
    assert_eq!(
        of(
            &page,
            0,
            "gpu_temperature_threshold_celsius",
            &[("threshold", "shutdown")]
        ),
        Some(95.0)
    );
    assert_eq!(page.tally().dropped(DropReason::Duplicate), 0);
}

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
fn unsupported_is_absent_and_no_error() {
    let rig = Rig::new("code nvmlDeviceGetPowerUsage * 3\ncode nvmlDeviceGetEccMode * 26\n");
    let page = rig.settled();
    assert_eq!(of(&page, 0, "gpu_up", &[]), Some(1.0));
    assert_eq!(of(&page, 0, "gpu_power_watts", &[]), None);
    assert_eq!(of(&page, 0, "gpu_ecc_enabled", &[]), None);
    assert!(page.shape().family("gpu_read_errors_total").is_none());
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
fn mig_instances_have_their_own_memory() {
    let rig = Rig::new("count 2\nmig 1 9 4 9\n");
    let page = rig.page("counters of instances are there", |page| {
        page.shape().family("gpu_mig_sm_active_ratio").is_some()
    });
    let mib = 1_048_576.0_f64;
    let total = (143_771.0 * mib / 7.0).floor();
    assert_eq!(of(&page, 1, "gpu_mig_enabled", &[]), Some(1.0));
    assert_eq!(
        of(&page, 1, "gpu_mig_vram_total_bytes", &[("mig", "9")]),
        Some(total + 9.0)
    );
    assert_eq!(
        of(&page, 1, "gpu_mig_vram_total_bytes", &[("mig", "4")]),
        Some(total + 4.0)
    );
    for (mig, multiprocessors) in [("4", 16.0), ("9", 16.0 + 32.0)] {
        assert_eq!(
            of(&page, 1, "gpu_mig_multiprocessors", &[("mig", mig)]),
            Some(multiprocessors),
            "those of all compute instances of {mig}"
        );
    }
    assert_eq!(
        of(&page, 1, "gpu_mig_sm_active_ratio", &[("mig", "9")]),
        Some(0.92)
    );
    assert_eq!(
        of(
            &page,
            1,
            "gpu_mig_bound_state",
            &[("mig", "9"), ("state", "memory")]
        ),
        Some(1.0)
    );
    for (mig, compute_instance, uuid) in [
        ("4", "0", "MIG-00000001-1"),
        ("9", "0", "MIG-00000001-0"),
        ("9", "1", "MIG-00000001-2"),
    ] {
        let labels = [
            ("mig", mig),
            ("compute_instance", compute_instance),
            ("mig_uuid", uuid),
            ("profile", "1g.18gb"),
        ];
        assert_eq!(
            of(&page, 1, "gpu_mig_info", &labels),
            Some(1.0),
            "{labels:?}"
        );
    }
    // The parent: its memory is there, its utilisation is not, and nobody makes one up.
    assert!(of(&page, 1, "gpu_vram_used_bytes", &[]).is_some());
    assert_eq!(of(&page, 1, "gpu_compute_utilization_ratio", &[]), None);
    assert_eq!(of(&page, 1, "gpu_sm_active_ratio", &[]), None);
    assert_eq!(
        of(&page, 1, "gpu_bound_state", &[("state", "unknown")]),
        Some(1.0)
    );
    assert_eq!(of(&page, 0, "gpu_mig_enabled", &[]), Some(0.0));
    assert_eq!(page.tally().dropped(DropReason::Duplicate), 0);

    // Partitioned anew.
    rig.fake.control("count 2\nmig 1 5\n");
    let page = rig.page("the instances changed", |page| {
        of(page, 1, "gpu_mig_sm_active_ratio", &[("mig", "5")]).is_some()
    });
    assert_eq!(
        of(&page, 1, "gpu_mig_vram_total_bytes", &[("mig", "9")]),
        None
    );
}

#[test]
fn xid_errors_are_counted_by_code_with_their_time() {
    let rig = Rig::new("count 2\nxid 0 31 5\n");
    let page = rig.settled();
    assert_eq!(
        of(&page, 0, "gpu_xid_events_total", &[]),
        Some(0.0),
        "the past is not ours"
    );
    let before = unix_now();
    rig.fake
        .control("count 2\nxid 0 31 7\nxid 0 94 1\nxid 1 79 1\n");
    let page = rig.page("all are counted", |page| {
        of(page, 0, "gpu_xid_events_total", &[]) == Some(3.0)
            && of(page, 1, "gpu_xid_events_total", &[]) == Some(1.0)
    });
    assert_eq!(
        of(&page, 0, "gpu_xid_errors_total", &[("xid", "31")]),
        Some(2.0)
    );
    assert_eq!(
        of(&page, 0, "gpu_xid_errors_total", &[("xid", "94")]),
        Some(1.0)
    );
    assert_eq!(
        of(&page, 1, "gpu_xid_errors_total", &[("xid", "79")]),
        Some(1.0)
    );
    let last = of(&page, 0, "gpu_xid_last_timestamp_seconds", &[("xid", "31")]).unwrap();
    assert!((before - 1.0..=unix_now() + 1.0).contains(&last), "{last}");
    // The counts outlive a driver that is opened anew.
    rig.fake.control("init 9\ncode * * 9\n");
    rig.error("the driver is gone");
    rig.fake
        .control("count 2\nxid 0 31 7\nxid 0 94 1\nxid 1 79 1\n");
    let page = rig.page("it is back", |_| true);
    assert_eq!(
        of(&page, 0, "gpu_xid_errors_total", &[("xid", "31")]),
        Some(2.0)
    );
}

fn unix_now() -> f64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs_f64()
}

#[test]
fn processes_have_a_name_a_container_and_a_bound() {
    let id = "ab".repeat(32);
    let mut options = options();
    options.processes_max = 2;
    let rig = Rig::with(&[], "", options);
    let proc = rig.folder.path().join("proc");
    std::fs::create_dir_all(proc.join("41")).unwrap();
    std::fs::write(proc.join("41/comm"), "VLLM::Worker_TP\n").unwrap();
    let cgroup = format!("0::/kubepods.slice/cri-containerd-{id}.scope\n");
    std::fs::write(proc.join("41/cgroup"), cgroup).unwrap();
    rig.fake.control(
        "process 0 41 9000 compute\nprocess 0 42 8000 compute\nprocess 0 43 10 compute\n\
         process 0 42 70 graphics\nprocess 0 44 18446744073709551615 compute\n",
    );
    let page = rig.page("processes are listed", |page| {
        of(page, 0, "gpu_processes", &[]) == Some(4.0)
    });
    let vllm = [
        ("pid", "41"),
        ("process_name", "VLLM::Worker_TP"),
        ("container_id", id.as_str()),
        ("kind", "compute"),
    ];
    assert_eq!(of(&page, 0, "gpu_process_vram_bytes", &vllm), Some(9000.0));
    // No entry in /proc: the driver knows its name.
    let other = [
        ("pid", "42"),
        ("process_name", "engine-42"),
        ("kind", "compute"),
    ];
    assert_eq!(of(&page, 0, "gpu_process_vram_bytes", &other), Some(8000.0));
    assert_eq!(of(&page, 0, "gpu_processes_omitted", &[]), Some(2.0));
    let series = page.shape().family("gpu_process_vram_bytes").unwrap();
    assert_eq!(series.series().len(), 2);
}

#[test]
fn the_odd_list_of_processes_of_driver_535_is_not_asked_for() {
    // 535.54.03, and more processes than a list of narrower structures has room for.
    let mut control = String::from("text nvmlSystemGetDriverVersion 0 3533352e35342e3033\n");
    for pid in 1..=40_u64 {
        control += &format!("process 0 {pid} {} compute\n", pid * 1024);
    }
    let rig = Rig::new(&control);
    let page = rig.page("processes are listed", |page| {
        of(page, 0, "gpu_processes", &[]) == Some(40.0)
    });
    for pid in [9_u32, 40] {
        let (pid, bytes) = (pid.to_string(), f64::from(pid) * 1024.0);
        let name = format!("engine-{pid}");
        let labels = [
            ("pid", pid.as_str()),
            ("process_name", name.as_str()),
            ("kind", "compute"),
        ];
        assert_eq!(of(&page, 0, "gpu_process_vram_bytes", &labels), Some(bytes));
    }
}

#[test]
fn without_privileges_processes_are_listed_by_the_mig_devices() {
    let control = "mig 0 9 4 9\nprocess 0 7 4096 compute 9\nprocess 0 8 1024 compute 4\n";
    let expected = |page: &Snapshot| {
        for (pid, name, mig, bytes) in [
            ("7", "engine-7", "9", 4096.0),
            ("8", "engine-8", "4", 1024.0),
        ] {
            let labels = [
                ("mig", mig),
                ("pid", pid),
                ("process_name", name),
                ("kind", "compute"),
            ];
            assert_eq!(of(page, 0, "gpu_process_vram_bytes", &labels), Some(bytes));
        }
        assert!(page.shape().family("gpu_read_errors_total").is_none());
    };
    let rig = Rig::new(control);
    expected(&rig.page("processes", |page| {
        of(page, 0, "gpu_processes", &[]) == Some(2.0)
    }));
    let rig = Rig::new(&format!("{control}unprivileged\n"));
    expected(&rig.page("processes", |page| {
        of(page, 0, "gpu_processes", &[]) == Some(2.0)
    }));
    // None of its MIG devices is ours: how many processes there are is not known.
    let rig = Rig::new("mig 0\nunprivileged\n");
    let page = rig.page("a page is there", |_| true);
    assert_eq!(of(&page, 0, "gpu_processes", &[]), None);
    let refused = [("error", "no_permission")];
    assert!(of(&page, 0, "gpu_read_errors_total", &refused) >= Some(1.0));
}

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
fn sentinels_are_dropped_and_counted() {
    let rig = Rig::new(
        "value nvmlDeviceGetTotalEnergyConsumption * 9223372036854775794\n\
         value nvmlDeviceGetPowerUsage * 4294967295\nvalue field:197:0 * 18446744073709551615\n",
    );
    let page = rig.page("a page is there", |_| true);
    assert_eq!(of(&page, 0, "gpu_energy_joules_total", &[]), None);
    assert_eq!(of(&page, 0, "gpu_power_watts", &[]), None);
    assert_eq!(of(&page, 0, "gpu_pcie_transmit_bytes_total", &[]), None);
    assert_eq!(of(&page, 0, "gpu_up", &[]), Some(1.0));
    assert_eq!(page.tally().dropped(DropReason::Sentinel), 3);
}

#[test]
fn sentinels_of_all_parts_are_dropped_and_counted() {
    // Of what hardly changes, of fans, of MIG devices, of processes.
    let mut options = options();
    options.standing_period = Duration::from_secs(3600);
    let rig = Rig::with(
        &[],
        "mig 0 3\nvalue nvmlDeviceGetEnforcedPowerLimit * 4294967295\n\
         value nvmlDeviceGetNumFans * 1\nvalue nvmlDeviceGetFanSpeed_v2:0 * 4294967295\n\
         process 0 44 18446744073709551615 compute 3\nvalue gpm:2 * 9223372036854775794\n",
        options,
    );
    let page = rig.page("counters of instances are there", |page| {
        page.shape()
            .family("gpu_mig_memory_bandwidth_utilization_ratio")
            .is_some()
    });
    for family in [
        "gpu_power_limit_watts",
        "gpu_fan_speed_ratio",
        "gpu_mig_sm_active_ratio",
        "gpu_process_vram_bytes",
    ] {
        assert!(page.shape().family(family).is_none(), "{family}");
    }
    assert_eq!(of(&page, 0, "gpu_processes", &[]), Some(1.0));
    assert_eq!(page.tally().dropped(DropReason::Sentinel), 4);
}

#[test]
fn pcie_counters_that_wrap_are_no_counters_and_the_rates_stay() {
    let narrow = "count 2\nnarrow 197\nnarrow 198\n\
        value nvmlDeviceGetPcieThroughput:0 * 5\nvalue nvmlDeviceGetPcieThroughput:1 * 6\n";
    // With GPM: its rates. Without: those of the blocking call.
    for (functions, sent) in [
        (&[][..], 100.0 * 1_048_576.0),
        (&["nvmlGpmQueryDeviceSupport"][..], 5000.0),
    ] {
        let rig = Rig::without(functions, narrow);
        let page = rig.page("PCIe rates are there", |page| {
            [0, 1]
                .iter()
                .all(|gpu| of(page, *gpu, "gpu_pcie_transmit_bytes_per_second", &[]) == Some(sent))
        });
        for family in [
            "gpu_pcie_transmit_bytes_total",
            "gpu_pcie_receive_bytes_total",
        ] {
            assert!(page.shape().family(family).is_none(), "{family}");
        }
        assert_eq!(page.tally().dropped(DropReason::LeftOut), 4);
        assert_eq!(page.tally().dropped(DropReason::Duplicate), 0);
    }
}

#[test]
fn a_card_that_counts_pcie_bytes_is_not_asked_for_its_throughput() {
    let rig = Rig::without(
        &["nvmlGpmQueryDeviceSupport"],
        "value nvmlDeviceGetPcieThroughput:0 * 5\nhang nvmlDeviceGetPcieThroughput\n",
    );
    let page = rig.page("several samples were taken", |page| {
        let held = [("reason", "sw_power_cap")];
        of(page, 0, "gpu_throttle_sampled_seconds_total", &held) > Some(0.4)
    });
    assert_eq!(
        of(&page, 0, "gpu_pcie_transmit_bytes_total", &[]),
        Some(1e12)
    );
    assert_eq!(
        of(&page, 0, "gpu_pcie_transmit_bytes_per_second", &[]),
        None
    );
}

#[test]
fn pcie_rates_come_from_the_blocking_call_where_gpm_has_none() {
    let control = "narrow 197\nnarrow 198\nvalue nvmlDeviceGetPcieThroughput:0 * 5\n";
    let rate = |page: &Snapshot| of(page, 0, "gpu_pcie_transmit_bytes_per_second", &[]);
    let rig = Rig::new(&format!(
        "{control}value gpm:20 * none\nvalue gpm:21 * none\n"
    ));
    rig.page("the call tells it", |page| rate(page) == Some(5000.0));
    // GPM tells it now: the last answer of the call is gone at once.
    rig.fake.control(control);
    rig.page("GPM tells it", |page| rate(page) == Some(104_857_600.0));
    // The call fails: nothing old is shown.
    rig.fake.control(&format!(
        "{control}code nvmlGpmSampleGet * 999\ncode nvmlDeviceGetPcieThroughput * 999\n"
    ));
    let page = rig.page("nothing tells it", |page| rate(page).is_none());
    assert_eq!(of(&page, 0, "gpu_up", &[]), Some(1.0));
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
fn no_xid_errors_are_promised_where_none_can_be_received() {
    // Whatever is missing or forbidden for good: the families are absent, and stay so.
    for (functions, control) in [
        (&["nvmlEventSetWait_v2"][..], ""),
        (&["nvmlEventSetCreate"][..], ""),
        (&[][..], "code nvmlEventSetWait_v2 * 4\n"),
        (&[][..], "code nvmlEventSetWait_v2 * 2\n"),
        (&[][..], "code nvmlDeviceRegisterEvents * 4\n"),
        (&[][..], "value nvmlDeviceGetSupportedEventTypes * 1\n"),
    ] {
        let rig = Rig::without(functions, control);
        let page = rig.settled();
        assert!(
            page.shape().family("gpu_xid_events_total").is_none(),
            "{functions:?} {control}"
        );
        let refused = of(
            &page,
            0,
            "gpu_read_errors_total",
            &[("error", "no_permission")],
        );
        assert_eq!(refused, control.contains(" 4").then_some(1.0), "{control}");
    }
    // An error that may pass: counted, and nothing is promised until it has passed.
    let rig = Rig::new("code nvmlEventSetWait_v2 * 999\n");
    let page = rig.settled();
    assert!(page.shape().family("gpu_xid_events_total").is_none());
    assert!(of(&page, 0, "gpu_read_errors_total", &[("error", "unknown")]) >= Some(1.0));
    rig.fake.control("xid 0 31 2\n");
    rig.page("what waited is counted", |page| {
        of(page, 0, "gpu_xid_events_total", &[]) == Some(2.0)
    });
}

#[test]
fn one_nvlink_that_cannot_be_read_is_unknown_and_makes_no_sum_fall() {
    let rig = Rig::new("");
    let errors = |page: &Snapshot| of(page, 0, "gpu_nvlink_errors_total", &[("kind", "replay")]);
    let up = |page: &Snapshot, link| of(page, 0, "gpu_nvlink_up", &[("link", link)]);
    let page = rig.settled();
    assert_eq!((errors(&page), up(&page, "5")), (Some(18.0), Some(1.0)));
    for code in [999, 10, 4, 21, 27] {
        rig.fake
            .control(&format!("code nvmlDeviceGetNvLinkState:5 * {code}\n"));
        let page = rig.page("one link is unknown", |page| up(page, "5").is_none());
        assert_eq!(errors(&page), None, "{code}");
        assert_eq!((up(&page, "4"), up(&page, "17")), (Some(1.0), Some(1.0)));
        rig.fake.control("");
        let page = rig.page("it is known again", |page| up(page, "5").is_some());
        assert_eq!(errors(&page), Some(18.0));
    }
    // A link that is not there ends them.
    rig.fake.control("code nvmlDeviceGetNvLinkState:4 * 2\n");
    let page = rig.page("there are four", |page| up(page, "4").is_none());
    assert_eq!((errors(&page), up(&page, "3")), (Some(4.0), Some(1.0)));
}

#[test]
fn a_value_that_nobody_knows_is_no_return_code() {
    // As return codes these mean a lost GPU, and a driver that is gone.
    let rig = Rig::new(
        "value nvmlDeviceGetNvLinkState:5 * 15\nvalue nvmlDeviceGetEccMode * 9\n\
         value nvmlDeviceGetArchitecture * 1\n",
    );
    let page = rig.settled();
    assert_eq!(of(&page, 0, "gpu_up", &[]), Some(1.0));
    assert_eq!(of(&page, 0, "gpu_ecc_enabled", &[]), None);
    assert_eq!(of(&page, 0, "gpu_nvlink_up", &[("link", "5")]), None);
    assert_eq!(of(&page, 0, "gpu_nvlink_up", &[("link", "6")]), Some(1.0));
    // The link is there, so its errors are in the sum.
    assert_eq!(
        of(&page, 0, "gpu_nvlink_errors_total", &[("kind", "replay")]),
        Some(18.0)
    );
    assert!(page.shape().family("gpu_read_errors_total").is_none());
}

#[test]
fn the_temperature_is_asked_for_by_both_of_its_names() {
    let sensor = [("sensor", "gpu")];
    let both = ["nvmlDeviceGetTemperatureV", "nvmlDeviceGetTemperature"];
    for (functions, control, degrees) in [
        (
            &both[..0],
            "code nvmlDeviceGetTemperature * 26\n",
            Some(50.0),
        ),
        (&both[1..], "", Some(50.0)),
        (&both[..1], "", Some(50.0)),
        (
            &both[..0],
            "code nvmlDeviceGetTemperatureV * 25\n",
            Some(50.0),
        ),
        (&both[..], "", None),
        (&both[..0], "value nvmlDeviceGetTemperature * none\n", None),
    ] {
        let rig = Rig::without(functions, control);
        let page = rig.settled();
        let found = of(&page, 0, "gpu_temperature_celsius", &sensor);
        assert_eq!(found, degrees, "without {functions:?}, {control}");
        assert!(page.shape().family("gpu_read_errors_total").is_none());
    }
    // It exists, and neither of them tells it: no card without a sensor.
    let rig = Rig::without(&both[..1], "code nvmlDeviceGetTemperature * 26\n");
    let page = rig.settled();
    assert_eq!(of(&page, 0, "gpu_temperature_celsius", &sensor), None);
    let other = [("error", "other_code")];
    assert!(of(&page, 0, "gpu_read_errors_total", &other) >= Some(1.0));
}

#[test]
fn links_of_blackwell_tell_their_errors_under_later_names() {
    let mut control = String::new();
    for field in 161..=163 {
        control += &format!("value field:{field} * none\n");
    }
    for field in 206..=215 {
        control += &format!("value field:{field} * {}\n", field - 205);
    }
    let rig = Rig::new(&control);
    let page = rig.settled();
    for (kind, count) in [
        ("receive_malformed", Some(18.0)),
        ("receive_overrun", Some(36.0)),
        ("receive", Some(54.0)),
        ("receive_remote", Some(72.0)),
        ("receive_header", Some(90.0)),
        ("link_integrity", Some(108.0)),
        ("transmit_discard", Some(126.0)),
        ("recovery_failed", Some(162.0)),
        ("recovery", Some(180.0)),
        ("replay", None),
        ("crc", None),
    ] {
        let found = of(&page, 0, "gpu_nvlink_errors_total", &[("kind", kind)]);
        assert_eq!(found, count, "{kind}");
    }
}

#[test]
fn memory_that_draws_nothing_is_not_measured() {
    let rig = Rig::new("value field:185:2 * 0\nvalue field:185:0 * 0\n");
    let page = rig.settled();
    let of_scope = |scope| of(&page, 0, "gpu_power_average_watts", &[("scope", scope)]);
    assert_eq!((of_scope("memory"), of_scope("gpu")), (None, Some(0.0)));
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
fn names_that_are_not_utf8_survive() {
    let rig = Rig::new("text nvmlDeviceGetName 0 4eff41\ntext nvmlDeviceGetUUID 0 4750552dfe\n");
    let page = rig.page("a page is there", |_| true);
    let own = [("gpu", "0"), ("uuid", "GPU-\u{fffd}")];
    assert_eq!(page.value("gpu_up", &own), Some(1.0));
    let info = page.shape().family("gpu_info").unwrap();
    let info = info.series().next().unwrap();
    assert_eq!(info.label("gpu_name"), Some("N\u{fffd}A"));
}

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
