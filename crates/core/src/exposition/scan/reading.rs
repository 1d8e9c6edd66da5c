//! What follows a series: its value, and perhaps a timestamp or an exemplar.

use super::block::Block;
use super::window::{Window, block_at};
use crate::exposition::{Format, Limits, number};

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
    limits: &Limits,
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
        Form::Unknown => return any(window.page(), from, newline, format, limits),
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

/// A value of any form, and what may stand behind it: a timestamp, in OpenMetrics an exemplar too.
#[inline(never)]
fn any(
    page: &[u8],
    from: usize,
    newline: usize,
    format: Format,
    limits: &Limits,
) -> Option<Reading> {
    let text = page.get(from..newline)?;
    let (value, rest) = word(text);
    number::value(value).ok()?;
    let mut reading = Reading {
        value_end: from + value.len(),
        digits: 0,
        timestamp: None,
        exemplar: newline,
    };
    let Some(mut rest) = rest else {
        return Some(reading);
    };
    if format != Format::OpenMetrics100 {
        if rest.is_empty() || !rest.iter().all(u8::is_ascii_digit) {
            return None;
        }
        reading.timestamp = Some(number::timestamp_ms(rest)?);
        return Some(reading);
    }
    if !rest.starts_with(b"#") {
        let (timestamp, behind) = word(rest);
        reading.timestamp = Some(number::timestamp_seconds(timestamp).ok()?);
        let Some(behind) = behind else {
            return Some(reading);
        };
        rest = behind;
    }
    is_exemplar(rest.strip_prefix(b"# {")?, limits)?;
    reading.exemplar = newline - rest.len() + b"# ".len();
    Some(reading)
}

/// The bytes before the first blank, and those behind it if there is one.
#[inline(always)]
fn word(text: &[u8]) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(b' ', text) {
        Some(blank) => (&text[..blank], text.get(blank + 1..)),
        None => (text, None),
    }
}

/// Says yes to an exemplar of the ordinary form, from behind its brace: one or two labels, whose values
/// are visible ASCII, a value, and perhaps a timestamp.
fn is_exemplar(mut rest: &[u8], limits: &Limits) -> Option<()> {
    let mut names = [&[] as &[u8]; 2];
    let mut labels = 0;
    loop {
        let equals = rest
            .iter()
            .position(|b| !(b.is_ascii_alphanumeric() || *b == b'_'))?;
        let (name, behind) = rest.split_at(equals);
        let text = behind.strip_prefix(b"=\"")?;
        let quote = memchr::memchr(b'"', text)?;
        let (value, behind) = text.split_at(quote);
        let is_plain = |b: &u8| matches!(b, b' '..=b'~') && *b != b'\\';
        if !matches!(name.first(), Some(b'a'..=b'z' | b'A'..=b'Z' | b'_'))
            || !value.iter().all(is_plain)
            || value.len() > limits.label_value_bytes
            || labels >= limits.labels
            || names.contains(&name)
        {
            return None;
        }
        *names.get_mut(labels)? = name;
        labels += 1;
        match behind.get(1)? {
            b',' => rest = behind.get(2..)?,
            b'}' => {
                rest = behind.get(2..)?;
                break;
            }
            _ => return None,
        }
    }
    let (value, timestamp) = word(rest.strip_prefix(b" ")?);
    number::value(value).ok()?;
    if let Some(timestamp) = timestamp {
        number::timestamp_seconds(timestamp).ok()?;
    }
    Some(())
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
