//! XID errors, as events that are looked for without waiting.

use nvml_wrapper::enums::event::XidError;
use nvml_wrapper::{Device, EventSet};

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
    /// Codes of the XID errors since the last call. `None` where the GPU does not report them.
    pub(super) fn xids(&mut self, device: &Device<'n>) -> Option<Vec<u64>> {
        if matches!(self, Self::NotAsked) {
            *self = Self::register(device);
        }
        self.waiting()
    }

    /// As [`xids`](Self::xids), of a GPU that may not be readable any more.
    pub(super) fn waiting(&self) -> Option<Vec<u64>> {
        let Self::Registered(set) = self else {
            return None;
        };
        let mut codes = Vec::new();
        while codes.len() < EVENTS_AT_ONCE {
            // Zero milliseconds: what is there already, without waiting.
            let Ok(event) = set.wait(0) else { break };
            match event.event_data {
                Some(XidError::Value(code)) => codes.push(code),
                Some(XidError::Unknown) => codes.push(999),
                None => {}
            }
        }
        Some(codes)
    }

    /// NVML has events on Linux only.
    #[cfg(not(target_os = "linux"))]
    fn register(_: &Device<'n>) -> Self {
        Self::Unsupported
    }

    #[cfg(target_os = "linux")]
    fn register(device: &Device<'n>) -> Self {
        use nvml_wrapper::bitmasks::event::EventTypes;
        use nvml_wrapper::error::NvmlError;

        use super::call_error;
        use crate::device::CallError;

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
        match registered.map_err(call_error) {
            Ok(set) => Self::Registered(set),
            Err(CallError::NotSupported) => Self::Unsupported,
            // Not an answer: to be asked again.
            Err(_) => Self::NotAsked,
        }
    }
}
