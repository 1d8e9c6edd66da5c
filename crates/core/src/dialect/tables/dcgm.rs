//! `dcgm`: the names, units, types and labels of dcgm-exporter.
//!
//! Memory is in MiB, energy in mJ, clocks in MHz, utilization in percent, violations in ns; `PROF`
//! families are fractions. `Hostname` is the operator's label `node`, or else the target.

use crate::MetricType::{self, Counter, Gauge};
use crate::dialect::{Dialect, Matcher, Row};

const PERCENT: f64 = 100.0;
const MIB: f64 = 1.0 / 1_048_576.0;
const MHZ: f64 = 1e-6;
const MILLI: f64 = 1e3;
const NANO: f64 = 1e9;

pub(super) fn dialect() -> Dialect {
    Dialect::new("dcgm", rows())
        .without(
            "DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL",
            "its unit differs from release to release of DCGM: gpu_nvlink_transmit_bytes_total and \
             gpu_nvlink_receive_bytes_total are bytes",
        )
        .without(
            "DCGM_FI_DEV_VGPU_LICENSE_STATUS",
            "the model has no vGPU licences: a number without a meaning to inference",
        )
        .without(
            "DCGM_EXP_*",
            "dcgm-exporter's own counts over a window: increase() of gpu_xid_errors_total and \
             gpu_throttle_seconds_total say the same",
        )
        .without(
            "DCGM_FI_*{GPU_I_ID,GPU_I_PROFILE}",
            "GPU instances (MIG) have families of their own, gpu_mig_*: under the names of the whole GPU \
             they would be counted twice, and a profile is of a compute instance, of which a GPU \
             instance may have several",
        )
        .without(
            "DCGM_FI_PROF_NVLINK_*",
            "rates per link that the model has for all links together only: \
             gpu_nvlink_transmit_bytes_per_second",
        )
}

pub(super) fn rows() -> Vec<Row> {
    let rows = [
        clocks(),
        state(),
        memory(),
        errors(),
        violations(),
        profile(),
    ]
    .concat();
    rows.into_iter().map(labelled).collect()
}

/// With the labels of dcgm-exporter.
pub(super) fn labelled(row: Row) -> Row {
    row.prefix_label("gpu", "device", "nvidia")
        .rename_label("uuid", "UUID")
        .join_label("gpu_info", "uuid", "gpu_name", "modelName")
        .join_label("gpu_info", "uuid", "pci_bus_id", "pci_bus_id")
        .join_label(
            "gpu_info",
            "uuid",
            "driver_version",
            "DCGM_FI_DRIVER_VERSION",
        )
        .copy_label("node", "Hostname")
        .copy_label("target", "Hostname")
}

/// A device's number in DCGM's unit.
fn row(
    name: &'static str,
    kind: MetricType,
    family: &'static str,
    factor: f64,
    help: &'static str,
) -> Row {
    Row::family(family, name, kind).factor(factor).help(help)
}

/// As [`row`], of those series whose label has this value.
fn part(row: Row, label: &'static str, value: &'static str) -> Row {
    row.when(Matcher::is(label, value)).drop_label(label)
}

fn clocks() -> Vec<Row> {
    let clock = |name, value, help| {
        let all = row(name, Gauge, "gpu_clock_hertz", MHZ, help);
        part(all, "clock", value)
    };
    vec![
        clock(
            "DCGM_FI_DEV_SM_CLOCK",
            "sm",
            "Frequency of the multiprocessors, in MHz.",
        ),
        clock(
            "DCGM_FI_DEV_MEM_CLOCK",
            "memory",
            "Frequency of the memory, in MHz.",
        ),
    ]
}

fn state() -> Vec<Row> {
    let temperature = |name, value, help| {
        let all = row(name, Gauge, "gpu_temperature_celsius", 1.0, help);
        part(all, "sensor", value)
    };
    vec![
        temperature(
            "DCGM_FI_DEV_GPU_TEMP",
            "gpu",
            "Temperature of the GPU, in degrees Celsius.",
        ),
        temperature(
            "DCGM_FI_DEV_MEMORY_TEMP",
            "memory",
            "Temperature of the memory, in degrees Celsius.",
        ),
        row(
            "DCGM_FI_DEV_POWER_USAGE",
            Gauge,
            "gpu_power_watts",
            1.0,
            "Power drawn, in W.",
        ),
        row(
            "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION",
            Counter,
            "gpu_energy_joules_total",
            MILLI,
            "Energy used since the driver was loaded, in mJ.",
        ),
        row(
            "DCGM_FI_DEV_PCIE_REPLAY_COUNTER",
            Counter,
            "gpu_pcie_replays_total",
            1.0,
            "PCIe packets that were sent again.",
        ),
        row(
            "DCGM_FI_DEV_GPU_UTIL",
            Gauge,
            "gpu_compute_utilization_ratio",
            PERCENT,
            "Share of time in which at least one kernel ran, in percent.",
        ),
        row(
            "DCGM_FI_DEV_MEM_COPY_UTIL",
            Gauge,
            "gpu_memory_busy_ratio",
            PERCENT,
            "Share of time in which device memory was read or written, in percent.",
        ),
        row(
            "DCGM_FI_DEV_ENC_UTIL",
            Gauge,
            "gpu_encoder_utilization_ratio",
            PERCENT,
            "Utilization of the video encoders, in percent.",
        ),
        row(
            "DCGM_FI_DEV_DEC_UTIL",
            Gauge,
            "gpu_decoder_utilization_ratio",
            PERCENT,
            "Utilization of the video decoders, in percent.",
        ),
    ]
}

fn memory() -> Vec<Row> {
    let mebibytes = |name, family, help| row(name, Gauge, family, MIB, help);
    vec![
        mebibytes(
            "DCGM_FI_DEV_FB_FREE",
            "gpu_vram_free_bytes",
            "Device memory that is free, in MiB.",
        ),
        mebibytes(
            "DCGM_FI_DEV_FB_USED",
            "gpu_vram_used_bytes",
            "Device memory that processes have allocated, in MiB.",
        ),
        mebibytes(
            "DCGM_FI_DEV_FB_RESERVED",
            "gpu_vram_reserved_bytes",
            "Device memory reserved for driver and firmware, in MiB.",
        ),
    ]
}

fn errors() -> Vec<Row> {
    /// Name, family, label, its value, help.
    type Counted = (
        &'static str,
        &'static str,
        &'static str,
        &'static str,
        &'static str,
    );
    #[rustfmt::skip]
    const COUNTED: &[Counted] = &[
        ("DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS", "gpu_remapped_rows_total", "kind", "uncorrected", "Memory rows remapped after uncorrectable errors."),
        ("DCGM_FI_DEV_CORRECTABLE_REMAPPED_ROWS", "gpu_remapped_rows_total", "kind", "corrected", "Memory rows remapped after correctable errors."),
        ("DCGM_FI_DEV_ECC_SBE_VOL_TOTAL", "gpu_ecc_errors_total", "kind", "corrected", "Single-bit ECC errors since the driver was loaded."),
        ("DCGM_FI_DEV_ECC_DBE_VOL_TOTAL", "gpu_ecc_errors_total", "kind", "uncorrected", "Double-bit ECC errors since the driver was loaded."),
        ("DCGM_FI_DEV_ECC_SBE_AGG_TOTAL", "gpu_ecc_errors_lifetime_total", "kind", "corrected", "Single-bit ECC errors in the life of the board."),
        ("DCGM_FI_DEV_ECC_DBE_AGG_TOTAL", "gpu_ecc_errors_lifetime_total", "kind", "uncorrected", "Double-bit ECC errors in the life of the board."),
        ("DCGM_FI_DEV_RETIRED_SBE", "gpu_retired_pages_total", "cause", "single_bit", "Memory pages retired after single-bit errors."),
        ("DCGM_FI_DEV_RETIRED_DBE", "gpu_retired_pages_total", "cause", "double_bit", "Memory pages retired after double-bit errors."),
        ("DCGM_FI_DEV_NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL", "gpu_nvlink_errors_total", "kind", "crc_flit", "CRC errors in flow control on all NVLinks."),
        ("DCGM_FI_DEV_NVLINK_CRC_DATA_ERROR_COUNT_TOTAL", "gpu_nvlink_errors_total", "kind", "crc_data", "CRC errors in data on all NVLinks."),
        ("DCGM_FI_DEV_NVLINK_REPLAY_ERROR_COUNT_TOTAL", "gpu_nvlink_errors_total", "kind", "replay", "Packets sent again on all NVLinks."),
        ("DCGM_FI_DEV_NVLINK_RECOVERY_ERROR_COUNT_TOTAL", "gpu_nvlink_errors_total", "kind", "recovery", "Recoveries of all NVLinks."),
    ];
    let counted = COUNTED.iter().map(|(name, family, label, value, help)| {
        let all = row(name, Counter, family, 1.0, help);
        part(all, label, value)
    });
    let flags = [
        row(
            "DCGM_FI_DEV_ROW_REMAP_FAILURE",
            Gauge,
            "gpu_row_remap_failed",
            1.0,
            "1 if a memory row could not be remapped.",
        ),
        row(
            "DCGM_FI_DEV_RETIRED_PENDING",
            Gauge,
            "gpu_retired_pages_pending",
            1.0,
            "1 if memory pages wait for a reboot to be retired.",
        ),
    ];
    let newest = Row::label_of_largest(
        "gpu_xid_last_timestamp_seconds",
        "xid",
        "DCGM_FI_DEV_XID_ERRORS",
        Gauge,
    )
    .help("Code of the XID error that came last.");
    counted.chain(flags).chain([newest]).collect()
}

fn violations() -> Vec<Row> {
    let violation = |name, reason| {
        let all = row(
            name,
            Counter,
            "gpu_throttle_seconds_total",
            NANO,
            "Time the clocks were held down for this reason, in ns.",
        );
        part(all, "reason", reason)
    };
    vec![
        violation("DCGM_FI_DEV_POWER_VIOLATION", "sw_power_cap"),
        violation("DCGM_FI_DEV_THERMAL_VIOLATION", "thermal"),
        violation("DCGM_FI_DEV_SYNC_BOOST_VIOLATION", "sync_boost"),
        violation("DCGM_FI_DEV_BOARD_LIMIT_VIOLATION", "board_limit"),
        violation("DCGM_FI_DEV_LOW_UTIL_VIOLATION", "low_utilization"),
        violation("DCGM_FI_DEV_RELIABILITY_VIOLATION", "reliability"),
    ]
}

fn profile() -> Vec<Row> {
    let plain = |name: &'static str, family: &'static str| Row::family(family, name, Gauge);
    let pipe = |name, value| part(plain(name, "gpu_pipe_active_ratio"), "pipe", value);
    vec![
        plain(
            "DCGM_FI_PROF_GR_ENGINE_ACTIVE",
            "gpu_graphics_engine_active_ratio",
        ),
        plain("DCGM_FI_PROF_SM_ACTIVE", "gpu_sm_active_ratio"),
        plain("DCGM_FI_PROF_SM_OCCUPANCY", "gpu_sm_occupancy_ratio"),
        plain("DCGM_FI_PROF_PIPE_TENSOR_ACTIVE", "gpu_tensor_active_ratio"),
        plain(
            "DCGM_FI_PROF_DRAM_ACTIVE",
            "gpu_memory_bandwidth_utilization_ratio",
        ),
        pipe("DCGM_FI_PROF_PIPE_FP64_ACTIVE", "fp64"),
        pipe("DCGM_FI_PROF_PIPE_FP32_ACTIVE", "fp32"),
        pipe("DCGM_FI_PROF_PIPE_FP16_ACTIVE", "fp16"),
        plain(
            "DCGM_FI_PROF_PCIE_TX_BYTES",
            "gpu_pcie_transmit_bytes_per_second",
        ),
        plain(
            "DCGM_FI_PROF_PCIE_RX_BYTES",
            "gpu_pcie_receive_bytes_per_second",
        ),
    ]
}
