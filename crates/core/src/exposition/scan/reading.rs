//! What follows a series: its value, and perhaps a timestamp.

use super::block::Block;
use super::window::{Window, block_at};
use crate::exposition::{Format, number};

/// What follows a series, by places in the page.
#[derive(Clone, Copy)]
pub(super) struct Reading {
    pub(super) value_end: usize,
    /// How many digits the value is, eight at most, with or without `.0` behind them; 0 where it is
    /// anything else.
    pub(super) digits: usize,
    pub(super) timestamp: Option<i64>,
    /// Where the exemplar's brace is, or else the newline.
    pub(super) exemplar: usize,
}

/// Reads what is at `from`, behind the blank that follows a series, up to the newline.
#[inline(always)]
pub(super) fn reading(
    block: impl Block,
    window: Window<'_>,
    from: usize,
    newline: usize,
    format: Format,
) -> Option<Reading> {
    let length = newline.wrapping_sub(from);
    let form = if length < 64 {
        let spare;
        let bytes = block_at!(window, from, spare);
        form(bytes, block.digits(bytes), length)
    } else {
        Form::Unknown
    };
    let digits = match form {
        Form::Unknown => return any(window.page(), from, newline, format),
        Form::Number => 0,
        Form::Whole(digits) => digits,
    };
    Some(Reading {
        value_end: newline,
        digits,
        timestamp: None,
        exemplar: newline,
    })
}

/// What a few bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// So many digits, eight at most, and perhaps `.0` behind them.
    Whole(usize),
    /// A number.
    Number,
    /// Something else, which may be a number of another form.
    Unknown,
}

/// What the first `length` bytes are, fewer than 64, of which `digit` says which are digits, and that the
/// one behind them is none. A number
/// here is digits with an optional point and an optional exponent of up to two digits, which no sixty
/// digits make infinite.
#[inline(always)]
fn form(bytes: &[u8; 64], digit: u64, length: usize) -> Form {
    // Behind the number is a newline, so the digits end there at the latest.
    let first = (!digit).trailing_zeros() as usize;
    if first == length {
        return match length {
            0 => Form::Unknown,
            1..=8 => Form::Whole(length),
            _ => Form::Number,
        };
    }
    if first + 2 == length && bytes.get(first..length) == Some(b".0") && first.wrapping_sub(1) < 8 {
        return Form::Whole(first);
    }
    let odd = !digit & ((1 << length) - 1);
    let rest = odd & odd.wrapping_sub(1);
    let point = bytes.get(first) == Some(&b'.');
    if rest == 0 && point {
        return if length > 1 {
            Form::Number
        } else {
            Form::Unknown
        };
    }
    if has_exponent(bytes, if point { rest } else { odd }, length, point) {
        Form::Number
    } else {
        Form::Unknown
    }
}

/// Whether that is a number with an exponent. `odd` says which bytes behind a possible point are no
/// digits: there must be one.
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

/// A value of any form, and perhaps a timestamp: in the text formats, milliseconds.
#[inline(never)]
fn any(page: &[u8], from: usize, newline: usize, format: Format) -> Option<Reading> {
    let text = page.get(from..newline)?;
    let length = memchr::memchr(b' ', text).unwrap_or(text.len());
    number::value(text.get(..length)?).ok()?;
    let mut timestamp = None;
    if let Some(rest) = text.get(length + 1..) {
        if format == Format::OpenMetrics100
            || rest.is_empty()
            || !rest.iter().all(u8::is_ascii_digit)
        {
            return None;
        }
        timestamp = Some(number::timestamp_ms(rest)?);
    }
    Some(Reading {
        value_end: from + length,
        digits: 0,
        timestamp,
        exemplar: newline,
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
        let mut known = 0;
        for length in 0..=6u32 {
            for mut n in 0..BYTES.len().pow(length) {
                let mut bytes = [b'\n'; 64];
                for to in bytes.iter_mut().take(length as usize) {
                    *to = BYTES[n % BYTES.len()];
                    n /= BYTES.len();
                }
                let text = &bytes[..length as usize];
                let digit = Portable.digits(&bytes);
                let form = form(&bytes, digit, length as usize);
                if form != Form::Unknown {
                    known += 1;
                    assert!(number::value(text).is_ok(), "{}", text.escape_ascii());
                }
                if let Form::Whole(digits) = form {
                    let (whole, rest) = text.split_at(digits);
                    assert!(matches!(digits, 1..=8) && whole.iter().all(u8::is_ascii_digit));
                    assert!(matches!(rest, b"" | b".0"), "{}", text.escape_ascii());
                }
            }
        }
        assert!(known > 1000);
        let longest = format!("{}e99", "9".repeat(60));
        for (text, want) in [
            ("1.7953111316306963e+09", Form::Number),
            ("0.25", Form::Number),
            ("12.", Form::Number),
            (".5", Form::Number),
            (".0", Form::Number),
            ("1.00", Form::Number),
            ("1e5", Form::Number),
            ("1.5E-07", Form::Number),
            ("123456789", Form::Number),
            ("123456789.0", Form::Number),
            (&longest, Form::Number),
            ("0", Form::Whole(1)),
            ("12345678", Form::Whole(8)),
            ("12345678.0", Form::Whole(8)),
            ("", Form::Unknown),
            (".", Form::Unknown),
            ("1e500", Form::Unknown),
            ("-1", Form::Unknown),
            ("NaN", Form::Unknown),
        ] {
            let mut bytes = [b'\n'; 64];
            bytes[..text.len()].copy_from_slice(text.as_bytes());
            assert_eq!(
                form(&bytes, Portable.digits(&bytes), text.len()),
                want,
                "{text}"
            );
            let is_number = number::value(text.as_bytes()).is_ok();
            assert!(is_number || want == Form::Unknown, "{text}");
        }
    }
}
