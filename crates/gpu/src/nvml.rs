//! The real driver: NVIDIA's management library, found and loaded when it is opened.
//!
//! Nothing here links to a driver: without one, [`open`](Driver::open) fails with what is missing. A
//! function that the installed driver lacks is as good as one that the card does not support: the
//! number is absent. The calls that nvml-wrapper lacks are in `raw`.
//!
//! Four traps of nvml-wrapper 0.13 are stepped around. `call_error` has one, `reader::Listing` another.
//! Dropping an `Nvml`, an `EventSet` or a `GpmSample` panics where the library lacks the function that
//! frees it, so none is made, or it is forgotten. And what borrows the library has to go before it:
//! [`Driver::open`] hands out the session and gets it back, so that the borrow checker sees to the
//! order.

mod events;
mod fields;
mod gpm;
mod raw;
mod reader;

use std::collections::HashMap;
use std::ffi::OsStr;
use std::mem;
use std::path::PathBuf;

use nvml_wrapper::Device;
use nvml_wrapper::enums::device::DeviceArchitecture;
use nvml_wrapper::error::NvmlError;

use self::events::Events;
use self::gpm::Spaced;
use self::reader::{Listing, Reader};
use crate::device::{
    CallError, Driver, DriverError, Identity, Quantity, Reading, Session, Versions, Wanted,
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

/// What an error of nvml-wrapper means to us. It says `UnexpectedVariant` of return codes that it does
/// not know, and of *values* that it does not know: calls that answer in an enumeration are made in
/// `raw`, where a number cannot be taken for a code.
fn call_error(error: NvmlError) -> CallError {
    match error {
        NvmlError::FailedToLoadSymbol(_) => CallError::NotSupported,
        error => from_code(error.into()),
    }
}

struct NvmlSession<'n> {
    nvml: &'n nvml_wrapper::Nvml,
    /// What is kept of each GPU between two readings, by UUID.
    kept: HashMap<String, Kept<'n>>,
    /// Whether samples and event sets can be freed again.
    can_gpm: bool,
    can_events: bool,
    listing: Listing,
    field_answer: raw::Answer,
}

/// More GPUs than any machine has.
const KEPT_MAX: usize = 256;

#[derive(Default)]
struct Kept<'n> {
    gpm: Option<Spaced<'n>>,
    mig_gpm: HashMap<u32, Spaced<'n>>,
    gpm_supported: Option<bool>,
    events: Events<'n>,
    pcie_throughput_blocks: bool,
}

impl<'n> NvmlSession<'n> {
    fn new(nvml: &'n nvml_wrapper::Nvml) -> Self {
        let lib = nvml.lib();
        Self {
            nvml,
            kept: HashMap::new(),
            can_gpm: lib.nvmlGpmSampleFree.is_ok(),
            can_events: lib.nvmlEventSetFree.is_ok(),
            listing: nvml
                .sys_driver_version()
                // Of an unknown version, the call that is safe with all.
                .map_or(Listing::Second, |version| Listing::of(&version)),
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
        let result = self.read_all(index, uuid, wanted, reading);
        if result.is_err()
            && let Some(kept) = self.kept.get_mut(uuid)
        {
            // What comes after an outage has no before.
            kept.gpm = None;
            kept.mig_gpm.clear();
        }
        result
    }

    fn last_xids(&mut self, uuid: &str) -> Vec<u64> {
        let kept = self.kept.get_mut(uuid);
        // What else fails is no news of a GPU that cannot be read.
        kept.and_then(|kept| kept.events.waiting().0)
            .unwrap_or_default()
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

impl NvmlSession<'_> {
    fn read_all(
        &mut self,
        index: u32,
        uuid: &str,
        wanted: Wanted,
        reading: &mut Reading,
    ) -> Result<(), CallError> {
        if !self.kept.contains_key(uuid) {
            if self.kept.len() >= KEPT_MAX {
                // A driver that makes up identities must not fill the memory.
                self.kept.clear();
            }
            self.kept.insert(uuid.to_owned(), Kept::default());
        }
        let Some(kept) = self.kept.get_mut(uuid) else {
            return Err(CallError::Unknown);
        };
        let device = self.nvml.device_by_index(index).map_err(call_error)?;
        // Events first: they tell why a GPU was lost, also when nothing else can be read any more.
        let (xids, failed) = match self.can_events {
            true => kept.events.xids(&device),
            false => (None, None),
        };
        reading.xids = xids;
        let mut reader = Reader::new(&device, &mut *reading);
        if let Some(error) = failed {
            reader.failed(error);
        }
        reader.often(&mut self.field_answer);
        reader.fail_if_lost()?;
        if wanted.standing {
            reader.standing(&mut self.field_answer);
            reader.fail_if_lost()?;
        }
        let mig_enabled = reader.mig_mode();
        let by_gpm = if mig_enabled {
            kept.gpm = None;
            false
        } else {
            kept.mig_gpm.clear();
            self.can_gpm && reader.gpm(kept, wanted)
        };
        let counted = reader
            .reading
            .numbers
            .get(Quantity::PcieTransmitted)
            .is_some();
        kept.pcie_throughput_blocks = !by_gpm && !counted;
        if wanted.pcie_throughput && kept.pcie_throughput_blocks {
            reader.pcie_throughput();
        }
        if wanted.processes {
            reader.processes(self.listing, mig_enabled);
        }
        if wanted.mig && mig_enabled {
            reader.mig(kept, self.can_gpm, wanted);
        }
        reader.fail_if_lost()?;
        if reader.answered() {
            return Ok(());
        }
        // Not one call went through. The most frequent reason is as good as any other.
        Err(reading
            .errors
            .first()
            .copied()
            .unwrap_or(CallError::Unknown))
    }
}

fn architecture(architecture: DeviceArchitecture) -> Option<String> {
    match architecture {
        DeviceArchitecture::Unknown => None,
        known => Some(format!("{known:?}").to_lowercase()),
    }
}

impl Kept<'_> {
    fn supports_gpm(&mut self, device: &Device<'_>) -> Result<bool, CallError> {
        if let Some(known) = self.gpm_supported {
            return Ok(known);
        }
        let supported = match device.gpm_support().map_err(call_error) {
            Err(CallError::NotSupported) => false,
            // An error is no answer: to be asked again.
            answer => answer?,
        };
        self.gpm_supported = Some(supported);
        Ok(supported)
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
}
