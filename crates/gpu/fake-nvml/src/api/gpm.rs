//! Two samples of the hardware counters, and what happened between them.

use std::ffi::c_uint;

use nvml_wrapper_sys::bindings::{
    NVML_GPM_METRICS_GET_VERSION, NVML_GPM_SUPPORT_VERSION, nvmlDevice_t, nvmlGpmMetricsGet_t,
    nvmlGpmSample_t, nvmlGpmSupport_t,
};

use super::{
    ARGUMENT_VERSION_MISMATCH, INVALID_ARGUMENT, NOT_SUPPORTED, OK, device, number, system,
};
use crate::control::enter;

/// `nvmlGpmQueryDeviceSupport`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlGpmQueryDeviceSupport(
    it: nvmlDevice_t,
    to: *mut nvmlGpmSupport_t,
) -> u32 {
    device("nvmlGpmQueryDeviceSupport", it, |handle, control, _| {
        // SAFETY: the caller's structure.
        if unsafe { (*to).version } != NVML_GPM_SUPPORT_VERSION {
            return ARGUMENT_VERSION_MISMATCH;
        }
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
        if request.version != NVML_GPM_METRICS_GET_VERSION {
            return ARGUMENT_VERSION_MISMATCH;
        }
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
