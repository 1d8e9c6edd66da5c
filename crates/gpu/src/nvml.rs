//! The real driver: NVIDIA's management library, found and loaded when it is opened.
//!
//! Nothing here links to a driver: without one, [`open`](Driver::open) fails with what is missing. A
//! function that the installed driver lacks is as good as one that the card does not support: the
//! number is absent. The calls that nvml-wrapper lacks are in `raw`.
//!
//! Two traps of nvml-wrapper 0.13 are stepped around. Dropping an `Nvml`, an `EventSet` or a
//! `GpmSample` panics where the library lacks the function that frees it, so none is made, or it is
//! forgotten. And what borrows the library has to go before it: [`Driver::open`] hands out the session
//! and gets it back, so that the borrow checker sees to the order.

mod raw;

use std::collections::HashMap;
use std::ffi::OsStr;
use std::mem;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nvml_wrapper::bitmasks::event::EventTypes;
use nvml_wrapper::enum_wrappers::device::{
    Clock, EccCounter, MemoryError, MemoryLocation, PcieUtilCounter, PerformancePolicy,
    TemperatureSensor, TemperatureThreshold,
};
use nvml_wrapper::enums::device::{DeviceArchitecture, UsedGpuMemory};
use nvml_wrapper::enums::event::XidError;
use nvml_wrapper::enums::gpm::GpmMetricId;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::gpm::gpm_metrics_get;
use nvml_wrapper::struct_wrappers::device::ProcessInfo;
use nvml_wrapper::sys_exports::field_id as field;
use nvml_wrapper::{Device, EventSet, GpmSample};

use self::raw::Field;
use crate::device::{
    CallError, Driver, DriverError, Identity, MigDevice, Numbers, Process, ProcessKind,
    Quantity as Q, Reading, Session, Standing, Versions, Wanted,
};

/// NVIDIA's management library.
///
/// ```
/// use tokenpath_gpu::device::{Driver, DriverError};
/// use tokenpath_gpu::nvml::Nvml;
///
/// let error = Nvml::at("/no/such/libnvidia-ml.so").open(&mut |_| ()).unwrap_err();
/// assert!(matches!(error, DriverError::Library { .. }));
/// assert!(error.to_string().contains("install the NVIDIA driver"));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Nvml {
    library: Option<PathBuf>,
}

impl Nvml {
    /// The library where the dynamic linker finds it: `libnvidia-ml.so.1`.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The library at this path.
    #[must_use]
    pub fn at(library: impl Into<PathBuf>) -> Self {
        Self {
            library: Some(library.into()),
        }
    }
}

impl Driver for Nvml {
    fn open(&mut self, work: &mut dyn FnMut(&mut dyn Session)) -> Result<(), DriverError> {
        let mut builder = nvml_wrapper::Nvml::builder();
        if let Some(path) = &self.library {
            builder.lib_path(OsStr::new(path));
        }
        let opened = Opened(Some(builder.init().map_err(not_opened)?));
        if let Some(nvml) = &opened.0 {
            work(&mut NvmlSession::new(nvml));
        }
        Ok(())
    }
}

/// Shuts the library down when it goes, also when a panic passes by.
struct Opened(Option<nvml_wrapper::Nvml>);

impl Drop for Opened {
    fn drop(&mut self) {
        let Some(nvml) = self.0.take() else { return };
        if nvml.lib().nvmlShutdown.is_ok() {
            // Its error has no one to go to: the driver is given up either way.
            drop(nvml);
        } else {
            mem::forget(nvml);
        }
    }
}

fn not_opened(error: NvmlError) -> DriverError {
    match error {
        NvmlError::LibloadingError(error) => DriverError::Library {
            message: error.to_string(),
        },
        NvmlError::FailedToLoadSymbol(_) => DriverError::Function {
            function: "nvmlInit_v2",
        },
        error => {
            let code = error.into();
            DriverError::Init(match from_code(code) {
                // Not a number that is absent, but a driver that cannot be opened.
                CallError::NotSupported => CallError::Code(code),
                error => error,
            })
        }
    }
}

/// What a return code of NVML (not 0) means to us.
pub(crate) const fn from_code(code: u32) -> CallError {
    match code {
        1 => CallError::Uninitialized,
        // An argument, a function, a structure or an object that this driver or card does not know,
        // or no longer (26): all the same to a reader.
        2 | 3 | 6 | 13 | 21 | 25 | 26 => CallError::NotSupported,
        4 => CallError::NoPermission,
        9 => CallError::DriverNotLoaded,
        10 => CallError::Timeout,
        15 => CallError::GpuLost,
        16 => CallError::ResetRequired,
        17 => CallError::OperatingSystem,
        18 => CallError::VersionMismatch,
        20 => CallError::OutOfMemory,
        999 => CallError::Unknown,
        code => CallError::Code(code),
    }
}

fn call_error(error: NvmlError) -> CallError {
    match error {
        NvmlError::FailedToLoadSymbol(_) => CallError::NotSupported,
        error => from_code(error.into()),
    }
}

/// Two samples closer than this say little; the driver's counters are not read more often.
const GPM_SPACING: Duration = Duration::from_millis(100);

/// More events than this at once are left for the next reading.
const EVENTS_AT_ONCE: usize = 64;

/// The GPM metrics of a GPU.
const GPM: [(GpmMetricId, Q); 16] = [
    (GpmMetricId::GraphicsUtil, Q::GpmGraphics),
    (GpmMetricId::SmUtil, Q::GpmSmActive),
    (GpmMetricId::SmOccupancy, Q::GpmSmOccupancy),
    (GpmMetricId::IntegerUtil, Q::GpmInteger),
    (GpmMetricId::AnyTensorUtil, Q::GpmTensor),
    (GpmMetricId::DfmaTensorUtil, Q::GpmTensorDfma),
    (GpmMetricId::HmmaTensorUtil, Q::GpmTensorHmma),
    (GpmMetricId::ImmaTensorUtil, Q::GpmTensorImma),
    (GpmMetricId::DramBwUtil, Q::GpmDramBandwidth),
    (GpmMetricId::Fp64Util, Q::GpmFp64),
    (GpmMetricId::Fp32Util, Q::GpmFp32),
    (GpmMetricId::Fp16Util, Q::GpmFp16),
    (GpmMetricId::PcieTxPerSec, Q::GpmPcieTransmit),
    (GpmMetricId::PcieRxPerSec, Q::GpmPcieReceive),
    (GpmMetricId::NvlinkTotalTxPerSec, Q::GpmNvlinkTransmit),
    (GpmMetricId::NvlinkTotalRxPerSec, Q::GpmNvlinkReceive),
];

/// All NVLinks together.
const ALL_LINKS: u32 = u32::MAX;
const NO_SCOPE: u32 = 0;

/// Fields of every reading.
const FIELDS: [(u32, u32, Q); 18] = [
    (
        field::NVML_FI_DEV_MEMORY_TEMP,
        NO_SCOPE,
        Q::TemperatureMemory,
    ),
    (field::NVML_FI_DEV_POWER_INSTANT, 0, Q::PowerInstantGpu),
    (field::NVML_FI_DEV_POWER_INSTANT, 1, Q::PowerInstantModule),
    (field::NVML_FI_DEV_POWER_AVERAGE, 0, Q::PowerAverageGpu),
    (field::NVML_FI_DEV_POWER_AVERAGE, 1, Q::PowerAverageModule),
    (field::NVML_FI_DEV_POWER_AVERAGE, 2, Q::PowerAverageMemory),
    (
        field::NVML_FI_DEV_PCIE_COUNT_TX_BYTES,
        NO_SCOPE,
        Q::PcieTransmitted,
    ),
    (
        field::NVML_FI_DEV_PCIE_COUNT_RX_BYTES,
        NO_SCOPE,
        Q::PcieReceived,
    ),
    (
        field::NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX,
        ALL_LINKS,
        Q::NvlinkTransmitted,
    ),
    (
        field::NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_RX,
        ALL_LINKS,
        Q::NvlinkReceived,
    ),
    (
        field::NVML_FI_DEV_CLOCKS_EVENT_REASON_SW_POWER_CAP,
        NO_SCOPE,
        Q::ThrottledPower,
    ),
    (
        field::NVML_FI_DEV_CLOCKS_EVENT_REASON_SYNC_BOOST,
        NO_SCOPE,
        Q::ThrottledSyncBoost,
    ),
    (
        field::NVML_FI_DEV_CLOCKS_EVENT_REASON_SW_THERM_SLOWDOWN,
        NO_SCOPE,
        Q::ThrottledSwThermal,
    ),
    (
        field::NVML_FI_DEV_CLOCKS_EVENT_REASON_HW_THERM_SLOWDOWN,
        NO_SCOPE,
        Q::ThrottledHwThermal,
    ),
    (
        field::NVML_FI_DEV_CLOCKS_EVENT_REASON_HW_POWER_BRAKE_SLOWDOWN,
        NO_SCOPE,
        Q::ThrottledPowerBrake,
    ),
    (
        field::NVML_FI_DEV_PERF_POLICY_THERMAL,
        NO_SCOPE,
        Q::ThrottledThermal,
    ),
    (
        field::NVML_FI_DEV_PERF_POLICY_BOARD_LIMIT,
        NO_SCOPE,
        Q::ThrottledBoardLimit,
    ),
    (
        field::NVML_FI_DEV_PERF_POLICY_RELIABILITY,
        NO_SCOPE,
        Q::ThrottledReliability,
    ),
];

/// Fields of a standing reading.
const STANDING_FIELDS: [(u32, u32, Q); 17] = [
    (
        field::NVML_FI_DEV_PERF_POLICY_LOW_UTILIZATION,
        NO_SCOPE,
        Q::ThrottledLowUtilization,
    ),
    (
        field::NVML_FI_DEV_TEMPERATURE_SHUTDOWN_TLIMIT,
        NO_SCOPE,
        Q::MarginShutdown,
    ),
    (
        field::NVML_FI_DEV_TEMPERATURE_SLOWDOWN_TLIMIT,
        NO_SCOPE,
        Q::MarginSlowdown,
    ),
    (
        field::NVML_FI_DEV_TEMPERATURE_MEM_MAX_TLIMIT,
        NO_SCOPE,
        Q::MarginMemoryMax,
    ),
    (
        field::NVML_FI_DEV_TEMPERATURE_GPU_MAX_TLIMIT,
        NO_SCOPE,
        Q::MarginGpuMax,
    ),
    (
        field::NVML_FI_DEV_RETIRED_SBE,
        NO_SCOPE,
        Q::RetiredSingleBit,
    ),
    (
        field::NVML_FI_DEV_RETIRED_DBE,
        NO_SCOPE,
        Q::RetiredDoubleBit,
    ),
    (
        field::NVML_FI_DEV_RETIRED_PENDING,
        NO_SCOPE,
        Q::RetiredPending,
    ),
    (
        field::NVML_FI_DEV_REMAPPED_COR,
        NO_SCOPE,
        Q::RemappedCorrected,
    ),
    (
        field::NVML_FI_DEV_REMAPPED_UNC,
        NO_SCOPE,
        Q::RemappedUncorrected,
    ),
    (
        field::NVML_FI_DEV_REMAPPED_PENDING,
        NO_SCOPE,
        Q::RemapPending,
    ),
    (
        field::NVML_FI_DEV_REMAPPED_FAILURE,
        NO_SCOPE,
        Q::RemapFailed,
    ),
    (
        field::NVML_FI_DEV_NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL,
        NO_SCOPE,
        Q::NvlinkCrcFlit,
    ),
    (
        field::NVML_FI_DEV_NVLINK_CRC_DATA_ERROR_COUNT_TOTAL,
        NO_SCOPE,
        Q::NvlinkCrcData,
    ),
    (
        field::NVML_FI_DEV_NVLINK_REPLAY_ERROR_COUNT_TOTAL,
        NO_SCOPE,
        Q::NvlinkReplay,
    ),
    (
        field::NVML_FI_DEV_NVLINK_RECOVERY_ERROR_COUNT_TOTAL,
        NO_SCOPE,
        Q::NvlinkRecovery,
    ),
    (
        field::NVML_FI_DEV_NVLINK_ECC_DATA_ERROR_COUNT_TOTAL,
        NO_SCOPE,
        Q::NvlinkEcc,
    ),
];

/// Error counters of one link, on cards whose totals are not there.
const LINK_FIELDS: [(u32, Q); 3] = [
    (field::NVML_FI_DEV_NVLINK_ERROR_DL_REPLAY, Q::NvlinkReplay),
    (
        field::NVML_FI_DEV_NVLINK_ERROR_DL_RECOVERY,
        Q::NvlinkRecovery,
    ),
    (field::NVML_FI_DEV_NVLINK_ERROR_DL_CRC, Q::NvlinkCrc),
];

const LINKS_MAX: u32 = 18;

/// Times of old drivers that do not know the fields.
const VIOLATIONS: [(PerformancePolicy, Q); 6] = [
    (PerformancePolicy::Power, Q::ThrottledPower),
    (PerformancePolicy::SyncBoost, Q::ThrottledSyncBoost),
    (PerformancePolicy::Thermal, Q::ThrottledThermal),
    (PerformancePolicy::BoardLimit, Q::ThrottledBoardLimit),
    (
        PerformancePolicy::LowUtilization,
        Q::ThrottledLowUtilization,
    ),
    (PerformancePolicy::Reliability, Q::ThrottledReliability),
];

struct NvmlSession<'n> {
    nvml: &'n nvml_wrapper::Nvml,
    /// What is kept of each GPU between two readings, by UUID.
    kept: HashMap<String, Kept<'n>>,
    /// Whether samples and event sets can be freed again.
    can_gpm: bool,
    can_events: bool,
    field_answer: Vec<Result<f64, CallError>>,
}

#[derive(Default)]
struct Kept<'n> {
    gpm: Option<Spaced<'n>>,
    mig_gpm: HashMap<u32, Spaced<'n>>,
    gpm_supported: Option<bool>,
    events: Events<'n>,
    pcie_throughput_blocks: bool,
}

#[derive(Default)]
enum Events<'n> {
    #[default]
    NotAsked,
    Unsupported,
    Registered(EventSet<'n>),
}

/// A GPM sample and when it was taken.
struct Spaced<'n> {
    sample: GpmSample<'n>,
    taken: Instant,
}

impl<'n> NvmlSession<'n> {
    fn new(nvml: &'n nvml_wrapper::Nvml) -> Self {
        let lib = nvml.lib();
        Self {
            nvml,
            kept: HashMap::new(),
            can_gpm: lib.nvmlGpmSampleFree.is_ok(),
            can_events: lib.nvmlEventSetFree.is_ok(),
            field_answer: Vec::new(),
        }
    }

    fn device(&self, index: u32) -> Result<Device<'n>, CallError> {
        self.nvml.device_by_index(index).map_err(call_error)
    }
}

impl Session for NvmlSession<'_> {
    fn versions(&mut self) -> Versions {
        let cuda = self
            .nvml
            .sys_cuda_driver_version()
            .ok()
            .map(|version| format!("{}.{}", version / 1000, version % 1000 / 10));
        Versions {
            driver: self.nvml.sys_driver_version().ok(),
            nvml: self.nvml.sys_nvml_version().ok(),
            cuda,
        }
    }

    fn count(&mut self) -> Result<u32, CallError> {
        self.nvml.device_count().map_err(call_error)
    }

    fn uuid(&mut self, index: u32) -> Result<String, CallError> {
        raw::uuid(&self.device(index)?)
    }

    fn identity(&mut self, index: u32) -> Identity {
        let Ok(device) = self.device(index) else {
            return Identity::default();
        };
        Identity {
            name: raw::name(&device).ok(),
            pci_bus_id: device.pci_info().ok().map(|pci| pci.bus_id),
            architecture: device.architecture().ok().and_then(architecture),
            vbios_version: raw::vbios_version(&device).ok(),
        }
    }

    fn read(
        &mut self,
        index: u32,
        uuid: &str,
        wanted: Wanted,
        reading: &mut Reading,
    ) -> Result<(), CallError> {
        if !self.kept.contains_key(uuid) {
            self.kept.insert(uuid.to_owned(), Kept::default());
        }
        let Some(kept) = self.kept.get_mut(uuid) else {
            return Err(CallError::Unknown);
        };
        // Events first: they tell why a GPU was lost, also when nothing else can be read any more.
        reading.xids = match self.nvml.device_by_index(index) {
            Ok(device) if self.can_events => xids(&device, &mut kept.events),
            _ => None,
        };
        let device = self.nvml.device_by_index(index).map_err(call_error)?;
        let mut reader = Reader {
            device: &device,
            reading: &mut *reading,
            lost: None,
            answered: false,
        };
        reader.often(&mut self.field_answer);
        reader.fail_if_lost()?;
        if wanted.standing {
            reader.standing(&mut self.field_answer);
            reader.fail_if_lost()?;
        }
        let mig_enabled = reader.mig_mode();
        if self.can_gpm && kept.supports_gpm(&device) && !mig_enabled {
            gpm(&device, &mut kept.gpm, &mut reader.reading.numbers);
        }
        reader.pcie(kept, wanted.pcie_throughput);
        if wanted.processes {
            reader.processes();
        }
        if wanted.mig && mig_enabled {
            reader.mig(kept, self.can_gpm);
        }
        reader.fail_if_lost()?;
        if reader.answered {
            return Ok(());
        }
        // Not one call went through. The most frequent reason is as good as any other.
        Err(reading
            .errors
            .first()
            .copied()
            .unwrap_or(CallError::Unknown))
    }

    fn last_xids(&mut self, uuid: &str) -> Vec<u64> {
        match self.kept.get(uuid).map(|kept| &kept.events) {
            Some(Events::Registered(set)) => waiting(set),
            _ => Vec::new(),
        }
    }

    fn pcie_throughput_blocks(&mut self, uuid: &str) -> bool {
        self.kept
            .get(uuid)
            .is_some_and(|kept| kept.pcie_throughput_blocks)
    }

    fn process_name(&mut self, pid: u32) -> Option<String> {
        raw::process_name(self.nvml, pid).ok()
    }
}

fn architecture(architecture: DeviceArchitecture) -> Option<String> {
    match architecture {
        DeviceArchitecture::Unknown => None,
        known => Some(format!("{known:?}").to_lowercase()),
    }
}

/// Codes of the XID errors since the last call. `None` where the GPU does not report them.
fn xids<'n>(device: &Device<'n>, events: &mut Events<'n>) -> Option<Vec<u64>> {
    if matches!(events, Events::NotAsked) {
        *events = register(device);
    }
    match events {
        Events::Registered(set) => Some(waiting(set)),
        _ => None,
    }
}

fn waiting(set: &EventSet<'_>) -> Vec<u64> {
    let mut codes = Vec::new();
    while codes.len() < EVENTS_AT_ONCE {
        // Zero milliseconds: what is there already, without waiting.
        let Ok(event) = set.wait(0) else { break };
        match event.event_data {
            Some(XidError::Value(code)) => codes.push(code),
            Some(XidError::Unknown) => codes.push(999),
            None => {}
        }
    }
    codes
}

/// One set for each GPU: an event then needs no mapping back to its device.
fn register<'n>(device: &Device<'n>) -> Events<'n> {
    let xid = EventTypes::CRITICAL_XID_ERROR;
    let supported = device
        .supported_event_types()
        .is_ok_and(|types| types.contains(xid));
    if !supported {
        return Events::Unsupported;
    }
    device
        .nvml()
        .create_event_set()
        .ok()
        .and_then(|set| device.register_events(xid, set).ok())
        .map_or(Events::Unsupported, Events::Registered)
}

impl Kept<'_> {
    fn supports_gpm(&mut self, device: &Device<'_>) -> bool {
        *self
            .gpm_supported
            .get_or_insert_with(|| device.gpm_support().unwrap_or(false))
    }
}

/// Takes a sample and says what happened since the one before.
fn gpm<'n>(device: &Device<'n>, before: &mut Option<Spaced<'n>>, numbers: &mut Numbers) {
    step(device, before, numbers, |device| device.gpm_sample());
}

fn step<'n>(
    device: &Device<'n>,
    before: &mut Option<Spaced<'n>>,
    numbers: &mut Numbers,
    sample: impl FnOnce(&Device<'n>) -> Result<GpmSample<'n>, NvmlError>,
) {
    let too_soon = |spaced: &Spaced<'_>| spaced.taken.elapsed() < GPM_SPACING;
    if before.as_ref().is_some_and(too_soon) {
        return;
    }
    let Ok(sample) = sample(device) else {
        *before = None;
        return;
    };
    let taken = Instant::now();
    if let Some(before) = before {
        let ids = GPM.map(|(id, _)| id);
        if let Ok(metrics) = gpm_metrics_get(device.nvml(), &before.sample, &sample, &ids) {
            for (metric, (_, quantity)) in metrics.into_iter().zip(GPM) {
                if let Ok(metric) = metric {
                    numbers.put(quantity, metric.value);
                }
            }
        }
    }
    *before = Some(Spaced { sample, taken });
}

/// One reading under way.
struct Reader<'r, 'n> {
    device: &'r Device<'n>,
    reading: &'r mut Reading,
    /// The error that ends the device, once there was one.
    lost: Option<CallError>,
    /// Whether any call went through.
    answered: bool,
}

impl<'n> Reader<'_, 'n> {
    fn fail_if_lost(&self) -> Result<(), CallError> {
        self.lost.map_or(Ok(()), Err)
    }

    /// The value, with the error noted where it is worth noting.
    fn note<T>(&mut self, result: Result<T, CallError>) -> Option<T> {
        match result {
            Ok(value) => {
                self.answered = true;
                return Some(value);
            }
            // The driver lives, it just cannot do that.
            Err(CallError::NotSupported) => {}
            Err(error) => {
                self.reading.errors.push(error);
                if error.ends_device() {
                    self.lost.get_or_insert(error);
                }
            }
        }
        None
    }

    fn try_u32(&mut self, quantity: Q, result: Result<u32, NvmlError>) {
        if let Some(value) = self.note(result.map_err(call_error)) {
            self.reading.numbers.put_u32(quantity, value);
        }
    }

    fn try_u64(&mut self, quantity: Q, result: Result<u64, NvmlError>) {
        if let Some(value) = self.note(result.map_err(call_error)) {
            self.reading.numbers.put_u64(quantity, value);
        }
    }

    /// What changes from moment to moment.
    fn often(&mut self, answer: &mut Vec<Result<f64, CallError>>) {
        let device = self.device;
        if let Some(memory) = self.note(memory(device)) {
            memory.put(&mut self.reading.numbers);
        }
        if let Some(rates) = self.note(device.utilization_rates().map_err(call_error)) {
            self.reading.numbers.put_u32(Q::UtilizationGpu, rates.gpu);
            self.reading
                .numbers
                .put_u32(Q::UtilizationMemory, rates.memory);
        }
        self.try_u32(
            Q::Encoder,
            device.encoder_utilization().map(|it| it.utilization),
        );
        self.try_u32(
            Q::Decoder,
            device.decoder_utilization().map(|it| it.utilization),
        );
        for (quantity, result) in [
            (Q::Jpeg, raw::jpeg_utilization(device)),
            (Q::OpticalFlow, raw::optical_flow_utilization(device)),
        ] {
            if let Some(percent) = self.note(result) {
                self.reading.numbers.put_u32(quantity, percent);
            }
        }
        self.try_u32(
            Q::TemperatureGpu,
            device.temperature(TemperatureSensor::Gpu),
        );
        if let Some(margin) = self.note(raw::margin_temperature(device)) {
            self.reading
                .numbers
                .put(Q::TemperatureMargin, f64::from(margin));
        }
        self.try_u32(Q::Power, device.power_usage());
        self.try_u64(Q::Energy, device.total_energy_consumption());
        for (quantity, clock) in [
            (Q::ClockGraphics, Clock::Graphics),
            (Q::ClockSm, Clock::SM),
            (Q::ClockMemory, Clock::Memory),
            (Q::ClockVideo, Clock::Video),
        ] {
            self.try_u32(quantity, device.clock_info(clock));
        }
        if let Some(state) = self
            .note(raw::performance_state(device))
            .filter(|state| *state < 32)
        {
            self.reading.numbers.put_u32(Q::PerformanceState, state);
        }
        self.try_u32(Q::PcieReplays, device.pcie_replay_counter());
        self.try_u32(Q::PcieGeneration, device.current_pcie_link_gen());
        self.try_u32(Q::PcieWidth, device.current_pcie_link_width());
        self.reading.throttle_bits = self.note(raw::clocks_event_reasons(device));
        self.fans();
        self.fields(&FIELDS, answer);
        if self.reading.numbers.get(Q::ThrottledThermal).is_none() {
            for (policy, quantity) in VIOLATIONS {
                let time = device.violation_status(policy);
                self.try_u64(quantity, time.map(|time| time.violation_time));
            }
        }
    }

    fn fans(&mut self) {
        let Some(fans) = self.note(self.device.num_fans().map_err(call_error)) else {
            return;
        };
        for fan in 0..fans.min(FANS_MAX) {
            let speed = self.note(self.device.fan_speed(fan).map_err(call_error));
            self.reading.fans_percent.push(speed);
        }
    }

    fn fields(&mut self, asked: &[(u32, u32, Q)], answer: &mut Vec<Result<f64, CallError>>) {
        let fields: Vec<Field> = asked
            .iter()
            .map(|&(id, scope, _)| Field { id, scope })
            .collect();
        if self
            .note(raw::fields(self.device, &fields, answer))
            .is_none()
        {
            return;
        }
        for (value, (_, _, quantity)) in answer.iter().zip(asked) {
            if let Some(value) = self.note(*value) {
                self.reading.numbers.put(*quantity, value);
            }
        }
    }

    /// What hardly changes.
    fn standing(&mut self, answer: &mut Vec<Result<f64, CallError>>) {
        let device = self.device;
        let often = mem::take(&mut self.reading.numbers);
        self.try_u32(Q::PowerLimit, device.enforced_power_limit());
        self.try_u32(Q::PowerLimitRequested, device.power_management_limit());
        self.try_u32(
            Q::PowerLimitDefault,
            device.power_management_limit_default(),
        );
        if let Some(range) = self.note(
            device
                .power_management_limit_constraints()
                .map_err(call_error),
        ) {
            self.reading
                .numbers
                .put_u32(Q::PowerLimitMin, range.min_limit);
            self.reading
                .numbers
                .put_u32(Q::PowerLimitMax, range.max_limit);
        }
        for (quantity, threshold) in [
            (Q::ThresholdShutdown, TemperatureThreshold::Shutdown),
            (Q::ThresholdSlowdown, TemperatureThreshold::Slowdown),
            (Q::ThresholdMemoryMax, TemperatureThreshold::MemoryMax),
            (Q::ThresholdGpuMax, TemperatureThreshold::GpuMax),
        ] {
            self.try_u32(quantity, device.temperature_threshold(threshold));
        }
        for (quantity, clock) in [
            (Q::ClockMaxGraphics, Clock::Graphics),
            (Q::ClockMaxSm, Clock::SM),
            (Q::ClockMaxMemory, Clock::Memory),
            (Q::ClockMaxVideo, Clock::Video),
        ] {
            self.try_u32(quantity, device.max_clock_info(clock));
        }
        self.try_u32(Q::PcieGenerationMax, device.max_pcie_link_gen());
        self.try_u32(Q::PcieWidthMax, device.max_pcie_link_width());
        if let Some(bar1) = self.note(device.bar1_memory_info().map_err(call_error)) {
            self.reading.numbers.put_u64(Q::Bar1Used, bar1.used);
            self.reading.numbers.put_u64(Q::Bar1Total, bar1.total);
        }
        self.ecc();
        if let Some(banks) = self.note(raw::row_remapper_histogram(device)) {
            for (quantity, banks) in [
                (Q::BanksMax, banks.max),
                (Q::BanksHigh, banks.high),
                (Q::BanksPartial, banks.partial),
                (Q::BanksLow, banks.low),
                (Q::BanksNone, banks.none),
            ] {
                self.reading.numbers.put_u32(quantity, banks);
            }
        }
        self.fields(&STANDING_FIELDS, answer);
        let nvlinks = self.nvlinks(answer);
        self.reading.standing = Some(Standing {
            numbers: mem::replace(&mut self.reading.numbers, often),
            nvlinks,
        });
    }

    fn ecc(&mut self) {
        let device = self.device;
        if let Some(mode) = self.note(device.is_ecc_enabled().map_err(call_error)) {
            self.reading
                .numbers
                .put_u32(Q::EccEnabled, u32::from(mode.currently_enabled));
        }
        let (corrected, uncorrected) = (MemoryError::Corrected, MemoryError::Uncorrected);
        let (volatile, aggregate) = (EccCounter::Volatile, EccCounter::Aggregate);
        for (quantity, error, counter) in [
            (Q::EccCorrected, &corrected, &volatile),
            (Q::EccUncorrected, &uncorrected, &volatile),
            (Q::EccLifetimeCorrected, &corrected, &aggregate),
            (Q::EccLifetimeUncorrected, &uncorrected, &aggregate),
        ] {
            let count = device.total_ecc_errors(error.clone(), counter.clone());
            self.try_u64(quantity, count);
        }
        for (quantity, error, memory) in [
            (Q::EccDramCorrected, &corrected, MemoryLocation::Device),
            (Q::EccDramUncorrected, &uncorrected, MemoryLocation::Device),
            (Q::EccSramCorrected, &corrected, MemoryLocation::SRAM),
            (Q::EccSramUncorrected, &uncorrected, MemoryLocation::SRAM),
        ] {
            let count = device.memory_error_counter(error.clone(), volatile.clone(), memory);
            self.try_u64(quantity, count);
        }
    }

    /// The state of each link, and its errors where the card keeps no totals.
    fn nvlinks(&mut self, answer: &mut Vec<Result<f64, CallError>>) -> Vec<bool> {
        let mut nvlinks = Vec::new();
        for link in 0..LINKS_MAX {
            let state = self.device.link_wrapper_for(link).is_active();
            match self.note(state.map_err(call_error)) {
                Some(active) => nvlinks.push(active),
                // Links are numbered without gaps: the first that is not there ends them.
                None => break,
            }
        }
        let links = u32::try_from(nvlinks.len()).unwrap_or(LINKS_MAX);
        if links == 0 || self.reading.numbers.get(Q::NvlinkReplay).is_some() {
            return nvlinks;
        }
        let asked: Vec<Field> = LINK_FIELDS
            .iter()
            .flat_map(|&(id, _)| (0..links).map(move |scope| Field { id, scope }))
            .collect();
        if self
            .note(raw::fields(self.device, &asked, answer))
            .is_none()
        {
            return nvlinks;
        }
        for (counts, (_, quantity)) in answer.chunks(links as usize).zip(LINK_FIELDS) {
            // A sum that lacks a link would fall when the link comes back: all of them, or none.
            if let Ok(counts) = counts.iter().copied().collect::<Result<Vec<f64>, _>>() {
                self.reading.numbers.put(quantity, counts.iter().sum());
            }
        }
        nvlinks
    }

    /// Whether the GPU is partitioned.
    fn mig_mode(&mut self) -> bool {
        let Some(mode) = self.note(self.device.mig_mode().map_err(call_error)) else {
            return false;
        };
        self.reading.numbers.put_u32(Q::MigMode, mode.current);
        mode.current == 1
    }

    /// PCIe rates by the blocking call, where neither counters nor GPM have them.
    fn pcie(&mut self, kept: &mut Kept<'_>, wanted: bool) {
        let numbers = &self.reading.numbers;
        kept.pcie_throughput_blocks =
            numbers.get(Q::PcieTransmitted).is_none() && kept.gpm_supported != Some(true);
        if !wanted || !kept.pcie_throughput_blocks {
            return;
        }
        for (quantity, counter) in [
            (Q::PcieThroughputTransmit, PcieUtilCounter::Send),
            (Q::PcieThroughputReceive, PcieUtilCounter::Receive),
        ] {
            self.try_u32(quantity, self.device.pcie_throughput(counter));
        }
    }

    fn processes(&mut self) {
        let device = self.device;
        let compute = older(device.running_compute_processes(), || {
            device.running_compute_processes_v2()
        });
        let graphics = older(device.running_graphics_processes(), || {
            device.running_graphics_processes_v2()
        });
        for (kind, processes) in [
            (ProcessKind::Compute, compute),
            (ProcessKind::Graphics, graphics),
        ] {
            if let Some(processes) = self.note(processes.map_err(call_error)) {
                self.reading
                    .processes
                    .get_or_insert_default()
                    .extend(processes.into_iter().map(|info| process(kind, &info)));
            }
        }
    }

    fn mig(&mut self, kept: &mut Kept<'n>, can_gpm: bool) {
        let parent = self.device;
        let Some(devices) = self.note(parent.mig_device_count().map_err(call_error)) else {
            return;
        };
        let gpm = can_gpm && kept.supports_gpm(parent);
        for index in 0..devices {
            // Most indices up to the possible number are not in use: not found, which is no error.
            let Some(device) = self.note(parent.mig_device_by_index(index).map_err(call_error))
            else {
                continue;
            };
            let Some(gpu_instance) = self.note(raw::gpu_instance_id(&device)) else {
                continue;
            };
            let mut numbers = Numbers::default();
            if let Some(memory) = self.note(memory(&device)) {
                memory.put(&mut numbers);
            }
            if let Ok(attributes) = device.attributes() {
                numbers.put_u32(Q::Multiprocessors, attributes.multiprocessor_count);
            }
            if gpm {
                let mut before = kept.mig_gpm.remove(&gpu_instance);
                step(parent, &mut before, &mut numbers, |parent| {
                    parent.gpm_mig_sample(gpu_instance)
                });
                kept.mig_gpm
                    .extend(before.map(|spaced| (gpu_instance, spaced)));
            }
            self.reading.mig.push(MigDevice {
                gpu_instance,
                compute_instance: raw::compute_instance_id(&device).ok(),
                uuid: raw::uuid(&device).unwrap_or_default(),
                profile: raw::name(&device).ok().and_then(|name| profile(&name)),
                numbers,
            });
        }
        let alive = &self.reading.mig;
        kept.mig_gpm
            .retain(|id, _| alive.iter().any(|device| device.gpu_instance == *id));
    }
}

const FANS_MAX: u32 = 16;

/// The result of the newest call, or of the older one where the library lacks the newest.
fn older<T>(
    newest: Result<T, NvmlError>,
    older: impl FnOnce() -> Result<T, NvmlError>,
) -> Result<T, NvmlError> {
    match newest {
        Err(NvmlError::FailedToLoadSymbol(_)) => older(),
        result => result,
    }
}

fn process(kind: ProcessKind, info: &ProcessInfo) -> Process {
    Process {
        pid: info.pid,
        kind,
        vram_bytes: match info.used_gpu_memory {
            UsedGpuMemory::Used(bytes) => Some(bytes).filter(|bytes| *bytes < 1 << 62),
            UsedGpuMemory::Unavailable => None,
        },
        gpu_instance: info.gpu_instance_id,
    }
}

/// `1g.18gb` of `NVIDIA H200 MIG 1g.18gb`.
fn profile(name: &str) -> Option<String> {
    let (_, profile) = name.rsplit_once("MIG ")?;
    Some(profile.trim().to_owned()).filter(|profile| !profile.is_empty())
}

struct Memory {
    total: u64,
    used: u64,
    free: u64,
    reserved: Option<u64>,
}

impl Memory {
    fn put(&self, numbers: &mut Numbers) {
        numbers.put_u64(Q::MemoryTotal, self.total);
        numbers.put_u64(Q::MemoryUsed, self.used);
        numbers.put_u64(Q::MemoryFree, self.free);
        if let Some(reserved) = self.reserved {
            numbers.put_u64(Q::MemoryReserved, reserved);
        }
    }
}

/// The memory as the second version of the call tells it, or the first where the driver is older than
/// R510: that one counts what is reserved as used.
fn memory(device: &Device<'_>) -> Result<Memory, CallError> {
    match device.memory_info() {
        Ok(memory) => Ok(Memory {
            total: memory.total,
            used: memory.used,
            free: memory.free,
            reserved: Some(memory.reserved),
        }),
        Err(error) => match call_error(error) {
            CallError::NotSupported => raw::memory_v1(device).map(|memory| Memory {
                total: memory.total,
                used: memory.used,
                free: memory.free,
                reserved: None,
            }),
            error => Err(error),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_become_what_they_mean() {
        for (code, error) in [
            (1, CallError::Uninitialized),
            (2, CallError::NotSupported),
            (3, CallError::NotSupported),
            (15, CallError::GpuLost),
            (777, CallError::Code(777)),
            (999, CallError::Unknown),
        ] {
            assert_eq!(from_code(code), error);
        }
        assert_eq!(
            not_opened(NvmlError::FunctionNotFound),
            DriverError::Init(CallError::Code(13)),
            "while opening, nothing is merely absent"
        );
    }

    #[test]
    fn a_mig_profile_is_the_end_of_the_name() {
        assert_eq!(
            profile("NVIDIA H200 MIG 1g.18gb").as_deref(),
            Some("1g.18gb")
        );
        assert_eq!(
            profile("NVIDIA H200 MIG 1c.3g.71gb+me").as_deref(),
            Some("1c.3g.71gb+me")
        );
        assert_eq!(profile("NVIDIA H200"), None);
    }
}
