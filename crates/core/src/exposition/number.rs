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
    value_at(text, 0, text.len())
}

/// The value that is written at `from..to` of `page`.
#[inline(always)]
pub(crate) fn value_at(page: &[u8], from: usize, to: usize) -> Result<f64, NumberFault> {
    match small_integer(page, from, to) {
        Some(value) => Ok(value),
        None => decimal(page.get(from..to).unwrap_or_default()),
    }
}

const ZEROS: u64 = 0x3030_3030_3030_3030;

/// The number that the last `count` (1 to 8) of eight bytes are the digits of.
#[inline(always)]
pub(crate) fn digits(eight: [u8; 8], count: usize) -> f64 {
    // What stands before them is shifted out.
    let unused = (64 - 8 * count) & 63;
    let digits = (u64::from_le_bytes(eight) ^ ZEROS) >> unused << unused;
    f64::from(self::eight(digits))
}

/// The number of a text that [`value`] takes, as was found before.
#[inline(never)]
pub(crate) fn known(text: &[u8]) -> f64 {
    match known_scientific(text) {
        Some(value) => value,
        None => decimal(text).expect("the text was taken for a value when its line was"),
    }
}

/// The same for moments and sums as most clients write them, `1.7953111316306963e+09`: one digit, a
/// point, 9 to 16 digits, and a signed exponent of two.
#[inline(always)]
fn known_scientific(text: &[u8]) -> Option<f64> {
    const TENS: [u64; 9] = [
        1,
        10,
        100,
        1000,
        10_000,
        100_000,
        1_000_000,
        10_000_000,
        100_000_000,
    ];
    let [
        whole @ b'0'..=b'9',
        b'.',
        fraction @ ..,
        b'e' | b'E',
        sign @ (b'+' | b'-'),
        tens @ b'0'..=b'9',
        ones,
    ] = text
    else {
        return None;
    };
    let count = fraction.len();
    let tens_of_high = TENS.get(count.wrapping_sub(8)).filter(|_| count > 8)?;
    let high = digits_of(*fraction.first_chunk()?, count - 8);
    let low = eight(u64::from_le_bytes(*fraction.last_chunk()?) ^ ZEROS);
    let mantissa =
        (u64::from(whole - b'0') * tens_of_high + u64::from(high)) * 100_000_000 + u64::from(low);
    let exponent = 10 * i32::from(tens - b'0') + i32::from(ones - b'0');
    let exponent = if *sign == b'-' { -exponent } else { exponent };
    scaled(mantissa, exponent - i32::try_from(count).ok()?)
}

/// The number that the first `count` (1 to 8) of eight bytes are the digits of.
#[inline(always)]
fn digits_of(eight: [u8; 8], count: usize) -> u32 {
    self::eight((u64::from_le_bytes(eight) ^ ZEROS) << ((64 - 8 * count) & 63))
}

/// `digits` and `digits.0`, which is most of what engines send: exact without rounding up to 2^53.
#[inline(always)]
fn small_integer(page: &[u8], from: usize, to: usize) -> Option<f64> {
    let before = page.get(..to).and_then(|before| before.last_chunk::<8>());
    let (Some(before), bytes @ 1..=8) = (before, to.wrapping_sub(from)) else {
        return longer_integer(page, from, to);
    };
    let unused = 64 - 8 * bytes;
    let text = u64::from_le_bytes(*before) >> unused << unused;
    short_integer(text, 8 * bytes).map(f64::from)
}

/// `digits` or `digits.0` in the upper `bits` of a word whose lowest byte is the first of the text;
/// nothing in the lower ones.
#[inline(always)]
pub(crate) const fn short_integer(text: u64, bits: usize) -> Option<u32> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const ZEROS: u64 = ONES * b'0' as u64;
    /// `.0`, the point in the lower byte.
    const POINT_ZERO: u64 = 0x302e;
    let (text, bits) = if text >> 48 == POINT_ZERO {
        (text << 16, bits - 16)
    } else {
        (text, bits)
    };
    if bits == 0 {
        return None;
    }
    let digits = text ^ (ZEROS << (64 - bits));
    // No byte above 9: none has its high bit, and none gets it by adding 118.
    if (digits | digits.wrapping_add(ONES * 118)) & (ONES << 7) != 0 {
        return None;
    }
    Some(eight(digits))
}

/// Eight digits, the first one in the lowest byte.
#[inline(always)]
#[expect(
    clippy::cast_possible_truncation,
    reason = "a number of eight digits is below 2^32"
)]
const fn eight(digits: u64) -> u32 {
    let twos = (digits * 10 + (digits >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (twos * 100 + (twos >> 16)) & 0x0000_ffff_0000_ffff;
    (fours * 10_000 + (fours >> 32)) as u32
}

/// The same for up to 15 digits, and at the beginning of a page.
#[inline(never)]
#[expect(
    clippy::cast_precision_loss,
    reason = "at most 15 digits: below 2^53, so the cast is exact"
)]
fn longer_integer(page: &[u8], from: usize, to: usize) -> Option<f64> {
    let to = if page.get(from..to)?.ends_with(b".0") {
        to - 2
    } else {
        to
    };
    let len = to - from;
    if len.wrapping_sub(1) < 8 {
        return eight_digits(page, to, len).map(|n| n.cast_signed() as f64);
    }
    if len.wrapping_sub(1) < 15 {
        let low = eight_digits(page, to, 8)?;
        let high = eight_digits(page, to - 8, len - 8)?;
        return Some((high * 100_000_000 + low).cast_signed() as f64);
    }
    None
}

/// The number that the last `len` (1 to 8) bytes before `to` spell, if they are digits. Eight bytes
/// are read at once where the page has them; those before the digits are overwritten by zeros.
#[inline(always)]
fn eight_digits(page: &[u8], to: usize, len: usize) -> Option<u64> {
    const ZEROS: u64 = 0x3030_3030_3030_3030;
    let Some(bytes) = page.get(..to).and_then(|before| before.last_chunk::<8>()) else {
        return few_digits(page.get(to - len..to)?);
    };
    let used = u64::MAX << (64 - 8 * len);
    let text = u64::from_le_bytes(*bytes) & used | ZEROS & !used;
    swar(text)
}

/// The number that eight digits spell, the first in the lowest byte.
#[inline(always)]
fn swar(text: u64) -> Option<u64> {
    const ZEROS: u64 = 0x3030_3030_3030_3030;
    // Each byte is 0x30 to 0x39: its high half is 3, and still is after adding 6.
    let high = 0xf0f0_f0f0_f0f0_f0f0;
    if (text & high) != ZEROS || (text.wrapping_add(0x0606_0606_0606_0606) & high) != ZEROS {
        return None;
    }
    // Pairs, then fours, then all eight.
    let digits = text - ZEROS;
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8);
    let fours = 0x0000_00ff_0000_00ff;
    let high = (pairs & fours).wrapping_mul(100 + (1_000_000 << 32));
    let low = (pairs >> 16 & fours).wrapping_mul(1 + (10_000 << 32));
    Some(high.wrapping_add(low) >> 32)
}

#[cold]
fn few_digits(text: &[u8]) -> Option<u64> {
    text.iter().try_fold(0, |n, b| {
        let digit = b.wrapping_sub(b'0');
        (digit <= 9).then(|| n * 10 + u64::from(digit))
    })
}

/// A decimal whose digits, taken as an integer, and whose power of ten are both exact as floats:
/// then one multiplication or division rounds once, so correctly. Everything else goes to `exact`.
#[inline(never)]
fn decimal(text: &[u8]) -> Result<f64, NumberFault> {
    let (negative, digits) = match *text {
        [b'-', ref digits @ ..] => (true, digits),
        ref digits => (false, digits),
    };
    let mut rest = digits;
    let mut mantissa = 0;
    let whole = few_digits_of(&mut rest, &mut mantissa);
    let mut fraction = 0;
    if let [b'.', ref behind @ ..] = *rest {
        rest = behind;
        fraction = run_of_digits(&mut rest, &mut mantissa);
    }
    let count = whole + fraction;
    let exponent = match *rest {
        [] => Some(0),
        [b'e' | b'E', ref exponent @ ..] => short_exponent(exponent),
        _ => None,
    };
    let Some(exponent) = exponent.filter(|_| (1..=19).contains(&count)) else {
        return exact(text);
    };
    match scaled(mantissa, exponent - fraction) {
        Some(value) => Ok(if negative { -value } else { value }),
        None => exact(text),
    }
}

/// `mantissa` times 10^`power`, correctly rounded; `None` where this is not sure how.
#[inline(always)]
#[expect(
    clippy::cast_precision_loss,
    reason = "at most 2^53, so the cast is exact"
)]
fn scaled(mantissa: u64, power: i32) -> Option<f64> {
    const POWERS: [f64; 23] = [
        1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
        1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
    ];
    let scale = POWERS
        .get(power.unsigned_abs() as usize)
        .filter(|_| mantissa <= 1 << 53);
    let Some(scale) = scale else {
        return divided(mantissa, power);
    };
    let mantissa = mantissa.cast_signed() as f64;
    Some(if power < 0 {
        mantissa / scale
    } else {
        mantissa * scale
    })
}

/// 2^`scale` / 10^*k*, rounded down to 128 bits.
#[derive(Clone, Copy)]
struct Reciprocal {
    bits: u128,
    scale: u32,
}

/// Reciprocals of 10^0 to 10^19.
const RECIPROCALS: [Reciprocal; 20] = {
    let mut all = [Reciprocal { bits: 0, scale: 0 }; 20];
    let mut power = 1u64;
    let mut k = 0;
    while k < 20 {
        let scale = 127 + (u64::BITS - power.leading_zeros());
        // Long division of 2^scale, bit by bit.
        let mut bits = 0u128;
        let mut rest = 1u128;
        let mut n = 0;
        while n < scale {
            rest <<= 1;
            bits <<= 1;
            if rest >= power as u128 {
                rest -= power as u128;
                bits |= 1;
            }
            n += 1;
        }
        all[k] = Reciprocal { bits, scale };
        power = power.wrapping_mul(10);
        k += 1;
    }
    all
};

/// `mantissa` / 10^-`power`, correctly rounded, by multiplying with a reciprocal of 128 bits; `None`
/// where these do not decide how to round, and for powers that have no reciprocal here.
///
/// The reciprocal is less than one of its last bits too small. So the product, cut to its upper 128
/// bits, is less than two of those bits too small, and less than four after normalizing. Rounding
/// to 53 bits looks at 75 bits below: only where these are that close under the middle or the end can
/// it go either way. The middle itself and exact results are among those.
#[inline]
#[expect(clippy::cast_precision_loss, reason = "53 bits: the cast is exact")]
#[expect(
    clippy::cast_possible_truncation,
    reason = "each part is shifted to fit"
)]
fn divided(mantissa: u64, power: i32) -> Option<f64> {
    const BELOW: u32 = 75;
    const MIDDLE: u128 = 1 << (BELOW - 1);
    const CLOSE: u128 = 8;
    let Reciprocal { bits, scale } = *RECIPROCALS.get(usize::try_from(-power).ok()?)?;
    let zeros = mantissa.leading_zeros();
    let m = u128::from(mantissa.checked_shl(zeros)?);
    let product = m * (bits >> 64) + ((m * u128::from(bits as u64)) >> 64);
    // Both factors have their highest bit, so the product has that or the one below it.
    debug_assert!(product.leading_zeros() <= 1);
    let shift = u32::from(product >> 127 == 0);
    let product = if shift == 0 { product } else { product << 1 };
    let below = product & ((1 << BELOW) - 1);
    if below.abs_diff(MIDDLE) <= CLOSE || below >= (1 << BELOW) - CLOSE {
        return None;
    }
    let rounded = (product >> BELOW) as u64 + u64::from(below > MIDDLE);
    let exponent = (64 + BELOW).cast_signed() - (shift + zeros + scale).cast_signed();
    let scale = f64::from_bits(u64::try_from(1023 + exponent).ok()? << 52);
    Some(rounded.cast_signed() as f64 * scale)
}

/// Takes the digits in front of `rest` into `mantissa`; gives how many there were. Beyond 19 of them
/// the mantissa means nothing.
#[inline(always)]
fn run_of_digits(rest: &mut &[u8], mantissa: &mut u64) -> i32 {
    let mut count = 0;
    while let Some(n) = rest
        .first_chunk()
        .and_then(|bytes: &[u8; 8]| swar(u64::from_le_bytes(*bytes)))
    {
        *mantissa = mantissa.wrapping_mul(100_000_000).wrapping_add(n);
        *rest = &rest[8..];
        count += 8;
    }
    count + few_digits_of(rest, mantissa)
}

/// The same, where few are expected: one by one.
#[inline(always)]
fn few_digits_of(rest: &mut &[u8], mantissa: &mut u64) -> i32 {
    let mut count = 0;
    let mut n = *mantissa;
    for b in *rest {
        let digit = b.wrapping_sub(b'0');
        if digit > 9 {
            break;
        }
        n = n.wrapping_mul(10).wrapping_add(u64::from(digit));
        count += 1;
    }
    *mantissa = n;
    *rest = rest.get(count..).unwrap_or_default();
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// An exponent of up to three digits.
#[inline]
fn short_exponent(text: &[u8]) -> Option<i32> {
    let (negative, digits) = match *text {
        [b'-', ref digits @ ..] => (true, digits),
        [b'+', ref digits @ ..] | ref digits => (false, digits),
    };
    if digits.is_empty() || digits.len() > 3 {
        return None;
    }
    let mut n = 0;
    for b in digits {
        let digit = b.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        n = n * 10 + i32::from(digit);
    }
    Some(if negative { -n } else { n })
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

    /// Numbers whose digits do not fit a float, at and beside the middle between two of them.
    #[test]
    fn long_mantissas_are_rounded_as_the_standard_library_does() {
        let mut state = 0x0123_4567_89ab_cdef_u64;
        for n in 0..200_000 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let digits = (state >> (n % 12)).to_string();
            let point = 1 + n % digits.len().max(2).min(digits.len());
            let (whole, fraction) = digits.split_at(point.min(digits.len()));
            let text = match n % 3 {
                0 => format!("{whole}.{fraction}"),
                1 => format!("{whole}.{fraction}e-{:02}", n % 7),
                _ => format!("-{whole}.{fraction}e+0{}", n % 10),
            };
            let want: f64 = text.parse().unwrap();
            assert_eq!(
                value(text.as_bytes()).map(f64::to_bits),
                Ok(want.to_bits()),
                "{text}"
            );
        }
        for float in [
            9_007_199_254_740_993_u64,
            9_007_199_254_740_994,
            18_014_398_509_481_985,
        ] {
            for digits in [
                float * 2 - 1,
                float * 2,
                float * 2 + 1,
                float * 5,
                float * 10,
                float * 10 + 5,
            ] {
                for k in 0..20 {
                    let text = format!("{digits}e-{k}");
                    let want: f64 = text.parse().unwrap();
                    assert_eq!(
                        value(text.as_bytes()).map(f64::to_bits),
                        Ok(want.to_bits()),
                        "{text}"
                    );
                }
            }
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
