//! The fields that are asked for in one call each: `nvmlDeviceGetFieldValues`.

use nvml_wrapper::sys_exports::field_id as field;

use super::raw::Field;
use crate::device::Quantity;

/// All NVLinks together.
const ALL_LINKS: u32 = u32::MAX;
const NO_SCOPE: u32 = 0;
/// Scopes of power.
const GPU: u32 = 0;
const MODULE: u32 = 1;
const MEMORY: u32 = 2;

/// A field with its scope, and the number that it is.
pub(super) type Scoped = (Field, Quantity);

macro_rules! fields {
    ($($id:ident $scope:ident => $quantity:ident,)+) => {
        [$((
            Field { id: field::$id, scope: $scope },
            Quantity::$quantity,
        ),)+]
    };
}

/// Fields of every reading.
pub(super) const OFTEN: &[Scoped] = &fields![
    NVML_FI_DEV_MEMORY_TEMP NO_SCOPE => TemperatureMemory,
    NVML_FI_DEV_POWER_INSTANT GPU => PowerInstantGpu,
    NVML_FI_DEV_POWER_INSTANT MODULE => PowerInstantModule,
    NVML_FI_DEV_POWER_AVERAGE GPU => PowerAverageGpu,
    NVML_FI_DEV_POWER_AVERAGE MODULE => PowerAverageModule,
    NVML_FI_DEV_POWER_AVERAGE MEMORY => PowerAverageMemory,
    NVML_FI_DEV_PCIE_COUNT_TX_BYTES NO_SCOPE => PcieTransmitted,
    NVML_FI_DEV_PCIE_COUNT_RX_BYTES NO_SCOPE => PcieReceived,
    NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX ALL_LINKS => NvlinkTransmitted,
    NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_RX ALL_LINKS => NvlinkReceived,
    NVML_FI_DEV_CLOCKS_EVENT_REASON_SW_POWER_CAP NO_SCOPE => ThrottledPower,
    NVML_FI_DEV_CLOCKS_EVENT_REASON_SYNC_BOOST NO_SCOPE => ThrottledSyncBoost,
    NVML_FI_DEV_CLOCKS_EVENT_REASON_SW_THERM_SLOWDOWN NO_SCOPE => ThrottledSwThermal,
    NVML_FI_DEV_CLOCKS_EVENT_REASON_HW_THERM_SLOWDOWN NO_SCOPE => ThrottledHwThermal,
    NVML_FI_DEV_CLOCKS_EVENT_REASON_HW_POWER_BRAKE_SLOWDOWN NO_SCOPE => ThrottledPowerBrake,
    NVML_FI_DEV_PERF_POLICY_THERMAL NO_SCOPE => ThrottledThermal,
    NVML_FI_DEV_PERF_POLICY_BOARD_LIMIT NO_SCOPE => ThrottledBoardLimit,
    NVML_FI_DEV_PERF_POLICY_RELIABILITY NO_SCOPE => ThrottledReliability,
];

/// Counters that some cards keep in 32 bits, which wrap several times a second: no sampling can follow
/// those. They are numbers where the driver counts them in 64 bits.
pub(super) const WRAPPING: [Quantity; 2] = [Quantity::PcieTransmitted, Quantity::PcieReceived];

/// Fields of what hardly changes.
pub(super) const STANDING: &[Scoped] = &fields![
    NVML_FI_DEV_PERF_POLICY_LOW_UTILIZATION NO_SCOPE => ThrottledLowUtilization,
    NVML_FI_DEV_TEMPERATURE_SHUTDOWN_TLIMIT NO_SCOPE => MarginShutdown,
    NVML_FI_DEV_TEMPERATURE_SLOWDOWN_TLIMIT NO_SCOPE => MarginSlowdown,
    NVML_FI_DEV_TEMPERATURE_MEM_MAX_TLIMIT NO_SCOPE => MarginMemoryMax,
    NVML_FI_DEV_TEMPERATURE_GPU_MAX_TLIMIT NO_SCOPE => MarginGpuMax,
    NVML_FI_DEV_RETIRED_SBE NO_SCOPE => RetiredSingleBit,
    NVML_FI_DEV_RETIRED_DBE NO_SCOPE => RetiredDoubleBit,
    NVML_FI_DEV_RETIRED_PENDING NO_SCOPE => RetiredPending,
    NVML_FI_DEV_REMAPPED_COR NO_SCOPE => RemappedCorrected,
    NVML_FI_DEV_REMAPPED_UNC NO_SCOPE => RemappedUncorrected,
    NVML_FI_DEV_REMAPPED_PENDING NO_SCOPE => RemapPending,
    NVML_FI_DEV_REMAPPED_FAILURE NO_SCOPE => RemapFailed,
    NVML_FI_DEV_NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL NO_SCOPE => NvlinkCrcFlit,
    NVML_FI_DEV_NVLINK_CRC_DATA_ERROR_COUNT_TOTAL NO_SCOPE => NvlinkCrcData,
    NVML_FI_DEV_NVLINK_REPLAY_ERROR_COUNT_TOTAL NO_SCOPE => NvlinkReplay,
    NVML_FI_DEV_NVLINK_RECOVERY_ERROR_COUNT_TOTAL NO_SCOPE => NvlinkRecovery,
    NVML_FI_DEV_NVLINK_ECC_DATA_ERROR_COUNT_TOTAL NO_SCOPE => NvlinkEcc,
];

/// Error counters of one link, on cards whose totals are not there: the scope is the link. Blackwell
/// has the later ones in the place of the first three; of one quantity, the first that answers stands.
pub(super) const OF_LINK: [(u32, Quantity); 12] = [
    (
        field::NVML_FI_DEV_NVLINK_ERROR_DL_REPLAY,
        Quantity::NvlinkReplay,
    ),
    (
        field::NVML_FI_DEV_NVLINK_ERROR_DL_RECOVERY,
        Quantity::NvlinkRecovery,
    ),
    (field::NVML_FI_DEV_NVLINK_ERROR_DL_CRC, Quantity::NvlinkCrc),
    (
        field::NVML_FI_DEV_NVLINK_COUNT_LINK_RECOVERY_EVENTS,
        Quantity::NvlinkRecovery,
    ),
    (
        field::NVML_FI_DEV_NVLINK_COUNT_LINK_RECOVERY_FAILED_EVENTS,
        Quantity::NvlinkRecoveryFailed,
    ),
    (
        field::NVML_FI_DEV_NVLINK_COUNT_RCV_ERRORS,
        Quantity::NvlinkReceive,
    ),
    (
        field::NVML_FI_DEV_NVLINK_COUNT_MALFORMED_PACKET_ERRORS,
        Quantity::NvlinkMalformed,
    ),
    (
        field::NVML_FI_DEV_NVLINK_COUNT_BUFFER_OVERRUN_ERRORS,
        Quantity::NvlinkOverrun,
    ),
    (
        field::NVML_FI_DEV_NVLINK_COUNT_RCV_REMOTE_ERRORS,
        Quantity::NvlinkRemote,
    ),
    (
        field::NVML_FI_DEV_NVLINK_COUNT_RCV_GENERAL_ERRORS,
        Quantity::NvlinkHeader,
    ),
    (
        field::NVML_FI_DEV_NVLINK_COUNT_LOCAL_LINK_INTEGRITY_ERRORS,
        Quantity::NvlinkIntegrity,
    ),
    (
        field::NVML_FI_DEV_NVLINK_COUNT_XMIT_DISCARDS,
        Quantity::NvlinkDiscard,
    ),
];
