//! The value of a known line: a short way for whole numbers, a memory for all others.

use crate::exposition::number;

/// Bytes behind the start of a value that are looked at.
pub(super) const REACH: usize = 64;

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

const ONES: u64 = 0x0101_0101_0101_0101;

/// A whole number behind which the line ends, if that is among the first eight bytes: `1234567` or
/// `12345.0`. The number and the length of its text; `None` for everything else.
///
/// Bytes are worked on together, in a word whose lowest byte is the first of the text.
#[inline(always)]
pub(super) fn whole(bytes: &[u8; 8]) -> Option<(f64, usize)> {
    let word = u64::from_le_bytes(*bytes);
    let newlines = word ^ (ONES * b'\n' as u64);
    // Eight bits for each byte before the newline. The lowest bit found is right; a borrow can only
    // have found too many above it.
    let found = newlines.wrapping_sub(ONES) & !newlines & (ONES << 7);
    let bits = (found.trailing_zeros() & !7) as usize;
    if found == 0 || bits == 0 {
        return None;
    }
    // The text in the upper bytes, nothing in the lower ones.
    let text = word << (64 - bits);
    let number = number::short_integer(text, bits)?;
    Some((f64::from(number), bits / 8))
}

/// What may stand behind a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Behind {
    /// The end of the line.
    Nothing,
    /// That, or a timestamp as the text formats have it: one blank and digits.
    Timestamp,
}

/// Any other value, and the length of the text to the end of the line. `None` where something else
/// stands there, where the line is long, or cut off.
#[inline(never)]
pub(super) fn any(
    bytes: &[u8; REACH],
    behind: Behind,
    spelled: &mut Spelled,
) -> Option<(f64, usize)> {
    let length = memchr::memchr(b'\n', bytes)?;
    if length < TEXT && bytes[..=length] == spelled.text[..=length] {
        return Some((spelled.value, length));
    }
    let text = &bytes[..length];
    if behind == Behind::Timestamp
        && let Some(blank) = memchr::memchr(b' ', text)
    {
        let (value, timestamp) = (&text[..blank], &text[blank + 1..]);
        // Eighteen digits are within 64 bits.
        let is_timestamp =
            matches!(timestamp.len(), 1..=18) && timestamp.iter().all(u8::is_ascii_digit);
        let value = number::value(value).ok().filter(|_| is_timestamp)?;
        return Some((value, length));
    }
    let value = number::value(text).ok()?;
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
            ("1234567\n", Some((1_234_567.0, 7))),
            ("12345.0\n", Some((12_345.0, 7))),
            ("00042.0\n", Some((42.0, 7))),
            ("12345678\n", None),
            ("9\n\x0b\n\x0b\x0b\x0b", Some((9.0, 1))),
            ("9\x0b\n", None),
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
            assert_eq!(whole(room(text).first_chunk().unwrap()), want, "{text:?}");
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
                let (value, length) =
                    any(&room(&format!("{text}\n")), Behind::Nothing, &mut spelled).unwrap();
                assert_eq!((value.to_bits(), length), (want.to_bits(), text.len()));
            }
        }
        for text in ["x\n", "\n", "1 2\n", "1"] {
            assert_eq!(
                any(&room(text), Behind::Nothing, &mut spelled),
                None,
                "{text:?}"
            );
        }
    }

    #[test]
    fn a_timestamp_may_stand_behind_where_the_format_has_it() {
        for (text, want) in [
            ("1.5 1700000000000\n", Some((1.5, 17))),
            ("12345.0 0\n", Some((12_345.0, 9))),
            (
                "1.7953111316306963e+09 1700000000000\n",
                Some((1.795_311_131_630_696_3e9, 36)),
            ),
            ("1.5 -1\n", None),
            ("1.5 \n", None),
            ("1.5  1\n", None),
            ("1.5 1 \n", None),
            ("1.5 1.5\n", None),
            ("1.5 9999999999999999999\n", None),
            (" 1\n", None),
        ] {
            let spelled = &mut Spelled::NONE.clone();
            assert_eq!(
                any(&room(text), Behind::Timestamp, spelled),
                want,
                "{text:?}"
            );
            assert_eq!(any(&room(text), Behind::Nothing, spelled), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_grammar(text in "[0-9.\\-+eE ]{0,12}\n[0-9\n]{0,4}") {
            let length = text.find('\n').unwrap();
            let want = number::value(&text.as_bytes()[..length]).ok().map(|v| (v.to_bits(), length));
            let bits = |(value, length): (f64, usize)| (value.to_bits(), length);
            prop_assert_eq!(any(&room(&text), Behind::Nothing, &mut Spelled::NONE.clone()).map(bits), want);
            if let Some(whole) = whole(room(&text).first_chunk().unwrap()) {
                prop_assert_eq!(Some(bits(whole)), want);
            }
        }
    }
}
