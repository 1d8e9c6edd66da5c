//! One reading of one GPU: which calls, and where their answers go.

use std::mem;

use nvml_wrapper::Device;
use nvml_wrapper::enum_wrappers::device::{
    Clock, EccCounter, MemoryError, MemoryLocation, PcieUtilCounter, PerformancePolicy,
    TemperatureThreshold,
};
use nvml_wrapper::enums::device::UsedGpuMemory;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::struct_wrappers::device::ProcessInfo;

use super::fields::{self, Scoped};
use super::gpm::{self, Spaced};
use super::raw::{self, Answer, Field, Link};
use super::{Kept, call_error};
use crate::device::{
    CallError, MigDevice, Numbers, Process, ProcessKind, Quantity as Q, Reading, Standing, Wanted,
};

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

/// One reading under way.
pub(super) struct Reader<'r, 'n> {
    device: &'r Device<'n>,
    pub(super) reading: &'r mut Reading,
    /// The error that ends the device, once there was one.
    lost: Option<CallError>,
    /// Whether any call went through.
    answered: bool,
}

impl<'r, 'n> Reader<'r, 'n> {
    pub(super) const fn new(device: &'r Device<'n>, reading: &'r mut Reading) -> Self {
        Self {
            device,
            reading,
            lost: None,
            answered: false,
        }
    }

    /// Whether any call went through.
    pub(super) const fn answered(&self) -> bool {
        self.answered
    }

    /// The error that ends the device, if there was one.
    pub(super) fn fail_if_lost(&self) -> Result<(), CallError> {
        self.lost.map_or(Ok(()), Err)
    }

    /// The value, with the error noted where it is worth noting.
    pub(super) fn note<T>(&mut self, result: Result<T, CallError>) -> Option<T> {
        self.look(result).ok().flatten()
    }

    /// As [`note`](Self::note), telling what is not there (`Ok(None)`) from what is not known.
    fn look<T>(&mut self, result: Result<T, CallError>) -> Result<Option<T>, CallError> {
        match result {
            Ok(value) => {
                self.answered = true;
                Ok(Some(value))
            }
            // The driver lives, it just cannot do that.
            Err(CallError::NotSupported) => Ok(None),
            Err(error) => {
                self.failed(error);
                Err(error)
            }
        }
    }

    /// Notes what a call said that failed.
    pub(super) fn failed(&mut self, error: CallError) {
        if error == CallError::NotSupported {
            return;
        }
        self.reading.errors.push(error);
        if error.ends_device() {
            self.lost.get_or_insert(error);
        }
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
    pub(super) fn often(&mut self, answer: &mut Answer) {
        let device = self.device;
        if let Some(memory) = self.note(memory(device)) {
            memory.put(&mut self.reading.numbers);
        }
        if self.lost.is_some() {
            // Every further call would only wait for the same answer.
            return;
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
        if let Some(degrees) = self.note(raw::temperature(device)) {
            self.reading.numbers.put(Q::TemperatureGpu, degrees);
        }
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
        self.fields(fields::OFTEN, answer);
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
            let known = speed.filter(|percent| *percent != u32::MAX);
            self.reading.sentinels += u32::from(known != speed);
            self.reading.fans_percent.push(known);
        }
    }

    fn fields(&mut self, asked: &[Scoped], answer: &mut Answer) {
        let fields: Vec<Field> = asked.iter().map(|(field, _)| *field).collect();
        if self
            .note(raw::fields(self.device, &fields, answer))
            .is_none()
        {
            return;
        }
        for (value, (_, quantity)) in answer.iter().zip(asked) {
            let Some(value) = self.note(*value) else {
                continue;
            };
            // Cards that do not measure the power of their memory say 0 rather than that they cannot.
            // On which this is so is not documented; memory that draws nothing at all is not either.
            let unmeasured = *quantity == Q::PowerAverageMemory && value.number == 0.0;
            if fields::WRAPPING.contains(quantity) && !value.wide {
                self.reading.left_out += 1;
            } else if !unmeasured {
                self.reading.numbers.put(*quantity, value.number);
            }
        }
    }

    /// What hardly changes.
    pub(super) fn standing(&mut self, answer: &mut Answer) {
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
            (Q::ThresholdTarget, TemperatureThreshold::AcousticCurr),
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
        self.fields(fields::STANDING, answer);
        let nvlinks = self.nvlinks(answer);
        self.reading.standing = Some(Standing {
            numbers: mem::replace(&mut self.reading.numbers, often),
            nvlinks,
        });
    }

    fn ecc(&mut self) {
        let device = self.device;
        if let Some(enabled) = self.note(raw::ecc_mode(device)).flatten() {
            self.reading
                .numbers
                .put_u32(Q::EccEnabled, u32::from(enabled));
        }
        let (corrected, uncorrected) = (MemoryError::Corrected, MemoryError::Uncorrected);
        let (volatile, aggregate) = (EccCounter::Volatile, EccCounter::Aggregate);
        for (quantity, error, counter) in [
            (Q::EccCorrected, corrected, volatile),
            (Q::EccUncorrected, uncorrected, volatile),
            (Q::EccLifetimeCorrected, corrected, aggregate),
            (Q::EccLifetimeUncorrected, uncorrected, aggregate),
        ] {
            let count = device.total_ecc_errors(error, counter);
            self.try_u64(quantity, count);
        }
        for (quantity, error, memory) in [
            (Q::EccDramCorrected, corrected, MemoryLocation::Device),
            (Q::EccDramUncorrected, uncorrected, MemoryLocation::Device),
            (Q::EccSramCorrected, corrected, MemoryLocation::SRAM),
            (Q::EccSramUncorrected, uncorrected, MemoryLocation::SRAM),
        ] {
            let count = device.memory_error_counter(error, volatile, memory);
            self.try_u64(quantity, count);
        }
    }

    /// The state of each link, and its errors where the card keeps no totals.
    fn nvlinks(&mut self, answer: &mut Answer) -> Vec<Option<bool>> {
        let mut nvlinks = Vec::new();
        let mut all_known = true;
        for link in 0..LINKS_MAX {
            match raw::nvlink(self.device, link) {
                Ok(Link::Is(state)) => {
                    self.answered = true;
                    nvlinks.push(state);
                }
                // Links are numbered without gaps: the first that is not there ends them.
                Ok(Link::None) => break,
                Err(error) => {
                    self.failed(error);
                    nvlinks.push(None);
                    all_known = false;
                }
            }
            if self.lost.is_some() {
                break;
            }
        }
        let links = u32::try_from(nvlinks.len()).unwrap_or(LINKS_MAX);
        // A sum over other links than the last time would fall, or jump.
        if links == 0 || !all_known || self.reading.numbers.get(Q::NvlinkReplay).is_some() {
            return nvlinks;
        }
        for (id, quantity) in fields::OF_LINK {
            if self.reading.numbers.get(quantity).is_some() {
                continue;
            }
            let asked: Vec<Field> = (0..links).map(|scope| Field { id, scope }).collect();
            if self
                .note(raw::fields(self.device, &asked, answer))
                .is_none()
            {
                break;
            }
            // A sum that lacks a link would fall when the link comes back: all of them, or none.
            let counts = answer.iter().map(|count| Ok((*count)?.number));
            if let Some(sum) = self.note(counts.sum()) {
                self.reading.numbers.put(quantity, sum);
            }
        }
        nvlinks
    }

    /// Whether the GPU is partitioned.
    pub(super) fn mig_mode(&mut self) -> bool {
        let mode = self.note(self.device.mig_mode().map_err(call_error));
        // A mode of a later release means nothing to this one.
        let Some(mode) = mode.filter(|mode| mode.current <= 1) else {
            return false;
        };
        self.reading.numbers.put_u32(Q::MigMode, mode.current);
        mode.current == 1
    }

    /// Counters of the hardware; true if PCIe rates are among them.
    pub(super) fn gpm(&mut self, kept: &mut Kept<'n>, wanted: Wanted) -> bool {
        if !self.supports_gpm(kept) {
            return false;
        }
        let (before, numbers) = (&mut kept.gpm, &mut self.reading.numbers);
        let told = gpm::step(self.device, before, wanted.apart_max, numbers, |device| {
            device.gpm_sample()
        });
        if let Err(error) = told {
            self.failed(error);
        }
        kept.gpm.as_ref().is_some_and(Spaced::serves_pcie)
    }

    fn supports_gpm(&mut self, kept: &mut Kept<'_>) -> bool {
        let supported = kept.supports_gpm(self.device);
        supported.unwrap_or_else(|error| {
            self.failed(error);
            false
        })
    }

    /// PCIe rates by the blocking call, where the card tells them in no other way.
    pub(super) fn pcie_throughput(&mut self) {
        for (quantity, counter) in [
            (Q::PcieThroughputTransmit, PcieUtilCounter::Send),
            (Q::PcieThroughputReceive, PcieUtilCounter::Receive),
        ] {
            self.try_u32(quantity, self.device.pcie_throughput(counter));
        }
    }

    /// Processes. Those of a partitioned GPU are shown to the privileged; others are shown those of the
    /// MIG devices that are theirs.
    pub(super) fn processes(&mut self, listing: Listing, mig_enabled: bool) {
        for kind in [ProcessKind::Compute, ProcessKind::Graphics] {
            let listed = match processes(self.device, kind, listing) {
                Err(CallError::NoPermission) if mig_enabled => {
                    processes_of_instances(self.device, kind, listing)
                }
                listed => listed,
            };
            let Some(infos) = self.note(listed) else {
                continue;
            };
            let reading = &mut *self.reading;
            let all = reading.processes.get_or_insert_default();
            for info in infos {
                let process = process(kind, &info);
                // It runs, but how much memory it has is "no value".
                reading.sentinels += u32::from(process.vram_bytes.is_none());
                all.push(process);
            }
        }
    }

    pub(super) fn mig(&mut self, kept: &mut Kept<'n>, can_gpm: bool, wanted: Wanted) {
        let parent = self.device;
        let Some(devices) = self.note(parent.mig_device_count().map_err(call_error)) else {
            return;
        };
        let counters = can_gpm && self.supports_gpm(kept);
        let mut all_known = true;
        for index in 0..devices {
            // Most indices up to the possible number are not in use: not found, which is no error.
            let found = parent.mig_device_by_index(index).map_err(call_error);
            let found = self.look(found.and_then(|it| Ok((raw::gpu_instance_id(&it)?, it))));
            all_known &= found.is_ok();
            let Ok(Some((gpu_instance, device))) = found else {
                continue;
            };
            let mut numbers = Numbers::default();
            if let Some(memory) = self.note(memory(&device)) {
                memory.put(&mut numbers);
            }
            if let Some(attributes) = self.note(device.attributes().map_err(call_error)) {
                numbers.put_u32(Q::Multiprocessors, attributes.multiprocessor_count);
            }
            if counters {
                let mut before = kept.mig_gpm.remove(&gpu_instance);
                let apart_max = wanted.apart_max;
                let told = gpm::step(parent, &mut before, apart_max, &mut numbers, |parent| {
                    parent.gpm_mig_sample(gpu_instance)
                });
                if let Err(error) = told {
                    self.failed(error);
                }
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
        if !all_known {
            // Of which instance the missing one is part is not known, so no sum is.
            for device in &mut self.reading.mig {
                device.numbers.remove(&[Q::Multiprocessors]);
            }
        }
        let alive = &self.reading.mig;
        kept.mig_gpm
            .retain(|id, _| alive.iter().any(|device| device.gpu_instance == *id));
    }
}

const FANS_MAX: u32 = 16;

/// Which call lists processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listing {
    /// The newest that the library has.
    Newest,
    /// The one before. Drivers 535.43 to 535.86 have a third version that writes structures of 32
    /// bytes (with `usedGpuCcProtectedMemory`) where those before and after, and the bindings, have 24:
    /// it would write past the end of the list.
    Second,
}

impl Listing {
    /// What is safe with a driver of this version.
    pub(super) fn of(driver_version: &str) -> Self {
        let mut parts = driver_version.split('.').map(str::parse::<u32>);
        match (parts.next(), parts.next()) {
            (Some(Ok(535)), Some(Ok(minor))) if minor < 98 => Self::Second,
            _ => Self::Newest,
        }
    }
}

fn processes(
    device: &Device<'_>,
    kind: ProcessKind,
    listing: Listing,
) -> Result<Vec<ProcessInfo>, CallError> {
    let newest = || match kind {
        ProcessKind::Compute => device.running_compute_processes(),
        ProcessKind::Graphics => device.running_graphics_processes(),
    };
    let second = || match kind {
        ProcessKind::Compute => device.running_compute_processes_v2(),
        ProcessKind::Graphics => device.running_graphics_processes_v2(),
    };
    let listed = match listing {
        Listing::Second => second(),
        Listing::Newest => match newest() {
            // The library lacks it.
            Err(NvmlError::FailedToLoadSymbol(_)) => second(),
            result => result,
        },
    };
    listed.map_err(call_error)
}

/// The processes of the MIG devices that this user may see. No permission where there is none.
fn processes_of_instances(
    parent: &Device<'_>,
    kind: ProcessKind,
    listing: Listing,
) -> Result<Vec<ProcessInfo>, CallError> {
    let mut all = Err(CallError::NoPermission);
    for index in 0..parent.mig_device_count().map_err(call_error)? {
        let device = parent.mig_device_by_index(index).map_err(call_error);
        let found = device.and_then(|device| {
            let instance = raw::gpu_instance_id(&device)?;
            Ok((instance, processes(&device, kind, listing)?))
        });
        let (instance, own) = match found {
            // Not there, or another's.
            Err(CallError::NotSupported | CallError::NoPermission) => continue,
            found => found?,
        };
        let own = own.into_iter().map(|info| ProcessInfo {
            gpu_instance_id: info.gpu_instance_id.or(Some(instance)),
            ..info
        });
        all = Ok(all.into_iter().flatten().chain(own).collect());
    }
    all
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
    fn drivers_with_the_odd_list_of_processes_are_known() {
        for (version, listing) in [
            ("535.43.02", Listing::Second),
            ("535.86.10", Listing::Second),
            ("535.98", Listing::Newest),
            ("535.104.05", Listing::Newest),
            ("530.30.02", Listing::Newest),
            ("550.54.15", Listing::Newest),
            ("", Listing::Newest),
        ] {
            assert_eq!(Listing::of(version), listing, "{version}");
        }
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
