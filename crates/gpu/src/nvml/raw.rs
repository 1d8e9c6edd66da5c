//! The NVML calls that nvml-wrapper lacks, or whose results it refuses: names that are not UTF-8, the
//! memory structure of old drivers, fields with a scope.
//!
//! # The contract
//!
//! This is the only module of the crate with `unsafe`, and everything in it does the same three
//! things, so that one argument covers all of it:
//!
//! 1. The function pointer comes from the `NvmlLib` of a live [`Nvml`]: the borrow of the [`Device`]
//!    (or of the `Nvml`) keeps the library loaded and initialised for the length of the call. Its
//!    type is the binding's, made from NVIDIA's header. A function that the library lacks is
//!    [`CallError::NotSupported`].
//! 2. The device handle is the one of that `Device`, so it belongs to that library.
//! 3. Every pointer handed over is to a local of ours that outlives the call, of the type the header
//!    asks for, with its true length where the call takes one. It is filled with zeros before, so it
//!    is initialised whatever the driver writes, and every type is valid for every bit pattern.
//!
//! NVML keeps none of these pointers after a call returns.

#![expect(
    unsafe_code,
    reason = "calls into the driver's C library; the contract is stated above"
)]

use std::ffi::CStr;
use std::os::raw::{c_char, c_int, c_uint};

use nvml_wrapper::{Device, FieldIdScheme, Nvml};
use nvml_wrapper_sys::bindings::{
    nvmlDevice_t, nvmlFieldValue_t, nvmlMarginTemperature_t, nvmlMemory_t, nvmlReturn_t,
    nvmlRowRemapperHistogramValues_t, nvmlTemperature_t,
    nvmlTemperatureSensors_enum_NVML_TEMPERATURE_GPU as GPU_SENSOR, nvmlValue_t,
    nvmlValueType_enum_NVML_VALUE_TYPE_DOUBLE as DOUBLE,
    nvmlValueType_enum_NVML_VALUE_TYPE_SIGNED_INT as SIGNED_INT,
    nvmlValueType_enum_NVML_VALUE_TYPE_SIGNED_LONG_LONG as SIGNED_LONG_LONG,
    nvmlValueType_enum_NVML_VALUE_TYPE_UNSIGNED_INT as UNSIGNED_INT,
    nvmlValueType_enum_NVML_VALUE_TYPE_UNSIGNED_LONG as UNSIGNED_LONG,
    nvmlValueType_enum_NVML_VALUE_TYPE_UNSIGNED_LONG_LONG as UNSIGNED_LONG_LONG,
    nvmlValueType_enum_NVML_VALUE_TYPE_UNSIGNED_SHORT as UNSIGNED_SHORT,
};

use super::from_code;
use crate::device::CallError;

/// A function of the library: present, or missing with the linker's message.
type Symbol<'l, F, E> = Result<&'l F, &'l E>;

fn present<'l, F, E>(symbol: Symbol<'l, F, E>) -> Result<&'l F, CallError> {
    symbol.map_err(|_| CallError::NotSupported)
}

fn checked(code: nvmlReturn_t) -> Result<(), CallError> {
    match code {
        0 => Ok(()),
        code => Err(from_code(code)),
    }
}

fn handle(device: &Device<'_>) -> nvmlDevice_t {
    // SAFETY: reading the handle is harmless; it is used for calls through the same library only.
    unsafe { device.handle() }
}

/// Longer than any text of NVML (the longest, process names, are cut to what fits).
const TEXT_BYTES: usize = 256;

/// Text that a call writes into a buffer of the given length. Bytes that are not UTF-8 are replaced:
/// a name that cannot be shown in full still tells the card.
fn text(call: impl FnOnce(*mut c_char, c_uint) -> nvmlReturn_t) -> Result<String, CallError> {
    let mut buffer = [0_u8; TEXT_BYTES];
    // One byte stays back, so that the text ends in a zero whatever the driver wrote.
    #[expect(clippy::cast_possible_truncation, reason = "256")]
    checked(call(buffer.as_mut_ptr().cast(), (TEXT_BYTES - 1) as c_uint))?;
    let text = CStr::from_bytes_until_nul(&buffer).map_err(|_| CallError::Unknown)?;
    Ok(text.to_string_lossy().into_owned())
}

/// `nvmlDeviceGetUUID`.
pub(super) fn uuid(device: &Device<'_>) -> Result<String, CallError> {
    let call = present(device.nvml().lib().nvmlDeviceGetUUID.as_ref())?;
    // SAFETY: as the module says; `text` hands over a buffer of the length it names.
    text(|buffer, length| unsafe { call(handle(device), buffer, length) })
}

/// `nvmlDeviceGetName`.
pub(super) fn name(device: &Device<'_>) -> Result<String, CallError> {
    let call = present(device.nvml().lib().nvmlDeviceGetName.as_ref())?;
    // SAFETY: as the module says; `text` hands over a buffer of the length it names.
    text(|buffer, length| unsafe { call(handle(device), buffer, length) })
}

/// `nvmlDeviceGetVbiosVersion`.
pub(super) fn vbios_version(device: &Device<'_>) -> Result<String, CallError> {
    let call = present(device.nvml().lib().nvmlDeviceGetVbiosVersion.as_ref())?;
    // SAFETY: as the module says; `text` hands over a buffer of the length it names.
    text(|buffer, length| unsafe { call(handle(device), buffer, length) })
}

/// `nvmlSystemGetProcessName`.
pub(super) fn process_name(nvml: &Nvml, pid: u32) -> Result<String, CallError> {
    let call = present(nvml.lib().nvmlSystemGetProcessName.as_ref())?;
    // SAFETY: as the module says; `text` hands over a buffer of the length it names.
    text(|buffer, length| unsafe { call(pid, buffer, length) })
}

/// `nvmlDeviceGetMemoryInfo`, the first version: `used` includes what is reserved.
pub(super) fn memory_v1(device: &Device<'_>) -> Result<nvmlMemory_t, CallError> {
    let call = present(device.nvml().lib().nvmlDeviceGetMemoryInfo.as_ref())?;
    let mut memory = nvmlMemory_t {
        total: 0,
        free: 0,
        used: 0,
    };
    // SAFETY: as the module says.
    checked(unsafe { call(handle(device), &raw mut memory) })?;
    Ok(memory)
}

/// The bits of `nvmlDeviceGetCurrentClocksEventReasons`, or of the function's older name.
pub(super) fn clocks_event_reasons(device: &Device<'_>) -> Result<u64, CallError> {
    let lib = device.nvml().lib();
    let mut bits = 0;
    let code = match lib.nvmlDeviceGetCurrentClocksEventReasons.as_ref() {
        // SAFETY: as the module says.
        Ok(call) => unsafe { call(handle(device), &raw mut bits) },
        Err(_) => {
            let call = present(lib.nvmlDeviceGetCurrentClocksThrottleReasons.as_ref())?;
            // SAFETY: as the module says.
            unsafe { call(handle(device), &raw mut bits) }
        }
    };
    checked(code)?;
    Ok(bits)
}

/// The temperature of the GPU in degrees: `nvmlDeviceGetTemperatureV`, or the older
/// `nvmlDeviceGetTemperature`, which goes with CUDA 14.
pub(super) fn temperature(device: &Device<'_>) -> Result<f64, CallError> {
    let lib = device.nvml().lib();
    if let Ok(call) = lib.nvmlDeviceGetTemperatureV.as_ref() {
        let mut answer = nvmlTemperature_t {
            version: version_of::<nvmlTemperature_t>(1),
            sensorType: GPU_SENSOR,
            temperature: 0,
        };
        // SAFETY: as the module says; the version names the size of the structure.
        match checked(unsafe { call(handle(device), &raw mut answer) }) {
            // This card or version of the structure is none of its: perhaps of the older one's.
            Err(CallError::NotSupported) => {}
            result => return result.map(|()| f64::from(answer.temperature)),
        }
    }
    let call = present(lib.nvmlDeviceGetTemperature.as_ref())?;
    let mut degrees = 0;
    // SAFETY: as the module says.
    match unsafe { call(handle(device), GPU_SENSOR, &raw mut degrees) } {
        // The number exists, and its successor did not tell it: that is no card without a sensor.
        DEPRECATED => Err(CallError::Code(DEPRECATED)),
        code => checked(code).map(|()| match degrees {
            u32::MAX => f64::NAN,
            degrees => f64::from(degrees),
        }),
    }
}

/// `nvmlDeviceGetMarginTemperature`, in degrees.
pub(super) fn margin_temperature(device: &Device<'_>) -> Result<i32, CallError> {
    let call = present(device.nvml().lib().nvmlDeviceGetMarginTemperature.as_ref())?;
    let mut margin = nvmlMarginTemperature_t {
        version: version_of::<nvmlMarginTemperature_t>(1),
        marginTemperature: 0,
    };
    // SAFETY: as the module says; the version names the size of the structure.
    checked(unsafe { call(handle(device), &raw mut margin) })?;
    Ok(margin.marginTemperature)
}

/// The version number that NVML wants in a structure: its size with the version above.
const fn version_of<T>(version: u32) -> c_uint {
    #[expect(clippy::cast_possible_truncation, reason = "structures are small")]
    let size = size_of::<T>() as u32;
    size | version << 24
}

/// `nvmlDeviceGetRowRemapperHistogram`.
pub(super) fn row_remapper_histogram(
    device: &Device<'_>,
) -> Result<nvmlRowRemapperHistogramValues_t, CallError> {
    let call = present(
        device
            .nvml()
            .lib()
            .nvmlDeviceGetRowRemapperHistogram
            .as_ref(),
    )?;
    let mut banks = nvmlRowRemapperHistogramValues_t {
        max: 0,
        high: 0,
        partial: 0,
        low: 0,
        none: 0,
    };
    // SAFETY: as the module says.
    checked(unsafe { call(handle(device), &raw mut banks) })?;
    Ok(banks)
}

/// `nvmlDeviceGetJpgUtilization`, in percent.
pub(super) fn jpeg_utilization(device: &Device<'_>) -> Result<u32, CallError> {
    let call = present(device.nvml().lib().nvmlDeviceGetJpgUtilization.as_ref())?;
    let (mut percent, mut period) = (0, 0);
    // SAFETY: as the module says.
    checked(unsafe { call(handle(device), &raw mut percent, &raw mut period) })?;
    Ok(percent)
}

/// `nvmlDeviceGetOfaUtilization`, in percent.
pub(super) fn optical_flow_utilization(device: &Device<'_>) -> Result<u32, CallError> {
    let call = present(device.nvml().lib().nvmlDeviceGetOfaUtilization.as_ref())?;
    let (mut percent, mut period) = (0, 0);
    // SAFETY: as the module says.
    checked(unsafe { call(handle(device), &raw mut percent, &raw mut period) })?;
    Ok(percent)
}

/// `nvmlDeviceGetPerformanceState`: 0 to 15, or 32 for unknown.
pub(super) fn performance_state(device: &Device<'_>) -> Result<u32, CallError> {
    let call = present(device.nvml().lib().nvmlDeviceGetPerformanceState.as_ref())?;
    let mut state = 0;
    // SAFETY: as the module says; the enumeration is an integer here, valid whatever is written.
    checked(unsafe { call(handle(device), &raw mut state) })?;
    Ok(state)
}

/// What a switch says: 0 or 1. Any other number is of a later release and means nothing to this one.
const fn switch(state: c_uint) -> Option<bool> {
    match state {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}

/// `nvmlDeviceGetEccMode`: whether error correction is on.
pub(super) fn ecc_mode(device: &Device<'_>) -> Result<Option<bool>, CallError> {
    let call = present(device.nvml().lib().nvmlDeviceGetEccMode.as_ref())?;
    let (mut current, mut pending) = (0, 0);
    // SAFETY: as the module says; the enumerations are integers here, valid whatever is written.
    checked(unsafe { call(handle(device), &raw mut current, &raw mut pending) })?;
    Ok(switch(current))
}

/// An NVLink by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    /// It is there, and active or not, where that is known.
    Is(Option<bool>),
    /// The GPU has no link of this number.
    None,
}

/// `nvmlDeviceGetNvLinkState`.
pub(super) fn nvlink(device: &Device<'_>, link: u32) -> Result<Link, CallError> {
    let Ok(call) = device.nvml().lib().nvmlDeviceGetNvLinkState.as_ref() else {
        return Ok(Link::None);
    };
    let mut state = 0;
    // SAFETY: as the module says; the enumeration is an integer here, valid whatever is written.
    match unsafe { call(handle(device), link, &raw mut state) } {
        INVALID_ARGUMENT | NOT_SUPPORTED => Ok(Link::None),
        code => checked(code).map(|()| Link::Is(switch(state))),
    }
}

/// `nvmlDeviceGetGpuInstanceId` of a MIG device.
pub(super) fn gpu_instance_id(device: &Device<'_>) -> Result<u32, CallError> {
    let call = present(device.nvml().lib().nvmlDeviceGetGpuInstanceId.as_ref())?;
    let mut id = 0;
    // SAFETY: as the module says.
    checked(unsafe { call(handle(device), &raw mut id) })?;
    Ok(id)
}

/// `nvmlDeviceGetComputeInstanceId` of a MIG device.
pub(super) fn compute_instance_id(device: &Device<'_>) -> Result<u32, CallError> {
    let call = present(device.nvml().lib().nvmlDeviceGetComputeInstanceId.as_ref())?;
    let mut id = 0;
    // SAFETY: as the module says.
    checked(unsafe { call(handle(device), &raw mut id) })?;
    Ok(id)
}

/// A field to ask for: its id in the numbering before driver 580.82, and its scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) id: u32,
    pub(super) scope: u32,
}

/// The id as the loaded driver numbers it: driver 580.82 moved the block from 251 to 273.
pub(super) const fn numbered(id: u32, scheme: FieldIdScheme) -> u32 {
    match (scheme, id) {
        (FieldIdScheme::V13Update1, 251..=255) => id + 18,
        (FieldIdScheme::V13Update1, 256..=273) => id - 5,
        _ => id,
    }
}

/// What a field says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct FieldValue {
    pub(super) number: f64,
    /// Whether it is an unsigned number of 64 bits, as counters are that do not wrap.
    pub(super) wide: bool,
}

/// What fields say, in the order asked.
pub(super) type Answer = Vec<Result<FieldValue, CallError>>;

/// `nvmlDeviceGetFieldValues`: all fields in one call, each with its own result, in the order asked.
pub(super) fn fields(
    device: &Device<'_>,
    asked: &[Field],
    answer: &mut Answer,
) -> Result<(), CallError> {
    answer.clear();
    let call = present(device.nvml().lib().nvmlDeviceGetFieldValues.as_ref())?;
    let scheme = device.nvml().field_id_scheme();
    let mut values: Vec<nvmlFieldValue_t> = asked
        .iter()
        .map(|field| nvmlFieldValue_t {
            fieldId: numbered(field.id, scheme),
            scopeId: field.scope,
            timestamp: 0,
            latencyUsec: 0,
            valueType: 0,
            // Until the driver says otherwise: one that leaves an entry alone has no value for it.
            nvmlReturn: NOT_SUPPORTED,
            value: nvmlValue_t { ullVal: 0 },
        })
        .collect();
    let count = c_int::try_from(values.len()).map_err(|_| CallError::NotSupported)?;
    // SAFETY: as the module says; `count` is the length of `values`.
    checked(unsafe { call(handle(device), count, values.as_mut_ptr()) })?;
    answer.extend(values.iter().map(field_value));
    Ok(())
}

const INVALID_ARGUMENT: nvmlReturn_t = 2;
const NOT_SUPPORTED: nvmlReturn_t = 3;
const DEPRECATED: nvmlReturn_t = 26;

#[expect(
    clippy::cast_precision_loss,
    reason = "metric values are 64-bit floats, exact to 2^53"
)]
fn field_value(field: &nvmlFieldValue_t) -> Result<FieldValue, CallError> {
    checked(field.nvmlReturn)?;
    let value = field.value;
    // SAFETY: all eight bytes of the union were initialised by us, and every member is a number that
    // is valid for every bit pattern; the driver says which one it wrote.
    let (number, none) = unsafe {
        match field.valueType {
            DOUBLE => (value.dVal, false),
            UNSIGNED_INT => (f64::from(value.uiVal), value.uiVal == u32::MAX),
            UNSIGNED_LONG => (value.ulVal as f64, false),
            UNSIGNED_LONG_LONG => (value.ullVal as f64, false),
            SIGNED_LONG_LONG => (value.sllVal as f64, false),
            SIGNED_INT => (f64::from(value.siVal), false),
            UNSIGNED_SHORT => (f64::from(value.usVal), false),
            _ => return Err(CallError::NotSupported),
        }
    };
    Ok(FieldValue {
        number: if none { f64::NAN } else { number },
        wide: field.valueType == UNSIGNED_LONG_LONG,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(kind: u32, value: nvmlValue_t) -> nvmlFieldValue_t {
        nvmlFieldValue_t {
            fieldId: 0,
            scopeId: 0,
            timestamp: 0,
            latencyUsec: 0,
            valueType: kind,
            nvmlReturn: 0,
            value,
        }
    }

    #[test]
    fn a_field_is_read_as_the_type_the_driver_names() {
        for (kind, value, number, wide) in [
            (DOUBLE, nvmlValue_t { dVal: 2.5 }, 2.5, false),
            (UNSIGNED_INT, nvmlValue_t { uiVal: 7 }, 7.0, false),
            (SIGNED_INT, nvmlValue_t { siVal: -8 }, -8.0, false),
            (UNSIGNED_LONG, nvmlValue_t { ulVal: 9 }, 9.0, false),
            (
                UNSIGNED_LONG_LONG,
                nvmlValue_t { ullVal: 1 << 40 },
                1_099_511_627_776.0,
                true,
            ),
            (SIGNED_LONG_LONG, nvmlValue_t { sllVal: -1 }, -1.0, false),
            (UNSIGNED_SHORT, nvmlValue_t { usVal: 3 }, 3.0, false),
        ] {
            let expected = FieldValue { number, wide };
            assert_eq!(field_value(&field(kind, value)), Ok(expected));
        }
        assert_eq!(
            field_value(&field(99, nvmlValue_t { ullVal: 1 })),
            Err(CallError::NotSupported),
            "a type of a later release"
        );
        let none = field_value(&field(UNSIGNED_INT, nvmlValue_t { uiVal: u32::MAX }));
        assert!(none.unwrap().number.is_nan());
    }

    #[test]
    fn field_ids_follow_the_renumbering_of_driver_580_82() {
        let new = FieldIdScheme::V13Update1;
        for (id, old, renumbered) in [
            (82, 82, 82),
            (250, 250, 250),
            (251, 251, 269),
            (253, 253, 271),
            (256, 256, 251),
            (273, 273, 268),
            (274, 274, 274),
        ] {
            assert_eq!(numbered(id, FieldIdScheme::V12), old);
            assert_eq!(numbered(id, new), renumbered);
        }
    }

    #[test]
    fn text_is_cut_at_its_end_and_made_utf8() {
        let write = |bytes: &'static [u8]| {
            move |buffer: *mut c_char, length: c_uint| {
                assert!(bytes.len() <= length as usize);
                // SAFETY: the buffer is `length` bytes long.
                unsafe { buffer.cast::<u8>().copy_from(bytes.as_ptr(), bytes.len()) };
                0
            }
        };
        assert_eq!(text(write(b"NVIDIA H200\0rest")), Ok("NVIDIA H200".into()));
        assert_eq!(text(write(b"N\xff\0")), Ok("N\u{fffd}".into()));
        assert_eq!(
            text(write(&[b'x'; 255])).unwrap().len(),
            255,
            "no zero written"
        );
        assert_eq!(text(|_, _| 15), Err(CallError::GpuLost));
    }
}
