//! Our reading of real cards against another exporter's.
//!
//! Where `TOKENPATH_CORPUS` names a folder with `fixtures/gpu`, the fake driver says what the recorded
//! pages of another exporter (made from `nvidia-smi` on an H100, an H200, a partitioned H200 and an
//! L40S) say, in NVML's units. Our page must then agree with theirs, number by number, and lack what
//! theirs lacks.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::collections::HashMap;
use std::fmt::Write;
use std::path::Path;

use common::{Rig, of};
use tokenpath_core::Label;

/// Their family, ours with further labels, the number of the fake driver, NVML's units in ours.
type Pair = (
    &'static str,
    &'static str,
    &'static [Label<'static>],
    &'static str,
    f64,
);

const PAIRS: [Pair; 44] = [
    (
        "memory_total_bytes",
        "gpu_vram_total_bytes",
        &[],
        "nvmlDeviceGetMemoryInfo:total",
        1.0,
    ),
    (
        "memory_used_bytes",
        "gpu_vram_used_bytes",
        &[],
        "nvmlDeviceGetMemoryInfo:used",
        1.0,
    ),
    (
        "memory_free_bytes",
        "gpu_vram_free_bytes",
        &[],
        "nvmlDeviceGetMemoryInfo:free",
        1.0,
    ),
    (
        "memory_reserved_bytes",
        "gpu_vram_reserved_bytes",
        &[],
        "nvmlDeviceGetMemoryInfo:reserved",
        1.0,
    ),
    (
        "utilization_gpu_ratio",
        "gpu_compute_utilization_ratio",
        &[],
        "nvmlDeviceGetUtilizationRates:gpu",
        100.0,
    ),
    (
        "utilization_memory_ratio",
        "gpu_memory_busy_ratio",
        &[],
        "nvmlDeviceGetUtilizationRates:memory",
        100.0,
    ),
    (
        "utilization_encoder_ratio",
        "gpu_encoder_utilization_ratio",
        &[],
        "nvmlDeviceGetEncoderUtilization",
        100.0,
    ),
    (
        "utilization_decoder_ratio",
        "gpu_decoder_utilization_ratio",
        &[],
        "nvmlDeviceGetDecoderUtilization",
        100.0,
    ),
    (
        "utilization_jpeg_ratio",
        "gpu_jpeg_utilization_ratio",
        &[],
        "nvmlDeviceGetJpgUtilization",
        100.0,
    ),
    (
        "utilization_ofa_ratio",
        "gpu_optical_flow_utilization_ratio",
        &[],
        "nvmlDeviceGetOfaUtilization",
        100.0,
    ),
    (
        "fan_speed_ratio",
        "gpu_fan_speed_ratio",
        &[("fan", "0")],
        "nvmlDeviceGetFanSpeed_v2:0",
        100.0,
    ),
    (
        "temperature_gpu",
        "gpu_temperature_celsius",
        &[("sensor", "gpu")],
        "nvmlDeviceGetTemperature",
        1.0,
    ),
    (
        "temperature_memory",
        "gpu_temperature_celsius",
        &[("sensor", "memory")],
        "field:82:0",
        1.0,
    ),
    (
        "temperature_gpu_tlimit",
        "gpu_temperature_margin_celsius",
        &[],
        "nvmlDeviceGetMarginTemperature",
        1.0,
    ),
    (
        "power_draw_average_watts",
        "gpu_power_average_watts",
        &[("scope", "gpu")],
        "field:185:0",
        1000.0,
    ),
    (
        "power_draw_instant_watts",
        "gpu_power_instant_watts",
        &[("scope", "gpu")],
        "field:186:0",
        1000.0,
    ),
    (
        "power_draw_watts",
        "gpu_power_watts",
        &[],
        "nvmlDeviceGetPowerUsage",
        1000.0,
    ),
    (
        "enforced_power_limit_watts",
        "gpu_power_limit_watts",
        &[],
        "nvmlDeviceGetEnforcedPowerLimit",
        1000.0,
    ),
    (
        "power_limit_watts",
        "gpu_power_limit_requested_watts",
        &[],
        "nvmlDeviceGetPowerManagementLimit",
        1000.0,
    ),
    (
        "power_default_limit_watts",
        "gpu_power_limit_default_watts",
        &[],
        "nvmlDeviceGetPowerManagementDefaultLimit",
        1000.0,
    ),
    (
        "power_min_limit_watts",
        "gpu_power_limit_min_watts",
        &[],
        "nvmlDeviceGetPowerManagementLimitConstraints:min",
        1000.0,
    ),
    (
        "power_max_limit_watts",
        "gpu_power_limit_max_watts",
        &[],
        "nvmlDeviceGetPowerManagementLimitConstraints:max",
        1000.0,
    ),
    (
        "clocks_current_graphics_clock_hz",
        "gpu_clock_hertz",
        &[("clock", "graphics")],
        "nvmlDeviceGetClockInfo:0",
        1e-6,
    ),
    (
        "clocks_current_sm_clock_hz",
        "gpu_clock_hertz",
        &[("clock", "sm")],
        "nvmlDeviceGetClockInfo:1",
        1e-6,
    ),
    (
        "clocks_current_memory_clock_hz",
        "gpu_clock_hertz",
        &[("clock", "memory")],
        "nvmlDeviceGetClockInfo:2",
        1e-6,
    ),
    (
        "clocks_current_video_clock_hz",
        "gpu_clock_hertz",
        &[("clock", "video")],
        "nvmlDeviceGetClockInfo:3",
        1e-6,
    ),
    (
        "clocks_max_sm_clock_hz",
        "gpu_clock_max_hertz",
        &[("clock", "sm")],
        "nvmlDeviceGetMaxClockInfo:1",
        1e-6,
    ),
    (
        "clocks_max_memory_clock_hz",
        "gpu_clock_max_hertz",
        &[("clock", "memory")],
        "nvmlDeviceGetMaxClockInfo:2",
        1e-6,
    ),
    (
        "pstate",
        "gpu_performance_state",
        &[],
        "nvmlDeviceGetPerformanceState",
        1.0,
    ),
    (
        "pcie_link_gen_gpucurrent",
        "gpu_pcie_link_generation",
        &[],
        "nvmlDeviceGetCurrPcieLinkGeneration",
        1.0,
    ),
    (
        "pcie_link_gen_max",
        "gpu_pcie_link_generation_max",
        &[],
        "nvmlDeviceGetMaxPcieLinkGeneration",
        1.0,
    ),
    (
        "pcie_link_width_current",
        "gpu_pcie_link_lanes",
        &[],
        "nvmlDeviceGetCurrPcieLinkWidth",
        1.0,
    ),
    (
        "ecc_mode_current",
        "gpu_ecc_enabled",
        &[],
        "nvmlDeviceGetEccMode",
        1.0,
    ),
    (
        "ecc_errors_corrected_volatile_total",
        "gpu_ecc_errors_total",
        &[("kind", "corrected")],
        "nvmlDeviceGetTotalEccErrors:0:0",
        1.0,
    ),
    (
        "ecc_errors_uncorrected_aggregate_total",
        "gpu_ecc_errors_lifetime_total",
        &[("kind", "uncorrected")],
        "nvmlDeviceGetTotalEccErrors:1:1",
        1.0,
    ),
    (
        "ecc_errors_uncorrected_volatile_dram",
        "gpu_ecc_memory_errors_total",
        &[("kind", "uncorrected"), ("memory", "dram")],
        "nvmlDeviceGetMemoryErrorCounter:1:0:2",
        1.0,
    ),
    (
        "remapped_rows_correctable",
        "gpu_remapped_rows_total",
        &[("kind", "corrected")],
        "field:142:0",
        1.0,
    ),
    (
        "remapped_rows_pending",
        "gpu_row_remap_pending",
        &[],
        "field:144:0",
        1.0,
    ),
    (
        "remapped_rows_histogram_max",
        "gpu_row_remap_banks",
        &[("availability", "max")],
        "nvmlDeviceGetRowRemapperHistogram:max",
        1.0,
    ),
    (
        "clocks_event_reasons_active",
        "",
        &[],
        "nvmlDeviceGetCurrentClocksEventReasons",
        1.0,
    ),
    (
        "clocks_event_reasons_counters_sw_power_cap_seconds",
        "gpu_throttle_seconds_total",
        &[("reason", "sw_power_cap")],
        "field:74:0",
        1e9,
    ),
    (
        "clocks_event_reasons_counters_sync_boost_seconds",
        "gpu_throttle_seconds_total",
        &[("reason", "sync_boost")],
        "field:76:0",
        1e9,
    ),
    // In the numbering from driver 580.82 on.
    (
        "clocks_event_reasons_counters_sw_thermal_slowdown_seconds",
        "gpu_throttle_seconds_total",
        &[("reason", "sw_thermal")],
        "field:269:0",
        1e9,
    ),
    (
        "clocks_event_reasons_counters_hw_thermal_slowdown_seconds",
        "gpu_throttle_seconds_total",
        &[("reason", "hw_thermal")],
        "field:270:0",
        1e9,
    ),
];

/// Their words for the reasons that hold the clocks down.
const REASONS: [(&str, &str); 8] = [
    ("gpu_idle", "idle"),
    ("applications_clocks_setting", "applications_clocks"),
    ("sw_power_cap", "sw_power_cap"),
    ("hw_slowdown", "hw_slowdown"),
    ("sync_boost", "sync_boost"),
    ("sw_thermal_slowdown", "sw_thermal"),
    ("hw_thermal_slowdown", "hw_thermal"),
    ("hw_power_brake_slowdown", "hw_power_brake"),
];

/// The series of the first GPU.
fn theirs(page: &str) -> HashMap<&str, f64> {
    let mut found = HashMap::new();
    for line in page.lines() {
        let Some((series, value)) = line.rsplit_once(' ') else {
            continue;
        };
        let Some((name, labels)) = series.split_once('{') else {
            continue;
        };
        let of_gpu = labels.starts_with("uuid=") && !labels.contains(',');
        if let (true, Some(name), Ok(value)) =
            (of_gpu, name.strip_prefix("nvidia_smi_"), value.parse())
        {
            found.entry(name).or_insert(value);
        }
    }
    found
}

fn agrees(file: &str, page: &str) {
    let theirs = theirs(page);
    let mut control = String::from("value nvmlDeviceGetNumFans * 1\n");
    for (name, _, _, number, factor) in PAIRS {
        let value = theirs.get(name).map_or_else(
            || "none".to_owned(),
            |value| format!("{:.0}", value * factor),
        );
        writeln!(control, "value {number} * {value}").unwrap();
    }
    let rig = Rig::new(&control);
    let page = rig.page("a page is there", |page| {
        of(page, 0, "gpu_up", &[]) == Some(1.0)
    });
    let mut agreed = 0;
    for (name, family, labels, ..) in PAIRS {
        if family.is_empty() {
            continue;
        }
        let ours = of(&page, 0, family, labels);
        match (theirs.get(name), ours) {
            (None, None) => {}
            (Some(theirs), Some(ours)) if (theirs - ours).abs() <= theirs.abs() * 1e-9 => {
                agreed += 1
            }
            (theirs, ours) => {
                panic!("{file}: {name} is {theirs:?}, {family} {labels:?} is {ours:?}")
            }
        }
    }
    for (name, reason) in REASONS {
        let theirs = theirs.get(format!("clocks_event_reasons_{name}").as_str());
        let ours = of(&page, 0, "gpu_throttle_active", &[("reason", reason)]);
        assert_eq!(theirs.copied(), ours, "{file}: {reason}");
    }
    assert!(agreed >= 30, "{file}: only {agreed} numbers were there");
}

#[test]
fn real_cards_are_read_as_another_exporter_reads_them() {
    let Some(corpus) = std::env::var_os("TOKENPATH_CORPUS") else {
        eprintln!("TOKENPATH_CORPUS is not set: no recorded pages of real cards were read");
        return;
    };
    let folder = Path::new(&corpus).join("fixtures/gpu");
    let mut pages = 0;
    for file in std::fs::read_dir(&folder).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if name.starts_with("nvidia_gpu_exporter_") {
            agrees(name, &std::fs::read_to_string(&path).unwrap());
            pages += 1;
        }
    }
    assert!(pages > 0, "{} has no recorded page", folder.display());
}
