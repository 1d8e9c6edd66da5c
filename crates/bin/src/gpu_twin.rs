//! The simulated GPUs of a world as a driver: so that the GPU source reads them as it reads real ones.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokenpath_core::BoxSource;
use tokenpath_gpu::device::{CallError, Identity, Process, ProcessKind, Quantity};
use tokenpath_gpu::fake::{FakeDriver, FakeGpu};
use tokenpath_gpu::{GpuSource, Options, StartError};
use tokenpath_sim::{Gpu, GpuFleet};

/// NVML's bits for what holds the clocks down.
const GPU_IDLE: u64 = 0x1;
const SW_POWER_CAP: u64 = 0x4;
const SW_THERMAL_SLOWDOWN: u64 = 0x20;

/// How long whoever lets time pass waits for a sample of the GPUs as of then. The driver is in memory, so a
/// busy machine is all that takes time.
const SAMPLE_LIMIT: Duration = Duration::from_secs(5);

/// A driver that shows the GPUs of a world, and the source that reads it.
#[derive(Debug)]
pub(crate) struct GpuTwin {
    driver: FakeDriver,
    /// How many XID errors of each GPU were told.
    told: Mutex<Vec<usize>>,
    source: Arc<GpuSource>,
}

impl GpuTwin {
    /// The fleet as it is now, on a node of this name, with a sample taken: the first page has it.
    pub(crate) fn new(node: &str, fleet: &GpuFleet) -> Result<Self, StartError> {
        let driver = FakeDriver::new((0..).zip(fleet.gpus()).map(|(number, gpu)| {
            let mut fake = FakeGpu::new(number);
            fake.uuid.clone_from(&gpu.uuid);
            fake.identity = Identity {
                name: Some(gpu.name.clone()),
                pci_bus_id: Some(gpu.pci_bus_id.clone()),
                architecture: Some("hopper".to_owned()),
                ..Identity::default()
            };
            fake
        }));
        let told = Mutex::default();
        follow(&driver, fleet, &told);
        let source = GpuSource::with_driver(node, Options::default(), driver.clone())?;
        source.wait_first(SAMPLE_LIMIT);
        Ok(Self {
            driver,
            told,
            source: Arc::new(source),
        })
    }

    pub(crate) fn source(&self) -> BoxSource {
        BoxSource::new(Arc::clone(&self.source))
    }

    /// Shows the fleet as it is now to whoever samples the driver next.
    pub(crate) fn follow(&self, fleet: &GpuFleet) {
        follow(&self.driver, fleet, &self.told);
    }

    /// Shows the fleet as it is now, and blocks until it was sampled: the next page has it.
    pub(crate) fn sample(&self, fleet: &GpuFleet) {
        self.follow(fleet);
        if !self.source.sample_now(SAMPLE_LIMIT) {
            tracing::warn!(limit = ?SAMPLE_LIMIT, "no sample of the GPUs in time");
        }
    }
}

fn follow(driver: &FakeDriver, fleet: &GpuFleet, told: &Mutex<Vec<usize>>) {
    let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
    told.resize(fleet.gpus().len(), 0);
    driver.change(|machine| {
        for ((fake, gpu), told) in machine.gpus.iter_mut().zip(fleet.gpus()).zip(&mut *told) {
            show(fake, gpu);
            if let Some(xids) = &mut fake.reading.xids {
                xids.extend(gpu.xids.iter().skip(*told).map(|xid| xid.code));
            }
            *told = gpu.xids.len();
        }
    });
}

fn show(fake: &mut FakeGpu, gpu: &Gpu) {
    fake.error = gpu.lost.then_some(CallError::GpuLost);
    let percent = |ratio: f64| 100.0 * ratio;
    let numbers = &mut fake.reading.numbers;
    numbers.put_u64(Quantity::MemoryTotal, gpu.vram_total_bytes);
    numbers.put_u64(Quantity::MemoryUsed, gpu.vram_used_bytes);
    numbers.put_u64(Quantity::MemoryReserved, gpu.vram_reserved_bytes);
    let taken = gpu.vram_used_bytes + gpu.vram_reserved_bytes;
    numbers.put_u64(
        Quantity::MemoryFree,
        gpu.vram_total_bytes.saturating_sub(taken),
    );
    for (quantity, number) in [
        (Quantity::UtilizationGpu, percent(gpu.utilization).round()),
        (
            Quantity::UtilizationMemory,
            percent(gpu.memory_utilization).round(),
        ),
        (Quantity::GpmSmActive, percent(gpu.sm_active)),
        (Quantity::GpmSmOccupancy, percent(gpu.sm_occupancy)),
        (Quantity::GpmTensor, percent(gpu.tensor_active)),
        (Quantity::GpmDramBandwidth, percent(gpu.dram_active)),
        (Quantity::TemperatureGpu, gpu.temperature_celsius.round()),
        (
            Quantity::TemperatureMemory,
            gpu.memory_temperature_celsius.round(),
        ),
        // Milliwatts and millijoules.
        (Quantity::Power, (gpu.power_watts * 1e3).round()),
        (Quantity::Energy, (gpu.energy_joules * 1e3).round()),
        // Megahertz.
        (Quantity::ClockSm, (gpu.sm_clock_hertz / 1e6).round()),
        (
            Quantity::ClockMemory,
            (gpu.memory_clock_hertz / 1e6).round(),
        ),
        (Quantity::PcieTransmitted, gpu.pcie_sent_bytes.round()),
        (Quantity::PcieReceived, gpu.pcie_received_bytes.round()),
        // Kibibytes.
        (
            Quantity::NvlinkTransmitted,
            (gpu.nvlink_sent_bytes / 1024.0).round(),
        ),
        (
            Quantity::NvlinkReceived,
            (gpu.nvlink_received_bytes / 1024.0).round(),
        ),
        // Nanoseconds.
        (
            Quantity::ThrottledSwThermal,
            (gpu.thermal_throttle_seconds * 1e9).round(),
        ),
        (
            Quantity::ThrottledPower,
            (gpu.power_throttle_seconds * 1e9).round(),
        ),
    ] {
        numbers.put(quantity, number);
    }
    if let Some(standing) = &mut fake.reading.standing {
        standing
            .numbers
            .put(Quantity::PowerLimit, (gpu.power_limit_watts * 1e3).round());
        standing
            .numbers
            .put(Quantity::ThresholdSlowdown, gpu.slowdown_celsius);
        standing
            .numbers
            .put(Quantity::ClockMaxSm, (gpu.sm_clock_hertz_max / 1e6).round());
    }
    let bits = [
        (gpu.utilization <= 0.0, GPU_IDLE),
        (gpu.power_throttle, SW_POWER_CAP),
        (gpu.thermal_throttle, SW_THERMAL_SLOWDOWN),
    ];
    fake.reading.throttle_bits = Some(bits.iter().filter(|(on, _)| *on).map(|(_, bit)| bit).sum());
    let processes = gpu.processes.iter().map(|process| Process {
        pid: process.pid,
        kind: ProcessKind::Compute,
        vram_bytes: Some(process.vram_bytes),
        gpu_instance: None,
    });
    fake.reading.processes = Some(processes.collect());
}
