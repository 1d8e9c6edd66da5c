//! Any bytes as a page of OpenMetrics.

use tokenpath_core::exposition::Format;

use super::page;

pub(crate) fn check(input: &[u8]) {
    page::check(input, Format::OpenMetrics100);
}
