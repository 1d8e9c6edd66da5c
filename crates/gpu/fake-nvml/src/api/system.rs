//! The library itself: begin and end, versions, which GPUs there are.

use std::ffi::{c_char, c_int, c_uint};

use nvml_wrapper_sys::bindings::nvmlDevice_t;

use super::{Handle, INVALID_ARGUMENT, OK, give_text, system};
use crate::control::enter;

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
