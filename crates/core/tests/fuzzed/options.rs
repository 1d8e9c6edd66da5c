//! Options out of the first byte of an input.

use tokenpath_core::exposition::{Format, Limits, Mode, Options};

/// Options, and the rest of the input.
pub(crate) fn take(input: &[u8]) -> Option<(Options, &[u8])> {
    let (&bits, rest) = input.split_first()?;
    let mut options = Options::new(if bits & 1 == 0 {
        Format::Text004
    } else {
        Format::OpenMetrics100
    });
    if bits & 2 != 0 {
        options.mode = Mode::Lenient;
    }
    if bits & 4 != 0 {
        options.limits = Limits {
            line_bytes: 100,
            labels: 3,
            label_value_bytes: 80,
            samples: 20,
            page_bytes: 1000,
        };
    }
    Some((options, rest))
}
