//! Numbers as the libraries print them that write the pages.

use std::fmt::Write as _;

/// How a page prints numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// `floatToGoString` of the Python client, up to a fix of July 2026: exponents of 1e10 and more
    /// get a third digit, `1.25e+015`.
    PythonThreeDigits,
    /// The same since then: `1.25e+15`.
    Python,
    /// The Rust crate `prometheus-client`: integers as they are, floats in full up to 1e21.
    Rust,
    /// Go's `strconv` with format `g` and the shortest precision, as `client_golang` prints.
    Go,
    /// `Display` of Rust, as the crate `metrics-exporter-prometheus` prints.
    Display,
}

/// Whether a quantity is counted or measured; the Rust client prints the two differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nature {
    Integer,
    Float,
}

impl Style {
    pub(crate) fn write(self, out: &mut String, value: f64, nature: Nature) {
        if value.is_nan() {
            out.push_str("NaN");
        } else if value.is_infinite() {
            out.push_str(if value > 0.0 { "+Inf" } else { "-Inf" });
        } else {
            match (self, nature) {
                (Self::PythonThreeDigits, _) => python(out, value, 3),
                (Self::Python, _) => python(out, value, 2),
                (Self::Rust, Nature::Float) => rust_float(out, value),
                (Self::Go, _) => go(out, value),
                (Self::Display, _) => {
                    let _ = write!(out, "{value}");
                }
                (Self::Rust, Nature::Integer) => {
                    let _ = write!(out, "{value:.0}");
                }
            }
        }
    }
}

/// Shortest digits that read back as the same double, and the exponent of the first digit.
fn digits(magnitude: f64) -> (String, i32) {
    // Rust prints the shortest form too, as `d.ddde-7`.
    let text = format!("{magnitude:e}");
    let (mantissa, exponent) = text
        .split_once('e')
        .expect("the LowerExp form of a float has an exponent");
    let exponent = exponent
        .parse()
        .expect("the exponent of a float is an integer");
    (mantissa.replace('.', ""), exponent)
}

/// `repr` of Python, with Go's exponents from a million on for positive numbers.
fn python(out: &mut String, value: f64, exponent_digits: usize) {
    let (digits, exponent) = digits(value.abs());
    if value.is_sign_negative() {
        out.push('-');
    }
    if (-4..16).contains(&exponent) {
        if value > 0.0 && exponent >= 6 {
            push_mantissa(out, &digits);
            let width = if exponent >= 10 { exponent_digits } else { 2 };
            let _ = write!(out, "e+{exponent:0width$}");
        } else {
            push_plain(out, &digits, exponent);
        }
    } else {
        push_mantissa(out, &digits);
        let sign = if exponent < 0 { '-' } else { '+' };
        let _ = write!(out, "e{sign}{:02}", exponent.unsigned_abs());
    }
}

fn go(out: &mut String, value: f64) {
    let (digits, exponent) = digits(value.abs());
    if value.is_sign_negative() {
        out.push('-');
    }
    if (-4..6).contains(&exponent) {
        push_plain(out, &digits, exponent);
        if out.ends_with(".0") {
            out.truncate(out.len() - 2);
        }
    } else {
        push_mantissa(out, &digits);
        let sign = if exponent < 0 { '-' } else { '+' };
        let _ = write!(out, "e{sign}{:02}", exponent.unsigned_abs());
    }
}

fn rust_float(out: &mut String, value: f64) {
    let (digits, exponent) = digits(value.abs());
    if value.is_sign_negative() {
        out.push('-');
    }
    if (-6..21).contains(&exponent) {
        push_plain(out, &digits, exponent);
    } else {
        push_mantissa(out, &digits);
        let _ = write!(out, "e{exponent}");
    }
}

fn push_mantissa(out: &mut String, digits: &str) {
    let (first, rest) = digits.split_at(1);
    out.push_str(first);
    if !rest.is_empty() {
        out.push('.');
        out.push_str(rest);
    }
}

/// Digits without an exponent, with at least one digit after the point.
fn push_plain(out: &mut String, digits: &str, exponent: i32) {
    let point = exponent + 1;
    let Ok(whole) = usize::try_from(point) else {
        out.push_str("0.");
        for _ in 0..point.unsigned_abs() {
            out.push('0');
        }
        out.push_str(digits);
        return;
    };
    if whole == 0 {
        out.push_str("0.");
        out.push_str(digits);
    } else if digits.len() <= whole {
        out.push_str(digits);
        for _ in digits.len()..whole {
            out.push('0');
        }
        out.push_str(".0");
    } else {
        let (head, tail) = digits.split_at(whole);
        out.push_str(head);
        out.push('.');
        out.push_str(tail);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(style: Style, value: f64, nature: Nature) -> String {
        let mut out = String::new();
        style.write(&mut out, value, nature);
        out
    }

    #[test]
    fn python_numbers() {
        // What `floatToGoString` of client 0.26.0 prints.
        for (value, want) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (-1.0, "-1.0"),
            (0.1, "0.1"),
            (123_456.5, "123456.5"),
            (999_999.0, "999999.0"),
            (1e6, "1e+06"),
            (1_234_567.0, "1.234567e+06"),
            (1.795e9, "1.795e+09"),
            (1.25e15, "1.25e+15"),
            (1e16, "1e+16"),
            (1.5e300, "1.5e+300"),
            (-2e6, "-2000000.0"),
            (-2e16, "-2e+16"),
            (0.0001, "0.0001"),
            (0.000_01, "1e-05"),
            (1.5e-7, "1.5e-07"),
            (5e-324, "5e-324"),
            (0.584_220_000_000_000_1, "0.5842200000000001"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(text(Style::Python, value, Nature::Float), want);
        }
        assert_eq!(
            text(Style::PythonThreeDigits, 1.25e15, Nature::Float),
            "1.25e+015"
        );
        assert_eq!(
            text(Style::PythonThreeDigits, 1.795e9, Nature::Float),
            "1.795e+09"
        );
        assert_eq!(
            text(Style::PythonThreeDigits, 1.5e16, Nature::Float),
            "1.5e+16"
        );
    }

    #[test]
    fn go_numbers() {
        for (value, want) in [
            (0.0, "0"),
            (1.0, "1"),
            (0.25, "0.25"),
            (100_000.0, "100000"),
            (1_048_576.0, "1.048576e+06"),
            (123_456.75, "123456.75"),
            (1.5e-5, "1.5e-05"),
            (0.0001, "0.0001"),
            (1.795e9, "1.795e+09"),
            (-3.0, "-3"),
            (f64::INFINITY, "+Inf"),
        ] {
            assert_eq!(text(Style::Go, value, Nature::Float), want);
        }
    }

    #[test]
    fn displayed_numbers() {
        assert_eq!(text(Style::Display, 40.96, Nature::Float), "40.96");
        assert_eq!(text(Style::Display, 2048.0, Nature::Integer), "2048");
        let noise = 0.0001 * 1.5;
        let want = "0.00015000000000000001";
        assert_eq!(text(Style::Display, noise, Nature::Float), want);
    }

    #[test]
    fn rust_numbers() {
        assert_eq!(text(Style::Rust, 81_920.0, Nature::Integer), "81920");
        assert_eq!(text(Style::Rust, 81_920.0, Nature::Float), "81920.0");
        assert_eq!(text(Style::Rust, 1.795e9, Nature::Float), "1795000000.0");
        assert_eq!(text(Style::Rust, 0.3125, Nature::Float), "0.3125");
        assert_eq!(text(Style::Rust, 0.000_012, Nature::Float), "0.000012");
        assert_eq!(text(Style::Rust, 1e-7, Nature::Float), "1e-7");
        assert_eq!(text(Style::Rust, 1e21, Nature::Float), "1e21");
    }
}
