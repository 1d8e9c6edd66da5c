//! The families of devices: what each means, and from which NVML number it comes.
//!
//! Two tables. [`families`] describes what is on the page. [`ROWS`] says which number of a
//! [`Reading`](crate::device::Reading) becomes which series, with the factor to the base unit and the
//! NVML call behind it: a unit is converted in this table and nowhere else.

use std::sync::{Arc, LazyLock};

use tokenpath_core::rollup::Rollup;
use tokenpath_core::{Desc, Label, MetricType, Unit};

use crate::device::Quantity;

macro_rules! families {
    ($($variant:ident $name:literal $kind:ident $unit:ident [$($label:literal),*] $help:literal)+) => {
        /// A family of this crate, as an index into [`families`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Family {
            $(#[doc = concat!("`", $name, "`: ", $help)] $variant,)+
        }

        static DESCS: LazyLock<Vec<Arc<Desc>>> = LazyLock::new(|| {
            vec![$(Arc::new({
                let desc = Desc::new($name, MetricType::$kind, Unit::$unit, $help)
                    .labels(&[$($label),*]);
                match Family::$variant.gauge_rollup() {
                    Rollup::None => desc,
                    rule => desc.rollup(rule),
                }
            }),)+]
        });
    };
}

impl Family {
    /// How the gauges of several devices are combined. What is held, drawn or moved adds up, and so
    /// do its limits. Temperatures, clocks, states and busy fractions do not: the busiest device says
    /// nothing about the others, and a mean would need to know how much each could do. Counters add up
    /// by their type.
    const fn gauge_rollup(self) -> Rollup {
        match self {
            Self::VramUsed
            | Self::VramTotal
            | Self::VramFree
            | Self::VramReserved
            | Self::Bar1Used
            | Self::Bar1Total
            | Self::Power
            | Self::PowerInstant
            | Self::PowerAverage
            | Self::PowerLimit
            | Self::PowerLimitRequested
            | Self::PowerLimitDefault
            | Self::PowerLimitMin
            | Self::PowerLimitMax
            | Self::PcieTransmitRate
            | Self::PcieReceiveRate
            | Self::NvlinkTransmitRate
            | Self::NvlinkReceiveRate
            | Self::Processes
            | Self::ProcessVram
            | Self::ProcessesOmitted
            | Self::MigVramUsed
            | Self::MigVramTotal
            | Self::MigVramFree
            | Self::MigVramReserved
            | Self::MigMultiprocessors => Rollup::Sum,
            // The oldest sample, the slowest one.
            Self::SampleAge | Self::SampleDuration => Rollup::Max,
            _ => Rollup::None,
        }
    }
}

families! {
    DriverUp "gpu_driver_up" Gauge None []
        "1 while the driver answers, 0 when the newest sample is older than two periods: its values are then absent."
    SampleAge "gpu_sample_age_seconds" Gauge Seconds []
        "Age of the newest sample of all GPUs. It grows while the driver hangs."
    SampleDuration "gpu_sample_duration_seconds" Gauge Seconds []
        "How long the driver took for the newest sample of all GPUs."
    Up "gpu_up" Gauge None ["gpu", "uuid"]
        "1 if the GPU could be read, 0 if it is lost, needs a reset or is gone."
    Info "gpu_info" Info None ["gpu", "uuid", "gpu_name", "pci_bus_id", "architecture", "vbios_version", "driver_version", "nvml_version", "cuda_version"]
        "What the GPU is. The value is always 1."
    ReadErrors "gpu_read_errors_total" Counter None ["gpu", "uuid", "error"]
        "Driver calls for this GPU that failed, by what the driver said. Calls that it does not support are no errors."

    VramUsed "gpu_vram_used_bytes" Gauge Bytes ["gpu", "uuid"]
        "Device memory allocated by processes, without what the driver reserves."
    VramTotal "gpu_vram_total_bytes" Gauge Bytes ["gpu", "uuid"]
        "Device memory in all."
    VramFree "gpu_vram_free_bytes" Gauge Bytes ["gpu", "uuid"]
        "Device memory that is free."
    VramReserved "gpu_vram_reserved_bytes" Gauge Bytes ["gpu", "uuid"]
        "Device memory reserved for the driver and firmware. Drivers before R510 do not tell it apart from used."
    Bar1Used "gpu_bar1_used_bytes" Gauge Bytes ["gpu", "uuid"]
        "BAR1 aperture in use, through which the CPU and other devices see the memory."
    Bar1Total "gpu_bar1_total_bytes" Gauge Bytes ["gpu", "uuid"]
        "Size of the BAR1 aperture."

    ComputeUtilization "gpu_compute_utilization_ratio" Gauge Ratio ["gpu", "uuid"]
        "Fraction of time in which at least one kernel ran. One small kernel is enough for 1: see gpu_sm_active_ratio."
    MemoryBusy "gpu_memory_busy_ratio" Gauge Ratio ["gpu", "uuid"]
        "Fraction of time in which device memory was being read or written, however little. Not bandwidth, not fullness."
    EncoderUtilization "gpu_encoder_utilization_ratio" Gauge Ratio ["gpu", "uuid"]
        "Utilization of the video encoders."
    DecoderUtilization "gpu_decoder_utilization_ratio" Gauge Ratio ["gpu", "uuid"]
        "Utilization of the video decoders."
    JpegUtilization "gpu_jpeg_utilization_ratio" Gauge Ratio ["gpu", "uuid"]
        "Utilization of the JPEG engines."
    OpticalFlowUtilization "gpu_optical_flow_utilization_ratio" Gauge Ratio ["gpu", "uuid"]
        "Utilization of the optical flow engines."

    MemoryBandwidth "gpu_memory_bandwidth_utilization_ratio" Gauge Ratio ["gpu", "uuid"]
        "Fraction of the peak DRAM bandwidth used over the sampling period (GPM: Hopper and later)."
    SmActive "gpu_sm_active_ratio" Gauge Ratio ["gpu", "uuid"]
        "Fraction of time with a warp assigned, averaged over the multiprocessors (GPM: Hopper and later)."
    SmOccupancy "gpu_sm_occupancy_ratio" Gauge Ratio ["gpu", "uuid"]
        "Active warps as a fraction of the possible ones, averaged over the multiprocessors (GPM: Hopper and later)."
    TensorActive "gpu_tensor_active_ratio" Gauge Ratio ["gpu", "uuid"]
        "Fraction of time in which the tensor cores worked (GPM: Hopper and later)."
    GraphicsActive "gpu_graphics_engine_active_ratio" Gauge Ratio ["gpu", "uuid"]
        "Fraction of time in which the graphics or compute engine worked (GPM: Hopper and later)."
    PipeActive "gpu_pipe_active_ratio" Gauge Ratio ["gpu", "uuid", "pipe"]
        "Fraction of time in which a pipe of the multiprocessors worked (GPM: Hopper and later)."
    BoundState "gpu_bound_state" Gauge None ["gpu", "uuid", "state"]
        "What limits the GPU, judged from DRAM bandwidth against tensor and other pipes: 1 for the state that holds."
    VramFullComputeLow "gpu_vram_full_compute_low" Gauge None ["gpu", "uuid"]
        "1 while VRAM is above 90 % and compute below 50 % (configurable). Always 1 beside an idle engine that allocates in advance: no proof of a memory bound."

    Temperature "gpu_temperature_celsius" Gauge Celsius ["gpu", "uuid", "sensor"]
        "Temperature of the GPU and of its memory."
    TemperatureThreshold "gpu_temperature_threshold_celsius" Gauge Celsius ["gpu", "uuid", "threshold"]
        "Temperature at which the GPU slows down, shuts down, or that it should stay below."
    TemperatureMargin "gpu_temperature_margin_celsius" Gauge Celsius ["gpu", "uuid"]
        "Distance to the temperature at which the GPU begins to slow down (T.Limit)."
    TemperatureMarginThreshold "gpu_temperature_margin_threshold_celsius" Gauge Celsius ["gpu", "uuid", "threshold"]
        "Margin at which the GPU slows down, shuts down, or that it should stay above (T.Limit)."

    Power "gpu_power_watts" Gauge Watts ["gpu", "uuid"]
        "Power drawn by the board; a mean over one second on Ampere and later."
    PowerInstant "gpu_power_instant_watts" Gauge Watts ["gpu", "uuid", "scope"]
        "Power drawn at the moment of the sample, by scope: the GPU, the module it is on."
    PowerAverage "gpu_power_average_watts" Gauge Watts ["gpu", "uuid", "scope"]
        "Power drawn as the driver averages it, by scope: the GPU, the module it is on, its memory."
    PowerLimit "gpu_power_limit_watts" Gauge Watts ["gpu", "uuid"]
        "Power limit in force: the lowest of all limiters."
    PowerLimitRequested "gpu_power_limit_requested_watts" Gauge Watts ["gpu", "uuid"]
        "Power limit that was set."
    PowerLimitDefault "gpu_power_limit_default_watts" Gauge Watts ["gpu", "uuid"]
        "Power limit after the driver is loaded."
    PowerLimitMin "gpu_power_limit_min_watts" Gauge Watts ["gpu", "uuid"]
        "Lowest power limit that may be set."
    PowerLimitMax "gpu_power_limit_max_watts" Gauge Watts ["gpu", "uuid"]
        "Highest power limit that may be set."
    Energy "gpu_energy_joules_total" Counter Joules ["gpu", "uuid"]
        "Energy used since the driver was loaded."

    Clock "gpu_clock_hertz" Gauge Hertz ["gpu", "uuid", "clock"]
        "Current frequency of a clock domain."
    ClockMax "gpu_clock_max_hertz" Gauge Hertz ["gpu", "uuid", "clock"]
        "Highest frequency of a clock domain."
    PerformanceState "gpu_performance_state" Gauge None ["gpu", "uuid"]
        "Performance state: 0 is the fastest, 15 the slowest."
    Fan "gpu_fan_speed_ratio" Gauge Ratio ["gpu", "uuid", "fan"]
        "Intended fan speed as a fraction of the highest. It may exceed 1."

    PcieTransmit "gpu_pcie_transmit_bytes_total" Counter Bytes ["gpu", "uuid"]
        "Bytes sent over PCIe, where the card counts them in 64 bits. A counter of 32 bits wraps too often to be one."
    PcieReceive "gpu_pcie_receive_bytes_total" Counter Bytes ["gpu", "uuid"]
        "Bytes received over PCIe, where the card counts them in 64 bits. A counter of 32 bits wraps too often to be one."
    PcieTransmitRate "gpu_pcie_transmit_bytes_per_second" Gauge None ["gpu", "uuid"]
        "Rate of bytes sent over PCIe: mean over the sampling period (GPM: Hopper and later), else over 20 ms."
    PcieReceiveRate "gpu_pcie_receive_bytes_per_second" Gauge None ["gpu", "uuid"]
        "Rate of bytes received over PCIe: mean over the sampling period (GPM: Hopper and later), else over 20 ms."
    PcieReplays "gpu_pcie_replays_total" Counter None ["gpu", "uuid"]
        "PCIe packets that were sent again."
    PcieGeneration "gpu_pcie_link_generation" Gauge None ["gpu", "uuid"]
        "Current generation of the PCIe link. It falls while the GPU is idle."
    PcieGenerationMax "gpu_pcie_link_generation_max" Gauge None ["gpu", "uuid"]
        "Highest PCIe generation of this GPU in this slot."
    PcieWidth "gpu_pcie_link_lanes" Gauge None ["gpu", "uuid"]
        "Current width of the PCIe link."
    PcieWidthMax "gpu_pcie_link_lanes_max" Gauge None ["gpu", "uuid"]
        "Greatest PCIe width of this GPU in this slot."

    NvlinkTransmit "gpu_nvlink_transmit_bytes_total" Counter Bytes ["gpu", "uuid"]
        "Payload sent over all NVLinks."
    NvlinkReceive "gpu_nvlink_receive_bytes_total" Counter Bytes ["gpu", "uuid"]
        "Payload received over all NVLinks."
    NvlinkTransmitRate "gpu_nvlink_transmit_bytes_per_second" Gauge None ["gpu", "uuid"]
        "Rate of bytes sent over all NVLinks, mean over the sampling period (GPM: Hopper and later)."
    NvlinkReceiveRate "gpu_nvlink_receive_bytes_per_second" Gauge None ["gpu", "uuid"]
        "Rate of bytes received over all NVLinks, mean over the sampling period (GPM: Hopper and later)."
    NvlinkErrors "gpu_nvlink_errors_total" Counter None ["gpu", "uuid", "kind"]
        "Errors on all NVLinks, by kind. Which kinds there are differs by generation, and they overlap: do not add them."
    NvlinkUp "gpu_nvlink_up" Gauge None ["gpu", "uuid", "link"]
        "1 if the NVLink is active, 0 if it is down."

    EccEnabled "gpu_ecc_enabled" Gauge None ["gpu", "uuid"]
        "1 if error correction is on."
    EccErrors "gpu_ecc_errors_total" Counter None ["gpu", "uuid", "kind"]
        "ECC errors since the driver was loaded (volatile)."
    EccErrorsLifetime "gpu_ecc_errors_lifetime_total" Counter None ["gpu", "uuid", "kind"]
        "ECC errors in the life of the board (aggregate)."
    EccErrorsByMemory "gpu_ecc_memory_errors_total" Counter None ["gpu", "uuid", "kind", "memory"]
        "ECC errors since the driver was loaded, by memory: the DRAM, and the caches and registers of the chip."
    RetiredPages "gpu_retired_pages_total" Counter None ["gpu", "uuid", "cause"]
        "Memory pages retired in the life of the board (before Ampere)."
    RetiredPagesPending "gpu_retired_pages_pending" Gauge None ["gpu", "uuid"]
        "1 if pages wait for a reboot to be retired (before Ampere)."
    RemappedRows "gpu_remapped_rows_total" Counter None ["gpu", "uuid", "kind"]
        "Memory rows remapped in the life of the board, by the kind of error (Ampere and later)."
    RowRemapPending "gpu_row_remap_pending" Gauge None ["gpu", "uuid"]
        "1 if a row waits for a GPU reset to be remapped (Ampere and later)."
    RowRemapFailed "gpu_row_remap_failed" Gauge None ["gpu", "uuid"]
        "1 if a row could not be remapped: the board should be replaced (Ampere and later)."
    RowRemapBanks "gpu_row_remap_banks" Gauge None ["gpu", "uuid", "availability"]
        "Memory banks by how many spare rows they have left (Ampere and later)."

    ThrottleActive "gpu_throttle_active" Gauge None ["gpu", "uuid", "reason"]
        "1 for each reason that holds the clocks down at the moment of the sample, else 0. idle is a reason, not a fault."
    ThrottleSeconds "gpu_throttle_seconds_total" Counter Seconds ["gpu", "uuid", "reason"]
        "Time the clocks were held down, measured by the driver. Reasons overlap: do not add them."
    ThrottleSampled "gpu_throttle_sampled_seconds_total" Counter Seconds ["gpu", "uuid", "reason"]
        "Time between samples at whose end the reason held: an estimate at the resolution of the sampling period, since this process started."

    XidErrors "gpu_xid_errors_total" Counter None ["gpu", "uuid", "xid"]
        "XID errors by code since this process started."
    XidLast "gpu_xid_last_timestamp_seconds" Gauge Seconds ["gpu", "uuid", "xid"]
        "When an XID error of this code was last seen, in seconds since the epoch."
    XidEvents "gpu_xid_events_total" Counter None ["gpu", "uuid"]
        "XID errors of all codes since this process started: begins at 0, so that the first one shows as an increase."

    Processes "gpu_processes" Gauge None ["gpu", "uuid"]
        "Processes that use the GPU, as far as the driver shows them to this one."
    ProcessVram "gpu_process_vram_bytes" Gauge Bytes ["gpu", "uuid", "mig", "pid", "process_name", "container_id", "kind"]
        "Device memory used by a process: the largest ones up to the limit."
    ProcessesOmitted "gpu_processes_omitted" Gauge None ["gpu", "uuid"]
        "Processes over the limit, which have no series in gpu_process_vram_bytes."

    MigEnabled "gpu_mig_enabled" Gauge None ["gpu", "uuid"]
        "1 if the GPU is partitioned (MIG)."
    MigInfo "gpu_mig_info" Info None ["gpu", "uuid", "mig", "compute_instance", "mig_uuid", "profile"]
        "A MIG device: the GPU instance, the compute instance in it, and its profile. The value is always 1."
    MigVramUsed "gpu_mig_vram_used_bytes" Gauge Bytes ["gpu", "uuid", "mig"]
        "Memory of the GPU instance allocated by processes. Also part of gpu_vram_used_bytes."
    MigVramTotal "gpu_mig_vram_total_bytes" Gauge Bytes ["gpu", "uuid", "mig"]
        "Memory of the GPU instance in all."
    MigVramFree "gpu_mig_vram_free_bytes" Gauge Bytes ["gpu", "uuid", "mig"]
        "Memory of the GPU instance that is free."
    MigVramReserved "gpu_mig_vram_reserved_bytes" Gauge Bytes ["gpu", "uuid", "mig"]
        "Memory of the GPU instance reserved for the driver and firmware."
    MigMultiprocessors "gpu_mig_multiprocessors" Gauge None ["gpu", "uuid", "mig"]
        "Multiprocessors of the compute instances in a GPU instance, together."
    MigMemoryBandwidth "gpu_mig_memory_bandwidth_utilization_ratio" Gauge Ratio ["gpu", "uuid", "mig"]
        "As gpu_memory_bandwidth_utilization_ratio, for a GPU instance."
    MigSmActive "gpu_mig_sm_active_ratio" Gauge Ratio ["gpu", "uuid", "mig"]
        "As gpu_sm_active_ratio, for a GPU instance."
    MigSmOccupancy "gpu_mig_sm_occupancy_ratio" Gauge Ratio ["gpu", "uuid", "mig"]
        "As gpu_sm_occupancy_ratio, for a GPU instance."
    MigTensorActive "gpu_mig_tensor_active_ratio" Gauge Ratio ["gpu", "uuid", "mig"]
        "As gpu_tensor_active_ratio, for a GPU instance."
    MigGraphicsActive "gpu_mig_graphics_engine_active_ratio" Gauge Ratio ["gpu", "uuid", "mig"]
        "As gpu_graphics_engine_active_ratio, for a GPU instance."
    MigBoundState "gpu_mig_bound_state" Gauge None ["gpu", "uuid", "mig", "state"]
        "As gpu_bound_state, for a GPU instance."
}

/// All families that the source may emit, in the order of the page.
#[must_use]
pub fn families() -> &'static [Arc<Desc>] {
    &DESCS
}

impl Family {
    /// Its description.
    #[must_use]
    pub fn desc(self) -> &'static Arc<Desc> {
        &DESCS[self as usize]
    }
}

/// How a number of NVML becomes one in the base unit. A division stays a division: 1 W is exactly
/// 1000 mW, while 0.001 is not exactly a thousandth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scale {
    /// The number is in the base unit already.
    Same,
    /// The number times this.
    Times(f64),
    /// The number over this.
    Over(f64),
}

impl Scale {
    /// From percent to a fraction.
    pub const PERCENT: Self = Self::Over(100.0);
    /// From thousandths: milliwatts, millijoules.
    pub const MILLI: Self = Self::Over(1e3);
    /// From nanoseconds.
    pub const NANO: Self = Self::Over(1e9);
    /// From megahertz.
    pub const MEGA: Self = Self::Times(1e6);
    /// From KiB.
    pub const KIBI: Self = Self::Times(1024.0);
    /// From MiB: the rates of GPM. NVML's header and NVIDIA's reference of `nvmlGpmMetricId_t` say
    /// "MiB/sec" for PCIe (20, 21) and every NVLink rate (60 and later). nvml-wrapper, which calls them
    /// bytes, hands on the driver's number as it is; its remark is not a conversion. On a card with PCIe
    /// counters the rate and the growth of [`Quantity::PcieTransmitted`] can be held against each other,
    /// and a test on hardware does.
    pub const MEBI: Self = Self::Times(1_048_576.0);
    /// From the decimal kilobytes of the PCIe throughput.
    pub const KILO: Self = Self::Times(1e3);

    /// The number in the base unit.
    #[must_use]
    pub fn apply(self, number: f64) -> f64 {
        match self {
            Self::Same => number,
            Self::Times(factor) => number * factor,
            Self::Over(divisor) => number / divisor,
        }
    }
}

/// One number of a GPU as a series.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The number in a reading.
    pub quantity: Quantity,
    /// The family it goes to.
    pub family: Family,
    /// The labels beside `gpu` and `uuid` (and `mig`).
    pub labels: &'static [Label<'static>],
    /// The way to the base unit.
    pub scale: Scale,
    /// The NVML call behind it.
    pub nvml: &'static str,
}

macro_rules! rows {
    ($($quantity:ident => $family:ident [$($name:ident = $value:literal),*] $scale:expr, $nvml:literal;)+) => {
        &[$(Row {
            quantity: Quantity::$quantity,
            family: Family::$family,
            labels: &[$((stringify!($name), $value)),*],
            scale: $scale,
            nvml: $nvml,
        },)+]
    };
}

/// The numbers of a GPU, in the order of the page: rows of one family stand together.
pub const ROWS: &[Row] = rows! {
    MemoryUsed => VramUsed [] Scale::Same, "nvmlDeviceGetMemoryInfo_v2: used";
    MemoryTotal => VramTotal [] Scale::Same, "nvmlDeviceGetMemoryInfo_v2: total";
    MemoryFree => VramFree [] Scale::Same, "nvmlDeviceGetMemoryInfo_v2: free";
    MemoryReserved => VramReserved [] Scale::Same, "nvmlDeviceGetMemoryInfo_v2: reserved";
    Bar1Used => Bar1Used [] Scale::Same, "nvmlDeviceGetBAR1MemoryInfo: bar1Used";
    Bar1Total => Bar1Total [] Scale::Same, "nvmlDeviceGetBAR1MemoryInfo: bar1Total";
    UtilizationGpu => ComputeUtilization [] Scale::PERCENT, "nvmlDeviceGetUtilizationRates: gpu";
    UtilizationMemory => MemoryBusy [] Scale::PERCENT, "nvmlDeviceGetUtilizationRates: memory";
    Encoder => EncoderUtilization [] Scale::PERCENT, "nvmlDeviceGetEncoderUtilization";
    Decoder => DecoderUtilization [] Scale::PERCENT, "nvmlDeviceGetDecoderUtilization";
    Jpeg => JpegUtilization [] Scale::PERCENT, "nvmlDeviceGetJpgUtilization";
    OpticalFlow => OpticalFlowUtilization [] Scale::PERCENT, "nvmlDeviceGetOfaUtilization";
    GpmDramBandwidth => MemoryBandwidth [] Scale::PERCENT, "GPM DRAM_BW_UTIL (10)";
    GpmSmActive => SmActive [] Scale::PERCENT, "GPM SM_UTIL (2)";
    GpmSmOccupancy => SmOccupancy [] Scale::PERCENT, "GPM SM_OCCUPANCY (3)";
    GpmTensor => TensorActive [] Scale::PERCENT, "GPM ANY_TENSOR_UTIL (5)";
    GpmGraphics => GraphicsActive [] Scale::PERCENT, "GPM GRAPHICS_UTIL (1)";
    GpmFp64 => PipeActive [pipe = "fp64"] Scale::PERCENT, "GPM FP64_UTIL (11)";
    GpmFp32 => PipeActive [pipe = "fp32"] Scale::PERCENT, "GPM FP32_UTIL (12)";
    GpmFp16 => PipeActive [pipe = "fp16"] Scale::PERCENT, "GPM FP16_UTIL (13)";
    GpmInteger => PipeActive [pipe = "integer"] Scale::PERCENT, "GPM INTEGER_UTIL (4)";
    GpmTensorDfma => PipeActive [pipe = "tensor_dfma"] Scale::PERCENT, "GPM DFMA_TENSOR_UTIL (6)";
    GpmTensorHmma => PipeActive [pipe = "tensor_hmma"] Scale::PERCENT, "GPM HMMA_TENSOR_UTIL (7)";
    GpmTensorImma => PipeActive [pipe = "tensor_imma"] Scale::PERCENT, "GPM IMMA_TENSOR_UTIL (9)";
    TemperatureGpu => Temperature [sensor = "gpu"] Scale::Same, "nvmlDeviceGetTemperatureV, else nvmlDeviceGetTemperature: GPU";
    TemperatureMemory => Temperature [sensor = "memory"] Scale::Same, "field MEMORY_TEMP (82)";
    ThresholdShutdown => TemperatureThreshold [threshold = "shutdown"] Scale::Same, "nvmlDeviceGetTemperatureThreshold: SHUTDOWN";
    ThresholdSlowdown => TemperatureThreshold [threshold = "slowdown"] Scale::Same, "nvmlDeviceGetTemperatureThreshold: SLOWDOWN";
    ThresholdMemoryMax => TemperatureThreshold [threshold = "memory_max"] Scale::Same, "nvmlDeviceGetTemperatureThreshold: MEM_MAX";
    ThresholdGpuMax => TemperatureThreshold [threshold = "gpu_max"] Scale::Same, "nvmlDeviceGetTemperatureThreshold: GPU_MAX";
    ThresholdTarget => TemperatureThreshold [threshold = "target"] Scale::Same, "nvmlDeviceGetTemperatureThreshold: ACOUSTIC_CURR";
    TemperatureMargin => TemperatureMargin [] Scale::Same, "nvmlDeviceGetMarginTemperature";
    MarginShutdown => TemperatureMarginThreshold [threshold = "shutdown"] Scale::Same, "field TEMPERATURE_SHUTDOWN_TLIMIT (193)";
    MarginSlowdown => TemperatureMarginThreshold [threshold = "slowdown"] Scale::Same, "field TEMPERATURE_SLOWDOWN_TLIMIT (194)";
    MarginMemoryMax => TemperatureMarginThreshold [threshold = "memory_max"] Scale::Same, "field TEMPERATURE_MEM_MAX_TLIMIT (195)";
    MarginGpuMax => TemperatureMarginThreshold [threshold = "gpu_max"] Scale::Same, "field TEMPERATURE_GPU_MAX_TLIMIT (196)";
    Power => Power [] Scale::MILLI, "nvmlDeviceGetPowerUsage";
    PowerInstantGpu => PowerInstant [scope = "gpu"] Scale::MILLI, "field POWER_INSTANT (186), scope 0";
    PowerInstantModule => PowerInstant [scope = "module"] Scale::MILLI, "field POWER_INSTANT (186), scope 1";
    PowerAverageGpu => PowerAverage [scope = "gpu"] Scale::MILLI, "field POWER_AVERAGE (185), scope 0";
    PowerAverageModule => PowerAverage [scope = "module"] Scale::MILLI, "field POWER_AVERAGE (185), scope 1";
    PowerAverageMemory => PowerAverage [scope = "memory"] Scale::MILLI, "field POWER_AVERAGE (185), scope 2, if above 0";
    PowerLimit => PowerLimit [] Scale::MILLI, "nvmlDeviceGetEnforcedPowerLimit";
    PowerLimitRequested => PowerLimitRequested [] Scale::MILLI, "nvmlDeviceGetPowerManagementLimit";
    PowerLimitDefault => PowerLimitDefault [] Scale::MILLI, "nvmlDeviceGetPowerManagementDefaultLimit";
    PowerLimitMin => PowerLimitMin [] Scale::MILLI, "nvmlDeviceGetPowerManagementLimitConstraints: min";
    PowerLimitMax => PowerLimitMax [] Scale::MILLI, "nvmlDeviceGetPowerManagementLimitConstraints: max";
    Energy => Energy [] Scale::MILLI, "nvmlDeviceGetTotalEnergyConsumption";
    ClockGraphics => Clock [clock = "graphics"] Scale::MEGA, "nvmlDeviceGetClockInfo: GRAPHICS";
    ClockSm => Clock [clock = "sm"] Scale::MEGA, "nvmlDeviceGetClockInfo: SM";
    ClockMemory => Clock [clock = "memory"] Scale::MEGA, "nvmlDeviceGetClockInfo: MEM";
    ClockVideo => Clock [clock = "video"] Scale::MEGA, "nvmlDeviceGetClockInfo: VIDEO";
    ClockMaxGraphics => ClockMax [clock = "graphics"] Scale::MEGA, "nvmlDeviceGetMaxClockInfo: GRAPHICS";
    ClockMaxSm => ClockMax [clock = "sm"] Scale::MEGA, "nvmlDeviceGetMaxClockInfo: SM";
    ClockMaxMemory => ClockMax [clock = "memory"] Scale::MEGA, "nvmlDeviceGetMaxClockInfo: MEM";
    ClockMaxVideo => ClockMax [clock = "video"] Scale::MEGA, "nvmlDeviceGetMaxClockInfo: VIDEO";
    PerformanceState => PerformanceState [] Scale::Same, "nvmlDeviceGetPerformanceState";
    PcieTransmitted => PcieTransmit [] Scale::Same, "field PCIE_COUNT_TX_BYTES (197), if of 64 bits";
    PcieReceived => PcieReceive [] Scale::Same, "field PCIE_COUNT_RX_BYTES (198), if of 64 bits";
    GpmPcieTransmit => PcieTransmitRate [] Scale::MEBI, "GPM PCIE_TX_PER_SEC (20), MiB/s";
    PcieThroughputTransmit => PcieTransmitRate [] Scale::KILO, "else nvmlDeviceGetPcieThroughput: TX, KB/s";
    GpmPcieReceive => PcieReceiveRate [] Scale::MEBI, "GPM PCIE_RX_PER_SEC (21), MiB/s";
    PcieThroughputReceive => PcieReceiveRate [] Scale::KILO, "else nvmlDeviceGetPcieThroughput: RX, KB/s";
    PcieReplays => PcieReplays [] Scale::Same, "nvmlDeviceGetPcieReplayCounter";
    PcieGeneration => PcieGeneration [] Scale::Same, "nvmlDeviceGetCurrPcieLinkGeneration";
    PcieGenerationMax => PcieGenerationMax [] Scale::Same, "nvmlDeviceGetMaxPcieLinkGeneration";
    PcieWidth => PcieWidth [] Scale::Same, "nvmlDeviceGetCurrPcieLinkWidth";
    PcieWidthMax => PcieWidthMax [] Scale::Same, "nvmlDeviceGetMaxPcieLinkWidth";
    NvlinkTransmitted => NvlinkTransmit [] Scale::KIBI, "field NVLINK_THROUGHPUT_DATA_TX (138), all links, KiB";
    NvlinkReceived => NvlinkReceive [] Scale::KIBI, "field NVLINK_THROUGHPUT_DATA_RX (139), all links, KiB";
    GpmNvlinkTransmit => NvlinkTransmitRate [] Scale::MEBI, "GPM NVLINK_TOTAL_TX_PER_SEC (61), MiB/s";
    GpmNvlinkReceive => NvlinkReceiveRate [] Scale::MEBI, "GPM NVLINK_TOTAL_RX_PER_SEC (60), MiB/s";
    NvlinkCrcFlit => NvlinkErrors [kind = "crc_flit"] Scale::Same, "field NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL (38)";
    NvlinkCrcData => NvlinkErrors [kind = "crc_data"] Scale::Same, "field NVLINK_CRC_DATA_ERROR_COUNT_TOTAL (45)";
    NvlinkReplay => NvlinkErrors [kind = "replay"] Scale::Same, "field NVLINK_REPLAY_ERROR_COUNT_TOTAL (52); else NVLINK_ERROR_DL_REPLAY (161), summed over the links";
    NvlinkRecovery => NvlinkErrors [kind = "recovery"] Scale::Same, "field NVLINK_RECOVERY_ERROR_COUNT_TOTAL (59); else NVLINK_ERROR_DL_RECOVERY (162) or NVLINK_COUNT_LINK_RECOVERY_EVENTS (215), summed over the links";
    NvlinkCrc => NvlinkErrors [kind = "crc"] Scale::Same, "field NVLINK_ERROR_DL_CRC (163), summed over the links";
    NvlinkRecoveryFailed => NvlinkErrors [kind = "recovery_failed"] Scale::Same, "field NVLINK_COUNT_LINK_RECOVERY_FAILED_EVENTS (214), summed over the links";
    NvlinkReceive => NvlinkErrors [kind = "receive"] Scale::Same, "field NVLINK_COUNT_RCV_ERRORS (208), summed over the links";
    NvlinkMalformed => NvlinkErrors [kind = "receive_malformed"] Scale::Same, "field NVLINK_COUNT_MALFORMED_PACKET_ERRORS (206), summed over the links";
    NvlinkOverrun => NvlinkErrors [kind = "receive_overrun"] Scale::Same, "field NVLINK_COUNT_BUFFER_OVERRUN_ERRORS (207), summed over the links";
    NvlinkRemote => NvlinkErrors [kind = "receive_remote"] Scale::Same, "field NVLINK_COUNT_RCV_REMOTE_ERRORS (209), summed over the links";
    NvlinkHeader => NvlinkErrors [kind = "receive_header"] Scale::Same, "field NVLINK_COUNT_RCV_GENERAL_ERRORS (210), summed over the links";
    NvlinkIntegrity => NvlinkErrors [kind = "link_integrity"] Scale::Same, "field NVLINK_COUNT_LOCAL_LINK_INTEGRITY_ERRORS (211), summed over the links";
    NvlinkDiscard => NvlinkErrors [kind = "transmit_discard"] Scale::Same, "field NVLINK_COUNT_XMIT_DISCARDS (212), summed over the links";
    NvlinkEcc => NvlinkErrors [kind = "ecc_data"] Scale::Same, "field NVLINK_ECC_DATA_ERROR_COUNT_TOTAL (160)";
    EccEnabled => EccEnabled [] Scale::Same, "nvmlDeviceGetEccMode: current";
    EccCorrected => EccErrors [kind = "corrected"] Scale::Same, "nvmlDeviceGetTotalEccErrors: CORRECTED, VOLATILE";
    EccUncorrected => EccErrors [kind = "uncorrected"] Scale::Same, "nvmlDeviceGetTotalEccErrors: UNCORRECTED, VOLATILE";
    EccLifetimeCorrected => EccErrorsLifetime [kind = "corrected"] Scale::Same, "nvmlDeviceGetTotalEccErrors: CORRECTED, AGGREGATE";
    EccLifetimeUncorrected => EccErrorsLifetime [kind = "uncorrected"] Scale::Same, "nvmlDeviceGetTotalEccErrors: UNCORRECTED, AGGREGATE";
    EccDramCorrected => EccErrorsByMemory [kind = "corrected", memory = "dram"] Scale::Same, "nvmlDeviceGetMemoryErrorCounter: CORRECTED, VOLATILE, DRAM";
    EccDramUncorrected => EccErrorsByMemory [kind = "uncorrected", memory = "dram"] Scale::Same, "nvmlDeviceGetMemoryErrorCounter: UNCORRECTED, VOLATILE, DRAM";
    EccSramCorrected => EccErrorsByMemory [kind = "corrected", memory = "sram"] Scale::Same, "nvmlDeviceGetMemoryErrorCounter: CORRECTED, VOLATILE, SRAM";
    EccSramUncorrected => EccErrorsByMemory [kind = "uncorrected", memory = "sram"] Scale::Same, "nvmlDeviceGetMemoryErrorCounter: UNCORRECTED, VOLATILE, SRAM";
    RetiredSingleBit => RetiredPages [cause = "single_bit"] Scale::Same, "field RETIRED_SBE (29)";
    RetiredDoubleBit => RetiredPages [cause = "double_bit"] Scale::Same, "field RETIRED_DBE (30)";
    RetiredPending => RetiredPagesPending [] Scale::Same, "field RETIRED_PENDING (31)";
    RemappedCorrected => RemappedRows [kind = "corrected"] Scale::Same, "field REMAPPED_COR (142)";
    RemappedUncorrected => RemappedRows [kind = "uncorrected"] Scale::Same, "field REMAPPED_UNC (143)";
    RemapPending => RowRemapPending [] Scale::Same, "field REMAPPED_PENDING (144)";
    RemapFailed => RowRemapFailed [] Scale::Same, "field REMAPPED_FAILURE (145)";
    BanksMax => RowRemapBanks [availability = "max"] Scale::Same, "nvmlDeviceGetRowRemapperHistogram: max";
    BanksHigh => RowRemapBanks [availability = "high"] Scale::Same, "nvmlDeviceGetRowRemapperHistogram: high";
    BanksPartial => RowRemapBanks [availability = "partial"] Scale::Same, "nvmlDeviceGetRowRemapperHistogram: partial";
    BanksLow => RowRemapBanks [availability = "low"] Scale::Same, "nvmlDeviceGetRowRemapperHistogram: low";
    BanksNone => RowRemapBanks [availability = "none"] Scale::Same, "nvmlDeviceGetRowRemapperHistogram: none";
    ThrottledPower => ThrottleSeconds [reason = "sw_power_cap"] Scale::NANO, "field CLOCKS_EVENT_REASON_SW_POWER_CAP (74), ns";
    ThrottledSyncBoost => ThrottleSeconds [reason = "sync_boost"] Scale::NANO, "field CLOCKS_EVENT_REASON_SYNC_BOOST (76), ns";
    ThrottledSwThermal => ThrottleSeconds [reason = "sw_thermal"] Scale::NANO, "field CLOCKS_EVENT_REASON_SW_THERM_SLOWDOWN (251; 269 from 580.82), ns";
    ThrottledHwThermal => ThrottleSeconds [reason = "hw_thermal"] Scale::NANO, "field CLOCKS_EVENT_REASON_HW_THERM_SLOWDOWN (252; 270 from 580.82), ns";
    ThrottledPowerBrake => ThrottleSeconds [reason = "hw_power_brake"] Scale::NANO, "field CLOCKS_EVENT_REASON_HW_POWER_BRAKE_SLOWDOWN (253; 271 from 580.82), ns";
    ThrottledThermal => ThrottleSeconds [reason = "thermal"] Scale::NANO, "field PERF_POLICY_THERMAL (75), ns; else nvmlDeviceGetViolationStatus";
    ThrottledBoardLimit => ThrottleSeconds [reason = "board_limit"] Scale::NANO, "field PERF_POLICY_BOARD_LIMIT (77), ns; else nvmlDeviceGetViolationStatus";
    ThrottledLowUtilization => ThrottleSeconds [reason = "low_utilization"] Scale::NANO, "field PERF_POLICY_LOW_UTILIZATION (78), ns; else nvmlDeviceGetViolationStatus";
    ThrottledReliability => ThrottleSeconds [reason = "reliability"] Scale::NANO, "field PERF_POLICY_RELIABILITY (79), ns; else nvmlDeviceGetViolationStatus";
    MigMode => MigEnabled [] Scale::Same, "nvmlDeviceGetMigMode: current";
};

/// The numbers of a MIG instance.
pub const MIG_ROWS: &[Row] = rows! {
    MemoryUsed => MigVramUsed [] Scale::Same, "nvmlDeviceGetMemoryInfo_v2 of the MIG device: used";
    MemoryTotal => MigVramTotal [] Scale::Same, "nvmlDeviceGetMemoryInfo_v2 of the MIG device: total";
    MemoryFree => MigVramFree [] Scale::Same, "nvmlDeviceGetMemoryInfo_v2 of the MIG device: free";
    MemoryReserved => MigVramReserved [] Scale::Same, "nvmlDeviceGetMemoryInfo_v2 of the MIG device: reserved";
    Multiprocessors => MigMultiprocessors [] Scale::Same, "nvmlDeviceGetAttributes_v2: multiprocessorCount, summed over the compute instances";
    GpmDramBandwidth => MigMemoryBandwidth [] Scale::PERCENT, "GPM DRAM_BW_UTIL (10) of the instance";
    GpmSmActive => MigSmActive [] Scale::PERCENT, "GPM SM_UTIL (2) of the instance";
    GpmSmOccupancy => MigSmOccupancy [] Scale::PERCENT, "GPM SM_OCCUPANCY (3) of the instance";
    GpmTensor => MigTensorActive [] Scale::PERCENT, "GPM ANY_TENSOR_UTIL (5) of the instance";
    GpmGraphics => MigGraphicsActive [] Scale::PERCENT, "GPM GRAPHICS_UTIL (1) of the instance";
};

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use tokenpath_core::lint;

    use super::*;

    #[test]
    fn every_family_keeps_to_the_naming_rules() {
        for desc in families() {
            assert_eq!(lint::check(desc), [], "{}", desc.name());
        }
        let names: HashSet<_> = families().iter().map(|desc| desc.name()).collect();
        assert_eq!(names.len(), families().len());
    }

    #[test]
    fn labels_of_rows_are_documented_and_rows_of_a_family_stand_together() {
        for rows in [ROWS, MIG_ROWS] {
            for row in rows {
                for (label, _) in row.labels {
                    assert!(row.family.desc().label_names().contains(label), "{row:?}");
                }
            }
            let mut seen = HashSet::new();
            for pair in rows.windows(2) {
                if pair[0].family != pair[1].family {
                    assert!(seen.insert(pair[0].family), "{:?} is torn apart", pair[0]);
                }
            }
        }
    }

    #[test]
    fn only_what_adds_up_is_added_up() {
        let rule = |family: Family| family.desc().rollup_rule();
        assert_eq!(rule(Family::VramUsed), Rollup::Sum);
        assert_eq!(rule(Family::Power), Rollup::Sum);
        assert_eq!(rule(Family::SampleAge), Rollup::Max);
        assert_eq!(rule(Family::ComputeUtilization), Rollup::None);
        for desc in families() {
            let is_held = matches!(desc.unit(), Unit::None | Unit::Bytes | Unit::Watts);
            if desc.kind() == MetricType::Gauge && !is_held {
                assert_ne!(desc.rollup_rule(), Rollup::Sum, "{}", desc.name());
            }
        }
    }

    #[test]
    fn units_are_converted_exactly() {
        assert!(Scale::MILLI.apply(627_400.0).eq(&627.4));
        assert!(Scale::PERCENT.apply(7.0).eq(&0.07));
        assert!(Scale::MEGA.apply(1980.0).eq(&1.98e9));
        assert!(Scale::KIBI.apply(3.0).eq(&3072.0));
        assert!(Scale::MEBI.apply(3.0).eq(&3_145_728.0));
        assert!(Scale::NANO.apply(1_500_000_000.0).eq(&1.5));
    }
}
