//! `# HELP name text` and `# TYPE name type`, by masks.

use super::block::Block;
use super::series::BLOCKS;
use super::window::Window;
use crate::MetricType;
use crate::exposition::Limits;

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
    /// Whether a backslash is in the text; may be said for the next line.
    Help {
        backslash: bool,
    },
    Type(MetricType),
}

#[inline(always)]
pub(super) fn metadata(
    block: impl Block,
    window: Window<'_>,
    start: usize,
    limits: &Limits,
) -> Option<Metadata> {
    let mut spare = [0; 64];
    let bytes = window.padded(start, &mut spare);
    let help = match bytes.first_chunk::<NAME>()? {
        b"# HELP " => true,
        b"# TYPE " => false,
        _ => return None,
    };
    let c = block.classes(bytes);
    let name = (!((c.word | c.colon) >> NAME)).trailing_zeros() as usize;
    let name_end = NAME + name;
    if name == 0 || name_end >= 64 || c.digit >> NAME & 1 != 0 || c.space >> name_end & 1 == 0 {
        return None;
    }
    let (mut newline, mut high, mut backslash) = (c.newline, c.high, c.backslash);
    let mut base = start;
    while newline == 0 {
        base += 64;
        if base - start > limits.line_bytes.min(64 * BLOCKS) {
            return None;
        }
        let few = block.few(window.padded(base, &mut spare));
        newline = few.newline;
        // Bits above the newline are of the next line: they can only make this one slower.
        high |= few.high;
        backslash |= few.backslash;
    }
    let end = base + newline.trailing_zeros() as usize - start;
    if end > limits.line_bytes {
        return None;
    }
    let text = window.page().get(start + name_end + 1..start + end)?;
    if high != 0 && std::str::from_utf8(text).is_err() {
        return None;
    }
    let what = match text {
        _ if help => What::Help {
            backslash: backslash != 0,
        },
        b"counter" => What::Type(MetricType::Counter),
        b"gauge" => What::Type(MetricType::Gauge),
        b"histogram" => What::Type(MetricType::Histogram),
        b"summary" => What::Type(MetricType::Summary),
        _ => return None,
    };
    Some(Metadata { name, end, what })
}
