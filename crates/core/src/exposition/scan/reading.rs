//! What follows a series: its value, and perhaps a timestamp.

use super::block::Block;
use super::window::Window;
use crate::exposition::number;
use crate::exposition::{Format, Limits};

/// What follows a series, by places in the page.
#[derive(Clone, Copy)]
pub(super) struct Reading {
    pub(super) value_end: usize,
    pub(super) timestamp: Option<i64>,
    /// Where the exemplar's brace is, or else where the line ends.
    pub(super) exemplar: usize,
    pub(super) newline: usize,
}

/// Reads from the blank behind a series of `len` bytes to the newline.
#[inline(always)]
pub(super) fn reading(
    block: impl Block,
    window: Window<'_>,
    start: usize,
    len: usize,
    format: Format,
    limits: &Limits,
) -> Option<Reading> {
    // No label value is longer than the series; whether one is too long is for `plain` to say.
    if len > limits.label_value_bytes {
        return None;
    }
    let from = start + len + 1;
    let mut spare = [0; 64];
    let bytes = window.padded(from, &mut spare);
    // A value that does not end in this block is for `plain`.
    let value = block.value(bytes);
    if value.ends == 0 {
        return None;
    }
    let length = value.ends.trailing_zeros() as usize;
    let to = from + length;
    if !is_ordinary(bytes, value.digit, length) {
        number::value(window.page().get(from..to)?).ok()?;
    }
    let reading = if window.page().get(to) == Some(&b'\n') {
        Reading {
            value_end: to,
            timestamp: None,
            exemplar: to,
            newline: to,
        }
    } else {
        more(window.page(), to, format)?
    };
    if reading.newline - start > limits.line_bytes {
        return None;
    }
    Some(reading)
}

/// Whether the first `length` bytes, fewer than 64, are a number of the grammar: digits with an
/// optional point and an optional exponent of up to two digits, which no sixty digits make infinite.
/// `digit` says which are digits. May say no where a number has another form.
#[inline(always)]
fn is_ordinary(bytes: &[u8; 64], digit: u64, length: usize) -> bool {
    let odd = !digit & ((1 << length) - 1);
    if odd == 0 {
        return length != 0;
    }
    let first = odd.trailing_zeros() as usize;
    let rest = odd & (odd - 1);
    let point = bytes.get(first) == Some(&b'.');
    if rest == 0 && point {
        return length > 1;
    }
    has_exponent(bytes, if point { rest } else { odd }, length, point)
}

/// The same where `odd` says which bytes behind a possible point are no digits: there must be one.
#[inline(always)]
fn has_exponent(bytes: &[u8; 64], odd: u64, length: usize, point: bool) -> bool {
    let at = odd.trailing_zeros() as usize;
    let sign = odd & odd.wrapping_sub(1);
    let mut from = at + 1;
    if sign != 0 {
        if sign != 2 << at || !matches!(bytes.get(from), Some(b'+' | b'-')) {
            return false;
        }
        from += 1;
    }
    matches!(bytes.get(at), Some(b'e' | b'E'))
        && at > usize::from(point)
        && matches!(length.wrapping_sub(from), 1..=2)
}

/// Behind a value that does not end the line: a timestamp, in the text formats milliseconds.
#[inline(never)]
fn more(page: &[u8], value_end: usize, format: Format) -> Option<Reading> {
    if format == Format::OpenMetrics100 || page.get(value_end) != Some(&b' ') {
        return None;
    }
    let from = value_end + 1;
    let rest = page.get(from..)?;
    let len = rest.iter().take(20).position(|b| *b == b'\n')?;
    let digits = rest.get(..len)?;
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(Reading {
        value_end,
        timestamp: Some(number::timestamp_ms(digits)?),
        exemplar: from + len,
        newline: from + len,
    })
}

#[cfg(test)]
mod tests {
    use super::super::block::{Block, Portable};
    use super::*;

    #[test]
    fn what_passes_for_a_number_is_one() {
        // Every text of up to six of these bytes.
        const BYTES: &[u8] = b"07.eE+-a";
        let mut ordinary = 0;
        for length in 0..=6u32 {
            for mut n in 0..BYTES.len().pow(length) {
                let mut bytes = [b' '; 64];
                for to in bytes.iter_mut().take(length as usize) {
                    *to = BYTES[n % BYTES.len()];
                    n /= BYTES.len();
                }
                let text = &bytes[..length as usize];
                let digit = Portable.value(&bytes).digit;
                if is_ordinary(&bytes, digit, length as usize) {
                    ordinary += 1;
                    assert!(number::value(text).is_ok(), "{}", text.escape_ascii());
                }
            }
        }
        assert!(ordinary > 1000);
        for text in [
            "1.7953111316306963e+09",
            "0.25",
            "12.",
            ".5",
            "1e5",
            "1.5E-07",
            "12345.0",
        ] {
            let mut bytes = [b'\n'; 64];
            bytes[..text.len()].copy_from_slice(text.as_bytes());
            let digit = Portable.value(&bytes).digit;
            assert!(is_ordinary(&bytes, digit, text.len()), "{text}");
        }
        let longest = format!("{}e99", "9".repeat(60));
        let mut bytes = [b'\n'; 64];
        bytes[..63].copy_from_slice(longest.as_bytes());
        assert!(is_ordinary(&bytes, Portable.value(&bytes).digit, 63));
        assert!(number::value(longest.as_bytes()).is_ok());
    }
}
