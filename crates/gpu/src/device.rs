//! The port to a driver: what the sampler asks for, and what it gets.
//!
//! [`Nvml`](crate::nvml::Nvml) is the real driver, [`FakeDriver`](crate::fake::FakeDriver) one in
//! memory. Numbers stay in the driver's own units here; [`ROWS`](crate::families::ROWS) knows the
//! way to base units.

use std::fmt;
use std::time::Duration;

macro_rules! quantities {
    ($($name:ident)+) => {
        /// A number that a driver may know of a GPU, in the unit of the NVML call that
        /// [`ROWS`](crate::families::ROWS) names.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[expect(missing_docs, reason = "each is described by its row")]
        #[non_exhaustive]
        pub enum Quantity {
            $($name,)+
        }

        impl Quantity {
            /// All quantities, in order of their declaration.
            pub const ALL: &[Self] = &[$(Self::$name,)+];
        }
    };
}

quantities! {
    MemoryUsed MemoryTotal MemoryFree MemoryReserved Bar1Used Bar1Total UtilizationGpu
    UtilizationMemory Encoder Decoder Jpeg OpticalFlow GpmDramBandwidth GpmSmActive GpmSmOccupancy
    GpmTensor GpmGraphics GpmFp64 GpmFp32 GpmFp16 GpmInteger GpmTensorDfma GpmTensorHmma
    GpmTensorImma TemperatureGpu TemperatureMemory ThresholdShutdown ThresholdSlowdown
    ThresholdMemoryMax ThresholdGpuMax ThresholdTarget TemperatureMargin MarginShutdown
    MarginSlowdown MarginMemoryMax MarginGpuMax Power PowerInstantGpu PowerInstantModule
    PowerAverageGpu PowerAverageModule PowerAverageMemory PowerLimit PowerLimitRequested
    PowerLimitDefault PowerLimitMin PowerLimitMax Energy ClockGraphics ClockSm ClockMemory
    ClockVideo ClockMaxGraphics ClockMaxSm ClockMaxMemory ClockMaxVideo PerformanceState
    PcieTransmitted PcieReceived GpmPcieTransmit PcieThroughputTransmit GpmPcieReceive
    PcieThroughputReceive PcieReplays PcieGeneration PcieGenerationMax PcieWidth PcieWidthMax
    NvlinkTransmitted NvlinkReceived GpmNvlinkTransmit GpmNvlinkReceive NvlinkCrcFlit NvlinkCrcData
    NvlinkReplay NvlinkRecovery NvlinkCrc NvlinkRecoveryFailed NvlinkReceive NvlinkMalformed
    NvlinkOverrun NvlinkRemote NvlinkHeader NvlinkIntegrity NvlinkDiscard NvlinkEcc EccEnabled
    EccCorrected EccUncorrected EccLifetimeCorrected EccLifetimeUncorrected EccDramCorrected
    EccDramUncorrected EccSramCorrected EccSramUncorrected RetiredSingleBit RetiredDoubleBit
    RetiredPending RemappedCorrected RemappedUncorrected RemapPending RemapFailed BanksMax BanksHigh
    BanksPartial BanksLow BanksNone ThrottledPower ThrottledSyncBoost ThrottledSwThermal
    ThrottledHwThermal ThrottledPowerBrake ThrottledThermal ThrottledBoardLimit
    ThrottledLowUtilization ThrottledReliability MigMode Multiprocessors
}

/// At and above this, a 64-bit number means "no value": NVML and DCGM use several numbers just below
/// 2^63 and the highest of 64 bits.
const SENTINEL: f64 = 9.2e18;

/// The numbers of one GPU, or of one MIG instance, at one moment. What is not there was not measured.
#[derive(Clone, PartialEq)]
pub struct Numbers {
    /// NaN where there is none.
    values: [f64; Quantity::ALL.len()],
    sentinels: u32,
}

impl Default for Numbers {
    fn default() -> Self {
        Self {
            values: [f64::NAN; Quantity::ALL.len()],
            sentinels: 0,
        }
    }
}

impl Numbers {
    /// The number, if the driver said one.
    #[must_use]
    pub fn get(&self, quantity: Quantity) -> Option<f64> {
        let value = self.values[quantity as usize];
        (!value.is_nan()).then_some(value)
    }

    /// Takes a number as the driver said it. NaN, infinities and the sentinels that mean "no value"
    /// are dropped and counted.
    pub fn put(&mut self, quantity: Quantity, number: f64) {
        if number.is_finite() && number.abs() < SENTINEL {
            self.values[quantity as usize] = number;
        } else {
            self.sentinels += 1;
        }
    }

    /// As [`put`](Self::put), for a 32-bit number: its highest value means "no value".
    pub fn put_u32(&mut self, quantity: Quantity, number: u32) {
        self.put(
            quantity,
            if number == u32::MAX {
                f64::NAN
            } else {
                f64::from(number)
            },
        );
    }

    /// As [`put`](Self::put), for a 64-bit number. Exact to 2^53.
    #[expect(
        clippy::cast_precision_loss,
        reason = "metric values are 64-bit floats; bytes and millijoules stay below 2^53 for decades"
    )]
    pub fn put_u64(&mut self, quantity: Quantity, number: u64) {
        self.put(quantity, number as f64);
    }

    /// Forgets numbers.
    pub(crate) fn remove(&mut self, quantities: &[Quantity]) {
        for quantity in quantities {
            self.values[*quantity as usize] = f64::NAN;
        }
    }

    /// Takes over every number that `other` has.
    pub fn merge(&mut self, other: &Self) {
        for (value, other) in self.values.iter_mut().zip(other.values) {
            if !other.is_nan() {
                *value = other;
            }
        }
        self.sentinels += other.sentinels;
    }

    /// How many numbers there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.iter().filter(|value| !value.is_nan()).count()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.iter().all(|value| value.is_nan())
    }

    /// How many numbers were dropped because they mean "no value".
    #[must_use]
    pub const fn sentinels(&self) -> u32 {
        self.sentinels
    }
}

impl fmt::Debug for Numbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(
                Quantity::ALL
                    .iter()
                    .filter_map(|quantity| Some((quantity, self.get(*quantity)?))),
            )
            .finish()
    }
}

/// What a GPU is. Constant while the driver is open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The product name. Bytes that are not UTF-8 are replaced.
    pub name: Option<String>,
    /// Its place on the PCI bus, for instance `00000000:83:00.0`.
    pub pci_bus_id: Option<String>,
    /// For instance `hopper`.
    pub architecture: Option<String>,
    /// The version of its BIOS.
    pub vbios_version: Option<String>,
}

impl Identity {
    /// Whether no part is missing.
    pub(crate) const fn is_complete(&self) -> bool {
        self.name.is_some()
            && self.pci_bus_id.is_some()
            && self.architecture.is_some()
            && self.vbios_version.is_some()
    }

    /// Takes over the parts that are missing.
    pub(crate) fn complete(&mut self, other: Self) {
        complete(&mut self.name, other.name);
        complete(&mut self.pci_bus_id, other.pci_bus_id);
        complete(&mut self.architecture, other.architecture);
        complete(&mut self.vbios_version, other.vbios_version);
    }
}

fn complete(part: &mut Option<String>, other: Option<String>) {
    *part = part.take().or(other);
}

/// Versions of the driver.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Versions {
    /// The kernel driver, for instance `590.48.01`.
    pub driver: Option<String>,
    /// The library.
    pub nvml: Option<String>,
    /// The newest CUDA that the driver supports, for instance `13.1`.
    pub cuda: Option<String>,
}

impl Versions {
    /// Whether no part is missing.
    pub(crate) const fn is_complete(&self) -> bool {
        self.driver.is_some() && self.nvml.is_some() && self.cuda.is_some()
    }

    /// Takes over the parts that are missing.
    pub(crate) fn complete(&mut self, other: Self) {
        complete(&mut self.driver, other.driver);
        complete(&mut self.nvml, other.nvml);
        complete(&mut self.cuda, other.cuda);
    }
}

/// What a process does on a GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ProcessKind {
    /// It has a compute context (CUDA).
    Compute,
    /// It has a graphics context.
    Graphics,
}

impl ProcessKind {
    /// The label value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Compute => "compute",
            Self::Graphics => "graphics",
        }
    }
}

/// A process that uses a GPU.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// The process id as the driver says it: in the namespace of the host, or of this container.
    pub pid: u32,
    /// What it does there.
    pub kind: ProcessKind,
    /// Device memory in bytes. `None` where the driver does not tell (permissions, WDDM).
    pub vram_bytes: Option<u64>,
    /// The GPU instance it runs in, on a partitioned GPU.
    pub gpu_instance: Option<u32>,
}

/// A MIG device: a compute instance in a GPU instance.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MigDevice {
    /// The GPU instance.
    pub gpu_instance: u32,
    /// The compute instance in it.
    pub compute_instance: Option<u32>,
    /// Its own UUID, `MIG-…`.
    pub uuid: String,
    /// For instance `1g.18gb`.
    pub profile: Option<String>,
    /// Memory and counters of the GPU instance, which its compute instances share, and the
    /// multiprocessors of this compute instance alone.
    pub numbers: Numbers,
}

/// What hardly changes on a GPU: limits, thresholds, errors of memory and links.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Standing {
    /// The numbers.
    pub numbers: Numbers,
    /// Whether each NVLink is active, in order of the links; `None` where that is not known. Empty
    /// without NVLink.
    pub nvlinks: Vec<Option<bool>>,
}

/// All that was read of one GPU at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading {
    /// The numbers that change from moment to moment.
    pub numbers: Numbers,
    /// What hardly changes, where it was asked for.
    pub standing: Option<Standing>,
    /// Fan speeds in percent, in order of the fans.
    pub fans_percent: Vec<Option<u32>>,
    /// The reasons that hold the clocks down, as NVML's bits.
    pub throttle_bits: Option<u64>,
    /// Processes, each once per kind. `None` where the driver does not tell or was not asked.
    pub processes: Option<Vec<Process>>,
    /// MIG devices, in order of their index.
    pub mig: Vec<MigDevice>,
    /// Codes of XID errors since the last reading. `None` where the GPU does not report them.
    pub xids: Option<Vec<u64>>,
    /// Calls that failed otherwise than by not being supported.
    pub errors: Vec<CallError>,
    /// How many numbers that are not in [`Numbers`] were dropped because they mean "no value".
    pub sentinels: u32,
    /// How many numbers were left out because they cannot be told honestly, such as counters that wrap
    /// faster than they are read.
    pub left_out: u32,
}

impl Reading {
    /// How many numbers were dropped because they mean "no value", besides those of the GPU as a whole.
    pub(crate) fn dropped_in_parts(&self) -> u64 {
        let mig = self.mig.iter().map(|device| device.numbers.sentinels());
        mig.chain([self.sentinels]).map(u64::from).sum()
    }
}

/// Which parts of a reading are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Also what hardly changes. The sampler keeps it between the readings that have it.
    pub standing: bool,
    /// Also processes.
    pub processes: bool,
    /// Also MIG instances.
    pub mig: bool,
    /// Also the PCIe throughput, which blocks for 20 ms a direction, where the card tells it in no
    /// other way.
    pub pcie_throughput: bool,
    /// Samples of hardware counters that are further apart make no pair: a mean over an outage says
    /// nothing about now.
    pub apart_max: Duration,
}

/// What a call to a driver says if it fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The device cannot do that, or the driver is too old: the number is absent.
    #[error("not supported")]
    NotSupported,
    /// The library was not initialised, or has been shut down.
    #[error("the library is not initialised")]
    Uninitialized,
    /// The kernel module is not loaded.
    #[error("the driver is not loaded")]
    DriverNotLoaded,
    /// The library and the kernel module have different versions.
    #[error("library and kernel module have different versions")]
    VersionMismatch,
    /// The device fell off the bus.
    #[error("the GPU is lost")]
    GpuLost,
    /// The device needs a reset.
    #[error("the GPU needs a reset")]
    ResetRequired,
    /// This user may not ask.
    #[error("no permission")]
    NoPermission,
    /// The operating system or a cgroup denies access.
    #[error("the operating system denies access")]
    OperatingSystem,
    /// The driver waited in vain.
    #[error("timeout in the driver")]
    Timeout,
    /// The driver is out of memory.
    #[error("out of memory in the driver")]
    OutOfMemory,
    /// The driver does not know either.
    #[error("unknown error in the driver")]
    Unknown,
    /// Any other code of NVML, also one that this release does not know.
    #[error("code {0}")]
    Code(u32),
}

impl CallError {
    /// The label value: one of a closed set.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotSupported => "not_supported",
            Self::Uninitialized => "uninitialized",
            Self::DriverNotLoaded => "driver_not_loaded",
            Self::VersionMismatch => "version_mismatch",
            Self::GpuLost => "gpu_lost",
            Self::ResetRequired => "reset_required",
            Self::NoPermission => "no_permission",
            Self::OperatingSystem => "operating_system",
            Self::Timeout => "timeout",
            Self::OutOfMemory => "out_of_memory",
            Self::Unknown => "unknown",
            Self::Code(_) => "other_code",
        }
    }

    /// Whether the driver as a whole has to be opened again.
    #[must_use]
    pub const fn ends_session(self) -> bool {
        matches!(
            self,
            Self::Uninitialized | Self::DriverNotLoaded | Self::VersionMismatch
        )
    }

    /// Whether the device as a whole cannot be read.
    #[must_use]
    pub const fn ends_device(self) -> bool {
        self.ends_session() || matches!(self, Self::GpuLost | Self::ResetRequired)
    }
}

/// Why a driver could not be opened, or was closed again, with what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DriverError {
    /// The library could not be loaded: not there, or no library.
    #[error("cannot load the NVIDIA management library: {message}; {}", advice_library(.message))]
    Library {
        /// What the dynamic linker says.
        message: String,
    },
    /// The library lacks a function without which nothing works.
    #[error(
        "{function} is missing in the NVIDIA management library: it is too old, or another library"
    )]
    Function {
        /// Its name.
        function: &'static str,
    },
    /// The driver refused to open.
    #[error("cannot open the NVIDIA driver: {0}; {advice}", advice = advice(*.0))]
    Init(CallError),
    /// The driver went away while it was open.
    #[error("the NVIDIA driver went away: {0}; {advice}", advice = advice(*.0))]
    Gone(CallError),
}

fn advice_library(message: &str) -> &'static str {
    if message.contains("invalid ELF header") || message.contains("file too short") {
        "the file is not a library: check --nvml.library"
    } else {
        "install the NVIDIA driver, run the container with the NVIDIA runtime (capability utility), \
         or say where libnvidia-ml.so.1 is with --nvml.library"
    }
}

const fn advice(error: CallError) -> &'static str {
    match error {
        CallError::DriverNotLoaded => "load the kernel module; nvidia-smi must work first",
        CallError::VersionMismatch => {
            "the driver was updated while its kernel module stayed: reload the module or reboot"
        }
        CallError::NoPermission | CallError::OperatingSystem => {
            "this user must be able to open /dev/nvidiactl and /dev/nvidia*"
        }
        CallError::Code(12) => {
            "a library that NVML needs was not found: the driver is not fully installed"
        }
        _ => "see the kernel log (dmesg, NVRM and Xid lines)",
    }
}

/// A driver that can be opened, again and again.
pub trait Driver: Send + 'static {
    /// Opens the driver, hands it to `work`, and closes it when `work` is done. May block for as long
    /// as the driver hangs.
    ///
    /// # Errors
    ///
    /// Where the driver cannot be opened. `work` was not called then.
    fn open(&mut self, work: &mut dyn FnMut(&mut dyn Session)) -> Result<(), DriverError>;
}

/// A driver while it is open. Every call may block.
pub trait Session {
    /// Versions of what was opened.
    fn versions(&mut self) -> Versions;

    /// How many GPUs there are.
    ///
    /// # Errors
    ///
    /// Where the driver as a whole does not answer.
    fn count(&mut self) -> Result<u32, CallError>;

    /// The UUID of the GPU that has this index at the moment. Indices move, UUIDs do not.
    ///
    /// # Errors
    ///
    /// Where that GPU cannot be read.
    fn uuid(&mut self, index: u32) -> Result<String, CallError>;

    /// What the GPU of this index is. Parts that cannot be read are missing.
    fn identity(&mut self, index: u32) -> Identity;

    /// Reads the GPU of this index, which is known to be `uuid`, into `reading`, which is empty.
    ///
    /// # Errors
    ///
    /// Where the GPU as a whole cannot be read. Single numbers that cannot be are missing, and listed
    /// in [`Reading::errors`].
    fn read(
        &mut self,
        index: u32,
        uuid: &str,
        wanted: Wanted,
        reading: &mut Reading,
    ) -> Result<(), CallError>;

    /// Codes of XID errors of a GPU that was read before and cannot be any more.
    fn last_xids(&mut self, uuid: &str) -> Vec<u64>;

    /// Whether the last reading of a GPU could take its PCIe throughput in no other way than by a
    /// blocking call.
    fn pcie_throughput_blocks(&mut self, uuid: &str) -> bool;

    /// The name of a process, if the driver knows it.
    fn process_name(&mut self, pid: u32) -> Option<String>;
}

/// How long one blocking PCIe reading takes, both directions together.
pub(crate) const PCIE_THROUGHPUT_TIME: Duration = Duration::from_millis(40);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentinels_are_no_values() {
        let mut numbers = Numbers::default();
        numbers.put_u64(Quantity::Energy, u64::MAX);
        numbers.put_u64(Quantity::Energy, 9_223_372_036_854_775_794);
        numbers.put_u64(Quantity::Energy, 9_223_372_036_854_775_792);
        numbers.put_u32(Quantity::Power, u32::MAX);
        numbers.put(Quantity::Power, f64::NAN);
        numbers.put(Quantity::Power, f64::INFINITY);
        assert_eq!(numbers.get(Quantity::Energy), None);
        assert_eq!(numbers.get(Quantity::Power), None);
        assert_eq!((numbers.sentinels(), numbers.len()), (6, 0));
        assert!(numbers.is_empty());
        numbers.put_u64(Quantity::Energy, 0);
        assert_eq!(numbers.get(Quantity::Energy), Some(0.0), "zero is a value");
    }

    #[test]
    fn merging_keeps_what_the_other_lacks() {
        let (mut a, mut b) = (Numbers::default(), Numbers::default());
        a.put_u32(Quantity::Power, 1);
        a.put_u32(Quantity::PowerLimit, 2);
        b.put_u32(Quantity::Power, 3);
        a.merge(&b);
        assert_eq!(a.get(Quantity::Power), Some(3.0));
        assert_eq!(a.get(Quantity::PowerLimit), Some(2.0));
    }

    #[test]
    fn errors_say_what_to_do() {
        let library = |message: &str| DriverError::Library {
            message: message.into(),
        };
        for (error, advice) in [
            (
                library("libx.so: cannot open shared object file"),
                "--nvml.library",
            ),
            (library("/tmp/x: invalid ELF header"), "not a library"),
            (
                DriverError::Init(CallError::DriverNotLoaded),
                "load the kernel module",
            ),
            (
                DriverError::Init(CallError::Code(12)),
                "not fully installed",
            ),
            (DriverError::Init(CallError::VersionMismatch), "reboot"),
            (DriverError::Gone(CallError::Unknown), "dmesg"),
        ] {
            assert!(error.to_string().contains(advice), "{error}");
        }
    }
}
