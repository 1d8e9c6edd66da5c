//! Values and timestamps from text: the grammar of Prometheus, the rounding of the standard library.

/// Why a text is no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NumberFault {
    /// Not a number of the grammar.
    Invalid,
    /// A number beyond the largest finite one.
    OutOfRange,
}

/// The value of a sample.
///
/// The grammar is what Prometheus takes: an optional sign, digits with an optional point and an
/// optional decimal exponent; `inf` or `infinity` in any case, with an optional sign; `nan` in any
/// case, without one. No hexadecimal, no underscores. A finite number that rounds to infinity is
/// out of range; one that rounds to zero is zero. Every result is the one `str::parse` gives.
#[inline]
pub(crate) fn value(text: &[u8]) -> Result<f64, NumberFault> {
    match small_decimal(text) {
        Some(value) => Ok(value),
        None => exact(text),
    }
}

/// `digits` and `digits.0`, which is most of what engines send: exact without rounding up to 2^53.
#[inline]
#[expect(
    clippy::cast_precision_loss,
    reason = "at most 15 digits: below 2^53, so the cast is exact"
)]
fn small_decimal(text: &[u8]) -> Option<f64> {
    let digits = text.strip_suffix(b".0").unwrap_or(text);
    if digits.is_empty() || digits.len() > 15 {
        return None;
    }
    let mut n = 0u64;
    for &b in digits {
        let digit = b.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        n = n * 10 + u64::from(digit);
    }
    Some(n as f64)
}

/// The whole grammar, through `str::parse`, which differs in two points only: it takes a signed NaN,
/// and gives infinity for what is too large.
#[inline(never)]
fn exact(text: &[u8]) -> Result<f64, NumberFault> {
    let (signed, first) = match *text {
        [b'+' | b'-', first, ..] => (true, first),
        [first, ..] => (false, first),
        [] => return Err(NumberFault::Invalid),
    };
    if signed && matches!(first, b'n' | b'N') {
        return Err(NumberFault::Invalid);
    }
    let text = std::str::from_utf8(text).map_err(|_| NumberFault::Invalid)?;
    let value: f64 = text.parse().map_err(|_| NumberFault::Invalid)?;
    if value.is_infinite() && !matches!(first, b'i' | b'I') {
        return Err(NumberFault::OutOfRange);
    }
    // One NaN for all, so that results can be compared by their bits.
    Ok(if value.is_nan() { f64::NAN } else { value })
}

/// A timestamp of the text formats: decimal digits, milliseconds.
#[inline]
pub(crate) fn timestamp_ms(digits: &[u8]) -> Option<i64> {
    let mut n = 0i64;
    for &b in digits {
        n = n
            .checked_mul(10)?
            .checked_add(i64::from(b.wrapping_sub(b'0')))?;
    }
    Some(n)
}

/// A timestamp of OpenMetrics: seconds, any finite value; cut (not rounded) to milliseconds.
///
/// What does not fit becomes `i64::MIN`: Prometheus does the same, and the value is recognisably no
/// moment, where a saturated one could be taken for one.
pub(crate) fn timestamp_seconds(text: &[u8]) -> Result<i64, NumberFault> {
    let seconds = value(text)?;
    if !seconds.is_finite() {
        return Err(NumberFault::OutOfRange);
    }
    let ms = seconds * 1000.0;
    // -2^63 and 2^63 are exact as floats; the upper one is the first that does not fit.
    if (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&ms) {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "in range; cutting is the contract"
        )]
        return Ok(ms as i64);
    }
    Ok(i64::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_prometheus_takes() {
        for (text, want) in [
            ("0", 0.0),
            ("1", 1.0),
            ("-1", -1.0),
            ("+6.3", 6.3),
            ("007", 7.0),
            ("4.0", 4.0),
            (".0", 0.0),
            ("-.0", -0.0),
            (".5", 0.5),
            ("5.", 5.0),
            ("1.e3", 1000.0),
            ("1e5", 1e5),
            ("1E+010", 1e10),
            ("3.9024848896e+010", 3.902_484_889_6e10),
            ("8.099439948e+09", 8_099_439_948.0),
            ("999999999999999.0", 999_999_999_999_999.0),
            ("9007199254740993", 9_007_199_254_740_992.0),
            ("0.1", 0.1),
            ("1e-400", 0.0),
            ("4.9e-324", 5e-324),
            ("1.7976931348623157e308", f64::MAX),
            ("Inf", f64::INFINITY),
            ("+inf", f64::INFINITY),
            ("-INFINITY", f64::NEG_INFINITY),
        ] {
            let got = value(text.as_bytes()).unwrap_or_else(|e| panic!("{text}: {e:?}"));
            assert_eq!(got.to_bits(), want.to_bits(), "{text}");
        }
        for text in ["NaN", "nan", "NAN"] {
            assert_eq!(
                value(text.as_bytes()).map(f64::to_bits),
                Ok(f64::NAN.to_bits())
            );
        }
    }

    #[test]
    fn refuses_the_rest() {
        for text in [
            "", "+", "-", ".", "..", "1.2.3", "e5", "1e", "1e+", "+NaN", "-nan", "nano", "infin",
            "in", "0x1", "0x1p-3", "1_000", "1,0", "true", "1f", "--1", "+-1", "1 ", " 1",
            "\u{664}", "1\0", "-.0.0", "a.0",
        ] {
            assert_eq!(
                value(text.as_bytes()),
                Err(NumberFault::Invalid),
                "{text:?}"
            );
        }
        assert_eq!(value(b"\xff"), Err(NumberFault::Invalid));
        for text in ["1e400", "-1e309", "1.7976931348623159e308", "1e99999999999"] {
            assert_eq!(
                value(text.as_bytes()),
                Err(NumberFault::OutOfRange),
                "{text}"
            );
        }
    }

    #[test]
    fn timestamps_of_both_formats() {
        assert_eq!(timestamp_ms(b"1520879607789"), Some(1_520_879_607_789));
        assert_eq!(timestamp_ms(b"9223372036854775807"), Some(i64::MAX));
        assert_eq!(timestamp_ms(b"9223372036854775808"), None);
        assert_eq!(timestamp_seconds(b"1520879607.789"), Ok(1_520_879_607_789));
        assert_eq!(timestamp_seconds(b"-1.5"), Ok(-1500));
        assert_eq!(timestamp_seconds(b"1e300"), Ok(i64::MIN));
        assert_eq!(timestamp_seconds(b"NaN"), Err(NumberFault::OutOfRange));
        assert_eq!(timestamp_seconds(b"x"), Err(NumberFault::Invalid));
    }
}
