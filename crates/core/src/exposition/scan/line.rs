//! One line of the ordinary form, found and validated by masks.
//!
//! The ordinary sample is `name{label="value",label="value"} 12.5`, in all formats: one blank, none
//! in the braces, no trailing comma. Such a line is a *strictly local* language: whether it is
//! right can be seen from each byte and the one before it, given which bytes are inside quotes. So
//! 64 bytes are judged at once, in about as many operations as a scalar parser spends on one label:
//!
//! - quotes, less escaped ones, give by prefix parity which bytes are inside strings;
//! - outside, every `=` stands before an opening quote and every opening quote behind a `=`;
//! - behind every closing quote stands a comma, or something that the first blank follows at once
//!   (which is then looked at: it has to be the closing brace);
//! - behind every comma and the opening brace stands a letter or `_`;
//! - everything else outside, up to the first blank, is a letter, a digit, `_`, or, before the
//!   brace, a colon.
//!
//! What is left over from a block is at most one bit a rule: the carries.
//!
//! To change it: a line may be left to `plain` for any reason. A line taken here must be taken by
//! `plain` with the same entry.

use super::Machine;
use super::block::{Block, Classes, Portable};
use super::marked::Marked;
use crate::MetricType;
use crate::exposition::entry::{Entry, Labels, Sample};
use crate::exposition::number;
use crate::exposition::text::{Escapes, Text};
use crate::exposition::{Format, Limits};

/// Blocks of the longest series that is tried: 4 KiB.
const BLOCKS: usize = 64;

/// Memory that one line uses and the next one overwrites.
#[derive(Clone)]
pub(crate) struct Scratch {
    /// Quotes of each block of the series.
    quotes: [u64; BLOCKS],
    /// What stands for a label name when they are compared.
    keys: [u64; BLOCKS],
}

impl Scratch {
    pub(crate) const fn new() -> Self {
        Self {
            quotes: [0; BLOCKS],
            keys: [0; BLOCKS],
        }
    }
}

/// The entry of the line that begins at `start`, and where the next line begins; `None` where
/// `plain` has to say what the line is.
#[inline(always)]
pub(crate) fn entry<'a>(
    machine: Machine,
    page: &'a [u8],
    start: usize,
    format: Format,
    limits: &Limits,
    scratch: &mut Scratch,
) -> Option<(Entry<'a>, usize)> {
    match machine {
        Machine::Plain => None,
        Machine::Portable => portable(page, start, format, limits, scratch),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the token proves the features that the function is compiled with.
        Machine::Avx2(token) => unsafe { avx2(token, page, start, format, limits, scratch) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the token proves the features that the function is compiled with.
        Machine::Avx512(token) => unsafe { avx512(token, page, start, format, limits, scratch) },
    }
}

#[inline(never)]
fn portable<'a>(
    page: &'a [u8],
    start: usize,
    format: Format,
    limits: &Limits,
    scratch: &mut Scratch,
) -> Option<(Entry<'a>, usize)> {
    line(Portable, page, start, format, limits, scratch)
}

#[cfg(target_arch = "x86_64")]
#[inline(never)]
#[target_feature(enable = "avx2,pclmulqdq")]
fn avx2<'a>(
    token: super::x86::Avx2,
    page: &'a [u8],
    start: usize,
    format: Format,
    limits: &Limits,
    scratch: &mut Scratch,
) -> Option<(Entry<'a>, usize)> {
    line(token, page, start, format, limits, scratch)
}

#[cfg(target_arch = "x86_64")]
#[inline(never)]
#[target_feature(enable = "avx512f,avx512bw,pclmulqdq,bmi1,bmi2,lzcnt,popcnt")]
fn avx512<'a>(
    token: super::x86::Avx512,
    page: &'a [u8],
    start: usize,
    format: Format,
    limits: &Limits,
    scratch: &mut Scratch,
) -> Option<(Entry<'a>, usize)> {
    line(token, page, start, format, limits, scratch)
}

#[inline(always)]
fn line<'a>(
    block: impl Block,
    page: &'a [u8],
    start: usize,
    format: Format,
    limits: &Limits,
    scratch: &mut Scratch,
) -> Option<(Entry<'a>, usize)> {
    match page.get(start)? {
        b'#' => metadata(block, page, start, format, limits),
        b'a'..=b'z' | b'A'..=b'Z' | b'_' | b':' => {
            sample(block, page, start, format, limits, scratch)
        }
        _ => None,
    }
}

/// The 64 bytes of `page` from `at`; zeros stand for what is behind its end.
#[inline(always)]
fn load<'b>(page: &'b [u8], at: usize, spare: &'b mut [u8; 64]) -> &'b [u8; 64] {
    let rest = page.get(at..).unwrap_or_default();
    match rest.first_chunk::<64>() {
        Some(block) => block,
        None => {
            spare.fill(0);
            for (to, from) in spare.iter_mut().zip(rest) {
                *to = *from;
            }
            spare
        }
    }
}

/// The lowest bit of a mask.
#[inline(always)]
const fn lowest(mask: u64) -> u64 {
    mask & mask.wrapping_neg()
}

/// Which bytes are escaped by a backslash before them. `carry` is the bit that crosses blocks.
#[inline(always)]
const fn escaped(backslash: u64, carry: &mut u64) -> u64 {
    const ODD: u64 = 0xaaaa_aaaa_aaaa_aaaa;
    // A run of backslashes escapes every second of its bytes and, where its length is odd, the byte
    // behind it. Subtracting carries through a run to its end, starting at an even or odd place.
    let starts = backslash & !*carry;
    let maybe = (starts << 1) | ODD;
    let ends = maybe.wrapping_sub(starts) ^ ODD;
    let escaped = ends ^ (backslash | *carry);
    *carry = (ends & backslash) >> 63;
    escaped
}

/// What the masks say of a series.
struct Series {
    /// Bytes up to the blank behind it.
    len: usize,
    /// Where its brace is; its length where there is none.
    brace: usize,
    labels: usize,
    /// Whether a byte is not ASCII.
    high: bool,
    backslash: bool,
    /// The masks of the block that holds the blank, and where it begins, within the line.
    last: Classes,
    last_base: usize,
}

/// Judges the line at `start` up to its first blank outside quotes.
#[inline(always)]
fn series(
    block: impl Block,
    page: &[u8],
    start: usize,
    quotes: &mut [u64; BLOCKS],
) -> Option<Series> {
    let mut spare = [0; 64];
    let mut labels = 0;
    let mut high = 0;
    let mut backslash = 0;
    // All ones until the brace is found.
    let mut unbraced = u64::MAX;
    let mut brace_at = 0;
    // From the block before: all ones where it ends inside quotes, else one bit each.
    let mut inside_before = 0;
    let mut escape_before = 0;
    let mut equals_before = 0;
    let mut closing_before = 0;
    let mut last_before = 0;
    let mut start_before = 0;
    for (n, quotes) in quotes.iter_mut().enumerate() {
        let base = 64 * n;
        let c = block.classes(load(page, start + base, &mut spare));
        let mut quote = c.quote;
        if c.backslash | escape_before != 0 {
            quote &= !escaped(c.backslash, &mut escape_before);
        }
        let inside = block.prefix_xor(quote) ^ inside_before;
        inside_before = (inside.cast_signed() >> 63).cast_unsigned();
        let outside = !(inside | quote);
        let end = lowest(c.space & outside);
        // The bytes of the series: below its end, all of them where that is not in this block.
        let below = end.wrapping_sub(1);
        let outside = outside & below;

        let mut bad = c.newline & below;
        let opening = quote & inside & below;
        let closing = quote & !inside & below;
        let equals = c.equals & outside;
        bad |= (equals << 1 | equals_before) ^ opening;
        let after = closing << 1 | closing_before;
        let comma = c.comma & outside;
        bad |= comma & !after;
        let last = after & !comma;
        bad |= (last << 1 | last_before) & !end;
        let brace = lowest(c.brace & outside & unbraced);
        let before_brace = brace.wrapping_sub(1) & unbraced;
        bad |= quote & below & before_brace;
        let odd = outside & !c.word;
        bad |= odd & !(equals | after | brace | c.colon & before_brace);
        let starts = (brace | comma) << 1 | start_before;
        bad |= starts & !(c.word & !c.digit & outside);
        if bad != 0 {
            return None;
        }

        *quotes = quote & below;
        labels += opening.count_ones() as usize;
        high |= c.high & below;
        backslash |= c.backslash & below;
        if brace != 0 {
            brace_at = base + brace.trailing_zeros() as usize;
            unbraced = 0;
        }
        if end != 0 {
            let len = base + end.trailing_zeros() as usize;
            let brace = if unbraced == 0 { brace_at } else { len };
            if unbraced == 0 && page.get(start + len - 1) != Some(&b'}') {
                return None;
            }
            let (high, backslash) = (high != 0, backslash != 0);
            return Some(Series {
                len,
                brace,
                labels,
                high,
                backslash,
                last: c,
                last_base: base,
            });
        }
        equals_before = equals >> 63;
        closing_before = closing >> 63;
        last_before = last >> 63;
        start_before = (brace | comma) >> 63;
    }
    None
}

/// Whether no label name occurs twice; may say no where `plain` would say yes.
#[inline(always)]
fn distinct(page: &[u8], start: usize, series: &Series, scratch: &mut Scratch) -> bool {
    if series.labels < 2 {
        return true;
    }
    let Some(keys) = scratch.keys.get_mut(..series.labels) else {
        return false;
    };
    let mut quotes = scratch.quotes.iter().zip((0..).step_by(64));
    let mut word = 0;
    let mut base = 0;
    let mut quote = || {
        while word == 0 {
            let (next, at) = quotes.next()?;
            (word, base) = (*next, at);
        }
        let at = base + word.trailing_zeros() as usize;
        word &= word - 1;
        Some(at)
    };
    let mut name = series.brace + 1;
    // A bit a name, by a hash: two that meet are looked at more closely.
    let mut seen = 0u64;
    let mut met = 0u64;
    for key in keys.iter_mut() {
        let (Some(open), Some(close)) = (quote(), quote()) else {
            return false;
        };
        let len = open - 1 - name;
        let Some(first) = page
            .get(start + name..)
            .and_then(|rest| rest.first_chunk::<8>())
        else {
            return false;
        };
        let mut text = u64::from_le_bytes(*first);
        if len < 8 {
            text &= (1 << (8 * len)) - 1;
        }
        *key = text
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .wrapping_add((len as u64).wrapping_mul(0xd6e8_feb8_6659_fd93));
        let bit = 1 << (*key >> 58);
        met |= seen & bit;
        seen |= bit;
        name = close + 2;
    }
    met == 0 || all_differ(keys)
}

#[inline(never)]
fn all_differ(keys: &[u64]) -> bool {
    keys.iter()
        .enumerate()
        .all(|(n, key)| !keys.iter().take(n).any(|earlier| earlier == key))
}

#[inline(always)]
fn sample<'a>(
    block: impl Block,
    page: &'a [u8],
    start: usize,
    format: Format,
    limits: &Limits,
    scratch: &mut Scratch,
) -> Option<(Entry<'a>, usize)> {
    let series = series(block, page, start, &mut scratch.quotes)?;
    if series.labels > limits.labels
        || series.len > limits.label_value_bytes
        || !distinct(page, start, &series, scratch)
    {
        return None;
    }

    // The value runs from behind the blank to the next blank or newline, which is in this block or
    // the next; longer numbers are for `plain`.
    let value_at = start + series.len + 1;
    let blank = series.len - series.last_base;
    // Bits above the blank. (Two shifts: the blank may be the last bit.)
    let above = u64::MAX << blank << 1;
    let mut ends = (series.last.newline | series.last.space) & above;
    let mut base = start + series.last_base;
    if ends == 0 {
        let mut spare = [0; 64];
        base += 64;
        let next = block.classes(load(page, base, &mut spare));
        ends = next.newline | next.space;
        if ends == 0 {
            return None;
        }
    }
    let value_end = base + ends.trailing_zeros() as usize;
    let value = number::value_at(page, value_at, value_end).ok()?;
    let (timestamp, newline) = if page.get(value_end) == Some(&b'\n') {
        (None, value_end)
    } else {
        timestamp(page, value_end + 1, format)?
    };
    if newline - start > limits.line_bytes {
        return None;
    }

    let bytes = page.get(start..start + series.len)?;
    let text = if series.high {
        std::str::from_utf8(bytes).ok()?
    } else {
        // SAFETY: the masks of every block of the series said that no byte is above 0x7f.
        unsafe { std::str::from_utf8_unchecked(bytes) }
    };
    // SAFETY: the name is ASCII, so what follows it begins a character; it is no longer than `text`.
    let name = unsafe { text.get_unchecked(..series.brace) };
    let labels = if series.labels == 0 {
        Labels::NONE
    } else if series.backslash && series.len > 128 {
        Labels::scanned(text.get(series.brace + 1..)?, series.labels)
    } else {
        let second = if series.last_base == 0 {
            0
        } else {
            scratch.quotes[1]
        };
        let quotes = [scratch.quotes[0], second];
        // SAFETY: `series` found the text to be of the ordinary form with these labels and this
        // brace; the quotes are those of its first two blocks, escaped ones left out, and in a
        // longer text there are none.
        Labels::marked(unsafe {
            Marked::new(text, series.brace, series.labels, quotes, series.backslash)
        })
    };
    let sample = Sample {
        series: text,
        name: Text::new(name, Escapes::None),
        labels,
        value,
        value_offset: value_at,
        value_len: value_end - value_at,
        timestamp,
        exemplar: "",
    };
    Some((Entry::Sample(sample), newline + 1))
}

/// Milliseconds up to the newline, in the text formats.
#[inline(never)]
fn timestamp(page: &[u8], from: usize, format: Format) -> Option<(Option<i64>, usize)> {
    if format == Format::OpenMetrics100 {
        return None;
    }
    let rest = page.get(from..)?;
    let len = rest.iter().take(20).position(|b| *b == b'\n')?;
    let digits = rest.get(..len)?;
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some((Some(number::timestamp_ms(digits)?), from + len))
}

/// `# HELP name text` and `# TYPE name type`.
#[inline(always)]
fn metadata<'a>(
    block: impl Block,
    page: &'a [u8],
    start: usize,
    format: Format,
    limits: &Limits,
) -> Option<(Entry<'a>, usize)> {
    const NAME: usize = b"# HELP ".len();
    let help = match page.get(start..)?.first_chunk::<NAME>()? {
        b"# HELP " => true,
        b"# TYPE " => false,
        _ => return None,
    };
    let mut spare = [0; 64];
    let c = block.classes(load(page, start, &mut spare));
    let name_len = (!((c.word | c.colon) >> NAME)).trailing_zeros() as usize;
    let name_end = NAME + name_len;
    if name_len == 0 || name_end >= 64 || c.digit >> NAME & 1 != 0 || c.space >> name_end & 1 == 0 {
        return None;
    }
    let (mut newline, mut high, mut backslash) = (c.newline, c.high, c.backslash);
    let mut base = start;
    while newline == 0 {
        base += 64;
        if base - start > limits.line_bytes.min(64 * BLOCKS) {
            return None;
        }
        let few = block.few(load(page, base, &mut spare));
        newline = few.newline;
        // Bits above the newline are of the next line: they can only make this one slower.
        high |= few.high;
        backslash |= few.backslash;
    }
    let end = base + newline.trailing_zeros() as usize;
    if end - start > limits.line_bytes {
        return None;
    }
    let bytes = page.get(start + NAME..end)?;
    let text = if high != 0 {
        std::str::from_utf8(bytes).ok()?
    } else {
        // SAFETY: the masks of every block of the line said that no byte is above 0x7f.
        unsafe { std::str::from_utf8_unchecked(bytes) }
    };
    let name = Text::new(text.get(..name_len)?, Escapes::None);
    let text = text.get(name_len + 1..)?;
    let entry = if help {
        let escapes = match format {
            _ if backslash == 0 => Escapes::None,
            Format::OpenMetrics100 => Escapes::Quoted,
            Format::Text004 | Format::Text100 => Escapes::Help,
        };
        Entry::Help {
            name,
            help: Text::with(text, escapes),
        }
    } else {
        let kind = match text {
            "counter" => MetricType::Counter,
            "gauge" => MetricType::Gauge,
            "histogram" => MetricType::Histogram,
            "summary" => MetricType::Summary,
            _ => return None,
        };
        Entry::Type { name, kind }
    };
    Some((entry, end + 1))
}

#[cfg(test)]
mod tests {
    use super::escaped;

    /// By counting: a byte is escaped where a backslash that is not escaped stands before it.
    fn naive(text: &[bool]) -> Vec<bool> {
        let mut out = Vec::new();
        let mut pending = false;
        for backslash in text {
            out.push(pending);
            pending = *backslash && !pending;
        }
        out
    }

    #[test]
    fn escapes_are_found_across_blocks() {
        // A run of each length at each place, over the seam of two blocks.
        for start in 0..100 {
            for len in 0..28 {
                let text: Vec<bool> = (0..128)
                    .map(|n| (start..start + len).contains(&n))
                    .collect();
                let want = naive(&text);
                let mut carry = 0;
                for (block, want) in text.chunks(64).zip(want.chunks(64)) {
                    let bits = block.iter().rev().fold(0, |m, b| m << 1 | u64::from(*b));
                    let got = escaped(bits, &mut carry);
                    let want = want.iter().rev().fold(0, |m, b| m << 1 | u64::from(*b));
                    assert_eq!(got, want, "{start} {len}");
                }
            }
        }
    }
}
