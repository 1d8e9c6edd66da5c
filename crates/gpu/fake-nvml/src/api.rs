//! The C interface: as much of `nvml.h` as `tokenpath-gpu` calls.

#![allow(non_snake_case, reason = "the names are NVIDIA's")]
#![allow(
    clippy::missing_safety_doc,
    reason = "every function has the contract of nvml.h: pointers are valid, lengths are true"
)]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "numbers of tests, chosen to fit, or not to fit on purpose"
)]

use std::ffi::{c_char, c_int, c_uint, c_ulonglong};

use nvml_wrapper_sys::bindings::{
    nvmlBAR1Memory_t, nvmlDevice_t, nvmlDeviceAttributes_t, nvmlEventData_t, nvmlEventSet_t,
    nvmlFieldValue_t, nvmlGpmMetricsGet_t, nvmlGpmSample_t, nvmlGpmSupport_t,
    nvmlMarginTemperature_t, nvmlMemory_t, nvmlMemory_v2_t, nvmlPciInfo_t, nvmlProcessInfo_t,
    nvmlRowRemapperHistogramValues_t, nvmlUtilization_t, nvmlValue_t, nvmlViolationTime_t,
};

use crate::control::{Control, State, enter};
use crate::defaults;

const OK: u32 = 0;
const UNINITIALIZED: u32 = 1;
const INVALID_ARGUMENT: u32 = 2;
const NOT_SUPPORTED: u32 = 3;
const NOT_FOUND: u32 = 6;
const INSUFFICIENT_SIZE: u32 = 7;
const TIMEOUT: u32 = 10;

/// A device: the GPU that it is, and which MIG device of it.
#[derive(Clone, Copy)]
struct Handle {
    gpu: u32,
    mig: Option<u32>,
}

impl Handle {
    fn of(device: nvmlDevice_t) -> Option<Self> {
        let bits = device as usize;
        let gpu = (bits & 0xffff).checked_sub(1)? as u32;
        let mig = (bits >> 16).checked_sub(1).map(|mig| mig as u32);
        Some(Self { gpu, mig })
    }

    fn into_raw(self) -> nvmlDevice_t {
        let mig = self.mig.map_or(0, |mig| mig as usize + 1);
        ((self.gpu as usize + 1) | mig << 16) as nvmlDevice_t
    }
}

/// A call that concerns no GPU.
fn system(function: &str, work: impl FnOnce(&Control, &mut State) -> u32) -> u32 {
    enter(function, |control, state| {
        match control.code(function, None) {
            0 if state.initialised == 0 => UNINITIALIZED,
            0 => work(control, state),
            code => code,
        }
    })
}

/// A call that concerns a GPU.
fn device(
    function: &str,
    device: nvmlDevice_t,
    work: impl FnOnce(Handle, &Control, &mut State) -> u32,
) -> u32 {
    let Some(handle) = Handle::of(device) else {
        return INVALID_ARGUMENT;
    };
    enter(function, |control, state| {
        match control.code(function, Some(handle.gpu)) {
            0 if state.initialised == 0 => UNINITIALIZED,
            0 => work(handle, control, state),
            code => code,
        }
    })
}

fn number(key: &str, gpu: u32, control: &Control) -> Option<f64> {
    control
        .value(key, gpu)
        .unwrap_or_else(|| defaults::value(key, gpu))
}

/// Writes one number, or says that it is not supported.
unsafe fn give<T>(
    to: *mut T,
    key: &str,
    gpu: u32,
    control: &Control,
    convert: impl Fn(f64) -> T,
) -> u32 {
    match number(key, gpu, control) {
        // SAFETY: the caller's pointer, as nvml.h asks for.
        Some(number) => unsafe {
            to.write(convert(number));
            OK
        },
        None => NOT_SUPPORTED,
    }
}

unsafe fn give_text(to: *mut c_char, length: c_uint, text: &[u8]) -> u32 {
    if text.len() >= length as usize {
        return INSUFFICIENT_SIZE;
    }
    // SAFETY: the caller's buffer is `length` bytes long, and the text with its zero is shorter.
    unsafe {
        to.cast::<u8>().copy_from(text.as_ptr(), text.len());
        to.add(text.len()).write(0);
    }
    OK
}

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

/// `nvmlInit_v2`.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlInit_v2() -> u32 {
    enter("nvmlInit_v2", |control, state| {
        if control.init == 0 {
            state.initialised += 1;
        }
        control.init
    })
}

/// `nvmlShutdown`.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlShutdown() -> u32 {
    system("nvmlShutdown", |_, state| {
        // What a program forgets to free shows in the test as an abort.
        assert!(
            state.initialised > 1 || state.event_sets.is_empty() && state.gpm_samples.is_empty(),
            "event sets or GPM samples were not freed"
        );
        state.initialised -= 1;
        OK
    })
}

/// `nvmlSystemGetDriverVersion`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlSystemGetDriverVersion(to: *mut c_char, length: c_uint) -> u32 {
    system("nvmlSystemGetDriverVersion", |control, _| {
        let text = control.text("nvmlSystemGetDriverVersion", 0);
        // SAFETY: the caller's buffer.
        unsafe { give_text(to, length, text.unwrap_or(b"590.48.01")) }
    })
}

/// `nvmlSystemGetNVMLVersion`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlSystemGetNVMLVersion(to: *mut c_char, length: c_uint) -> u32 {
    system("nvmlSystemGetNVMLVersion", |_, _| {
        // SAFETY: the caller's buffer.
        unsafe { give_text(to, length, b"13.590.48.01") }
    })
}

/// `nvmlSystemGetCudaDriverVersion_v2`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlSystemGetCudaDriverVersion_v2(to: *mut c_int) -> u32 {
    system("nvmlSystemGetCudaDriverVersion_v2", |_, _| {
        // SAFETY: the caller's pointer.
        unsafe { to.write(13_010) };
        OK
    })
}

/// `nvmlSystemGetProcessName`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlSystemGetProcessName(
    pid: c_uint,
    to: *mut c_char,
    length: c_uint,
) -> u32 {
    system("nvmlSystemGetProcessName", |_, _| {
        let name = format!("/opt/bin/engine-{pid} --serve");
        // SAFETY: the caller's buffer.
        unsafe { give_text(to, length, name.as_bytes()) }
    })
}

/// `nvmlDeviceGetCount_v2`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetCount_v2(to: *mut c_uint) -> u32 {
    system("nvmlDeviceGetCount_v2", |control, _| {
        // SAFETY: the caller's pointer.
        unsafe { to.write(control.count.unwrap_or(1)) };
        OK
    })
}

/// `nvmlDeviceGetHandleByIndex_v2`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetHandleByIndex_v2(
    index: c_uint,
    to: *mut nvmlDevice_t,
) -> u32 {
    system("nvmlDeviceGetHandleByIndex_v2", |control, _| {
        if index >= control.count.unwrap_or(1) {
            return INVALID_ARGUMENT;
        }
        let gpu = control.order.get(index as usize).copied().unwrap_or(index);
        match control.code("nvmlDeviceGetHandleByIndex_v2", Some(gpu)) {
            0 => {
                // SAFETY: the caller's pointer.
                unsafe { to.write(Handle { gpu, mig: None }.into_raw()) };
                OK
            }
            code => code,
        }
    })
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
    match handle.mig {
        None => all,
        Some(mig) => all / 7 + u64::from(mig),
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
            return 25;
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
                return 25;
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
        let key = match control.value(&own, handle.gpu) {
            Some(_) => &own,
            None if link < 18 => "nvmlDeviceGetNvLinkState",
            None => return INVALID_ARGUMENT,
        };
        // SAFETY: the caller's pointer.
        unsafe { give(to, key, handle.gpu, control, |it| it as c_uint) }
    })
}

/// `nvmlDeviceGetFieldValues`. Numbers below zero come as signed, others as 64-bit unsigned ones.
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
            match number(&key, handle.gpu, control) {
                Some(it) if it < 0.0 => {
                    value.valueType = 5;
                    value.value = nvmlValue_t { siVal: it as c_int };
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

unsafe fn list_processes(
    function: &str,
    graphics: bool,
    it: nvmlDevice_t,
    count: *mut c_uint,
    infos: *mut nvmlProcessInfo_t,
) -> u32 {
    device(function, it, |handle, control, _| {
        let found: Vec<_> = control
            .processes
            .iter()
            .filter(|(gpu, _, _, kind)| *gpu == handle.gpu && *kind == graphics)
            .collect();
        // SAFETY: the caller's pointers; the array is `count` long.
        unsafe {
            let room = count.replace(found.len() as c_uint) as usize;
            if room < found.len() {
                return INSUFFICIENT_SIZE;
            }
            for (at, (_, pid, bytes, _)) in found.into_iter().enumerate() {
                infos.add(at).write(nvmlProcessInfo_t {
                    pid: *pid,
                    usedGpuMemory: *bytes,
                    gpuInstanceId: u32::MAX,
                    computeInstanceId: u32::MAX,
                });
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

/// `nvmlDeviceGetMigMode`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetMigMode(
    it: nvmlDevice_t,
    current: *mut c_uint,
    pending: *mut c_uint,
) -> u32 {
    device("nvmlDeviceGetMigMode", it, |handle, control, _| {
        let on = u32::from(control.mig.contains_key(&handle.gpu));
        // SAFETY: the caller's pointers.
        unsafe {
            current.write(on);
            pending.write(on);
        }
        OK
    })
}

/// `nvmlDeviceGetMaxMigDeviceCount`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetMaxMigDeviceCount(it: nvmlDevice_t, to: *mut c_uint) -> u32 {
    device("nvmlDeviceGetMaxMigDeviceCount", it, |_, _, _| {
        // SAFETY: the caller's pointer.
        unsafe { to.write(7) };
        OK
    })
}

/// `nvmlDeviceGetMigDeviceHandleByIndex`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetMigDeviceHandleByIndex(
    it: nvmlDevice_t,
    index: c_uint,
    to: *mut nvmlDevice_t,
) -> u32 {
    let name = "nvmlDeviceGetMigDeviceHandleByIndex";
    device(name, it, |handle, control, _| {
        let instances = control.mig.get(&handle.gpu);
        if instances.is_none_or(|instances| instances.len() <= index as usize) {
            return NOT_FOUND;
        }
        let mig = Handle {
            gpu: handle.gpu,
            mig: Some(index),
        };
        // SAFETY: the caller's pointer.
        unsafe { to.write(mig.into_raw()) };
        OK
    })
}

/// `nvmlDeviceGetGpuInstanceId`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetGpuInstanceId(it: nvmlDevice_t, to: *mut c_uint) -> u32 {
    device("nvmlDeviceGetGpuInstanceId", it, |handle, control, _| {
        let instances = control.mig.get(&handle.gpu);
        let id = handle
            .mig
            .and_then(|mig| instances?.get(mig as usize).copied());
        let Some(id) = id else { return NOT_SUPPORTED };
        // SAFETY: the caller's pointer.
        unsafe { to.write(id) };
        OK
    })
}

/// `nvmlDeviceGetComputeInstanceId`: the place among those of the same GPU instance.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetComputeInstanceId(it: nvmlDevice_t, to: *mut c_uint) -> u32 {
    device(
        "nvmlDeviceGetComputeInstanceId",
        it,
        |handle, control, _| {
            let Some((mig, instances)) = handle.mig.zip(control.mig.get(&handle.gpu)) else {
                return NOT_SUPPORTED;
            };
            let Some(own) = instances.get(mig as usize) else {
                return NOT_FOUND;
            };
            let before = &instances[..mig as usize];
            // SAFETY: the caller's pointer.
            unsafe { to.write(before.iter().filter(|id| *id == own).count() as c_uint) };
            OK
        },
    )
}

/// `nvmlDeviceGetAttributes_v2`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetAttributes_v2(
    it: nvmlDevice_t,
    to: *mut nvmlDeviceAttributes_t,
) -> u32 {
    device("nvmlDeviceGetAttributes_v2", it, |handle, _, _| {
        if handle.mig.is_none() {
            return NOT_SUPPORTED;
        }
        // SAFETY: the caller's structure, of plain numbers.
        unsafe {
            to.write(std::mem::zeroed());
            (*to).multiprocessorCount = 16;
        }
        OK
    })
}

/// `nvmlEventSetCreate`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlEventSetCreate(to: *mut nvmlEventSet_t) -> u32 {
    system("nvmlEventSetCreate", |_, state| {
        state.next_handle += 1;
        let set = state.next_handle;
        state.event_sets.insert(set, (u32::MAX, Default::default()));
        // SAFETY: the caller's pointer.
        unsafe { to.write(set as nvmlEventSet_t) };
        OK
    })
}

/// `nvmlDeviceRegisterEvents`: what happened before is not delivered.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlDeviceRegisterEvents(
    it: nvmlDevice_t,
    _types: c_ulonglong,
    set: nvmlEventSet_t,
) -> u32 {
    device("nvmlDeviceRegisterEvents", it, |handle, control, state| {
        let Some(set) = state.event_sets.get_mut(&(set as usize)) else {
            return INVALID_ARGUMENT;
        };
        let past = control.xids.iter().filter(|(gpu, ..)| *gpu == handle.gpu);
        *set = (
            handle.gpu,
            past.map(|(_, code, count)| (*code, *count)).collect(),
        );
        OK
    })
}

/// `nvmlEventSetWait_v2`: never waits.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlEventSetWait_v2(
    set: nvmlEventSet_t,
    to: *mut nvmlEventData_t,
    _timeout: c_uint,
) -> u32 {
    system("nvmlEventSetWait_v2", |control, state| {
        let Some((gpu, given)) = state.event_sets.get_mut(&(set as usize)) else {
            return INVALID_ARGUMENT;
        };
        for (on, code, count) in &control.xids {
            let given = given.entry(*code).or_default();
            if on == gpu && *given < *count {
                *given += 1;
                // SAFETY: the caller's structure.
                unsafe {
                    to.write(nvmlEventData_t {
                        device: Handle {
                            gpu: *gpu,
                            mig: None,
                        }
                        .into_raw(),
                        eventType: 8,
                        eventData: *code,
                        gpuInstanceId: u32::MAX,
                        computeInstanceId: u32::MAX,
                    });
                }
                return OK;
            }
        }
        TIMEOUT
    })
}

/// `nvmlEventSetFree`.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlEventSetFree(set: nvmlEventSet_t) -> u32 {
    enter("nvmlEventSetFree", |_, state| {
        match state.event_sets.remove(&(set as usize)) {
            Some(_) => OK,
            None => INVALID_ARGUMENT,
        }
    })
}

/// `nvmlGpmQueryDeviceSupport`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlGpmQueryDeviceSupport(
    it: nvmlDevice_t,
    to: *mut nvmlGpmSupport_t,
) -> u32 {
    device("nvmlGpmQueryDeviceSupport", it, |handle, control, _| {
        let supported = number("nvmlGpmQueryDeviceSupport", handle.gpu, control);
        // SAFETY: the caller's structure.
        unsafe { (*to).isSupportedDevice = supported.unwrap_or(0.0) as u32 };
        OK
    })
}

/// `nvmlGpmSampleAlloc`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlGpmSampleAlloc(to: *mut nvmlGpmSample_t) -> u32 {
    system("nvmlGpmSampleAlloc", |_, state| {
        state.next_handle += 1;
        // The lowest 16 bits are for the GPU that the sample will be of.
        let sample = state.next_handle << 16;
        state.gpm_samples.insert(sample);
        // SAFETY: the caller's pointer.
        unsafe { to.write(sample as nvmlGpmSample_t) };
        OK
    })
}

/// `nvmlGpmSampleFree`.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlGpmSampleFree(sample: nvmlGpmSample_t) -> u32 {
    enter("nvmlGpmSampleFree", |_, state| {
        state.gpm_of.remove(&(sample as usize));
        match state.gpm_samples.remove(&(sample as usize)) {
            true => OK,
            false => INVALID_ARGUMENT,
        }
    })
}

/// `nvmlGpmSampleGet`.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlGpmSampleGet(it: nvmlDevice_t, sample: nvmlGpmSample_t) -> u32 {
    device("nvmlGpmSampleGet", it, |handle, control, state| {
        if control.mig.contains_key(&handle.gpu) {
            return NOT_SUPPORTED;
        }
        state.gpm_of.insert(sample as usize, (handle.gpu, None));
        OK
    })
}

/// `nvmlGpmMigSampleGet`.
#[unsafe(no_mangle)]
pub extern "C" fn nvmlGpmMigSampleGet(
    it: nvmlDevice_t,
    instance: c_uint,
    sample: nvmlGpmSample_t,
) -> u32 {
    device("nvmlGpmMigSampleGet", it, |handle, control, state| {
        let instances = control.mig.get(&handle.gpu);
        if instances.is_none_or(|instances| !instances.contains(&instance)) {
            return INVALID_ARGUMENT;
        }
        state
            .gpm_of
            .insert(sample as usize, (handle.gpu, Some(instance)));
        OK
    })
}

/// `nvmlGpmMetricsGet`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlGpmMetricsGet(request: *mut nvmlGpmMetricsGet_t) -> u32 {
    system("nvmlGpmMetricsGet", |control, state| {
        // SAFETY: the caller's structure.
        let request = unsafe { &mut *request };
        let of = |sample: nvmlGpmSample_t| state.gpm_of.get(&(sample as usize)).copied();
        let (Some(first), Some(second)) = (of(request.sample1), of(request.sample2)) else {
            return INVALID_ARGUMENT;
        };
        // Samples of two GPUs say nothing, and the same sample twice neither.
        if first != second || request.sample1 == request.sample2 {
            return INVALID_ARGUMENT;
        }
        for metric in &mut request.metrics[..request.numMetrics as usize] {
            let key = match first.1 {
                None => format!("gpm:{}", metric.metricId),
                // Instances have no links of their own.
                Some(_) if metric.metricId >= 20 => "none".to_owned(),
                Some(_) => format!("gpm:{}", metric.metricId),
            };
            match number(&key, first.0, control) {
                Some(value) => {
                    metric.value = value;
                    metric.nvmlReturn = OK;
                }
                None => metric.nvmlReturn = NOT_SUPPORTED,
            }
        }
        OK
    })
}
