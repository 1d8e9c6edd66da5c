//! XID errors, as events.

use std::ffi::{c_uint, c_ulonglong};

use nvml_wrapper_sys::bindings::{nvmlDevice_t, nvmlEventData_t, nvmlEventSet_t};

use super::{Handle, INVALID_ARGUMENT, OK, TIMEOUT, device, system};
use crate::control::enter;

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
