//! A GPU: what it is, and its numbers.

use std::ffi::{c_char, c_int, c_uint, c_ulonglong};

use nvml_wrapper_sys::bindings::{
    nvmlBAR1Memory_t, nvmlDevice_t, nvmlFieldValue_t, nvmlMarginTemperature_t, nvmlMemory_t,
    nvmlMemory_v2_t, nvmlPciInfo_t, nvmlProcessInfo_t, nvmlRowRemapperHistogramValues_t,
    nvmlTemperature_t, nvmlUtilization_t, nvmlValue_t, nvmlViolationTime_t,
};

use super::{
    ARGUMENT_VERSION_MISMATCH, Handle, INSUFFICIENT_SIZE, INVALID_ARGUMENT, NO_PERMISSION,
    NOT_SUPPORTED, OK, device, give, give_text, number,
};
use crate::control::Control;
use crate::defaults;

/// Getters of one number.
macro_rules! numbers {
    ($($name:ident: $kind:ty;)+) => {$(
        #[doc = concat!("`", stringify!($name), "`.")]
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(it: nvmlDevice_t, to: *mut $kind) -> u32 {
            device(stringify!($name), it, |handle, control, _| {
                // SAFETY: the caller's pointer.
                unsafe { give(to, stringify!($name), handle.gpu, control, |it| it as $kind) }
            })
        }
    )+};
}

numbers! {
    nvmlDeviceGetArchitecture: c_uint;
    nvmlDeviceGetPowerUsage: c_uint;
    nvmlDeviceGetTotalEnergyConsumption: c_ulonglong;
    nvmlDeviceGetPerformanceState: c_uint;
    nvmlDeviceGetPcieReplayCounter: c_uint;
    nvmlDeviceGetCurrPcieLinkGeneration: c_uint;
    nvmlDeviceGetCurrPcieLinkWidth: c_uint;
    nvmlDeviceGetMaxPcieLinkGeneration: c_uint;
    nvmlDeviceGetMaxPcieLinkWidth: c_uint;
    nvmlDeviceGetCurrentClocksEventReasons: c_ulonglong;
    nvmlDeviceGetCurrentClocksThrottleReasons: c_ulonglong;
    nvmlDeviceGetNumFans: c_uint;
    nvmlDeviceGetEnforcedPowerLimit: c_uint;
    nvmlDeviceGetPowerManagementLimit: c_uint;
    nvmlDeviceGetPowerManagementDefaultLimit: c_uint;
    nvmlDeviceGetSupportedEventTypes: c_ulonglong;
}

/// Getters of one number that takes one argument.
macro_rules! numbers_by {
    ($($name:ident;)+) => {$(
        #[doc = concat!("`", stringify!($name), "`.")]
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(it: nvmlDevice_t, which: c_uint, to: *mut c_uint) -> u32 {
            device(stringify!($name), it, |handle, control, _| {
                let key = format!("{}:{which}", stringify!($name));
                // SAFETY: the caller's pointer.
                unsafe { give(to, &key, handle.gpu, control, |it| it as c_uint) }
            })
        }
    )+};
}

numbers_by! {
    nvmlDeviceGetTemperatureThreshold;
    nvmlDeviceGetClockInfo;
    nvmlDeviceGetMaxClockInfo;
    nvmlDeviceGetFanSpeed_v2;
    nvmlDeviceGetPcieThroughput;
}

/// Getters of a utilisation with its sampling period.
macro_rules! engines {
    ($($name:ident;)+) => {$(
        #[doc = concat!("`", stringify!($name), "`.")]
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(it: nvmlDevice_t, to: *mut c_uint, period: *mut c_uint) -> u32 {
            device(stringify!($name), it, |handle, control, _| {
                // SAFETY: the caller's pointers.
                unsafe {
                    period.write(167_000);
                    give(to, stringify!($name), handle.gpu, control, |it| it as c_uint)
                }
            })
        }
    )+};
}

engines! {
    nvmlDeviceGetEncoderUtilization;
    nvmlDeviceGetDecoderUtilization;
    nvmlDeviceGetJpgUtilization;
    nvmlDeviceGetOfaUtilization;
}

/// `nvmlDeviceGetUUID`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetUUID(
    it: nvmlDevice_t,
    to: *mut c_char,
    length: c_uint,
) -> u32 {
    device("nvmlDeviceGetUUID", it, |handle, control, _| {
        let text = match (handle.mig, control.text("nvmlDeviceGetUUID", handle.gpu)) {
            (None, Some(text)) => text.to_vec(),
            (None, None) => format!("GPU-0000000{}", handle.gpu).into_bytes(),
            (Some(mig), _) => format!("MIG-0000000{}-{mig}", handle.gpu).into_bytes(),
        };
        // SAFETY: the caller's buffer.
        unsafe { give_text(to, length, &text) }
    })
}

/// `nvmlDeviceGetName`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetName(
    it: nvmlDevice_t,
    to: *mut c_char,
    length: c_uint,
) -> u32 {
    device("nvmlDeviceGetName", it, |handle, control, _| {
        let name: &[u8] = match handle.mig {
            None => control
                .text("nvmlDeviceGetName", handle.gpu)
                .unwrap_or(b"NVIDIA H200"),
            Some(_) => b"NVIDIA H200 MIG 1g.18gb",
        };
        // SAFETY: the caller's buffer.
        unsafe { give_text(to, length, name) }
    })
}

/// `nvmlDeviceGetVbiosVersion`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetVbiosVersion(
    it: nvmlDevice_t,
    to: *mut c_char,
    length: c_uint,
) -> u32 {
    device("nvmlDeviceGetVbiosVersion", it, |_, _, _| {
        // SAFETY: the caller's buffer.
        unsafe { give_text(to, length, b"96.00.A5.00.03") }
    })
}

/// `nvmlDeviceGetPciInfo_v3`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetPciInfo_v3(it: nvmlDevice_t, to: *mut nvmlPciInfo_t) -> u32 {
    device("nvmlDeviceGetPciInfo_v3", it, |handle, _, _| {
        let id = format!("00000000:{:02X}:00.0", 0x83 + handle.gpu);
        // SAFETY: the caller's structure; the id is shorter than its field.
        unsafe { give_text((&raw mut (*to).busId).cast(), 32, id.as_bytes()) }
    })
}

fn memory(handle: Handle, part: &str, control: &Control) -> u64 {
    let key = format!("nvmlDeviceGetMemoryInfo:{part}");
    let all = number(&key, handle.gpu, control).unwrap_or(0.0) as u64;
    // Compute instances of one GPU instance share its memory.
    match handle.instances(control) {
        None => all,
        Some((instance, _)) => all / 7 + u64::from(instance),
    }
}

/// `nvmlDeviceGetMemoryInfo_v2`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetMemoryInfo_v2(
    it: nvmlDevice_t,
    to: *mut nvmlMemory_v2_t,
) -> u32 {
    device("nvmlDeviceGetMemoryInfo_v2", it, |handle, control, _| {
        // SAFETY: the caller's structure.
        let to = unsafe { &mut *to };
        if to.version != (size_of::<nvmlMemory_v2_t>() as u32 | 2 << 24) {
            return ARGUMENT_VERSION_MISMATCH;
        }
        to.total = memory(handle, "total", control);
        to.reserved = memory(handle, "reserved", control);
        to.free = memory(handle, "free", control);
        to.used = memory(handle, "used", control);
        OK
    })
}

/// `nvmlDeviceGetMemoryInfo`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetMemoryInfo(it: nvmlDevice_t, to: *mut nvmlMemory_t) -> u32 {
    device("nvmlDeviceGetMemoryInfo", it, |handle, control, _| {
        let memory = nvmlMemory_t {
            total: memory(handle, "total", control),
            free: memory(handle, "free", control),
            used: memory(handle, "used", control) + memory(handle, "reserved", control),
        };
        // SAFETY: the caller's structure.
        unsafe { to.write(memory) };
        OK
    })
}

/// `nvmlDeviceGetBAR1MemoryInfo`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetBAR1MemoryInfo(
    it: nvmlDevice_t,
    to: *mut nvmlBAR1Memory_t,
) -> u32 {
    device("nvmlDeviceGetBAR1MemoryInfo", it, |handle, control, _| {
        let part = |part: &str| {
            let key = format!("nvmlDeviceGetBAR1MemoryInfo:{part}");
            number(&key, handle.gpu, control).map(|it| it as u64)
        };
        let (Some(used), Some(total)) = (part("used"), part("total")) else {
            return NOT_SUPPORTED;
        };
        // SAFETY: the caller's structure.
        unsafe {
            to.write(nvmlBAR1Memory_t {
                bar1Total: total,
                bar1Free: total - used,
                bar1Used: used,
            });
        }
        OK
    })
}

/// `nvmlDeviceGetUtilizationRates`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetUtilizationRates(
    it: nvmlDevice_t,
    to: *mut nvmlUtilization_t,
) -> u32 {
    device("nvmlDeviceGetUtilizationRates", it, |handle, control, _| {
        // A partitioned GPU has none.
        if control.mig.contains_key(&handle.gpu) {
            return NOT_SUPPORTED;
        }
        let part = |part: &str| {
            let key = format!("nvmlDeviceGetUtilizationRates:{part}");
            number(&key, handle.gpu, control).map(|it| it as u32)
        };
        let (Some(gpu), Some(memory)) = (part("gpu"), part("memory")) else {
            return NOT_SUPPORTED;
        };
        // SAFETY: the caller's structure.
        unsafe { to.write(nvmlUtilization_t { gpu, memory }) };
        OK
    })
}

/// `nvmlDeviceGetTemperature`: the GPU's own sensor.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetTemperature(
    it: nvmlDevice_t,
    _sensor: c_uint,
    to: *mut c_uint,
) -> u32 {
    device("nvmlDeviceGetTemperature", it, |handle, control, _| {
        // SAFETY: the caller's pointer.
        unsafe {
            give(to, "nvmlDeviceGetTemperature", handle.gpu, control, |it| {
                it as c_uint
            })
        }
    })
}

/// `nvmlDeviceGetTemperatureV`: the number of `nvmlDeviceGetTemperature`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetTemperatureV(
    it: nvmlDevice_t,
    to: *mut nvmlTemperature_t,
) -> u32 {
    device("nvmlDeviceGetTemperatureV", it, |handle, control, _| {
        // SAFETY: the caller's structure.
        let to = unsafe { &mut *to };
        if to.version != (size_of::<nvmlTemperature_t>() as u32 | 1 << 24) {
            return ARGUMENT_VERSION_MISMATCH;
        }
        match number("nvmlDeviceGetTemperature", handle.gpu, control) {
            Some(degrees) => {
                to.temperature = degrees as c_int;
                OK
            }
            None => NOT_SUPPORTED,
        }
    })
}

/// `nvmlDeviceGetMarginTemperature`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetMarginTemperature(
    it: nvmlDevice_t,
    to: *mut nvmlMarginTemperature_t,
) -> u32 {
    device(
        "nvmlDeviceGetMarginTemperature",
        it,
        |handle, control, _| {
            // SAFETY: the caller's structure.
            let to = unsafe { &mut *to };
            if to.version != (size_of::<nvmlMarginTemperature_t>() as u32 | 1 << 24) {
                return ARGUMENT_VERSION_MISMATCH;
            }
            match number("nvmlDeviceGetMarginTemperature", handle.gpu, control) {
                Some(margin) => {
                    to.marginTemperature = margin as c_int;
                    OK
                }
                None => NOT_SUPPORTED,
            }
        },
    )
}

/// `nvmlDeviceGetPowerManagementLimitConstraints`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetPowerManagementLimitConstraints(
    it: nvmlDevice_t,
    min: *mut c_uint,
    max: *mut c_uint,
) -> u32 {
    let name = "nvmlDeviceGetPowerManagementLimitConstraints";
    device(name, it, |handle, control, _| {
        // SAFETY: the caller's pointers.
        unsafe {
            match give(min, &format!("{name}:min"), handle.gpu, control, |it| {
                it as c_uint
            }) {
                OK => give(max, &format!("{name}:max"), handle.gpu, control, |it| {
                    it as c_uint
                }),
                code => code,
            }
        }
    })
}

/// `nvmlDeviceGetEccMode`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetEccMode(
    it: nvmlDevice_t,
    current: *mut c_uint,
    pending: *mut c_uint,
) -> u32 {
    device("nvmlDeviceGetEccMode", it, |handle, control, _| {
        // SAFETY: the caller's pointers.
        unsafe {
            pending.write(1);
            give(current, "nvmlDeviceGetEccMode", handle.gpu, control, |it| {
                it as c_uint
            })
        }
    })
}

/// `nvmlDeviceGetTotalEccErrors`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetTotalEccErrors(
    it: nvmlDevice_t,
    error: c_uint,
    counter: c_uint,
    to: *mut c_ulonglong,
) -> u32 {
    device("nvmlDeviceGetTotalEccErrors", it, |handle, control, _| {
        let key = format!("nvmlDeviceGetTotalEccErrors:{error}:{counter}");
        // SAFETY: the caller's pointer.
        unsafe { give(to, &key, handle.gpu, control, |it| it as c_ulonglong) }
    })
}

/// `nvmlDeviceGetMemoryErrorCounter`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetMemoryErrorCounter(
    it: nvmlDevice_t,
    error: c_uint,
    counter: c_uint,
    location: c_uint,
    to: *mut c_ulonglong,
) -> u32 {
    device(
        "nvmlDeviceGetMemoryErrorCounter",
        it,
        |handle, control, _| {
            let key = format!("nvmlDeviceGetMemoryErrorCounter:{error}:{counter}:{location}");
            // SAFETY: the caller's pointer.
            unsafe { give(to, &key, handle.gpu, control, |it| it as c_ulonglong) }
        },
    )
}

/// `nvmlDeviceGetRowRemapperHistogram`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetRowRemapperHistogram(
    it: nvmlDevice_t,
    to: *mut nvmlRowRemapperHistogramValues_t,
) -> u32 {
    let name = "nvmlDeviceGetRowRemapperHistogram";
    device(name, it, |handle, control, _| {
        let part =
            |part: &str| number(&format!("{name}:{part}"), handle.gpu, control).map(|it| it as u32);
        let Some(max) = part("max") else {
            return NOT_SUPPORTED;
        };
        // SAFETY: the caller's structure.
        unsafe {
            to.write(nvmlRowRemapperHistogramValues_t {
                max,
                high: part("high").unwrap_or(0),
                partial: part("partial").unwrap_or(0),
                low: part("low").unwrap_or(0),
                none: part("none").unwrap_or(0),
            });
        }
        OK
    })
}

/// `nvmlDeviceGetNvLinkState`: 18 links.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetNvLinkState(
    it: nvmlDevice_t,
    link: c_uint,
    to: *mut c_uint,
) -> u32 {
    device("nvmlDeviceGetNvLinkState", it, |handle, control, _| {
        let own = format!("nvmlDeviceGetNvLinkState:{link}");
        match control.own_code(&own, handle.gpu) {
            OK => {}
            code => return code,
        }
        let key = match control.value(&own, handle.gpu) {
            Some(_) => &own,
            None if link < 18 => "nvmlDeviceGetNvLinkState",
            None => return INVALID_ARGUMENT,
        };
        // SAFETY: the caller's pointer.
        unsafe { give(to, key, handle.gpu, control, |it| it as c_uint) }
    })
}

/// `nvmlDeviceGetFieldValues`. Numbers below zero come as signed, others as 64-bit unsigned ones, but
/// for the narrow fields.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetFieldValues(
    it: nvmlDevice_t,
    count: c_int,
    values: *mut nvmlFieldValue_t,
) -> u32 {
    device("nvmlDeviceGetFieldValues", it, |handle, control, _| {
        // SAFETY: the caller's array is `count` long.
        let values = unsafe { std::slice::from_raw_parts_mut(values, count as usize) };
        for value in values {
            let key = format!("field:{}:{}", value.fieldId, value.scopeId);
            // A line without a scope is for all of them.
            let any = format!("field:{}", value.fieldId);
            let found = control
                .value(&key, handle.gpu)
                .or_else(|| control.value(&any, handle.gpu))
                .unwrap_or_else(|| defaults::value(&key, handle.gpu));
            match found {
                Some(it) if it < 0.0 => {
                    value.valueType = 5;
                    value.value = nvmlValue_t { siVal: it as c_int };
                }
                Some(it) if control.is_narrow(value.fieldId) => {
                    value.valueType = 1;
                    value.value = nvmlValue_t {
                        uiVal: it as c_ulonglong as c_uint,
                    };
                }
                Some(it) => {
                    value.valueType = 3;
                    value.value = nvmlValue_t {
                        ullVal: it as c_ulonglong,
                    };
                }
                None => {
                    value.nvmlReturn = NOT_SUPPORTED;
                    continue;
                }
            }
            value.nvmlReturn = OK;
        }
        OK
    })
}

/// `nvmlDeviceGetViolationStatus`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetViolationStatus(
    it: nvmlDevice_t,
    policy: c_uint,
    to: *mut nvmlViolationTime_t,
) -> u32 {
    device("nvmlDeviceGetViolationStatus", it, |handle, control, _| {
        let key = format!("nvmlDeviceGetViolationStatus:{policy}");
        match number(&key, handle.gpu, control) {
            Some(time) => {
                // SAFETY: the caller's structure.
                unsafe {
                    to.write(nvmlViolationTime_t {
                        referenceTime: 1,
                        violationTime: time as u64,
                    });
                }
                OK
            }
            None => NOT_SUPPORTED,
        }
    })
}

/// The third version of the structure, as drivers 535.43 to 535.86 write it.
#[repr(C)]
struct WideProcessInfo {
    info: nvmlProcessInfo_t,
    protected_memory: c_ulonglong,
}

/// Whether the driver that this one says it is writes wide structures to lists of the third version.
fn is_wide(function: &str, control: &Control) -> bool {
    let version = control.text("nvmlSystemGetDriverVersion", 0);
    let minor = version.and_then(|it| it.strip_prefix(b"535.")?.split(|byte| *byte == b'.').next());
    function.ends_with("_v3") && minor.is_some_and(|it| it.len() == 2 && it < b"98".as_slice())
}

unsafe fn list_processes(
    function: &str,
    graphics: bool,
    it: nvmlDevice_t,
    count: *mut c_uint,
    infos: *mut nvmlProcessInfo_t,
) -> u32 {
    device(function, it, |handle, control, _| {
        let partitioned = control.mig.contains_key(&handle.gpu);
        if partitioned && control.unprivileged && handle.mig.is_none() {
            return NO_PERMISSION;
        }
        let own = handle.instances(control).map(|(instance, _)| instance);
        let found: Vec<_> = control
            .processes
            .iter()
            .filter(|it| it.gpu == handle.gpu && it.graphics == graphics)
            .filter(|it| own.is_none() || it.instance == own)
            .collect();
        // SAFETY: the caller's pointers; the array is `count` long. That the caller made it of narrower
        // structures than are written is the fault of those drivers.
        unsafe {
            let room = count.replace(found.len() as c_uint) as usize;
            if room < found.len() {
                return INSUFFICIENT_SIZE;
            }
            for (at, process) in found.into_iter().enumerate() {
                let info = nvmlProcessInfo_t {
                    pid: process.pid,
                    usedGpuMemory: process.bytes,
                    // A MIG device need not say what is known of it.
                    gpuInstanceId: process
                        .instance
                        .filter(|_| own.is_none())
                        .unwrap_or(u32::MAX),
                    computeInstanceId: u32::MAX,
                };
                if is_wide(function, control) {
                    infos
                        .cast::<WideProcessInfo>()
                        .add(at)
                        .write(WideProcessInfo {
                            info,
                            protected_memory: 0,
                        });
                } else {
                    infos.add(at).write(info);
                }
            }
        }
        OK
    })
}

macro_rules! processes {
    ($($name:ident $graphics:literal;)+) => {$(
        #[doc = concat!("`", stringify!($name), "`.")]
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(
            it: nvmlDevice_t,
            count: *mut c_uint,
            infos: *mut nvmlProcessInfo_t,
        ) -> u32 {
            // SAFETY: the caller's pointers.
            unsafe { list_processes(stringify!($name), $graphics, it, count, infos) }
        }
    )+};
}

processes! {
    nvmlDeviceGetComputeRunningProcesses_v3 false;
    nvmlDeviceGetComputeRunningProcesses_v2 false;
    nvmlDeviceGetGraphicsRunningProcesses_v3 true;
    nvmlDeviceGetGraphicsRunningProcesses_v2 true;
}
