//! The value of a known line: a short way for whole numbers, a memory for all others.

use crate::exposition::number;

/// Bytes behind the start of a value that are looked at.
pub(super) const REACH: usize = 32;

/// A value that is no short whole number, as it was spelled when it was read last: most of them
/// (moments of creation, sums of idle engines) are spelled the same on the next page.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spelled {
    /// With its newline, if it is that short.
    text: [u8; TEXT],
    value: f64,
}

const TEXT: usize = 24;

impl Spelled {
    /// No spelling: no value begins with a zero byte.
    pub(super) const NONE: Self = Self {
        text: [0; TEXT],
        value: 0.0,
    };
}

/// A whole number of up to eight digits, as `12` or `12.0`, behind which the line ends: the number
/// and the length of its text. `None` for everything else.
#[inline(always)]
pub(super) fn whole(bytes: &[u8; REACH]) -> Option<(f64, usize)> {
    const ZEROS: u64 = 0x3030_3030_3030_3030;
    let (words, _) = bytes.as_chunks::<8>();
    let (first, second) = (u64::from_le_bytes(words[0]), u64::from_le_bytes(words[1]));
    let newline = match newline_in(first) {
        8 => 8 + newline_in(second),
        at => at,
    };
    let point = newline.wrapping_sub(2);
    let digits = match bytes.get(point..newline) {
        Some(b".0") => point,
        _ => newline,
    };
    if digits == 0 || digits > 8 || newline == 16 {
        return None;
    }
    // Zeros before the digits, so that there are always eight.
    let missing = 64 - 8 * digits;
    let text = if missing == 0 {
        first
    } else {
        first << missing | ZEROS >> (64 - missing)
    };
    const HALVES: u64 = 0xf0f0_f0f0_f0f0_f0f0;
    let are_digits =
        text & HALVES == ZEROS && text.wrapping_add(0x0606_0606_0606_0606) & HALVES == ZEROS;
    are_digits.then(|| (f64::from(eight_digits(text)), newline))
}

/// Where the first newline is in eight bytes; 8 where there is none.
#[inline(always)]
const fn newline_in(word: u64) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let x = word ^ (ONES * b'\n' as u64);
    // The lowest bit that this finds is right; above it, a borrow may have found too many.
    let found = x.wrapping_sub(ONES) & !x & (ONES << 7);
    found.trailing_zeros() as usize / 8
}

/// Eight ASCII digits, the first one in the lowest byte.
#[inline(always)]
#[expect(
    clippy::cast_possible_truncation,
    reason = "a number of eight digits is below 2^32"
)]
const fn eight_digits(text: u64) -> u32 {
    let ones = text & 0x0f0f_0f0f_0f0f_0f0f;
    let twos = (ones * 10 + (ones >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (twos * 100 + (twos >> 16)) & 0x0000_ffff_0000_ffff;
    (fours * 10_000 + (fours >> 32)) as u32
}

/// Any other value behind which the line ends, and the length of its text. `None` where the line goes
/// on, is cut off, or has no value.
#[inline(never)]
pub(super) fn any(bytes: &[u8; REACH], spelled: &mut Spelled) -> Option<(f64, usize)> {
    let length = memchr::memchr(b'\n', bytes)?;
    if length < TEXT && bytes[..=length] == spelled.text[..=length] {
        return Some((spelled.value, length));
    }
    let value = number::value(&bytes[..length]).ok()?;
    if length < TEXT {
        *spelled = Spelled {
            text: *bytes.first_chunk()?,
            value,
        };
    }
    Some((value, length))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{prop_assert_eq, proptest};

    fn room(text: &str) -> [u8; REACH] {
        let mut room = [b'#'; REACH];
        let bytes = text.as_bytes();
        room[..bytes.len()].copy_from_slice(bytes);
        room
    }

    #[test]
    fn whole_numbers_are_read_and_nothing_else() {
        for (text, want) in [
            ("0\n", Some((0.0, 1))),
            ("7\nx", Some((7.0, 1))),
            ("12\n", Some((12.0, 2))),
            ("0.0\n", Some((0.0, 3))),
            ("123.0\n", Some((123.0, 5))),
            ("12345678\n", Some((12_345_678.0, 8))),
            ("12345678.0\n", Some((12_345_678.0, 10))),
            ("00000042.0\n", Some((42.0, 10))),
            ("123456789\n", None),
            ("\n", None),
            (".0\n", None),
            ("1.5\n", None),
            ("1.00\n", None),
            ("-1\n", None),
            ("1 2\n", None),
            ("1", None),
            ("1e5\n", None),
            ("1:\n", None),
            ("/1\n", None),
            ("1.0.0\n", None),
            ("NaN\n", None),
        ] {
            assert_eq!(whole(&room(text)), want, "{text:?}");
        }
    }

    #[test]
    fn a_spelling_is_remembered_and_never_mistaken() {
        let mut spelled = Spelled::NONE;
        for text in [
            "0.25",
            "0.5",
            "0.25",
            "1.7e9",
            "-3",
            "NaN",
            "1.0000000000000000000000001",
        ] {
            for _ in 0..2 {
                let want = number::value(text.as_bytes()).unwrap();
                let (value, length) = any(&room(&format!("{text}\n")), &mut spelled).unwrap();
                assert_eq!((value.to_bits(), length), (want.to_bits(), text.len()));
            }
        }
        for text in ["x\n", "\n", "1 2\n", "1"] {
            assert_eq!(any(&room(text), &mut spelled), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_grammar(text in "[0-9.\\-+eE ]{0,12}\n[0-9\n]{0,4}") {
            let length = text.find('\n').unwrap();
            let want = number::value(&text.as_bytes()[..length]).ok().map(|v| (v.to_bits(), length));
            let bits = |(value, length): (f64, usize)| (value.to_bits(), length);
            prop_assert_eq!(any(&room(&text), &mut Spelled::NONE.clone()).map(bits), want);
            if let Some(whole) = whole(&room(&text)) {
                prop_assert_eq!(Some(bits(whole)), want);
            }
        }
    }
}
