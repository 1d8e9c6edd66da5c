//! Numbers as exposition text.
//!
//! A value is written in the shortest form that reads back as the same bits: whole numbers below
//! 2^53 as digits without point or exponent (`1234`, `-7`), everything else as the shortest decimal
//! (`0.1`, `1e-7`, `6.02e23`, and `-0.0`, which some readers would take for an integer without it), and `+Inf`, `-Inf`, `NaN`. Go, Python, Prometheus and Rust read
//! all of these exactly.
//!
//! Bucket edges and quantiles are *labels*: their text is their identity, so they are spelled as
//! Prometheus 3 and the official clients spell them (`1.0`, `0.005`, `1e+06`, `+Inf`).

/// Room that [`put`] may write to: longer than any number.
pub(super) const ROOM: usize = 32;

/// Writes a value to the front of `room` and gives the length. What lies behind the text is undefined.
#[inline(always)]
pub(super) fn put(value: f64, room: &mut [u8; ROOM]) -> usize {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "whether the cast kept the value is what the next line asks"
    )]
    let whole = value as u32;
    if whole < 100_000_000 && f64::from(whole).to_bits() == value.to_bits() {
        put_up_to_8_digits(whole, room, 0)
    } else {
        put_rare(value, room)
    }
}

/// Apart, so that the usual case needs no stack.
#[inline(never)]
fn put_rare(value: f64, room: &mut [u8; ROOM]) -> usize {
    const EXACT_BELOW: f64 = 9_007_199_254_740_992.0;
    let magnitude = value.abs();
    if magnitude < EXACT_BELOW && magnitude != 0.0 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "whether the cast kept the value is asked below"
        )]
        let whole = magnitude as u64;
        #[expect(clippy::cast_precision_loss, reason = "below 2^53")]
        let back = whole as f64;
        if back.to_bits() == magnitude.to_bits() {
            let minus = usize::from(value.is_sign_negative());
            room[0] = b'-';
            return minus + put_digits(whole, room, minus);
        }
    }
    if value.is_finite() {
        return put_shortest(value, room);
    }
    let text: &[u8; 4] = match value {
        value if value.is_nan() => b"NaN ",
        value if value > 0.0 => b"+Inf",
        _ => b"-Inf",
    };
    room[..4].copy_from_slice(text);
    if value.is_nan() { 3 } else { 4 }
}

fn put_shortest(value: f64, room: &mut [u8; ROOM]) -> usize {
    let mut buffer = zmij::Buffer::new();
    let text = buffer.format_finite(value).as_bytes();
    room[..text.len()].copy_from_slice(text);
    text.len()
}

/// Up to 16 digits: those of 2^53.
fn put_digits(whole: u64, room: &mut [u8; ROOM], at: usize) -> usize {
    const HALF: u64 = 100_000_000;
    let halves = (u32::try_from(whole / HALF), u32::try_from(whole % HALF));
    let (Ok(high), Ok(low)) = halves else {
        unreachable!("a whole number below 2^53 has at most 16 digits")
    };
    if high == 0 {
        return put_up_to_8_digits(low, room, at);
    }
    let length = put_up_to_8_digits(high, room, at);
    let digits = eight_digits(low) | ZEROS;
    room[at + length..at + length + 8].copy_from_slice(&digits.to_le_bytes());
    length + 8
}

const ZEROS: u64 = 0x3030_3030_3030_3030;

/// Writes a number below 10^8 at `at` and gives the number of digits. Always stores eight bytes, so
/// that there is no loop and no branch on the length.
#[inline(always)]
fn put_up_to_8_digits(number: u32, room: &mut [u8; ROOM], at: usize) -> usize {
    let digits = eight_digits(number);
    let leading = (digits.trailing_zeros() / 8).min(7);
    let text = (digits | ZEROS) >> (leading * 8);
    room[at..at + 8].copy_from_slice(&text.to_le_bytes());
    8 - leading as usize
}

/// The decimal digits of a number below 10^8, the first one in the lowest byte. All lanes are divided
/// at once: by 10,000, then 100, then 10, each by a multiplication that is exact in its range.
#[inline(always)]
const fn eight_digits(number: u32) -> u64 {
    let fours = (number / 10_000) as u64 | ((number % 10_000) as u64) << 32;
    let hundreds = (fours * 10_486) >> 20 & 0x7f_0000_007f;
    let twos = hundreds | (fours - hundreds * 100) << 16;
    let tens = (twos * 103) >> 10 & 0x000f_000f_000f_000f;
    tens | (twos - tens * 10) << 8
}

/// A bucket edge or quantile as the official clients and Prometheus 3 spell it: the shortest digits,
/// always with a point or an exponent, an exponent of at least two digits from `1e+06` up and `1e-05`
/// down.
pub(super) fn push_edge(edge: f64, text: &mut String) {
    if !edge.is_finite() {
        text.push_str(match edge {
            edge if edge.is_nan() => "NaN",
            edge if edge > 0.0 => "+Inf",
            _ => "-Inf",
        });
        return;
    }
    let mut buffer = zmij::Buffer::new();
    let shortest = buffer.format_finite(edge);
    let unsigned = shortest.trim_start_matches('-');
    if unsigned.len() < shortest.len() {
        text.push('-');
    }
    let (mantissa, exponent) = unsigned.split_once('e').unwrap_or((unsigned, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    // The value is 0.DIGITS times ten to the power of `point`.
    let all: String = [whole, fraction].concat();
    let leading = all.len() - all.trim_start_matches('0').len();
    let digits = all.trim_matches('0');
    let whole_digits = i32::try_from(whole.len()).unwrap_or_default();
    let leading = i32::try_from(leading).unwrap_or_default();
    let point = exponent.parse::<i32>().unwrap_or_default() + whole_digits - leading;
    if digits.is_empty() {
        text.push_str("0.0");
        return;
    }
    let length = i32::try_from(digits.len()).unwrap_or_default();
    // The thresholds of Go's shortest %g, which all official clients follow for labels.
    let exponent = point - 1;
    if !(-4..6).contains(&exponent) {
        let (first, rest) = digits.split_at(1);
        text.push_str(first);
        if !rest.is_empty() {
            text.push('.');
            text.push_str(rest);
        }
        let sign = if exponent < 0 { '-' } else { '+' };
        text.push_str(&format!("e{sign}{:02}", exponent.abs()));
    } else if point <= 0 {
        text.push_str("0.");
        text.extend((point..0).map(|_| '0'));
        text.push_str(digits);
    } else if point >= length {
        text.push_str(digits);
        text.extend((length..point).map(|_| '0'));
        text.push_str(".0");
    } else {
        let (before, after) = digits.split_at(usize::try_from(point).unwrap_or_default());
        text.push_str(before);
        text.push('.');
        text.push_str(after);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(value: f64) -> String {
        let mut room = [b'#'; ROOM];
        let length = put(value, &mut room);
        String::from_utf8(room[..length].to_vec()).unwrap()
    }

    fn edge(value: f64) -> String {
        let mut text = String::new();
        push_edge(value, &mut text);
        text
    }

    #[test]
    fn values_have_their_shortest_form() {
        for (value, want) in [
            (0.0, "0"),
            (-0.0, "-0.0"),
            (1.0, "1"),
            (-7.0, "-7"),
            (10.0, "10"),
            (12_345_678.0, "12345678"),
            (99_999_999.0, "99999999"),
            (100_000_000.0, "100000000"),
            (-100_000_001.0, "-100000001"),
            (1_700_000_000_123.0, "1700000000123"),
            (9_007_199_254_740_991.0, "9007199254740991"),
            (0.1, "0.1"),
            (0.3, "0.3"),
            (-1.5, "-1.5"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (f64::NAN, "NaN"),
            (-f64::NAN, "NaN"),
        ] {
            assert_eq!(text(value), want);
        }
    }

    #[test]
    fn edges_are_spelled_as_the_official_clients_do() {
        for (value, want) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (-2.0, "-2.0"),
            (0.3, "0.3"),
            (0.005, "0.005"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (0.000_015, "1.5e-05"),
            (10.0, "10.0"),
            (2560.0, "2560.0"),
            (100_000.0, "100000.0"),
            (999_999.0, "999999.0"),
            (1_000_000.0, "1e+06"),
            (1_500_000.0, "1.5e+06"),
            (1_234_567.0, "1.234567e+06"),
            (1_234_567.5, "1.2345675e+06"),
            (123_456.7, "123456.7"),
            (1e21, "1e+21"),
            (1.5e300, "1.5e+300"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            assert_eq!(edge(value), want);
        }
    }

    proptest! {
        #[test]
        fn every_value_reads_back_as_the_same_bits(bits: u64) {
            let value = f64::from_bits(bits);
            let read: f64 = text(value).parse().unwrap();
            prop_assert!(read.to_bits() == bits || (read.is_nan() && value.is_nan()));
            let read: f64 = edge(value).parse().unwrap();
            prop_assert!(read.to_bits() == bits || (read.is_nan() && value.is_nan()));
        }

        #[test]
        fn every_whole_number_is_its_digits(whole in 0u64..(1 << 53)) {
            #[expect(clippy::cast_precision_loss, reason = "below 2^53")]
            let value = whole as f64;
            prop_assert_eq!(text(value), whole.to_string());
            prop_assert_eq!(text(-value).replace("-0.0", "-0"), format!("-{whole}"));
        }
    }
}
