//! A partitioned GPU.

use std::ffi::c_uint;

use nvml_wrapper_sys::bindings::{nvmlDevice_t, nvmlDeviceAttributes_t};

use super::{Handle, NOT_FOUND, NOT_SUPPORTED, OK, device};

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
