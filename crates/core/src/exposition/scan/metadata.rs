//! `# HELP name text` and `# TYPE name type`, by masks.

use super::block::Block;
use super::window::{Window, block_at};
use crate::MetricType;

/// Where the name of a metadata line is.
pub(super) const NAME: usize = b"# HELP ".len();

/// A metadata line, by lengths and places from its start.
#[derive(Clone, Copy)]
pub(super) struct Metadata {
    /// Length of the name.
    pub(super) name: usize,
    /// Where the line, and its text, ends.
    pub(super) end: usize,
    pub(super) what: What,
}

#[derive(Clone, Copy)]
pub(super) enum What {
    /// With or without a backslash in the text.
    Help {
        backslash: bool,
    },
    Type(MetricType),
}

/// Reads the line from `start` to `newline`.
#[inline(always)]
pub(super) fn metadata(
    block: impl Block,
    window: Window<'_>,
    start: usize,
    newline: usize,
) -> Option<Metadata> {
    const HELP: u64 = u64::from_le_bytes(*b"# HELP \0");
    const TYPE: u64 = u64::from_le_bytes(*b"# TYPE \0");
    let spare;
    let bytes = block_at!(window, start, spare);
    let is_help = match u64::from_le_bytes(*bytes.first_chunk()?) & (u64::MAX >> 8) {
        HELP => true,
        TYPE => false,
        _ => return None,
    };
    // A name that goes on behind the block is for `plain`: no bit is shifted in for it.
    let name = (!(block.name(bytes) >> NAME)).trailing_zeros() as usize;
    let end = newline - start;
    // A newline is no blank, so the blank is before it.
    if name == 0 || bytes[NAME].is_ascii_digit() || bytes.get(NAME + name) != Some(&b' ') {
        return None;
    }
    let text = NAME + name + 1;
    let what = if is_help {
        What::Help {
            backslash: help(block, window, start + text, newline)?,
        }
    } else {
        What::Type(match window.page().get(start + text..newline)? {
            b"counter" => MetricType::Counter,
            b"gauge" => MetricType::Gauge,
            b"histogram" => MetricType::Histogram,
            b"summary" => MetricType::Summary,
            _ => return None,
        })
    };
    Some(Metadata { name, end, what })
}

/// Whether a help text has backslashes; `None` where it is not UTF-8.
#[inline(always)]
fn help(block: impl Block, window: Window<'_>, from: usize, newline: usize) -> Option<bool> {
    let mut odd = 0;
    let mut at = from;
    while at < newline {
        let spare;
        // Bits behind the newline are of the next line: they can only make this one slower.
        odd |= block.odd_in_help(block_at!(window, at, spare));
        at += 64;
    }
    if odd == 0 {
        return Some(false);
    }
    odd_help(window.page().get(from..newline)?)
}

#[inline(never)]
fn odd_help(text: &[u8]) -> Option<bool> {
    std::str::from_utf8(text).ok()?;
    Some(memchr::memchr(b'\\', text).is_some())
}
