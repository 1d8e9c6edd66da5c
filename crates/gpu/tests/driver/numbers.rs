//! What a card tells, in base units; what it does not have is absent.

use std::collections::HashSet;
use std::time::Duration;

use crate::common::{Rig, of, options};
use tokenpath_core::{DropReason, Source};

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
fn unsupported_is_absent_and_no_error() {
    let rig = Rig::new("code nvmlDeviceGetPowerUsage * 3\ncode nvmlDeviceGetEccMode * 26\n");
    let page = rig.settled();
    assert_eq!(of(&page, 0, "gpu_up", &[]), Some(1.0));
    assert_eq!(of(&page, 0, "gpu_power_watts", &[]), None);
    assert_eq!(of(&page, 0, "gpu_ecc_enabled", &[]), None);
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
fn memory_that_draws_nothing_is_not_measured() {
    let rig = Rig::new("value field:185:2 * 0\nvalue field:185:0 * 0\n");
    let page = rig.settled();
    let of_scope = |scope| of(&page, 0, "gpu_power_average_watts", &[("scope", scope)]);
    assert_eq!((of_scope("memory"), of_scope("gpu")), (None, Some(0.0)));
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
