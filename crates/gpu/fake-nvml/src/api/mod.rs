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

mod device;
mod events;
mod gpm;
mod mig;
mod system;

use std::ffi::{c_char, c_uint};

use nvml_wrapper_sys::bindings::nvmlDevice_t;

use crate::control::{Control, State, enter};
use crate::defaults;

const OK: u32 = 0;
const UNINITIALIZED: u32 = 1;
const INVALID_ARGUMENT: u32 = 2;
const NOT_SUPPORTED: u32 = 3;
const NO_PERMISSION: u32 = 4;
const NOT_FOUND: u32 = 6;
const INSUFFICIENT_SIZE: u32 = 7;
const TIMEOUT: u32 = 10;
const ARGUMENT_VERSION_MISMATCH: u32 = 25;

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
