//! Any bytes as a page of the text formats.

use tokenpath_core::exposition::Format;

use super::page;

pub(crate) fn check(input: &[u8]) {
    page::check(input, Format::Text004);
}
