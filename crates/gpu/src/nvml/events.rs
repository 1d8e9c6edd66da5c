//! XID errors, as events that are looked for without waiting.

use nvml_wrapper::enums::event::XidError;
use nvml_wrapper::{Device, EventSet};

use super::call_error;
use crate::device::CallError;

/// More events than this at once are left for the next reading.
const EVENTS_AT_ONCE: usize = 64;

/// The event set of one GPU: one for each, so that an event needs no mapping back to its device.
#[derive(Default)]
pub(super) enum Events<'n> {
    #[default]
    NotAsked,
    Unsupported,
    Registered(EventSet<'n>),
}

impl<'n> Events<'n> {
    /// Codes of the XID errors since the last call, and the error that cut them short, if one did.
    /// Codes are `None` where the GPU does not report them, or where it is not known whether there are
    /// any.
    pub(super) fn xids(&mut self, device: &Device<'n>) -> (Option<Vec<u64>>, Option<CallError>) {
        if matches!(self, Self::NotAsked) {
            match Self::register(device) {
                Ok(events) => *self = events,
                Err(error) => {
                    if is_for_good(error) {
                        *self = Self::Unsupported;
                    }
                    return (None, Some(error));
                }
            }
        }
        self.waiting()
    }

    /// As [`xids`](Self::xids), of a GPU that may not be readable any more.
    pub(super) fn waiting(&mut self) -> (Option<Vec<u64>>, Option<CallError>) {
        let Self::Registered(set) = self else {
            return (None, None);
        };
        let mut codes = Vec::new();
        while codes.len() < EVENTS_AT_ONCE {
            // Zero milliseconds: what is there already, without waiting.
            let event = match set.wait(0).map_err(call_error) {
                Ok(event) => event,
                // Nothing more is there.
                Err(CallError::Timeout) => break,
                Err(error) => {
                    if is_for_good(error) {
                        *self = Self::Unsupported;
                    }
                    return (Some(codes).filter(|codes| !codes.is_empty()), Some(error));
                }
            };
            match event.event_data {
                Some(XidError::Value(code)) => codes.push(code),
                Some(XidError::Unknown) => codes.push(999),
                None => {}
            }
        }
        (Some(codes), None)
    }

    /// NVML has events on Linux only.
    #[cfg(not(target_os = "linux"))]
    fn register(_: &Device<'n>) -> Result<Self, CallError> {
        Ok(Self::Unsupported)
    }

    #[cfg(target_os = "linux")]
    fn register(device: &Device<'n>) -> Result<Self, CallError> {
        use nvml_wrapper::bitmasks::event::EventTypes;
        use nvml_wrapper::error::NvmlError;

        let xid = EventTypes::CRITICAL_XID_ERROR;
        let types = device.supported_event_types();
        let set = types.and_then(|types| match types.contains(xid) {
            true => device.nvml().create_event_set(),
            false => Err(NvmlError::NotSupported),
        });
        let registered = set.and_then(|set| {
            let registered = device.register_events(xid, set);
            registered.map_err(|error| error.error)
        });
        registered.map(Self::Registered).map_err(call_error)
    }
}

/// Whether asking again is in vain while the driver is open. Other errors are no answer.
const fn is_for_good(error: CallError) -> bool {
    matches!(error, CallError::NotSupported | CallError::NoPermission)
}
