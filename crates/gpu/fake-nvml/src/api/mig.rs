//! A partitioned GPU.

use std::ffi::c_uint;

use nvml_wrapper_sys::bindings::{nvmlDevice_t, nvmlDeviceAttributes_t};

use super::{Handle, NOT_FOUND, NOT_SUPPORTED, OK, device};
use crate::control::Control;

impl Handle {
    /// The GPU instance of a MIG device, and the place of its compute instance among those of it.
    pub(super) fn instances(self, control: &Control) -> Option<(u32, u32)> {
        let (mig, instances) = self.mig.zip(control.mig.get(&self.gpu))?;
        let own = instances.get(mig as usize)?;
        let before = instances.iter().take(mig as usize);
        Some((*own, before.filter(|id| *id == own).count() as u32))
    }
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
        let Some((id, _)) = handle.instances(control) else {
            return NOT_SUPPORTED;
        };
        // SAFETY: the caller's pointer.
        unsafe { to.write(id) };
        OK
    })
}

/// `nvmlDeviceGetComputeInstanceId`: the place among those of the same GPU instance.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetComputeInstanceId(it: nvmlDevice_t, to: *mut c_uint) -> u32 {
    let name = "nvmlDeviceGetComputeInstanceId";
    device(name, it, |handle, control, _| {
        let Some((_, place)) = handle.instances(control) else {
            return NOT_SUPPORTED;
        };
        // SAFETY: the caller's pointer.
        unsafe { to.write(place) };
        OK
    })
}

/// `nvmlDeviceGetAttributes_v2`: each compute instance has 16 multiprocessors more than the one before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetAttributes_v2(
    it: nvmlDevice_t,
    to: *mut nvmlDeviceAttributes_t,
) -> u32 {
    device("nvmlDeviceGetAttributes_v2", it, |handle, control, _| {
        let Some((_, place)) = handle.instances(control) else {
            return NOT_SUPPORTED;
        };
        // SAFETY: the caller's structure, of plain numbers.
        unsafe {
            to.write(std::mem::zeroed());
            (*to).multiprocessorCount = 16 * (place + 1);
        }
        OK
    })
}
