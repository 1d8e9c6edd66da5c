//! A driver in memory: GPUs that are what a program says they are.
//!
//! For tests without a library, and for the digital twin, whose GPU follows the load of a simulated
//! engine. How the real driver fails is tested on a fake library instead.
//!
//! ```
//! use std::time::Duration;
//! use tokenpath_core::Snapshot;
//! use tokenpath_gpu::fake::{FakeDriver, FakeGpu};
//! use tokenpath_gpu::{GpuSource, Options};
//!
//! let driver = FakeDriver::new([FakeGpu::new(0), FakeGpu::new(1)]);
//! driver.change(|machine| machine.gpus[1].load(0.9, 0.95));
//!
//! let source = GpuSource::with_driver("twin", Options::default(), driver.clone())?;
//! source.wait_first(Duration::from_secs(5));
//! let mut page = Snapshot::new();
//! source.copy_newest(&mut page).unwrap();
//! let labels = [("gpu", "1"), ("uuid", "GPU-00000000-0000-0000-0000-000000000001")];
//! assert_eq!(page.value("gpu_compute_utilization_ratio", &labels), Some(0.9));
//! # Ok::<(), tokenpath_gpu::StartError>(())
//! ```

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::device::{
    CallError, Driver, DriverError, Identity, Quantity, Reading, Session, Standing, Versions,
    Wanted,
};

/// The driver, and a handle to change what it says: clones share one machine.
#[derive(Clone, Debug)]
pub struct FakeDriver {
    machine: Arc<Mutex<FakeMachine>>,
}

/// A machine with GPUs.
#[derive(Clone, Debug, Default)]
pub struct FakeMachine {
    /// In order of their indices.
    pub gpus: Vec<FakeGpu>,
    /// Why the driver cannot be opened, if so.
    pub open_error: Option<DriverError>,
    /// Why the driver does not answer any more, if so.
    pub gone: Option<CallError>,
    /// Versions of the driver.
    pub versions: Versions,
}

/// A GPU.
#[derive(Clone, Debug, Default)]
pub struct FakeGpu {
    /// Its UUID.
    pub uuid: String,
    /// What it is.
    pub identity: Identity,
    /// What a reading of it gives. XID codes and errors are given once.
    pub reading: Reading,
    /// Why it cannot be read, if so.
    pub error: Option<CallError>,
    /// Power in watts, and since when: for the energy.
    drawing: Option<(f64, Instant)>,
}

const VRAM_BYTES: f64 = 150_754_820_096.0;

impl FakeGpu {
    /// An idle GPU like an H200. The UUID ends in `number`.
    #[must_use]
    pub fn new(number: u32) -> Self {
        let mut gpu = Self {
            uuid: format!("GPU-00000000-0000-0000-0000-{number:012}"),
            identity: Identity {
                name: Some("Simulated H200".into()),
                pci_bus_id: Some(format!("00000000:{:02X}:00.0", 0x10 + number)),
                architecture: Some("hopper".into()),
                vbios_version: None,
            },
            ..Self::default()
        };
        let mut standing = Standing::default();
        for (quantity, number) in [
            (Quantity::PowerLimit, 700_000.0),
            (Quantity::PowerLimitDefault, 700_000.0),
            (Quantity::ClockMaxSm, 1980.0),
            (Quantity::ClockMaxMemory, 3201.0),
            (Quantity::EccEnabled, 1.0),
            (Quantity::EccCorrected, 0.0),
            (Quantity::EccUncorrected, 0.0),
            (Quantity::RemappedCorrected, 0.0),
            (Quantity::RemappedUncorrected, 0.0),
            (Quantity::RemapPending, 0.0),
            (Quantity::RemapFailed, 0.0),
        ] {
            standing.numbers.put(quantity, number);
        }
        gpu.reading.standing = Some(standing);
        gpu.reading.xids = Some(Vec::new());
        gpu.load(0.0, 0.0);
        gpu
    }

    /// Puts the GPU under a load: how busy it is and how full its memory is, as ratios. Utilisation,
    /// hardware counters, power, temperature and clocks follow; energy adds up from the first call on.
    pub fn load(&mut self, busy: f64, full: f64) {
        let (busy, full) = (busy.clamp(0.0, 1.0), full.clamp(0.0, 1.0));
        let watts = 78.0 + 560.0 * busy;
        self.draw(watts);
        let used = (VRAM_BYTES * full).round();
        let numbers = &mut self.reading.numbers;
        for (quantity, number) in [
            (Quantity::MemoryTotal, VRAM_BYTES),
            (Quantity::MemoryUsed, used),
            (Quantity::MemoryFree, VRAM_BYTES - used),
            (Quantity::UtilizationGpu, (100.0 * busy).round()),
            (Quantity::UtilizationMemory, (60.0 * busy).round()),
            // Decoding: the memory is the limit, the tensor cores are not.
            (Quantity::GpmSmActive, 95.0 * busy),
            (Quantity::GpmSmOccupancy, 30.0 * busy),
            (Quantity::GpmTensor, 15.0 * busy),
            (Quantity::GpmDramBandwidth, 80.0 * busy),
            (Quantity::TemperatureGpu, (28.0 + 30.0 * busy).round()),
            (Quantity::TemperatureMemory, (32.0 + 20.0 * busy).round()),
            (Quantity::Power, (watts * 1000.0).round()),
            (Quantity::ClockSm, if busy > 0.0 { 1980.0 } else { 345.0 }),
            (Quantity::ClockMemory, 3201.0),
        ] {
            numbers.put(quantity, number);
        }
        self.reading.throttle_bits = Some(u64::from(busy <= 0.0));
    }

    /// Adds up the energy since the last change, and draws another power from now on.
    fn draw(&mut self, watts: f64) {
        let now = Instant::now();
        let before = self.drawing.replace((watts, now));
        let joules = before.map_or(0.0, |(watts, since)| watts * (now - since).as_secs_f64());
        let energy = self.reading.numbers.get(Quantity::Energy).unwrap_or(0.0);
        self.reading
            .numbers
            .put(Quantity::Energy, energy + joules * 1000.0);
    }
}

impl FakeDriver {
    /// A machine with these GPUs.
    #[must_use]
    pub fn new(gpus: impl IntoIterator<Item = FakeGpu>) -> Self {
        let machine = FakeMachine {
            gpus: gpus.into_iter().collect(),
            ..FakeMachine::default()
        };
        Self {
            machine: Arc::new(Mutex::new(machine)),
        }
    }

    /// Changes the machine between two readings.
    pub fn change<T>(&self, change: impl FnOnce(&mut FakeMachine) -> T) -> T {
        change(&mut self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, FakeMachine> {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Driver for FakeDriver {
    fn open(&mut self, work: &mut dyn FnMut(&mut dyn Session)) -> Result<(), DriverError> {
        if let Some(error) = self.change(|machine| machine.open_error.clone()) {
            return Err(error);
        }
        work(self);
        Ok(())
    }
}

impl FakeDriver {
    fn gpu<T>(&self, index: u32, look: impl FnOnce(&mut FakeGpu) -> T) -> Result<T, CallError> {
        let mut machine = self.lock();
        if let Some(error) = machine.gone {
            return Err(error);
        }
        let gpu = machine
            .gpus
            .get_mut(index as usize)
            .ok_or(CallError::NotSupported)?;
        match gpu.error {
            Some(error) => Err(error),
            None => Ok(look(gpu)),
        }
    }
}

impl Session for FakeDriver {
    fn versions(&mut self) -> Versions {
        self.change(|machine| machine.versions.clone())
    }

    fn count(&mut self) -> Result<u32, CallError> {
        let machine = self.lock();
        let count = u32::try_from(machine.gpus.len()).unwrap_or(u32::MAX);
        machine.gone.map_or(Ok(count), Err)
    }

    fn uuid(&mut self, index: u32) -> Result<String, CallError> {
        self.gpu(index, |gpu| gpu.uuid.clone())
    }

    fn identity(&mut self, index: u32) -> Identity {
        self.gpu(index, |gpu| gpu.identity.clone())
            .unwrap_or_default()
    }

    fn read(
        &mut self,
        index: u32,
        _uuid: &str,
        wanted: Wanted,
        reading: &mut Reading,
    ) -> Result<(), CallError> {
        *reading = self.gpu(index, |gpu| {
            if let Some((watts, _)) = gpu.drawing {
                gpu.draw(watts);
            }
            let reading = gpu.reading.clone();
            gpu.reading.errors.clear();
            gpu.reading.xids.iter_mut().for_each(Vec::clear);
            reading
        })?;
        if !wanted.standing {
            reading.standing = None;
        }
        if !wanted.processes {
            reading.processes = None;
        }
        if !wanted.mig {
            reading.mig.clear();
        }
        if !wanted.pcie_throughput {
            let without = [
                Quantity::PcieThroughputTransmit,
                Quantity::PcieThroughputReceive,
            ];
            reading.numbers.remove(&without);
        }
        Ok(())
    }

    fn last_xids(&mut self, uuid: &str) -> Vec<u64> {
        self.change(|machine| {
            let gpu = machine.gpus.iter_mut().find(|gpu| gpu.uuid == uuid);
            gpu.and_then(|gpu| gpu.reading.xids.as_mut().map(mem::take))
                .unwrap_or_default()
        })
    }

    fn pcie_throughput_blocks(&mut self, uuid: &str) -> bool {
        self.change(|machine| {
            machine.gpus.iter().any(|gpu| {
                gpu.uuid == uuid
                    && gpu
                        .reading
                        .numbers
                        .get(Quantity::PcieThroughputTransmit)
                        .is_some()
            })
        })
    }

    fn process_name(&mut self, _pid: u32) -> Option<String> {
        None
    }
}
